//! Whole sentences, as a technician reads them.
#![allow(clippy::unwrap_used)]

use super::fakes::{at, declared, machine, nic, racked};
use super::*;
use crate::hardware::NicBrief;
use crate::identity::Identity;
use crate::mac::MacAddr;
use crate::site::{DeclaredBmc, Site};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn seen(node: &Node) -> Seen<'_> {
    Seen { node, tests: None, gaps: &[] }
}

pub(super) fn sentences(site: Site, nodes: &[Node]) -> Vec<String> {
    let layout = Layout::new(Arc::new(site));
    let seen: Vec<_> = nodes.iter().map(seen).collect();
    verify(&layout, &seen).into_iter().map(|difference| difference.sentence).collect()
}

/// What is told of the machines, but for who is missing.
pub(super) fn told(site: Site, nodes: &[Node]) -> Vec<String> {
    sentences(site, nodes).into_iter().filter(|sentence| !sentence.contains("it was declared")).collect()
}

/// A machine of unit 7 or 3 that is plugged in right.
pub(super) fn right(serial: &str, unit: u32) -> Node {
    let port = unit.to_string();
    machine(serial, vec![at("eno1", "sw1", &port), at("eno2", "sw2", &port)])
}

#[test]
fn a_node_as_wanted_is_silent() {
    let mut site = racked();
    site.nodes.truncate(2);
    assert_eq!(sentences(site, &[right("A3", 3), right("A7", 7)]), Vec::<String>::new());
}

#[test]
fn a_cable_elsewhere_is_told_with_whoever_is_there() {
    let w7 = |eno2: NicBrief| machine("A7", vec![at("eno1", "sw1", "7"), eno2]);
    let down = NicBrief { link: Some(false), ..nic("eno2") };
    let portless = NicBrief { port: None, ..at("eno2", "sw2", "") };
    let cases: [(&str, Vec<Node>, &[&str]); 14] = [
        ("another port", vec![w7(at("eno2", "sw2", "Ethernet1/8"))], &["w7: eno2 is plugged into sw2/8, expected sw2/7"]),
        (
            "another port, and somebody there",
            vec![w7(at("eno2", "sw2", "13")), machine("A3", vec![at("eno1", "sw1", "3"), at("eno2", "sw2", "7")])],
            &["w7: eno2 is plugged into sw2/13, expected sw2/7; w3 reports sw2/7", "w3: eno2 is plugged into sw2/7, expected sw2/3"],
        ),
        (
            "cables of two nodes exchanged",
            vec![w7(at("eno2", "sw2", "3")), machine("A3", vec![at("eno1", "sw1", "3"), at("eno2", "sw2", "7")])],
            &[
                "w7: eno2 is plugged into sw2/3, expected sw2/7; w3 reports sw2/7 and is expected at sw2/3: exchange the two cables",
                "w3: eno2 is plugged into sw2/7, expected sw2/3; w7 reports sw2/3 and is expected at sw2/7: exchange the two cables",
            ],
        ),
        (
            "both cables of a node exchanged",
            vec![machine("A7", vec![at("eno1", "sw2", "swp7"), at("eno2", "sw1", "swp7")])],
            &["w7: eno1 and eno2 are swapped: eno1 is plugged into sw2/7 and eno2 into sw1/7; exchange the two cables"],
        ),
        ("both cables on one switch of a pair", vec![w7(at("eno2", "sw1", "9"))], &["w7: eno2 is plugged into sw1/9, expected sw2/7"]),
        ("a breakout port", vec![w7(at("eno2", "sw2", "Ethernet1/7/1"))], &["w7: eno2 is plugged into sw2/Ethernet1/7/1, expected sw2/7"]),
        (
            "a switch that nobody declared",
            vec![w7(at("eno2", "old\u{1b}[2Jswitch", "Gi0/1"))],
            &["w7: eno2 is plugged into `old\\u{1b}[2Jswitch/Gi0/1`, a switch that the site does not know, expected sw2/7"],
        ),
        (
            "no cable",
            vec![w7(down.clone())],
            &["w7: eno2 has no link, expected sw2/7: plug it in, or look for a dead cable, transceiver or port"],
        ),
        (
            "no cable, and somebody there",
            vec![w7(down), machine("B1", vec![at("eno9", "sw2", "7")])],
            &[
                "w7: eno2 has no link, expected sw2/7; B1 reports sw2/7: plug it in, or look for a dead cable, transceiver or port",
                "B1: it stands in rack r1 unit 7, where w7 is declared (serial A7), and is serial B1: mend the site, or look for w7",
            ],
        ),
        (
            "nothing heard",
            vec![w7(nic("eno2"))],
            &["w7: eno2 has heard no switch yet, so whether it is plugged into sw2/7 cannot be checked"],
        ),
        (
            "a port without a name",
            vec![w7(portless)],
            &["w7: eno2 is plugged into sw2, which does not say in words into which port, so sw2/7 cannot be checked"],
        ),
        (
            "no such interface",
            vec![w7(nic("ens3"))],
            &[
                "w7: it has no interface eno2, which is to be plugged into sw2/7; it has eno1, ens3: look for a card in another slot, or mend the name",
            ],
        ),
        (
            "no interface known",
            vec![machine("A7", vec![])],
            &[
                "w7: whether eno1 is plugged into sw1/7 cannot be checked: its report does not say",
                "w7: whether eno2 is plugged into sw2/7 cannot be checked: its report does not say",
            ],
        ),
        (
            "no word of where, and one switch of a pair",
            vec![machine("A30", vec![at("eno1", "sw1", "30"), at("eno2", "sw1", "31")])],
            &[
                "w30: its cables contradict each other: eno1 says r1 unit 30, eno2 says r1 unit 31",
                "w30: eno1 and eno2 all end on sw1, whose pair is sw2: plug one of them into sw2, or the node hangs on one switch",
            ],
        ),
    ];
    for (what, nodes, expected) in cases {
        assert_eq!(told(racked(), &nodes), expected, "{what}");
    }
}

