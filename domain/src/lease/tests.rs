//! Decisions about addresses, case by case.

use super::*;
use crate::site::{DeclaredNode, Network, Unknown};
use std::collections::BTreeMap;

const NET: &str = "provision";

fn site(pool: &str) -> Site {
    let network = Network {
        interface: "br0".into(),
        subnet: "10.20.0.0/24".parse().expect("subnet"),
        gateway: None,
        dns: vec![],
        pool: pool.parse().expect("range"),
        fixed: None,
        unknown: Unknown::Discover,
        lease_seconds: 600,
    };
    Site { name: "s".into(), networks: BTreeMap::from([(NET.into(), network)]), ..Site::default() }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, last])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 20, 0, last)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("in range")
}

fn asking(site: &Site, mac: MacAddr, now: Timestamp) -> Asking<'_> {
    Asking { site, network: NET, mac, taken: &[], now }
}

fn take(table: &mut LeaseTable, site: &Site, mac: MacAddr, now: Timestamp) -> Result<Ipv4Addr, NoAddress> {
    let (address, _) = table.offer(&asking(site, mac, now), None)?;
    match table.request(&asking(site, mac, now), address, None) {
        Requested::Grant(lease) => table.granted(lease),
        other => panic!("{other:?}"),
    }
    Ok(address)
}

#[test]
fn a_machine_keeps_its_address_through_boots_and_expiry() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.103"), LeaseTable::default());
    for second in [0, 10, 5000] {
        assert_eq!(take(&mut table, &site, mac(1), at(second)), Ok(ip(100)), "{second}");
    }
    assert_eq!(take(&mut table, &site, mac(2), at(5000)), Ok(ip(101)));
}

#[test]
fn no_address_is_promised_to_two() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.102"), LeaseTable::default());
    let first = table.offer(&asking(&site, mac(1), at(0)), None).expect("an address").0;
    let second = table.offer(&asking(&site, mac(2), at(0)), Some(first)).expect("an address").0;
    assert_ne!(first, second);
    assert!(matches!(table.request(&asking(&site, mac(2), at(1)), first, None), Requested::Refuse(_)));
}

#[test]
fn an_offer_nobody_took_is_given_to_the_next() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
    table.offer(&asking(&site, mac(1), at(0)), None).expect("an address");
    assert!(table.offer(&asking(&site, mac(2), at(59)), None).is_err());
    assert_eq!(table.offer(&asking(&site, mac(2), at(60)), None).map(|o| o.0), Ok(ip(100)));
}

#[test]
fn a_full_pool_says_so_and_takes_the_longest_expired() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
    take(&mut table, &site, mac(1), at(0)).expect("an address");
    take(&mut table, &site, mac(2), at(100)).expect("an address");
    assert!(matches!(table.offer(&asking(&site, mac(3), at(599)), None), Err(NoAddress::Exhausted { size: 2, .. })));
    assert_eq!(take(&mut table, &site, mac(1), at(599)), Ok(ip(100)), "the holder renews all the same");
    assert_eq!(take(&mut table, &site, mac(3), at(700)), Ok(ip(101)));
    assert!(table.held_by(NET, mac(2), at(700)).is_none());
}

#[test]
fn a_request_is_answered_by_what_is_known() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
    let held = take(&mut table, &site, mac(1), at(0)).expect("an address");
    let free = ip(120);
    type Check = fn(&Requested) -> bool;
    let granted: Check = |r| matches!(r, Requested::Grant(_));
    let refused: Check = |r| matches!(r, Requested::Refuse(_));
    let cases: [(&str, MacAddr, Ipv4Addr, Check); 7] = [
        ("renewing its own", mac(1), held, granted),
        ("another's address", mac(2), held, refused),
        ("an address of another network", mac(1), Ipv4Addr::new(192, 168, 1, 4), refused),
        ("another than it holds", mac(1), free, refused),
        ("a forgotten but free address", mac(2), free, granted),
        ("outside the pool", mac(2), ip(9), refused),
        ("the appliance's own", mac(2), ip(130), refused),
    ];
    for (what, who, address, check) in cases {
        let answer = table.request(&Asking { taken: &[ip(130)], ..asking(&site, who, at(10)) }, address, None);
        assert!(check(&answer), "{what}: {answer:?}");
    }
}

