//! Patterns written to free memory and read back.
//!
//! ```text
//! each processor its share, in segments larger than any cache's part of it:
//!   two patterns at first, so that soon all was seen once
//! then, over all segments: each cell gets its own number ─► read back        finds address lines that stick
//! then, in each segment, for each pattern: write all ─► read back            finds bits that stick or leak
//! again, with other numbers, until the time is over
//! ```
//!
//! Only what is free can be tested: the kernel and this programme live in the rest. An address says where in the
//! physical address space an error is, not in which module: only the memory controller knows, and tells by EDAC on
//! machines with error correction.

use super::amounts::{bytes, scatter, time};
use super::edac::{self, Module};
use super::{Finding, Limits, Outcome};
use crate::tree::Tree;
use std::os::unix::fs::FileExt;

/// Words of 8 bytes: 32 MiB, more than a core's share of a cache.
const SEGMENT: usize = 4 << 20;
/// How many words are worked on between two looks at the clock.
const BLOCK: usize = 64 * 1024;
const WORD: u64 = 8;
const PAGE: u64 = 4096;
/// So much is left for everything else at least, and an eighth of what is free.
const LEAST_RESERVE: u64 = 96 << 20;
const MOST_EXAMPLES: usize = 16;

/// Memory as something that can be tested.
pub trait Cells {
    /// How many words.
    fn len(&self) -> usize;
    /// Writes one.
    fn write(&mut self, at: usize, value: u64);
    /// Reads one.
    fn read(&self, at: usize) -> u64;
    /// Where it is in the physical address space, if that can be known.
    fn address(&self, at: usize) -> Option<u64>;
    /// Keeps the compiler from answering reads from what it knows was written.
    fn settle(&mut self) {}
}

/// Errors that were found.
#[derive(Debug, Default, Clone)]
struct Found {
    errors: u64,
    verified: u64,
    /// The first ones: physical address, what was written, what was read.
    examples: Vec<(Option<u64>, u64, u64)>,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.errors += other.errors;
        self.verified += other.verified;
        self.examples.extend(other.examples);
        self.examples.truncate(MOST_EXAMPLES);
    }
}

/// The patterns by their number; the last scatters by `seed`.
fn pattern(number: usize, seed: u64, at: usize) -> u64 {
    let at = at as u64;
    match number {
        0 => 0,
        1 => u64::MAX,
        2 => 0x5555_5555_5555_5555,
        3 => 0xaaaa_aaaa_aaaa_aaaa,
        4 => 1 << (at % 64),
        5 => !(1 << (at % 64)),
        6 => at,
        _ => scatter(seed, at),
    }
}
const ALL: std::ops::Range<usize> = 0..8;
/// Numbers of cells, and scattered bits.
const FIRST: std::ops::Range<usize> = 6..8;

/// Some patterns over one segment.
fn check_segment(cells: &mut impl Cells, patterns: std::ops::Range<usize>, seed: u64, limits: &Limits, found: &mut Found) {
    for number in patterns {
        let value = |at| pattern(number, seed, at);
        if !fill(cells, limits, value) || !verify(cells, limits, value, found) {
            return;
        }
    }
}

/// Every cell of all segments gets its own number before the first is read: an address line that sticks makes two
/// cells one.
fn check_addresses(segments: &mut [impl Cells], seed: u64, limits: &Limits, found: &mut Found) {
    let own = |segment: usize| move |at: usize| ((segment as u64) << 40 | at as u64) ^ seed;
    let filled = segments.iter_mut().enumerate().all(|(number, cells)| fill(cells, limits, own(number)));
    if filled {
        let _ = segments.iter_mut().enumerate().all(|(number, cells)| verify(cells, limits, own(number), found));
    }
}

/// Whether it came to the end in time.
fn fill(cells: &mut impl Cells, limits: &Limits, value: impl Fn(usize) -> u64) -> bool {
    for begin in (0..cells.len()).step_by(BLOCK) {
        (begin..cells.len().min(begin + BLOCK)).for_each(|at| cells.write(at, value(at)));
        if limits.over() {
            return false;
        }
    }
    cells.settle();
    true
}

/// Whether it came to the end in time.
fn verify(cells: &mut impl Cells, limits: &Limits, value: impl Fn(usize) -> u64, found: &mut Found) -> bool {
    for begin in (0..cells.len()).step_by(BLOCK) {
        let end = cells.len().min(begin + BLOCK);
        for at in begin..end {
            let (expected, got) = (value(at), cells.read(at));
            if expected != got {
                found.errors += 1;
                if found.examples.len() < MOST_EXAMPLES {
                    found.examples.push((cells.address(at), expected, got));
                }
            }
        }
        found.verified += (end - begin) as u64 * WORD;
        if limits.over() {
            return false;
        }
    }
    true
}

