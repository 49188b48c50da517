//! What the operator wants, as values, and the rules that a site must keep.
//!
//! Reading TOML is not known here: a mistake names the key it concerns (`network.provision.pool`), and whoever
//! read the file knows where that key stands.

use crate::address::AddressRange;
use crate::mac::MacAddr;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Everything that one revision of the site says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The site's own name; empty when no site was ever applied.
    pub name: String,
    /// DNS domain of its nodes.
    pub domain: Option<String>,
    /// Time servers that are handed out.
    pub ntp: Vec<Ipv4Addr>,
    /// Networks by name.
    pub networks: BTreeMap<String, Network>,
    /// Declared nodes, in the order of the files.
    pub nodes: Vec<DeclaredNode>,
}

/// One provisioning network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interface of this machine that leads there.
    pub interface: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The router that is handed out.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers that are handed out.
    pub dns: Vec<Ipv4Addr>,
    /// Addresses that are leased to whoever asks.
    pub pool: AddressRange,
    /// Addresses for nodes by name.
    #[serde(rename = "static")]
    pub fixed: Option<AddressRange>,
    /// What a machine gets that nobody declared.
    pub unknown: Unknown,
    /// How long a lease lasts, seconds.
    pub lease_seconds: u32,
}

/// The lease time where the site says none, seconds.
pub const DEFAULT_LEASE_SECONDS: u32 = 3600;
/// The shortest lease that may be asked for, seconds: below it renewals are a flood.
pub const SHORTEST_LEASE_SECONDS: u32 = 60;
/// The longest lease that may be asked for, seconds: thirty days.
pub const LONGEST_LEASE_SECONDS: u32 = 30 * 86_400;

/// What a machine gets that nobody declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The discovery ramdisk, where it waits.
    #[default]
    Discover,
    /// An address, and a script that sends it to its own disk.
    LocalDisk,
    /// No answer at all.
    Ignore,
}

impl Unknown {
    /// Every value as the site spells it.
    pub const SPELLINGS: [(&str, Unknown); 3] =
        [("discover", Unknown::Discover), ("local_disk", Unknown::LocalDisk), ("ignore", Unknown::Ignore)];
}

/// A machine that the operator announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredNode {
    /// Its name; one DNS label.
    pub name: String,
    /// The serial number on its sticker, as SMBIOS type 1 reports it.
    pub serial: Option<String>,
    /// Its SMBIOS UUID.
    pub uuid: Option<Uuid>,
    /// The address of one of its network cards.
    pub mac: Option<MacAddr>,
    /// The address it is always given; needs `mac`, because DHCP sees nothing else.
    pub address: Option<Ipv4Addr>,
}

/// A rule of the site that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// The key that is wrong, dotted; blocks of an array by their index: `node.2.name`.
    pub key: String,
    /// What is wrong with which value, and how to mend it: one sentence or two.
    pub message: String,
}

