//! Writes: conditional, repeatable, finished once begun.

use crate::problems::problem;
use crate::service::{Answer, Service, node, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;

const NODE: &str = "/api/v1/nodes/VM-0001";

fn rename(service: &Service, node: &str, name: Value, headers: &[(&str, &str)]) -> Answer {
    service.ask("PATCH", &format!("/api/v1/nodes/{node}"), headers, json!({ "name": name }).to_string().as_bytes())
}

fn order(service: &Service, what: &str, headers: &[(&str, &str)]) -> Answer {
    service.ask("POST", &format!("{NODE}/orders"), headers, json!({ "order": what }).to_string().as_bytes())
}

#[test]
fn a_node_is_changed_only_as_long_as_it_is_what_the_caller_saw() {
    let service = Service::with_nodes([node(1)]);
    let seen = service.get(NODE);
    let tag = seen.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", seen.json()["version"]));
    let named = rename(&service, "VM-0001", json!("w1"), &[("if-match", &tag)]);
    assert_eq!((named.status, named.header("etag"), &named.json()["version"]), (200, Some("\"2\""), &json!(2)));
    let late = [rename(&service, "w1", json!("w2"), &[("if-match", &tag)]), order(&service, "reboot", &[("if-match", &tag)])];
    for answer in late {
        assert_eq!((answer.status, problem(&answer).as_str()), (412, "changed"));
    }
    assert_eq!(service.get("/api/v1/nodes/w1").json()["order"], Value::Null);
    assert_eq!(rename(&service, "w1", json!("w2"), &[("if-match", "*")]).status, 200);
    assert_eq!(order(&service, "wait", &[("if-match", "\"3\"")]).status, 202);
}

#[test]
fn a_name_belongs_to_one_node_and_can_be_taken_away() {
    let service = Service::with_nodes([node(1), node(2)]);
    assert_eq!(rename(&service, "VM-0001", json!("w1"), &[]).json()["name"], "w1");
    let taken = rename(&service, "VM-0002", json!("w1"), &[]);
    assert_eq!((taken.status, problem(&taken).as_str()), (409, "name_taken"));
    assert!(taken.json()["detail"].as_str().unwrap().contains("`w1`"));
    let again = rename(&service, "w1", json!("w1"), &[]);
    assert_eq!((again.status, &again.json()["version"]), (200, &json!(2)), "the same name changes nothing");
    assert_eq!(rename(&service, "52:54:00:00:00:01", Value::Null, &[]).json()["name"], Value::Null);
    assert_eq!(rename(&service, "VM-0002", json!("w1"), &[]).json()["name"], "w1");
    assert_eq!(service.get("/api/v1/nodes/w1").json()["serial"], "VM-0002");
}

#[test]
fn an_order_waits_for_the_agent_and_can_be_taken_back() {
    let service = Service::with_nodes([node(1)]);
    let given = order(&service, "local_disk", &[]);
    assert_eq!((given.status, &given.json()["order"]["order"]), (202, &json!("local_disk")));
    assert_eq!(given.json()["order"]["taken"], Value::Null);
    assert_eq!(service.get(NODE).json()["order"], given.json()["order"]);
    assert_eq!(service.get("/api/v1/nodes").json()["items"][0]["order"], given.json()["order"]);
    let back = order(&service, "wait", &[]).json();
    assert_eq!(back["order"]["order"], "wait");
    assert_eq!(back["order"]["taken"], back["order"]["given"], "nobody has to be told to go on waiting");
    assert_ne!(back["order"]["id"], given.json()["order"]["id"]);
}

#[test]
fn the_same_write_under_the_same_key_is_done_once_also_after_a_restart() {
    let mut service = Service::with_nodes([node(1)]);
    let key = [("idempotency-key", "order-1")];
    let first = order(&service, "reboot", &key);
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None));
    for restarted in [false, true] {
        if restarted {
            assert!(service.stop().success());
            service.resume();
        }
        let again = order(&service, "reboot", &key);
        assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
        assert_eq!((again.json(), again.header("content-type")), (first.json(), Some("application/json")));
    }
    assert_eq!(service.get(NODE).json()["version"], 2);
    for other in [order(&service, "power_off", &key), rename(&service, "VM-0001", json!("w1"), &key)] {
        assert_eq!((other.status, problem(&other).as_str()), (422, "idempotency_key_reused"));
    }
    let refused = rename(&service, "VM-0001", json!("W1"), &[("idempotency-key", "name-1")]);
    let again = rename(&service, "VM-0001", json!("W1"), &[("idempotency-key", "name-1")]);
    assert_eq!((problem(&again), again.header("idempotent-replayed")), (problem(&refused), Some("true")));
}

