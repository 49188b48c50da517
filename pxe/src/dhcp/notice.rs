//! How often a thing is worth a line in the log: hostile packets come by the thousand, the log has a bound.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A line about one thing comes at most this often.
const SPAN: Duration = Duration::from_secs(10);
/// What has not happened for this long begins anew when it does.
const QUIET: Duration = Duration::from_secs(60);

/// Remembers what was said. Things are named by the caller from a fixed set, so it stays small.
#[derive(Debug, Default)]
pub(super) struct Notices {
    said: Mutex<HashMap<&'static str, (Instant, u64)>>,
    happening: Mutex<HashMap<String, Instant>>,
}

impl Notices {
    /// Whether a line about `what` is due, and how often it happened since the last one, this time included.
    pub fn due(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.get_mut(what) {
            Some((last, held_back)) if now.duration_since(*last) < SPAN => {
                *held_back += 1;
                None
            }
            Some((last, held_back)) => {
                *last = now;
                Some(std::mem::take(held_back) + 1)
            }
            None => {
                said.insert(what, (now, 0));
                Some(1)
            }
        }
    }

    /// Whether `what` begins to happen, rather than goes on.
    pub fn begins(&self, what: &str, now: Instant) -> bool {
        let mut happening = self.happening.lock().unwrap_or_else(PoisonError::into_inner);
        let last = happening.insert(what.to_owned(), now);
        last.is_none_or(|last| now.duration_since(last) >= QUIET)
    }
}

/// Lets so many through in each span of time.
#[derive(Debug)]
pub(super) struct Allowance {
    most: u32,
    spent: Mutex<Option<(Instant, u32)>>,
}

impl Allowance {
    /// `most` in ten seconds.
    pub fn new(most: u32) -> Self {
        Self { most, spent: Mutex::new(None) }
    }

    /// Whether one more may pass.
    pub fn passes(&self, now: Instant) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, so_far) = spent.filter(|(since, _)| now.duration_since(*since) < SPAN).unwrap_or((now, 0));
        *spent = Some((since, so_far.saturating_add(1)));
        so_far < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_with_its_number() {
        let (notices, start) = (Notices::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(notices.due("malformed", start), Some(1));
        assert_eq!(notices.due("other", start), Some(1));
        for second in [0, 1, 9] {
            assert_eq!(notices.due("malformed", after(second)), None);
        }
        assert_eq!(notices.due("malformed", after(10)), Some(4));
    }

    #[test]
    fn what_goes_on_is_said_once_and_again_after_a_quiet_minute() {
        let (notices, start) = (Notices::default(), Instant::now());
        let began = [0, 30, 80, 130, 190].map(|second| notices.begins("pool", start + Duration::from_secs(second)));
        assert_eq!(began, [true, false, false, false, true]);
    }

    #[test]
    fn an_allowance_comes_back_with_time() {
        let (allowance, start) = (Allowance::new(2), Instant::now());
        let passed = [0, 1, 2, 10, 11, 12].map(|second| allowance.passes(start + Duration::from_secs(second)));
        assert_eq!(passed, [true, true, false, true, true, false]);
    }
}
