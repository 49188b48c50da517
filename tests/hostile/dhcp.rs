//! DHCP packets that no honest client sends.

use crate::support::machine::{client, hasty_client, is_refusal, is_silence, machine, server_mac};
use crate::support::random::Random;
use crate::support::{Appliance, SERVER, STRANGER, Wishes, eventually};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tests_sim::dhcp::{Client, Datagram, Header, Kind, Packet, Reply, Speaker, fresh_xid, option};

/// The bytes of a DISCOVER with some options behind its own, and no END after them unless they bring one.
fn discover_with(number: u32, options: &[u8]) -> Vec<u8> {
    let mut bytes = Packet::request(fresh_xid(), machine(number).mac).with(option::MESSAGE_TYPE, [Kind::Discover as u8]).emit();
    assert_eq!(bytes.pop(), Some(option::END));
    bytes.extend_from_slice(options);
    bytes
}

/// Everything that is no DHCP request at all.
fn malformed(random: &mut Random) -> Vec<Vec<u8>> {
    let whole = machine(900).discover(7, 0).emit();
    let changed = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    let mut group_address = whole.clone();
    group_address[28] |= 1;
    let mut no_address = whole.clone();
    no_address[28..34].fill(0);
    let mut packets: Vec<Vec<u8>> = (0..240).map(|length| whole[..length].to_vec()).collect();
    packets.extend([changed(0, 2), changed(0, 0), changed(1, 32), changed(2, 0), changed(2, 255), group_address, no_address]);
    // The cookie damaged, or missing: BOOTP.
    packets.extend([changed(236, 0), changed(239, 0)]);
    // No message type, a server's, one of no length, one of two bytes, one past the end.
    for kind in [&[53, 1, 2][..], &[53, 1, 5], &[53, 0], &[53, 2, 1, 1], &[53, 200, 1], &[53], &[0; 60], &[255, 53, 1, 1]] {
        let mut bytes = whole[..240].to_vec();
        bytes.extend_from_slice(kind);
        packets.push(bytes);
    }
    for _ in 0..600 {
        let length = random.below(1400) as usize;
        packets.push(random.bytes(length));
    }
    packets
}

/// Requests with odd options behind a sound beginning: to be answered without them, or not at all.
fn odd(random: &mut Random) -> Vec<Vec<u8>> {
    let past_the_end = [&[12, 255, b'x'][..], &[50, 200, 10], &[61], &[97, 17, 0], &[82, 255, 1, 4], &[175, 40, 177]];
    let odd_lengths =
        [&[50, 0, 255][..], &[50, 3, 1, 2, 3, 255], &[54, 0, 255], &[57, 1, 1, 255], &[93, 1, 7, 255], &[93, 0, 255], &[97, 1, 0, 255]];
    let loops = [&[119, 4, 3, b'a', b'b', b'c', 255][..], &[119, 2, 0xc0, 0, 255], &[81, 5, 0, 0, 0, 0xc0, 3, 255]];
    let mut packets: Vec<Vec<u8>> = past_the_end
        .iter()
        .chain(&odd_lengths)
        .chain(&loops)
        .enumerate()
        .map(|(i, options)| discover_with(910 + i as u32, options))
        .collect();
    // Overload that names fields which overload again, in every combination (RFC 2132, 9.3).
    for bits in 0..=5 {
        let mut bytes = discover_with(930, &[52, 1, bits, 255]);
        bytes[44..50].copy_from_slice(&[52, 1, 3, 52, 1, 3]);
        bytes[108..114].copy_from_slice(&[52, 1, 3, 12, 255, 1]);
        packets.push(bytes);
    }
    // One option in hundreds of pieces.
    packets.push(discover_with(931, &[[12, 2, b'a', b'b'].repeat(300), vec![255]].concat()));
    // A sound packet with random damage behind its MAC address.
    for _ in 0..300 {
        let mut bytes = machine(932).discover(fresh_xid(), 0).emit();
        for _ in 0..1 + random.below(12) {
            let at = 44 + random.below(bytes.len() as u64 - 44) as usize;
            bytes[at] = random.below(256) as u8;
        }
        packets.push(bytes);
    }
    packets
}

fn send_all(client: &mut Client, packets: &[Vec<u8>]) {
    for packet in packets {
        client.send_bytes(machine(901).mac, Ipv4Addr::UNSPECIFIED, packet).unwrap();
    }
}

/// What was heard until nothing more comes for a while.
fn heard(client: &mut Client) -> Vec<Vec<u8>> {
    let mut all = vec![];
    while let Some(heard) = client.hear(Instant::now() + Duration::from_millis(300)).unwrap() {
        all.push(heard.bytes);
    }
    all
}

