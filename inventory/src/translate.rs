//! From the report as it travelled to the domain's words. A function of bytes: no store, no ticket, no clock.
//!
//! Everything here was written by a machine that nobody vouches for. The facts are kept as they came; what people and
//! lists see of them is shortened and made printable, and what identifies goes through
//! [`Identity::new`], which drops placeholders.

use domain::hardware::{Firmware, Summary};
use domain::identity::Identity;
use domain::node::{Gap, Seen};
use domain::ticket::KeyFingerprint;
use domain::timeline::printable;
use domain::{BootId, MacAddr};
use inventory_wire::{Disk, Facts, Report, VERSION};
use serde::Deserialize;
use std::net::Ipv4Addr;

/// More network cards than this are no machine; each takes room in every table.
pub(crate) const MOST_NICS: usize = 1024;
/// More disks or gaps than this are no machine.
pub(crate) const MOST_ITEMS: usize = 16_384;
/// The longest text that a summary shows, characters.
const LONGEST_SHOWN: usize = 120;

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
    let counts = [
        ("network cards", report.facts.nics.len(), MOST_NICS),
        ("disks", report.facts.disks.len(), MOST_ITEMS),
        ("gaps", report.gaps.len(), MOST_ITEMS),
    ];
    match counts.into_iter().find(|(_, found, most)| found > most) {
        Some((what, found, most)) => Err(ReadError::TooMany { what, found, most }),
        None => Ok(report),
    }
}

/// What the report says, in the domain's words.
pub(crate) fn seen(report: Report, boot: BootId, key: KeyFingerprint, address: Ipv4Addr) -> Result<Seen, ReadError> {
    let Report { facts, gaps, other, .. } = report;
    let identity = identity(&facts);
    let gaps: Vec<_> = gaps.into_iter().map(|gap| Gap { path: gap.path, reason: gap.reason }).collect();
    let summary = summary(&facts, &gaps);
    let facts = serde_json::to_value(facts).map_err(|source| ReadError::Malformed { source })?;
    Ok(Seen { identity, summary, facts, gaps, other, boot, key, address })
}

fn identity(facts: &Facts) -> Identity {
    let system = facts.system.as_ref();
    let uuid = system.and_then(|system| system.uuid.as_deref()).and_then(|text| text.trim().parse().ok());
    let macs = facts.nics.iter().filter_map(|nic| {
        let usable = |text: &Option<String>| text.as_deref()?.parse().ok().filter(MacAddr::is_a_machines);
        usable(&nic.permanent_mac).or_else(|| usable(&nic.mac))
    });
    Identity::new(uuid, system.and_then(|system| system.serial.as_deref()), macs)
}

fn summary(facts: &Facts, gaps: &[Gap]) -> Summary {
    let system = facts.system.as_ref();
    let cpu = facts.cpu.as_ref();
    let unknown = |what: &str| gaps.iter().any(|gap| gap.path == what);
    let disks: Vec<_> = facts.disks.iter().filter_map(holds_a_system).collect();
    let disks_known = !facts.disks.is_empty() || !unknown("disks");
    let nics_known = !facts.nics.is_empty() || !unknown("nics");
    Summary {
        vendor: system.and_then(|system| shown(&system.manufacturer)),
        product: system.and_then(|system| shown(&system.product)),
        cpu_model: cpu.and_then(|cpu| shown(&cpu.model)),
        cpu_threads: cpu.and_then(|cpu| cpu.threads).filter(|threads| *threads > 0),
        memory_bytes: facts.memory.as_ref().and_then(|memory| memory.usable_bytes).filter(|bytes| *bytes > 0),
        disks: disks_known.then(|| count(disks.len())),
        disk_bytes: disks_known.then(|| disks.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))),
        nics: nics_known.then(|| count(facts.nics.len())),
        firmware: match facts.firmware.as_ref().and_then(|firmware| firmware.kind.as_deref()) {
            Some("bios") => Some(Firmware::Bios),
            Some("uefi") => Some(Firmware::Uefi),
            _ => None,
        },
    }
}

/// The size of a disk that an operating system could be written to.
fn holds_a_system(disk: &Disk) -> Option<u64> {
    disk.size_bytes.filter(|bytes| *bytes > 0 && disk.removable != Some(true))
}

fn shown(text: &Option<String>) -> Option<String> {
    let text = printable(text.as_deref()?.trim(), LONGEST_SHOWN);
    (!text.is_empty()).then_some(text)
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// A machine in half a line, for people.
pub(crate) fn in_words(summary: &Summary) -> String {
    let name = [&summary.vendor, &summary.product].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let many = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let parts = [
        (!name.is_empty()).then_some(name),
        summary.cpu_threads.map(|threads| many(threads, "CPU thread")),
        summary.memory_bytes.map(|bytes| format!("{} of memory", size(bytes))),
        summary.disks.map(|disks| many(disks, "disk")),
        summary.nics.map(|nics| many(nics, "network card")),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing that a summary could show".into() } else { text }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes / MIB {
        mib if mib < 4096 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib / 1024),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn translated(facts: Value, gaps: Value) -> Seen {
        let bytes = serde_json::to_vec(&json!({ "report": 1, "boot": "b", "facts": facts, "gaps": gaps })).unwrap();
        let boot = BootId(uuid::Uuid::from_u128(1));
        seen(read(&bytes).unwrap(), boot, KeyFingerprint("k".into()), Ipv4Addr::LOCALHOST).unwrap()
    }

    #[test]
    fn a_machine_is_translated_whole() {
        let facts = json!({
            "system": { "manufacturer": "QEMU", "product": " PC ", "serial": "VM-0001", "uuid": "6D1F0000-0000-4000-8000-000000000001", "colour": "red" },
            "firmware": { "kind": "uefi" },
            "cpu": { "model": "Xeon", "threads": 8 },
            "memory": { "usable_bytes": 17179869184u64, "installed_bytes": 17179869999u64 },
            "disks": [{ "name": "sda", "size_bytes": 1000 }, { "name": "sdb", "size_bytes": 500, "removable": true }, { "name": "sdc", "size_bytes": 0 }, { "name": "sdd" }],
            "nics": [{ "name": "eth0", "mac": "02:00:00:00:00:99", "permanent_mac": "52:54:00:00:00:01" }, { "mac": "52:54:00:00:00:02" }],
            "moons": [1],
        });
        let seen = translated(facts.clone(), json!([{ "path": "board", "reason": "no type 2" }]));
        assert_eq!(seen.facts, facts, "facts are kept as they came, unknown ones too");
        assert_eq!(seen.gaps, [Gap { path: "board".into(), reason: "no type 2".into() }]);
        assert_eq!(seen.identity.serial.as_deref(), Some("VM-0001"));
        assert_eq!(seen.identity.uuid, "6d1f0000-0000-4000-8000-000000000001".parse().ok());
        let macs: Vec<_> = seen.identity.macs.iter().map(ToString::to_string).collect();
        assert_eq!(macs, ["52:54:00:00:00:01", "52:54:00:00:00:02"]);
        let expected = Summary {
            vendor: Some("QEMU".into()),
            product: Some("PC".into()),
            cpu_model: Some("Xeon".into()),
            cpu_threads: Some(8),
            memory_bytes: Some(17_179_869_184),
            disks: Some(1),
            disk_bytes: Some(1000),
            nics: Some(2),
            firmware: Some(Firmware::Uefi),
        };
        assert_eq!(seen.summary, expected);
        assert_eq!(in_words(&expected), "QEMU PC, 8 CPU threads, 16 GiB of memory, 1 disk, 2 network cards");
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
        assert_eq!(seen.facts, facts);
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
