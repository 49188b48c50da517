//! A report from its bytes to the domain's words. A function of bytes: no store, no ticket, no clock.
//!
//! Everything here was written by a machine that nobody vouches for. The facts are kept as they came; what people and
//! lists see of them is shortened and made printable by [`crate::summary`], and what identifies goes through
//! [`Identity::new`], which drops placeholders.

use crate::seal::{Sealed, seal};
use crate::summary::{mac, summary};
use domain::document::{Document, Gap};
use domain::hardware::Summary;
use domain::history::Snapshot;
use domain::identity::Identity;
use domain::timeline::printable;
use inventory_wire::{Disk, Facts, MOST_BYTES, Nic, Report, VERSION};
use serde::Deserialize;
use serde_json::Value;

/// More network cards than this are no machine; each takes room in every table.
pub(crate) const MOST_NICS: usize = 1024;
/// More of anything else than this is no machine.
pub(crate) const MOST_ITEMS: usize = 16_384;
/// Drivers of the network that a management controller shows to its own machine by USB: the same address on every board.
const INSIDE_DRIVERS: [&str; 4] = ["cdc_ether", "cdc_ncm", "cdc_eem", "rndis_host"];

/// Why bytes are not a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or JSON of another shape.
    #[error("this is not a report: {}", printable(&source.to_string(), 300))]
    Malformed {
        /// What the parser says, with line and column.
        source: serde_json::Error,
    },
    /// Another version of the document.
    #[error("this service reads version {VERSION} of a report, this is version {found}: boot a ramdisk that was built with this service")]
    Version {
        /// The version it has.
        found: u64,
    },
    /// More of something than any machine has.
    #[error("{found} {what} are more than the {most} that one machine can have")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it lists.
        found: usize,
        /// How many are read.
        most: usize,
    },
    /// With what was known before it, an amendment makes more than a report may have.
    #[error(
        "the node's document would have {found} bytes after this amendment, more than the {MOST_BYTES} that are kept: send a whole report"
    )]
    TooLong {
        /// How many it would have.
        found: usize,
    },
}

/// What a report says, in the domain's words.
#[derive(Debug, Clone)]
pub(crate) struct Translated {
    pub(crate) identity: Identity,
    pub(crate) summary: Summary,
    pub(crate) sealed: Sealed,
}

/// Reads the bytes of a report.
pub(crate) fn read(bytes: &[u8]) -> Result<Report, ReadError> {
    /// A later version may look otherwise in everything but this.
    #[derive(Deserialize)]
    struct Version {
        report: u64,
    }
    let version = |report: Version| (report.report != u64::from(VERSION)).then_some(ReadError::Version { found: report.report });
    let report: Report = serde_json::from_slice(bytes).map_err(|source| {
        let other_version = serde_json::from_slice(bytes).ok().and_then(version);
        other_version.unwrap_or(ReadError::Malformed { source })
    })?;
    if let Some(refused) = version(Version { report: report.report.into() }) {
        return Err(refused);
    }
    within_bounds(&report.facts, report.gaps.len())?;
    Ok(report)
}

fn within_bounds(facts: &Facts, gaps: usize) -> Result<(), ReadError> {
    let counts = [
        ("network cards", facts.nics.len(), MOST_NICS),
        ("disks", facts.disks.len(), MOST_ITEMS),
        ("PCI devices", facts.pci.len(), MOST_ITEMS),
        ("memory modules", facts.memory.as_ref().map_or(0, |memory| memory.dimms.len()), MOST_ITEMS),
        ("sensors", facts.sensors.len(), MOST_ITEMS),
        ("gaps", gaps, MOST_ITEMS),
    ];
    match counts.into_iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(ReadError::TooMany { what, found, most }),
        None => Ok(()),
    }
}

/// What a report says that stands for itself.
pub(crate) fn whole(report: Report) -> Result<Translated, ReadError> {
    let identity = identity(&report.facts);
    let summary = summary(&report.facts, &report.gaps);
    let sealed = seal(document(report)?).map_err(|source| ReadError::Malformed { source })?;
    Ok(Translated { identity, summary, sealed })
}

