//! Reports of installed systems, brought by an operator.

use crate::server::{facts, report};
use crate::service::{Service, overture};
use crate::support::Appliance;
use crate::support::machine::power_on;
use crate::transcript::with_input;
use serde_json::{Value, json};
use std::process::Output;

fn import(service: &Service, text: &str) -> Output {
    let mut command = overture(service.folder());
    command.env("OVERTURE_SOCKET", service.socket());
    with_input(command, &["nodes", "import", "-"], text.as_bytes())
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_report_of_an_installed_system_makes_a_node_and_says_what_became_of_it() {
    let service = Service::start();
    let text = report(None, facts(7)).to_string();
    assert_eq!(said(&import(&service, &text)), (Some(0), "SIM-000007: report 1 taken in, a new node\n".into()));
    assert_eq!(said(&import(&service, &text)), (Some(0), "SIM-000007: report 2 taken in, nothing changed\n".into()));
    let mut other = facts(7);
    other["firmware"]["version"] = json!("U46 v2.16 (01/10/2023)");
    std::fs::write(service.path("report.json"), report(None, other).to_string()).unwrap();
    let told = service.overture(&["nodes", "import", "report.json"]);
    let (code, told) = said(&told);
    assert!(code == Some(0) && told.starts_with("SIM-000007: report 3 taken in, its hardware changed"), "{told}");
    let node = service.get("/api/v1/nodes/SIM-000007").json();
    assert_eq!((&node["boot"], &node["key"], &node["address"]), (&Value::Null, &Value::Null, &Value::Null));
    let history = service.get("/api/v1/nodes/SIM-000007/history").json();
    assert!(history["items"].as_array().unwrap().iter().all(|report| report["boot"].is_null() && report["address"].is_null()), "{history}");
    // Everything that shows a node can show one that never booted from here.
    for arguments in [
        &["nodes", "list"][..],
        &["nodes", "show", "SIM-000007"],
        &["nodes", "history", "SIM-000007"],
        &["explain", "SIM-000007"],
        &["nodes", "verify"],
        &["inventory", "show"],
    ] {
        let (code, told) = said(&service.overture(arguments));
        assert!(code.is_some_and(|code| code < 2) && !told.contains("does not understand"), "{arguments:?}: {told}");
    }
    let refused = service.write("POST", "/api/v1/nodes/SIM-000007/orders", &json!({"order": "reboot"}));
    assert_eq!(refused.status, 202, "the order waits until an agent asks: {}", refused.text());
}

#[test]
fn what_is_no_report_is_refused_with_the_reason() {
    let service = Service::start();
    let nameless = json!({"report": 1, "facts": {"cpu": {"threads": 8}}}).to_string();
    let amendment = json!({"report": 1, "amends": true, "facts": facts(7)}).to_string();
    let later = json!({"report": 2, "facts": facts(7)}).to_string();
    for (text, part) in [
        ("", "not a report"),
        ("not JSON", "not a report"),
        ("[]", ""),
        ("{}", "report"),
        (later.as_str(), "version"),
        (nameless.as_str(), "nothing in this report identifies a machine"),
        (amendment.as_str(), "only amends another one"),
        ("{\"report\": 1,\n\"facts\": {\"system\": {\"serial\": 7}}}", "expected a string at line 2 column"),
        ("{\"report\": 1, \"facts\": {\"system\": {\"serial\": \"\u{1b}[2J\"}, \"nics\": 3}}", ""),
    ] {
        let (code, told) = said(&import(&service, text));
        assert!(code == Some(1) && told.contains(part), "{text}: {told}");
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
    let (code, told) = said(&service.overture(&["nodes", "import", "nothere.json"]));
    assert!(code == Some(1) && told.contains("nothere.json"), "{told}");
    assert_eq!(service.get("/api/v1/nodes").json()["total"], 0);
}

#[test]
fn the_schema_that_is_served_is_the_one_in_the_documentation() {
    let service = Service::start();
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json")).unwrap();
    let answer = service.get("/api/v1/report-schema");
    assert_eq!(answer.json(), serde_json::from_str::<Value>(&file).unwrap());
}

#[test]
fn a_machine_that_was_imported_first_and_booted_later_is_one_node() {
    let appliance = Appliance::start();
    let imported = appliance.api("POST", "/api/v1/reports", Some(&report(None, facts(12)))).json();
    assert_eq!(imported["new"], true);
    appliance.inside(|| {
        let running = power_on(12);
        let body = report(Some(&running.agent.boot), facts(12)).to_string();
        let answer = running.agent.send("POST", "/report", body.as_bytes()).unwrap();
        assert_eq!((answer.status, &answer.json()["node"]), (200, &imported["node"]["id"]), "{}", answer.text());
        // Imported again while it waits: its agent is still the one that speaks for it.
        let mut installed = facts(12);
        installed["memory"]["dimms"].as_array_mut().unwrap().truncate(1);
        let again = appliance.api("POST", "/api/v1/reports", Some(&report(None, installed))).json();
        assert_eq!((&again["new"], &again["changed"], &again["node"]["id"]), (&json!(false), &json!(true), &imported["node"]["id"]));
        assert_eq!(again["node"]["boot"], running.agent.boot);
        assert_eq!(again["node"]["address"], running.agent.from.to_string());
        assert_eq!(running.agent.send("GET", "/orders?wait=0", b"").unwrap().json()["order"], "wait");
    });
    assert_eq!(appliance.get("/api/v1/nodes")["total"], 1);
    let history = appliance.get("/api/v1/nodes/SIM-000012/history");
    let came: Vec<_> = history["items"].as_array().unwrap().iter().map(|report| report["boot"].is_null()).collect();
    assert_eq!(came, [true, false, true]);
}
