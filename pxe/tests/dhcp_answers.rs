//! What is answered to whom: tables over the decision, and whole answers to recorded requests.
#![allow(clippy::unwrap_used)]

mod dhcp_support;

use dhcp_support::{DECLINE, DISCOVER, INFORM, Nobody, Packet, RELEASE, REQUEST, at, capture, declared, ip, mac, site};
use dhcproto::v4::{Decodable, Decoder, Message, MessageType};
use domain::lease::{LeaseState, LeaseTable};
use domain::site::{Site, Unknown};
use domain::{MacAddr, Timestamp};
use pxe::dhcp::answer::{Answer, Counted, Here, Outcome, answer};
use pxe::dhcp::packet::{Reply, Request, code};
use std::net::Ipv4Addr;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn decide(packet: &[u8], site: &Site, table: &mut LeaseTable, now: Timestamp) -> Answer {
    let request = Request::parse(packet).unwrap();
    match Here::find(&request, site, "br0", &[OWN], &Nobody, 80) {
        Ok(here) => answer(&request, &here, table, now),
        Err(counted) => Answer::Now(Outcome::silence(counted, vec![])),
    }
}

fn at_once(answer: Answer) -> Outcome {
    match answer {
        Answer::Now(outcome) => outcome,
        Answer::Keep(_) => panic!("nothing was to be kept: {answer:?}"),
    }
}

/// As the server does it with a store that works.
fn serve(packet: &[u8], site: &Site, table: &mut LeaseTable, now: Timestamp) -> Outcome {
    match decide(packet, site, table, now) {
        Answer::Now(outcome) => outcome,
        Answer::Keep(promise) => {
            table.granted(promise.lease);
            promise.kept
        }
    }
}

/// As the server does it with a store that refuses.
fn serve_without_disk(packet: &[u8], site: &Site, table: &mut LeaseTable, now: Timestamp) -> Outcome {
    match decide(packet, site, table, now) {
        Answer::Now(outcome) => outcome,
        Answer::Keep(promise) => promise.not_kept,
    }
}

fn select(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    Packet::new(REQUEST, mac).address(50, address).address(54, OWN).bytes()
}

fn renew(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    Packet::new(REQUEST, mac).ciaddr(address).bytes()
}

fn lease(site: &Site, table: &mut LeaseTable, mac: MacAddr, now: Timestamp) -> Ipv4Addr {
    let offered = serve(&Packet::new(DISCOVER, mac).bytes(), site, table, now).reply.unwrap().yiaddr;
    assert_eq!(serve(&select(mac, offered), site, table, now).counted, Counted::Acknowledged);
    offered
}

