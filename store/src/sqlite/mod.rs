//! The embedded store: one SQLite file, in WAL mode with `synchronous = FULL`.
//!
//! Knows files and how to open them; what is asked of the database stands in `sql/`.

mod db;
mod file;
mod open;
#[cfg(test)]
mod plans;
#[path = "../sql/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "one source for two databases: docs/adr/0013-one-source-two-databases.md")]
mod sql;

pub use open::OpenError;
pub use sql::SqlStore as SqliteStore;

use crate::Limits;
use sqlx::sqlite::SqlitePoolOptions;
use std::path::Path;
use std::time::Duration;

/// How many reads go on at once; each costs a thread and a page cache.
const READERS: u32 = 4;
/// How long an unused reader is kept.
const READER_IDLE: Duration = Duration::from_secs(60);

impl SqliteStore {
    /// Opens the store at `path`, and makes it if there is none, readable by its owner only. Starts the writer on the
    /// current tokio runtime. A file that is refused is left as it is.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Limits::default()).await
    }

    /// The same with other bounds.
    pub async fn open_with(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        let (options, connection) = open::open(path, &limits).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .acquire_timeout(limits.lock_wait)
            .idle_timeout(READER_IDLE)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(open::for_reading(&options));
        Ok(Self::start(db::Connector(options), connection, readers, limits, path.display().to_string()))
    }
}
