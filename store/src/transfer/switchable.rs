//! A store that can be another from one moment to the next, without anybody who uses it noticing more than a pause.
//!
//! Every write holds the gate open while it lasts; who wants to switch closes it, which waits for those that are under way.
//! So a write is acknowledged by the one store or by the other, and never by neither.

use super::{Journal, Moment, Row, State, Transfer};
use crate::schema::Table;
use crate::{OpenStore, Stats};
use async_trait::async_trait;
use domain::Timestamp;
use domain::boot::Boot;
use domain::history::{HardwareTest, KeptReport, PastReport, Retention, Snapshot};
use domain::ids::{BootId, NodeId};
use domain::lease::Lease;
use domain::mac::MacAddr;
use domain::node::Node;
use domain::ports::{
    AnswerStore, Answered, BootStore, LeaseStore, NodeStore, ObserveOnly, ObserveStore, Page, Revision, SiteStore, StoreError,
};
use domain::timeline::{Step, Timeline};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{RwLock as Gate, RwLockWriteGuard, watch};
use tokio::time::{Instant, sleep, timeout};

/// How many steps of boots wait while the gate is closed.
const MOST_NOTES: usize = 1024;
/// How long reads of the store before may go on.
const LEAVING: Duration = Duration::from_secs(15);

/// The store in use.
pub struct Switchable {
    current: RwLock<Arc<dyn OpenStore>>,
    gate: Gate<()>,
    notes: Mutex<Vec<(Option<Boot>, Step)>>,
    /// What the stores before have done.
    before: Mutex<Stats>,
    switched: watch::Sender<()>,
    pub(super) migrating: tokio::sync::Mutex<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switchable {
    /// That begins with this one.
    pub fn new(store: Arc<dyn OpenStore>) -> Self {
        let (switched, _) = watch::channel(());
        Self {
            current: RwLock::new(store),
            gate: Gate::default(),
            notes: Mutex::default(),
            before: Mutex::default(),
            switched,
            migrating: tokio::sync::Mutex::default(),
        }
    }

    /// The store in use.
    pub(super) fn now(&self) -> Arc<dyn OpenStore> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until no write is under way, and lets none begin.
    pub(super) async fn close_gate(&self, within: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        timeout(within, self.gate.write()).await.ok()
    }

    /// Lets writes go on.
    pub(super) fn open_gate(&self, closed: RwLockWriteGuard<'_, ()>) {
        drop(closed);
        self.hand_over_notes();
    }

    /// Has everything go to another store from now on. The gate is closed. Yields the one before.
    pub(super) fn switch(&self, to: Arc<dyn OpenStore>) -> Arc<dyn OpenStore> {
        let old = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), to);
        let done = old.stats();
        let mut before = locked(&self.before);
        *before = sum(*before, done);
        drop(before);
        self.switched.send_replace(());
        old
    }

    /// Closes a store that is not in use any more, when those who still read it are done.
    pub(super) async fn leave(old: Arc<dyn OpenStore>) {
        let until = Instant::now() + LEAVING;
        while Arc::strong_count(&old) > 1 && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
        }
        old.close().await;
    }

    fn hand_over_notes(&self) {
        let Ok(_open) = self.gate.try_read() else { return };
        let notes = std::mem::take(&mut *locked(&self.notes));
        let store = self.now();
        for (boot, step) in notes {
            store.note(boot.as_ref(), step);
        }
    }
}

fn sum(a: Stats, b: Stats) -> Stats {
    Stats {
        commits: a.commits + b.commits,
        written: a.written + b.written,
        failures: a.failures + b.failures,
        notes_lost: a.notes_lost + b.notes_lost,
    }
}

#[async_trait]
impl OpenStore for Switchable {
    fn stats(&self) -> Stats {
        sum(*locked(&self.before), self.now().stats())
    }

    fn place(&self) -> Arc<str> {
        self.now().place()
    }

    async fn close(&self) {
        self.now().close().await;
    }

    async fn run_until_failure(&self) -> StoreError {
        let mut switched = self.switched.subscribe();
        loop {
            let store = self.now();
            tokio::select! {
                failed = store.run_until_failure() => return failed,
                // The other end is this value's own.
                _ = switched.changed() => {}
            }
        }
    }

    async fn begin_observing(&self, why: &ObserveOnly) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().begin_observing(why).await
    }
}

#[async_trait]
impl LeaseStore for Switchable {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.now().leases().await
    }

    async fn keep_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_lease(lease).await
    }
}

#[async_trait]
impl BootStore for Switchable {
    async fn recent_boots(&self, most: usize) -> Result<Vec<Boot>, StoreError> {
        self.now().recent_boots(most).await
    }

