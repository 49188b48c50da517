//! The agent's life: look, report, wait for orders, do them. Never gives up: a service that is away may come back.
//!
//! An order is done only after the service has stored that it was taken. Otherwise it would be given again after the
//! restart, and the machine would restart for ever.

use crate::backoff::Backoff;
use crate::boot::Boot;
use crate::console::Console;
use crate::facts::Findings;
use crate::key::AgentKey;
use crate::sentences::{accepted, chain, counts, introduction};
use crate::service::{AskError, AuthorityError, Service};
use inventory_wire::{Order, Orders, Progress, Report, VERSION};
use std::time::Duration;

/// The longest that the service is asked to hold an answer back.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The first rounds are shorter: disks that need seconds to appear are then soon reported.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// What can be done to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Restart.
    Restart,
    /// Switch off.
    SwitchOff,
}

/// The machine that the agent runs on.
pub trait Machine {
    /// Looks at the hardware.
    fn look(&self) -> Findings;
    /// Whether there is a way to other machines yet.
    fn has_network(&self) -> bool;
    /// Lets time pass.
    fn sleep(&self, time: Duration);
    /// Does it. On a real machine success does not return.
    fn act(&self, deed: Deed) -> std::io::Result<()>;
}

/// Runs until an order has been done.
pub fn run(boot: &Boot, key: &AgentKey, machine: &dyn Machine, console: &Console) {
    console.say("looking at the hardware");
    let findings = machine.look();
    console.say(&introduction(&findings.facts));
    console.say(&counts(&findings.facts));
    let fingerprint = key.fingerprint();
    console.say(&format!("the fingerprint of my key begins with {}", fingerprint.get(..16).unwrap_or_default()));
    let mut life = Life { boot, machine, console, complaint: None, reported: findings };
    if life.wait_for_network() {
        // Time has passed, and disks may have appeared in it.
        life.looks_different();
    }
    let service = life.find_service(key);
    life.serve(&service);
}

struct Life<'a> {
    boot: &'a Boot,
    machine: &'a dyn Machine,
    console: &'a Console,
    /// What was last complained about; the same is not said again and again.
    complaint: Option<String>,
    reported: Findings,
}

/// What a round of orders leads to.
enum Round {
    Again,
    ReportAgain,
    Done,
}

impl Life<'_> {
    /// Whether there was need to wait.
    fn wait_for_network(&self) -> bool {
        let mut waited = false;
        while !self.machine.has_network() {
            if !waited {
                self.console.say("waiting for an address");
                waited = true;
            }
            self.machine.sleep(Duration::from_millis(50));
        }
        waited
    }

    fn find_service(&mut self, key: &AgentKey) -> Service {
        let (mut soon, mut later) = (Backoff::for_network(), Backoff::for_refusal());
        loop {
            match Service::find(self.boot, key) {
                Ok(service) => {
                    self.complaint = None;
                    return service;
                }
                Err(error) => {
                    self.complain(chain(&error));
                    let answered_wrongly = matches!(error, AuthorityError::WrongAuthority { .. });
                    self.machine.sleep(if answered_wrongly { later.next_wait() } else { soon.next_wait() });
                }
            }
        }
    }

    fn serve(&mut self, service: &Service) {
        self.report(service);
        self.console.say("waiting for orders");
        let (mut soon, mut later) = (Backoff::for_network(), Backoff::for_refusal());
        let mut wait = FIRST_WAIT;
        loop {
            let round = match service.orders(wait) {
                Ok(orders) => {
                    self.answers_again();
                    wait = (wait + FIRST_WAIT).min(LONGEST_WAIT);
                    (soon, later) = (Backoff::for_network(), Backoff::for_refusal());
                    self.obey(service, &orders)
                }
                Err(AskError::Unknown { .. }) => {
                    self.console.say("the service does not know me any more, I report again");
                    self.machine.sleep(soon.next_wait());
                    Round::ReportAgain
                }
                Err(error) => {
                    self.wait_after(&error, &mut soon, &mut later);
                    Round::Again
                }
            };
            match round {
                Round::Done => return,
                Round::ReportAgain => self.report(service),
                Round::Again if self.looks_different() => {
                    self.console.say(&format!("what I see has changed: {}", counts(&self.reported.facts)));
                    self.report(service);
                }
                Round::Again => {}
            }
        }
    }

    /// Looks again; what was reported before is replaced when it is no longer true.
    fn looks_different(&mut self) -> bool {
        let now = self.machine.look();
        let different = !now.same_hardware(&self.reported);
        if different {
            self.reported = now;
        }
        different
    }

    fn report(&mut self, service: &Service) {
        let (mut soon, mut later) = (Backoff::for_network(), Backoff::for_refusal());
        let report = Report {
            report: VERSION,
            boot: self.boot.boot.clone(),
            facts: self.reported.facts.clone(),
            gaps: self.reported.gaps.clone(),
            other: Default::default(),
        };
        loop {
            match service.report(&report) {
                Ok(answer) => {
                    self.complaint = None;
                    return self.console.say(&accepted(&self.boot.url, &answer));
                }
                Err(error) => self.wait_after(&error, &mut soon, &mut later),
            }
        }
    }

    fn obey(&mut self, service: &Service, orders: &Orders) -> Round {
        let (deed, words) = match orders.order {
            Order::Wait => {
                // A service that answers at once must not be asked without a pause.
                self.machine.sleep(Duration::from_millis(200));
                return Round::Again;
            }
            Order::Reboot => (Deed::Restart, "restarting, as ordered"),
            Order::LocalDisk => (Deed::Restart, "restarting into the local disk, as ordered"),
            Order::PowerOff => (Deed::SwitchOff, "switching off, as ordered"),
        };
        let taken = Progress { order: orders.id.clone().unwrap_or_default(), state: "taken".into() };
        if let Err(error) = service.progress(&taken) {
            self.complain(format!("the order could not be confirmed, so it is not done: {}", chain(&error)));
            self.machine.sleep(Duration::from_secs(2));
            return Round::Again;
        }
        self.console.say(words);
        match self.machine.act(deed) {
            Ok(()) => Round::Done,
            Err(error) => {
                self.console.say(&format!("the machine did not do it: {error}"));
                Round::Again
            }
        }
    }

    /// Soon again when the service may come back by itself, later when a person has to act.
    fn wait_after(&mut self, error: &AskError, soon: &mut Backoff, later: &mut Backoff) {
        self.complain(chain(error));
        let by_itself = matches!(error, AskError::Unreachable { .. } | AskError::Busy { .. } | AskError::Nonsense { .. });
        self.machine.sleep(if by_itself { soon.next_wait() } else { later.next_wait() });
    }

    fn complain(&mut self, sentence: String) {
        if self.complaint.as_ref() != Some(&sentence) {
            self.console.say(&sentence);
            self.complaint = Some(sentence);
        }
    }

    fn answers_again(&mut self) {
        if self.complaint.take().is_some() {
            self.console.say("the service answers again");
        }
    }
}