/// What is known after an amendment to what was known before it.
pub(crate) fn amended(before: Snapshot, report: Report) -> Result<Translated, ReadError> {
    let malformed = |source| ReadError::Malformed { source };
    let document = before.document.with_readings(&before.readings).amended(document(report)?);
    let facts = Facts::deserialize(&document.facts).map_err(malformed)?;
    within_bounds(&facts, document.gaps.len())?;
    let gaps: Vec<_> = document.gaps.iter().map(|gap| inventory_wire::Gap { path: gap.path.clone(), reason: gap.reason.clone() }).collect();
    let (identity, summary) = (identity(&facts), summary(&facts, &gaps));
    let sealed = seal(document).map_err(malformed)?;
    match sealed.json.len() {
        found if found > MOST_BYTES => Err(ReadError::TooLong { found }),
        _ => Ok(Translated { identity, summary, sealed }),
    }
}

/// The facts of a document, once more.
pub(crate) fn summary_of(document: &Document) -> Summary {
    let gaps: Vec<_> = document.gaps.iter().map(|gap| inventory_wire::Gap { path: gap.path.clone(), reason: gap.reason.clone() }).collect();
    // What was taken in once can be read; should that ever end, an empty line of a list does less harm than no list.
    Facts::deserialize(&document.facts).map(|facts| summary(&facts, &gaps)).unwrap_or_default()
}

fn document(report: Report) -> Result<Document, ReadError> {
    let Report { facts, gaps, other, .. } = report;
    let gaps = gaps.into_iter().map(|gap| Gap { path: gap.path, reason: gap.reason }).collect();
    let facts: Value = serde_json::to_value(facts).map_err(|source| ReadError::Malformed { source })?;
    Ok(Document { facts, gaps, other })
}

fn identity(facts: &Facts) -> Identity {
    let system = facts.system.as_ref();
    let uuid = system.and_then(|system| system.uuid.as_deref()).and_then(|text| text.trim().parse().ok());
    let macs = facts.nics.iter().filter(|nic| is_part_of_the_machine(nic)).filter_map(mac);
    let built_in = |disk: &&Disk| disk.removable != Some(true) && disk.transport.as_deref() != Some("usb");
    let disks = facts.disks.iter().filter(built_in).filter_map(|disk| {
        let serial = disk.serial.as_deref().filter(|serial| domain::identity::usable_serial(serial).is_some());
        serial.or(disk.wwn.as_deref())
    });
    Identity::new(uuid, system.and_then(|system| system.serial.as_deref()), macs)
        .with_board(facts.board.as_ref().and_then(|board| board.serial.as_deref()))
        .with_disks(disks)
}

