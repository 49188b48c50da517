//! A store for tests: in memory, with its history, and failing when it should.

#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use domain::document::Document;
use domain::history::{HardwareTest, KeptReport, PastReport, Retention, Snapshot};
use domain::node::Node;
use domain::ports::{NodeStore, Page, StoreError};
use domain::{NodeId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A node's reports by number, as they came.
type Reports = BTreeMap<u64, KeptReport>;

#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) nodes: Mutex<BTreeMap<NodeId, Node>>,
    reports: Mutex<BTreeMap<NodeId, Reports>>,
    tests: Mutex<BTreeMap<NodeId, Vec<HardwareTest>>>,
    /// Writes, and how many reports brought a document.
    pub(crate) writes: AtomicU64,
    pub(crate) documents: AtomicU64,
    /// Reads, but for those of a start.
    pub(crate) reads: AtomicU64,
    failing: AtomicBool,
}

impl FakeStore {
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Lets others run in between, as a real store does, and fails when it should.
    async fn work(&self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        match self.failing.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable { attempted: "do its work", source: "the disk is full".into() }),
            false => Ok(()),
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.work().await
    }

    /// Both or neither, and nobody sees one without the other.
    fn put(&self, node: &Node, report: Option<&KeptReport>) -> Result<(), StoreError> {
        let mut nodes = self.nodes.lock().unwrap();
        if nodes.get(&node.id).map_or(0, |old| old.version) + 1 != node.version {
            return Err(StoreError::Changed);
        }
        if let Some(name) = &node.name
            && nodes.values().any(|other| other.id != node.id && other.name.as_ref() == Some(name))
        {
            return Err(StoreError::NameTaken { name: name.clone() });
        }
        nodes.insert(node.id, node.clone());
        if let Some(report) = report {
            self.reports.lock().unwrap().entry(node.id).or_default().insert(node.reports, report.clone());
        }
        Ok(())
    }

    /// The document in force after the last report that `fits`.
    fn last(&self, id: NodeId, fits: impl Fn(u64, &KeptReport) -> bool) -> Option<Snapshot> {
        let reports = self.reports.lock().unwrap();
        let reports = reports.get(&id)?;
        let (number, last) = reports.iter().rev().find(|(number, report)| fits(**number, report))?;
        let json = reports.range(..=number).rev().find_map(|(_, report)| report.document.as_ref())?;
        let document: Document = serde_json::from_str(json).unwrap();
        Some(Snapshot { number: *number, at: last.at, document, readings: last.readings.clone() })
    }
}

fn page<T>(all: impl Iterator<Item = T>, limit: usize, id: impl Fn(&T) -> NodeId) -> Page<T> {
    let mut all = all;
    let items: Vec<_> = all.by_ref().take(limit).collect();
    let next = all.next().and_then(|_| items.last().map(id));
    Page { items, next }
}

