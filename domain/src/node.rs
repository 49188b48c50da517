//! A machine as the inventory knows it.

use crate::clock::Timestamp;
use crate::hardware::Summary;
use crate::identity::Identity;
use crate::ids::{BootId, NodeId};
use crate::order::Order;
use crate::ticket::KeyFingerprint;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its hardware is known; it waits in the ramdisk and nothing of it was changed.
    #[default]
    Discovered,
}

/// Something that a report could not find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where in the facts it is missing: `system.serial`.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What the inventory keeps of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The operator's name for it; one DNS label.
    pub name: Option<String>,
    /// Where it stands.
    pub stage: Stage,
    /// What it is recognised by.
    pub identity: Identity,
    /// Its hardware in short.
    pub summary: Summary,
    /// Its last report's facts, as they came, unknown fields included.
    pub facts: serde_json::Value,
    /// What that report lacks.
    pub gaps: Vec<Gap>,
    /// What that report says beside facts and gaps and nothing here knows: a newer agent's.
    pub other: serde_json::Map<String, serde_json::Value>,
    /// The first report.
    pub first_seen: Timestamp,
    /// The last report or question of its agent.
    pub last_seen: Timestamp,
    /// How many reports were accepted.
    pub reports: u64,
    /// The boot that reported last.
    pub boot: BootId,
    /// The key of the agent that reported last.
    pub key: KeyFingerprint,
    /// The address it reported from.
    pub address: Ipv4Addr,
    /// The last order it was given.
    pub order: Option<Order>,
    /// Counts changes, for conditional writes; starts at 1.
    pub version: u64,
}

/// What decisions about a boot need of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: NodeId,
    /// What a person calls it.
    pub label: String,
    /// What it is recognised by.
    pub identity: Identity,
    /// The last order it was given.
    pub order: Option<Order>,
}

/// A node without its hardware: small enough to keep one of each in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its id.
    pub id: NodeId,
    /// The operator's name for it.
    pub name: Option<String>,
    /// What it is recognised by.
    pub identity: Identity,
    /// The last order it was given.
    pub order: Option<Order>,
    /// The boot that reported last.
    pub boot: BootId,
    /// The last report or question of its agent.
    pub last_seen: Timestamp,
    /// Counts changes.
    pub version: u64,
}

/// A node as lists show it: without what its report says in full, which can be megabytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: NodeId,
    /// The operator's name for it.
    pub name: Option<String>,
    /// Where it stands.
    pub stage: Stage,
    /// What it is recognised by.
    pub identity: Identity,
    /// Its hardware in short.
    pub summary: Summary,
    /// The first report.
    pub first_seen: Timestamp,
    /// The last report or question of its agent.
    pub last_seen: Timestamp,
    /// How many reports were accepted.
    pub reports: u64,
    /// The boot that reported last.
    pub boot: BootId,
    /// The address it reported from.
    pub address: Ipv4Addr,
    /// The last order it was given.
    pub order: Option<Order>,
    /// Counts changes.
    pub version: u64,
}

/// A report that has passed the ticket's check, in the domain's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What the machine is recognised by.
    pub identity: Identity,
    /// Its hardware in short.
    pub summary: Summary,
    /// The facts as they came.
    pub facts: serde_json::Value,
    /// What the report lacks.
    pub gaps: Vec<Gap>,
    /// The report's unknown fields.
    pub other: serde_json::Map<String, serde_json::Value>,
    /// The boot it came from.
    pub boot: BootId,
    /// The agent's key.
    pub key: KeyFingerprint,
    /// The address it came from.
    pub address: Ipv4Addr,
}

impl Node {
    /// A machine that nobody has seen before.
    pub fn first_seen(id: NodeId, name: Option<String>, seen: Seen, now: Timestamp) -> Self {
        Self {
            id,
            name,
            stage: Stage::Discovered,
            identity: seen.identity,
            summary: seen.summary,
            facts: seen.facts,
            gaps: seen.gaps,
            other: seen.other,
            first_seen: now,
            last_seen: now,
            reports: 1,
            boot: seen.boot,
            key: seen.key,
            address: seen.address,
            order: None,
            version: 1,
        }
    }

    /// The machine after one more report. What identifies it is kept where the new report is silent, so that a
    /// firmware that lost its serial for one boot does not make the node forget it; network cards are as reported.
    /// A reboot that was ordered and has happened is over, whether or not its taking was heard.
    pub fn seen_again(&self, seen: Seen, now: Timestamp) -> Self {
        let another_boot = seen.boot != self.boot;
        let order =
            self.order.map(|order| Order { taken: order.taken.or((another_boot && order.kind.is_done_once()).then_some(now)), ..order });
        Self {
            identity: Identity {
                uuid: seen.identity.uuid.or(self.identity.uuid),
                serial: seen.identity.serial.or_else(|| self.identity.serial.clone()),
                macs: if seen.identity.macs.is_empty() { self.identity.macs.clone() } else { seen.identity.macs },
            },
            summary: seen.summary,
            facts: seen.facts,
            gaps: seen.gaps,
            other: seen.other,
            last_seen: now,
            reports: self.reports + 1,
            boot: seen.boot,
            key: seen.key,
            address: seen.address,
            order,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// The node without its hardware.
    pub fn brief(&self) -> Brief {
        Brief {
            id: self.id,
            name: self.name.clone(),
            identity: self.identity.clone(),
            order: self.order,
            boot: self.boot,
            last_seen: self.last_seen,
            version: self.version,
        }
    }

    /// The node as lists show it.
    pub fn listed(&self) -> Listed {
        Listed {
            id: self.id,
            name: self.name.clone(),
            stage: self.stage,
            identity: self.identity.clone(),
            summary: self.summary.clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            reports: self.reports,
            boot: self.boot,
            address: self.address,
            order: self.order,
            version: self.version,
        }
    }

    /// What a person can find on the machine: its name, or serial, or first MAC address, or id.
    pub fn label(&self) -> String {
        label(self.id, self.name.as_deref(), &self.identity)
    }
}

impl Brief {
    /// The part that decisions about its boots need.
    pub fn known(&self) -> Known {
        let label = label(self.id, self.name.as_deref(), &self.identity);
        Known { id: self.id, label, identity: self.identity.clone(), order: self.order }
    }
}

fn label(id: NodeId, name: Option<&str>, identity: &Identity) -> String {
    let first_mac = || identity.macs.first().map(ToString::to_string);
    name.or(identity.serial.as_deref()).map(str::to_owned).or_else(first_mac).unwrap_or_else(|| id.to_string())
}
