//! Every logical processor computes what is known, over and over, and is compared with it.
//!
//! Machine checks that the kernel counts meanwhile count as failures, too; a processor that gets too hot and slows down
//! is named, but is no failure.

use super::kernels::{KERNELS, Kernel};
use super::{Finding, Limits, Outcome, amounts};
use crate::tree::Tree;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;

/// What one processor did.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Done {
    cpu: usize,
    result: Result<u64, Wrong>,
}

/// Why it is not sound, or was not tested.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrong {
    Computed { kernel: &'static str, expected: u64, got: u64, rounds: u64 },
    NotPinned(String),
}

/// Tests all processors that this process may use.
pub fn test(tree: &Tree, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
    let before = Counters::read(tree);
    let done = compute_on(&usable(), limits, &|_, kernel| kernel.compute());
    let after = Counters::read(tree);
    findings(&done, &before, &after, limits).into_iter().for_each(tell);
}

fn usable() -> Vec<usize> {
    let all = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect()
}

fn compute_on(cpus: &[usize], limits: &Limits, compute: &(dyn Fn(usize, Kernel) -> u64 + Sync)) -> Vec<Done> {
    std::thread::scope(|scope| {
        let spawned: Vec<_> = cpus.iter().map(|cpu| (*cpu, scope.spawn(|| one(*cpu, limits, compute)))).collect();
        let ended = spawned.into_iter().map(|(cpu, thread)| {
            let died = |_| Err(Wrong::Computed { kernel: "itself", expected: 0, got: 0, rounds: 0 });
            Done { cpu, result: thread.join().unwrap_or_else(died) }
        });
        ended.collect()
    })
}

/// Rounds until the time is over, or the first wrong result.
fn one(cpu: usize, limits: &Limits, compute: &(dyn Fn(usize, Kernel) -> u64 + Sync)) -> Result<u64, Wrong> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(|error| Wrong::NotPinned(std::io::Error::from(error).to_string()))?;
    let _ = rustix::process::nice(5);
    let mut rounds = 0;
    loop {
        for kernel in KERNELS {
            let (expected, got) = (kernel.known(), compute(cpu, kernel));
            if expected != got {
                return Err(Wrong::Computed { kernel: kernel.name(), expected, got, rounds });
            }
        }
        rounds += 1;
        if limits.over() {
            return Ok(rounds);
        }
    }
}

fn findings(done: &[Done], before: &Counters, after: &Counters, limits: &Limits) -> Vec<Finding> {
    let mut found = Vec::new();
    let cpu_name = |cpu: &usize| Some(format!("cpu{cpu}"));
    for one in done {
        let (outcome, detail) = match &one.result {
            Ok(_) => continue,
            Err(Wrong::NotPinned(why)) => (Outcome::Skipped, format!("could not be tested alone: {why}")),
            Err(Wrong::Computed { kernel, expected, got, rounds }) => {
                (Outcome::Failed, format!("computed {kernel} wrong after {rounds} good rounds: {got:#018x} instead of {expected:#018x}"))
            }
        };
        found.push(Finding { part: cpu_name(&one.cpu), outcome, detail });
    }
    for (cpu, more) in grown(&before.machine_checks, &after.machine_checks) {
        let detail = format!("{more} machine check exceptions during the test: the processor found errors in itself or in its memory");
        found.push(Finding { part: cpu_name(&cpu), outcome: Outcome::Failed, detail });
    }
    let good: Vec<u64> = done.iter().filter_map(|one| one.result.as_ref().ok().copied()).collect();
    if let Some(least) = good.iter().min() {
        let took = amounts::time(limits.begin.elapsed());
        let mut detail = format!("{} logical processors computed for {took}, {least} rounds or more, no wrong result", good.len());
        let hot = grown(&before.throttled, &after.throttled);
        if let Some((cpu, more)) = hot.first_key_value() {
            let others = if hot.len() > 1 { format!(" and {} others", hot.len() - 1) } else { String::new() };
            detail = format!("{detail}; cpu{cpu}{others} got too hot and slowed down ({more} times)");
        }
        let corrected: u64 = grown(&before.thresholds, &after.thresholds).values().sum();
        if corrected > 0 {
            detail = format!("{detail}; {corrected} times so many errors were corrected that the processor said so");
        }
        found.push(Finding { part: None, outcome: Outcome::of(false, limits), detail });
    }
    if done.is_empty() {
        found.push(Finding { part: None, outcome: Outcome::Skipped, detail: "the kernel does not say which processors there are".into() });
    }
    found
}

type PerCpu = BTreeMap<usize, u64>;

/// What the kernel counts for each processor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counters {
    machine_checks: PerCpu,
    thresholds: PerCpu,
    throttled: PerCpu,
}

