//! Lists are paged by cursor, and what is added meanwhile neither repeats nor hides anything.

use crate::service::{Service, in_store, node};
use domain::ports::LeaseStore;
use domain::{MacAddr, Timestamp, lease};
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_stay_what_they_are_while_nodes_appear() {
    let service = Service::with_nodes((1..=250).map(node));
    let page = |cursor: &Value| {
        let more = cursor.as_str().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        service.get(&format!("/api/v1/nodes?limit=100{more}")).json()
    };
    let first = page(&Value::Null);
    assert_eq!(ids(&first), (1..=100).map(|number| node(number).id.to_string()).collect::<Vec<_>>());
    assert_eq!(first["total"], 250);
    // One comes, one goes that was seen, one goes that was not seen yet, one changes.
    service.import(&node(251));
    for gone in ["VM-0001", "VM-0250"] {
        assert_eq!(service.ask("DELETE", &format!("/api/v1/nodes/{gone}"), &[], &[]).status, 200);
    }
    assert_eq!(service.write("PATCH", "/api/v1/nodes/VM-0150", &json!({"owner": "storage"})).status, 200);
    let second = page(&first["next_cursor"]);
    assert_eq!(ids(&second), (101..=200).map(|number| node(number).id.to_string()).collect::<Vec<_>>());
    let third = page(&second["next_cursor"]);
    assert_eq!((ids(&third).len(), &third["next_cursor"], &third["total"]), (50, &Value::Null, &json!(249)));
    let newest = service.get("/api/v1/nodes/VM-0251").json()["id"].as_str().unwrap().to_owned();
    let expected = (201..=249).map(|number| node(number).id.to_string()).chain([newest]);
    assert_eq!(ids(&third), expected.collect::<Vec<_>>());
    assert_eq!(ids(&service.get("/api/v1/nodes").json()).len(), 100, "a page has 100 unless more is asked for");
    assert_eq!(ids(&service.get("/api/v1/nodes?limit=1000").json()).len(), 249);
}

#[test]
fn an_empty_list_is_a_page_without_a_next() {
    let service = Service::start();
    for path in ["/api/v1/nodes", "/api/v1/leases"] {
        let page = service.get(path).json();
        assert_eq!((&page["items"], &page["next_cursor"]), (&json!([]), &Value::Null), "{path}");
    }
    assert_eq!(service.get("/api/v1/site/revisions").json(), json!({"items": []}));
}

#[test]
fn leases_are_paged_by_network_and_address() {
    let mut service = Service::prepare();
    std::fs::create_dir(service.path("state")).unwrap();
    let now = Timestamp::now();
    let leases = [("b", 9u8, 3u8), ("a", 200, 1), ("a", 30, 2)].map(|(network, address, mac)| lease::Lease {
        network: network.into(),
        mac: MacAddr([2, 0, 0, 0, 0, mac]),
        address: [10, 0, 0, address].into(),
        state: lease::LeaseState::Bound,
        granted: now,
        expires: now + jiff::SignedDuration::from_secs(if mac == 1 { -1 } else { 3600 }),
        host_name: None,
    });
    in_store(&service.path("state"), async |store| {
        for lease in &leases {
            store.keep_lease(lease).await.unwrap();
        }
    });
    service.resume();
    let shown = |page: &Value| -> Vec<(String, String)> {
        let text = |lease: &Value, field: &str| lease[field].as_str().unwrap().to_owned();
        page["items"].as_array().unwrap().iter().map(|lease| (text(lease, "address"), text(lease, "state"))).collect()
    };
    let first = service.get("/api/v1/leases?limit=2").json();
    assert_eq!(shown(&first), [("10.0.0.30".into(), "bound".into()), ("10.0.0.200".into(), "expired".into())]);
    let second = service.get(&format!("/api/v1/leases?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).json();
    assert_eq!((shown(&second), &second["next_cursor"]), (vec![("10.0.0.9".into(), "bound".into())], &Value::Null));
}

#[test]
fn a_time_reads_the_same_before_a_restart_and_after_it() {
    let mut service = Service::start();
    assert_eq!(service.apply("[site]\nname = \"one\"\n").status, 201);
    let before = service.get("/api/v1/site").json();
    assert!(service.stop().success());
    service.resume();
    assert_eq!(service.get("/api/v1/site").json(), before);
    assert_eq!(service.get("/api/v1/site/revisions").json()["items"][0]["applied"], before["applied"]);
}
