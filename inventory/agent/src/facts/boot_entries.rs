//! UEFI's variables: what is booted in which order, and whether Secure Boot is on (UEFI 2.10, sections 3.1.3 and 3.3).
//!
//! The kernel shows each variable as a file: four bytes of attributes, then the value.

use super::{Gaps, device_path, whole};
use crate::tree::{ReadError, Tree};
use inventory_wire::{BootEntry, Firmware};

const VARIABLES: &str = "sys/firmware/efi/efivars";
/// The GUID of the specification's global variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const MOST_ENTRIES: usize = 256;
/// Load options may carry data of any length behind the path.
const MOST_OF_AN_ENTRY: usize = 16 * 1024;
/// LOAD_OPTION_ACTIVE.
const ACTIVE: u32 = 1;

/// Adds what the variables say. Only on a machine that was started by UEFI.
pub fn look(tree: &Tree, firmware: &mut Firmware, gaps: &mut Gaps) {
    let number = |text: u16| format!("{text:04X}");
    firmware.secure_boot = gaps.known(flag(tree, "SecureBoot"), "firmware.secure_boot");
    firmware.setup_mode = gaps.known(flag(tree, "SetupMode"), "firmware.setup_mode");
    let current = variable(tree, "BootCurrent").and_then(|bytes| {
        let two: Result<[u8; 2], _> = bytes.as_slice().try_into();
        two.map(|two| number(u16::from_le_bytes(two))).map_err(|_| odd("BootCurrent"))
    });
    firmware.boot_current = gaps.known(current, "firmware.boot_current");
    let order = variable(tree, "BootOrder")
        .map(|bytes| bytes.chunks_exact(2).take(MOST_ENTRIES).map(|pair| number(u16::from_le_bytes([pair[0], pair[1]]))).collect());
    firmware.boot_order = gaps.known(order, "firmware.boot_order").unwrap_or_default();
    firmware.boot_entries = entries(tree, gaps);
}

fn entries(tree: &Tree, gaps: &mut Gaps) -> Vec<BootEntry> {
    let names = tree.names(VARIABLES);
    let mut numbers: Vec<&str> = names.iter().filter_map(|name| entry_number(name)).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        gaps.note("firmware.boot_entries", if names.is_empty() { NOT_MOUNTED } else { "the firmware has no UEFI boot entries" });
    }
    numbers.into_iter().take(MOST_ENTRIES).map(|number| entry(tree, number, gaps)).collect()
}

/// `0003` of `Boot0003-8be4df61-…`.
fn entry_number(name: &str) -> Option<&str> {
    let number = name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
    (number.len() == 4 && number.bytes().all(|b| b.is_ascii_hexdigit())).then_some(number)
}

fn entry(tree: &Tree, number: &str, gaps: &mut Gaps) -> BootEntry {
    let path = |field: &str| format!("firmware.boot_entries.{number}.{field}");
    let mut entry = BootEntry { number: Some(number.to_owned()), ..BootEntry::default() };
    match variable(tree, &format!("Boot{number}")) {
        Ok(bytes) => {
            let option = LoadOption::parse(&bytes);
            entry.active = gaps.need(option.active, &path("active"), "the entry is cut short");
            entry.label = gaps.need(option.label, &path("label"), "the entry has no label");
            entry.path = gaps.need(option.path, &path("path"), "the entry has no device path that makes sense");
        }
        Err(why) => gaps.note(path("label"), why),
    }
    entry
}

/// EFI_LOAD_OPTION: attributes, length of the path, label, path, data for what is loaded.
#[derive(Debug, PartialEq, Default)]
struct LoadOption {
    active: Option<bool>,
    label: Option<String>,
    path: Option<String>,
}

impl LoadOption {
    fn parse(bytes: &[u8]) -> Self {
        let &[a, b, c, d, low, high, ref rest @ ..] = bytes else { return Self::default() };
        let active = Some(u32::from_le_bytes([a, b, c, d]) & ACTIVE != 0);
        let length = usize::from(u16::from_le_bytes([low, high]));
        // The label ends with a NUL of two bytes; without one there is no path either.
        let Some(end) = rest.chunks_exact(2).position(|pair| pair == [0, 0]).map(|units| (units + 1) * 2) else {
            return Self { active, ..Self::default() };
        };
        let label = rest.get(..end).and_then(device_path::utf16).map(|(label, _)| label);
        let path = rest.get(end..).map(|rest| rest.get(..length).unwrap_or(rest)).and_then(device_path::text);
        Self { active, label, path }
    }
}

const NOT_MOUNTED: &str = "the UEFI variables are not mounted";

/// The value of a global variable.
fn variable(tree: &Tree, name: &str) -> Result<Vec<u8>, String> {
    match tree.bytes(&format!("{VARIABLES}/{name}-{GLOBAL}"), MOST_OF_AN_ENTRY) {
        Ok(bytes) => bytes.get(4..).map(<[u8]>::to_vec).ok_or_else(|| odd(name)),
        Err(ReadError::Missing(_)) if tree.names(VARIABLES).is_empty() => Err(NOT_MOUNTED.into()),
        Err(ReadError::Missing(_)) => Err(format!("the firmware has no UEFI variable {name}")),
        Err(error) => Err(whole(&error)),
    }
}

fn flag(tree: &Tree, name: &str) -> Result<bool, String> {
    match variable(tree, name)?[..] {
        [value] => Ok(value == 1),
        _ => Err(odd(name)),
    }
}

fn odd(name: &str) -> String {
    format!("the UEFI variable {name} has an odd length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option(attributes: u32, label: &str, path: &[u8]) -> Vec<u8> {
        let label: Vec<u8> = label.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let length = u16::try_from(path.len()).unwrap_or(u16::MAX);
        [&attributes.to_le_bytes()[..], &length.to_le_bytes(), &label, path].concat()
    }

    #[test]
    fn entries_say_what_they_boot_and_whether_they_are_tried() {
        let usb = [3, 5, 6, 0, 1, 0, 0x7f, 0xff, 4, 0];
        let read = |bytes: &[u8]| LoadOption::parse(bytes);
        let expected = LoadOption { active: Some(true), label: Some("UEFI: Größe".into()), path: Some("USB(0x1,0x0)".into()) };
        assert_eq!(read(&[option(1, "UEFI: Größe", &usb), b"WINDOWS".to_vec()].concat()), expected);
        assert_eq!(read(&option(0x10, "", &[])), LoadOption { active: Some(false), ..LoadOption::default() });
        assert_eq!(read(&option(1, "x", &usb)[..7]), LoadOption { active: Some(true), ..LoadOption::default() }, "the label has no end");
        assert_eq!(read(b"\x01\0"), LoadOption::default());
    }

    #[test]
    fn only_numbered_global_variables_are_entries() {
        let global = |name: &str| format!("{name}-{GLOBAL}");
        assert_eq!(entry_number(&global("Boot00FF")), Some("00FF"));
        for name in ["BootOrder", "BootCurrent", "Boot", "Boot00G1", "Boot00001"] {
            assert_eq!(entry_number(&global(name)), None, "{name}");
        }
        assert_eq!(entry_number("Boot0001-00000000-0000-0000-0000-000000000000"), None);
    }

    proptest! {
        #[test]
        fn no_entry_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            LoadOption::parse(&bytes);
        }

        #[test]
        fn a_label_survives(label in "[A-Za-z0-9][ -~]{0,30}[A-Za-z0-9]") {
            prop_assert_eq!(LoadOption::parse(&option(1, &label, &[])).label, Some(label));
        }
    }
}
