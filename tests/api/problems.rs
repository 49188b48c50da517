//! Refusals are RFC 9457 problems, whatever is wrong.

use crate::service::{Answer, Service, node};
use serde_json::{Value, json};

/// A problem as the RFC and our conventions want it; returns its kind.
pub fn problem(answer: &Answer) -> String {
    let document = answer.json();
    let text = |field: &str| document[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {document}")).to_owned();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{document}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{document}");
    assert_eq!(document["status"], answer.status, "{document}");
    assert!(answer.status >= 400 && !text("title").is_empty() && !text("detail").is_empty(), "{document}");
    assert!(!text("title").ends_with('.'), "a title is no sentence: {document}");
    assert!(!text("detail").contains(|c: char| c.is_control() && c != '\n'), "{document}");
    let kind = text("type").strip_prefix("urn:overture:problem:").unwrap_or_else(|| panic!("{document}")).to_owned();
    assert!(kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{kind}");
    kind
}

#[test]
fn every_refusal_is_a_problem() {
    let service = Service::with_nodes([node(1), node(2)]);
    let long = "x".repeat(129);
    let key = |value| vec![("idempotency-key", value)];
    for (method, path, headers, body, status, kind) in [
        ("GET", "/", vec![], "", 404, "no_such_path"),
        ("GET", "/api/v1/nothing", vec![], "", 404, "no_such_path"),
        ("POST", "/api/v1/nothing", key("a"), "{}", 404, "no_such_path"),
        ("GET", "/api/v1/nodes/", vec![], "", 404, "no_such_path"),
        ("GET", "/api/v1/../../etc/passwd", vec![], "", 404, "no_such_path"),
        ("GET", "/%1b[2J", vec![], "", 404, "no_such_path"),
        ("DELETE", "/api/v1/nodes", vec![], "", 405, "no_such_method"),
        ("POST", "/api/v1/nodes", vec![], "{}", 405, "no_such_method"),
        ("PUT", "/healthz", vec![], "", 405, "no_such_method"),
        ("GET", "/api/v1/nodes/%ff", vec![], "", 400, "bad_path"),
        ("GET", "/api/v1/nodes/w9", vec![], "", 404, "no_such_node"),
        ("GET", "/api/v1/nodes/%1b[2J", vec![], "", 404, "no_such_node"),
        ("GET", "/api/v1/nodes/01900000", vec![], "", 409, "ambiguous_node"),
        ("GET", "/api/v1/explain/01900000", vec![], "", 409, "ambiguous_node"),
        ("GET", "/api/v1/explain/w9", vec![], "", 404, "no_such_machine"),
        ("GET", "/api/v1/explain/52:54:00:99:99:99", vec![], "", 404, "never_heard"),
        ("GET", "/api/v1/explain/VM-0001?boots=0", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/explain/VM-0001?boots=21", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/explain/VM-0001?boots=many", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/nodes?limit=0", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/nodes?limit=1001", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/nodes?limit=-1", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/nodes?limt=5", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/nodes?cursor=2", vec![], "", 400, "bad_cursor"),
        ("GET", "/api/v1/leases?limit=0", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/leases?cursor=provision", vec![], "", 400, "bad_cursor"),
        ("GET", "/api/v1/site", vec![], "", 404, "no_site"),
        ("PUT", "/api/v1/site", vec![], "[site]", 400, "bad_body"),
        ("PUT", "/api/v1/site", vec![], "{}", 422, "bad_body"),
        ("PUT", "/api/v1/site", vec![], r#"{"files": {}}"#, 422, "bad_site"),
        ("PUT", "/api/v1/site?dryrun=true", vec![], r#"{"files": {}}"#, 400, "bad_query"),
        ("PUT", "/api/v1/site?dry_run=yes", vec![], r#"{"files": {}}"#, 400, "bad_query"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"name": "W 1"}"#, 422, "bad_name"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"name": "\u001b[2J"}"#, 422, "bad_name"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], "{}", 422, "bad_change"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"name": "w1", "note": "x"}"#, 422, "bad_change"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"add_tags": ["Not a tag"]}"#, 422, "bad_label"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"add_tags": ["a"], "remove_tags": ["a"]}"#, 422, "bad_label"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"owner": "\u001b[2J"}"#, 422, "bad_label"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![("if-match", "\"7\"")], r#"{"note": "x"}"#, 412, "changed"),
        ("GET", "/api/v1/nodes?filter=disks.size%20%3E", vec![], "", 400, "bad_filter"),
        ("GET", "/api/v1/nodes?filter=%1b%5b2J%20%3D%20%00", vec![], "", 400, "bad_filter"),
        ("GET", "/api/v1/nodes?sort=memroy", vec![], "", 400, "bad_filter"),
        ("GET", "/api/v1/nodes?columns=name,nothing", vec![], "", 400, "bad_filter"),
        ("GET", "/api/v1/nodes/VM-0001?at=yesterday", vec![], "", 400, "bad_moment"),
        ("GET", "/api/v1/nodes/VM-0001?at=99999999999999999999", vec![], "", 400, "bad_moment"),
        ("GET", "/api/v1/nodes/VM-0001/history?limit=0", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/nodes/VM-0001/history?cursor=x", vec![], "", 400, "bad_cursor"),
        ("GET", "/api/v1/nodes/w9/history", vec![], "", 404, "no_such_node"),
        ("GET", "/api/v1/nodes/VM-0001/differences?from=1&to=7", vec![], "", 404, "not_kept"),
        ("GET", "/api/v1/nodes/VM-0001/differences?since=-7d", vec![], "", 400, "bad_moment"),
        ("GET", "/api/v1/differences", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/differences?since=7d&cursor=7", vec![], "", 400, "bad_cursor"),
        ("GET", "/api/v1/inventory?limit=101", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/verification?node=w9", vec![], "", 404, "no_such_node"),
        ("GET", "/api/v1/verification?nodes=w9", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/export", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/export?format=yaml", vec![], "", 400, "bad_query"),
        ("GET", "/api/v1/export?format=csv&filter=nothing%20%3D%201", vec![], "", 400, "bad_filter"),
        ("GET", "/api/v1/prometheus-targets?port=70000", vec![], "", 400, "bad_limit"),
        ("GET", "/api/v1/nodes/VM-0001/tests?limit=101", vec![], "", 400, "bad_limit"),
        ("POST", "/api/v1/nodes/VM-0001/tests", vec![], r#"{"cpu": true, "seconds": 60}"#, 409, "cannot_test"),
        ("POST", "/api/v1/nodes/VM-0001/tests", vec![], r#"{"seconds": 60}"#, 422, "bad_test"),
        ("POST", "/api/v1/nodes/VM-0001/tests", vec![], r#"{"cpu": true, "seconds": 86401}"#, 422, "bad_test"),
        ("POST", "/api/v1/nodes/VM-0001/orders", vec![], r#"{"order": "test"}"#, 422, "bad_change"),
        ("POST", "/api/v1/reports", vec![], "", 422, "bad_report"),
        ("POST", "/api/v1/reports", vec![], r#"{"report": 1, "facts": {"cpu": {"threads": "8"}}}"#, 422, "bad_report"),
        ("POST", "/api/v1/reports", vec![], r#"{"report": 2, "facts": {}}"#, 422, "bad_report"),
        (
            "POST",
            "/api/v1/reports",
            vec![],
            r#"{"report": 1, "amends": true, "facts": {"system": {"serial": "VM-0001"}}}"#,
            422,
            "bad_report",
        ),
        ("POST", "/api/v1/reports", vec![], r#"{"report": 1, "facts": {}}"#, 422, "nameless"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], r#"{"name": "w1", "\u001b[2J": 1}"#, 422, "bad_body"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![], "", 400, "bad_body"),
        ("PATCH", "/api/v1/nodes/w9", vec![], r#"{"name": "w1"}"#, 404, "no_such_node"),
        ("PATCH", "/api/v1/nodes/VM-0001", vec![("if-match", "soon")], r#"{"name": "w1"}"#, 412, "bad_if_match"),
        ("DELETE", "/api/v1/nodes/w9", vec![], "", 404, "no_such_node"),
        ("DELETE", "/api/v1/nodes/", vec![], "", 404, "no_such_path"),
        ("DELETE", "/api/v1/nodes/01900000", vec![], "", 409, "ambiguous_node"),
        ("DELETE", "/api/v1/nodes/VM-0001", vec![("if-match", "soon")], "", 412, "bad_if_match"),
        ("DELETE", "/api/v1/nodes/VM-0001", vec![("if-match", "\"2\"")], "", 412, "changed"),
        ("DELETE", "/api/v1/nodes/VM-0001", key(""), "", 400, "bad_idempotency_key"),
        ("POST", "/api/v1/nodes/VM-0001/orders", vec![], r#"{"order": "explode"}"#, 422, "bad_body"),
        ("POST", "/api/v1/nodes/w9/orders", vec![], r#"{"order": "reboot"}"#, 404, "no_such_node"),
        ("PATCH", "/api/v1/nodes/VM-0001", key(""), r#"{"name": "w1"}"#, 400, "bad_idempotency_key"),
        ("PATCH", "/api/v1/nodes/VM-0001", key(&long), r#"{"name": "w1"}"#, 400, "bad_idempotency_key"),
        ("PATCH", "/api/v1/nodes/VM-0001", key("\u{e9}"), r#"{"name": "w1"}"#, 400, "bad_idempotency_key"),
    ] {
        let answer = service.ask(method, path, &headers, body.as_bytes());
        assert_eq!((answer.status, problem(&answer).as_str()), (status, kind), "{method} {path} {body}");
    }
    let after = service.get("/api/v1/nodes/VM-0001").json();
    assert_eq!((&after["version"], &after["name"]), (&json!(1), &Value::Null), "a refusal changes nothing");
    assert_eq!(service.get("/api/v1/site/revisions").json()["items"], json!([]));
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let service = Service::start();
    let answer = service.ask("DELETE", "/api/v1/site", &[], &[]);
    let allowed: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
    assert!(allowed.contains(&"GET") && allowed.contains(&"PUT"), "{allowed:?}");
}

#[test]
fn every_mistake_of_a_site_is_told_with_its_file_and_line() {
    let service = Service::start();
    let files = json!({
        "site.toml": "[site]\nname = \"Hall 1\"\n",
        "racks/r1.toml": "[[node]]\nname = \"w1\"\nserail = \"VM-0001\"\n\n[[node]]\nname = 3\n",
    });
    let answer = service.write("PUT", "/api/v1/site", &json!({ "files": files }));
    assert_eq!((answer.status, problem(&answer).as_str()), (422, "bad_site"));
    let told: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|e| (e["file"].clone(), e["line"].clone())).collect();
    let places = [("racks/r1.toml", 3), ("racks/r1.toml", 6), ("site.toml", 2)].map(|(file, line)| (file.into(), line.into()));
    assert_eq!(told, places, "{}", answer.text());
    assert!(answer.text().contains("did you mean `serial`?"));
    let answer = service.apply("[site]\nname = \"Hall 1\"\n");
    let errors = &answer.json()["errors"];
    assert_eq!((&errors[0]["file"], &errors[0]["line"], &errors[0]["column"]), (&"site.toml".into(), &2.into(), &8.into()), "{errors}");
}

#[test]
fn thousands_of_mistakes_are_told_in_part_and_at_once() {
    let service = Service::start();
    let text: String = (0..20_000).map(|number| format!("k{number} = 1\n")).collect();
    let errors = service.apply(&text).json()["errors"].clone();
    assert_eq!(errors.as_array().unwrap().len(), 101);
    assert_eq!(errors[100]["detail"], "and 19900 mistakes more; mend these first");
}

#[test]
fn a_site_that_this_machine_cannot_serve_leaves_the_one_before_in_force() {
    let service = Service::start();
    assert_eq!(service.apply("[site]\nname = \"one\"\n").status, 201);
    let text =
        "[site]\nname = \"two\"\n[network.p]\ninterface = \"nothere0\"\nsubnet = \"10.99.0.0/24\"\npool = \"10.99.0.9-10.99.0.19\"\n";
    let body = json!({"files": {"site.toml": text}});
    for path in ["/api/v1/site?dry_run=true", "/api/v1/site"] {
        let answer = service.write("PUT", path, &body);
        assert_eq!((answer.status, problem(&answer).as_str()), (409, "unservable_site"));
        assert!(answer.text().contains("no interface `nothere0`; it has"), "{}", answer.text());
        let site = service.get("/api/v1/site").json();
        assert_eq!((&site["name"], &site["number"]), (&json!("one"), &json!(1)));
    }
}
