//! Names of vendors, devices and classes, from the list of the PCI ID Project as Debian's package `pci.ids` installs it.
//!
//! ```text
//! 8086  Intel Corporation
//! <TAB>1572  Ethernet Controller X710 for 10GbE SFP+
//! <TAB><TAB>1028 1f99  subsystem (not read)
//! C 02  Network controller
//! <TAB>00  Ethernet controller
//! ```
//!
//! Own code: only the lines of the devices at hand are kept. The crates that do this either hold all of its 1.4 MB in maps,
//! which is much for a ramdisk, or compile it in after fetching it from the network while building.

use crate::tree::{Tree, text_of};
use std::collections::BTreeMap;

/// Debian's place, and that of others.
const PLACES: [&str; 2] = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];
const MOST_OF_THE_LIST: usize = 8 << 20;

/// What a device says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    /// Its vendor.
    pub vendor: u16,
    /// The vendor's number for it.
    pub device: u16,
    /// Class, subclass and programming interface, a byte each.
    pub class: u32,
}

/// The names of what was asked for.
#[derive(Debug, Default)]
pub struct Names {
    vendors: BTreeMap<u16, Option<String>>,
    devices: BTreeMap<(u16, u16), Option<String>>,
    /// By class and subclass; a class as a whole by its first number and `None`.
    classes: BTreeMap<(u8, Option<u8>), Option<String>>,
}

impl Names {
    /// Reads those of `ids`.
    pub fn read(tree: &Tree, ids: &[Option<Id>]) -> Result<Self, String> {
        let list = PLACES.iter().find_map(|place| tree.bytes(place, MOST_OF_THE_LIST).ok());
        let list = list.ok_or_else(|| format!("there is no list of names, /{}: the package pci.ids has it", PLACES[0]))?;
        Ok(Self::parse(&list, ids))
    }

    fn parse(list: &[u8], ids: &[Option<Id>]) -> Self {
        let mut names = Self::default();
        for id in ids.iter().flatten() {
            names.vendors.insert(id.vendor, None);
            names.devices.insert((id.vendor, id.device), None);
            names.classes.insert((id.class_number(), None), None);
            names.classes.insert((id.class_number(), Some(id.subclass())), None);
        }
        let mut section = Section::Other;
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', list).chain([list.len()]) {
            names.take(list.get(begin..end).unwrap_or_default(), &mut section);
            begin = end + 1;
        }
        names
    }

    fn take(&mut self, line: &[u8], section: &mut Section) {
        let found = match (line, *section) {
            ([b'\t', b'\t', ..] | [b'#', ..] | [], _) => return,
            ([b'\t', rest @ ..], Section::Vendor(vendor)) => numbered(rest, 4).and_then(|(number, name)| {
                let place = self.devices.get_mut(&(vendor, u16::try_from(number).ok()?))?;
                Some((place, name))
            }),
            ([b'\t', rest @ ..], Section::Class(class)) => numbered(rest, 2).and_then(|(number, name)| {
                let place = self.classes.get_mut(&(class, Some(u8::try_from(number).ok()?)))?;
                Some((place, name))
            }),
            ([b'\t', ..], Section::Other) => return,
            ([b'C', b' ', rest @ ..], _) => {
                let class = numbered(rest, 2).and_then(|(number, name)| Some((u8::try_from(number).ok()?, name)));
                let wanted = class.filter(|(class, _)| self.classes.contains_key(&(*class, None)));
                *section = wanted.map_or(Section::Other, |(class, _)| Section::Class(class));
                wanted.and_then(|(class, name)| Some((self.classes.get_mut(&(class, None))?, name)))
            }
            (rest, _) => {
                let vendor = numbered(rest, 4).and_then(|(number, name)| Some((u16::try_from(number).ok()?, name)));
                let wanted = vendor.filter(|(vendor, _)| self.vendors.contains_key(vendor));
                *section = wanted.map_or(Section::Other, |(vendor, _)| Section::Vendor(vendor));
                wanted.and_then(|(vendor, name)| Some((self.vendors.get_mut(&vendor)?, name)))
            }
        };
        if let Some((place, name)) = found {
            *place = text_of(name);
        }
    }

    /// The vendor's name.
    pub fn vendor(&self, id: Id) -> Option<String> {
        self.vendors.get(&id.vendor).cloned().flatten()
    }

    /// The device's name.
    pub fn device(&self, id: Id) -> Option<String> {
        self.devices.get(&(id.vendor, id.device)).cloned().flatten()
    }

    /// The subclass's name, else that of its class.
    pub fn class(&self, id: Id) -> Option<String> {
        let name = |subclass| self.classes.get(&(id.class_number(), subclass)).cloned().flatten();
        name(Some(id.subclass())).or_else(|| name(None))
    }
}

impl Id {
    fn class_number(self) -> u8 {
        (self.class >> 16) as u8
    }

    fn subclass(self) -> u8 {
        (self.class >> 8) as u8
    }
}

/// Whose lines follow.
#[derive(Clone, Copy)]
enum Section {
    Vendor(u16),
    Class(u8),
    Other,
}

/// A number of so many hexadecimal digits, two spaces, a name.
fn numbered(line: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = line.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(number, 16).ok()?, rest.strip_prefix(b"  ")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &[u8] = b"# comment\n\n8086  Intel Corporation\n\t1572  Ethernet Controller X710\n\t\t1028 1f99  Dell card\n\t1573  Other\n\
10de  NVIDIA Corporation\n\t1572  GPU\nffff  Illegal Vendor ID\nC 02  Network controller\n\t00  Ethernet controller\n\t\t01  x\nC 03  Display controller\n\t00  VGA\n";

    fn id(vendor: u16, device: u16, class: u32) -> Id {
        Id { vendor, device, class }
    }

    #[test]
    fn names_are_found_by_number() {
        let (nic, gpu, odd) = (id(0x8086, 0x1572, 0x020000), id(0x10de, 0x1572, 0x030200), id(0x1234, 1, 0xff0000));
        let names = Names::parse(LIST, &[Some(nic), None, Some(gpu), Some(odd)]);
        assert_eq!(names.vendor(nic).as_deref(), Some("Intel Corporation"));
        assert_eq!(names.device(nic).as_deref(), Some("Ethernet Controller X710"));
        assert_eq!(names.class(nic).as_deref(), Some("Ethernet controller"));
        assert_eq!(names.device(gpu).as_deref(), Some("GPU"), "numbers are the vendor's");
        assert_eq!(names.class(gpu).as_deref(), Some("Display controller"), "the subclass has no name");
        assert_eq!((names.vendor(odd), names.device(odd), names.class(odd)), (None, None, None));
        assert_eq!(names.devices.len(), 3, "nothing else is kept");
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[\t 0-9a-fC#\n]{0,300}", vendor in any::<u16>(), class in any::<u32>()) {
            let id = id(vendor, 0, class);
            let names = Names::parse(list.as_bytes(), &[Some(id)]);
            names.class(id);
        }
    }
}
