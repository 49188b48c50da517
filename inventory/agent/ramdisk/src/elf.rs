//! Tells whether a program runs without shared libraries, and else which it names, by its ELF headers (System V gABI, chapters
//! 4 and 5). It reads no more.

/// What a file is, as far as a ramdisk without libraries cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// An x86-64 executable that needs no loader; `static-pie` is one too.
    Static,
    /// Anything else, in words that fit after "it is".
    Unusable(&'static str),
}

const ELF_HEADER: usize = 64;
const PT_INTERP: u32 = 3;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;

pub(crate) fn linkage(bytes: &[u8]) -> Linkage {
    if bytes.len() < ELF_HEADER || !bytes.starts_with(b"\x7fELF") {
        return Linkage::Unusable("not an ELF file");
    }
    // Class 2 is 64 bits, data 1 is little-endian.
    if bytes[4..6] != [2, 1] || half(bytes, 18) != Some(EM_X86_64) {
        return Linkage::Unusable("for another processor");
    }
    if !matches!(half(bytes, 16), Some(ET_EXEC | ET_DYN)) {
        return Linkage::Unusable("not an executable");
    }
    match asks_for_a_loader(bytes) {
        Some(false) => Linkage::Static,
        Some(true) => Linkage::Unusable("linked to shared libraries"),
        None => Linkage::Unusable("cut short"),
    }
}

/// `None` when the program headers lie outside the file.
fn asks_for_a_loader(bytes: &[u8]) -> Option<bool> {
    let table = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(half(bytes, 54)?), usize::from(half(bytes, 56)?));
    for number in 0..count {
        let at = table.checked_add(number.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
/// Libraries that one program names; more is no program.
const MOST_NEEDED: usize = 256;

/// The libraries that a program or library names (`DT_NEEDED`), in its order. `None` when it is no x86-64 ELF file, or its
/// tables lie outside of it.
pub(crate) fn needed(bytes: &[u8]) -> Option<Vec<String>> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") || half(bytes, 18) != Some(EM_X86_64) {
        return None;
    }
    let segments = segments(bytes)?;
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else { return Some(Vec::new()) };
    let table = bytes.get(dynamic.offset..dynamic.offset.checked_add(dynamic.size)?)?;
    let entries = table.chunks_exact(16).map(|entry| (word(entry, 0), word(entry, 8)));
    let entries: Vec<(u64, u64)> = entries.map_while(|(tag, value)| Some((tag?, value?))).take_while(|(tag, _)| *tag != 0).collect();
    let names: Vec<u64> = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED).map(|(_, value)| *value).collect();
    if names.is_empty() {
        return Some(Vec::new());
    }
    let address = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1;
    let loaded = |segment: &&Segment| {
        let inside = address.checked_sub(segment.address).and_then(|inside| usize::try_from(inside).ok());
        segment.kind == PT_LOAD && inside.is_some_and(|inside| inside < segment.size)
    };
    let segment = segments.iter().find(loaded)?;
    let strings = segment.offset.checked_add(usize::try_from(address - segment.address).ok()?)?;
    let name = |at: &u64| {
        let from = bytes.get(strings.checked_add(usize::try_from(*at).ok()?)?..)?;
        let name = from.get(..from.iter().position(|byte| *byte == 0)?)?;
        let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte));
        (plain && !name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
    };
    names.iter().take(MOST_NEEDED).map(name).collect()
}

/// A program header.
struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    /// In the file.
    size: usize,
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let table = usize::try_from(word(bytes, 32)?).ok()?;
    let (size, count) = (usize::from(half(bytes, 54)?), usize::from(half(bytes, 56)?));
    let segment = |number: usize| {
        let at = table.checked_add(number.checked_mul(size)?)?;
        let header = bytes.get(at..at.checked_add(56)?)?;
        Some(Segment {
            kind: u32::from_le_bytes(header.get(..4)?.try_into().ok()?),
            offset: usize::try_from(word(header, 8)?).ok()?,
            address: word(header, 16)?,
            size: usize::try_from(word(header, 32)?).ok()?,
        })
    };
    (0..count).map(segment).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The smallest file that passes for a static program, with `tail` behind it to tell one from another.
