//! Conditions on facts: JSON whose fields nobody here knows.

use super::fits::{begins_with_words, satisfies};
use super::order::natural;
use super::query::{Op, Path, Test, Wanted};
use serde_json::Value as Json;
use std::cmp::Ordering;

/// Hands each value at a path to `test` until that says yes; lists on the way and at its end are passed through.
fn any(json: &Json, path: &[String], test: &mut dyn FnMut(&Json) -> bool) -> bool {
    match (json, path) {
        (Json::Array(items), _) => items.iter().any(|item| any(item, path, test)),
        (Json::Null, _) => false,
        (value, []) => test(value),
        (Json::Object(members), [name, rest @ ..]) => members.get(name).is_some_and(|member| any(member, rest, test)),
        _ => false,
    }
}

/// Whether an item of the list at a path passes, or what stands there if it is no list.
pub(super) fn any_item(facts: &Json, path: &Path, test: &mut dyn FnMut(&Json) -> bool) -> bool {
    any(facts, &path.0, test)
}

/// Whether the values at a path pass.
pub(super) fn passes(facts: &Json, path: &Path, condition: &Test) -> bool {
    let any = |op: Op, wanted: &Wanted| any(facts, &path.0, &mut |value| compares(value, op, wanted));
    match condition {
        Test::Is(Op::Differs, wanted) => !any(Op::Equal, wanted),
        Test::Is(Op::Lacks, wanted) => !any(Op::Contains, wanted),
        Test::Is(op, wanted) => any(*op, wanted),
        Test::In(several) => several.iter().any(|wanted| any(Op::Equal, wanted)),
        Test::Missing => !is_known(facts, path),
        Test::Known => is_known(facts, path),
    }
}

fn is_known(facts: &Json, path: &Path) -> bool {
    any(facts, &path.0, &mut |_| true)
}

/// The values at a path, for a column; at most `most`.
pub(super) fn values(facts: &Json, path: &Path, most: usize) -> Vec<Json> {
    let mut found = Vec::new();
    any(facts, &path.0, &mut |value| {
        found.push(value.clone());
        found.len() >= most
    });
    found
}

fn compares(value: &Json, op: Op, wanted: &Wanted) -> bool {
    let Wanted::Loose(needle, number) = wanted else { return false };
    match value {
        Json::String(text) => match op {
            Op::Equal => begins_with_words(text, &needle.lower),
            Op::Exactly => *text == needle.text,
            Op::Contains => needle.is_in(&text.to_ascii_lowercase()),
            _ => satisfies(op, natural(text, &needle.lower)),
        },
        Json::Number(n) if op == Op::Contains => needle.is_in(&n.to_string()),
        Json::Number(n) => {
            let ordering = n.as_f64().zip(*number).and_then(|(n, wanted)| n.partial_cmp(&wanted));
            ordering.is_some_and(|ordering| satisfies(op, ordering))
        }
        Json::Bool(flag) => {
            let said = match needle.lower.as_str() {
                "yes" | "true" | "on" => Some(true),
                "no" | "false" | "off" => Some(false),
                _ => None,
            };
            said.is_some_and(|said| matches!(op, Op::Equal | Op::Exactly) && satisfies(op, Ordering::Equal) && said == *flag)
        }
        Json::Null | Json::Array(_) | Json::Object(_) => false,
    }
}
