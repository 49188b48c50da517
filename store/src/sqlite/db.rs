//! SQLite, as `sql/` wants its database.

use crate::cause::Cause;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use std::sync::Arc;
use tokio::time::Instant;

pub type Db = sqlx::Sqlite;
pub type Connection = SqliteConnection;
pub type Arguments = sqlx::sqlite::SqliteArguments;
pub type Pool = sqlx::SqlitePool;

/// How the writer gets another connection.
pub struct Connector(pub SqliteConnectOptions);

impl Connector {
    pub async fn connect(&self) -> Result<Connection, Cause> {
        SqliteConnection::connect_with(&self.0).await.map_err(cause)
    }
}

/// Takes the only right to write at once: later, it might not be had.
pub async fn begin(connection: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

/// Has a connection of a reader see the database from now on as it is now.
pub async fn still(connection: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    // Only a read takes the picture.
    sqlx::query("SELECT COUNT(*) FROM store_state").execute(connection).await.map(drop)
}

/// The version of the schema.
pub async fn schema(connection: &mut Connection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

/// After an operation was refused: closing undoes whatever the transaction did.
pub async fn undone(_connection: Connection) -> Option<Connection> {
    None
}

/// There is no way that could be interrupted; who has it locked is waited for within SQLite.
pub async fn within<T>(_deadline: Instant, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    work.await
}

/// A text with several statements, as they are to be run: together, which costs one way to the database's thread and back.
pub fn statements(text: &'static str) -> impl Iterator<Item = &'static str> {
    std::iter::once(text)
}

/// Why it failed, in words.
pub fn cause(error: sqlx::Error) -> Cause {
    let code = primary_code(&error);
    let error = Arc::new(error);
    match code {
        Some(SQLITE_BUSY | SQLITE_LOCKED) => Cause::Locked(error),
        Some(SQLITE_FULL) => Cause::Full(error),
        _ => Cause::Failed(error),
    }
}

/// There is no connection that could be lost.
pub fn is_lost(_error: &sqlx::Error) -> bool {
    false
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
