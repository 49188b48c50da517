//! What the machines, agents and operators of a test were promised, and whether a service remembers it.

use crate::support::Operators;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard};
use tests_sim::Mac;
use tests_sim::dhcp::Reply;

/// Promises so far.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Promises>);

#[derive(Debug, Default, Clone)]
struct Promises {
    holders: HashMap<Ipv4Addr, Mac>,
    addresses: HashMap<Mac, Ipv4Addr>,
    acks: u64,
    /// By serial, the number of the last report that was answered 2xx, and how many were.
    reports: HashMap<String, (u64, u64)>,
    /// By number, the site's text.
    revisions: HashMap<u64, String>,
    broken: Vec<String>,
}

impl Ledger {
    fn locked(&self) -> MutexGuard<'_, Promises> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// An ACK was heard.
    pub fn acknowledged(&self, mac: Mac, ack: &Reply) {
        let address = ack.yiaddr;
        let mut promises = self.locked();
        promises.acks += 1;
        let holder = *promises.holders.entry(address).or_insert(mac);
        if holder != mac {
            promises.broken.push(format!("{address} was given to {mac}, and {holder} holds it"));
        }
        let before = *promises.addresses.entry(mac).or_insert(address);
        if before != address {
            promises.broken.push(format!("{mac} was given {address}, and it holds {before}"));
        }
    }

    /// A report was answered with success.
    pub fn reported(&self, serial: &str, number: u64) {
        let mut promises = self.locked();
        let (last, count) = promises.reports.entry(serial.to_owned()).or_default();
        (*last, *count) = (number, *count + 1);
    }

    /// How many threads the report of this number says that the machine has: every other report is of other hardware.
    pub fn threads(number: u64) -> u64 {
        2 + number / 2 % 3
    }

    /// A site was accepted.
    pub fn applied(&self, number: u64, text: &str) {
        let mut promises = self.locked();
        if promises.revisions.insert(number, text.to_owned()).is_some() {
            promises.broken.push(format!("two sites were accepted as revision {number}"));
        }
    }

    /// Something else that must not happen.
    pub fn broke(&self, what: String) {
        self.locked().broken.push(what);
    }

    /// How much was promised: ACKs, reports, revisions.
    pub fn counts(&self) -> (u64, u64, usize) {
        let promises = self.locked();
        (promises.acks, promises.reports.values().map(|(_, count)| count).sum(), promises.revisions.len())
    }

    /// Fails unless a service remembers all that was promised before it was asked.
    pub fn assert_remembered(&self, service: &Operators) {
        let promises = self.locked().clone();
        assert!(promises.broken.is_empty(), "{}", promises.broken.join("\n"));
        assert_leases(&promises, service);
        assert_reports(&promises, service);
        assert_revisions(&promises, service);
    }
}

fn assert_leases(promises: &Promises, service: &Operators) {
    let leases = service.list("/api/v1/leases");
    let text = |lease: &serde_json::Value, field: &str| lease[field].as_str().unwrap_or_default().to_owned();
    let held: HashMap<String, String> =
        leases.iter().filter(|lease| lease["state"] == "bound").map(|lease| (text(lease, "mac"), text(lease, "address"))).collect();
    let bound = leases.iter().filter(|lease| lease["state"] == "bound").count();
    assert_eq!(bound, held.len(), "a machine holds two addresses: {leases:?}");
    for (mac, address) in &promises.addresses {
        assert_eq!(held.get(&mac.to_string()), Some(&address.to_string()), "the lease of {mac} was acknowledged and forgotten");
    }
}

fn assert_reports(promises: &Promises, service: &Operators) {
    for (serial, (last, count)) in &promises.reports {
        let node = service.get(&format!("/api/v1/nodes/{serial}"));
        let number = node["facts"]["agent"]["uptime_seconds"].as_u64();
        assert!(number >= Some(*last), "report {last} of {serial} was answered with success, and {number:?} is the last that is known");
        let reports = node["reports"].as_u64().unwrap();
        assert!(reports >= *count, "{serial}: {count} reports were answered with success: {node}");
        assert_history(serial, reports, service);
    }
    let serials: Vec<_> = service.list("/api/v1/nodes").iter().map(|node| node["serial"].to_string()).collect();
    let mut once = serials.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), serials.len(), "one machine became two nodes: {serials:?}");
}

/// Every report has its place in the history, without gaps, and what is told of one is all of it and of no other.
fn assert_history(serial: &str, reports: u64, service: &Operators) {
    let kept = service.list(&format!("/api/v1/nodes/{serial}/history"));
    let numbers: Vec<_> = kept.iter().map(|report| report["number"].as_u64().unwrap()).collect();
    assert!(numbers.len() as u64 >= reports, "{serial} has reported {reports} times, and its history has {}", numbers.len());
    assert!(numbers.iter().rev().copied().eq(1..=numbers.len() as u64), "the history of {serial} has gaps: {numbers:?}");
    for number in [1, reports / 2 + 1, reports] {
        let then = service.get(&format!("/api/v1/nodes/{serial}?at={number}"));
        let (uptime, threads) = (&then["facts"]["agent"]["uptime_seconds"], &then["facts"]["cpu"]["threads"]);
        assert_eq!(then["report"], number, "{serial}");
        assert_eq!(uptime.as_u64().map(Ledger::threads), threads.as_u64(), "report {number} of {serial} is of two: {then}");
    }
}

fn assert_revisions(promises: &Promises, service: &Operators) {
    let Some((newest, text)) = promises.revisions.iter().max_by_key(|(number, _)| **number) else { return };
    let current = service.get("/api/v1/site");
    let number = current["number"].as_u64().unwrap();
    assert!(number >= *newest, "revision {newest} was accepted, and {number} is in force");
    if number == *newest {
        assert_eq!(current["files"]["site.toml"].as_str(), Some(text.as_str()), "revision {newest} is not what was accepted");
    }
    let listed = service.get("/api/v1/site/revisions");
    let numbers: Vec<_> = listed["items"].as_array().unwrap().iter().filter_map(|revision| revision["number"].as_u64()).collect();
    // The newest hundred are kept.
    for accepted in promises.revisions.keys().filter(|accepted| **accepted + 90 > number) {
        assert!(numbers.contains(accepted), "revision {accepted} was accepted and forgotten: {numbers:?}");
    }
}
