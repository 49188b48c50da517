//! What is wanted against what is seen: a hall whose cables were swapped, whose modules are missing, whose machines are
//! others than ordered.

use crate::server::{facts_of, report};
use crate::support::machine::{machine, power_on};
use crate::support::{Appliance, Operators};
use crate::transcript::Transcript;
use serde_json::{Value, json};

const RACKS: &str = r#"
[profile.worker.expects]
memory = ">= 64 GiB"
disks = "= 2"
disk = ">= 1 TB"
firmware = ">= 2.14"
tpm = "= 2.0"

[[switch]]
name = "sw1"
pair = "sw2"

[[switch]]
name = "sw2"
pair = "sw1"

[rack.r1]
profile = "worker"
switches = ["sw1", "sw2"]
cabling = "unit N: eno1 -> sw1/2N, eno2 -> sw2/2N"
nodes = "racks/r1.csv"
"#;

const CSV: &str = "name,unit,serial,bmc,owner,tags\n\
    w3,3,SIM-000003,10.20.1.3,storage,\n\
    w5,5,SIM-000005,10.20.1.5,,spare\n\
    w6,6,SIM-000006,10.20.1.6,,\n\
    w7,7,SIM-000007,10.20.1.7,,\n\
    w9,9,SIM-000099,10.20.1.9,,\n";

/// The hall's site, without the network, which only the one with a cable has.
fn apply(operators: &Operators, head: &str) {
    let files = json!({"files": {"site.toml": format!("{head}{RACKS}"), "racks/r1.csv": CSV}});
    let answer = operators.api("PUT", "/api/v1/site", Some(&files));
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn arrive(number: u32, facts: Value) {
    let running = power_on(number);
    let answer = running.agent.send("POST", "/report", report(Some(&running.agent.boot), facts).to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn each_difference_is_a_sentence_that_a_technician_can_act_on() {
    let appliance = Appliance::start();
    apply(&appliance, &appliance.site(""));
    let mut transcript = Transcript::of(appliance.folder(), appliance.socket());
    transcript.remark("five machines were ordered, none has reported");
    transcript.run("nodes verify", 1);
    appliance.inside(|| {
        let sound = |number: u32, port1: u32, port2: u32| {
            let mut facts = facts_of(&machine(number), port1, port2);
            facts["tpm"] = json!({"version": "2.0"});
            facts
        };
        // w7's second cable is one port too low, and w3's is where it should be.
        arrive(7, sound(7, 14, 13));
        arrive(3, sound(3, 6, 14));
        // w5 and w6 have their first cables swapped; w6 lacks a module and has old firmware.
        arrive(5, sound(5, 12, 10));
        let mut w6 = sound(6, 10, 12);
        w6["memory"]["dimms"].as_array_mut().unwrap().truncate(1);
        w6["memory"]["installed_bytes"] = json!(32u64 << 30);
        w6["firmware"]["version"] = json!("U46 v2.9 (01/10/2021)");
        w6.as_object_mut().unwrap().remove("tpm");
        arrive(6, w6);
        // Somebody whom nobody ordered stands in w9's unit.
        arrive(20, sound(20, 18, 18));
    });
    transcript.remark("they have reported, one with another serial");
    transcript.run("nodes verify", 1);
    transcript.run("nodes verify w7 w3", 1);
    transcript.run("nodes verify SIM-000020", 1);
    transcript.run("nodes verify w9", 1);
    transcript.run("nodes verify w8", 1);
    transcript.run("nodes list --sort unit --columns name,serial,rack,unit,owner,tags", 0);
    appliance.inside(|| {
        let mut sound = facts_of(&machine(7), 14, 14);
        sound["tpm"] = json!({"version": "2.0"});
        arrive(7, sound);
    });
    transcript.remark("w7's cable was put right");
    transcript.run("nodes verify w7", 0);
    transcript.expect("inventory/wanted.txt");
    // The same for programs.
    let told = appliance.get("/api/v1/verification?node=w6&node=SIM-000006");
    assert_eq!(told["nodes"], 1, "{told}");
    let found = |severity: &str, path: &str| {
        told["items"].as_array().unwrap().iter().any(|item| item["severity"] == severity && item["path"] == path && item["node"] == "w6")
    };
    assert!(found("wrong", "nics.eth0.neighbours") && found("unchecked", "tpm.version"), "{told}");
    let all = appliance.get("/api/v1/verification");
    let missing: Vec<_> = all["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "missing").collect();
    assert!(missing.len() == 1 && missing[0]["node"] == "w9" && missing[0]["id"].is_null(), "{missing:?}");
}

#[test]
fn a_hall_as_ordered_differs_in_nothing() {
    let appliance = Appliance::start();
    let more = "[[node]]\nname = \"w4\"\nserial = \"SIM-000004\"\n";
    assert_eq!(appliance.apply(&appliance.site(more)).unwrap().status, 201);
    appliance.inside(|| arrive(4, facts_of(&machine(4), 1, 1)));
    let output = appliance.cli(&["nodes", "verify"]);
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stdout).unwrap().as_str()),
        (Some(0), "1 node compared with the site: nothing differs.\n")
    );
}
