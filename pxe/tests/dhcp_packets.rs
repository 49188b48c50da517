//! Packets as real firmware sends them, as nobody should send them, and as we write them.
#![allow(clippy::unwrap_used)]

mod dhcp_support;

use dhcp_support::{CAPTURES, DISCOVER, Packet, REQUEST, capture, ip, mac};
use dhcproto::v4::{Decodable, Decoder, Message, MessageType, OptionCode};
use domain::MacAddr;
use domain::boot::{Architecture, Speaker};
use proptest::prelude::*;
use pxe::dhcp::packet::{Malformed, Reply, Request};

type Who = (Speaker, Option<u16>);

/// Who speaks in a capture, in order, each once: what the fixtures' README says.
fn speakers(name: &str) -> Vec<Who> {
    let mut found = vec![];
    for packet in capture(name).iter().filter(|packet| packet.to_server) {
        let request = Request::parse(&packet.payload).unwrap_or_else(|why| panic!("{name}: {why}"));
        let who = (request.speaker, request.architecture.map(|arch| arch.0));
        if found.last() != Some(&who) {
            found.push(who);
        }
    }
    found
}

#[test]
fn recorded_firmware_is_recognised() {
    let system = (Speaker::System, None);
    let cases: [(&str, &[Who]); 6] = [
        ("ipxe-bios.pcap", &[(Speaker::Ipxe, Some(0)), system]),
        ("plain-rom-bios.pcap", &[(Speaker::Pxe, Some(0)), (Speaker::Ipxe, Some(0)), system]),
        ("ovmf-pxe.pcap", &[(Speaker::Pxe, Some(7)), (Speaker::Ipxe, Some(7)), system]),
        ("ovmf-http.pcap", &[(Speaker::HttpBoot, Some(16)), (Speaker::Ipxe, Some(7)), system]),
        ("ovmf-secureboot-shim.pcap", &[(Speaker::Pxe, Some(7)), system]),
        ("ovmf-arm64-pxe.pcap", &[(Speaker::Pxe, Some(11))]),
    ];
    assert_eq!(cases.map(|case| case.0), CAPTURES);
    for (name, expected) in cases {
        assert_eq!(speakers(name), expected, "{name}");
    }
}

