//! UEFI device paths as text (UEFI 2.10, section 10.3 for the bytes, 10.6 for the text). Nodes that are rare on servers are
//! written as `Path(type,subtype,bytes)`, which loses nothing.

use crate::tree::text_of;
use std::net::{Ipv4Addr, Ipv6Addr};

const MOST_NODES: usize = 64;
const END: u8 = 0x7f;
/// The longest text of unknown bytes.
const MOST_BYTES: usize = 64;

/// The text of a path; `None` when nothing of it makes sense.
pub fn text(mut bytes: &[u8]) -> Option<String> {
    let mut nodes = Vec::new();
    while let Some((kind, subkind, data, rest)) = node(bytes) {
        if kind == END || nodes.len() == MOST_NODES {
            break;
        }
        nodes.push(node_text(kind, subkind, data));
        bytes = rest;
    }
    (!nodes.is_empty()).then(|| nodes.join("/"))
}

/// Type, subtype, content and what follows.
fn node(bytes: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let &[kind, subkind, low, high, ..] = bytes else { return None };
    let length = usize::from(u16::from_le_bytes([low, high]));
    Some((kind, subkind, bytes.get(4..length)?, bytes.get(length..)?))
}

fn node_text(kind: u8, subkind: u8, data: &[u8]) -> String {
    let known = match (kind, subkind) {
        (1, 1) => number::<1>(data, 1).zip(number::<1>(data, 0)).map(|(device, function)| format!("Pci({device:#x},{function:#x})")),
        (1, 4) => guid(data, 0).map(|guid| format!("VenHw({guid}{})", rest(data, 16))),
        (2, 1) => acpi(data),
        (3, 1) => pair(data, 0, 1, 1).map(|(primary, slave)| {
            format!("Ata({},{})", if primary == 0 { "Primary" } else { "Secondary" }, if slave == 0 { "Master" } else { "Slave" })
        }),
        (3, 2) => pair(data, 0, 2, 2).map(|(target, unit)| format!("Scsi({target:#x},{unit:#x})")),
        (3, 5) => pair(data, 0, 1, 1).map(|(port, interface)| format!("USB({port:#x},{interface:#x})")),
        (3, 10) => guid(data, 0).map(|guid| format!("VenMsg({guid}{})", rest(data, 16))),
        (3, 11) => mac(data),
        (3, 12) => ipv4(data),
        (3, 13) => ipv6(data),
        (3, 18) => sata(data),
        (3, 20) => number::<2>(data, 0).map(|id| format!("Vlan({id})")),
        (3, 23) => nvme(data),
        (3, 24) => text_of(data).map(|uri| format!("Uri({uri})")).or(Some("Uri()".into())),
        (4, 1) => disk_part(data),
        (4, 2) => number::<4>(data, 0).map(|entry| format!("CDROM({entry:#x})")),
        (4, 3) => guid(data, 0).map(|guid| format!("VenMedia({guid}{})", rest(data, 16))),
        (4, 4) => utf16(data).map(|(name, _)| format!("File({name})")),
        (4, 6) => guid(data, 0).map(|guid| format!("FvFile({guid})")),
        (4, 7) => guid(data, 0).map(|guid| format!("Fv({guid})")),
        (5, 1) => text_of(data.get(4..).unwrap_or_default()).map(|name| format!("BBS({name})")),
        _ => None,
    };
    known.unwrap_or_else(|| format!("Path({kind},{subkind}{})", rest(data, 0)))
}

/// `PciRoot(0x0)`: the hardware id is PNP0A03 or PNP0A08, compressed as EISA does.
fn acpi(data: &[u8]) -> Option<String> {
    let (hid, uid) = (number::<4>(data, 0)?, number::<4>(data, 4)?);
    Some(match hid {
        0x0a03_41d0 => format!("PciRoot({uid:#x})"),
        0x0a08_41d0 => format!("PcieRoot({uid:#x})"),
        hid if hid & 0xffff == 0x41d0 => format!("Acpi(PNP{:04X},{uid:#x})", hid >> 16),
        hid => format!("Acpi({hid:#010x},{uid:#x})"),
    })
}

