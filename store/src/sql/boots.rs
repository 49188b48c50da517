//! Boots and their steps. What is kept of them is bounded, and old ones make room one at a time as new ones come.

use super::db::{Arguments, Connection, Db};
use super::work::{Failure, Memory, Work};
use super::{SqlStore, unreadable};
use crate::Limits;
use crate::columns::{Record, limit, micros, text, text_if, word};
use async_trait::async_trait;
use domain::boot::{Architecture, Boot};
use domain::ids::BootId;
use domain::mac::MacAddr;
use domain::ports::{BootStore, StoreError};
use domain::ticket::KeyFingerprint;
use domain::timeline::{Step, Timeline};
use sqlx::QueryBuilder;
use std::collections::HashMap;

pub(super) const CHANGE: &str = "
    UPDATE boots SET mac = $2, network = $3, started = $4, last_heard = $5, firmware_xid = $6, ipxe_xid = $7, architecture = $8,
        uuid = $9, ticket = $10, ticket_address = $11, agent_key = $12, node = $13, revoked = $14
    WHERE id = $1";

pub(super) const ADD: &str = "
    INSERT INTO boots (id, number, mac, network, started, last_heard, firmware_xid, ipxe_xid, architecture,
        uuid, ticket, ticket_address, agent_key, node, revoked)
    SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM boots";

const COUNT: &str = "SELECT COUNT(*) FROM boots";

/// Some databases want a LIMIT before an OFFSET; a thousand is more than ever comes over the bound at once.
pub(super) const FORGET_OF_MAC: &str =
    "DELETE FROM boots WHERE id IN (SELECT id FROM boots WHERE mac = $1 ORDER BY number DESC LIMIT 1000 OFFSET $2)";

/// A flood of invented machines must not drive out the history of real ones; but the newest boots may yet report.
pub(super) const FORGET_OF_NOBODY: &str = "
    DELETE FROM boots WHERE id = (
        SELECT id FROM boots WHERE node IS NULL AND number <= (SELECT MAX(number) FROM boots) - $1 ORDER BY number LIMIT 1)";

/// The newest twentieth of all boots is left to report yet.
const NEWEST_PART: usize = 20;

const FORGET_OLDEST: &str = "DELETE FROM boots WHERE id = (SELECT id FROM boots ORDER BY number LIMIT 1)";

/// The step that reaches the bound says so instead of itself; those after it, and those of unknown boots, are dropped.
pub(super) const ADD_STEP: &str = "
    INSERT INTO steps (boot, number, at, protocol, event, message, rule)
    SELECT $1, so_far.steps + 1, $2, $3,
        CASE WHEN so_far.steps + 1 < $7 THEN $4 ELSE 'limit' END,
        CASE WHEN so_far.steps + 1 < $7 THEN $5 ELSE $8 END,
        CASE WHEN so_far.steps + 1 < $7 THEN $6 ELSE NULL END
    FROM (SELECT COALESCE(MAX(number), 0) AS steps FROM steps WHERE boot = $1) AS so_far
    WHERE so_far.steps < $7 AND EXISTS (SELECT 1 FROM boots WHERE id = $1)";

const BOOTS: &str = "
    SELECT id, mac, network, started, last_heard, firmware_xid, ipxe_xid, architecture, uuid, ticket, ticket_address,
        agent_key, node, revoked
    FROM boots";

pub(super) const STEPS: &str = "SELECT boot, at, protocol, event, message, rule FROM steps WHERE boot IN (";

/// How many values are asked for in one statement; databases have a bound for it.
const MOST_ASKED: usize = 500;

#[derive(sqlx::FromRow)]
struct BootRow {
    id: String,
    mac: String,
    network: String,
    started: i64,
    last_heard: i64,
    firmware_xid: Option<i64>,
    ipxe_xid: Option<i64>,
    architecture: Option<i64>,
    uuid: Option<String>,
    ticket: Option<String>,
    ticket_address: Option<String>,
    agent_key: Option<String>,
    node: Option<String>,
    revoked: Option<String>,
}

impl BootRow {
    fn boot(self) -> Result<Boot, StoreError> {
        let record = Record { kind: "boot", key: &self.id };
        Ok(Boot {
            id: record.parsed(&self.id)?,
            mac: record.parsed(&self.mac)?,
            started: record.time(self.started)?,
            last_heard: record.time(self.last_heard)?,
            firmware_xid: record.number_if(self.firmware_xid)?,
            ipxe_xid: record.number_if(self.ipxe_xid)?,
            architecture: record.number_if(self.architecture)?.map(Architecture),
            uuid: record.parsed_if(self.uuid.as_deref())?,
            ticket: record.parsed_if(self.ticket.as_deref())?,
            ticket_address: record.parsed_if(self.ticket_address.as_deref())?,
            key: self.agent_key.map(KeyFingerprint),
            node: record.parsed_if(self.node.as_deref())?,
            network: self.network,
            revoked: self.revoked,
        })
    }
}

#[derive(sqlx::FromRow)]
struct StepRow {
    boot: String,
    at: i64,
    protocol: String,
    event: String,
    message: String,
    rule: Option<String>,
}

impl StepRow {
    fn step(self) -> Result<Step, StoreError> {
        let record = Record { kind: "step of boot", key: &self.boot };
        Ok(Step {
            boot: record.parsed(&self.boot)?,
            at: record.time(self.at)?,
            protocol: record.word(&self.protocol)?,
            event: self.event,
            message: self.message,
            rule: self.rule,
        })
    }
}

