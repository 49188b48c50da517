//! NVMe: the SMART and health log page 02h (NVMe base specification 2.0, 5.16.1.3).

use super::Node;
use inventory_wire::Health;

/// A data unit: thousand blocks of 512 bytes, whatever the blocks of the disk are.
const DATA_UNIT: u64 = 512_000;

/// Bits of the critical warning, from the lowest.
const WARNINGS: [&str; 6] = [
    "spare below threshold",
    "temperature beyond threshold",
    "reliability degraded",
    "read only",
    "backup of volatile memory failed",
    "persistent memory region read only",
];

pub fn health(document: Node<'_>) -> Health {
    let log = document.at("nvme_smart_health_information_log");
    let percent = |name: &str| log.at(name).number().and_then(|percent| u32::try_from(percent).ok()).filter(|percent| *percent <= 255);
    let bytes = |name: &str| log.counter(name).map(|units| units.saturating_mul(DATA_UNIT));
    Health {
        wear_percent: percent("percentage_used"),
        spare_percent: percent("available_spare").filter(|percent| *percent <= 100),
        media_errors: log.counter("media_errors"),
        warnings: log.at("critical_warning").number().map(warnings).unwrap_or_default(),
        self_test: self_test(document.at("nvme_self_test_log")),
        power_on_hours: log.counter("power_on_hours"),
        power_cycles: log.counter("power_cycles"),
        temperature_celsius: log.at("temperature").degrees(),
        read_bytes: bytes("data_units_read"),
        written_bytes: bytes("data_units_written"),
        ..Health::default()
    }
}

fn warnings(bits: u64) -> Vec<String> {
    let known = WARNINGS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| (*name).to_owned());
    let unknown = (bits >> WARNINGS.len() != 0).then(|| format!("unknown warning {bits:#x}"));
    known.chain(unknown).collect()
}

/// Log page 06h, which smartctl reads from 7.4 on.
fn self_test(log: Node<'_>) -> Option<String> {
    if log.at("current_self_test_operation").at("value").number().is_some_and(|running| running != 0) {
        return Some("in progress".into());
    }
    let table = log.at("table").list();
    let Some(latest) = table.first() else {
        return log.0.map(|_| "never run".into());
    };
    let result = latest.at("self_test_result").at("value").number()?;
    let words = match result {
        0 => "passed",
        1..=4 | 8 | 9 => "interrupted",
        5 => "failed: could not be finished",
        6 | 7 => "failed",
        _ => return None,
    };
    Some(words.into())
}
