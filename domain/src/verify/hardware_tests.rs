//! Whole sentences about hardware, its health and its tests.
#![allow(clippy::unwrap_used)]

use super::fakes::{at, disk, racked};
use super::tests::{right, told};
use super::*;
use crate::clock::Timestamp;
use crate::document::Document;
use crate::hardware::{NicBrief, Summary};
use crate::history::{Outcome, TestKind, TestResult};
use crate::ids::OrderId;
use crate::order::TestPlan;
use crate::site::Expects;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// A machine with everything.
fn whole() -> Summary {
    Summary {
        vendor: Some("Dell Inc.".into()),
        product: Some("PowerEdge R650".into()),
        cpu_threads: Some(64),
        cpu_cores: Some(32),
        cpu_sockets: Some(2),
        memory_bytes: Some(15 << 30),
        memory_installed_bytes: Some(16 << 30),
        dimms: Some(4),
        disks: Some(2),
        nics: Some(2),
        firmware: Some(crate::hardware::Firmware::Uefi),
        firmware_version: Some("2.14.1".into()),
        tpm: Some("2.0".into()),
        bmc_firmware: Some("6.10.30.00".into()),
        gpus: vec!["A100".into()],
        each_disk: vec![disk("sda", 480), disk("sdb", 2_000)],
        each_nic: vec![
            NicBrief { most_speed_mbit: Some(25_000), speed_mbit: Some(25_000), ..at("eno1", "sw1", "7") },
            NicBrief { most_speed_mbit: Some(25_000), speed_mbit: Some(10_000), ..at("eno2", "sw2", "7") },
        ],
        ..Summary::default()
    }
}

