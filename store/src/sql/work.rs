//! What the writer is asked to do, one operation at a time.

use super::copy::{self, Tap};
use super::db::Connection;
use super::hardware::TestRow;
use super::history::ReportRow;
use super::nodes::NodeRow;
use super::prune::Portion;
use super::{answers, boots, hardware, history, leases, nodes, observe, prune, site};
use crate::Limits;
use crate::cause::Cause;
use domain::boot::Boot;
use domain::lease::Lease;
use domain::ports::{Answered, ObserveOnly, Revision, StoreError};
use domain::timeline::Step;
use domain::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use tokio::sync::oneshot;

/// Something to be written. Nodes, reports and tests come as rows already: making them costs, and the writer is one for all.
/// A journal holds it as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Work {
    Lease(Lease),
    Boot(Box<Boot>),
    Note(Option<Box<Boot>>, Box<Step>),
    Node(Box<NodeRow>),
    Report(Box<(NodeRow, ReportRow)>),
    Seen(NodeId, Timestamp),
    /// A node to be forgotten, and the version that it is to have.
    Forget(NodeId, u64),
    Prune(Vec<Portion>),
    Test(Box<TestRow>),
    Revision(Box<Revision>),
    Answer(Box<Answered>),
    Observe(Option<ObserveOnly>),
    /// What the store knows of itself, by name.
    State(String, Option<String>),
    /// Rows for a table, by its place in the list of tables.
    #[serde(skip)]
    Fill(usize, Vec<crate::transfer::Row>),
    /// Every row goes.
    #[serde(skip)]
    Clear,
    /// Nothing to write: here a copy begins, and a journal.
    #[serde(skip)]
    Tap(Box<Mutex<Option<Tap>>>),
    /// Nothing to write: here the journal ends.
    #[serde(skip)]
    Untap,
    /// Nothing to write: the store is to be closed after what came before.
    #[serde(skip)]
    Close,
}

/// How many rows went, or why nothing was done.
pub type Outcome = Result<u64, StoreError>;

/// Something to be written, and who waits for it.
#[derive(Debug)]
pub struct Operation {
    pub work: Work,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// Why an operation was not applied.
#[derive(Debug)]
pub enum Failure {
    /// A rule refuses it; nothing was written for it, and the transaction goes on.
    Rule(StoreError),
    /// The database failed; the transaction is over.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What the writer remembers between operations, so that it need not ask.
#[derive(Debug, Default)]
pub struct Memory {
    /// How many boots are kept; unknown at first and after a failure.
    pub boots: Option<u64>,
    /// How many answers to writes are kept; likewise.
    pub answers: Option<u64>,
}

impl Operation {
    pub fn waited(work: Work, reply: oneshot::Sender<Outcome>) -> Self {
        Self { work, reply: Some(reply) }
    }

    pub fn unwaited(work: Work) -> Self {
        Self { work, reply: None }
    }

    pub fn is_unwaited(&self) -> bool {
        self.reply.is_none()
    }

    /// Whether whoever waited has given up.
    pub fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    pub fn answer(self, result: Outcome) {
        if let Some(reply) = self.reply {
            // Whoever does not listen any more has been told that it took too long.
            let _ = reply.send(result);
        }
    }

    pub fn fail(self, cause: &Cause) {
        let error = cause.while_trying_to(self.work.attempted());
        self.answer(Err(error));
    }
}

impl Work {
    /// Whether it belongs between two transactions.
    pub fn stands_alone(&self) -> bool {
        matches!(self, Self::Tap(_) | Self::Untap)
    }

    /// For "the store could not …".
    pub fn attempted(&self) -> &'static str {
        match self {
            Self::Lease(_) => "keep a lease",
            Self::Boot(_) => "keep a boot",
            Self::Note(..) => "keep a step of a boot",
            Self::Node(_) => "keep a node",
            Self::Report(_) => "keep a report",
            Self::Seen(..) => "keep when a node was last heard",
            Self::Forget(..) => "forget a node",
            Self::Prune(_) => "let go of old history",
            Self::Test(_) => "keep a test",
            Self::Revision(_) => "keep a revision of the site",
            Self::Answer(_) => "keep the answer to a write",
            Self::Observe(_) => "keep whether the service only watches",
            Self::State(..) => "keep what the store knows of itself",
            Self::Fill(..) => "fill a table",
            Self::Clear => "take out what is there",
            Self::Tap(_) => "begin a copy",
            Self::Untap => "end a copy",
            Self::Close => "close",
        }
    }

    /// Writes it within the open transaction.
    pub async fn apply(&self, connection: &mut Connection, limits: &Limits, memory: &mut Memory) -> Result<u64, Failure> {
        match self {
            Self::Lease(lease) => leases::keep(connection, lease).await?,
            Self::Boot(boot) => boots::keep(connection, boot, limits, memory).await?,
            Self::Note(boot, step) => {
                if let Some(boot) = boot {
                    boots::keep(connection, boot, limits, memory).await?;
                }
                boots::keep_step(connection, step, limits).await?;
            }
            Self::Node(node) => nodes::keep(connection, node).await?,
            Self::Report(both) => {
                nodes::keep(connection, &both.0).await?;
                history::keep(connection, &both.0, &both.1, limits).await?;
            }
            Self::Seen(id, at) => nodes::keep_seen(connection, *id, *at).await?,
            Self::Forget(id, version) => nodes::forget(connection, *id, *version).await?,
            Self::Prune(portions) => return prune::prune(connection, portions).await,
            Self::Test(test) => hardware::keep(connection, test, limits).await?,
            Self::Revision(revision) => site::keep(connection, revision, limits).await?,
            Self::Answer(answer) => answers::keep(connection, answer, limits, memory).await?,
            Self::Observe(why) => observe::keep(connection, why.as_ref()).await?,
            Self::State(name, value) => copy::set_state(connection, name, value.as_deref()).await?,
            Self::Fill(table, rows) => copy::fill(connection, *table, rows).await?,
            Self::Clear => {
                *memory = Memory::default();
                copy::clear(connection).await?;
            }
            Self::Close | Self::Tap(_) | Self::Untap => {}
        }
        Ok(0)
    }
}
