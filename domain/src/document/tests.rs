#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn document(facts: Value) -> Document {
    Document { facts, ..Document::default() }
}

fn gaps(gaps: &[(&str, &str)]) -> Vec<Gap> {
    gaps.iter().map(|(path, reason)| Gap { path: (*path).into(), reason: (*reason).into() }).collect()
}

fn with_gaps(facts: Value, missing: &[(&str, &str)]) -> Document {
    Document { facts, gaps: gaps(missing), ..Document::default() }
}

fn told(before: &Document, after: &Document) -> Vec<String> {
    differences(before, after).iter().map(Change::in_words).collect()
}

fn paths(before: Value, after: Value) -> Vec<String> {
    differences(&document(before), &document(after)).into_iter().map(|change| change.path).collect()
}

#[test]
fn readings_leave_settled_facts_and_empty_parents_behind() {
    let readings = ["clock.ahead_ms", "sensors.*.value", "disks.*.health.hours", "agent.uptime"];
    let cases = [
        ("nothing to take", json!({ "cpu": { "threads": 8 } }), json!({ "cpu": { "threads": 8 } }), Value::Null),
        ("a parent of readings only", json!({ "clock": { "ahead_ms": 3 } }), json!({ "clock": {} }), json!({ "clock": { "ahead_ms": 3 } })),
        (
            "a null that was said",
            json!({ "clock": { "ahead_ms": null } }),
            json!({ "clock": {} }),
            json!({ "clock": { "ahead_ms": null } }),
        ),
        (
            "a list where some items have one",
            json!({ "sensors": [{ "name": "a", "value": 1 }, { "name": "b" }, { "value": 2 }, 7] }),
            json!({ "sensors": [{ "name": "a" }, { "name": "b" }, {}, 7] }),
            json!({ "sensors": [{ "value": 1 }, null, { "value": 2 }, null] }),
        ),
        (
            "two levels down",
            json!({ "disks": [{ "health": { "hours": [1], "passed": true } }, { "health": {} }] }),
            json!({ "disks": [{ "health": { "passed": true } }, { "health": {} }] }),
            json!({ "disks": [{ "health": { "hours": [1] } }, null] }),
        ),
        (
            "another shape than expected",
            json!({ "sensors": { "value": 1 }, "agent": [1] }),
            json!({ "sensors": { "value": 1 }, "agent": [1] }),
            Value::Null,
        ),
        ("no facts", Value::Null, Value::Null, Value::Null),
    ];
    for (what, facts, settled, taken) in cases {
        let (left, out) = document(facts.clone()).settled(&readings);
        assert_eq!((&left.facts, &out), (&settled, &taken), "{what}");
        assert_eq!(left.with_readings(&out).facts, facts, "{what}: and back");
    }
}

#[test]
fn readings_of_another_document_do_no_harm() {
    let strange = json!({ "a": [1, { "b": 2 }], "c": { "d": 1 }, "e": 5 });
    let back = document(json!({ "a": [{}], "c": [], "e": { "f": 1 } })).with_readings(&strange);
    assert_eq!(back.facts, json!({ "a": [{}], "c": [], "e": { "f": 1 } }));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[abc*.]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc*]", inner, 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_taken_out_can_be_put_back_exactly(facts in any_json(), paths in prop::collection::vec("[abc*](\\.[abc*]){0,3}", 0..6)) {
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let (settled, readings) = document(facts.clone()).settled(&paths);
        let (again, none) = settled.clone().settled(&paths);
        prop_assert_eq!(&again, &settled, "taking twice takes nothing more");
        prop_assert_eq!(none, Value::Null);
        prop_assert_eq!(settled.with_readings(&readings).facts, facts);
    }

    #[test]
    fn a_document_does_not_differ_from_itself_and_no_pair_makes_a_panic(
        a in any_json(), b in any_json(), missing in prop::collection::vec("[abc](\\.[abc]){0,3}", 0..4),
    ) {
        let missing: Vec<_> = missing.iter().map(|path| (path.as_str(), "why")).collect();
        let (a, b) = (with_gaps(a, &missing), document(b));
        prop_assert_eq!(differences(&a, &a), vec![]);
        for change in differences(&a, &b).iter().chain(&differences(&b, &a)) {
            prop_assert!(!change.in_words().is_empty());
        }
    }

    #[test]
    fn an_amendment_given_twice_changes_nothing_more(a in any_json(), b in any_json()) {
        let once = document(a).amended(document(b.clone()));
        prop_assert_eq!(once.clone().amended(document(b)), once);
    }
}

