//! Taking a whole store elsewhere: into a backup, out of one, into another database while the service goes on.
//!
//! ```text
//! backup    a moment of the store ─► archive (a stream of bytes)
//! restore   archive ─► an empty store, marked as half-filled until it is whole
//! migrate   a moment ─► an empty store; what is written meanwhile ─► journal ─► replayed; pause, rest, switch
//! ```
//!
//! Knows tables, rows and their order ([`crate::schema::TABLES`]); not what is in them, nor which database either end is.

mod archive;
mod copy;
mod journal;
mod migrate;
mod restore;
mod switchable;

pub use archive::{ArchiveError, Contents, Header, verify};
pub use copy::{CopyError, Progress, backup};
pub use journal::{Journal, Spoilt};
pub use migrate::{MigrateError, Moved};
pub use restore::{RestoreError, Restored, restore, restore_into};
pub use switchable::Switchable;

use crate::schema::Table;
use async_trait::async_trait;
use domain::ports::StoreError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// One value of a row, as either database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// NULL.
    Nothing,
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Text.
    Text(String),
    /// A UUID.
    Id(Uuid),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }
}

/// The values of a row in the order of the table's columns.
pub type Row = Vec<Value>;

/// About how many bytes a row takes.
fn size(row: &Row) -> usize {
    row.iter().map(Value::size).sum()
}

/// A store as it was at one moment, whatever is written meanwhile.
#[async_trait]
pub trait Moment: Send {
    /// How many rows a table has.
    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError>;
    /// Rows in the order of the table's key, those after a row, at most so many.
    async fn portion(&mut self, table: &'static Table, after: Option<&Row>, most: usize) -> Result<Vec<Row>, StoreError>;
}

/// What the store knows of itself as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being filled, and not whole yet. The value says with what.
    Filling,
    /// Another store has taken its place. The value says which.
    Moved,
}

impl State {
    /// Its name in the table of states.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Moved => "moved",
        }
    }
}

/// What it takes to copy a store.
#[async_trait]
pub trait Transfer: Send + Sync {
    /// The store at this moment.
    async fn moment(&self) -> Result<Box<dyn Moment>, StoreError>;
    /// The store at this moment, and whatever is written after it into a journal, in order and before it is acknowledged.
    async fn follow(&self, journal: Arc<Journal>) -> Result<Box<dyn Moment>, StoreError>;
    /// Ends the journal, after all that was handed over before.
    async fn unfollow(&self) -> Result<(), StoreError>;
    /// Does what a journal of another store says, in order.
    async fn replay(&self, records: Vec<Vec<u8>>) -> Result<(), StoreError>;
    /// Puts rows into a table: all or none.
    async fn fill(&self, table: &'static Table, rows: Vec<Row>) -> Result<(), StoreError>;
    /// Takes every row out of every table.
    async fn clear(&self) -> Result<(), StoreError>;
    /// What it knows of itself.
    async fn state(&self, state: State) -> Result<Option<String>, StoreError>;
    /// Has it know something else of itself, or nothing any more.
    async fn set_state(&self, state: State, value: Option<String>) -> Result<(), StoreError>;
}
