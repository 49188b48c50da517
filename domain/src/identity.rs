//! Which machine is this? From what the firmware says of itself to one node of the inventory.
//!
//! Boards lie: serials that were never filled in, UUIDs of zeros, one UUID in a whole batch. What is known to be
//! a placeholder is dropped first; what is left decides, strongest first.

use crate::ids::NodeId;
use crate::mac::MacAddr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What can tell one machine from another. Placeholders never get in here; see [`Identity::new`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// SMBIOS type 1 UUID.
    pub uuid: Option<Uuid>,
    /// SMBIOS type 1 serial number.
    pub serial: Option<String>,
    /// Permanent addresses of its network cards.
    pub macs: BTreeSet<MacAddr>,
}

impl Identity {
    /// Keeps what identifies and drops placeholders.
    pub fn new(uuid: Option<Uuid>, serial: Option<&str>, macs: impl IntoIterator<Item = MacAddr>) -> Self {
        Self {
            uuid: uuid.and_then(usable_uuid),
            serial: serial.and_then(usable_serial),
            macs: macs.into_iter().filter(MacAddr::is_a_machines).collect(),
        }
    }

    /// Whether nothing at all is known that could identify.
    pub fn is_empty(&self) -> bool {
        self.uuid.is_none() && self.serial.is_none() && self.macs.is_empty()
    }
}

/// What the inventory should do with a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// It is this node; the reason in words.
    Known(NodeId, &'static str),
    /// Nobody like it was seen before.
    New,
    /// It fits several nodes equally well: a person must look.
    Ambiguous(Vec<NodeId>),
    /// Nothing in it identifies a machine.
    Nameless,
}

/// Recognises a machine among the nodes that share something with it.
///
/// 1. UUID and serial both agree.
/// 2. The serial agrees, and the UUID is missing on one side or a network card is shared (a board was swapped
///    or its firmware rewritten, the chassis and its sticker stayed).
/// 3. The UUID agrees and the serial is missing on one side, or a card is shared. Two machines with one UUID and
///    two serials are twins of a careless factory, not one machine.
/// 4. Neither side has UUID or serial, and a network card is shared. Otherwise a MAC address alone never
///    identifies: cards move.
pub fn recognise(seen: &Identity, known: &[(NodeId, Identity)]) -> Recognised {
    if seen.is_empty() {
        return Recognised::Nameless;
    }
    let rules: [(&str, fn(&Alike) -> bool); 4] = [
        ("UUID and serial agree", |a| a.uuid == Alikeness::Same && a.serial == Alikeness::Same),
        ("the serial agrees", |a| a.serial == Alikeness::Same && (a.uuid == Alikeness::Unknown || a.card)),
        ("the UUID agrees", |a| a.uuid == Alikeness::Same && (a.serial == Alikeness::Unknown || a.card)),
        ("a network card agrees and neither has UUID or serial", |a| a.card && a.anonymous),
    ];
    for (reason, rule) in rules {
        let fitting: Vec<_> = known.iter().filter(|(_, other)| rule(&alike(seen, other))).map(|(id, _)| *id).collect();
        match fitting[..] {
            [] => {}
            [only] => return Recognised::Known(only, reason),
            _ => return Recognised::Ambiguous(fitting),
        }
    }
    Recognised::New
}

#[derive(PartialEq)]
enum Alikeness {
    Same,
    Different,
    Unknown,
}

struct Alike {
    uuid: Alikeness,
    serial: Alikeness,
    card: bool,
    anonymous: bool,
}

fn alike(a: &Identity, b: &Identity) -> Alike {
    fn compare<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> Alikeness {
        match (a, b) {
            (Some(a), Some(b)) if a == b => Alikeness::Same,
            (Some(_), Some(_)) => Alikeness::Different,
            _ => Alikeness::Unknown,
        }
    }
    let nameless = |identity: &Identity| identity.uuid.is_none() && identity.serial.is_none();
    Alike {
        uuid: compare(&a.uuid, &b.uuid),
        serial: compare(&a.serial, &b.serial),
        card: !a.macs.is_disjoint(&b.macs),
        anonymous: nameless(a) && nameless(b),
    }
}

/// The UUID, unless it is one that boards without a UUID report.
pub fn usable_uuid(uuid: Uuid) -> Option<Uuid> {
    let bytes = uuid.as_bytes();
    let uniform = bytes.iter().all(|b| b == &bytes[0]);
    // AMI's sample firmware: 03000200-0400-0500-0006-000700080009, in both byte orders.
    let sample = [0x03000200_0400_0500_0006_000700080009u128, 0x00020003_0004_0005_0006_000700080009u128];
    (!uniform && !sample.contains(&uuid.as_u128())).then_some(uuid)
}

/// What boards say when nobody filled in the field, in lower case. The agent has the same list, to tell people; here it
/// protects the inventory from other agents, iPXE and the site's files.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "not specified",
    "not applicable",
    "not available",
    "not provided",
    "not present",
    "not defined",
    "not settable",
    "not set",
    "no asset tag",
    "no asset information",
    "no enclosure",
    "none",
    "null",
    "n/a",
    "na",
    "unknown",
    "undefined",
    "default string",
    "default",
    "default_string",
    "type1family",
    "o.e.m.",
    "oem",
    "invalid",
    "empty",
    "system manufacturer",
    "system product name",
    "system version",
    "system serial number",
    "system name",
    "chassis manufacture",
    "chassis version",
    "chassis serial number",
    "asset-1234567890",
    "asset tag",
    "base board serial number",
    "board serial number",
    "serial",
    "sku",
    "family",
    "x.x",
];

