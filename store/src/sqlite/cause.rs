//! Why SQLite did not do it, in words that say what to do, and whose fault it was.

use domain::ports::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// Why an operation was not written. Cheap to copy: a whole batch fails for one reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    #[error("another process has the database locked: end that process; the store goes on by itself")]
    Locked(#[source] Arc<sqlx::Error>),
    #[error("the disk is full: free some space; the store goes on by itself")]
    Full(#[source] Arc<sqlx::Error>),
    #[error("the database could not be used")]
    Failed(#[source] Arc<sqlx::Error>),
    #[error("there was no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    #[error("the store was closed, because the service is stopping")]
    Closed,
    #[error("the task that writes has ended: restart the service, and report this as a mistake in it")]
    Ended,
}

impl Cause {
    /// The same as the domain's error.
    pub fn while_trying_to(&self, attempted: &'static str) -> StoreError {
        StoreError::Unavailable { attempted, source: Box::new(self.clone()) }
    }
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        let code = primary_code(&error);
        let error = Arc::new(error);
        match code {
            Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Locked(error),
            Some(SQLITE_FULL) => Self::Full(error),
            _ => Self::Failed(error),
        }
    }
}

// Result codes, https://www.sqlite.org/rescode.html
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_TOOBIG: u32 = 18;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_MISMATCH: u32 = 20;
const SQLITE_RANGE: u32 = 25;
const SQLITE_NOTADB: u32 = 26;

/// The low byte of SQLite's result code; the rest says more than is needed here.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether the database is locked by somebody else.
pub fn is_locked(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_BUSY | SQLITE_LOCKED))
}

/// Whether the file is damaged.
pub fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// Whether the operation itself cannot be written, so that the others of its batch could be.
pub fn is_the_operations_fault(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. })
        || matches!(primary_code(error), Some(SQLITE_CONSTRAINT | SQLITE_TOOBIG | SQLITE_MISMATCH | SQLITE_RANGE))
}

/// Turns the failure of a read into the domain's error.
pub fn unreadable(attempted: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if is_damaged(&error) {
            return StoreError::Corrupt { what: "a page".into(), source: Box::new(error) };
        }
        if matches!(error, sqlx::Error::ColumnDecode { .. }) {
            return StoreError::Corrupt { what: "a record".into(), source: Box::new(error) };
        }
        Cause::from(error).while_trying_to(attempted)
    }
}
