//! The table against the plain meaning of a query, pages while nodes come and go, and how much is read of documents.

#![allow(clippy::unwrap_used)]

use super::lifelike::{self, Dice};
use super::*;
use crate::fake_store::FakeStore;
use domain::document::{Digest, Document as Facts};
use domain::history::KeptReport;
use domain::node::Node;
use domain::ports::NodeStore;
use domain::search::{Columns, Document, FIELDS, Placed, Query, Shown, Sort, Verdict};
use domain::{NodeId, Timestamp};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const NODES: u64 = 1100;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn nodes(seed: u64, many: u64) -> Vec<Node> {
    (0..many).map(|number| lifelike::node(seed, number, now())).collect()
}

fn table(nodes: &[Node]) -> Table {
    let table = Table::default();
    nodes.iter().for_each(|node| table.put(node));
    table
}

fn place(number: usize) -> Placed {
    let rack: Option<Arc<str>> = (!number.is_multiple_of(3)).then(|| format!("R{}", number / 40).into());
    Placed { unit: rack.is_some().then_some(number as u32 % 40 + 1), rack }
}

fn ask(query: &str, sort: &str, limit: usize) -> Ask {
    let told = |mistake: domain::search::Mistake| -> ! { panic!("{mistake}") };
    Ask {
        query: query.parse::<Query>().unwrap_or_else(|mistake| told(mistake)),
        sort: sort.parse::<Sort>().unwrap_or_else(|mistake| told(mistake)),
        columns: None,
        cursor: None,
        limit,
    }
}

fn ids(found: &Found) -> Vec<NodeId> {
    found.items.iter().map(|hit| hit.id).collect()
}

/// All pages, one after the other.
fn all_pages(table: &Table, ask: &Ask) -> Vec<NodeId> {
    let mut ask = ask.clone();
    let mut all = Vec::new();
    loop {
        let found = table.query(&ask, now()).unwrap();
        all.extend(ids(&found));
        match found.next {
            Some(next) => ask.cursor = Some(next),
            None => return all,
        }
    }
}

/// What the language says, without a table.
fn plainly(nodes: &[(Node, Placed)], ask: &Ask) -> Vec<NodeId> {
    let shown: Vec<_> = nodes.iter().map(|(node, placed)| Shown { node, placed }).collect();
    let mut fitting: Vec<_> = shown.iter().filter(|shown| ask.query.judge(*shown, Document::Unread, now()) == Verdict::Fits).collect();
    fitting.sort_by(|a, b| {
        let keys = ask.sort.keys().iter().map(|key| key.compare(&key.of(*a), &key.of(*b)));
        keys.fold(Ordering::Equal, Ordering::then).then(a.node.id.cmp(&b.node.id))
    });
    fitting.iter().map(|shown| shown.node.id).collect()
}

const QUERIES: &[&str] = &[
    "",
    "disks.size > 1TB and vendor = Dell and stage = discovered",
    "vendor == 'Dell Inc.' and product !~ R640",
    "vendor == 'dell inc.'",
    "vendor is missing or vendor != HPE",
    "disks[size > 1TB and kind = nvme and wear > 50%]",
    "not disks[kind = hdd] disks.healthy = no",
    "disks[serial is missing] and disks > 4",
    "disks.model = samsung and disks.wear < 2%",
    "nics[switch = sw-r7-1 and port ~ ethernet1/3]",
    "nics.name = eno1 and nics.link = down and nics.most_speed = 25G",
    "nics.name = ens1f0np0 and nics.driver = mlx5_core",
    "mac = 3cec.0000.0101 or mac in (3c:ec:00:00:01:0a, 3c:ec:00:00:01:0e)",
    "memory > 200GiB and memory.installed < 1TiB and memory.dimms >= 8",
    "cpu = AMD and cpu.threads > 200",
    "seen < 7d and first_seen < 2026-10-01",
    "tags = ceph and tags != 'loud fan'",
    "tags = Loud",
    "tags == 'Loud fan'",
    "gpus = nvidia",
    "owner in (DATABASES, storage) and note is known",
    "firmware.version > 2.9 and firmware = uefi and secure_boot = yes",
    "bmc = 10.20.4.0/24 and tpm = 2.0",
    "order = reboot and boot is known",
    "rack = r7 and unit <= 12",
    "rack is missing",
    "r7",
    "whistles spring",
    "dell r640 ceph",
    "3cec00000101",
    "uuid ~ 00007 and reports > 150",
    "address ~ 10.128.0.1",
    "asset_tag ~ A-0",
    "name = r7-n1 or serial ~ QQ",
    "disks.size = 8001563222016 or disks.size <= 480103981056 and disks.size < 500GB",
    "not disks[size >= 500GB] and disks.size != 1TB",
    "disks[size = 3840755982336 and serial is missing or healthy = no]",
    "tags in (canary, loud) and product in (proliant, SYS-1029P-WTR)",
];