/// An answer's bytes, for people.
fn shown(reply: &Reply) -> String {
    let bytes = reply.emit(1444);
    let read = Reply::parse(&bytes).unwrap();
    let judged = Message::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!((judged.opts().msg_type(), judged.yiaddr(), judged.siaddr()), (Some(reply.kind), reply.yiaddr, reply.siaddr));
    let mut lines = vec![format!(
        "{:?} xid={:x} flags={:x} ciaddr={} yiaddr={} siaddr={} giaddr={} file={}",
        read.kind, read.xid, read.flags, read.ciaddr, read.yiaddr, read.siaddr, read.giaddr, read.file
    )];
    lines.extend(read.options.iter().map(|(code, value)| {
        let is_text = value.len() > 4 && value.iter().all(|b| b.is_ascii_graphic() || *b == 0);
        match <[u8; 4]>::try_from(value.as_slice()) {
            Ok(bytes) if matches!(*code, 51 | 58 | 59) => format!("{code} {}", u32::from_be_bytes(bytes)),
            Ok(bytes) if *code != code::VENDOR_OPTIONS => format!("{code} {}", Ipv4Addr::from(bytes)),
            _ if is_text => format!("{code} {}", String::from_utf8_lossy(value).replace('\0', "\\0")),
            _ => format!("{code} {}", value.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        }
    }));
    lines.join("\n")
}

/// Offers to the first packets of a capture, by who spoke.
fn offer_to(name: &str, nth_discover: usize) -> String {
    let discovers: Vec<_> =
        capture(name).into_iter().filter(|p| p.to_server && Request::parse(&p.payload).unwrap().kind == MessageType::Discover).collect();
    let mut site = site("br0");
    site.nodes.push(declared("node-1", mac(1)));
    shown(&serve(&discovers[nth_discover].payload, &site, &mut LeaseTable::default(), at(0)).reply.unwrap())
}

#[test]
fn bios_firmware_is_offered_ipxe_by_tftp() {
    assert_eq!(
        offer_to("plain-rom-bios.pcap", 0),
        "Offer xid=ee62d552 flags=0 ciaddr=0.0.0.0 yiaddr=10.77.0.100 siaddr=10.77.0.1 giaddr=0.0.0.0 file=undionly.kpxe\n\
         54 10.77.0.1\n51 3600\n58 1800\n59 3150\n1 255.255.255.0\n3 10.77.0.254\n67 undionly.kpxe\\0\n66 10.77.0.1\n\
         60 PXEClient\n43 060108ff\n6 0a4d00010a4d0002\n97 0077000000000000408000000000000002\n15 hall1.example\n\
         42 10.77.0.3\n28 10.77.0.255\n61 01525400770002"
    );
}

#[test]
fn uefi_firmware_is_offered_ipxe_by_tftp() {
    assert_eq!(
        offer_to("ovmf-pxe.pcap", 0),
        "Offer xid=6d347bb3 flags=8000 ciaddr=0.0.0.0 yiaddr=10.77.0.100 siaddr=10.77.0.1 giaddr=0.0.0.0 file=snponly.efi\n\
         54 10.77.0.1\n51 3600\n58 1800\n59 3150\n1 255.255.255.0\n3 10.77.0.254\n67 snponly.efi\\0\n66 10.77.0.1\n\
         60 PXEClient\n43 060108ff\n6 0a4d00010a4d0002\n97 0077000000000000408000000000000003\n15 hall1.example\n\
         42 10.77.0.3\n28 10.77.0.255"
    );
}

#[test]
fn uefi_http_boot_is_offered_a_url() {
    assert_eq!(
        offer_to("ovmf-http.pcap", 0),
        "Offer xid=89996283 flags=8000 ciaddr=0.0.0.0 yiaddr=10.77.0.100 siaddr=10.77.0.1 giaddr=0.0.0.0 file=http://10.77.0.1/boot/snponly.efi\n\
         54 10.77.0.1\n51 3600\n58 1800\n59 3150\n1 255.255.255.0\n3 10.77.0.254\n67 http://10.77.0.1/boot/snponly.efi\\0\n\
         60 HTTPClient\n6 0a4d00010a4d0002\n97 0077000000000000408000000000000004\n15 hall1.example\n42 10.77.0.3\n28 10.77.0.255"
    );
}

#[test]
fn ipxe_is_offered_the_script_and_told_not_to_wait_for_a_proxy() {
    assert_eq!(
        offer_to("ipxe-bios.pcap", 0),
        "Offer xid=df65ce1d flags=0 ciaddr=0.0.0.0 yiaddr=10.77.0.100 siaddr=10.77.0.1 giaddr=0.0.0.0 file=http://10.77.0.1/boot.ipxe\n\
         54 10.77.0.1\n51 3600\n58 1800\n59 3150\n1 255.255.255.0\n3 10.77.0.254\n67 http://10.77.0.1/boot.ipxe\n175 b00101\n\
         6 0a4d00010a4d0002\n97 0077000000000000408000000000000001\n15 hall1.example\n42 10.77.0.3\n28 10.77.0.255\n12 node-1\n61 01525400770001"
    );
}

#[test]
fn a_system_and_an_unserved_architecture_are_offered_an_address_only() {
    assert_eq!(
        offer_to("ipxe-bios.pcap", 1),
        "Offer xid=cd71273f flags=0 ciaddr=0.0.0.0 yiaddr=10.77.0.100 siaddr=0.0.0.0 giaddr=0.0.0.0 file=\n\
         54 10.77.0.1\n51 3600\n58 1800\n59 3150\n1 255.255.255.0\n3 10.77.0.254\n6 0a4d00010a4d0002\n15 hall1.example\n\
         42 10.77.0.3\n28 10.77.0.255\n12 node-1\n61 01525400770001"
    );
    let arm = offer_to("ovmf-arm64-pxe.pcap", 0);
    assert!(arm.contains("siaddr=0.0.0.0") && !arm.contains("\n67 ") && !arm.contains("\n60 "), "{arm}");
}

#[test]
fn boot_http_on_another_port_stands_in_the_url() {
    let discover = Packet::new(DISCOVER, mac(1)).option(77, "iPXE").bytes();
    let (request, site) = (Request::parse(&discover).unwrap(), site("br0"));
    let here = Here::find(&request, &site, "br0", &[OWN], &Nobody, 8080).unwrap();
    let reply = at_once(answer(&request, &here, &mut LeaseTable::default(), at(0))).reply.unwrap();
    assert_eq!(reply.file, "http://10.77.0.1:8080/boot.ipxe");
}

#[test]
fn what_was_asked_and_offered_is_told_in_sentences_with_rules() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let ipxe = |packet: Packet| packet.option(77, "iPXE").option(93, [0, 0]).bytes();
    let told = |outcome: Outcome| -> Vec<String> {
        outcome.notes.iter().map(|note| format!("{}: {} [{}]", note.event, note.message, note.rule.as_deref().unwrap_or("-"))).collect()
    };
    assert_eq!(
        told(serve(&ipxe(Packet::new(DISCOVER, mac(1))), &site, &mut table, at(0))),
        [
            "discover: asked for an address as iPXE, architecture BIOS (0) [its user class (option 77) is iPXE]",
            "offer: was offered 10.77.0.100, and the script http://10.77.0.1/boot.ipxe [the lowest address of the pool that nobody had; \
             iPXE gets the script, never another boot programme: that would loop]"
        ]
    );
    assert_eq!(
        told(serve(&ipxe(Packet::new(REQUEST, mac(1)).address(50, ip(100)).address(54, OWN)), &site, &mut table, at(1))),
        [
            "request: asked for 10.77.0.100 as iPXE, architecture BIOS (0) [its user class (option 77) is iPXE]",
            "ack: was given 10.77.0.100 for 3600 seconds, and the script http://10.77.0.1/boot.ipxe \
             [iPXE gets the script, never another boot programme: that would loop]"
        ]
    );
    assert_eq!(told(serve(&renew(mac(1), ip(100)), &site, &mut table, at(2))), Vec::<String>::new(), "renewals are not a boot's steps");
    assert_eq!(
        told(serve(&select(mac(2), ip(100)), &site, &mut table, at(3))),
        ["nak: asked for 10.77.0.100 as a running system and was refused (NAK) [10.77.0.100 is not free for this machine]"]
    );
}

