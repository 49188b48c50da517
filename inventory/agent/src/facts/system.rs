//! What the maker says: machine, board, chassis and firmware.
//!
//! Root reads the SMBIOS tables. Others read what the kernel copied out of them for everybody, without serial
//! numbers and UUID.

use super::smbios::{BOARD, CHASSIS, FIRMWARE, SYSTEM, Smbios};
use super::{Gaps, boot_entries, placeholder, whole};
use crate::tree::{ReadError, Tree, text_of};
use inventory_wire::{Board, Firmware, System};

/// The largest table that is read; real ones have some ten thousand bytes.
const MOST_OF_THE_TABLES: usize = 1 << 20;

/// The tables of a machine as they are read.
pub struct RawTables {
    entry_point: Vec<u8>,
    bytes: Result<Vec<u8>, ReadError>,
}

impl RawTables {
    /// Reads them.
    pub fn read(tree: &Tree) -> Self {
        let entry_point = tree.bytes("sys/firmware/dmi/tables/smbios_entry_point", 64).unwrap_or_default();
        Self { entry_point, bytes: tree.bytes("sys/firmware/dmi/tables/DMI", MOST_OF_THE_TABLES) }
    }
}

/// The tables of a machine, or why there are none.
pub struct SystemTables<'t> {
    tree: &'t Tree,
    smbios: Result<Smbios<'t>, String>,
}

/// Where a text of the maker stands.
struct Place {
    kind: u8,
    offset: usize,
    /// The kernel's copy, a file of `/sys/class/dmi/id`.
    copy: &'static str,
}

const fn place(kind: u8, offset: usize, copy: &'static str) -> Place {
    Place { kind, offset, copy }
}

impl<'t> SystemTables<'t> {
    /// Understands them.
    pub fn parse(tree: &'t Tree, raw: &'t RawTables) -> Self {
        let smbios = match &raw.bytes {
            Ok(bytes) => Ok(Smbios::parse(&raw.entry_point, bytes)),
            Err(error) => Err(format!("the SMBIOS tables are not readable: {}", whole(error))),
        };
        Self { tree, smbios }
    }