#[test]
fn an_interface_is_found_by_each_of_its_names() {
    let nic = |names: &[&str], name: &str| NicBrief {
        name: name.into(),
        names: names.iter().map(ToString::to_string).collect(),
        ..NicBrief::default()
    };
    let nics = [nic(&["ens1", "eno2"], "eth0"), nic(&["eno1"], "eth1"), nic(&["eno2"], "eth2")];
    for (name, expected) in [("eno1", Some(1)), ("eno2", Some(2)), ("eth2", Some(2)), ("ens1", Some(0)), ("eno9", None)] {
        assert_eq!(cabling::find(&nics, name), expected, "{name}");
    }
}

#[test]
fn who_is_missing_and_who_is_a_stranger_is_told() {
    let mut site = racked();
    site.nodes.remove(2);
    let named = |name: &str, node: Node| Node { name: Some(name.into()), ..node };
    let stranger = |nics| machine("B1", nics);
    let cases: [(&str, Vec<Node>, &[&str]); 6] = [
        (
            "nobody reports",
            vec![],
            &[
                "w3: it was declared (rack r1 unit 3, serial A3) and never reported: switch it on, and look at its cables",
                "w7: it was declared (rack r1 unit 7, serial A7) and never reported: switch it on, and look at its cables",
                "w30: it was declared (rack r1, serial A30) and never reported: switch it on, and look at its cables",
            ],
        ),
        (
            "another machine in the unit",
            vec![right("A3", 3), stranger(vec![at("eno1", "sw1", "7")]), machine("A30", vec![])],
            &[
                "B1: it stands in rack r1 unit 7, where w7 is declared (serial A7), and is serial B1: mend the site, or look for w7",
                "w7: it was declared (rack r1 unit 7, serial A7) and never reported; B1 (serial B1) stands there: mend the site, or look for w7",
            ],
        ),
        (
            "another machine under the name",
            vec![right("A3", 3), named("w7", stranger(vec![])), machine("A30", vec![])],
            &[
                "w7: the site declares another machine under this name (serial A7), and this one is serial B1: mend the site, or rename this node",
            ],
        ),
        (
            "a machine nobody declared",
            vec![right("A3", 3), right("A7", 7), machine("A30", vec![]), stranger(vec![])],
            &["B1: it reports and nobody declared it (serial B1): declare it, or remove it"],
        ),
        (
            "a machine nobody declared in a free unit",
            vec![right("A3", 3), right("A7", 7), machine("A30", vec![]), stranger(vec![at("eno1", "sw1", "9")])],
            &["B1: it reports and nobody declared it (serial B1); its cables say rack r1 unit 9: declare it there, or remove it"],
        ),
        (
            "a declared machine in another's unit",
            vec![right("A3", 7), named("w9", right("A7", 7)), machine("A30", vec![])],
            &[
                "w3: its cables say rack r1 unit 7, where w7 is declared; expected rack r1 unit 3",
                "w3: eno1 is plugged into sw1/7, expected sw1/3",
                "w3: eno2 is plugged into sw2/7, expected sw2/3",
                "w9: the site declares this machine as w7: rename it with `overture nodes name w9 w7`, or mend the site",
            ],
        ),
    ];
    for (what, nodes, expected) in cases {
        assert_eq!(sentences(site.clone(), &nodes), expected, "{what}");
    }
}

