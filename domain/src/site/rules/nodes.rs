//! The rules for declared nodes: each can be recognised, stands where nobody else does, and shares nothing.

use super::{Found, dangling, shortened};
use crate::mac::MacAddr;
use crate::site::{Cable, DeclaredNode, HIGHEST_UNIT, Site, SwitchPort, is_label, label_rule, last_number, same_port};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// The longest owner or tag, characters.
const LONGEST_WORD: usize = 100;

pub(super) fn check(site: &Site, found: &mut Found) {
    let mut first_with = FirstWith::default();
    let switches: HashSet<&str> = site.switches.iter().map(|switch| switch.name.as_str()).collect();
    for (i, node) in site.nodes.iter().enumerate() {
        let at = |field: &str| if field.is_empty() { format!("node.{i}") } else { format!("node.{i}.{field}") };
        recognition(node, &at, found);
        if let Some(address) = node.address {
            fixed_address(site, node, address, &at("address"), found);
        }
        place(site, node, &switches, &at, found);
        words(node, &at, found);
        first_with.unique(site, i, &at, found);
    }
}

fn recognition(node: &DeclaredNode, at: &dyn Fn(&str) -> String, found: &mut Found) {
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
}

fn fixed_address(site: &Site, node: &DeclaredNode, address: Ipv4Addr, key: &str, found: &mut Found) {
    if node.mac.is_none() {
        found.add(key, format!("node `{}` has an address but no `mac`: DHCP knows a machine by its MAC address only", node.name));
    }
    match site.networks.iter().find(|(_, network)| network.subnet.contains(&address)) {
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

fn place(site: &Site, node: &DeclaredNode, switches: &HashSet<&str>, at: &dyn Fn(&str) -> String, found: &mut Found) {
    if let Some(rack) = node.rack.as_ref().filter(|rack| !site.racks.contains_key(*rack)) {
        found.add(at("rack"), dangling("rack", rack, site.racks.keys()));
    }
    if let Some(profile) = node.profile.as_ref().filter(|profile| !site.profiles.contains_key(*profile)) {
        found.add(at("profile"), dangling("profile", profile, site.profiles.keys()));
    }
    match node.unit {
        Some(unit) if !(1..=HIGHEST_UNIT).contains(&unit) => {
            found.add(at("unit"), format!("a rack has no unit {unit}: units count from 1 at the bottom to {HIGHEST_UNIT}"));
        }
        Some(unit) if node.rack.is_none() => {
            found.add(at("unit"), format!("unit {unit} of which rack? Name it with `rack`"));
        }
        _ => {}
    }
    for (nic, port) in node.cabling.iter().filter(|(_, port)| !switches.contains(port.switch.as_str())) {
        found.add(at(&format!("cabling.{nic}")), site.no_such_switch(&port.switch));
    }
    if let Some((field, message)) = node.bmc.as_ref().and_then(|bmc| bmc.mistake()) {
        found.add(at(if field.is_empty() { "bmc".to_owned() } else { format!("bmc.{field}") }.as_str()), message);
    }
}

fn words(node: &DeclaredNode, at: &dyn Fn(&str) -> String, found: &mut Found) {
    let fits = |text: &str| !text.is_empty() && text.chars().count() <= LONGEST_WORD && !text.contains(char::is_control);
    if let Some(owner) = node.owner.as_ref().filter(|owner| !fits(owner)) {
        found.add(at("owner"), format!("`{}` cannot be an owner: use 1 to {LONGEST_WORD} characters on one line", shortened(owner)));
    }
    if let Some(tag) = node.tags.iter().find(|tag| !fits(tag) || tag.contains(char::is_whitespace)) {
        found.add(at("tags"), format!("`{}` cannot be a tag: use 1 to {LONGEST_WORD} characters without spaces", shortened(tag)));
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
    bmc: HashMap<IpAddr, usize>,
    unit: HashMap<(String, u32), usize>,
    /// Ports by their switch and last number: those that could be the same.
    ports: HashMap<(String, Option<u64>), Vec<(SwitchPort, usize)>>,
}

impl FirstWith {
    fn unique(&mut self, site: &Site, i: usize, at: &dyn Fn(&str) -> String, found: &mut Found) {
        let node = &site.nodes[i];
        let named = |other: usize| shortened(&site.nodes[other].name);
        if let Some(other) = self.name.insert_or_get(node.name.clone(), i) {
            found.add(at("name"), format!("`{}` is declared twice: rename one of them", named(other)));
        }
        let mut twins = vec![];
        if let Some(serial) = &node.serial {
            twins.push(("serial", format!("serial `{}`", shortened(serial)), self.serial.insert_or_get(serial.clone(), i)));
        }
        if let Some(uuid) = node.uuid {
            twins.push(("uuid", format!("UUID {uuid}"), self.uuid.insert_or_get(crate::identity::uuid_key(uuid), i)));
        }
        if let Some(mac) = node.mac {
            twins.push(("mac", format!("MAC address {mac}"), self.mac.insert_or_get(mac, i)));
        }
        if let Some(address) = node.address {
            twins.push(("address", format!("address {address}"), self.address.insert_or_get(address, i)));
        }
        if let Some(address) = node.bmc.as_ref().and_then(|bmc| bmc.ip()) {
            twins.push(("bmc", format!("management address {address}"), self.bmc.insert_or_get(address, i)));
        }
        if let (Some(rack), Some(unit)) = (&node.rack, node.unit) {
            let place = format!("unit {unit} of rack `{}`", shortened(rack));
            twins.push(("unit", place, self.unit.insert_or_get((rack.clone(), unit), i)));
        }
        for (field, value, other) in twins {
            if let Some(other) = other {
                found.add(at(field), format!("{value} already belongs to node `{}`: each node needs its own", named(other)));
            }
        }
        for cable in site.cables_of(node) {
            self.port(site, i, cable, at, found);
        }
    }

    fn port(&mut self, site: &Site, i: usize, cable: Cable, at: &dyn Fn(&str) -> String, found: &mut Found) {
        let key = (cable.at.switch.clone(), last_number(&cable.at.port));
        let promised = self.ports.entry(key).or_default();
        let same = |port: &SwitchPort| same_port(&port.port, &cable.at.port) || same_port(&cable.at.port, &port.port);
        let Some((_, other)) = promised.iter().find(|(port, _)| same(port)) else {
            promised.push((cable.at, i));
            return;
        };
        let other_node = &site.nodes[*other];
        let place = |node: &DeclaredNode| (node.rack.clone(), node.unit);
        // Two nodes in one unit have their own mistake.
        if *other == i || place(other_node) != place(&site.nodes[i]) || other_node.unit.is_none() {
            let holder =
                if *other == i { "another interface of this node".to_owned() } else { format!("node `{}`", shortened(&other_node.name)) };
            let field = if site.nodes[i].cabling.contains_key(&cable.nic) { format!("cabling.{}", cable.nic) } else { "unit".into() };
            let (nic, port) = (shortened(&cable.nic), shortened(&cable.at.to_string()));
            found.add(at(&field), format!("`{nic}` is to be plugged into {port}, which belongs to {holder}: a port takes one cable"));
        }
    }
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