const SORTS: &[&str] = &[
    "",
    "name",
    "-name",
    "-disks.size,name",
    "disks.size",
    "seen",
    "-seen,vendor",
    "vendor,-memory,rack,unit",
    "-tags",
    "owner,-nics.switch",
    "bmc",
    "-mac",
];

#[test]
fn the_table_answers_what_the_language_means_in_every_order() {
    let nodes = nodes(1, NODES);
    let table = table(&nodes);
    let nodes: Vec<_> = nodes.into_iter().enumerate().map(|(n, node)| (node, place(n))).collect();
    nodes.iter().for_each(|(node, placed)| table.place(node.id, placed.clone()));
    for (n, query) in QUERIES.iter().enumerate() {
        let sorts = if n < 2 { SORTS.to_vec() } else { vec![SORTS[n % SORTS.len()]] };
        for sort in sorts {
            let ask = ask(query, sort, if n < 2 { 97 } else { 500 });
            let wanted = plainly(&nodes, &ask);
            assert_eq!(all_pages(&table, &ask), wanted, "{query} by {sort}");
            assert_eq!(table.query(&ask, now()).unwrap().total, Some(wanted.len()), "{query}");
        }
        let finds_something = !plainly(&nodes, &ask(query, "", 1)).is_empty();
        assert!(finds_something != query.contains("dell inc.'"), "{query} tests nothing");
    }
}

#[test]
fn every_column_of_the_table_is_as_the_node_says() {
    let nodes = nodes(2, 300);
    let table = table(&nodes);
    let columns: Columns = FIELDS.iter().take(32).map(|field| field.name).collect::<Vec<_>>().join(",").parse().unwrap();
    let others: Columns = FIELDS.iter().skip(32).map(|field| field.name).collect::<Vec<_>>().join(",").parse().unwrap();
    for (n, node) in nodes.iter().enumerate() {
        let placed = place(n);
        table.place(node.id, placed.clone());
        for columns in [&columns, &others] {
            let wanted = columns.cells(&Shown { node, placed: &placed }, Document::Unread, now());
            assert_eq!(table.cells(node.id, columns, Document::Unread, now()).unwrap(), wanted, "{:?}", node.name);
        }
    }
}

#[test]
fn odd_texts_are_kept_as_they_are() {
    let mut node = lifelike::node(3, 1, now());
    node.name = Some(String::new());
    node.labels.owner = Some("Zürich ÄB 1".into());
    node.labels.note = Some(format!("{}END", "ß".repeat(20_000)));
    node.labels.tags = BTreeSet::from(["A".into(), "ÉA".into(), "a".into()]);
    node.summary.vendor = Some("Dell\nInc.".into());
    node.summary.asset_tag = Some("x".repeat(70_000));
    let table = table(&[node.clone()]);
    let columns: Columns = "name,owner,note,tags,vendor,asset_tag".parse().unwrap();
    let cells = table.cells(node.id, &columns, Document::Unread, now()).unwrap();
    let json: Vec<_> = cells.into_iter().map(|cell| cell.json).collect();
    let expected = [json!(""), json!("Zürich ÄB 1"), json!(node.labels.note), json!(["A", "a", "ÉA"]), json!("Dell Inc."), Value::Null];
    assert_eq!(json, expected, "what does not fit is left out, what would end a line does not");
    for query in ["owner = zürich", "owner == 'Zürich ÄB 1'", "vendor = Dell", "ßEND", "tags == a and tags == A"] {
        assert_eq!(table.query(&ask(query, "note,-owner", 9), now()).unwrap().total, Some(1), "{query}");
    }
}

