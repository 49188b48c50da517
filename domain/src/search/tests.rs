//! The language as a whole: what it means, that it is read back as it was written, and that nothing makes it panic.

use super::*;
use crate::clock::Timestamp;
use crate::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use crate::identity::Identity;
use crate::node::{Labels, Node, Stage};
use crate::order::{Order, OrderKind};
use crate::{BootId, NodeId, OrderId};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn now() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn disk(name: &str, model: &str, serial: &str, size: u64, kind: &str) -> DiskBrief {
    let (model, serial, kind) = (some(model), some(serial), some(kind));
    DiskBrief { name: name.into(), model, serial, size_bytes: Some(size), kind, wear_percent: Some(3), healthy: Some(true) }
}

fn nic(name: &str, mac: &str, speed: Option<u32>) -> NicBrief {
    NicBrief {
        name: name.into(),
        names: vec!["eno1".into(), "enp59s0f0".into()],
        mac: mac.parse().ok(),
        driver: some("mlx5_core"),
        link: Some(speed.is_some()),
        speed_mbit: speed,
        most_speed_mbit: Some(25_000),
        switch: some("sw1"),
        port: some("Ethernet1/12"),
    }
}

fn node() -> Node {
    let summary = Summary {
        vendor: some("Dell Inc."),
        product: some("PowerEdge R640"),
        cpu_model: some("Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz"),
        cpu_threads: Some(80),
        cpu_cores: Some(40),
        memory_bytes: Some(134_217_728_000),
        disks: Some(2),
        disk_bytes: Some(2_440_000_000_000),
        nics: Some(1),
        firmware: Some(Firmware::Uefi),
        firmware_version: some("2.14.2"),
        secure_boot: Some(false),
        bmc_address: "10.20.1.11".parse().ok(),
        each_disk: vec![
            disk("nvme0n1", "SAMSUNG MZ7LH480", "S4EVNX0M1", 480_000_000_000, "nvme"),
            disk("sda", "ST2000NM0055", "ZC20ABCD", 1_960_000_000_000, "hdd"),
        ],
        each_nic: vec![nic("eth0", "52:54:00:12:34:56", Some(10_000))],
        ..Summary::default()
    };
    Node {
        id: NodeId(Uuid::from_u128(0x0193_5cbf_0000_7000_8000_0000_0000_0001)),
        name: some("w12"),
        stage: Stage::Discovered,
        identity: Identity::new(Some(Uuid::from_u128(0x4c4c_4544 << 96 | 7)), Some("CZ12345678"), "52:54:00:12:34:56".parse().ok()),
        summary,
        labels: Labels { owner: some("Storage"), tags: ["ceph".into(), "Loud fan".into()].into(), note: some("Fan 3 whistles") },
        digest: None,
        first_seen: at("2026-11-01T08:30:00Z"),
        last_seen: at("2026-11-23T11:30:00Z"),
        reports: 12,
        boot: Some(BootId(Uuid::from_u128(9))),
        key: None,
        address: Some("10.20.0.101".parse().expect("an address")),
        order: Some(Order { id: OrderId(Uuid::from_u128(5)), kind: OrderKind::Reboot, given: now(), taken: None, test: None }),
        version: 3,
    }
}

fn fits(query: &str, document: Document<'_>) -> Verdict {
    let (node, placed) = (node(), Placed { rack: Some("r1".into()), unit: Some(12) });
    let read: Query = query.parse().unwrap_or_else(|error| panic!("{query}: {error}"));
    let written = read.to_string();
    assert_eq!(written.parse::<Query>().as_ref(), Ok(&read), "{query} was written as {written}");
    read.judge(&Shown { node: &node, placed: &placed }, document, now())
}

