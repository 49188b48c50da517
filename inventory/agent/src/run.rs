//! The agent's life: look, report, listen to the neighbours, wait for orders, do them. Never gives up: a service that is
//! away may come back.
//!
//! ```text
//! LLDP listener ──frames──┐
//! asker ──────────orders──┼─► one loop: report, amend what neighbours change, obey, tell how a test goes
//! test ──────────results──┘
//! ```
//!
//! An order is done only after the service has stored that it was taken. Otherwise it would be given again after the
//! restart, and the machine would restart for ever.

mod asker;
mod trial;

use crate::backoff::Backoff;
use crate::boot::Boot;
use crate::burn_in::{self, Parts, ThisHardware};
use crate::console::Console;
use crate::facts::Findings;
use crate::key::AgentKey;
use crate::lldp::{Heard, Neighbourhood};
use crate::sentences::{accepted, chain, counts, introduction};
use crate::service::{AskError, AuthorityError, Service};
use crate::tree::Tree;
use asker::Asker;
use inventory_wire::{Agent, Facts, Gap, Order, Orders, Progress, Report, VERSION};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use trial::Trial;

/// The longest that the service is asked to hold an answer back.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The first rounds are shorter: disks that need seconds to appear are then soon reported.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Neighbours that change all the time must not become a flood of reports.
const BETWEEN_AMENDMENTS: Duration = Duration::from_secs(2);
/// The first report is followed by one that has all, at the latest after this time: by then dead disks keep it waiting.
const LONGEST_COMPLETION: Duration = Duration::from_secs(20);
/// How often it is asked meanwhile whether all is there.
const BETWEEN_GLANCES: Duration = Duration::from_millis(50);
/// After a wait for the network that was longer, the machine is looked at anew before the first report.
const LONG_WAIT: Duration = Duration::from_secs(3);
/// While it tests, the agent asks at most so often: a service that repeats the order answers at once.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(2);
/// What cannot be taken in is lost, and will be said again.
const MOST_EVENTS: usize = 256;

/// What can be done to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Restart.
    Restart,
    /// Switch off.
    SwitchOff,
}

/// What is called with each frame of a neighbour; `false` when nobody listens any more.
pub type TellHeard = Box<dyn FnMut(Heard) -> bool + Send>;

/// The machine that the agent runs on.
pub trait Machine {
    /// Looks at the hardware, and has asked what must be asked; what has not answered yet is a gap.
    fn look(&self) -> Findings;
    /// Looks at what shows at once, for the first report; `None` where a whole look is quick.
    fn glance(&self) -> Option<Findings> {
        None
    }
    /// Whether a look would find more in a moment: drivers are being loaded, devices are being asked. Has all asked that is there.
    fn still_asking(&self) -> bool {
        false
    }
    /// Writes down how long the machine has been running.
    fn tell_time(&self, agent: &mut Agent) {
        let _ = agent;
    }
    /// Whether there is a way to other machines yet.
    fn has_network(&self) -> bool;
    /// Lets time pass.
    fn sleep(&self, time: Duration);
    /// Does it. On a real machine success does not return.
    fn act(&self, deed: Deed) -> std::io::Result<()>;
    /// Begins to listen to the neighbours; why not, if it cannot.
    fn listen(&self, tell: TellHeard) -> Result<(), String> {
        drop(tell);
        Err("this machine does not listen for LLDP".into())
    }
    /// Whether this order was never begun before, also not by an agent that ended since. Asked once for each order.
    fn begins(&self, order: &str) -> bool {
        let _ = order;
        true
    }
    /// What a test tests.
    fn parts(&self, facts: &Facts, service: Arc<Service>) -> Arc<dyn Parts> {
        Arc::new(ThisHardware::new(Tree::live(), facts.disks.clone(), service))
    }
}

/// What wakes the loop.
enum Event {
    Orders(Result<Orders, AskError>),
    Heard(Box<Heard>),
    Test(burn_in::Event),
}