/// Whether a card tells one machine from another: what hangs on USB moves from one to the next, or is the inside of a
/// management controller.
fn is_part_of_the_machine(nic: &Nic) -> bool {
    let inside = nic.driver.as_deref().is_some_and(|driver| INSIDE_DRIVERS.contains(&driver));
    nic.bus.as_deref() != Some("usb") && !inside
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::summary::{LONGEST_SHOWN, in_words};
    use serde_json::json;

    fn translated(facts: Value, gaps: Value) -> Translated {
        let bytes = serde_json::to_vec(&json!({ "report": 1, "boot": "b", "facts": facts, "gaps": gaps })).unwrap();
        whole(read(&bytes).unwrap()).unwrap()
    }

    fn kept(translated: &Translated) -> Document {
        serde_json::from_str(&translated.sealed.json).unwrap()
    }

    #[test]
    fn a_document_is_kept_as_it_came_but_for_its_readings() {
        let facts = json!({
            "system": { "manufacturer": "QEMU", "serial": "VM-0001", "colour": "red" },
            "nics": [{ "name": "eth0", "mac": "02:00:00:00:00:99", "permanent_mac": "52:54:00:00:00:01" }, { "mac": "52:54:00:00:00:02" }],
            "moons": [1],
        });
        let mut with_readings = facts.clone();
        with_readings["sensors"] = json!([{ "name": "a", "value": 41 }]);
        let gaps = json!([{ "path": "disks", "reason": "none" }, { "path": "board", "reason": "no type 2" }]);
        let translated = translated(with_readings.clone(), gaps);
        let settled = kept(&translated);
        assert_eq!(settled.facts["sensors"], json!([{ "name": "a" }]));
        assert_eq!(settled.facts["system"], facts["system"]);
        assert_eq!(settled.gaps.iter().map(|gap| gap.path.as_str()).collect::<Vec<_>>(), ["board", "disks"]);
        assert_eq!(settled.with_readings(&translated.sealed.readings).facts, with_readings);
        let macs: Vec<_> = translated.identity.macs.iter().map(ToString::to_string).collect();
        assert_eq!(macs, ["52:54:00:00:00:01", "52:54:00:00:00:02"]);
    }

    #[test]
    fn the_same_hardware_has_the_same_digest_whatever_passes_and_in_whatever_order_it_is_told() {
        let digest = |text: &str| whole(read(text.as_bytes()).unwrap()).unwrap().sealed;
        let first = digest(
            r#"{"report":1,"boot":"b","facts":{"agent":{"version":"1","uptime_seconds":7},"cpu":{"threads":2,"cores":1},"x":{"b":1,"a":2}},"gaps":[{"path":"p","reason":"r"},{"path":"o","reason":"r"}]}"#,
        );
        let again = digest(
            r#"{"boot":"c","gaps":[{"reason":"r","path":"o"},{"path":"p","reason":"r"}],"facts":{"x":{"a":2,"b":1},"cpu":{"cores":1,"threads":2},"agent":{"uptime_seconds":99,"version":"1"}},"report":1}"#,
        );
        assert_eq!((first.digest, &first.json), (again.digest, &again.json));
        assert_ne!(first.readings, again.readings);
        let other = digest(r#"{"report":1,"facts":{"cpu":{"threads":4}}}"#);
        assert_ne!(first.digest, other.digest);
        assert_eq!(other.json, r#"{"facts":{"cpu":{"threads":4}}}"#);
        assert_eq!(other.digest.to_string(), "d844de343c9f86e502a08c830eee1da62a075943166bf390dce25da3adc8c692");
    }

    #[test]
    fn a_server_is_recognised_by_what_is_built_in_too() {
        let identity = whole(read(include_bytes!("fixtures/server.json")).unwrap()).unwrap().identity;
        assert_eq!((identity.serial.as_deref(), identity.board_serial.as_deref()), (Some("OAK7240-0001"), Some(".OAK7240-0001.CN0042.")));
        assert_eq!((identity.macs.len(), identity.disks.len(), identity.uuid.is_some()), (2, 4, true));
        let disks = json!([
            { "serial": "A1B2C3D4" }, { "wwn": "naa.5000c500a1b2c3d4" },
            { "serial": "STICK-7", "transport": "usb" }, { "serial": "CARD-7", "removable": true },
        ]);
        let disks = translated(json!({ "disks": disks }), json!([])).identity.disks;
        assert_eq!(disks.iter().map(String::as_str).collect::<Vec<_>>(), ["A1B2C3D4", "naa.5000c500a1b2c3d4"]);
    }

    #[test]
    fn what_is_missing_is_missing_and_never_zero() {
        let gaps = json!([{ "path": "disks", "reason": "sysfs is absent" }, { "path": "nics", "reason": "sysfs is absent" }]);
        let seen = translated(json!({ "cpu": { "threads": 0 }, "memory": { "usable_bytes": 0 }, "system": { "product": " " } }), gaps);
        assert_eq!(seen.summary, Summary::default());
        let diskless = translated(json!({}), json!([{ "path": "disks.sda.wwn", "reason": "none" }]));
        assert_eq!((diskless.summary.disks, diskless.summary.disk_bytes, diskless.summary.nics), (Some(0), Some(0), Some(0)));
    }

    #[test]
    fn what_cannot_identify_does_not() {
        for (what, facts) in [
            ("a placeholder serial", json!({ "system": { "serial": "To be filled by O.E.M." } })),
            ("a serial that clears the screen", json!({ "system": { "serial": "A\u{1b}[2J" } })),
            ("zeros", json!({ "system": { "uuid": "00000000-0000-0000-0000-000000000000" } })),
            ("no UUID", json!({ "system": { "uuid": "not settable" } })),
            ("a card on USB", json!({ "nics": [{ "mac": "00:e0:4c:00:00:01", "bus": "usb", "driver": "r8152" }] })),
            (
                "the inside of a BMC",
                json!({ "nics": [{ "mac": "be:3a:f2:b6:05:9f", "driver": "cdc_ether" }, { "mac": "00:e0:4c:00:00:02", "driver": "rndis_host" }] }),
            ),
            ("a group address", json!({ "nics": [{ "mac": "ff:ff:ff:ff:ff:ff" }, { "mac": "zz" }, {}] })),
        ] {
            assert!(translated(facts, json!([])).identity.is_empty(), "{what}");
        }
        let fallback = translated(json!({ "nics": [{ "permanent_mac": "00:00:00:00:00:00", "mac": "52:54:00:00:00:01" }] }), json!([]));
        assert_eq!(fallback.identity.macs.len(), 1, "an empty permanent address counts as none");
    }

    #[test]
    fn hostile_text_stays_in_the_facts_and_is_harmless_in_the_summary() {
        let facts = json!({ "system": { "product": "a\u{1b}[2J\n${reboot}", "manufacturer": "x".repeat(5000) } });
        let seen = translated(facts.clone(), json!([]));
        assert_eq!(kept(&seen).facts, facts);
        assert_eq!(seen.summary.product.as_deref(), Some("a\\u{1b}[2J\\u{a}${reboot}"));
        assert!(seen.summary.vendor.unwrap().chars().count() <= LONGEST_SHOWN + 1);
        assert!(!in_words(&translated(facts, json!([])).summary).contains(char::is_control));
    }

    #[test]
    fn odd_documents_are_refused_with_a_reason() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (what, bytes, reason) in [
            ("nothing", b"".as_slice(), "EOF"),
            ("a cut report", br#"{"report":1,"boot":"b","facts":{"sys"#, "EOF"),
            ("an array for an object", br#"{"report":1,"boot":"b","facts":[]}"#, "invalid"),
            ("an object for an array", br#"{"report":1,"boot":"b","facts":{"nics":{}}}"#, "invalid type: map"),
            ("a text for a number", br#"{"report":1,"boot":"b","facts":{"cpu":{"threads":"8"}}}"#, "invalid type: string"),
            ("a number beyond its type", br#"{"report":1,"boot":"b","facts":{"cpu":{"threads":4294967296}}}"#, "invalid value"),
            ("a number beyond everything", br#"{"report":1,"boot":"b","facts":{"x":1e999}}"#, "out of range"),
            ("a fact given twice", br#"{"report":1,"boot":"b","facts":{"cpu":{},"cpu":{}}}"#, "duplicate field"),
            ("no facts", br#"{"report":1,"boot":"b"}"#, "missing field `facts`"),
            ("something after the end", br#"{"report":1,"boot":"b","facts":{}} x"#, "trailing"),
            ("bytes that are no UTF-8", b"{\"report\":1,\"boot\":\"\xff\",\"facts\":{}}", "invalid unicode"),
            ("a lone surrogate", br#"{"report":1,"boot":"\ud800","facts":{}}"#, "hex escape"),
            ("a hostile key", br#"{"report":1,"boot":"b","facts":{"cpu":"\u001b[2J"}}"#, "\\u{1b}"),
            ("nesting without end", deep.as_bytes(), "invalid"),
            ("nesting in the facts", format!(r#"{{"report":1,"boot":"b","facts":{{"x":{deep}}}}}"#).as_bytes(), "recursion limit"),
        ] {
            let error = read(bytes).expect_err(what);
            assert!(matches!(error, ReadError::Malformed { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains(reason), "{what}: {error}");
            assert!(!error.to_string().contains(char::is_control), "{what}: {error:?}");
        }
    }

    #[test]
    fn another_version_is_told_from_a_mistake() {
        for text in [r#"{"report":2,"boot":"b","facts":{}}"#, r#"{"report":2,"hardware":[]}"#, r#"{"report":0,"boot":"b","facts":{}}"#] {
            assert!(matches!(read(text.as_bytes()), Err(ReadError::Version { .. })), "{text}");
        }
    }

    #[test]
    fn more_than_a_machine_has_is_refused() {
        let nics = vec![json!({}); MOST_NICS + 1];
        let bytes = serde_json::to_vec(&json!({ "report": 1, "boot": "b", "facts": { "nics": nics } })).unwrap();
        assert!(matches!(read(&bytes), Err(ReadError::TooMany { what: "network cards", .. })));
    }
}
