//! A node's past, over the store in memory.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::{Agent, Hall, NodeOf, machine};
use serde_json::{Value, json};

/// Sends what a machine says after `seconds`.
async fn report(hall: &Hall, agent: &Agent, facts: Value, seconds: i64) {
    hall.clock.forward(seconds);
    let mut report = agent.report_of(&machine(1));
    for (name, part) in facts.as_object().unwrap() {
        report["facts"][name] = part.clone();
    }
    let (status, answer) = hall.report(agent, &report).await;
    assert!(status.is_success(), "{answer}");
}

/// A node with a history: threads 2, 2 again, 4, 4 with another uptime, 4 and more memory.
async fn hall_with_a_past() -> (Hall, NodeId, Vec<Timestamp>) {
    let hall = Hall::new().await;
    let start = domain::clock::Clock::now(&*hall.clock);
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    report(&hall, &agent, json!({}), 100).await;
    report(&hall, &agent, json!({ "cpu": { "threads": 4 } }), 100).await;
    report(&hall, &agent, json!({ "cpu": { "threads": 4 }, "agent": { "uptime_seconds": 7 } }), 100).await;
    report(&hall, &agent, json!({ "cpu": { "threads": 4 }, "memory": { "usable_bytes": 1u64 << 30 } }), 100).await;
    let times = (0..5).map(|n| domain::clock::after_seconds(start, n * 100)).collect();
    (hall, id, times)
}

#[tokio::test]
async fn every_report_is_in_the_history_and_says_whether_anything_changed() {
    let (hall, id, times) = hall_with_a_past().await;
    let all = hall.inventory.history(id, None, 10).await.unwrap();
    // The fourth adds the agent, with nothing but a reading; what has only that is not worth a document.
    let shown: Vec<_> = all.iter().map(|report| (report.number, report.changed, report.at)).collect();
    assert_eq!((shown.len(), shown[0].0, shown[4]), (5, 5, (1, true, times[0])));
    assert_eq!(shown.iter().rev().take(3).map(|report| report.1).collect::<Vec<_>>(), [true, false, true]);
    let page = hall.inventory.history(id, Some(4), 2).await.unwrap();
    assert_eq!(page.iter().map(|report| report.number).collect::<Vec<_>>(), [3, 2]);
    let nobody = NodeId(uuid::Uuid::nil());
    assert!(matches!(hall.inventory.history(nobody, None, 1).await, Err(HistoryError::NotFound { .. })));
}

#[tokio::test]
async fn a_document_is_told_as_it_was_with_its_readings() {
    let (hall, id, times) = hall_with_a_past().await;
    let threads = async |moment| {
        let past = hall.inventory.document(id, moment).await.unwrap();
        (past.mark.number, past.document.facts["cpu"]["threads"].clone())
    };
    assert_eq!(threads(Moment::At(times[1])).await, (2, json!(2)));
    assert_eq!(threads(Moment::At(times[2])).await, (3, json!(4)));
    assert_eq!(threads(Moment::After(1)).await, (1, json!(2)));
    assert_eq!(threads(Moment::Now).await, (5, json!(4)));
    assert_eq!(threads(Moment::At(Timestamp::UNIX_EPOCH)).await, (1, json!(2)), "the oldest there is");
    let fourth = hall.inventory.document(id, Moment::After(4)).await.unwrap();
    assert_eq!(fourth.document.facts["agent"]["uptime_seconds"], 7);
    let missing = hall.inventory.document(id, Moment::After(9)).await.unwrap_err();
    assert!(matches!(&missing, HistoryError::NotKept { number: 9, .. }) && missing.to_string().contains("VM-1"), "{missing}");
}

#[tokio::test]
async fn what_changed_is_told_with_the_report_that_changed_it() {
    let (hall, id, times) = hall_with_a_past().await;
    let found = hall.inventory.differences(id, Moment::At(times[1]), Moment::Now).await.unwrap();
    assert_eq!((found.from.number, found.to.number), (2, 5));
    let told: Vec<_> = found
        .changes
        .iter()
        .map(|dated| (dated.change.path.as_str(), dated.change.before.clone(), dated.change.after.clone(), dated.came.unwrap().number))
        .collect();
    let expected = [
        ("cpu.threads", Some(json!(2)), Some(json!(4)), 3),
        ("memory.usable_bytes", Some(json!(512u64 << 20)), Some(json!(1u64 << 30)), 5),
    ];
    assert_eq!(told, expected);
    let one = hall.inventory.differences(id, Moment::After(1), Moment::After(3)).await.unwrap();
    assert_eq!(one.changes.iter().map(|dated| dated.came.unwrap().number).collect::<Vec<_>>(), [3]);
    assert!(hall.inventory.differences(id, Moment::After(1), Moment::After(2)).await.unwrap().changes.is_empty());
}