#[cfg(test)]
pub(crate) fn stand_in(tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ELF_HEADER];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16..18].copy_from_slice(&ET_EXEC.to_le_bytes());
    bytes[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes.extend_from_slice(tail);
    bytes
}

/// The smallest file that passes for a program or library that needs `libraries`.
#[cfg(test)]
pub(crate) fn linked(libraries: &[&str]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let (headers, entries) = (ELF_HEADER + 2 * 56, libraries.len() + 2);
    let strings = headers + 16 * entries;
    let (mut names, mut dynamic) = (vec![0], Vec::new());
    for library in libraries {
        dynamic.push((DT_NEEDED, names.len() as u64));
        names.extend_from_slice(library.as_bytes());
        names.push(0);
    }
    dynamic.extend([(DT_STRTAB, BASE + strings as u64), (0, 0)]);
    let total = (strings + names.len()) as u64;
    let mut bytes = stand_in(b"");
    bytes[16..18].copy_from_slice(&ET_DYN.to_le_bytes());
    bytes[56..58].copy_from_slice(&2u16.to_le_bytes());
    for (kind, offset, size) in [(PT_LOAD, 0, total), (PT_DYNAMIC, headers as u64, 16 * entries as u64)] {
        bytes.extend(kind.to_le_bytes().into_iter().chain([0; 4]));
        for field in [offset, BASE + offset, BASE + offset, size, size, 8] {
            bytes.extend(field.to_le_bytes());
        }
    }
    dynamic.iter().for_each(|(tag, value)| bytes.extend(tag.to_le_bytes().into_iter().chain(value.to_le_bytes())));
    bytes.extend(names);
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        let mut bytes = stand_in(&[0; 112]);
        bytes[56] = 2;
        assert_eq!(linkage(&bytes), Linkage::Static);
        bytes[64 + 56] = 3;
        assert_eq!(linkage(&bytes), Linkage::Unusable("linked to shared libraries"));
    }

    #[test]
    fn other_files_are_told_apart() {
        let mut arm = stand_in(b"");
        arm[18] = 183;
        let mut object = stand_in(b"");
        object[16] = 1;
        let mut cut = stand_in(b"");
        cut[56] = 9;
        for (bytes, found) in [
            (b"#!/bin/sh\n".to_vec(), "not an ELF file"),
            (arm, "for another processor"),
            (object, "not an executable"),
            (cut, "cut short"),
        ] {
            assert_eq!(linkage(&bytes), Linkage::Unusable(found));
        }
    }

    #[test]
    fn offsets_near_the_end_of_the_number_line_do_not_panic() {
        let mut bytes = stand_in(b"");
        bytes[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(linkage(&bytes), Linkage::Unusable("cut short"));
    }

    #[test]
    fn libraries_are_named_as_the_loader_would_read_them() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needed(&bytes).unwrap().contains(&"libc.so.6".to_owned()));
        assert_eq!(needed(&stand_in(b"")), Some(Vec::new()));
        assert_eq!(needed(b"#!/bin/sh\n"), None);
        assert_eq!(needed(&linked(&["libz.so.1", "libc.so.6"])), Some(vec!["libz.so.1".to_owned(), "libc.so.6".to_owned()]));
        assert_eq!(needed(&linked(&["../etc/passwd"])), None, "a library is a name and no path");
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(at in 0usize..400, garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let mut bytes = linked(&["libc.so.6"]);
            let end = (at + garbage.len()).min(bytes.len());
            if at < end {
                bytes[at..end].copy_from_slice(&garbage[..end - at]);
            }
            needed(&bytes);
            linkage(&bytes);
        }
    }

    #[test]
    fn this_test_program_itself_is_linked_to_libraries() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(linkage(&bytes), Linkage::Unusable("linked to shared libraries"));
    }
}
