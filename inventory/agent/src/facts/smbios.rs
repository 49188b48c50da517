//! SMBIOS tables as the kernel exports them: bytes to structures (DMTF DSP0134, section 6.1).
//!
//! ```text
//! type (1) length (1) handle (2) … formatted area, `length` bytes in all … "string 1" 0 "string 2" 0 … 0
//! ```
//!
//! Own code, although crates for it exist: firmware gets lengths, string numbers and character sets wrong, and one
//! bad string must cost that string, not the structure with the serial number, and never a read past the end.

/// System information.
pub const SYSTEM: u8 = 1;
/// Firmware (BIOS) information.
pub const FIRMWARE: u8 = 0;
/// A board.
pub const BOARD: u8 = 2;
/// A chassis.
pub const CHASSIS: u8 = 3;
/// A slot for cards.
pub const SLOT: u8 = 9;
/// An IPMI controller.
pub const IPMI_CONTROLLER: u8 = 38;
/// A device that is soldered on.
pub const ONBOARD_DEVICE: u8 = 41;
/// A physical memory array.
pub const MEMORY_ARRAY: u8 = 16;
/// A memory device: a module, or its empty socket.
pub const MEMORY_DEVICE: u8 = 17;

const END: u8 = 127;
/// Large servers have some hundreds.
const MOST_STRUCTURES: usize = 8192;

/// The tables of one machine.
#[derive(Debug)]
pub struct Smbios<'a> {
    version: (u8, u8),
    structures: Vec<Structure<'a>>,
}

/// One structure.
#[derive(Debug, Clone)]
pub struct Structure<'a> {
    /// What it describes.
    pub kind: u8,
    /// Its number, by which others refer to it.
    pub handle: u16,
    formatted: &'a [u8],
    strings: Vec<&'a [u8]>,
}

impl<'a> Smbios<'a> {
    /// Reads the tables. Without a readable entry point (32 or 64 bit) the version is taken to be current, 3.0.
    /// What stands after a structure that makes no sense is not read.
    pub fn parse(entry_point: &[u8], tables: &'a [u8]) -> Self {
        let version_at = |at: usize| Some((*entry_point.get(at)?, *entry_point.get(at + 1)?));
        let version = if entry_point.starts_with(b"_SM3_") {
            version_at(7)
        } else if entry_point.starts_with(b"_SM_") {
            version_at(6)
        } else {
            None
        };
        let mut structures = Vec::new();
        let mut rest = tables;
        while let Some((structure, after)) = Structure::parse(rest) {
            if structure.kind == END || structures.len() == MOST_STRUCTURES {
                break;
            }
            structures.push(structure);
            rest = after;
        }
        Self { version: version.unwrap_or((3, 0)), structures }
    }

    /// The first structure of a kind.
    pub fn first(&self, kind: u8) -> Option<&Structure<'a>> {
        self.all(kind).next()
    }

    /// All structures of a kind.
    pub fn all(&self, kind: u8) -> impl Iterator<Item = &Structure<'a>> {
        self.structures.iter().filter(move |structure| structure.kind == kind)
    }

    /// The machine's UUID. From version 2.6 on its first three fields are little-endian; before, makers differed, and
    /// the kernel, like everybody, takes the bytes as they stand. Uniform bytes mean that there is none.
    pub fn uuid(&self) -> Option<String> {
        let bytes: [u8; 16] = self.first(SYSTEM)?.bytes(8)?;
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return None;
        }
        let order: [usize; 16] =
            if self.version >= (2, 6) { [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] } else { std::array::from_fn(|i| i) };
        let mut text = String::new();
        for (place, index) in order.into_iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{:02x}", bytes[index]));
        }
        Some(text)
    }
}