#[test]
fn a_request_is_answered_by_its_state() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let held = lease(&site, &mut table, mac(1), at(0));
    let other = lease(&site, &mut table, mac(2), at(0));
    let offered = serve(&Packet::new(DISCOVER, mac(3)).bytes(), &site, &mut table, at(0)).reply.unwrap().yiaddr;
    let request = |last: u8| Packet::new(REQUEST, mac(last));
    use Counted::{Acknowledged, NotForUs, Refused};
    let cases: [(&str, Packet, Counted); 13] = [
        ("selecting our offer", request(3).address(50, offered).address(54, OWN), Acknowledged),
        ("selecting another server's offer", request(1).address(50, held).address(54, ip(9)), NotForUs),
        ("selecting what was offered before a restart", request(4).address(50, ip(150)).address(54, OWN), Acknowledged),
        ("selecting what was offered to another", request(5).address(50, other).address(54, OWN), Refused),
        ("asking for its address after a restart", request(1).address(50, held), Acknowledged),
        ("asking for an address of another network", request(1).address(50, Ipv4Addr::new(192, 168, 0, 4)), Refused),
        ("asking for somebody else's", request(1).address(50, other), Refused),
        ("asking for ours", request(4).address(50, OWN), Refused),
        ("renewing", request(1).ciaddr(held), Acknowledged),
        ("renewing with our identifier", request(1).ciaddr(held).address(54, OWN), Acknowledged),
        ("renewing somebody else's", request(2).ciaddr(held), Refused),
        ("renewing from an unknown subnet", request(1).ciaddr(Ipv4Addr::new(172, 16, 0, 9)), Refused),
        ("asking for nothing", request(1), NotForUs),
    ];
    for (what, packet, expected) in cases {
        assert_eq!(serve(&packet.bytes(), &site, &mut table, at(10)).counted, expected, "{what}");
    }
}

