//! The routes as an agent meets them, over a store and boots in memory.

#![allow(clippy::unwrap_used)]

use crate::fakes::{Hall, Machine, NodeOf, machine};
use crate::routes::MOST_PROGRESS;
use axum::http::{StatusCode, header};
use domain::MacAddr;
use domain::ports::Directory;
use http_body_util::BodyExt;
use inventory_wire::{MOST_BYTES, TIME_HEADER};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tower::ServiceExt;
use uuid::Uuid;

// What a report does

#[tokio::test]
async fn a_report_is_stored_before_it_is_answered_and_explains_itself() {
    let hall = Hall::new().await;
    let (machine, agent) = (machine(1), hall.start(&machine(1)));
    let (status, answer) = hall.report(&agent, &agent.report_of(&machine)).await;
    assert_eq!(status, StatusCode::OK);
    let id = answer["node"].as_str().unwrap().parse().unwrap();
    let node = hall.node(id).await;
    assert_eq!((node.reports, node.version, node.boot, node.key.as_ref()), (1, 1, Some(agent.boot), Some(&agent.peer.key)));
    assert_eq!(node.address, Some(machine.address));
    assert_eq!(hall.boots.get(&agent.ticket).node, Some(id));
    let notes = hall.boots.notes.lock().unwrap();
    let (boot, event, message, rule) = &notes[0];
    assert_eq!((*boot, event.as_str()), (agent.boot, "report"));
    assert_eq!(message, "reported its hardware: QEMU PC, 2 CPU threads, 512 MiB of memory, 1 disk, 1 network card; it is node VM-1");
    assert_eq!(rule.as_deref(), Some("no node like it was seen before"));
    assert_eq!((hall.counted("accepted_new"), hall.counted("accepted_known")), (1, 0));
}

#[tokio::test]
async fn what_a_newer_agent_adds_is_kept_wherever_it_stands_in_the_report() {
    let mut hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let mut report = agent.report_of(&machine(1));
    report["later"] = json!({ "a": [1, null, { "b": "\u{1b}[2J" }], "report": 2 });
    report["node"] = json!("not ours");
    report["facts"]["moons"] = json!([{ "name": "Io" }]);
    report["facts"]["system"]["colour"] = json!("red");
    report["facts"]["nics"][0]["optics"] = json!({ "nm": 850 });
    let id = hall.report(&agent, &report).await.1["node"].as_str().unwrap().parse().unwrap();
    hall.restart().await;
    let document = hall.document(id).await;
    assert_eq!(Value::Object(document.other), json!({ "later": report["later"], "node": "not ours" }));
    assert_eq!(document.facts, report["facts"]);
    assert_eq!(hall.report(&agent, &agent.report_of(&machine(1))).await.0, StatusCode::OK);
    assert!(hall.document(id).await.other.is_empty(), "a report replaces the one before");
}

#[tokio::test]
async fn a_machine_stays_one_node_through_reports_restarts_and_changed_cards() {
    let mut hall = Hall::new().await;
    let first = hall.report_ok(&machine(1)).await;
    assert_eq!(hall.report_ok(&machine(1)).await, first, "the same boot again");
    hall.start(&machine(1));
    assert_eq!(hall.report_ok(&machine(1)).await, first, "another boot");
    let other_card = Machine { mac: MacAddr([0x52, 0x54, 0, 9, 9, 9]), ..machine(1) };
    hall.clock.forward(121);
    assert_eq!(hall.report_ok(&other_card).await, first, "another network card");
    hall.restart().await;
    hall.start(&other_card);
    assert_eq!(hall.report_ok(&other_card).await, first, "a restart of the service");
    let node = hall.node(first.id()).await;
    assert_eq!((node.reports, hall.inventory.count()), (5, 1));
    assert_eq!(hall.inventory.known(Some(machine(1).mac), None), None, "the old card is no longer this node's");
    assert_eq!(hall.inventory.known(Some(other_card.mac), None).unwrap().id, first.id());
}

#[tokio::test]
async fn what_a_boot_adds_later_belongs_to_the_same_node() {
    let hall = Hall::new().await;
    let nameless = Machine { serial: None, ..machine(1) };
    let first = hall.report_ok(&nameless).await;
    let found_out = Machine { uuid: Uuid::from_u128(0xfeed << 64 | 1), mac: machine(7).mac, ..machine(1) };
    let agent = hall.agent(&nameless);
    assert_eq!(hall.report(&agent, &agent.report_of(&found_out)).await.1["node"], first.node);
    let node = hall.node(first.id()).await;
    assert_eq!((node.identity.serial.as_deref(), node.identity.uuid), (Some("VM-1"), Some(found_out.uuid)));
}

