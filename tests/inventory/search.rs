//! Nodes found as people type it, in pages that stay stable.

use crate::server::{facts, report};
use crate::service::{Service, node, overture};
use crate::transcript::Transcript;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Three servers and a small machine.
fn hall() -> Service {
    let service = Service::start();
    for number in [7, 8, 9] {
        let mut facts = facts(number);
        facts["memory"]["usable_bytes"] = json!(u64::from(number) << 34);
        facts["cpu"]["flags"] = if number == 8 { json!(["sse2", "avx512f"]) } else { json!(["sse2"]) };
        service.report(&report(None, facts));
        let name = json!({"name": format!("w{}", number + 1)});
        assert_eq!(service.write("PATCH", &format!("/api/v1/nodes/SIM-{number:06}"), &name).status, 200);
    }
    service.import(&node(1));
    service
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn serials(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|node| node["serial"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nodes_are_found_sorted_and_shown_in_columns() {
    let service = hall();
    let mut transcript = Transcript::of(service.folder(), &service.socket());
    transcript.run("nodes list 'disks.size > 1TB and vendor = Oak and stage = discovered' --columns name,vendor,disks.size,memory", 0);
    transcript.run("nodes list --sort name --columns name,serial", 0);
    transcript.run("nodes list --sort -memory,name --columns name,product,memory,disks.size,nics.switch,nics.port,dimms", 0);
    transcript.run("nodes list --sort -memory --limit 1 --columns name,memory", 0);
    transcript.run("nodes list 'nics[switch = sw2 and port = Ethernet1/8]' --columns name", 0);
    transcript.run("nodes list 'vendor = Oak and facts.cpu.flags = avx512f' --columns name,facts.cpu.flags", 0);
    transcript.run("nodes list 'seen > 1h'", 0);
    transcript.run("nodes list qemu --columns serial,vendor", 0);
    transcript.remark("mistakes");
    transcript.run("nodes list 'disks.sise > 1TB'", 1);
    transcript.run("nodes list 'memory > 1T'", 1);
    transcript.run("nodes list 'vendor = Dell and ('", 1);
    transcript.run("nodes list --sort memroy", 1);
    transcript.run("nodes list --columns name,nothing", 1);
    transcript.expect("inventory/search.txt");
}

#[test]
fn a_mistake_in_a_filter_is_told_with_its_column() {
    let service = hall();
    let ask = |query: &str| service.get(&format!("/api/v1/nodes?{query}"));
    for (parameter, text, column) in [
        ("filter", "disks.sise > 1TB", 1),
        ("filter", "vendor = Dell and memroy > 1GB", 19),
        ("filter", "memory >", 9),
        ("filter", "(vendor = Dell", 15),
        ("sort", "name,nothing", 6),
        ("columns", "name,nothing", 6),
    ] {
        let answer = ask(&format!("{parameter}={}", escaped(text)));
        let problem = answer.json();
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad_filter"), "{text}: {problem}");
        let error = &problem["errors"][0];
        assert_eq!((&error["key"], &error["column"]), (&json!(parameter), &json!(column)), "{text}: {problem}");
    }
    // Nothing that is typed, or sent by a program, does more than that.
    let deep = "(".repeat(40);
    let long = "vendor = ".to_owned() + &"x".repeat(5000);
    for hostile in [
        "\u{1b}[2J",
        "name = \u{202e}\u{0}",
        "'; drop table nodes; --",
        "name ~ '%' or 1=1",
        deep.as_str(),
        long.as_str(),
        "facts.",
        "disks[",
    ] {
        let answer = ask(&format!("filter={}", escaped(hostile)));
        assert!([200, 400].contains(&answer.status), "{hostile:?}: {}", answer.text());
        assert!(answer.status == 200 || answer.problem() == "bad_filter", "{hostile:?}: {}", answer.text());
        assert!(answer.status == 200 || !answer.json()["detail"].as_str().unwrap().contains('\u{1b}'), "{hostile:?}");
    }
    assert_eq!(ask("limit=1000").json()["total"], 4);
}

#[test]
fn facts_without_an_index_are_found_and_nobody_has_counted_them() {
    let service = hall();
    let found = service.get(&format!("/api/v1/nodes?filter={}", escaped("facts.cpu.flags = avx512f"))).json();
    assert_eq!((serials(&found), &found["total"]), (vec!["SIM-000008".to_owned()], &Value::Null));
    let found = service.get(&format!("/api/v1/nodes?filter={}&columns=name,memory,disks.size", escaped("vendor = Oak"))).json();
    assert_eq!((&found["total"], &found["columns"][1]["name"]), (&json!(3), &json!("memory")));
    assert_eq!(found["items"][0]["cells"][1]["value"], json!(7u64 << 34));
    assert_eq!(found["items"][0]["cells"][2]["value"], json!([1_920_383_410_176u64, 1_920_383_410_176u64]));
}

#[test]
fn sorted_and_filtered_pages_neither_repeat_nor_hide_what_did_not_change() {
    let service = Service::with_nodes((1..=120).map(node));
    let page = |cursor: Option<&str>| {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        service.get(&format!("/api/v1/nodes?filter={}&sort=-serial&limit=25{after}", escaped("vendor = QEMU"))).json()
    };
    let mut seen: Vec<String> = vec![];
    let mut cursor = None;
    let mut number = 0;
    loop {
        let now = page(cursor.as_deref());
        seen.extend(serials(&now));
        cursor = now["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        // Before, at and after the place of the cursor nodes come, go and change.
        number += 1;
        service.import(&node(200 + number));
        let at: usize = seen.last().unwrap()[3..].parse().unwrap();
        for gone in [at, at + 3, at - 3] {
            assert_eq!(service.ask("DELETE", &format!("/api/v1/nodes/VM-{gone:04}"), &[], &[]).status, 200);
        }
        assert_eq!(service.write("PATCH", &format!("/api/v1/nodes/VM-{:04}", at - 1), &json!({"note": "seen"})).status, 200);
    }
    let once: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "none is repeated");
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let there = service.get("/api/v1/nodes?limit=1000").json();
    let hidden: Vec<_> = serials(&there).into_iter().filter(|serial| serial.as_str() < "VM-0200" && !once.contains(serial)).collect();
    assert_eq!(hidden, Vec::<String>::new());
    // A cursor belongs to its question.
    let first = page(None);
    let other = service.get(&format!("/api/v1/nodes?sort=serial&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!((other.status, other.problem().as_str()), (400, "bad_cursor"));
}

#[test]
fn a_watched_list_is_shown_again_until_it_is_ended() {
    let mut service = Service::with_nodes([node(1)]);
    assert_eq!(service.overture(&["nodes", "list", "--limit", "0"]).status.code(), Some(2), "no node is no list");
    let mut command = overture(service.folder());
    command.env("OVERTURE_SOCKET", service.socket()).args(["nodes", "list", "--watch", "--columns", "serial"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |wanted: &str| {
        let found = lines.find(|line| line.contains(wanted) || line.contains('\u{1b}')).unwrap_or_default();
        assert_eq!(found, wanted, "no terminal, no escape sequences");
    };
    until("VM-0001");
    service.import(&node(2));
    until("VM-0002");
    service.crash();
    let away = told.next().unwrap_or_default();
    assert!(away.contains("no service answers") && away.contains("trying again"), "{away}");
    service.resume();
    service.import(&node(3));
    until("VM-0003");
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}
