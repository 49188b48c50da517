//! Keeps what strangers can cause from flooding the log.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Lets a few lines through in each span of time, and tells how many it held back.
#[derive(Debug)]
pub(crate) struct LogLimit {
    most: u32,
    span: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    seen: u32,
}

impl Default for LogLimit {
    /// Ten lines in ten seconds.
    fn default() -> Self {
        Self::new(10, Duration::from_secs(10))
    }
}

impl LogLimit {
    /// `most` lines in each `span`.
    pub fn new(most: u32, span: Duration) -> Self {
        Self { most, span, state: Mutex::new(State { since: Instant::now(), seen: 0 }) }
    }

    /// Whether a line may be written now. With the first one of a new span comes the number that the last one lacks.
    pub fn admits(&self) -> Option<u32> {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> Option<u32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held_back = 0;
        if now.duration_since(state.since) >= self.span {
            held_back = state.seen.saturating_sub(self.most);
            *state = State { since: now, seen: 0 };
        }
        state.seen = state.seen.saturating_add(1);
        (state.seen <= self.most).then_some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_number() {
        let limit = LogLimit::new(3, Duration::from_secs(10));
        let start = Instant::now();
        let written = (0..1000).filter(|_| limit.admits_at(start).is_some()).count();
        assert_eq!(written, 3);
        assert_eq!(limit.admits_at(start + Duration::from_secs(11)), Some(997));
        assert_eq!(limit.admits_at(start + Duration::from_secs(12)), Some(0));
    }
}