/// Runs until an order has been done.
pub fn run(boot: &Boot, key: &AgentKey, machine: &dyn Machine, console: &Console) {
    let (wake, events) = sync_channel(MOST_EVENTS);
    let neighbours = match machine.listen(teller(wake.clone())) {
        Ok(()) => Neighbourhood::silent(),
        Err(reason) => Neighbourhood::deaf(reason),
    };
    console.say("looking at the hardware");
    let mut life = Life {
        boot,
        machine,
        console,
        complaint: None,
        reported: Findings { facts: Facts::default(), gaps: vec![] },
        neighbours,
        clock_told: false,
        amend_after: Instant::now(),
        amend_backoff: Backoff::for_network(),
        wake,
        glanced: false,
        incomplete_until: None,
        trial: None,
        finished: None,
    };
    life.reported = life.glance();
    console.say(&introduction(&life.reported.facts));
    console.say(&counts(&life.reported.facts));
    let fingerprint = key.fingerprint();
    console.say(&format!("the fingerprint of my key begins with {}", fingerprint.get(..16).unwrap_or_default()));
    let waited = life.wait_for_network();
    if waited > LONG_WAIT || (!life.glanced && !waited.is_zero()) {
        // Disks may have appeared in the meantime.
        life.reported = life.glance();
    }
    let service = Arc::new(life.find_service(key));
    life.serve(&service, &events);
}

fn teller(wake: SyncSender<Event>) -> TellHeard {
    Box::new(move |heard| !matches!(wake.try_send(Event::Heard(Box::new(heard))), Err(TrySendError::Disconnected(_))))
}

struct Life<'a> {
    boot: &'a Boot,
    machine: &'a dyn Machine,
    console: &'a Console,
    /// What was last complained about; the same is not said again and again.
    complaint: Option<String>,
    reported: Findings,
    neighbours: Neighbourhood,
    /// Whether the service knows already how the clocks stand.
    clock_told: bool,
    amend_after: Instant,
    amend_backoff: Backoff,
    wake: SyncSender<Event>,
    /// Whether the first report is made in haste.
    glanced: bool,
    /// Since the first report, made in haste, until the one that has all; at the latest at this time.
    incomplete_until: Option<Instant>,
    trial: Option<Trial>,
    /// The last test that was done, should the service ask for it again.
    finished: Option<Progress>,
}

/// What a round of orders leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Again,
    ReportAgain,
    Done,
}

