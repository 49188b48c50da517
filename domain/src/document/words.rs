//! Changes as people read them.

use super::Change;
use super::differences::MORE;
use crate::timeline::printable;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The longest text of a value that is shown, characters.
const LONGEST: usize = 80;
/// The most items of a list of words that are shown.
const MOST_WORDS: usize = 8;

/// A part of the facts.
pub(super) fn part(name: &str) -> String {
    match name {
        "cpu" => "CPU".into(),
        "bmc" => "BMC".into(),
        "tpm" => "TPM".into(),
        "nics" => "network interfaces".into(),
        "pci" => "PCI devices".into(),
        "gpus" => "GPUs".into(),
        _ => name.replace('_', " "),
    }
}

/// An item of a list; `above` is what the list belongs to.
pub(super) fn label(above: &str, list: &str, key: &str, item: &Value) -> String {
    let text =
        |field: &str| item.get(field).and_then(Value::as_str).map(|text| printable(text.trim(), LONGEST)).filter(|text| !text.is_empty());
    let named = |noun: &str| format!("{noun} {key}");
    let own = match list {
        "nics" => text("name").unwrap_or_else(|| named("network interface")),
        "disks" => named("disk"),
        "dimms" => return format!("DIMM {}", text("slot").unwrap_or_else(|| key.into())),
        "controllers" => named("controller"),
        "gpus" => named("GPU"),
        "pci" => named("PCI device"),
        "sensors" => named("sensor"),
        "numa" => return named("NUMA node"),
        "boot_entries" => return named("boot entry"),
        "partitions" => named("partition"),
        "signatures" => named("signature"),
        "vlans" => named("VLAN"),
        "neighbours" => format!("neighbour {}", neighbour(item).unwrap_or_else(|| key.into())),
        _ => format!("{} {key}", printable(&list.replace('_', " "), LONGEST)),
    };
    if above.is_empty() { own } else { format!("{above}, {own}") }
}

pub(super) fn sentence(change: &Change) -> String {
    if change.path == MORE {
        let more = change.after.as_ref().and_then(Value::as_u64).unwrap_or_default();
        return format!("and {more} further change{}", if more == 1 { "" } else { "s" });
    }
    let what = printable(&change.what, 3 * LONGEST);
    let told = match change.field.as_str() {
        "neighbours" => plugged(change),
        "" => thing(change),
        _ => field(change),
    };
    format!("{what}: {told}")
}

fn reason(reason: &Option<String>) -> Option<String> {
    reason.as_deref().map(|reason| printable(reason, 2 * LONGEST))
}

fn plugged(change: &Change) -> String {
    let into = |value: &Option<Value>| value.as_ref().map(|value| Units::of(change).value(value));
    match (into(&change.before), into(&change.after), reason(&change.unknown_after)) {
        (Some(before), Some(after), _) => format!("now plugged into {after}, was {before}"),
        (None, Some(after), _) => format!("now plugged into {after}"),
        (Some(before), None, None) => format!("no longer plugged into {before}"),
        (Some(before), None, Some(why)) => format!("no neighbour can be seen any more: {why} (was plugged into {before})"),
        (None, None, _) => missing("neighbours", change),
    }
}

fn thing(change: &Change) -> String {
    let units = Units::of(change);
    let in_short = |value: &Option<Value>| value.as_ref().map(|value| units.value(value));
    match (in_short(&change.before), in_short(&change.after), reason(&change.unknown_before), reason(&change.unknown_after)) {
        (Some(before), Some(after), ..) => format!("{before} → {after}"),
        (None, Some(after), None, _) => format!("new ({after})"),
        (None, Some(after), Some(why), _) => format!("can be seen now ({after}); before: {why}"),
        (Some(before), None, _, None) => format!("gone (was {before})"),
        (Some(before), None, _, Some(why)) => format!("cannot be seen any more: {why} (was {before})"),
        (None, None, ..) => missing("", change),
    }
}

