//! The agent against a service that the test plays: who is trusted, what is said, what is done.

#![allow(clippy::unwrap_used)]

mod stage;

use inventory_agent::boot::Boot;
use inventory_agent::burn_in::{Finding, Kind, Limits, Outcome, Parts};
use inventory_agent::console::Console;
use inventory_agent::facts::Findings;
use inventory_agent::key::AgentKey;
use inventory_agent::lldp::{Heard, Said};
use inventory_agent::run::{Deed, Machine, TellHeard, run};
use inventory_agent::service::{AskError, AuthorityError, Service};
use inventory_wire::{Disk, Facts, Gap, Neighbour, Nic, Order, Progress, Report};
use stage::{Answer, Asked, Authority, Stage};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn report() -> Report {
    Report { report: 1, boot: Some("b".into()), amends: false, facts: Facts::default(), gaps: vec![], other: Default::default() }
}

#[test]
fn the_right_service_gets_the_report_the_ticket_and_the_agents_key() {
    let stage = Stage::open(|_| Answer::json(200, r#"{"node":"n1","name":null}"#));
    let key = AgentKey::make().unwrap();
    let service = Service::find(&stage.boot(), &key).unwrap();
    assert_eq!(service.report(&report()).unwrap().node, "n1");
    let asked = stage.asked();
    assert_eq!(asked[0].first_line, "POST /report HTTP/1.1");
    assert_eq!(asked[0].ticket.as_deref(), Some(stage::TICKET));
    assert_eq!(asked[0].client_key.as_deref(), Some(key.fingerprint().as_str()), "SHA-256 of the SubjectPublicKeyInfo");
    assert_eq!(serde_json::from_str::<Report>(&asked[0].body).unwrap(), report());
}

#[test]
fn another_authority_than_the_pinned_is_refused_before_anything_is_sent() {
    let stage = Stage::open(|_| Answer::json(200, "{}"));
    let boot = Boot { pin: [7; 32], ..stage.boot() };
    let error = Service::find(&boot, &AgentKey::make().unwrap()).err().unwrap();
    assert!(matches!(error, AuthorityError::WrongAuthority { .. }), "{error}");
    assert!(stage.asked().is_empty());
}

#[test]
fn a_service_of_another_authority_gets_nothing_even_with_the_right_certificate_in_the_open() {
    let honest = Authority::new();
    let stage = Stage::open_as(&Authority::new(), &honest, |_| Answer::json(200, r#"{"node":"n1"}"#));
    let service = Service::find(&stage.boot(), &AgentKey::make().unwrap()).unwrap();
    let error = service.report(&report()).unwrap_err();
    assert!(matches!(error, AskError::Unreachable { .. }), "{error}");
    assert!(stage.asked().is_empty(), "no request reached it");
}

#[test]
fn what_is_no_certificate_is_named_as_such() {
    let stage = Stage::open(|_| Answer::json(200, "{}"));
    stage.serve_in_the_open("<html>captive portal</html>");
    let error = Service::find(&stage.boot(), &AgentKey::make().unwrap()).err().unwrap();
    assert!(matches!(error, AuthorityError::NotACertificate { .. }), "{error}");
}

#[test]
fn each_kind_of_refusal_is_told_apart() {
    let stage = Stage::open(|asked| {
        let status = asked.body.split("\"boot\":\"").nth(1).and_then(|rest| rest.get(..3)).unwrap().parse().unwrap();
        Answer::json(status, r#"{"title":"t","detail":"because."}"#)
    });
    let service = Service::find(&stage.boot(), &AgentKey::make().unwrap()).unwrap();
    let error = |status: u16| service.report(&Report { boot: Some(status.to_string()), ..report() }).unwrap_err();
    for status in [401, 403, 409, 410] {
        assert!(matches!(error(status), AskError::TicketRefused { .. }), "{status}");
    }
    for status in [429, 500, 502, 503] {
        assert!(matches!(error(status), AskError::Busy { .. }), "{status}");
    }
    for status in [301, 307, 400, 413, 422] {
        assert!(matches!(error(status), AskError::Refused { .. }), "{status}");
    }
    assert!(matches!(error(404), AskError::Unknown { .. }));
    assert!(matches!(error(200), AskError::Nonsense { .. }));
    let text = error(403).to_string();
    assert!(text.contains("because. Restart this machine") && !text.contains(stage::TICKET), "{text}");
}

/// A machine of which only the deeds are real.
#[derive(Default)]
struct FakeMachine {
    looks: RefCell<usize>,
    disks_appear_at_look: usize,
    slept: RefCell<Duration>,
    deeds: RefCell<Vec<Deed>>,
    nics: Vec<Nic>,
    /// Where frames go in, once it listens.
    ears: Arc<Mutex<Option<TellHeard>>>,
    begun: RefCell<BTreeSet<String>>,
    parts: Option<Arc<dyn Parts>>,
    /// How often it is to be asked, after a first glance, until all has answered.
    answers_late: RefCell<Option<usize>>,
}

impl Machine for FakeMachine {
    fn look(&self) -> Findings {
        *self.looks.borrow_mut() += 1;
        let disks = if *self.looks.borrow() > self.disks_appear_at_look { vec![Disk::default()] } else { vec![] };
        Findings { facts: Facts { disks, nics: self.nics.clone(), ..Facts::default() }, gaps: vec![] }
    }
    fn glance(&self) -> Option<Findings> {
        let gaps = vec![Gap { path: "disks".into(), reason: "still being loaded".into() }];
        self.answers_late.borrow().map(|_| Findings { facts: Facts { nics: self.nics.clone(), ..Facts::default() }, gaps })
    }
    fn still_asking(&self) -> bool {
        self.answers_late.borrow_mut().as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left > 0
        })
    }
    fn has_network(&self) -> bool {
        *self.slept.borrow() >= Duration::from_millis(100)
    }
    fn sleep(&self, time: Duration) {
        *self.slept.borrow_mut() += time;
    }
    fn act(&self, deed: Deed) -> std::io::Result<()> {
        self.deeds.borrow_mut().push(deed);
        Ok(())
    }
    fn listen(&self, tell: TellHeard) -> Result<(), String> {
        *self.ears.lock().unwrap() = Some(tell);
        Ok(())
    }
    fn begins(&self, order: &str) -> bool {
        self.begun.borrow_mut().insert(order.to_owned())
    }
    fn parts(&self, _: &Facts, _: Arc<Service>) -> Arc<dyn Parts> {
        Arc::clone(self.parts.as_ref().unwrap())
    }
}

/// Plays a whole life; the service answers in this order, whatever is asked.
fn life(machine: &FakeMachine, answers: Vec<Answer>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let answers = Mutex::new(answers.into_iter());
    life_with(machine, move |_| answers.lock().unwrap().next().expect("the agent asks no more often than this"))
}

/// Plays a whole life; what the agent said, asked and sent.
fn life_with(machine: &FakeMachine, script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Vec<String>, Vec<String>, Vec<String>) {
    let stage = Stage::open(script);
    let console = Console::Memory(Mutex::default());
    run(&stage.boot(), &AgentKey::make().unwrap(), machine, &console);
    let asked = stage.asked();
    let lines = asked.iter().map(|asked| asked.first_line.trim_end_matches(" HTTP/1.1").to_owned()).collect();
    (console.said(), lines, asked.into_iter().map(|asked| asked.body).collect())
}

fn node() -> Answer {
    Answer::json(201, r#"{"node":"01890a5d-ac96-774b-bcce-b302099a8057","name":"w1"}"#)
}

fn order(kind: &str) -> Answer {
    let id = if kind == "wait" { "null" } else { "\"o-1\"" };
    Answer::json(200, &format!(r#"{{"order":"{kind}","id":{id}}}"#))
}

#[test]
fn an_ordered_restart_is_confirmed_and_then_done() {
    let machine = FakeMachine::default();
    let (said, asked, bodies) = life(&machine, vec![node(), order("wait"), order("reboot"), Answer::json(204, "")]);
    assert_eq!(asked, ["POST /report", "GET /orders?wait=5", "GET /orders?wait=10", "POST /progress"]);
    let progress: Progress = serde_json::from_str(&bodies[3]).unwrap();
    assert_eq!(progress, Progress { order: "o-1".into(), state: "taken".into(), results: vec![] });
    assert_eq!(*machine.deeds.borrow(), [Deed::Restart]);
    let fixed: Vec<&str> = said.iter().map(String::as_str).filter(|line| !line.contains("key") && !line.contains("reported")).collect();
    assert_eq!(
        fixed,
        [
            "overture: looking at the hardware",
            "overture: this is a machine without a serial number, of unknown make",
            "overture: an unknown number of processors, an unknown amount of memory, 1 disk, no network card",
            "overture: waiting for an address",
            "overture: waiting for orders",
            "overture: restarting, as ordered",
        ]
    );
    assert!(said.iter().any(|line| line.ends_with("I am node 01890a5d-ac96-774b-bcce-b302099a8057 (w1)")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains(stage::TICKET)));
}

#[test]
fn the_first_report_is_made_at_a_glance_and_one_more_has_all() {
    let machine = FakeMachine { answers_late: RefCell::new(Some(3)), ..FakeMachine::default() };
    let script = Arc::new(Mutex::new(Vec::new()));
    let reports = Arc::clone(&script);
    life_with(&machine, move |asked| match asked.first_line.split(['?', ' ']).nth(1) {
        Some("/report") => {
            reports.lock().unwrap().push(serde_json::from_str::<Report>(&asked.body).unwrap());
            node()
        }
        Some("/orders") => {
            until("the complete report", || reports.lock().unwrap().len() == 2);
            order("reboot")
        }
        _ => Answer::json(204, ""),
    });
    let reports = script.lock().unwrap();
    assert_eq!(reports.iter().map(|report| report.facts.disks.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((reports[0].gaps.len(), reports[1].gaps.len()), (1, 0));
    assert!(!reports[1].amends && *machine.looks.borrow() == 1);
}

#[test]
fn power_off_and_local_disk_do_what_they_say() {
    for (kind, deed) in [("power_off", Deed::SwitchOff), ("local_disk", Deed::Restart)] {
        let machine = FakeMachine::default();
        life(&machine, vec![node(), order(kind), Answer::json(200, "{}")]);
        assert_eq!(*machine.deeds.borrow(), [deed]);
    }
    assert_eq!(serde_json::to_string(&Order::PowerOff).unwrap(), "\"power_off\"");
}

#[test]
fn an_order_that_cannot_be_confirmed_is_not_done() {
    let machine = FakeMachine::default();
    let gone = Answer::json(404, r#"{"detail":"this order was withdrawn"}"#);
    let (said, asked, _) = life(&machine, vec![node(), order("power_off"), gone, order("reboot"), Answer::json(200, "")]);
    assert_eq!(asked[2..], ["POST /progress", "GET /orders?wait=10", "POST /progress"]);
    assert_eq!(*machine.deeds.borrow(), [Deed::Restart]);
    assert!(said.iter().any(|line| line.contains("not done") && line.contains("this order was withdrawn")), "{said:?}");
}

#[test]
fn a_service_that_forgot_the_node_is_told_again() {
    let machine = FakeMachine::default();
    let forgot = Answer::json(404, r#"{"detail":"no node reported in this boot"}"#);
    let (_, asked, _) = life(&machine, vec![node(), forgot, node(), order("reboot"), Answer::json(200, "")]);
    assert_eq!(asked[..4], ["POST /report", "GET /orders?wait=5", "POST /report", "GET /orders?wait=5"]);
}

#[test]
fn a_broken_service_is_asked_again_and_a_refused_ticket_much_later() {
    let machine = FakeMachine::default();
    let busy = || Answer::json(503, r#"{"detail":"starting"}"#);
    let refused = || Answer::json(403, r#"{"detail":"another key has used this ticket"}"#);
    let (said, asked, _) =
        life(&machine, vec![busy(), busy(), Answer::close(), refused(), refused(), node(), order("reboot"), Answer::json(200, "")]);
    assert_eq!(asked.iter().filter(|line| *line == "POST /report").count(), 6);
    assert!(*machine.slept.borrow() > Duration::from_secs(15 + 30), "{:?}", machine.slept);
    let complaints = said.iter().filter(|line| line.contains("another key has used this ticket")).count();
    assert_eq!(complaints, 1, "said once, not with each attempt: {said:?}");
}

#[test]
fn a_disk_that_appears_late_is_reported() {
    let machine = FakeMachine { disks_appear_at_look: 3, ..FakeMachine::default() };
    let (_, asked, bodies) = life(&machine, vec![node(), order("wait"), order("wait"), node(), order("reboot"), Answer::json(200, "")]);
    assert_eq!(asked[..4], ["POST /report", "GET /orders?wait=5", "GET /orders?wait=10", "POST /report"]);
    assert!(!bodies[0].contains("disks") && bodies[3].contains("disks"));
}

fn card(name: &str) -> Nic {
    Nic { name: Some(name.into()), link: Some(true), ..Nic::default() }
}

fn frame(interface: &str, port: &str, seconds: u64) -> Heard {
    let neighbour = Neighbour { chassis: Some("sw1".into()), port: Some(port.into()), ..Neighbour::default() };
    Heard { interface: interface.into(), said: Said { time_to_live: Duration::from_secs(seconds), neighbour } }
}

/// The service's time, so many milliseconds from ours.
fn time(from_now: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(from_now);
    format!("{now:.3}")
}

/// What happens on the service's side in the lives below.
#[derive(Default)]
struct Script {
    reports: Mutex<Vec<Report>>,
    progress: Mutex<Vec<Progress>>,
}

impl Script {
    /// Answers reports and progress, and orders by `orders`, which is given the number of reports so far.
    fn answer(&self, asked: &Asked, orders: impl Fn(&Self) -> Answer) -> Answer {
        if asked.first_line.starts_with("POST /report") {
            self.reports.lock().unwrap().push(serde_json::from_str(&asked.body).unwrap());
            node()
        } else if asked.first_line.starts_with("POST /progress") {
            self.progress.lock().unwrap().push(serde_json::from_str(&asked.body).unwrap());
            Answer::json(204, "")
        } else {
            orders(self)
        }
    }

    fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap().clone()
    }

    fn progress(&self) -> Vec<Progress> {
        self.progress.lock().unwrap().clone()
    }
}

/// Until it is so; a test that waits for something that never comes ends.
fn until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_neighbour_is_amended_while_the_service_holds_orders_back_and_nothing_else_is_sent_again() {
    let machine = FakeMachine { nics: vec![card("eth0"), card("eth1")], ..FakeMachine::default() };
    let (script, ears) = (Arc::new(Script::default()), Arc::clone(&machine.ears));
    let service = Arc::clone(&script);
    life_with(&machine, move |asked| {
        let answer = service.answer(asked, |service| {
            // The order is held back until the neighbour was amended, and amended again.
            let tell = |heard| assert!(ears.lock().unwrap().as_mut().unwrap()(heard));
            tell(frame("eth0", "14", 120));
            until("an amendment", || service.reports().len() == 2);
            tell(frame("eth0", "14", 120));
            tell(frame("eth0", "14", 0));
            tell(frame("eth0", "15", 120));
            until("a second amendment", || service.reports().len() == 3);
            order("reboot")
        });
        answer.with_header("overture-time", &time(0))
    });
    let reports = script.reports();
    assert_eq!(reports.iter().map(|report| report.amends).collect::<Vec<_>>(), [false, true, true]);
    let gap = |report: &Report| report.gaps.iter().map(|gap| gap.path.clone()).collect::<Vec<_>>();
    assert_eq!(gap(&reports[0]), ["nics.eth0.neighbours", "nics.eth1.neighbours"]);
    assert_eq!(gap(&reports[1]), ["nics.eth1.neighbours"]);
    let ports = |report: &Report| report.facts.nics[0].neighbours.iter().filter_map(|it| it.port.clone()).collect::<Vec<_>>();
    assert_eq!((ports(&reports[1]), ports(&reports[2])), (vec!["14".to_owned()], vec!["15".to_owned()]));
    assert_eq!(reports[1].facts.nics.len(), 2, "the part is whole");
    assert!(!reports[0].facts.disks.is_empty() && reports[1].facts.disks.is_empty() && reports[1].facts.agent.is_none());
    assert_eq!(reports[0].facts.agent.as_ref().unwrap().can, ["test"]);
}

#[test]
fn a_service_that_knows_no_amendments_gets_a_whole_report() {
    // One says no, the other is so old that it does not tell its time either.
    for (refuses, tells_time) in [(true, true), (false, false)] {
        let machine = FakeMachine { nics: vec![card("eth0")], ..FakeMachine::default() };
        let (script, ears) = (Arc::new(Script::default()), Arc::clone(&machine.ears));
        let service = Arc::clone(&script);
        life_with(&machine, move |asked| {
            if refuses && asked.body.contains("\"amends\":true") {
                return Answer::json(422, r#"{"detail":"what is that?"}"#).with_header("overture-time", &time(0));
            }
            let answer = service.answer(asked, |service| {
                assert!(ears.lock().unwrap().as_mut().unwrap()(frame("eth0", "14", 120)));
                until("a second report", || service.reports().len() == 2);
                order("reboot")
            });
            if tells_time { answer.with_header("overture-time", &time(0)) } else { answer }
        });
        let second = script.reports().pop().unwrap();
        assert!(!second.amends && second.facts.nics[0].neighbours.len() == 1 && !second.facts.disks.is_empty());
    }
}

#[test]
fn a_clock_that_is_far_off_is_amended_once_and_a_good_one_is_not() {
    for (ahead, amended) in [(-3_600_000, true), (40, false)] {
        let (machine, script) = (FakeMachine::default(), Arc::new(Script::default()));
        let (service, asked_for_orders) = (Arc::clone(&script), Mutex::new(0));
        life_with(&machine, move |asked| {
            let answer = service.answer(asked, |service| {
                if amended {
                    until("an amendment", || service.reports().len() == 2);
                }
                // The agent asks again: a second amendment would come between.
                *asked_for_orders.lock().unwrap() += 1;
                if *asked_for_orders.lock().unwrap() < 3 { order("wait") } else { order("reboot") }
            });
            answer.with_header("overture-time", &time(-ahead))
        });
        let reports = script.reports();
        assert_eq!(reports.len(), if amended { 2 } else { 1 }, "{ahead}");
        if amended {
            let clock = reports[1].facts.clock.clone().unwrap();
            assert!(reports[1].amends && clock.ahead_ms.unwrap().abs_diff(ahead) <= clock.within_ms.unwrap() + 2, "{clock:?}");
        }
    }
}

/// Parts of which each ends as it is told to.
struct FakeParts {
    outcome: fn(Kind) -> Outcome,
    until_stopped: bool,
}

impl Parts for FakeParts {
    fn test(&self, kind: Kind, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
        while self.until_stopped && !limits.over() {
            std::thread::sleep(Duration::from_millis(5));
        }
        tell(Finding { part: Some(format!("{}0", kind.name())), outcome: (self.outcome)(kind), detail: "seen".into() });
    }
}

fn test_order(id: &str) -> Answer {
    let plan = r#"{"memory":true,"cpu":false,"disks":true,"network":false,"seconds":600}"#;
    Answer::json(200, &format!(r#"{{"order":"test","id":"{id}","test":{plan}}}"#))
}

#[test]
fn a_test_is_taken_told_and_done_and_the_failed_part_named() {
    let outcome = |kind| if kind == Kind::Disks { Outcome::Failed } else { Outcome::Passed };
    let parts: Arc<dyn Parts> = Arc::new(FakeParts { outcome, until_stopped: false });
    let machine = FakeMachine { parts: Some(parts), ..FakeMachine::default() };
    let script = Arc::new(Script::default());
    let service = Arc::clone(&script);
    let (said, ..) = life_with(&machine, move |asked| {
        service.answer(asked, |service| match service.progress().iter().any(|progress| progress.state == "done") {
            false => test_order("t-1"),
            true => order("reboot"),
        })
    });
    let progress = script.progress();
    let states: Vec<&str> = progress.iter().map(|progress| progress.state.as_str()).collect();
    assert_eq!((states.first(), states.contains(&"done")), (Some(&"taken"), true), "{states:?}");
    let done = progress.iter().find(|progress| progress.state == "done").unwrap();
    let results: Vec<_> = done.results.iter().map(|one| (one.kind.as_str(), one.part.as_deref(), one.outcome.as_str())).collect();
    assert_eq!(results, [("memory", Some("memory0"), "passed"), ("disks", Some("disks0"), "failed")]);
    assert_eq!(done.order, "t-1");
    assert!(said.iter().any(|line| line == "overture: disks disks0: failed: seen"), "{said:?}");
    assert_eq!(machine.begun.borrow().len(), 1, "repeated, it is not begun again");
}

#[test]
fn another_order_ends_a_test_and_what_was_not_tested_is_skipped() {
    let parts: Arc<dyn Parts> = Arc::new(FakeParts { outcome: |_| Outcome::Skipped, until_stopped: true });
    let machine = FakeMachine { parts: Some(parts), ..FakeMachine::default() };
    let script = Arc::new(Script::default());
    let service = Arc::clone(&script);
    life_with(&machine, move |asked| {
        service.answer(asked, |service| if service.progress().is_empty() { test_order("t-1") } else { order("power_off") })
    });
    let progress = script.progress();
    let told = progress.iter().filter(|progress| progress.state != "running");
    let states: Vec<_> = told.map(|progress| (progress.order.as_str(), progress.state.as_str())).collect();
    assert_eq!(states, [("t-1", "taken"), ("t-1", "done"), ("o-1", "taken")]);
    let done = progress.iter().find(|progress| progress.state == "done").unwrap();
    let results: Vec<_> = done.results.iter().map(|one| (one.kind.as_str(), one.outcome.as_str())).collect();
    assert_eq!(results, [("memory", "skipped"), ("disks", "skipped")]);
    assert_eq!(*machine.deeds.borrow(), [Deed::SwitchOff]);
}

#[test]
fn a_test_that_the_service_repeated_ends_when_it_says_wait_and_one_that_it_withdrew_too() {
    for repeats in [true, false] {
        let parts: Arc<dyn Parts> = Arc::new(FakeParts { outcome: |_| Outcome::Skipped, until_stopped: true });
        let machine = FakeMachine { parts: Some(parts), ..FakeMachine::default() };
        let script = Arc::new(Script::default());
        let (service, orders) = (Arc::clone(&script), Mutex::new(0));
        let (said, ..) = life_with(&machine, move |asked| {
            let withdrawn = !repeats && asked.body.contains("running");
            let answer = service.answer(asked, |service| {
                *orders.lock().unwrap() += 1;
                match *orders.lock().unwrap() {
                    1 => test_order("t-1"),
                    2 if repeats => test_order("t-1"),
                    _ if service.progress().iter().any(|progress| progress.state == "done") => order("reboot"),
                    _ => order("wait"),
                }
            });
            if withdrawn { Answer::json(409, r#"{"detail":"not its order"}"#) } else { answer }
        });
        assert_eq!(said.iter().any(|line| line.contains("does not want this test any more")), !repeats, "{said:?}");
        assert!(script.progress().iter().any(|progress| progress.state == "done" && progress.results.len() == 2));
    }
}

#[test]
fn an_agent_that_ended_in_the_middle_of_a_test_does_not_begin_it_again() {
    let machine = FakeMachine { begun: RefCell::new(BTreeSet::from(["t-1".to_owned()])), ..FakeMachine::default() };
    let script = Arc::new(Script::default());
    let service = Arc::clone(&script);
    life_with(&machine, move |asked| {
        service.answer(asked, |service| match service.progress().iter().any(|progress| progress.state == "done") {
            false => test_order("t-1"),
            true => order("reboot"),
        })
    });
    let done = script.progress().into_iter().find(|progress| progress.state == "done").unwrap();
    assert!(done.results.iter().all(|result| result.outcome == "skipped" && result.detail.contains("ended in the middle")), "{done:?}");
}

#[test]
fn test_data_is_counted_and_what_comes_short_is_an_error() {
    let stage = Stage::open(|asked| match asked.first_line.as_str() {
        "GET /test-data?bytes=3000000 HTTP/1.1" => Answer::json(200, &"x".repeat(3_000_000)),
        "GET /test-data?bytes=10 HTTP/1.1" => Answer::json(200, "short"),
        _ => Answer::json(404, r#"{"detail":"there is no such page"}"#),
    });
    let service = Service::find(&stage.boot(), &AgentKey::make().unwrap()).unwrap();
    let fetch = |bytes, enough: &dyn Fn() -> bool| service.test_data(bytes, Duration::from_secs(20), enough);
    assert_eq!(fetch(3_000_000, &|| false).unwrap(), 3_000_000);
    assert!(fetch(3_000_000, &|| true).unwrap() < 3_000_000, "whoever has enough does not read on");
    let short = fetch(10, &|| false).unwrap_err();
    assert!(matches!(short, AskError::Unreachable { .. }), "{short}");
    assert!(matches!(fetch(1, &|| false).unwrap_err(), AskError::Unknown { .. }));
    assert_eq!(stage.asked()[0].ticket.as_deref(), Some(stage::TICKET));
}
