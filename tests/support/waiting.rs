//! Waiting for a condition, never for a time.

use super::PATIENCE;
use std::time::{Duration, Instant};

/// Waits until something holds; `what` names it: "the lease is kept".
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, &mut holds);
}

/// Waits so long until something holds.
pub fn eventually_within(patience: Duration, what: &str, holds: &mut dyn FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "after {patience:?} it does still not hold that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