#[test]
fn an_amendment_replaces_its_parts_with_their_gaps() {
    let before = Document {
        facts: json!({ "nics": [{ "name": "eth0" }], "cpu": { "threads": 8 }, "bmc": { "mac": "x" } }),
        gaps: gaps(&[
            ("nics.eth0.neighbours", "nobody was heard yet"),
            ("nicsx", "other"),
            ("cpu.cores", "unknown"),
            ("tpm", "old reason"),
        ]),
        other: Map::from_iter([("later".to_owned(), json!(1)), ("stays".to_owned(), json!(1))]),
    };
    let amendment = Document {
        facts: json!({ "nics": [{ "name": "eth0", "neighbours": [{ "port": "1" }] }] }),
        gaps: gaps(&[("nics.eth1", "went away"), ("tpm", "new reason"), ("bmc.mac", "was not asked"), ("gpus", "no PCI")]),
        other: Map::from_iter([("later".to_owned(), json!(2))]),
    };
    let after = before.amended(amendment);
    assert_eq!(
        after.facts,
        json!({ "nics": [{ "name": "eth0", "neighbours": [{ "port": "1" }] }], "cpu": { "threads": 8 }, "bmc": { "mac": "x" } })
    );
    let expected = [("nicsx", "other"), ("cpu.cores", "unknown"), ("nics.eth1", "went away"), ("tpm", "new reason"), ("gpus", "no PCI")];
    assert_eq!(after.gaps, gaps(&expected), "a known fact of another part counts more than a gap");
    assert_eq!(Value::Object(after.other), json!({ "later": 2, "stays": 1 }));
}

#[test]
fn items_are_matched_by_what_identifies_them() {
    let cases = [
        (
            "a disk under another name",
            json!({ "disks": [{ "name": "sda", "serial": "A" }, { "name": "sdb", "serial": "B" }] }),
            json!({ "disks": [{ "name": "sda", "serial": "B" }, { "name": "sdb", "serial": "A" }] }),
            vec!["disks[B].name", "disks[A].name"],
        ),
        (
            "a disk that was swapped in its place",
            json!({ "disks": [{ "name": "sda", "serial": "A" }] }),
            json!({ "disks": [{ "name": "sda", "serial": "C" }] }),
            vec!["disks[C]", "disks[A]"],
        ),
        (
            "two disks with one serial, by their WWN",
            json!({ "disks": [{ "name": "sda", "serial": "0", "wwn": "1" }, { "name": "sdb", "serial": "0", "wwn": "2" }] }),
            json!({ "disks": [{ "name": "sdb", "serial": "0", "wwn": "1" }, { "name": "sda", "serial": "0", "wwn": "2" }] }),
            vec!["disks[1].name", "disks[2].name"],
        ),
        (
            "two disks with one serial and nothing else, by their order",
            json!({ "disks": [{ "serial": "0", "size_bytes": 1 }, { "serial": "0", "size_bytes": 2 }] }),
            json!({ "disks": [{ "serial": "0", "size_bytes": 1 }, { "serial": "0", "size_bytes": 3 }] }),
            vec!["disks[#2].size_bytes"],
        ),
        (
            "one of two with one serial is gone",
            json!({ "disks": [{ "serial": "0", "name": "sda" }, { "serial": "0", "name": "sdb" }] }),
            json!({ "disks": [{ "serial": "0", "name": "sda" }] }),
            vec!["disks[0]"],
        ),
        (
            "a card by its permanent address",
            json!({ "nics": [{ "name": "eth0", "permanent_mac": "m1" }, { "name": "eth1", "permanent_mac": "m2" }] }),
            json!({ "nics": [{ "name": "eth0", "permanent_mac": "m2" }, { "name": "eth1", "permanent_mac": "m1" }] }),
            vec!["nics[m2].name", "nics[m1].name"],
        ),
        (
            "modules by slot, and by bank where the slots have one name",
            json!({ "memory": { "dimms": [{ "slot": "DIMM 0", "bank": "A", "serial": "1" }, { "slot": "DIMM 0", "bank": "B", "serial": "2" }, { "slot": "X" }] } }),
            json!({ "memory": { "dimms": [{ "slot": "DIMM 0", "bank": "B", "serial": "2" }, { "slot": "X", "serial": "9" }, { "slot": "DIMM 0", "bank": "A", "serial": "3" }] } }),
            vec!["memory.dimms[X].serial", "memory.dimms[A].serial"],
        ),
        (
            "PCI devices by address, partitions and boot entries by number, sensors by name, NUMA by id",
            json!({ "pci": [{ "address": "0", "driver": "a" }], "disks": [{ "serial": "A", "partitions": [{ "number": 2, "label": "x" }] }],
                    "firmware": { "boot_entries": [{ "number": "0003", "label": "a" }] }, "sensors": [{ "name": "t", "critical": 1 }],
                    "cpu": { "numa": [{ "id": 0, "cpus": "0" }] } }),
            json!({ "pci": [{ "address": "9" }, { "address": "0", "driver": "b" }], "disks": [{ "serial": "A", "partitions": [{ "number": 1 }, { "number": 2, "label": "y" }] }],
                    "firmware": { "boot_entries": [{ "number": "0001" }, { "number": "0003", "label": "b" }] }, "sensors": [{ "name": "u" }, { "name": "t", "critical": 2 }],
                    "cpu": { "numa": [{ "id": 1 }, { "id": 0, "cpus": "1" }] } }),
            vec![
                "cpu.numa[1]",
                "cpu.numa[0].cpus",
                "disks[A].partitions[1]",
                "disks[A].partitions[2].label",
                "firmware.boot_entries[0001]",
                "firmware.boot_entries[0003].label",
                "pci[9]",
                "pci[0].driver",
                "sensors[u]",
                "sensors[t].critical",
            ],
        ),
        (
            "what a newer agent lists, by place",
            json!({ "moons": [{ "r": 1 }] }),
            json!({ "moons": [{ "r": 1 }, { "r": 2 }] }),
            vec!["moons[#2]"],
        ),
        ("absent, nothing and empty say the same", json!({ "clock": {}, "gpus": [], "x": null }), json!({}), vec![]),
    ];
    for (what, before, after, expected) in cases {
        assert_eq!(paths(before, after), expected, "{what}");
    }
}