fn field(change: &Change) -> String {
    let units = Units::of(change);
    let name = name(&change.field);
    let said = |value: &Option<Value>| value.as_ref().map(|value| units.value(value));
    let spaced = if name.is_empty() { String::new() } else { format!("{name} ") };
    match (said(&change.before), said(&change.after), reason(&change.unknown_before), reason(&change.unknown_after)) {
        (Some(before), Some(after), ..) => match (&change.before, &change.after) {
            (Some(Value::Array(old)), Some(Value::Array(new))) if let Some(told) = gained_and_lost(old, new) => format!("{spaced}{told}"),
            _ if before == after => format!("{spaced}{} → {}", exact(&change.before), exact(&change.after)),
            _ => format!("{spaced}{before} → {after}"),
        },
        (None, Some(after), None, _) => format!("{spaced}is now {after}"),
        (None, Some(after), Some(why), _) => format!("{spaced}is now known: {after}; before: {why}"),
        (Some(before), None, _, None) => format!("{spaced}gone (was {before})"),
        (Some(before), None, _, Some(why)) => format!("{spaced}cannot be read any more: {why} (was {before})"),
        (None, None, ..) => missing(&name, change),
    }
}

fn missing(name: &str, change: &Change) -> String {
    let spaced = if name.is_empty() { String::new() } else { format!("{name} ") };
    match (reason(&change.unknown_before), reason(&change.unknown_after)) {
        (None, Some(why)) => format!("{spaced}cannot be read: {why}"),
        (Some(was), Some(why)) => format!("{spaced}still cannot be read: {why} (before: {was})"),
        (Some(was), None) => format!("{spaced}is no longer told as missing (before: {was})"),
        (None, None) => format!("{spaced}changed"),
    }
}

/// `health.wear_percent` is "health wear".
fn name(field: &str) -> String {
    if field == "installed_bytes" {
        return String::new();
    }
    let words = field.replace(['.', '_'], " ");
    let unit = ["bytes", "mbit", "mts", "percent", "celsius", "mhz", "ms", "seconds"].into_iter().find_map(|unit| words.strip_suffix(unit));
    printable(unit.unwrap_or(&words).trim_end(), LONGEST)
}

/// What two lists of words differ in; none when they are not such lists.
fn gained_and_lost(before: &[Value], after: &[Value]) -> Option<String> {
    let words = |list: &[Value]| list.iter().map(|item| scalar(item).map(|text| printable(&text, LONGEST))).collect::<Option<Vec<_>>>();
    let (before, after) = (words(before)?, words(after)?);
    let only_in = |these: &[String], those: &[String]| -> Vec<String> {
        let those: std::collections::BTreeSet<_> = those.iter().collect();
        these.iter().filter(|word| !those.contains(word)).cloned().collect()
    };
    let (gained, lost) = (only_in(&after, &before), only_in(&before, &after));
    let told: Vec<_> = [("now also ", gained), ("no longer ", lost)]
        .into_iter()
        .filter(|(_, words)| !words.is_empty())
        .map(|(how, words)| format!("{how}{}", some(&words)))
        .collect();
    Some(if told.is_empty() { format!("in another order: {} → {}", some(&before), some(&after)) } else { told.join(", ") })
}

fn some(words: &[String]) -> String {
    let mut text = words.iter().take(MOST_WORDS).cloned().collect::<Vec<_>>().join(", ");
    if words.len() > MOST_WORDS {
        let _ = write!(text, " and {} more", words.len() - MOST_WORDS);
    }
    text
}

/// The units that numbers of a change are told in.
struct Units<'c> {
    field: &'c str,
    /// Disks are sold by powers of ten, memory by powers of two.
    decimal: bool,
}

