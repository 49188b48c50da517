//! Looking at the hardware: from what the kernel shows to facts, and to gaps where it shows nothing.
//!
//! Reads only. Each part reads its own corner of the [`Tree`]; none of them knows what the facts are used for.

mod disks;
mod memory;
mod nics;
mod placeholder;
mod processor;
mod smbios;
mod system;

use crate::netlink::Link;
use crate::tree::Tree;
use inventory_wire::{Agent, Facts, Gap, Kernel};
use system::{RawTables, SystemTables};

/// What was found, and what was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The facts.
    pub facts: Facts,
    /// The gaps, in the order of the facts.
    pub gaps: Vec<Gap>,
}

impl Findings {
    /// Whether both describe the same hardware: all that passes by itself, such as the uptime, does not count.
    pub fn same_hardware(&self, other: &Self) -> bool {
        let settled = |findings: &Self| Facts { agent: None, ..findings.facts.clone() };
        self.gaps == other.gaps && settled(self) == settled(other)
    }
}

/// Looks at the machine. `links` is what the kernel's netlink says of the network interfaces; empty where it cannot be
/// asked.
pub fn look(tree: &Tree, links: &[Link]) -> Findings {
    let mut gaps = Gaps::default();
    let raw = RawTables::read(tree);
    let tables = SystemTables::parse(tree, &raw);
    let facts = Facts {
        system: tables.system(&mut gaps),
        board: tables.board(&mut gaps),
        chassis: tables.chassis(&mut gaps),
        firmware: Some(tables.firmware(&mut gaps)),
        cpu: Some(processor::look(tree, &mut gaps)),
        memory: Some(memory::look(tree, tables.smbios(), &mut gaps)),
        disks: disks::look(tree, &mut gaps),
        nics: nics::look(tree, links, &mut gaps),
        kernel: Some(kernel(tree, &mut gaps)),
        agent: Some(agent(tree, &mut gaps)),
        ..Facts::default()
    };
    Findings { facts, gaps: gaps.0 }
}

fn kernel(tree: &Tree, gaps: &mut Gaps) -> Kernel {
    let release = tree.text("proc/sys/kernel/osrelease");
    Kernel { release: gaps.need(release, "kernel.release", "/proc/sys/kernel/osrelease cannot be read"), ..Kernel::default() }
}

fn agent(tree: &Tree, gaps: &mut Gaps) -> Agent {
    let seconds = tree.text("proc/uptime").and_then(|text| text.split(['.', ' ']).next()?.parse().ok());
    Agent {
        version: Some(env!("CARGO_PKG_VERSION").into()),
        uptime_seconds: gaps.need(seconds, "agent.uptime_seconds", "/proc/uptime cannot be read"),
        ..Agent::default()
    }
}

/// Gaps as they are found.
#[derive(Debug, Default)]
struct Gaps(Vec<Gap>);

impl Gaps {
    fn note(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Gap { path: path.into(), reason: reason.into() });
    }

    /// Hands a fact on; its absence becomes a gap.
    fn need<T>(&mut self, fact: Option<T>, path: &str, reason: &str) -> Option<T> {
        if fact.is_none() {
            self.note(path, reason);
        }
        fact
    }

    /// The same where the reason came with the failure.
    fn known<T>(&mut self, fact: Result<T, String>, path: &str) -> Option<T> {
        fact.map_err(|reason| self.note(path, reason)).ok()
    }
}

/// The sentence of an error and of everything that caused it.
fn whole(error: &dyn std::error::Error) -> String {
    crate::sentences::chain(error)
}