impl Counters {
    fn read(tree: &Tree) -> Self {
        let interrupts = tree.bytes("proc/interrupts", 4 * 1024 * 1024).unwrap_or_default();
        let interrupts = String::from_utf8_lossy(&interrupts);
        let throttled = usable().into_iter().filter_map(|cpu| {
            let at = format!("sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
            let counts = ["core_throttle_count", "package_throttle_count"].map(|file| tree.number(&format!("{at}/{file}")));
            Some((cpu, counts.into_iter().flatten().reduce(|a, b| a.max(b))?))
        });
        Self { machine_checks: row(&interrupts, "MCE:"), thresholds: row(&interrupts, "THR:"), throttled: throttled.collect() }
    }
}

/// A row of `/proc/interrupts`; its columns are the processors of the first line.
fn row(interrupts: &str, name: &str) -> PerCpu {
    let cpus: Vec<usize> = interrupts
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("CPU")?.parse().ok())
        .collect();
    let Some(counts) = interrupts.lines().find_map(|line| line.trim_start().strip_prefix(name)) else { return PerCpu::new() };
    cpus.into_iter().zip(counts.split_whitespace().map_while(|word| word.parse().ok())).collect()
}

fn grown(before: &PerCpu, after: &PerCpu) -> PerCpu {
    let more = after.iter().map(|(cpu, now)| (*cpu, now.saturating_sub(before.get(cpu).copied().unwrap_or(*now))));
    more.filter(|(_, more)| *more > 0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits::new(Duration::from_millis(30), Arc::default())
    }

    fn part_and_outcome(found: &[Finding]) -> Vec<(Option<&str>, Outcome)> {
        found.iter().map(|finding| (finding.part.as_deref(), finding.outcome)).collect()
    }

    #[test]
    fn the_processors_of_this_machine_compute_and_pass() {
        let told = std::sync::Mutex::new(vec![]);
        test(&Tree::live(), &limits(), &|finding| told.lock().unwrap().push(finding));
        let told = told.into_inner().unwrap();
        assert_eq!(part_and_outcome(&told), [(None, Outcome::Passed)], "{told:?}");
        assert!(told[0].detail.starts_with(&format!("{} logical processors", usable().len())));
    }

    #[test]
    fn the_processor_that_computes_wrong_is_named() {
        let cpus = usable();
        let bad = *cpus.last().unwrap();
        let limits = limits();
        let faulty = |cpu: usize, kernel: Kernel| {
            let flipped = if cpu == bad && kernel == Kernel::Float { 1 << 51 } else { 0 };
            kernel.known() ^ flipped
        };
        let found = findings(&compute_on(&cpus, &limits, &faulty), &Counters::default(), &Counters::default(), &limits);
        assert_eq!(part_and_outcome(&found)[0], (Some(format!("cpu{bad}").as_str()), Outcome::Failed));
        assert!(found[0].detail.starts_with("computed floating point wrong after 0 good rounds"), "{}", found[0].detail);
        assert_eq!(found.len(), if cpus.len() > 1 { 2 } else { 1 }, "the others passed: {found:?}");
        // It ran where it says: one processor that is not there cannot be used.
        let none = compute_on(&[CpuSet::MAX_CPU - 1], &limits, &faulty);
        assert!(matches!(none[0].result, Err(Wrong::NotPinned(_))), "{none:?}");
    }

    #[test]
    fn machine_checks_fail_a_processor_and_heat_is_told() {
        let table = |mce: &str, thr: &str| {
            format!("           CPU0       CPU1\n  0:  5  5  IO-APIC\nMCE:  {mce}   Machine check exceptions\nTHR: {thr} Threshold\n")
        };
        let counters = |mce, thr, hot: u64| Counters {
            machine_checks: row(&table(mce, thr), "MCE:"),
            thresholds: row(&table(mce, thr), "THR:"),
            throttled: PerCpu::from([(1, hot)]),
        };
        let limits = limits();
        let done = [Done { cpu: 0, result: Ok(9) }, Done { cpu: 1, result: Ok(8) }];
        let found = findings(&done, &counters("0 1", "0 0", 3), &counters("0 3", "4 0", 8), &limits);
        assert_eq!(part_and_outcome(&found), [(Some("cpu1"), Outcome::Failed), (None, Outcome::Passed)]);
        assert!(found[0].detail.starts_with("2 machine check exceptions"));
        assert!(found[1].detail.contains("cpu1 got too hot and slowed down (5 times)"), "{}", found[1].detail);
        assert!(found[1].detail.contains("8 rounds or more"), "{}", found[1].detail);
        assert_eq!(row("nonsense", "MCE:"), PerCpu::new());
    }
}
