//! What an operator writes on a node, and forgetting it with all that was remembered.

use crate::service::{Service, node, report};
use crate::transcript::Transcript;
use serde_json::json;

#[test]
fn owners_tags_and_notes_are_written_found_and_wiped_off() {
    let service = Service::with_nodes([node(1), node(2)]);
    let mut transcript = Transcript::of(service.folder(), &service.socket());
    transcript.run("nodes label VM-0001 --owner storage-team --tag gpu --tag staging --note 'PSU 2 replaced'", 0);
    transcript.run("nodes label VM-0001", 1);
    transcript.run("nodes label VM-0001 --tag 'Not one'", 1);
    transcript.run("nodes label VM-0001 --tag gpu --untag gpu", 1);
    transcript.run("nodes label VM-0009 --tag gpu", 1);
    transcript.run("nodes list 'owner = storage-team and tag = gpu' --columns serial,owner,tags,note", 0);
    transcript.run("nodes list 'owner is missing' --columns serial", 0);
    transcript.run("nodes label VM-0001 --untag staging --untag never --note ''", 0);
    transcript.run("nodes label VM-0001 --untag gpu --owner ''", 0);
    transcript.run("nodes list 'owner = storage-team'", 0);
    transcript.expect("inventory/labels.txt");
}

#[test]
fn a_report_leaves_what_was_written_and_a_forgotten_node_leaves_nothing() {
    let mut service = Service::start();
    service.import(&node(1));
    let path = "/api/v1/nodes/VM-0001";
    assert_eq!(service.write("PATCH", path, &json!({"owner": "storage", "add_tags": ["gpu"]})).status, 200);
    service.import(&node(1));
    let mut changed = report(1);
    changed["facts"]["cpu"]["threads"] = json!(4);
    service.report(&changed);
    let before = service.get(path).json();
    assert_eq!((&before["owner"], &before["tags"], &before["reports"]), (&json!("storage"), &json!(["gpu"]), &json!(3)));
    assert_eq!(service.get(&format!("{path}/history")).json()["items"].as_array().unwrap().len(), 3);
    assert_eq!(service.ask("DELETE", path, &[], &[]).status, 200);
    for below in ["", "/history", "/differences", "/tests"] {
        assert_eq!(service.get(&format!("{path}{below}")).status, 404, "{below}");
    }
    // It comes back as another node, and nothing of the first one is its own.
    for restarted in [false, true] {
        if restarted {
            assert!(service.stop().success());
            service.resume();
        } else {
            service.import(&node(1));
        }
        let again = service.get(path).json();
        assert_ne!(again["id"], before["id"]);
        assert_eq!((&again["owner"], &again["tags"], &again["reports"]), (&json!(null), &json!([]), &json!(1)));
        assert_eq!(service.get(&format!("{path}/history")).json()["items"].as_array().unwrap().len(), 1);
        assert_eq!(service.get(&format!("/api/v1/nodes/{}/history", before["id"].as_str().unwrap())).status, 404);
        let since = service.get("/api/v1/differences?since=1h").json();
        assert_eq!(since["items"].as_array().unwrap().len(), 1, "{since}");
    }
}