/// The longest serial that identifies, bytes.
const LONGEST_SERIAL: usize = 128;

/// The serial, trimmed, unless it is one that boards without a serial report: a placeholder, one repeated sign, plain
/// counting.
pub fn usable_serial(serial: &str) -> Option<String> {
    let trimmed = serial.trim();
    let lower = trimmed.to_ascii_lowercase();
    let mut signs = lower.chars().filter(|c| c.is_alphanumeric());
    let first = signs.next()?;
    let one_sign = signs.clone().all(|sign| sign == first);
    let filler = one_sign && (signs.count() >= 3 || matches!(first, '0' | 'x'));
    let counting = trimmed.len() >= 5 && "01234567890123456789".contains(trimmed);
    let fits = trimmed.len() <= LONGEST_SERIAL && !trimmed.contains(char::is_control);
    (fits && !filler && !counting && !PLACEHOLDERS.contains(&lower.as_str())).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> NodeId {
        NodeId(Uuid::from_u128(n))
    }

    fn seen(uuid: u128, serial: &str, macs: &[u8]) -> Identity {
        let uuid = (uuid != 0).then(|| Uuid::from_u128(0xabcdef << 64 | uuid));
        Identity::new(uuid, Some(serial), macs.iter().map(|&last| MacAddr([0x52, 0x54, 0, 0, 0, last])))
    }

    #[test]
    fn machines_are_recognised_by_what_does_not_change() {
        let cases = [
            ("the same machine again", seen(1, "A1", &[1]), Recognised::Known(id(1), "UUID and serial agree")),
            ("a new network card", seen(1, "A1", &[9]), Recognised::Known(id(1), "UUID and serial agree")),
            ("a new board with the old card", seen(7, "A1", &[1]), Recognised::Known(id(1), "the serial agrees")),
            ("firmware lost its serial", seen(1, "", &[1]), Recognised::Known(id(1), "the UUID agrees")),
            ("firmware lost its UUID", seen(0, "A1", &[1]), Recognised::Known(id(1), "the serial agrees")),
            ("a serial typed twice in the factory", seen(7, "A1", &[9]), Recognised::New),
            ("a twin with the same UUID", seen(1, "A2", &[9]), Recognised::New),
            ("a card moved to another machine", seen(8, "A8", &[1]), Recognised::New),
            ("no UUID, no serial, only a moved card", seen(0, "", &[1]), Recognised::New),
            ("nothing at all", seen(0, "", &[]), Recognised::Nameless),
        ];
        let known = [(id(1), seen(1, "A1", &[1])), (id(2), seen(2, "B2", &[2]))];
        for (what, machine, expected) in cases {
            assert_eq!(recognise(&machine, &known), expected, "{what}");
        }
    }

    #[test]
    fn a_machine_without_names_is_known_by_its_card_among_its_like() {
        let known = [(id(3), seen(0, "", &[3]))];
        assert!(matches!(recognise(&seen(0, "None", &[3]), &known), Recognised::Known(found, _) if found == id(3)));
    }

    #[test]
    fn two_equal_candidates_are_left_to_a_person() {
        let known = [(id(1), seen(0, "A1", &[1])), (id(2), seen(0, "A1", &[2]))];
        assert_eq!(recognise(&seen(5, "A1", &[]), &known), Recognised::Ambiguous(vec![id(1), id(2)]));
    }

    #[test]
    fn placeholders_are_no_identity() {
        let made_up = [
            "",
            "  ",
            "-",
            "...",
            "0",
            "00",
            "0000000000",
            "00:00:00:00",
            "x",
            "XXXXXXXX",
            "ffffffff",
            "1111",
            "12345",
            "1234567890",
            "123456789",
            "0123456789",
            "To Be Filled By O.E.M.",
            " Default string ",
            "NULL",
            "Not Settable",
            "SYSTEM NAME",
            "Undefined",
            "Asset-1234567890",
            "a\u{1b}[2Jb",
            "a\nb",
        ];
        for text in made_up.iter().chain(PLACEHOLDERS) {
            assert_eq!(usable_serial(text), None, "{text:?}");
            assert_eq!(usable_serial(&text.to_uppercase()), None, "{text:?}");
        }
        assert_eq!(usable_serial(&"ab".repeat(LONGEST_SERIAL)), None);
        for text in ["VM-0001", "1", "7", "11", "AAA", "CZ12345678", "J1A2B3", "12345X", "1234", "98765", "0001", "None-1", "Zürich 1"] {
            assert_eq!(usable_serial(&format!(" {text} ")).as_deref(), Some(text), "{text:?}");
        }
        for text in ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "03000200-0400-0500-0006-000700080009"]
        {
            assert_eq!(usable_uuid(text.parse().expect("uuid")), None, "{text}");
        }
    }
}