#[async_trait]
impl NodeStore for FakeStore {
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.read().await?;
        Ok(self.nodes.lock().unwrap().get(&id).cloned())
    }
    async fn nodes(&self, after: Option<NodeId>, limit: usize) -> Result<Page<Node>, StoreError> {
        self.work().await?;
        let nodes = self.nodes.lock().unwrap();
        Ok(page(nodes.values().filter(|node| after.is_none_or(|after| node.id > after)).cloned(), limit, |node| node.id))
    }
    async fn keep_node(&self, node: &Node) -> Result<(), StoreError> {
        self.work().await?;
        self.put(node, None)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        // Whoever asked is told a little later.
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn keep_report(&self, node: &Node, report: &KeptReport) -> Result<(), StoreError> {
        self.work().await?;
        self.put(node, Some(report))?;
        self.documents.fetch_add(u64::from(report.document.is_some()), Ordering::SeqCst);
        self.writes.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn keep_seen(&self, id: NodeId, at: Timestamp) -> Result<(), StoreError> {
        self.work().await?;
        if let Some(node) = self.nodes.lock().unwrap().get_mut(&id) {
            node.last_seen = node.last_seen.max(at);
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    async fn forget_node(&self, id: NodeId, expected_version: u64) -> Result<(), StoreError> {
        self.work().await?;
        {
            let mut nodes = self.nodes.lock().unwrap();
            if nodes.get(&id).is_some_and(|node| node.version != expected_version) {
                return Err(StoreError::Changed);
            }
            nodes.remove(&id);
            self.reports.lock().unwrap().remove(&id);
            self.tests.lock().unwrap().remove(&id);
        }
        // Whoever asked is told a little later.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn snapshot(&self, id: NodeId, at: Option<Timestamp>) -> Result<Option<Snapshot>, StoreError> {
        self.read().await?;
        Ok(self.last(id, |_, report| at.is_none_or(|at| report.at <= at)))
    }
    async fn snapshot_after(&self, id: NodeId, number: u64) -> Result<Option<Snapshot>, StoreError> {
        self.read().await?;
        Ok(self.last(id, |other, _| other == number))
    }
    async fn snapshots(
        &self,
        at: Option<Timestamp>,
        after: Option<NodeId>,
        limit: usize,
        most_bytes: usize,
    ) -> Result<Page<(NodeId, Snapshot)>, StoreError> {
        self.read().await?;
        let ids: Vec<_> = self.reports.lock().unwrap().keys().filter(|id| after.is_none_or(|after| **id > after)).copied().collect();
        let mut left = ids.into_iter().filter_map(|id| Some((id, self.last(id, |_, report| at.is_none_or(|at| report.at <= at))?)));
        let mut items: Vec<(NodeId, Snapshot)> = vec![];
        let mut bytes = 0;
        for item in left.by_ref() {
            bytes += serde_json::to_vec(&item.1.document).unwrap().len();
            if items.len() == limit || (bytes > most_bytes && !items.is_empty()) {
                let next = items.last().map(|(id, _)| *id);
                return Ok(Page { items, next });
            }
            items.push(item);
        }
        Ok(Page { items, next: None })
    }
    async fn reports(&self, id: NodeId, before: Option<u64>, limit: usize) -> Result<Vec<PastReport>, StoreError> {
        self.read().await?;
        let reports = self.reports.lock().unwrap();
        let past = |(number, report): (&u64, &KeptReport)| PastReport {
            number: *number,
            at: report.at,
            boot: report.boot,
            address: report.address,
            amends: report.amends,
            changed: report.document.is_some(),
            digest: Some(report.digest),
        };
        let past =
            reports.get(&id).into_iter().flatten().rev().filter(|(number, _)| before.is_none_or(|before| **number < before)).map(past);
        Ok(past.take(limit).collect())
    }
    async fn changed_since(&self, since: Timestamp, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>, StoreError> {
        self.read().await?;
        let reports = self.reports.lock().unwrap();
        let changed = |(id, reports): (&NodeId, &Reports)| {
            let later = after.is_none_or(|after| *id > after);
            (later && reports.values().any(|report| report.at > since && report.document.is_some())).then_some(*id)
        };
        Ok(page(reports.iter().filter_map(changed), limit, |id| *id))
    }
    async fn prune(&self, retention: &Retention) -> Result<u64, StoreError> {
        self.work().await?;
        let mut gone = 0;
        for reports in self.reports.lock().unwrap().values_mut() {
            let newest = reports.last_key_value().map_or(0, |(number, _)| *number);
            let in_force = reports.iter().filter(|(_, report)| report.at < retention.before).map(|(number, _)| *number).max();
            let first = in_force.unwrap_or(0).max(newest.saturating_sub(retention.most_reports.max(1) - 1)).min(newest);
            let (mut old, mut kept) = (std::mem::take(reports), BTreeMap::new());
            kept.append(&mut old.split_off(&first));
            // What was in force then stays, also when it came with an older report.
            if let Some((_, oldest)) = kept.iter_mut().next()
                && oldest.document.is_none()
            {
                oldest.document = old.values_mut().rev().find_map(|report| report.document.take());
            }
            gone += old.len() as u64;
            *reports = kept;
        }
        Ok(gone)
    }

    async fn keep_test(&self, node: NodeId, test: &HardwareTest) -> Result<(), StoreError> {
        self.work().await?;
        if !self.nodes.lock().unwrap().contains_key(&node) {
            return Err(StoreError::Changed);
        }
        let mut tests = self.tests.lock().unwrap();
        let tests = tests.entry(node).or_default();
        tests.retain(|other| other.id != test.id);
        tests.push(test.clone());
        tests.sort_by_key(|test| (test.ordered, test.id));
        Ok(())
    }
    async fn tests(&self, node: NodeId, limit: usize) -> Result<Vec<HardwareTest>, StoreError> {
        self.read().await?;
        Ok(self.tests.lock().unwrap().get(&node).into_iter().flatten().rev().take(limit).cloned().collect())
    }
}