#[test]
fn a_query_means_what_a_person_means() {
    let holding = [
        "",
        "vendor = Dell",
        "VENDOR = dell",
        "vendor = \"Dell Inc.\"",
        "vendor == 'Dell Inc.'",
        "vendor != HPE",
        "product ~ edge",
        "product !~ proliant",
        "model = PowerEdge",
        "cpu = intel",
        "name = w12 and name > w9 and name <= w12",
        "firmware.version >= 2.9 and firmware.version < 2.14.10",
        "disks.size > 1TB",
        "disks.size > 1 TB and vendor = Dell",
        "disks.size >= 480GB and disks.size < 500GB",
        "disks = 2 and nics = 1",
        "disks.kind = hdd and disks.kind = nvme",
        "disks[size > 1TB and kind = hdd]",
        "disks[kind = nvme and not size > 1TB]",
        "not disks[size > 1TB and kind = nvme]",
        "disks.wear < 80% and disks.healthy = yes",
        "disks.model = samsung",
        "nics.speed = 10G and nics.most_speed = 25Gbit",
        "nics[switch = sw1 and port = Ethernet1/12 and link = up]",
        "nics.name = eno1 and nics.name = eth0",
        "mac = 5254.0012.3456",
        "macs in (52:54:00:00:00:01, 52-54-00-12-34-56)",
        "mac ~ 34:56",
        "uuid ~ 4c4c4544",
        "memory >= 120GiB and memory < 128 GiB",
        "memory.installed is missing and memory is known",
        "memory is not missing",
        "secure_boot = no",
        "firmware = uefi and firmware != bios",
        "tpm is missing",
        "tpm != 2.0",
        "bmc.address = 10.20.1.0/24 and bmc.address = 10.20.1.11 and bmc > 10.20.1.9",
        "address in (10.0.0.0/8)",
        "stage = discovered and stage < ready and not stage = ready",
        "stage in (ready, discovered)",
        "owner = storage tags = ceph",
        "tags = loud",
        "tag not in (gpu, db)",
        "seen < 1h and seen > 5min and seen < 2 days",
        "first_seen > 7d and first_seen = 2026-11-01 and first_seen < 2026-11-02 and first_seen >= 2026-11-01",
        "first_seen <= 2026-11-01 and first_seen > 2026-10-31 and first_seen = 2026-11-01T08:30:00Z",
        "reports > 10 and reports < 13",
        "order = reboot and order ~ boot",
        "rack = r1 and unit = 12",
        "dell r640",
        "w12",
        "\"fan 3\" and whistles",
        "S4EVNX0M1 or nothing",
        "5254.0012.3456",
        "525400123456",
        "10.20.0.101",
        "(vendor = HPE or vendor = Dell) and not (stage = ready or disks = 0)",
        "vendor = HPE and stage = ready or name = w12",
        "not not w12",
        "r1",
        "eth0\u{a0}eno1\tand\nw12",
    ];
    for query in holding {
        assert_eq!(fits(query, Document::Unread), Verdict::Fits, "{query}");
        assert_eq!(fits(&format!("not ({query})").replace("not ()", "not w12"), Document::Unread), Verdict::FitsNot, "{query}");
    }
    let failing = [
        "vendor = Del",
        "vendor == Dell",
        "vendor == 'dell inc.'",
        "vendor = \"\"",
        "name = w1",
        "disks[size > 1TB and kind = nvme]",
        "disks.size != 480GB",
        "disks.model is missing",
        "tpm = 2.0",
        "tpm < 2.0",
        "stage = ready",
        "mac != 52:54:00:12:34:56",
        "seen > 1h",
        "first_seen > 2026-11-01",
        "gpus is known",
        "bmc = 10.20.2.0/24",
        "dellorto",
        "\"eth0 eno1\"",
    ];
    for query in failing {
        assert_eq!(fits(query, Document::Unread), Verdict::FitsNot, "{query}");
    }
}

