//! Nodes, without their documents: what is looked up in columns, the rest as JSON beside it.

use super::db::{Arguments, Connection, Db};
use super::work::{Failure, Work};
use super::{SqlStore, history, unreadable, unwritable};
use crate::columns::{Record, json, limit, micros, number, text_if, word};
use async_trait::async_trait;
use domain::Timestamp;
use domain::document::Digest;
use domain::history::{HardwareTest, KeptReport, PastReport, Retention, Snapshot};
use domain::ids::{BootId, NodeId};
use domain::node::Node;
use domain::ports::{NodeStore, Page, StoreError};
use domain::ticket::KeyFingerprint;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) const NAME_OF_ANOTHER: &str = "SELECT COUNT(*) FROM nodes WHERE name = $1 AND id <> $2";

pub(super) const ADD: &str = "
    INSERT INTO nodes (id, name, stage, first_seen, last_seen, reports, boot, agent_key, address, digest, version,
        labels_json, order_json, identity_json, summary_json)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT DO NOTHING";

/// The name is looked up in the same statement: a report should cost as few of them as it can.
pub(super) const CHANGE: &str = "
    UPDATE nodes SET name = $2, stage = $3, first_seen = $4, last_seen = $5, reports = $6, boot = $7, agent_key = $8, address = $9,
        digest = $10, version = $11, labels_json = $12, order_json = $13, identity_json = $14, summary_json = $15
    WHERE id = $1 AND version = $11 - 1 AND NOT EXISTS (SELECT 1 FROM nodes AS other WHERE other.name = $2 AND other.id <> $1)";

pub(super) const KEEP_SEEN: &str = "UPDATE nodes SET last_seen = $2 WHERE id = $1 AND last_seen < $2";

pub(super) const FORGET: &str = "DELETE FROM nodes WHERE id = $1 AND version = $2";
pub(super) const FORGET_HISTORY: &str =
    "DELETE FROM reports WHERE node = $1; DELETE FROM snapshots WHERE node = $1; DELETE FROM tests WHERE node = $1";
pub(super) const IS_THERE: &str = "SELECT COUNT(*) FROM nodes WHERE id = $1";

pub(super) const ONE: &str = "
    SELECT id, name, stage, first_seen, last_seen, reports, boot, agent_key, address, digest, version, labels_json, order_json,
        identity_json, summary_json
    FROM nodes WHERE id = $1";

pub(super) const PAGE: &str = "
    SELECT id, name, stage, first_seen, last_seen, reports, boot, agent_key, address, digest, version, labels_json, order_json,
        identity_json, summary_json
    FROM nodes WHERE id > $1 ORDER BY id LIMIT $2";

#[derive(Debug, sqlx::FromRow, Serialize, Deserialize)]
pub struct NodeRow {
    pub(super) id: Uuid,
    name: Option<String>,
    stage: String,
    first_seen: i64,
    last_seen: i64,
    pub(super) reports: i64,
    boot: Option<Uuid>,
    agent_key: Option<String>,
    address: Option<String>,
    digest: Option<Vec<u8>>,
    version: i64,
    labels_json: String,
    order_json: Option<String>,
    identity_json: String,
    summary_json: String,
}

impl NodeRow {
    pub fn of(node: &Node) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: node.id.0,
            name: text_if(&node.name),
            stage: word(&node.stage)?,
            first_seen: micros(node.first_seen),
            last_seen: micros(node.last_seen),
            reports: number(node.reports),
            boot: node.boot.map(|boot| boot.0),
            agent_key: node.key.as_ref().map(|key| key.0.clone()),
            address: node.address.map(|address| address.to_string()),
            digest: node.digest.map(|digest| digest.0.to_vec()),
            version: number(node.version),
            labels_json: json(&node.labels)?,
            order_json: node.order.as_ref().map(json).transpose()?,
            identity_json: json(&node.identity)?,
            summary_json: json(&node.summary)?,
        })
    }

    fn node(self) -> Result<Node, StoreError> {
        let record = Record { kind: "node", key: &self.id.to_string() };
        Ok(Node {
            id: NodeId(self.id),
            name: self.name,
            stage: record.word(&self.stage)?,
            identity: record.json(&self.identity_json)?,
            summary: record.json(&self.summary_json)?,
            labels: record.json(&self.labels_json)?,
            digest: digest(&record, self.digest)?,
            first_seen: record.time(self.first_seen)?,
            last_seen: record.time(self.last_seen)?,
            reports: record.number(self.reports)?,
            boot: self.boot.map(BootId),
            key: self.agent_key.map(KeyFingerprint),
            address: record.parsed_if(self.address.as_deref())?,
            order: record.json_if(self.order_json.as_deref())?,
            version: record.number(self.version)?,
        })
    }

    fn bound_to(&self, sql: &'static str) -> sqlx::query::Query<'_, Db, Arguments> {
        sqlx::query(sql)
            .bind(self.id)
            .bind(&self.name)
            .bind(&self.stage)
            .bind(self.first_seen)
            .bind(self.last_seen)
            .bind(self.reports)
            .bind(self.boot)
            .bind(&self.agent_key)
            .bind(&self.address)
            .bind(&self.digest)
            .bind(self.version)
            .bind(&self.labels_json)
            .bind(&self.order_json)
            .bind(&self.identity_json)
            .bind(&self.summary_json)
    }
}

