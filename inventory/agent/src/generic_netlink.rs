//! Generic netlink, by which the kernel answers for whole families of questions: `ethtool` (what a port can do) and
//! `devlink` (what runs on a card). Neither needs root or an ioctl.
//!
//! ```text
//! CTRL GETFAMILY "ethtool" ─► number of the family
//! family, command, DUMP    ─► one message for each interface or card
//! ```
//!
//! Source: the kernel's `Documentation/networking/ethtool-netlink.rst` and `devlink/devlink-info.rst`.

use crate::netlink::{HEADER, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkError, attributes, converse, short};
use crate::tree::text_of;
use rustix::net::netlink::GENERIC;
use std::collections::BTreeMap;

/// The family that knows the other families has a fixed number.
const CONTROLLER: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_LINKMODES_HEADER: u16 = 1;
const ETHTOOL_A_LINKMODES_OURS: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

const DEVLINK_CMD_INFO_GET: u8 = 51;
const DEVLINK_ATTR_DEV_NAME: u16 = 2;
const DEVLINK_ATTR_INFO_VERSION_RUNNING: u16 = 101;
const DEVLINK_ATTR_INFO_VERSION_NAME: u16 = 103;
const DEVLINK_ATTR_INFO_VERSION_VALUE: u16 = 104;

/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;
/// genlmsghdr: command, version, two reserved bytes.
const GENERIC_HEADER: usize = 4;
const MOST_ANSWERS: usize = 4096;
/// Names of the version of a card's whole firmware, the best first: of a card, of an older card, of its management.
const FIRMWARE: [&str; 3] = ["fw", "fw.version", "fw.mgmt"];

/// The highest speed that each network interface supports, Mbit/s, by the interface's name.
pub fn most_speeds() -> Result<BTreeMap<String, u32>, NetlinkError> {
    let mut speeds = BTreeMap::new();
    // Kernels before 6.3 want the header also where it has nothing to say; nested attributes carry a flag.
    let header = attribute(ETHTOOL_A_LINKMODES_HEADER | NESTED, &[]);
    dump("ethtool", ETHTOOL_MSG_LINKMODES_GET, &header, |payload| {
        if let Some((name, speed)) = parse_link_modes(payload).filter(|_| speeds.len() < MOST_ANSWERS) {
            speeds.insert(name, speed);
        }
    })?;
    Ok(speeds)
}

/// The firmware that runs on cards whose driver tells it, by the address on the bus: `0000:3b:00.0`.
pub fn card_firmware() -> Result<BTreeMap<String, String>, NetlinkError> {
    let mut versions = BTreeMap::new();
    dump("devlink", DEVLINK_CMD_INFO_GET, &[], |payload| {
        if let Some((address, version)) = parse_card(payload).filter(|_| versions.len() < MOST_ANSWERS) {
            versions.insert(address, version);
        }
    })?;
    Ok(versions)
}

/// Asks a family for all that it has.
fn dump(family: &str, command: u8, content: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), NetlinkError> {
    let mut found = None;
    let name = attribute(CTRL_ATTR_FAMILY_NAME, &[family.as_bytes(), &[0]].concat());
    let question = request(CONTROLLER, NLM_F_ACK, CTRL_CMD_GETFAMILY, &name);
    converse(Some(GENERIC), &question, &format!("answer for {family}"), |message| {
        found = found.or_else(|| family_number(message.payload));
    })?;
    let Some(kind) = found else { return Ok(()) };
    converse(Some(GENERIC), &request(kind, NLM_F_DUMP, command, content), &format!("answer for {family}"), |message| each(message.payload))
}

fn request(kind: u16, flags: u16, command: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + GENERIC_HEADER + content.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([command, 1, 0, 0]);
    bytes.extend(content);
    bytes
}

fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(u16::try_from(4 + content.len()).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, content)| content)
}

fn family_number(payload: &[u8]) -> Option<u16> {
    short(find(payload.get(GENERIC_HEADER..)?, CTRL_ATTR_FAMILY_ID)?, 0)
}

/// The interface and the fastest of the link modes that it supports: those listed are supported, advertised or not.
fn parse_link_modes(payload: &[u8]) -> Option<(String, u32)> {
    let content = payload.get(GENERIC_HEADER..)?;
    let name = text_of(find(find(content, ETHTOOL_A_LINKMODES_HEADER)?, ETHTOOL_A_HEADER_DEV_NAME)?)?;
    let bits = find(find(content, ETHTOOL_A_LINKMODES_OURS)?, ETHTOOL_A_BITSET_BITS)?;
    let modes = attributes(bits).filter(|(kind, _)| *kind == ETHTOOL_A_BITSET_BITS_BIT);
    let speeds = modes.filter_map(|(_, bit)| speed_of(&text_of(find(bit, ETHTOOL_A_BITSET_BIT_NAME)?)?));
    Some((name, speeds.max()?))
}