    async fn keep_boot(&self, boot: &Boot) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_boot(boot).await
    }

    fn note(&self, boot: Option<&Boot>, step: Step) -> bool {
        if let Ok(_open) = self.gate.try_read() {
            return self.now().note(boot, step);
        }
        {
            let mut notes = locked(&self.notes);
            if notes.len() >= MOST_NOTES {
                return false;
            }
            notes.push((boot.cloned(), step));
        }
        // The gate may have been opened meanwhile.
        self.hand_over_notes();
        true
    }

    async fn timelines(&self, macs: &[MacAddr], most: usize) -> Result<Vec<Timeline>, StoreError> {
        self.now().timelines(macs, most).await
    }

    async fn timeline(&self, boot: BootId) -> Result<Option<Timeline>, StoreError> {
        self.now().timeline(boot).await
    }
}

#[async_trait]
impl NodeStore for Switchable {
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.now().node(id).await
    }

    async fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Page<Node>, StoreError> {
        self.now().nodes(after, limit).await
    }

    async fn keep_node(&self, node: &Node) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_node(node).await
    }

    async fn keep_report(&self, node: &Node, report: &KeptReport) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_report(node, report).await
    }

    async fn keep_seen(&self, id: NodeId, at: Timestamp) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_seen(id, at).await
    }

    async fn forget_node(&self, id: NodeId, expected_version: u64) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().forget_node(id, expected_version).await
    }

    async fn snapshot(&self, id: NodeId, at: Option<Timestamp>) -> Result<Option<Snapshot>, StoreError> {
        self.now().snapshot(id, at).await
    }

    async fn snapshot_after(&self, id: NodeId, number: u64) -> Result<Option<Snapshot>, StoreError> {
        self.now().snapshot_after(id, number).await
    }

    async fn snapshots(
        &self,
        at: Option<Timestamp>,
        after: Option<NodeId>,
        limit: usize,
        most_bytes: usize,
    ) -> Result<Page<(NodeId, Snapshot)>, StoreError> {
        self.now().snapshots(at, after, limit, most_bytes).await
    }

    async fn reports(&self, id: NodeId, before: Option<u64>, limit: usize) -> Result<Vec<PastReport>, StoreError> {
        self.now().reports(id, before, limit).await
    }

    async fn changed_since(&self, since: Timestamp, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>, StoreError> {
        self.now().changed_since(since, after, limit).await
    }

    async fn prune(&self, retention: &Retention) -> Result<u64, StoreError> {
        let _open = self.gate.read().await;
        self.now().prune(retention).await
    }

    async fn keep_test(&self, node: NodeId, test: &HardwareTest) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_test(node, test).await
    }

    async fn tests(&self, node: NodeId, limit: usize) -> Result<Vec<HardwareTest>, StoreError> {
        self.now().tests(node, limit).await
    }
}

#[async_trait]
impl SiteStore for Switchable {
    async fn current_site(&self) -> Result<Option<Revision>, StoreError> {
        self.now().current_site().await
    }

    async fn revisions(&self, most: usize) -> Result<Vec<Revision>, StoreError> {
        self.now().revisions(most).await
    }

    async fn keep_revision(&self, revision: &Revision) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_revision(revision).await
    }
}

#[async_trait]
impl AnswerStore for Switchable {
    async fn answered(&self, key: &str) -> Result<Option<Answered>, StoreError> {
        self.now().answered(key).await
    }

    async fn keep_answer(&self, answer: &Answered) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().keep_answer(answer).await
    }
}

#[async_trait]
impl ObserveStore for Switchable {
    async fn observe_only(&self) -> Result<Option<ObserveOnly>, StoreError> {
        self.now().observe_only().await
    }

    async fn end_observing(&self) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().end_observing().await
    }
}

#[async_trait]
impl Transfer for Switchable {
    async fn moment(&self) -> Result<Box<dyn Moment>, StoreError> {
        self.now().moment().await
    }

    async fn follow(&self, journal: Arc<Journal>) -> Result<Box<dyn Moment>, StoreError> {
        self.now().follow(journal).await
    }

    async fn unfollow(&self) -> Result<(), StoreError> {
        self.now().unfollow().await
    }

    async fn replay(&self, records: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().replay(records).await
    }

    async fn fill(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().fill(table, rows).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().clear().await
    }

    async fn state(&self, state: State) -> Result<Option<String>, StoreError> {
        self.now().state(state).await
    }

    async fn set_state(&self, state: State, value: Option<String>) -> Result<(), StoreError> {
        let _open = self.gate.read().await;
        self.now().set_state(state, value).await
    }
}
