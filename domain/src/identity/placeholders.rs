//! What boards and disks say when nobody filled in the field.

use super::uuid_key;
use uuid::{Uuid, uuid};

/// In lower case. The agent has the same list, to tell people; here it protects the inventory from other agents, iPXE and the
/// site's files. `domain/tests/fixtures/placeholders.txt` keeps the two alike.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "to be filled by oem",
    "to be filled",
    "to be set by oem",
    "filled by oem",
    "not specified",
    "not applicable",
    "not available",
    "not provided",
    "not present",
    "not defined",
    "not settable",
    "not set",
    "not supported",
    "not configured",
    "not assigned",
    "not known",
    "no serial",
    "no serial number",
    "no asset tag",
    "no asset information",
    "no enclosure",
    "none",
    "null",
    "nil",
    "(null)",
    "n/a",
    "na",
    "tbd",
    "todo",
    "unknown",
    "unspecified",
    "undefined",
    "unavailable",
    "unset",
    "default string",
    "default",
    "default_string",
    "defaultstring",
    "type1family",
    "o.e.m.",
    "oem",
    "oem_string",
    "invalid",
    "empty",
    "blank",
    "bad index",
    "<bad index>",
    "out of spec",
    "<out of spec>",
    "system manufacturer",
    "system product name",
    "system version",
    "system serial number",
    "system serial",
    "system name",
    "system sku",
    "system uuid",
    "sys serial number",
    "chassis manufacture",
    "chassis manufacturer",
    "chassis version",
    "chassis serial number",
    "chassis serial",
    "enclosure serial number",
    "asset-1234567890",
    "asset tag",
    "asset tag#",
    "base board serial number",
    "baseboard serial number",
    "board serial number",
    "motherboard serial number",
    "mb serial number",
    "mb-1234567890",
    "bsn12345678901234567",
    "ssn12345678901234567",
    "serial",
    "serial number",
    "serialnumber",
    "serial no",
    "serial_number",
    "sn",
    "s/n",
    "sku",
    "family",
    "x.x",
    "string",
    "abcdefgh",
    "987654321",
    "9876543210",
    "deadbeef",
];

/// Counting, in the digits that firmware writes.
const COUNTING: [&str; 2] = ["012345678901234567890123456789", "0123456789abcdef0123456789abcdef"];

/// The longest serial that identifies, bytes.
const LONGEST_SERIAL: usize = 128;

/// The serial, trimmed, unless it is one that boards without a serial report: a placeholder, one repeated sign, plain
/// counting.
pub fn usable_serial(serial: &str) -> Option<String> {
    let trimmed = serial.trim();
    if trimmed.len() > LONGEST_SERIAL || trimmed.contains(char::is_control) {
        return None;
    }
    let lower = trimmed.to_ascii_lowercase();
    let mut signs = lower.chars().filter(|c| c.is_alphanumeric());
    let first = signs.next()?;
    let one_sign = signs.clone().all(|sign| sign == first);
    let filler = one_sign && (signs.count() >= 3 || matches!(first, '0' | 'x'));
    let counting = lower.len() >= 5 && COUNTING.iter().any(|row| row.contains(&lower));
    (!filler && !counting && !PLACEHOLDERS.contains(&lower.as_str())).then(|| trimmed.to_owned())
}

/// The same of a disk. QEMU numbers its disks from `QM00001` in every machine.
pub(super) fn usable_disk(serial: &str) -> Option<String> {
    usable_serial(serial).filter(|serial| !serial.starts_with("QM000"))
}

/// UUIDs that were met in whole batches of machines, in either byte order.
const SHARED: [Uuid; 7] = [
    // The sample of AMI's firmware.
    uuid!("03000200-0400-0500-0006-000700080009"),
    uuid!("07090201-0103-0301-0807-060504030201"),
    uuid!("12345678-1234-5678-90ab-cddeefaabbcc"),
    uuid!("12345678-1234-1234-1234-123456789abc"),
    uuid!("dc698397-fa54-4cf2-82c8-b1b5307a6a7f"),
    uuid!("8e275844-178f-44a8-aceb-a7d7e5178c63"),
    uuid!("890e2d14-cacd-45d1-ae66-bc80e8bfeb0f"),
];

