//! Answers to writes, by idempotency key, for a day.

use super::columns::{Record, micros};
use super::work::{Failure, Work};
use super::{SqliteStore, unreadable};
use crate::Limits;
use async_trait::async_trait;
use domain::ports::{AnswerStore, Answered, StoreError};
use sqlx::SqliteConnection;

/// Old answers go first, then the new one is kept, unless its key has an answer: the first one is what was sent.
pub(super) const KEEP: &str = "
    DELETE FROM answers WHERE at < $6;
    INSERT INTO answers (idempotency_key, request, status, body, at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (idempotency_key) DO NOTHING";

pub(super) const ONE: &str = "SELECT idempotency_key, request, status, body, at FROM answers WHERE idempotency_key = $1";

#[derive(sqlx::FromRow)]
struct Row {
    idempotency_key: String,
    request: String,
    status: i64,
    body: String,
    at: i64,
}

impl Row {
    fn answered(self) -> Result<Answered, StoreError> {
        let record = Record { kind: "answer to a write", key: &self.idempotency_key };
        Ok(Answered {
            status: record.number(self.status)?,
            at: record.time(self.at)?,
            key: self.idempotency_key,
            request: self.request,
            body: self.body,
        })
    }
}

pub async fn keep(connection: &mut SqliteConnection, answer: &Answered, limits: &Limits) -> Result<(), Failure> {
    let kept_for = i64::try_from(limits.answers.as_micros()).unwrap_or(i64::MAX);
    sqlx::query(KEEP)
        .bind(&answer.key)
        .bind(&answer.request)
        .bind(i64::from(answer.status))
        .bind(&answer.body)
        .bind(micros(answer.at))
        .bind(micros(answer.at).saturating_sub(kept_for))
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn answered(&self, key: &str) -> Result<Option<Answered>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as(ONE).bind(key).fetch_optional(&self.readers).await.map_err(unreadable("look for an earlier answer"))?;
        row.map(Row::answered).transpose()
    }

    async fn keep_answer(&self, answer: &Answered) -> Result<(), StoreError> {
        self.write(Work::Answer(Box::new(answer.clone()))).await
    }
}
