//! Why the database did not do it, in words that say what to do.

use domain::ports::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// Why an operation was not written. Cheap to copy: a whole batch fails for one reason.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    #[error("another process has the database locked: end that process; the store goes on by itself")]
    Locked(#[source] Arc<sqlx::Error>),
    #[error("the disk is full: free some space; the store goes on by itself")]
    Full(#[source] Arc<sqlx::Error>),
    #[error("the database server cannot be reached: start it, or mend the network; the store goes on by itself")]
    Unreachable(#[source] Arc<sqlx::Error>),
    #[error("the connection to the database was lost before it answered, so this may have been kept or not; the store goes on by itself")]
    Lost(#[source] Arc<sqlx::Error>),
    #[error("another Overture writes to this database, or an old connection of this one is not over yet; the store goes on when it is")]
    HeldByAnother,
    #[error(
        "another Overture has written to this database meanwhile, so what this one remembers is out of date: \
        see to it that only one of them uses the database, and restart it"
    )]
    Superseded,
    #[error("the database could not be used")]
    Failed(#[source] Arc<sqlx::Error>),
    #[error("there was no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    #[error("the store was closed, because the service is stopping")]
    Closed,
    #[error("the task that writes has ended: restart the service, and report this as a mistake in it")]
    Ended,
}

impl Cause {
    /// The same as the domain's error.
    pub fn while_trying_to(&self, attempted: &'static str) -> StoreError {
        StoreError::Unavailable { attempted, source: Box::new(self.clone()) }
    }
}
