//! The store in a database of a Postgres server.
//!
//! Knows connections, sessions and the server's errors; what is asked of the database stands in `sql/`. One session writes,
//! and holds an advisory lock as long as it lives: two services never write to one database. A lost session is replaced, and
//! what was acknowledged before is there.

mod connector;
mod db;
mod open;
#[cfg(test)]
mod plans;
#[path = "../sql/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "one source for two databases: docs/adr/0013-one-source-two-databases.md")]
mod sql;

pub use open::OpenError;
pub use sql::SqlStore as PostgresStore;

use crate::{Limits, PostgresUrl};
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;

/// How many reads go on at once.
const READERS: u32 = 8;
/// How long an unused reader is kept.
const READER_IDLE: Duration = Duration::from_secs(60);

impl PostgresStore {
    /// Opens the store in the database at `url`, and makes its tables in an empty one. Starts the writer on the current tokio
    /// runtime. A database that is refused is left as it is.
    pub async fn open(url: &PostgresUrl) -> Result<Self, OpenError> {
        Self::open_with(url, Limits::default()).await
    }

    /// The same with other bounds.
    pub async fn open_with(url: &PostgresUrl, limits: Limits) -> Result<Self, OpenError> {
        let (connector, connection) = open::open(url, &limits).await?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .acquire_timeout(limits.lock_wait)
            .idle_timeout(READER_IDLE)
            .max_lifetime(None)
            // One that the server has ended is replaced, instead of failing whoever reads next.
            .test_before_acquire(true)
            .connect_lazy_with(connector.for_reading());
        let place = connector.place().to_owned();
        Ok(Self::start(connector, connection, readers, limits, place))
    }
}
