//! Tells whether a program runs without shared libraries, by its ELF headers (System V gABI, chapters 4 and 5). It reads no more.

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
    fn this_test_program_itself_is_linked_to_libraries() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(linkage(&bytes), Linkage::Unusable("linked to shared libraries"));
    }
}
