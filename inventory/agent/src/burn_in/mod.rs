//! Tests of the hardware on request: memory, processors, disks, network. Each is bounded by time, names the part that
//! failed, and writes to no disk.
//!
//! ```text
//! plan ─► memory ─► cpu ─► disks ─► network     one after the other, each at most `seconds`
//!            └────────┴──────┴─────────┴──► a result for each part, as soon as it is known ─► Event
//! ```
//!
//! It does not know who ordered it, nor how results travel; see [`crate::run`].

mod amounts;
mod cpu;
mod disks;
mod edac;
mod hardware;
mod kernels;
mod memory;
mod network;

pub use hardware::ThisHardware;

use inventory_wire::{TestPlan, TestResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest that one kind of test may be asked to take: a day.
const MOST_SECONDS: u32 = 86_400;
/// A plan without a time means the shortest test that says anything.
const LEAST_SECONDS: u32 = 1;

/// What can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Patterns in free memory.
    Memory,
    /// Known results on every processor.
    Cpu,
    /// Reading from every disk.
    Disks,
    /// Fetching from the service, and the error counters of every port.
    Network,
}

impl Kind {
    /// As the wire calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Disks => "disks",
            Self::Network => "network",
        }
    }

    /// What a plan asks for, in the order in which it is done.
    pub fn of(plan: &TestPlan) -> Vec<Self> {
        let wanted = [(Self::Memory, plan.memory), (Self::Cpu, plan.cpu), (Self::Disks, plan.disks), (Self::Network, plan.network)];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(kind, _)| kind).collect()
    }
}

/// How long a test may go on.
#[derive(Debug, Clone)]
pub struct Limits {
    /// When it began.
    pub begin: Instant,
    /// When it has to end.
    pub until: Instant,
    stop: Arc<AtomicBool>,
}

impl Limits {
    /// From now on, for so long, until `stop` is set.
    pub fn new(time: Duration, stop: Arc<AtomicBool>) -> Self {
        let begin = Instant::now();
        Self { begin, until: begin + time, stop }
    }

    /// Whether it has to end now.
    pub fn over(&self) -> bool {
        self.stopped() || Instant::now() >= self.until
    }

    /// Whether somebody wants it to end before its time.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What is left of the time; never more than the whole.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// The same end or an earlier one: a part of the whole time from now.
    fn part(&self, share: u32) -> Self {
        let until = Instant::now() + (self.until - self.begin) / share.max(1);
        Self { until: until.min(self.until), ..self.clone() }
    }
}

/// What a test found, before it is known how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part; `None` for the machine as a whole.
    pub part: Option<String>,
    /// How it came out.
    pub outcome: Outcome,
    /// A sentence with numbers.
    pub detail: String,
}

/// How a test came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was wrong.
    Passed,
    /// The part is not sound.
    Failed,
    /// It was not tested to the end.
    Skipped,
}

impl Outcome {
    /// As the wire calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// A failure stays one; what was broken off and had not failed is no pass.
    fn of(failed: bool, limits: &Limits) -> Self {
        match (failed, limits.stopped()) {
            (true, _) => Self::Failed,
            (false, true) => Self::Skipped,
            (false, false) => Self::Passed,
        }
    }
}

/// The machine's parts as something that can be tested.
pub trait Parts: Send + Sync {
    /// Tests one kind, and tells each result as soon as it is known. Ends soon after `limits` say so.
    fn test(&self, kind: Kind, limits: &Limits, tell: &(dyn Fn(Finding) + Sync));
}

/// What is told of a running test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A kind of test begins.
    Begins(Kind),
    /// A part was tested.
    Result(TestResult),
    /// There is nothing more to test.
    Finished,
}

/// Starts a thread that does what the plan says. Set `stop` to end it before its time: what was not tested is then told
/// as skipped.
pub fn start(
    plan: TestPlan,
    parts: Arc<dyn Parts>,
    stop: Arc<AtomicBool>,
    tell: impl Fn(Event) + Send + Sync + 'static,
) -> std::io::Result<()> {
    let run = move || {
        let time = Duration::from_secs(plan.seconds.clamp(LEAST_SECONDS, MOST_SECONDS).into());
        for kind in Kind::of(&plan) {
            let limits = Limits::new(time, Arc::clone(&stop));
            let told = |finding: Finding| tell(Event::Result(result(kind, finding, limits.begin.elapsed())));
            if limits.stopped() {
                told(Finding { part: None, outcome: Outcome::Skipped, detail: "not tested: the test was stopped before".into() });
            } else {
                tell(Event::Begins(kind));
                parts.test(kind, &limits, &told);
            }
        }
        tell(Event::Finished);
    };
    std::thread::Builder::new().name("test".into()).spawn(run).map(drop)
}

/// What travels.
pub fn result(kind: Kind, finding: Finding, took: Duration) -> TestResult {
    TestResult {
        kind: kind.name().into(),
        part: finding.part,
        outcome: finding.outcome.name().into(),
        detail: finding.detail,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    struct Fake;
    impl Parts for Fake {
        fn test(&self, kind: Kind, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
            if kind == Kind::Cpu {
                limits.stop.store(true, Ordering::Relaxed);
            }
            tell(Finding { part: None, outcome: Outcome::of(false, limits), detail: "d".into() });
        }
    }

    fn whole(seconds: u32) -> TestPlan {
        TestPlan { memory: true, cpu: true, disks: true, network: true, seconds }
    }

    #[test]
    fn what_follows_a_stop_is_skipped_and_told_as_such() {
        let (send, events) = channel();
        start(whole(60), Arc::new(Fake), Arc::default(), move |event| send.send(event).unwrap()).unwrap();
        let events: Vec<Event> = events.iter().collect();
        let outcomes: Vec<(String, String)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Result(result) => Some((result.kind.clone(), result.outcome.clone())),
                _ => None,
            })
            .collect();
        let expected = [("memory", "passed"), ("cpu", "skipped"), ("disks", "skipped"), ("network", "skipped")];
        assert_eq!(outcomes, expected.map(|(kind, outcome)| (kind.to_owned(), outcome.to_owned())));
        assert_eq!(events.last(), Some(&Event::Finished));
    }

    #[test]
    fn the_time_is_bounded_and_a_part_of_it_too() {
        let limits = Limits::new(Duration::from_secs(40), Arc::default());
        assert!(!limits.over() && limits.left() <= Duration::from_secs(40));
        assert!(limits.part(4).left() <= Duration::from_secs(10));
        assert!(Limits::new(Duration::ZERO, Arc::default()).over());
    }
}
