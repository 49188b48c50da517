//! Orders as a waiting agent meets them, over the routes.

#![allow(clippy::unwrap_used)]

use crate::fakes::{Agent, Hall, NodeOf, machine};
use axum::http::StatusCode;
use domain::OrderId;
use domain::order::OrderKind;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

fn order_id(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

async fn ask(hall: &Hall, agent: &Agent, wait: u64) -> Value {
    let (status, answer) = hall.send(agent.request("GET", &format!("/orders?wait={wait}"), "")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_waits_hears_an_order_at_once() {
    let hall = Arc::new(Hall::new().await);
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    let started = tokio::time::Instant::now();
    let waiting = tokio::spawn({
        let (hall, agent) = (hall.clone(), agent.clone());
        async move { ask(&hall, &agent, 60).await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished());
    hall.inventory.rename(id, Some("w1"), None).await.unwrap();
    hall.inventory.give_order(id, OrderKind::Reboot, order_id(7)).await.unwrap();
    assert_eq!(waiting.await.unwrap(), json!({ "order": "reboot", "id": order_id(7) }));
    assert!(started.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn without_an_order_the_answer_is_wait_after_the_time_asked_for_and_a_minute_at_most() {
    let hall = Hall::new().await;
    hall.report_ok(&machine(1)).await;
    let agent = hall.agent(&machine(1));
    for (wait, seconds) in [(0, 0), (20, 20), (60, 60), (86_400, 60)] {
        let started = tokio::time::Instant::now();
        assert_eq!(ask(&hall, &agent, wait).await, json!({ "order": "wait", "id": null }));
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
    for query in ["?wait=-1", "?wait=soon", "?wait=", "?wait=1&wait=2", "?wait=99999999999999999999"] {
        let problem = hall.refused(agent.request("GET", &format!("/orders{query}"), ""), 400, "bad_parameter").await;
        assert_eq!(problem["errors"][0]["key"], "wait", "{query}");
    }
    assert_eq!(hall.send(agent.request("GET", "/orders", "")).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_only_watches_gives_no_order_and_gives_it_afterwards() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    hall.inventory.give_order(id, OrderKind::Reboot, order_id(7)).await.unwrap();
    hall.inventory.only_watch(true);
    assert_eq!(ask(&hall, &agent, 1).await["order"], "wait");
    hall.report_ok(&machine(1)).await;
    hall.inventory.only_watch(false);
    assert_eq!(ask(&hall, &agent, 1).await, json!({ "order": "reboot", "id": order_id(7) }));
}

#[tokio::test(start_paused = true)]
async fn a_stop_of_the_service_lets_waiting_agents_go() {
    let hall = Arc::new(Hall::new().await);
    hall.report_ok(&machine(1)).await;
    let agent = hall.agent(&machine(1));
    let waiting = tokio::spawn({
        let (hall, agent) = (hall.clone(), agent.clone());
        async move { ask(&hall, &agent, 60).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = tokio::time::Instant::now();
    hall.inventory.stop();
    assert_eq!(waiting.await.unwrap()["order"], "wait");
    assert_eq!(ask(&hall, &agent, 60).await["order"], "wait");
    assert!(stopped.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_is_revoked_while_its_agent_waits_gets_no_order() {
    let hall = Arc::new(Hall::new().await);
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    let waiting = tokio::spawn({
        let (hall, agent) = (hall.clone(), agent.clone());
        async move { hall.send(agent.request("GET", "/orders?wait=60", "")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    hall.refused(agent.with_key("another").request("GET", "/orders", ""), 409, "second_key").await;
    hall.inventory.give_order(id, OrderKind::PowerOff, order_id(7)).await.unwrap();
    assert_eq!(waiting.await.unwrap().0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_order_is_told_until_it_is_taken_and_taking_it_twice_is_taking_it_once() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    let taken = |order: &str, state: &str| agent.request("POST", "/progress", json!({ "order": order, "state": state }).to_string());
    hall.refused(taken(&order_id(7).to_string(), "taken"), 422, "other_order").await;
    hall.inventory.give_order(id, OrderKind::LocalDisk, order_id(7)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&hall, &agent, 60).await, json!({ "order": "local_disk", "id": order_id(7) }));
    }
    hall.refused(taken("\u{1b}[2J", "taken"), 422, "other_order").await;
    hall.refused(taken(&order_id(7).to_string(), "eaten\u{7}"), 422, "unknown_state").await;
    hall.refused(agent.request("POST", "/progress", "[]"), 400, "malformed").await;
    for _ in 0..2 {
        assert_eq!(hall.send(taken(&order_id(7).to_string(), "taken")).await, (StatusCode::NO_CONTENT, Value::Null));
    }
    assert_eq!(ask(&hall, &agent, 0).await["order"], "wait");
    assert_eq!(hall.counted("orders_taken"), 1);
    let notes: Vec<_> = hall.boots.notes.lock().unwrap().iter().filter(|note| note.1 == "order").map(|note| note.2.clone()).collect();
    assert_eq!(notes, ["an operator ordered it to restart from its local disk", "took the order to restart from its local disk"]);
    hall.store.fail(true);
    hall.inventory.give_order(id, OrderKind::Reboot, order_id(8)).await.unwrap_err();
    hall.refused(taken(&order_id(7).to_string(), "taken"), 503, "store_unavailable").await;
}

#[tokio::test]
async fn an_agent_asks_for_orders_after_its_report_also_across_a_restart() {
    let mut hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    hall.refused(agent.request("GET", "/orders", ""), 404, "unknown_node").await;
    let taken = json!({ "order": order_id(1), "state": "taken" }).to_string();
    hall.refused(agent.request("POST", "/progress", taken), 404, "unknown_node").await;
    hall.report_ok(&machine(1)).await;
    hall.restart().await;
    hall.boots.forget_nodes();
    assert_eq!(ask(&hall, &agent, 0).await["order"], "wait");
}

#[tokio::test]
async fn a_question_moves_last_seen_at_once_and_the_store_once_a_minute() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    let (agent, reported) = (hall.agent(&machine(1)), hall.node(id).await.last_seen);
    let since = |last_seen: domain::Timestamp| last_seen.as_second() - reported.as_second();
    for expected in 1..=59 {
        hall.clock.forward(1);
        ask(&hall, &agent, 0).await;
        assert_eq!(since(hall.inventory.find("VM-1").unwrap().last_seen), expected);
        assert_eq!(since(hall.inventory.list(None, 1).items[0].last_seen), expected);
    }
    assert_eq!((hall.store.writes.load(Ordering::SeqCst), since(hall.node(id).await.last_seen)), (1, 0));
    hall.clock.forward(1);
    ask(&hall, &agent, 0).await;
    ask(&hall, &agent, 0).await;
    assert_eq!((hall.store.writes.load(Ordering::SeqCst), since(hall.node(id).await.last_seen)), (2, 60));
    hall.store.fail(true);
    hall.clock.forward(100);
    assert_eq!(ask(&hall, &agent, 0).await["order"], "wait", "orders do not depend on it");
}

#[tokio::test]
async fn what_an_operator_has_seen_of_a_node_stays_true_while_its_agent_only_asks() {
    let hall = Hall::new().await;
    let id = hall.report_ok(&machine(1)).await.id();
    let (agent, seen) = (hall.agent(&machine(1)), hall.inventory.find("VM-1").unwrap());
    for _ in 0..3 {
        hall.clock.forward(61);
        ask(&hall, &agent, 0).await;
    }
    let now = hall.node(id).await;
    assert_eq!((now.version, now.last_seen.as_second() - seen.last_seen.as_second()), (seen.version, 183));
    let named = hall.inventory.rename(id, Some("w1"), Some(seen.version)).await.unwrap();
    assert_eq!((named.version, named.last_seen), (seen.version + 1, now.last_seen));
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_node_is_forgotten_is_told_at_once_and_reports_as_a_new_one() {
    let hall = Hall::new().await;
    let old = hall.report_ok(&machine(1)).await.id();
    let agent = hall.agent(&machine(1));
    let started = tokio::time::Instant::now();
    let waits = hall.refused(agent.request("GET", "/orders?wait=60", ""), 404, "unknown_node");
    let forgets = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        hall.inventory.forget(old, None).await.unwrap();
    };
    let ((), problem) = tokio::join!(forgets, waits);
    assert!(problem["detail"].as_str().unwrap().contains("report first"));
    assert!(started.elapsed() < Duration::from_secs(11));
    let taken = json!({ "order": order_id(1), "state": "taken" }).to_string();
    hall.refused(agent.request("POST", "/progress", taken), 404, "unknown_node").await;

    let new = hall.report_ok(&machine(1)).await.id();
    assert_ne!(new, old);
    assert_eq!(ask(&hall, &agent, 0).await["order"], "wait");
    assert_eq!((hall.inventory.count(), hall.node(new).await.reports, hall.counted("nodes_forgotten")), (1, 1, 1));
}
