//! Nodes: what is looked up in columns, the rest as JSON beside it, network cards in a table of their own.

use super::columns::{Record, json, limit, micros, number, word};
use super::work::{Failure, Work};
use super::{SqliteStore, unreadable};
use async_trait::async_trait;
use domain::Timestamp;
use domain::identity::Identity;
use domain::ids::NodeId;
use domain::mac::MacAddr;
use domain::node::{Brief, Listed, Node};
use domain::ports::{NodeStore, Page, StoreError};
use domain::ticket::KeyFingerprint;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{QueryBuilder, SqliteConnection};
use std::collections::BTreeSet;

pub(super) const NAME_OF_ANOTHER: &str = "SELECT COUNT(*) FROM nodes WHERE name = $1 AND id <> $2";

pub(super) const ADD: &str = "
    INSERT INTO nodes (id, name, stage, uuid, serial, first_seen, last_seen, reports, boot, agent_key, address, version,
        order_json, identity_json, summary_json, gaps_json, other_json, facts_json)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
    ON CONFLICT (id) DO NOTHING";

pub(super) const CHANGE: &str = "
    UPDATE nodes SET name = $2, stage = $3, uuid = $4, serial = $5, first_seen = $6, last_seen = $7, reports = $8, boot = $9,
        agent_key = $10, address = $11, version = $12, order_json = $13, identity_json = $14, summary_json = $15, gaps_json = $16,
        other_json = $17, facts_json = $18
    WHERE id = $1 AND version = $12 - 1";

pub(super) const KEEP_SEEN: &str = "UPDATE nodes SET last_seen = $2 WHERE id = $1 AND last_seen < $2";

pub(super) const FORGET: &str = "DELETE FROM nodes WHERE id = $1 AND version = $2";
pub(super) const IS_THERE: &str = "SELECT COUNT(*) FROM nodes WHERE id = $1";

pub(super) const MACS: &str = "SELECT mac FROM node_macs WHERE node = $1";
pub(super) const ADD_MAC: &str = "INSERT INTO node_macs (node, mac) VALUES ($1, $2)";
pub(super) const FORGET_MAC: &str = "DELETE FROM node_macs WHERE node = $1 AND mac = $2";

const NODES: &str = "
    SELECT id, name, stage, first_seen, last_seen, reports, boot, agent_key, address, version,
        order_json, identity_json, summary_json, gaps_json, other_json, facts_json
    FROM nodes";

const LISTED: &str = "
    SELECT id, name, stage, first_seen, last_seen, reports, boot, address, version, order_json, identity_json, summary_json
    FROM nodes";

const BRIEFS: &str = "SELECT id, name, last_seen, boot, version, order_json, identity_json FROM nodes";

/// How many network cards are asked for in one statement; databases have a bound for it.
const MOST_ASKED: usize = 500;

#[derive(sqlx::FromRow)]
struct ListedRow {
    id: String,
    name: Option<String>,
    stage: String,
    first_seen: i64,
    last_seen: i64,
    reports: i64,
    boot: String,
    address: String,
    version: i64,
    order_json: Option<String>,
    identity_json: String,
    summary_json: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    listed: ListedRow,
    agent_key: String,
    gaps_json: String,
    other_json: String,
    facts_json: String,
}

#[derive(sqlx::FromRow)]
struct BriefRow {
    id: String,
    name: Option<String>,
    last_seen: i64,
    boot: String,
    version: i64,
    order_json: Option<String>,
    identity_json: String,
}

impl BriefRow {
    fn brief(self) -> Result<Brief, StoreError> {
        let record = Record { kind: "node", key: &self.id };
        Ok(Brief {
            id: record.parsed(&self.id)?,
            identity: record.json(&self.identity_json)?,
            order: record.json_if(self.order_json.as_deref())?,
            boot: record.parsed(&self.boot)?,
            last_seen: record.time(self.last_seen)?,
            version: record.number(self.version)?,
            name: self.name,
        })
    }
}

