//! No space left: nothing is acknowledged that is not stored, everybody is told, and it goes on when there is room again.

use crate::support::disk::{fill, make_room, with_small_disk};
use crate::support::machine::{client, hasty_client, is_silence, machine, power_on};
use crate::support::{Appliance, SERVER, Wishes, eventually};
use tests_sim::dhcp::Kind;

#[test]
fn on_a_full_disk_nothing_is_acknowledged_that_is_not_stored() {
    with_small_disk(16 << 10, |disk| {
        let mut appliance = Appliance::start_as(Wishes { state: Some(disk.join("state")), ..Wishes::default() });
        let filler = disk.join("filler");
        let (known, lease) = appliance.inside(|| {
            let known = machine(40);
            let lease = client().lease(&known).unwrap();
            (known, lease)
        });
        let running = appliance.inside(|| power_on(41));
        assert_eq!(appliance.inside(|| running.agent.report(&running.machine, 1).unwrap().status), 200);
        fill(&filler);

        appliance.inside(|| {
            let stranger = machine(42);
            let offer = client().discover(&stranger).expect("an offer promises nothing");
            let refused = hasty_client().request(&stranger, offer.yiaddr, SERVER);
            assert!(is_silence(&refused), "a lease was acknowledged that cannot be stored: {refused:?}");
            // What is on disk already is still promised, and not a second more.
            let ack = client().renew(&known, &lease).expect("a known machine renews");
            assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
            let seconds = u32::from_be_bytes(ack.option(51).unwrap().try_into().unwrap());
            assert!((60..=lease.seconds).contains(&seconds), "{seconds}");
            let answer = running.agent.report(&running.machine, 2).unwrap();
            assert_eq!((answer.status, answer.problem()), (503, "store_unavailable".into()));
        });
        let refused = appliance.apply(&appliance.site("[[node]]\nname = \"n1\"\nserial = \"S-1\"\n")).unwrap();
        assert_eq!((refused.status, refused.problem()), (503, "store_unavailable".into()), "{}", refused.text());
        assert!(refused.text().contains("full"), "the reason is said: {}", refused.text());
        assert_eq!(appliance.get("/api/v1/site")["number"], 1);
        assert!(appliance.log().contains("the store cannot be written"), "{}", appliance.log());
        let counted = appliance.metrics();
        assert!(counted.dhcp("store_unavailable") > 0 && counted.dhcp("acknowledged_from_disk") > 0);
        appliance.assert_alive();

        make_room(&filler);
        eventually("sites are accepted again", || {
            appliance
                .apply(&appliance.site("[[node]]\nname = \"n1\"\nserial = \"S-1\"\n"))
                .is_ok_and(|answer| matches!(answer.status, 200 | 201))
        });
        let later = appliance.inside(|| {
            assert_eq!(running.agent.report(&running.machine, 3).unwrap().status, 200);
            client().lease(&machine(42)).expect("a lease when there is room")
        });
        appliance.restart();
        let leases = appliance.list("/api/v1/leases");
        for address in [lease.address, running.lease.address, later.address] {
            assert!(leases.iter().any(|kept| kept["address"] == address.to_string() && kept["state"] == "bound"), "{address}: {leases:?}");
        }
        let node = appliance.get(&format!("/api/v1/nodes/{}", running.machine.serial));
        assert_eq!((node["facts"]["agent"]["uptime_seconds"].as_u64(), node["reports"].as_u64()), (Some(3), Some(2)));
        assert_eq!(appliance.get("/api/v1/site")["number"], 2);
        appliance.assert_good_node_is_served();
    });
}

#[test]
fn a_service_killed_on_a_full_disk_starts_again_when_there_is_room() {
    with_small_disk(16 << 10, |disk| {
        let mut appliance = Appliance::start_as(Wishes { state: Some(disk.join("state")), ..Wishes::default() });
        let lease = appliance.inside(|| client().lease(&machine(43)).unwrap());
        fill(&disk.join("filler"));
        appliance.inside(|| drop(hasty_client().lease(&machine(44))));
        appliance.kill();
        make_room(&disk.join("filler"));
        appliance.resume();
        let leases = appliance.list("/api/v1/leases");
        assert!(leases.iter().any(|kept| kept["address"] == lease.address.to_string() && kept["state"] == "bound"), "{leases:?}");
        appliance.assert_good_node_is_served();
    });
}