impl Site {
    /// Every rule that is broken, in the order of the keys; empty when the site is sound.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut found = Found::default();
        if !is_label(&self.name) {
            found.add("site.name", label_rule("site.name", &self.name));
        }
        if let Some(domain) = &self.domain
            && !(domain.len() <= 253 && domain.split('.').all(is_label))
        {
            found.add(
                "site.domain",
                format!(
                    "`{domain}` is not a domain name: write labels of letters, digits and hyphens with dots between, such as hall1.example"
                ),
            );
        }
        for (name, network) in &self.networks {
            network.check(name, &mut found);
        }
        let named: Vec<_> = self.networks.iter().collect();
        for (i, (name, network)) in named.iter().enumerate() {
            for (other_name, other) in &named[..i] {
                if network.subnet.contains(&other.subnet) || other.subnet.contains(&network.subnet) {
                    found.add(
                        format!("network.{name}.subnet"),
                        format!(
                            "{} overlaps {} of network `{other_name}`: give each network addresses of its own",
                            network.subnet, other.subnet
                        ),
                    );
                }
                if network.interface == other.interface {
                    found.add(
                        format!("network.{name}.interface"),
                        format!("`{}` already serves network `{other_name}`: one interface serves one network", network.interface),
                    );
                }
            }
        }
        self.check_nodes(&mut found);
        found.0
    }

    fn check_nodes(&self, found: &mut Found) {
        let mut first_with = FirstWith::default();
        for (i, node) in self.nodes.iter().enumerate() {
            let at = |field: &str| format!("node.{i}.{field}");
            let name = &node.name;
            if !is_label(name) {
                found.add(at("name"), label_rule("a node's name", name));
            }
            if node.serial.is_none() && node.uuid.is_none() && node.mac.is_none() {
                found.add(at("name"), format!("node `{name}` cannot be recognised: give it `serial`, `uuid` or `mac`"));
            }
            if let Some(serial) = &node.serial
                && crate::identity::usable_serial(serial).is_none()
            {
                found.add(
                    at("serial"),
                    format!("`{}` is what boards say that have no serial: use `uuid` or `mac` for node `{name}`", shortened(serial)),
                );
            }
            if let Some(uuid) = node.uuid
                && crate::identity::usable_uuid(uuid).is_none()
            {
                found.add(at("uuid"), format!("{uuid} is what boards say that have no UUID: use `serial` or `mac` for node `{name}`"));
            }
            if let Some(mac) = node.mac
                && !mac.is_a_machines()
            {
                found.add(at("mac"), format!("{mac} is not the address of one network card: group addresses and zeros identify nobody"));
            }
            if let Some(address) = node.address {
                self.check_fixed_address(node, address, &at("address"), found);
            }
            if let Some(other) = first_with.name.insert_or_get(name.clone(), i) {
                found.add(at("name"), format!("`{}` is declared twice: rename one of them", self.nodes[other].name));
            }
            let mut twins = vec![];
            if let Some(serial) = &node.serial {
                twins.push(("serial", format!("serial `{}`", shortened(serial)), first_with.serial.insert_or_get(serial.clone(), i)));
            }
            if let Some(uuid) = node.uuid {
                twins.push(("uuid", format!("UUID {uuid}"), first_with.uuid.insert_or_get(uuid, i)));
            }
            if let Some(mac) = node.mac {
                twins.push(("mac", format!("MAC address {mac}"), first_with.mac.insert_or_get(mac, i)));
            }
            if let Some(address) = node.address {
                twins.push(("address", format!("address {address}"), first_with.address.insert_or_get(address, i)));
            }
            for (field, value, other) in twins {
                if let Some(other) = other {
                    found.add(at(field), format!("{value} already belongs to node `{}`: each node needs its own", self.nodes[other].name));
                }
            }
        }
    }

    fn check_fixed_address(&self, node: &DeclaredNode, address: Ipv4Addr, key: &str, found: &mut Found) {
        if node.mac.is_none() {
            found.add(key, format!("node `{}` has an address but no `mac`: DHCP knows a machine by its MAC address only", node.name));
        }
        match self.networks.iter().find(|(_, network)| network.subnet.contains(&address)) {
            None => found.add(key, format!("{address} lies in no network of this site: choose one inside a `subnet`")),
            Some((name, network)) if network.pool.contains(address) => {
                found.add(
                    key,
                    format!(
                        "{address} lies in the pool {} of network `{name}`, which is leased to anyone: choose one outside it",
                        network.pool
                    ),
                );
            }
            Some((name, network)) if network.fixed.is_some_and(|range| !range.contains(address)) => {
                let range = network.fixed.map(|range| range.to_string()).unwrap_or_default();
                found.add(key, format!("{address} lies outside `static` {range} of network `{name}`: choose one inside it"));
            }
            Some((name, network)) if network.gateway == Some(address) => {
                found.add(key, format!("{address} is the gateway of network `{name}`: choose another"));
            }
            Some(_) => {}
        }
    }
}

impl Network {
    fn check(&self, name: &str, found: &mut Found) {
        let at = |field: &str| format!("network.{name}.{field}");
        let subnet = self.subnet;
        if !is_label(name) {
            found.add(format!("network.{name}"), label_rule("a network's name", name));
        }
        if self.interface.is_empty() || self.interface.len() > 15 || self.interface.contains(|c: char| c == '/' || c.is_whitespace()) {
            found.add(
                at("interface"),
                format!("`{}` cannot be an interface: Linux allows 1 to 15 characters without slash or space", shortened(&self.interface)),
            );
        }
        if subnet.addr() != subnet.network() {
            found.add(at("subnet"), format!("{subnet} names one host: write the network, {}", subnet.trunc()));
        }
        if !(8..=30).contains(&subnet.prefix_len()) {
            found.add(
                at("subnet"),
                format!("{subnet} has a prefix of {}: a provisioning network has between 8 and 30", subnet.prefix_len()),
            );
        }
        let ranges = [("pool", Some(self.pool)), ("static", self.fixed)];
        for (field, range) in ranges {
            let Some(range) = range else { continue };
            if !(subnet.contains(&range.first()) && subnet.contains(&range.last())) {
                found.add(at(field), format!("{range} leaves the subnet {subnet}: keep both ends inside"));
                continue;
            }
            if range.contains(subnet.network()) || range.contains(subnet.broadcast()) {
                found.add(
                    at(field),
                    format!(
                        "{range} holds the network or broadcast address of {subnet}: leave out {} and {}",
                        subnet.network(),
                        subnet.broadcast()
                    ),
                );
            }
            if let Some(gateway) = self.gateway
                && range.contains(gateway)
                && field == "pool"
            {
                found.add(at(field), format!("{range} holds the gateway {gateway}: it would be leased to a node"));
            }
        }
        if let Some(fixed) = self.fixed
            && fixed.overlaps(&self.pool)
        {
            found.add(
                at("static"),
                format!("{fixed} overlaps `pool` {}: an address is either leased to anyone or kept for a node", self.pool),
            );
        }
        if let Some(gateway) = self.gateway
            && !subnet.contains(&gateway)
        {
            found.add(at("gateway"), format!("{gateway} is not in {subnet}: nodes could not reach it"));
        }
        if !(SHORTEST_LEASE_SECONDS..=LONGEST_LEASE_SECONDS).contains(&self.lease_seconds) {
            found.add(
                at("lease_seconds"),
                format!("{} is out of range: choose {SHORTEST_LEASE_SECONDS} to {LONGEST_LEASE_SECONDS} seconds", self.lease_seconds),
            );
        }
    }
}

