//! What a site that is applied changes, and what it leaves alone.

use crate::hall::{SECOND, apply, assert_boots, assert_unservable, first, held, network, second, site, sockets, two_networks};
use crate::support::agent::{Connection, connect};
use crate::support::answer::{Answer, read_all};
use crate::support::disk::{fill, make_room, with_small_disk};
use crate::support::machine::{client, hasty_client, is_silence, machine, power_on, script, words};
use crate::support::{Appliance, Side, WHOLE, Wishes, eventually};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use tests_sim::dhcp::Kind;

/// On the second network.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);

fn at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 88, 0, 1), port)
}

/// Fails unless nothing at all is served on the second network.
fn assert_not_served(side: &Side) {
    side.inside(|| {
        for port in [80, 8444] {
            let refused = connect(STRANGER, at(port)).expect_err("nobody listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "port {port}");
        }
        let tftp = UdpSocket::bind((STRANGER, 0)).unwrap();
        tftp.connect(at(69)).unwrap();
        tftp.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        tftp.send(&tests_sim::tftp::read_request("undionly.kpxe", "octet", &[])).unwrap();
        assert_eq!(tftp.recv(&mut [0; 600]).expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
        let answer = hasty_client().discover(&machine(70));
        assert!(is_silence(&answer), "{answer:?}");
    });
}

/// The agent of a machine on the first network, known to the inventory, that waits for orders.
fn wait_for_orders(appliance: &Appliance, number: u32) -> Connection {
    appliance.inside(|| {
        let running = power_on(number);
        assert_eq!(running.agent.report(&running.machine, 1).unwrap().status, 200);
        let mut waiting = running.agent.connect().unwrap();
        let ticket = running.agent.ticket.clone().unwrap();
        write!(waiting, "GET /orders?wait=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOverture-Ticket: {ticket}\r\n\r\n").unwrap();
        waiting.flush().unwrap();
        waiting
    })
}

/// Fails unless the agent that waited since then is told now what it is ordered.
fn assert_is_told(appliance: &Appliance, number: u32, mut waiting: Connection) {
    let order = serde_json::json!({ "order": "reboot" });
    let ordered = appliance.api("POST", &format!("/api/v1/nodes/{}/orders", machine(number).serial), Some(&order));
    assert_eq!(ordered.status, 202, "{}", ordered.text());
    let told = Answer::parse(&read_all(&mut waiting).unwrap()).expect("an answer");
    assert!(told.status == 200 && told.text().contains("reboot"), "{}", told.text());
}

#[test]
fn two_networks_are_served_at_once_each_by_its_own_rules() {
    let (appliance, side) = two_networks();
    let (here, there) = std::thread::scope(|scope| {
        let (first, second) = (appliance.side(), side.clone());
        let (here, there) = (scope.spawn(move || assert_boots(&first, WHOLE, 77)), scope.spawn(move || assert_boots(&second, SECOND, 88)));
        (here.join().unwrap(), there.join().unwrap())
    });
    assert_ne!(here.words["ticket"], there.words["ticket"]);
    for (seen, n) in [(&here, 77), (&there, 88)] {
        assert_eq!(seen.words["url"], format!("https://10.{n}.0.1:8444"));
        assert_eq!(seen.words["ca"], format!("http://10.{n}.0.1/boot/authority.pem"));
    }
    for (number, name, seen) in [(WHOLE, "provision", here), (SECOND, "second", there)] {
        let mac = machine(number).mac.to_string();
        assert!(held(&appliance).contains(&(name.into(), seen.address.to_string(), mac.clone())), "{:?}", held(&appliance));
        assert_eq!(appliance.get(&format!("/api/v1/explain/{mac}"))["boots"][0]["network"], name);
        assert_eq!(appliance.get(&format!("/api/v1/nodes/{}", machine(number).serial))["address"], seen.address.to_string());
    }
    // A machine that is carried from one network to the other is given an address there.
    let carried = machine(60);
    let before = appliance.inside(|| client().lease(&carried).unwrap());
    side.inside(|| {
        let refused = client().verify(&carried, before.address);
        assert!(crate::support::machine::is_refusal(&refused), "{refused:?}");
        assert_eq!(client().lease(&carried).unwrap().server, *at(67).ip());
    });
}

#[test]
fn a_network_is_added_and_removed_while_the_other_is_served_without_interruption() {
    let mut appliance = Appliance::start();
    let side = appliance.cable("prov1", 88, SECOND);
    let waiting = wait_for_orders(&appliance, 10);
    let before = sockets(&appliance);
    assert_not_served(&side);
    apply(&appliance, &[first(), second()]);
    assert_boots(&side, SECOND, 88);
    assert!(sockets(&appliance).is_superset(&before) && sockets(&appliance).len() == 2 * before.len());

    apply(&appliance, &[first()]);
    assert_not_served(&side);
    assert_eq!(sockets(&appliance), before);
    // At once: whoever removes a network by mistake wants it back at once.
    for _ in 0..5 {
        apply(&appliance, &[first(), second()]);
        apply(&appliance, &[first()]);
    }
    apply(&appliance, &[first(), second()]);
    assert_boots(&side, SECOND, 88);

    assert!(sockets(&appliance).is_superset(&before), "the first network was bound anew");
    assert_is_told(&appliance, 10, waiting);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_network_can_move_to_other_addresses_of_its_interface_in_two_steps() {
    let mut appliance = Appliance::start();
    appliance.servers().ip(&["address", "add", "10.99.0.1/16", "dev", "prov0"]).unwrap();
    let moved = network("provision", "prov0", 99, "");
    assert_unservable(
        &appliance.apply(&site(std::slice::from_ref(&moved))).unwrap(),
        &["prov0", "10.77.0.1", "10.99.0.1", "without this network"],
    );
    appliance.assert_good_node_is_served();
    apply(&appliance, &[]);
    apply(&appliance, &[moved]);
    let lease = appliance.inside(|| client().lease(&machine(10)).unwrap());
    assert_eq!(lease.server, Ipv4Addr::new(10, 99, 0, 1));
}

#[test]
fn pool_lease_time_and_unknown_hold_from_the_next_packet_on_and_nothing_is_bound_anew() {
    let mut appliance = Appliance::start();
    let waiting = wait_for_orders(&appliance, 10);
    let before = sockets(&appliance);
    let (old, running) = appliance.inside(|| (client().lease(&machine(20)).unwrap(), power_on(21)));

    let changed = |other: &str| apply(&appliance, &[network("provision", "prov0", 77, other)]);
    changed("pool = \"10.77.129.1-10.77.129.9\"\nlease_seconds = 90\n");
    appliance.inside(|| {
        let new = client().lease(&machine(22)).unwrap();
        assert_eq!((new.address, new.seconds), (Ipv4Addr::new(10, 77, 129, 1), 90));
        // What is no longer in the pool is not called back, and not prolonged either.
        let renewed = client().renew(&machine(20), &old);
        assert!(crate::support::machine::is_refusal(&renewed), "{renewed:?}");
        assert_eq!(client().lease(&machine(20)).unwrap().address, Ipv4Addr::new(10, 77, 129, 2));
    });
    changed("unknown = \"local_disk\"\n");
    appliance.inside(|| {
        assert!(words(&script(machine(23).mac, running.lease.address)).is_empty(), "an unknown machine is sent to its disk");
        assert_eq!(client().lease(&machine(23)).unwrap().ack.kind, Kind::Ack);
    });
    changed("unknown = \"ignore\"\n");
    appliance.inside(|| {
        let answer = hasty_client().discover(&machine(24));
        assert!(is_silence(&answer), "{answer:?}");
    });
    changed("unknown = \"discover\"\n");
    appliance.inside(|| drop(power_on(24)));

    assert_eq!(sockets(&appliance), before);
    assert_is_told(&appliance, 10, waiting);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_site_that_cannot_be_bound_changes_nothing_and_names_who_is_in_the_way() {
    let mut appliance = Appliance::start();
    let side = appliance.cable("prov1", 88, SECOND);
    let before = sockets(&appliance);
    {
        let _held = appliance.servers().enter_thread(|| TcpListener::bind(at(8444))).unwrap().unwrap();
        let holder = format!("(process {})", std::process::id());
        assert_unservable(&appliance.apply(&site(&[first(), second()])).unwrap(), &["second", "10.88.0.1:8444", &holder]);
        assert_unservable(&appliance.apply(&site(&[first(), network("third", "prov9", 66, "")])).unwrap(), &["third", "prov9", "prov1"]);
        let nowhere = network("third", "prov1", 66, "gateway = \"10.66.0.1\"\n");
        assert_unservable(&appliance.apply(&site(&[first(), nowhere])).unwrap(), &["10.66.0.0/16", "ip addr add 10.66.0.2/16 dev prov1"]);
        assert_eq!(appliance.get("/api/v1/site")["number"], 1);
    }
    assert_eq!(sockets(&appliance), before);
    assert_not_served(&side);
    appliance.assert_good_node_is_served();
    apply(&appliance, &[first(), second()]);
    assert_boots(&side, SECOND, 88);
}

#[test]
fn a_site_that_cannot_be_kept_leaves_no_port_behind() {
    with_small_disk(16 << 10, |disk| {
        let appliance = Appliance::start_as(Wishes { state: Some(disk.join("state")), ..Wishes::default() });
        let side = appliance.cable("prov1", 88, SECOND);
        let before = sockets(&appliance);
        fill(&disk.join("filler"));
        let refused = appliance.apply(&site(&[first(), second()])).unwrap();
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(sockets(&appliance), before);
        assert_not_served(&side);
        make_room(&disk.join("filler"));
        eventually("sites are accepted again", || appliance.apply(&site(&[first(), second()])).is_ok_and(|answer| answer.status == 201));
        assert_boots(&side, SECOND, 88);
    });
}
