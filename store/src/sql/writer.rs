//! The one task that writes.
//!
//! ```text
//! mailbox ─► take what has queued ─► BEGIN ─► each operation ─► COMMIT ─► answer each
//!                                      │            │              │
//!                                      └────────────┴──────────────┴─► failed: everybody who waits is told;
//!                                                                      notes are held and tried again
//! ```
//!
//! It knows batches and failures, not what is in the operations.

use super::copy::Tap;
use super::db::{self, Connection, Connector};
use super::work::{Failure, Memory, Operation, Outcome, Work};
use crate::Limits;
use crate::cause::Cause;
use crate::counters::Counters;
use crate::transfer::Journal;
use sqlx::Connection as _;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// How soon held notes are tried again when nothing else comes.
const RETRY: Duration = Duration::from_secs(1);

pub struct Writer {
    connector: Connector,
    /// Absent after a failure: a fresh connection has no half-done transaction.
    connection: Option<Connection>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    memory: Memory,
    queue: VecDeque<Operation>,
    healthy: bool,
    /// Where what is written is noted too, while a copy is made.
    journal: Option<Arc<Journal>>,
    /// Where it says why it has ended.
    ended: Arc<OnceLock<Cause>>,
}

/// What came of each operation of a batch that was committed.
type Results = Vec<Outcome>;

/// Why a batch was not committed.
enum BatchFailure {
    /// One operation cannot be written; the others were not tried.
    OneOperation(Arc<sqlx::Error>),
    /// Nothing can be written.
    Everything(Cause),
}

/// Why a transaction was not committed.
enum TransactFailure {
    /// One operation cannot be written.
    Operation(sqlx::Error),
    /// Nothing can.
    Everything(Cause),
}

/// Applies operations in the transaction that has begun.
async fn apply_all(
    connection: &mut Connection,
    operations: &[Operation],
    limits: &Limits,
    memory: &mut Memory,
) -> Result<Results, sqlx::Error> {
    let mut results = Vec::with_capacity(operations.len());
    for operation in operations {
        results.push(match operation.work.apply(connection, limits, memory).await {
            Ok(rows) => Ok(rows),
            Err(Failure::Rule(error)) => Err(error),
            Err(Failure::Database(error)) => return Err(error),
        });
    }
    Ok(results)
}

async fn commit(connection: &mut Connection) -> Result<(), sqlx::Error> {
    sqlx::query("COMMIT").execute(connection).await.map(drop)
}

impl Writer {
    pub fn new(
        connector: Connector,
        connection: Connection,
        limits: Arc<Limits>,
        counters: Arc<Counters>,
        ended: Arc<OnceLock<Cause>>,
    ) -> Self {
        let (memory, queue) = (Memory::default(), VecDeque::new());
        Self { connector, connection: Some(connection), limits, counters, memory, queue, healthy: true, journal: None, ended }
    }

