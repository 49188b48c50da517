//! More of everything than there is room for.

use crate::support::agent::connect;
use crate::support::machine::{client, get, machine, power_on};
use crate::support::random::Random;
use crate::support::waiting::eventually_within;
use crate::support::{Appliance, STRANGER, WHOLE, Wishes, at, eventually, is_long};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};
use tests_sim::Mac;
use tests_sim::dhcp::{Kind, Machine};

/// DISCOVERs in the flood.
const FLOOD: usize = 20_000;

#[test]
fn a_flood_of_discovers_leaves_known_machines_served_and_memory_bounded() {
    let mut appliance = Appliance::start_as(Wishes { pool: "10.77.128.1-10.77.191.254", ..Wishes::default() });
    appliance.assert_good_node_is_served();
    let before = appliance.metrics();
    let had = appliance.watch_memory();
    let mut random = Random::seeded(3);
    let renewed_in = appliance.inside(|| {
        let mut card = client();
        let known = machine(700);
        let lease = card.lease(&known).unwrap();
        let mut slowest = Duration::ZERO;
        for sent in 0..FLOOD {
            let mut mac = [0; 6];
            mac.copy_from_slice(&random.bytes(6));
            mac[0] = (mac[0] & 0xfc) | 2;
            let stranger = Machine { mac: Mac(mac), ..machine(701) };
            card.send(&stranger.discover(random.number() as u32, 0)).unwrap();
            if sent % 4000 == 3999 {
                let began = Instant::now();
                let ack = client().renew(&known, &lease).expect("a known machine renews in the middle of a flood");
                assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
                assert_eq!(client().lease(&known).expect("a known machine restarts in the middle of a flood").address, lease.address);
                slowest = slowest.max(began.elapsed());
            }
        }
        slowest
    });
    assert!(renewed_in < Duration::from_secs(10), "{renewed_in:?}");
    eventually("the flood was read", || {
        let now = appliance.metrics();
        now.dhcp("too_many_offers") > before.dhcp("too_many_offers")
    });
    let grown = appliance.memory_peak().saturating_sub(had);
    assert!(grown < 32 << 20, "{FLOOD} DISCOVERs made the service grow by {grown} bytes");
    assert!(appliance.log().lines().count() < 100, "the flood is in the log:\n{}", appliance.log());
    // Reports and boots of machines that hold a lease go on at once; strangers when the offers have lapsed.
    appliance.assert_good_node_is_served();
    if is_long() {
        let served = || appliance.inside(|| client().lease(&machine(702)).is_ok());
        eventually_within(Duration::from_secs(120), "a new machine gets an address after the flood", &mut { served });
    }
}

/// Connections that have begun to say something and will send a byte of it now and then.
fn slow_senders(many: usize, port: u16, beginning: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect(STRANGER, at(port)).ok()?;
        stream.write_all(beginning).ok()?;
        Some(stream)
    };
    (0..many).filter_map(open).collect()
}

fn trickle(streams: &mut Vec<TcpStream>) {
    streams.retain_mut(|stream| stream.write_all(b"a").is_ok());
}

#[test]
fn slow_senders_keep_nobody_from_being_served() {
    let mut appliance = Appliance::start();
    appliance.assert_good_node_is_served();
    let before = appliance.metrics();
    let had = appliance.watch_memory();
    appliance.inside(|| {
        let mut streams = slow_senders(1100, 80, b"GET /boot.ipxe HTTP/1.1\r\nX-");
        // A ClientHello of 512 bytes begins (RFC 8446, 5.1).
        streams.extend(slow_senders(1100, 8444, &[0x16, 3, 1, 2, 0, 1]));
        for _ in 0..3 {
            trickle(&mut streams);
            let began = Instant::now();
            assert_eq!(get(Ipv4Addr::new(10, 77, 128, 77), "/boot.ipxe").status, 200);
            let running = power_on(710);
            assert_eq!(running.agent.report(&running.machine, 1).unwrap().status, 200);
            assert!(began.elapsed() < Duration::from_secs(5), "an honest machine waited {:?}", began.elapsed());
        }
    });
    let grown = appliance.memory_peak().saturating_sub(had);
    assert!(grown < 32 << 20, "slow senders made the service grow by {grown} bytes");
    for listener in ["boot_http_connections", "agent_connections"] {
        appliance.assert_counted(&before, listener, &["too_many_of_address"]);
    }
    appliance.assert_good_node_is_served();
}

#[test]
fn with_few_descriptors_it_sheds_load_and_lives() {
    let mut appliance = Appliance::start_as(Wishes { descriptors: Some(64), ..Wishes::default() });
    appliance.assert_good_node_is_served();
    appliance.inside(|| {
        let mut card = client();
        let known = machine(730);
        let lease = card.lease(&known).unwrap();
        // From four addresses, so that the bound of one does not help.
        let open = |i: u8| connect(Ipv4Addr::new(10, 77, 129, i % 4 + 1), at(if i.is_multiple_of(2) { 80 } else { 8444 })).ok();
        let streams: Vec<_> = (0..100).filter_map(open).collect();
        let ack = card.renew(&known, &lease).expect("a known machine renews though no connection can be accepted");
        assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
        card.lease(&machine(731)).expect("a new machine gets an address though no connection can be accepted");
        drop(streams);
    });
    appliance.assert_good_node_is_served();
}

#[test]
fn a_report_that_trickles_is_ended_and_its_sender_told() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let running = power_on(720);
        let ticket = running.agent.ticket.clone().unwrap();
        let mut connection = running.agent.connect().unwrap();
        write!(connection, "POST /report HTTP/1.1\r\nHost: x\r\nOverture-Ticket: {ticket}\r\nContent-Length: 1000\r\n\r\n{{").unwrap();
        connection.flush().unwrap();
        let began = Instant::now();
        let answer = crate::support::answer::read_all(&mut connection).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    });
    appliance.assert_counted(&before, "inventory_events", &["refused_too_slow"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn connections_that_are_reset_at_once_leave_nothing_behind() {
    let mut appliance = Appliance::start();
    let descriptors = |appliance: &Appliance| std::fs::read_dir(format!("/proc/{}/fd", appliance.pid())).unwrap().count();
    appliance.assert_good_node_is_served();
    let before = descriptors(&appliance);
    appliance.inside(|| {
        for port in [80, 8444] {
            for _ in 0..500 {
                let stream = connect(STRANGER, at(port)).unwrap();
                // Closing with a linger time of zero resets.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    });
    eventually("every connection was forgotten", || descriptors(&appliance) <= before + 8);
    assert_eq!(machine(WHOLE).mac, Mac::numbered(WHOLE));
    appliance.assert_good_node_is_served();
}
