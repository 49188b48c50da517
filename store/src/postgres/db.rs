//! Postgres, as `sql/` wants its database.

pub use super::connector::Connector;

use crate::cause::Cause;
use sqlx::{ConnectOptions as _, Executor as _};
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

pub type Db = sqlx::Postgres;
pub type Connection = sqlx::PgConnection;
pub type Arguments = sqlx::postgres::PgArguments;
pub type Pool = sqlx::PgPool;

pub async fn begin(connection: &mut Connection) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN").await.map(drop)
}

/// Has a connection of a reader see the database from now on as it is now.
pub async fn still(connection: &mut Connection) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // Only a read takes the picture.
    connection.execute("SELECT 1 FROM store_state LIMIT 1").await.map(drop)
}

/// The version of the schema.
pub async fn schema(connection: &mut Connection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT version FROM overture_store").fetch_one(connection).await
}

/// After an operation was refused: the transaction is undone, and the session goes on with its lock.
pub async fn undone(mut connection: Connection) -> Option<Connection> {
    connection.execute("ROLLBACK").await.ok().map(|_| connection)
}

/// A server that is not there any more may say nothing at all.
pub async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = || sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time"));
    timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()))
}

/// A text with several statements, as they are to be run: one after the other.
pub fn statements(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(';')
}

/// Why it failed, in words.
pub fn cause(error: sqlx::Error) -> Cause {
    let (code, lost) = (code(&error), is_lost(&error));
    let error = Arc::new(error);
    match code.as_deref() {
        Some(LOCK_NOT_AVAILABLE | QUERY_CANCELED | DEADLOCK) => Cause::Locked(error),
        Some(DISK_FULL) => Cause::Full(error),
        _ if lost => Cause::Unreachable(error),
        _ => Cause::Failed(error),
    }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const LOCK_NOT_AVAILABLE: &str = "55P03";
const QUERY_CANCELED: &str = "57014";
const DEADLOCK: &str = "40P01";
const DISK_FULL: &str = "53100";
const TOO_COMPLEX: &str = "54";
const DATA: &str = "22";
const CONSTRAINT: &str = "23";
const CONNECTION: &str = "08";
/// An operator, a crash, or a server that is starting or stopping.
const ENDED: [&str; 3] = ["57P01", "57P02", "57P03"];
const DAMAGED: [&str; 2] = ["XX001", "XX002"];

pub fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// Whether the data is damaged.
pub fn is_damaged(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| DAMAGED.contains(&code.as_str()))
}

/// Whether the operation itself cannot be written, so that the others of its batch could be.
pub fn is_the_operations_fault(error: &sqlx::Error) -> bool {
    let class = |code: String| [DATA, CONSTRAINT, TOO_COMPLEX].iter().any(|class| code.starts_with(class));
    matches!(error, sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. }) || code(error).is_some_and(class)
}

/// Whether the connection is gone.
pub fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => true,
        error => code(error).is_some_and(|code| ENDED.contains(&code.as_str()) || code.starts_with(CONNECTION)),
    }
}

/// Connects, with what every session of ours is to have.
pub async fn connect(options: &sqlx::postgres::PgConnectOptions, deadline: Instant) -> Result<Connection, sqlx::Error> {
    within(deadline, options.connect()).await
}
