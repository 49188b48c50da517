//! What can be asked of a node by name: every field, its kind, and where its values come from in words.
//!
//! Knows no node: how a field is read stands in `record.rs`.

use std::cmp::Reverse;

/// What the values of a field are, and so how they are written, compared and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A count.
    Number,
    /// A size, bytes; people see powers of 1000.
    Bytes,
    /// A size of memory, bytes; people see powers of 1024.
    Memory,
    /// A speed, Mbit/s.
    Speed,
    /// A share, per cent.
    Percent,
    /// Yes or no.
    Flag,
    /// A point in time.
    Time,
    /// A MAC address.
    Mac,
    /// An IP address.
    Address,
    /// A UUID.
    Id,
}

impl Kind {
    /// What a person writes there, to go on after "expected".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a text; quote it when it has spaces".into(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Number => "a whole number".into(),
            Self::Bytes | Self::Memory => "a size such as 512GB, 1.5TB or 16GiB".into(),
            Self::Speed => "a speed such as 10G, 25Gbit or 100M; a bare number is Mbit/s".into(),
            Self::Percent => "a share such as 80%".into(),
            Self::Flag => "yes or no".into(),
            Self::Time => "how long ago, such as 90min, 1h or 7d, or a date such as 2026-11-01 or 2026-11-01T08:30:00Z".into(),
            Self::Mac => "a MAC address such as 52:54:00:12:34:56".into(),
            Self::Address => "an address such as 10.20.0.7, or a network such as 10.20.0.0/24".into(),
            Self::Id => "a UUID".into(),
        }
    }

    /// In one word, as the guide names it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Word(_) => "word",
            Self::Number => "number",
            Self::Bytes | Self::Memory => "size",
            Self::Speed => "speed",
            Self::Percent => "per cent",
            Self::Flag => "yes/no",
            Self::Time => "time",
            Self::Mac => "MAC",
            Self::Address => "address",
            Self::Id => "UUID",
        }
    }

    /// Whether a part of its values can be asked for as a text.
    pub(super) fn is_read_as_text(&self) -> bool {
        matches!(self, Self::Text | Self::Mac | Self::Address | Self::Id | Self::Word(_))
    }
}

/// A list of parts that conditions in brackets can be asked of one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `disks[…]`.
    Disks,
    /// `nics[…]`.
    Nics,
}

impl List {
    /// The name before the bracket.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disks => "disks",
            Self::Nics => "nics",
        }
    }
}

/// A field as the guide shows it.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    /// Which.
    pub field: Field,
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What its values are.
    pub kind: Kind,
    /// Whether a node can have several.
    pub many: bool,
    /// The list whose parts have it.
    pub list: Option<List>,
    /// The head of its column.
    pub title: &'static str,
    /// What it is, one line.
    pub about: &'static str,
}

/// The stages that can be asked for. Most of them no node can reach yet.
const STAGES: &[&str] = &[
    "discovered",
    "approved",
    "installing",
    "installed",
    "ready",
    "handed_over",
    "rejected",
    "quarantined",
    "releasing",
    "rescue",
    "retired",
    "failed",
];
const FIRMWARE: &[&str] = &["bios", "uefi"];
const DISK_KINDS: &[&str] = &["nvme", "ssd", "hdd"];
const ORDERS: &[&str] = &["wait", "reboot", "power_off", "local_disk", "test"];

macro_rules! fields {
    ($($variant:ident $name:literal $([$($alias:literal)*])?, $kind:expr, $many:expr, $list:expr, $title:literal, $about:literal;)*) => {
        /// A field of a node.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = $about] $variant,)*
        }

        /// Every field, in the order in which the guide lists them.
        pub const FIELDS: &[Described] = &[$(Described {
            field: Field::$variant,
            name: $name,
            aliases: &[$($($alias),*)?],
            kind: $kind,
            many: $many,
            list: $list,
            title: $title,
            about: $about,
        },)*];
    };
}

const DISKS: Option<List> = Some(List::Disks);
const NICS: Option<List> = Some(List::Nics);
const ONE: bool = false;
const MANY: bool = true;

