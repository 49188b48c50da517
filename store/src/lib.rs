//! What Overture must not forget: leases, boots and their steps, nodes with their history, revisions of the site, answers
//! to writes.
//!
//! The only SQL of the project. Everything here stands behind the domain's ports; nothing here decides what a lease or a
//! node should be. Two databases, [`sqlite`] (embedded, the default) and [`postgres`], from one source: what holds SQL
//! stands in `sql/` and is compiled once for each of them. `tests/store/contract` says what either must do.

mod body;
mod cause;
mod columns;
mod counters;
mod limits;
mod location;
pub mod postgres;
pub mod schema;
pub mod sqlite;
pub mod transfer;

pub use counters::Stats;
pub use limits::Limits;
pub use location::{Location, NotALocation, PostgresUrl};

use async_trait::async_trait;
use domain::ports::{ObserveOnly, Store, StoreError};
use std::sync::Arc;
use transfer::{State, Transfer};

/// An open store, whichever its database is.
#[async_trait]
pub trait OpenStore: Store + Transfer {
    /// What was done since the store was opened.
    fn stats(&self) -> Stats;
    /// Where it is, without a password.
    fn place(&self) -> Arc<str>;
    /// Writes what has queued and closes. Whatever comes later is refused. Closing twice does no harm.
    async fn close(&self);
    /// Waits until the store can keep nothing any more for good although nobody closed it: another service took the
    /// database, or a mistake in this program. The process should end too.
    async fn run_until_failure(&self) -> StoreError;
    /// Has the service only watch, from its next start on. For who restores a backup.
    async fn begin_observing(&self, why: &ObserveOnly) -> Result<(), StoreError>;
}

/// Why a store cannot be opened. What is there is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// The server.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    /// Another store has taken its place.
    #[error(
        "the store {place} was moved to {to}, and what was kept since is there only: set `url` in `[store]` of the settings to that \
        database (see docs/store.md)"
    )]
    Moved {
        /// Where this one is.
        place: String,
        /// Where the other is, without a password.
        to: String,
    },
    /// It was being filled, and is not whole.
    #[error(
        "the store {place} is only half filled: {by} was broken off. Do that again; until then the store that it was filled from is \
        the one to use"
    )]
    HalfFilled {
        /// Where it is.
        place: String,
        /// What was to fill it.
        by: String,
    },
    /// What it knows of itself cannot be read.
    #[error("the store {place} was opened and cannot be read")]
    Unreadable {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: domain::ports::StoreError,
    },
}

/// Opens the store at a place, and makes it if there is none. Starts its writer on the current tokio runtime. Refuses one
/// that is no longer, or not yet, the one to use.
pub async fn open(location: &Location) -> Result<Arc<dyn OpenStore>, OpenError> {
    let store = open_any(location).await?;
    let refused = refusal(&*store).await;
    if let Some(refused) = refused {
        store.close().await;
        return Err(refused);
    }
    Ok(store)
}

/// The same also for a store that was moved or is half filled: for who fills it.
pub async fn open_any(location: &Location) -> Result<Arc<dyn OpenStore>, OpenError> {
    Ok(match location {
        Location::Sqlite(path) => Arc::new(sqlite::SqliteStore::open(path).await?),
        Location::Postgres(url) => Arc::new(postgres::PostgresStore::open(url).await?),
    })
}

async fn refusal(store: &dyn OpenStore) -> Option<OpenError> {
    let place = store.place().to_string();
    match (store.state(State::Moved).await, store.state(State::Filling).await) {
        (Err(source), _) | (_, Err(source)) => Some(OpenError::Unreadable { place, source }),
        (Ok(Some(to)), _) => Some(OpenError::Moved { place, to }),
        (_, Ok(Some(by))) => Some(OpenError::HalfFilled { place, by }),
        _ => None,
    }
}