#[test]
fn an_address_being_written_to_disk_is_granted_to_nobody_else() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
    let lease = match table.request(&asking(&site, mac(1), at(0)), ip(120), None) {
        Requested::Grant(lease) => lease,
        other => panic!("{other:?}"),
    };
    assert!(matches!(table.request(&asking(&site, mac(2), at(1)), ip(120), None), Requested::Refuse(_)));
    table.granted(lease);
    assert!(matches!(table.request(&asking(&site, mac(2), at(100)), ip(120), None), Requested::Refuse(_)));
}

#[test]
fn a_machine_whose_lease_is_being_written_is_given_no_other_address_meanwhile() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
    let Requested::Grant(lease) = table.request(&asking(&site, mac(1), at(0)), ip(120), None) else { panic!("it is free") };
    assert_eq!(table.offer(&asking(&site, mac(1), at(1)), Some(ip(130))).map(|offer| offer.0), Ok(ip(120)));
    assert!(matches!(table.request(&asking(&site, mac(1), at(1)), ip(130), None), Requested::Refuse(_)));
    assert!(matches!(table.request(&asking(&site, mac(1), at(1)), ip(120), None), Requested::Grant(_)), "it may ask again");
    let ours = Asking { taken: &[ip(120)], ..asking(&site, mac(1), at(1)) };
    assert_eq!(table.offer(&ours, None), Err(NoAddress::BeingWritten { address: ip(120) }));
    table.granted(lease);
    assert!(matches!(table.request(&asking(&site, mac(2), at(2)), ip(120), None), Requested::Refuse(_)));
}

#[test]
fn what_a_machine_gave_up_does_not_end_what_was_granted_after_it() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
    let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
    let released = table.release(NET, mac(1), address, at(10)).expect("its own");
    take(&mut table, &site, mac(1), at(11)).expect("its own");
    table.granted(released);
    assert!(table.held_by(NET, mac(1), at(12)).is_some(), "it has asked again since");
    let declined = table.decline(NET, mac(1), address, at(610)).expect("its own");
    take(&mut table, &site, mac(2), at(611)).expect("it has expired");
    table.granted(declined);
    assert!(table.held_by(NET, mac(2), at(612)).is_some(), "it is another's since");
}

#[test]
fn who_held_an_address_until_it_expired_neither_releases_nor_declines_it() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
    let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
    table.offer(&asking(&site, mac(2), at(600)), None).expect("it has expired");
    assert_eq!(table.release(NET, mac(1), address, at(601)), None);
    assert_eq!(table.decline(NET, mac(1), address, at(601)), None);
}

#[test]
fn only_the_holder_releases_or_declines() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
    let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
    assert_eq!(table.release(NET, mac(2), address, at(1)), None);
    assert_eq!(table.decline(NET, mac(2), address, at(1)), None);
    let declined = table.decline(NET, mac(1), address, at(1)).expect("its own");
    table.granted(declined);
    assert_eq!(take(&mut table, &site, mac(1), at(2)), Ok(ip(101)));
    assert!(table.offer(&asking(&site, mac(2), at(1000)), None).is_ok_and(|offer| offer.0 != ip(100)));
}

#[test]
fn a_released_address_goes_back_to_its_machine_or_to_one_in_need() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
    let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
    let released = table.release(NET, mac(1), address, at(5)).expect("its own");
    table.granted(released);
    assert_eq!(table.held_by(NET, mac(1), at(6)), None);
    assert_eq!(take(&mut table, &site, mac(2), at(6)), Ok(address));
}

#[test]
fn a_declared_address_wins_and_pins() {
    let mut site = site("10.20.0.100-10.20.0.101");
    site.nodes.push(DeclaredNode { name: "w1".into(), mac: Some(mac(1)), address: Some(ip(20)), ..DeclaredNode::default() });
    let mut table = LeaseTable::default();
    assert_eq!(take(&mut table, &site, mac(1), at(0)), Ok(ip(20)));
    assert!(matches!(table.request(&asking(&site, mac(1), at(1)), ip(100), None), Requested::Refuse(_)));
}

