//! Memory modules, one by one (SMBIOS type 17, DSP0134 section 7.18), and the arrays they sit in (type 16, section 7.17).

use super::smbios::{MEMORY_ARRAY, MEMORY_DEVICE, Smbios, Structure};
use super::{Gaps, placeholder};
use crate::tree::text_of;
use inventory_wire::Dimm;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Use of a memory array: system memory. Others are firmware flash, video memory, cache.
const SYSTEM_MEMORY: u8 = 3;
/// What stands for an unknown 16-bit number, or refers to the wider field.
const UNKNOWN: u16 = 0xffff;

/// What SMBIOS says of the system's memory.
pub struct Modules<'s> {
    arrays: Vec<&'s Structure<'s>>,
    /// Sockets, filled or not.
    sockets: Vec<&'s Structure<'s>>,
}

impl<'s> Modules<'s> {
    /// Finds them. Modules of other arrays do not count; those that name no known array do.
    pub fn find(smbios: &'s Smbios<'s>) -> Self {
        let (arrays, others): (Vec<_>, Vec<_>) =
            smbios.all(MEMORY_ARRAY).partition(|array| array.byte(5).is_none_or(|purpose| purpose == SYSTEM_MEMORY));
        let elsewhere = |socket: &Structure<'_>| socket.word(4).is_some_and(|handle| others.iter().any(|array| array.handle == handle));
        Self { arrays, sockets: smbios.all(MEMORY_DEVICE).filter(|socket| !elsewhere(socket)).collect() }
    }

    /// Sockets.
    pub fn slots(&self) -> Option<u32> {
        u32::try_from(self.sockets.len()).ok().filter(|slots| *slots > 0)
    }

    /// The sizes of all modules together, bytes.
    pub fn installed_bytes(&self) -> Option<u64> {
        let total = self.sockets.iter().filter_map(|socket| size(socket)).try_fold(0u64, u64::checked_add)?;
        (total > 0).then_some(total)
    }

    /// What the arrays can hold, bytes.
    pub fn most_bytes(&self) -> Option<u64> {
        let total = self.arrays.iter().filter_map(|array| most_of_an_array(array)).try_fold(0u64, u64::checked_add)?;
        (total > 0).then_some(total)
    }

    /// Error correction, which all arrays share.
    pub fn error_correction(&self) -> Option<&'static str> {
        self.arrays.iter().find_map(|array| match array.byte(6)? {
            3 => Some("none"),
            4 => Some("parity"),
            5 => Some("single_bit_ecc"),
            6 => Some("multi_bit_ecc"),
            7 => Some("crc"),
            _ => None,
        })
    }

    /// The modules that are plugged in; a socket whose size is unknown has one.
    pub fn dimms(&self, gaps: &mut Gaps) -> Vec<Dimm> {
        let filled = self.sockets.iter().filter(|socket| socket.word(0x0c).is_some_and(|size| size != 0));
        filled.enumerate().map(|(number, socket)| dimm(socket, number, gaps)).collect()
    }
}

fn dimm(socket: &Structure<'_>, number: usize, gaps: &mut Gaps) -> Dimm {
    let place = |offset: usize, field: &str| {
        let text = socket.string(offset).and_then(text_of).filter(|text| !placeholder::says_nothing(text));
        text.ok_or_else(|| format!("SMBIOS gives the module no {field}"))
    };
    let slot = place(0x10, "slot");
    let name = slot.clone().unwrap_or_else(|_| number.to_string());
    let known = |field: &str| format!("memory.dimms.{name}.{field}");
    let told = |offset: usize, field: &str| maker_text(socket, offset, field);
    Dimm {
        slot: gaps.known(slot, &known("slot")),
        bank: gaps.known(place(0x11, "bank"), &known("bank")),
        size_bytes: gaps.need(size(socket), &known("size_bytes"), "SMBIOS does not know the module's size"),
        kind: gaps.need(kind(socket), &known("kind"), "SMBIOS gives the module no kind").map(str::to_owned),
        form: gaps.need(form(socket), &known("form"), "SMBIOS gives the module no form").map(str::to_owned),
        speed_mts: gaps.need(speed(socket, 0x15, 0x54), &known("speed_mts"), "SMBIOS does not know the module's speed"),
        configured_mts: gaps.need(speed(socket, 0x20, 0x58), &known("configured_mts"), "SMBIOS does not know the speed it runs at"),
        ranks: gaps.need(ranks(socket), &known("ranks"), "SMBIOS does not know the module's ranks"),
        ecc: gaps.need(ecc(socket), &known("ecc"), "SMBIOS does not know the module's width"),
        manufacturer: gaps.known(told(0x17, "manufacturer"), &known("manufacturer")),
        serial: gaps.known(told(0x18, "serial number"), &known("serial")),
        part_number: gaps.known(told(0x1a, "part number"), &known("part_number")),
        asset_tag: gaps.known(told(0x19, "asset tag"), &known("asset_tag")),
        ..Dimm::default()
    }
}

