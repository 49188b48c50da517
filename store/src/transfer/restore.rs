//! A backup becomes a store. What was there before is moved aside, never overwritten, and only when the new one is whole.

use super::archive::{ArchiveError, Contents, Unpacker, verify};
use super::copy::Progress;
use super::{State, Transfer};
use crate::schema::TABLES;
use crate::{Location, OpenError, OpenStore, open_any};
use domain::Timestamp;
use domain::ports::{ObserveOnly, StoreError};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Why a backup was not restored. The store that was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something is there.
    #[error("the store {place} is not empty: add --replace, which moves it aside and keeps it, or name another state folder")]
    NotEmpty {
        /// Where.
        place: String,
    },
    /// Something is there, and a database cannot be moved aside.
    #[error(
        "the database {place} is not empty, and a restore replaces none: create a new one with `createdb --encoding=UTF8 NAME`, \
        set it as `url` in `[store]` of the settings, and restore again"
    )]
    NotEmptyDatabase {
        /// Where.
        place: String,
    },
    /// What is there cannot be opened.
    #[error("what is there cannot be opened: for a file, --replace moves it aside")]
    Existing(#[source] OpenError),
    /// The new store cannot be made.
    #[error("the store could not be made")]
    Open(#[source] OpenError),
    /// It cannot be filled.
    #[error("the store could not be filled from the backup")]
    Store(#[from] StoreError),
    /// A file.
    #[error("could not {attempted} {}", .path.display())]
    File {
        /// move, sync.
        attempted: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// What the backup held.
    pub contents: Contents,
    /// Where it is now.
    pub place: String,
    /// Where the store is that was there before.
    pub aside: Option<PathBuf>,
}

/// Makes a backup the store at a place, which then only watches. No service may use that place.
pub async fn restore(
    archive: &Path,
    location: &Location,
    replace: bool,
    now: Timestamp,
    progress: &Progress,
) -> Result<Restored, RestoreError> {
    let contents = verify(archive)?;
    match location {
        Location::Sqlite(path) => restore_file(archive, path, replace, now, progress).await,
        Location::Postgres(_) => {
            let store = open_any(location).await.map_err(RestoreError::Open)?;
            let place = store.place().to_string();
            let outcome = restore_into(archive, &*store, now, progress).await;
            store.close().await;
            match outcome {
                Err(RestoreError::NotEmpty { place }) => Err(RestoreError::NotEmptyDatabase { place }),
                outcome => outcome.map(|_| Restored { contents, place, aside: None }),
            }
        }
    }
}

async fn restore_file(archive: &Path, path: &Path, replace: bool, now: Timestamp, progress: &Progress) -> Result<Restored, RestoreError> {
    let there = path.exists() || beside(path, "-wal").exists();
    if there {
        may_be_replaced(path, replace).await?;
    }
    let new = beside(path, ".restoring");
    remove(&new)?;
    let store = open_any(&Location::Sqlite(new.clone())).await.map_err(RestoreError::Open)?;
    let filled = restore_into(archive, &*store, now, progress).await;
    store.close().await;
    let placed = match filled {
        Ok(contents) => put_in_place(&new, path, there, now).map(|aside| (contents, aside)),
        Err(error) => Err(error),
    };
    let (contents, aside) = placed.inspect_err(|_| {
        // It is in nobody's way, and removed at the next try if that fails too.
        let _ = remove(&new);
    })?;
    Ok(Restored { contents, place: path.display().to_string(), aside })
}

/// Whether what is there may be moved aside; writes its log into it on the way.
async fn may_be_replaced(path: &Path, replace: bool) -> Result<(), RestoreError> {
    match open_any(&Location::Sqlite(path.to_owned())).await {
        Ok(store) => {
            let empty = is_empty(&*store).await;
            store.close().await;
            if !replace && !empty? {
                return Err(RestoreError::NotEmpty { place: path.display().to_string() });
            }
            Ok(())
        }
        Err(_) if replace => Ok(()),
        Err(error) => Err(RestoreError::Existing(error)),
    }
}

/// Gives the new file the name of the old one, which gets another.
fn put_in_place(new: &Path, path: &Path, there: bool, now: Timestamp) -> Result<Option<PathBuf>, RestoreError> {
    let failed = |attempted, path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::File { attempted, path, source }
    };
    File::open(new).and_then(|file| file.sync_all()).map_err(failed("sync", new))?;
    let aside = beside(path, &format!(".before-restore-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    for suffix in ["-wal", "-shm"] {
        let log = beside(path, suffix);
        // A log that is still there is of a file that SQLite could not open. It must not be taken for the new file's.
        if log.exists() {
            fs::rename(&log, beside(&aside, suffix)).map_err(failed("move", &log))?;
        }
    }
    if path.exists() {
        // A second name and then a rename, so that there is a store under this name at every moment.
        fs::hard_link(path, &aside).map_err(failed("move", path))?;
    }
    fs::rename(new, path).map_err(failed("put into place", new))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
    Ok(there.then_some(aside))
}

fn remove(new: &Path) -> Result<(), RestoreError> {
    for suffix in ["", "-wal", "-shm", ".new"] {
        let path = beside(new, suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RestoreError::File { attempted: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether nothing is kept in it.
pub(super) async fn is_empty(store: &dyn Transfer) -> Result<bool, StoreError> {
    let mut moment = store.moment().await?;
    for table in &TABLES {
        if moment.count(table).await? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Empties what an earlier try has left half filled.
pub(super) async fn tidy(store: &dyn Transfer) -> Result<(), StoreError> {
    if store.state(State::Filling).await?.is_some() { store.clear().await } else { Ok(()) }
}

/// Fills an empty store from a backup, and has it only watch.
pub async fn restore_into(archive: &Path, target: &dyn OpenStore, now: Timestamp, progress: &Progress) -> Result<Contents, RestoreError> {
    tidy(target).await?;
    if !is_empty(target).await? {
        return Err(RestoreError::NotEmpty { place: target.place().to_string() });
    }
    target.set_state(State::Filling, Some("a restore".into())).await?;
    let filled = fill(archive, target, now, progress).await;
    if filled.is_err() {
        // Should that fail too, its mark stays, and it is emptied at the next try.
        let _ = target.clear().await;
    }
    filled
}

async fn fill(archive: &Path, target: &dyn OpenStore, now: Timestamp, progress: &Progress) -> Result<Contents, RestoreError> {
    let mut unpacker = Unpacker::open(archive)?;
    while let Some((table, rows)) = unpacker.next()? {
        let Some(table) = TABLES.get(table) else { continue };
        let many = rows.len();
        target.fill(table, rows).await?;
        progress.advance(many);
    }
    let contents = unpacker.contents();
    let reason = format!("restored from a backup of {:.0}", contents.header.made);
    target.begin_observing(&ObserveOnly { since: now, reason }).await?;
    target.set_state(State::Filling, None).await?;
    Ok(contents)
}
