//! Tests of the hardware: ordered by an operator, done by a simulated agent, told and demanded.

use crate::server::{facts, report};
use crate::support::machine::{Running, power_on};
use crate::support::{Appliance, eventually};
use crate::transcript::{Transcript, overture};
use serde_json::{Value, json};
use std::process::Stdio;

fn reported(number: u32, can: Value) -> Running {
    let running = power_on(number);
    let mut facts = facts(number);
    facts["agent"]["can"] = can;
    let body = report(Some(&running.agent.boot), facts).to_string();
    let answer = running.agent.send("POST", "/report", body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    running
}

fn progress(running: &Running, body: &Value) {
    let answer = running.agent.send("POST", "/progress", body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn result(kind: &str, part: Option<&str>, outcome: &str, detail: &str) -> Value {
    json!({"kind": kind, "part": part, "outcome": outcome, "detail": detail, "took_ms": 2000})
}

#[test]
fn a_test_is_done_by_the_agent_and_the_failed_part_is_named() {
    let appliance = Appliance::start();
    let mut transcript = Transcript::of(appliance.folder(), appliance.socket());
    let running = appliance.inside(|| {
        reported(13, json!([]));
        reported(14, json!(["test"]))
    });
    transcript.run("nodes name SIM-000014 w14", 0);
    transcript.run("nodes tests w14", 0);
    transcript.run("nodes test SIM-000013 --all", 1);
    transcript.run("nodes test w14", 2);
    transcript.run("nodes test w14 --cpu --for 25h", 2);
    transcript.run("nodes test w14 --memory --disks --for 90s", 0);
    transcript.run("nodes tests w14", 0);
    // Another in its place, and somebody waits for it.
    let mut waiting = overture(appliance.folder(), appliance.socket());
    waiting.args(["nodes", "test", "w14", "--memory", "--disks", "--for", "2s", "--wait"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    eventually("the second test is the order", || {
        let newest = appliance.get("/api/v1/nodes/w14/tests?limit=1")["items"][0].clone();
        newest["seconds"] == 2 && appliance.get("/api/v1/nodes/w14")["order"]["id"] == newest["id"]
    });
    appliance.inside(|| {
        let told = running.agent.send("GET", "/orders?wait=5", b"").unwrap().json();
        assert_eq!((&told["order"], &told["test"]["seconds"], &told["test"]["cpu"]), (&json!("test"), &json!(2), &json!(false)), "{told}");
        let order = &told["id"];
        progress(&running, &json!({"order": order, "state": "taken"}));
        let first = result("memory", None, "passed", "wrote and read 60 GiB twice in 2 s, no error");
        progress(&running, &json!({"order": order, "state": "running", "results": [first]}));
        let sound = result("disks", Some("nvme0n1"), "passed", "read 4.0 GiB in 2 s, 2050 MB/s, no error");
        let broken = result("disks", Some("nvme1n1"), "failed", "reading at 1.2 TB failed: input/output error");
        progress(&running, &json!({"order": order, "state": "done", "results": [first, sound, broken]}));
        // Nothing is left to do, and what comes late changes nothing.
        progress(&running, &json!({"order": order, "state": "done", "results": [first]}));
        assert_eq!(running.agent.send("GET", "/orders?wait=0", b"").unwrap().json()["order"], "wait");
    });
    let waited = waiting.wait_with_output().unwrap();
    let told = String::from_utf8(waited.stdout).unwrap();
    let line = "  failed   disks nvme1n1: reading at 1.2 TB failed: input/output error\n";
    assert!(waited.status.code() == Some(1) && told.contains(line) && told.ends_with("FAILED: 1 part\n"), "{told}");
    transcript.remark("a second test was done, and waited for");
    transcript.run("nodes tests w14", 0);
    transcript.run("nodes verify w14", 0);
    let site = "[profile.worker]\ntests = [\"memory\", \"disks\", \"network\"]\n\n[[node]]\nname = \"w14\"\nserial = \"SIM-000014\"\nprofile = \"worker\"\n";
    assert_eq!(appliance.apply(&appliance.site(site)).unwrap().status, 201);
    transcript.remark("a profile demands tests of memory, disks and network");
    transcript.run("nodes verify w14", 1);
    transcript.expect("inventory/burn_in.txt");
    let steps = appliance.get("/api/v1/explain/w14").to_string();
    assert!(steps.contains("nvme1n1: reading at 1.2 TB failed"), "{steps}");
}

#[test]
fn a_machine_that_restarts_in_the_middle_of_a_test_is_not_tested_for_ever() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let running = reported(15, json!(["test"]));
        let path = "/api/v1/nodes/SIM-000015/tests";
        let ordered = appliance.api("POST", path, Some(&json!({"cpu": true, "seconds": 60})));
        assert_eq!((ordered.status, &ordered.json()["state"]), (202, &json!("waiting")));
        let told = running.agent.send("GET", "/orders?wait=0", b"").unwrap().json();
        progress(&running, &json!({"order": told["id"], "state": "taken"}));
        assert_eq!(appliance.get(path)["items"][0]["state"], "running");
        let again = reported(15, json!(["test"]));
        assert_eq!(again.agent.send("GET", "/orders?wait=0", b"").unwrap().json()["order"], "wait");
        assert_eq!(appliance.get(path)["items"][0]["state"], "unfinished");
    });
}

#[test]
fn what_an_agent_says_of_a_test_is_bounded_and_harmless() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let running = reported(16, json!(["test"]));
        let path = "/api/v1/nodes/SIM-000016/tests";
        assert_eq!(appliance.api("POST", path, Some(&json!({"cpu": true, "seconds": 60}))).status, 202);
        let order = running.agent.send("GET", "/orders?wait=0", b"").unwrap().json()["id"].clone();
        let send = |results: Value| {
            let body = json!({"order": order, "state": "done", "results": results}).to_string();
            running.agent.send("POST", "/progress", body.as_bytes()).unwrap()
        };
        let many: Vec<_> = (0..1025).map(|cpu| result("cpu", Some(&format!("cpu{cpu}")), "passed", "computed")).collect();
        for wrong in [json!(many), json!([result("moon", None, "passed", "x")]), json!([result("cpu", None, "perhaps", "x")]), json!(3)] {
            let answer = send(wrong);
            assert!((400..500).contains(&answer.status), "{}", answer.text());
        }
        assert_eq!(appliance.get(path)["items"][0]["finished"], Value::Null, "a refusal ends no test");
        let hostile = "\u{1b}[2J\u{202e}".repeat(1000);
        assert_eq!(send(json!([result("cpu", Some(&hostile), "failed", &hostile)])).status, 204);
    });
    let shown = String::from_utf8(appliance.cli(&["nodes", "tests", "SIM-000016"]).stdout).unwrap();
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && shown.len() < 2000, "{shown:?}");
}