#[test]
fn facts_are_asked_of_the_document_and_only_where_they_decide() {
    let facts = json!({
        "cpu": {"flags": ["aes", "avx512f"], "microcode": "0x2b000590"},
        "memory": {"dimms": [
            {"slot": "A1", "part_number": "M393A4K40CB2", "size_bytes": 34_359_738_368u64, "ecc": true},
            {"slot": "A2", "part_number": "M393A2K40CB2", "size_bytes": 17_179_869_184u64},
        ]},
        "pci": [{"vendor_id": "8086"}, {"vendor_id": "15b3", "driver": null}],
        "sensors": [{"value": -5}],
    });
    let holding = [
        "facts.pci.vendor_id = 8086",
        "facts.pci.vendor_id in (1234, 15B3)",
        "facts.cpu.flags = avx512f and facts.cpu.flags != avx2",
        "facts.memory.dimms.part_number ~ M393",
        "facts.memory.dimms.size_bytes >= 32GiB",
        "facts.memory.dimms[size_bytes > 30GB and slot = a1]",
        "not facts.memory.dimms[size_bytes > 30GB and slot = A2]",
        "facts.memory.dimms[ecc is missing or ecc = no]",
        "facts.memory.dimms.ecc = yes",
        "facts.cpu.microcode > 0x2b000580",
        "facts.sensors.value < 0 and facts.sensors.value = -5",
        "facts.tpm is missing and facts.cpu is known and facts.pci.driver is missing",
        "facts.cpu.flags !~ sse",
    ];
    for query in holding {
        assert!(query.parse::<Query>().is_ok_and(|query| query.needs_documents()));
        assert_eq!(fits(query, Document::Unread), Verdict::AskDocument, "{query}");
        assert_eq!(fits(query, Document::Facts(&facts)), Verdict::Fits, "{query}");
        assert_eq!(fits(&format!("not ({query})"), Document::Facts(&facts)), Verdict::FitsNot, "{query}");
    }
    for (query, verdict) in [
        ("vendor = HPE and facts.cpu.flags = aes", Verdict::FitsNot),
        ("facts.cpu.flags = aes and vendor = HPE", Verdict::FitsNot),
        ("facts.cpu.flags = aes or vendor = Dell", Verdict::Fits),
        ("facts.cpu.flags = aes or vendor = HPE", Verdict::AskDocument),
    ] {
        assert_eq!(fits(query, Document::Unread), verdict, "{query}");
    }
    assert_eq!(fits("facts.cpu.flags = aes", Document::Facts(&serde_json::Value::Null)), Verdict::FitsNot);
    assert!("vendor = Dell r640".parse::<Query>().is_ok_and(|query| !query.needs_documents()));
}

#[test]
fn a_mistake_points_at_its_place_and_says_how_to_mend_it() {
    let cases = [
        (
            "vendor = Dell and disks.sise > 1TB",
            "there is no field `disks.sise`; did you mean `disks.size`?\n  vendor = Dell and disks.sise > 1TB\n                    ^^^^^^^^^^",
        ),
        ("disks.size > big", "expected a size such as 512GB, 1.5TB or 16GiB, found `big`\n  disks.size > big\n               ^^^"),
        (
            "disks.size > 1T",
            "`1T` is not clear: write TB for powers of 1000 or TiB for powers of 1024\n  disks.size > 1T\n               ^^",
        ),
        (
            "stage = redy",
            "expected one of discovered, approved, installing, installed, ready, handed_over, rejected, quarantined, releasing, rescue, \
             retired, failed, found `redy`; did you mean `ready`?\n  stage = redy\n          ^^^^",
        ),
        ("vendor =", "expected a text; quote it when it has spaces, found the end\n  vendor =\n          ^"),
        ("(vendor = Dell", "expected `)`, found the end\n  (vendor = Dell\n                ^"),
        ("vendor = Dell)", "found `)` where a condition or the end was expected\n  vendor = Dell)\n               ^"),
        ("= Dell", "expected a condition such as `vendor = Dell`, found `=`\n  = Dell\n  ^"),
        ("a or", "expected a condition such as `vendor = Dell`, found the end\n  a or\n      ^"),
        ("and", "expected a condition, found `and`; to search for the word, quote it: \"and\"\n  and\n  ^^^"),
        ("'vendor' = Dell", "the left side of `=` is the name of a field, without quotation marks\n  'vendor' = Dell\n  ^^^^^^^^"),
        ("tags in ceph", "expected `(` and a list of values after `in`, found `ceph`\n  tags in ceph\n          ^^^^"),
        ("tags in (a b)", "expected `,` or `)`, found `b`\n  tags in (a b)\n             ^"),
        ("tpm is 2.0", "expected `missing` or `known` after `is`; to compare, write `=`, found `2.0`\n  tpm is 2.0\n         ^^^"),
        ("mac > 52:54:00:12:34:56", "`mac` has no order: use `=` or `!=`\n  mac > 52:54:00:12:34:56\n      ^^^^^^^^^^^^^^^^^^^"),
        ("memory ~ 16", "`~` looks inside texts, and `memory` is no text: use `=` or `>`\n  memory ~ 16\n         ^^^^"),
        ("seen = 1h", "`seen` and a length of time are compared with `<` (less long ago) or `>` (longer ago)\n  seen = 1h\n       ^^^^"),
        ("vendor[a = b]", "`vendor` has no parts: `[ ]` follows `disks`, `nics` or a list of `facts`\n  vendor[a = b]\n  ^^^^^^"),
        ("disks[sice > 1TB]", "there is no field `sice`; did you mean `size`?\n  disks[sice > 1TB]\n        ^^^^"),
        ("disks[samsung]", "inside `[ ]` stand conditions only, such as `size > 1TB`\n  disks[samsung]\n        ^^^^^^^"),
        ("disks[size > 1TB", "expected `]`, found the end\n  disks[size > 1TB\n                  ^"),
        ("name = a ! b", "`!` alone is no comparison: write `!=`, `!~`, or `not` before the condition\n  name = a ! b\n           ^"),
        ("note = \"a\nb\"", "this quotation is not closed on its line: end it with \"\n  note = \"a b\"\n         ^^^^^"),
        ("facts. = 1", "a path into the facts is names with points between: `facts.memory.dimms.part_number`\n  facts. = 1\n  ^^^^^^"),
    ];
    for (query, wanted) in cases {
        let told = query.parse::<Query>().map(|query| query.to_string()).map_err(|mistake| mistake.to_string());
        assert_eq!(told, Err(wanted.to_owned()), "{query}");
    }
    let unknown = "colour = red".parse::<Query>().expect_err("no such field").to_string();
    assert!(unknown.starts_with("there is no field `colour`; known are name, id, stage, "), "{unknown}");
}