impl<'c> Units<'c> {
    fn of(change: &'c Change) -> Self {
        Self { field: &change.field, decimal: change.path.starts_with("disks") }
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Array(items) => match items.iter().map(scalar).collect::<Option<Vec<_>>>() {
                Some(words) => some(&words.iter().map(|word| printable(word, LONGEST)).collect::<Vec<_>>()),
                None => some(&items.iter().map(|item| self.value(item)).collect::<Vec<_>>()),
            },
            Value::Object(fields) => neighbour(value).unwrap_or_else(|| self.description(fields)),
            _ => self.scalar(self.field, value),
        }
    }

    fn scalar(&self, field: &str, value: &Value) -> String {
        let ends = |unit: &str| field.ends_with(unit);
        match value {
            Value::Number(number) => match number.as_u64() {
                Some(bytes) if ends("_bytes") && !ends("sector_bytes") && !ends("frame_bytes") => self.bytes(bytes),
                Some(speed) if ends("_mbit") => mbit(speed),
                _ if ends("_bytes") => format!("{number} bytes"),
                _ if ends("_mts") => format!("{number} MT/s"),
                _ if ends("_mhz") => format!("{number} MHz"),
                _ if ends("_percent") => format!("{number} %"),
                _ if ends("_celsius") => format!("{number} °C"),
                _ if ends("_ms") => format!("{number} ms"),
                _ if ends("_seconds") => format!("{number} s"),
                _ => number.to_string(),
            },
            Value::Bool(on) => match (field, on) {
                ("link", true) => "up".into(),
                ("link", false) => "down".into(),
                (_, true) => "yes".into(),
                (_, false) => "no".into(),
            },
            Value::String(text) => printable(text, LONGEST),
            _ => "nothing".into(),
        }
    }

    fn bytes(&self, bytes: u64) -> String {
        let (step, units): (u64, _) =
            if self.decimal { (1000, ["kB", "MB", "GB", "TB", "PB", "EB"]) } else { (1024, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]) };
        scaled(bytes, step, &units).unwrap_or_else(|| format!("{bytes} bytes"))
    }

    /// A thing in a few words.
    fn description(&self, fields: &Map<String, Value>) -> String {
        let said = |field: &str| fields.get(field).filter(|value| !value.is_null()).map(|value| self.scalar(field, value));
        let size = ["size_bytes", "memory_bytes", "installed_bytes"].into_iter().find_map(said);
        let name: Vec<_> = ["manufacturer", "vendor", "model", "product", "device", "part_number"].into_iter().filter_map(said).collect();
        let more = ["label", "version", "kind", "most_speed_mbit", "driver", "address", "permanent_mac"].into_iter().filter_map(said);
        let mut parts: Vec<String> = size.into_iter().chain((!name.is_empty()).then(|| name.join(" "))).collect();
        parts.extend(more.take(if parts.is_empty() { 3 } else { 0 }));
        if parts.is_empty() {
            let scalars = fields.iter().filter_map(|(name, value)| Some(format!("{} {}", printable(name, LONGEST), scalar(value)?)));
            parts.extend(scalars.take(3).map(|text| printable(&text, 2 * LONGEST)));
        }
        if parts.is_empty() { "nothing to tell it by".into() } else { parts.join(", ") }
    }
}

/// A switch and its port: `sw2/13`.
fn neighbour(item: &Value) -> Option<String> {
    let text = |field: &str| item.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    item.get("chassis").or_else(|| item.get("system"))?;
    let is_address = text("port_kind") == Some("mac_address");
    let port = text("port_description").filter(|_| is_address).or_else(|| text("port"));
    let switch = text("system").or_else(|| text("chassis"))?;
    Some(printable(&format!("{switch}/{}", port.unwrap_or("?")), LONGEST))
}

fn mbit(speed: u64) -> String {
    scaled(speed, 1000, &["Gbit/s", "Tbit/s"]).unwrap_or_else(|| format!("{speed} Mbit/s"))
}

/// In the largest unit that it fills, with three digits at least; none when it fills none.
fn scaled(amount: u64, step: u64, units: &[&str]) -> Option<String> {
    let (mut unit, mut size) = (None, 1);
    for name in units {
        match amount.checked_div(size) {
            Some(left) if left >= step => (unit, size) = (Some(*name), size * step),
            _ => break,
        }
    }
    let unit = unit?;
    let decimals = match amount / size {
        100.. => 0,
        10.. => 1,
        _ => 2,
    };
    let tenth = 10u128.pow(decimals);
    let rounded = (u128::from(amount) * tenth + u128::from(size) / 2) / u128::from(size);
    let (whole, rest) = (rounded / tenth, rounded % tenth);
    let rest = format!("{rest:0width$}", width = decimals as usize);
    let rest = rest.trim_end_matches('0');
    Some(if rest.is_empty() { format!("{whole} {unit}") } else { format!("{whole}.{rest} {unit}") })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(if *yes { "yes".into() } else { "no".into() }),
        _ => None,
    }
}

/// Where two values look alike in short.
fn exact(value: &Option<Value>) -> String {
    match value {
        Some(value @ (Value::Object(_) | Value::Array(_))) => printable(&value.to_string(), 2 * LONGEST),
        Some(value) => scalar(value).map(|text| printable(&text, 2 * LONGEST)).unwrap_or_default(),
        None => "nothing".into(),
    }
}