/// Thirty-two bytes of address, of which Ethernet (interface types 0 and 1) uses six.
fn mac(data: &[u8]) -> Option<String> {
    let kind = number::<1>(data, 32)?;
    let length = if kind <= 1 { 6 } else { 32 };
    Some(format!("MAC({},{kind:#x})", hex(data.get(..length)?)))
}

/// Local address, remote address, ports, protocol, whether the local address is fixed, then gateway and mask.
fn ipv4(data: &[u8]) -> Option<String> {
    let address = |at: usize| data.get(at..at + 4)?.try_into().ok().map(|bytes: [u8; 4]| Ipv4Addr::from(bytes));
    let origin = if number::<1>(data, 14)? == 0 { "DHCP" } else { "Static" };
    Some(format!("IPv4({},{},{origin},{})", address(4)?, protocol(number::<2>(data, 12)?), address(0)?))
}

/// Local address, remote address, ports, protocol, origin of the local address.
fn ipv6(data: &[u8]) -> Option<String> {
    let address = |at: usize| data.get(at..at + 16)?.try_into().ok().map(|bytes: [u8; 16]| Ipv6Addr::from(bytes));
    let origin = match number::<1>(data, 38)? {
        0 => "Static",
        1 => "StatelessAutoConfigure",
        _ => "StatefulAutoConfigure",
    };
    Some(format!("IPv6({},{},{origin},{})", address(16)?, protocol(number::<2>(data, 36)?), address(0)?))
}

fn protocol(number: u64) -> String {
    match number {
        6 => "TCP".into(),
        17 => "UDP".into(),
        other => format!("{other:#x}"),
    }
}

/// Port of the controller, port of a multiplier, unit.
fn sata(data: &[u8]) -> Option<String> {
    Some(format!("Sata({:#x},{:#x},{:#x})", number::<2>(data, 0)?, number::<2>(data, 2)?, number::<2>(data, 4)?))
}

/// Namespace, and its EUI-64, the last byte of the node first in the text.
fn nvme(data: &[u8]) -> Option<String> {
    let eui: Vec<String> = data.get(4..12)?.iter().rev().map(|byte| format!("{byte:02X}")).collect();
    Some(format!("NVMe({:#x},{})", number::<4>(data, 0)?, eui.join("-")))
}

/// Number, first sector, sectors, signature and what kind it is: MBR (1) or GPT (2).
fn disk_part(data: &[u8]) -> Option<String> {
    let (number_, start, size) = (number::<4>(data, 0)?, number::<8>(data, 4)?, number::<8>(data, 12)?);
    let signature = match number::<1>(data, 37)? {
        1 => format!("MBR,{:#010x}", number::<4>(data, 20)?),
        2 => format!("GPT,{}", guid(data, 20)?),
        other => format!("{other},{}", hex(data.get(20..36)?)),
    };
    Some(format!("HD({number_},{signature},{start:#x},{size:#x})"))
}

/// A little-endian number of `N` bytes, at most eight.
fn number<const N: usize>(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at + N)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Two little-endian numbers of `size` bytes, the second `step` bytes after the first.
fn pair(data: &[u8], at: usize, step: usize, size: usize) -> Option<(u64, u64)> {
    match size {
        1 => Some((number::<1>(data, at)?, number::<1>(data, at + step)?)),
        _ => Some((number::<2>(data, at)?, number::<2>(data, at + step)?)),
    }
}

fn guid(data: &[u8], at: usize) -> Option<String> {
    let tail = data.get(at + 8..at + 16)?;
    let (first, second, third) = (number::<4>(data, at)?, number::<2>(data, at + 4)?, number::<2>(data, at + 6)?);
    Some(format!("{first:08x}-{second:04x}-{third:04x}-{}-{}", hex(tail.get(..2)?), hex(tail.get(2..)?)))
}