#[test]
fn malformed_packets_are_counted_get_no_answer_and_harm_nobody() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let mut random = Random::seeded(1);
    let packets = malformed(&mut random);
    let answers = appliance.inside(|| {
        let mut client = client();
        send_all(&mut client, &packets);
        heard(&mut client)
    });
    assert_eq!(answers.len(), 0, "something was answered to a packet that is no request");
    eventually("all malformed packets were counted", || {
        appliance.metrics().dhcp("malformed") - before.dhcp("malformed") == packets.len() as u64
    });
    assert!(appliance.log().lines().count() < 30, "hostile packets flood the log:\n{}", appliance.log());
    appliance.assert_good_node_is_served();
}

#[test]
fn odd_options_are_ignored_and_answers_stay_well_formed() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let mut random = Random::seeded(2);
    let packets = odd(&mut random);
    let answers = appliance.inside(|| {
        let mut client = client();
        packets
            .chunks(20)
            .flat_map(|some| {
                send_all(&mut client, some);
                heard(&mut client)
            })
            .collect::<Vec<_>>()
    });
    assert!(answers.len() > 20, "requests with an odd option beside good ones are answered: {}", answers.len());
    for answer in &answers {
        // What the client may have asked for in its damaged flags is not judged here.
        Reply::parse(answer).unwrap_or_else(|error| panic!("an ill-formed answer ({error}): {answer:02x?}"));
    }
    eventually("all packets were read", || appliance.metrics().dhcp("received") - before.dhcp("received") >= packets.len() as u64);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_hostile_host_name_reaches_neither_log_nor_list_unescaped() {
    let mut appliance = Appliance::start();
    let name = b"%s%n\x1b[2J\r\n${shell}\xff\xfe<script>";
    let address = appliance.inside(|| {
        let (machine, mut client) = (machine(940), client());
        let offer = client.discover(&machine).unwrap();
        let request = machine.request(fresh_xid(), 0, offer.yiaddr, SERVER).with(12, &name[..]);
        client.send(&request).unwrap();
        offer.yiaddr
    });
    let named = |appliance: &Appliance| {
        let leases = appliance.list("/api/v1/leases");
        let held = leases.iter().find(|lease| lease["address"] == address.to_string()).cloned();
        held.and_then(|lease| lease["host_name"].as_str().map(str::to_owned))
    };
    eventually("the lease is kept with its name", || named(&appliance).is_some());
    let name = named(&appliance).unwrap();
    assert!(!name.contains(char::is_control), "{name:?}");
    for arguments in [&["leases"][..], &["explain", &machine(940).mac.to_string()]] {
        let shown = appliance.cli(arguments);
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        assert!(!shown.stdout.iter().any(|byte| byte.is_ascii_control() && *byte != b'\n'), "{}", String::from_utf8_lossy(&shown.stdout));
    }
    assert!(!appliance.log_bytes().contains(&0x1b), "{}", appliance.log());
    appliance.assert_good_node_is_served();
}

#[test]
fn a_relay_address_that_no_relay_can_have_gets_no_answer() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let hostile = [
        "127.0.0.1",
        "127.255.255.255",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "0.0.0.1",
        "240.0.0.1",
        "10.77.0.1",
        "10.77.0.0",
        "10.77.255.255",
    ];
    let unknown = ["192.0.2.1", "8.8.8.8"];
    let answers = appliance.inside(|| {
        let mut client = client();
        for giaddr in hostile.iter().chain(&unknown) {
            let packet = Packet { giaddr: giaddr.parse().unwrap(), ..machine(950).discover(fresh_xid(), 0) };
            client.send(&packet).unwrap();
        }
        heard(&mut client)
    });
    assert_eq!(answers.len(), 0);
    eventually("each hostile relay was counted", || {
        appliance.metrics().dhcp("hostile_relay") - before.dhcp("hostile_relay") == hostile.len() as u64
    });
    assert_eq!(appliance.metrics().dhcp("no_network") - before.dhcp("no_network"), unknown.len() as u64);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_renewal_from_a_network_that_does_not_exist_here_is_refused_or_ignored() {
    let mut appliance = Appliance::start();
    let received = appliance.metrics().dhcp("received");
    let nowhere = Ipv4Addr::new(192, 0, 2, 77);
    let answers = appliance.inside(|| {
        let mut client = client();
        for packet in [
            machine(951).renew(fresh_xid(), nowhere),
            machine(952).inform(fresh_xid(), nowhere),
            machine(953).release(fresh_xid(), nowhere, SERVER),
        ] {
            let payload = packet.emit();
            // By unicast, as a machine sends it that moved here from elsewhere.
            let (from, to) = (SocketAddrV4::new(nowhere, 68), SocketAddrV4::new(SERVER, 67));
            let datagram = Datagram { from_mac: packet.mac, to_mac: server_mac(), from, to, header: Header::default(), payload: &payload };
            client.send_datagram(&datagram).unwrap();
        }
        heard(&mut client)
    });
    let kinds: Vec<_> = answers.iter().map(|answer| Reply::parse(answer).unwrap().kind).collect();
    assert!(kinds.iter().all(|kind| *kind == Kind::Nak) && kinds.len() <= 1, "{kinds:?}");
    eventually("all three were read", || appliance.metrics().dhcp("received") - received == 3);
    appliance.assert_good_node_is_served();
}

