//! SCSI, with SAS: log pages 02h to 05h (errors), 0Dh (temperature), 0Eh (starts), 10h (self-tests), 11h (wear), 2Fh
//! (judgement), and the list of grown defects (SPC-4, SBC-3).

use super::{Node, failure};
use inventory_wire::Health;

pub fn health(document: Node<'_>) -> Health {
    let counters = document.at("scsi_error_counter_log");
    let status = document.at("smart_status");
    let wear = document.at("scsi_percentage_used_endurance_indicator").number();
    let wear = wear.or_else(|| document.at("endurance_used").at("current_percent").number());
    let failing = status.at("passed").flag() == Some(false);
    Health {
        wear_percent: wear.and_then(|wear| u32::try_from(wear).ok()).filter(|wear| *wear <= 255),
        reallocated_sectors: document.at("scsi_grown_defect_list").number(),
        pending_sectors: document.at("scsi_pending_defects").at("count").number(),
        media_errors: media_errors(counters),
        warnings: status.at("scsi").at("ie_string").text().filter(|_| failing).into_iter().collect(),
        self_test: self_test(document),
        power_cycles: document.at("scsi_start_stop_cycle_counter").at("accumulated_start_stop_cycles").number(),
        // One that has no such page says 0.
        temperature_celsius: document.at("temperature").at("current").degrees().filter(|degrees| *degrees != 0),
        read_bytes: bytes(counters.at("read")),
        written_bytes: bytes(counters.at("write")),
        ..Health::default()
    }
}

fn media_errors(counters: Node<'_>) -> Option<u64> {
    let found = ["read", "write", "verify"].into_iter().filter_map(|kind| counters.at(kind).at("total_uncorrected_errors").number());
    found.reduce(u64::saturating_add)
}

/// Thousands of millions of bytes with three digits behind the point, as text.
fn bytes(counter: Node<'_>) -> Option<u64> {
    let text = counter.at("gigabytes_processed").text()?;
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let part: u64 = format!("{part:0<9}").get(..9)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part)
}

fn self_test(document: Node<'_>) -> Option<String> {
    let code = document.at("scsi_self_test_0").at("result").at("value").number()?;
    Some(failure(code).into())
}
