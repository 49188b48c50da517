//! How the machine's clock stands to the service's, by the time that each answer carries.
//!
//! ```text
//! agent    sent ───────────────────────────► received        ahead  = middle of the two − what the service says
//! service              says its time                          within = half of the time between the two
//! ```
//!
//! Wherever between the two the service looked at its clock, the difference is right to `within`.

use inventory_wire::Clock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An answer that was held back longer tells too little.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(60);
/// From here on, certificates and logs suffer.
const CONSIDERABLE_MS: u64 = 2000;

/// A difference between two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far the machine's clock is ahead of the service's; negative when it is behind.
    pub ahead_ms: i64,
    /// How far that may be wrong.
    pub within_ms: u64,
}

impl Skew {
    /// From the service's time in RFC 3339, when it was asked by the machine's clock, and how long the answer took.
    /// `None` for what is no time.
    pub fn measure(service: &str, asked: SystemTime, took: Duration) -> Option<Self> {
        let service: jiff::Timestamp = service.get(..service.len().min(40))?.parse().ok()?;
        if took > LONGEST_ROUND_TRIP {
            return None;
        }
        let own = i64::try_from((asked + took / 2).duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
        let within_ms = u64::try_from((took / 2).as_millis()).ok()?.max(1);
        Some(Self { ahead_ms: own.checked_sub(service.as_millisecond())?, within_ms })
    }

    /// Which of two to believe: the more precise one, unless the clock was set between them.
    pub fn better(self, newer: Self) -> Self {
        let apart = self.ahead_ms.abs_diff(newer.ahead_ms) > self.within_ms.saturating_add(newer.within_ms);
        if apart || newer.within_ms <= self.within_ms { newer } else { self }
    }

    /// Whether it is worth a report of its own.
    pub fn is_considerable(&self) -> bool {
        self.ahead_ms.unsigned_abs() > CONSIDERABLE_MS.saturating_add(self.within_ms)
    }

    /// Writes it into the facts.
    pub fn write_into(&self, clock: &mut Option<Clock>) {
        let clock = clock.get_or_insert_default();
        (clock.ahead_ms, clock.within_ms) = (Some(self.ahead_ms), Some(self.within_ms));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn the_difference_is_taken_in_the_middle_of_the_round_trip() {
        // 2026-11-23T12:00:00Z is 1,795,435,200 s.
        let asked = at(1_795_435_205_000);
        let skew = Skew::measure("2026-11-23T12:00:00.250Z", asked, Duration::from_millis(40)).unwrap();
        assert_eq!(skew, Skew { ahead_ms: 4770, within_ms: 20 });
        assert!(skew.is_considerable());
        let behind = Skew::measure("2026-11-23T12:00:06Z", asked, Duration::ZERO).unwrap();
        assert_eq!(behind, Skew { ahead_ms: -1000, within_ms: 1 });
        assert!(!behind.is_considerable());
        for nonsense in ["", "yesterday", "2026-13-45T00:00:00Z", "Mon, 23 Nov 2026 12:00:00 GMT", "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"]
        {
            assert_eq!(Skew::measure(nonsense, asked, Duration::ZERO), None, "{nonsense}");
        }
        assert_eq!(Skew::measure("2026-11-23T12:00:00Z", asked, Duration::from_secs(61)), None);
    }

    #[test]
    fn the_precise_measurement_is_kept_until_the_clock_is_set() {
        let precise = Skew { ahead_ms: 100, within_ms: 2 };
        let vague = Skew { ahead_ms: 900, within_ms: 1000 };
        assert_eq!(precise.better(vague), precise);
        assert_eq!(vague.better(precise), precise);
        let set = Skew { ahead_ms: 3_600_000, within_ms: 1000 };
        assert_eq!(precise.better(set), set);
    }
}
