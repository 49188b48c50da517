//! What the domain needs from outside, named for the need.
//!
//! Every method that keeps something returns only when it is durable, unless its documentation says otherwise.
//! Doing the same thing twice changes nothing.

use crate::boot::Boot;
use crate::clock::Timestamp;
use crate::history::{HardwareTest, KeptReport, PastReport, Retention, Snapshot};
use crate::ids::{BootId, NodeId, RevisionId};
use crate::lease::Lease;
use crate::mac::MacAddr;
use crate::node::{Known, Node};
use crate::site::Site;
use crate::ticket::{ClaimRefused, KeyFingerprint, Ticket};
use crate::timeline::{Step, Timeline};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Any error of an adapter, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store could not be reached or could not write; trying again later may help. Nothing was changed, unless the
    /// connection to a server broke while it was committing: whoever must know reads the record again.
    #[error("the store could not {attempted}")]
    Unavailable {
        /// What was tried: "keep a lease".
        attempted: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// More work waits than the store takes on; nothing was changed.
    #[error("the store is behind with its work and did not {attempted}")]
    Busy {
        /// What was tried.
        attempted: &'static str,
    },
    /// What it holds cannot be read back.
    #[error("the store holds {what} that cannot be read")]
    Corrupt {
        /// Which record.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The name belongs to another node.
    #[error("the name `{name}` belongs to another node")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The record was changed meanwhile.
    #[error("the record was changed by somebody else meanwhile: read it again")]
    Changed,
}

/// Keeps leases.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Every lease, expired ones too.
    async fn leases(&self) -> Result<Vec<Lease>, StoreError>;
    /// Keeps a lease in place of whatever its address or its machine had on that network.
    async fn keep_lease(&self, lease: &Lease) -> Result<(), StoreError>;
}

/// Keeps boots and their steps. Of two boots the newer is the one that was first kept later: the clock may have been set
/// back between them, so their times do not tell, and keeping an old one again makes it no newer.
#[async_trait]
pub trait BootStore: Send + Sync {
    /// The newest boots, newest first, at most `most`.
    async fn recent_boots(&self, most: usize) -> Result<Vec<Boot>, StoreError>;
    /// Keeps a boot as it is now.
    async fn keep_boot(&self, boot: &Boot) -> Result<(), StoreError>;
    /// Hands over a boot and a step to be kept soon, in order with all else, without waiting; returns false when there is
    /// no room, and the step is lost. An explanation is worth less than an answer in time.
    fn note(&self, boot: Option<&Boot>, step: Step) -> bool;
    /// The boots of some interfaces with their steps, newest boot first.
    async fn timelines(&self, macs: &[MacAddr], most: usize) -> Result<Vec<Timeline>, StoreError>;
    /// One boot with its steps.
    async fn timeline(&self, boot: BootId) -> Result<Option<Timeline>, StoreError>;
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; none after the last.
    pub next: Option<NodeId>,
}

/// Keeps nodes, their reports and the tests of their hardware.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// One node.
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError>;
    /// Nodes by id, those after `after`, at most `limit`. All of them fit in memory, and are read at each start.
    async fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Page<Node>, StoreError>;
    /// Keeps a node whose version is one above the one in the store, or 1 if it is new; [`StoreError::Changed`]
    /// when it is not, [`StoreError::NameTaken`] when its name is another's.
    async fn keep_node(&self, node: &Node) -> Result<(), StoreError>;
    /// Keeps a node by the same rules together with its newest report, whose number is `node.reports`: both or neither.
    async fn keep_report(&self, node: &Node, report: &KeptReport) -> Result<(), StoreError>;
    /// Keeps when a node was last heard. That is no change of the node: its version stays, and so does the time when it
    /// is the later one already. A node that is not there is not heard, which is no error.
    async fn keep_seen(&self, id: NodeId, at: Timestamp) -> Result<(), StoreError>;
    /// Forgets a node, its name, its history and its tests, if it still has this version; [`StoreError::Changed`]
    /// when it has another. A node that is not there is forgotten already, which is no error.
    async fn forget_node(&self, id: NodeId, expected_version: u64) -> Result<(), StoreError>;

    /// A node's document as it was at a moment, or as it is now; none when there was none yet, or it is not kept any more.
    async fn snapshot(&self, id: NodeId, at: Option<Timestamp>) -> Result<Option<Snapshot>, StoreError>;
    /// The same after one of its reports, by number.
    async fn snapshot_after(&self, id: NodeId, number: u64) -> Result<Option<Snapshot>, StoreError>;
    /// The same for all nodes, by id, those after `after`, at most `limit`; nodes that had none are left out. At most
    /// `most_bytes` of documents, but always one: a page may be shorter.
    async fn snapshots(
        &self,
        at: Option<Timestamp>,
        after: Option<NodeId>,
        limit: usize,
        most_bytes: usize,
    ) -> Result<Page<(NodeId, Snapshot)>, StoreError>;
    /// A node's reports, newest first, those before number `before`, at most `limit`.
    async fn reports(&self, id: NodeId, before: Option<u64>, limit: usize) -> Result<Vec<PastReport>, StoreError>;
    /// The nodes whose document was changed by a report after a moment, by id, those after `after`, at most `limit`.
    async fn changed_since(&self, since: Timestamp, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>, StoreError>;
    /// Lets go of old history, a bounded part at a time; returns how many reports went, 0 when nothing is left to go.
    async fn prune(&self, retention: &Retention) -> Result<u64, StoreError>;

    /// Keeps a test as it is now, in place of what was kept of it. A node that is not there is [`StoreError::Changed`].
    async fn keep_test(&self, node: NodeId, test: &HardwareTest) -> Result<(), StoreError>;
    /// A node's tests, newest first, at most `limit`. The store keeps a bounded number of each node, the newest.
    async fn tests(&self, node: NodeId, limit: usize) -> Result<Vec<HardwareTest>, StoreError>;
}