/// The UUID, unless it is one that boards without a UUID report: one that is known from many machines, one of a few repeated
/// bytes, plain counting, or one whose last twelve bytes are all the same.
pub fn usable_uuid(uuid: Uuid) -> Option<Uuid> {
    let key = uuid_key(uuid);
    let shared = SHARED.iter().any(|shared| uuid_key(*shared) == key);
    (!shared && ![uuid, super::turned(uuid)].iter().any(is_a_pattern)).then_some(uuid)
}

fn is_a_pattern(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    let repeats = bytes.iter().zip(&bytes[4..]).all(|(a, b)| a == b);
    let steps = |step: u8| bytes.windows(2).all(|pair| matches!(pair, [a, b] if *b == a.wrapping_add(step)));
    let unfinished = bytes[4..].iter().all(|byte| *byte == bytes[4]);
    repeats || unfinished || steps(1) || steps(u8::MAX) || steps(0x11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_boards_say_instead_of_a_serial_is_told_from_a_serial() {
        let texts = include_str!("../../tests/fixtures/placeholders.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in texts {
            let (kind, text) = line.split_at(10);
            let expected = (kind.trim() == "serial").then_some(text);
            for spelled in [text.to_owned(), format!(" {text} ")] {
                assert_eq!(usable_serial(&spelled).as_deref(), expected, "{line}");
            }
            if expected.is_none() {
                assert_eq!(usable_serial(&text.to_uppercase()), None, "{line}");
                assert_eq!(usable_serial(&text.to_lowercase()), None, "{line}");
            }
        }
        let listed = include_str!("../../tests/fixtures/placeholders.txt").to_lowercase();
        for text in PLACEHOLDERS {
            assert!(listed.lines().any(|line| line.ends_with(&format!(" {text}"))), "{text} stands in no line of the fixture");
        }
    }

    #[test]
    fn hostile_and_endless_texts_are_no_serials() {
        for text in ["", "  ", "a\u{1b}[2Jb", "a\nb", &"ab".repeat(LONGEST_SERIAL)] {
            assert_eq!(usable_serial(text), None, "{text:?}");
        }
        assert_eq!(usable_serial("Zürich 1").as_deref(), Some("Zürich 1"));
    }

    #[test]
    fn disks_of_virtual_machines_that_are_numbered_alike_everywhere_are_no_evidence() {
        assert_eq!((usable_disk("QM00001"), usable_disk("None")), (None, None));
        assert_eq!(usable_disk("OVLAB-0001-A").as_deref(), Some("OVLAB-0001-A"));
    }

    #[test]
    fn uuids_of_many_machines_identify_none_in_either_byte_order() {
        let of_many = [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "fefefefe-fefe-fefe-fefe-fefefefefefe",
            "58585858-5858-5858-5858-585858585858",
            "03000200-0400-0500-0006-000700080009",
            "00020003-0004-0005-0006-000700080009",
            "12345678-1234-5678-90ab-cddeefaabbcc",
            "00010203-0405-0607-0809-0a0b0c0d0e0f",
            "00112233-4455-6677-8899-aabbccddeeff",
            "deadbeef-dead-beef-dead-beefdeadbeef",
            "56f49712-ffff-ffff-ffff-ffffffffffff",
            "12345678-0000-0000-0000-000000000000",
            "07090201-0103-0301-0807-060504030201",
        ];
        for text in of_many {
            let uuid: Uuid = text.parse().expect("a UUID");
            assert_eq!((usable_uuid(uuid), usable_uuid(super::super::turned(uuid))), (None, None), "{text}");
        }
        // Made of a network card's address, as some boards do, and of AMI's sample and such an address.
        for text in ["00000000-0000-0000-0000-0cc47a123456", "03d502e0-045e-0551-5706-6c0700080009", "4c4c4544-0042-3510-8052-b3c04f4b4e32"]
        {
            let uuid: Uuid = text.parse().expect("a UUID");
            assert_eq!(usable_uuid(uuid), Some(uuid), "{text}");
        }
    }
}