#[tokio::test]
async fn a_later_report_cannot_turn_a_node_into_another() {
    let hall = Hall::new().await;
    let (victim, other) = (hall.report_ok(&machine(1)).await, hall.report_ok(&machine(2)).await);
    let agent = hall.agent(&machine(2));
    let (status, answer) = hall.report(&agent, &agent.report_of(&machine(1))).await;
    assert_eq!((status, &answer["node"]), (StatusCode::OK, &json!(other.node)));
    assert_eq!(hall.node(other.id()).await.identity.serial.as_deref(), Some("VM-2"), "its identity stays");
    assert_eq!(hall.counted("identity_conflicts"), 1);
    hall.start(&machine(1));
    assert_eq!(hall.report_ok(&machine(1)).await, victim, "and the other machine is still recognised");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_reports_of_one_machine_at_once_make_one_node() {
    let hall = Arc::new(Hall::new().await);
    let agent = hall.start(&machine(1));
    let reports = (0..100u16).map(|n| {
        // Half of them through another boot, as a machine with two cards would.
        let (hall, agent) =
            (hall.clone(), if n % 2 == 0 { agent.clone() } else { hall.start(&Machine { mac: machine(n).mac, ..machine(1) }) });
        tokio::spawn(async move { hall.report(&agent, &agent.report_of(&machine(1))).await })
    });
    let answers = futures_of(reports.collect()).await;
    assert!(answers.iter().all(|(status, _)| matches!(status.as_u16(), 200 | 409)), "{answers:?}");
    assert!(answers.iter().filter(|(status, _)| *status == StatusCode::OK).count() >= 50);
    assert_eq!((hall.store.nodes.lock().unwrap().len(), hall.inventory.count()), (1, 1));
}

async fn futures_of<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut done = vec![];
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

#[tokio::test]
async fn hostile_serials_are_kept_as_data_and_never_reach_a_line_raw() {
    let hall = Hall::new().await;
    let hostile = "VM\u{202e}-1;\u{2028}rm -rf / ${x} <script>";
    let evil = Machine { serial: Some(hostile.into()), ..machine(1) };
    let accepted = hall.report_ok(&evil).await;
    assert_eq!(hall.document(accepted.id()).await.facts["system"]["serial"], hostile);
    let notes = hall.boots.notes.lock().unwrap();
    assert!(notes.iter().all(|(_, _, message, _)| !message.contains(['\u{202e}', '\u{2028}', '\n'])), "{notes:?}");
}

// What is refused

#[tokio::test]
async fn who_shows_no_good_ticket_is_refused_whatever_it_asks() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    hall.report_ok(&machine(1)).await;
    for (method, path) in [("POST", "/report"), ("POST", "/progress"), ("GET", "/orders")] {
        let with = |ticket: &str| {
            let mut request = agent.request(method, path, "{}");
            request.headers_mut().insert("overture-ticket", ticket.parse().unwrap());
            request
        };
        let mut none = with("");
        none.headers_mut().remove("overture-ticket");
        let response = hall.router.clone().oneshot(none).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()[header::WWW_AUTHENTICATE]),
            (StatusCode::UNAUTHORIZED, &"Overture-Ticket".parse().unwrap())
        );
        for bad in ["", "../../etc/passwd", &"AB".repeat(16), &"ab".repeat(17)] {
            hall.refused(with(bad), 400, "ticket_malformed").await;
        }
        let mut two = with(agent.ticket.as_str());
        two.headers_mut().append("overture-ticket", "ab".repeat(16).parse().unwrap());
        hall.refused(two, 400, "ticket_malformed").await;
        hall.refused(with(&"ab".repeat(16)), 403, "ticket_refused").await;
        let mut elsewhere = agent.clone();
        elsewhere.peer.address = "10.20.9.9:1".parse().unwrap();
        hall.refused(elsewhere.request(method, path, "{}"), 403, "ticket_refused").await;
        elsewhere.peer.address = "[2001:db8::1]:1".parse().unwrap();
        hall.refused(elsewhere.request(method, path, "{}"), 403, "ticket_refused").await;
        let mut unwired = agent.request(method, path, "{}");
        unwired.extensions_mut().clear();
        hall.refused(unwired, 500, "internal").await;
    }
    assert_eq!(hall.store.nodes.lock().unwrap().len(), 1);
    assert_eq!((hall.counted("refused_no_ticket"), hall.counted("refused_wrong_address")), (3, 3));
}

