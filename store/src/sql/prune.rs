//! Letting go of old history. What may go is found by reading, so that the writer only deletes.

use super::db::Connection;
use super::nodes::beginning;
use super::work::{Failure, Work};
use super::{SqlStore, unreadable};
use crate::columns::{micros, number};
use domain::Timestamp;
use domain::history::Retention;
use domain::ids::NodeId;
use domain::ports::StoreError;
use serde::{Deserialize, Serialize};
use std::sync::{MutexGuard, PoisonError};
use uuid::Uuid;

/// Of each node: its oldest report, the one that was in force at the retention's moment, and the oldest of as many as are kept.
pub(super) const FIND: &str = "
    SELECT id,
        (SELECT MIN(number) FROM reports WHERE node = nodes.id) AS oldest,
        (SELECT number FROM reports WHERE node = nodes.id AND at <= $2 ORDER BY number DESC LIMIT 1) AS in_force,
        (SELECT number FROM reports WHERE node = nodes.id ORDER BY number DESC LIMIT 1 OFFSET $3) AS at_most
    FROM nodes WHERE id > $1 ORDER BY id LIMIT $4";

/// Reports before number $2 that were accepted before $3, and those before number $4; but none from number $5 on, because this
/// is done in portions. Then the documents that no report needs which is left.
pub(super) const PRUNE: &str = "
    DELETE FROM reports WHERE node = $1 AND ((number < $2 AND at < $3) OR number < $4) AND number < $5";
pub(super) const FORGET_DOCUMENTS: &str = "
    DELETE FROM snapshots WHERE node = $1 AND number < (
        SELECT MAX(older.number) FROM snapshots AS older
        WHERE older.node = $1 AND older.number <= (SELECT MIN(left_over.number) FROM reports AS left_over WHERE left_over.node = $1))";

/// How many nodes are looked at in one statement.
const LOOKED_AT: i64 = 500;

/// What may go of one node's history.
#[derive(Debug, Serialize, Deserialize)]
pub struct Portion {
    node: Uuid,
    in_force: i64,
    before: i64,
    at_most: i64,
    end: i64,
}

#[derive(sqlx::FromRow)]
struct Found {
    id: Uuid,
    oldest: Option<i64>,
    in_force: Option<i64>,
    at_most: Option<i64>,
}

impl Found {
    /// What may go of it, at most so many reports, and how many that may be.
    fn portion(&self, before: Timestamp, most: i64) -> Option<(Portion, i64)> {
        let oldest = self.oldest?;
        let (in_force, at_most) = (self.in_force.unwrap_or(oldest), self.at_most.unwrap_or(oldest));
        let end = in_force.max(at_most).min(oldest.saturating_add(most));
        let portion = Portion { node: self.id, in_force, before: micros(before), at_most, end };
        (end > oldest).then_some((portion, end - oldest))
    }
}

pub async fn prune(connection: &mut Connection, portions: &[Portion]) -> Result<u64, Failure> {
    let mut gone = 0;
    for portion in portions {
        gone += sqlx::query(PRUNE)
            .bind(portion.node)
            .bind(portion.in_force)
            .bind(portion.before)
            .bind(portion.at_most)
            .bind(portion.end)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        sqlx::query(FORGET_DOCUMENTS).bind(portion.node).execute(&mut *connection).await?;
    }
    Ok(gone)
}

impl SqlStore {
    /// Goes on where it stopped, and around once, until something went or nothing was found.
    pub(super) async fn prune_some(&self, retention: &Retention) -> Result<u64, StoreError> {
        let mut after = *self.pruned();
        let mut from_the_beginning = after.is_none();
        loop {
            let (portions, last) = self.prunable(retention, after).await?;
            if !portions.is_empty() {
                let gone = self.write(Work::Prune(portions)).await?;
                // From the same place again: there may be more. Nothing goes where a clock was set back and old reports seem new.
                if gone > 0 {
                    *self.pruned() = after;
                    return Ok(gone);
                }
            }
            after = last;
            if last.is_none() {
                *self.pruned() = None;
                if from_the_beginning {
                    return Ok(0);
                }
                from_the_beginning = true;
            }
        }
    }

    /// What may go of the nodes after one, and where to go on; none after the last.
    async fn prunable(&self, retention: &Retention, after: Option<NodeId>) -> Result<(Vec<Portion>, Option<NodeId>), StoreError> {
        let found: Vec<Found> = sqlx::query_as(FIND)
            .bind(beginning(after))
            .bind(micros(retention.before))
            .bind(number(retention.most_reports.saturating_sub(1)))
            .bind(LOOKED_AT)
            .fetch_all(&self.readers)
            .await
            .map_err(unreadable("look for old history"))?;
        let mut room = number(self.limits.pruned_at_once).max(1);
        let mut portions = vec![];
        for node in &found {
            if let Some((portion, reports)) = node.portion(retention.before, room) {
                portions.push(portion);
                room -= reports;
                if room <= 0 {
                    return Ok((portions, Some(NodeId(node.id))));
                }
            }
        }
        let more = found.len() as i64 == LOOKED_AT;
        Ok((portions, found.last().filter(|_| more).map(|node| NodeId(node.id))))
    }

    fn pruned(&self) -> MutexGuard<'_, Option<NodeId>> {
        self.pruned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
