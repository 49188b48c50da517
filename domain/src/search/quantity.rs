//! Shares, lengths of time and dates as people type them in a query, and back. Sizes and speeds are
//! [`crate::quantity`]'s.

use crate::clock::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, ToSpan, Unit};

/// Units that may stand behind a space: `1 TB`, `7 days`.
const UNITS: &[&str] = &[
    "B", "kB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB", "Mbit", "Gbit", "Tbit", "Mbit/s", "Gbit/s", "Tbit/s", "Mbps",
    "Gbps", "Tbps", "k", "M", "G", "T", "P", "%", "s", "sec", "second", "seconds", "min", "mins", "minute", "minutes", "h", "hour",
    "hours", "d", "day", "days", "w", "week", "weeks",
];

/// A share in per cent: `80%`, `80`.
pub(super) fn percent(text: &str) -> Option<u64> {
    number(text.strip_suffix('%').unwrap_or(text))
}

/// A whole number.
pub(super) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether a word alone is a unit.
pub(super) fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(word))
}

/// A length of time in seconds: `90s`, `90min`, `1h`, `1h30m`, `7d`, `2w`.
pub(super) fn seconds(text: &str) -> Option<i64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).ok()?;
    (0.0..=1e11).contains(&seconds).then_some(seconds as i64)
}

/// The shortest way to write a length of time exactly.
pub(super) fn written_seconds(seconds: i64) -> String {
    let units = [("w", 604_800), ("d", 86_400), ("h", 3600), ("min", 60)];
    let fitting = units.iter().find(|(_, factor)| seconds > 0 && seconds % factor == 0);
    fitting.map_or_else(|| format!("{seconds}s"), |(unit, factor)| format!("{}{unit}", seconds / factor))
}

/// The stretch of time that a date or a time means, UTC: a whole day, or one second; its end is not part of it.
pub(super) fn moment(text: &str) -> Option<(Timestamp, Timestamp)> {
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let second = |from: Timestamp| from.checked_add(1.second()).ok().map(|until| (from, until));
    if text.len() == 10 {
        let day: Date = text.parse().ok()?;
        return Some((utc(day.to_datetime(Time::midnight()))?, utc(day.tomorrow().ok()?.to_datetime(Time::midnight()))?));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return second(at);
    }
    // Without an offset it is UTC; RFC 3339 has a `T` between date and time.
    (text.len() >= 16 && text.contains(['T', 't'])).then(|| text.parse::<DateTime>().ok().and_then(utc)).flatten().and_then(second)
}

/// A stretch of time as [`moment`] reads it.
pub(super) fn written_moment(from: Timestamp, until: Timestamp) -> String {
    let start = from.to_zoned(TimeZone::UTC).datetime();
    if until.as_second() - from.as_second() == 86_400 { start.date().to_string() } else { from.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_are_read() {
        assert_eq!((percent("80%"), percent("80"), number("080")), (Some(80), Some(80), Some(80)));
        for bad in ["", "%", "-1", "1.5", "8 0", "80%%", "18446744073709551616", "１"] {
            assert_eq!((percent(bad), number(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time_and_dates_are_read() {
        for (text, n) in
            [("90s", 90), ("90min", 5400), ("1h", 3600), ("1h30m", 5400), ("7d", 604_800), ("2w", 1_209_600), ("3days", 259_200)]
        {
            assert_eq!(seconds(text), Some(n), "{text}");
            assert_eq!(seconds(&written_seconds(n)), Some(n), "{text}");
        }
        for bad in ["", "1", "h", "-1h", "1mo", "1y", "99999999999999w", "P1D", "1h ago"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        let (from, until) = moment("2026-11-01").unwrap();
        assert_eq!((from.to_string(), until.to_string()), ("2026-11-01T00:00:00Z".into(), "2026-11-02T00:00:00Z".into()));
        for text in ["2026-11-01T08:30:00Z", "2026-11-01T09:30:00+01:00", "2026-11-01T08:30", "2026-11-01T08:30:00"] {
            assert_eq!(moment(text).unwrap().0.to_string(), "2026-11-01T08:30:00Z", "{text}");
        }
        for bad in ["2026-13-01", "2026-11", "01.11.2026", "today", "9999-12-31T99:00Z"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
        assert_eq!(moment(&written_moment(from, until)), Some((from, until)));
    }
}