#[tokio::test]
async fn an_address_of_a_socket_for_both_families_is_the_same_address() {
    let hall = Hall::new().await;
    let mut agent = hall.start(&machine(1));
    agent.peer.address = "[::ffff:10.20.0.1]:40000".parse().unwrap();
    assert_eq!(hall.report(&agent, &agent.report_of(&machine(1))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_second_key_is_refused_and_the_ticket_is_void_for_both() {
    let hall = Hall::new().await;
    hall.report_ok(&machine(1)).await;
    let agent = hall.agent(&machine(1));
    let second = agent.with_key("another");
    let report = serde_json::to_vec(&agent.report_of(&machine(1))).unwrap();
    hall.refused(second.request("POST", "/report", report.clone()), 409, "second_key").await;
    hall.refused(agent.request("POST", "/report", report), 403, "ticket_refused").await;
    hall.refused(agent.request("GET", "/orders", ""), 403, "ticket_refused").await;
    assert_eq!((hall.counted("refused_second_key"), hall.counted("refused_unknown_ticket")), (1, 2));
}

#[tokio::test]
async fn each_bad_report_has_its_status_and_reason() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let good = agent.report_of(&machine(1));
    let text = serde_json::to_string(&good).unwrap();
    let with = |path: &str, value: Value| {
        let mut report = good.clone();
        *report.pointer_mut(path).unwrap() = value;
        report.to_string()
    };
    let send = |body: String| agent.request("POST", "/report", body);
    let problem = hall.refused(send(text[..text.len() / 2].into()), 400, "malformed").await;
    assert_eq!(problem["errors"][0]["line"], 1);
    assert!(problem["errors"][0]["column"].as_u64().unwrap() > 10);
    hall.refused(send(String::new()), 400, "malformed").await;
    hall.refused(send(with("/facts", json!([]))), 400, "malformed").await;
    hall.refused(send(with("/facts/system", json!([1]))), 400, "malformed").await;
    hall.refused(send(with("/report", json!(2))), 422, "unsupported_version").await;
    hall.refused(send(with("/facts/nics", json!(vec![json!({}); 2000]))), 422, "too_many_items").await;
    hall.refused(send(with("/boot", json!("no boot\u{1b}[2J"))), 400, "other_boot").await;
    hall.refused(send(with("/boot", json!(Uuid::from_u128(5)))), 400, "other_boot").await;
    hall.refused(send(with("/facts", json!({}))), 422, "nameless").await;
    assert!(hall.store.nodes.lock().unwrap().is_empty());
    assert_eq!((hall.counted("refused_malformed"), hall.counted("refused_other_boot")), (4, 2));
    let notes = hall.boots.notes.lock().unwrap().clone();
    assert!(notes.len() == 9 && notes.iter().all(|(_, event, ..)| event == "refused"));
    assert!(notes.iter().all(|(_, _, _, rule)| !rule.as_ref().unwrap().contains(char::is_control)));
    assert_eq!(hall.report(&agent, &good).await.0, StatusCode::OK, "and a good one is taken in afterwards");
}

#[tokio::test]
async fn a_report_that_is_too_large_is_refused_promised_or_not() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let large = vec![b' '; MOST_BYTES + 1];
    hall.refused(agent.request("POST", "/report", large.clone()), 413, "too_large").await;
    let mut promised = agent.request("POST", "/report", large);
    promised.headers_mut().insert(header::CONTENT_LENGTH, "100000000".parse().unwrap());
    hall.refused(promised, 413, "too_large").await;
    hall.refused(agent.request("POST", "/progress", vec![b' '; MOST_PROGRESS + 1]), 413, "too_large").await;
    assert_eq!(hall.counted("refused_too_large"), 3);

    let mut fits = agent.report_of(&machine(1));
    fits["facts"]["padding"] = "x".repeat(MOST_BYTES - 1000).into();
    assert_eq!(hall.report(&agent, &fits).await.0, StatusCode::OK, "one just below the bound is read");
}

#[tokio::test]
async fn a_machine_that_fits_two_nodes_is_left_to_a_person() {
    let hall = Hall::new().await;
    // Twins of a careless factory, told apart by their cards; then the card of one is put into the other.
    let twins = [1, 2].map(|n| Machine { serial: Some("SAME".into()), uuid: Uuid::nil(), ..machine(n) });
    let ids = [hall.report_ok(&twins[0]).await.node, hall.report_ok(&twins[1]).await.node];
    assert_ne!(ids[0], ids[1]);
    hall.clock.forward(121);
    let agent = hall.start(&Machine { mac: machine(3).mac, ..twins[0].clone() });
    let mut report = agent.report_of(&Machine { disk: "DISK-3".into(), ..twins[0].clone() });
    report["facts"]["nics"].as_array_mut().unwrap().push(json!({ "name": "eth1", "mac": twins[1].mac.to_string() }));
    let request = agent.request("POST", "/report", report.to_string());
    let problem = hall.refused(request, 422, "ambiguous").await;
    let named: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["key"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| named.contains(&id.as_str())));
    assert_eq!((hall.inventory.count(), hall.counted("refused_ambiguous")), (2, 1));
}

