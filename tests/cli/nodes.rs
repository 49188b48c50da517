//! `overture nodes`, `explain` and `leases`.

use crate::journal::{Journal, without_ids, without_seconds, without_times};
use crate::service::{Known, Service, in_store, node, overture};
use domain::boot::{Architecture, Asker, Boot, Speaker};
use domain::document::{Document, Gap};
use domain::lease::{Lease, LeaseState};
use domain::node::Labels;
use domain::ports::{BootStore, LeaseStore};
use domain::timeline::{Protocol, Step};
use domain::{BootId, MacAddr, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

fn json(service: &Service, arguments: &[&str]) -> Value {
    let output = service.overture(&[arguments, &["--output", "json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What may stand on a terminal.
fn harmless(text: &str) -> bool {
    !text.contains(|c: char| c != '\n' && c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn nodes_are_listed_shown_named_ordered_and_forgotten() {
    let mut bare = node(3);
    bare.summary = Default::default();
    bare.identity.serial = None;
    let bare = Known { node: bare, document: Document { facts: json!({}), ..Document::default() } };
    let service = Service::with_nodes([node(1).into(), node(2).into(), bare]);
    let mut journal = Journal::new();
    let mut run = |arguments: &str, code: i32| {
        let mut command = overture(service.folder());
        command.env("OVERTURE_SOCKET", service.socket());
        assert_eq!(journal.run(command, arguments).status.code(), Some(code), "{arguments}");
    };
    run("nodes list", 0);
    run("nodes show VM-0001", 0);
    run("nodes show 52:54:00:00:00:03", 0);
    run("nodes name VM-0001 w1", 0);
    run("nodes name VM-0002 w1", 1);
    run("nodes name VM-0002 'Worker 2'", 1);
    run("nodes name w1 --remove", 0);
    run("nodes name VM-0001 w1", 0);
    run("nodes order w1 reboot", 0);
    run("nodes order VM-0002 power-off", 0);
    run("nodes order VM-0002 local-disk", 0);
    run("nodes order VM-0002 wait", 0);
    run("nodes list", 0);
    run("nodes show w1", 0);
    run("nodes show w9", 1);
    run("nodes show 01900000", 1);
    run("nodes show ''", 1);
    run("nodes show ..", 1);
    run("explain w1", 0);
    run("explain w9", 1);
    run("explain 52:54:00:99:99:99", 1);
    run("leases", 0);
    run("nodes forget w1", 0);
    run("nodes forget 52:54:00:00:00:03", 0);
    run("nodes forget w1", 1);
    run("nodes forget ''", 1);
    run("nodes list", 0);
    journal.expect("cli/nodes.txt", |text| without_seconds(&without_ids(&without_times(text))));
}

#[test]
fn an_empty_inventory_says_how_it_fills() {
    let service = Service::start();
    let shown = String::from_utf8(service.overture(&["nodes", "list"]).stdout).unwrap();
    assert!(shown.starts_with("No node has reported yet.") && shown.contains("overture explain MAC"), "{shown}");
    assert_eq!(json(&service, &["nodes", "list"]), json!({"items": [], "next_cursor": null, "total": 0}));
}

#[test]
fn for_programs_the_answers_are_those_of_the_api() {
    let service = Service::with_nodes((1..=1100).map(node));
    let listed = json(&service, &["nodes", "list"]);
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["next_cursor"]), (1100, &Value::Null), "all pages are one");
    assert_eq!(listed["items"][0], service.get("/api/v1/nodes?limit=1").json()["items"][0]);
    assert_eq!(json(&service, &["nodes", "show", "VM-0007"]), service.get("/api/v1/nodes/VM-0007").json());
    assert_eq!(json(&service, &["explain", "VM-0007"]), service.get("/api/v1/explain/VM-0007").json());
    assert_eq!(json(&service, &["leases"]), service.get("/api/v1/leases").json());
}

#[test]
fn what_a_machine_says_of_itself_cannot_draw_on_the_terminal_nor_be_pasted_as_a_command() {
    const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\r\n\u{202e}$(reboot)`id`";
    let mut evil = node(1);
    evil.identity.serial = Some(HOSTILE.into());
    evil.summary.vendor = Some(HOSTILE.into());
    evil.summary.product = Some(HOSTILE.repeat(1000));
    evil.summary.cpu_model = Some(HOSTILE.into());
    evil.labels = Labels { owner: Some(HOSTILE.into()), tags: [HOSTILE.to_owned()].into(), note: Some(HOSTILE.into()) };
    let part = json!({"name": HOSTILE, "serial": HOSTILE, "wwn": HOSTILE, "driver": HOSTILE, "slot": HOSTILE, "model": HOSTILE});
    let neighbour = json!({"system": HOSTILE, "port": HOSTILE, "port_description": HOSTILE});
    let facts = json!({
        "system": part, "board": part, "chassis": part, "bmc": part, "tpm": {"version": HOSTILE},
        "memory": {"dimms": [part, 3], "error_correction": HOSTILE},
        "firmware": {"version": HOSTILE, "boot_entries": [{"number": HOSTILE, "label": HOSTILE, "path": HOSTILE}]},
        "disks": [part, {"name": HOSTILE, "partitions": [part], "signatures": [{"kind": HOSTILE}], "health": {"warnings": [HOSTILE], "self_test": HOSTILE}}],
        "nics": [part, {"name": HOSTILE, "neighbours": [neighbour]}, 3],
        "gpus": [part], "controllers": [part], "sensors": [{"name": HOSTILE, "alarm": true}],
        HOSTILE: HOSTILE,
    });
    let gaps = vec![Gap { path: HOSTILE.into(), reason: HOSTILE.into() }];
    let evil = Known { node: evil, document: Document { facts, gaps, other: Default::default() } };
    let id = evil.node.id.to_string();
    let service = Service::with_nodes([evil]);
    for arguments in [
        &["nodes", "list"][..],
        &["nodes", "list", "--output", "json"],
        &["nodes", "show", &id],
        &["nodes", "show", &id, "--output", "json"],
        &["explain", &id],
        &["explain", &id, "--output", "json"],
        &["nodes", "order", &id, "local-disk"],
        &["nodes", "order", &id, "wait"],
        &["nodes", "show", "01900000"],
        &["nodes", "show", HOSTILE],
        &["nodes", "show", "\u{1b}[2J"],
        &["nodes", "name", &id, HOSTILE],
        &["nodes", "name", "\u{1b}[2J", "w1"],
        &["explain", HOSTILE],
        &["nodes", "list", "--columns", "vendor,product,owner,tags,note,disks.name,nics.name,facts.memory,facts.nics.neighbours.port"],
        &["nodes", "list", HOSTILE],
        &["nodes", "list", "--sort", HOSTILE],
        &["nodes", "list", "--columns", HOSTILE],
        &["nodes", "history", &id],
        &["nodes", "diff", &id, "--since", HOSTILE],
        &["nodes", "diff", &id, "--since", "1m"],
        &["nodes", "verify"],
        &["nodes", "tests", &id],
        &["nodes", "tests", HOSTILE],
        &["nodes", "label", &id, "--tag", HOSTILE],
        &["nodes", "label", &id, "--tag", "sound"],
        &["inventory", "show"],
        &["inventory", "diff", "--since", "1m"],
    ] {
        let output = service.overture(arguments);
        let (shown, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(harmless(&shown) && harmless(&told), "{arguments:?}: {shown:?} {told:?}");
        assert!(shown.len() + told.len() < 60_000 && !(shown.is_empty() && told.is_empty()), "{arguments:?}");
    }
    let ordered = String::from_utf8(service.overture(&["nodes", "order", &id, "local-disk"]).stdout).unwrap();
    assert!(ordered.contains(&format!("undo with: overture nodes order {id} wait")), "{ordered}");
    assert_eq!(json(&service, &["nodes", "show", &id])["serial"], HOSTILE, "escaped, it still means the same");
    let forgotten = String::from_utf8(service.overture(&["nodes", "forget", &id]).stdout).unwrap();
    assert!(forgotten.contains(&id) && harmless(&forgotten), "{forgotten:?}");
}

#[test]
fn a_boot_is_explained_step_by_step_and_leases_are_listed() {
    let mut service = Service::prepare();
    service.fill([node(1)]);
    let start = Timestamp::now() - jiff::SignedDuration::from_secs(120);
    let mac = MacAddr([0x52, 0x54, 0, 0, 0, 1]);
    let asker = Asker { mac, xid: 7, speaker: Speaker::Ipxe, architecture: Some(Architecture::BIOS), uuid: None };
    let mut boot = Boot::begin(BootId(Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0001)), "provision", &asker, start);
    boot.revoked = Some("two keys claimed it".into());
    let step = |after_ms: i64, protocol, event: &str, message: &str, rule: Option<&str>| Step {
        boot: boot.id,
        at: start + jiff::SignedDuration::from_millis(after_ms),
        protocol,
        event: event.into(),
        message: message.into(),
        rule: rule.map(str::to_owned),
    };
    let steps = [
        step(0, Protocol::Dhcp, "discover", "asked for an address as iPXE", Some("its user class (option 77) is iPXE")),
        step(12, Protocol::Dhcp, "offer", "was offered 10.20.0.100", None),
        step(4_210, Protocol::Http, "file", "was sent /boot/vmlinuz \u{1b}[2J", None),
        step(95_000, Protocol::Agent, "refused", "a second key used its ticket", Some("a ticket belongs to the key that used it first")),
    ];
    let lease = |last: u8, expires, host_name: Option<&str>| Lease {
        network: "provision".into(),
        address: [10, 20, 0, 99 + last].into(),
        mac: MacAddr([0x52, 0x54, 0, 0, 0, last]),
        granted: start,
        expires,
        state: LeaseState::Bound,
        host_name: host_name.map(str::to_owned),
    };
    let later = Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    let leases = [lease(1, later, Some("vm\u{1b}[2J1")), lease(2, start, None)];
    in_store(&service.path("state"), async |store| {
        store.keep_boot(&boot).await.unwrap();
        for step in steps {
            assert!(store.note(None, step));
        }
        for lease in &leases {
            store.keep_lease(lease).await.unwrap();
        }
    });
    service.resume();
    let mut journal = Journal::new();
    for arguments in ["explain VM-0001", "explain 52-54-00-00-00-01 --boots 20", "leases"] {
        let mut command = overture(service.folder());
        command.env("OVERTURE_SOCKET", service.socket());
        assert!(journal.run(command, arguments).status.success());
    }
    journal.expect("cli/explain.txt", |text| without_ids(&without_times(text)));
}
