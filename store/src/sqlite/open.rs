//! Opening: refuse what is not ours or newer, make what is not there, bring an older schema up to date.

use super::db::{is_damaged, is_locked};
use super::file::{self, APPLICATION, beside};
use crate::{Limits, schema};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who may read the file: it holds tickets and what nodes say of themselves.
const MODE: u32 = 0o600;

/// Why a store cannot be opened. The file is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It holds something else.
    #[error("{} is not a store of Overture: {why}. Give another path, or move the file away to start with an empty store", .path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Its end is missing.
    #[error("the store {} is cut off: {why}. Restore it from a backup, or move it away to start with an empty store", .path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// By how much.
        why: String,
    },
    /// The file is gone, and what was not yet written into it is still there.
    #[error(
        "the store {0} is gone, but {0}-wal, which belongs to it, is not. Restore {0}, or move {0}-wal away to start with an empty store",
        .path.display()
    )]
    LogAlone {
        /// The file that is gone.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error(
        "the store {} cannot be written: {why}. Give the user who runs the service the right to write it (chmod u+w) and its folder",
        .path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A newer version of this program has written it.
    #[error(
        "the store {} was written by a newer Overture: it has schema {found}, and this one works on those up to {known}. \
        Start the newer version again, or restore the backup from before the upgrade",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema that this program works on.
        known: u32,
    },
    /// Another process has it locked.
    #[error("the store {} is locked by another process: end that process, then start again", .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// SQLite finds it damaged.
    #[error("the store {} is damaged. Restore it from a backup, or move it away to start with an empty store", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// The system does not let it be made or opened.
    #[error("the store {} cannot be opened: check that its folder exists and may be written", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// SQLite does not open it.
    #[error("the store {} cannot be opened by SQLite: check that its folder may be written and the disk has space", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
}

/// Opens the file for writing; yields what it takes to connect again.
pub async fn open(path: &Path, limits: &Limits) -> Result<(SqliteConnectOptions, SqliteConnection), OpenError> {
    let path = &std::path::absolute(path).map_err(|source| OpenError::Unusable { path: path.to_owned(), source })?;
    let failed = |source| failed(path, source);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(limits.lock_wait)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    match file::inspect(path)? {
        None => make(path, &options).await?,
        // The log may hold a newer version than the header: ask without writing.
        Some(_) if file::has_log(path) => {
            let mut connection = for_reading(&options).connect().await.map_err(failed)?;
            refuse_newer(path, found_schema(&mut connection).await.map_err(failed)?)?;
            connection.close().await.map_err(failed)?;
        }
        Some(header) => refuse_newer(path, header.schema)?,
    }
    keep_private(path).map_err(|source| OpenError::Unusable { path: path.to_owned(), source })?;
    // A log that was large once is cut back when it starts over.
    let options = options.journal_mode(SqliteJournalMode::Wal).pragma("journal_size_limit", "16777216");
    let mut connection = options.connect().await.map_err(failed)?;
    migrate(&mut connection).await.map_err(failed)?;
    let found = found_schema(&mut connection).await.map_err(failed)?;
    if found > schema::KNOWN {
        let (path, known) = (path.display(), schema::KNOWN);
        tracing::warn!("the store {path} has schema {found}, one newer than this version's own ({known}), and is used as it is");
    }
    Ok((options, connection))
}

/// The same file for those who only read.
pub fn for_reading(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    // Rows cross from SQLite's thread in portions of this size.
    options.clone().read_only(true).row_buffer_size(256)
}

fn failed(path: &Path, source: sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match source {
        source if is_locked(&source) => OpenError::Locked { path, source },
        source if is_damaged(&source) => OpenError::Damaged { path, source },
        source => OpenError::Failed { path, source },
    }
}

fn refuse_newer(path: &Path, found: u32) -> Result<(), OpenError> {
    if found > schema::READABLE {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: schema::READABLE });
    }
    Ok(())
}

/// Makes an empty store under another name and gives it its own when it is whole, so that a crash leaves all or nothing.
async fn make(path: &Path, options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
    let unfinished = beside(path, ".new");
    remove_if_there(&unfinished).map_err(unusable)?;
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished).map_err(unusable)?;
    // Neither journal nor syncing on the way: what is half-made is thrown away, and what is whole is synced once.
    let options = options.clone().filename(&unfinished).journal_mode(SqliteJournalMode::Memory).synchronous(SqliteSynchronous::Off);
    let made = async {
        let mut connection = options.connect().await?;
        migrate(&mut connection).await?;
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await?;
        connection.close().await
    };
    if let Err(source) = made.await {
        // It is in nobody's way, and removed at the next try if that fails too.
        let _ = fs::remove_file(&unfinished);
        return Err(failed(path, source));
    }
    fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(unusable)?;
    // A link, because a rename would replace a store that another process has made meanwhile.
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished).map_err(unusable)?;
    linked.map_err(unusable)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes the file from everybody but its owner; its log gets the same mode from SQLite.
fn keep_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & !MODE != 0 {
        tracing::warn!("{} was open to others (mode {mode:04o}); it is now its owner's alone", path.display());
        fs::set_permissions(path, fs::Permissions::from_mode(mode & MODE))?;
    }
    Ok(())
}

async fn found_schema(connection: &mut SqliteConnection) -> Result<u32, sqlx::Error> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?;
    // The field is unsigned for us and signed for SQLite; a negative one is newer than anything.
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// Takes the steps that the file lacks, each in a transaction of its own.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let taken = found_schema(connection).await?;
    for step in schema::STEPS.iter().skip(taken as usize) {
        let (version, sql) = (step.schema, step.sqlite);
        let text = format!("BEGIN IMMEDIATE; {sql}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}; COMMIT");
        // Safe: made of this program's own text and numbers.
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *connection).await?;
    }
    Ok(())
}
