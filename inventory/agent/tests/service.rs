//! The agent against a service that the test plays: who is trusted, what is said, what is done.

#![allow(clippy::unwrap_used)]

mod stage;

use inventory_agent::boot::Boot;
use inventory_agent::console::Console;
use inventory_agent::facts::Findings;
use inventory_agent::key::AgentKey;
use inventory_agent::run::{Deed, Machine, run};
use inventory_agent::service::{AskError, AuthorityError, Service};
use inventory_wire::{Disk, Facts, Order, Progress, Report};
use stage::{Answer, Authority, Stage};
use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Duration;

fn report() -> Report {
    Report { report: 1, boot: "b".into(), facts: Facts::default(), gaps: vec![], other: Default::default() }
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
    let error = |status: u16| service.report(&Report { boot: status.to_string(), ..report() }).unwrap_err();
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
}

impl Machine for FakeMachine {
    fn look(&self) -> Findings {
        *self.looks.borrow_mut() += 1;
        let disks = if *self.looks.borrow() > self.disks_appear_at_look { vec![Disk::default()] } else { vec![] };
        Findings { facts: Facts { disks, ..Facts::default() }, gaps: vec![] }
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
}

/// Plays a whole life; the service answers in this order, whatever is asked.
fn life(machine: &FakeMachine, answers: Vec<Answer>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let answers = Mutex::new(answers.into_iter());
    let stage = Stage::open(move |_| answers.lock().unwrap().next().expect("the agent asks no more often than this"));
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
    assert_eq!(progress, Progress { order: "o-1".into(), state: "taken".into() });
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