#[test]
fn a_forgotten_node_is_answered_as_it_was_and_stays_away_also_after_a_restart() {
    let mut service = Service::with_nodes([node(1), node(2)]);
    assert_eq!(rename(&service, "VM-0001", json!("w1"), &[]).status, 200);
    let listed = service.get("/api/v1/nodes").json()["items"][0].clone();
    let forget = |service: &Service, headers: &[(&str, &str)]| service.ask("DELETE", NODE, headers, &[]);
    let late = forget(&service, &[("if-match", "\"1\"")]);
    assert_eq!((late.status, problem(&late).as_str()), (412, "changed"));
    let headers = [("if-match", "\"2\""), ("idempotency-key", "forget-1")];
    let first = forget(&service, &headers);
    assert_eq!((first.status, first.json(), first.header("etag")), (200, listed, None));
    for restarted in [false, true] {
        if restarted {
            assert!(service.stop().success());
            service.resume();
        }
        for path in [NODE, "/api/v1/nodes/w1", "/api/v1/nodes/52:54:00:00:00:01"] {
            assert_eq!(problem(&service.get(path)), "no_such_node", "{path}");
        }
        assert_eq!(problem(&forget(&service, &[])), "no_such_node");
        let again = forget(&service, &headers);
        assert_eq!((again.status, again.json(), again.header("idempotent-replayed")), (200, first.json(), Some("true")));
        assert_eq!(service.get("/api/v1/nodes").json()["items"].as_array().unwrap().len(), 1);
    }
    assert_eq!(rename(&service, "VM-0002", json!("w1"), &[]).status, 200, "its name is free");
}

#[test]
fn many_at_once_under_one_key_are_one_order() {
    let service = Service::with_nodes([node(1)]);
    let key = [("idempotency-key", "order-1")];
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(|| order(&service, "reboot", &key))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let (done, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert!(busy.iter().all(|answer| (answer.status, problem(answer).as_str()) == (409, "in_progress")), "{busy:?}");
    assert!(busy.iter().all(|answer| answer.header("retry-after").is_some()));
    let orders: BTreeSet<_> = done.iter().map(|answer| answer.json()["order"]["id"].to_string()).collect();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(service.get(NODE).json()["version"], 2);
    assert!(service.get("/metrics").text().contains("overture_inventory_events_total{reason=\"orders_given\"} 1\n"));
}

#[test]
fn the_same_site_again_changes_nothing_and_a_dry_run_never_does() {
    let service = Service::start();
    let apply = |query: &str, name: &str| {
        service.write("PUT", &format!("/api/v1/site{query}"), &json!({"files": {"site.toml": format!("[site]\nname = \"{name}\"\n")}}))
    };
    let dry = apply("?dry_run=true", "one");
    assert_eq!((dry.status, dry.json()), (200, json!({"revision": null, "changed": false, "changes": ["~ site.name: (none) → one"]})));
    assert_eq!(service.get("/api/v1/site").status, 404);
    let first = apply("", "one");
    assert_eq!((first.status, &first.json()["changed"], &first.json()["revision"]["number"]), (201, &json!(true), &json!(1)));
    let again = apply("", "one");
    assert_eq!((again.status, again.json()), (200, json!({"revision": first.json()["revision"], "changed": false, "changes": []})));
    assert_eq!(apply("", "two").json()["revision"]["number"], 2);
    let numbers: Vec<_> =
        service.get("/api/v1/site/revisions").json()["items"].as_array().unwrap().iter().map(|r| r["number"].clone()).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(service.get("/api/v1/site").json()["files"], json!({"site.toml": "[site]\nname = \"two\"\n"}));
}

#[test]
fn a_declared_node_gets_its_name_when_the_site_is_applied() {
    let service = Service::with_nodes([node(1), node(2)]);
    let text = "[site]\nname = \"one\"\n[[node]]\nname = \"w1\"\nserial = \"VM-0001\"\n[[node]]\nname = \"w3\"\nserial = \"VM-0003\"\n";
    assert_eq!(service.apply(text).status, 201);
    assert_eq!(service.get(NODE).json()["name"], "w1");
    assert_eq!(service.get("/api/v1/nodes/VM-0002").json()["name"], Value::Null);
    assert_eq!(service.get("/api/v1/nodes/w3").status, 404, "declaring a machine does not make it");
}

#[test]
fn a_write_is_finished_although_the_asker_hangs_up() {
    let service = Service::start();
    for number in 1..=20 {
        let body = json!({"files": {"site.toml": format!("[site]\nname = \"site-{number}\"\n")}}).to_string();
        let mut stream = UnixStream::connect(service.socket()).unwrap();
        write!(stream, "PUT /api/v1/site HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        drop(stream);
        wait_until("the revision is in force", || service.get("/api/v1/site").json()["number"] == number);
    }
    assert_eq!(service.apply("[site]\nname = \"last\"\n").json()["revision"]["number"], 21, "the store and the memory agree");
}
