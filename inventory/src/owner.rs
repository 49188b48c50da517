//! The owner of what is known of nodes: restores it, answers the boot protocols from memory, and is the one place that
//! writes nodes.

use crate::counters::{Counters, Happened, Quiet};
use crate::index::Index;
use crate::locks::MachineLocks;
use crate::placing::Placing;
use crate::search::{self, Ask, Bounds, Found, SearchError, Table};
use domain::clock::Clock;
use domain::history::KeptReport;
use domain::node::{Known, Node};
use domain::place::Layout;
use domain::ports::{Boots, Directory, NodeStore, StoreError};
use domain::site::Site;
use domain::{MacAddr, NodeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{RwLock, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The most nodes that are remembered; a report of one more machine is refused. They are all known in memory, which
/// invented machines must not fill.
pub const MOST_NODES: usize = 100_000;
/// How many nodes are read from the store at once.
const PAGE: usize = 500;
/// How many amendments are taken in at once: their documents take as much room as the largest reports that are read at once.
pub(crate) const MOST_AMENDING: usize = 4;
/// How often a change is tried again when somebody else changed the same node meanwhile.
pub(crate) const MOST_TRIES: usize = 16;

/// Everything that is known of nodes.
pub struct Inventory {
    pub(crate) store: Arc<dyn NodeStore>,
    pub(crate) boots: Arc<dyn Boots>,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Arc<Index>,
    /// The same nodes, made for lists: told of each change after the index is.
    pub(crate) table: Arc<Table>,
    pub(crate) placing: Arc<Placing>,
    /// Held from recognising a machine until it is kept: two reports of a new machine must not make two nodes.
    pub(crate) locks: MachineLocks,
    /// Amendments that are taken in: each reads the whole document of its node, whatever its own size.
    pub(crate) amending: Semaphore,
    /// New nodes on their way to the store; they take room, too.
    pub(crate) newcomers: AtomicUsize,
    /// Shared while a node is written to the store and the index, alone while one is forgotten in both: a node that is
    /// gone from the store must not come back into the index.
    forgetting: Arc<RwLock<()>>,
    pub(crate) most_nodes: usize,
    pub(crate) counters: Counters,
    pub(crate) quiet: Quiet,
    pub(crate) stopping: CancellationToken,
    /// Whether no orders are given.
    pub(crate) watching: AtomicBool,
}

/// What is to become of a node.
pub(crate) enum Change {
    /// It is written; whoever writes counts its version.
    Keep(Box<Node>),
    /// It is already as it should be.
    Nothing(Box<Node>),
}

impl Inventory {
    /// Takes up the nodes that the store remembers, page by page.
    pub async fn restore(
        store: Arc<dyn NodeStore>,
        boots: Arc<dyn Boots>,
        site: watch::Receiver<Arc<Site>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let (index, table, placing) = (Index::default(), Table::default(), Placing::new(site.clone()));
        let mut after = None;
        loop {
            let page = store.nodes(after, PAGE).await?;
            for node in page.items {
                placing.put(&table, &node);
                index.put(Arc::new(node));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Self {
            store,
            boots,
            site,
            clock,
            index: Arc::new(index),
            table: Arc::new(table),
            placing: Arc::new(placing),
            locks: MachineLocks::default(),
            amending: Semaphore::new(MOST_AMENDING),
            newcomers: AtomicUsize::new(0),
            forgetting: Arc::default(),
            most_nodes: MOST_NODES,
            counters: Counters::default(),
            quiet: Quiet::default(),
            stopping: CancellationToken::new(),
            watching: AtomicBool::new(false),
        })
    }

    /// The same with room for fewer nodes than [`MOST_NODES`]. Those that are known stay, even if they are more.
    #[must_use]
    pub fn with_room_for(self, nodes: usize) -> Self {
        Self { most_nodes: nodes, ..self }
    }

    /// Whether, from now on, no agent is given an order: they are told to wait.
    pub fn only_watch(&self, watching: bool) {
        self.watching.store(watching, Ordering::SeqCst);
    }

    /// How many nodes are known.
    pub fn count(&self) -> usize {
        self.index.len()
    }

    /// The table that lists and searches are answered from.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// A page of the nodes that fit, in order.
    ///
    /// # Errors
    /// When the cursor is none or another list's, or a document could not be read.
    pub async fn search(&self, ask: Ask, bounds: Bounds) -> Result<Found, SearchError> {
        search::search(self.table.clone(), self.store.clone(), ask, bounds, self.clock.now()).await
    }

    /// How often what happened, by reason, in a fixed order: `("accepted_new", 3)`.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.counters.read()
    }

    /// Answers every agent that waits for an order now, and those who ask later without waiting, so that their listener
    /// can end.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// The site in force, arranged for looking up what it says of a node, and where that stands.
    pub fn layout(&self) -> Arc<Layout> {
        self.placing.layout()
    }

    /// Writes a node, with its newest report if there is one, and then the index. Both happen, or neither, even when
    /// whoever asked goes away meanwhile: a request that is dropped half-way must not leave the index behind the store.
    pub(crate) async fn keep(&self, node: Node, report: Option<KeptReport>) -> Result<Arc<Node>, StoreError> {
        let (store, index, forgetting) = (self.store.clone(), self.index.clone(), self.forgetting.clone());
        let (table, placing) = (self.table.clone(), self.placing.clone());
        let keeping = tokio::spawn(async move {
            let _nothing_is_forgotten = forgetting.read().await;
            match &report {
                Some(report) => store.keep_report(&node, report).await?,
                None => store.keep_node(&node).await?,
            }
            let node = Arc::new(node);
            index.put(node.clone());
            placing.put(&table, &node);
            Ok(node)
        });
        keeping.await.unwrap_or_else(|ended| Err(StoreError::Unavailable { attempted: "keep a node", source: ended.into() }))
    }

    /// Takes a node out of the store and then out of the index, if it still has this version; both or neither, too.
    pub(crate) async fn strike(&self, id: NodeId, version: u64) -> Result<(), StoreError> {
        let (store, index, table, forgetting) = (self.store.clone(), self.index.clone(), self.table.clone(), self.forgetting.clone());
        let striking = tokio::spawn(async move {
            let _nothing_is_kept = forgetting.write().await;
            store.forget_node(id, version).await?;
            index.remove(id);
            table.remove(id);
            Ok(())
        });
        striking.await.unwrap_or_else(|ended| Err(StoreError::Unavailable { attempted: "forget a node", source: ended.into() }))
    }

    /// Changes a node as it stands in the store, again if it was changed by somebody else meanwhile.
    pub(crate) async fn change<E: From<StoreError>>(
        &self,
        id: NodeId,
        change: impl Fn(Option<Node>) -> Result<Change, E>,
    ) -> Result<Arc<Node>, E> {
        for _ in 0..MOST_TRIES {
            let before = self.store.node(id).await?;
            let version = before.as_ref().map_or(0, |node| node.version);
            let node = match change(before)? {
                Change::Nothing(node) => return Ok(Arc::new(self.as_heard(*node))),
                Change::Keep(node) => Node { version: version + 1, ..self.as_heard(*node) },
            };
            match self.keep(node, None).await {
                Err(StoreError::Changed) => {}
                kept => return Ok(kept?),
            }
        }
        Err(StoreError::Changed.into())
    }

    /// A node of the store with the time at which it was really heard last.
    pub(crate) fn as_heard(&self, node: Node) -> Node {
        let heard = self.index.get(node.id).map_or(node.last_seen, |known| known.last_seen);
        Node { last_seen: node.last_seen.max(heard), ..node }
    }

    /// Counts a refusal, and says so in the log unless the log has heard enough.
    pub(crate) fn refuse(&self, what: Happened, sentence: impl FnOnce() -> String) {
        self.counters.count(what);
        if self.quiet.may_speak(self.clock.now()) {
            tracing::warn!("{}", sentence());
        }
    }
}

impl Directory for Inventory {
    fn known(&self, mac: Option<MacAddr>, uuid: Option<Uuid>) -> Option<Known> {
        self.index.known(mac, uuid)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::fakes::{Hall, NodeOf, machine};
    use crate::search::{Ask, Bounds};
    use domain::ports::Directory;

    #[tokio::test]
    async fn lists_know_what_was_kept_heard_and_forgotten() {
        let mut hall = Hall::new().await;
        let (one, two) = (hall.report_ok(&machine(1)).await.id(), hall.report_ok(&machine(2)).await.id());
        hall.inventory.rename(one, Some("w1"), None).await.unwrap();
        for _ in 0..2 {
            let ask = Ask { query: "name = w1 and seen < 1m".parse().unwrap(), limit: 10, ..Ask::default() };
            let found = hall.inventory.search(ask, Bounds::default()).await.unwrap();
            assert_eq!((found.items.iter().map(|hit| hit.id).collect::<Vec<_>>(), found.total), (vec![one], Some(1)));
            hall.clock.forward(300);
            let agent = hall.agent(&machine(1));
            hall.send(agent.request("GET", "/orders", "")).await;
            hall.restart().await;
        }
        hall.inventory.forget(two, None).await.unwrap();
        assert_eq!(hall.inventory.table().len(), 1);
    }

    #[tokio::test]
    async fn what_was_kept_is_known_again_after_a_restart() {
        let mut hall = Hall::new().await;
        for n in 0..1203 {
            hall.report_ok(&machine(n)).await;
        }
        let before = hall.inventory.list(None, 1000);
        hall.restart().await;
        assert_eq!(hall.inventory.count(), 1203);
        assert_eq!(hall.inventory.list(None, 1000), before);
        let machine = machine(1202);
        let known = hall.inventory.known(Some(machine.mac), None).unwrap();
        assert_eq!(known.label, "VM-1202");
        assert_eq!(hall.inventory.known(None, Some(machine.uuid)), Some(known));
        assert_eq!(hall.inventory.known(None, None), None);
    }
}
