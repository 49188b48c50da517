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

use super::Counters;
use super::cause::{Cause, is_the_operations_fault};
use super::work::{Failure, Memory, Operation, Work};
use crate::Limits;
use domain::ports::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How soon held notes are tried again when nothing else comes.
const RETRY: Duration = Duration::from_secs(1);

pub struct Writer {
    options: SqliteConnectOptions,
    /// Absent after a failure: a fresh connection has no half-done transaction.
    connection: Option<SqliteConnection>,
    limits: Arc<Limits>,
    counters: Arc<Counters>,
    memory: Memory,
    queue: VecDeque<Operation>,
    healthy: bool,
}

/// What came of each operation of a batch that was committed.
type Results = Vec<Result<(), StoreError>>;

/// Why a batch was not committed.
enum BatchFailure {
    /// One operation cannot be written; the others were not tried.
    OneOperation(Arc<sqlx::Error>),
    /// Nothing can be written.
    Everything(Cause),
}

impl Writer {
    pub fn new(options: SqliteConnectOptions, connection: SqliteConnection, limits: Arc<Limits>, counters: Arc<Counters>) -> Self {
        let memory = Memory::default();
        Self { options, connection: Some(connection), limits, counters, memory, queue: VecDeque::new(), healthy: true }
    }

    /// Writes until nobody can send any more, or until it is told to close; in either case what has queued is written first.
    pub async fn run(mut self, mut mailbox: mpsc::Receiver<Operation>) {
        while self.fill(&mut mailbox).await {
            let most = self.queue.len().min(self.limits.batch);
            let mut batch: Vec<_> = self.queue.drain(..most).collect();
            batch.retain(|operation| !operation.is_abandoned());
            if batch.iter().any(|operation| matches!(operation.work, Work::Close)) {
                mailbox.close();
            }
            if let Err((unwritten, cause)) = self.write(batch).await {
                self.fail_all(unwritten, &mut mailbox, &cause);
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
            Ok(results) => batch.into_iter().zip(results).for_each(|(operation, result)| operation.answer(result)),
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
                Ok(results) => operation.answer(results.into_iter().next().unwrap_or(Ok(()))),
                Err(BatchFailure::OneOperation(error)) => self.refuse(operation, &error),
                Err(BatchFailure::Everything(cause)) => return Err((std::iter::once(operation).chain(rest).collect(), cause)),
            }
        }
        Ok(())
    }

    /// Writes operations in one transaction.
    async fn transact(&mut self, operations: &[Operation]) -> Result<Results, BatchFailure> {
        if operations.iter().all(|operation| matches!(operation.work, Work::Close)) {
            return Ok(operations.iter().map(|_| Ok(())).collect());
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
            Err(error) => {
                self.connection = None;
                self.memory = Memory::default();
                if is_the_operations_fault(&error) {
                    return Err(BatchFailure::OneOperation(Arc::new(error)));
                }
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                let cause = Cause::from(error);
                if self.healthy {
                    tracing::error!("the store cannot be written: {cause}");
                }
                self.healthy = false;
                Err(BatchFailure::Everything(cause))
            }
        }
    }

    async fn try_transact(&mut self, operations: &[Operation]) -> Result<Results, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(SqliteConnection::connect_with(&self.options).await?),
        };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        let mut results = Vec::with_capacity(operations.len());
        for operation in operations {
            results.push(match operation.work.apply(connection, &self.limits, &mut self.memory).await {
                Ok(()) => Ok(()),
                Err(Failure::Rule(error)) => Err(error),
                Err(Failure::Database(error)) => return Err(error),
            });
        }
        sqlx::query("COMMIT").execute(connection).await?;
        Ok(results)
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