#[test]
fn a_query_is_bounded_in_length_and_depth() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(deep(DEEPEST).parse::<Query>().is_ok());
    for query in [deep(DEEPEST + 1), "(".repeat(MOST_BYTES), format!("{}a", "not ".repeat(1000)), "disks[".repeat(600)] {
        let told = query.parse::<Query>().expect_err("too deep").to_string();
        assert!(told.contains("nested too deeply") || told.contains("no other list"), "{told}");
    }
    let long = format!("a{}", " a".repeat(MOST_BYTES));
    assert!(long.parse::<Query>().expect_err("too long").to_string().contains("too long"));
    assert!(format!("tags in ({}a)", "a,".repeat(300)).parse::<Query>().is_err());
}

fn shown_cell(column: &str) -> Cell {
    let (node, placed) = (node(), Placed::default());
    let columns: Columns = column.parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(columns.to_string().parse(), Ok(columns.clone()));
    let facts = json!({"cpu": {"flags": ["aes", "sse"], "microcode": "0x1\u{1b}[2J"}});
    columns.cells(&Shown { node: &node, placed: &placed }, Document::Facts(&facts), now()).remove(0)
}

#[test]
fn a_column_is_short_for_people_and_exact_for_machines() {
    let cases = [
        ("name", "w12", json!("w12")),
        ("disks.size", "480 GB, 2 TB", json!([480_000_000_000u64, 1_960_000_000_000u64])),
        ("memory", "125 GiB", json!(134_217_728_000u64)),
        ("seen", "30 min ago", json!("2026-11-23T11:30:00Z")),
        ("first_seen", "22 days ago", json!("2026-11-01T08:30:00Z")),
        ("tags", "Loud fan, ceph", json!(["Loud fan", "ceph"])),
        ("nics.speed", "10 Gbit/s", json!([10_000])),
        ("disks.wear", "2 × 3 %", json!([3, 3])),
        ("secure_boot", "no", json!(false)),
        ("stage", "discovered", json!("discovered")),
        ("tpm", "", json!(null)),
        ("gpus", "", json!([])),
        ("bmc", "10.20.1.11", json!("10.20.1.11")),
        ("facts.cpu.flags", "aes, sse", json!(["aes", "sse"])),
        ("facts.cpu.microcode", "0x1\\u{1b}[2J", json!("0x1\u{1b}[2J")),
        ("facts.nothing", "", json!(null)),
    ];
    for (column, text, json) in cases {
        assert_eq!(shown_cell(column), Cell { text: text.into(), json }, "{column}");
    }
    let told = |text: &str| text.parse::<Columns>().expect_err("a mistake").to_string();
    assert_eq!(told("name, vender"), "there is no field `vender`; did you mean `vendor`?\n  name, vender\n        ^^^^^^");
    assert_eq!(told("name,,id"), "expected the name of a field between the commas\n  name,,id\n       ^");
    assert!(told("").contains("expected the names of fields") && told(&"id,".repeat(9999)).contains("too long"));
    let many: Vec<_> = (0..33).map(|n| format!("facts.a{n}")).collect();
    assert!(told(&many.join(",")).contains("at most 32"));
    assert_eq!(told("name,ID,id"), "this column is there already: name it once\n  name,ID,id\n          ^^");
    assert!(told("facts.a,facts.b,facts.a").contains("name it once"));
}

