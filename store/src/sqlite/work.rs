//! What the writer is asked to do, one operation at a time.

use super::cause::Cause;
use super::{answers, boots, leases, nodes, site};
use crate::Limits;
use domain::boot::Boot;
use domain::lease::Lease;
use domain::node::Node;
use domain::ports::{Answered, Revision, StoreError};
use domain::timeline::Step;
use domain::{NodeId, Timestamp};
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

/// Something to be written.
#[derive(Debug)]
pub enum Work {
    Lease(Lease),
    Boot(Box<Boot>),
    Note(Option<Box<Boot>>, Box<Step>),
    Node(Box<Node>),
    Seen(NodeId, Timestamp),
    /// A node to be forgotten, and the version that it is to have.
    Forget(NodeId, u64),
    Revision(Box<Revision>),
    Answer(Box<Answered>),
    /// Nothing to write: the store is to be closed after what came before.
    Close,
}

/// Something to be written, and who waits for it.
#[derive(Debug)]
pub struct Operation {
    pub work: Work,
    reply: Option<oneshot::Sender<Result<(), StoreError>>>,
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
    pub fn waited(work: Work, reply: oneshot::Sender<Result<(), StoreError>>) -> Self {
        Self { work, reply: Some(reply) }
    }

    pub fn unwaited(work: Work) -> Self {
        Self { work, reply: None }
    }

    /// Whether somebody waited for it and has given up.
    pub fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Whether nobody waits for it.
    pub fn is_unwaited(&self) -> bool {
        self.reply.is_none()
    }

    pub fn answer(self, result: Result<(), StoreError>) {
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
    /// For "the store could not …".
    pub fn attempted(&self) -> &'static str {
        match self {
            Self::Lease(_) => "keep a lease",
            Self::Boot(_) => "keep a boot",
            Self::Note(..) => "keep a step of a boot",
            Self::Node(_) => "keep a node",
            Self::Seen(..) => "keep when a node was last heard",
            Self::Forget(..) => "forget a node",
            Self::Revision(_) => "keep a revision of the site",
            Self::Answer(_) => "keep the answer to a write",
            Self::Close => "close",
        }
    }

    /// Writes it within the open transaction.
    pub async fn apply(&self, connection: &mut SqliteConnection, limits: &Limits, memory: &mut Memory) -> Result<(), Failure> {
        match self {
            Self::Lease(lease) => leases::keep(connection, lease).await,
            Self::Boot(boot) => boots::keep(connection, boot, limits, memory).await,
            Self::Note(boot, step) => {
                if let Some(boot) = boot {
                    boots::keep(connection, boot, limits, memory).await?;
                }
                boots::keep_step(connection, step, limits).await
            }
            Self::Node(node) => nodes::keep(connection, node).await,
            Self::Seen(id, at) => nodes::keep_seen(connection, *id, *at).await,
            Self::Forget(id, version) => nodes::forget(connection, *id, *version).await,
            Self::Revision(revision) => site::keep(connection, revision, limits).await,
            Self::Answer(answer) => answers::keep(connection, answer, limits, memory).await,
            Self::Close => Ok(()),
        }
    }
}
