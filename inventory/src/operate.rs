//! What an operator does with nodes: list, find, name, give an order, forget.

use crate::burn_in::LONGEST_TEST;
use crate::counters::Happened;
use crate::find::{FindError, find};
use crate::owner::{Change, Inventory, MOST_TRIES};
use domain::node::Node;
use domain::order::OrderKind;
use domain::ports::{Page, StoreError};
use domain::timeline::printable;
use domain::{NodeId, OrderId, Timestamp};
use std::sync::Arc;

/// The most nodes on one page.
const MOST_LISTED: usize = 1000;

/// Why a node was not named.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// The name is not a label.
    #[error("{rule}")]
    NotALabel {
        /// The rule, with the name.
        rule: String,
    },
    /// Another node has the name.
    #[error("the name `{name}` belongs to another node: choose another, or take it from that node first")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No such node.
    #[error("there is no node {id}: `overture nodes list` shows those there are")]
    NotFound {
        /// Its id.
        id: NodeId,
    },
    /// The node is not as the caller believed.
    #[error("the node was changed meanwhile: it has version {found}, not {expected}; look at it again")]
    Changed {
        /// The version that the caller knew.
        expected: u64,
        /// The version it has.
        found: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for RenameError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken { name } => Self::NameTaken { name },
            error => Self::Store(error),
        }
    }
}

