//! What is wanted against what is seen: each difference is a sentence that a technician can act on.
//!
//! Works on what the inventory keeps of each node in memory; no document is needed. What a report does not say is no
//! difference but something that cannot be checked, with the reason. Knows nothing of how the answer is shown.

mod approval;
mod cabling;
mod declared;
mod expected;
#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod hardware_tests;
mod health;
#[cfg(test)]
mod tests;

pub use approval::{LastChanges, may_be_approved};

use crate::document::Gap;
use crate::history::HardwareTest;
use crate::ids::NodeId;
use crate::node::Node;
use crate::place::Layout;
use crate::site::{DeclaredNode, last_number};
use crate::timeline::printable;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One difference between what is wanted and what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The node; none for one that was declared and never reported.
    pub node: Option<NodeId>,
    /// What a person calls it: its name, or serial, or MAC address.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// Where in the facts, dotted: `disks.sda`; none where it is about no fact.
    pub path: Option<String>,
    /// The whole of it: who, what is seen, what is wanted, what to do.
    pub sentence: String,
}

/// What a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was declared and never reported.
    Missing,
    /// It reports and nobody declared it.
    Undeclared,
    /// It is another machine than declared, or has another name, UUID, card or management controller.
    Identity,
    /// It stands elsewhere than declared.
    Place,
    /// It has other hardware or firmware than was ordered.
    Hardware,
    /// A test that its profile demands did not pass.
    Test,
    /// A part of it fails or wears out.
    Health,
    /// A cable is plugged in elsewhere than it should be.
    Cabling,
}

/// How much a difference matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Not as wanted.
    Wrong,
    /// Worth a look.
    Notice,
    /// Cannot be told.
    Unchecked,
}

/// A node as it is seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The node.
    pub node: &'a Node,
    /// The tests of its hardware, newest first; none where nobody looked, and then none is asked for.
    pub tests: Option<&'a [HardwareTest]>,
    /// What its newest report could not find out, for the reasons; may be left empty.
    pub gaps: &'a [Gap],
}

/// All nodes, arranged for comparing each of them with the site and with each other. Making it takes time that grows
/// with the nodes; asking about one of them takes as long with many nodes as with few.
pub struct Hall<'a> {
    layout: &'a Layout,
    seen: &'a [Seen<'a>],
    /// The declaration of each node.
    declared: Vec<Option<usize>>,
    /// The nodes that answer to each declaration.
    answering: HashMap<usize, Vec<usize>>,
    /// Which interfaces report a port, by switch and the port's last number.
    plugged: HashMap<(usize, Option<u64>), Vec<(usize, usize)>>,
    /// Which nodes stand in a unit as their cables tell.
    standing: HashMap<(String, u32), Vec<usize>>,
    by_id: HashMap<NodeId, usize>,
}

/// Every difference of every node, in the order of the nodes, and then the declared nodes that never reported.
pub fn verify(layout: &Layout, seen: &[Seen<'_>]) -> Vec<Difference> {
    let hall = Hall::new(layout, seen);
    (0..seen.len()).flat_map(|i| hall.differences(i)).chain(hall.missing()).collect()
}

impl<'a> Hall<'a> {
    /// Arranges all nodes of the inventory; some of them are not enough, because it is told whose cable is where.
    pub fn new(layout: &'a Layout, seen: &'a [Seen<'a>]) -> Self {
        let mut hall = Self {
            layout,
            seen,
            declared: seen.iter().map(|seen| layout.declared_at(&seen.node.identity)).collect(),
            answering: HashMap::new(),
            plugged: HashMap::new(),
            standing: HashMap::new(),
            by_id: HashMap::new(),
        };
        for (i, seen) in seen.iter().enumerate() {
            hall.by_id.insert(seen.node.id, i);
            if let Some(declared) = hall.declared[i] {
                hall.answering.entry(declared).or_default().push(i);
            }
            for (n, nic) in seen.node.summary.each_nic.iter().enumerate() {
                if let (Some(switch), Some(port)) = (nic.switch.as_deref().and_then(|told| layout.switch(told)), &nic.port) {
                    hall.plugged.entry((switch, last_number(port))).or_default().push((i, n));
                }
            }
            if let Some(unit) = layout.told(&seen.node.summary.each_nic).place {
                hall.standing.entry(unit).or_default().push(i);
            }
        }
        hall
    }

    /// The differences of one node; none for one that is not among them.
    pub fn of(&self, node: NodeId) -> Vec<Difference> {
        self.by_id.get(&node).map(|i| self.differences(*i)).unwrap_or_default()
    }

    fn differences(&self, i: usize) -> Vec<Difference> {
        let mut told = Telling { node: Some(self.seen[i].node.id), name: self.label(i), found: vec![] };
        self.check_declaration(i, &mut told);
        if let Some(declared) = self.declaration(i) {
            self.check_expectations(i, declared, &mut told);
            self.check_tests(i, declared, &mut told);
        }
        self.check_cables(i, &mut told);
        health::check(&self.seen[i].node.summary, &mut told);
        told.found
    }

    fn declaration(&self, i: usize) -> Option<&DeclaredNode> {
        self.declared[i].map(|declared| &self.layout.site().nodes[declared])
    }

    /// What a person calls a node.
    fn label(&self, i: usize) -> String {
        let node = self.seen[i].node;
        let declared = self.declaration(i).filter(|_| node.name.is_none()).map(|declared| declared.name.clone());
        text(&declared.unwrap_or_else(|| node.label()))
    }
}

/// What is told of one node so far.
struct Telling {
    node: Option<NodeId>,
    name: String,
    found: Vec<Difference>,
}

impl Telling {
    fn add(&mut self, kind: Kind, severity: Severity, path: impl Into<String>, rest: impl std::fmt::Display) {
        let path = Some(path.into()).filter(|path: &String| !path.is_empty());
        let sentence = format!("{}: {rest}", self.name);
        self.found.push(Difference { node: self.node, name: self.name.clone(), kind, severity, path, sentence });
    }
}

/// Text that came from a node, fit for a sentence.
fn text(text: &str) -> String {
    printable(text, 60)
}

/// `1 disk`, `2 disks`.
fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