fields! {
    Name "name", Kind::Text, ONE, None, "NAME", "the operator's name for it";
    Id "id", Kind::Id, ONE, None, "ID", "its id";
    Stage "stage", Kind::Word(STAGES), ONE, None, "STAGE", "where it stands";
    Serial "serial", Kind::Text, ONE, None, "SERIAL", "serial number of the machine";
    Uuid "uuid", Kind::Id, ONE, None, "UUID", "UUID of the machine (SMBIOS)";
    Mac "mac" ["macs"], Kind::Mac, MANY, None, "MAC", "addresses of its network cards";
    Vendor "vendor", Kind::Text, ONE, None, "VENDOR", "who made it";
    Product "product" ["model"], Kind::Text, ONE, None, "PRODUCT", "the model";
    CpuModel "cpu.model" ["cpu"], Kind::Text, ONE, None, "CPU", "model of the processors";
    CpuThreads "cpu.threads", Kind::Number, ONE, None, "THREADS", "logical processors";
    CpuCores "cpu.cores", Kind::Number, ONE, None, "CORES", "cores of all processors";
    CpuSockets "cpu.sockets", Kind::Number, ONE, None, "SOCKETS", "processor packages";
    Memory "memory", Kind::Memory, ONE, None, "MEMORY", "memory that the kernel can use";
    MemoryInstalled "memory.installed", Kind::Memory, ONE, None, "INSTALLED", "memory that is plugged in";
    MemoryDimms "memory.dimms" ["dimms"], Kind::Number, ONE, None, "DIMMS", "memory modules that are plugged in";
    MemoryCorrected "memory.corrected_errors", Kind::Number, ONE, None, "CORRECTED", "memory errors that were corrected since it started";
    MemoryUncorrected "memory.uncorrected_errors", Kind::Number, ONE, None, "UNCORRECTED", "memory errors that could not be corrected since it started";
    Disks "disks", Kind::Number, ONE, None, "DISKS", "how many disks could hold a system";
    DisksTotal "disks.total", Kind::Bytes, ONE, None, "DISKS TOTAL", "sum of their sizes";
    DiskName "disks.name", Kind::Text, MANY, DISKS, "DISK", "the kernel's name of a disk";
    DiskModel "disks.model", Kind::Text, MANY, DISKS, "DISK MODEL", "model of a disk";
    DiskSerial "disks.serial", Kind::Text, MANY, DISKS, "DISK SERIAL", "serial number of a disk";
    DiskSize "disks.size", Kind::Bytes, MANY, DISKS, "DISK SIZE", "size of a disk";
    DiskKind "disks.kind", Kind::Word(DISK_KINDS), MANY, DISKS, "DISK KIND", "nvme, ssd or hdd";
    DiskWear "disks.wear", Kind::Percent, MANY, DISKS, "WEAR", "how much of a disk's life is used";
    DiskHealthy "disks.healthy", Kind::Flag, MANY, DISKS, "HEALTHY", "whether a disk holds itself for sound";
    Nics "nics", Kind::Number, ONE, None, "NICS", "how many network interfaces";
    NicName "nics.name", Kind::Text, MANY, NICS, "NIC", "names of an interface: the kernel's, and those that udev would give";
    NicMac "nics.mac", Kind::Mac, MANY, NICS, "NIC MAC", "permanent address of an interface";
    NicDriver "nics.driver", Kind::Text, MANY, NICS, "DRIVER", "driver of an interface";
    NicLink "nics.link", Kind::Flag, MANY, NICS, "LINK", "whether an interface has a link";
    NicSpeed "nics.speed", Kind::Speed, MANY, NICS, "SPEED", "speed of the link of an interface";
    NicMostSpeed "nics.most_speed", Kind::Speed, MANY, NICS, "MOST SPEED", "highest speed of an interface";
    NicSwitch "nics.switch" ["switch"], Kind::Text, MANY, NICS, "SWITCH", "the switch at the other end of its cable (LLDP)";
    NicPort "nics.port" ["port"], Kind::Text, MANY, NICS, "PORT", "the port at the other end of its cable (LLDP)";
    Firmware "firmware", Kind::Word(FIRMWARE), ONE, None, "FIRMWARE", "bios or uefi: how it was started";
    FirmwareVersion "firmware.version" ["bios.version"], Kind::Text, ONE, None, "FIRMWARE VERSION", "version of the firmware";
    SecureBoot "secure_boot", Kind::Flag, ONE, None, "SECURE BOOT", "whether UEFI Secure Boot is on";
    Tpm "tpm", Kind::Text, ONE, None, "TPM", "version of the trusted platform module";
    BmcAddress "bmc.address" ["bmc"], Kind::Address, ONE, None, "BMC", "address of the management controller";
    BmcFirmware "bmc.firmware", Kind::Text, ONE, None, "BMC FIRMWARE", "firmware of the management controller";
    Gpus "gpus" ["gpu"], Kind::Text, MANY, None, "GPUS", "models of its accelerators";
    BoardSerial "board.serial", Kind::Text, ONE, None, "BOARD", "serial number of the board";
    ChassisSerial "chassis.serial", Kind::Text, ONE, None, "CHASSIS", "serial number of the chassis";
    AssetTag "asset_tag", Kind::Text, ONE, None, "ASSET TAG", "asset tag of the chassis";
    Rack "rack", Kind::Text, ONE, None, "RACK", "the rack it stands in, where that is known";
    Unit "unit", Kind::Number, ONE, None, "UNIT", "its lowest unit in the rack, where that is known";
    Address "address", Kind::Address, ONE, None, "ADDRESS", "the address it reported from";
    Owner "owner", Kind::Text, ONE, None, "OWNER", "who it belongs to, as an operator wrote";
    Tags "tags" ["tag"], Kind::Text, MANY, None, "TAGS", "words that an operator gave it";
    Note "note", Kind::Text, ONE, None, "NOTE", "what else an operator wrote";
    Reports "reports", Kind::Number, ONE, None, "REPORTS", "how many reports were accepted";
    FirstSeen "first_seen", Kind::Time, ONE, None, "FIRST SEEN", "its first report";
    Seen "seen" ["last_seen"], Kind::Time, ONE, None, "SEEN", "when it was heard last";
    Order "order", Kind::Word(ORDERS), ONE, None, "ORDER", "the last order it was given";
    Boot "boot", Kind::Id, ONE, None, "BOOT", "the boot that reported last";
}

