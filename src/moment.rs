//! Moments as people write them: a time ago (`7d`), a day (`2026-11-01`), a time (`2026-11-01T08:00:00Z`).

use domain::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// What may be written, for help texts and complaints.
pub const FORMS: &str = "a time ago (90m, 7d, 2w), a day (2026-11-01, midnight UTC) or a time (2026-11-01T08:00:00Z)";

/// The moment that a text means, seen from `now`.
///
/// # Errors
/// A sentence that says what may be written.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    let wrong = || format!("`{}` is no moment: write {FORMS}", domain::timeline::printable(text, 60));
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>() {
        return day.to_zoned(TimeZone::UTC).map(|at| at.timestamp()).map_err(|_| wrong());
    }
    ago(text).and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(wrong)
}

/// A length of time such as `90m` or `7d`; days have 24 hours.
pub fn ago(text: &str) -> Option<SignedDuration> {
    let span: Span = text.trim().strip_suffix(" ago").unwrap_or(text.trim()).parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!length.is_negative()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        for (text, expected) in [
            ("7d", "2026-11-16T12:00:00Z"),
            ("2w", "2026-11-09T12:00:00Z"),
            ("90m", "2026-11-23T10:30:00Z"),
            ("1h 30m ago", "2026-11-23T10:30:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:00:00Z", "2026-11-01T08:00:00Z"),
            ("2026-11-01T08:00:00+02:00", "2026-11-01T06:00:00Z"),
        ] {
            assert_eq!(parse(text, now).map(|at| at.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for wrong in ["", "yesterday", "-7d", "7", "2026-13-01", "999999999y", "\u{1b}[2J"] {
            let told = parse(wrong, now).expect_err(wrong);
            assert!(told.contains("7d") && !told.contains('\u{1b}'), "{told}");
        }
    }
}