#[test]
fn pages_neither_repeat_nor_hide_a_node_while_others_come_go_and_change() {
    let mut dice = Dice::new(7);
    for sort in ["", "name", "-seen,name", "vendor,-memory", "-disks.size"] {
        let nodes = nodes(4, 1100);
        let table = table(&nodes);
        let mut ask = ask("disks > 3", sort, 50);
        let still: BTreeSet<_> = all_pages(&table, &ask).into_iter().filter(|id| !(id.0.as_u128() as u32).is_multiple_of(5)).collect();
        let mut seen = Vec::new();
        let mut fresh = 10_000;
        loop {
            let found = table.query(&ask, now()).unwrap();
            seen.extend(ids(&found));
            // Every fifth node may go or change, and new ones come.
            for _ in 0..30 {
                let number = dice.below(220) * 5;
                match dice.below(3) {
                    0 => table.remove(nodes[number as usize].id),
                    1 => table.put(&Node { version: 2, ..lifelike::node(dice.below(9), number, now()) }),
                    _ => {
                        fresh += 5;
                        table.put(&lifelike::node(4, fresh, now()));
                    }
                }
            }
            match found.next {
                Some(next) => ask.cursor = Some(next),
                None => break,
            }
        }
        let mut once: Vec<_> = seen.iter().copied().filter(|id| still.contains(id)).collect();
        let all = once.len();
        once.sort_unstable();
        once.dedup();
        assert_eq!((once.len(), all), (still.len(), still.len()), "sorted by {sort}");
    }
}

#[test]
fn a_node_is_as_its_newest_version_says_and_gone_when_it_is_removed() {
    let nodes = nodes(5, 1100);
    let table = table(&nodes);
    let bytes = table.bytes();
    for round in 2..12 {
        nodes.iter().for_each(|node| table.put(&Node { version: round, name: Some(format!("v{round}-{}", node.reports)), ..node.clone() }));
    }
    table.put(&Node { name: Some("old".into()), ..nodes[0].clone() });
    assert_eq!(table.query(&ask("name ~ v11-", "", 1), now()).unwrap().total, Some(1100));
    assert!(table.bytes() < bytes * 3 / 2, "{} after many changes, {bytes} before", table.bytes());
    nodes.iter().skip(10).for_each(|node| table.remove(node.id));
    table.remove(nodes[20].id);
    assert_eq!((table.len(), all_pages(&table, &ask("", "name", 3)).len()), (10, 10));
    nodes.iter().for_each(|node| table.put(node));
    assert_eq!((table.len(), table.query(&ask("", "", 1), now()).unwrap().total), (1100, Some(1100)));
}

#[test]
fn hearing_a_node_counts_at_once_and_is_not_undone_by_a_change() {
    let node = lifelike::node(6, 1, now());
    let table = table(std::slice::from_ref(&node));
    let fits = |query: &str| table.query(&ask(query, "", 1), now()).unwrap().total == Some(1);
    table.heard(node.id, now());
    table.heard(node.id, domain::clock::after_seconds(now(), -500));
    table.put(&Node { version: 2, ..node.clone() });
    assert!(fits("seen < 1s"));
    table.heard(NodeId(uuid::Uuid::nil()), now());
    table.place(node.id, Placed { rack: Some("R1".into()), unit: Some(3) });
    table.put(&Node { version: 3, ..node.clone() });
    assert!(fits("rack = r1 and unit = 3"));
    table.remove(node.id);
    table.put(&node);
    assert!(fits("rack is missing"), "a new node has no place of one that is gone");
}

#[test]
fn a_cursor_of_another_search_is_refused() {
    let table = table(&nodes(8, 30));
    let first = ask("vendor is known", "-name", 5);
    let next = table.query(&first, now()).unwrap().next.unwrap();
    let with = |ask: Ask, cursor: &str| table.query(&Ask { cursor: Some(cursor.into()), ..ask }, now());
    assert!(with(first.clone(), &next).is_ok());
    assert!(with(ask("VENDOR  is known", "-name", 7), &next).is_ok(), "it is the same question however it is typed");
    assert_eq!(with(ask("vendor is known", "name", 5), &next), Err(BadCursor::OfAnotherList));
    assert_eq!(with(ask("", "-name", 5), &next), Err(BadCursor::OfAnotherList));
    for bad in ["", "x", "é", &next[1..], &next[..9], &"A".repeat(100_000)] {
        assert_eq!(with(first.clone(), bad), Err(BadCursor::Unreadable), "{bad}");
    }
}

async fn store(nodes: &[Node]) -> Arc<FakeStore> {
    let store = Arc::new(FakeStore::default());
    for (n, node) in nodes.iter().enumerate() {
        let node = Node { reports: 1, ..node.clone() };
        let facts = json!({"cpu": {"flags": if n % 3 == 0 { ["avx512f"] } else { ["sse2"] }}, "n": n});
        let document = serde_json::to_string(&Facts { facts, ..Facts::default() }).unwrap();
        let report = KeptReport {
            at: now(),
            boot: None,
            address: None,
            amends: false,
            digest: Digest([n as u8; 32]),
            document: Some(document),
            readings: Value::Null,
        };
        store.keep_report(&node, &report).await.unwrap();
    }
    store
}