    /// Writes until nobody can send any more, or until it is told to close; in either case what has queued is written first.
    pub async fn run(mut self, mut mailbox: mpsc::Receiver<Operation>) {
        while self.fill(&mut mailbox).await {
            if self.stand_alone().await {
                continue;
            }
            let most = self.queue.iter().position(|operation| operation.work.stands_alone()).unwrap_or(self.queue.len());
            let most = most.min(self.limits.batch);
            let mut batch: Vec<_> = self.queue.drain(..most).collect();
            batch.retain(|operation| !operation.is_abandoned());
            if batch.iter().any(|operation| matches!(operation.work, Work::Close)) {
                mailbox.close();
            }
            if let Err((unwritten, cause)) = self.write(batch).await {
                self.fail_all(unwritten, &mut mailbox, &cause);
                if matches!(cause, Cause::Superseded) {
                    let _ = self.ended.set(cause);
                    self.give_up();
                    return;
                }
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!("the store was written, but its file could not be closed: {error}");
        }
    }

    /// Waits for something to do; false when there is nothing and nothing can come.
    async fn fill(&mut self, mailbox: &mut mpsc::Receiver<Operation>) -> bool {
        let first = if self.queue.is_empty() {
            mailbox.recv().await
        } else if self.healthy {
            None
        } else {
            match timeout(RETRY, mailbox.recv()).await {
                Ok(None) => return self.give_up(),
                Ok(first) => first,
                Err(_) => None,
            }
        };
        self.queue.extend(first);
        while self.queue.len() < self.limits.batch
            && let Ok(next) = mailbox.try_recv()
        {
            self.queue.push_back(next);
        }
        !self.queue.is_empty()
    }

    /// The store is being closed while the database fails: held notes are lost.
    fn give_up(&mut self) -> bool {
        self.counters.notes_lost.fetch_add(self.queue.len() as u64, Ordering::Relaxed);
        self.queue.clear();
        false
    }

    /// Writes a batch and answers everybody in it; gives back what could not be written, unanswered.
    async fn write(&mut self, batch: Vec<Operation>) -> Result<(), (Vec<Operation>, Cause)> {
        match self.transact(&batch).await {
            Ok(results) => batch.into_iter().zip(results).for_each(|(operation, result)| self.answer(operation, result)),
            Err(BatchFailure::Everything(cause)) => return Err((batch, cause)),
            Err(BatchFailure::OneOperation(_)) if batch.len() > 1 => return self.write_each(batch).await,
            Err(BatchFailure::OneOperation(error)) => batch.into_iter().for_each(|operation| self.refuse(operation, &error)),
        }
        Ok(())
    }

    /// One operation of the batch cannot be written and must not take the others with it.
    async fn write_each(&mut self, batch: Vec<Operation>) -> Result<(), (Vec<Operation>, Cause)> {
        let mut rest = batch.into_iter();
        while let Some(operation) = rest.next() {
            match self.transact(std::slice::from_ref(&operation)).await {
                Ok(results) => self.answer(operation, results.into_iter().next().unwrap_or(Ok(0))),
                Err(BatchFailure::OneOperation(error)) => self.refuse(operation, &error),
                Err(BatchFailure::Everything(cause)) => return Err((std::iter::once(operation).chain(rest).collect(), cause)),
            }
        }
        Ok(())
    }

    /// Tells who waits, after the journal knows.
    fn answer(&self, operation: Operation, result: Outcome) {
        if let (Some(journal), Ok(_)) = (&self.journal, &result) {
            journal.record(&operation.work);
        }
        operation.answer(result);
    }

    /// Does what belongs between two transactions, if that is next.
    async fn stand_alone(&mut self) -> bool {
        let Some(next) = self.queue.pop_front_if(|operation| operation.work.stands_alone()) else { return false };
        let tap = match &next.work {
            Work::Tap(tap) => tap.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        };
        self.journal = None;
        if let Some(Tap { mut connection, journal, reply }) = tap {
            let still = db::within(Instant::now() + self.limits.lock_wait, db::still(&mut connection)).await;
            self.journal = still.is_ok().then_some(journal);
            // Who does not listen any more ends the journal, too.
            let _ = reply.send(still.map(|()| connection));
        }
        next.answer(Ok(0));
        true
    }

    /// Writes operations in one transaction.
    async fn transact(&mut self, operations: &[Operation]) -> Result<Results, BatchFailure> {
        if operations.iter().all(|operation| matches!(operation.work, Work::Close)) {
            return Ok(operations.iter().map(|_| Ok(0)).collect());
        }
        match self.try_transact(operations).await {
            Ok(results) => {
                if !self.healthy {
                    tracing::info!("the store can be written again");
                }
                self.healthy = true;
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                let written = results.iter().filter(|result| result.is_ok()).count();
                self.counters.written.fetch_add(written as u64, Ordering::Relaxed);
                Ok(results)
            }
            Err(failure) => {
                self.memory = Memory::default();
                let cause = match failure {
                    TransactFailure::Operation(error) => return Err(BatchFailure::OneOperation(Arc::new(error))),
                    TransactFailure::Everything(cause) => cause,
                };
                if let (Some(journal), Cause::Lost(_)) = (&self.journal, &cause) {
                    journal.spoil();
                }
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                if self.healthy {
                    tracing::error!("the store cannot be written: {cause}");
                }
                self.healthy = false;
                Err(BatchFailure::Everything(cause))
            }
        }
    }

    async fn try_transact(&mut self, operations: &[Operation]) -> Result<Results, TransactFailure> {
        // Those who wait should hear of it before they give up: see `Limits::answer_wait`.
        let deadline = Instant::now() + self.limits.lock_wait * 2;
        let mut connection = self.begun(deadline).await.map_err(TransactFailure::Everything)?;
        let applied = apply_all(&mut connection, operations, &self.limits, &mut self.memory);
        let error = match db::within(deadline, applied).await {
            Ok(results) => match db::within(deadline, commit(&mut connection)).await {
                Ok(()) => {
                    self.connection = Some(connection);
                    return Ok(results);
                }
                Err(error) if db::is_lost(&error) => return Err(TransactFailure::Everything(Cause::Lost(Arc::new(error)))),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if db::is_the_operations_fault(&error) {
            self.connection = db::undone(connection).await;
            return Err(TransactFailure::Operation(error));
        }
        Err(TransactFailure::Everything(db::cause(error)))
    }

    /// A connection on which a transaction has begun. One that was lost while nothing was done is replaced unnoticed.
    async fn begun(&mut self, deadline: Instant) -> Result<Connection, Cause> {
        if let Some(mut connection) = self.connection.take() {
            match db::within(deadline, db::begin(&mut connection)).await {
                Ok(()) => return Ok(connection),
                Err(error) if db::is_lost(&error) => {}
                Err(error) => return Err(db::cause(error)),
            }
        }
        let mut connection = self.connector.connect().await?;
        db::within(deadline, db::begin(&mut connection)).await.map_err(db::cause)?;
        Ok(connection)
    }

    fn refuse(&self, operation: Operation, error: &Arc<sqlx::Error>) {
        tracing::error!("the database refuses to {}: {error}", operation.work.attempted());
        if operation.is_unwaited() {
            self.counters.notes_lost.fetch_add(1, Ordering::Relaxed);
        }
        operation.fail(&Cause::Failed(Arc::clone(error)));
    }

    /// Tells everybody who waits that it failed, and keeps the notes, in their order, for another try. Those in the mailbox
    /// too: they have waited for the same database, and none of them would fare better.
    fn fail_all(&mut self, unwritten: Vec<Operation>, mailbox: &mut mpsc::Receiver<Operation>, cause: &Cause) {
        let mut failed: Vec<_> = unwritten.into_iter().chain(self.queue.drain(..)).collect();
        while let Ok(operation) = mailbox.try_recv() {
            failed.push(operation);
        }
        for operation in failed {
            if matches!(operation.work, Work::Close) {
                mailbox.close();
            }
            if !operation.is_unwaited() {
                operation.fail(cause);
            } else if self.queue.len() < self.limits.mailbox {
                self.queue.push_back(operation);
            } else {
                self.counters.notes_lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
