//! What smartctl 7.3 wrote for QEMU's disks, recorded, and what it would write for real ones, from the specifications.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use serde_json::json;

const NVME: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-nvme.json");
const SATA: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-sata.json");
const SCSI: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-scsi.json");
const RAID_VOLUME: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-raid-volume.json");
const VIRTIO: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-virtio.json");
const NO_DEVICE: &[u8] = include_bytes!("../../../../tests/fixtures/storage/smartctl-no-device.json");

fn told(document: &Value) -> Health {
    parse(document.to_string().as_bytes(), Some(0)).unwrap().health
}

fn refused(document: &Value, code: i32) -> String {
    parse(document.to_string().as_bytes(), Some(code)).unwrap_err()
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn a_recorded_nvme_disk_is_read() {
    let seen = parse(NVME, Some(0)).unwrap();
    assert_eq!(seen.firmware, text("7.2.22"));
    let health = seen.health;
    assert_eq!((health.passed, health.wear_percent, health.media_errors), (Some(true), Some(0), Some(0)));
    assert_eq!((health.temperature_celsius, health.power_on_hours), (Some(50), Some(0)));
    assert_eq!(health.read_bytes.unwrap() % 512_000, 0);
    assert_eq!(missing(&health), ["reallocated_sectors", "pending_sectors", "self_test"]);
}

#[test]
fn a_recorded_sata_disk_is_read_although_it_knows_no_statistics() {
    let seen = parse(SATA, Some(4)).unwrap();
    assert_eq!(seen.firmware, text("2.5+"));
    let health = seen.health;
    assert_eq!((health.passed, health.reallocated_sectors, health.power_on_hours), (Some(true), Some(0), Some(1)));
    assert_eq!((health.self_test.as_deref(), health.temperature_celsius), (Some("never run"), Some(31)));
    assert!(health.warnings.is_empty());
}

#[test]
fn disks_that_tell_nothing_are_gaps_with_their_reasons() {
    assert_eq!(parse(SCSI, Some(4)).unwrap_err(), "the disk does not know SMART");
    assert_eq!(parse(RAID_VOLUME, Some(2)).unwrap_err(), "smartctl could not open or identify the disk");
    assert_eq!(parse(VIRTIO, Some(1)).unwrap_err(), "smartctl says: /dev/vda: Unable to detect device type");
    assert_eq!(parse(NO_DEVICE, Some(1)).unwrap_err(), "smartctl says: /dev/nope: Unable to detect device type");
    assert_eq!(parse(b"", Some(3)).unwrap_err(), "the disk sleeps, and was not woken");
    let open = "Smartctl open device: /dev/sda failed: Permission denied";
    let messages =
        json!({"smartctl": {"messages": [{"string": "a hint", "severity": "information"}, {"string": open, "severity": "error"}]}});
    assert_eq!(refused(&messages, 2), format!("smartctl says: {open}"));
    let bridge =
        json!({"smartctl": {"messages": [{"string": "/dev/sdg: Unknown USB bridge [0x1234:0x5678 (0x100)]", "severity": "error"}]}});
    assert_eq!(refused(&bridge, 1), "smartctl says: /dev/sdg: Unknown USB bridge [0x1234:0x5678 (0x100)]");
    let off = json!({"device": {"protocol": "ATA"}, "smart_support": {"available": true, "enabled": false}});
    assert_eq!(refused(&off, 4), "SMART is switched off on the disk");
    assert_eq!(refused(&json!({}), 0), "the disk says nothing of its health");
}

#[test]
fn what_the_disk_says_of_itself_does_not_reach_a_terminal_raw() {
    let messages = json!({"smartctl": {"messages": [{"string": "\u{1b}[2Jgone\n", "severity": "error"}]}});
    assert_eq!(refused(&messages, 2), "smartctl says: \\x1b[2Jgone");
}

fn attribute(id: u64, name: &str, value: u64, raw: &str, when_failed: &str) -> Value {
    json!({"id": id, "name": name, "value": value, "when_failed": when_failed, "raw": {"value": 0xdead_0000_0000u64, "string": raw}})
}

#[test]
fn a_failing_hard_disk_says_so_in_every_way() {
    let health = told(&json!({
        "device": {"protocol": "ATA"}, "logical_block_size": 512, "smart_status": {"passed": false},
        "ata_smart_attributes": {"table": [
            attribute(5, "Reallocated_Sector_Ct", 1, "2040 (0 3)", "now"),
            attribute(187, "Reported_Uncorrect", 80, "20", ""),
            attribute(194, "Temperature_Celsius", 60, "40 (Min/Max 12/55)", "past"),
            attribute(197, "Current_Pending_Sector", 99, "16", ""),
            attribute(241, "Total_LBAs_Written", 100, "1000", ""),
        ]},
        "ata_smart_self_test_log": {"standard": {"count": 2, "table": [
            {"status": {"value": 121, "string": "Completed: read failure", "passed": false}},
            {"status": {"value": 0, "passed": true}},
        ]}},
        "power_on_time": {"hours": 61_234, "minutes": 3}, "power_cycle_count": 17, "temperature": {"current": 40},
    }));
    assert_eq!(health.passed, Some(false));
    assert_eq!((health.reallocated_sectors, health.pending_sectors, health.media_errors), (Some(2040), Some(16), Some(20)));
    assert_eq!(health.warnings, ["Reallocated_Sector_Ct is below its threshold", "Temperature_Celsius was below its threshold"]);
    assert_eq!(health.self_test, text("failed: read"));
    assert_eq!((health.power_on_hours, health.power_cycles, health.temperature_celsius), (Some(61_234), Some(17), Some(40)));
    assert_eq!((health.written_bytes, health.wear_percent), (Some(512_000), None));
}

#[test]
fn statistics_that_mean_the_same_everywhere_go_before_a_makers_attributes() {
    let statistic = |offset: u64, value: u64, valid: bool| json!({"offset": offset, "value": value, "flags": {"valid": valid}});
    let document = json!({
        "device": {"protocol": "ATA"}, "logical_block_size": 4096, "smart_status": {"passed": true},
        "ata_smart_attributes": {"table": [
            attribute(177, "Wear_Leveling_Count", 98, "31", ""), attribute(241, "Host_Writes_32MiB", 100, "9", ""),
            attribute(232, "Available_Reservd_Space", 97, "0", ""), attribute(242, "Host_Reads_32MiB", 100, "2", ""),
        ]},
        "ata_device_statistics": {"pages": [
            {"number": 1, "table": [statistic(24, 7, true), statistic(40, 8, false)]},
            {"number": 7, "table": [statistic(8, 104, true)]},
        ]},
    });
    let health = told(&document);
    assert_eq!(health.wear_percent, Some(104), "a worn disk may be beyond its life");
    assert_eq!((health.written_bytes, health.read_bytes), (Some(7 * 4096), Some(64 << 20)), "what is not valid is not read");
    assert_eq!(health.spare_percent, Some(97));
    let mut without = document;
    without.as_object_mut().unwrap().remove("ata_device_statistics");
    assert_eq!((told(&without).wear_percent, told(&without).written_bytes), (Some(2), Some(9 * (32 << 20))));
}

#[test]
fn each_critical_warning_of_nvme_has_its_words() {
    let health = |bits: u64| {
        told(&json!({"device": {"protocol": "NVMe"}, "smart_status": {"passed": bits == 0},
            "nvme_smart_health_information_log": {"critical_warning": bits, "percentage_used": 255, "available_spare": 3,
                "media_errors": 12, "temperature": -7}}))
    };
    assert_eq!(health(0b0000_1001).warnings, ["spare below threshold", "read only"]);
    assert_eq!(health(0b0011_0110).warnings.len(), 4);
    assert_eq!(health(0x80).warnings, ["unknown warning 0x80"]);
    let worn = health(1);
    assert_eq!((worn.passed, worn.wear_percent, worn.spare_percent, worn.temperature_celsius), (Some(false), Some(255), Some(3), Some(-7)));
    assert!(health(0).warnings.is_empty());
}

#[test]
fn counters_beyond_what_json_carries_come_as_digits_and_are_bounded() {
    let health = |log: Value| told(&json!({"device": {"protocol": "NVMe"}, "nvme_smart_health_information_log": log}));
    let read = health(json!({"data_units_read": 9.007_199_254_742e12, "data_units_read_s": "9007199254741"}));
    assert_eq!(read.read_bytes, Some(9_007_199_254_741 * 512_000));
    assert_eq!(health(json!({"data_units_read": u64::MAX, "media_errors": 1})).read_bytes, Some(u64::MAX));
    assert_eq!(health(json!({"data_units_read_s": "340282366920938463463374607431768211455", "media_errors": 1})).read_bytes, None);
    assert_eq!(health(json!({"percentage_used": 256, "available_spare": 101, "media_errors": 1})).wear_percent, None);
}

#[test]
fn a_sas_disk_is_read_from_its_log_pages() {
    let counter = |errors: u64, gigabytes: &str| json!({"total_uncorrected_errors": errors, "gigabytes_processed": gigabytes});
    let document = json!({
        "device": {"protocol": "SCSI"}, "scsi_revision": "NA02",
        "smart_status": {"passed": false, "scsi": {"asc": 93, "ascq": 16, "ie_string": "HARDWARE IMPENDING FAILURE GENERAL HARD DRIVE FAILURE [asc=5d, ascq=10]"}},
        "scsi_grown_defect_list": 118, "scsi_percentage_used_endurance_indicator": 101, "temperature": {"current": 33},
        "scsi_error_counter_log": {"read": counter(2, "1034567.891"), "write": counter(1, "12"), "verify": counter(0, "0.000")},
        "scsi_start_stop_cycle_counter": {"accumulated_start_stop_cycles": 45}, "power_on_time": {"hours": 12},
        "scsi_self_test_0": {"result": {"value": 5, "string": "Failed in first segment"}},
    });
    let seen = parse(document.to_string().as_bytes(), Some(8)).unwrap();
    assert_eq!(seen.firmware, text("NA02"));
    let health = seen.health;
    assert_eq!((health.reallocated_sectors, health.wear_percent, health.media_errors), (Some(118), Some(101), Some(3)));
    assert_eq!((health.read_bytes, health.written_bytes), (Some(1_034_567_891_000_000), Some(12_000_000_000)));
    assert_eq!((health.power_cycles, health.power_on_hours, health.self_test.as_deref()), (Some(45), Some(12), Some("failed")));
    assert_eq!(health.warnings.len(), 1);
}

#[test]
fn self_tests_have_one_set_of_words() {
    let ata = |value: u64| {
        told(&json!({"device": {"protocol": "ATA"}, "smart_status": {"passed": true},
            "ata_smart_self_test_log": {"extended": {"count": 1, "table": [{"status": {"value": value}}]}}}))
        .self_test
    };
    for (value, words) in [(0x00, "passed"), (0x19, "interrupted"), (0x39, "failed: could not be finished"), (0xf5, "in progress")] {
        assert_eq!(ata(value), text(words), "{value:#x}");
    }
    let nvme =
        |log: Value| told(&json!({"device": {"protocol": "NVMe"}, "smart_status": {"passed": true}, "nvme_self_test_log": log})).self_test;
    assert_eq!(nvme(json!({"table": []})), text("never run"));
    assert_eq!(nvme(json!({"table": [{"self_test_result": {"value": 7}}]})), text("failed"));
    assert_eq!(nvme(json!({"current_self_test_operation": {"value": 1}})), text("in progress"));
}

#[test]
fn members_of_other_types_are_missing_and_a_cut_document_is_said_to_be_cut() {
    let odd = json!({
        "device": {"protocol": "ATA"}, "smart_status": {"passed": "yes"}, "power_on_time": [1], "temperature": {"current": "hot"},
        "ata_smart_attributes": {"table": [5, null, {"id": "5", "raw": 7}, {"id": 197, "raw": {"value": 3}}]},
        "ata_smart_self_test_log": {"standard": {"count": -1, "table": {"status": 1}}}, "ata_device_statistics": {"pages": {"number": 1}},
        "logical_block_size": -512, "power_cycle_count": 1e300,
    });
    let health = told(&odd);
    assert_eq!(health, Health { pending_sectors: Some(3), ..Health::default() });
    for length in [1, SATA.len() / 2, SATA.len() - 2] {
        assert_eq!(parse(&SATA[..length], Some(0)).unwrap_err(), "smartctl ended with 0, and what it wrote is no whole JSON");
    }
    assert_eq!(parse(b"{", None).unwrap_err(), "smartctl was ended by a signal");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(deep.as_bytes(), Some(0)).is_err());
}

