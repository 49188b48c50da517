//! What is done with the store as a whole while the service runs: backups, moving it to another database, and the end of
//! watching after a restore. How that is done is the store's; here is when, one at a time, and how far it has come.

use domain::Timestamp;
use domain::clock::Clock;
use domain::ports::{ObserveOnly, ObserveStore, SiteStore, StoreError};
use inventory::Inventory;
use pxe::leases::LeaseBook;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::transfer::{CopyError, Header, MigrateError, Moved, Progress, Switchable, backup};
use store::{Location, OpenError, OpenStore, PostgresUrl};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use uuid::Uuid;

/// How many operations are remembered, the newest.
const MOST_OPERATIONS: usize = 20;
/// How many pieces of a backup wait for who takes them.
const PIECES: usize = 4;

/// A piece of a backup, or why there are no more.
pub type Piece = Result<Vec<u8>, io::Error>;

/// The store as a whole.
pub struct Transfers {
    store: Arc<Switchable>,
    clock: Arc<dyn Clock>,
    leases: Arc<LeaseBook>,
    inventory: Arc<Inventory>,
    watching: watch::Sender<Option<ObserveOnly>>,
    operations: Mutex<VecDeque<Arc<Operation>>>,
    /// One backup or move at a time: both keep the disk busy.
    room: Arc<Semaphore>,
}

/// Something that takes long.
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub started: Timestamp,
    /// How far it has come.
    pub progress: Progress,
    outcome: Mutex<Option<Outcome>>,
}

/// How something ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When.
    pub at: Timestamp,
    /// What came of it, or why nothing did.
    pub said: Result<String, String>,
}

/// Why something was not begun.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// Something else is under way.
    #[error("a backup is being made or the store is being moved: wait until that is done")]
    Busy,
    /// Not a place.
    #[error("write postgres://USER@HOST/DATABASE: that is where the store can be moved to; {0}")]
    NotAUrl(store::NotALocation),
    /// It cannot be copied.
    #[error("the store could not be copied")]
    Copy(#[source] CopyError),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Operation {
    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        locked(&self.outcome).clone()
    }
}

impl Transfers {
    /// Has everybody only watch, if the store says so.
    pub async fn start(
        store: Arc<Switchable>,
        clock: Arc<dyn Clock>,
        leases: Arc<LeaseBook>,
        inventory: Arc<Inventory>,
    ) -> Result<Self, StoreError> {
        let why = store.observe_only().await?;
        if let Some(ObserveOnly { since, reason }) = &why {
            tracing::warn!(
                "only watching since {since:.0}: the store was {reason}. Only known machines get their known addresses, and nothing is \
                 ordered or changed: look at what differs, then run `overture db resume`"
            );
        }
        let (watching, _) = watch::channel(None);
        let operations = Mutex::default();
        let transfers = Self { store, clock, leases, inventory, watching, operations, room: Arc::new(Semaphore::new(1)) };
        transfers.watch(why);
        Ok(transfers)
    }

    /// Why the service only watches, now and whenever that changes.
    pub fn watching(&self) -> watch::Receiver<Option<ObserveOnly>> {
        self.watching.subscribe()
    }

    /// Where the store is, without a password.
    pub fn place(&self) -> Arc<str> {
        self.store.place()
    }

    /// A person has looked: the service acts again. Yields why it had only watched.
    pub async fn resume(&self) -> Result<Option<ObserveOnly>, StoreError> {
        self.store.end_observing().await?;
        let before = self.watching.borrow().clone();
        self.watch(None);
        if before.is_some() {
            tracing::info!("no longer only watching: an operator has said so");
        }
        Ok(before)
    }

    fn watch(&self, why: Option<ObserveOnly>) {
        self.leases.table().only_known(why.is_some());
        self.inventory.only_watch(why.is_some());
        self.watching.send_replace(why);
    }

    /// Begins a backup: its first piece, and where the others come. It ends when nobody takes them any more.
    pub async fn backup(&self) -> Result<(Vec<u8>, mpsc::Receiver<Piece>), NotBegun> {
        let alone = self.alone()?;
        let unreadable = |error: StoreError| NotBegun::Copy(error.into());
        let site = self.store.current_site().await.map_err(unreadable)?.map(|revision| revision.site.name);
        let header = Header::new(self.clock.now(), env!("CARGO_PKG_VERSION"), site);
        let (give, mut take) = mpsc::channel(PIECES);
        let store = self.store.clone();
        let (failed, failure) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let _alone = alone;
            let made = backup(&*store, header, |piece| async { give.send(Ok(piece)).await.is_ok() }).await;
            match made {
                Ok(rows) => tracing::info!("a backup was made: {rows} rows"),
                Err(CopyError::Gone) => tracing::info!("a backup was broken off by whoever asked for it"),
                Err(error) => {
                    tracing::warn!("a backup was not made: {}", crate::chain(&error));
                    let told = io::Error::other(crate::chain(&error));
                    // Whoever has had a piece already is told by the stream, the others by the answer.
                    if let Err(error) = failed.send(error) {
                        drop(error);
                    }
                    let _ = give.send(Err(told)).await;
                }
            }
        });
        match take.recv().await {
            Some(Ok(first)) => Ok((first, take)),
            _ => Err(NotBegun::Copy(failure.await.unwrap_or(CopyError::Stopping))),
        }
    }

    /// Begins to move the store to another database.
    pub fn migrate(self: &Arc<Self>, url: &str) -> Result<Arc<Operation>, NotBegun> {
        let url: PostgresUrl = url.trim().parse().map_err(NotBegun::NotAUrl)?;
        let alone = self.alone()?;
        let operation =
            Arc::new(Operation { id: Uuid::now_v7(), started: self.clock.now(), progress: Progress::default(), outcome: Mutex::default() });
        {
            let mut operations = locked(&self.operations);
            operations.push_back(operation.clone());
            if operations.len() > MOST_OPERATIONS {
                operations.pop_front();
            }
        }
        let (transfers, done) = (self.clone(), operation.clone());
        tokio::spawn(async move {
            let _alone = alone;
            let said = transfers.move_to(url, &done.progress).await;
            match &said {
                Ok(told) => tracing::info!("{told}"),
                Err(told) => tracing::error!("the store was not moved: {told}"),
            }
            *locked(&done.outcome) = Some(Outcome { at: transfers.clock.now(), said });
        });
        Ok(operation)
    }

    async fn move_to(&self, url: PostgresUrl, progress: &Progress) -> Result<String, String> {
        let before = self.place();
        let target = store::open_any(&Location::Postgres(url)).await.map_err(|error: OpenError| crate::chain(&error))?;
        let moved = self.store.migrate_to(target, progress).await.map_err(|error: MigrateError| crate::chain(&error))?;
        let Moved { to, rows, meanwhile, pause } = moved;
        let milliseconds = pause.as_millis();
        Ok(format!(
            "the store was moved from {before} to {to}: {rows} rows, and {meanwhile} operations that came meanwhile; \
             writes waited for {milliseconds} ms"
        ))
    }

    /// An operation, as long as it is remembered.
    pub fn operation(&self, id: Uuid) -> Option<Arc<Operation>> {
        locked(&self.operations).iter().find(|operation| operation.id == id).cloned()
    }

    fn alone(&self) -> Result<OwnedSemaphorePermit, NotBegun> {
        self.room.clone().try_acquire_owned().map_err(|_| NotBegun::Busy)
    }
}
