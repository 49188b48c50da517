//! Reports of other versions, the same again, and parts of one; over the routes.

#![allow(clippy::unwrap_used)]

use crate::fakes::{Hall, NodeOf, machine};
use axum::http::StatusCode;
use inventory_wire::MOST_BYTES;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_report_of_the_released_agent_is_taken_in() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let mut report: Value = serde_json::from_str(include_str!("fixtures/released.json")).unwrap();
    report["boot"] = json!(agent.boot.to_string());
    let (status, answer) = hall.report(&agent, &report).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let node = hall.node(answer["node"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(
        (node.label(), node.summary.disks, node.summary.dimms),
        ("VM-0001".into(), Some(1), None),
        "what it cannot know is not zero"
    );
    assert_eq!(hall.document(node.id).await.facts, report["facts"]);
}

#[tokio::test]
async fn the_same_hardware_again_costs_no_document_and_no_question_to_the_store() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    let mut report = agent.report_of(&machine(1));
    report["facts"]["agent"] = json!({ "uptime_seconds": 3 });
    assert_eq!(hall.report(&agent, &report).await.0, StatusCode::OK);
    let (reads, documents) = (hall.store.reads.load(Ordering::SeqCst), hall.store.documents.load(Ordering::SeqCst));
    for uptime in 0..10 {
        report["facts"]["agent"] = json!({ "uptime_seconds": uptime });
        assert_eq!(hall.report(&agent, &report).await.0, StatusCode::OK);
    }
    assert_eq!(hall.store.documents.load(Ordering::SeqCst), documents);
    assert_eq!(hall.store.reads.load(Ordering::SeqCst), reads);
    report["facts"]["cpu"]["threads"] = json!(4);
    assert_eq!(hall.report(&agent, &report).await.0, StatusCode::OK);
    assert_eq!((hall.store.documents.load(Ordering::SeqCst), hall.node(id).await.reports), (documents + 1, 13));
}

#[tokio::test]
async fn late_facts_replace_their_part_and_leave_the_others() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let mut report = agent.report_of(&machine(1));
    report["facts"]["sensors"] = json!([{ "name": "a", "value": 41 }]);
    report["gaps"] = json!([{ "path": "nics.eth0.neighbours", "reason": "not heard yet" }, { "path": "board", "reason": "no type 2" }]);
    let id = hall.report(&agent, &report).await.1["node"].as_str().unwrap().parse().unwrap();
    let heard = json!({ "report": 1, "boot": agent.boot, "amends": true, "gaps": [], "facts": {
        "nics": [{ "name": "eth0", "mac": machine(1).mac.to_string(), "neighbours": [{ "system": "sw1", "port": "Ethernet4" }] }],
    }});
    let (status, answer) = hall.report(&agent, &heard).await;
    assert_eq!((status, &answer["node"]), (StatusCode::OK, &json!(id)));
    let (node, document) = (hall.node(id).await, hall.document(id).await);
    assert_eq!(document.facts["nics"], heard["facts"]["nics"]);
    assert_eq!((&document.facts["system"], &document.facts["sensors"]), (&report["facts"]["system"], &report["facts"]["sensors"]));
    assert_eq!(document.gaps.iter().map(|gap| gap.path.as_str()).collect::<Vec<_>>(), ["board"]);
    let nic = &node.summary.each_nic[0];
    assert_eq!((nic.switch.as_deref(), nic.port.as_deref(), node.reports), (Some("sw1"), Some("Ethernet4"), 2));
    assert_eq!(node.identity.serial.as_deref(), Some("VM-1"));
    assert_eq!(hall.report(&agent, &heard).await.0, StatusCode::OK);
    assert_eq!(hall.store.documents.load(Ordering::SeqCst), 2, "what was amended already is unchanged");
}

#[tokio::test]
async fn an_amendment_of_nothing_is_refused_so_that_a_whole_report_follows() {
    let hall = Hall::new().await;
    let amendment = |boot| json!({ "report": 1, "boot": boot, "amends": true, "facts": { "nics": [] } }).to_string();
    let early = hall.start(&machine(1));
    let problem = hall.refused(early.request("POST", "/report", amendment(early.boot)), 409, "nothing_to_amend").await;
    assert!(problem["detail"].as_str().unwrap().contains("whole report"));
    hall.report_ok(&machine(1)).await;
    let later = hall.start(&machine(1));
    hall.refused(later.request("POST", "/report", amendment(later.boot)), 409, "nothing_to_amend").await;
    hall.report_ok(&machine(1)).await;
    let endless = json!({ "report": 1, "boot": later.boot, "amends": true, "facts": { "a": "x".repeat(MOST_BYTES - 1000) } });
    assert_eq!(hall.report(&later, &endless).await.0, StatusCode::OK);
    let more = json!({ "report": 1, "boot": later.boot, "amends": true, "facts": { "b": "x".repeat(2000) } });
    hall.refused(later.request("POST", "/report", more.to_string()), 422, "too_long").await;
    assert_eq!(hall.counted("refused_nothing_to_amend"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_amendment_and_a_report_at_once_lose_neither() {
    for _ in 0..30 {
        let hall = Arc::new(Hall::new().await);
        let id = hall.report_ok(&machine(1)).await.id();
        let agent = hall.agent(&machine(1));
        let amendments = (0..6).map(|n| {
            let (hall, agent) = (hall.clone(), agent.clone());
            let part = json!({ "report": 1, "boot": agent.boot, "amends": true, "facts": { format!("part{n}"): n } });
            tokio::spawn(async move { hall.report(&agent, &part).await.0 })
        });
        let amendments: Vec<_> = amendments.collect();
        let mut answers = vec![];
        for amendment in amendments {
            answers.push(amendment.await.unwrap());
        }
        assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
        let facts = hall.document(id).await.facts;
        assert!((0..6).all(|n| facts[format!("part{n}")] == n), "{facts}");
        assert_eq!(hall.node(id).await.reports, 7);
    }
}

#[tokio::test(start_paused = true)]
async fn an_amendment_waits_for_room_for_the_whole_document_before_it_reads_it() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    assert_eq!(hall.report(&agent, &agent.report_of(&machine(1))).await.0, StatusCode::OK);
    let held = hall.inventory.amending.acquire_many(crate::owner::MOST_AMENDING as u32).await.unwrap();
    let amendment = json!({ "report": 1, "boot": agent.boot, "amends": true, "facts": { "nics": [] } });
    let reads = hall.store.reads.load(Ordering::SeqCst);
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(1), hall.report(&agent, &amendment)).await;
    assert!(waiting.is_err());
    assert_eq!(hall.store.reads.load(Ordering::SeqCst), reads);
    drop(held);
    assert_eq!(hall.report(&agent, &amendment).await.0, StatusCode::OK);
}