/// `,bytes` of what has no text of its own.
fn rest(data: &[u8], from: usize) -> String {
    let bytes = data.get(from..).unwrap_or_default();
    if bytes.is_empty() { String::new() } else { format!(",{}", hex(bytes.get(..MOST_BYTES).unwrap_or(bytes))) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text of 16-bit units up to its NUL, and how many bytes it takes with it.
pub fn utf16(bytes: &[u8]) -> Option<(String, usize)> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect();
    let length = (units.len() + 1) * 2;
    Some((text_of(String::from_utf16_lossy(&units).as_bytes())?, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(kind: u8, subkind: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len() + 4).unwrap_or(u16::MAX);
        [&[kind, subkind][..], &length.to_le_bytes(), data].concat()
    }

    fn of(nodes: &[Vec<u8>]) -> Option<String> {
        text(&[nodes.concat(), node(0x7f, 0xff, &[])].concat())
    }

    #[test]
    fn paths_to_a_file_and_to_a_network_card_are_written_as_the_specification_says() {
        let mut part = vec![1, 0, 0, 0];
        part.extend(0x800u64.to_le_bytes());
        part.extend(0x100000u64.to_le_bytes());
        part.extend([0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde, 1, 2, 3, 4, 5, 6, 7, 8, 2, 2]);
        let file: Vec<u8> = "\\EFI\\debian\\shimx64.efi\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(
            of(&[node(4, 1, &part), node(4, 4, &file)]).as_deref(),
            Some("HD(1,GPT,12345678-9abc-def0-0102-030405060708,0x800,0x100000)/File(\\EFI\\debian\\shimx64.efi)")
        );
        let root = node(2, 1, &[0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0]);
        let mut mac = vec![0x52, 0x54, 0, 0x12, 0x34, 0x56];
        mac.resize(32, 0);
        mac.push(1);
        let network = of(&[root.clone(), node(1, 1, &[0, 3]), node(3, 11, &mac), node(3, 12, &[0; 23]), node(3, 24, b"http://a/b")]);
        assert_eq!(
            network.as_deref(),
            Some("PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,0x1)/IPv4(0.0.0.0,0x0,DHCP,0.0.0.0)/Uri(http://a/b)")
        );
        let mut v6 = vec![0u8; 56];
        (v6[15], v6[31], v6[36], v6[38]) = (1, 2, 6, 1);
        assert_eq!(of(&[node(3, 13, &v6)]).as_deref(), Some("IPv6(::2,TCP,StatelessAutoConfigure,::1)"));
    }

    #[test]
    fn disks_are_named_by_their_bus() {
        assert_eq!(of(&[node(3, 23, &[1, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1])]).as_deref(), Some("NVMe(0x1,01-02-03-04-05-06-07-08)"));
        assert_eq!(of(&[node(3, 18, &[2, 0, 0xff, 0xff, 0, 0])]).as_deref(), Some("Sata(0x2,0xffff,0x0)"));
        assert_eq!(of(&[node(3, 2, &[1, 0, 2, 0])]).as_deref(), Some("Scsi(0x1,0x2)"));
        assert_eq!(of(&[node(3, 5, &[3, 1])]).as_deref(), Some("USB(0x3,0x1)"));
        assert_eq!(
            of(&[node(1, 4, &[[0x11; 16].to_vec(), vec![7]].concat())]).as_deref(),
            Some("VenHw(11111111-1111-1111-1111-111111111111,07)")
        );
    }

    #[test]
    fn what_is_not_known_is_shown_and_what_is_cut_ends_the_path() {
        assert_eq!(of(&[node(9, 9, &[1, 2])]).as_deref(), Some("Path(9,9,0102)"));
        assert_eq!(of(&[node(4, 1, &[1])]).as_deref(), Some("Path(4,1,01)"), "too short for a partition");
        assert_eq!(text(&[node(3, 5, &[3, 1]), vec![4, 4, 200, 0, 1]].concat()).as_deref(), Some("USB(0x3,0x1)"));
        assert_eq!((text(&[]), text(&[4, 4, 3, 0]), text(&[4, 4, 0, 0])), (None, None, None), "a length shorter than the header");
    }

    proptest! {
        #[test]
        fn no_path_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            text(&bytes);
        }

        #[test]
        fn no_known_node_panics(kind in 1u8..6, subkind in 1u8..30, data in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(text(&node(kind, subkind, &data)).is_some());
        }
    }
}