/// One accepted version of the site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its id.
    pub id: RevisionId,
    /// Counts from 1.
    pub number: u64,
    /// When it was accepted.
    pub applied: Timestamp,
    /// Who applied it, as the service knows them: `uid 0`, or `overture.toml`.
    pub by: String,
    /// The files as they came, by their path within the site.
    pub files: BTreeMap<String, String>,
    /// What they say.
    pub site: Site,
}

/// Keeps revisions of the site.
#[async_trait]
pub trait SiteStore: Send + Sync {
    /// The revision in force, the one with the highest number.
    async fn current_site(&self) -> Result<Option<Revision>, StoreError>;
    /// Revisions without their files, newest first, at most `most`.
    async fn revisions(&self, most: usize) -> Result<Vec<Revision>, StoreError>;
    /// Keeps a revision; [`StoreError::Changed`] when its number is not one above the last.
    async fn keep_revision(&self, revision: &Revision) -> Result<(), StoreError>;
}

/// The answer that a write got, kept so that the same write sent again gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The idempotency key.
    pub key: String,
    /// SHA-256 over method, path and body, 64 hexadecimal digits: another request under the same key is refused.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// Keeps answers to writes for a day, and no more of them than the store has room for.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// The answer under a key, which is compared as it is written.
    async fn answered(&self, key: &str) -> Result<Option<Answered>, StoreError>;
    /// Keeps an answer, unless its key has one: the first answer under a key stays, because that one was sent. Forgets
    /// those that are older than a day when this one was given, and the oldest others of too many.
    async fn keep_answer(&self, answer: &Answered) -> Result<(), StoreError>;
}

/// Why a service only watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObserveOnly {
    /// Since when.
    pub since: Timestamp,
    /// Why: `restored from a backup of 2026-11-20T08:00:00Z`.
    pub reason: String,
}

/// Keeps whether the store was restored and nobody has looked at it yet.
#[async_trait]
pub trait ObserveStore: Send + Sync {
    /// Whether the service is to watch only.
    async fn observe_only(&self) -> Result<Option<ObserveOnly>, StoreError>;
    /// A person has looked: the service may act again.
    async fn end_observing(&self) -> Result<(), StoreError>;
}

/// All that a store keeps.
pub trait Store: LeaseStore + BootStore + NodeStore + SiteStore + AnswerStore + ObserveStore {}
impl<T: LeaseStore + BootStore + NodeStore + SiteStore + AnswerStore + ObserveStore> Store for T {}

/// Why an agent's ticket was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The rules refuse it; asking again changes nothing.
    #[error(transparent)]
    Refused(#[from] ClaimRefused),
    /// The binding could not be kept; asking again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the inventory asks of whoever follows the boots.
#[async_trait]
pub trait Boots: Send + Sync {
    /// Lets an agent use a ticket and binds its key at the first use. When it returns, the binding is durable.
    async fn claim(&self, ticket: &Ticket, from: Ipv4Addr, key: &KeyFingerprint) -> Result<Boot, ClaimError>;
    /// Notes, soon, which node it was that reported in a boot.
    fn reported(&self, boot: BootId, mac: MacAddr, node: NodeId);
    /// Notes, soon, what an agent did, for `explain`.
    fn note(&self, boot: BootId, event: &str, message: String, rule: Option<String>);
}

/// What the boot protocols ask of the inventory. Answers from memory.
pub trait Directory: Send + Sync {
    /// The node that has this interface; failing that, the one with this UUID.
    fn known(&self, mac: Option<MacAddr>, uuid: Option<Uuid>) -> Option<Known>;
}
