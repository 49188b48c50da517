//! How long to wait before trying again: longer each time, up to a bound, never all nodes at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waiting times that double from `first` to `most`, each shortened at random by up to a half.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`; never waits longer than `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first.min(most) }
    }

    /// For a service that may come back any moment.
    pub fn for_network() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }

    /// For an answer that only a person can change.
    pub fn for_refusal() -> Self {
        Self::new(Duration::from_secs(30), Duration::from_secs(300))
    }

    /// The next waiting time.
    pub fn next_wait(&mut self) -> Duration {
        self.wait_for(random())
    }

    /// The same with the randomness given: 0 is no shortening, `u64::MAX` a half.
    pub fn wait_for(&mut self, random: u64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        let share = (random >> 32) as u32;
        whole - (whole / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// Something went well: start at the beginning.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.most);
    }
}

/// Good enough to spread nodes out; nothing secret depends on it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<_> = (0..5).map(|_| backoff.wait_for(0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.wait_for(0).as_secs(), 1);
    }

    #[test]
    fn chance_takes_at_most_a_half() {
        let mut backoff = Backoff::new(Duration::from_secs(4), Duration::from_secs(4));
        assert_eq!(backoff.wait_for(u64::MAX), Duration::from_secs(2));
        for _ in 0..100 {
            let wait = backoff.next_wait();
            assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&wait), "{wait:?}");
        }
    }
}