impl ListedRow {
    fn listed(self) -> Result<Listed, StoreError> {
        let record = Record { kind: "node", key: &self.id };
        Ok(Listed {
            id: record.parsed(&self.id)?,
            stage: record.word(&self.stage)?,
            identity: record.json(&self.identity_json)?,
            summary: record.json(&self.summary_json)?,
            first_seen: record.time(self.first_seen)?,
            last_seen: record.time(self.last_seen)?,
            reports: record.number(self.reports)?,
            boot: record.parsed(&self.boot)?,
            address: record.parsed(&self.address)?,
            order: record.json_if(self.order_json.as_deref())?,
            version: record.number(self.version)?,
            name: self.name,
        })
    }
}

impl Row {
    fn node(self) -> Result<Node, StoreError> {
        let record = Record { kind: "node", key: &self.listed.id };
        let (facts, gaps, other) = (record.json(&self.facts_json)?, record.json(&self.gaps_json)?, record.json(&self.other_json)?);
        let listed = self.listed.listed()?;
        Ok(Node {
            id: listed.id,
            name: listed.name,
            stage: listed.stage,
            identity: listed.identity,
            summary: listed.summary,
            facts,
            gaps,
            other,
            first_seen: listed.first_seen,
            last_seen: listed.last_seen,
            reports: listed.reports,
            boot: listed.boot,
            key: KeyFingerprint(self.agent_key),
            address: listed.address,
            order: listed.order,
            version: listed.version,
        })
    }
}

fn with_node<'q>(sql: &'static str, node: &Node) -> Result<sqlx::query::Query<'q, Sqlite, SqliteArguments>, sqlx::Error> {
    Ok(sqlx::query(sql)
        .bind(node.id.to_string())
        .bind(node.name.clone())
        .bind(word(&node.stage)?)
        .bind(node.identity.uuid.map(|uuid| uuid.to_string()))
        .bind(node.identity.serial.clone())
        .bind(micros(node.first_seen))
        .bind(micros(node.last_seen))
        .bind(number(node.reports))
        .bind(node.boot.to_string())
        .bind(node.key.0.clone())
        .bind(node.address.to_string())
        .bind(number(node.version))
        .bind(node.order.as_ref().map(json).transpose()?)
        .bind(json(&node.identity)?)
        .bind(json(&node.summary)?)
        .bind(json(&node.gaps)?)
        .bind(json(&node.other)?)
        .bind(json(&node.facts)?))
}

pub async fn keep(connection: &mut SqliteConnection, node: &Node) -> Result<(), Failure> {
    if let Some(name) = &node.name {
        let others: i64 = sqlx::query_scalar(NAME_OF_ANOTHER).bind(name).bind(node.id.to_string()).fetch_one(&mut *connection).await?;
        if others > 0 {
            return Err(Failure::Rule(StoreError::NameTaken { name: name.clone() }));
        }
    }
    let sql = if node.version == 1 { ADD } else { CHANGE };
    if with_node(sql, node)?.execute(&mut *connection).await?.rows_affected() == 0 {
        return Err(Failure::Rule(StoreError::Changed));
    }
    keep_macs(connection, node).await
}

pub async fn keep_seen(connection: &mut SqliteConnection, id: NodeId, at: Timestamp) -> Result<(), Failure> {
    sqlx::query(KEEP_SEEN).bind(id.to_string()).bind(micros(at)).execute(connection).await?;
    Ok(())
}

/// Its network cards go with it.
pub async fn forget(connection: &mut SqliteConnection, id: NodeId, version: u64) -> Result<(), Failure> {
    let id = id.to_string();
    if sqlx::query(FORGET).bind(&id).bind(number(version)).execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    let there: i64 = sqlx::query_scalar(IS_THERE).bind(&id).fetch_one(connection).await?;
    if there == 0 { Ok(()) } else { Err(Failure::Rule(StoreError::Changed)) }
}

async fn keep_macs(connection: &mut SqliteConnection, node: &Node) -> Result<(), Failure> {
    let id = node.id.to_string();
    let wanted: BTreeSet<String> = node.identity.macs.iter().map(MacAddr::to_string).collect();
    let kept: BTreeSet<String> = sqlx::query_scalar(MACS).bind(&id).fetch_all(&mut *connection).await?.into_iter().collect();
    for gone in kept.difference(&wanted) {
        sqlx::query(FORGET_MAC).bind(&id).bind(gone).execute(&mut *connection).await?;
    }
    for new in wanted.difference(&kept) {
        sqlx::query(ADD_MAC).bind(&id).bind(new).execute(&mut *connection).await?;
    }
    Ok(())
}

