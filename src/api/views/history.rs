//! What was different before, what differs from the site, and how tests of the hardware ended.

use super::snake;
use domain::history::{PastReport, TestResult};
use domain::order::TestPlan;
use inventory::{NodeTest, TestState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A report in a node's history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportView {
    /// Counts the node's reports from 1.
    pub number: u64,
    /// When it was accepted.
    pub at: String,
    /// The boot it came from, UUIDv7; null when an operator imported it.
    pub boot: Option<String>,
    /// The address it came from.
    pub address: Option<String>,
    /// Whether it amended the report before it.
    pub amends: bool,
    /// Whether the hardware was another after it than before.
    pub changed: bool,
    /// SHA-256 of what was known after it, without readings.
    pub digest: Option<String>,
}

impl From<&PastReport> for ReportView {
    fn from(report: &PastReport) -> Self {
        Self {
            number: report.number,
            at: report.at.to_string(),
            boot: report.boot.map(|boot| boot.to_string()),
            address: report.address.map(|address| address.to_string()),
            amends: report.amends,
            changed: report.changed,
            digest: report.digest.map(|digest| digest.to_string()),
        }
    }
}

/// A page of a node's reports.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportPage {
    /// The reports, newest first.
    pub items: Vec<ReportView>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// One thing that changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// Where: `disks[S4EVNX0M].firmware`; items of lists by what identifies them.
    pub path: String,
    /// What stood there; null when it is new.
    #[schema(value_type = Object)]
    pub before: Option<serde_json::Value>,
    /// What stands there now; null when it is gone.
    #[schema(value_type = Object)]
    pub after: Option<serde_json::Value>,
    /// The same as a sentence.
    pub sentence: String,
    /// The newest report that changed this; null where finding out would take too long.
    #[serde(default)]
    pub came: Option<ReportRef>,
}

/// What changed on a node between two of its reports.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DifferenceView {
    /// The node, UUIDv7.
    pub node: String,
    /// What people call it.
    pub label: String,
    /// The report before, and when it was accepted; null when the node is new since then.
    pub from: Option<ReportRef>,
    /// The report after.
    pub to: Option<ReportRef>,
    /// What changed; empty when nothing did.
    pub changes: Vec<ChangeView>,
}

/// A report by its number.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportRef {
    /// Counts the node's reports from 1.
    pub number: u64,
    /// When it was accepted.
    pub at: String,
}

/// What changed on all nodes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DifferencePage {
    /// The nodes on which something changed, or that are new, by id.
    pub items: Vec<DifferenceView>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// A page of nodes as they were at a moment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PastPage {
    /// The nodes with their documents, by id.
    pub items: Vec<super::NodeDetail>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// Something that a node or the hall lacks of what the site says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiscrepancyView {
    /// What it concerns: a node's name, serial number or id.
    pub node: String,
    /// The node's id, UUIDv7; null for a machine that was declared and never reported.
    pub id: Option<String>,
    /// `wrong`, `notice` (worth a look) or `unchecked` (it cannot be told).
    pub severity: String,
    /// What it is about: `missing`, `undeclared`, `identity`, `place`, `hardware`, `test`, `health` or `cabling`.
    pub kind: String,
    /// Where in the facts, dotted; null where it is about no fact.
    pub path: Option<String>,
    /// A sentence that somebody with a screwdriver can act on.
    pub sentence: String,
}

/// The site compared with what was seen.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// How many nodes were compared.
    pub nodes: usize,
    /// What differs, by node.
    pub items: Vec<DiscrepancyView>,
}

/// A test of a node's hardware.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TestView {
    /// The order it was asked for by, UUIDv7.
    pub id: String,
    /// What was asked for: `memory`, `cpu`, `disks`, `network`.
    pub kinds: Vec<String>,
    /// The longest that each may take, seconds.
    pub seconds: u32,
    /// When it was ordered.
    pub ordered: String,
    /// When the agent began; null while it waits.
    pub started: Option<String>,
    /// When the agent ended; null while it runs, and for ever when the machine restarted in the middle.
    pub finished: Option<String>,
    /// `waiting`, `running`, `finished`, or `unfinished`: the machine restarted or was told something else meanwhile.
    pub state: String,
    /// What was found so far.
    pub results: Vec<TestResultView>,
}

/// How one part of the hardware fared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TestResultView {
    /// `memory`, `cpu`, `disks` or `network`.
    pub kind: String,
    /// The part; null for the machine as a whole.
    pub part: Option<String>,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// What was done and seen.
    pub detail: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// A node's tests, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TestList {
    /// The tests.
    pub items: Vec<TestView>,
}

/// A test to order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTest {
    /// Patterns in free memory.
    #[serde(default)]
    pub memory: bool,
    /// Known results on every processor.
    #[serde(default)]
    pub cpu: bool,
    /// Reading from every disk.
    #[serde(default)]
    pub disks: bool,
    /// Fetching from the service over every port.
    #[serde(default)]
    pub network: bool,
    /// The longest that each may take, 1 to 86400 seconds.
    pub seconds: u32,
}

impl From<NewTest> for TestPlan {
    fn from(test: NewTest) -> Self {
        Self { memory: test.memory, cpu: test.cpu, disks: test.disks, network: test.network, seconds: test.seconds }
    }
}

impl From<&NodeTest> for TestView {
    fn from(NodeTest { test, state }: &NodeTest) -> Self {
        let plan = test.plan;
        let state = match state {
            TestState::Waiting => "waiting",
            TestState::Running => "running",
            TestState::Finished => "finished",
            TestState::Unfinished => "unfinished",
        };
        let kinds = [("memory", plan.memory), ("cpu", plan.cpu), ("disks", plan.disks), ("network", plan.network)];
        Self {
            id: test.id.to_string(),
            kinds: kinds.into_iter().filter(|(_, asked)| *asked).map(|(kind, _)| kind.to_owned()).collect(),
            seconds: plan.seconds,
            ordered: test.ordered.to_string(),
            started: test.started.map(|at| at.to_string()),
            finished: test.finished.map(|at| at.to_string()),
            state: state.into(),
            results: test.results.iter().map(TestResultView::from).collect(),
        }
    }
}

impl From<&TestResult> for TestResultView {
    fn from(result: &TestResult) -> Self {
        Self {
            kind: snake(result.kind),
            part: result.part.clone(),
            outcome: snake(result.outcome),
            detail: result.detail.clone(),
            took_ms: result.took_ms,
        }
    }
}

/// What became of an imported report.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ImportedView {
    /// The node it is of.
    pub node: super::NodeView,
    /// Whether nobody knew the machine.
    pub new: bool,
    /// Whether its hardware is another than before.
    pub changed: bool,
}