#[tokio::test]
async fn a_boot_that_another_one_replaced_is_told_so() {
    let hall = Hall::new().await;
    let first = hall.report_ok(&machine(1)).await;
    let old = hall.agent(&machine(1));
    let double = Machine { mac: machine(2).mac, address: machine(2).address, ..machine(1) };
    let at_once = hall.start(&double);
    hall.refused(at_once.request("POST", "/report", at_once.report_of(&double).to_string()), 422, "ambiguous").await;
    hall.clock.forward(121);
    assert_eq!(hall.report_ok(&double).await, first);
    let report = old.report_of(&machine(1)).to_string();
    hall.refused(old.request("POST", "/report", report), 409, "superseded").await;
    hall.refused(old.request("GET", "/orders?wait=60", ""), 409, "superseded").await;
    assert_eq!(hall.counted("refused_superseded"), 2);
}

#[tokio::test]
async fn a_full_inventory_refuses_new_machines_only_until_a_node_is_forgotten() {
    let mut hall = Hall::new().await;
    hall.restart_with_room_for(2).await;
    let (one, two) = (hall.report_ok(&machine(1)).await, hall.report_ok(&machine(2)).await);
    let third = hall.start(&machine(3));
    let report = || third.request("POST", "/report", third.report_of(&machine(3)).to_string());
    let problem = hall.refused(report(), 507, "inventory_full").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("2 nodes") && detail.contains("`overture nodes forget NODE`"), "{detail}");
    let response = hall.router.clone().oneshot(report()).await.unwrap();
    assert_eq!(response.headers()[header::RETRY_AFTER], "60");
    let noted = hall.boots.notes.lock().unwrap().iter().any(|note| note.0 == third.boot && note.1 == "refused");
    assert!(noted, "`explain` tells it");
    assert_eq!((hall.inventory.count(), hall.counted("refused_inventory_full")), (2, 2));

    assert_eq!(hall.report_ok(&machine(1)).await, one, "who is known goes on");
    hall.start(&machine(2));
    assert_eq!(hall.report_ok(&machine(2)).await, two, "also after a restart");
    hall.inventory.forget(one.id(), None).await.unwrap();
    hall.report_ok(&machine(3)).await;
    assert_eq!(hall.inventory.count(), 2);
    hall.restart_with_room_for(1).await;
    assert_eq!(hall.inventory.count(), 2, "what was kept is not lost to a smaller bound");
    hall.report_ok(&machine(3)).await;
}

#[tokio::test]
async fn nothing_is_remembered_that_was_not_stored() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let send = || agent.request("POST", "/report", agent.report_of(&machine(1)).to_string());
    hall.store.fail(true);
    let response = hall.router.clone().oneshot(send()).await.unwrap();
    assert_eq!((response.status(), response.headers()[header::RETRY_AFTER].as_bytes()), (StatusCode::SERVICE_UNAVAILABLE, b"5".as_slice()));
    hall.boots.fail(true);
    hall.refused(send(), 503, "store_unavailable").await;
    assert_eq!((hall.inventory.count(), hall.boots.get(&agent.ticket).node), (0, None));
    assert_eq!(hall.inventory.known(Some(machine(1).mac), Some(machine(1).uuid)), None);
    assert_eq!((hall.counted("refused_unavailable"), hall.boots.notes.lock().unwrap().len()), (2, 0));
    hall.store.fail(false);
    hall.boots.fail(false);
    hall.report_ok(&machine(1)).await;
}

#[tokio::test]
async fn an_agent_that_hangs_up_leaves_store_and_memory_agreeing() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    let sending = hall.router.clone().oneshot(agent.request("POST", "/report", agent.report_of(&machine(1)).to_string()));
    {
        let mut sending = std::pin::pin!(sending);
        // Far enough that the report is being kept, and no further.
        while hall.store.writes.load(Ordering::SeqCst) == 0 {
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(sending.as_mut().poll(context))).await;
            assert!(polled.is_pending());
            tokio::task::yield_now().await;
        }
    }
    while hall.counted("accepted_new") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hall.inventory.count(), 1);
}

