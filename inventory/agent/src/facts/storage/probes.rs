//! Who asks the disks themselves, which takes time: threads that do it once, keep the answers, and ask again when an
//! answer is old or the disk is another one. Nobody waits for them longer than a little.
//!
//! ```text
//! look ─► for each disk: known? ── yes ─► the answer, however old
//!                          └───── no ──► queue ─► worker ─► tools ─► the answer, at the next look
//! ```

use super::ask::{Contents, HealthSeen};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this an answer is asked for anew; until the new one is there, the old one stands.
const AGAIN: Duration = Duration::from_secs(600);
/// Disks that are asked at once.
const WORKERS: usize = 8;

/// A disk as a probe is asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The kernel's name.
    pub name: String,
    /// All by which another disk of the same name is noticed.
    pub identity: String,
    /// The names of its partitions with their sizes: what is written on them is asked anew when they change.
    pub partitions: Vec<(String, u64)>,
}

/// What can be asked. An error is the reason of a gap.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What is written on it.
    Contents(Result<Contents, String>),
    /// How it does. Boxed, being by far the larger.
    Health(Box<Result<HealthSeen, String>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Contents,
    Health,
}

/// Asks a disk. Called in a thread of its own, and may take its time.
pub trait Asker: Send + Sync {
    /// What is written on it.
    fn contents(&self, disk: &Subject) -> Result<Contents, String>;
    /// How it does.
    fn health(&self, disk: &Subject) -> Result<HealthSeen, String>;
}

/// The answers, and the threads that get them. Whoever looks again and again keeps one of these.
#[derive(Clone)]
pub struct Probes {
    shared: Option<Arc<Shared>>,
    patience: Duration,
    later: bool,
}

struct Shared {
    asker: Box<dyn Asker>,
    again: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<(String, Kind), Entry>,
    queue: VecDeque<(Subject, Kind)>,
    workers: usize,
}

struct Entry {
    /// The disk that was asked last, or is being asked.
    subject: Subject,
    answer: Option<Answer>,
    asked: Instant,
    underway: bool,
}

/// What is known of one disk; `None` while it is being asked.
pub type Known = (Option<Result<Contents, String>>, Option<Result<HealthSeen, String>>);

impl Probes {
    /// Asks the disks of this machine. A look waits at most `patience` for answers.
    pub fn of_this_machine(patience: Duration) -> Self {
        Self::with(Box::new(super::ask::Tools), patience, AGAIN)
    }

    /// Asks nobody: for a copy of a machine's files.
    pub fn none() -> Self {
        Self { shared: None, patience: Duration::ZERO, later: false }
    }

    pub(super) fn with(asker: Box<dyn Asker>, patience: Duration, again: Duration) -> Self {
        let shared = Shared { asker, again, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Some(Arc::new(shared)), patience, later: false }
    }

    /// The same, for a look that must not cost anything: nobody is asked yet, and what is not known is still being read.
    pub fn later(&self) -> Self {
        Self { later: true, ..self.clone() }
    }

    /// Whether a disk is being asked for the first time.
    pub fn are_asking(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.lock().entries.values().any(|entry| entry.underway && entry.answer.is_none()))
    }

    /// What is known of these disks, in their order. Disks that are not among them are forgotten. `None` when nobody is
    /// asked.
    pub(super) fn look(&self, disks: &[Subject]) -> Option<Vec<Known>> {
        let shared = self.shared.as_ref()?;
        let mut state = shared.lock();
        if self.later {
            return Some(disks.iter().map(|disk| state.known(disk)).collect());
        }
        state.entries.retain(|(name, _), _| disks.iter().any(|disk| disk.name == *name));
        for kind in [Kind::Contents, Kind::Health] {
            disks.iter().for_each(|disk| state.want(disk, kind, shared.again));
        }
        shared.hire(&mut state);
        let begin = Instant::now();
        while disks.iter().any(|disk| !state.is_answered(disk)) {
            let Some(left) = self.patience.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) else { break };
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(disks.iter().map(|disk| state.known(disk)).collect())
    }
}