#[test]
fn a_renewal_is_answered_at_its_address_and_a_refusal_is_not() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let held = lease(&site, &mut table, mac(1), at(0));
    let ack = serve(&renew(mac(1), held), &site, &mut table, at(10)).reply.unwrap();
    assert_eq!((ack.kind, ack.ciaddr, ack.yiaddr), (MessageType::Ack, held, held));
    let nak = serve(&renew(mac(2), held), &site, &mut table, at(10)).reply.unwrap();
    assert_eq!((nak.kind, nak.ciaddr, nak.yiaddr, nak.flags), (MessageType::Nak, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, 0));
    assert_eq!(nak.option(code::SERVER_ID), Some(&OWN.octets()[..]));
    assert_eq!(nak.option(code::LEASE_TIME), None);
}

#[test]
fn without_the_disk_only_what_is_on_it_is_promised() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let held = lease(&site, &mut table, mac(1), at(0));
    let seconds = |outcome: &Outcome| {
        outcome.reply.as_ref().map(|reply| u32::from_be_bytes(reply.option(code::LEASE_TIME).unwrap().try_into().unwrap()))
    };
    let offered = serve(&Packet::new(DISCOVER, mac(2)).bytes(), &site, &mut table, at(3000)).reply.unwrap().yiaddr;
    let cases = [
        ("a new machine", select(mac(2), offered), 3000, None, Counted::StoreUnavailable),
        ("a renewal", renew(mac(1), held), 3000, Some(600), Counted::AcknowledgedFromDisk),
        ("a reboot", select(mac(1), held), 3000, Some(600), Counted::AcknowledgedFromDisk),
        ("a minute is left", renew(mac(1), held), 3540, Some(60), Counted::AcknowledgedFromDisk),
        ("less than a minute is left", renew(mac(1), held), 3541, None, Counted::StoreUnavailable),
        ("nothing is left", renew(mac(1), held), 3700, None, Counted::StoreUnavailable),
    ];
    for (what, packet, now, promised, counted) in cases {
        let outcome = serve_without_disk(&packet, &site, &mut table, at(now));
        assert_eq!((seconds(&outcome), outcome.counted), (promised, counted), "{what}");
    }
}

#[test]
fn only_the_holder_gives_back_or_declines() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let held = lease(&site, &mut table, mac(1), at(0));
    let release = |who, address| Packet::new(RELEASE, who).ciaddr(address).address(54, OWN);
    let decline = |who, address| Packet::new(DECLINE, who).address(50, address).address(54, OWN);
    for (what, packet) in [
        ("another's lease", release(mac(2), held)),
        ("an address it does not hold", release(mac(1), ip(150))),
        ("to another server", Packet::new(RELEASE, mac(1)).ciaddr(held).address(54, ip(9))),
        ("declining another's", decline(mac(2), held)),
        ("declining to another server", Packet::new(DECLINE, mac(1)).address(50, held).address(54, ip(9))),
        ("declining nothing", Packet::new(DECLINE, mac(1))),
    ] {
        let outcome = at_once(decide(&packet.bytes(), &site, &mut table, at(1)));
        assert_eq!((outcome.counted, outcome.reply), (Counted::NotForUs, None), "{what}");
    }
    for (packet, state, counted) in
        [(release(mac(1), held), LeaseState::Released, Counted::Released), (decline(mac(1), held), LeaseState::Declined, Counted::Declined)]
    {
        let Answer::Keep(promise) = decide(&packet.bytes(), &site, &mut table, at(1)) else { panic!("to be kept") };
        assert_eq!((promise.lease.state, promise.lease.address, promise.kept.counted), (state, held, counted));
        assert_eq!((promise.kept.reply, promise.not_kept.reply), (None, None));
    }
}

