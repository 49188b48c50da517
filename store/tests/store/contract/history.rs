use super::{ODD, at, node};
use domain::document::{Digest, Document, Gap};
use domain::history::{KeptReport, PastReport, Snapshot};
use domain::ids::{BootId, NodeId};
use domain::node::Node;
use domain::ports::{NodeStore, StoreError};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The `n`th document.
pub fn document(n: u16) -> Document {
    Document {
        facts: json!({"system": {"serial": ODD, "later": [n, u64::MAX, -1, 0.5, null, "\0"]}, "long": "lifelike ".repeat(200)}),
        gaps: vec![Gap { path: "disks.sda.wwn".into(), reason: ODD.into() }],
        other: serde_json::Map::from_iter([(ODD.into(), json!({"later": [ODD, {"": null}, n]}))]),
    }
}

/// What a report says.
pub enum Told {
    /// The same document as before.
    Unchanged,
    /// Another one.
    Changed(Document),
    /// Another one, because a part of it was amended.
    Amended(Document),
    /// The same document as before, and readings.
    Readings(Value),
}

/// The report that `told` makes, accepted at `at(second)`.
fn report(told: Told, second: i64) -> KeptReport {
    let amends = matches!(told, Told::Amended(_));
    let (document, readings) = match told {
        Told::Unchanged => (None, Value::Null),
        Told::Changed(document) | Told::Amended(document) => (Some(document), Value::Null),
        Told::Readings(readings) => (None, readings),
    };
    let imported = second % 2 == 0;
    KeptReport {
        at: at(second),
        boot: (!imported).then(|| BootId(Uuid::from_u128(0x100 + second as u128))),
        address: (!imported).then_some(Ipv4Addr::new(10, 20, 0, 9)),
        amends,
        digest: Digest([0xab; 32]),
        document: document.map(|document| serde_json::to_value(&document).expect("JSON").to_string()),
        readings,
    }
}

/// Keeps a report of a node that has reported before, or of a new one; yields the node after it.
pub async fn tell(store: &dyn NodeStore, node: Node, told: Told, second: i64) -> Node {
    let new = store.node(node.id).await.expect("read").is_none();
    let next = if new { node } else { Node { reports: node.reports + 1, version: node.version + 1, last_seen: at(second), ..node } };
    store.keep_report(&next, &report(told, second)).await.expect("kept");
    next
}

/// What is known at a moment: after which report, and which document.
async fn known(store: &dyn NodeStore, id: NodeId, second: i64) -> Option<(u64, Document)> {
    store.snapshot(id, Some(at(second))).await.expect("read").map(|snapshot| (snapshot.number, snapshot.document))
}

/// What [`NodeStore`] promises of reports and documents.
pub async fn history_contract(store: &dyn NodeStore) {
    let one = a_history(store).await;
    a_document_is_told_as_it_was(store, one).await;
    reports_are_told_newest_first(store, one).await;
    a_report_is_kept_with_its_node_or_not_at_all(store, one).await;
    documents_of_all_nodes_come_in_pages(store).await;
    changed_nodes_are_found(store).await;
    a_forgotten_node_has_no_history(store).await;
    a_large_document_is_kept(store).await;
}

/// Node 1: a document, twice the same, another, an amendment, and readings.
async fn a_history(store: &dyn NodeStore) -> NodeId {
    let id = node(1).id;
    assert_eq!(store.snapshot(id, None).await.expect("read"), None);
    assert_eq!(store.snapshot_after(id, 1).await.expect("read"), None);
    assert_eq!(store.reports(id, None, 10).await.expect("read"), vec![]);
    let mut one = tell(store, node(1), Told::Changed(document(1)), 10).await;
    for (told, second) in [
        (Told::Unchanged, 21),
        (Told::Readings(json!({"sensors": [null, {"celsius": 40.5}], "text": ODD})), 30),
        (Told::Changed(document(2)), 40),
        (Told::Amended(document(3)), 51),
        (Told::Readings(json!([1])), 60),
    ] {
        one = tell(store, one, told, second).await;
    }
    assert_eq!(store.node(id).await.expect("read"), Some(one), "the node was kept with it");
    id
}

