#![allow(clippy::unwrap_used)]
use super::*;
use crate::ids::NodeId;

fn id(n: u128) -> NodeId {
    NodeId(Uuid::from_u128(n))
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x0a1b_2c3d_4e5f << 80 | n)
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x3c, 0xec, 0xef, 0, 0, last])
}

/// `U1 S1 B1 m1 m2 d1`: a UUID, a serial, a board, cards and disks by their numbers. `u1` is the UUID in its other byte order.
fn machine(words: &str) -> Identity {
    let mut found = Identity::default();
    for word in words.split_whitespace() {
        let (kind, number) = word.split_at(1);
        let n: u8 = number.parse().unwrap();
        match kind {
            "U" => found.uuid = Some(uuid(n.into())),
            "u" => found.uuid = Some(turned(uuid(n.into()))),
            "S" => found.serial = Some(format!("SYS{n}")),
            "B" => found.board_serial = Some(format!("BRD{n}")),
            "m" => drop(found.macs.insert(mac(n))),
            // As software chooses them.
            "l" => drop(found.macs.insert(MacAddr([0x02, 0, 0, 0, 0, n]))),
            "d" => drop(found.disks.insert(format!("DSK{n}"))),
            _ => panic!("{word}"),
        }
    }
    found
}

fn judged(seen: &str, nodes: &[&str]) -> Judgement {
    let known: Vec<_> = nodes.iter().map(|words| machine(words)).collect();
    let candidates: Vec<_> = known.iter().zip(1..).map(|(identity, n)| Candidate { id: id(n), identity, live_elsewhere: false }).collect();
    judge(&machine(seen), &candidates)
}

#[test]
fn one_machine_stays_one_node() {
    for (what, before, now, because) in [
        ("it reports again", "U1 S1 B1 m1 m2 d1", "U1 S1 B1 m1 m2 d1", "UUID and serial agree"),
        ("its UUID is read in the other byte order", "U1 m1", "u1 m1", "the UUID agrees"),
        ("one of two cards was changed", "U1 S1 m1 m2", "U1 S1 m1 m9", "UUID and serial agree"),
        ("its only card was changed", "U1 S1 m1 d1 d2", "U1 S1 m9 d1 d2", "UUID and serial agree"),
        ("all its disks were changed", "U1 S1 m1 d1 d2", "U1 S1 m1 d8 d9", "UUID and serial agree"),
        ("an earlier version kept no board and disks", "U1 S1 m1", "U1 S1 B1 m1 d1", "UUID and serial agree"),
        (
            "a new board with its own cards in the old chassis",
            "U1 S1 B1 m1 m2 d1",
            "U9 S1 B9 m8 m9 d1",
            "the serial agrees, and a card or a disk with it: its board was changed",
        ),
        (
            "a new board under the old card",
            "U1 S1 m1",
            "U9 S1 m1",
            "the serial agrees, and a card or a disk with it: its board was changed",
        ),
        ("a new board to which the maker wrote the old names", "U1 S1 B1 m1 d1", "U1 S1 B9 m9 d1", "UUID and serial agree"),
        (
            "a new board, and nobody wrote a serial to either",
            "U1 B1 m1 m2 d1",
            "U9 B9 m9 m2 d1",
            "cards and disks agree, and no serial says otherwise",
        ),
        ("firmware lost its serial", "U1 S1 m1", "U1 m1", "the UUID agrees"),
        ("firmware lost its UUID", "U1 S1 m1", "S1 m1", "the serial agrees"),
        ("an update of the firmware made another UUID", "U1 B1 m1", "U9 B1 m1", "the board's serial agrees"),
        (
            "its serial was written anew",
            "U1 S1 B1 m1",
            "U1 S9 B1 m1",
            "the UUID agrees, and the board or its cards and disks with it: its serial was changed",
        ),
        (
            "the serial of a virtual machine was changed",
            "U1 S1 m1",
            "U1 S9 m1",
            "the UUID agrees, and the board or its cards and disks with it: its serial was changed",
        ),
        (
            "it runs its installed system, and the agent may not read serials",
            "U1 S1 B1 m1 d1",
            "m1 d1",
            "cards and disks agree, and no serial says otherwise",
        ),
        (
            "the same without disks, and with several cards",
            "U1 S1 B1 m1 m2",
            "m1 m2",
            "its cards agree, and neither has a UUID or serial of its own",
        ),
        (
            "its installed system shows one address on all cards",
            "U1 S1 B1 m1 m2 d1",
            "m1 d1",
            "cards and disks agree, and no serial says otherwise",
        ),
        ("its installed system keeps a card to itself", "U1 S1 B1 m1 m2 d1", "U1 S1 B1 m1 d1", "UUID and serial agree"),
        ("it has no names and one card", "m1", "m1", "its cards agree, and neither has a UUID or serial of its own"),
        (
            "it has no names, and one of three cards was changed",
            "m1 m2 m3",
            "m1 m2 m9",
            "its cards agree, and neither has a UUID or serial of its own",
        ),
        (
            "it has no names, and a newer agent reads its board",
            "m1",
            "B1 m1",
            "its cards agree, and neither has a UUID or serial of its own",
        ),
        ("its cards could not be read", "U1 S1 m1", "U1 S1", "UUID and serial agree"),
        ("software chooses its address at each start", "U1 l1", "U1 l2", "the UUID agrees"),
        ("it has nothing but an address that software chose", "l1", "l1", "its cards agree, and neither has a UUID or serial of its own"),
        ("nothing but a serial was ever known", "S1", "S1", "the serial agrees"),
        ("nothing but a board was ever known", "B1", "B1", "the board's serial agrees"),
    ] {
        assert_eq!(judged(now, &[before]), Judgement { recognised: Recognised::Known(id(1), because), because }, "{what}");
        assert_eq!(judged(now, &["U77 S77 B77 m77 d77", before]).recognised, Recognised::Known(id(2), because), "{what}, beside another");
    }
}