#[test]
fn settings_are_told_without_a_lease() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let inform = |address| Packet::new(INFORM, mac(1)).ciaddr(address).option(60, "PXEClient").option(93, [0, 0]).bytes();
    let reply = at_once(decide(&inform(ip(50)), &site, &mut table, at(0))).reply.unwrap();
    assert_eq!(
        shown(&reply),
        "Ack xid=12345678 flags=0 ciaddr=10.77.0.50 yiaddr=0.0.0.0 siaddr=0.0.0.0 giaddr=0.0.0.0 file=\n54 10.77.0.1\n\
         1 255.255.255.0\n3 10.77.0.254\n6 0a4d00010a4d0002\n15 hall1.example\n42 10.77.0.3\n28 10.77.0.255"
    );
    for nobody in [Ipv4Addr::UNSPECIFIED, OWN, ip(0), ip(255), Ipv4Addr::new(8, 8, 8, 8)] {
        assert_eq!(at_once(decide(&inform(nobody), &site, &mut table, at(0))).reply, None, "{nobody}");
    }
    assert_eq!(table.all().count(), 0);
}

#[test]
fn who_the_site_ignores_gets_nothing_and_the_rule_is_told() {
    let mut site = site("br0");
    site.networks.get_mut("n").unwrap().unknown = Unknown::Ignore;
    site.nodes.push(declared("w1", mac(1)));
    let mut table = LeaseTable::default();
    lease(&site, &mut table, mac(1), at(0));
    let outcome = at_once(decide(&Packet::new(DISCOVER, mac(2)).bytes(), &site, &mut table, at(0)));
    assert_eq!((outcome.counted, outcome.reply.is_none()), (Counted::IgnoredBySite, true));
    assert_eq!(outcome.rule(), Some("the site does not declare this machine, and the network says unknown = \"ignore\""));
    for packet in [Packet::new(REQUEST, mac(2)).address(50, ip(150)), Packet::new(INFORM, mac(2)).ciaddr(ip(150))] {
        assert_eq!(at_once(decide(&packet.bytes(), &site, &mut table, at(0))).counted, Counted::IgnoredBySite);
    }
}

#[test]
fn an_exhausted_pool_serves_its_holders_and_says_what_to_do() {
    let mut site = site("br0");
    site.networks.get_mut("n").unwrap().pool = "10.77.0.100-10.77.0.100".parse().unwrap();
    let mut table = LeaseTable::default();
    let held = lease(&site, &mut table, mac(1), at(0));
    let outcome = at_once(decide(&Packet::new(DISCOVER, mac(2)).bytes(), &site, &mut table, at(1)));
    assert_eq!(outcome.counted, Counted::PoolExhausted);
    assert_eq!(
        outcome.rule(),
        Some("all 1 addresses of the pool 10.77.0.100-10.77.0.100 are held: widen `pool`, or shorten `lease_seconds`, of network `n`")
    );
    assert_eq!(lease(&site, &mut table, mac(1), at(2)), held);
}

#[test]
fn a_flood_of_discovers_leaves_nothing_to_tell_and_known_machines_are_served() {
    let mut site = site("br0");
    let network = site.networks.get_mut("n").unwrap();
    (network.subnet, network.pool) = ("10.0.0.0/8".parse().unwrap(), "10.64.0.0-10.127.255.255".parse().unwrap());
    let mut table = LeaseTable::default();
    let held = lease(&site, &mut table, mac(1), at(0));
    let strangers = (0..6000u32).map(|n| MacAddr([2, 0, 0, 0, (n >> 8) as u8, n as u8]));
    let last = strangers.map(|mac| serve(&Packet::new(DISCOVER, mac).bytes(), &site, &mut table, at(1))).last().unwrap();
    assert_eq!((last.counted, last.notes), (Counted::TooManyOffers, vec![]));
    assert_eq!(lease(&site, &mut table, mac(1), at(1)), held);
    assert_eq!(serve(&renew(mac(1), held), &site, &mut table, at(1)).counted, Counted::Acknowledged);
}

