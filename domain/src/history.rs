//! What is remembered of a node's reports, and of the tests of its hardware.

use crate::clock::Timestamp;
use crate::document::{Digest, Document};
use crate::ids::{BootId, OrderId};
use crate::order::TestPlan;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::Ipv4Addr;

/// A report as it is kept. Its number is the node's count of reports.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptReport {
    /// When it was accepted.
    pub at: Timestamp,
    /// The boot it came from; none when an operator imported it.
    pub boot: Option<BootId>,
    /// The address it came from.
    pub address: Option<Ipv4Addr>,
    /// Whether it amended the document before.
    pub amends: bool,
    /// The digest of the document after it, settled.
    pub digest: Digest,
    /// That document as JSON with sorted keys; none when it is the same as after the report before.
    pub document: Option<String>,
    /// Its readings; null when there are none.
    pub readings: Value,
}

/// A report in a node's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastReport {
    /// Counts the node's reports from 1.
    pub number: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// The boot it came from; none when an operator imported it.
    pub boot: Option<BootId>,
    /// The address it came from.
    pub address: Option<Ipv4Addr>,
    /// Whether it amended the document before.
    pub amends: bool,
    /// Whether the document was another after it than before.
    pub changed: bool,
    /// The digest of the document after it; none where an earlier version of the store kept none.
    pub digest: Option<Digest>,
}

/// A node's document as it was after one of its reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The report after which it was like this.
    pub number: u64,
    /// When that was accepted.
    pub at: Timestamp,
    /// The document, settled.
    pub document: Document,
    /// The readings of that report; null when there were none.
    pub readings: Value,
}

impl Snapshot {
    /// The document with its readings.
    pub fn whole(self) -> Document {
        self.document.with_readings(&self.readings)
    }
}

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Reports that were accepted before this go, but for the last of each node, and the last before this whose document
    /// was in force at this moment: what stood then can still be told.
    pub before: Timestamp,
    /// How many reports of a node are kept at most, the newest.
    pub most_reports: u64,
}

/// How one part of the hardware fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// What was tested.
    pub kind: TestKind,
    /// The part: `nvme0n1`, `cpu3`; none for the machine as a whole.
    pub part: Option<String>,
    /// How it fared.
    pub outcome: Outcome,
    /// What was done and seen, a sentence.
    pub detail: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// What can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// Memory.
    Memory,
    /// Processors.
    Cpu,
    /// Disks, by reading only.
    Disks,
    /// Network ports.
    Network,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Sound.
    Passed,
    /// Not sound.
    Failed,
    /// Not tested, which is neither.
    Skipped,
}

/// A test of a node's hardware, from the order on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareTest {
    /// The order it was asked for by.
    pub id: OrderId,
    /// What was asked for.
    pub plan: TestPlan,
    /// When it was ordered.
    pub ordered: Timestamp,
    /// When the agent began; none while it waits.
    pub started: Option<Timestamp>,
    /// When the agent ended; none while it runs, and for ever when the machine restarted in the middle.
    pub finished: Option<Timestamp>,
    /// What was found so far.
    pub results: Vec<TestResult>,
}
