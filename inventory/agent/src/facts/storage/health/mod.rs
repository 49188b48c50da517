//! Reads what `smartctl --json` writes (smartmontools 7): one document for the three families of disks, each with its own
//! words for the same things.
//!
//! A member that is missing, of another type or too large for its fact is a fact that is missing.

mod ata;
mod nvme;
mod scsi;
#[cfg(test)]
mod tests;

use super::ask::HealthSeen;
use crate::tree::text_of;
use inventory_wire::Health;
use serde_json::Value;

/// The exit code that stands for a sleeping disk.
const ASLEEP: i32 = 3;
/// Exit code, bit 1: the device could not be opened or identified (smartctl(8), EXIT STATUS).
const NOT_OPENED: i32 = 2;
/// The most warnings that are kept.
const MOST_WARNINGS: usize = 16;

/// What smartctl found, or why there is nothing.
pub fn parse(output: &[u8], code: Option<i32>) -> Result<HealthSeen, String> {
    if code == Some(ASLEEP) {
        return Err("the disk sleeps, and was not woken".into());
    }
    let document: Value = serde_json::from_slice(output).map_err(|_| match code {
        None => "smartctl was ended by a signal".to_owned(),
        Some(code) => format!("smartctl ended with {code}, and what it wrote is no whole JSON"),
    })?;
    let document = Node(Some(&document));
    let mut health = match document.at("device").at("protocol").text().as_deref() {
        Some("ATA") => ata::health(document),
        Some("NVMe") => nvme::health(document),
        Some("SCSI") => scsi::health(document),
        _ => Health::default(),
    };
    // Told alike for all three.
    health.passed = document.at("smart_status").at("passed").flag();
    health.power_on_hours = document.at("power_on_time").at("hours").number().or(health.power_on_hours);
    health.power_cycles = document.at("power_cycle_count").number().or(health.power_cycles);
    health.temperature_celsius = health.temperature_celsius.or_else(|| document.at("temperature").at("current").degrees());
    health.warnings.truncate(MOST_WARNINGS);
    if says_nothing(&health) {
        return Err(reason(document, code));
    }
    let firmware = document.at("firmware_version").text().or_else(|| document.at("scsi_revision").text());
    Ok(HealthSeen { health, firmware })
}

/// A temperature alone is no health: disks that know nothing of SMART invent one.
fn says_nothing(health: &Health) -> bool {
    *health == Health { temperature_celsius: health.temperature_celsius, ..Health::default() }
}

fn reason(document: Node<'_>, code: Option<i32>) -> String {
    let support = document.at("smart_support");
    let messages = document.at("smartctl").at("messages").list();
    let error = messages.iter().filter(|message| message.at("severity").text().as_deref() == Some("error"));
    let said = error.chain(&messages).find_map(|message| message.at("string").text());
    match (said, support.at("available").flag(), support.at("enabled").flag()) {
        (Some(said), ..) => format!("smartctl says: {said}"),
        (_, Some(false), _) => "the disk does not know SMART".into(),
        (_, Some(true), Some(false)) => "SMART is switched off on the disk".into(),
        _ if code.is_some_and(|code| code & NOT_OPENED != 0) => "smartctl could not open or identify the disk".into(),
        _ => "the disk says nothing of its health".into(),
    }
}

/// Facts that this disk's health lacks, by name.
pub fn missing(health: &Health) -> Vec<&'static str> {
    let all = [
        ("passed", health.passed.is_none()),
        ("wear_percent", health.wear_percent.is_none()),
        ("spare_percent", health.spare_percent.is_none()),
        ("reallocated_sectors", health.reallocated_sectors.is_none()),
        ("pending_sectors", health.pending_sectors.is_none()),
        ("media_errors", health.media_errors.is_none()),
        ("self_test", health.self_test.is_none()),
        ("power_on_hours", health.power_on_hours.is_none()),
        ("power_cycles", health.power_cycles.is_none()),
        ("temperature_celsius", health.temperature_celsius.is_none()),
        ("read_bytes", health.read_bytes.is_none()),
        ("written_bytes", health.written_bytes.is_none()),
    ];
    all.into_iter().filter_map(|(name, missing)| missing.then_some(name)).collect()
}

/// A place in the document, which need not exist.
#[derive(Clone, Copy)]
struct Node<'v>(Option<&'v Value>);

impl<'v> Node<'v> {
    fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|value| value.get(name)))
    }

    fn list(self) -> Vec<Self> {
        self.0.and_then(Value::as_array).into_iter().flatten().map(|value| Self(Some(value))).collect()
    }

    fn flag(self) -> Option<bool> {
        self.0?.as_bool()
    }

    fn text(self) -> Option<String> {
        text_of(self.0?.as_str()?.as_bytes())
    }

    fn number(self) -> Option<u64> {
        self.0?.as_u64()
    }

    /// One of NVMe's 128-bit counters: beyond what JSON carries exactly, smartctl adds the digits as `NAME_s`.
    fn counter(self, name: &str) -> Option<u64> {
        let digits = || self.at(&format!("{name}_s")).text()?.parse().ok();
        digits().or_else(|| self.at(name).number())
    }

    /// From absolute zero to what melts a disk.
    fn degrees(self) -> Option<i32> {
        let degrees = i32::try_from(self.0?.as_i64()?).ok()?;
        (-273..1000).contains(&degrees).then_some(degrees)
    }
}

/// A self-test's result by its code, the same in ATA (ACS-4, 9.20) and SCSI (SPC-4, 7.3.22).
fn failure(code: u64) -> &'static str {
    match code {
        0 => "passed",
        1 | 2 => "interrupted",
        3 => "failed: could not be finished",
        15 => "in progress",
        _ => "failed",
    }
}
