//! Every rule of a site, broken.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::mac::MacAddr;

fn network() -> Network {
    Network {
        interface: "br0".into(),
        subnet: "10.20.0.0/24".parse().expect("subnet"),
        gateway: Some(Ipv4Addr::new(10, 20, 0, 1)),
        dns: vec![],
        pool: "10.20.0.100-10.20.0.199".parse().expect("range"),
        fixed: Some("10.20.0.20-10.20.0.99".parse().expect("range")),
        unknown: Unknown::Discover,
        lease_seconds: DEFAULT_LEASE_SECONDS,
    }
}

fn node(name: &str) -> DeclaredNode {
    DeclaredNode { name: name.into(), serial: Some(format!("VM-{name}")), ..DeclaredNode::default() }
}

fn site() -> Site {
    Site { name: "hall-1".into(), networks: BTreeMap::from([("provision".into(), network())]), nodes: vec![node("w1")], ..Site::default() }
}

fn keys(site: &Site) -> Vec<String> {
    site.mistakes().into_iter().map(|mistake| mistake.key).collect()
}

#[test]
fn a_sound_site_has_no_mistakes() {
    assert_eq!(site().mistakes(), []);
}

#[test]
fn every_mistake_is_named_at_once() {
    let mut site = site();
    site.name = "Hall 1".into();
    let network = site.networks.get_mut("provision").expect("network");
    network.pool = "10.20.0.90-10.20.0.255".parse().expect("range");
    network.gateway = Some(Ipv4Addr::new(10, 21, 0, 1));
    network.lease_seconds = 5;
    site.nodes.push(node("w1"));
    site.nodes.push(DeclaredNode { serial: None, ..node("w2") });
    assert_eq!(
        keys(&site),
        [
            "site.name",
            "network.provision.pool",
            "network.provision.static",
            "network.provision.gateway",
            "network.provision.lease_seconds",
            "node.1.name",
            "node.1.serial",
            "node.2.name"
        ]
    );
}

#[test]
fn two_networks_share_neither_addresses_nor_an_interface() {
    let mut site = site();
    site.networks.insert("second".into(), network());
    assert_eq!(keys(&site), ["network.second.subnet", "network.second.interface"]);
}

#[test]
fn a_fixed_address_needs_a_mac_and_a_place_outside_the_pool() {
    let mut site = site();
    let mac = Some(MacAddr([0x52, 0x54, 0, 0, 0, 1]));
    for (mac, address, wrong) in [
        (mac, [10, 20, 0, 21], false),
        (None, [10, 20, 0, 21], true),
        (mac, [10, 20, 0, 101], true),
        (mac, [10, 20, 0, 5], true),
        (mac, [192, 168, 0, 5], true),
    ] {
        site.nodes = vec![DeclaredNode { mac, address: Some(address.into()), ..node("w1") }];
        assert_eq!(keys(&site) == ["node.0.address"], wrong, "{address:?}");
    }
}

#[test]
fn placeholders_identify_nobody() {
    let mut site = site();
    site.nodes[0].serial = Some("To be filled by O.E.M.".into());
    site.nodes[0].mac = Some(MacAddr([0; 6]));
    assert_eq!(keys(&site), ["node.0.serial", "node.0.mac"]);
}

/// Two switches, a rack with a pattern, and two nodes in it.
fn racked() -> Site {
    let switch = |name: &str, pair: &str| Switch { name: name.into(), pair: Some(pair.into()), lldp: None };
    let rack = Rack {
        profile: Some("worker".into()),
        switches: vec!["sw1".into(), "sw2".into()],
        cabling: "unit N: eno1 -> sw1/N, eno2 -> sw2/N".parse().ok(),
        nodes: None,
    };
    let in_unit = |name: &str, unit| DeclaredNode { rack: Some("r1".into()), unit: Some(unit), ..node(name) };
    Site {
        switches: vec![switch("sw1", "sw2"), switch("sw2", "sw1")],
        profiles: BTreeMap::from([("worker".into(), Profile::default())]),
        racks: BTreeMap::from([("r1".into(), rack)]),
        nodes: vec![in_unit("w1", 1), in_unit("w2", 2)],
        ..site()
    }
}

