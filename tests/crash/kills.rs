//! The service is killed again and again, while machines take and prolong leases, agents report and an operator applies.

use crate::ledger::Ledger;
use crate::support::agent::{self, Key};
use crate::support::machine::{client, machine, try_power_on};
use crate::support::random::Random;
use crate::support::{Appliance, CARD, Operators, eventually, is_long};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests_sim::dhcp::{Client, ExchangeError, Lease, Machine, Speaker, Timing};

/// Threads of DHCP clients, and machines of each.
const CLIENTS: u32 = 3;
const MACHINES: u32 = 12;
/// Threads of agents, and machines of each.
const AGENTS: u32 = 2;
const NODES: u32 = 3;

/// A client that does not wait long for a service that is gone.
fn quick() -> Client {
    Client::bind(CARD).unwrap().with_timing(Timing { first: Duration::from_millis(150), tries: 2 })
}

/// One thread of machines that start, restart and renew at random.
fn take_leases(thread: u32, ledger: &Ledger, over: &AtomicBool) {
    let mut random = Random::seeded(100 + u64::from(thread));
    let mut card = quick();
    let mut leases: HashMap<u32, Lease> = HashMap::new();
    while !over.load(Ordering::Relaxed) {
        let number = 1000 + thread * 100 + random.below(u64::from(MACHINES)) as u32;
        let system = machine(number).running(Speaker::System);
        let act = random.below(3);
        let outcome = match leases.get(&number) {
            Some(lease) if act == 0 => card.renew(&system, lease).map(|ack| Lease { ack, ..lease.clone() }),
            Some(lease) if act == 1 => card.verify(&system, lease.address).map(|ack| Lease { ack, ..lease.clone() }),
            _ => card.lease(&Machine { speaker: if act == 2 { Speaker::Ipxe } else { Speaker::Firmware }, ..system }),
        };
        match outcome {
            Ok(lease) => {
                ledger.acknowledged(machine(number).mac, &lease.ack);
                leases.insert(number, lease);
            }
            Err(ExchangeError::Silence { .. }) => {}
            // An offer is not a promise, and may be forgotten by the time that it is taken up.
            Err(ExchangeError::Nak { .. }) if !leases.contains_key(&number) => {}
            Err(error) => ledger.broke(format!("{error}: {:?}", std::error::Error::source(&error))),
        }
    }
}

/// One thread of agents that boot now and then, and report all the time.
fn report(thread: u32, ledger: &Ledger, over: &AtomicBool) {
    let mut random = Random::seeded(200 + u64::from(thread));
    let mut card = quick();
    let key = Key::fresh();
    let mut running = HashMap::new();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let which = 2000 + thread * 100 + random.below(u64::from(NODES)) as u32;
        if random.below(8) == 0 || !running.contains_key(&which) {
            running.remove(&which);
            match try_power_on(&mut card, which, &key) {
                Ok(machine) => {
                    ledger.acknowledged(machine.machine.mac, &machine.lease.ack);
                    running.insert(which, machine);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            continue;
        }
        let machine = &running[&which];
        number += 1;
        let mut body = agent::report(&machine.machine, &machine.agent.boot, number);
        body["facts"]["cpu"]["threads"] = Ledger::threads(number).into();
        match machine.agent.send("POST", "/report", body.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => ledger.reported(&machine.machine.serial, number),
            Ok(answer) if answer.status == 503 => {}
            // Its ticket and the binding of its key were promised too.
            Ok(answer) => {
                ledger.broke(format!("the agent of {} was answered {}: {}", machine.machine.serial, answer.status, answer.text()))
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// An operator who applies one site after the other.
fn apply(operators: &Operators, site: impl Fn(&str) -> String, ledger: &Ledger, over: &AtomicBool) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let text = site(&format!("[[node]]\nname = \"n{number}\"\nserial = \"S-{number}\"\n"));
        match operators.apply(&text) {
            Ok(answer) if answer.status == 201 => ledger.applied(answer.json()["revision"]["number"].as_u64().unwrap(), &text),
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => ledger.broke(format!("applying was answered {}: {}", answer.status, answer.text())),
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Ends the threads also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_was_acknowledged_is_remembered_through_kills_at_random_times() {
    let kills = if is_long() { 150 } else { 25 };
    let mut random = Random::seeded(7);
    let mut appliance = Appliance::start();
    let (ledger, over) = (Ledger::default(), AtomicBool::new(false));
    let (side, operators) = (appliance.side(), appliance.operators());
    let (head, tail) = appliance.site("\u{0}").split_once('\u{0}').map(|(head, tail)| (head.to_owned(), tail.to_owned())).unwrap();
    std::thread::scope(|scope| {
        let _over = Over(&over);
        let (side, ledger, over) = (&side, &ledger, &over);
        for thread in 0..CLIENTS {
            scope.spawn(move || side.inside(|| take_leases(thread, ledger, over)));
        }
        for thread in 0..AGENTS {
            scope.spawn(move || side.inside(|| report(thread, ledger, over)));
        }
        let site = |more: &str| format!("{head}{more}{tail}");
        let operators = &operators;
        scope.spawn(move || apply(operators, site, ledger, over));
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(20) + random.up_to_ms(300));
            appliance.restart();
            ledger.assert_remembered(operators);
        }
        let (acks, reports, revisions) = ledger.counts();
        eventually("the machines go on after the last kill", || {
            let now = ledger.counts();
            now.0 > acks + 10 && now.1 > reports + 2 && now.2 > revisions
        });
    });
    let counts = ledger.counts();
    assert!(counts.0 > 100 && counts.1 > 10 && counts.2 > 10, "too little happened to prove anything: {counts:?}");
    println!("{kills} kills; ACKs, reports, revisions: {counts:?}");
    appliance.stop();
    appliance.resume();
    ledger.assert_remembered(&operators);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_kill_during_the_first_start_leaves_a_state_that_starts() {
    let mut random = Random::seeded(8);
    let mut appliance = Appliance::start();
    for _ in 0..if is_long() { 60 } else { 12 } {
        appliance.kill();
        std::fs::remove_dir_all(appliance.state()).unwrap();
        // Twice in a row, once into what the other left.
        for _ in 0..2 {
            appliance.spawn();
            std::thread::sleep(random.up_to_ms(120));
            appliance.kill();
        }
        appliance.resume();
        assert_eq!(appliance.get("/api/v1/site")["number"], 1);
    }
    appliance.inside(|| client().lease(&machine(1)).unwrap());
    appliance.assert_good_node_is_served();
}

#[test]
#[should_panic(expected = "was acknowledged and forgotten")]
fn the_ledger_notices_a_service_that_forgets() {
    let mut appliance = Appliance::start();
    let ledger = Ledger::default();
    let lease = appliance.inside(|| client().lease(&machine(1)).unwrap());
    ledger.acknowledged(machine(1).mac, &lease.ack);
    appliance.kill();
    std::fs::remove_dir_all(appliance.state()).unwrap();
    appliance.resume();
    ledger.assert_remembered(&appliance);
}
