//! A machine as the inventory knows it.

use crate::clock::Timestamp;
use crate::document::Digest;
use crate::hardware::Summary;
use crate::identity::Identity;
use crate::ids::{BootId, NodeId};
use crate::order::Order;
use crate::ticket::KeyFingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its hardware is known; it waits in the ramdisk and nothing of it was changed.
    #[default]
    Discovered,
}

/// What an operator wrote on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// Who it belongs to.
    pub owner: Option<String>,
    /// Words to find it by.
    pub tags: BTreeSet<String>,
    /// Anything else.
    pub note: Option<String>,
}

/// What the inventory keeps of one machine, without its document: small enough to keep one of each in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What an operator wrote on it.
    pub labels: Labels,
    /// The digest of its newest document, settled; none where an earlier version of the store kept none.
    pub digest: Option<Digest>,
    /// The first report.
    pub first_seen: Timestamp,
    /// The last report or question of its agent.
    pub last_seen: Timestamp,
    /// How many reports were accepted; the number of the newest.
    pub reports: u64,
    /// The boot that reported last; none where all that is known was imported.
    pub boot: Option<BootId>,
    /// The key of the agent that reported last in a boot.
    pub key: Option<KeyFingerprint>,
    /// The address it reported from.
    pub address: Option<Ipv4Addr>,
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

/// How a report came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the agent of a boot, whose ticket was checked.
    Boot {
        /// Which.
        boot: BootId,
        /// The agent's key.
        key: KeyFingerprint,
        /// The address it came from.
        address: Ipv4Addr,
    },
    /// An operator imported it.
    Imported,
}

/// A report that may be taken in, in the domain's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the machine is recognised by.
    pub identity: Identity,
    /// Its hardware in short.
    pub summary: Summary,
    /// The digest of its document, settled.
    pub digest: Digest,
    /// How it came.
    pub origin: Origin,
}

impl Node {
    /// A machine that nobody has seen before.
    pub fn first_seen(id: NodeId, name: Option<String>, seen: Seen, now: Timestamp) -> Self {
        let nobody = Self {
            id,
            name,
            stage: Stage::Discovered,
            identity: Identity::default(),
            summary: Summary::default(),
            labels: Labels::default(),
            digest: None,
            first_seen: now,
            last_seen: now,
            reports: 0,
            boot: None,
            key: None,
            address: None,
            order: None,
            version: 0,
        };
        nobody.seen_again(seen, now)
    }

    /// The machine after one more report. What identifies it is kept where the new report is silent, so that a
    /// firmware that lost its serial for one boot does not make the node forget it; network cards are as reported.
    /// A reboot that was ordered and has happened is over, whether or not its taking was heard.
    pub fn seen_again(&self, seen: Seen, now: Timestamp) -> Self {
        let (boot, key, address) = match seen.origin {
            Origin::Boot { boot, key, address } => (Some(boot), Some(key), Some(address)),
            Origin::Imported => (self.boot, self.key.clone(), self.address),
        };
        let another_boot = boot != self.boot;
        let order =
            self.order.map(|order| Order { taken: order.taken.or((another_boot && order.kind.is_done_once()).then_some(now)), ..order });
        Self {
            identity: self.identity.refreshed(seen.identity),
            summary: seen.summary,
            digest: Some(seen.digest),
            last_seen: now,
            reports: self.reports + 1,
            boot,
            key,
            address,
            order,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// What a person can find on the machine: its name, or serial, or first MAC address, or id.
    pub fn label(&self) -> String {
        let first_mac = || self.identity.macs.first().map(ToString::to_string);
        let named = self.name.as_deref().or(self.identity.serial.as_deref()).map(str::to_owned);
        named.or_else(first_mac).unwrap_or_else(|| self.id.to_string())
    }

    /// The part that decisions about its boots need.
    pub fn known(&self) -> Known {
        Known { id: self.id, label: self.label(), identity: self.identity.clone(), order: self.order }
    }
}
