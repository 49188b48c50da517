//! The store as a whole, with the real service: a backup while machines report, a restore that only watches until an operator
//! has looked, and a move to Postgres while machines get leases. Needs root; everything happens in namespaces of its own.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::machine::{client, hasty_client, is_silence, machine, power_on};
use support::{Appliance, eventually};
use tests_peers::Postgres;
use tests_sim::dhcp::{Kind, Timing};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    said(output)
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    assert!(!output.status.success() && said(output).contains(why), "{}", said(output));
}

#[test]
fn a_restored_service_only_watches_until_an_operator_has_looked() {
    let mut appliance = Appliance::start();
    let file = appliance.folder().join("backup").display().to_string();
    let config = appliance.config().display().to_string();
    let (known, lease) = appliance.inside(|| (machine(10), client().lease(&machine(10)).unwrap()));
    let running = appliance.inside(|| power_on(11));
    assert_eq!(appliance.inside(|| running.agent.report(&running.machine, 1).unwrap().status), 200);

    // A backup while reports come.
    let stop = AtomicBool::new(false);
    let side = appliance.side();
    std::thread::scope(|scope| {
        let reporting = scope.spawn(|| {
            side.inside(|| {
                let mut number = 1;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    assert_eq!(running.agent.report(&running.machine, number).unwrap().status, 200);
                }
            });
        });
        let told = done(&appliance.cli(&["db", "backup", &file]));
        stop.store(true, Ordering::Relaxed);
        reporting.join().unwrap();
        assert!(told.contains("site hall-1: 1 nodes"), "{told}");
    });
    assert!(done(&appliance.cli(&["db", "verify", &file])).contains("is whole"));
    refused(&appliance.cli(&["db", "backup", &file]), "is there already");
    let later = appliance.inside(|| client().lease(&machine(12)).unwrap());

    refused(&appliance.cli(&["db", "restore", &file, "--config", &config, "--replace"]), "another overture service is using");
    appliance.stop();
    refused(&appliance.cli(&["db", "restore", &file, "--config", &config]), "is not empty: add --replace");
    let told = done(&appliance.cli(&["db", "restore", &file, "--config", &config, "--replace"]));
    assert!(told.contains("overture db resume") && told.contains("is kept as"), "{told}");
    appliance.resume();

    appliance.inside(|| {
        let ack = client().renew(&known, &lease).unwrap();
        assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
        assert_eq!(client().lease(&known).unwrap().address, lease.address);
        assert!(is_silence(&hasty_client().verify(&machine(12), later.address)), "it is not known who has this address");
        assert!(is_silence(&hasty_client().discover(&machine(13))));
    });
    let operators = appliance.operators();
    let orders = format!("/api/v1/nodes/{}/orders", operators.list("/api/v1/nodes")[0]["id"].as_str().unwrap());
    let order = operators.api("POST", &orders, Some(&json!({ "order": "reboot" })));
    assert_eq!((order.status, order.problem().as_str()), (409, "observe_only"), "{}", order.text());
    assert_eq!(operators.apply(&appliance.site("# changed")).unwrap().problem(), "observe_only");
    let ready = operators.api("GET", "/readyz", None);
    assert!(ready.status == 200 && ready.text().contains("only watching"), "{}", ready.text());
    assert!(ready.header("overture-only-watching").unwrap().starts_with("restored from a backup of "));
    assert!(operators.api("GET", "/metrics", None).text().contains("overture_only_watching 1"));
    assert!(operators.metrics().dhcp("only_watching") >= 2);
    let mac = machine(13).mac.to_string();
    eventually("it is noted", || operators.api("GET", &format!("/api/v1/explain/{mac}"), None).text().contains("silence"));
    let told = done(&appliance.cli(&["explain", &mac])).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("the service only watches since its store was restored"), "{told}");
    assert!(said(&appliance.cli(&["nodes", "list"])).contains("only watches"));

    assert!(done(&appliance.cli(&["db", "resume"])).contains("acts again"));
    assert_eq!(operators.api("GET", "/readyz", None).text(), "ready\n");
    assert!(appliance.inside(|| client().lease(&machine(13))).is_ok());
    assert_eq!(operators.api("POST", &orders, Some(&json!({ "order": "reboot" }))).status, 202);
    appliance.restart();
    assert_eq!(appliance.operators().api("GET", "/readyz", None).text(), "ready\n", "and it stays so");
}

#[test]
fn the_store_moves_to_postgres_while_machines_get_leases_and_nothing_is_lost() {
    let mut appliance = Appliance::start();
    let server = Postgres::start();
    let (stop, side) = (AtomicBool::new(false), appliance.side());
    let given = std::thread::scope(|scope| {
        let leasing = scope.spawn(|| {
            side.inside(|| {
                let mut client = client().with_timing(Timing { first: Duration::from_secs(4), tries: 4 });
                let mut given = vec![];
                for number in (20..150).cycle() {
                    let lease = client.lease(&machine(number)).unwrap();
                    given.push((machine(number).mac, lease.address));
                    if stop.load(Ordering::Relaxed) {
                        return given;
                    }
                }
                unreachable!("a cycle has no end")
            })
        });
        let told = done(&appliance.cli(&["db", "migrate-to", &server.default_url()]));
        stop.store(true, Ordering::Relaxed);
        assert!(told.contains("[store]\nurl = \"postgres://overture@"), "{told}");
        leasing.join().unwrap()
    });
    let held = |appliance: &Appliance| {
        let leases = appliance.operators().list("/api/v1/leases");
        for (mac, address) in &given {
            let there = leases.iter().any(|lease| lease["mac"] == mac.to_string() && lease["address"] == address.to_string());
            assert!(there, "{mac} was given {address}, which was forgotten");
        }
    };
    held(&appliance);
    // What comes now is kept there.
    let after = appliance.inside(|| client().lease(&machine(160)).unwrap());
    let counted = server.sql("postgres", &format!("SELECT COUNT(*) FROM leases WHERE address = '{}'", after.address));
    assert_eq!(counted, "1");
    assert!(said(&appliance.cli(&["db", "status"])).contains("postgres://"));
    appliance.stop();

    let settings = fs::read_to_string(appliance.config()).unwrap();
    let refusal = appliance.refusal(&appliance.config());
    assert!(refusal.contains("was moved to postgres://") && refusal.contains("set `url` in `[store]`"), "{refusal}");
    fs::write(appliance.config(), format!("{settings}[store]\nurl = \"{}\"\n", server.default_url())).unwrap();
    appliance.resume();
    held(&appliance);
    appliance.stop();
}

#[test]
fn a_move_that_cannot_be_made_says_why_without_the_password_and_changes_nothing() {
    let mut appliance = Appliance::start();
    let lease = appliance.inside(|| client().lease(&machine(20)).unwrap());
    for (url, why) in [("postgres://u:geheim@127.0.0.1:1/db", "no Postgres server answers"), ("mysql://u:geheim@h/db", "write postgres://")]
    {
        let output = appliance.cli(&["db", "migrate-to", url]);
        refused(&output, why);
        assert!(!said(&output).contains("geheim"), "{}", said(&output));
    }
    assert!(!appliance.log().contains("geheim"), "{}", appliance.log());
    let again = appliance.inside(|| client().lease(&machine(20)).unwrap());
    assert_eq!(again.address, lease.address);
    appliance.stop();
}