/// Which node had a value first, by the values that must be unique.
#[derive(Default)]
struct FirstWith {
    name: HashMap<String, usize>,
    serial: HashMap<String, usize>,
    uuid: HashMap<Uuid, usize>,
    mac: HashMap<MacAddr, usize>,
    address: HashMap<Ipv4Addr, usize>,
}

trait InsertOrGet<K> {
    fn insert_or_get(&mut self, key: K, index: usize) -> Option<usize>;
}

impl<K: Eq + Hash> InsertOrGet<K> for HashMap<K, usize> {
    /// The first node with this value, if this is not the first.
    fn insert_or_get(&mut self, key: K, index: usize) -> Option<usize> {
        let first = *self.entry(key).or_insert(index);
        (first != index).then_some(first)
    }
}

#[derive(Default)]
struct Found(Vec<Mistake>);

impl Found {
    fn add(&mut self, key: impl Into<String>, message: String) {
        self.0.push(Mistake { key: key.into(), message });
    }
}

/// Whether a text is one DNS label in lower case (RFC 1123, 2.1).
pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The sentence for a name that is not a label.
pub fn label_rule(what: &str, value: &str) -> String {
    format!("`{}` cannot be {what}: use 1 to 63 lower-case letters, digits and hyphens, no hyphen at either end", shortened(value))
}

fn shortened(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network {
            interface: "br0".into(),
            subnet: "10.20.0.0/24".parse().expect("subnet"),
            gateway: Some(Ipv4Addr::new(10, 20, 0, 1)),
            dns: vec![],
            pool: "10.20.0.100-10.20.0.199".parse().expect("range"),
            fixed: Some("10.20.0.20-10.20.0.99".parse().expect("range")),
            unknown: Unknown::Discover,
            lease_seconds: DEFAULT_LEASE_SECONDS,
        }
    }

    fn node(name: &str) -> DeclaredNode {
        DeclaredNode { name: name.into(), serial: Some(format!("VM-{name}")), uuid: None, mac: None, address: None }
    }

    fn site() -> Site {
        Site {
            name: "hall-1".into(),
            networks: BTreeMap::from([("provision".into(), network())]),
            nodes: vec![node("w1")],
            ..Site::default()
        }
    }

    fn keys(site: &Site) -> Vec<String> {
        site.mistakes().into_iter().map(|mistake| mistake.key).collect()
    }

    #[test]
    fn a_sound_site_has_no_mistakes() {
        assert_eq!(site().mistakes(), []);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mut site = site();
        site.name = "Hall 1".into();
        let network = site.networks.get_mut("provision").expect("network");
        network.pool = "10.20.0.90-10.20.0.255".parse().expect("range");
        network.gateway = Some(Ipv4Addr::new(10, 21, 0, 1));
        network.lease_seconds = 5;
        site.nodes.push(node("w1"));
        site.nodes.push(DeclaredNode { serial: None, ..node("w2") });
        assert_eq!(
            keys(&site),
            [
                "site.name",
                "network.provision.pool",
                "network.provision.static",
                "network.provision.gateway",
                "network.provision.lease_seconds",
                "node.1.name",
                "node.1.serial",
                "node.2.name"
            ]
        );
    }

    #[test]
    fn two_networks_share_neither_addresses_nor_an_interface() {
        let mut site = site();
        site.networks.insert("second".into(), network());
        assert_eq!(keys(&site), ["network.second.subnet", "network.second.interface"]);
    }

    #[test]
    fn a_fixed_address_needs_a_mac_and_a_place_outside_the_pool() {
        let mut site = site();
        let mac = Some(MacAddr([0x52, 0x54, 0, 0, 0, 1]));
        for (mac, address, wrong) in [
            (mac, [10, 20, 0, 21], false),
            (None, [10, 20, 0, 21], true),
            (mac, [10, 20, 0, 101], true),
            (mac, [10, 20, 0, 5], true),
            (mac, [192, 168, 0, 5], true),
        ] {
            site.nodes = vec![DeclaredNode { mac, address: Some(address.into()), ..node("w1") }];
            assert_eq!(keys(&site) == ["node.0.address"], wrong, "{address:?}");
        }
    }

    #[test]
    fn placeholders_identify_nobody() {
        let mut site = site();
        site.nodes[0].serial = Some("To be filled by O.E.M.".into());
        site.nodes[0].mac = Some(MacAddr([0; 6]));
        assert_eq!(keys(&site), ["node.0.serial", "node.0.mac"]);
    }
}
