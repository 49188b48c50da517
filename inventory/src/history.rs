//! How nodes were, and what has changed since. Reads the store, decides nothing.

use crate::accept::beside;
use crate::owner::Inventory;
use crate::translate::summary_of;
use domain::document::{Change, Document, differences};
use domain::hardware::Summary;
use domain::history::{PastReport, Retention, Snapshot};
use domain::ports::{Page, StoreError};
use domain::timeline::printable;
use domain::{NodeId, Timestamp};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The most reports, nodes or documents on one page.
const MOST_REPORTS: usize = 1000;
const MOST_NODES: usize = 500;
const MOST_DOCUMENTS: usize = 200;
/// The most bytes of documents, and of changes, on one page. One item is always told.
const MOST_BYTES: usize = 8 << 20;
/// Of how many reports, the newest that changed anything, it is found out what each of them changed: of one node, and where
/// many nodes are compared.
const STEPS: usize = 64;
const STEPS_OF_MANY: usize = 4;
/// How long it is looked when each change came, and how long nodes are compared for one page. One node is always compared.
const LONGEST_WALK: Duration = Duration::from_secs(2);
/// How many documents are compared at once, so that the processors have time for everything else: 4 MiB take a tenth of a
/// second.
static COMPARING: Semaphore = Semaphore::const_new(2);

/// When a node is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As it is.
    Now,
    /// As it was at a time.
    At(Timestamp),
    /// As it was after one of its reports, by number.
    After(u64),
}

/// One of a node's reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// When it was accepted.
    pub at: Timestamp,
}

/// A node's document as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The report after which it was like this.
    pub mark: Mark,
    /// The document with the readings of that report.
    pub document: Document,
}

impl Past {
    /// The hardware in short, as it was.
    pub fn summary(&self) -> Summary {
        summary_of(&self.document)
    }
}

/// A change, and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Dated {
    /// The change.
    pub change: Change,
    /// The newest report that changed this; none where finding out would take too long.
    pub came: Option<Mark>,
}

/// What is different in a node's document between two of its reports. Readings are not compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    /// The report that is compared with. It is later than what was asked for where nothing older is kept, or the node was not
    /// known then.
    pub from: Mark,
    /// The report that is compared.
    pub to: Mark,
    /// The differences, by path.
    pub changes: Vec<Dated>,
}

/// What is different of one node among all.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeDifferences {
    /// The node.
    pub id: NodeId,
    /// What a person calls it.
    pub label: String,
    /// What has changed; none for a node that was not known then.
    pub differences: Option<Differences>,
}

/// A node as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeThen {
    /// The node.
    pub id: NodeId,
    /// What a person calls it now.
    pub label: String,
    /// Its hardware in short, as it was.
    pub summary: Summary,
    /// Its document then.
    pub past: Past,
}

