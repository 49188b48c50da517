//! How long a report takes, without a disk. Not part of the tests: `cargo test -p inventory --profile bench-run speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)]

use crate::fakes::{Agent, Hall, machine};
use crate::translate;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const MACHINES: u16 = 2000;

/// A server of 8.8 KB, made one of many.
fn report(agent: &Agent, n: u16, uptime: u64) -> Vec<u8> {
    let mut report: Value = serde_json::from_str(include_str!("fixtures/server.json")).unwrap();
    let machine = machine(n);
    report["boot"] = json!(agent.boot);
    let facts = &mut report["facts"];
    facts["system"]["serial"] = json!(machine.serial);
    facts["system"]["uuid"] = json!(machine.uuid.to_string());
    facts["board"]["serial"] = json!(format!("BOARD-{n}"));
    facts["agent"]["uptime_seconds"] = json!(uptime);
    for (i, nic) in facts["nics"].as_array_mut().unwrap().iter_mut().enumerate() {
        let mac = json!(format!("3c:ec:ef:{:02x}:{:02x}:{i:02x}", n >> 8, n & 255));
        (nic["mac"], nic["permanent_mac"]) = (mac.clone(), mac);
    }
    for (i, disk) in facts["disks"].as_array_mut().unwrap().iter_mut().enumerate() {
        disk["serial"] = json!(format!("S6EV{n:06}{i}"));
    }
    serde_json::to_vec(&report).unwrap()
}

fn each(what: &str, bodies: &[Vec<u8>], mut work: impl FnMut(&[u8])) {
    let started = cpu();
    bodies.iter().for_each(|body| work(body));
    tell(what, cpu() - started, bodies.len());
}

/// What this thread has had of the processor: others may be busy, too.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

fn tell(what: &str, took: Duration, reports: usize) {
    println!("{what:>34}: {:6.1} µs of one processor a report", took.as_secs_f64() * 1e6 / reports as f64);
}

#[tokio::test]
#[ignore = "measures; it proves nothing"]
async fn speed_of_reports() {
    let hall = Arc::new(Hall::new().await);
    let agents: Vec<_> = (0..MACHINES).map(|n| hall.start(&machine(n))).collect();
    let bodies = |uptime| agents.iter().zip(0..).map(|(agent, n)| report(agent, n, uptime)).collect::<Vec<_>>();
    let first = bodies(1);
    println!("{} machines, {} bytes a report", first.len(), first[0].len());
    each("read", &first, |body| drop(translate::read(body).unwrap()));
    each("read into any JSON", &first, |body| drop(serde_json::from_slice::<Value>(body).unwrap()));
    let each_part = first.iter().map(|body| translate::read(body).unwrap()).collect::<Vec<_>>();
    let (started, many) = (cpu(), each_part.len());
    let translated: Vec<_> = each_part.into_iter().map(|report| translate::whole(report).unwrap()).collect();
    tell("translate and seal", cpu() - started, many);
    drop(translated);
    each("read and translate", &first, |body| drop(translate::whole(translate::read(body).unwrap()).unwrap()));
    for (what, bodies) in [("accept, a new machine", first), ("accept, nothing new", bodies(2)), ("accept, nothing new", bodies(3))] {
        let requests: Vec<_> = agents.iter().zip(bodies).map(|(agent, body)| agent.request("POST", "/report", body)).collect();
        let (started, many) = (cpu(), requests.len());
        for request in requests {
            let (status, answer) = hall.send(request).await;
            assert!(status.is_success(), "{answer}");
        }
        tell(what, cpu() - started, many);
    }
}