#[test]
fn changes_are_told_in_sentences() {
    let gib = 1u64 << 30;
    let cases = [
        (
            json!({ "memory": { "dimms": [{ "slot": "DIMM_A2", "size_bytes": 32 * gib, "manufacturer": "Samsung", "part_number": "M393A4K40DB3" }] } }),
            json!({ "memory": { "dimms": [] } }),
            "DIMM DIMM_A2: gone (was 32 GiB, Samsung M393A4K40DB3)",
        ),
        (
            json!({ "memory": { "installed_bytes": 256 * gib } }),
            json!({ "memory": { "installed_bytes": 224 * gib } }),
            "memory: 256 GiB → 224 GiB",
        ),
        (
            json!({ "memory": { "usable_bytes": 270582939648u64 } }),
            json!({ "memory": { "usable_bytes": 270582938624u64 } }),
            "memory: usable 270582939648 → 270582938624",
        ),
        (
            json!({ "disks": [{ "serial": "S4EV", "firmware": "GDC5602Q" }] }),
            json!({ "disks": [{ "serial": "S4EV", "firmware": "GDC5902Q" }] }),
            "disk S4EV: firmware GDC5602Q → GDC5902Q",
        ),
        (
            json!({}),
            json!({ "disks": [{ "serial": "S5", "model": "PM9A3", "size_bytes": 3840755982336u64 }] }),
            "disk S5: new (3.84 TB, PM9A3)",
        ),
        (
            json!({ "disks": [{ "serial": "S5", "health": { "wear_percent": 1 } }] }),
            json!({ "disks": [{ "serial": "S5", "health": { "wear_percent": 2 } }] }),
            "disk S5: health wear 1 % → 2 %",
        ),
        (
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m", "neighbours": [{ "chassis": "c1", "system": "sw2", "port": "14" }] }] }),
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m", "neighbours": [{ "chassis": "c1", "system": "sw2", "port": "13" }] }] }),
            "eno2: now plugged into sw2/13, was sw2/14",
        ),
        (
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m" }] }),
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m", "neighbours": [{ "chassis": "c1", "port": "aa:bb", "port_kind": "mac_address", "port_description": "Gi0/1" }] }] }),
            "eno2: now plugged into c1/Gi0/1",
        ),
        (
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m", "neighbours": [{ "chassis": "c1", "port": "1", "vlan": 1 }] }] }),
            json!({ "nics": [{ "name": "eno2", "permanent_mac": "m", "neighbours": [{ "chassis": "c1", "port": "1", "vlan": 40 }] }] }),
            "eno2, neighbour c1/1: vlan 1 → 40",
        ),
        (
            json!({ "nics": [{ "name": "eno1", "permanent_mac": "m", "link": true, "speed_mbit": 25000 }] }),
            json!({ "nics": [{ "name": "eno1", "permanent_mac": "m", "link": false, "speed_mbit": 25000 }] }),
            "eno1: link up → down",
        ),
        (
            json!({ "nics": [{ "name": "eno1", "permanent_mac": "m", "speed_mbit": 25000 }] }),
            json!({ "nics": [{ "name": "eno1", "permanent_mac": "m", "speed_mbit": 100 }] }),
            "eno1: speed 25 Gbit/s → 100 Mbit/s",
        ),
        (json!({ "cpu": { "flags": ["a", "b"] } }), json!({ "cpu": { "flags": ["a", "c"] } }), "CPU: flags now also c, no longer b"),
        (
            json!({ "firmware": { "boot_order": ["0001", "0002"] } }),
            json!({ "firmware": { "boot_order": ["0002", "0001"] } }),
            "firmware: boot order in another order: 0001, 0002 → 0002, 0001",
        ),
        (json!({}), json!({ "tpm": { "version": "2.0", "manufacturer": "IFX" } }), "TPM: new (IFX)"),
        (json!({ "system": { "sku": "1" } }), json!({ "system": { "sku": "1", "family": "R" } }), "system: family is now R"),
        (json!({ "system": { "sku": "a" } }), json!({ "system": { "sku": "\u{1b}[2J\n" } }), "system: sku a → \\u{1b}[2J\\u{a}"),
    ];
    for (before, after, expected) in cases {
        assert_eq!(told(&document(before), &document(after)), [expected]);
    }
}

