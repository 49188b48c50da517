//! The clock of this process.

use domain::Timestamp;
use domain::clock::Clock;
use std::time::Instant;

/// Wall time at the start, plus what a monotonic clock has counted since: a step of the wall clock while the process
/// runs moves no lease and no deadline. It stands still while the machine is suspended, which servers are not.
#[derive(Debug)]
pub struct ProcessClock {
    started: Timestamp,
    counting: Instant,
}

impl ProcessClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Timestamp::now(), counting: Instant::now() }
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        let now = self.started.checked_add(self.counting.elapsed()).unwrap_or(Timestamp::MAX);
        // What the store keeps, so that a time reads the same before a restart and after it.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}
