//! A case as a table for people: measures down, contestants across. In Markdown, because results end up in decision records.

use crate::cases::Case;
use crate::report::{Measured, Report, Series, shown};
use comfy_table::{Table, presets};

/// The table of a case with its heading and remarks.
pub fn of(report: &Report, case: &dyn Case) -> String {
    let Some(measured) = report.of(case) else { return String::new() };
    let names: Vec<&str> = case.contestants().iter().copied().filter(|name| measured.contestants.contains_key(name)).collect();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let goals = if measured.goals.is_empty() { None } else { Some("goal") };
    table.set_header(["measure"].into_iter().chain(names.iter().copied()).chain(goals));
    for measure in measures(measured) {
        let cells = names.iter().map(|name| measured.series(name, measure).map_or("–".to_owned(), cell));
        table.add_row([measure.to_owned()].into_iter().chain(cells).chain(goals.map(|_| goal(measured, measure))));
    }
    let notes: String = measured.notes.iter().map(|note| format!("{note}\n")).collect();
    format!("\n{}: {}; median (least–greatest)\n\n{table}\n{notes}", measured.case, measured.about)
}

/// Every measure, in the order in which they came up.
fn measures(measured: &Measured) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for series in measured.contestants.values().max_by_key(|all| all.len()).into_iter().chain(measured.contestants.values()).flatten() {
        if !found.contains(&series.measure.as_str()) {
            found.push(&series.measure);
        }
    }
    found
}

fn cell(series: &Series) -> String {
    let median = shown(series.median);
    match series.values.len() {
        1 => format!("{median} {}", series.unit),
        _ => format!("{median} {} ({}–{})", series.unit, shown(series.min), shown(series.max)),
    }
}

fn goal(measured: &Measured, measure: &str) -> String {
    let Some(goal) = measured.goals.iter().find(|goal| goal.measure == measure) else { return String::new() };
    let reached = match measured.series(goal.contestant, measure) {
        None => "not measured",
        Some(series) if series.median < goal.below => "reached",
        Some(_) => "MISSED",
    };
    format!("{} < {} {}: {reached}", goal.contestant, goal.below, goal.unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use crate::report::Sample;

    #[test]
    fn a_table_shows_medians_spread_and_goals() {
        let case = &*cases::all()[0];
        let mut report = Report::new(2);
        report.begin(case);
        for value in [20.0, 30.0] {
            report.add(case, "overture", vec![Sample::new("first OFFER", "ms", value), Sample::note("clock", "monotonic")]);
        }
        report.add(case, "dnsmasq", vec![Sample::new("first OFFER", "ms", 6.0)]);
        let text = of(&report, case);
        for expected in ["25.0 ms (20.0–30.0)", "6.00 ms", "overture < 50 ms: reached", "clock: monotonic"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