#[tokio::test]
async fn facts_are_read_only_of_the_nodes_that_the_fields_leave() {
    let nodes = nodes(9, 300);
    let (table, store) = (Arc::new(table(&nodes)), store(&nodes).await);
    let reads = || store.reads.load(std::sync::atomic::Ordering::SeqCst);
    let search = |ask: Ask, bounds: Bounds| search(table.clone(), store.clone(), ask, bounds, now());
    let dells = table.query(&ask("vendor = Dell", "", 1), now()).unwrap().total.unwrap();

    let found = search(ask("vendor = Dell and facts.cpu.flags = avx512f", "name", 1000), Bounds::default()).await.unwrap();
    let number = |id: NodeId| nodes.iter().position(|node| node.id == id).unwrap();
    assert!(found.items.iter().all(|hit| number(hit.id).is_multiple_of(3)) && found.items.len() > 10);
    assert_eq!((reads(), found.total, found.next), (dells as u64, None, None));

    let before = reads();
    let plain = search(ask("vendor = Dell", "name", 1000), Bounds::default()).await.unwrap();
    assert_eq!((reads(), plain.total), (before, Some(dells)), "fields are answered from memory");

    let shows = Ask { columns: Some("name,facts.n".parse().unwrap()), ..ask("", "-id", 4) };
    let shown = search(shows, Bounds::default()).await.unwrap();
    let cells: Vec<_> = shown.items.iter().map(|hit| hit.cells[1].json.clone()).collect();
    assert_eq!((cells, reads() - before, shown.total), (vec![json!(299), json!(298), json!(297), json!(296)], 4, Some(300)));

    let shows = Ask { columns: Some("name,facts.n".parse().unwrap()), ..ask("", "-id", 300) };
    let short = search(shows, Bounds { bytes: 1, ..Bounds::default() }).await.unwrap();
    assert!(short.items.len() < 20 && short.next.is_some(), "a page ends when it is large enough");
}

#[tokio::test]
async fn a_request_reads_a_bounded_number_of_documents_and_its_cursor_goes_on() {
    let nodes = nodes(10, 300);
    let (table, store) = (Arc::new(table(&nodes)), store(&nodes).await);
    for bounds in [Bounds { documents: 20, ..Bounds::default() }, Bounds { time: Duration::ZERO, ..Bounds::default() }] {
        let mut ask = ask("facts.cpu.flags = avx512f", "-memory", 7);
        let mut all = Vec::new();
        let mut pages = 0;
        loop {
            let before = store.reads.load(std::sync::atomic::Ordering::SeqCst);
            let found = search(table.clone(), store.clone(), ask.clone(), bounds, now()).await.unwrap();
            assert!(found.items.len() <= 7 && store.reads.load(std::sync::atomic::Ordering::SeqCst) - before <= 20 + 8);
            all.extend(ids(&found));
            pages += 1;
            match found.next {
                Some(next) => ask.cursor = Some(next),
                None => break,
            }
        }
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!((all.len(), once.len()), (100, 100), "in {pages} pages");
    }
    store.fail(true);
    let failed = search(table.clone(), store.clone(), ask("facts.cpu.flags = avx512f", "", 7), Bounds::default(), now()).await;
    assert!(matches!(failed, Err(SearchError::Store(_))));
    assert!(search(table, store, ask("vendor = Dell", "", 7), Bounds::default(), now()).await.is_ok(), "fields need no store");
}

#[test]
fn queries_and_changes_at_the_same_time_end() {
    let nodes = nodes(11, 1100);
    let table = table(&nodes);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (table, nodes) = (&table, &nodes);
            scope.spawn(move || {
                let mut dice = Dice::new(seed);
                for version in 2..300 {
                    let node = &nodes[dice.below(1100) as usize];
                    match dice.below(4) {
                        0 => table.remove(node.id),
                        1 => table.heard(node.id, now()),
                        _ => table.put(&Node { version, ..node.clone() }),
                    }
                }
            });
        }
        for sort in ["name", "-seen"] {
            let table = &table;
            scope.spawn(move || (0..10).for_each(|_| assert!(!all_pages(table, &ask("dell or hpe", sort, 300)).is_empty())));
        }
    });
}
