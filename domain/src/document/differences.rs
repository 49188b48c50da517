//! How two documents differ.
//!
//! Items of lists are matched by what identifies them ([`items`]), so that a disk that the kernel calls otherwise after a
//! restart is the same disk. What cannot be read is told from what is gone.

use super::gaps::Gaps;
use super::items::{self, Pair, says_something};
use super::{Document, words};
use crate::timeline::printable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most changes that are told; [`differences`] says how many there are beyond.
pub const MOST_CHANGES: usize = 1000;
/// The path of the change that stands for all those that are not told; what stands `after` is their number.
pub const MORE: &str = "…";
/// Deeper than this, values are compared whole: no fact stands so deep.
const DEEPEST: usize = 12;
/// The longest step of a path that is shown, characters.
const LONGEST_STEP: usize = 120;

/// One difference between two documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where: `disks[S4EVNX0M].firmware`; items of lists by what identifies them, or by their place, `sensors[#2]`. Facts that
    /// stand beside the report's facts begin with `other.`. Printable.
    pub path: String,
    /// The thing that changed, for people: `disk S4EVNX0M`, `eno2`, `DIMM DIMM_A2`, `memory`. Printable.
    pub what: String,
    /// Which of its fields; empty when all of it is new or gone. Printable.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What stood there; none when it is new, or could not be found out.
    pub before: Option<Value>,
    /// What stands there now; none when it is gone, or cannot be found out.
    pub after: Option<Value>,
    /// Why nothing was known of it before, as the report said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_before: Option<String>,
    /// Why nothing is known of it now, as the report says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_after: Option<String>,
}

impl Change {
    /// The change as a sentence without its full stop: `disk S4EVNX0M: firmware GDC5602Q → GDC5902Q`. Printable and short.
    pub fn in_words(&self) -> String {
        words::sentence(self)
    }
}

/// What is another in `after` than in `before`, in the order of the facts' names: at most [`MOST_CHANGES`], and where there are
/// more, one with the path [`MORE`] that counts them. Compare what is settled, or every reading is a change.
pub fn differences(before: &Document, after: &Document) -> Vec<Change> {
    let mut found = Found::default();
    let gaps = (Gaps::of(&before.gaps), Gaps::of(&after.gaps));
    let facts = Both { before: before.facts.as_object(), after: after.facts.as_object() };
    found.fields(&Place::default(), facts, Both { before: Some(&gaps.0), after: Some(&gaps.1) });
    let other = Place { path: "other".into(), depth: 1, ..Place::default() };
    found.fields(&other, Both { before: Some(&before.other), after: Some(&after.other) }, Both::none());
    found.changes.extend((found.more > 0).then(|| Change { path: MORE.into(), after: Some(found.more.into()), ..Change::default() }));
    found.changes
}

/// The same of the one document and of the other.
struct Both<T> {
    before: Option<T>,
    after: Option<T>,
}

impl<T: Copy> Clone for Both<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Copy> Copy for Both<T> {}

impl<T: Copy> Both<T> {
    fn none() -> Self {
        Self { before: None, after: None }
    }
    fn map<U>(self, f: impl Fn(T) -> Option<U>) -> Both<U> {
        Both { before: self.before.and_then(&f), after: self.after.and_then(&f) }
    }
    fn each(self) -> impl Iterator<Item = T> {
        self.before.into_iter().chain(self.after)
    }
}

/// Where the comparison stands.
#[derive(Clone, Default)]
struct Place {
    path: String,
    what: String,
    field: String,
    /// The last name on the way here.
    name: String,
    depth: usize,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let shown = printable(name, LONGEST_STEP);
        let join = |left: &str| if left.is_empty() { shown.clone() } else { format!("{left}.{shown}") };
        let path = join(&self.path);
        let (what, field) = match self.what.is_empty() {
            true => (words::part(&shown), String::new()),
            false => (self.what.clone(), join(&self.field)),
        };
        Self { path, what, field, name: name.to_owned(), depth: self.depth + 1 }
    }

    fn item(&self, key: &str, item: &Value) -> Self {
        let key = printable(key, LONGEST_STEP);
        let above = if self.depth > 1 && !self.field.is_empty() { self.what.as_str() } else { "" };
        let what = words::label(above, &self.name, &key, item);
        Self { path: format!("{}[{key}]", self.path), what, field: String::new(), name: String::new(), depth: self.depth + 1 }
    }
}

#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    more: u64,
}

impl Found {
    fn compare(&mut self, place: &Place, values: Both<&Value>, gaps: Both<&Gaps<'_>>) {
        let values = values.map(|value| says_something(value).then_some(value));
        let explained = gaps.each().any(|gaps| gaps.here.is_some());
        if place.depth >= DEEPEST {
            return self.whole(place, values, gaps);
        }
        match (values.before, values.after) {
            (None, None) => self.gaps_only(place, gaps),
            _ if all(values, Value::is_object) && (values.each().count() == 2 || self.looks_below(values, gaps)) => {
                self.reasons(place, gaps);
                self.fields(place, values.map(Value::as_object), gaps);
            }
            _ if all(values, is_list_of_things) && (values.each().count() == 2 || !explained) => {
                self.reasons(place, gaps);
                self.items(place, values.map(|list| list.as_array().map(Vec::as_slice)), gaps);
            }
            _ => self.whole(place, values, gaps),
        }
    }

    /// Whether the side that has no object here says of its parts why it has none.
    fn looks_below(&self, values: Both<&Value>, gaps: Both<&Gaps<'_>>) -> bool {
        let missing = if values.before.is_none() { gaps.before } else { gaps.after };
        missing.is_some_and(|gaps| gaps.here.is_none() && !gaps.below.is_empty())
    }