#[test]
fn a_relay_agent_chooses_the_network_and_gets_its_option_back() {
    let mut site = site("br0");
    let mut far = site.networks["n"].clone();
    far.interface = "br9".into();
    (far.subnet, far.pool) = ("10.88.0.0/24".parse().unwrap(), "10.88.0.100-10.88.0.199".parse().unwrap());
    far.gateway = Some(Ipv4Addr::new(10, 88, 0, 1));
    site.networks.insert("far".into(), far);
    let agent = Ipv4Addr::new(10, 88, 0, 1);
    let relayed = |packet: Packet| packet.giaddr(agent).option(82, [1, 3, 9, 9, 9]).option(60, "PXEClient").option(93, [0, 7]);
    let mut table = LeaseTable::default();
    let outcome = serve(&relayed(Packet::new(DISCOVER, mac(1))).bytes(), &site, &mut table, at(0));
    assert!(outcome.notes[0].message.ends_with(", through the relay agent 10.88.0.1"), "{:?}", outcome.notes);
    let offer = outcome.reply.unwrap();
    assert_eq!((offer.yiaddr, offer.giaddr, offer.siaddr), (Ipv4Addr::new(10, 88, 0, 100), agent, OWN));
    assert_eq!(offer.relay.as_deref(), Some(&[1, 3, 9, 9, 9][..]));
    let refused = relayed(Packet::new(REQUEST, mac(1)).address(50, ip(100)));
    let nak = serve(&refused.bytes(), &site, &mut table, at(0)).reply.unwrap();
    assert_eq!((nak.kind, nak.flags, nak.relay), (MessageType::Nak, 0x8000, Some(vec![1, 3, 9, 9, 9])));
}

#[test]
fn no_answer_goes_to_an_address_that_no_relay_agent_has() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    for (giaddr, expected) in [
        ([127, 0, 0, 1], Counted::HostileRelay),
        ([0, 0, 0, 9], Counted::HostileRelay),
        ([224, 0, 0, 1], Counted::HostileRelay),
        ([240, 1, 1, 1], Counted::HostileRelay),
        ([255, 255, 255, 255], Counted::HostileRelay),
        (OWN.octets(), Counted::HostileRelay),
        (ip(0).octets(), Counted::HostileRelay),
        (ip(255).octets(), Counted::HostileRelay),
        ([9, 9, 9, 9], Counted::NoNetwork),
    ] {
        let packet = Packet::new(DISCOVER, mac(1)).giaddr(giaddr.into()).bytes();
        let outcome = at_once(decide(&packet, &site, &mut table, at(0)));
        assert_eq!((outcome.counted, outcome.reply), (expected, None), "{giaddr:?}");
    }
}

#[test]
fn where_we_have_no_network_or_no_address_nothing_is_said() {
    let packet = Packet::new(DISCOVER, mac(1)).bytes();
    let (request, site) = (Request::parse(&packet).unwrap(), site("br0"));
    let why = |interface: &str, own: &[Ipv4Addr]| Here::find(&request, &site, interface, own, &Nobody, 80).err();
    assert_eq!(why("eth9", &[OWN]), Some(Counted::NoNetwork));
    assert_eq!(why("br0", &[]), Some(Counted::NoOwnAddress));
    assert_eq!(why("br0", &[Ipv4Addr::new(192, 168, 1, 1)]), Some(Counted::NoOwnAddress));
    assert_eq!(why("br0", &[Ipv4Addr::new(192, 168, 1, 1), OWN]), None);
}

#[test]
fn who_only_watches_renews_what_is_known_and_says_nothing_to_others() {
    let (site, mut table) = (site("br0"), LeaseTable::default());
    let held = lease(&site, &mut table, mac(1), at(0));
    table.only_known(true);
    assert_eq!(lease(&site, &mut table, mac(1), at(10)), held);
    assert_eq!(serve(&renew(mac(1), held), &site, &mut table, at(20)).counted, Counted::Acknowledged);
    for (packet, what) in [
        (Packet::new(DISCOVER, mac(2)).bytes(), "an unknown machine"),
        (Packet::new(REQUEST, mac(2)).address(50, held).bytes(), "somebody else's address"),
        (Packet::new(REQUEST, mac(1)).address(50, ip(250)).bytes(), "another address than is known"),
    ] {
        let outcome = serve(&packet, &site, &mut table, at(30));
        assert_eq!((outcome.counted, &outcome.reply), (Counted::OnlyWatching, &None), "{what}");
        assert!(outcome.rule().unwrap().contains("until `overture db resume`"), "{what}: {:?}", outcome.notes);
    }
    assert_eq!(serve(&renew(mac(2), ip(250)), &site, &mut table, at(30)).notes, vec![], "who renews for ever fills no record");
}
