//! A node's history, by agents that report over real TLS: how it was, what changed, and what did not.

use crate::server::{facts, report};
use crate::service::{Known, Service, in_store, node};
use crate::support::agent::Agent;
use crate::support::machine::power_on;
use crate::support::{Appliance, agent};
use crate::transcript::Transcript;
use domain::history::{KeptReport, Retention};
use domain::ports::NodeStore;
use serde_json::{Value, json};

fn send(agent: &Agent, body: &Value) {
    let answer = agent.send("POST", "/report", body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn refused(agent: &Agent, body: &Value) -> (u16, String) {
    let answer = agent.send("POST", "/report", body.to_string().as_bytes()).unwrap();
    (answer.status, answer.problem())
}

#[test]
fn what_changed_on_a_node_is_told_and_how_it_was_is_shown() {
    let appliance = Appliance::start();
    let mut transcript = Transcript::of(appliance.folder(), appliance.socket());
    let running = appliance.inside(|| {
        let running = power_on(7);
        send(&running.agent, &report(Some(&running.agent.boot), facts(7)));
        running
    });
    transcript.remark("the machine has reported");
    transcript.run("nodes name SIM-000007 w7", 0);
    transcript.run("nodes show w7", 0);
    transcript.run("nodes history w7", 0);
    transcript.run("nodes diff w7", 0);
    let before = appliance.get("/api/v1/nodes/w7");
    // The same hardware, warmer and later.
    let mut same = facts(7);
    same["disks"][0]["health"]["temperature_celsius"] = json!(44);
    same["disks"][1]["health"]["power_on_hours"] = json!(1201);
    same["agent"]["uptime_seconds"] = json!(3600);
    appliance.inside(|| send(&running.agent, &report(Some(&running.agent.boot), same)));
    transcript.remark("it reports again: warmer, later, the same hardware");
    transcript.run("nodes history w7", 0);
    transcript.run("nodes diff w7 --from 1", 0);
    // A module is gone, a card has other firmware, a cable was moved, a disk was replaced, the BMC says nothing any more.
    let mut other = facts(7);
    other["memory"]["dimms"].as_array_mut().unwrap().truncate(1);
    other["memory"]["installed_bytes"] = json!(32u64 << 30);
    other["memory"]["usable_bytes"] = json!(31u64 << 30);
    other["nics"][0]["firmware"] = json!("22.36.1010");
    other["nics"][1]["neighbours"][0]["port"] = json!("Ethernet1/13");
    other["disks"][1]["serial"] = json!("N000007Z");
    other.as_object_mut().unwrap().remove("bmc");
    let mut body = report(Some(&running.agent.boot), other.clone());
    body["gaps"].as_array_mut().unwrap().push(json!({"path": "bmc", "reason": "the BMC does not answer"}));
    appliance.inside(|| send(&running.agent, &body));
    transcript.remark("it reports again: a module gone, a disk replaced, a cable moved, firmware, a BMC that is silent");
    transcript.run("nodes history w7", 0);
    transcript.run("nodes diff w7", 0);
    transcript.run("nodes diff w7 --from 1 --to 2", 0);
    transcript.run("nodes diff w7 --since 1h", 0);
    transcript.run("nodes show w7", 0);
    transcript.run("nodes show w7 --at 1", 0);
    transcript.run("inventory diff --since 1h", 0);
    let moment = before["reported"].as_str().unwrap().to_owned();
    assert_eq!(appliance.get(&format!("/api/v1/nodes/w7?at={moment}"))["facts"], before["facts"], "as it was, readings and all");
    let then = appliance.get(&format!("/api/v1/inventory?at={moment}"));
    assert_eq!((&then["items"][0]["facts"], &then["items"][0]["memory_bytes"]), (&before["facts"], &before["memory_bytes"]));
    let since = appliance.get(&format!("/api/v1/differences?since={moment}"));
    let told: Vec<_> = since["items"][0]["changes"].as_array().unwrap().iter().map(|change| change["came"]["number"].clone()).collect();
    assert!(!told.is_empty() && told.iter().all(|number| *number == 3), "{since}");
    transcript.remark("since the first report, to the microsecond");
    transcript.run(&format!("inventory diff --since {moment}"), 0);
    transcript.run(&format!("inventory show --at {moment}"), 0);
    transcript.run("inventory show", 0);
    transcript.remark("mistakes");
    transcript.run("nodes diff w7 --from 9", 1);
    transcript.run("nodes diff w7 --since yesterday", 1);
    transcript.run("nodes show w7 --at 9", 1);
    transcript.expect("inventory/changes.txt");
}

#[test]
fn what_changed_last_is_told_also_where_a_thousand_reports_changed_nothing() {
    let mut service = Service::prepare();
    std::fs::create_dir(service.path("state")).unwrap();
    in_store(&service.path("state"), async |store| {
        let mut known = Known::from(node(1));
        store.keep_report(&known.node, &known.report()).await.unwrap();
        known.document.facts["cpu"] = json!({"threads": 4});
        for number in 2..=1005 {
            (known.node.reports, known.node.version) = (number, number);
            let report = known.report();
            // The second is of other hardware than the first, and all after it are of the same.
            let document = report.document.clone().filter(|_| number == 2);
            store.keep_report(&known.node, &KeptReport { document, ..report }).await.unwrap();
        }
    });
    service.resume();
    let told = service.get("/api/v1/nodes/VM-0001/differences");
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["from"]["number"], &told["to"]["number"]), (&json!(1), &json!(1005)));
    assert_eq!(told["changes"].as_array().unwrap().len(), 1, "{told}");
    // Where the reports before it are not kept any more, the oldest is what there is to compare with.
    assert!(service.stop().success());
    in_store(&service.path("state"), async |store| {
        let retention = Retention { before: domain::Timestamp::now() - jiff::SignedDuration::from_secs(3600), most_reports: 10 };
        while store.prune(&retention).await.unwrap() > 0 {}
    });
    service.resume();
    let told = service.get("/api/v1/nodes/VM-0001/differences");
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["from"]["number"], &told["to"]["number"], &told["changes"]), (&json!(996), &json!(1005), &json!([])));
}

