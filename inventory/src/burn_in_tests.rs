//! Tests of hardware as an operator and an agent meet them.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::{Agent, Hall, NodeOf, machine};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

const PLAN: TestPlan = TestPlan { memory: true, cpu: false, disks: true, network: false, seconds: 60 };

fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

/// A machine whose agent says that it can test, in a boot of its own.
async fn boots(hall: &Hall) -> (Agent, NodeId) {
    let agent = hall.start(&machine(1));
    let mut report = agent.report_of(&machine(1));
    report["facts"]["agent"] = json!({ "can": ["test"] });
    let (status, answer) = hall.report(&agent, &report).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    (agent, answer["node"].as_str().unwrap().parse().unwrap())
}

async fn says(hall: &Hall, agent: &Agent, state: &str, results: Value) -> StatusCode {
    let progress = json!({ "order": order_id(7), "state": state, "results": results }).to_string();
    hall.send(agent.request("POST", "/progress", progress)).await.0
}

fn result(kind: &str, part: &str, outcome: &str) -> Value {
    json!({ "kind": kind, "part": part, "outcome": outcome, "detail": format!("{part} was read"), "took_ms": 12 })
}

async fn state(hall: &Hall, id: NodeId) -> TestState {
    hall.inventory.tests(id, 1).await.unwrap()[0].state
}

