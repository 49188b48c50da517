//! A test that was ordered: begun once, told how it goes, ended when it is done or no longer wanted.
//!
//! ```text
//! order `test` ─► taken ─► results… ─► running, with the results so far ─► done, with all of them
//!                             └─ another order, or the service does not want it any more ─► stop, the rest is skipped
//! ```

use super::{Event, Life};
use crate::backoff::Backoff;
use crate::burn_in::{self, Finding, Kind, Outcome};
use crate::sentences::chain;
use crate::service::{AskError, Service};
use inventory_wire::{Order, Orders, Progress, TestPlan, TestResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The service hears so often that the test goes on.
const BETWEEN_PROGRESS: Duration = Duration::from_secs(10);
/// Parts that end together are told together.
const GATHER: Duration = Duration::from_secs(1);
/// What was stopped has so long to tell its last results.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// A machine with more parts than this tells of the first.
const MOST_RESULTS: usize = 1000;

/// What runs now.
pub struct Trial {
    order: String,
    plan: TestPlan,
    results: Vec<TestResult>,
    stop: Arc<AtomicBool>,
    /// Whether the service has repeated the order since it was taken: one that does says by `wait` that it is over.
    repeated: bool,
    finished: bool,
    due: Instant,
    backoff: Backoff,
}

impl Trial {
    /// When the service is to hear of it next.
    pub fn due(&self) -> Instant {
        self.due
    }

    fn sooner(&mut self, after: Duration) {
        self.due = self.due.min(Instant::now() + after);
    }

    fn progress(&self) -> Progress {
        let state = if self.finished { "done" } else { "running" };
        Progress { order: self.order.clone(), state: state.into(), results: self.results.clone() }
    }

    /// Those of the plan of which nothing was told are skipped.
    fn complete(&mut self, why: &str) {
        for kind in Kind::of(&self.plan) {
            if !self.results.iter().any(|result| result.kind == kind.name()) {
                let finding = Finding { part: None, outcome: Outcome::Skipped, detail: why.into() };
                self.results.push(burn_in::result(kind, finding, Duration::ZERO));
            }
        }
        self.finished = true;
        self.due = Instant::now();
    }
}

impl Life<'_> {
    /// Whether nothing is to be changed: the order is the test that runs, or was just done, or does not say otherwise.
    pub(super) fn goes_on(&mut self, orders: &Orders) -> bool {
        let id = orders.id.as_deref().unwrap_or_default();
        match &mut self.trial {
            Some(trial) if orders.order == Order::Test && trial.order == id => {
                trial.repeated = true;
                true
            }
            Some(trial) => orders.order == Order::Wait && (trial.finished || !trial.repeated),
            None => false,
        }
    }

    /// Takes the order and starts the test, if this order never began before.
    pub(super) fn begin_trial(&mut self, service: &Arc<Service>, orders: &Orders) {
        let order = orders.id.clone().unwrap_or_default();
        if let Some(done) = self.finished.as_ref().filter(|done| done.order == order) {
            // The service missed it.
            let _ = service.progress(done);
            self.machine.sleep(Duration::from_secs(2));
            return;
        }
        let plan = orders.test.unwrap_or(TestPlan { memory: false, cpu: false, disks: false, network: false, seconds: 0 });
        if !self.take(service, orders) {
            return;
        }
        let (stop, now) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let mut trial = Trial {
            order,
            plan,
            results: vec![],
            stop: Arc::clone(&stop),
            repeated: false,
            finished: false,
            due: now + GATHER,
            backoff: Backoff::for_network(),
        };
        if self.machine.begins(&trial.order) {
            let kinds: Vec<&str> = Kind::of(&plan).into_iter().map(Kind::name).collect();
            self.console.say(&format!(
                "testing {} for at most {} s each, as ordered; no disk is written to",
                kinds.join(", "),
                plan.seconds
            ));
            let wake = self.wake.clone();
            let parts = self.machine.parts(&self.reported.facts, Arc::clone(service));
            let tell = move |event| wake.send(Event::Test(event)).unwrap_or_default();
            if let Err(error) = burn_in::start(plan, parts, stop, tell) {
                trial.complete(&format!("the test could not be started: {error}"));
            }
        } else {
            self.console.say("this test was begun before I was started again; it is not repeated");
            trial.complete("the agent ended in the middle of the test and was started again");
        }
        self.trial = Some(trial);
    }

    /// The test tells something.
    pub(super) fn tested(&mut self, event: burn_in::Event) {
        let Some(trial) = &mut self.trial else { return };
        match event {
            burn_in::Event::Begins(kind) => self.console.say(&format!("testing {}", kind.name())),
            burn_in::Event::Result(result) => {
                let part = result.part.as_ref().map(|part| format!(" {part}")).unwrap_or_default();
                self.console.say(&format!("{}{part}: {}: {}", result.kind, result.outcome, result.detail));
                if trial.results.len() < MOST_RESULTS {
                    trial.results.push(result);
                }
                trial.sooner(GATHER);
            }
            burn_in::Event::Finished => trial.complete("nothing was told of it"),
        }
    }

    /// Tells the service how it goes, when that is due. A service that does not want to know has withdrawn the order.
    pub(super) fn tell_progress(&mut self, service: &Service) {
        let Some(trial) = self.trial.as_mut().filter(|trial| trial.due <= Instant::now()) else { return };
        let progress = trial.progress();
        match service.progress(&progress) {
            Ok(()) if trial.finished => {
                self.console.say("the test is done, and its results are with the service");
                (self.trial, self.finished) = (None, Some(progress));
            }
            Ok(()) => {
                trial.backoff.reset();
                trial.due = Instant::now() + BETWEEN_PROGRESS;
            }
            Err(AskError::Unreachable { .. } | AskError::Busy { .. } | AskError::Nonsense { .. }) => {
                trial.due = Instant::now() + trial.backoff.next_wait().max(GATHER);
            }
            Err(error) if trial.finished => {
                let sentence = format!("the service does not take the results of the test: {}", chain(&error));
                (self.trial, self.finished) = (None, Some(progress));
                self.complain(sentence);
            }
            Err(error) => {
                trial.stop.store(true, Ordering::Relaxed);
                trial.due = Instant::now() + BETWEEN_PROGRESS;
                let sentence = format!("the service does not want this test any more, so it is stopped: {}", chain(&error));
                self.complain(sentence);
            }
        }
    }

    /// Stops a test that another order replaces, and sends what it found until then.
    pub(super) fn end_trial(&mut self, service: &Service, events: &Receiver<Event>) {
        let Some(trial) = &self.trial else { return };
        self.console.say("the test is stopped: another order came");
        trial.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + STOP_PATIENCE;
        while self.trial.as_ref().is_some_and(|trial| !trial.finished) {
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Test(event)) => self.tested(event),
                // Frames are sent again, and no question is open.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if let Some(trial) = &mut self.trial {
                        trial.complete("it did not end in time after it was stopped");
                    }
                }
            }
        }
        if let Some(trial) = &mut self.trial {
            trial.due = Instant::now();
        }
        self.tell_progress(service);
        self.trial = None;
    }
}
