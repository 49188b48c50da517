//! Gives waiting agents their orders, and hears that they were taken.

use crate::agents::NotItsNode;
use crate::burn_in::MOST_RESULTS;
use crate::counters::Happened;
use crate::operate::in_words;
use crate::owner::{Change, Inventory};
use domain::boot::Boot;
use domain::node::Node;
use domain::order::{Order, OrderKind, TestPlan};
use domain::ports::StoreError;
use domain::timeline::printable;
use domain::{NodeId, OrderId};
use inventory_wire::{Orders, Progress};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The longest that an agent may wait for an order.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why an agent's progress was not noted.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// Its boot speaks for no node.
    #[error(transparent)]
    NotItsNode(#[from] NotItsNode),
    /// It is of an order that the node does not have (any more).
    #[error("order `{order}` is not the order of this node: ask for orders again, and do nothing")]
    OtherOrder {
        /// The order it names, printable.
        order: String,
    },
    /// It says something that is not known here.
    #[error(
        "the state `{state}` of an order is not known here: send `taken` when the agent is about to do it, and of a test also `running` and `done`"
    )]
    UnknownState {
        /// The state it names, printable.
        state: String,
    },
    /// A result says something that is not known here.
    #[error("the {field} `{value}` of a result is not known here: see the document of this version of the agent's requests")]
    UnknownResult {
        /// Which field.
        field: &'static str,
        /// What it says, printable.
        value: String,
    },
    /// More results than a machine has parts.
    #[error("{found} results are more than the {MOST_RESULTS} that are kept of one test: send one for each part")]
    TooManyResults {
        /// How many.
        found: usize,
    },
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProgressError {
    fn happened(&self) -> Happened {
        match self {
            Self::NotItsNode(why) => why.happened(),
            Self::OtherOrder { .. } => Happened::OtherOrder,
            Self::UnknownState { .. } | Self::UnknownResult { .. } => Happened::Malformed,
            Self::TooManyResults { .. } => Happened::TooLarge,
            Self::Store(_) => Happened::Unavailable,
        }
    }
}

impl Inventory {
    /// What the agent of a boot is to do: an order as soon as there is one, or `wait` after that time.
    pub(crate) async fn orders(&self, boot: &Boot, wait: Duration) -> Result<Orders, NotItsNode> {
        let told = self.next_order(boot, wait).await;
        if let Err(refused) = &told {
            self.refuse(refused.happened(), || format!("{} asked for orders and was refused: {refused}", boot.mac));
        }
        told
    }

    async fn next_order(&self, boot: &Boot, wait: Duration) -> Result<Orders, NotItsNode> {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        let mut id = self.node_of(boot)?;
        self.heard(id).await;
        loop {
            let (_, bell) = self.index.order(id).ok_or(NotItsNode::Unknown)?;
            // Listen before looking: an order given in between rings too.
            let mut rings = std::pin::pin!(bell.notified());
            rings.as_mut().enable();
            id = self.node_of(boot)?;
            let (order_now, _) = self.index.order(id).ok_or(NotItsNode::Unknown)?;
            let (kind, order) = Order::to_tell(order_now.as_ref());
            if kind != OrderKind::Wait && !self.watching.load(Ordering::SeqCst) {
                return Ok(orders(kind, order, order_now.and_then(|order| order.test)));
            }
            tokio::select! {
                () = rings => {}
                () = tokio::time::sleep_until(until) => break,
                () = self.stopping.cancelled() => break,
            }
        }
        let now = self.clock.now();
        self.index.heard(id, now);
        self.table.heard(id, now);
        Ok(orders(OrderKind::Wait, None, None))
    }

    /// Notes that an agent takes its order. Said twice is said once.
    pub(crate) async fn progress(&self, boot: &Boot, progress: &Progress) -> Result<(), ProgressError> {
        let noted = self.take_order(boot, progress).await;
        if let Err(refused) = &noted {
            self.refuse(refused.happened(), || format!("{} sent progress and was refused: {refused}", boot.mac));
        }
        noted
    }

    async fn take_order(&self, boot: &Boot, progress: &Progress) -> Result<(), ProgressError> {
        let id = self.node_of(boot)?;
        let of_a_test = matches!(progress.state.as_str(), "running" | "done");
        let unknown = || ProgressError::UnknownState { state: printable(&progress.state, 40) };
        if !of_a_test && progress.state != "taken" {
            return Err(unknown());
        }
        let other = || ProgressError::OtherOrder { order: printable(&progress.order, 60) };
        let named: OrderId = progress.order.parse().map_err(|_| other())?;
        let now = self.clock.now();
        let mut first = std::sync::atomic::AtomicBool::new(false);
        let node = self.change::<ProgressError>(id, |node| {
            let node = node.ok_or(NotItsNode::Unknown)?;
            match node.order {
                Some(order) if order.id == named && of_a_test && order.kind != OrderKind::Test => Err(unknown()),
                Some(order) if order.id == named && order.taken.is_some() => Ok(Change::Nothing(Box::new(node))),
                Some(order) if order.id == named => {
                    first.store(true, std::sync::atomic::Ordering::Relaxed);
                    Ok(Change::Keep(Box::new(Node { order: Some(Order { taken: Some(now), ..order }), last_seen: now, ..node })))
                }
                _ => Err(other()),
            }
        });
        let node = node.await?;
        let Some(order) = node.order.filter(|order| order.id == named) else { return Ok(()) };
        if *first.get_mut() {
            self.counters.count(Happened::OrderTaken);
            self.boots.note(boot.id, "order", format!("took the order to {}", in_words(order.kind)), None);
        }
        match order.kind {
            OrderKind::Test => self.test_progress(boot, id, progress, order).await,
            _ => Ok(()),
        }
    }

    /// Notes that a node was heard; in the store at most once a minute, and a store that fails is no reason to leave an
    /// agent without its orders.
    async fn heard(&self, id: NodeId) {
        let now = self.clock.now();
        self.table.heard(id, now);
        if !self.index.heard(id, now) {
            return;
        }
        if let Err(error) = self.store.keep_seen(id, now).await {
            tracing::debug!(node.id = %id, "when the node was last heard was not kept: {}", crate::problem::chain(&error));
        }
    }
}

fn orders(kind: OrderKind, id: Option<OrderId>, test: Option<TestPlan>) -> Orders {
    use inventory_wire::Order as Told;
    let order = match kind {
        OrderKind::Wait => Told::Wait,
        OrderKind::Reboot => Told::Reboot,
        OrderKind::PowerOff => Told::PowerOff,
        OrderKind::LocalDisk => Told::LocalDisk,
        OrderKind::Test => Told::Test,
    };
    let test =
        test.map(|TestPlan { memory, cpu, disks, network, seconds }| inventory_wire::TestPlan { memory, cpu, disks, network, seconds });
    Orders { order, id: id.map(|id| id.to_string()), test }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
