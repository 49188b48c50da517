//! Fetching from the service over the port that leads to it, and the error counters of every port with a link.
//!
//! A port without an address carries nothing of ours, only what the switch sends to all; its counters are watched.
//! Packets that were dropped are told and are no failure: the kernel drops what nobody here listens to.

use super::amounts::{bytes, rate, time};
use super::{Finding, Limits, Outcome};
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// One request asks for so much.
const PIECE: u64 = 16 << 20;
/// Each of these means that a packet was damaged or a cable or card is not well.
const ERRORS: [&str; 9] = [
    "rx_errors",
    "tx_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_length_errors",
    "rx_fifo_errors",
    "tx_carrier_errors",
    "tx_aborted_errors",
    "tx_fifo_errors",
];
const DROPS: [&str; 3] = ["rx_dropped", "tx_dropped", "rx_missed_errors"];
/// A service that fails so often in a row does not answer.
const MOST_FAILURES: u32 = 5;

/// The way to the service.
pub trait Line: Sync {
    /// Fetches so many bytes, or as many as there is time for; how many came.
    fn fetch(&self, amount: u64, limits: &Limits) -> Result<u64, String>;
    /// Whether the service can be fetched from at all.
    fn offers(&self) -> bool;
    /// Where it is.
    fn address(&self) -> Option<Ipv4Addr>;
}

/// What fetching has shown.
#[derive(Debug, Default)]
struct Fetched {
    amount: u64,
    took: Duration,
    failures: u32,
    last: Option<String>,
}

/// Tests all ports that are hardware.
pub fn test(tree: &Tree, line: &dyn Line, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
    let ports: Vec<String> =
        tree.names("sys/class/net").into_iter().filter(|name| tree.exists(&format!("sys/class/net/{name}/device"))).collect();
    let way = line.address().and_then(|address| way_to(tree, address));
    let before: Vec<_> = ports.iter().map(|port| Counters::read(tree, port)).collect();
    let fetched = fetch(line, limits);
    for (port, before) in ports.iter().zip(&before) {
        let carries = (way.as_deref() == Some(port)).then_some(&fetched);
        tell(judge(port, before, &Counters::read(tree, port), carries, line.offers(), limits));
    }
    if !ports.iter().any(|port| way.as_deref() == Some(port)) {
        let (outcome, detail) = told(&fetched, line.offers(), limits);
        tell(Finding { part: None, outcome, detail: format!("{detail}; over which port is not known") });
    }
}

fn fetch(line: &dyn Line, limits: &Limits) -> Fetched {
    let mut fetched = Fetched::default();
    let mut in_a_row = 0;
    while !limits.over() {
        let begin = Instant::now();
        match line.fetch(PIECE, limits) {
            Ok(amount) => {
                fetched.amount += amount;
                fetched.took += begin.elapsed();
                in_a_row = 0;
            }
            // Its last request may be cut off by the end of the time.
            Err(_) if limits.over() && (limits.stopped() || fetched.amount > 0 || fetched.failures > 0) => {}
            Err(why) => {
                fetched.failures += 1;
                fetched.last = Some(why);
                in_a_row += 1;
                if !line.offers() || in_a_row >= MOST_FAILURES {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200).min(limits.left()));
            }
        }
    }
    // The counters of ports that carry nothing want their time, too.
    while !limits.over() {
        std::thread::sleep(Duration::from_millis(100).min(limits.left()));
    }
    fetched
}

fn told(fetched: &Fetched, offered: bool, limits: &Limits) -> (Outcome, String) {
    let done = format!("fetched {} at {}", bytes(fetched.amount), rate(fetched.amount, fetched.took));
    match &fetched.last {
        None if fetched.amount == 0 => (Outcome::Skipped, "there was no time to fetch anything".into()),
        None => (Outcome::of(false, limits), done),
        // A service that has nothing to fetch says nothing about the port; one that has should have been reached.
        Some(why) if fetched.amount == 0 && !offered => (Outcome::Skipped, format!("nothing could be fetched from the service: {why}")),
        Some(why) if fetched.amount == 0 => (Outcome::Failed, format!("nothing could be fetched from the service: {why}")),
        Some(why) => (Outcome::Failed, format!("{done}, broken off {} times: {why}", fetched.failures)),
    }
}