#[test]
fn hardware_is_compared_with_what_was_ordered() {
    type Want = fn(&mut Expects);
    type Have = fn(&mut Summary);
    let nothing: Have = |_| {};
    let cases: [(Want, Have, &str); 36] = [
        (|e| e.memory = ">= 16 GiB".parse().ok(), nothing, ""),
        (
            |e| e.memory = ">= 32 GiB".parse().ok(),
            nothing,
            "w7: it has 16 GiB of memory in 4 modules, expected >= 32 GiB: look for a module that is missing, loose or dead",
        ),
        (|e| e.memory = "= 8 GiB".parse().ok(), nothing, "w7: it has 16 GiB of memory in 4 modules, expected = 8 GiB"),
        (|e| e.memory = ">= 15 GiB".parse().ok(), |s| s.memory_installed_bytes = None, ""),
        (
            |e| e.memory = "= 16 GiB".parse().ok(),
            |s| s.memory_installed_bytes = None,
            "w7: its memory, of which 15 GiB can be used, expected = 16 GiB, cannot be checked: its report does not say",
        ),
        (
            |e| e.memory = ">= 32 GiB".parse().ok(),
            |s| s.memory_installed_bytes = None,
            "w7: it has 15 GiB of memory that can be used, expected >= 32 GiB: look for a module that is missing, loose or dead",
        ),
        (
            |e| e.memory = ">= 16 GiB".parse().ok(),
            |s| (s.memory_installed_bytes, s.memory_bytes) = (None, None),
            "w7: its memory, expected >= 16 GiB, cannot be checked: its report does not say",
        ),
        (|e| e.dimms = "= 4".parse().ok(), nothing, ""),
        (
            |e| e.dimms = "= 8".parse().ok(),
            nothing,
            "w7: it has 4 memory modules, expected = 8: look for one that is missing, loose, dead or switched off",
        ),
        (|e| e.sockets = "1..2".parse().ok(), nothing, ""),
        (|e| e.cores = "<= 16".parse().ok(), nothing, "w7: it has 32 cores, expected <= 16"),
        (
            |e| e.cpus = ">= 128".parse().ok(),
            nothing,
            "w7: it has 64 logical processors, expected >= 128: look for one that is missing, loose, dead or switched off",
        ),
        (
            |e| e.disks = ">= 3".parse().ok(),
            nothing,
            "w7: it has 2 disks (sda, sdb), expected >= 3: look for one that is missing, loose, dead or switched off",
        ),
        (
            |e| e.disks = ">= 3".parse().ok(),
            |s| s.disks = None,
            "w7: the number of its disks, expected >= 3, cannot be checked: its report does not say",
        ),
        (|e| e.disk = ">= 1 TB".parse().ok(), nothing, "w7: disk sda (serial S-sda) has 480 GB, expected >= 1 TB"),
        (|e| e.disk = ">= 1 TB".parse().ok(), |s| s.disks = Some(1), ""),
        (
            |e| e.disk = ">= 1 TB".parse().ok(),
            |s| s.each_disk.clear(),
            "w7: the size of its disks, expected >= 1 TB, cannot be checked: its report does not say",
        ),
        (
            |e| e.nics = "= 4".parse().ok(),
            nothing,
            "w7: it has 2 network interfaces (eno1, eno2), expected = 4: look for one that is missing, loose, dead or switched off",
        ),
        (|e| e.nic_speed = ">= 10 Gbit/s".parse().ok(), nothing, ""),
        (
            |e| e.nic_speed = ">= 25 Gbit/s".parse().ok(),
            nothing,
            "w7: eno2 runs at 10 Gbit/s though it can reach 25 Gbit/s, expected >= 25 Gbit/s: look at its cable, its transceiver and the switch's port",
        ),
        (
            |e| e.nic_speed = ">= 25 Gbit/s".parse().ok(),
            |s| s.each_nic[1].most_speed_mbit = Some(10_000),
            "w7: eno2 reaches 10 Gbit/s at most, expected >= 25 Gbit/s: look for another card or port",
        ),
        (
            |e| e.nic_speed = ">= 25 Gbit/s".parse().ok(),
            |s| s.each_nic[1].most_speed_mbit = None,
            "w7: eno2 runs at 10 Gbit/s, expected >= 25 Gbit/s: look at its card, its cable and the switch's port",
        ),
        (
            |e| e.nic_speed = ">= 1 Gbit/s".parse().ok(),
            |s| (s.each_nic[1].most_speed_mbit, s.each_nic[1].speed_mbit) = (None, None),
            "w7: the speed of eno2, expected >= 1 Gbit/s, cannot be checked: its report does not say",
        ),
        (
            |e| e.gpus = ">= 2".parse().ok(),
            nothing,
            "w7: it has 1 accelerator (A100), expected >= 2: look for one that is missing, loose, dead or switched off",
        ),
        (|e| e.vendor = Some("dell".into()), nothing, ""),
        (|e| e.vendor = Some("Del".into()), nothing, "w7: it was made by `Dell Inc.`, expected `Del`"),
        (|e| e.vendor = Some("HPE".into()), |s| s.vendor = None, "w7: its maker, expected HPE, cannot be checked: its report does not say"),
        (|e| e.model = Some("poweredge r650".into()), nothing, ""),
        (
            |e| e.model = Some("PowerEdge R640".into()),
            |s| s.product = Some("PowerEdge\nR650".into()),
            "w7: it is a `PowerEdge\\u{a}R650`, expected `PowerEdge R640`",
        ),
        (
            |e| e.boot = Some(crate::hardware::Firmware::Bios),
            nothing,
            "w7: it was started by UEFI, expected BIOS: change it in its firmware's settings",
        ),
        (|e| e.firmware = ">= 2.9".parse().ok(), nothing, ""),
        (|e| e.firmware = ">= 2.20".parse().ok(), nothing, "w7: its firmware has version 2.14.1, expected >= 2.20: update it"),
        (
            |e| e.firmware = ">= 2.20".parse().ok(),
            |s| s.firmware_version = Some("edk2-stable".into()),
            "w7: the version of its firmware is `edk2-stable`, which has no number to compare with >= 2.20",
        ),
        (
            |e| e.bmc_firmware = ">= 7".parse().ok(),
            nothing,
            "w7: the firmware of its management controller has version 6.10.30.00, expected >= 7: update it",
        ),
        (
            |e| e.bmc_firmware = ">= 7".parse().ok(),
            |s| s.bmc_firmware = None,
            "w7: the version of the firmware of its management controller, expected >= 7, cannot be checked: its report does not say",
        ),
        (|e| e.tpm = "= 2.0".parse().ok(), nothing, ""),
    ];
    for (want, have, expected) in cases {
        let mut site = racked();
        want(&mut site.profiles.get_mut("worker").unwrap().expects);
        let mut w7 = right("A7", 7);
        w7.summary = whole();
        have(&mut w7.summary);
        assert_eq!(told(site, &[w7]).join("\n"), expected);
    }
}

