//! Interfaces that are missing, come, go, come back, and change their addresses.

use crate::hall::{SECOND, apply, assert_boots, assert_unservable, first, held, second, site, sockets, try_boot, two_networks};
use crate::support::machine::{client, hasty_client, is_silence, machine};
use crate::support::waiting::eventually_within;
use crate::support::{Appliance, Side, WHOLE, eventually};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Within this a network must be served that can be, on a machine that has other things to do too: it is looked every five
/// seconds.
const SOON: Duration = Duration::from_secs(12);
/// How long DHCP may believe that the interface has the address that it had.
const BELIEVED: Duration = Duration::from_secs(1);

fn unplug(appliance: &Appliance, side: Side) {
    appliance.servers().ip(&["link", "delete", "prov1"]).unwrap();
    drop(side);
}

/// Boots a machine as soon as it is answered.
fn assert_served_soon(side: &Side, number: u32, n: u8) {
    eventually_within(SOON, "DHCP answers", &mut || side.inside(|| hasty_client().discover(&machine(number)).is_ok()));
    assert_boots(side, number, n);
}

#[test]
fn the_service_starts_without_an_interface_and_serves_it_whenever_it_is_there() {
    let (mut appliance, side) = two_networks();
    let before = assert_boots(&side, SECOND, 88);
    appliance.stop();
    unplug(&appliance, side);
    appliance.resume();
    eventually("the log says so", || appliance.log().contains("not served for now") && appliance.log().contains("no interface `prov1`"));
    appliance.assert_good_node_is_served();
    let ready = appliance.api("GET", "/readyz", None);
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("not served: second"), "{}", ready.text());
    // Other sites are accepted meanwhile, also with the network that is missing, but not with one that never was there.
    let more = format!("{}[[node]]\nname = \"w1\"\nserial = \"S-1\"\n", site(&[first(), second()]));
    assert_eq!(appliance.apply(&more).unwrap().status, 201);
    let dry_run = appliance.cli(&["apply", "--dry-run", &appliance.folder().join("site").display().to_string()]);
    assert!(dry_run.status.success(), "{}", String::from_utf8_lossy(&dry_run.stderr));
    let sockets_before = sockets(&appliance);

    let side = appliance.cable("prov1", 88, SECOND);
    assert_served_soon(&side, SECOND, 88);
    assert!(appliance.log().contains("network second is served on prov1 now"), "{}", appliance.log());
    assert_eq!(appliance.api("GET", "/readyz", None).status, 200);
    let back = held(&appliance);
    assert!(back.contains(&("second".into(), before.address.to_string(), machine(SECOND).mac.to_string())), "{back:?}");

    // The same while the service runs.
    unplug(&appliance, side);
    let said = appliance.log().matches("no interface `prov1`").count();
    let side = appliance.cable("prov1", 88, SECOND);
    assert_served_soon(&side, SECOND, 88);
    unplug(&appliance, side);
    eventually("the log says so again", || appliance.log().matches("no interface `prov1`").count() > said);
    assert!(sockets(&appliance).is_superset(&sockets_before), "the other network was bound anew");
    appliance.assert_good_node_is_served();

    apply(&appliance, &[first()]);
    assert_unservable(&appliance.apply(&site(&[first(), second()])).unwrap(), &["network.second.interface", "prov1", "prov0"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn another_site_can_be_applied_though_the_only_interface_is_gone() {
    let mut appliance = Appliance::start();
    appliance.stop();
    appliance.servers().ip(&["link", "delete", "prov0"]).unwrap();
    appliance.resume();
    let side = appliance.cable("prov1", 88, SECOND);
    let folder = appliance.folder().join("site");
    std::fs::write(folder.join("site.toml"), site(&[second()])).unwrap();
    let applied = appliance.cli(&["apply", &folder.display().to_string()]);
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    assert_boots(&side, SECOND, 88);
    appliance.assert_alive();
}

#[test]
fn an_address_that_is_replaced_is_served_soon_and_the_old_one_is_not_named() {
    let appliance = Appliance::start();
    let old = assert_boots(&appliance.side(), WHOLE, 77);
    let change = |what: &str, address: &str| appliance.servers().ip(&["address", what, address, "dev", "prov0"]).unwrap();
    change("delete", "10.77.0.1/16");
    change("add", "10.77.0.3/16");
    let (changed, mut booted) = (Instant::now(), None);
    eventually_within(SOON, "a machine boots under the new address", &mut || {
        let begun = changed.elapsed();
        let offer = appliance.inside(|| hasty_client().discover(&machine(40)));
        match offer.map(|offer| offer.server()) {
            Ok(Some(server)) if server == Ipv4Addr::new(10, 77, 0, 3) => booted = Some(try_boot(&appliance.side(), WHOLE).unwrap()),
            Ok(server) => assert!(begun < BELIEVED, "after {begun:?}, {server:?} was named, where nobody answers"),
            Err(_) => {}
        }
        booted.is_some()
    });
    let booted = booted.unwrap();
    assert_eq!((booted.words["url"].as_str(), booted.address), ("https://10.77.0.3:8444", old.address));
    assert_eq!(booted.words["pin"], old.words["pin"]);
    assert_eq!(appliance.bound()["networks"][0]["boot"], "10.77.0.3:80");
}

#[test]
fn an_address_that_is_away_for_a_moment_costs_no_more_than_that_moment() {
    let mut appliance = Appliance::start();
    let before = sockets(&appliance);
    let change = |what: &str| appliance.servers().ip(&["address", what, "10.77.0.1/16", "dev", "prov0"]).unwrap();
    change("delete");
    eventually("DHCP falls silent", || appliance.inside(|| is_silence(&hasty_client().discover(&machine(40)))));
    eventually("the log says so", || appliance.log().contains("has no address in 10.77.0.0/16"));
    change("add");
    appliance.inside(|| client().lease(&machine(40)).unwrap());
    assert_eq!(sockets(&appliance), before);
    appliance.assert_good_node_is_served();
}