#[test]
fn a_declared_address_that_another_still_holds_is_not_promised_twice() {
    let (mut site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
    let held = take(&mut table, &site, mac(2), at(0)).expect("an address");
    site.networks.get_mut(NET).expect("network").pool = "10.20.0.101-10.20.0.102".parse().expect("range");
    site.nodes.push(DeclaredNode { name: "w1".into(), mac: Some(mac(1)), address: Some(held), ..DeclaredNode::default() });
    assert_eq!(take(&mut table, &site, mac(1), at(10)), Ok(ip(101)), "another until then");
    assert_eq!(take(&mut table, &site, mac(1), at(700)), Ok(held));
}

#[test]
fn an_offer_made_before_a_restart_is_honoured_if_the_address_is_free() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
    let (offered, _) = table.offer(&asking(&site, mac(1), at(0)), None).expect("an address");
    let mut restarted = LeaseTable::default();
    assert!(matches!(restarted.request(&asking(&site, mac(1), at(4)), offered, None), Requested::Grant(_)));
}

#[test]
fn a_flood_of_offers_is_bounded() {
    let mut site = site("10.20.0.100-10.20.0.199");
    let network = site.networks.get_mut(NET).expect("network");
    network.subnet = "10.0.0.0/8".parse().expect("subnet");
    network.pool = "10.64.0.0-10.127.255.255".parse().expect("range");
    let mut table = LeaseTable::default();
    let random = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    };
    let held = take(&mut table, &site, mac(1), at(0)).expect("an address");
    let offered = (0..10_000).filter(|&n| table.offer(&asking(&site, random(n), at(0)), None).is_ok()).count();
    assert_eq!(offered, MOST_OFFERS);
    assert!(matches!(table.request(&asking(&site, mac(1), at(1)), held, None), Requested::Grant(_)), "renewals go on");
    assert_eq!(take(&mut table, &site, mac(1), at(1)), Ok(held), "and a machine with a lease boots");
    assert!(table.offer(&asking(&site, random(3), at(1)), None).is_ok(), "who has an offer keeps it");
    assert!(table.offer(&asking(&site, random(20_000), at(61)), None).is_ok(), "and the flood passes");
}

#[test]
fn a_restored_table_knows_what_was_promised() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.110"), LeaseTable::default());
    for last in 1..=5 {
        take(&mut table, &site, mac(last), at(0)).expect("an address");
    }
    let kept: Vec<_> = table.all().cloned().collect();
    let mut restored = LeaseTable::restore(kept, at(30));
    for last in 1..=5 {
        assert_eq!(take(&mut restored, &site, mac(last), at(30)), take(&mut table, &site, mac(last), at(30)));
    }
    assert_eq!(take(&mut restored, &site, mac(9), at(30)), Ok(ip(105)));
}

#[test]
fn machines_keep_their_addresses_when_their_network_is_renamed_or_widened() {
    let (mut site, mut table) = (site("10.20.0.100-10.20.0.110"), LeaseTable::default());
    table.rehome(&site);
    let held = take(&mut table, &site, mac(1), at(0)).expect("an address");
    let kept: Vec<_> = table.all().cloned().collect();
    let mut network = site.networks.remove(NET).expect("network");
    network.subnet = "10.20.0.0/23".parse().expect("subnet");
    site.networks.insert("other".into(), network);
    let mut restarted = LeaseTable::restore(kept, at(10));
    for table in [&mut table, &mut restarted] {
        table.rehome(&site);
        let other = |mac| Asking { network: "other", ..asking(&site, mac, at(10)) };
        assert!(table.offer(&other(mac(2)), Some(held)).is_ok_and(|(offered, _)| offered != held));
        assert!(matches!(table.request(&other(mac(2)), held, None), Requested::Refuse(_)));
        assert!(matches!(table.request(&other(mac(1)), held, None), Requested::Grant(_)));
    }
}

