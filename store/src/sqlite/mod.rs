//! The embedded store: one SQLite file.
//!
//! All writing goes through one task with a bounded mailbox (`writer.rs`): it takes what has queued, writes it in one
//! transaction, commits once and answers everybody, because the commit is what costs. Reading uses connections of its
//! own and never waits for a writer. An answer means that the bytes have been synced (WAL, `synchronous = FULL`).

mod answers;
mod boots;
mod cause;
mod columns;
mod file;
mod leases;
mod nodes;
mod open;
#[cfg(test)]
mod plans;
mod site;
mod work;
mod writer;

pub use open::OpenError;

use crate::Limits;
use cause::{Cause, unreadable};
use domain::ports::StoreError;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use work::{Operation, Work};

/// How many reads go on at once; each costs a thread and a page cache.
const READERS: u32 = 4;
/// How long an unused reader is kept.
const READER_IDLE: Duration = Duration::from_secs(60);

/// A store in one file. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    mailbox: mpsc::Sender<Operation>,
    readers: SqlitePool,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    closing: Arc<AtomicBool>,
    /// Its other end is the writer's, and goes with it.
    writer: watch::Receiver<()>,
}

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions that were committed.
    pub commits: u64,
    /// Operations that were written in them.
    pub written: u64,
    /// Transactions that failed: disk full, locked.
    pub failures: u64,
    /// Steps of boots that were not kept because there was no room or the database failed.
    pub notes_lost: u64,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    written: AtomicU64,
    failures: AtomicU64,
    notes_lost: AtomicU64,
}

impl SqliteStore {
    /// Opens the store at `path`, and makes it if there is none, readable by its owner only. Starts the writer on the
    /// current tokio runtime. A file that is refused is left as it is.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Limits::default()).await
    }

    /// The same with other bounds.
    pub async fn open_with(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        let (options, connection) = open::open(path, &limits).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .acquire_timeout(limits.lock_wait)
            .idle_timeout(READER_IDLE)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(open::for_reading(&options));
        let (mailbox, incoming) = mpsc::channel(limits.mailbox.max(4));
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let writer = writer::Writer::new(options, connection, Arc::clone(&limits), Arc::clone(&counters));
        let (alive, watched) = watch::channel(());
        tokio::spawn(async move {
            let _alive = alive;
            writer.run(incoming).await;
        });
        Ok(Self { mailbox, readers, limits, counters, closing: Arc::default(), writer: watched })
    }

    /// What was done since the store was opened.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: read(&self.counters.commits),
            written: read(&self.counters.written),
            failures: read(&self.counters.failures),
            notes_lost: read(&self.counters.notes_lost),
        }
    }

    /// Writes what has queued and closes the file. Whatever comes later is refused. Closing twice does no harm.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.readers.close().await;
        let (reply, done) = oneshot::channel();
        if self.mailbox.send(Operation::waited(Work::Close, reply)).await.is_ok() {
            // An error means that the writer has ended already, which is what is wanted.
            let _ = done.await;
        }
        self.writer_ended().await;
    }

    /// Waits until the writer ends although nobody closed the store, which only a mistake in this program can cause. Without
    /// it nothing can be kept any more, so the process should end too.
    pub async fn run_until_failure(&self) -> StoreError {
        self.writer_ended().await;
        if self.closing.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Cause::Ended.while_trying_to("go on")
    }

    async fn writer_ended(&self) {
        // Nothing is ever sent: the wait ends when the other end is gone.
        let _ = self.writer.clone().changed().await;
    }

    /// Hands an operation to the writer and waits until it is durable or refused.
    async fn write(&self, work: Work) -> Result<(), StoreError> {
        let attempted = work.attempted();
        let deadline = Instant::now() + self.limits.answer_wait;
        let (reply, answer) = oneshot::channel();
        match timeout_at(deadline, self.mailbox.send(Operation::waited(work, reply))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.ended().while_trying_to(attempted)),
            Err(_) => return Err(StoreError::Busy { attempted }),
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.ended().while_trying_to(attempted)),
            // Dropping `answer` here tells the writer not to write it any more.
            Err(_) => Err(Cause::Late(self.limits.answer_wait).while_trying_to(attempted)),
        }
    }

    /// Hands over what nobody waits for, if there is room.
    fn write_soon(&self, work: Work) -> bool {
        let roomy = self.mailbox.capacity() > self.mailbox.max_capacity() / 4;
        let taken = roomy && self.mailbox.try_send(Operation::unwaited(work)).is_ok();
        if !taken {
            self.counters.notes_lost.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    fn ended(&self) -> Cause {
        if self.closing.load(Ordering::SeqCst) { Cause::Closed } else { Cause::Ended }
    }
}
