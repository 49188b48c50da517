//! Answers to writes, by idempotency key, for a day, and a bounded number of them.

use super::db::Connection;
use super::work::{Failure, Memory, Work};
use super::{SqlStore, unreadable};
use crate::Limits;
use crate::columns::{Record, micros, text};
use async_trait::async_trait;
use domain::ports::{AnswerStore, Answered, StoreError};

pub(super) const FORGET_OLD: &str = "DELETE FROM answers WHERE at < $1";

/// Unless its key has an answer: the first one is what was sent.
pub(super) const KEEP: &str = "
    INSERT INTO answers (idempotency_key, request, status, body, at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (idempotency_key) DO NOTHING";

const COUNT: &str = "SELECT COUNT(*) FROM answers";

/// But not the one that was just kept: after a clock was set back it seems to be the oldest.
const FORGET_OLDEST: &str = "
    DELETE FROM answers WHERE idempotency_key = (SELECT idempotency_key FROM answers WHERE idempotency_key <> $1 ORDER BY at LIMIT 1)";

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

pub async fn keep(connection: &mut Connection, answer: &Answered, limits: &Limits, memory: &mut Memory) -> Result<(), Failure> {
    let kept_for = i64::try_from(limits.answers.as_micros()).unwrap_or(i64::MAX);
    let oldest = micros(answer.at).saturating_sub(kept_for);
    let old = sqlx::query(FORGET_OLD).bind(oldest).execute(&mut *connection).await?.rows_affected();
    let new = sqlx::query(KEEP)
        .bind(text(&answer.key))
        .bind(text(&answer.request))
        .bind(i64::from(answer.status))
        .bind(text(&answer.body))
        .bind(micros(answer.at))
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let mut kept = match memory.answers {
        Some(before) => (before + new).saturating_sub(old),
        None => u64::try_from(sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut *connection).await?).unwrap_or(0),
    };
    while kept > limits.most_answers.max(1) as u64 {
        sqlx::query(FORGET_OLDEST).bind(text(&answer.key)).execute(&mut *connection).await?;
        kept -= 1;
    }
    memory.answers = Some(kept);
    Ok(())
}

#[async_trait]
impl AnswerStore for SqlStore {
    async fn answered(&self, key: &str) -> Result<Option<Answered>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as(ONE).bind(text(key)).fetch_optional(&self.readers).await.map_err(unreadable("look for an earlier answer"))?;
        row.map(Row::answered).transpose()
    }

    async fn keep_answer(&self, answer: &Answered) -> Result<(), StoreError> {
        self.write(Work::Answer(Box::new(answer.clone()))).await.map(drop)
    }
}