fn maker_text(socket: &Structure<'_>, offset: usize, field: &str) -> Result<String, String> {
    let is_placeholder = if offset == 0x18 { placeholder::is_no_serial } else { placeholder::says_nothing };
    match socket.string(offset).and_then(text_of) {
        None => Err(format!("SMBIOS gives the module no {field}")),
        Some(text) if is_placeholder(&text) => Err(format!("SMBIOS gives the module no {field}: it says `{text}`")),
        Some(text) => Ok(text),
    }
}

/// 0 is an empty socket, 0xFFFF unknown, 0x7FFF refers to the wider field; the top bit chooses KiB over MiB.
fn size(socket: &Structure<'_>) -> Option<u64> {
    match socket.word(0x0c)? {
        0 | UNKNOWN => None,
        0x7fff => Some(u64::from(socket.double_word(0x1c)? & 0x7fff_ffff) * MIB).filter(|size| *size > 0),
        size if size & 0x8000 != 0 => Some(u64::from(size & 0x7fff) * KIB).filter(|size| *size > 0),
        size => Some(u64::from(size) * MIB),
    }
}

/// KiB in four bytes; 0x80000000 refers to eight bytes of bytes.
fn most_of_an_array(array: &Structure<'_>) -> Option<u64> {
    match array.double_word(7)? {
        0x8000_0000 => array.bytes(0x0f).map(u64::from_le_bytes),
        kib => Some(u64::from(kib) * KIB),
    }
}

/// 0 is unknown, 0xFFFF refers to the wider field (from version 3.3 on), whose top bit is reserved.
fn speed(socket: &Structure<'_>, offset: usize, extended: usize) -> Option<u32> {
    match socket.word(offset)? {
        0 => None,
        UNKNOWN => Some(socket.double_word(extended)? & 0x7fff_ffff).filter(|speed| *speed > 0),
        speed => Some(u32::from(speed)),
    }
}

/// The low half of the attributes; 0 is unknown.
fn ranks(socket: &Structure<'_>) -> Option<u32> {
    Some(u32::from(socket.byte(0x1b)? & 0x0f)).filter(|ranks| *ranks > 0)
}

/// More bits in all than bits of data are there to correct errors.
fn ecc(socket: &Structure<'_>) -> Option<bool> {
    let known = |width: &u16| *width != 0 && *width != UNKNOWN;
    Some(socket.word(8).filter(known)? > socket.word(10).filter(known)?)
}

fn kind(socket: &Structure<'_>) -> Option<&'static str> {
    Some(match socket.byte(0x12)? {
        0x03 => "dram",
        0x04 => "edram",
        0x05 => "vram",
        0x06 => "sram",
        0x07 => "ram",
        0x08 => "rom",
        0x09 => "flash",
        0x0a => "eeprom",
        0x0b => "feprom",
        0x0c => "eprom",
        0x0d => "cdram",
        0x0e => "3dram",
        0x0f => "sdram",
        0x10 => "sgram",
        0x11 => "rdram",
        0x12 => "ddr",
        0x13 => "ddr2",
        0x14 => "ddr2_fb_dimm",
        0x18 => "ddr3",
        0x19 => "fbd2",
        0x1a => "ddr4",
        0x1b => "lpddr",
        0x1c => "lpddr2",
        0x1d => "lpddr3",
        0x1e => "lpddr4",
        0x1f => "logical_non_volatile",
        0x20 => "hbm",
        0x21 => "hbm2",
        0x22 => "ddr5",
        0x23 => "lpddr5",
        0x24 => "hbm3",
        _ => return None,
    })
}

fn form(socket: &Structure<'_>) -> Option<&'static str> {
    Some(match socket.byte(0x0e)? {
        0x03 => "simm",
        0x04 => "sip",
        0x05 => "chip",
        0x06 => "dip",
        0x07 => "zip",
        0x08 => "proprietary",
        0x09 => "dimm",
        0x0a => "tsop",
        0x0b => "row_of_chips",
        0x0c => "rimm",
        0x0d => "sodimm",
        0x0e => "srimm",
        0x0f => "fb_dimm",
        0x10 => "die",
        0x11 => "camm",
        _ => return None,
    })
}