#[tokio::test]
async fn of_all_nodes_those_are_told_that_changed_or_are_new() {
    let (hall, changed, times) = hall_with_a_past().await;
    hall.clock.forward(100);
    let new = hall.report_ok(&machine(2)).await.id();
    let page = hall.inventory.inventory_differences(times[3], None, 10).await.unwrap();
    let told: Vec<_> =
        page.items.iter().map(|node| (node.id, node.label.as_str(), node.differences.as_ref().map(|found| found.changes.len()))).collect();
    assert_eq!((told, page.next), (vec![(changed, "VM-1", Some(1)), (new, "VM-2", None)], None));
    let first = hall.inventory.inventory_differences(times[0], None, 1).await.unwrap();
    assert_eq!((first.items.len(), first.next), (1, Some(changed)));
    let rest = hall.inventory.inventory_differences(times[0], first.next, 1).await.unwrap();
    assert_eq!((rest.items[0].id, rest.next), (new, None));
    let later = domain::clock::after_seconds(times[4], 1000);
    assert!(hall.inventory.inventory_differences(later, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn all_nodes_are_told_as_they_were_at_a_moment() {
    let (hall, id, times) = hall_with_a_past().await;
    hall.clock.forward(100);
    hall.report_ok(&machine(2)).await;
    let then = hall.inventory.nodes_at(times[1], None, 10).await.unwrap();
    assert_eq!(then.items.iter().map(|node| (node.id, node.summary.cpu_threads)).collect::<Vec<_>>(), [(id, Some(2))]);
    let before = domain::clock::after_seconds(times[0], -1);
    assert!(hall.inventory.nodes_at(before, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_is_let_go_leaves_what_was_in_force() {
    let (hall, id, times) = hall_with_a_past().await;
    let retention = Retention { before: times[3], most_reports: 100 };
    assert_eq!(hall.inventory.prune_once(&retention).await.unwrap(), 2);
    assert_eq!(hall.inventory.prune_once(&retention).await.unwrap(), 0);
    assert_eq!(hall.inventory.document(id, Moment::At(times[3])).await.unwrap().document.facts["cpu"]["threads"], 4);
    assert!(matches!(hall.inventory.document(id, Moment::After(1)).await, Err(HistoryError::NotKept { .. })));
    let found = hall.inventory.differences(id, Moment::At(times[0]), Moment::Now).await.unwrap();
    assert_eq!((found.from.number, found.changes.len()), (3, 1), "compared with the oldest that is kept");
}

#[tokio::test]
async fn when_the_time_is_over_a_change_has_no_date_and_a_page_ends_with_the_next() {
    let (hall, changed, times) = hall_with_a_past().await;
    hall.clock.forward(100);
    let new = hall.report_ok(&machine(2)).await.id();
    let over = tokio::time::Instant::now();
    let from = hall.inventory.snapshot(changed, Moment::After(1)).await.unwrap();
    let to = hall.inventory.snapshot(changed, Moment::Now).await.unwrap();
    let found = hall.inventory.compared(changed, from, to, STEPS, over).await.unwrap();
    assert!(found.changes.len() == 2 && found.changes.iter().all(|dated| dated.came.is_none()));
    let page = hall.inventory.differences_until(times[0], None, 10, over).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, Some(changed)));
    let rest = hall.inventory.differences_until(times[0], page.next, 10, over).await.unwrap();
    assert_eq!((rest.items[0].id, rest.next), (new, None));
}

#[tokio::test]
async fn two_documents_are_compared_at_once_and_others_wait() {
    let held = COMPARING.acquire_many(2).await.unwrap();
    let document: Document = serde_json::from_value(json!({ "facts": { "a": 1 } })).unwrap();
    let waiting = tokio::spawn(different(document.clone(), document));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(held);
    assert!(waiting.await.unwrap().0.is_empty());
}