impl State {
    fn want(&mut self, disk: &Subject, kind: Kind, again: Duration) {
        let key = (disk.name.clone(), kind);
        match self.entries.get_mut(&key) {
            Some(entry) if entry.underway => return,
            Some(entry) if entry.is_about(disk, kind) && entry.asked.elapsed() < again => return,
            Some(entry) if entry.is_about(disk, kind) => entry.underway = true,
            _ => {
                let entry = Entry { subject: disk.clone(), answer: None, asked: Instant::now(), underway: true };
                self.entries.insert(key, entry);
            }
        }
        self.queue.push_back((disk.clone(), kind));
    }

    fn answer(&self, disk: &Subject, kind: Kind) -> Option<&Answer> {
        let entry = self.entries.get(&(disk.name.clone(), kind))?;
        entry.answer.as_ref().filter(|_| entry.is_about(disk, kind))
    }

    fn is_answered(&self, disk: &Subject) -> bool {
        [Kind::Contents, Kind::Health].into_iter().all(|kind| self.answer(disk, kind).is_some())
    }

    fn known(&self, disk: &Subject) -> Known {
        let contents = match self.answer(disk, Kind::Contents) {
            Some(Answer::Contents(contents)) => Some(contents.clone()),
            _ => None,
        };
        let health = match self.answer(disk, Kind::Health) {
            Some(Answer::Health(health)) => Some(health.as_ref().clone()),
            _ => None,
        };
        (contents, health)
    }
}

