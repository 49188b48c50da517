//! Sensors of the kernel's hardware monitoring (`Documentation/hwmon/sysfs-interface.rst`).

use super::Gaps;
use crate::tree::Tree;
use inventory_wire::Sensor;

const CHIPS: &str = "sys/class/hwmon";
/// Large servers have some hundreds.
const MOST_SENSORS: usize = 1024;

/// A kind of sensor: how its files begin, and which of them holds the value.
const KINDS: [(&str, &str, &[&str]); 5] = [
    ("temp", "temperature", &["input"]),
    ("fan", "fan", &["input"]),
    ("in", "voltage", &["input"]),
    ("curr", "current", &["input"]),
    ("power", "power", &["input", "average"]),
];

/// Looks at them, chip by chip.
pub fn look(tree: &Tree, gaps: &mut Gaps) -> Vec<Sensor> {
    let chips = tree.names(CHIPS);
    let mut sensors = Vec::new();
    let mut alike: Vec<String> = Vec::new();
    for chip in &chips {
        let name = tree.text(&format!("{CHIPS}/{chip}/name")).unwrap_or_else(|| "unknown".into());
        let number = alike.iter().filter(|other| **other == name).count();
        for (kind, file) in files(tree, chip) {
            if sensors.len() < MOST_SENSORS {
                sensors.extend(sensor(tree, chip, &format!("{name}-{number}"), kind, &file, gaps));
            }
        }
        alike.push(name);
    }
    if sensors.is_empty() {
        gaps.note("sensors", if chips.is_empty() { "the kernel has no driver for sensors loaded" } else { "no sensor can be read" });
    }
    sensors
}

/// `temp1` for each sensor that has a file of its value, with its kind.
fn files(tree: &Tree, chip: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for file in tree.names(&format!("{CHIPS}/{chip}")) {
        let Some((sensor, what)) = file.split_once('_') else { continue };
        let letters = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
        let kind = KINDS.iter().position(|(begin, _, values)| *begin == letters && values.contains(&what));
        let Some(kind) = kind.filter(|_| letters != sensor) else { continue };
        if !found.iter().any(|(_, other)| other == sensor) {
            found.push((kind, sensor.to_owned()));
        }
    }
    found
}

fn sensor(tree: &Tree, chip: &str, chip_name: &str, kind: usize, file: &str, gaps: &mut Gaps) -> Option<Sensor> {
    let (_, kind_name, values) = KINDS.get(kind)?;
    let at = |what: &str| format!("{CHIPS}/{chip}/{file}_{what}");
    let number = |what: &str| tree.text(&at(what))?.parse::<i64>().ok();
    let label = tree.text(&at("label")).unwrap_or_else(|| file.to_owned());
    let name = format!("{chip_name}/{label}");
    let path = |field: &str| format!("sensors.{name}.{field}");
    // Some chips have one alarm, some one for each limit.
    let alarms: Vec<bool> =
        ["alarm", "crit_alarm", "max_alarm", "min_alarm", "lcrit_alarm"].iter().filter_map(|what| tree.flag(&at(what))).collect();
    let alarm = (!alarms.is_empty()).then(|| alarms.contains(&true));
    Some(Sensor {
        kind: Some((*kind_name).to_owned()),
        value: gaps.need(values.iter().find_map(|what| number(what)), &path("value"), "it gives no value now"),
        critical: gaps.need(number("crit"), &path("critical"), "it has no critical limit"),
        alarm: gaps.need(alarm, &path("alarm"), "it has no alarm"),
        name: Some(name),
        ..Sensor::default()
    })
}