#[test]
fn two_machines_stay_two_nodes() {
    for (what, nodes, now) in [
        ("nothing in common", vec!["U1 S1 m1 d1"], "U2 S2 m2 d2"),
        ("twins with one UUID", vec!["U1 S1 B1 m1 d1"], "U1 S2 B2 m2 d2"),
        ("twins with one UUID, and a card that moved", vec!["U1 S1 B1 m1 d1"], "U1 S2 B2 m1 m2 d2"),
        ("twins with one UUID and no serial", vec!["U1 m1"], "U1 m2"),
        ("twins with one UUID in two byte orders", vec!["U1 m1"], "u1 m2"),
        ("a serial that a maker wrote on every board, and no UUID", vec!["S1 m1"], "S1 m2"),
        ("a serial typed twice in the factory", vec!["U1 S1 m1"], "U2 S1 m2"),
        ("a flash that was copied whole: one UUID, one serial, one board", vec!["U1 S1 B1 m1"], "U1 S1 B1 m2"),
        ("the same with disks", vec!["U1 S1 B1 m1 d1"], "U1 S1 B1 m2 d2"),
        ("the third of them", vec!["U1 S1 m1", "U1 S1 m2"], "U1 S1 m3"),
        ("the third of them, whose cards cannot be read", vec!["U1 S1 m1", "U1 S1 m2"], "U1 S1"),
        ("a card that moved", vec!["U1 S1 m1 d1"], "U2 S2 m1 m2 d2"),
        ("disks that moved", vec!["U1 S1 m1 d1 d2"], "U2 S2 m2 d1 d2"),
        ("a card and disks that moved to a machine with a serial of its own", vec!["U1 S1 m1 d1"], "U2 S2 m1 m2 d1"),
        ("a card that moved to a machine without names", vec!["U1 S1 m1"], "m1"),
        ("the third of a batch with one address in each controller", vec!["U1 S1 m1 m7", "U1 S1 m2 m7"], "U1 S1 m3 m7"),
        ("the third of a batch with one serial on all disks", vec!["m1 m7 d1", "m2 m7 d1"], "m3 m7 d1"),
        ("disks that moved between machines without names", vec!["m1 d1"], "m2 d1"),
        ("a UUID on two boards, whose cards cannot be read", vec!["U1 B1 m1"], "U1 B2"),
        ("a board's serial under two UUIDs, whose cards cannot be read", vec!["U1 B1 m1"], "U2 B1"),
        ("a card that moved to a machine with a UUID of its own", vec!["U1 m1"], "U2 m1"),
        ("a card that moved to a board with a serial of its own", vec!["B1 m1"], "B2 m1"),
        ("an address that is in every management controller", vec!["m1 m7"], "m2 m7"),
        ("the same, from the third on", vec!["m1 m7", "m2 m7"], "m7"),
        ("a board that went into another chassis", vec!["U1 S1 B1 m1 d1"], "U2 S2 B1 m1 d2"),
    ] {
        assert_eq!(judged(now, &nodes).recognised, Recognised::New, "{what}: {}", judged(now, &nodes).because);
    }
}

