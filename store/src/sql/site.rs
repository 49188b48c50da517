//! Revisions of the site, the newest hundred.

use super::db::Connection;
use super::work::{Failure, Work};
use super::{SqlStore, unreadable};
use crate::Limits;
use crate::columns::{Record, json, limit, micros, number, text};
use async_trait::async_trait;
use domain::ports::{Revision, SiteStore, StoreError};

pub(super) const LAST: &str = "SELECT COALESCE(MAX(number), 0) FROM revisions";
pub(super) const ADD: &str =
    "INSERT INTO revisions (number, id, applied, applied_by, site_json, files_json) VALUES ($1, $2, $3, $4, $5, $6)";
pub(super) const FORGET: &str = "DELETE FROM revisions WHERE number <= $1";
const CURRENT: &str = "SELECT number, id, applied, applied_by, site_json, files_json FROM revisions ORDER BY number DESC LIMIT 1";
const NEWEST: &str = "SELECT number, id, applied, applied_by, site_json, '{}' AS files_json FROM revisions ORDER BY number DESC LIMIT $1";

#[derive(sqlx::FromRow)]
struct Row {
    number: i64,
    id: String,
    applied: i64,
    applied_by: String,
    site_json: String,
    files_json: String,
}

impl Row {
    fn revision(self) -> Result<Revision, StoreError> {
        let record = Record { kind: "revision of the site", key: &self.id };
        Ok(Revision {
            id: record.parsed(&self.id)?,
            number: record.number(self.number)?,
            applied: record.time(self.applied)?,
            files: record.json(&self.files_json)?,
            site: record.json(&self.site_json)?,
            by: self.applied_by,
        })
    }
}

pub async fn keep(connection: &mut Connection, revision: &Revision, limits: &Limits) -> Result<(), Failure> {
    let last: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *connection).await?;
    let next = number(revision.number);
    if last.checked_add(1) != Some(next) {
        return Err(Failure::Rule(StoreError::Changed));
    }
    sqlx::query(ADD)
        .bind(next)
        .bind(revision.id.to_string())
        .bind(micros(revision.applied))
        .bind(text(&revision.by))
        .bind(json(&revision.site)?)
        .bind(json(&revision.files)?)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FORGET).bind(next.saturating_sub(limit(limits.revisions))).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl SiteStore for SqlStore {
    async fn current_site(&self) -> Result<Option<Revision>, StoreError> {
        let row: Option<Row> = sqlx::query_as(CURRENT).fetch_optional(&self.readers).await.map_err(unreadable("read the site in force"))?;
        row.map(Row::revision).transpose()
    }

    async fn revisions(&self, most: usize) -> Result<Vec<Revision>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(NEWEST)
            .bind(limit(most))
            .fetch_all(&self.readers)
            .await
            .map_err(unreadable("read the revisions of the site"))?;
        rows.into_iter().map(Row::revision).collect()
    }

    async fn keep_revision(&self, revision: &Revision) -> Result<(), StoreError> {
        self.write(Work::Revision(Box::new(revision.clone()))).await.map(drop)
    }
}