/// The 32 bytes of a digest.
pub(super) fn digest(record: &Record<'_>, bytes: Option<Vec<u8>>) -> Result<Option<Digest>, StoreError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let length = bytes.len();
    let bytes = bytes.try_into().map_err(|_| record.corrupt(format!("its digest is {length} bytes long").into()))?;
    Ok(Some(Digest(bytes)))
}

pub async fn keep(connection: &mut Connection, node: &NodeRow) -> Result<(), Failure> {
    let sql = if node.version == 1 { ADD } else { CHANGE };
    if node.bound_to(sql).execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    if let Some(name) = &node.name {
        let others: i64 = sqlx::query_scalar(NAME_OF_ANOTHER).bind(name).bind(node.id).fetch_one(connection).await?;
        if others > 0 {
            return Err(Failure::Rule(StoreError::NameTaken { name: name.clone() }));
        }
    }
    Err(Failure::Rule(StoreError::Changed))
}

pub async fn keep_seen(connection: &mut Connection, id: NodeId, at: Timestamp) -> Result<(), Failure> {
    sqlx::query(KEEP_SEEN).bind(id.0).bind(micros(at)).execute(connection).await?;
    Ok(())
}

/// Its history and its tests go with it.
pub async fn forget(connection: &mut Connection, id: NodeId, version: u64) -> Result<(), Failure> {
    if sqlx::query(FORGET).bind(id.0).bind(number(version)).execute(&mut *connection).await?.rows_affected() > 0 {
        for sql in super::db::statements(FORGET_HISTORY) {
            sqlx::query(sql).bind(id.0).execute(&mut *connection).await?;
        }
        return Ok(());
    }
    let there: i64 = sqlx::query_scalar(IS_THERE).bind(id.0).fetch_one(connection).await?;
    if there == 0 { Ok(()) } else { Err(Failure::Rule(StoreError::Changed)) }
}

/// What ids are compared with when a list begins: no node has it, since ids are UUIDv7.
pub(super) fn beginning(after: Option<NodeId>) -> Uuid {
    after.map_or(Uuid::nil(), |after| after.0)
}

/// One more than asked for tells whether there is another page.
pub(super) fn page<T>(mut items: Vec<T>, most: usize, id: impl Fn(&T) -> NodeId) -> Page<T> {
    let more = items.len() > most;
    items.truncate(most);
    let next = items.last().filter(|_| more).map(id);
    Page { items, next }
}

#[async_trait]
impl NodeStore for SqlStore {
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        let row: Option<NodeRow> = sqlx::query_as(ONE).bind(id.0).fetch_optional(&self.readers).await.map_err(unreadable("read a node"))?;
        row.map(NodeRow::node).transpose()
    }

    async fn nodes(&self, after: Option<NodeId>, most: usize) -> Result<Page<Node>, StoreError> {
        let asked = sqlx::query_as(PAGE).bind(beginning(after)).bind(limit(most.saturating_add(1)));
        let rows: Vec<NodeRow> = asked.fetch_all(&self.readers).await.map_err(unreadable("list the nodes"))?;
        let items = rows.into_iter().map(NodeRow::node).collect::<Result<_, _>>()?;
        Ok(page(items, most, |node| node.id))
    }

    async fn keep_node(&self, node: &Node) -> Result<(), StoreError> {
        let row = NodeRow::of(node).map_err(unwritable("keep a node"))?;
        self.write(Work::Node(Box::new(row))).await.map(drop)
    }

    async fn keep_report(&self, node: &Node, report: &KeptReport) -> Result<(), StoreError> {
        let unwritable = unwritable("keep a report");
        let row = NodeRow::of(node).map_err(&unwritable)?;
        let report = history::ReportRow::of(report).await.map_err(&unwritable)?;
        self.write(Work::Report(Box::new((row, report)))).await.map(drop)
    }

    async fn keep_seen(&self, id: NodeId, at: Timestamp) -> Result<(), StoreError> {
        self.write(Work::Seen(id, at)).await.map(drop)
    }

    async fn forget_node(&self, id: NodeId, expected_version: u64) -> Result<(), StoreError> {
        self.write(Work::Forget(id, expected_version)).await.map(drop)
    }

    async fn snapshot(&self, id: NodeId, at: Option<Timestamp>) -> Result<Option<Snapshot>, StoreError> {
        self.snapshot_at(id, at).await
    }

    async fn snapshot_after(&self, id: NodeId, number: u64) -> Result<Option<Snapshot>, StoreError> {
        self.snapshot_after_report(id, number).await
    }

    async fn snapshots(
        &self,
        at: Option<Timestamp>,
        after: Option<NodeId>,
        limit: usize,
        most_bytes: usize,
    ) -> Result<Page<(NodeId, Snapshot)>, StoreError> {
        self.snapshots_at(at, after, limit, most_bytes).await
    }

    async fn reports(&self, id: NodeId, before: Option<u64>, limit: usize) -> Result<Vec<PastReport>, StoreError> {
        self.past_reports(id, before, limit).await
    }

    async fn changed_since(&self, since: Timestamp, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>, StoreError> {
        self.nodes_changed_since(since, after, limit).await
    }

    async fn prune(&self, retention: &Retention) -> Result<u64, StoreError> {
        self.prune_some(retention).await
    }

    async fn keep_test(&self, node: NodeId, test: &HardwareTest) -> Result<(), StoreError> {
        self.keep_hardware_test(node, test).await
    }

    async fn tests(&self, node: NodeId, limit: usize) -> Result<Vec<HardwareTest>, StoreError> {
        self.hardware_tests(node, limit).await
    }
}