#[test]
fn another_machine_than_declared_is_told_by_each_of_its_signs() {
    let mut site = racked();
    let mac = |last| MacAddr([0x52, 0x54, 0, 0, 0, last]);
    let (uuid, other) = (Uuid::from_u128(0xab << 64 | 1), Uuid::from_u128(0xab << 64 | 2));
    site.nodes[1].uuid = Some(uuid);
    site.nodes[1].mac = Some(mac(1));
    site.nodes[1].bmc = Some(DeclaredBmc::at("redfish://10.20.1.7"));
    let mut w7 = right("A7", 7);
    w7.identity = Identity::new(Some(other), Some("A7"), [mac(2)]);
    w7.summary.bmc_address = "10.20.1.8".parse().ok();
    assert_eq!(
        told(site.clone(), &[w7.clone()]),
        [
            "w7: its UUID is 00000000-0000-00ab-0000-000000000002, expected 00000000-0000-00ab-0000-000000000001: mend the site if its board was replaced",
            "w7: no interface has the MAC address 52:54:00:00:00:01, which the site declares; it has 52:54:00:00:00:02: mend the site if a card was replaced",
            "w7: its management controller has the address 10.20.1.8, expected 10.20.1.7",
        ]
    );
    w7.summary.bmc_address = None;
    w7.identity = Identity::new(Some(uuid), None, [mac(1)]);
    let twin = Node { id: NodeId(Uuid::from_u128(9)), ..w7.clone() };
    let gaps = [Gap { path: "bmc".into(), reason: "the kernel has no IPMI device".into() }];
    let layout = Layout::new(Arc::new(site));
    let seen = [Seen { node: &w7, tests: None, gaps: &gaps }, Seen { node: &twin, tests: None, gaps: &[] }];
    let told: Vec<_> =
        Hall::new(&layout, &seen).of(w7.id).into_iter().map(|difference| (difference.severity, difference.sentence)).collect();
    assert_eq!(
        told,
        [
            (
                Severity::Wrong,
                "w7: 52:54:00:00:00:01 answers to the declaration of w7 too: declare w7 by a serial or UUID of its own".to_owned()
            ),
            (
                Severity::Unchecked,
                "w7: the address of its management controller, expected 10.20.1.7, cannot be checked: the kernel has no IPMI device"
                    .to_owned()
            ),
        ]
    );
}

/// A hall of that many nodes, all as declared: how long its rules, its arranging and its comparing took together.
// Measured, not decided by.
#[allow(clippy::disallowed_methods)]
fn compare(count: u32) -> std::time::Duration {
    let mut site = racked();
    let (rack, switch) = (site.racks["r1"].clone(), site.switches[0].clone());
    let racks = count / 40;
    site.switches = (0..racks).map(|s| crate::site::Switch { name: format!("sw{s}"), pair: None, ..switch.clone() }).collect();
    let cabling = |r: u32| format!("unit N: eno1 -> sw{r}/N, eno2 -> sw{r}/N+60").parse().ok();
    site.racks = (0..racks).map(|r| (format!("r{r}"), crate::site::Rack { cabling: cabling(r), ..rack.clone() })).collect();
    site.nodes = (0..count)
        .map(|i| DeclaredNode { rack: Some(format!("r{}", i / 40)), ..declared(&format!("w{i}"), &format!("SN{i}X"), Some(i % 40 + 1)) })
        .collect();
    let nodes: Vec<Node> = (0..count)
        .map(|i| {
            let port = |plus: u32| (i % 40 + 1 + plus).to_string();
            let switch = format!("sw{}", i / 40);
            machine(&format!("SN{i}X"), vec![at("eno1", &switch, &port(0)), at("eno2", &switch, &port(60))])
        })
        .collect();
    let began = std::time::Instant::now();
    assert_eq!(site.mistakes(), []);
    let layout = Layout::new(Arc::new(site));
    let seen: Vec<_> = nodes.iter().map(seen).collect();
    assert_eq!(verify(&layout, &seen), []);
    began.elapsed()
}

#[test]
fn the_time_to_compare_grows_with_the_nodes_and_no_faster() {
    let many = if std::env::var_os("OVERTURE_LONG").is_some() { 100_000 } else { 8_000 };
    let (few, all) = (compare(many / 10), compare(many));
    println!("{} nodes: {few:?}, {many} nodes: {all:?}", many / 10);
    // Ten times as many take ten times as long; by pairs it would be a hundred times.
    assert!(all < few * 40, "{few:?} {all:?}");
}