#[test]
fn accelerators_that_could_not_be_looked_for_are_not_missing() {
    let mut site = racked();
    site.nodes[1].expects.gpus = "= 1".parse().ok();
    let w7 = right("A7", 7);
    let layout = Layout::new(Arc::new(site));
    for (path, severity) in [("gpus", Severity::Unchecked), ("cpu", Severity::Wrong)] {
        let gaps = [Gap { path: path.into(), reason: "no PCI bus".into() }];
        let told = Hall::new(&layout, &[Seen { node: &w7, tests: None, gaps: &gaps }]).of(w7.id);
        assert_eq!(told.iter().map(|difference| difference.severity).collect::<Vec<_>>(), [severity], "{path}");
    }
}

#[test]
fn parts_that_fail_or_wear_out_are_told() {
    let mut w7 = right("A7", 7);
    w7.summary.each_disk = vec![disk("sda", 480), disk("sdb", 480), disk("sdc", 480)];
    w7.summary.each_disk[0].healthy = Some(false);
    w7.summary.each_disk[0].model = Some("PM9A3".into());
    w7.summary.each_disk[1].wear_percent = Some(94);
    (w7.summary.memory_corrected_errors, w7.summary.memory_uncorrected_errors) = (Some(12), Some(1));
    assert_eq!(
        told(racked(), &[w7]),
        [
            "w7: disk sda (PM9A3, serial S-sda) says that it fails: replace it",
            "w7: disk sdb (serial S-sdb) has used 94 % of its life: plan its replacement",
            "w7: 1 memory error could not be corrected since its kernel started: test it with `overture nodes test w7 --memory` and replace the module",
            "w7: 12 memory errors were corrected since its kernel started: watch whether they grow",
        ]
    );
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn test(finished: Option<i64>, results: &[(TestKind, Option<&str>, Outcome)]) -> HardwareTest {
    let result = |(kind, part, outcome): &(TestKind, Option<&str>, Outcome)| TestResult {
        kind: *kind,
        part: part.map(Into::into),
        outcome: *outcome,
        detail: "read 4.0 GiB, 3 errors".into(),
        took_ms: 1,
    };
    HardwareTest {
        id: OrderId(Uuid::from_u128(1)),
        plan: TestPlan { memory: true, cpu: false, disks: true, network: false, seconds: 20 },
        ordered: second(1),
        started: Some(second(2)),
        finished: finished.map(second),
        results: results.iter().map(result).collect(),
    }
}

#[test]
fn a_node_is_approved_after_the_tests_that_its_profile_demands() {
    use Outcome::{Failed, Passed, Skipped};
    use TestKind::{Disks, Memory};
    let mut site = racked();
    site.profiles.get_mut("worker").unwrap().tests = [Memory, Disks].into();
    let layout = Layout::new(Arc::new(site));
    let mut w7 = right("A7", 7);
    w7.name = Some("w7".into());
    w7.summary.each_disk = vec![disk("sda", 480), disk("sdb", 480)];
    let memory = (Memory, None, Passed);
    let (sda, sdb) = ((Disks, Some("sda"), Passed), (Disks, Some("sdb"), Passed));
    let mut swapped = LastChanges::default();
    let disks = |serial: &str| Document {
        facts: json!({"disks": [{"name": "sda", "serial": serial, "health": {"wear_percent": serial.len()}}], "nics": []}),
        ..Document::default()
    };
    swapped.note(second(20), &disks("X"), &disks("Y"));
    let mut grown = LastChanges::default();
    let worn =
        |percent: u32| Document { facts: json!({"disks": [{"serial": "X", "health": {"wear_percent": percent}}]}), ..Document::default() };
    grown.note(second(20), &worn(1), &worn(2));
    let none = LastChanges::default();
    for (what, tests, changed, expected) in [
        ("all passed", vec![test(Some(9), &[memory, sda, sdb])], &none, vec![]),
        ("wear is no change", vec![test(Some(9), &[memory, sda, sdb])], &grown, vec![]),
        (
            "never tested",
            vec![],
            &none,
            vec![
                "w7: profile worker demands a passed memory test, and none was finished: run `overture nodes test w7 --memory`",
                "w7: profile worker demands a passed disks test, and none was finished: run `overture nodes test w7 --disks`",
            ],
        ),
        ("an unfinished one does not count", vec![test(None, &[]), test(Some(9), &[memory, sda, sdb])], &none, vec![]),
        (
            "a part failed",
            vec![test(Some(9), &[memory, sda, (Disks, Some("sdb"), Failed)])],
            &none,
            vec![
                "w7: profile worker demands a passed disks test: that of 1970-01-01T00:00:09Z failed at sdb: read 4.0 GiB, 3 errors; run `overture nodes test w7 --disks`",
            ],
        ),
        (
            "passed later",
            vec![test(Some(12), &[memory, sda, sdb]), test(Some(9), &[memory, sda, (Disks, Some("sdb"), Failed)])],
            &none,
            vec![],
        ),
        (
            "a disk was not tested",
            vec![test(Some(9), &[memory, sda])],
            &none,
            vec![
                "w7: profile worker demands a passed disks test: that of 1970-01-01T00:00:09Z did not test sdb; run `overture nodes test w7 --disks`",
            ],
        ),
        (
            "skipped is not passed",
            vec![test(Some(9), &[(Memory, None, Skipped), sda, sdb])],
            &none,
            vec![
                "w7: profile worker demands a passed memory test: that of 1970-01-01T00:00:09Z tested nothing: read 4.0 GiB, 3 errors; run `overture nodes test w7 --memory`",
            ],
        ),
        (
            "a disk was replaced since",
            vec![test(Some(9), &[memory, sda, sdb])],
            &swapped,
            vec![
                "w7: profile worker demands a passed disks test: that of 1970-01-01T00:00:09Z is older than the last change of what it tested, 1970-01-01T00:00:20Z; run `overture nodes test w7 --disks`",
            ],
        ),
        ("tested after that", vec![test(Some(21), &[memory, sda, sdb])], &swapped, vec![]),
    ] {
        let answer = may_be_approved(&layout, &w7, &tests, changed).err().unwrap_or_default();
        assert_eq!(answer, expected, "{what}");
    }
    let failed = [test(Some(9), &[memory, sda, (Disks, Some("sdb"), Failed)])];
    let told = Hall::new(&layout, &[Seen { node: &w7, tests: Some(&failed), gaps: &[] }]).of(w7.id);
    assert_eq!((told.len(), told[0].kind, told[0].path.as_deref()), (1, Kind::Test, Some("tests.disks")));
    assert_eq!(may_be_approved(&layout, &right("B1", 9), &[], &none), Ok(()), "nothing is demanded of whom nobody declared");
}

#[test]
fn a_network_test_that_only_watched_counters_has_not_passed() {
    let mut site = racked();
    site.profiles.get_mut("worker").unwrap().tests = [TestKind::Network].into();
    let layout = Layout::new(Arc::new(site));
    let w7 = right("A7", 7);
    let tested = |details: &[&str]| {
        let results: Vec<_> = details.iter().map(|_| (TestKind::Network, Some("eth0"), Outcome::Passed)).collect();
        let mut test = test(Some(5), &results);
        test.plan.network = true;
        test.results.iter_mut().zip(details).for_each(|(result, detail)| result.detail = (*detail).into());
        may_be_approved(&layout, &w7, &[test], &LastChanges::default())
    };
    let watched = "it has no address, so only its error counters were watched, 20 s, no error counted";
    assert!(tested(&[watched, watched]).unwrap_err()[0].contains("fetched nothing over any port"));
    assert_eq!(tested(&[watched, "fetched 1 GiB at 1 Gbit/s, 20 s, no error counted"]), Ok(()));
}
