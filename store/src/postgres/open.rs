//! Opening: refuse what is not ours or newer, make what is not there, bring an older schema up to date.

use super::connector::Connector;
use super::db::{self, Connection};
use crate::{Limits, PostgresUrl, schema};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Executor as _};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The oldest version of the server that is supported.
const OLDEST_SERVER: i64 = 13;
/// How long to wait before a server that is starting is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a store cannot be opened. The database is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL of Postgres.
    #[error("the store's URL cannot be understood: it should be postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full")]
    NotAUrl(#[source] sqlx::Error),
    /// Nobody answers there.
    #[error("no Postgres server answers at {place}: check host and port, that it runs, and that it takes connections from here")]
    Unreachable {
        /// Where.
        place: String,
        /// What the system says.
        #[source]
        source: sqlx::Error,
    },
    /// The server has no such database.
    #[error("the database of {place} does not exist: create it with `createdb --encoding=UTF8 DATABASE`, or name another")]
    NoDatabase {
        /// Where.
        place: String,
    },
    /// The password is wrong or missing.
    #[error("{place} refuses the password: correct it in the URL, in PGPASSWORD or in ~/.pgpass")]
    WrongPassword {
        /// Where.
        place: String,
    },
    /// This user may not connect from here in this way.
    #[error("{place} does not admit this user from here: add a line for it to the server's pg_hba.conf, or correct the user")]
    NotAdmitted {
        /// Where.
        place: String,
        /// What the server says.
        #[source]
        source: sqlx::Error,
    },
    /// The connection should be encrypted and cannot be, or the server's certificate is not trusted.
    #[error(
        "no encrypted connection to {place}: switch on `ssl` in the server's postgresql.conf, name the authority of its certificate \
        with sslrootcert=FILE, or ask for less with sslmode="
    )]
    NoTls {
        /// Where.
        place: String,
        /// What failed.
        #[source]
        source: sqlx::Error,
    },
    /// The user may not make the tables.
    #[error("the user may not make tables in {place}: make it the database's owner with `ALTER DATABASE … OWNER TO …`")]
    NotAllowed {
        /// Where.
        place: String,
        /// What the server says.
        #[source]
        source: sqlx::Error,
    },
    /// The server is older than any that this program is tested with.
    #[error("{place} runs Postgres {found}, which is too old: use {OLDEST_SERVER} or newer")]
    TooOld {
        /// Where.
        place: String,
        /// Its version.
        found: i64,
    },
    /// It cannot keep what is to be kept.
    #[error("{place} cannot be used: {why}")]
    Unsuitable {
        /// Where.
        place: String,
        /// Why, and what to do.
        why: String,
    },
    /// It holds something else.
    #[error("{place} holds the tables of another program: give an empty database to Overture alone")]
    NotAStore {
        /// Where.
        place: String,
    },
    /// A newer version of this program has written it.
    #[error(
        "the store {place} was written by a newer Overture: it has schema {found}, and this one works on those up to {known}. \
        Start the newer version again, or restore the backup from before the upgrade"
    )]
    Newer {
        /// Where.
        place: String,
        /// Its schema.
        found: u32,
        /// The newest schema that this program works on.
        known: u32,
    },
    /// Another service writes to it.
    #[error("another Overture writes to {place}: stop that one, or give this one a database of its own")]
    InUse {
        /// Where.
        place: String,
    },
    /// Anything else.
    #[error("the store {place} cannot be opened")]
    Failed {
        /// Where.
        place: String,
        /// What the server says.
        #[source]
        source: sqlx::Error,
    },
}

/// Opens the database for writing; yields what it takes to connect again.
pub async fn open(url: &PostgresUrl, limits: &Limits) -> Result<(Connector, Connection), OpenError> {
    let options: PgConnectOptions = url.secret().parse().map_err(OpenError::NotAUrl)?;
    let place = place(&options);
    warn_if_unprotected(&options, &place);
    let connector = Connector::new(options, limits, place.clone());
    let until = Instant::now() + limits.lock_wait;
    let failed = |source| failed(&place, source);
    let mut connection = connect(&connector, until).await.map_err(failed)?;
    check_server(&mut connection, &place).await?;
    // Whatever is refused is refused before anything is written, and before anybody else is asked to let go.
    refuse(found_schema(&mut connection).await.map_err(failed)?, &place)?;
    if !connector.lock(&mut connection, until).await.map_err(failed)? {
        return Err(OpenError::InUse { place });
    }
    // Whoever had the lock may have changed it meanwhile.
    let found = found_schema(&mut connection).await.map_err(failed)?;
    let taken = refuse(found, &place)?;
    migrate(&mut connection, taken).await.map_err(failed)?;
    connector.sign(&mut connection).await.map_err(failed)?;
    if taken > schema::KNOWN {
        let known = schema::KNOWN;
        tracing::warn!("the store {place} has schema {taken}, one newer than this version's own ({known}), and is used as it is");
    }
    Ok((connector, connection))
}

