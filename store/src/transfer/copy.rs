//! From a moment of a store into another store, or into an archive.

use super::archive::{ArchiveError, Header, Packer};
use super::migrate::MigrateError;
use super::{Moment, Row, Transfer, size};
use crate::OpenStore;
use crate::schema::{TABLES, Table};
use domain::ports::StoreError;
use std::sync::atomic::{AtomicU64, Ordering};

/// About how many bytes a portion has.
const PORTION: usize = 2 << 20;
/// At most how many rows.
const MOST_ROWS: usize = 500;
/// How many rows the first portion of a table has: how long they are is not known yet.
const FIRST_ROWS: usize = 16;

/// How far something has come, rows. Shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// How many rows are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How many there are; 0 while that is not known.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, rows: u64) {
        self.total.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn advance(&self, rows: usize) {
        self.done.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Who takes the bytes has gone.
    #[error("nobody takes the backup any more")]
    Gone,
    /// A task ended.
    #[error("the backup was broken off, because the service is stopping")]
    Stopping,
}

/// The rows of a table, a portion at a time.
pub(super) struct Portions {
    table: &'static Table,
    last: Option<Row>,
    rows: usize,
    ended: bool,
}

impl Portions {
    pub(super) fn of(table: &'static Table) -> Self {
        Self { table, last: None, rows: FIRST_ROWS, ended: false }
    }

    /// The next rows; none after the last.
    pub(super) async fn next(&mut self, moment: &mut dyn Moment) -> Result<Vec<Row>, StoreError> {
        if self.ended {
            return Ok(vec![]);
        }
        let rows = moment.portion(self.table, self.last.as_ref(), self.rows).await?;
        self.ended = rows.len() < self.rows;
        if let Some(last) = rows.last() {
            let of_one = rows.iter().map(size).sum::<usize>() / rows.len();
            self.rows = (PORTION / of_one.max(1)).clamp(1, MOST_ROWS);
            self.last = Some(last.clone());
        }
        Ok(rows)
    }
}

/// Puts all rows of a moment into an empty store.
pub(super) async fn copy(moment: &mut dyn Moment, target: &dyn Transfer, progress: &Progress) -> Result<(), MigrateError> {
    for table in &TABLES {
        progress.expect(moment.count(table).await.map_err(MigrateError::Source)?);
    }
    for table in &TABLES {
        let mut portions = Portions::of(table);
        loop {
            let rows = portions.next(moment).await.map_err(MigrateError::Source)?;
            if rows.is_empty() {
                break;
            }
            let many = rows.len();
            target.fill(table, rows).await.map_err(MigrateError::Target)?;
            progress.advance(many);
        }
    }
    Ok(())
}

/// Makes an archive of the store as it is now, and hands it over in pieces. Ends when `give` says that nobody wants more.
pub async fn backup<F>(store: &dyn OpenStore, header: Header, mut give: impl FnMut(Vec<u8>) -> F) -> Result<u64, CopyError>
where
    F: Future<Output = bool>,
{
    let mut moment = store.moment().await?;
    let mut packer = Packer::new(&header)?;
    let mut rows_in_all = 0;
    for (number, table) in TABLES.iter().enumerate() {
        let mut portions = Portions::of(table);
        loop {
            let rows = portions.next(&mut *moment).await?;
            if rows.is_empty() {
                break;
            }
            rows_in_all += rows.len() as u64;
            // Compressing keeps a processor busy for a while.
            let packed = tokio::task::spawn_blocking(move || packer.rows(number, &rows).map(|()| packer));
            packer = packed.await.map_err(|_| CopyError::Stopping)??;
            let piece = packer.take();
            if !piece.is_empty() && !give(piece).await {
                return Err(CopyError::Gone);
            }
        }
    }
    if !give(packer.end()?).await {
        return Err(CopyError::Gone);
    }
    Ok(rows_in_all)
}
