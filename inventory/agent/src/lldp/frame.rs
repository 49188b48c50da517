//! Bytes of an Ethernet frame to what a neighbour says of itself (IEEE 802.1AB-2016, clauses 8 and 9.2.7).
//!
//! ```text
//! to one of three group addresses │ from │ 0x88cc │ chassis id │ port id │ time to live │ optional TLVs … │ end
//! ```
//!
//! Only this form is understood: frames with a VLAN tag, in SNAP, or of Cisco's and others' own protocols are not LLDP.
//! A frame that contradicts itself is dropped whole, as the standard wants; a TLV that nobody knows is passed over.

use super::organisation;
use crate::netlink::mac_text;
use crate::tree::text_of;
use inventory_wire::Neighbour;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// LLDP's EtherType.
pub const ETHERTYPE: u16 = 0x88cc;
/// Nearest bridge, nearest non-TPMR bridge, nearest customer bridge (table 7-1).
const GROUPS: [[u8; 6]; 3] = [[1, 0x80, 0xc2, 0, 0, 0x0e], [1, 0x80, 0xc2, 0, 0, 3], [1, 0x80, 0xc2, 0, 0, 0]];
const ETHERNET_HEADER: usize = 14;
/// The most TLVs that are looked at; switches send ten to thirty, and one more for each VLAN that they name.
const MOST_TLVS: usize = 512;
const MOST_ADDRESSES: usize = 16;

const END: u8 = 0;
const CHASSIS: u8 = 1;
const PORT: u8 = 2;
const TIME_TO_LIVE: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const SYSTEM_DESCRIPTION: u8 = 6;
const CAPABILITIES: u8 = 7;
const MANAGEMENT: u8 = 8;
const ORGANISATION: u8 = 127;

/// The bits of the capabilities (table 8-4).
const CAPABILITY_NAMES: [&str; 11] = [
    "other",
    "repeater",
    "bridge",
    "wlan_access_point",
    "router",
    "telephone",
    "docsis",
    "station_only",
    "c_vlan",
    "s_vlan",
    "two_port_relay",
];

/// What one frame says.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// How long it holds; zero means that the neighbour says goodbye.
    pub time_to_live: Duration,
    /// Who it is. With a goodbye, the ids only.
    pub neighbour: Neighbour,
}

/// Why a frame says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Another protocol, another form, or sent to somebody else.
    #[error("it is not LLDP")]
    NotLldp,
    /// The chassis id, the port id and the time to live must come first, in this order.
    #[error("its first three TLVs are not chassis id, port id and time to live")]
    Incomplete,
    /// One of them stands twice.
    #[error("it names its chassis, its port or its time to live twice")]
    Twice,
    /// A TLV is longer than the rest of the frame.
    #[error("a TLV ends behind the end of the frame")]
    Truncated,
    /// An id that names nothing cannot tell one neighbour from another.
    #[error("its chassis id or port id is empty")]
    EmptyId,
}

/// Reads a whole Ethernet frame.
pub fn parse(frame: &[u8]) -> Result<Said, BadFrame> {
    let to = frame.get(..6).ok_or(BadFrame::NotLldp)?;
    let kind = frame.get(12..ETHERNET_HEADER).ok_or(BadFrame::NotLldp)?;
    if !GROUPS.iter().any(|group| group == to) || kind != ETHERTYPE.to_be_bytes() {
        return Err(BadFrame::NotLldp);
    }
    let mut rest = frame.get(ETHERNET_HEADER..).unwrap_or_default();
    let mut mandatory = |wanted: u8| match next(&mut rest)? {
        Some((kind, content)) if kind == wanted => Ok(content),
        _ => Err(BadFrame::Incomplete),
    };
    let (chassis, port, time) = (mandatory(CHASSIS)?, mandatory(PORT)?, mandatory(TIME_TO_LIVE)?);
    let seconds = time.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)).ok_or(BadFrame::Incomplete)?;
    let mut neighbour = Neighbour::default();
    (neighbour.chassis_kind, neighbour.chassis) = chassis_id(chassis)?;
    (neighbour.port_kind, neighbour.port) = port_id(port)?;
    let time_to_live = Duration::from_secs(seconds.into());
    if seconds > 0 {
        optional(rest, &mut neighbour)?;
    }
    Ok(Said { time_to_live, neighbour })
}