#[test]
fn a_lease_granted_under_the_old_name_while_the_site_changes_is_not_lost() {
    let (mut site, mut table) = (site("10.20.0.100-10.20.0.110"), LeaseTable::default());
    let (address, _) = table.offer(&asking(&site, mac(1), at(0)), None).expect("an address");
    let Requested::Grant(lease) = table.request(&asking(&site, mac(1), at(0)), address, None) else { panic!("not granted") };
    let network = site.networks.remove(NET).expect("network");
    site.networks.insert("other".into(), network);
    table.rehome(&site);
    table.granted(lease);
    assert_eq!(table.holder_of(address, at(1)).map(|lease| (lease.network.as_str(), lease.mac)), Some(("other", mac(1))));
}

#[test]
fn a_clock_that_was_a_year_ahead_binds_nothing_for_a_year() {
    let (site, mut table) = (site("10.20.0.100-10.20.0.110"), LeaseTable::default());
    const YEAR: i64 = 365 * 86_400;
    let address = take(&mut table, &site, mac(1), at(YEAR)).expect("an address");
    let restored = LeaseTable::restore(table.all().cloned().collect::<Vec<_>>(), at(0));
    assert!(restored.holder_of(address, at(599)).is_some(), "what was promised lasts as long as it was to last");
    assert!(restored.holder_of(address, at(601)).is_none());
}

#[test]
fn who_only_watches_gives_known_machines_their_known_addresses_and_nothing_else() {
    let mut site = site("10.20.0.100-10.20.0.109");
    site.nodes.push(DeclaredNode { mac: Some(mac(9)), address: Some(ip(50)), ..DeclaredNode::default() });
    let mut table = LeaseTable::default();
    assert_eq!(take(&mut table, &site, mac(1), at(0)), Ok(ip(100)));
    assert_eq!(take(&mut table, &site, mac(2), at(0)), Ok(ip(101)));
    let given_back = table.release(NET, mac(2), ip(101), at(1)).expect("held");
    table.granted(given_back);
    table.only_known(true);
    let offered = |table: &mut LeaseTable, who, now| table.offer(&asking(&site, who, now), None).map(|(address, _)| address);
    let asked = |table: &mut LeaseTable, who, address, now| table.request(&asking(&site, who, now), address, None);

    assert_eq!(offered(&mut table, mac(1), at(10)), Ok(ip(100)), "it holds a lease");
    assert_eq!(offered(&mut table, mac(9), at(10)), Ok(ip(50)), "the site names its address");
    for (who, now, what) in [(mac(3), at(10), "unknown"), (mac(2), at(10), "gave it back"), (mac(1), at(700), "its lease is over")] {
        assert_eq!(offered(&mut table, who, now), Err(NoAddress::Watching), "{what}");
    }
    assert!(matches!(asked(&mut table, mac(1), ip(100), at(20)), Requested::Grant(_)), "a renewal");
    assert!(matches!(asked(&mut table, mac(1), ip(100), at(900)), Requested::Grant(_)), "it has the address still");
    assert!(matches!(asked(&mut table, mac(9), ip(50), at(20)), Requested::Grant(_)));
    for (who, address, what) in [
        (mac(1), ip(105), "another address than is known"),
        (mac(2), ip(101), "it gave it back"),
        (mac(3), ip(106), "an unknown machine"),
        (mac(3), ip(100), "somebody else's"),
        (mac(9), ip(107), "another than the site names"),
        (mac(3), Ipv4Addr::new(192, 0, 2, 1), "not of this network"),
    ] {
        let said = asked(&mut table, who, address, at(20));
        assert!(matches!(&said, Requested::Withhold(rule) if rule.contains("overture db resume")), "{what}: {said:?}");
    }
    table.only_known(false);
    assert_eq!(offered(&mut table, mac(3), at(30)), Ok(ip(102)), "after that, as ever");
    assert!(matches!(asked(&mut table, mac(1), Ipv4Addr::new(192, 0, 2, 1), at(30)), Requested::Refuse(_)));
}
