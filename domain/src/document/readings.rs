//! Readings out of a document and back in.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where readings stand: what may follow a place, by name or as each item of a list.
#[derive(Default)]
struct Places<'p> {
    named: BTreeMap<&'p str, Places<'p>>,
    each: Option<Box<Places<'p>>>,
    /// A reading stands here itself; nothing below is looked at.
    reading: bool,
}

impl<'p> Places<'p> {
    fn of(paths: &[&'p str]) -> Self {
        let mut root = Self::default();
        for path in paths.iter().filter(|path| !path.is_empty() && !path.ends_with('*')) {
            let place = path.split('.').fold(&mut root, |place, step| match step {
                "*" => place.each.get_or_insert_default(),
                name => place.named.entry(name).or_default(),
            });
            place.reading = true;
        }
        root
    }

    /// Linear in the value, and no deeper than the longest path.
    fn take(&self, value: &mut Value) -> Option<Value> {
        match value {
            Value::Object(fields) => {
                let taken: Map<_, _> = self.named.iter().filter_map(|(name, place)| place.take_field(fields, name)).collect();
                (!taken.is_empty()).then_some(Value::Object(taken))
            }
            Value::Array(items) => {
                let each = self.each.as_ref()?;
                let taken: Vec<_> = items.iter_mut().map(|item| each.take(item)).collect();
                let any = taken.iter().any(Option::is_some);
                any.then(|| taken.into_iter().map(Option::unwrap_or_default).collect())
            }
            _ => None,
        }
    }

    fn take_field(&self, fields: &mut Map<String, Value>, name: &str) -> Option<(String, Value)> {
        let taken = if self.reading { fields.remove(name)? } else { self.take(fields.get_mut(name)?)? };
        Some((name.to_owned(), taken))
    }
}

pub(super) fn take(facts: &mut Value, paths: &[&str]) -> Option<Value> {
    Places::of(paths).take(facts)
}

/// What was taken out is absent where it was: a field that is there was only passed through.
pub(super) fn put_back(facts: &mut Value, readings: &Value) {
    match (facts, readings) {
        (Value::Object(fields), Value::Object(readings)) => {
            for (name, reading) in readings {
                match fields.get_mut(name) {
                    Some(field) => put_back(field, reading),
                    None => {
                        fields.insert(name.clone(), reading.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(readings)) => items.iter_mut().zip(readings).for_each(|(item, reading)| put_back(item, reading)),
        _ => {}
    }
}