/// One thread's share: segments are taken while there is memory, checked as they come, then together, then again.
fn check_share<C: Cells>(mut next: impl FnMut() -> Option<C>, seed: u64, limits: &Limits) -> (Found, u64) {
    let (mut found, mut segments) = (Found::default(), Vec::new());
    while !limits.over()
        && let Some(mut cells) = next()
    {
        check_segment(&mut cells, FIRST, seed, limits, &mut found);
        segments.push(cells);
    }
    let held = segments.iter().map(|cells| cells.len() as u64 * WORD).sum();
    let mut round = seed;
    while !limits.over() && !segments.is_empty() {
        check_addresses(&mut segments, round, limits, &mut found);
        round = scatter(round, 0);
        segments.iter_mut().for_each(|cells| check_segment(cells, ALL, round, limits, &mut found));
    }
    (found, held)
}

/// Memory of this process.
struct Ram(Vec<u64>);

impl Ram {
    /// `None` when the kernel gives no more.
    fn take(words: usize) -> Option<Self> {
        let mut cells = Vec::new();
        cells.try_reserve_exact(words).ok()?;
        cells.resize(words, 0);
        Some(Self(cells))
    }
}

impl Cells for Ram {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn write(&mut self, at: usize, value: u64) {
        self.0[at] = value;
    }
    fn read(&self, at: usize) -> u64 {
        self.0[at]
    }
    /// By `/proc/self/pagemap` (admin-guide/mm/pagemap.rst): 8 bytes a page, the frame's number in the lower 55 bits, whether
    /// it is in memory in the highest. Root only.
    fn address(&self, at: usize) -> Option<u64> {
        let address = std::ptr::from_ref(self.0.get(at)?) as u64;
        let mut entry = [0; 8];
        std::fs::File::open("/proc/self/pagemap").ok()?.read_exact_at(&mut entry, address / PAGE * 8).ok()?;
        let entry = u64::from_ne_bytes(entry);
        let frame = entry & ((1 << 55) - 1);
        (entry >> 63 == 1 && frame != 0).then(|| frame * PAGE + address % PAGE)
    }
    fn settle(&mut self) {
        std::hint::black_box(&mut self.0[..]);
    }
}