#[test]
fn nobody_takes_gives_back_or_declines_what_is_anothers() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let (owner, thief) = (machine(960), machine(961).running(Speaker::System));
        let (mut client, mut hasty) = (client(), hasty_client());
        let lease = client.lease(&owner).unwrap();
        // Given back and declined in the thief's name, twice, from both addresses that it might claim.
        for _ in 0..2 {
            client.release(&thief, lease.address, SERVER).unwrap();
            client.decline(&thief, lease.address, SERVER).unwrap();
        }
        assert!(is_refusal(&hasty.request(&thief, lease.address, SERVER)), "the address of another is refused");
        assert!(is_refusal(&hasty.verify(&thief, lease.address)), "the address of another is refused after a restart too");
        assert!(is_refusal(&hasty.request(&thief, SERVER, SERVER)), "the server's own address is refused");
        assert!(is_refusal(&hasty.verify(&thief, SERVER)), "the server's own address is refused after a restart too");
        for address in [Ipv4Addr::new(10, 77, 0, 0), Ipv4Addr::new(10, 77, 255, 255), Ipv4Addr::new(192, 0, 2, 9), STRANGER] {
            let answer = hasty.request(&thief, address, SERVER);
            assert!(answer.is_err(), "{address} was given: {answer:?}");
        }
        let another = Ipv4Addr::new(10, 77, 0, 9);
        assert!(is_silence(&hasty.request(&thief, lease.address, another)), "what another server is asked is not answered");
        client.release(&owner, lease.address, another).unwrap();
        client.decline(&owner, lease.address, another).unwrap();
        // The owner goes on as if nothing had been.
        let renewed = client.renew(&owner, &lease).unwrap();
        assert_eq!((renewed.kind, renewed.yiaddr), (Kind::Ack, lease.address));
        assert_ne!(client.lease(&thief).unwrap().address, lease.address);
    });
    appliance.assert_counted(&before, "dhcp_events", &["refused", "not_for_us"]);
    let now = appliance.metrics();
    assert_eq!((now.dhcp("released"), now.dhcp("declined")), (0, 0));
    appliance.assert_good_node_is_served();
}

#[test]
fn a_pool_that_is_leased_away_gives_no_address_twice_and_renewals_go_on() {
    let mut appliance = Appliance::start_as(Wishes { pool: "10.77.128.1-10.77.128.8", ..Wishes::default() });
    appliance.inside(|| {
        let mut client = client();
        // The good machine first: it will hold its lease.
        let good = client.lease(&machine(crate::support::WHOLE)).unwrap();
        let mut given = vec![good.address];
        given.extend((0..7).map(|i| client.lease(&machine(970 + i)).unwrap().address));
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 8, "an address was given twice: {given:?}");
        let mut hasty = hasty_client();
        for number in 980..990 {
            assert!(is_silence(&hasty.discover(&machine(number))));
        }
        for number in 970..977 {
            let lease = client.lease(&machine(number)).unwrap();
            assert!(given.contains(&lease.address));
            assert_eq!(client.renew(&machine(number), &lease).unwrap().kind, Kind::Ack);
        }
        // Whoever gives an address back makes room for one.
        let freed = client.lease(&machine(970)).unwrap();
        client.release(&machine(970), freed.address, SERVER).unwrap();
        assert_eq!(client.lease(&machine(980)).unwrap().address, freed.address);
    });
    assert!(appliance.metrics().dhcp("pool_exhausted") >= 10);
    let explained = appliance.get(&format!("/api/v1/explain/{}", machine(985).mac)).to_string();
    assert!(explained.contains("widen `pool`"), "explain says what to do: {explained}");
    appliance.assert_good_node_is_served();
}

#[test]
fn ipxe_is_never_sent_to_load_ipxe_again() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let ipxe = machine(990).running(Speaker::Ipxe);
        let mut client = client();
        let whole = client.lease(&ipxe).unwrap();
        assert_eq!(whole.boot_file.as_deref(), Some("http://10.77.0.1/boot.ipxe"));
        for hidden in [option::USER_CLASS, option::IPXE] {
            let mut packet = ipxe.discover(fresh_xid(), 0);
            packet.options.retain(|(code, _)| *code != hidden);
            client.send(&packet).unwrap();
            let answer = loop {
                let heard = client.hear(Instant::now() + Duration::from_secs(10)).unwrap().expect("an offer");
                let reply = Reply::parse(&heard.bytes).unwrap();
                if reply.xid == packet.xid {
                    break reply;
                }
            };
            assert_eq!(answer.boot_file().as_deref(), Some("http://10.77.0.1/boot.ipxe"), "without option {hidden}");
        }
    });
}
