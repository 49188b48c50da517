//! Tests of nodes' hardware, the newest of each node.

use super::db::Connection;
use super::work::{Failure, Work};
use super::{SqlStore, unreadable, unwritable};
use crate::Limits;
use crate::columns::{Record, json, limit, micros};
use domain::history::HardwareTest;
use domain::ids::{NodeId, OrderId};
use domain::ports::StoreError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Of a node that is there.
pub(super) const KEEP: &str = "
    INSERT INTO tests (node, id, ordered, started, finished, plan_json, results_json)
    SELECT id, $2, $3, $4, $5, $6, $7 FROM nodes WHERE id = $1
    ON CONFLICT (node, id) DO UPDATE SET ordered = excluded.ordered, started = excluded.started, finished = excluded.finished,
        plan_json = excluded.plan_json, results_json = excluded.results_json";

/// Some databases want a LIMIT before an OFFSET; a thousand is more than ever comes over the bound at once.
pub(super) const FORGET_OLD: &str = "
    DELETE FROM tests WHERE node = $1 AND id IN (
        SELECT id FROM tests WHERE node = $1 ORDER BY ordered DESC, id DESC LIMIT 1000 OFFSET $2)";

pub(super) const NEWEST: &str = "
    SELECT node, id, ordered, started, finished, plan_json, results_json FROM tests WHERE node = $1
    ORDER BY ordered DESC, id DESC LIMIT $2";

#[derive(Debug, sqlx::FromRow, Serialize, Deserialize)]
pub struct TestRow {
    node: Uuid,
    id: Uuid,
    ordered: i64,
    started: Option<i64>,
    finished: Option<i64>,
    plan_json: String,
    results_json: String,
}

impl TestRow {
    fn of(node: NodeId, test: &HardwareTest) -> Result<Self, sqlx::Error> {
        Ok(Self {
            node: node.0,
            id: test.id.0,
            ordered: micros(test.ordered),
            started: test.started.map(micros),
            finished: test.finished.map(micros),
            plan_json: json(&test.plan)?,
            results_json: json(&test.results)?,
        })
    }

    fn test(self) -> Result<HardwareTest, StoreError> {
        let record = Record { kind: "test", key: &self.id.to_string() };
        let time_if = |micros: Option<i64>| micros.map(|micros| record.time(micros)).transpose();
        Ok(HardwareTest {
            id: OrderId(self.id),
            plan: record.json(&self.plan_json)?,
            ordered: record.time(self.ordered)?,
            started: time_if(self.started)?,
            finished: time_if(self.finished)?,
            results: record.json(&self.results_json)?,
        })
    }
}

pub async fn keep(connection: &mut Connection, test: &TestRow, limits: &Limits) -> Result<(), Failure> {
    let kept = sqlx::query(KEEP)
        .bind(test.node)
        .bind(test.id)
        .bind(test.ordered)
        .bind(test.started)
        .bind(test.finished)
        .bind(&test.plan_json)
        .bind(&test.results_json)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if kept == 0 {
        return Err(Failure::Rule(StoreError::Changed));
    }
    sqlx::query(FORGET_OLD).bind(test.node).bind(limit(limits.tests_of_one_node)).execute(connection).await?;
    Ok(())
}

impl SqlStore {
    pub(super) async fn keep_hardware_test(&self, node: NodeId, test: &HardwareTest) -> Result<(), StoreError> {
        let row = TestRow::of(node, test).map_err(unwritable("keep a test"))?;
        self.write(Work::Test(Box::new(row))).await.map(drop)
    }

    pub(super) async fn hardware_tests(&self, node: NodeId, most: usize) -> Result<Vec<HardwareTest>, StoreError> {
        let asked = sqlx::query_as(NEWEST).bind(node.0).bind(limit(most));
        let rows: Vec<TestRow> = asked.fetch_all(&self.readers).await.map_err(unreadable("read a node's tests"))?;
        rows.into_iter().map(TestRow::test).collect()
    }
}