/// The next TLV; `None` at the end. What follows an end TLV pads the frame.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, BadFrame> {
    if rest.is_empty() {
        return Ok(None);
    }
    let head = u16::from_be_bytes(*rest.first_chunk().ok_or(BadFrame::Truncated)?);
    let (kind, length) = ((head >> 9) as u8, usize::from(head & 0x1ff));
    let content = rest.get(2..2 + length).ok_or(BadFrame::Truncated)?;
    *rest = rest.get(2 + length..).unwrap_or_default();
    Ok((kind != END).then_some((kind, content)))
}

/// Of each kind that may stand once, the first counts.
fn optional(mut rest: &[u8], neighbour: &mut Neighbour) -> Result<(), BadFrame> {
    let mut capable = false;
    for _ in 0..MOST_TLVS {
        let Some((kind, content)) = next(&mut rest)? else { return Ok(()) };
        match kind {
            CHASSIS | PORT | TIME_TO_LIVE => return Err(BadFrame::Twice),
            PORT_DESCRIPTION => first(&mut neighbour.port_description, text_of(content)),
            SYSTEM_NAME => first(&mut neighbour.system, text_of(content)),
            SYSTEM_DESCRIPTION => first(&mut neighbour.system_description, text_of(content)),
            CAPABILITIES if !capable => {
                neighbour.capabilities = capabilities(content);
                capable = true;
            }
            MANAGEMENT if neighbour.management.len() < MOST_ADDRESSES => {
                let new = management(content).filter(|address| !neighbour.management.contains(address));
                neighbour.management.extend(new);
            }
            ORGANISATION => organisation::read(content, neighbour),
            _ => {}
        }
    }
    Ok(())
}

fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

type Id = (Option<String>, Option<String>);

/// Table 8-2.
fn chassis_id(content: &[u8]) -> Result<Id, BadFrame> {
    let (&kind, id) = content.split_first().ok_or(BadFrame::EmptyId)?;
    let name = match kind {
        1 => "component",
        2 => "interface_alias",
        3 => "port_component",
        4 => "mac_address",
        5 => "network_address",
        6 => "interface_name",
        7 => "local",
        _ => "reserved",
    };
    named(name, id)
}

/// Table 8-3.
fn port_id(content: &[u8]) -> Result<Id, BadFrame> {
    let (&kind, id) = content.split_first().ok_or(BadFrame::EmptyId)?;
    let name = match kind {
        1 => "interface_alias",
        2 => "component",
        3 => "mac_address",
        4 => "network_address",
        5 => "interface_name",
        6 => "agent_circuit_id",
        7 => "local",
        _ => "reserved",
    };
    named(name, id)
}

/// An id as people write it: a MAC with colons, an IP address, else its text.
fn named(kind: &str, id: &[u8]) -> Result<Id, BadFrame> {
    let shown = match kind {
        "mac_address" => id.try_into().ok().map(mac_text),
        "network_address" => id.split_first().and_then(|(&family, address)| address_text(family, address)),
        _ => None,
    };
    let text = shown.or_else(|| text_of(id)).ok_or(BadFrame::EmptyId)?;
    Ok((Some(kind.to_owned()), Some(text)))
}

/// An address by IANA's number of its family: IPv4, IPv6, or a MAC.
fn address_text(family: u8, address: &[u8]) -> Option<String> {
    match family {
        1 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).to_string()),
        2 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).to_string()),
        6 => address.try_into().ok().map(mac_text),
        _ => None,
    }
}

/// Its length counts the family and the address; the number of an interface and an object id follow (8.5.9).
fn management(content: &[u8]) -> Option<String> {
    let (&length, rest) = content.split_first()?;
    let (&family, address) = rest.get(..usize::from(length))?.split_first()?;
    address_text(family, address)
}

/// Those that are there and switched on.
fn capabilities(content: &[u8]) -> Vec<String> {
    let Some(&[a, b, c, d]) = content.first_chunk::<4>() else { return Vec::new() };
    let on = u16::from_be_bytes([a, b]) & u16::from_be_bytes([c, d]);
    let names = CAPABILITY_NAMES.iter().enumerate().filter(|(bit, _)| on & (1 << bit) != 0);
    names.map(|(_, name)| (*name).to_owned()).collect()
}