#[tokio::test]
async fn what_is_not_served_is_a_problem_too() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    hall.refused(agent.request("GET", "/secrets", ""), 404, "no_such_path").await;
    let response = hall.router.clone().oneshot(agent.request("GET", "/report", "")).await.unwrap();
    assert_eq!((response.status(), response.headers()[header::ALLOW].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, b"POST".as_slice()));
}

// Whatever comes

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_bytes_make_the_service_fail(bytes: Vec<u8>, cut in 0usize..2000, at in 0usize..2000, flip: u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let hall = Hall::new().await;
            let agent = hall.start(&machine(1));
            let good = agent.report_of(&machine(1)).to_string().into_bytes();
            let mut changed = good.clone();
            let at = at % changed.len();
            changed[at] ^= flip;
            for body in [bytes.clone(), good[..cut.min(good.len())].to_vec(), changed] {
                for path in ["/report", "/progress"] {
                    let (status, answer) = hall.send(agent.request("POST", path, body.clone())).await;
                    assert!(status.as_u16() < 500, "{status} {answer}");
                }
            }
        });
    }

    #[test]
    fn no_facts_make_the_service_fail(text in "\\PC{0,40}", number: u64, mac in "[0-9a-f:]{0,20}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let hall = Hall::new().await;
            let agent = hall.start(&machine(1));
            let facts = json!({
                "system": { "serial": text, "uuid": text, "product": text },
                "memory": { "usable_bytes": number },
                "disks": [{ "size_bytes": number, "wwn": text }, { "size_bytes": number }],
                "nics": [{ "mac": mac, "permanent_mac": text }],
            });
            let gaps = json!([{ "path": text, "reason": text }]);
            let report = json!({ "report": 1, "boot": agent.boot, "facts": facts, "gaps": gaps });
            let (status, answer) = hall.report(&agent, &report).await;
            assert!(matches!(status.as_u16(), 200 | 422), "{status} {answer}");
        });
    }
}

// What an agent is told with every answer, and what it can fetch

#[tokio::test]
async fn every_answer_tells_the_time_to_the_millisecond() {
    let hall = Hall::new().await;
    hall.report_ok(&machine(1)).await;
    let agent = hall.agent(&machine(1));
    let unsigned = || {
        let mut request = agent.request("GET", "/orders", "");
        request.headers_mut().remove("overture-ticket");
        request
    };
    let requests = [
        agent.request("GET", "/orders", ""),
        agent.request("POST", "/report", agent.report_of(&machine(1)).to_string()),
        agent.request("POST", "/report", "{"),
        agent.request("GET", "/report", ""),
        agent.request("GET", "/nothing", ""),
        agent.request("GET", "/test-data?bytes=1", ""),
        unsigned(),
    ];
    for request in requests {
        let response = hall.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[TIME_HEADER], "2027-01-15T08:00:00.000Z", "{}", response.status());
    }
}

#[tokio::test]
async fn an_agent_fetches_as_many_bytes_as_it_asks_for_and_no_more_than_a_gibibyte() {
    let hall = Hall::new().await;
    let agent = hall.start(&machine(1));
    for bytes in [0usize, 1, 7, 64 * 1024 + 3, 3 << 20] {
        let response = hall.router.clone().oneshot(agent.request("GET", &format!("/test-data?bytes={bytes}"), "")).await.unwrap();
        assert_eq!(
            (response.status(), response.headers()[header::CONTENT_LENGTH].to_str().unwrap()),
            (StatusCode::OK, bytes.to_string().as_str())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), bytes);
    }
    for query in ["", "?bytes=", "?bytes=-1", "?bytes=many", "?bytes=1073741825", "?bytes=99999999999999999999"] {
        let problem = hall.refused(agent.request("GET", &format!("/test-data{query}"), ""), 400, "bad_parameter").await;
        assert_eq!(problem["errors"][0]["key"], "bytes", "{query}");
    }
    let mut open = vec![];
    loop {
        let response = hall.router.clone().oneshot(agent.request("GET", "/test-data?bytes=1000000", "")).await.unwrap();
        if response.status() != StatusCode::OK {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
        open.push(response);
    }
    assert_eq!(open.len(), 8);
    drop(open);
    assert_eq!(hall.router.clone().oneshot(agent.request("GET", "/test-data?bytes=1", "")).await.unwrap().status(), StatusCode::OK);
}
