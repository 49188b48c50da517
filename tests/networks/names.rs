//! Networks under other names: machines keep their addresses, and no address is two machines'.

use crate::hall::{SECOND, apply, assert_boots, first, held, network, second, two_networks};
use crate::support::machine::{client, is_refusal, machine};
use crate::support::{Appliance, Side, WHOLE};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use tests_sim::dhcp::{Kind, Lease, Load};

/// Machines of one network and their leases.
fn leases(side: &Side, numbers: std::ops::Range<u32>) -> Vec<(u32, Lease)> {
    side.inside(|| numbers.map(|number| (number, client().lease(&machine(number)).unwrap())).collect())
}

/// Fails unless each machine still has its address, by every way of asking, and a new one gets one that is nobody's.
fn assert_kept(side: &Side, leases: &[(u32, Lease)], new: u32) {
    side.inside(|| {
        for (number, lease) in leases {
            let ack = client().renew(&machine(*number), lease).unwrap();
            assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
            assert_eq!(client().verify(&machine(*number), lease.address).unwrap().yiaddr, lease.address);
            assert_eq!(client().lease(&machine(*number)).unwrap().address, lease.address);
            let thief = client().verify(&machine(new), lease.address);
            assert!(is_refusal(&thief), "{} was given to another machine: {thief:?}", lease.address);
        }
        let address = client().lease(&machine(new)).unwrap().address;
        assert!(leases.iter().all(|(_, lease)| lease.address != address), "{address} was given to another machine");
    });
}

/// Fails unless every address is held once, under this name of its network.
fn assert_held_under(appliance: &Appliance, names: [(u8, &str); 2]) {
    let held = held(appliance);
    let addresses: BTreeSet<_> = held.iter().map(|(_, address, _)| address).collect();
    assert_eq!(addresses.len(), held.len(), "{held:?}");
    for (network, address, _) in &held {
        let n = address.parse::<Ipv4Addr>().unwrap().octets()[1];
        assert!(names.contains(&(n, network.as_str())), "{address} is held on {network}: {names:?}");
    }
}

#[test]
fn machines_keep_their_addresses_when_networks_are_renamed_and_exchange_their_names() {
    let (mut appliance, side) = two_networks();
    let (here, there) = (leases(&appliance.side(), 30..33), leases(&side, 40..43));
    assert_held_under(&appliance, [(77, "provision"), (88, "second")]);

    apply(&appliance, &[network("racks", "prov0", 77, ""), second()]);
    assert_kept(&appliance.side(), &here, 33);
    assert_kept(&side, &there, 43);
    assert_held_under(&appliance, [(77, "racks"), (88, "second")]);
    let running = appliance.get(&format!("/api/v1/explain/{}", machine(33).mac));
    assert_eq!(running["boots"][0]["network"], "racks");

    apply(&appliance, &[network("second", "prov0", 77, ""), network("racks", "prov1", 88, "")]);
    assert_kept(&appliance.side(), &here, 34);
    assert_kept(&side, &there, 44);
    assert_held_under(&appliance, [(77, "second"), (88, "racks")]);
    assert_boots(&side, SECOND, 88);

    appliance.restart();
    assert_held_under(&appliance, [(77, "second"), (88, "racks")]);
    assert_kept(&appliance.side(), &here, 35);
    assert_kept(&side, &there, 45);
    assert_boots(&appliance.side(), WHOLE, 77);
}

#[test]
fn leases_follow_a_name_that_was_changed_just_before_the_service_died() {
    let (mut appliance, _side) = two_networks();
    let here = leases(&appliance.side(), 50..53);
    apply(&appliance, &[network("racks", "prov0", 77, "")]);
    appliance.restart();
    assert_kept(&appliance.side(), &here, 53);
    // And back, with nobody having asked in between.
    apply(&appliance, &[network("other", "prov0", 77, "")]);
    apply(&appliance, &[first()]);
    appliance.restart();
    assert_kept(&appliance.side(), &here, 54);
    assert_eq!(held(&appliance).len(), 5);
}

#[test]
fn no_address_is_two_machines_while_a_network_is_renamed_again_and_again() {
    let appliance = Appliance::start();
    let machines: Vec<_> = (100..180).map(machine).collect();
    let load = Load { exchanges: 2400, ..Load::once(machines, 40) };
    let (side, over) = (appliance.side(), AtomicBool::new(false));
    let result = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let result = side.inside(|| client().load(&load).unwrap());
            over.store(true, Ordering::Relaxed);
            result
        });
        for name in ["racks", "provision"].into_iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
            apply(&appliance, &[network(name, "prov0", 77, "")]);
        }
        asking.join().unwrap()
    });
    assert_eq!((result.failed, result.malformed, result.naks, result.given_twice()), (0, 0, 0, vec![]), "{result:?}");
    let renamed = appliance.get("/api/v1/site")["number"].as_u64().unwrap();
    assert!(renamed > 5, "it was renamed {renamed} times only");
    let held: BTreeSet<_> = held(&appliance).into_iter().map(|(_, address, mac)| (mac, address)).collect();
    let given: BTreeSet<_> = result.addresses.iter().map(|(mac, address)| (mac.to_string(), address.to_string())).collect();
    assert_eq!(held, given);
}
