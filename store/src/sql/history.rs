//! The history of nodes: a small row for each report, and the document after each that changed it.

use super::db::{self, Arguments, Connection, Db};
use super::nodes::{NodeRow, beginning, digest, page};
use super::prune::FORGET_DOCUMENTS;
use super::work::Failure;
use super::{SqlStore, unreadable};
use crate::columns::{Record, limit, micros, number};
use crate::{Limits, body};
use domain::Timestamp;
use domain::history::{KeptReport, PastReport, Snapshot};
use domain::ids::{BootId, NodeId};
use domain::ports::{Page, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

pub(super) const ADD_UNCHANGED: &str =
    "INSERT INTO reports (node, number, at, boot, address, amends, readings) VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Two statements in one text, which share the parameters; see [`db::statements`].
pub(super) const ADD_CHANGED: &str = "
    INSERT INTO reports (node, number, at, boot, address, amends, readings) VALUES ($1, $2, $3, $4, $5, $6, $7);
    INSERT INTO snapshots (node, number, at, digest, body) VALUES ($1, $2, $3, $8, $9)";

/// The newest report that is too much: by the number of reports, or because the documents from it on are too large.
pub(super) const TOO_MUCH: &str = "
    SELECT MAX(number) FROM (
        SELECT number, SUM(LENGTH(body)) OVER (ORDER BY number DESC) AS bytes FROM snapshots WHERE node = $1) AS so_far
    WHERE bytes > $2";

pub(super) const FORGET_UP_TO: &str = "DELETE FROM reports WHERE node = $1 AND number <= $2";

pub(super) const PAST: &str = "
    SELECT number, at, boot, address, amends,
        EXISTS (SELECT 1 FROM snapshots WHERE node = reports.node AND number = reports.number) AS changed,
        (SELECT digest FROM snapshots WHERE node = reports.node AND number <= reports.number ORDER BY number DESC LIMIT 1) AS digest
    FROM reports WHERE node = $1 AND number < $2 ORDER BY number DESC LIMIT $3";

/// A report of a node with the document that was in force after it: that of the last report which changed it.
macro_rules! snapshot {
    ($which:literal) => {
        concat!(
            "SELECT report.node AS node, report.number AS number, report.at AS at, report.readings AS readings, snapshot.body AS body
            FROM reports AS report JOIN snapshots AS snapshot ON snapshot.node = report.node AND snapshot.number <= report.number
            WHERE report.node = $1 AND report.number = ",
            $which,
            " ORDER BY snapshot.number DESC LIMIT 1"
        )
    };
}

pub(super) const NOW: &str = snapshot!("(SELECT MAX(number) FROM reports WHERE node = $1)");
pub(super) const AT: &str = snapshot!("(SELECT number FROM reports WHERE node = $1 AND at <= $2 ORDER BY number DESC LIMIT 1)");
pub(super) const AFTER: &str = snapshot!("$2");

/// The same for some nodes; without a document where one has none. The inner limits are fences: they keep Postgres from
/// joining whole tables before it takes the first rows of them.
macro_rules! snapshots {
    ($which:literal) => {
        concat!(
            "SELECT wanted.id AS node, report.number AS number, report.at AS at, report.readings AS readings, snapshot.body AS body
            FROM (
                SELECT id, report, (SELECT MAX(number) FROM snapshots WHERE node = id AND number <= report) AS document
                FROM (SELECT id, ",
            $which,
            " AS report FROM nodes WHERE id > $1 ORDER BY id LIMIT $2) AS listed
                ORDER BY id LIMIT $2
            ) AS wanted
            LEFT JOIN reports AS report ON report.node = wanted.id AND report.number = wanted.report
            LEFT JOIN snapshots AS snapshot ON snapshot.node = wanted.id AND snapshot.number = wanted.document
            ORDER BY wanted.id"
        )
    };
}

pub(super) const ALL_NOW: &str = snapshots!("(SELECT MAX(number) FROM reports WHERE node = nodes.id)");
pub(super) const ALL_AT: &str = snapshots!("(SELECT number FROM reports WHERE node = nodes.id AND at <= $3 ORDER BY number DESC LIMIT 1)");

pub(super) const CHANGED_SINCE: &str = "SELECT DISTINCT node FROM snapshots WHERE node > $1 AND at > $2 ORDER BY node LIMIT $3";

/// How many documents are fetched in one go: each may be some MiB long.
const FETCHED_AT_ONCE: usize = 32;
/// How often it is looked whether a node has too much history: every so many reports.
const LOOK_EVERY: i64 = 16;
/// From how many bytes on a document is packed beside the tasks that must not wait.
const LARGE: usize = 128 << 10;
/// From how many bytes on one is unpacked and read there: 4 MiB take a tenth of a second.
const LARGE_TO_READ: u64 = 64 << 10;
/// How many of those are read at once, so that the processors have time for everything else.
static READING: Semaphore = Semaphore::const_new(2);

#[derive(Debug, Serialize, Deserialize)]
pub struct ReportRow {
    at: i64,
    boot: Option<Uuid>,
    address: Option<String>,
    amends: bool,
    readings: Option<Vec<u8>>,
    digest: Vec<u8>,
    body: Option<Vec<u8>>,
}

impl ReportRow {
    pub async fn of(report: &KeptReport) -> Result<Self, sqlx::Error> {
        let readings = if report.readings.is_null() { None } else { Some(crate::columns::json(&report.readings)?) };
        Ok(Self {
            at: micros(report.at),
            boot: report.boot.map(|boot| boot.0),
            address: report.address.map(|address| address.to_string()),
            amends: report.amends,
            readings: packed(readings).await?,
            digest: report.digest.0.to_vec(),
            body: packed(report.document.clone()).await?,
        })
    }
}

async fn packed(json: Option<String>) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let Some(json) = json else { return Ok(None) };
    let packed = if json.len() < LARGE {
        body::pack(json)
    } else {
        tokio::task::spawn_blocking(|| body::pack(json)).await.map_err(|error| sqlx::Error::Encode(Box::new(error)))?
    };
    packed.map(Some).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub async fn keep(connection: &mut Connection, node: &NodeRow, report: &ReportRow, limits: &Limits) -> Result<(), Failure> {
    let sql = if report.body.is_some() { ADD_CHANGED } else { ADD_UNCHANGED };
    for statement in db::statements(sql) {
        let query = with_report(statement, node, report);
        let query = if report.body.is_some() { query.bind(&report.digest).bind(&report.body) } else { query };
        query.execute(&mut *connection).await?;
    }
    if node.reports % LOOK_EVERY == 0 { forget_too_much(connection, node, limits).await } else { Ok(()) }
}

fn with_report<'q>(sql: &'static str, node: &'q NodeRow, report: &'q ReportRow) -> sqlx::query::Query<'q, Db, Arguments> {
    sqlx::query(sql)
        .bind(node.id)
        .bind(node.reports)
        .bind(report.at)
        .bind(report.boot)
        .bind(&report.address)
        .bind(report.amends)
        .bind(&report.readings)
}