#[test]
fn a_cell_of_facts_is_cut_however_much_a_node_says() {
    let (node, placed) = (node(), Placed::default());
    let long = "ä".repeat(1 << 20);
    let facts = json!({"text": long, "list": vec!["0123456789"; 5000], "big": {"of": {"k": "v".repeat(1 << 20)}}, "texts": [long, long]});
    for column in ["facts.text", "facts.list", "facts.big", "facts.texts"] {
        let columns: Columns = column.parse().expect("columns");
        let cell = columns.cells(&Shown { node: &node, placed: &placed }, Document::Facts(&facts), now()).remove(0);
        assert!(cell.text.len() < 600 && cell.json.to_string().len() < 8192, "{column}: {}", cell.json.to_string().len());
        assert!(column == "facts.list" || cell.json.to_string().contains('…'), "{column}");
    }
}

#[test]
fn nodes_are_sorted_as_people_count_and_what_lacks_the_key_is_last() {
    let keyed = |change: &dyn Fn(&mut Node), key: &Key| {
        let (mut node, placed) = (node(), Placed::default());
        change(&mut node);
        key.of(&Shown { node: &node, placed: &placed }).into_owned()
    };
    let key = |text: &str| text.parse::<Sort>().expect("a sort order").keys()[0];
    let named = |name: &'static str| move |node: &mut Node| node.name = (!name.is_empty()).then(|| name.to_owned());
    for (sort, first, second) in [
        ("name", "w9", "w10"),
        ("name", "W2", "w010"),
        ("name", "w1", "w1a"),
        ("name", "w1", ""),
        ("-name", "w10", "w9"),
        ("-name", "w1", ""),
    ] {
        let key = key(sort);
        let (a, b) = (keyed(&named(first), &key), keyed(&named(second), &key));
        assert!(key.compare(&a, &b).is_lt() && key.compare(&b, &a).is_gt(), "{sort}: {first} before {second}");
    }
    assert_eq!(keyed(&|_| {}, &key("disks.size")), Standing::Number(480_000_000_000));
    assert_eq!(keyed(&|_| {}, &key("-disks.size")), Standing::Number(1_960_000_000_000));
    let sort: Sort = " -disks.size, name ".parse().expect("a sort order");
    assert_eq!(sort.to_string(), "-disks.size,name");
    let told = |text: &str| text.parse::<Sort>().expect_err("a mistake").to_string();
    assert_eq!(told("-vender"), "there is no field `vender`; did you mean `vendor`?\n  -vender\n  ^^^^^^^");
    assert!(told("facts.cpu.model").contains("cannot be sorted by facts") && told(&["id"; 9].join(",")).contains("at most 8"));
    assert_eq!("".parse(), Ok(Sort::default()));
}

/// The guide, held to what is true here.
const GUIDE: &str = include_str!("../../../docs/search.md");

