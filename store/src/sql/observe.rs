//! Whether the service only watches.

use super::db::Connection;
use super::work::{Failure, Work};
use super::{SqlStore, unreadable};
use crate::columns::{Record, json};
use async_trait::async_trait;
use domain::ports::{ObserveOnly, ObserveStore, StoreError};

/// The row of the table of states.
const NAME: &str = "observe_only";

pub(super) const SET: &str = "
    INSERT INTO store_state (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const UNSET: &str = "DELETE FROM store_state WHERE name = $1";
pub(super) const GET: &str = "SELECT value FROM store_state WHERE name = $1";

pub async fn keep(connection: &mut Connection, why: Option<&ObserveOnly>) -> Result<(), Failure> {
    match why {
        Some(why) => sqlx::query(SET).bind(NAME).bind(json(why)?).execute(connection).await?,
        None => sqlx::query(UNSET).bind(NAME).execute(connection).await?,
    };
    Ok(())
}

#[async_trait]
impl ObserveStore for SqlStore {
    async fn observe_only(&self) -> Result<Option<ObserveOnly>, StoreError> {
        let attempted = unreadable("read whether the service only watches");
        let value: Option<String> = sqlx::query_scalar(GET).bind(NAME).fetch_optional(&self.readers).await.map_err(attempted)?;
        Record { kind: "state", key: NAME }.json_if(value.as_deref())
    }

    async fn end_observing(&self) -> Result<(), StoreError> {
        self.write(Work::Observe(None)).await.map(drop)
    }
}
