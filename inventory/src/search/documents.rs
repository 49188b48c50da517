//! Search that may ask for facts: what the table leaves open is decided by documents, a bounded number of them a request.

use super::cursor::{self, Position};
use super::page::{Ask, BadCursor, Found};
use super::table::{Candidates, MOST_LISTED, Table};
use domain::ports::{NodeStore, StoreError};
use domain::search::{Document, Verdict};
use domain::{NodeId, Timestamp};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many documents are read at the same time.
const AT_ONCE: usize = 8;

/// How much one request may read. Where it is not enough the page is shorter and its cursor goes on.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Documents.
    pub documents: usize,
    /// Time.
    pub time: Duration,
    /// Bytes of the cells of a page.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { documents: 2000, time: Duration::from_secs(2), bytes: 8 << 20 }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The cursor.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// A document could not be read.
    #[error("the nodes could not be searched")]
    Store(#[source] StoreError),
    /// The search ended by a panic.
    #[error("the search failed; the log of the service says why")]
    Failed(#[source] tokio::task::JoinError),
}

/// A page of nodes. Scanning the table and reading documents keep no other task of the runtime waiting.
///
/// # Errors
/// When the cursor is none or another's, or the store cannot read a document.
pub async fn search(
    table: Arc<Table>,
    documents: Arc<dyn NodeStore>,
    ask: Ask,
    bounds: Bounds,
    now: Timestamp,
) -> Result<Found, SearchError> {
    let shows_facts = ask.columns.as_ref().is_some_and(domain::search::Columns::need_documents);
    if !ask.query.needs_documents() && !shows_facts {
        let answer = tokio::task::spawn_blocking(move || table.query(&ask, now)).await.map_err(SearchError::Failed)?;
        return Ok(answer?);
    }
    let list = cursor::fingerprint(&ask.query, &ask.sort);
    let mut at = ask.cursor.as_deref().map(|text| cursor::read(text, &list, &ask.sort)).transpose()?;
    let limit = ask.limit.clamp(1, MOST_LISTED);
    let mut reading = Reading {
        table,
        documents,
        ask: Arc::new(ask),
        shows_facts,
        now,
        left: bounds.documents.max(1),
        until: Instant::now() + bounds.time,
    };
    let mut found = Found { items: Vec::new(), next: None, total: None };
    let mut bytes = 0;
    loop {
        let candidates = reading.candidates(at.clone()).await?;
        found.total = (candidates.open == 0).then_some(candidates.fitting);
        let more = candidates.more;
        let mut nodes = candidates.nodes.into_iter().peekable();
        while nodes.peek().is_some() {
            let some: Vec<_> = nodes.by_ref().take(AT_ONCE.min(limit - found.items.len())).collect();
            let last = some.last().map(|(position, _)| position.clone());
            let hits = reading.decide(some).await?;
            bytes += hits.iter().flat_map(|hit| &hit.cells).map(|cell| cell.text.len() + cell.json.to_string().len()).sum::<usize>();
            found.items.extend(hits);
            at = last.or(at);
            let is_last = nodes.peek().is_none() && !more;
            if !is_last && (found.items.len() >= limit || reading.is_over() || bytes >= bounds.bytes) {
                found.next = at.as_ref().map(|position| cursor::write(&list, position));
                return Ok(found);
            }
        }
        if !more {
            return Ok(found);
        }
    }
}

struct Reading {
    table: Arc<Table>,
    documents: Arc<dyn NodeStore>,
    ask: Arc<Ask>,
    shows_facts: bool,
    now: Timestamp,
    left: usize,
    until: Instant,
}

impl Reading {
    fn is_over(&self) -> bool {
        self.left == 0 || Instant::now() >= self.until
    }

    /// As many nodes as may be looked at before the page is full, in the better case.
    async fn candidates(&self, after: Option<Position>) -> Result<Candidates, SearchError> {
        let (table, ask, now) = (self.table.clone(), self.ask.clone(), self.now);
        let gathered = tokio::task::spawn_blocking(move || table.candidates(&ask, after.as_ref(), MOST_LISTED, now));
        gathered.await.map_err(SearchError::Failed)
    }

    /// Those of some nodes that fit, in the same order.
    async fn decide(&mut self, nodes: Vec<(Position, Verdict)>) -> Result<Vec<super::Hit>, SearchError> {
        let mut facts: Vec<Option<Json>> = vec![None; nodes.len()];
        let mut reads = JoinSet::new();
        for (n, (position, verdict)) in nodes.iter().enumerate() {
            if *verdict == Verdict::AskDocument || self.shows_facts {
                let (documents, id) = (self.documents.clone(), position.id);
                reads.spawn(async move { (n, facts_of(&*documents, id).await) });
                self.left = self.left.saturating_sub(1);
            }
        }
        while let Some(read) = reads.join_next().await {
            let (n, read) = read.map_err(SearchError::Failed)?;
            facts[n] = Some(read.map_err(SearchError::Store)?);
        }
        let (table, ask, now) = (&self.table, &self.ask, self.now);
        let hits = nodes.into_iter().zip(&facts).filter_map(|((position, verdict), facts)| {
            let document = facts.as_ref().map_or(Document::Unread, Document::Facts);
            let fits = verdict == Verdict::Fits || table.judge(position.id, &ask.query, document, now) == Some(Verdict::Fits);
            fits.then(|| table.hit(position.id, ask.columns.as_ref(), document, now)).flatten()
        });
        Ok(hits.collect())
    }
}

/// What a node's newest document says, readings included; `null` where there is none.
async fn facts_of(documents: &dyn NodeStore, id: NodeId) -> Result<Json, StoreError> {
    let snapshot = documents.snapshot(id, None).await?;
    Ok(snapshot.map_or(Json::Null, |snapshot| snapshot.document.with_readings(&snapshot.readings).facts))
}
