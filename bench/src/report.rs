//! Values, and what becomes of them: medians, goals, JSON.

use crate::cases::Case;
use anyhow::Context;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One value, or a remark, of one turn.
#[derive(Debug, Clone)]
pub struct Sample {
    measure: String,
    value: Result<(f64, &'static str), String>,
}

impl Sample {
    /// A value.
    pub fn new(measure: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { measure: measure.into(), value: Ok((value, unit)) }
    }

    /// A remark on how values were found, the same for all turns.
    pub fn note(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self { measure: about.into(), value: Err(text.into()) }
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    /// By whom.
    pub contestant: &'static str,
    /// In which measure: its median.
    pub measure: &'static str,
    /// The limit, which is to stay above.
    pub below: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// All values of one contestant in one measure.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// Which measure.
    pub measure: String,
    /// The unit of all values.
    pub unit: &'static str,
    /// In the order in which they were found.
    pub values: Vec<f64>,
    /// Of the values.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// One case, measured.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Its name.
    pub case: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// By contestant, in the order in which measures came up.
    pub contestants: BTreeMap<&'static str, Vec<Series>>,
    /// What is to be reached.
    pub goals: Vec<Goal>,
    /// Remarks, without repetition.
    pub notes: Vec<String>,
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this document.
    pub report: u32,
    /// Turns of each contestant.
    pub rounds: u32,
    /// Processors of the machine.
    pub processors: usize,
    /// Its kernel.
    pub kernel: String,
    /// The cases, in order.
    pub cases: Vec<Measured>,
}

impl Report {
    /// A run that begins.
    pub fn new(rounds: u32) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Self { report: 1, rounds, processors, kernel, cases: Vec::new() }
    }

    /// A case that begins.
    pub fn begin(&mut self, case: &dyn Case) {
        let (contestants, notes) = (BTreeMap::new(), Vec::new());
        self.cases.push(Measured { case: case.name(), about: case.about(), contestants, goals: case.goals(), notes });
    }

    /// Adds what came of a turn.
    pub fn add(&mut self, case: &dyn Case, contestant: &'static str, samples: Vec<Sample>) {
        let Some(measured) = self.cases.iter_mut().find(|measured| measured.case == case.name()) else { return };
        for Sample { measure, value } in samples {
            match value {
                Ok((value, unit)) => measured.contestants.entry(contestant).or_default().add(measure, unit, value),
                Err(text) => {
                    let note = format!("{measure}: {text}");
                    if !measured.notes.contains(&note) {
                        measured.notes.push(note);
                    }
                }
            }
        }
    }

    /// What was measured of a case.
    pub fn of(&self, case: &dyn Case) -> Option<&Measured> {
        self.cases.iter().find(|measured| measured.case == case.name())
    }

    /// Goals that were missed, a sentence each. A goal of somebody who did not take part is not missed.
    pub fn missed_goals(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for measured in &self.cases {
            for goal in &measured.goals {
                if let Some(series) = measured.series(goal.contestant, goal.measure)
                    && series.median >= goal.below
                {
                    let (median, unit) = (shown(series.median), goal.unit);
                    missed.push(format!(
                        "{}: {} of {} is {median} {unit}, not below {} {unit}",
                        measured.case, goal.measure, goal.contestant, goal.below
                    ));
                }
            }
        }
        missed
    }

    /// Writes everything as JSON.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("could not write the report as JSON")?;
        std::fs::write(file, text + "\n").with_context(|| format!("could not write {}", file.display()))
    }
}

impl Measured {
    /// The values of one contestant in one measure.
    pub fn series(&self, contestant: &str, measure: &str) -> Option<&Series> {
        self.contestants.get(contestant)?.iter().find(|series| series.measure == measure)
    }
}

trait Add {
    fn add(&mut self, measure: String, unit: &'static str, value: f64);
}

impl Add for Vec<Series> {
    fn add(&mut self, measure: String, unit: &'static str, value: f64) {
        match self.iter_mut().find(|series| series.measure == measure) {
            Some(series) => series.push(value),
            None => self.push(Series { measure, unit, values: vec![value], median: value, min: value, max: value }),
        }
    }
}

impl Series {
    fn push(&mut self, value: f64) {
        self.values.push(value);
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        (self.median, self.min, self.max) = ((low + high) / 2.0, sorted[0], sorted[sorted.len() - 1]);
    }
}

/// A number with three digits that mean something.
pub fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn medians_and_spread_are_kept_for_each_contestant_and_goals_compared() {
        let case = &*cases::all()[0];
        let mut report = Report::new(3);
        report.begin(case);
        for value in [70.0, 10.0, 60.0, 20.0] {
            report.add(case, "overture", vec![Sample::new("first OFFER", "ms", value), Sample::note("clock", "monotonic")]);
            report.add(case, "dnsmasq", vec![Sample::new("first OFFER", "ms", value / 10.0)]);
        }
        let measured = report.of(case).expect("a case");
        let series = measured.series("overture", "first OFFER").expect("values");
        assert_eq!((series.median, series.min, series.max, series.values.len()), (40.0, 10.0, 70.0, 4));
        assert_eq!((report.missed_goals(), measured.notes.len()), (vec![], 1));
        report.add(case, "overture", vec![Sample::new("first OFFER", "ms", 80.0)]);
        assert_eq!(report.missed_goals(), ["cold_start: first OFFER of overture is 60.0 ms, not below 50 ms"]);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.123, 9.876, 98.76, 987.6, 98765.4].map(shown);
        assert_eq!(texts, ["0", "0.12", "9.88", "98.8", "988", "98765"]);
    }
}
