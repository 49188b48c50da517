//! The session that writes: how another one is had, and that nobody else wrote meanwhile.

use super::db::{self, Connection};
use crate::Limits;
use crate::cause::Cause;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// "OVERTURE", as the number that the lock has. Such locks belong to one database.
const LOCK: i64 = i64::from_be_bytes(*b"OVERTURE");
/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(50);

/// How the writer gets another connection.
pub struct Connector {
    options: PgConnectOptions,
    patience: Duration,
    place: String,
    /// Stands in the database: whoever writes after somebody else finds another one there.
    writer: Uuid,
}

impl Connector {
    pub fn new(options: PgConnectOptions, limits: &Limits, place: String) -> Self {
        let milliseconds = |duration: Duration| duration.as_millis().max(1).to_string();
        let options = options.application_name("overture").disable_statement_logging().options([
            ("synchronous_commit", "on".to_owned()),
            ("lock_timeout", milliseconds(limits.lock_wait)),
            ("statement_timeout", milliseconds(limits.answer_wait)),
        ]);
        Self { options, patience: limits.lock_wait, place, writer: Uuid::new_v4() }
    }

    /// The database, without a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn for_reading(&self) -> PgConnectOptions {
        self.options.clone().options([("default_transaction_read_only", "on")])
    }

    /// One try.
    pub async fn connect_once(&self) -> Result<Connection, sqlx::Error> {
        db::connect(&self.options, Instant::now() + self.patience).await
    }

    /// Takes the lock for this session, as soon as whoever has it lets go of it; false when that takes too long.
    pub async fn lock(&self, connection: &mut Connection, until: Instant) -> Result<bool, sqlx::Error> {
        loop {
            let asked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *connection);
            if db::within(until.max(Instant::now() + PAUSE), asked).await? {
                return Ok(true);
            }
            if Instant::now() + PAUSE > until {
                return Ok(false);
            }
            sleep(PAUSE).await;
        }
    }

    /// Writes down that it is this service that writes from now on. Wants the lock.
    pub async fn sign(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE overture_store SET writer = $1").bind(self.writer.to_string()).execute(connection).await.map(drop)
    }

    /// Another connection with the lock, in place of one that was lost. Waits a bounded time for a server that is away.
    pub async fn connect(&self) -> Result<Connection, Cause> {
        let until = Instant::now() + self.patience;
        loop {
            match self.try_to_connect(until).await {
                Err(Cause::Unreachable(_)) if Instant::now() + PAUSE < until => sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    async fn try_to_connect(&self, until: Instant) -> Result<Connection, Cause> {
        let mut connection = db::connect(&self.options, until).await.map_err(db::cause)?;
        if !self.lock(&mut connection, until).await.map_err(db::cause)? {
            return Err(Cause::HeldByAnother);
        }
        let asked = sqlx::query_scalar("SELECT writer FROM overture_store").fetch_optional(&mut connection);
        let writer: Option<Option<String>> = db::within(until, asked).await.map_err(db::cause)?;
        if writer.flatten() != Some(self.writer.to_string()) {
            return Err(Cause::Superseded);
        }
        Ok(connection)
    }
}
