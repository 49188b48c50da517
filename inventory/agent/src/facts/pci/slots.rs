//! What is printed beside a slot, by the address on the bus (SMBIOS type 9, DSP0134 section 7.10, and type 41, section 7.42).

use crate::facts::placeholder;
use crate::facts::smbios::{ONBOARD_DEVICE, SLOT, Smbios, Structure};
use crate::tree::text_of;

const MOST_SLOTS: usize = 512;

/// The slots of a machine.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Slots {
    /// The names of slots by domain, bus and device: all functions of a card, and all behind its bridge, are in it.
    slots: Vec<(String, String)>,
    /// The names of devices that are soldered on, by the whole address.
    onboard: Vec<(String, String)>,
}

impl Slots {
    /// Reads the tables.
    pub fn read(smbios: &Smbios<'_>) -> Self {
        let slots = smbios.all(SLOT).take(MOST_SLOTS).filter_map(|slot| {
            let (card, _) = address(slot, 0x0d)?;
            Some((card, name(slot)?))
        });
        // The top bit of the type tells whether the device is switched on; its address holds in either case.
        let onboard = smbios.all(ONBOARD_DEVICE).take(MOST_SLOTS).filter_map(|device| {
            let (card, function) = address(device, 7)?;
            Some((format!("{card}.{function}"), name(device)?))
        });
        Self { slots: slots.collect(), onboard: onboard.collect() }
    }

    /// The name for the device at the end of `path`, the devices from the root on.
    pub fn of(&self, path: &[String]) -> Option<String> {
        let own = path.last()?;
        let find = |names: &[(String, String)], address: &str| names.iter().find(|(at, _)| at == address).map(|(_, name)| name.clone());
        let slot_of = |part: &String| part.rsplit_once('.').and_then(|(card, _)| find(&self.slots, card));
        find(&self.onboard, own).or_else(|| path.iter().rev().find_map(slot_of))
    }
}

fn name(structure: &Structure<'_>) -> Option<String> {
    structure.string(4).and_then(text_of).filter(|name| !placeholder::says_nothing(name))
}

/// Domain, bus, and device with function, at `offset`. All ones mean that there is none; firmware that does not know writes the
/// first address of all, which is never a slot.
fn address(structure: &Structure<'_>, offset: usize) -> Option<(String, u8)> {
    let (domain, bus, place) = (structure.word(offset)?, structure.byte(offset + 2)?, structure.byte(offset + 3)?);
    let none = (bus == 0xff && place == 0xff) || (domain, bus, place) == (0, 0, 0);
    (!none).then(|| (format!("{domain:04x}:{bus:02x}:{:02x}", place >> 3), place & 7))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn structure(kind: u8, length: u8, address: (usize, [u8; 4]), name: &str) -> Vec<u8> {
        let mut bytes = vec![kind, length, 0, 0, 1];
        bytes.resize(usize::from(length), 0);
        bytes[address.0..address.0 + 4].copy_from_slice(&address.1);
        bytes.extend([name.as_bytes(), &[0, 0]].concat());
        bytes
    }

    #[test]
    fn cards_are_in_their_slot_with_all_their_functions_and_what_is_behind_their_bridges() {
        let tables = [
            structure(SLOT, 0x11, (0x0d, [0, 0, 0x3b, 0]), "PCIe Slot 3"),
            structure(SLOT, 0x11, (0x0d, [0, 0, 0xff, 0xff]), "PCIe Slot 4"),
            structure(SLOT, 0x11, (0x0d, [0, 0, 0, 0]), "Slot 5"),
            structure(ONBOARD_DEVICE, 0x0b, (7, [0, 0, 2, 1]), "Onboard LAN 2"),
            structure(SLOT, 0x0c, (8, [0; 4]), "old"),
        ]
        .concat();
        let slots = Slots::read(&Smbios::parse(b"", &tables));
        let of = |path: &str| slots.of(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1").as_deref(), Some("PCIe Slot 3"));
        assert_eq!(of("pci0000:3a/0000:3b:00.0/0000:3c:01.0/0000:3d:00.0").as_deref(), Some("PCIe Slot 3"));
        assert_eq!(of("pci0000:00/0000:02:00.1").as_deref(), Some("Onboard LAN 2"));
        assert_eq!((of("pci0000:00/0000:02:00.0"), of("pci0000:00/0000:00:00.0"), of("")), (None, None, None));
    }
}
