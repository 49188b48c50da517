//! A hall to compare: two switches that are a pair, one alone, two racks, and machines to stand in them.
#![allow(clippy::unwrap_used)]

use crate::clock::Timestamp;
use crate::hardware::{DiskBrief, NicBrief, Summary};
use crate::identity::Identity;
use crate::ids::NodeId;
use crate::node::{Labels, Node, Stage};
use crate::site::{DeclaredNode, Profile, Rack, Site, Switch};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) fn declared(name: &str, serial: &str, unit: Option<u32>) -> DeclaredNode {
    DeclaredNode { name: name.into(), serial: Some(serial.into()), rack: Some("r1".into()), unit, ..DeclaredNode::default() }
}

/// `w3`, `w7` and `w8` in units of `r1`, `w8` with a cable of its own; `w30` in `r1` without a unit.
pub(crate) fn racked() -> Site {
    let switch = |name: &str, pair: Option<&str>, lldp: Option<&str>| Switch {
        name: name.into(),
        pair: pair.map(Into::into),
        lldp: lldp.map(Into::into),
    };
    let rack =
        |cabling: &str, profile: Option<&str>| Rack { cabling: cabling.parse().ok(), profile: profile.map(Into::into), ..Rack::default() };
    let w8 = DeclaredNode { cabling: BTreeMap::from([("eno3".into(), "sw2/48".parse().unwrap())]), ..declared("w8", "A8", Some(8)) };
    let w30 = DeclaredNode { mac: Some("52:54:00:00:00:30".parse().unwrap()), ..declared("w30", "A30", None) };
    Site {
        name: "hall-1".into(),
        switches: vec![switch("sw1", Some("sw2"), None), switch("sw2", Some("sw1"), None), switch("sw3", None, Some("52:54:00:00:00:aa"))],
        profiles: BTreeMap::from([("worker".into(), Profile::default())]),
        racks: BTreeMap::from([
            ("r1".into(), rack("unit N: eno1 -> sw1/N, eno2 -> sw2/N", Some("worker"))),
            ("r2".into(), rack("unit N: eno1 -> sw3/N", None)),
        ]),
        nodes: vec![declared("w3", "A3", Some(3)), declared("w7", "A7", Some(7)), w8, w30],
        ..Site::default()
    }
}

pub(crate) fn nic(name: &str) -> NicBrief {
    NicBrief { name: format!("k{name}"), names: vec![name.into()], link: Some(true), ..NicBrief::default() }
}

/// An interface with a cable to a port.
pub(crate) fn at(name: &str, switch: &str, port: &str) -> NicBrief {
    NicBrief { switch: Some(switch.into()), port: Some(port.into()), ..nic(name) }
}

pub(crate) fn disk(name: &str, gigabytes: u64) -> DiskBrief {
    DiskBrief { name: name.into(), serial: Some(format!("S-{name}")), size_bytes: Some(gigabytes * 1_000_000_000), ..DiskBrief::default() }
}

pub(crate) fn machine(serial: &str, nics: Vec<NicBrief>) -> Node {
    let number = serial.bytes().fold(0u128, |sum, byte| sum * 256 + u128::from(byte));
    let summary = Summary { nics: u32::try_from(nics.len()).ok(), each_nic: nics, ..Summary::default() };
    Node {
        id: NodeId(Uuid::from_u128(number)),
        name: None,
        stage: Stage::Discovered,
        identity: Identity::new(None, Some(serial), []),
        summary,
        labels: Labels::default(),
        digest: None,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        reports: 1,
        boot: None,
        key: None,
        address: None,
        order: None,
        version: 1,
    }
}
