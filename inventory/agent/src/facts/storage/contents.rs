//! Reads what `blkid` and `wipefs` write. Both print names that others wrote to the disk: nothing of it is trusted, and no
//! more of it is kept than a report can carry.

use crate::tree::text_of;
use inventory_wire::Signature;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most signatures of one disk or partition that are kept; a ZFS member repeats its own in hundreds of places.
const MOST_SIGNATURES: usize = 32;

/// What a partition table says of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Its type.
    pub kind: Option<String>,
    /// Its name.
    pub label: Option<String>,
    /// Its unique id.
    pub uuid: Option<String>,
}

/// What a signature's group is named by, on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// LVM2's metadata.
    Lvm,
    /// Ceph's label.
    Ceph,
}

impl Place {
    /// For signatures whose group util-linux does not tell.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "LVM2_member" => Some(Self::Lvm),
            "ceph_bluestore" => Some(Self::Ceph),
            _ => None,
        }
    }
}

/// `blkid -p -o udev`: a block of `NAME=value` for each device, an empty line between them. The kind of table of the disk,
/// and its partitions by number.
pub fn tables(output: &[u8]) -> (Option<String>, BTreeMap<u32, Details>) {
    let text = String::from_utf8_lossy(output);
    let (mut table, mut partitions) = (None, BTreeMap::new());
    for block in text.split("\n\n") {
        let value = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            text_of(&unescape(line))
        };
        match value("ID_PART_ENTRY_NUMBER").and_then(|number| number.parse().ok()) {
            Some(number) => {
                let details =
                    Details { kind: value("ID_PART_ENTRY_TYPE"), label: value("ID_PART_ENTRY_NAME"), uuid: value("ID_PART_ENTRY_UUID") };
                partitions.entry(number).or_insert(details);
            }
            // A partition may hold a table of its own (MBR's extended one does); the disk's comes first.
            None if table.is_none() => table = value("ID_PART_TABLE_TYPE").map(named),
            None => {}
        }
    }
    (table, partitions)
}

fn named(table: String) -> String {
    if table == "dos" { "mbr".into() } else { table }
}

/// `\x20` for what is no plain letter (`blkid_encode_string`).
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("\\x") {
        let (before, escape) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let code = escape.get(2..4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, length) = code.map_or((b'\\', 1), |code| (code, 4));
        bytes.push(byte);
        rest = escape.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// `wipefs --json`: signatures by device, the same at several places once. Partition tables are told elsewhere.
pub fn signatures(output: &[u8]) -> Result<BTreeMap<String, Vec<Signature>>, String> {
    let mut found: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
    // With nothing to tell it writes nothing, in some versions.
    if output.trim_ascii().is_empty() {
        return Ok(found);
    }
    let document: Value = serde_json::from_slice(output).map_err(|_| "what wipefs wrote is no JSON".to_owned())?;
    let listed = document.get("signatures").and_then(Value::as_array).ok_or("what wipefs wrote has no list of signatures")?;
    for entry in listed {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).and_then(|text| text_of(text.as_bytes()));
        let (Some(device), Some(kind)) = (text("device"), text("type")) else { continue };
        let usage = text("usage");
        if usage.as_deref() == Some("partition-table") {
            continue;
        }
        let device = device.strip_prefix("/dev/").unwrap_or(&device).replace('/', "!");
        let place = found.entry(device).or_default();
        let signature = Signature {
            member_of: member_of(&kind, text("label"), text("uuid")),
            kind: Some(kind),
            usage,
            uuid: text("uuid"),
            label: text("label"),
            offset_bytes: entry.get("offset").and_then(offset),
            ..Signature::default()
        };
        let same = |other: &Signature| (&other.kind, &other.uuid, &other.label) == (&signature.kind, &signature.uuid, &signature.label);
        if place.len() < MOST_SIGNATURES && !place.iter().any(same) {
            place.push(signature);
        }
    }
    Ok(found)
}

/// A RAID writes its name, or at least its UUID, into each member; a ZFS member's label is its pool.
fn member_of(kind: &str, label: Option<String>, uuid: Option<String>) -> Option<String> {
    match kind {
        "zfs_member" => label.or(uuid),
        _ if kind.ends_with("_raid_member") => label.or(uuid),
        _ => None,
    }
}

/// `"0x218"`, or a number.
fn offset(value: &Value) -> Option<u64> {
    let text = || value.as_str()?.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.as_u64().or_else(text)
}