impl Described {
    /// Whether a bare word is looked for in it.
    #[inline]
    pub fn is_searched(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Mac | Kind::Address | Kind::Id) && self.field != Field::Boot
    }
}

impl Field {
    /// Everything about it.
    #[inline]
    pub fn described(self) -> &'static Described {
        &FIELDS[self as usize]
    }

    /// The field of this name or alias; letters of either case.
    pub fn named(name: &str) -> Option<Self> {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        FIELDS.iter().find(|field| is(&field.name) || field.aliases.iter().any(is)).map(|field| field.field)
    }

    /// The field of this name in the parts of a list: `size` of `disks`.
    pub fn of_list(list: List, name: &str) -> Option<Self> {
        Self::in_list(list).find(|field| field.short_name().eq_ignore_ascii_case(name))
    }

    /// The fields that parts of a list have.
    pub fn in_list(list: List) -> impl Iterator<Item = Self> {
        FIELDS.iter().filter(move |field| field.list == Some(list)).map(|field| field.field)
    }

    /// Its name without the list's.
    pub fn short_name(self) -> &'static str {
        let described = self.described();
        match described.list {
            Some(list) => &described.name[list.name().len() + 1..],
            None => described.name,
        }
    }
}

/// The name that is nearest to a mistyped one, if any is near.
pub(super) fn nearest(typed: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let typed: String = typed.chars().take(40).flat_map(char::to_lowercase).collect();
    let likeness = |name: &str| (strsim::jaro_winkler(&typed, name) * 1000.0) as u32;
    // `size` for `disks.size`: the end of a name counts as much as the whole.
    let best = |name: &'static str| likeness(name).max(name.rsplit_once('.').map_or(0, |(_, end)| likeness(end)));
    names
        .map(|name| (best(name), name))
        .filter(|(like, _)| *like >= 820)
        .max_by_key(|(like, name)| (*like, Reverse(name.len())))
        .map(|(_, name)| name)
}

/// Every name and alias.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().flat_map(|field| std::iter::once(field.name).chain(field.aliases.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_name_means_one_field() {
        for (at, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.field as usize, at);
            assert_eq!(Field::named(field.name), Some(field.field));
            assert!(!field.about.is_empty() && field.title.chars().all(|c| c.is_ascii_uppercase() || c == ' '));
            assert_eq!(field.name, field.name.to_ascii_lowercase());
            if let Some(list) = field.list {
                assert!(field.many && field.name.starts_with(&format!("{}.", list.name())));
                assert_eq!(Field::of_list(list, field.field.short_name()), Some(field.field));
            }
        }
        let mut names: Vec<_> = all_names().collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_mistyped_name_finds_the_right_one() {
        for (typed, wanted) in [
            ("disks.sise", "disks.size"),
            ("vender", "vendor"),
            ("disk.size", "disks.size"),
            ("Memroy", "memory"),
            ("secureboot", "secure_boot"),
            ("size", "disks.size"),
        ] {
            assert_eq!(nearest(typed, all_names()), Some(wanted), "{typed}");
        }
        for typed in ["", "zzz", "quux"] {
            assert_eq!(nearest(typed, all_names()), None, "{typed}");
        }
    }
}
