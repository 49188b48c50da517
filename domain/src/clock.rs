//! What time is to a decision: a point that was read elsewhere.

/// A point in time, UTC, as the process's own clock gave it. RFC 3339 when written out.
pub type Timestamp = jiff::Timestamp;

/// Where the time comes from. The one implementation that ships counts from the start of the process, so that
/// a step of the wall clock moves no deadline.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// Seconds from `earlier` to `later`; negative when `later` is the earlier one.
pub fn seconds_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_second() - earlier.as_second()
}

/// `at` moved by whole seconds, kept inside what a timestamp can hold.
pub fn after_seconds(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}
