//! Moments and reports in a query.

use axum::http::StatusCode;
use domain::Timestamp;
use inventory::Moment;
use inventory::problem::Problem;

/// The moment that a parameter means.
pub(super) fn time(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    crate::moment::parse(text, now).map_err(|rule| bad(name, &rule))
}

/// A report by its number, or a moment; the present without either.
pub(super) fn moment(name: &str, text: Option<&str>, now: Timestamp) -> Result<Moment, Problem> {
    match text {
        None => Ok(Moment::Now),
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map(Moment::After).map_err(|_| bad(name, "there are not so many reports: give the number of one"))
        }
        Some(text) => time(name, text, now).map(Moment::At),
    }
}

fn bad(name: &str, rule: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_moment", "Not a moment", format!("`{name}`: {rule}"))
}