impl SqliteStore {
    async fn nodes_where(&self, mut query: QueryBuilder<Sqlite>, attempted: &'static str) -> Result<Vec<Node>, StoreError> {
        let rows: Vec<Row> = query.build_query_as().fetch_all(&self.readers).await.map_err(unreadable(attempted))?;
        rows.into_iter().map(Row::node).collect()
    }
}

/// One more than asked for tells whether there is another page.
fn page_of(columns: &'static str, after: Option<NodeId>, most: usize) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(columns);
    if let Some(after) = after {
        query.push(" WHERE id > ").push_bind(after.to_string());
    }
    query.push(" ORDER BY id LIMIT ").push_bind(limit(most.saturating_add(1)));
    query
}

fn page<T>(mut items: Vec<T>, most: usize, id: impl Fn(&T) -> NodeId) -> Page<T> {
    let more = items.len() > most;
    items.truncate(most);
    let next = items.last().filter(|_| more).map(id);
    Page { items, next }
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        let mut query = QueryBuilder::new(NODES);
        query.push(" WHERE id = ").push_bind(id.to_string());
        Ok(self.nodes_where(query, "read a node").await?.pop())
    }

    async fn node_named(&self, name: &str) -> Result<Option<Node>, StoreError> {
        let mut query = QueryBuilder::new(NODES);
        query.push(" WHERE name = ").push_bind(name.to_owned());
        Ok(self.nodes_where(query, "read a node by its name").await?.pop())
    }

    async fn nodes_like(&self, identity: &Identity) -> Result<Vec<Node>, StoreError> {
        let mut query = QueryBuilder::new(NODES);
        query.push(" WHERE id IN (SELECT id FROM nodes WHERE uuid = ").push_bind(identity.uuid.map(|uuid| uuid.to_string()));
        query.push(" UNION SELECT id FROM nodes WHERE serial = ").push_bind(identity.serial.clone());
        query.push(" UNION SELECT node FROM node_macs WHERE mac IN (");
        let mut list = query.separated(", ");
        identity.macs.iter().take(MOST_ASKED).for_each(|mac| {
            list.push_bind(mac.to_string());
        });
        // Postgres wants at least one; nothing equals NULL.
        if identity.macs.is_empty() {
            list.push("NULL");
        }
        query.push(")) ORDER BY id");
        self.nodes_where(query, "look for nodes like a machine").await
    }

    async fn nodes(&self, after: Option<NodeId>, most: usize) -> Result<Page<Listed>, StoreError> {
        let mut query = page_of(LISTED, after, most);
        let rows: Vec<ListedRow> = query.build_query_as().fetch_all(&self.readers).await.map_err(unreadable("list the nodes"))?;
        let items = rows.into_iter().map(ListedRow::listed).collect::<Result<_, _>>()?;
        Ok(page(items, most, |node| node.id))
    }

    async fn known_nodes(&self, after: Option<NodeId>, most: usize) -> Result<Page<Brief>, StoreError> {
        let mut query = page_of(BRIEFS, after, most);
        let rows: Vec<BriefRow> = query.build_query_as().fetch_all(&self.readers).await.map_err(unreadable("read what nodes are known"))?;
        let items = rows.into_iter().map(BriefRow::brief).collect::<Result<_, _>>()?;
        Ok(page(items, most, |brief| brief.id))
    }

    async fn keep_node(&self, node: &Node) -> Result<(), StoreError> {
        self.write(Work::Node(Box::new(node.clone()))).await
    }

    async fn keep_seen(&self, id: NodeId, at: Timestamp) -> Result<(), StoreError> {
        self.write(Work::Seen(id, at)).await
    }

    async fn forget_node(&self, id: NodeId, expected_version: u64) -> Result<(), StoreError> {
        self.write(Work::Forget(id, expected_version)).await
    }
}
