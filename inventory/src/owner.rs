//! The owner of what is known of nodes: restores it, answers the boot protocols from memory, and is the one place that
//! writes nodes.

use crate::counters::{Counters, Happened, Quiet};
use crate::index::Index;
use domain::clock::Clock;
use domain::node::{Known, Node};
use domain::ports::{Boots, Directory, NodeStore, StoreError};
use domain::site::Site;
use domain::{MacAddr, NodeId, Timestamp};
use std::sync::Arc;
use tokio::sync::{Mutex, RwLock, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The most nodes that are remembered; a report of one more machine is refused. They are all known in memory, which
/// invented machines must not fill.
pub const MOST_NODES: usize = 100_000;
/// How many nodes are read from the store at once.
const PAGE: usize = 500;
/// How often a change is tried again when somebody else changed the same node meanwhile.
pub(crate) const MOST_TRIES: usize = 16;

/// Everything that is known of nodes.
pub struct Inventory {
    pub(crate) store: Arc<dyn NodeStore>,
    pub(crate) boots: Arc<dyn Boots>,
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) index: Arc<Index>,
    /// Held from recognising a machine until it is kept: two reports of a new machine must not make two nodes.
    pub(crate) recognising: Mutex<()>,
    /// Shared while a node is written to the store and the index, alone while one is forgotten in both: a node that is
    /// gone from the store must not come back into the index.
    forgetting: Arc<RwLock<()>>,
    pub(crate) most_nodes: usize,
    pub(crate) counters: Counters,
    pub(crate) quiet: Quiet,
    pub(crate) stopping: CancellationToken,
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
        let index = Index::default();
        let mut after = None;
        loop {
            let page = store.known_nodes(after, PAGE).await?;
            page.items.into_iter().for_each(|node| index.put(node));
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
            recognising: Mutex::new(()),
            forgetting: Arc::default(),
            most_nodes: MOST_NODES,
            counters: Counters::default(),
            quiet: Quiet::default(),
            stopping: CancellationToken::new(),
        })
    }

    /// The same with room for fewer nodes than [`MOST_NODES`]. Those that are known stay, even if they are more.
    #[must_use]
    pub fn with_room_for(self, nodes: usize) -> Self {
        Self { most_nodes: nodes, ..self }
    }

    /// How many nodes are known.
    pub fn count(&self) -> usize {
        self.index.len()
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

    /// Writes a node and then the index. Both happen, or neither, even when whoever asked goes away meanwhile: a
    /// request that is dropped half-way must not leave the index behind the store.
    pub(crate) async fn keep(&self, node: Node) -> Result<Node, StoreError> {
        let (store, index, forgetting) = (self.store.clone(), self.index.clone(), self.forgetting.clone());
        let keeping = tokio::spawn(async move {
            let _nothing_is_forgotten = forgetting.read().await;
            store.keep_node(&node).await?;
            index.put(node.brief());
            Ok(node)
        });
        keeping.await.unwrap_or_else(|ended| Err(StoreError::Unavailable { attempted: "keep a node", source: ended.into() }))
    }

    /// Takes a node out of the store and then out of the index, if it still has this version; both or neither, too.
    pub(crate) async fn strike(&self, id: NodeId, version: u64) -> Result<(), StoreError> {
        let (store, index, forgetting) = (self.store.clone(), self.index.clone(), self.forgetting.clone());
        let striking = tokio::spawn(async move {
            let _nothing_is_kept = forgetting.write().await;
            store.forget_node(id, version).await?;
            index.remove(id);
            Ok(())
        });
        striking.await.unwrap_or_else(|ended| Err(StoreError::Unavailable { attempted: "forget a node", source: ended.into() }))
    }

    /// Changes a node as it stands in the store, again if it was changed by somebody else meanwhile.
    pub(crate) async fn change<E: From<StoreError>>(
        &self,
        id: NodeId,
        change: impl Fn(Option<Node>) -> Result<Change, E>,
    ) -> Result<Node, E> {
        for _ in 0..MOST_TRIES {
            let before = self.store.node(id).await?;
            let version = before.as_ref().map_or(0, |node| node.version);
            let node = match change(before)? {
                Change::Nothing(node) => return Ok(self.as_heard(*node)),
                Change::Keep(node) => Node { version: version + 1, ..self.as_heard(*node) },
            };
            match self.keep(node).await {
                Err(StoreError::Changed) => {}
                kept => return Ok(kept?),
            }
        }
        Err(StoreError::Changed.into())
    }

    /// A node of the store with the time at which it was really heard last.
    pub(crate) fn as_heard(&self, node: Node) -> Node {
        Node { last_seen: self.last_heard(node.id, node.last_seen), ..node }
    }

    /// When a node was really heard last, of which the store knows `kept`.
    pub(crate) fn last_heard(&self, id: NodeId, kept: Timestamp) -> Timestamp {
        self.index.last_seen(id).map_or(kept, |heard| heard.max(kept))
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
    use crate::fakes::{Hall, machine};
    use domain::ports::Directory;

    #[tokio::test]
    async fn what_was_kept_is_known_again_after_a_restart() {
        let mut hall = Hall::new().await;
        for n in 0..1203 {
            hall.report_ok(&machine(n)).await;
        }
        let before = hall.inventory.list(None, 1000).await.unwrap();
        hall.restart().await;
        assert_eq!(hall.inventory.count(), 1203);
        assert_eq!(hall.inventory.list(None, 1000).await.unwrap(), before);
        let machine = machine(1202);
        let known = hall.inventory.known(Some(machine.mac), None).unwrap();
        assert_eq!(known.label, "VM-1202");
        assert_eq!(hall.inventory.known(None, Some(machine.uuid)), Some(known));
        assert_eq!(hall.inventory.known(None, None), None);
    }
}