#[test]
fn all_stages_of_a_machine_name_one_uuid_as_dmidecode_prints_it() {
    for (last, name) in (1u8..).zip(["ipxe-bios.pcap", "plain-rom-bios.pcap", "ovmf-pxe.pcap", "ovmf-http.pcap", "ovmf-arm64-pxe.pcap"]) {
        let uuids: std::collections::BTreeSet<_> = capture(name)
            .iter()
            .filter(|packet| packet.to_server)
            .filter_map(|packet| Request::parse(&packet.payload).unwrap().uuid)
            .collect();
        let expected = format!("00000077-0000-4000-8000-00000000000{last}");
        assert_eq!(uuids.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn a_recorded_request_is_read_whole() {
    let packets = capture("plain-rom-bios.pcap");
    let request = packets.iter().filter(|packet| packet.to_server).nth(2).unwrap();
    let expected = Request {
        kind: MessageType::Request,
        xid: 0xee62_d552,
        flags: 0,
        ciaddr: [0; 4].into(),
        giaddr: [0; 4].into(),
        mac: mac(2),
        requested: Some(ip(131)),
        server: Some(ip(1)),
        host_name: None,
        room: 1472 - 28,
        speaker: Speaker::Pxe,
        speaker_rule: "its vendor class (option 60) is PXEClient",
        architecture: Some(Architecture(0)),
        uuid: Some("00000077-0000-4000-8000-000000000002".parse().unwrap()),
        machine_id: Some([&[0, 0x77, 0, 0, 0, 0, 0, 0, 0x40, 0x80][..], &[0, 0, 0, 0, 0, 0, 2]].concat()),
        client_id: Some([&[1][..], &mac(2).0].concat()),
        relay: None,
    };
    assert_eq!(Request::parse(&request.payload), Ok(expected));
}

#[test]
fn what_is_no_request_is_refused_with_its_reason() {
    let good = Packet::new(DISCOVER, mac(1)).bytes();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let kind = |value: &[u8]| Packet { options: vec![(53, value.to_vec())], ..Packet::new(DISCOVER, mac(1)) }.bytes();
    let cases = [
        (vec![], Malformed::Short),
        (good[..239].to_vec(), Malformed::Short),
        ([good.clone(), vec![0; 2048]].concat(), Malformed::Long),
        (with(0, 2), Malformed::NotARequest),
        (with(1, 6), Malformed::NotEthernet),
        (with(2, 16), Malformed::NotEthernet),
        (with(2, 255), Malformed::NotEthernet),
        (with(236, 0), Malformed::NoCookie),
        (with(28, 0x53), Malformed::NotAMachine),
        (Packet::new(DISCOVER, MacAddr([0; 6])).bytes(), Malformed::NotAMachine),
        (good[..240].to_vec(), Malformed::NoMessageType),
        (kind(&[2]), Malformed::NoMessageType),
        (kind(&[]), Malformed::NoMessageType),
        (kind(&[1, 1]), Malformed::NoMessageType),
        (kind(&[200]), Malformed::NoMessageType),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Request::parse(&bytes), Err(expected), "{bytes:?}");
    }
    assert!(Request::parse(&good).is_ok());
}

#[test]
fn broken_options_count_as_absent_and_hide_nothing_before_them() {
    let discover = || Packet::new(DISCOVER, mac(1));
    let parse = |packet: Packet| Request::parse(&packet.bytes()).unwrap();
    assert_eq!(parse(discover().option(50, [10, 0, 0])).requested, None);
    assert_eq!(parse(discover().option(50, [])).requested, None);
    assert_eq!(parse(discover().option(93, [0])).architecture, None);
    assert_eq!(parse(discover().option(97, [1; 17])).uuid, None);
    assert_eq!(parse(discover().option(97, [0; 17])).uuid, None, "zeros are no identity");
    // A host name in another character set must not end the list: a client would lose the address it asks for.
    let latin = parse(discover().option(12, b"caf\xe9\x1b[2J\0").address(50, ip(7)));
    assert_eq!((latin.host_name.as_deref(), latin.requested), (Some("caf\u{fffd}\\u{1b}[2J"), Some(ip(7))));
    // A length beyond the end ends it.
    let mut bytes = discover().address(50, ip(7)).bytes();
    bytes.pop();
    bytes.extend([60, 200, b'P']);
    let cut = Request::parse(&bytes).unwrap();
    assert_eq!((cut.requested, cut.speaker), (Some(ip(7)), Speaker::System));
}

#[test]
fn of_several_architectures_the_one_that_can_boot_counts() {
    let listed = Packet::new(DISCOVER, mac(1)).option(60, "PXEClient").option(93, [0, 6, 0, 7]);
    assert_eq!(Request::parse(&listed.bytes()).unwrap().architecture, Some(Architecture(7)));
}

#[test]
fn options_go_on_in_overloaded_fields_and_in_pieces() {
    let mut packet = Packet::new(DISCOVER, mac(1)).option(52, [3]).option(60, "PXECl");
    // The field's own option 52 points at itself and is not followed.
    packet.file = [&[52, 1, 3, 60, 4][..], b"ient", &[255]].concat();
    packet.sname = [&[93, 2, 0, 7, 50, 4][..], &ip(9).octets(), &[255]].concat();
    let request = Request::parse(&packet.bytes()).unwrap();
    assert_eq!((request.speaker, request.architecture, request.requested), (Speaker::Pxe, Some(Architecture(7)), Some(ip(9))));
    packet.options.retain(|(code, _)| *code != 52);
    assert_eq!(Request::parse(&packet.bytes()).unwrap().architecture, None, "without option 52 they are names");
}

#[test]
fn the_relay_agents_option_is_kept_byte_for_byte() {
    let broken = [1, 200, 7];
    let request = Request::parse(&Packet::new(REQUEST, mac(1)).option(82, broken).bytes()).unwrap();
    assert_eq!(request.relay.as_deref(), Some(&broken[..]));
}

#[test]
fn an_answer_has_its_type_first_its_relay_option_last_and_the_length_that_firmware_wants() {
    let reply = Reply {
        kind: MessageType::Offer,
        xid: 7,
        flags: 0x8000,
        ciaddr: [0; 4].into(),
        yiaddr: ip(100),
        siaddr: ip(1),
        giaddr: ip(9),
        mac: mac(1),
        file: "undionly.kpxe".into(),
        options: vec![(54, ip(1).octets().to_vec()), (1, vec![255, 255, 255, 0])],
        relay: Some(vec![1, 2, 0, 4]),
    };
    let bytes = reply.emit(548);
    assert_eq!(bytes.len(), 300);
    assert_eq!(bytes[..12], [2, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0x80, 0]);
    assert_eq!(bytes[240..262], [53, 1, 2, 54, 4, 10, 77, 0, 1, 1, 4, 255, 255, 255, 0, 82, 4, 1, 2, 0, 4, 255]);
    let judged = Message::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(judged.yiaddr(), ip(100));
    assert_eq!(judged.fname().unwrap(), b"undionly.kpxe\0");
    assert_eq!(judged.opts().msg_type(), Some(MessageType::Offer));
    assert!(judged.opts().contains(OptionCode::RelayAgentInformation));
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end_but_never_the_relay_option() {
    let reply = Reply {
        kind: MessageType::Ack,
        xid: 7,
        flags: 0,
        ciaddr: [0; 4].into(),
        yiaddr: ip(100),
        siaddr: [0; 4].into(),
        giaddr: ip(9),
        mac: mac(1),
        file: String::new(),
        options: vec![(54, ip(1).octets().to_vec()), (97, vec![7; 200]), (61, vec![1; 250])],
        relay: Some(vec![9; 90]),
    };
    let bytes = reply.emit(548);
    assert!(bytes.len() <= 548, "{}", bytes.len());
    let read = Reply::parse(&bytes).unwrap();
    assert_eq!(read.options.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [54, 97]);
    assert_eq!(read.relay, reply.relay);
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let address = any::<[u8; 4]>();
    let code = (1u8..255).prop_filter("has its own place", |code| ![52, 53, 82].contains(code));
    let options = prop::collection::btree_map(code, prop::collection::vec(any::<u8>(), 0..300), 0..8);
    let relay = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let header = (any::<u32>(), any::<u16>(), [address; 4], any::<[u8; 6]>());
    (1u8..19, header, "[ -~]{0,127}", options, relay).prop_map(|(kind, (xid, flags, addresses, mac), file, options, relay)| Reply {
        kind: kind.into(),
        xid,
        flags,
        ciaddr: addresses[0].into(),
        yiaddr: addresses[1].into(),
        siaddr: addresses[2].into(),
        giaddr: addresses[3].into(),
        mac: MacAddr(mac),
        file,
        options: options.into_iter().collect(),
        relay,
    })
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same(reply in any_reply()) {
        // Eight options of 300 bytes are more than a packet holds: keep what fits.
        let bytes = reply.emit(1800);
        let read = Reply::parse(&bytes).unwrap();
        let fits = |(code, _): &&(u8, Vec<u8>)| read.option(*code).is_some();
        let expected = Reply { options: reply.options.iter().filter(fits).cloned().collect(), ..reply.clone() };
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..2100)) {
        let _ = Request::parse(&bytes);
        let _ = Reply::parse(&bytes);
    }

    #[test]
    fn no_options_make_the_reader_panic(options in prop::collection::vec(any::<u8>(), 0..600), fields in prop::collection::vec(any::<u8>(), 192)) {
        let mut bytes = Packet::new(DISCOVER, mac(1)).bytes();
        bytes[44..236].copy_from_slice(&fields);
        bytes.truncate(243);
        bytes.extend(options);
        let request = Request::parse(&bytes);
        let is_told_apart = request.is_ok() || request == Err(Malformed::NoMessageType);
        prop_assert!(is_told_apart, "{:?}", request);
    }

    #[test]
    fn a_damaged_recording_never_makes_the_reader_panic(
        which in 0usize..6,
        packet in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let packets = capture(CAPTURES[which]);
        let mut bytes = packet.get(&packets).payload.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(request) = Request::parse(&bytes) {
            prop_assert!(request.mac.is_a_machines() && (548..=1472).contains(&request.room));
            prop_assert!(request.host_name.is_none_or(|name| !name.contains(char::is_control)));
        }
        let _ = Reply::parse(&bytes);
    }
}
