//! The bounds of a store: how much it keeps, and how long anybody waits for it.

use std::time::Duration;

/// How much a store keeps and how long it may take. The default is what the service uses.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many operations may queue for the writer. Steps of boots are refused while less than a quarter of it is free,
    /// so that there is room for those who wait for an answer.
    pub mailbox: usize,
    /// How many operations are committed together.
    pub batch: usize,
    /// How long a commit, or a read, waits for another process that has the database locked, or for a server that is away.
    pub lock_wait: Duration,
    /// How long anybody waits for an answer. More than twice [`Self::lock_wait`], so that who gives up was not written.
    pub answer_wait: Duration,
    /// How many boots are kept of each network interface, the newest.
    pub boots_of_one_mac: usize,
    /// How many boots are kept in all. The oldest that no node reported in goes first.
    pub boots: usize,
    /// How many steps are kept of one boot, the first; the last of them says that more came.
    pub steps_of_one_boot: usize,
    /// How many reports of one node are kept, the newest, whatever the retention says: a node that reports without end
    /// must not fill the disk before anybody prunes.
    pub reports_of_one_node: u64,
    /// How many bytes of documents are kept of one node, packed; the newest document always is.
    pub history_of_one_node: u64,
    /// How many reports go at most in one portion of pruning.
    pub pruned_at_once: u64,
    /// How many tests of its hardware are kept of one node, the newest.
    pub tests_of_one_node: usize,
    /// How many revisions of the site are kept, the newest.
    pub revisions: usize,
    /// How long answers to writes are kept.
    pub answers: Duration,
    /// How many answers to writes are kept, the newest.
    pub most_answers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox: 1024,
            batch: 128,
            lock_wait: Duration::from_secs(5),
            answer_wait: Duration::from_secs(12),
            boots_of_one_mac: 20,
            boots: 20_000,
            steps_of_one_boot: 200,
            reports_of_one_node: 10_000,
            history_of_one_node: 64 << 20,
            pruned_at_once: 500,
            tests_of_one_node: 20,
            revisions: 100,
            answers: Duration::from_secs(86_400),
            most_answers: 10_000,
        }
    }
}