/// Why an order was not given.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// No such node.
    #[error("there is no node {id}: `overture nodes list` shows those there are")]
    NotFound {
        /// Its id.
        id: NodeId,
    },
    /// A test of nothing.
    #[error("this test would test nothing: ask for at least one of memory, cpu, disks and network")]
    NothingToTest,
    /// A test that is over at once, or never.
    #[error("a test of {seconds} seconds cannot be ordered: give each kind of test 1 to {LONGEST_TEST} seconds")]
    TestTooLong {
        /// What was asked for.
        seconds: u32,
    },
    /// The agent that reported last did not say that it can.
    #[error("{label} cannot test its hardware now: start it from the network into the ramdisk of this version, then order the test")]
    CannotTest {
        /// What a person calls the node.
        label: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a node was not forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// No such node.
    #[error("there is no node {id}: `overture nodes list` shows those there are")]
    NotFound {
        /// Its id.
        id: NodeId,
    },
    /// The node is not as the caller believed.
    #[error("the node was changed meanwhile: it has version {found}, not {expected}; look at it again")]
    Changed {
        /// The version that the caller knew.
        expected: u64,
        /// The version it has.
        found: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inventory {
    /// The present, by the service's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One node, from memory.
    pub fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.index.get(id)
    }

    /// All nodes, by id, from memory.
    pub fn all_nodes(&self) -> Vec<Arc<Node>> {
        self.index.page(None, usize::MAX - 1).items
    }

    /// Nodes by id, those after `after`; `limit` is kept between 1 and 1000.
    pub fn list(&self, after: Option<NodeId>, limit: usize) -> Page<Arc<Node>> {
        self.index.page(after, limit.clamp(1, MOST_LISTED))
    }

    /// The node of this name, id, first or last digits of an id (four at least), SMBIOS UUID, MAC address or serial.
    ///
    /// # Errors
    /// When it fits none or several.
    pub fn find(&self, text: &str) -> Result<Arc<Node>, FindError> {
        let id = find(&self.index, text)?;
        self.index.get(id).ok_or_else(|| FindError::NotFound { text: printable(text, 80) })
    }

    /// Whether a node has just this name, id, SMBIOS UUID, MAC address or serial. Unlike [`Inventory::find`] it never looks
    /// through all nodes.
    pub fn answers_to(&self, text: &str) -> bool {
        !self.index.exactly(text.trim()).is_empty()
    }

    /// Gives a node a name, or with `None` takes it away. With `expected_version` only if the node still has it.
    ///
    /// # Errors
    /// When the name is no DNS label or another's, the node is gone or was changed, or the store fails.
    pub async fn rename(&self, id: NodeId, name: Option<&str>, expected_version: Option<u64>) -> Result<Arc<Node>, RenameError> {
        if let Some(name) = name
            && !domain::site::is_label(name)
        {
            return Err(RenameError::NotALabel { rule: domain::site::label_rule("a node's name", name) });
        }
        self.change(id, |node| {
            let node = node.ok_or(RenameError::NotFound { id })?;
            match expected_version {
                Some(expected) if expected != node.version => Err(RenameError::Changed { expected, found: node.version }),
                _ if node.name.as_deref() == name => Ok(Change::Nothing(Box::new(node))),
                _ => Ok(Change::Keep(Box::new(Node { name: name.map(str::to_owned), ..node }))),
            }
        })
        .await
    }

    /// Gives a node an order in place of the one it has, and tells its agent if that waits. `order` is a fresh id; the
    /// same id again changes nothing. [`OrderKind::Wait`] takes back whatever was ordered, also the local disk; a test is
    /// ordered by [`Inventory::order_test`].
    ///
    /// # Errors
    /// When the node is gone or the store fails.
    pub async fn give_order(&self, id: NodeId, kind: OrderKind, order: OrderId) -> Result<Arc<Node>, OrderError> {
        match kind {
            OrderKind::Test => Err(OrderError::NothingToTest),
            kind => self.order(id, kind, None, order).await,
        }
    }

    /// Forgets a node; with `expected_version` only if it still has it. Returns what it was. A machine that still runs is
    /// told at its next question that nobody knows it, reports again, and is a new node then.
    ///
    /// # Errors
    /// When the node is gone or was changed, or the store fails.
    pub async fn forget(&self, id: NodeId, expected_version: Option<u64>) -> Result<Node, ForgetError> {
        for _ in 0..MOST_TRIES {
            let node = self.as_heard(self.store.node(id).await?.ok_or(ForgetError::NotFound { id })?);
            if let Some(expected) = expected_version.filter(|expected| *expected != node.version) {
                return Err(ForgetError::Changed { expected, found: node.version });
            }
            match self.strike(id, node.version).await {
                Err(StoreError::Changed) => continue,
                struck => struck?,
            }
            self.counters.count(Happened::Forgotten);
            tracing::info!(node.id = %id, "{} was forgotten, as an operator wanted", printable(&node.label(), 80));
            if let Some(boot) = node.boot {
                self.boots.note(boot, "forgotten", "an operator had this node forgotten".into(), None);
            }
            return Ok(node);
        }
        Err(StoreError::Changed.into())
    }
}

/// What an order asks for, to go on after "to".
pub(crate) fn in_words(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Wait => "wait",
        OrderKind::Reboot => "reboot",
        OrderKind::PowerOff => "power off",
        OrderKind::LocalDisk => "restart from its local disk",
        OrderKind::Test => "test its hardware",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fakes::{Hall, NodeOf, machine};
    use domain::order::Order;
    use domain::ports::Directory;
    use uuid::Uuid;

    fn order_id(n: u128) -> OrderId {
        OrderId(Uuid::from_u128(n))
    }

    #[tokio::test]
    async fn a_name_is_a_label_and_belongs_to_one_node() {
        let hall = Hall::new().await;
        let (one, two) = (hall.report_ok(&machine(1)).await.id(), hall.report_ok(&machine(2)).await.id());
        let named = hall.inventory.rename(one, Some("w1"), Some(1)).await.unwrap();
        assert_eq!((named.name.as_deref(), named.version), (Some("w1"), 2));
        assert_eq!(hall.inventory.rename(one, Some("w1"), None).await.unwrap().version, 2, "the same name changes nothing");
        assert!(matches!(hall.inventory.rename(two, Some("w1"), None).await, Err(RenameError::NameTaken { name }) if name == "w1"));
        assert!(matches!(hall.inventory.rename(one, Some("w2"), Some(1)).await, Err(RenameError::Changed { expected: 1, found: 2 })));
        for bad in ["", "W1", "a b", "-a", "a.b", "${x}", "\u{1b}[2J", &"a".repeat(64)] {
            let error = hall.inventory.rename(one, Some(bad), None).await.unwrap_err();
            assert!(matches!(error, RenameError::NotALabel { .. }) && !error.to_string().contains(char::is_control), "{bad:?}");
        }
        assert!(matches!(hall.inventory.rename(NodeId(Uuid::nil()), None, None).await, Err(RenameError::NotFound { .. })));
        assert_eq!(hall.inventory.rename(one, None, None).await.unwrap().name, None);
        assert_eq!(hall.inventory.rename(two, Some("w1"), None).await.unwrap().name.as_deref(), Some("w1"));
        assert_eq!(hall.inventory.find("w1").unwrap().id, two);
    }

    #[tokio::test]
    async fn an_order_to_the_local_disk_lasts_until_it_is_taken_back() {
        let hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        let sends = || Order::sends_to_local_disk(hall.inventory.known(Some(machine(1).mac), None).unwrap().order.as_ref());
        hall.inventory.give_order(id, OrderKind::LocalDisk, order_id(1)).await.unwrap();
        assert!(sends());
        hall.inventory.give_order(id, OrderKind::Wait, order_id(2)).await.unwrap();
        assert!(!sends());
        let missing = NodeId(Uuid::nil());
        assert!(matches!(hall.inventory.give_order(missing, OrderKind::Wait, order_id(3)).await, Err(OrderError::NotFound { .. })));
    }

    #[tokio::test]
    async fn the_same_order_twice_is_one_order() {
        let hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        let first = hall.inventory.give_order(id, OrderKind::Reboot, order_id(1)).await.unwrap();
        assert_eq!(hall.inventory.give_order(id, OrderKind::Reboot, order_id(1)).await.unwrap(), first);
        assert_eq!(hall.counted("orders_given"), 1);
    }

    #[tokio::test]
    async fn changes_at_the_same_time_all_happen() {
        let hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        let rename = hall.inventory.rename(id, Some("w1"), None);
        let order = hall.inventory.give_order(id, OrderKind::PowerOff, order_id(1));
        let machine = machine(1);
        let report = hall.report_ok(&machine);
        let (renamed, ordered, _) = tokio::join!(rename, order, report);
        renamed.unwrap();
        ordered.unwrap();
        let node = hall.node(id).await;
        assert_eq!((node.name.as_deref(), node.order.map(|order| order.kind), node.reports), (Some("w1"), Some(OrderKind::PowerOff), 2));
        assert_eq!(node.version, 4);
    }

    #[tokio::test]
    async fn a_forgotten_node_is_gone_and_its_name_is_free() {
        let mut hall = Hall::new().await;
        let (one, two) = (hall.report_ok(&machine(1)).await.id(), hall.report_ok(&machine(2)).await.id());
        hall.inventory.rename(one, Some("w1"), None).await.unwrap();
        let late = hall.inventory.forget(one, Some(1)).await.unwrap_err();
        assert!(matches!(late, ForgetError::Changed { expected: 1, found: 2 }));
        hall.store.fail(true);
        assert!(matches!(hall.inventory.forget(one, None).await, Err(ForgetError::Store(_))));
        hall.store.fail(false);
        assert_eq!(hall.inventory.find("w1").unwrap().id, one, "what was not forgotten is known");

        let before = hall.inventory.find("w1").unwrap();
        assert_eq!(hall.inventory.forget(one, Some(2)).await.unwrap(), *before);
        assert!(matches!(hall.inventory.forget(one, None).await, Err(ForgetError::NotFound { .. })));
        for restarted in [false, true] {
            if restarted {
                hall.restart().await;
            }
            for text in ["w1", "VM-1", &one.to_string(), &machine(1).mac.to_string()] {
                assert!(matches!(hall.inventory.find(text), Err(FindError::NotFound { .. })), "{text}");
            }
            assert_eq!(hall.inventory.known(Some(machine(1).mac), Some(machine(1).uuid)), None);
            assert_eq!((hall.inventory.count(), hall.inventory.list(None, 9).items.len()), (1, 1));
        }
        assert_eq!(hall.inventory.rename(two, Some("w1"), None).await.unwrap().name.as_deref(), Some("w1"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_forgotten_while_it_changes_leaves_store_and_memory_agreeing() {
        for _ in 0..50 {
            let hall = Hall::new().await;
            let id = hall.report_ok(&machine(1)).await.id();
            let inventory = hall.inventory.clone();
            let changing: Vec<_> = (1..=4)
                .map(|n| {
                    let inventory = inventory.clone();
                    tokio::spawn(async move { inventory.give_order(id, OrderKind::Reboot, order_id(n)).await })
                })
                .collect();
            let forgetting = tokio::spawn(async move { inventory.forget(id, None).await });
            forgetting.await.unwrap().unwrap();
            for change in changing {
                let changed = change.await.unwrap();
                assert!(matches!(changed, Ok(_) | Err(OrderError::NotFound { .. })), "{changed:?}");
            }
            assert_eq!((hall.inventory.count(), hall.store.nodes.lock().unwrap().len()), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_failing_store_changes_nothing_in_memory_either() {
        let hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        hall.store.fail(true);
        assert!(matches!(hall.inventory.rename(id, Some("w1"), None).await, Err(RenameError::Store(_))));
        assert!(hall.inventory.give_order(id, OrderKind::LocalDisk, order_id(1)).await.is_err());
        hall.store.fail(false);
        assert!(matches!(hall.inventory.find("w1"), Err(FindError::NotFound { .. })));
        assert_eq!(hall.inventory.known(Some(machine(1).mac), None).unwrap().order, None);
    }
}
