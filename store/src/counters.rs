//! What a store counts of its own work.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a store has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions that were committed.
    pub commits: u64,
    /// Operations that were written in them.
    pub written: u64,
    /// Transactions that failed: disk full, locked, connection lost.
    pub failures: u64,
    /// Steps of boots that were not kept because there was no room or the database failed.
    pub notes_lost: u64,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub commits: AtomicU64,
    pub written: AtomicU64,
    pub failures: AtomicU64,
    pub notes_lost: AtomicU64,
}

impl Counters {
    pub fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: read(&self.commits),
            written: read(&self.written),
            failures: read(&self.failures),
            notes_lost: read(&self.notes_lost),
        }
    }
}