#[test]
fn late_facts_amend_the_document_and_old_agents_go_on() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let running = power_on(8);
        let boot = running.agent.boot.clone();
        let mut nics = facts(8)["nics"].clone();
        let amendment = json!({"report": 1, "boot": boot, "amends": true, "facts": {"nics": nics}});
        assert_eq!(refused(&running.agent, &amendment), (409, "nothing_to_amend".into()));
        // Nothing was heard by LLDP yet.
        let mut early = facts(8);
        for nic in early["nics"].as_array_mut().unwrap() {
            nic.as_object_mut().unwrap().remove("neighbours");
        }
        let mut body = report(Some(&boot), early.clone());
        body["gaps"].as_array_mut().unwrap().push(json!({"path": "nics.eth0.neighbours", "reason": "nothing was heard yet"}));
        send(&running.agent, &body);
        send(&running.agent, &amendment);
        let node = appliance.get("/api/v1/nodes/SIM-000008");
        assert_eq!((&node["facts"]["nics"], &node["facts"]["memory"]), (&facts(8)["nics"], &early["memory"]));
        assert_eq!(node["gaps"], json!([{"path": "tpm", "reason": "the kernel does not show a TPM"}]));
        // The same again changes nothing; another port does.
        send(&running.agent, &amendment);
        nics[0]["neighbours"][0]["port"] = json!("Ethernet1/9");
        send(&running.agent, &json!({"report": 1, "boot": boot, "amends": true, "facts": {"nics": nics}}));
        let history = appliance.get("/api/v1/nodes/SIM-000008/history");
        let told: Vec<_> = history["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|report| json!([report["number"], report["amends"], report["changed"]]))
            .collect();
        assert_eq!(json!(told), json!([[4, true, true], [3, true, false], [2, true, true], [1, false, true]]));
        let page = appliance.get("/api/v1/nodes/SIM-000008/history?limit=2&cursor=4");
        assert_eq!((&page["items"][0]["number"], &page["items"][1]["number"], &page["next_cursor"]), (&json!(3), &json!(2), &json!("2")));
        let found = appliance.get("/api/v1/nodes?filter=nics%5Bswitch%20%3D%20sw1%20and%20port%20%3D%20Ethernet1/9%5D");
        assert_eq!(found["total"], 1);

        // The report of the first release: no field of this one.
        let old = power_on(9);
        let answer = old.agent.report(&old.machine, 1).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let old_node = appliance.get("/api/v1/nodes/SIM-000009");
        assert_eq!(old_node["facts"], agent::report(&old.machine, &old.agent.boot, 1)["facts"]);
        assert_eq!((&old_node["dimms"], &old_node["bmc_address"]), (&Value::Null, &Value::Null));
        // The report of a later one: what is not known here is kept.
        let later = power_on(10);
        let mut newer = facts(10);
        newer["moons"] = json!([1, 2]);
        newer["disks"][0]["colour"] = json!("red");
        let mut body = report(Some(&later.agent.boot), newer.clone());
        body["mood"] = json!("good");
        send(&later.agent, &body);
        let node = appliance.get("/api/v1/nodes/SIM-000010");
        assert_eq!((&node["facts"], &node["other"]), (&newer, &json!({"mood": "good"})));
    });
}

#[test]
fn every_answer_to_an_agent_tells_the_time_also_a_refusal() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let running = power_on(11);
        let answers = [
            running.agent.report(&running.machine, 1).unwrap(),
            running.agent.send("GET", "/orders?wait=0", b"").unwrap(),
            running.agent.send("GET", "/nothing", b"").unwrap(),
            running.agent.send("POST", "/report", b"{").unwrap(),
            running.agent.with_ticket(None).send("GET", "/orders?wait=0", b"").unwrap(),
        ];
        for answer in answers {
            let time = answer.header("overture-time").unwrap_or_else(|| panic!("no time: {answer:?}"));
            let time: domain::Timestamp = time.parse().unwrap();
            let apart = domain::Timestamp::now().duration_since(time).abs();
            assert!(apart < jiff::SignedDuration::from_secs(60), "{time}");
        }
    });
}