#[tokio::test]
async fn a_test_is_ordered_done_and_remembered_with_the_part_that_failed() {
    let hall = Hall::new().await;
    let (agent, id) = boots(&hall).await;
    hall.inventory.order_test(id, PLAN, order_id(7)).await.unwrap();
    hall.inventory.order_test(id, PLAN, order_id(7)).await.unwrap();
    assert_eq!((state(&hall, id).await, hall.counted("orders_given")), (TestState::Waiting, 1));
    let told = hall.send(agent.request("GET", "/orders?wait=60", "")).await.1;
    let plan = json!({ "memory": true, "cpu": false, "disks": true, "network": false, "seconds": 60 });
    assert_eq!(told, json!({ "order": "test", "id": order_id(7), "test": plan }));
    assert_eq!(says(&hall, &agent, "taken", json!([])).await, StatusCode::NO_CONTENT);
    assert_eq!(hall.send(agent.request("GET", "/orders", "")).await.1["order"], "wait");
    assert_eq!(state(&hall, id).await, TestState::Running);
    let memory = result("memory", "DIMM_A1", "passed");
    assert_eq!(says(&hall, &agent, "running", json!([memory])).await, StatusCode::NO_CONTENT);
    hall.clock.forward(60);
    let all = json!([memory, result("disks", "nvme0n1", "failed"), result("disks", "nvme1n1", "skipped")]);
    for _ in 0..2 {
        assert_eq!(says(&hall, &agent, "done", all.clone()).await, StatusCode::NO_CONTENT);
    }
    let tests = hall.inventory.tests(id, 10).await.unwrap();
    let [NodeTest { test, state: TestState::Finished }] = &tests[..] else { panic!("{tests:?}") };
    assert_eq!((test.plan, test.results.len(), test.results[1].part.as_deref()), (PLAN, 3, Some("nvme0n1")));
    assert_eq!(test.finished.unwrap().as_second() - test.started.unwrap().as_second(), 60);
    assert_eq!(hall.counted("tests_finished"), 1);
    let notes = hall.boots.notes.lock().unwrap();
    let told = notes.iter().find(|note| note.1 == "test").unwrap();
    assert_eq!(told.2, "its hardware test has ended and failed: nvme0n1: nvme0n1 was read");
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused_with_the_mend() {
    let hall = Hall::new().await;
    let (_, id) = boots(&hall).await;
    let nothing = TestPlan { memory: false, disks: false, ..PLAN };
    for (plan, mend) in [
        (nothing, "at least one of"),
        (TestPlan { seconds: 0, ..PLAN }, "1 to 86400"),
        (TestPlan { seconds: 86_401, ..PLAN }, "1 to 86400"),
    ] {
        let error = hall.inventory.order_test(id, plan, order_id(1)).await.unwrap_err();
        assert!(error.to_string().contains(mend), "{error}");
    }
    let released = hall.report_ok(&machine(2)).await.id();
    let error = hall.inventory.order_test(released, PLAN, order_id(1)).await.unwrap_err();
    assert!(error.to_string().contains("VM-2 cannot test") && error.to_string().contains("ramdisk of this version"), "{error}");
    let nobody = hall.inventory.order_test(NodeId(Uuid::nil()), PLAN, order_id(1)).await;
    assert!(matches!(nobody, Err(OrderError::NotFound { .. })));
    assert!(matches!(hall.inventory.give_order(id, OrderKind::Test, order_id(1)).await, Err(OrderError::NothingToTest)));
    assert!(hall.inventory.tests(id, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_an_agent_says_of_a_test_is_bounded_and_only_of_its_own() {
    let hall = Hall::new().await;
    let (agent, id) = boots(&hall).await;
    hall.inventory.give_order(id, OrderKind::LocalDisk, order_id(7)).await.unwrap();
    assert_eq!(says(&hall, &agent, "running", json!([])).await, StatusCode::UNPROCESSABLE_ENTITY, "of no test");
    hall.inventory.order_test(id, PLAN, order_id(8)).await.unwrap();
    assert_eq!(says(&hall, &agent, "done", json!([])).await, StatusCode::UNPROCESSABLE_ENTITY, "of the order before");
    let progress = |results: Value| {
        let progress = json!({ "order": order_id(8), "state": "running", "results": results });
        agent.request("POST", "/progress", progress.to_string())
    };
    hall.refused(progress(json!([result("magic", "a", "passed")])), 422, "unknown_result").await;
    hall.refused(progress(json!([result("cpu", "a", "perhaps\u{1b}")])), 422, "unknown_result").await;
    hall.refused(progress(json!(vec![result("cpu", "a", "passed"); MOST_RESULTS + 1])), 422, "too_many_items").await;
    let mut long = result("cpu", "a", "failed");
    long["detail"] = json!("\u{1b}[2J".repeat(5000));
    long["part"] = json!(" ");
    assert_eq!(hall.send(progress(json!([long]))).await.0, StatusCode::NO_CONTENT);
    let kept = &hall.inventory.tests(id, 1).await.unwrap()[0].test.results[0];
    assert!(kept.detail.len() < 4000 && !kept.detail.contains(char::is_control) && kept.part.is_none());
}

#[tokio::test]
async fn a_restart_in_the_middle_leaves_a_test_unfinished_and_begins_no_other() {
    let hall = Hall::new().await;
    let (first, id) = boots(&hall).await;
    hall.inventory.order_test(id, PLAN, order_id(7)).await.unwrap();
    let (second, _) = boots(&hall).await;
    assert_eq!(state(&hall, id).await, TestState::Waiting, "a restart before it began changes nothing");
    assert_eq!(says(&hall, &second, "running", json!([result("memory", "a", "passed")])).await, StatusCode::NO_CONTENT);
    let (third, _) = boots(&hall).await;
    assert_eq!(state(&hall, id).await, TestState::Unfinished);
    assert_eq!(hall.inventory.tests(id, 1).await.unwrap()[0].test.results.len(), 1, "what it found is kept");
    assert_eq!(hall.send(third.request("GET", "/orders", "")).await.1["order"], "wait");
    assert_eq!(says(&hall, &third, "done", json!([])).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(says(&hall, &first, "done", json!([])).await, StatusCode::CONFLICT);
    let notes = hall.boots.notes.lock().unwrap();
    assert!(
        notes.iter().any(|note| note.0 == third.boot && note.2.contains("left unfinished: the machine was started again")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn an_order_given_meanwhile_leaves_a_test_unfinished_and_one_that_has_ended_stays_ended() {
    let hall = Hall::new().await;
    let (agent, id) = boots(&hall).await;
    hall.inventory.order_test(id, PLAN, order_id(7)).await.unwrap();
    assert_eq!(says(&hall, &agent, "running", json!([])).await, StatusCode::NO_CONTENT);
    hall.inventory.give_order(id, OrderKind::Wait, order_id(8)).await.unwrap();
    assert_eq!(state(&hall, id).await, TestState::Unfinished);
    let noted = |words: &str| hall.boots.notes.lock().unwrap().iter().any(|note| note.2.contains(words));
    assert!(noted("ordered it to wait; the hardware test before it stays unfinished"));
    hall.inventory.order_test(id, PLAN, order_id(9)).await.unwrap();
    let progress = json!({ "order": order_id(9), "state": "done", "results": [result("memory", "a", "passed")] }).to_string();
    assert_eq!(hall.send(agent.request("POST", "/progress", progress)).await.0, StatusCode::NO_CONTENT);
    let (_, _) = boots(&hall).await;
    assert_eq!(state(&hall, id).await, TestState::Finished);
    assert!(noted("1 of 1 results passed, none failed"));
    hall.store.fail(true);
    assert!(hall.inventory.order_test(id, PLAN, order_id(10)).await.is_err());
}