#[test]
fn the_guide_has_every_field_and_no_other_and_its_questions_are_sound() {
    let section = GUIDE.split("## Fields\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section of fields");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `facts.")).collect();
    let described = FIELDS.iter().map(|field| {
        let names: Vec<String> = std::iter::once(&field.name).chain(field.aliases).map(|name| format!("`{name}`")).collect();
        let several = if field.many { ", several" } else { "" };
        format!("| {} | {}{several} | yes | {} |", names.join(", "), field.kind.word(), field.about)
    });
    assert_eq!(rows, described.collect::<Vec<_>>());
    let questions = GUIDE.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("examples");
    assert!(questions.lines().count() > 10);
    for question in questions.lines().chain(["vendor = Dell and facts.cpu.flags = avx512f", "disks.size > 1TB and disks.kind = nvme"]) {
        assert!(question.parse::<Query>().is_ok(), "{question}: {:?}", question.parse::<Query>());
    }
    for bound in [format!("at most {MOST_BYTES} bytes, {DEEPEST} levels"), format!("the first {KEY_BYTES} bytes count")] {
        assert!(GUIDE.contains(&bound), "{bound}");
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "vendor",
            "disks.size",
            "disks[",
            "]",
            "size",
            "kind",
            "seen",
            "mac",
            "facts.cpu.flags",
            "stage",
            "tags",
            "unit"
        ]),
        proptest::sample::select(vec![
            "=",
            "==",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "~",
            "!~",
            "is missing",
            "is known",
            "is",
            "in (",
            "not in (",
            ",",
            ")"
        ]),
        proptest::sample::select(vec![
            "and",
            "or",
            "not",
            "(",
            ")",
            "1TB",
            "1 TB",
            "7d",
            "80%",
            "Dell",
            "\"a b\"",
            "'x",
            "2026-11-01",
            "ready",
            "10.0.0.0/8"
        ]),
    ]
    .prop_map(str::to_owned)
}

/// Queries that are sound.
fn query() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            "vendor = Dell",
            "disks.size >= 1.5TB",
            "nics.speed != 10G",
            "seen < 90min",
            "first_seen > 2026-11-01T08:30:00.5Z",
            "mac in (52:54:00:00:00:01, 52:54:00:00:00:02)",
            "tags not in ('a b', c)",
            "tpm is not missing",
            "disks[size > 1TB and (kind = nvme or not wear < 3%)]",
            "facts.pci[vendor_id = 8086 or driver is missing]",
            "bmc = 10.0.0.0/8",
            "unit < 7",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9:./ \\\\\"é]{1,12}"
            .prop_filter("something to search for", |text| !text.trim().is_empty())
            .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" and ")),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" or ")),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.join(" ")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.prop_map(|inner| format!("not {inner}")),
        ]
    })
}

proptest! {
    #[test]
    fn the_beginnings_of_texts_stand_as_the_texts_do(a in "[a-bA-B0-2:/ -]{0,14}", b in "[a-bA-B0-2:/ -]{0,14}") {
        let ordering = beginning(&a).cmp(&beginning(&b));
        prop_assert!(ordering.is_eq() || ordering == order::natural(&a, &b), "{a:?} {b:?}");
    }

    #[test]
    fn what_is_told_quickly_first_means_the_same(text in query()) {
        let query: Query = text.parse().map_err(|mistake: Mistake| TestCaseError::fail(mistake.to_string()))?;
        let (node, placed, facts) = (node(), Placed::default(), json!({"pci": [{"vendor_id": "8086"}]}));
        let shown = Shown { node: &node, placed: &placed };
        for document in [Document::Unread, Document::Facts(&facts)] {
            prop_assert_eq!(query.judge(&shown, document, now()), query.quickest_first().judge(&shown, document, now()));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        for mistake in [text.parse::<Query>().err(), text.parse::<Sort>().err(), text.parse::<Columns>().err()].into_iter().flatten() {
            prop_assert!(mistake.to_string().lines().count() == 3 || text.contains('\n') || text.contains('\r'), "{mistake}");
            prop_assert!(mistake.to_string().chars().all(|c| c == '\n' || !c.is_control()), "{mistake:?}");
        }
    }

    #[test]
    fn no_heap_of_words_makes_the_parser_or_the_judge_panic(words in proptest::collection::vec(word(), 0..12)) {
        let text = words.join(" ");
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query.clone()));
            let (node, placed) = (node(), Placed::default());
            let _ = query.judge(&Shown { node: &node, placed: &placed }, Document::Unread, now());
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same(text in query()) {
        let query: Query = text.parse().map_err(|mistake: Mistake| TestCaseError::fail(mistake.to_string()))?;
        prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
    }
}