#[test]
fn warnings_are_bounded() {
    let table: Vec<Value> = (0..1000).map(|id| attribute(id, "Some_Name", 1, "1", "now")).collect();
    let health = told(&json!({"device": {"protocol": "ATA"}, "ata_smart_attributes": {"table": table}}));
    assert_eq!(health.warnings.len(), MOST_WARNINGS);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9.]{0,30}".prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,12}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts `value` at the place that `steps` lead to.
fn replace(document: &mut Value, steps: &[usize], value: Value) {
    let next = match (document, steps.split_first()) {
        (Value::Object(map), Some((step, rest))) if !map.is_empty() => {
            let at = step % map.len();
            map.values_mut().nth(at).map(|place| (place, rest))
        }
        (Value::Array(list), Some((step, rest))) if !list.is_empty() => {
            let at = step % list.len();
            list.get_mut(at).map(|place| (place, rest))
        }
        (place, _) => {
            *place = value;
            return;
        }
    };
    if let Some((place, rest)) = next {
        replace(place, rest, value);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), code in any::<Option<i32>>()) {
        let _ = parse(&bytes, code);
    }

    #[test]
    fn no_document_panics(which in 0usize..3, steps in prop::collection::vec(any::<usize>(), 1..7), value in any_value()) {
        let mut document: Value = serde_json::from_slice([NVME, SATA, SCSI][which]).unwrap();
        replace(&mut document, &steps, value);
        if let Ok(seen) = parse(document.to_string().as_bytes(), Some(0)) {
            prop_assert!(seen.health.warnings.len() <= MOST_WARNINGS);
        }
    }
}