fn with_boot<'q>(sql: &'static str, boot: &Boot) -> sqlx::query::Query<'q, Db, Arguments> {
    sqlx::query(sql)
        .bind(boot.id.to_string())
        .bind(boot.mac.to_string())
        .bind(text(&boot.network))
        .bind(micros(boot.started))
        .bind(micros(boot.last_heard))
        .bind(boot.firmware_xid.map(i64::from))
        .bind(boot.ipxe_xid.map(i64::from))
        .bind(boot.architecture.map(|architecture| i64::from(architecture.0)))
        .bind(boot.uuid.map(|uuid| uuid.to_string()))
        .bind(boot.ticket.as_ref().map(|ticket| ticket.as_str().to_owned()))
        .bind(boot.ticket_address.map(|address| address.to_string()))
        .bind(boot.key.as_ref().map(|key| key.0.clone()))
        .bind(boot.node.map(|node| node.to_string()))
        .bind(text_if(&boot.revoked))
}

pub async fn keep(connection: &mut Connection, boot: &Boot, limits: &Limits, memory: &mut Memory) -> Result<(), Failure> {
    if with_boot(CHANGE, boot).execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    with_boot(ADD, boot).execute(&mut *connection).await?;
    let of_this_mac = sqlx::query(FORGET_OF_MAC)
        .bind(boot.mac.to_string())
        .bind(limit(limits.boots_of_one_mac))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let mut kept = match memory.boots {
        Some(before) => (before + 1).saturating_sub(of_this_mac),
        None => u64::try_from(sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut *connection).await?).unwrap_or(0),
    };
    while kept > limits.boots as u64 {
        let forgotten =
            sqlx::query(FORGET_OF_NOBODY).bind(limit(limits.boots / NEWEST_PART)).execute(&mut *connection).await?.rows_affected();
        if forgotten == 0 {
            sqlx::query(FORGET_OLDEST).execute(&mut *connection).await?;
        }
        kept -= 1;
    }
    memory.boots = Some(kept);
    Ok(())
}

pub async fn keep_step(connection: &mut Connection, step: &Step, limits: &Limits) -> Result<(), Failure> {
    sqlx::query(ADD_STEP)
        .bind(step.boot.to_string())
        .bind(micros(step.at))
        .bind(word(&step.protocol)?)
        .bind(text(&step.event))
        .bind(text(&step.message))
        .bind(text_if(&step.rule))
        .bind(limit(limits.steps_of_one_boot))
        .bind(format!("more happened in this boot than the {} steps that are kept", limits.steps_of_one_boot))
        .execute(connection)
        .await?;
    Ok(())
}

impl SqlStore {
    async fn boots_where(&self, mut query: QueryBuilder<Db>, attempted: &'static str) -> Result<Vec<Boot>, StoreError> {
        let rows: Vec<BootRow> = query.build_query_as().fetch_all(&self.readers).await.map_err(unreadable(attempted))?;
        rows.into_iter().map(BootRow::boot).collect()
    }

    async fn with_steps(&self, boots: Vec<Boot>) -> Result<Vec<Timeline>, StoreError> {
        let mut steps: HashMap<BootId, Vec<Step>> = HashMap::new();
        for some in boots.chunks(MOST_ASKED) {
            let mut query = QueryBuilder::new(STEPS);
            let mut list = query.separated(", ");
            some.iter().for_each(|boot| {
                list.push_bind(boot.id.to_string());
            });
            query.push(") ORDER BY boot, number");
            let rows: Vec<StepRow> =
                query.build_query_as().fetch_all(&self.readers).await.map_err(unreadable("read the steps of a boot"))?;
            for row in rows {
                let step = row.step()?;
                steps.entry(step.boot).or_default().push(step);
            }
        }
        Ok(boots.into_iter().map(|boot| Timeline { steps: steps.remove(&boot.id).unwrap_or_default(), boot }).collect())
    }
}

#[async_trait]
impl BootStore for SqlStore {
    async fn recent_boots(&self, most: usize) -> Result<Vec<Boot>, StoreError> {
        let mut query = QueryBuilder::new(BOOTS);
        query.push(" ORDER BY number DESC LIMIT ").push_bind(limit(most));
        self.boots_where(query, "read the newest boots").await
    }

    async fn keep_boot(&self, boot: &Boot) -> Result<(), StoreError> {
        self.write(Work::Boot(Box::new(boot.clone()))).await.map(drop)
    }

    fn note(&self, boot: Option<&Boot>, step: Step) -> bool {
        self.write_soon(Work::Note(boot.map(|boot| Box::new(boot.clone())), Box::new(step)))
    }

    async fn timelines(&self, macs: &[MacAddr], most: usize) -> Result<Vec<Timeline>, StoreError> {
        // Postgres takes no empty list.
        if macs.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::new(BOOTS);
        query.push(" WHERE mac IN (");
        let mut list = query.separated(", ");
        macs.iter().take(MOST_ASKED).for_each(|mac| {
            list.push_bind(mac.to_string());
        });
        query.push(") ORDER BY number DESC LIMIT ").push_bind(limit(most));
        let boots = self.boots_where(query, "read the boots of a machine").await?;
        self.with_steps(boots).await
    }

    async fn timeline(&self, boot: BootId) -> Result<Option<Timeline>, StoreError> {
        let mut query = QueryBuilder::new(BOOTS);
        query.push(" WHERE id = ").push_bind(boot.to_string());
        let boots = self.boots_where(query, "read a boot").await?;
        Ok(self.with_steps(boots).await?.pop())
    }
}
