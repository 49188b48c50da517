//! Tests of a node's hardware: ordered by an operator, done by the agent, kept with what they found.
//!
//! A test is kept before its order is given, and its results before the agent is answered. Each boot tests at most once: a
//! test in whose middle the machine restarted stays unfinished, or a machine that a test brings down would be tested for ever.

use crate::counters::Happened;
use crate::operate::OrderError;
use crate::orders::ProgressError;
use crate::owner::{Change, Inventory};
use domain::boot::Boot;
use domain::history::{HardwareTest, Outcome, TestKind, TestResult};
use domain::node::Node;
use domain::order::{Order, OrderKind, TestPlan};
use domain::ports::StoreError;
use domain::timeline::printable;
use domain::{NodeId, OrderId, Timestamp};
use inventory_wire::Progress;
use std::sync::Arc;

/// The longest that each kind of test may take, seconds: a day.
pub const LONGEST_TEST: u32 = 86_400;
/// How many results of one test are kept; a machine has not more parts.
pub(crate) const MOST_RESULTS: usize = 1024;
/// The longest texts of a result, characters.
const LONGEST_PART: usize = 64;
const LONGEST_DETAIL: usize = 300;
/// How many tests of a node are looked through for one, and listed at most.
const MOST_TESTS: usize = 100;

/// How far a test has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestState {
    /// The agent has not begun.
    Waiting,
    /// The agent is at it.
    Running,
    /// All that was asked for was tested, or skipped for a reason.
    Finished,
    /// It never will be: the machine restarted, or an operator ordered something else meanwhile.
    Unfinished,
}

/// A test of a node's hardware and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTest {
    /// The test.
    pub test: HardwareTest,
    /// How far it has come.
    pub state: TestState,
}

impl Inventory {
    /// Orders a test in place of the order that the node has. `order` is a fresh id; the same id again changes nothing.
    ///
    /// # Errors
    /// When the plan asks for nothing or too long, the node's agent cannot test, the node is gone, or the store fails.
    pub async fn order_test(&self, id: NodeId, plan: TestPlan, order: OrderId) -> Result<Arc<Node>, OrderError> {
        if !(1..=LONGEST_TEST).contains(&plan.seconds) {
            return Err(OrderError::TestTooLong { seconds: plan.seconds });
        }
        if !(plan.memory || plan.cpu || plan.disks || plan.network) {
            return Err(OrderError::NothingToTest);
        }
        let node = self.index.get(id).ok_or(OrderError::NotFound { id })?;
        if node.order.is_some_and(|known| known.id == order) {
            return Ok(node);
        }
        if !self.can_test(id).await? {
            return Err(OrderError::CannotTest { label: printable(&node.label(), 80) });
        }
        let test = HardwareTest { id: order, plan, ordered: self.clock.now(), started: None, finished: None, results: vec![] };
        self.store.keep_test(id, &test).await.map_err(|error| match error {
            StoreError::Changed => OrderError::NotFound { id },
            error => error.into(),
        })?;
        self.order(id, OrderKind::Test, Some(plan), order).await
    }

    /// A node's tests, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot read them. A node that is not there has none.
    pub async fn tests(&self, id: NodeId, limit: usize) -> Result<Vec<NodeTest>, StoreError> {
        let tests = self.store.tests(id, limit.min(MOST_TESTS)).await?;
        let order = self.index.get(id).and_then(|node| node.order);
        let state = |test: &HardwareTest| match order {
            _ if test.finished.is_some() => TestState::Finished,
            Some(order) if order.id == test.id && order.taken.is_none() => TestState::Waiting,
            Some(order) if order.id == test.id => TestState::Running,
            _ => TestState::Unfinished,
        };
        Ok(tests.into_iter().map(|test| NodeTest { state: state(&test), test }).collect())
    }

    /// Whether the agent that reported last said that it can test.
    async fn can_test(&self, id: NodeId) -> Result<bool, StoreError> {
        let snapshot = self.store.snapshot(id, None).await?;
        let can = snapshot.as_ref().and_then(|snapshot| snapshot.document.facts.pointer("/agent/can")?.as_array());
        Ok(can.is_some_and(|can| can.iter().any(|word| word == "test")))
    }

    /// Keeps how far the agent has come with the test that is its order.
    pub(crate) async fn test_progress(&self, boot: &Boot, id: NodeId, progress: &Progress, order: Order) -> Result<(), ProgressError> {
        let results = results(progress)?;
        let now = self.clock.now();
        let _alone = self.locks.tests_of(id).await;
        let kept = self.store.tests(id, MOST_TESTS).await?.into_iter().find(|test| test.id == order.id);
        let Some(mut test) = kept.or_else(|| anew(order)) else { return Ok(()) };
        if test.finished.is_some() {
            return Ok(());
        }
        test.started.get_or_insert(now);
        if !results.is_empty() {
            test.results = results;
        }
        let done = progress.state == "done";
        test.finished = done.then_some(now);
        match self.store.keep_test(id, &test).await {
            Err(StoreError::Changed) => return Err(crate::agents::NotItsNode::Unknown.into()),
            kept => kept?,
        }
        if done {
            self.counters.count(Happened::TestFinished);
            self.boots.note(boot.id, "test", in_words(&test), None);
        }
        Ok(())
    }

