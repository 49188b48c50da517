//! From the store in use to an empty one, while everybody goes on.
//!
//! ```text
//! the store in use:  ──┬─ a moment ──► copied, portion by portion ─►┐
//!                      └─ what is written after it ─► journal ─────►┤ replayed in order, again and again, until little is left
//!                                                   gate closed ───►┤ the rest; counts compared; the old one marked as moved
//!                                                   gate open   ◄───┘ everything goes to the new one
//! ```
//!
//! Whatever fails before the mark leaves the store in use as it is, and the other one empty.

use super::copy::{Progress, copy};
use super::journal::{Journal, Spoilt};
use super::restore::{is_empty, tidy};
use super::{State, Switchable};
use crate::OpenStore;
use crate::schema::TABLES;
use domain::ports::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// With so few operations left, the rest is done in the pause.
const FEW: usize = 200;
/// How often what was written meanwhile is replayed before the pause at most: a store that is slower than what goes on would
/// never catch up.
const MOST_ROUNDS: usize = 100;
/// How long writes wait at most. Less than anybody waits for an answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a migration did.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Where the store is now, without a password.
    pub to: Arc<str>,
    /// Rows that were copied.
    pub rows: u64,
    /// Operations that were written meanwhile and taken over.
    pub meanwhile: u64,
    /// How long writes waited.
    pub pause: Duration,
}

/// Why the store was not moved. The one before is in use and has everything.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Another one is under way.
    #[error("the store is being moved already: wait until that is done")]
    UnderWay,
    /// Something is in the other one.
    #[error("the database {0} is not empty: create a new one with `createdb --encoding=UTF8 NAME` and name that")]
    NotEmpty(String),
    /// The store in use cannot be read.
    #[error("the store in use could not be copied")]
    Source(#[source] StoreError),
    /// The other one cannot be written.
    #[error("the new store could not be filled")]
    Target(#[source] StoreError),
    /// Too much was written meanwhile.
    #[error("what was written meanwhile could not be taken over")]
    Journal(#[from] Spoilt),
    /// The pause was too long.
    #[error("the last step took longer than {} s, for which nobody should wait: try again when less goes on", LONGEST_PAUSE.as_secs())]
    TooSlow,
    /// They differ.
    #[error(
        "the new store has {found} rows in table {table} where the one in use has {wanted}: this is a mistake in Overture, please report it"
    )]
    Differs {
        /// Which table.
        table: &'static str,
        /// Rows in the store in use.
        wanted: u64,
        /// Rows in the other one.
        found: u64,
    },
    /// It is not known which store is to be used.
    #[error(
        "it could not be kept that the store was moved to {to}, nor read whether that was kept: stop the service, and look \
        with which of the two it starts"
    )]
    Unsure {
        /// The new store.
        to: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl Switchable {
    /// Moves everything to an empty store, which is used from then on. A store that is refused, or not used after all, is closed.
    pub async fn migrate_to(&self, target: Arc<dyn OpenStore>, progress: &Progress) -> Result<Moved, MigrateError> {
        let Ok(_alone) = self.migrating.try_lock() else {
            target.close().await;
            return Err(MigrateError::UnderWay);
        };
        let source = self.now();
        let outcome = match make_room(&*target).await {
            Ok(()) => self.attempt(&source, &target, progress).await,
            Err(error) => {
                target.close().await;
                return Err(error);
            }
        };
        match &outcome {
            Ok(_) => drop(tokio::spawn(Self::leave(source))),
            Err(error) => {
                // Should these fail, the journal is bounded, and the mark on the other store stays.
                let _ = source.unfollow().await;
                if !matches!(error, MigrateError::Unsure { .. }) {
                    let _ = target.clear().await;
                }
                target.close().await;
            }
        }
        outcome
    }

    async fn attempt(&self, source: &Arc<dyn OpenStore>, target: &Arc<dyn OpenStore>, progress: &Progress) -> Result<Moved, MigrateError> {
        let journal = Arc::new(Journal::default());
        let mut moment = source.follow(Arc::clone(&journal)).await.map_err(MigrateError::Source)?;
        copy(&mut *moment, &**target, progress).await?;
        drop(moment);
        let mut meanwhile = 0;
        for _ in 0..MOST_ROUNDS {
            let records = journal.take()?;
            let few = records.len() <= FEW;
            meanwhile += records.len() as u64;
            target.replay(records).await.map_err(MigrateError::Target)?;
            if few {
                break;
            }
        }
        let began = Instant::now();
        let Some(closed) = self.close_gate(LONGEST_PAUSE).await else { return Err(MigrateError::TooSlow) };
        let last = timeout_at(began + LONGEST_PAUSE, last_step(&**source, &**target, &journal)).await;
        let marked = match last.map_err(|_| MigrateError::TooSlow).flatten() {
            Ok(records) => mark(&**source, &**target).await.map(|()| records),
            Err(error) => Err(error),
        };
        if marked.is_ok() {
            drop(self.switch(Arc::clone(target)));
        }
        self.open_gate(closed);
        meanwhile += marked?;
        Ok(Moved { to: target.place(), rows: progress.done(), meanwhile, pause: began.elapsed() })
    }
}

/// Refuses a store that is not empty; marks one that is.
async fn make_room(target: &dyn OpenStore) -> Result<(), MigrateError> {
    tidy(target).await.map_err(MigrateError::Target)?;
    if !is_empty(target).await.map_err(MigrateError::Target)? {
        return Err(MigrateError::NotEmpty(target.place().to_string()));
    }
    let why = "moving another store into it".to_owned();
    target.set_state(State::Filling, Some(why)).await.map_err(MigrateError::Target)
}

/// While nothing is written: takes over the rest and compares. Yields how many operations that were.
async fn last_step(source: &dyn OpenStore, target: &dyn OpenStore, journal: &Journal) -> Result<u64, MigrateError> {
    source.unfollow().await.map_err(MigrateError::Source)?;
    let records = journal.take()?;
    let many = records.len() as u64;
    target.replay(records).await.map_err(MigrateError::Target)?;
    let mut here = source.moment().await.map_err(MigrateError::Source)?;
    let mut there = target.moment().await.map_err(MigrateError::Target)?;
    // What a store knows of itself differs.
    for table in TABLES.iter().filter(|table| table.name != "store_state") {
        let wanted = here.count(table).await.map_err(MigrateError::Source)?;
        let found = there.count(table).await.map_err(MigrateError::Target)?;
        if found != wanted {
            return Err(MigrateError::Differs { table: table.name, wanted, found });
        }
    }
    target.set_state(State::Filling, None).await.map_err(MigrateError::Target)?;
    Ok(many)
}

/// From here on, the one store is not to be used any more.
async fn mark(source: &dyn OpenStore, target: &dyn OpenStore) -> Result<(), MigrateError> {
    let to = target.place().to_string();
    let Err(error) = source.set_state(State::Moved, Some(to.clone())).await else { return Ok(()) };
    match source.state(State::Moved).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(MigrateError::Source(error)),
        Err(_) => Err(MigrateError::Unsure { to, source: error }),
    }
}