/// Why a node's past was not told.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No such node.
    #[error("there is no node {id}: `overture nodes list` shows those there are")]
    NotFound {
        /// Its id.
        id: NodeId,
    },
    /// Nothing is kept of that report.
    #[error("report {number} of {label} is not kept: `overture nodes history` shows those that are")]
    NotKept {
        /// What a person calls the node.
        label: String,
        /// The report's number.
        number: u64,
    },
    /// The node has no document.
    #[error("no document of {label} is kept: it comes with the node's next report")]
    NoDocument {
        /// What a person calls the node.
        label: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inventory {
    /// A node's reports, newest first, those before number `before`; `limit` is kept between 1 and 1000.
    ///
    /// # Errors
    /// When there is no such node, or the store cannot read them.
    pub async fn history(&self, id: NodeId, before: Option<u64>, limit: usize) -> Result<Vec<PastReport>, HistoryError> {
        self.there_is(id)?;
        Ok(self.store.reports(id, before, limit.clamp(1, MOST_REPORTS)).await?)
    }

    /// A node's document at a moment, with its readings; the oldest that is kept where the node was not known at that time.
    ///
    /// # Errors
    /// When there is no such node, nothing is kept of that moment, or the store cannot read it.
    pub async fn document(&self, id: NodeId, moment: Moment) -> Result<Past, HistoryError> {
        let snapshot = self.snapshot(id, moment).await?;
        Ok(beside(true, move || past(snapshot)).await)
    }

    /// What is different in a node's document between two moments.
    ///
    /// # Errors
    /// When there is no such node, nothing is kept of those moments, or the store cannot read it.
    pub async fn differences(&self, id: NodeId, from: Moment, to: Moment) -> Result<Differences, HistoryError> {
        let (from, to) = (self.snapshot(id, from).await?, self.snapshot(id, to).await?);
        self.compared(id, from, to, STEPS, Instant::now() + LONGEST_WALK).await
    }

    /// What is different now from a moment in the past, of all nodes, and which are new since; by id, those after `after`,
    /// `limit` between 1 and 500. Nodes without a difference are left out: a page may be short, also empty, and `next` says
    /// whether there are more. Nodes that were forgotten are not told.
    ///
    /// # Errors
    /// When the store cannot read them.
    pub async fn inventory_differences(
        &self,
        since: Timestamp,
        after: Option<NodeId>,
        limit: usize,
    ) -> Result<Page<NodeDifferences>, StoreError> {
        self.differences_until(since, after, limit, Instant::now() + LONGEST_WALK).await
    }

    async fn differences_until(
        &self,
        since: Timestamp,
        after: Option<NodeId>,
        limit: usize,
        until: Instant,
    ) -> Result<Page<NodeDifferences>, StoreError> {
        let changed = self.store.changed_since(since, after, limit.clamp(1, MOST_NODES)).await?;
        let (mut items, mut bytes) = (vec![], 0);
        let last = changed.items.last().copied();
        for id in changed.items {
            if let Some(found) = self.different_since(id, since, until).await? {
                bytes += found.differences.as_ref().map_or(0, size);
                items.push(found);
            }
            if (bytes > MOST_BYTES || Instant::now() >= until) && last != Some(id) {
                return Ok(Page { items, next: Some(id) });
            }
        }
        Ok(Page { items, next: changed.next })
    }

    /// All nodes as they were at a moment, by id, those after `after`, `limit` between 1 and 200. Nodes of which nothing is
    /// kept of that moment are left out, and so are those forgotten since.
    ///
    /// # Errors
    /// When the store cannot read them.
    pub async fn nodes_at(&self, at: Timestamp, after: Option<NodeId>, limit: usize) -> Result<Page<NodeThen>, StoreError> {
        let page = self.store.snapshots(Some(at), after, limit.clamp(1, MOST_DOCUMENTS), MOST_BYTES).await?;
        let named: Vec<_> = page.items.into_iter().map(|(id, snapshot)| (id, self.index.label(id), snapshot)).collect();
        let then = |(id, label, snapshot)| {
            let past = past(snapshot);
            NodeThen { id, label, summary: summary_of(&past.document), past }
        };
        let items = beside(true, move || named.into_iter().map(then).collect()).await;
        Ok(Page { items, next: page.next })
    }

    /// Lets go of history that is older than what is to be kept, a bounded part of it; says how many reports went. Call it
    /// again until it says none, and then from time to time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_once(&self, retention: &Retention) -> Result<u64, StoreError> {
        self.store.prune(retention).await
    }

    fn there_is(&self, id: NodeId) -> Result<(), HistoryError> {
        if self.index.contains(id) { Ok(()) } else { Err(HistoryError::NotFound { id }) }
    }

    async fn snapshot(&self, id: NodeId, moment: Moment) -> Result<Snapshot, HistoryError> {
        self.there_is(id)?;
        let found = match moment {
            Moment::Now => self.store.snapshot(id, None).await?,
            Moment::After(number) => self.store.snapshot_after(id, number).await?,
            Moment::At(at) => match self.store.snapshot(id, Some(at)).await? {
                None => self.oldest(id).await?,
                found => found,
            },
        };
        let label = || printable(&self.index.label(id), 80);
        found.ok_or_else(|| match moment {
            Moment::After(number) => HistoryError::NotKept { label: label(), number },
            Moment::Now | Moment::At(_) => HistoryError::NoDocument { label: label() },
        })
    }

    /// The oldest document that is kept of a node.
    async fn oldest(&self, id: NodeId) -> Result<Option<Snapshot>, StoreError> {
        let mut oldest = None;
        loop {
            let page = self.store.reports(id, oldest, MOST_REPORTS).await?;
            let Some(last) = page.last() else { break };
            oldest = Some(last.number);
            if page.len() < MOST_REPORTS {
                break;
            }
        }
        match oldest {
            Some(number) => self.store.snapshot_after(id, number).await,
            None => Ok(None),
        }
    }

    async fn different_since(&self, id: NodeId, since: Timestamp, until: Instant) -> Result<Option<NodeDifferences>, StoreError> {
        let Some(node) = self.index.get(id) else { return Ok(None) };
        let label = node.label();
        if node.first_seen > since {
            return Ok(Some(NodeDifferences { id, label, differences: None }));
        }
        let both = async {
            let (from, to) = (self.snapshot(id, Moment::At(since)).await?, self.snapshot(id, Moment::Now).await?);
            self.compared(id, from, to, STEPS_OF_MANY, until).await
        };
        match both.await {
            Ok(found) if found.changes.is_empty() => Ok(None),
            Ok(found) => Ok(Some(NodeDifferences { id, label, differences: Some(found) })),
            Err(HistoryError::Store(error)) => Err(error),
            // Forgotten meanwhile, or nothing is kept that could be compared.
            Err(_) => Ok(None),
        }
    }

    /// Until when it is looked when each change came; the comparison itself is always made.
    async fn compared(&self, id: NodeId, from: Snapshot, to: Snapshot, steps: usize, until: Instant) -> Result<Differences, HistoryError> {
        let (first, last) = (mark(&from), mark(&to));
        let (changes, before, after) = different(from.document, to.document).await;
        let came = match changes.is_empty() {
            true => HashMap::new(),
            false => self.when_changed(id, (first.number, before), (last.number, after), steps, until).await?,
        };
        let dated = |change: Change| Dated { came: came.get(&change.path).copied().or_else(|| came.get("").copied()), change };
        Ok(Differences { from: first, to: last, changes: changes.into_iter().map(dated).collect() })
    }

    /// Which report changed a path last, between two documents with the numbers of their reports; under the empty path the one
    /// that changed them all. What is not found in time is missing.
    async fn when_changed(
        &self,
        id: NodeId,
        (from, oldest): (u64, Document),
        (to, newest): (u64, Document),
        steps: usize,
        until: Instant,
    ) -> Result<HashMap<String, Mark>, StoreError> {
        let mut came = HashMap::new();
        if Instant::now() >= until {
            return Ok(came);
        }
        let Ok(changed) = timeout_at(until, self.changed_between(id, from, to, steps + 1)).await else { return Ok(came) };
        let changed = changed?;
        if let [only] = changed[..] {
            came.insert(String::new(), only);
            return Ok(came);
        }
        let (mut after, mut oldest) = (newest, Some(oldest));
        for (step, report) in changed.iter().enumerate().take(steps) {
            let compared = async {
                let before = match changed.get(step + 1) {
                    Some(older) => self.store.snapshot_after(id, older.number).await?.map(|snapshot| snapshot.document),
                    None => oldest.take(),
                };
                // What was pruned in this moment needs no date.
                let Some(before) = before else { return Ok::<_, StoreError>(None) };
                Ok(Some(different(before, after).await))
            };
            let Ok(compared) = timeout_at(until, compared).await else { break };
            let Some((changes, before, _)) = compared? else { break };
            for change in changes {
                came.entry(change.path).or_insert(*report);
            }
            after = before;
        }
        Ok(came)
    }

    /// The reports after number `from` and up to `to` that changed the document, newest first, at most `most`.
    async fn changed_between(&self, id: NodeId, from: u64, to: u64, most: usize) -> Result<Vec<Mark>, StoreError> {
        let (mut changed, mut before) = (vec![], to.saturating_add(1));
        while before > from + 1 && changed.len() < most {
            let page = self.store.reports(id, Some(before), MOST_REPORTS).await?;
            let Some(oldest) = page.last() else { break };
            before = oldest.number;
            let news = page.iter().filter(|report| report.changed && report.number > from);
            changed.extend(news.map(|report| Mark { number: report.number, at: report.at }));
        }
        changed.truncate(most);
        Ok(changed)
    }
}

/// What is different between two documents, and both back: found out beside the tasks that must not wait, as much as is done
/// at once.
async fn different(before: Document, after: Document) -> (Vec<Change>, Document, Document) {
    // It is never closed.
    let permit = COMPARING.acquire().await.ok();
    let comparing = move || {
        // Held to the end of the work, also when nobody waits for it any more.
        let _permit = permit;
        (differences(&before, &after), before, after)
    };
    beside(true, comparing).await
}

fn mark(snapshot: &Snapshot) -> Mark {
    Mark { number: snapshot.number, at: snapshot.at }
}

fn past(snapshot: Snapshot) -> Past {
    Past { mark: mark(&snapshot), document: snapshot.document.with_readings(&snapshot.readings) }
}

/// About how many bytes it takes to tell.
fn size(found: &Differences) -> usize {
    let value = |value: &Option<serde_json::Value>| value.as_ref().map_or(0, |value| value.to_string().len());
    let one = |dated: &Dated| 64 + 2 * dated.change.path.len() + value(&dated.change.before) + value(&dated.change.after);
    found.changes.iter().map(one).sum()
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