/// Tests the memory of this machine that is free.
pub fn test(tree: &Tree, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
    let Some(free) = available(tree) else {
        return tell(Finding {
            part: None,
            outcome: Outcome::Skipped,
            detail: "/proc/meminfo does not say how much memory is free".into(),
        });
    };
    let reserve = LEAST_RESERVE.max(free / 8);
    let before = edac::modules(tree);
    let threads = std::thread::available_parallelism().map_or(1, |number| number.get());
    let share = free.saturating_sub(reserve) / threads as u64 / WORD;
    let seed = seed();
    let shares: Vec<(Found, u64)> = std::thread::scope(|scope| {
        let work = |number: usize| {
            move || {
                let _ = rustix::process::nice(5);
                let mut left = share as usize;
                let next = || {
                    let words = left.min(SEGMENT);
                    // Others take memory meanwhile.
                    let enough = available(tree)? > reserve + words as u64 * WORD;
                    left -= words;
                    (words > 0 && enough).then(|| Ram::take(words)).flatten()
                };
                check_share(next, scatter(seed, number as u64), limits)
            }
        };
        let running: Vec<_> = (0..threads).map(|number| scope.spawn(work(number))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let (mut found, mut held) = (Found::default(), 0);
    for (part, bytes) in shares {
        found.add(part);
        held += bytes;
    }
    edac::grown(&before, &edac::modules(tree)).into_iter().for_each(|module| tell(worn(&module)));
    tell(summary(&found, held, free, limits));
}

fn worn(module: &Module) -> Finding {
    let detail =
        format!("its controller counted {} corrected and {} uncorrected errors during the test", module.corrected, module.uncorrected);
    Finding { part: Some(module.label.clone()), outcome: Outcome::Failed, detail }
}

fn summary(found: &Found, held: u64, free: u64, limits: &Limits) -> Finding {
    let done = format!(
        "wrote and read back {} in {} of {} free memory in {}",
        bytes(found.verified),
        bytes(held),
        bytes(free),
        time(limits.begin.elapsed())
    );
    if held == 0 || found.verified == 0 {
        let detail = format!("too little memory is free, or too little time: {done}");
        return Finding { part: None, outcome: Outcome::Skipped, detail };
    }
    let outcome = Outcome::of(found.errors > 0, limits);
    let detail = match found.examples.first() {
        None if outcome == Outcome::Skipped => format!("stopped before its time; {done}, no error until then"),
        None => format!("{done}, no error"),
        Some((_, expected, got)) => {
            let bits = found.examples.iter().fold(0, |bits, (_, expected, got)| bits | (expected ^ got));
            format!(
                "{done}, {} words came back wrong, first {got:#018x} instead of {expected:#018x}; bits {bits:#018x} differ",
                found.errors
            )
        }
    };
    Finding { part: range(found), outcome, detail }
}

/// The physical pages of the first errors: which module that is, the board's manual may say.
fn range(found: &Found) -> Option<String> {
    let addresses = || found.examples.iter().filter_map(|(address, ..)| *address);
    let (first, last) = (addresses().min()?, addresses().max()?);
    Some(format!("physical {:#x}-{:#x}", first / PAGE * PAGE, last / PAGE * PAGE + PAGE - 1))
}

fn available(tree: &Tree) -> Option<u64> {
    let text = tree.bytes("proc/meminfo", 16 * 1024).ok()?;
    let text = String::from_utf8_lossy(&text);
    let kib = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

/// Another one each time; it need not be secret.
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    /// Memory with a fault.
    struct Faulty {
        cells: Vec<u64>,
        stuck: Option<(usize, u64)>,
        line: Option<usize>,
    }

    impl Faulty {
        fn sound(words: usize) -> Self {
            Self { cells: vec![0; words], stuck: None, line: None }
        }
        fn real(&self, at: usize) -> usize {
            self.line.map_or(at, |line| at & !(1 << line))
        }
    }

    impl Cells for Faulty {
        fn len(&self) -> usize {
            self.cells.len()
        }
        fn write(&mut self, at: usize, value: u64) {
            let at = self.real(at);
            self.cells[at] = value;
        }
        fn read(&self, at: usize) -> u64 {
            let value = self.cells[self.real(at)];
            match self.stuck {
                Some((bad, bit)) if bad == at => value | bit,
                _ => value,
            }
        }
        fn address(&self, at: usize) -> Option<u64> {
            Some(0x1_0000_0000 + at as u64 * WORD)
        }
    }

    fn limits(time: Duration) -> Limits {
        Limits::new(time, Arc::default())
    }

    fn checked(cells: Faulty) -> Finding {
        let limits = limits(Duration::from_millis(60));
        let mut one = Some(cells);
        let (found, held) = check_share(|| one.take(), 7, &limits);
        summary(&found, held, 1 << 30, &limits)
    }

    #[test]
    fn sound_memory_passes() {
        let finding = checked(Faulty::sound(10_000));
        assert_eq!((finding.outcome, &finding.part), (Outcome::Passed, &None), "{finding:?}");
        assert!(finding.detail.contains("no error") && finding.detail.contains("1.0 GiB"), "{}", finding.detail);
    }

    #[test]
    fn a_bit_that_sticks_is_found_and_its_place_named() {
        let finding = checked(Faulty { stuck: Some((5000, 1 << 3)), ..Faulty::sound(10_000) });
        assert_eq!(finding.outcome, Outcome::Failed);
        // 5000 words of 8 bytes are 0x9c40 from the begin.
        assert_eq!(finding.part.as_deref(), Some("physical 0x100009000-0x100009fff"));
        assert!(finding.detail.contains("bits 0x0000000000000008 differ"), "{}", finding.detail);
    }

    #[test]
    fn an_address_line_that_sticks_is_found() {
        let finding = checked(Faulty { line: Some(9), ..Faulty::sound(10_000) });
        assert_eq!(finding.outcome, Outcome::Failed, "{finding:?}");
    }

    #[test]
    fn what_was_stopped_is_neither_passed_nor_failed() {
        let limits = Limits::new(Duration::from_secs(9), Arc::new(true.into()));
        let found = Found { verified: 8, ..Found::default() };
        assert_eq!(summary(&found, 8, 8, &limits).outcome, Outcome::Skipped);
        let failed = Found { errors: 1, examples: vec![(None, 1, 0)], ..found };
        assert_eq!(summary(&failed, 8, 8, &limits).outcome, Outcome::Failed, "a failure stays one");
        assert_eq!(summary(&failed, 8, 8, &limits).part, None, "an address that is not known is not invented");
        assert_eq!(summary(&Found::default(), 0, 8, &limits).outcome, Outcome::Skipped);
    }

    #[test]
    fn this_machines_own_memory_can_be_taken_and_checked() {
        let mut ram = Ram::take(100_000).unwrap();
        let mut found = Found::default();
        check_segment(&mut ram, ALL, 3, &limits(Duration::from_secs(60)), &mut found);
        assert_eq!((found.errors, found.verified), (0, 8 * 800_000));
        assert!(Ram::take(usize::MAX / 16).is_none(), "what there is not is not taken");
        if rustix::process::geteuid().is_root() {
            assert!(ram.address(99_999).is_none_or(|address| address >= PAGE));
        }
    }

    #[test]
    fn what_is_free_is_read_from_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        std::fs::write(folder.path().join("proc/meminfo"), "MemTotal: 900 kB\nMemAvailable:     512 kB\n").unwrap();
        assert_eq!(available(&Tree::copy(folder.path())), Some(512 * 1024));
        let told = std::sync::Mutex::new(vec![]);
        test(&Tree::copy(folder.path()), &limits(Duration::from_millis(10)), &|finding| told.lock().unwrap().push(finding));
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].outcome, Outcome::Skipped, "a machine that small keeps what it has: {told:?}");
    }
}