    /// The tables, or why there are none.
    pub fn smbios(&self) -> Result<&Smbios<'t>, String> {
        self.smbios.as_ref().map_err(String::clone)
    }

    /// SMBIOS type 1.
    pub fn system(&self, gaps: &mut Gaps) -> Option<System> {
        self.part("system", SYSTEM, gaps)?;
        let mut text = |name: &str, place| self.text(gaps, "system", name, place);
        Some(System {
            manufacturer: text("manufacturer", place(SYSTEM, 4, "sys_vendor")),
            product: text("product", place(SYSTEM, 5, "product_name")),
            version: text("version", place(SYSTEM, 6, "product_version")),
            serial: text("serial", place(SYSTEM, 7, "product_serial")),
            sku: text("sku", place(SYSTEM, 25, "product_sku")),
            family: text("family", place(SYSTEM, 26, "product_family")),
            uuid: self.uuid(gaps),
            ..System::default()
        })
    }

    /// SMBIOS type 2, the first.
    pub fn board(&self, gaps: &mut Gaps) -> Option<Board> {
        self.part("board", BOARD, gaps)?;
        let mut text = |name: &str, place| self.text(gaps, "board", name, place);
        Some(Board {
            manufacturer: text("manufacturer", place(BOARD, 4, "board_vendor")),
            product: text("product", place(BOARD, 5, "board_name")),
            version: text("version", place(BOARD, 6, "board_version")),
            serial: text("serial", place(BOARD, 7, "board_serial")),
            asset_tag: text("asset_tag", place(BOARD, 8, "board_asset_tag")),
            ..Board::default()
        })
    }

    /// SMBIOS type 3, the first.
    pub fn chassis(&self, gaps: &mut Gaps) -> Option<Board> {
        self.part("chassis", CHASSIS, gaps)?;
        let mut text = |name: &str, place| self.text(gaps, "chassis", name, place);
        Some(Board {
            manufacturer: text("manufacturer", place(CHASSIS, 4, "chassis_vendor")),
            version: text("version", place(CHASSIS, 6, "chassis_version")),
            serial: text("serial", place(CHASSIS, 7, "chassis_serial")),
            asset_tag: text("asset_tag", place(CHASSIS, 8, "chassis_asset_tag")),
            ..Board::default()
        })
    }

    /// SMBIOS type 0, and how the machine was started.
    pub fn firmware(&self, gaps: &mut Gaps) -> Firmware {
        let mut firmware = Firmware::default();
        if self.part("firmware", FIRMWARE, gaps).is_some() {
            let mut text = |name: &str, place| self.text(gaps, "firmware", name, place);
            firmware.vendor = text("vendor", place(FIRMWARE, 4, "bios_vendor"));
            firmware.version = text("version", place(FIRMWARE, 5, "bios_version"));
            firmware.date = text("date", place(FIRMWARE, 8, "bios_date"));
            let none = "SMBIOS gives no such number";
            firmware.revision = gaps.need(self.release(0x14, "bios_release"), "firmware.revision", none);
            firmware.controller_revision = gaps.need(self.release(0x16, "ec_firmware_release"), "firmware.controller_revision", none);
        }
        let uefi = self.tree.exists("sys/firmware/efi");
        let kind = self.tree.exists("sys/firmware").then(|| if uefi { "uefi" } else { "bios" }.to_owned());
        firmware.kind = gaps.need(kind, "firmware.kind", "there is no /sys/firmware");
        if uefi {
            boot_entries::look(self.tree, &mut firmware, gaps);
        }
        firmware
    }

    /// Two numbers of the firmware's structure, 255 being none (DSP0134, section 7.1); others read the kernel's copy.
    fn release(&self, offset: usize, copy: &str) -> Option<String> {
        let [major, minor] = match self.smbios() {
            Ok(smbios) => smbios.first(FIRMWARE)?.bytes(offset)?,
            Err(_) => return self.tree.text(&format!("sys/class/dmi/id/{copy}")),
        };
        (major != 0xff || minor != 0xff).then(|| format!("{major}.{minor}"))
    }

    /// Whether anything is known of a part; its absence is one gap, not one for each field.
    fn part(&self, path: &str, kind: u8, gaps: &mut Gaps) -> Option<()> {
        let found = match &self.smbios {
            Ok(smbios) => smbios.first(kind).map(drop).ok_or_else(|| format!("SMBIOS has no structure of type {kind}")),
            Err(_) if self.tree.exists("sys/class/dmi/id") => Ok(()),
            Err(why) => Err(why.clone()),
        };
        gaps.known(found, path)
    }

    fn uuid(&self, gaps: &mut Gaps) -> Option<String> {
        let found = match self.smbios() {
            Ok(smbios) => smbios.uuid().ok_or_else(|| "the machine gives no UUID: SMBIOS has none, or one repeated byte".to_owned()),
            Err(why) => self.tree.text("sys/class/dmi/id/product_uuid").map(|uuid| uuid.to_ascii_lowercase()).ok_or(why),
        };
        gaps.known(found, "system.uuid")
    }

    fn text(&self, gaps: &mut Gaps, part: &str, name: &str, place: Place) -> Option<String> {
        let raw = match self.smbios() {
            Ok(smbios) => Ok(smbios.first(place.kind).and_then(|structure| structure.string(place.offset)).and_then(text_of)),
            Err(why) => match self.tree.bytes(&format!("sys/class/dmi/id/{}", place.copy), 4096) {
                Ok(bytes) => Ok(text_of(&bytes)),
                Err(_) => Err(why),
            },
        };
        let named = if name == "sku" { "SKU".into() } else { name.replace('_', " ") };
        let is_placeholder = if matches!(name, "serial" | "asset_tag") { placeholder::is_no_serial } else { placeholder::says_nothing };
        let found = match raw {
            Err(why) => Err(why),
            Ok(None) => Err(format!("the {part} gives no {named}: SMBIOS leaves it empty")),
            Ok(Some(text)) if is_placeholder(&text) => Err(format!("the {part} gives no {named}: SMBIOS says `{text}`")),
            Ok(Some(text)) => Ok(text),
        };
        gaps.known(found, &format!("{part}.{name}"))
    }
}