#[test]
fn of_several_nodes_the_strongest_evidence_counts() {
    for (what, nodes, now, expected) in [
        ("its own card beside a moved one", vec!["m1 m2", "m3 m4"], "m2 m3 m4", 2),
        ("twins who know their cards", vec!["U1 S1 m1", "U1 S1 m2"], "U1 S1 m2", 2),
        ("twins who swapped a card", vec!["U1 S1 m1", "U1 S2 m2"], "U1 S2 m1", 2),
        ("a card from a node that is known", vec!["U1 S1 m1", "U2 S2 m2"], "U2 S2 m1 m2", 2),
        ("all cards and disks from another node", vec!["U1 S1 m1 d1", "U2 S2 m2 d2"], "U2 S2 m1 d1 m2", 2),
        ("a board from another node: the chassis counts", vec!["U1 S1 B1 m1 d1", "U2 S2 B2 m2 d2"], "U2 S1 B2 m2 d1", 1),
        ("a serial that several have, beside a UUID of its own", vec!["U1 S1 m1", "U2 S1 m2"], "U2 S1 m2", 2),
        ("two machines who swapped their only cards", vec!["U1 S1 m1", "U2 S2 m2"], "U1 S1 m2", 1),
        ("one of a batch, a card of which was changed", vec!["U1 S1 m1 m2", "U1 S1 m3 m4"], "U1 S1 m4 m9", 2),
        ("two of a batch, and a card that moved", vec!["U1 S1 m1 m2", "U1 S1 m3 m4"], "U1 S1 m1 m3 m4", 2),
        ("an earlier split: the cards tell", vec!["U1 S1 m1 d1", "U1 S1 m2 d1"], "U1 S1 m2 d1", 2),
    ] {
        assert!(
            matches!(judged(now, &nodes).recognised, Recognised::Known(found, _) if found == id(expected)),
            "{what}: {:?}",
            judged(now, &nodes)
        );
    }
}

#[test]
fn what_nobody_can_tell_is_left_to_a_person() {
    for (what, nodes, now) in [
        ("both cards of an earlier split", vec!["U1 S1 m1", "U1 S1 m2"], "U1 S1 m1 m2"),
        ("cards of two nodes without names, and disks of both", vec!["m1 d1", "m2 d2"], "m1 m2 d1 d2"),
    ] {
        assert_eq!(judged(now, &nodes).recognised, Recognised::Ambiguous(vec![id(1), id(2)]), "{what}");
    }
    assert_eq!(judged("", &["U1"]).recognised, Recognised::Nameless);
    assert_eq!(judged("d1", &["U1 d1"]).recognised, Recognised::Nameless, "disks move");
}

#[test]
fn a_node_that_is_heard_from_elsewhere_is_not_taken_over() {
    let judged = |seen: &str, live_elsewhere| {
        let known = machine("U1 S1 m1 d1");
        judge(&machine(seen), &[Candidate { id: id(1), identity: &known, live_elsewhere }]).recognised
    };
    assert!(matches!(judged("U1 S1 m1 d1", true), Recognised::Known(..)), "it restarted: a card is in one place at a time");
    assert_eq!(judged("U1 S1 m2 d1", true), Recognised::Ambiguous(vec![id(1)]));
    assert_eq!(judged("U1 S1", true), Recognised::Ambiguous(vec![id(1)]));
    assert!(matches!(judged("U1 S1 m2 d1", false), Recognised::Known(..)));
}

#[test]
fn what_an_earlier_version_took_for_a_serial_is_no_evidence_today() {
    let kept = Identity { serial: Some("SerialNumber".into()), uuid: "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().ok(), ..machine("m1") };
    let judged = |seen: &Identity| judge(seen, &[Candidate { id: id(1), identity: &kept, live_elsewhere: false }]).recognised;
    assert!(matches!(judged(&machine("m1")), Recognised::Known(..)));
    assert_eq!(judged(&Identity { macs: [mac(2)].into(), ..kept.clone() }), Recognised::New);
}

#[test]
fn an_identity_of_the_released_version_is_read() {
    let text = r#"{"uuid":"6d1f0000-0000-4000-8000-000000000001","serial":"A1","macs":["3c:ec:ef:00:00:01"]}"#;
    let read: Identity = serde_json::from_str(text).unwrap();
    assert_eq!((read.serial.as_deref(), read.macs.len(), read.disks.len(), &read.board_serial), (Some("A1"), 1, 0, &None));
    assert_eq!(serde_json::to_string(&read).unwrap(), text, "and written as that version reads it, where nothing was added");
    let full = machine("U1 S1 B1 m1 d1");
    assert_eq!(serde_json::from_str::<Identity>(&serde_json::to_string(&full).unwrap()).unwrap(), full);
}

#[test]
fn silence_does_not_forget() {
    let known = machine("U1 S1 B1 m1 d1");
    assert_eq!(known.refreshed(Identity::default()), known);
    assert_eq!(known.refreshed(machine("U2 m2")), machine("U2 S1 B1 m2 d1"));
}

#[test]
fn signs_are_the_same_in_every_spelling() {
    let signs = |identity: &Identity| identity.signs().collect::<BTreeSet<_>>();
    let lower = Identity { serial: Some("sys1".into()), ..machine("u1 B1 m1 d1") };
    assert_eq!(signs(&machine("U1 S1 B1 m1 d1")), signs(&lower));
    assert_eq!(signs(&lower).len(), 5);
}

#[test]
fn disks_are_bounded() {
    let many: Vec<_> = (100..100 + 3 * MOST_DISKS).map(|n| format!("DSK{n}")).collect();
    assert_eq!(Identity::default().with_disks(many.iter().map(String::as_str)).disks.len(), MOST_DISKS);
    let odd = Identity::default().with_disks(["A", "A", "To be filled by O.E.M.", "QM00001"]).with_board(Some("None"));
    assert_eq!((odd.disks.len(), odd.board_serial), (1, None));
}
