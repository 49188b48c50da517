//! Everything on the PCI buses: what the kernel shows under `/sys/bus/pci/devices`, with names and slots.
//!
//! Gaps are noted for all devices together (`pci.*.link_speed`), for there are hundreds of them: a bridge without a driver
//! is no news.

mod names;
mod slots;

pub use slots::Slots;

use super::Gaps;
use super::smbios::Smbios;
use crate::tree::Tree;
use inventory_wire::PciDevice;
use names::{Id, Names};

const DEVICES: &str = "sys/bus/pci/devices";
/// Large servers have some hundreds of functions, and some thousands with virtual ones.
const MOST_DEVICES: usize = 4096;

/// The reason of a gap where the list of names was left for later.
pub const NOT_READ_YET: &str = "the list of PCI names is still to be read";

/// Looks at them, in the order of their addresses. `in_haste` leaves out their names, whose list takes time.
pub fn look(tree: &Tree, smbios: Result<&Smbios<'_>, String>, in_haste: bool, gaps: &mut Gaps) -> Vec<PciDevice> {
    let addresses: Vec<String> = tree.names(DEVICES).into_iter().filter(|name| is_address(name)).take(MOST_DEVICES).collect();
    if addresses.is_empty() {
        gaps.note("pci", "the kernel shows no PCI bus");
        return Vec::new();
    }
    let ids: Vec<Option<Id>> = addresses.iter().map(|address| id(tree, address)).collect();
    let names = if in_haste { Err(NOT_READ_YET.to_owned()) } else { Names::read(tree, &ids) };
    let slots = smbios.map(Slots::read);
    let devices: Vec<PciDevice> =
        addresses.iter().zip(ids).map(|(address, id)| device(tree, address, id, names.as_ref().ok(), slots.as_ref().ok())).collect();
    let no_names = names.err().unwrap_or_else(|| "the list of names does not have it".into());
    let no_slots = slots.err().unwrap_or_else(|| "SMBIOS names no slot at its address (types 9 and 41)".into());
    note_what_is_missing(&devices, &no_names, &no_slots, gaps);
    devices
}

/// The device at an address.
pub fn at<'d>(devices: &'d [PciDevice], address: &str) -> Option<&'d PciDevice> {
    devices.iter().find(|device| device.address.as_deref() == Some(address))
}

/// `0000:00:03.0`; domains behind Intel's VMD have five digits.
pub fn is_address(text: &str) -> bool {
    let lengths: Vec<usize> = text.split([':', '.']).map(str::len).collect();
    matches!(lengths[..], [4 | 5, 2, 2, 1]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
}

fn id(tree: &Tree, address: &str) -> Option<Id> {
    let hex = |file: &str| u32::from_str_radix(tree.text(&format!("{DEVICES}/{address}/{file}"))?.strip_prefix("0x")?, 16).ok();
    let short = |file: &str| hex(file).and_then(|number| u16::try_from(number).ok());
    Some(Id { vendor: short("vendor")?, device: short("device")?, class: hex("class")? & 0x00ff_ffff })
}

fn device(tree: &Tree, address: &str, id: Option<Id>, names: Option<&Names>, slots: Option<&Slots>) -> PciDevice {
    let at = |file: &str| format!("{DEVICES}/{address}/{file}");
    let digits = |file: &str| tree.text(&at(file))?.strip_prefix("0x").filter(|hex| is_hex(hex)).map(str::to_owned);
    let subsystem = digits("subsystem_vendor").zip(digits("subsystem_device"));
    // "Unknown" and "Unknown speed" stand where nothing is plugged in or the bus is older than PCI Express; so does width 0 or 255.
    let speed = |file: &str| tree.text(&at(file)).filter(|speed| !speed.starts_with("Unknown"));
    let width = |file: &str| tree.number(&at(file)).and_then(|lanes| u32::try_from(lanes).ok()).filter(|lanes| (1..=64).contains(lanes));
    PciDevice {
        address: Some(address.to_owned()),
        class: id.map(|id| format!("{:06x}", id.class)),
        class_name: id.zip(names).and_then(|(id, names)| names.class(id)),
        vendor_id: id.map(|id| format!("{:04x}", id.vendor)),
        device_id: id.map(|id| format!("{:04x}", id.device)),
        subsystem: subsystem.map(|(vendor, device)| format!("{vendor}:{device}")).filter(|pair| pair != "0000:0000"),
        revision: digits("revision"),
        vendor: id.zip(names).and_then(|(id, names)| names.vendor(id)),
        device: id.zip(names).and_then(|(id, names)| names.device(id)),
        driver: tree.link_name(&at("driver")),
        numa_node: tree.number(&at("numa_node")).and_then(|node| u32::try_from(node).ok()),
        link_speed: speed("current_link_speed"),
        link_width: width("current_link_width"),
        most_link_speed: speed("max_link_speed"),
        most_link_width: width("max_link_width"),
        slot: slots.and_then(|slots| slots.of(&tree.real_parts(&format!("{DEVICES}/{address}")))),
        ..PciDevice::default()
    }
}

fn is_hex(text: &str) -> bool {
    (2..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// One gap for each fact that some devices lack.
fn note_what_is_missing(devices: &[PciDevice], no_names: &str, no_slots: &str, gaps: &mut Gaps) {
    let mut note = |field: &str, has: fn(&PciDevice) -> bool, reason: &str| {
        let lacking = devices.iter().filter(|device| !has(device)).count();
        if lacking > 0 {
            gaps.note(format!("pci.*.{field}"), format!("{lacking} of {}: {reason}", devices.len()));
        }
    };
    let not_readable = "the kernel does not say";
    note("class", |device| device.class.is_some(), not_readable);
    note("class_name", |device| device.class_name.is_some(), no_names);
    note("subsystem", |device| device.subsystem.is_some(), "the device has none");
    note("revision", |device| device.revision.is_some(), not_readable);
    note("vendor", |device| device.vendor.is_some(), no_names);
    note("device", |device| device.device.is_some(), no_names);
    note("driver", |device| device.driver.is_some(), "no driver is bound to it");
    note("numa_node", |device| device.numa_node.is_some(), "the firmware does not say");
    note("link_speed", |device| device.link_speed.is_some(), "it has no PCI Express link");
    note("link_width", |device| device.link_width.is_some(), "it has no PCI Express link");
    note("most_link_speed", |device| device.most_link_speed.is_some(), "it has no PCI Express link");
    note("most_link_width", |device| device.most_link_width.is_some(), "it has no PCI Express link");
    note("slot", |device| device.slot.is_some(), no_slots);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_recognised() {
        assert!(is_address("0000:00:03.0") && is_address("10000:e1:00.1"));
        assert!(!is_address("pci0000:00") && !is_address("virtio1") && !is_address("0000:00:03:0x"));
    }
}
