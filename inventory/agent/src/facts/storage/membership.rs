//! What a disk belongs to, where util-linux does not tell: the volume group of an LVM member, the cluster of a Ceph disk.
//! Reads a few kilobytes at fixed places, and nothing is written.

use super::contents::Place;
use crate::tree::text_of;
use std::os::unix::fs::FileExt;

/// The first places where LVM looks for its label: sectors 0 to 3.
const LABELS: usize = 4 * 512;
/// LVM keeps its text in a ring, this far in at most: enough for the name, which comes first.
const TEXT: usize = 4096;
/// Ceph's label.
const CEPH_LABEL: usize = 4096;

/// The group's name, where it can be read.
pub fn read(place: Place, disk: &impl FileExt) -> Option<String> {
    match place {
        Place::Lvm => lvm(|at, length| bytes(disk, at, length)),
        Place::Ceph => ceph(&bytes(disk, 0, CEPH_LABEL)?),
    }
}

fn bytes(disk: &impl FileExt, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    disk.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

/// LVM2's format (`lib/format_text/layout.h`): a sector `LABELONE` says where the header of the physical volume is, that
/// one where metadata areas are, those where the current text is. It begins with the group's name and a brace.
fn lvm(read: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Option<String> {
    let start = read(0, LABELS)?;
    let label = start.chunks(512).find(|sector| sector.starts_with(b"LABELONE") && sector.get(24..32) == Some(b"LVM2 001"))?;
    let header = usize::try_from(number(label, 20, 4)?).ok()?;
    // 32 bytes of id, 8 of size, then areas of data, until one is empty, then areas of metadata, until one is empty.
    let mut at = header.checked_add(40)?;
    while area(label, at)?.0 != 0 {
        at = at.checked_add(16)?;
    }
    at = at.checked_add(16)?;
    loop {
        let (offset, size) = area(label, at)?;
        if offset == 0 {
            return None;
        }
        if let Some(name) = metadata_area(&read, offset, size) {
            return Some(name);
        }
        at = at.checked_add(16)?;
    }
}

fn metadata_area(read: &impl Fn(u64, usize) -> Option<Vec<u8>>, offset: u64, size: u64) -> Option<String> {
    let header = read(offset, 512)?;
    if header.get(4..20) != Some(b" LVM2 x[5A%r0N*>") {
        return None;
    }
    // The first of its four locations is the one in force; without text the volume belongs to no group.
    let (text, length) = area(&header, 40)?;
    if text == 0 || length == 0 || text >= size {
        return None;
    }
    let text = read(offset.checked_add(text)?, TEXT.min(usize::try_from(length).ok()?))?;
    let end = text.windows(2).position(|pair| pair == b" {")?;
    let name = text.get(..end)?;
    // lvm(8): letters, digits and + _ . -
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(byte);
    if name.len() <= 127 && name.iter().all(plain) { text_of(name) } else { None }
}

fn area(bytes: &[u8], at: usize) -> Option<(u64, u64)> {
    Some((number(bytes, at, 8)?, number(bytes, at.checked_add(8)?, 8)?))
}

/// A little-endian number.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// BlueStore's label: texts, each behind its length in four bytes, among them the name `ceph_fsid` and its value.
fn ceph(label: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"ceph_fsid";
    let at = label.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let length = usize::try_from(number(label, at, 4)?).ok()?;
    let uuid = label.get(at + 4..)?.get(..length)?;
    let plain = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    if length == 36 && uuid.iter().all(plain) { text_of(uuid) } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A physical volume, as `pvcreate` and `vgcreate` leave it, without checksums.
    pub fn volume(group: &str) -> Vec<u8> {
        let mut bytes = vec![0; 16 * 1024];
        let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
        put(512, b"LABELONE");
        put(512 + 8, &1u64.to_le_bytes());
        put(512 + 20, &32u32.to_le_bytes());
        put(512 + 24, b"LVM2 001");
        put(512 + 32, b"abcdEFghijKLmnopQRstuvWXyz012345");
        put(512 + 72, &(1u64 << 20).to_le_bytes());
        put(512 + 104, &4096u64.to_le_bytes());
        put(512 + 112, &(1_044_480u64).to_le_bytes());
        put(4096 + 4, b" LVM2 x[5A%r0N*>");
        let text = format!("{group} {{\nid = \"Zq1wXe\"\n");
        put(4096 + 40, &512u64.to_le_bytes());
        put(4096 + 48, &(text.len() as u64).to_le_bytes());
        put(4096 + 512, text.as_bytes());
        bytes
    }

    fn group_of(bytes: &[u8]) -> Option<String> {
        lvm(|at, length| Some(bytes.get(usize::try_from(at).ok()?..)?.get(..length)?.to_vec()))
    }

    #[test]
    fn a_physical_volume_tells_its_group() {
        assert_eq!(group_of(&volume("ceph-block_1.x")).as_deref(), Some("ceph-block_1.x"));
        assert_eq!(group_of(&volume("a\x1b[2Jb")), None, "no such name can be given");
        let mut without = volume("vg0");
        without[4096 + 40..4096 + 56].fill(0);
        assert_eq!(group_of(&without), None, "a volume that belongs to no group");
        let mut endless = volume("vg0");
        endless[512 + 40 + 32..1024].fill(1);
        assert_eq!(group_of(&endless), None);
    }

    #[test]
    fn a_ceph_disk_tells_its_cluster() {
        let mut label = b"bluestore block device\n5c1ba6b6-7bd8-4b5b-9f44-5d7c8f6d9f01\n".to_vec();
        for text in ["ceph_fsid", "0f0e0d0c-0b0a-4908-8706-050403020100"] {
            label.extend((text.len() as u32).to_le_bytes());
            label.extend(text.as_bytes());
        }
        assert_eq!(ceph(&label).as_deref(), Some("0f0e0d0c-0b0a-4908-8706-050403020100"));
        label.truncate(label.len() - 1);
        assert_eq!(ceph(&label), None);
        assert_eq!(ceph(b"bluestore block device\n"), None);
    }

    proptest! {
        #[test]
        fn nothing_written_on_a_disk_panics(at in 0usize..8192, garbage in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = volume("vg0");
            let end = (at + garbage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&garbage[..end - at]);
            group_of(&bytes);
            ceph(&bytes[512..4096]);
            ceph(&garbage);
        }
    }
}
