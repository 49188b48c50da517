//! Partitions as the kernel shows them, with what the table and the signatures add.

use super::ask::Contents;
use crate::tree::{Tree, text_of};
use inventory_wire::Partition;

/// The kernel counts in these.
const SECTOR: u64 = 512;
/// The most partitions of one disk.
const MOST: usize = 256;

/// The partitions of a disk, by number.
pub fn look(tree: &Tree, disk: &str) -> Vec<Partition> {
    let folder = format!("sys/block/{disk}");
    let mut found: Vec<Partition> = tree.names(&folder).iter().filter_map(|name| partition(tree, &folder, name)).take(MOST).collect();
    found.sort_by_key(|partition| partition.number);
    found
}

fn partition(tree: &Tree, folder: &str, name: &str) -> Option<Partition> {
    let at = |file: &str| format!("{folder}/{name}/{file}");
    let number = u32::try_from(tree.number(&at("partition"))?).ok()?;
    let bytes = |file: &str| tree.number(&at(file)).and_then(|sectors| sectors.checked_mul(SECTOR));
    let uevent = tree.bytes(&at("uevent"), 4096).unwrap_or_default();
    // The kernel's own copy of GPT's name, for those who may not read the disk. What is not ASCII is a `!` in it.
    let label = uevent.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"PARTNAME="));
    let label = label.filter(|label| !label.contains(&b'!')).and_then(text_of);
    Some(Partition {
        name: Some(name.to_owned()),
        number: Some(number),
        start_bytes: bytes("start"),
        size_bytes: bytes("size"),
        label,
        holders: tree.names(&at("holders")),
        ..Partition::default()
    })
}

/// Adds what the disk itself told.
pub fn describe(partitions: &mut [Partition], contents: &mut Contents) {
    for partition in partitions {
        if let Some(details) = partition.number.and_then(|number| contents.partitions.remove(&number)) {
            partition.kind = details.kind;
            partition.uuid = details.uuid;
            partition.label = details.label.or(partition.label.take());
        }
        if let Some(signatures) = partition.name.as_ref().and_then(|name| contents.signatures.remove(name)) {
            partition.signatures = signatures;
        }
    }
}
