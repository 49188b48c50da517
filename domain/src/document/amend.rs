//! Late facts.

use super::gaps::Gaps;
use super::{Document, Gap};
use serde_json::{Map, Value};
use std::collections::HashSet;

pub(super) fn amended(before: Document, amendment: Document) -> Document {
    let Document { mut facts, gaps, mut other } = before;
    let Document { facts: new_facts, gaps: new_gaps, other: new_other } = amendment;
    let parts = match new_facts {
        Value::Object(parts) => parts,
        _ => Map::new(),
    };
    let said: HashSet<&str> = new_gaps.iter().map(|gap| gap.path.as_str()).collect();
    let stays = |gap: &Gap| !parts.contains_key(part_of(gap)) && !said.contains(gap.path.as_str());
    let mut gaps: Vec<Gap> = gaps.into_iter().filter(stays).collect();
    // Of a part that was not looked at again, a known fact counts more than a second look that did not find it.
    let elsewhere = Gaps::of(new_gaps.iter().filter(|gap| !parts.contains_key(part_of(gap))));
    let known = elsewhere.known_in(&facts);
    gaps.extend(new_gaps.iter().filter(|gap| !known.contains(gap.path.as_str())).cloned());
    match &mut facts {
        Value::Object(facts) => facts.extend(parts),
        nothing => *nothing = Value::Object(parts),
    }
    other.extend(new_other);
    Document { facts, gaps, other }
}

/// The top-level part that a gap belongs to.
fn part_of(gap: &Gap) -> &str {
    gap.path.split('.').next().unwrap_or_default()
}