/// What the kernel counts for one port.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counters {
    link: bool,
    counts: BTreeMap<&'static str, u64>,
    changes: Option<u64>,
}

impl Counters {
    fn read(tree: &Tree, port: &str) -> Self {
        let at = |file: &str| format!("sys/class/net/{port}/{file}");
        let counts = ERRORS.iter().chain(&DROPS).filter_map(|name| Some((*name, tree.number(&at(&format!("statistics/{name}")))?)));
        Self { link: tree.flag(&at("carrier")) == Some(true), counts: counts.collect(), changes: tree.number(&at("carrier_changes")) }
    }

    fn grown(&self, after: &Self, names: &[&'static str]) -> Vec<String> {
        let more = |name: &&'static str| Some((*name, after.counts.get(name)?.saturating_sub(*self.counts.get(name)?)));
        names.iter().filter_map(more).filter(|(_, more)| *more > 0).map(|(name, more)| format!("{name} grew by {more}")).collect()
    }
}

fn judge(port: &str, before: &Counters, after: &Counters, fetched: Option<&Fetched>, offered: bool, limits: &Limits) -> Finding {
    let finding = |outcome, detail| Finding { part: Some(port.to_owned()), outcome, detail };
    if !before.link && !after.link {
        return finding(Outcome::Skipped, "there is no link".into());
    }
    let (mut outcome, mut detail) = match fetched {
        Some(fetched) => told(fetched, offered, limits),
        None => (Outcome::of(false, limits), "it has no address, so only its error counters were watched".into()),
    };
    let mut wrong = before.grown(after, &ERRORS);
    let changes = after.changes.zip(before.changes).map_or(0, |(after, before)| after.saturating_sub(before));
    if changes > 0 || before.link != after.link {
        wrong.insert(0, format!("the link came or went {changes} times"));
    }
    detail = format!("{detail}, {}", time(limits.begin.elapsed()));
    if wrong.is_empty() {
        detail = format!("{detail}, no error counted");
    } else {
        outcome = Outcome::Failed;
        detail = format!("{}; {detail}", wrong.join(", "));
    }
    let drops = before.grown(after, &DROPS);
    if !drops.is_empty() {
        detail = format!("{detail}; {}", drops.join(", "));
    }
    finding(outcome, detail)
}

/// The interface of the most specific route; `/proc/net/route` has addresses in the machine's own byte order.
fn way_to(tree: &Tree, address: Ipv4Addr) -> Option<String> {
    let table = tree.bytes("proc/net/route", 256 * 1024).ok()?;
    let table = String::from_utf8_lossy(&table);
    let target = u32::from_ne_bytes(address.octets());
    let routes = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
        let (network, mask) = (number(1)?, number(7)?);
        (target & mask == network).then(|| (mask.count_ones(), (*words.first()?).to_owned()).into())?
    });
    routes.max_by_key(|(bits, _): &(u32, String)| *bits).map(|(_, name)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    struct Fake {
        answers: Mutex<Vec<Result<u64, String>>>,
        offers: bool,
        then: Box<dyn Fn() + Sync>,
    }

    impl Line for Fake {
        fn fetch(&self, _: u64, limits: &Limits) -> Result<u64, String> {
            (self.then)();
            std::thread::sleep(Duration::from_millis(1).min(limits.left()));
            self.answers.lock().unwrap().pop().unwrap_or(Ok(1 << 20))
        }
        fn offers(&self) -> bool {
            self.offers
        }
        fn address(&self) -> Option<Ipv4Addr> {
            Some(Ipv4Addr::new(10, 20, 0, 1))
        }
    }

    fn port(root: &Path, name: &str, carrier: &str) {
        let at = root.join("sys/class/net").join(name);
        std::fs::create_dir_all(at.join("statistics")).unwrap();
        std::fs::create_dir_all(at.join("device")).unwrap();
        std::fs::write(at.join("carrier"), carrier).unwrap();
        std::fs::write(at.join("carrier_changes"), "3\n").unwrap();
        ERRORS.iter().chain(&DROPS).for_each(|file| std::fs::write(at.join("statistics").join(file), "7\n").unwrap());
    }

    fn machine() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        ["eth0", "eth1"].iter().for_each(|name| port(folder.path(), name, "1\n"));
        port(folder.path(), "eth2", "0\n");
        std::fs::create_dir_all(folder.path().join("sys/class/net/lo")).unwrap();
        std::fs::create_dir_all(folder.path().join("proc/net")).unwrap();
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
            eth1 00000000 0100140A 0003 0 0 0 00000000 0 0 0\neth0 0000140A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        std::fs::write(folder.path().join("proc/net/route"), routes).unwrap();
        folder
    }

    fn tested(folder: &Path, line: &Fake) -> Vec<Finding> {
        let told = Mutex::new(vec![]);
        let limits = Limits::new(Duration::from_millis(40), Arc::default());
        test(&Tree::copy(folder), line, &limits, &|finding| told.lock().unwrap().push(finding));
        told.into_inner().unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn each_port_gets_its_result() {
        let machine = machine();
        let line = Fake { answers: Mutex::default(), offers: true, then: Box::new(|| {}) };
        let found = tested(machine.path(), &line);
        let outcomes: Vec<_> = found.iter().map(|one| (one.part.as_deref(), one.outcome)).collect();
        let passed = Outcome::Passed;
        assert_eq!(outcomes, [(Some("eth0"), passed), (Some("eth1"), passed), (Some("eth2"), Outcome::Skipped)], "{found:?}");
        assert!(found[0].detail.starts_with("fetched ") && found[0].detail.ends_with("no error counted"), "{}", found[0].detail);
        assert!(found[1].detail.contains("no address"), "{}", found[1].detail);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_port_whose_errors_grow_fails_and_its_counters_are_named() {
        let machine = machine();
        let statistics = machine.path().join("sys/class/net/eth1");
        let then = Box::new(move || {
            std::fs::write(statistics.join("statistics/rx_crc_errors"), "19\n").unwrap();
            std::fs::write(statistics.join("statistics/rx_dropped"), "8\n").unwrap();
            std::fs::write(statistics.join("carrier_changes"), "5\n").unwrap();
        });
        let found = tested(machine.path(), &Fake { answers: Mutex::default(), offers: true, then });
        assert_eq!(found[1].outcome, Outcome::Failed);
        assert!(found[1].detail.starts_with("the link came or went 2 times, rx_crc_errors grew by 12; "), "{}", found[1].detail);
        assert!(found[1].detail.ends_with("rx_dropped grew by 1"), "{}", found[1].detail);
        assert_eq!(found[0].outcome, Outcome::Passed);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_service_that_breaks_off_fails_the_port_and_one_that_has_nothing_does_not() {
        let machine = machine();
        let broken = Fake { answers: Mutex::new(vec![Err("reset".into()), Ok(9)]), offers: true, then: Box::new(|| {}) };
        let found = tested(machine.path(), &broken);
        assert_eq!(found[0].outcome, Outcome::Failed);
        assert!(found[0].detail.contains("broken off 1 times: reset"), "{}", found[0].detail);
        let nothing = Fake { answers: Mutex::new(vec![Err("no such page".into())]), offers: false, then: Box::new(|| {}) };
        let found = tested(machine.path(), &nothing);
        assert_eq!(found[0].outcome, Outcome::Skipped);
        assert!(found[0].detail.contains("nothing could be fetched from the service: no such page"), "{}", found[0].detail);
        let away = Fake { answers: Mutex::new(vec![Err("no route".into()); 999]), offers: true, then: Box::new(|| {}) };
        let found = tested(machine.path(), &away);
        assert_eq!(found[0].outcome, Outcome::Failed);
        assert!(found[0].detail.contains("nothing could be fetched from the service: no route"), "{}", found[0].detail);
    }
}