async fn a_document_is_told_as_it_was(store: &dyn NodeStore, id: NodeId) {
    let moments = [
        (9, None),
        (10, Some((1, document(1)))),
        (20, Some((1, document(1)))),
        (21, Some((2, document(1)))),
        (39, Some((3, document(1)))),
        (40, Some((4, document(2)))),
        (59, Some((5, document(3)))),
        (1000, Some((6, document(3)))),
    ];
    for (second, expected) in moments {
        assert_eq!(known(store, id, second).await, expected, "at second {second}");
    }
    let newest = Snapshot { number: 6, at: at(60), document: document(3), readings: json!([1]) };
    assert_eq!(store.snapshot(id, None).await.expect("read"), Some(newest.clone()));
    assert_eq!(store.snapshot_after(id, 6).await.expect("read"), Some(newest));
    let readings = json!({"sensors": [null, {"celsius": 40.5}], "text": ODD});
    let third = Snapshot { number: 3, at: at(30), document: document(1), readings };
    assert_eq!(store.snapshot_after(id, 3).await.expect("read"), Some(third));
    let fourth = Snapshot { number: 4, at: at(40), document: document(2), readings: Value::Null };
    assert_eq!(store.snapshot_after(id, 4).await.expect("read"), Some(fourth));
    for number in [0, 7, u64::MAX] {
        assert_eq!(store.snapshot_after(id, number).await.expect("read"), None, "there is no report {number}");
    }
    assert_eq!(store.snapshot(node(50).id, None).await.expect("read"), None);
}

async fn reports_are_told_newest_first(store: &dyn NodeStore, id: NodeId) {
    let all = store.reports(id, None, 10).await.expect("read");
    let short: Vec<_> = all.iter().map(|report| (report.number, report.at, report.changed, report.amends)).collect();
    let expected = [
        (6, 60, false, false),
        (5, 51, true, true),
        (4, 40, true, false),
        (3, 30, false, false),
        (2, 21, false, false),
        (1, 10, true, false),
    ];
    assert_eq!(short, expected.map(|(number, second, changed, amends)| (number, at(second), changed, amends)));
    let second = PastReport {
        number: 2,
        at: at(21),
        boot: Some(BootId(Uuid::from_u128(0x100 + 21))),
        address: Some(Ipv4Addr::new(10, 20, 0, 9)),
        amends: false,
        changed: false,
        digest: Some(Digest([0xab; 32])),
    };
    assert_eq!(all[4], second, "the digest is that of the document that was in force");
    assert_eq!((all[0].boot, all[0].address), (None, None), "it was imported");
    let numbers = async |before, limit| {
        let some = store.reports(id, before, limit).await.expect("read");
        some.into_iter().map(|report| report.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 2).await, [6, 5]);
    assert_eq!(numbers(Some(5), 2).await, [4, 3]);
    assert_eq!(numbers(Some(2), 100).await, [1]);
    assert!(numbers(Some(1), 100).await.is_empty() && numbers(Some(0), 1).await.is_empty() && numbers(None, 0).await.is_empty());
}

async fn a_report_is_kept_with_its_node_or_not_at_all(store: &dyn NodeStore, id: NodeId) {
    let before = store.node(id).await.expect("read").expect("a node");
    let history = store.reports(id, None, 10).await.expect("read");
    let late = Node { reports: 7, ..before.clone() };
    let refused = store.keep_report(&late, &report(Told::Changed(document(9)), 70)).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "its version is the one that is there: {refused:?}");
    // The version is right, and a report of this number is there already: the database refuses the second part.
    let twice = Node { reports: 6, version: before.version + 1, name: Some("half".into()), ..before.clone() };
    let refused = store.keep_report(&twice, &report(Told::Changed(document(9)), 70)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(store.node(id).await.expect("read"), Some(before), "neither was kept");
    assert_eq!(store.reports(id, None, 10).await.expect("read"), history);

    store.keep_node(&Node { name: Some("taken".into()), ..node(40) }).await.expect("kept");
    let named = Node { name: Some("taken".into()), ..node(41) };
    let refused = store.keep_report(&named, &report(Told::Changed(document(9)), 70)).await;
    assert!(matches!(refused, Err(StoreError::NameTaken { .. })), "{refused:?}");
    assert_eq!(store.node(named.id).await.expect("read"), None);
    assert_eq!(store.snapshot(named.id, None).await.expect("read"), None);
    store.forget_node(node(40).id, 1).await.expect("forgotten");
}