#[test]
fn what_leads_nowhere_or_is_promised_twice_is_told() {
    assert_eq!(racked().mistakes(), []);
    type Change = fn(&mut Site);
    let cases: [(Change, &str, &str); 22] = [
        (
            |site| site.nodes[1].rack = Some("r9".into()),
            "node.1.rack",
            "there is no rack `r9`; known: r1. Mend the name, or declare it with [rack.r9]",
        ),
        (
            |site| site.nodes[1].profile = Some("big".into()),
            "node.1.profile",
            "there is no profile `big`; known: worker. Mend the name, or declare it with [profile.big]",
        ),
        (|site| site.nodes[1].unit = Some(1), "node.1.unit", "unit 1 of rack `r1` already belongs to node `w1`: each node needs its own"),
        (|site| site.nodes[1].unit = Some(61), "node.1.unit", "a rack has no unit 61: units count from 1 at the bottom to 60"),
        (|site| site.nodes[1].rack = None, "node.1.unit", "unit 2 of which rack? Name it with `rack`"),
        (
            |site| drop(site.nodes[1].cabling.insert("eno2".into(), "sw2/1".parse().unwrap())),
            "node.1.cabling.eno2",
            "`eno2` is to be plugged into sw2/1, which belongs to node `w1`: a port takes one cable",
        ),
        (
            |site| drop(site.nodes[1].cabling.insert("eno3".into(), "sw2/Ethernet1/1".parse().unwrap())),
            "node.1.cabling.eno3",
            "`eno3` is to be plugged into sw2/Ethernet1/1, which belongs to node `w1`: a port takes one cable",
        ),
        (
            |site| drop(site.nodes[1].cabling.insert("eno3".into(), "sw2/2".parse().unwrap())),
            "node.1.unit",
            "`eno2` is to be plugged into sw2/2, which belongs to another interface of this node: a port takes one cable",
        ),
        (
            |site| drop(site.nodes[1].cabling.insert("eno3".into(), "sw9/1".parse().unwrap())),
            "node.1.cabling.eno3",
            "there is no switch `sw9`; known: sw1, sw2. Mend the name, or declare it with [[switch]]",
        ),
        (
            |site| site.nodes[1].bmc = Some(DeclaredBmc::at("somewhere")),
            "node.1.bmc.url",
            "`somewhere` is neither an address nor a URL: write 10.20.1.11 or redfish://10.20.1.11",
        ),
        (
            |site| site.nodes.iter_mut().for_each(|node| node.bmc = Some(DeclaredBmc::at("10.0.0.1"))),
            "node.1.bmc",
            "management address 10.0.0.1 already belongs to node `w1`: each node needs its own",
        ),
        (|site| site.nodes[0].tags = ["a b".into()].into(), "node.0.tags", "`a b` cannot be a tag: use 1 to 100 characters without spaces"),
        (
            |site| site.nodes[0].owner = Some("a\nb".into()),
            "node.0.owner",
            "`a\\nb` cannot be an owner: use 1 to 100 characters on one line",
        ),
        (|site| site.switches[1].name = "sw1".into(), "switch.1.name", "`sw1` is declared twice: rename one of them"),
        (
            |site| site.switches[1].lldp = Some("SW1".into()),
            "switch.1.lldp",
            "switch `sw1` calls itself the same in LLDP: the two could not be told apart",
        ),
        (|site| site.switches[0].pair = Some("sw1".into()), "switch.0.pair", "`sw1` cannot be a pair with itself: name the other switch"),
        (
            |site| site.switches[0].pair = Some("sw3".into()),
            "switch.0.pair",
            "there is no switch `sw3`; known: sw1, sw2. Mend the name, or declare it with [[switch]]",
        ),
        (
            |site| site.switches.push(Switch { name: "sw3".into(), pair: Some("sw1".into()), lldp: None }),
            "switch.2.pair",
            "`sw1` is the pair of `sw2` already: a pair has two switches",
        ),
        (
            |site| site.racks.get_mut("r1").unwrap().profile = Some("none".into()),
            "rack.r1.profile",
            "there is no profile `none`; known: worker. Mend the name, or declare it with [profile.none]",
        ),
        (
            |site| site.racks.get_mut("r1").unwrap().switches.push("sw9".into()),
            "rack.r1.switches",
            "there is no switch `sw9`; known: sw1, sw2. Mend the name, or declare it with [[switch]]",
        ),
        (
            |site| drop(site.racks.get_mut("r1").unwrap().switches.pop()),
            "rack.r1.cabling",
            "`sw2` is not among the `switches` of this rack: add it there, or mend the pattern",
        ),
        (
            |site| drop(site.profiles.insert("A".into(), Profile::default())),
            "profile.A",
            "`A` cannot be a profile's name: use 1 to 63 lower-case letters, digits and hyphens, no hyphen at either end",
        ),
    ];
    for (change, key, message) in cases {
        let mut site = racked();
        change(&mut site);
        let told: Vec<_> = site.mistakes().into_iter().map(|mistake| (mistake.key, mistake.message)).collect();
        assert!(told.contains(&(key.into(), message.into())), "{key}: {told:#?}");
    }
}

#[test]
fn a_nodes_own_cable_stands_before_its_racks_pattern() {
    let mut site = racked();
    site.nodes[0].cabling.insert("eno2".into(), "sw2/48".parse().unwrap());
    let told: Vec<_> = site.cables_of(&site.nodes[0]).iter().map(|cable| format!("{} {}", cable.nic, cable.at)).collect();
    assert_eq!(told, ["eno2 sw2/48", "eno1 sw1/1"]);
}

#[test]
fn a_site_is_the_same_after_it_was_kept() {
    let mut site = racked();
    site.nodes[0].bmc = Some(DeclaredBmc::at("redfish://10.0.0.1"));
    site.nodes[0].cabling.insert("eno2".into(), "sw2/48".parse().unwrap());
    site.nodes[0].expects.memory = ">= 16 GiB".parse().ok();
    let kept = serde_json::to_string(&site).unwrap();
    assert_eq!(serde_json::from_str::<Site>(&kept).unwrap(), site);
}
