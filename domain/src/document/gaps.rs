//! Gaps by their place.

use super::{Gap, items};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// A path that has more steps than this is no path of a fact; what is beyond counts as one step.
const MOST_STEPS: usize = 12;

/// The gaps at a place and below it. An item of a list goes by its name, its slot or whatever else it is called.
#[derive(Debug, Default)]
pub(super) struct Gaps<'d> {
    /// The gap at this place.
    pub(super) here: Option<&'d Gap>,
    /// Those below, by the next step of their path.
    pub(super) below: BTreeMap<&'d str, Gaps<'d>>,
}

impl<'d> Gaps<'d> {
    pub(super) fn of(gaps: impl IntoIterator<Item = &'d Gap>) -> Self {
        let mut root = Self::default();
        for gap in gaps {
            let place = gap.path.splitn(MOST_STEPS, '.').fold(&mut root, |place, step| place.below.entry(step).or_default());
            place.here = Some(gap);
        }
        root
    }

    /// Why nothing is known at this place.
    pub(super) fn reason(&self) -> Option<&'d str> {
        self.here.map(|gap| gap.reason.as_str())
    }

    /// The paths of those that a document's facts know after all.
    pub(super) fn known_in(&self, facts: &Value) -> HashSet<&'d str> {
        let mut known = HashSet::new();
        self.look(facts, &mut known);
        known
    }

    fn look(&self, value: &Value, known: &mut HashSet<&'d str>) {
        if !items::says_something(value) {
            return;
        }
        known.extend(self.here.map(|gap| gap.path.as_str()));
        match value {
            _ if self.below.is_empty() => {}
            Value::Object(fields) => {
                let both = self.below.iter().filter_map(|(name, gaps)| Some((gaps, fields.get(*name)?)));
                both.for_each(|(gaps, field)| gaps.look(field, known));
            }
            Value::Array(list) => {
                for item in list {
                    let gaps = items::called(item).find_map(|name| self.below.get(name));
                    gaps.into_iter().for_each(|gaps| gaps.look(item, known));
                }
            }
            _ => {}
        }
    }
}