#[test]
fn what_cannot_be_read_is_not_told_as_gone() {
    let disk = |serial: Option<&str>, name: &str| match serial {
        Some(serial) => json!({ "name": name, "wwn": "w1", "serial": serial }),
        None => json!({ "name": name, "wwn": "w1" }),
    };
    let cases = [
        (
            "a fact became unreadable",
            with_gaps(json!({ "disks": [disk(Some("A"), "sda")] }), &[]),
            with_gaps(json!({ "disks": [disk(None, "sda")] }), &[("disks.sda.serial", "permission denied")]),
            vec!["disk w1: serial cannot be read any more: permission denied (was A)"],
        ),
        (
            "and can be read again, under another name",
            with_gaps(json!({ "disks": [disk(None, "sda")] }), &[("disks.sda.serial", "permission denied")]),
            with_gaps(json!({ "disks": [{ "name": "sda", "wwn": "w1", "serial": "A" }] }), &[]),
            vec!["disk w1: serial is now known: A; before: permission denied"],
        ),
        (
            "the same gap of the same disk under another name is no change",
            with_gaps(
                json!({ "disks": [{ "serial": "A", "name": "sda" }, { "serial": "B", "name": "sdb" }] }),
                &[("disks.sda.wwn", "none")],
            ),
            with_gaps(
                json!({ "disks": [{ "serial": "A", "name": "sdb" }, { "serial": "B", "name": "sda" }] }),
                &[("disks.sdb.wwn", "none")],
            ),
            vec!["disk A: name sda → sdb", "disk B: name sdb → sda"],
        ),
        (
            "a whole part cannot be read",
            with_gaps(json!({ "bmc": { "firmware": "2.86" } }), &[]),
            with_gaps(json!({}), &[("bmc", "/dev/ipmi0 is busy")]),
            vec!["BMC: cannot be seen any more: /dev/ipmi0 is busy (was firmware 2.86)"],
        ),
        (
            "a list cannot be read",
            with_gaps(json!({ "disks": [{ "serial": "A" }] }), &[]),
            with_gaps(json!({}), &[("disks", "there is no /sys/block")]),
            vec!["disks: cannot be seen any more: there is no /sys/block (was serial A)"],
        ),
        (
            "every field of a part cannot be read",
            with_gaps(json!({ "system": { "serial": "A", "sku": "S" } }), &[]),
            with_gaps(json!({}), &[("system.serial", "not root"), ("system.sku", "not root")]),
            vec!["system: serial cannot be read any more: not root (was A)", "system: sku cannot be read any more: not root (was S)"],
        ),
        (
            "gaps come, change and go where no fact was",
            with_gaps(json!({}), &[("tpm", "a"), ("bmc.mac", "b"), ("nics.eth9", "c")]),
            with_gaps(json!({}), &[("tpm", "a2"), ("gpus", "d")]),
            vec![
                "BMC: mac is no longer told as missing (before: b)",
                "GPUs: cannot be read: d",
                "network interfaces: eth9 is no longer told as missing (before: c)",
                "TPM: still cannot be read: a2 (before: a)",
            ],
        ),
        (
            "a card that disappeared while the agent looked",
            with_gaps(json!({ "nics": [{ "name": "eth0", "permanent_mac": "m", "model": "X710" }] }), &[]),
            with_gaps(json!({}), &[("nics.eth0", "it went away")]),
            vec!["eth0: cannot be seen any more: it went away (was X710)"],
        ),
        (
            "no switch is heard any more",
            with_gaps(
                json!({ "nics": [{ "name": "eth0", "permanent_mac": "m", "neighbours": [{ "chassis": "sw1", "port": "3" }] }] }),
                &[],
            ),
            with_gaps(json!({ "nics": [{ "name": "eth0", "permanent_mac": "m" }] }), &[("nics.eth0.neighbours", "no frame within 30 s")]),
            vec!["eth0: no neighbour can be seen any more: no frame within 30 s (was plugged into sw1/3)"],
        ),
    ];
    for (what, before, after, expected) in cases {
        assert_eq!(told(&before, &after), expected, "{what}");
    }
}

