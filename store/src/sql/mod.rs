//! What every database is asked, and in which order. Compiled once for each: `super::db` is the database.
//!
//! All writing goes through one task with a bounded mailbox (`writer.rs`): it takes what has queued, writes it in one
//! transaction, commits once and answers everybody, because the commit is what costs. Reading uses connections of its
//! own and never waits for a writer. An answer means that the bytes have been synced.

use super::db;

mod answers;
mod boots;
mod copy;
mod hardware;
mod history;
mod leases;
mod nodes;
mod observe;
mod prune;
mod site;
mod work;
mod writer;

/// What is run often, by name, for those who ask a database how it would go about it.
#[cfg(test)]
pub(super) mod hot;

use crate::cause::Cause;
use crate::counters::Counters;
use crate::{Limits, OpenStore, Stats};
use async_trait::async_trait;
use domain::NodeId;
use domain::ports::{ObserveOnly, StoreError};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use work::{Operation, Work};

/// A store. Clones share it.
#[derive(Clone)]
pub struct SqlStore {
    mailbox: mpsc::Sender<Operation>,
    readers: db::Pool,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    closing: Arc<AtomicBool>,
    /// Why the writer has ended, if it said so.
    ended: Arc<OnceLock<Cause>>,
    /// Its other end is the writer's, and goes with it.
    writer: watch::Receiver<()>,
    /// How far pruning has come; none at the beginning.
    pruned: Arc<Mutex<Option<NodeId>>>,
    place: Arc<str>,
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("place", &self.place).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl SqlStore {
    /// Starts the writer on the current tokio runtime.
    pub(super) fn start(connector: db::Connector, connection: db::Connection, readers: db::Pool, limits: Limits, place: String) -> Self {
        let (mailbox, incoming) = mpsc::channel(limits.mailbox.max(4));
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let ended = Arc::new(OnceLock::new());
        let writer = writer::Writer::new(connector, connection, Arc::clone(&limits), Arc::clone(&counters), Arc::clone(&ended));
        let (alive, watched) = watch::channel(());
        tokio::spawn(async move {
            let _alive = alive;
            writer.run(incoming).await;
        });
        let (closing, pruned) = (Arc::default(), Arc::default());
        Self { mailbox, readers, limits, counters, closing, ended, writer: watched, pruned, place: place.into() }
    }

    /// What was done since the store was opened.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Writes what has queued and closes. Whatever comes later is refused. Closing twice does no harm.
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

    /// Waits until the writer ends although nobody closed the store: because another service took the database, or by a
    /// mistake in this program. Without it nothing can be kept any more, so the process should end too.
    pub async fn run_until_failure(&self) -> StoreError {
        self.writer_ended().await;
        if self.closing.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.ended().while_trying_to("go on")
    }

    async fn writer_ended(&self) {
        // Nothing is ever sent: the wait ends when the other end is gone.
        let _ = self.writer.clone().changed().await;
    }

    /// Hands an operation to the writer and waits until it is durable or refused. Yields how many rows went, where that is
    /// counted.
    async fn write(&self, work: Work) -> Result<u64, StoreError> {
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

    /// Hands over what a journal holds, in order, and waits until all of it is durable.
    async fn write_in_order(&self, records: Vec<Vec<u8>>) -> Result<(), StoreError> {
        const REPLAYING: &str = "take over what was written meanwhile";
        let together = (self.limits.mailbox / 2).max(1);
        for some in records.chunks(together) {
            let mut answers = Vec::with_capacity(some.len());
            for record in some {
                let work: Work = serde_json::from_slice(record)
                    .map_err(|source| StoreError::Corrupt { what: "a journal".into(), source: source.into() })?;
                let (reply, answer) = oneshot::channel();
                let sent = self.mailbox.send(Operation::waited(work, reply)).await;
                sent.map_err(|_| self.ended().while_trying_to(REPLAYING))?;
                answers.push(answer);
            }
            for answer in answers {
                answer.await.map_err(|_| self.ended().while_trying_to(REPLAYING))??;
            }
        }
        Ok(())
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
        match self.ended.get() {
            _ if self.closing.load(Ordering::SeqCst) => Cause::Closed,
            Some(cause) => cause.clone(),
            None => Cause::Ended,
        }
    }
}

#[async_trait]
impl OpenStore for SqlStore {
    fn stats(&self) -> Stats {
        self.stats()
    }

    fn place(&self) -> Arc<str> {
        Arc::clone(&self.place)
    }

    async fn close(&self) {
        self.close().await;
    }

    async fn run_until_failure(&self) -> StoreError {
        self.run_until_failure().await
    }

    async fn begin_observing(&self, why: &ObserveOnly) -> Result<(), StoreError> {
        self.write(Work::Observe(Some(why.clone()))).await.map(drop)
    }
}

/// Something could not be put into the form of a column.
fn unwritable(attempted: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| Cause::Failed(Arc::new(error)).while_trying_to(attempted)
}

/// Turns the failure of a read into the domain's error.
fn unreadable(attempted: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if db::is_damaged(&error) {
            return StoreError::Corrupt { what: "a page".into(), source: Box::new(error) };
        }
        if matches!(error, sqlx::Error::ColumnDecode { .. }) {
            return StoreError::Corrupt { what: "a record".into(), source: Box::new(error) };
        }
        db::cause(error).while_trying_to(attempted)
    }
}
