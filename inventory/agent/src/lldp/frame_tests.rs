//! Frames as switches send them, as they should not, and as nobody would.

use super::frame::{BadFrame, Said, parse};
use inventory_wire::{Neighbour, Vlan};
use proptest::prelude::*;
use std::time::Duration;

const GROUP: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0x0e];

fn tlv(kind: u8, content: &[u8]) -> Vec<u8> {
    let head = (u16::from(kind) << 9) | u16::try_from(content.len()).unwrap();
    [&head.to_be_bytes()[..], content].concat()
}

fn organisation(oui: [u8; 3], kind: u8, content: &[u8]) -> Vec<u8> {
    tlv(127, &[&oui[..], &[kind], content].concat())
}

fn ieee_802_1(kind: u8, content: &[u8]) -> Vec<u8> {
    organisation([0, 0x80, 0xc2], kind, content)
}

fn ieee_802_3(kind: u8, content: &[u8]) -> Vec<u8> {
    organisation([0, 0x12, 0x0f], kind, content)
}

fn frame_to(to: [u8; 6], kind: u16, tlvs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [&to[..], &[2, 0, 0, 0, 0, 1], &kind.to_be_bytes()].concat();
    bytes.extend(tlvs.concat());
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

fn frame(tlvs: &[Vec<u8>]) -> Vec<u8> {
    frame_to(GROUP, 0x88cc, tlvs)
}

fn ids() -> [Vec<u8>; 3] {
    [tlv(1, &[4, 0x52, 0x54, 0, 0xab, 0, 1]), tlv(2, b"\x05swp14"), tlv(3, &120u16.to_be_bytes())]
}

fn with(more: &[Vec<u8>]) -> Vec<u8> {
    frame(&[&ids()[..], more, &[tlv(0, &[])]].concat())
}

fn neighbour(more: &[Vec<u8>]) -> Neighbour {
    parse(&with(more)).unwrap().neighbour
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn a_switch_with_everything_is_understood() {
    let said = parse(&with(&[
        tlv(4, b"to w7: eno2"),
        tlv(5, b"sw2.hall1"),
        tlv(6, b"SONiC 202405\n"),
        tlv(7, &[0, 0x14, 0, 0x14]),
        tlv(8, &[5, 1, 10, 20, 0, 2, 2, 0, 0, 0, 7, 0]),
        tlv(8, &[&[17, 2][..], &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], &[2, 0, 0, 0, 7, 0]].concat()),
        ieee_802_1(1, &40u16.to_be_bytes()),
        ieee_802_1(3, b"\x00\x28\x07cluster"),
        ieee_802_1(3, b"\x00\x29\x00"),
        ieee_802_1(7, &[3, 0, 0, 0, 14]),
        ieee_802_3(1, &[3, 0, 0, 0, 0x1e]),
        ieee_802_3(4, &9216u16.to_be_bytes()),
    ]));
    let vlan = |id, name| Vlan { id: Some(id), name, ..Vlan::default() };
    let neighbour = Neighbour {
        chassis_kind: text("mac_address"),
        chassis: text("52:54:00:ab:00:01"),
        port_kind: text("interface_name"),
        port: text("swp14"),
        port_description: text("to w7: eno2"),
        system: text("sw2.hall1"),
        system_description: text("SONiC 202405"),
        management: vec!["10.20.0.2".into(), "fd00::9".into()],
        capabilities: vec!["bridge".into(), "router".into()],
        vlan: Some(40),
        vlans: vec![vlan(40, text("cluster")), vlan(41, None)],
        aggregation_capable: Some(true),
        aggregated: Some(true),
        aggregate: Some(14),
        most_frame_bytes: Some(9216),
        ..Neighbour::default()
    };
    assert_eq!(said, Ok(Said { time_to_live: Duration::from_secs(120), neighbour }));
}

#[test]
fn each_kind_of_id_is_shown_as_people_write_it() {
    let shown = |chassis: &[u8], port: &[u8]| {
        let tlvs = [tlv(1, chassis), tlv(2, port), tlv(3, &[0, 9])];
        let said = parse(&frame(&tlvs)).unwrap().neighbour;
        [said.chassis_kind, said.chassis, said.port_kind, said.port].map(Option::unwrap)
    };
    assert_eq!(shown(b"\x07core-1", b"\x07\x37"), ["local", "core-1", "local", "7"]);
    assert_eq!(shown(&[5, 1, 10, 0, 0, 1], &[3, 0xAA, 0, 0, 0, 0, 1]), ["network_address", "10.0.0.1", "mac_address", "aa:00:00:00:00:01"]);
    assert_eq!(shown(b"\x01slot 1", b"\x01uplink"), ["component", "slot 1", "interface_alias", "uplink"]);
    // A MAC of five bytes, and a kind that the standard reserves.
    assert_eq!(shown(&[4, 1, 2, 3, 4, 5], b"\xffx"), ["mac_address", "\\x01\\x02\\x03\\x04\\x05", "reserved", "x"]);
    let mac = || vec![5, 17, 1];
    assert_eq!(shown(&mac(), b"\x06a")[1], "\\x11\\x01", "an address of no known family is not lost");
}

#[test]
fn a_goodbye_names_the_neighbour_and_nothing_else() {
    let said = parse(&frame(&[tlv(1, b"\x07a"), tlv(2, b"\x07b"), tlv(3, &[0, 0]), tlv(5, b"still here?"), tlv(0, &[])])).unwrap();
    assert_eq!(said.time_to_live, Duration::ZERO);
    assert_eq!((said.neighbour.port.as_deref(), said.neighbour.system), (Some("b"), None));
}

#[test]
fn what_is_not_lldp_is_not_taken_for_it() {
    let tlvs = ids();
    let tagged = [&GROUP[..], &[2, 0, 0, 0, 0, 1], &[0x81, 0, 0, 40], &[0x88, 0xcc], &tlvs.concat()].concat();
    // 802.3 with SNAP: length, aa aa 03, organisation, kind.
    let snap = |oui: [u8; 3], kind: u16| {
        let body = [&[0, 100, 0xaa, 0xaa, 3][..], &oui, &kind.to_be_bytes(), &tlvs.concat()].concat();
        [&[1, 0, 0x0c, 0xcc, 0xcc, 0xcc, 2, 0, 0, 0, 0, 1][..], &body].concat()
    };
    let to_somebody = frame_to([0x52, 0x54, 0, 0, 0, 9], 0x88cc, &tlvs);
    let ipv4 = frame_to(GROUP, 0x0800, &tlvs);
    let cases = [tagged, snap([0, 0, 0x0c], 0x2000), snap([0, 0, 0], 0x88cc), to_somebody, ipv4, vec![], GROUP.to_vec(), vec![0; 13]];
    for case in cases {
        assert_eq!(parse(&case), Err(BadFrame::NotLldp), "{case:02x?}");
    }
    for group in [[1, 0x80, 0xc2, 0, 0, 0], [1, 0x80, 0xc2, 0, 0, 3]] {
        assert!(parse(&frame_to(group, 0x88cc, &tlvs)).is_ok());
    }
}

#[test]
fn a_frame_that_contradicts_itself_is_dropped_whole() {
    let [chassis, port, time] = ids();
    let cases = [
        (vec![chassis.clone(), time.clone(), port.clone()], BadFrame::Incomplete),
        (vec![chassis.clone(), port.clone()], BadFrame::Incomplete),
        (vec![], BadFrame::Incomplete),
        (vec![chassis.clone(), port.clone(), tlv(3, &[1])], BadFrame::Incomplete),
        (vec![tlv(1, &[]), port.clone(), time.clone()], BadFrame::EmptyId),
        (vec![tlv(1, &[7]), port.clone(), time.clone()], BadFrame::EmptyId),
        (vec![chassis.clone(), tlv(2, b"\x05 \0 "), time.clone()], BadFrame::EmptyId),
        (vec![chassis.clone(), port.clone(), time.clone(), tlv(2, b"\x05swp15")], BadFrame::Twice),
        (vec![chassis.clone(), port.clone(), time.clone(), vec![0x0b, 0xff, b'x']], BadFrame::Truncated),
        (vec![vec![0x03, 0xff, 4, 1]], BadFrame::Truncated),
    ];
    for (tlvs, why) in cases {
        assert_eq!(parse(&frame(&tlvs)), Err(why), "{tlvs:02x?}");
    }
    let cut = with(&[tlv(5, b"a switch with a name that is long enough to be cut")]);
    assert_eq!(parse(&cut[..cut.len() - 12]), Err(BadFrame::Truncated));
}

#[test]
fn odd_tlvs_take_nothing_from_the_rest() {
    let odd = neighbour(&[
        tlv(5, b"M\xfcller\x1b[2J"),
        tlv(5, b"another name"),
        tlv(4, b""),
        tlv(7, &[0, 4]),
        tlv(8, &[]),
        tlv(8, &[200, 1, 10, 0, 0, 1]),
        tlv(8, &[4, 1, 10, 0, 0]),
        tlv(8, &[5, 1, 10, 0, 0, 9]),
        tlv(8, &[5, 1, 10, 0, 0, 9]),
        tlv(99, b"reserved"),
        tlv(127, &[0]),
        organisation([0x00, 0x01, 0x42], 1, b"Cisco's"),
        ieee_802_1(1, &[0]),
        ieee_802_1(1, &[0, 0]),
        ieee_802_1(1, &[0xff, 0xff]),
        ieee_802_1(3, &[0, 9, 200, b'x']),
        ieee_802_1(3, &[0, 9, 1, b'y']),
        ieee_802_3(3, &[1, 0, 0, 0, 7]),
        ieee_802_1(7, &[3, 0, 0, 0, 8]),
        ieee_802_3(3, &[0, 0, 0, 0, 0]),
        ieee_802_1(7, &[1, 2]),
        ieee_802_3(4, &[0, 0]),
        tlv(6, &[b'd'; 255]),
    ]);
    assert_eq!(odd.system.as_deref(), Some("M\\xfcller\\x1b[2J"));
    assert_eq!((odd.port_description, odd.vlan, odd.most_frame_bytes), (None, None, None));
    assert_eq!((odd.capabilities.len(), odd.management), (0, vec!["10.0.0.9".to_owned()]));
    assert_eq!(odd.vlans, [Vlan { id: Some(9), name: None, ..Vlan::default() }]);
    assert_eq!((odd.aggregation_capable, odd.aggregated, odd.aggregate), (Some(true), Some(true), Some(8)), "the newer of two");
    assert_eq!(odd.system_description.map(|text| text.len()), Some(255));
}

#[test]
fn the_end_of_the_list_may_be_missing_and_padding_is_not_read() {
    let mut open = frame(&[&ids()[..], &[tlv(5, &[b'n'; 40])]].concat());
    assert_eq!(parse(&open).unwrap().neighbour.system.map(|name| name.len()), Some(40));
    open = with(&[]);
    open.extend([0xff; 30]);
    assert!(parse(&open).is_ok());
}

#[test]
fn a_jumbo_frame_of_vlans_is_bounded() {
    let vlans: Vec<Vec<u8>> = (1..=600u16).map(|id| ieee_802_1(3, &[&id.to_be_bytes()[..], &[1, b'v']].concat())).collect();
    assert_eq!(neighbour(&vlans).vlans.len(), 256);
    let addresses: Vec<Vec<u8>> = (0..100).map(|i| tlv(8, &[5, 1, 10, 0, 0, i])).collect();
    assert_eq!(neighbour(&addresses).management.len(), 16);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let _ = parse(&[&GROUP[..], &[0; 6], &[0x88, 0xcc], &bytes].concat());
    }

    #[test]
    fn no_tlv_panics_and_no_text_has_control_characters(tlvs in prop::collection::vec((4u8..128, prop::collection::vec(any::<u8>(), 0..60)), 0..20)) {
        let tlvs: Vec<Vec<u8>> = tlvs.iter().map(|(kind, content)| tlv(*kind, content)).collect();
        let said = parse(&with(&tlvs)).unwrap().neighbour;
        let texts = [said.system, said.system_description, said.port_description].into_iter().flatten();
        prop_assert!(texts.chain(said.vlans.into_iter().filter_map(|vlan| vlan.name)).all(|text| !text.chars().any(|c| c.is_ascii_control())));
    }

    #[test]
    fn no_organisations_tlv_panics(kind in 0u8..10, third in any::<bool>(), content in prop::collection::vec(any::<u8>(), 0..40)) {
        neighbour(&[if third { ieee_802_3(kind, &content) } else { ieee_802_1(kind, &content) }]);
    }

    #[test]
    fn a_cut_frame_is_whole_or_refused(cut in 0usize..120) {
        let whole = with(&[tlv(5, b"sw1"), tlv(4, b"port"), ieee_802_1(1, &[0, 40])]);
        let _ = parse(&whole[..cut.min(whole.len())]);
    }
}