/// `25000` of `25000baseCR/Full`; none of `Autoneg`.
fn speed_of(mode: &str) -> Option<u32> {
    let (speed, _) = mode.split_once("base")?;
    speed.parse().ok().filter(|speed| *speed > 0)
}

fn parse_card(payload: &[u8]) -> Option<(String, String)> {
    let content = payload.get(GENERIC_HEADER..)?;
    let address = text_of(find(content, DEVLINK_ATTR_DEV_NAME)?)?;
    let running = attributes(content).filter(|(kind, _)| *kind == DEVLINK_ATTR_INFO_VERSION_RUNNING);
    let versions: BTreeMap<String, String> = running
        .filter_map(|(_, version)| {
            let part = |kind| text_of(find(version, kind)?);
            Some((part(DEVLINK_ATTR_INFO_VERSION_NAME)?, part(DEVLINK_ATTR_INFO_VERSION_VALUE)?))
        })
        .collect();
    let best = FIRMWARE.into_iter().find_map(|name| versions.get(name)).or_else(|| versions.values().next());
    Some((address, best?.clone()))
}

/// The error of a kernel that lacks a family is no news: whoever asks then knows nothing.
pub fn is_unknown_family(error: &NetlinkError) -> bool {
    matches!(error, NetlinkError::Refused { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(name: &str) -> Vec<u8> {
        let index = attribute(1, &7u32.to_ne_bytes());
        attribute(ETHTOOL_A_BITSET_BITS_BIT, &[index, attribute(ETHTOOL_A_BITSET_BIT_NAME, &[name.as_bytes(), &[0]].concat())].concat())
    }

    fn link_modes(name: &str, modes: &[&str]) -> Vec<u8> {
        let header = attribute(ETHTOOL_A_LINKMODES_HEADER, &attribute(ETHTOOL_A_HEADER_DEV_NAME, &[name.as_bytes(), &[0]].concat()));
        let bits: Vec<u8> = modes.iter().flat_map(|mode| bit(mode)).collect();
        let ours = attribute(ETHTOOL_A_LINKMODES_OURS | NESTED, &attribute(ETHTOOL_A_BITSET_BITS | NESTED, &bits));
        [vec![4, 1, 0, 0], header, ours].concat()
    }

    #[test]
    fn the_fastest_supported_mode_counts() {
        let payload = link_modes("eth0", &["100baseT/Full", "25000baseCR/Full", "10000baseKR/Full", "Autoneg", "FIBRE"]);
        assert_eq!(parse_link_modes(&payload), Some(("eth0".into(), 25_000)));
        assert_eq!(parse_link_modes(&link_modes("eth0", &["Autoneg"])), None);
        assert_eq!(parse_link_modes(&link_modes("", &["10baseT/Half"])), None);
    }

    #[test]
    fn the_firmware_of_a_whole_card_goes_before_that_of_a_part() {
        let version = |name: &str, value: &str| {
            let text = |kind, text: &str| attribute(kind, &[text.as_bytes(), &[0]].concat());
            let pair = [text(DEVLINK_ATTR_INFO_VERSION_NAME, name), text(DEVLINK_ATTR_INFO_VERSION_VALUE, value)].concat();
            attribute(DEVLINK_ATTR_INFO_VERSION_RUNNING, &pair)
        };
        let card = |versions: Vec<u8>| {
            let name = attribute(DEVLINK_ATTR_DEV_NAME, b"0000:3b:00.0\0");
            parse_card(&[vec![51, 1, 0, 0], attribute(1, b"pci\0"), name, versions].concat()).map(|(_, version)| version)
        };
        assert_eq!(card([version("fw.app", "1.3"), version("fw.mgmt", "5.4.5")].concat()).as_deref(), Some("5.4.5"));
        assert_eq!(card([version("fw.psid", "MT_1"), version("fw.version", "16.35")].concat()).as_deref(), Some("16.35"));
        assert_eq!(card(version("fw.bundle", "7")).as_deref(), Some("7"));
        assert_eq!(card(vec![]), None);
    }

    #[test]
    fn the_running_kernel_is_asked_in_its_language() {
        // What it answers depends on the machine; that it understands the question does not.
        for answer in [most_speeds().map(drop), card_firmware().map(drop)] {
            assert!(answer.as_ref().is_ok() || answer.as_ref().is_err_and(is_unknown_family), "{answer:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse_link_modes(&bytes);
            parse_card(&bytes);
            family_number(&bytes);
        }
    }
}