#[test]
fn what_stands_beside_the_facts_is_compared_too() {
    let beside = |value: i64| Document { other: Map::from_iter([("later".to_owned(), json!({ "x": value }))]), ..document(json!({})) };
    let changes = differences(&beside(1), &beside(2));
    assert_eq!(changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["other.later.x"]);
    assert_eq!(changes[0].in_words(), "later: x 1 → 2");
}

#[test]
fn a_change_says_the_same_after_it_travelled() {
    let before = with_gaps(json!({ "disks": [{ "serial": "A", "size_bytes": 1 }] }), &[]);
    let after = with_gaps(json!({ "disks": [{ "serial": "A", "size_bytes": 2000 }, { "serial": "B" }] }), &[("bmc", "why")]);
    for change in differences(&before, &after) {
        let back: Change = serde_json::from_str(&serde_json::to_string(&change).unwrap()).unwrap();
        assert_eq!((back.in_words(), &back), (change.in_words(), &change));
    }
}

#[test]
fn changes_without_end_are_counted() {
    let many = |value: usize| document(Value::Object((0..MOST_CHANGES + 7).map(|i| (format!("f{i}"), json!({ "v": value }))).collect()));
    let changes = differences(&many(1), &many(2));
    assert_eq!(changes.len(), MOST_CHANGES + 1);
    assert_eq!(changes.last().unwrap().in_words(), "and 7 further changes");
}

#[test]
fn large_and_deep_documents_are_compared_in_time() {
    let list = |shift: usize| -> Value { (0..60_000).map(|i| json!({ "serial": format!("S{}", i + shift), "name": "x" })).collect() };
    assert_eq!(differences(&document(json!({ "disks": list(0) })), &document(json!({ "disks": list(1) }))).len(), 2);
    let twins: Value = (0..60_000).map(|_| json!({ "serial": "S", "name": "x" })).collect();
    assert_eq!(differences(&document(json!({ "disks": twins })), &document(json!({ "disks": twins }))), vec![]);
    let deep = |leaf: i64| (0..120).fold(json!(leaf), |value, _| json!({ "k": value }));
    assert_eq!(differences(&document(deep(1)), &document(deep(2))).len(), 1);
    let dots = ".".repeat(100_000);
    let odd = with_gaps(json!({}), &[(&dots, "dots")]);
    assert_eq!(differences(&document(json!({})), &odd).len(), 1);
    assert_eq!(document(json!({})).amended(odd.clone()).gaps, odd.gaps);
}
