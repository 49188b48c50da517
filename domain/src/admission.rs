//! Who is answered at all, and what a boot gets. The node's record and the site decide; the request does not.

use crate::identity::{Identity, same_uuid};
use crate::mac::MacAddr;
use crate::node::Known;
use crate::order::Order;
use crate::site::{DeclaredNode, Network, Site, Unknown};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a machine is told to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootTarget {
    /// The discovery ramdisk.
    Discovery,
    /// Its own disk.
    LocalDisk,
    /// Nothing from us.
    Nothing,
}

/// A choice and the rule that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The choice.
    pub target: BootTarget,
    /// The rule, in words.
    pub rule: String,
}

/// What a machine says of itself before anything is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claimed<'a> {
    /// The address of the interface that asks.
    pub mac: Option<MacAddr>,
    /// Its SMBIOS UUID (option 97, or iPXE's `${uuid}`).
    pub uuid: Option<Uuid>,
    /// Its SMBIOS serial (iPXE's `${serial}`).
    pub serial: Option<&'a str>,
}

/// The declaration that a machine answers to, if any. Any one sign is enough here: this decides what is booted, which
/// never touches a disk, not what may be written.
pub fn declared<'s>(site: &'s Site, claimed: Claimed<'_>, node: Option<&Known>) -> Option<&'s DeclaredNode> {
    let identity = node.map(|node| &node.identity);
    site.nodes.iter().find(|declared| {
        let by_serial = declared
            .serial
            .as_deref()
            .is_some_and(|serial| claimed.serial == Some(serial) || identity.is_some_and(|id| id.serial.as_deref() == Some(serial)));
        let is_it = |uuid| declared.uuid.is_some_and(|declared| same_uuid(declared, uuid));
        let by_uuid = claimed.uuid.is_some_and(is_it) || identity.and_then(|id| id.uuid).is_some_and(is_it);
        let by_mac = declared.mac.is_some_and(|mac| claimed.mac == Some(mac) || identity.is_some_and(|id| id.macs.contains(&mac)));
        by_serial || by_uuid || by_mac
    })
}

/// Whether a node is the one that a declaration means, so that it may take its name. A name sticks and is used where
/// mistakes cost more than a boot; so here the strongest sign that both sides have decides alone, and a network card
/// that moved does not carry the name along.
pub fn answers_to(declared: &DeclaredNode, identity: &Identity) -> bool {
    match (&declared.serial, &identity.serial, declared.uuid, identity.uuid) {
        (Some(declared), Some(serial), ..) => declared == serial,
        (.., Some(declared), Some(uuid)) => same_uuid(declared, uuid),
        _ => declared.mac.is_some_and(|mac| identity.macs.contains(&mac)),
    }
}