async fn forget_too_much(connection: &mut Connection, node: &NodeRow, limits: &Limits) -> Result<(), Failure> {
    let bytes: Option<i64> =
        sqlx::query_scalar(TOO_MUCH).bind(node.id).bind(number(limits.history_of_one_node)).fetch_one(&mut *connection).await?;
    let by_number = node.reports.saturating_sub(number(limits.reports_of_one_node));
    let up_to = bytes.unwrap_or(0).max(by_number).min(node.reports - 1);
    if up_to > 0 {
        sqlx::query(FORGET_UP_TO).bind(node.id).bind(up_to).execute(&mut *connection).await?;
        sqlx::query(FORGET_DOCUMENTS).bind(node.id).execute(connection).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct PastRow {
    number: i64,
    at: i64,
    boot: Option<Uuid>,
    address: Option<String>,
    amends: bool,
    changed: bool,
    digest: Option<Vec<u8>>,
}

impl PastRow {
    fn past_report(self, id: NodeId) -> Result<PastReport, StoreError> {
        let record = Record { kind: "report of node", key: &id.to_string() };
        Ok(PastReport {
            number: record.number(self.number)?,
            at: record.time(self.at)?,
            boot: self.boot.map(BootId),
            address: record.parsed_if(self.address.as_deref())?,
            amends: self.amends,
            changed: self.changed,
            digest: digest(&record, self.digest)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct SnapshotRow {
    node: Uuid,
    number: Option<i64>,
    at: Option<i64>,
    readings: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
}

impl SnapshotRow {
    fn is_large(&self) -> bool {
        self.body.iter().chain(&self.readings).any(|bytes| body::length(bytes).max(bytes.len() as u64) > LARGE_TO_READ)
    }

    /// As [`SnapshotRow::snapshot`]; a large one beside the tasks that must not wait.
    async fn read(self) -> Result<Option<(Snapshot, usize)>, StoreError> {
        if !self.is_large() {
            return self.snapshot();
        }
        let failed = |source| StoreError::Unavailable { attempted: "read a node's document", source };
        let permit = READING.acquire().await.map_err(|error| failed(error.into()))?;
        let reading = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also when nobody waits for it any more.
            let _permit = permit;
            self.snapshot()
        });
        reading.await.map_err(|error| failed(error.into()))?
    }

    /// The snapshot, if there is one, and how long its document is.
    fn snapshot(self) -> Result<Option<(Snapshot, usize)>, StoreError> {
        let record = Record { kind: "document of node", key: &self.node.to_string() };
        let (Some(number), Some(at), Some(body)) = (self.number, self.at, self.body) else { return Ok(None) };
        let unpacked = |bytes| body::unpack(bytes).map_err(|error| record.corrupt(error));
        let document = unpacked(body)?;
        let readings = match self.readings {
            Some(readings) => record.json_bytes(&unpacked(readings)?)?,
            None => Value::Null,
        };
        let snapshot = Snapshot { number: record.number(number)?, at: record.time(at)?, document: record.json_bytes(&document)?, readings };
        Ok(Some((snapshot, document.len())))
    }
}

/// Of a single node.
async fn snapshot(row: Option<SnapshotRow>) -> Result<Option<Snapshot>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    Ok(row.read().await?.map(|(snapshot, _)| snapshot))
}

impl SqlStore {
    pub(super) async fn snapshot_at(&self, id: NodeId, at: Option<Timestamp>) -> Result<Option<Snapshot>, StoreError> {
        let asked = match at {
            None => sqlx::query_as(NOW).bind(id.0),
            Some(at) => sqlx::query_as(AT).bind(id.0).bind(micros(at)),
        };
        let row: Option<SnapshotRow> = asked.fetch_optional(&self.readers).await.map_err(unreadable("read a node's document"))?;
        snapshot(row).await
    }

    pub(super) async fn snapshot_after_report(&self, id: NodeId, report: u64) -> Result<Option<Snapshot>, StoreError> {
        let asked = sqlx::query_as(AFTER).bind(id.0).bind(number(report));
        let row: Option<SnapshotRow> = asked.fetch_optional(&self.readers).await.map_err(unreadable("read a node's document"))?;
        snapshot(row).await
    }

    pub(super) async fn snapshots_at(
        &self,
        at: Option<Timestamp>,
        mut after: Option<NodeId>,
        most: usize,
        most_bytes: usize,
    ) -> Result<Page<(NodeId, Snapshot)>, StoreError> {
        let (mut items, mut bytes): (Vec<(NodeId, Snapshot)>, usize) = (vec![], 0);
        loop {
            let wanted = most.saturating_add(1).saturating_sub(items.len()).min(FETCHED_AT_ONCE);
            let rows = self.some_snapshots(at, after, wanted).await?;
            let last = rows.len() < wanted;
            for row in rows {
                let id = NodeId(row.node);
                if let Some((snapshot, length)) = row.read().await? {
                    // One more than there is room for tells that there is another page.
                    if items.len() >= most || (!items.is_empty() && bytes.saturating_add(length) > most_bytes) {
                        return Ok(Page { next: items.last().map(|(id, _)| *id), items });
                    }
                    bytes = bytes.saturating_add(length);
                    items.push((id, snapshot));
                }
                after = Some(id);
            }
            if last {
                return Ok(Page { items, next: None });
            }
        }
    }

    async fn some_snapshots(&self, at: Option<Timestamp>, after: Option<NodeId>, most: usize) -> Result<Vec<SnapshotRow>, StoreError> {
        let asked = match at {
            None => sqlx::query_as(ALL_NOW).bind(beginning(after)).bind(limit(most)),
            Some(at) => sqlx::query_as(ALL_AT).bind(beginning(after)).bind(limit(most)).bind(micros(at)),
        };
        asked.fetch_all(&self.readers).await.map_err(unreadable("read the documents of nodes"))
    }

    pub(super) async fn past_reports(&self, id: NodeId, before: Option<u64>, most: usize) -> Result<Vec<PastReport>, StoreError> {
        let asked = sqlx::query_as(PAST).bind(id.0).bind(before.map_or(i64::MAX, number)).bind(limit(most));
        let rows: Vec<PastRow> = asked.fetch_all(&self.readers).await.map_err(unreadable("read a node's history"))?;
        rows.into_iter().map(|row| row.past_report(id)).collect()
    }

    pub(super) async fn nodes_changed_since(
        &self,
        since: Timestamp,
        after: Option<NodeId>,
        most: usize,
    ) -> Result<Page<NodeId>, StoreError> {
        let asked = sqlx::query_scalar(CHANGED_SINCE).bind(beginning(after)).bind(micros(since)).bind(limit(most.saturating_add(1)));
        let ids: Vec<Uuid> = asked.fetch_all(&self.readers).await.map_err(unreadable("look which nodes have changed"))?;
        Ok(page(ids.into_iter().map(NodeId).collect(), most, |id| *id))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(length: usize) -> SnapshotRow {
        let json = format!(r#"{{"facts":{{"a":"{}"}}}}"#, "x".repeat(length));
        let body = Some(body::pack(json).unwrap());
        SnapshotRow { node: Uuid::nil(), number: Some(1), at: Some(0), readings: None, body }
    }

    #[tokio::test]
    async fn a_large_document_is_read_beside_the_tasks_two_at_once_and_a_small_one_at_once() {
        let held = READING.acquire_many(2).await.unwrap();
        assert!(row(1000).read().await.unwrap().is_some());
        assert!(row(1 << 20).body.unwrap().len() < 64 << 10, "packed it is small");
        let large = tokio::spawn(row(1 << 20).read());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!large.is_finished());
        drop(held);
        let (_, length) = large.await.unwrap().unwrap().unwrap();
        assert!(length > 1 << 20);
    }
}