impl Entry {
    /// A new partition changes what is written on a disk, not how the disk does.
    fn is_about(&self, disk: &Subject, kind: Kind) -> bool {
        let same_contents = kind == Kind::Health || self.subject.partitions == disk.partitions;
        self.subject.identity == disk.identity && same_contents
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half-done in here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hire(self: &Arc<Self>, state: &mut State) {
        while state.workers < WORKERS.min(state.queue.len()) {
            let shared = Arc::clone(self);
            if std::thread::Builder::new().name("disk probe".into()).spawn(move || shared.work()).is_err() {
                return;
            }
            state.workers += 1;
        }
    }

    fn work(&self) {
        loop {
            let mut state = self.lock();
            let Some((subject, kind)) = state.queue.pop_front() else {
                state.workers -= 1;
                return;
            };
            drop(state);
            let answer = match kind {
                Kind::Contents => Answer::Contents(self.asker.contents(&subject)),
                Kind::Health => Answer::Health(Box::new(self.asker.health(&subject))),
            };
            // The disk may have gone meanwhile, and its entry with it.
            if let Some(entry) = self.lock().entries.get_mut(&(subject.name.clone(), kind)) {
                *entry = Entry { subject, answer: Some(answer), asked: Instant::now(), underway: false };
            }
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: Duration = Duration::from_secs(60);

    /// Counts, and answers contents only while the gate is open.
    #[derive(Clone, Default)]
    struct Fake {
        contents: Arc<AtomicUsize>,
        health: Arc<AtomicUsize>,
        gate: Arc<(Mutex<bool>, Condvar)>,
    }

    impl Fake {
        fn open(&self) {
            *self.gate.0.lock().unwrap() = true;
            self.gate.1.notify_all();
        }

        fn counts(&self) -> (usize, usize) {
            (self.contents.load(Ordering::SeqCst), self.health.load(Ordering::SeqCst))
        }
    }

    impl Asker for Fake {
        fn contents(&self, disk: &Subject) -> Result<Contents, String> {
            self.contents.fetch_add(1, Ordering::SeqCst);
            let open = self.gate.0.lock().unwrap();
            let _open = self.gate.1.wait_while(open, |open| !*open).unwrap();
            Err(format!("contents of {} {}", disk.name, disk.identity))
        }

        fn health(&self, disk: &Subject) -> Result<HealthSeen, String> {
            self.health.fetch_add(1, Ordering::SeqCst);
            Err(format!("health of {}", disk.name))
        }
    }

    fn disk(name: &str, identity: &str) -> Subject {
        Subject { name: name.into(), identity: identity.into(), partitions: Vec::new() }
    }

    #[test]
    fn a_slow_disk_holds_nobody_up_and_is_known_at_a_later_look() {
        let fake = Fake::default();
        let quick = Probes::with(Box::new(fake.clone()), Duration::ZERO, LONG);
        let disks = [disk("sda", "A")];
        assert_eq!(quick.later().look(&disks), Some(vec![(None, None)]));
        assert!(!quick.are_asking(), "it is to be asked later");
        assert_eq!(quick.look(&disks).unwrap()[0].0, None, "not answered at once");
        assert!(quick.are_asking());
        fake.open();
        let patient = Probes { patience: LONG, ..quick.clone() };
        let (contents, health) = patient.look(&disks).unwrap().remove(0);
        assert_eq!(contents, Some(Err("contents of sda A".into())));
        assert_eq!(health, Some(Err("health of sda".into())));
        assert!(!quick.are_asking());
        for _ in 0..10 {
            quick.look(&disks);
        }
        assert_eq!(fake.counts(), (1, 1), "an answer is kept");
    }

    #[test]
    fn another_disk_of_the_same_name_is_asked_and_a_new_partition_asks_only_for_contents() {
        let fake = Fake::default();
        fake.open();
        let probes = Probes::with(Box::new(fake.clone()), LONG, LONG);
        probes.look(&[disk("sda", "A")]);
        let (contents, _) = probes.look(&[disk("sda", "B")]).unwrap().remove(0);
        assert_eq!(contents, Some(Err("contents of sda B".into())));
        assert_eq!(fake.counts(), (2, 2));
        probes.look(&[Subject { partitions: vec![("sda1".into(), 1)], ..disk("sda", "B") }]);
        assert_eq!(fake.counts(), (3, 2));
        probes.look(&[]);
        probes.look(&[disk("sda", "B")]);
        assert_eq!(fake.counts(), (4, 3), "a disk that was away may have been changed elsewhere");
    }

    #[test]
    fn an_old_answer_stands_until_the_new_one_is_there() {
        let fake = Fake::default();
        fake.open();
        let probes = Probes::with(Box::new(fake.clone()), LONG, Duration::ZERO);
        let disks = [disk("sda", "A")];
        probes.look(&disks);
        *fake.gate.0.lock().unwrap() = false;
        let (contents, _) = probes.look(&disks).unwrap().remove(0);
        assert!(contents.is_some());
        let begin = Instant::now();
        while fake.counts().0 < 2 {
            assert!(begin.elapsed() < LONG, "it was not asked again");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(probes.look(&disks).unwrap()[0].0.is_some(), "while it is asked again");
        fake.open();
    }

    #[test]
    fn disks_are_asked_side_by_side_but_not_all_at_once() {
        let fake = Fake::default();
        let probes = Probes::with(Box::new(fake.clone()), Duration::ZERO, LONG);
        let disks: Vec<Subject> = (0..40).map(|number| disk(&format!("sd{number}"), "A")).collect();
        probes.look(&disks);
        let begin = Instant::now();
        while fake.counts().0 < WORKERS {
            assert!(begin.elapsed() < LONG, "{:?}", fake.counts());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(probes.shared.as_ref().unwrap().lock().workers, WORKERS);
        fake.open();
        let patient = Probes { patience: LONG, ..probes };
        for (disk, (contents, health)) in disks.iter().zip(patient.look(&disks).unwrap()) {
            assert_eq!(contents, Some(Err(format!("contents of {} A", disk.name))), "disks with one serial number are not mixed up");
            assert!(health.is_some());
        }
        assert_eq!(fake.counts(), (40, 40));
    }

    #[test]
    fn a_copy_of_a_machine_asks_nobody() {
        assert_eq!(Probes::none().look(&[disk("sda", "A")]), None);
    }
}