    /// A machine that has restarted in the middle of a test does not go on with it, and `explain` says so.
    pub(crate) async fn leave_test_behind(&self, before: &Node, node: &mut Node) -> Result<(), StoreError> {
        let restarted = before.boot != node.boot;
        let Some(order) = node.order.filter(|order| restarted && order.kind == OrderKind::Test && order.taken.is_some()) else {
            return Ok(());
        };
        if self.is_unfinished(node.id, order.id).await? {
            node.order = None;
            if let Some(boot) = node.boot {
                let sentence = format!("its hardware test of {:.0} was left unfinished: the machine was started again", order.given);
                self.boots.note(boot, "test", sentence, Some("each boot tests at most once".into()));
            }
        }
        Ok(())
    }

    /// Whether a test has not come to its end.
    pub(crate) async fn is_unfinished(&self, id: NodeId, order: OrderId) -> Result<bool, StoreError> {
        let tests = self.store.tests(id, MOST_TESTS).await?;
        Ok(tests.iter().any(|test| test.id == order && test.finished.is_none()))
    }
}

/// The test of an order of which the store kept none: a backup may be older than the order.
fn anew(order: Order) -> Option<HardwareTest> {
    let Order { id, given, test, .. } = order;
    Some(HardwareTest { id, plan: test?, ordered: given, started: None, finished: None, results: vec![] })
}

/// What an agent found, made fit to be kept and read.
fn results(progress: &Progress) -> Result<Vec<TestResult>, ProgressError> {
    let found = progress.results.len();
    if found > MOST_RESULTS {
        return Err(ProgressError::TooManyResults { found });
    }
    let result = |result: &inventory_wire::TestResult| {
        let kind = match result.kind.as_str() {
            "memory" => TestKind::Memory,
            "cpu" => TestKind::Cpu,
            "disks" => TestKind::Disks,
            "network" => TestKind::Network,
            other => return Err(ProgressError::UnknownResult { field: "kind", value: printable(other, 40) }),
        };
        let outcome = match result.outcome.as_str() {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "skipped" => Outcome::Skipped,
            other => return Err(ProgressError::UnknownResult { field: "outcome", value: printable(other, 40) }),
        };
        let part = result.part.as_deref().map(str::trim).filter(|part| !part.is_empty()).map(|part| printable(part, LONGEST_PART));
        Ok(TestResult { kind, part, outcome, detail: printable(&result.detail, LONGEST_DETAIL), took_ms: result.took_ms })
    };
    progress.results.iter().map(result).collect()
}

/// How a test went, for `explain`: what failed is named.
fn in_words(test: &HardwareTest) -> String {
    let failed: Vec<_> = test.results.iter().filter(|result| result.outcome == Outcome::Failed).collect();
    if failed.is_empty() {
        let passed = test.results.iter().filter(|result| result.outcome == Outcome::Passed).count();
        return format!("its hardware test has ended: {passed} of {} results passed, none failed", test.results.len());
    }
    let named = |result: &&&TestResult| match &result.part {
        Some(part) => format!("{part}: {}", result.detail),
        None => result.detail.clone(),
    };
    let more = if failed.len() > 3 { format!(" and {} more", failed.len() - 3) } else { String::new() };
    format!(
        "its hardware test has ended and failed: {}{more}",
        failed.iter().take(3).map(|result| named(&result)).collect::<Vec<_>>().join("; ")
    )
}

/// Gives a node its order; [`Inventory::give_order`] and [`Inventory::order_test`] say which.
impl Inventory {
    pub(crate) async fn order(&self, id: NodeId, kind: OrderKind, test: Option<TestPlan>, order: OrderId) -> Result<Arc<Node>, OrderError> {
        let given: Timestamp = self.clock.now();
        // Nobody has to be told to go on waiting.
        let taken = (kind == OrderKind::Wait).then_some(given);
        let replaced = std::sync::Mutex::new(None);
        let node = self
            .change::<OrderError>(id, |node| {
                let node = node.ok_or(OrderError::NotFound { id })?;
                if node.order.is_some_and(|known| known.id == order) {
                    return Ok(Change::Nothing(Box::new(node)));
                }
                *replaced.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(node.order);
                Ok(Change::Keep(Box::new(Node { order: Some(Order { id: order, kind, given, taken, test }), ..node })))
            })
            .await?;
        let Some(before) = replaced.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) else { return Ok(node) };
        self.counters.count(Happened::OrderGiven);
        let mut sentence = format!("an operator ordered it to {}", crate::operate::in_words(kind));
        if let Some(before) = before.filter(|before| before.kind == OrderKind::Test)
            && self.is_unfinished(id, before.id).await.unwrap_or(false)
        {
            sentence.push_str("; the hardware test before it stays unfinished");
        }
        if let Some(boot) = node.boot {
            self.boots.note(boot, "order", sentence, None);
        }
        Ok(node)
    }
}

#[cfg(test)]
#[path = "burn_in_tests.rs"]
mod tests;
