//! Who is answered at all, and what a boot gets. The node's record and the site decide; the request does not.

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
        let by_uuid = declared.uuid.is_some_and(|uuid| claimed.uuid == Some(uuid) || identity.is_some_and(|id| id.uuid == Some(uuid)));
        let by_mac = declared.mac.is_some_and(|mac| claimed.mac == Some(mac) || identity.is_some_and(|id| id.macs.contains(&mac)));
        by_serial || by_uuid || by_mac
    })
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
        let w1 = DeclaredNode { name: "w1".into(), serial: Some("VM-1".into()), uuid: None, mac: None, address: None };
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
}