async fn documents_of_all_nodes_come_in_pages(store: &dyn NodeStore) {
    for n in 2..=7u16 {
        let first = tell(store, node(n), Told::Changed(document(n)), 100 + i64::from(n)).await;
        tell(store, first, Told::Changed(document(n + 100)), 200).await;
    }
    // A node without a document is left out.
    store.keep_node(&node(8)).await.expect("kept");
    let pages = async |moment, limit, most_bytes| {
        let (mut after, mut sizes, mut found) = (None, vec![], vec![]);
        loop {
            let page = store.snapshots(moment, after, limit, most_bytes).await.expect("read");
            sizes.push(page.items.len());
            found.extend(page.items.into_iter().map(|(id, snapshot)| (id.0.as_u128(), snapshot.document)));
            after = page.next;
            if after.is_none() {
                return (sizes, found);
            }
        }
    };
    let now: Vec<_> = std::iter::once((1, document(3))).chain((2..=7).map(|n| (u128::from(n), document(n + 100)))).collect();
    assert_eq!(pages(None, 3, usize::MAX).await, (vec![3, 3, 1], now.clone()));
    assert_eq!(pages(None, 7, usize::MAX).await, (vec![7], now.clone()), "a full last page has no next");
    let length = serde_json::to_string(&document(1)).expect("JSON").len();
    let (sizes, found) = pages(None, 100, length * 2 + length / 2).await;
    assert_eq!((sizes, found), (vec![2, 2, 2, 1], now.clone()), "as many as fit");
    assert_eq!(pages(None, 100, 1).await, (vec![1; 7], now), "but always one");

    let then = vec![(1, document(3)), (2, document(2)), (3, document(3)), (4, document(4))];
    assert_eq!(pages(Some(at(104)), 2, usize::MAX).await, (vec![2, 2], then));
    assert_eq!(pages(Some(at(9)), 2, usize::MAX).await, (vec![0], vec![]));
    let one = store.snapshots(None, Some(node(6).id), 5, usize::MAX).await.expect("read");
    assert_eq!(one.items.iter().map(|(id, snapshot)| (id.0.as_u128(), snapshot.number)).collect::<Vec<_>>(), [(7, 2)]);
}

async fn changed_nodes_are_found(store: &dyn NodeStore) {
    let changed = async |second, after: Option<u16>, limit| {
        let page = store.changed_since(at(second), after.map(|n| node(n).id), limit).await.expect("read");
        (page.items.into_iter().map(|id| id.0.as_u128()).collect::<Vec<_>>(), page.next.map(|id| id.0.as_u128()))
    };
    assert_eq!(changed(0, None, 100).await, ((1..=7).collect(), None));
    assert_eq!(changed(51, None, 100).await, ((2..=7).collect(), None), "after the moment, not at it; and unchanged reports do not count");
    assert_eq!(changed(51, None, 4).await, (vec![2, 3, 4, 5], Some(5)));
    assert_eq!(changed(51, Some(5), 2).await, (vec![6, 7], None));
    assert_eq!(changed(200, None, 100).await, (vec![], None));
}

async fn a_forgotten_node_has_no_history(store: &dyn NodeStore) {
    let two = store.node(node(2).id).await.expect("read").expect("a node");
    store.forget_node(two.id, two.version).await.expect("forgotten");
    assert_eq!(store.snapshot(two.id, None).await.expect("read"), None);
    assert_eq!(store.reports(two.id, None, 10).await.expect("read"), vec![]);
    assert!(!store.changed_since(at(0), None, 100).await.expect("read").items.contains(&two.id));
    let again = tell(store, node(2), Told::Changed(document(2)), 300).await;
    assert_eq!(store.reports(again.id, None, 10).await.expect("read").len(), 1, "its history begins anew");
}

async fn a_large_document_is_kept(store: &dyn NodeStore) {
    // Not to be made small: as digits that do not repeat.
    let mut number = 1u64;
    let mut digits = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        number
    };
    let large = Document { facts: json!({"numbers": (0..150_000).map(|_| digits()).collect::<Vec<_>>()}), ..Document::default() };
    let node = tell(store, node(9), Told::Changed(large.clone()), 400).await;
    assert_eq!(store.snapshot(node.id, None).await.expect("read").expect("a snapshot").document, large);
}