impl<'a> Structure<'a> {
    /// The first structure in `bytes`, and what follows it.
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let &[kind, length, low, high, ..] = bytes else { return None };
        let (formatted, mut rest) = bytes.split_at_checked(usize::from(length))?;
        if formatted.len() < 4 {
            return None;
        }
        let mut strings = Vec::new();
        // No strings at all is written as two NULs, strings end with an empty one: the first NUL of two counts once.
        loop {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (string, after) = rest.split_at(end);
            rest = after.get(1..)?;
            if string.is_empty() {
                break;
            }
            strings.push(string);
        }
        if strings.is_empty() {
            rest = rest.strip_prefix(&[0]).unwrap_or(rest);
        }
        Some((Self { kind, handle: u16::from_le_bytes([low, high]), formatted, strings }, rest))
    }

    /// The bytes at `offset`, counted from the structure's start; `None` in a structure too old to have them.
    pub fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.formatted.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }

    /// The byte at `offset`.
    pub fn byte(&self, offset: usize) -> Option<u8> {
        self.formatted.get(offset).copied()
    }

    /// The 16-bit number at `offset`.
    pub fn word(&self, offset: usize) -> Option<u16> {
        self.bytes(offset).map(u16::from_le_bytes)
    }

    /// The 32-bit number at `offset`.
    pub fn double_word(&self, offset: usize) -> Option<u32> {
        self.bytes(offset).map(u32::from_le_bytes)
    }

    /// The string whose number stands at `offset`: strings count from 1, and 0 is none.
    pub fn string(&self, offset: usize) -> Option<&'a [u8]> {
        let number = usize::from(self.byte(offset)?);
        self.strings.get(number.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENTRY_2_8: &[u8] = b"_SM_\x00\x1f\x02\x08";
    const ENTRY_2_4: &[u8] = b"_SM_\x00\x1f\x02\x04";

    fn structure(kind: u8, body: &[u8], strings: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![kind, u8::try_from(body.len() + 4).unwrap(), 0, kind];
        bytes.extend(body);
        strings.iter().for_each(|string| bytes.extend([*string, &[0]].concat()));
        bytes.extend(if strings.is_empty() { &[0, 0][..] } else { &[0] });
        bytes
    }

    fn system(uuid: [u8; 16]) -> Vec<u8> {
        let mut body = vec![1, 2, 0, 3];
        body.extend(uuid);
        structure(SYSTEM, &body, &[b"Maker", b"Gr\xf6\xdfe", b"S1"])
    }

    #[test]
    fn strings_are_found_by_number_and_a_bad_one_costs_nothing_else() {
        let tables = [structure(9, &[], &[]), system([7; 16]), structure(END, &[], &[]), structure(BOARD, &[], &[])].concat();
        let smbios = Smbios::parse(ENTRY_2_8, &tables);
        let system = smbios.first(SYSTEM).unwrap();
        assert_eq!(system.string(4), Some(&b"Maker"[..]));
        assert_eq!(system.string(5), Some(&b"Gr\xf6\xdfe"[..]));
        assert_eq!(system.string(6), None);
        assert_eq!(system.string(7), Some(&b"S1"[..]));
        assert_eq!(system.string(8), None, "number 7, and there are three");
        assert_eq!(system.string(200), None);
        assert!(smbios.first(BOARD).is_none(), "nothing follows the end");
    }

    #[test]
    fn the_uuid_follows_the_version() {
        let bytes: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let uuid = |entry: &[u8], bytes| Smbios::parse(entry, &system(bytes)).uuid();
        assert_eq!(uuid(ENTRY_2_8, bytes).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(uuid(b"_SM3_\x00\x18\x03\x00", bytes).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(uuid(ENTRY_2_4, bytes).as_deref(), Some("00010203-0405-0607-0809-0a0b0c0d0e0f"));
        assert_eq!(uuid(ENTRY_2_8, [0; 16]), None);
        assert_eq!(uuid(ENTRY_2_8, [255; 16]), None);
    }

    #[test]
    fn a_truncated_table_keeps_what_came_whole() {
        let tables = [system([7; 16]), system([8; 16])].concat();
        for cut in 0..tables.len() {
            let found = Smbios::parse(ENTRY_2_8, &tables[..cut]).all(SYSTEM).count();
            assert_eq!(found, usize::from(cut >= tables.len() / 2), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(entry in prop::collection::vec(any::<u8>(), 0..40), tables in prop::collection::vec(0u8..40, 0..600)) {
            let smbios = Smbios::parse(&entry, &tables);
            smbios.uuid();
            for structure in &smbios.structures {
                (0..64).for_each(|offset| { structure.string(offset); structure.double_word(offset); });
            }
        }
    }
}
