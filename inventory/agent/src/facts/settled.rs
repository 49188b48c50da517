//! The facts without the readings: what two looks at the same hardware agree in.

use inventory_wire::{Facts, READINGS};
use serde_json::Value;

/// The facts without those of [`READINGS`].
pub fn facts(facts: &Facts) -> Value {
    // Facts are plain structs with text keys: turning them into JSON cannot fail.
    let mut value = serde_json::to_value(facts).unwrap_or_default();
    READINGS.iter().for_each(|path| remove(&mut value, path));
    value
}

/// Takes out what a dotted path leads to; `*` is each item of a list.
fn remove(value: &mut Value, path: &str) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match (value, rest) {
        (Value::Object(fields), None) => drop(fields.remove(first)),
        (Value::Object(fields), Some(rest)) => fields.get_mut(first).into_iter().for_each(|field| remove(field, rest)),
        (Value::Array(items), Some(rest)) if first == "*" => items.iter_mut().for_each(|item| remove(item, rest)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_wire::{Agent, Disk, Health, Memory, Sensor};

    fn facts_with(celsius: i32, uptime: u64, wear: u32) -> Facts {
        let health = Health { temperature_celsius: Some(celsius), wear_percent: Some(wear), ..Health::default() };
        Facts {
            disks: vec![Disk::default(), Disk { health: Some(health), ..Disk::default() }],
            sensors: vec![Sensor { name: Some("a".into()), value: Some(celsius.into()), ..Sensor::default() }],
            agent: Some(Agent { uptime_seconds: Some(uptime), version: Some("1".into()), ..Agent::default() }),
            ..Facts::default()
        }
    }

    #[test]
    fn readings_do_not_count_and_all_else_does() {
        assert_eq!(facts(&facts_with(30, 5, 1)), facts(&facts_with(40, 65, 1)));
        assert_ne!(facts(&facts_with(30, 5, 1)), facts(&facts_with(30, 5, 2)), "wear is no reading");
        let errors = |corrected, uncorrected| {
            let memory = Memory { corrected_errors: Some(corrected), uncorrected_errors: Some(uncorrected), ..Memory::default() };
            facts(&Facts { memory: Some(memory), ..Facts::default() })
        };
        assert_eq!(errors(1, 0), errors(2, 0), "a module that wears out must not report at every look");
        assert_ne!(errors(1, 0), errors(1, 1));
        assert_eq!(facts(&facts_with(1, 1, 1))["agent"]["version"], "1");
        assert_eq!(facts(&Facts::default()), serde_json::json!({}));
    }
}