/// Decides what this boot of a machine starts.
pub fn boot_target(site: &Site, network: &Network, claimed: Claimed<'_>, node: Option<&Known>) -> Verdict {
    let verdict = |target, rule: String| Verdict { target, rule };
    if Order::sends_to_local_disk(node.and_then(|node| node.order.as_ref())) {
        return verdict(BootTarget::LocalDisk, "the operator ordered this node to its local disk".into());
    }
    if let Some(declared) = declared(site, claimed, node) {
        return verdict(
            BootTarget::Discovery,
            format!("the site declares this machine as `{}`, and it is in stage discovered", declared.name),
        );
    }
    match network.unknown {
        Unknown::Discover => {
            verdict(BootTarget::Discovery, "the site does not declare this machine, and the network says unknown = \"discover\"".into())
        }
        Unknown::LocalDisk => {
            verdict(BootTarget::LocalDisk, "the site does not declare this machine, and the network says unknown = \"local_disk\"".into())
        }
        Unknown::Ignore => {
            verdict(BootTarget::Nothing, "the site does not declare this machine, and the network says unknown = \"ignore\"".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use std::collections::BTreeMap;

    fn site(unknown: Unknown) -> Site {
        let network = Network {
            interface: "br0".into(),
            subnet: "10.20.0.0/24".parse().expect("subnet"),
            gateway: None,
            dns: vec![],
            pool: "10.20.0.100-10.20.0.199".parse().expect("range"),
            fixed: None,
            unknown,
            lease_seconds: 600,
        };
        let w1 = DeclaredNode { name: "w1".into(), serial: Some("VM-1".into()), ..DeclaredNode::default() };
        Site { name: "s".into(), networks: BTreeMap::from([("n".into(), network)]), nodes: vec![w1], ..Site::default() }
    }

    #[test]
    fn the_network_says_what_a_stranger_gets() {
        for (unknown, target) in [
            (Unknown::Discover, BootTarget::Discovery),
            (Unknown::LocalDisk, BootTarget::LocalDisk),
            (Unknown::Ignore, BootTarget::Nothing),
        ] {
            let site = site(unknown);
            let stranger = Claimed { serial: Some("VM-2"), ..Claimed::default() };
            assert_eq!(boot_target(&site, &site.networks["n"], stranger, None).target, target);
            let own = Claimed { serial: Some("VM-1"), ..Claimed::default() };
            assert_eq!(boot_target(&site, &site.networks["n"], own, None).target, BootTarget::Discovery);
        }
    }

    #[test]
    fn a_declared_uuid_is_known_in_either_byte_order() {
        let uuid: Uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6".parse().expect("uuid");
        let turned: Uuid = "ae4f1df8-ec7d-d011-a765-00a0c91e6bf6".parse().expect("uuid");
        let w2 = DeclaredNode { name: "w2".into(), uuid: Some(uuid), ..DeclaredNode::default() };
        let site = Site { nodes: vec![w2.clone()], ..site(Unknown::Ignore) };
        for said in [uuid, turned] {
            let claimed = Claimed { uuid: Some(said), ..Claimed::default() };
            assert_eq!(declared(&site, claimed, None), Some(&w2), "{said}");
            let known = Known { id: NodeId(Uuid::nil()), label: "w2".into(), identity: Identity::new(Some(said), None, []), order: None };
            assert_eq!(declared(&site, Claimed::default(), Some(&known)), Some(&w2), "{said}");
            assert!(answers_to(&w2, &known.identity), "{said}");
        }
        let other = Claimed { uuid: Some(Uuid::from_u128(0xab << 64 | 1)), ..Claimed::default() };
        assert_eq!(declared(&site, other, None), None);
    }

    #[test]
    fn a_name_follows_the_strongest_sign_that_both_sides_have() {
        let (uuid, other) = (Uuid::from_u128(0xab << 64 | 1), Uuid::from_u128(0xab << 64 | 2));
        let (mac, other_mac) = (MacAddr([0x52, 0x54, 0, 0, 0, 1]), MacAddr([0x52, 0x54, 0, 0, 0, 2]));
        let w1 = DeclaredNode { name: "w1".into(), serial: Some("A1".into()), uuid: Some(uuid), mac: Some(mac), ..DeclaredNode::default() };
        let only_mac = DeclaredNode { serial: None, uuid: None, ..w1.clone() };
        for (what, declared, machine, expected) in [
            ("everything agrees", &w1, Identity::new(Some(uuid), Some("A1"), [mac]), true),
            ("a new board and card in the old chassis", &w1, Identity::new(Some(other), Some("A1"), [other_mac]), true),
            ("its card in another chassis", &w1, Identity::new(Some(uuid), Some("B2"), [mac]), false),
            ("firmware lost its serial", &w1, Identity::new(Some(uuid), None, [other_mac]), true),
            ("its card in a machine without a serial", &w1, Identity::new(Some(other), None, [mac]), false),
            ("only a card is known", &w1, Identity::new(None, None, [mac]), true),
            ("declared by a card", &only_mac, Identity::new(Some(other), Some("B2"), [mac]), true),
            ("declared by another card", &only_mac, Identity::new(Some(uuid), Some("A1"), [other_mac]), false),
        ] {
            assert_eq!(answers_to(declared, &machine), expected, "{what}");
        }
    }
}