    fn fields(&mut self, place: &Place, values: Both<&Map<String, Value>>, gaps: Both<&Gaps<'_>>) {
        let names: BTreeSet<&str> = values
            .each()
            .flat_map(|fields| fields.keys().map(String::as_str))
            .chain(gaps.each().flat_map(|gaps| gaps.below.keys().copied()))
            .collect();
        for name in names {
            let (field, below) = (values.map(|fields| fields.get(name)), gaps.map(|gaps| gaps.below.get(name)));
            if field.before != field.after || below.each().next().is_some() {
                self.compare(&place.field(name), field, below);
            }
        }
    }

    fn items(&mut self, place: &Place, lists: Both<&[Value]>, gaps: Both<&Gaps<'_>>) {
        let pairs = items::matched(&place.name, lists.before.unwrap_or_default(), lists.after.unwrap_or_default());
        let moved = place.name == "neighbours" && self.moved(place, &pairs);
        let mut claimed = Both { before: Some(BTreeSet::new()), after: Some(BTreeSet::new()) };
        for Pair { before, after, key } in &pairs {
            let (item, here) = (Both { before: *before, after: *after }, place.item(key, after.or(*before).unwrap_or(&Value::Null)));
            // An item that is not there is called what it is called on the other side.
            let called = Both { before: before.or(*after), after: after.or(*before) };
            let called = Both { before: name_of(called.before, gaps.before), after: name_of(called.after, gaps.after) };
            let below = Both { before: below(gaps.before, called.before), after: below(gaps.after, called.after) };
            match (before, after) {
                (Some(_), Some(_)) => self.compare(&here, item, below),
                _ if moved => {}
                _ if place.name == "neighbours" => self.push(&Place { path: here.path, ..place.clone() }, item, Both::none()),
                _ => self.push(&here, item, reasons_where_missing(item, below)),
            }
            claimed.before.iter_mut().for_each(|names| names.extend(called.before));
            claimed.after.iter_mut().for_each(|names| names.extend(called.after));
        }
        let rest = |gaps: Option<&'_ Gaps<'_>>, claimed: Option<BTreeSet<&str>>| {
            let unclaimed = |name: &&&str| claimed.as_ref().is_none_or(|claimed| !claimed.contains(**name));
            gaps.into_iter().flat_map(|gaps| gaps.below.keys()).filter(unclaimed).map(|name| (*name).to_owned()).collect::<BTreeSet<_>>()
        };
        let rest = (rest(gaps.before, claimed.before), rest(gaps.after, claimed.after));
        for name in rest.0.union(&rest.1) {
            let only = |gaps, rest: &BTreeSet<String>| below(gaps, rest.get(name).map(String::as_str));
            self.gaps_only(&place.field(name), Both { before: only(gaps.before, &rest.0), after: only(gaps.after, &rest.1) });
        }
    }

    /// A cable that was moved is one change: another port at its other end.
    fn moved(&mut self, place: &Place, pairs: &[Pair<'_>]) -> bool {
        let gone: Vec<_> = pairs.iter().filter(|pair| pair.after.is_none()).collect();
        let new: Vec<_> = pairs.iter().filter(|pair| pair.before.is_none()).collect();
        let ([gone], [new]) = (&gone[..], &new[..]) else { return false };
        self.push(place, Both { before: gone.before, after: new.after }, Both::none());
        true
    }

    fn whole(&mut self, place: &Place, values: Both<&Value>, gaps: Both<&Gaps<'_>>) {
        if values.before == values.after {
            return self.gaps_only(place, gaps);
        }
        self.push(place, values, gaps.map(Gaps::reason));
    }

    /// Nothing is known here on either side, or the same.
    fn gaps_only(&mut self, place: &Place, gaps: Both<&Gaps<'_>>) {
        self.reasons(place, gaps);
        if place.depth < DEEPEST && gaps.each().any(|gaps| !gaps.below.is_empty()) {
            self.fields(place, Both::none(), gaps);
        }
    }

    fn reasons(&mut self, place: &Place, gaps: Both<&Gaps<'_>>) {
        let reasons = gaps.map(Gaps::reason);
        if reasons.before != reasons.after {
            self.push(place, Both::none(), reasons);
        }
    }

    fn push(&mut self, place: &Place, values: Both<&Value>, reasons: Both<&str>) {
        if self.changes.len() >= MOST_CHANGES {
            self.more += 1;
            return;
        }
        self.changes.push(Change {
            path: place.path.clone(),
            what: place.what.clone(),
            field: place.field.clone(),
            before: values.before.cloned(),
            after: values.after.cloned(),
            unknown_before: reasons.before.map(str::to_owned),
            unknown_after: reasons.after.map(str::to_owned),
        });
    }
}

/// A gap explains what is missing, not what is there.
fn reasons_where_missing<'d>(item: Both<&Value>, gaps: Both<&Gaps<'d>>) -> Both<&'d str> {
    let reasons = gaps.map(Gaps::reason);
    Both { before: reasons.before.filter(|_| item.before.is_none()), after: reasons.after.filter(|_| item.after.is_none()) }
}

/// What the gaps call an item, if they speak of it.
fn name_of<'v>(item: Option<&'v Value>, gaps: Option<&Gaps<'_>>) -> Option<&'v str> {
    items::called(item?).find(|name| gaps.is_some_and(|gaps| gaps.below.contains_key(name)))
}

fn below<'g, 'd>(gaps: Option<&'g Gaps<'d>>, name: Option<&str>) -> Option<&'g Gaps<'d>> {
    gaps?.below.get(name?)
}

fn all(values: Both<&Value>, is: impl Fn(&Value) -> bool) -> bool {
    values.each().all(is)
}

fn is_list_of_things(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_object))
}