/// The database as a person would name it, without what is secret.
fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("postgres://{}@{host}/{}", options.get_username(), options.get_database().unwrap_or(options.get_username()))
}

fn warn_if_unprotected(options: &PgConnectOptions, place: &str) {
    let near = options.get_socket().is_some() || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&options.get_host());
    if !near && !matches!(options.get_ssl_mode(), PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        tracing::warn!("what goes to {place} may be read and changed on its way: add sslmode=verify-full to the store's URL");
    }
}

/// Waits for a server that is starting, as after a power failure, when everything starts at once.
async fn connect(connector: &Connector, until: Instant) -> Result<Connection, sqlx::Error> {
    loop {
        match connector.connect_once().await {
            Err(error) if db::code(&error).as_deref() == Some("57P03") && Instant::now() + PAUSE < until => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// A failure of opening, told apart by what the reader should do.
fn failed(place: &str, source: sqlx::Error) -> OpenError {
    let place = place.to_owned();
    match (&source, db::code(&source).as_deref()) {
        (_, Some("3D000")) => OpenError::NoDatabase { place },
        (_, Some("28P01")) => OpenError::WrongPassword { place },
        (_, Some("28000")) => OpenError::NotAdmitted { place, source },
        (_, Some("42501")) => OpenError::NotAllowed { place, source },
        (sqlx::Error::Tls(_), _) => OpenError::NoTls { place, source },
        (sqlx::Error::Io(_), _) => OpenError::Unreachable { place, source },
        // A password was asked for and there is none; the server is not asked then.
        (sqlx::Error::Configuration(_), _) => OpenError::WrongPassword { place },
        _ => OpenError::Failed { place, source },
    }
}

#[derive(sqlx::FromRow)]
struct Server {
    version: i64,
    encoding: String,
    syncs: bool,
    standby: bool,
}

async fn check_server(connection: &mut Connection, place: &str) -> Result<(), OpenError> {
    let server: Server = sqlx::query_as(
        "SELECT current_setting('server_version_num')::BIGINT AS version, current_setting('server_encoding') AS encoding,
            current_setting('fsync')::BOOLEAN AND current_setting('full_page_writes')::BOOLEAN AS syncs, pg_is_in_recovery() AS standby",
    )
    .fetch_one(connection)
    .await
    .map_err(|source| failed(place, source))?;
    let unsuitable = |why: String| Err(OpenError::Unsuitable { place: place.to_owned(), why });
    if server.version / 10_000 < OLDEST_SERVER {
        return Err(OpenError::TooOld { place: place.to_owned(), found: server.version / 10_000 });
    }
    if server.encoding != "UTF8" {
        let encoding = server.encoding;
        return unsuitable(format!("its encoding is {encoding}: create it with `createdb --encoding=UTF8 --template=template0 DATABASE`"));
    }
    if server.standby {
        return unsuitable("the server is a standby, which cannot be written: name the primary".into());
    }
    if !server.syncs {
        tracing::warn!("the server of {place} has fsync or full_page_writes off: what was kept may be lost when its machine fails");
    }
    Ok(())
}

/// What is in the database.
enum Found {
    Nothing,
    Schema(u32),
    SomethingElse,
}

async fn found_schema(connection: &mut Connection) -> Result<Found, sqlx::Error> {
    let ours: bool = sqlx::query_scalar("SELECT to_regclass('overture_store') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !ours {
        let tables: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'v', 'm', 'f')",
        )
        .fetch_one(connection)
        .await?;
        return Ok(if tables == 0 { Found::Nothing } else { Found::SomethingElse });
    }
    let version: i64 = sqlx::query_scalar("SELECT version FROM overture_store").fetch_one(connection).await?;
    Ok(Found::Schema(u32::try_from(version).unwrap_or(u32::MAX)))
}

/// The schema, 0 for an empty database, if this program works on it.
fn refuse(found: Found, place: &str) -> Result<u32, OpenError> {
    let place = || place.to_owned();
    match found {
        Found::Nothing => Ok(0),
        Found::SomethingElse => Err(OpenError::NotAStore { place: place() }),
        Found::Schema(found) if found > schema::READABLE => Err(OpenError::Newer { place: place(), found, known: schema::READABLE }),
        Found::Schema(found) => Ok(found),
    }
}

/// Takes the steps that the database lacks, each in a transaction of its own. Wants the lock.
async fn migrate(connection: &mut Connection, taken: u32) -> Result<(), sqlx::Error> {
    for step in schema::STEPS.iter().filter(|step| step.schema > taken) {
        let Some(sql) = step.postgres else { continue };
        let version = step.schema;
        let mark = if taken == 0 && schema::STEPS.iter().find(|step| step.postgres.is_some()).is_some_and(|first| first.schema == version) {
            format!(
                "CREATE TABLE overture_store (version BIGINT NOT NULL, writer TEXT); INSERT INTO overture_store (version) VALUES ({version})"
            )
        } else {
            format!("UPDATE overture_store SET version = {version}")
        };
        // Safe: made of this program's own text and numbers.
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}; {mark}; COMMIT")))).await?;
    }
    Ok(())
}