impl Life<'_> {
    /// How long it had to wait.
    fn wait_for_network(&self) -> Duration {
        let begin = Instant::now();
        let mut waited = false;
        while !self.machine.has_network() {
            if !waited {
                self.console.say("waiting for an address");
                waited = true;
            }
            self.machine.sleep(Duration::from_millis(20));
        }
        if waited { begin.elapsed() } else { Duration::ZERO }
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

    fn serve(&mut self, service: &Arc<Service>, events: &Receiver<Event>) {
        self.report(service);
        self.console.say("waiting for orders");
        self.incomplete_until = self.glanced.then(|| Instant::now() + LONGEST_COMPLETION);
        let asker = Asker::start(Arc::clone(service), self.wake.clone());
        let (mut soon, mut later) = (Backoff::for_network(), Backoff::for_refusal());
        let mut wait = FIRST_WAIT;
        asker.ask(wait);
        let mut ask_again: Option<Instant> = None;
        loop {
            self.complete(service);
            self.amend(service);
            self.tell_progress(service);
            match events.recv_timeout(self.until_something_is_due(ask_again)) {
                Ok(Event::Heard(heard)) => self.hear(*heard, service),
                Ok(Event::Test(event)) => self.tested(event),
                Ok(Event::Orders(answer)) => {
                    let round = match answer {
                        Ok(orders) => {
                            self.answers_again();
                            wait = (wait + FIRST_WAIT).min(LONGEST_WAIT);
                            (soon, later) = (Backoff::for_network(), Backoff::for_refusal());
                            self.obey(service, &orders, events)
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
                        // Looking takes what a test measures, and a test takes what looking needs.
                        Round::Again if self.trial.is_none() && self.incomplete_until.is_none() => self.report_changes(service),
                        Round::Again => {}
                    }
                    ask_again = Some(Instant::now() + if self.trial.is_some() { BETWEEN_QUESTIONS } else { Duration::ZERO });
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if ask_again.is_some_and(|at| at <= Instant::now()) {
                ask_again = None;
                asker.ask(wait);
            }
        }
    }

    /// How long the loop may sleep.
    fn until_something_is_due(&self, ask_again: Option<Instant>) -> Duration {
        let now = Instant::now();
        let amendment = self.neighbours.next_change(now).map(|at| at.max(self.amend_after));
        let pending = (self.amend_after > now).then_some(self.amend_after);
        let progress = self.trial.as_ref().map(Trial::due);
        let complete = self.incomplete_until.map(|_| now + BETWEEN_GLANCES);
        let due = [ask_again, amendment, pending, progress, complete].into_iter().flatten().min();
        due.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now)).min(LONGEST_WAIT)
    }

    /// What the machine is now, with what the neighbours say.
    fn look(&mut self) -> Findings {
        let findings = self.machine.look();
        self.with_neighbours(findings)
    }

    /// The same, of what shows at once.
    fn glance(&mut self) -> Findings {
        match self.machine.glance() {
            Some(findings) => {
                self.glanced = true;
                self.with_neighbours(findings)
            }
            None => self.look(),
        }
    }

    fn with_neighbours(&mut self, mut findings: Findings) -> Findings {
        let agent = findings.facts.agent.get_or_insert_default();
        agent.can = vec!["test".into()];
        agent.place.get_or_insert_with(|| "ramdisk".into());
        // Not part of what makes two machines different.
        if let Some(known) = &self.reported.facts.clock {
            let clock = findings.facts.clock.get_or_insert_default();
            (clock.ahead_ms, clock.within_ms) = (known.ahead_ms, known.within_ms);
        }
        self.neighbours.write_into(&mut findings.facts, &mut findings.gaps, Instant::now());
        findings
    }

    /// Looks again; what was reported before is replaced when it is no longer true.
    fn looks_different(&mut self) -> bool {
        let now = self.look();
        let different = !now.same_hardware(&self.reported);
        if different {
            self.reported = now;
        }
        different
    }

    /// Sends the report that has all, as soon as there is nothing to wait for. One for each answer would be a dozen.
    fn complete(&mut self, service: &Service) {
        let Some(until) = self.incomplete_until else { return };
        if self.trial.is_none() && (!self.machine.still_asking() || Instant::now() >= until) {
            self.incomplete_until = None;
            self.report_changes(service);
        }
    }

    fn report_changes(&mut self, service: &Service) {
        if self.looks_different() {
            self.console.say(&format!("I see more, or something else: {}", counts(&self.reported.facts)));
            self.report(service);
        }
    }

    fn report(&mut self, service: &Service) {
        let (mut soon, mut later) = (Backoff::for_network(), Backoff::for_refusal());
        loop {
            if let Some(skew) = service.skew() {
                skew.write_into(&mut self.reported.facts.clock);
            }
            self.clock_told = service.skew().is_some();
            self.machine.tell_time(self.reported.facts.agent.get_or_insert_default());
            match service.report(&self.report_of(false, &self.reported.facts, &self.reported.gaps)) {
                Ok(answer) => {
                    self.complaint = None;
                    self.amend_after = Instant::now();
                    return self.console.say(&accepted(&self.boot.url, &answer));
                }
                Err(error) => self.wait_after(&error, &mut soon, &mut later),
            }
        }
    }

    fn report_of(&self, amends: bool, facts: &Facts, gaps: &[Gap]) -> Report {
        let (boot, facts, gaps) = (Some(self.boot.boot.clone()), facts.clone(), gaps.to_vec());
        Report { report: VERSION, boot, amends, facts, gaps, other: Default::default() }
    }

    /// Somebody at the other end of a cable has spoken.
    fn hear(&mut self, heard: Heard, service: &Service) {
        let nic = self.reported.facts.nics.iter().find(|nic| nic.name.as_ref() == Some(&heard.interface));
        let news_of_a_link = nic.is_some_and(|nic| nic.link != Some(true));
        self.neighbours.hear(&heard.interface, heard.said, Instant::now());
        if news_of_a_link && self.trial.is_none() && self.incomplete_until.is_none() {
            self.report_changes(service);
        }
    }

    /// Sends what neighbours have changed, and how far the clock is off, when it is time to.
    fn amend(&mut self, service: &Service) {
        if Instant::now() < self.amend_after {
            return;
        }
        let mut now = self.reported.clone();
        self.neighbours.write_into(&mut now.facts, &mut now.gaps, Instant::now());
        let skew = service.skew().filter(|_| !self.clock_told);
        let same = now.facts.nics == self.reported.facts.nics && now.gaps == self.reported.gaps;
        if same && !skew.is_some_and(|skew| skew.is_considerable()) {
            return;
        }
        let mut facts = Facts { nics: now.facts.nics.clone(), ..Facts::default() };
        if let Some(skew) = skew {
            skew.write_into(&mut now.facts.clock);
            facts.clock = now.facts.clock.clone();
        }
        let of_the_nics = |gap: &&Gap| gap.path == "nics" || gap.path.starts_with("nics.");
        let gaps: Vec<Gap> = now.gaps.iter().filter(of_the_nics).cloned().collect();
        // A service that does not tell its time is older than amendments, and would take one for the whole.
        let sent = match service.skew() {
            Some(_) => service.report(&self.report_of(true, &facts, &gaps)).map(drop),
            None => Err(AskError::Refused { url: String::new(), why: String::new() }),
        };
        match sent {
            Ok(()) => {
                (self.reported, self.clock_told) = (now, self.clock_told || skew.is_some());
                self.amend_backoff.reset();
                self.amend_after = Instant::now() + BETWEEN_AMENDMENTS;
                self.console.say(&crate::sentences::neighbours(&self.reported.facts));
            }
            Err(AskError::Unreachable { .. } | AskError::Busy { .. } | AskError::Nonsense { .. }) => {
                self.amend_after = Instant::now() + self.amend_backoff.next_wait();
            }
            Err(AskError::TicketRefused { .. } | AskError::Unknown { .. } | AskError::Refused { .. }) => {
                self.reported = now;
                self.report(service);
                self.amend_after = Instant::now() + BETWEEN_AMENDMENTS;
            }
        }
    }

    fn obey(&mut self, service: &Arc<Service>, orders: &Orders, events: &Receiver<Event>) -> Round {
        if self.goes_on(orders) {
            return Round::Again;
        }
        self.end_trial(service, events);
        let (deed, words) = match orders.order {
            Order::Wait => {
                // A service that answers at once must not be asked without a pause.
                self.machine.sleep(Duration::from_millis(200));
                return Round::Again;
            }
            Order::Reboot => (Deed::Restart, "restarting, as ordered"),
            Order::LocalDisk => (Deed::Restart, "restarting into the local disk, as ordered"),
            Order::PowerOff => (Deed::SwitchOff, "switching off, as ordered"),
            Order::Test => {
                self.begin_trial(service, orders);
                return Round::Again;
            }
        };
        if !self.take(service, orders) {
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

    /// Has the service store that the order is taken.
    fn take(&mut self, service: &Service, orders: &Orders) -> bool {
        let taken = Progress { order: orders.id.clone().unwrap_or_default(), state: "taken".into(), results: vec![] };
        match service.progress(&taken) {
            Ok(()) => true,
            Err(error) => {
                self.complain(format!("the order could not be confirmed, so it is not done: {}", chain(&error)));
                self.machine.sleep(Duration::from_secs(2));
                false
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
