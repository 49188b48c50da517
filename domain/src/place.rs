//! Where a node stands: as its declaration says, or as its cables tell.
//!
//! A rack's pattern says which port belongs to which unit, so what a node's interfaces hear from the switches tells the
//! unit. Knows declarations and LLDP's texts, not how they came.

use crate::admission::answers_to;
use crate::hardware::NicBrief;
use crate::identity::Identity;
use crate::mac::MacAddr;
use crate::node::{Labels, Node};
use crate::site::{DeclaredNode, Site, SwitchPort, last_number, same_port};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The rack.
    pub rack: String,
    /// The unit; none where only the rack is known.
    pub unit: Option<u32>,
    /// How that is known.
    pub from: PlaceFrom,
}

/// How a place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceFrom {
    /// The site says so.
    Declared,
    /// Its cables end at the ports of that unit.
    Cabling,
}

/// What a node's cables tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The rack and unit that most of its cables agree on; none when none ends at a known port, or as many say another.
    pub place: Option<(String, u32)>,
    /// Which cable says what, when they do not agree: `eno1 says r1 unit 7, eno2 says r1 unit 8`.
    pub contradiction: Option<String>,
}

/// A site arranged for looking up: which declaration a machine answers to, which unit a port belongs to. Made once for a
/// revision of the site, in time that grows with its nodes.
#[derive(Debug)]
pub struct Layout {
    site: Arc<Site>,
    by_serial: HashMap<String, usize>,
    by_uuid: HashMap<Uuid, usize>,
    by_mac: HashMap<MacAddr, usize>,
    by_name: HashMap<String, usize>,
    /// By what the switch calls itself, in lower case.
    switches: HashMap<String, usize>,
    /// By its name in the site.
    switch_names: HashMap<String, usize>,
    /// The other switch of each one's pair.
    pairs: Vec<Option<usize>>,
    /// Sorted, as the site has them.
    racks: Vec<String>,
    units: HashMap<(usize, u32), usize>,
    /// By switch and last number: the ports that could be meant.
    ports: HashMap<(usize, Option<u64>), Vec<Held>>,
}

/// A port that belongs to a unit, or to a node that has none.
#[derive(Debug)]
struct Held {
    port: String,
    unit: Option<(usize, u32)>,
}

impl Layout {
    /// Arranges a site.
    pub fn new(site: Arc<Site>) -> Self {
        let nodes = || site.nodes.iter().enumerate().rev();
        // Backwards, so that the first of two stays, as it does where names are given.
        let by_serial = nodes().filter_map(|(i, node)| Some((node.serial.clone()?, i))).collect();
        let by_uuid = nodes().filter_map(|(i, node)| Some((node.uuid?, i))).collect();
        let by_mac = nodes().filter_map(|(i, node)| Some((node.mac?, i))).collect();
        let by_name = nodes().map(|(i, node)| (node.name.clone(), i)).collect();
        let told = |i: usize| site.switches[i].lldp.as_deref().into_iter().chain([site.switches[i].name.as_str()]);
        let switches = (0..site.switches.len()).rev().flat_map(|i| told(i).map(move |name| (canonical(name), i))).collect();
        let switch_names: HashMap<_, _> = site.switches.iter().enumerate().rev().map(|(i, switch)| (switch.name.clone(), i)).collect();
        let mut pairs = vec![None; site.switches.len()];
        for (i, switch) in site.switches.iter().enumerate() {
            if let Some(&other) = switch.pair.as_ref().and_then(|pair| switch_names.get(pair)) {
                (pairs[i], pairs[other]) = (Some(other), Some(i));
            }
        }
        let racks = site.racks.keys().cloned().collect();
        let (units, ports) = (HashMap::new(), HashMap::new());
        let mut layout = Self { by_serial, by_uuid, by_mac, by_name, switches, switch_names, pairs, racks, units, ports, site };
        layout.hold_ports();
        layout
    }

    fn hold_ports(&mut self) {
        let site = self.site.clone();
        let racks: HashMap<&str, usize> = site.racks.keys().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        for (i, node) in site.nodes.iter().enumerate() {
            let unit = node.rack.as_deref().and_then(|rack| racks.get(rack).copied()).zip(node.unit);
            self.units.extend(unit.map(|unit| (unit, i)));
            for cable in site.cables_of(node) {
                self.hold(cable.at, unit);
            }
        }
        for (r, rack) in site.racks.values().enumerate() {
            let Some(cabling) = &rack.cabling else { continue };
            for unit in 1..=crate::site::HIGHEST_UNIT {
                if self.units.contains_key(&(r, unit)) {
                    continue;
                }
                for cable in cabling.of_unit(unit) {
                    // A port that a declared node was given belongs to no other unit's pattern.
                    if !self.is_held_by_declared(&cable.at, r, unit) {
                        self.hold(cable.at, Some((r, unit)));
                    }
                }
            }
        }
    }

    fn hold(&mut self, at: SwitchPort, unit: Option<(usize, u32)>) {
        if let Some(switch) = self.switch_named(&at.switch) {
            self.ports.entry((switch, last_number(&at.port))).or_default().push(Held { port: at.port, unit });
        }
    }

    fn is_held_by_declared(&self, at: &SwitchPort, rack: usize, unit: u32) -> bool {
        let held = self.switch_named(&at.switch).and_then(|switch| self.ports.get(&(switch, last_number(&at.port))));
        let other = |held: &&Held| held.unit != Some((rack, unit)) && held.unit.is_none_or(|unit| self.units.contains_key(&unit));
        held.into_iter().flatten().filter(other).any(|held| same_port(&held.port, &at.port) || same_port(&at.port, &held.port))
    }

    /// The site that was arranged.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The declaration that a machine answers to; the first, where there are several.
    pub fn declaration(&self, identity: &Identity) -> Option<&DeclaredNode> {
        self.declared_at(identity).map(|i| &self.site.nodes[i])
    }

    pub(crate) fn declared_at(&self, identity: &Identity) -> Option<usize> {
        let by_serial = identity.serial.as_ref().and_then(|serial| self.by_serial.get(serial));
        let by_uuid = identity.uuid.and_then(|uuid| self.by_uuid.get(&uuid));
        let by_mac = identity.macs.iter().filter_map(|mac| self.by_mac.get(mac));
        let candidates = by_serial.into_iter().chain(by_uuid).chain(by_mac).copied();
        candidates.filter(|i| answers_to(&self.site.nodes[*i], identity)).min()
    }

    pub(crate) fn declared_as(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The switch that calls itself so in LLDP, by its index: system name, with or without domain, or chassis id.
    pub(crate) fn switch(&self, told: &str) -> Option<usize> {
        let whole = canonical(told);
        let host = whole.split('.').next().unwrap_or_default();
        self.switches.get(&whole).or_else(|| self.switches.get(host)).copied()
    }

    /// The switch of that name in the site.
    pub(crate) fn switch_named(&self, name: &str) -> Option<usize> {
        self.switch_names.get(name).copied()
    }

    /// The other switch of its pair.
    pub(crate) fn pair_of(&self, switch: usize) -> Option<usize> {
        self.pairs[switch]
    }

    fn held<'l>(&'l self, nic: &'l NicBrief) -> impl Iterator<Item = &'l Held> {
        let told = nic.port.as_deref();
        let switch = nic.switch.as_deref().and_then(|told| self.switch(told));
        let held = told.zip(switch).and_then(|(port, switch)| self.ports.get(&(switch, last_number(port))));
        held.into_iter().flatten().filter(move |held| told.is_some_and(|told| same_port(&held.port, told)))
    }

    /// What a machine's cables tell of its place.
    pub fn told(&self, nics: &[NicBrief]) -> Told {
        let mut votes: Vec<((usize, u32), Vec<&str>)> = vec![];
        for nic in nics {
            let mut units: Vec<_> = self.held(nic).filter_map(|held| held.unit).collect();
            units.sort_unstable();
            units.dedup();
            for unit in units {
                match votes.iter_mut().find(|(other, _)| *other == unit) {
                    Some((_, names)) => names.push(shown(nic)),
                    None => votes.push((unit, vec![shown(nic)])),
                }
            }
        }
        let most = votes.iter().map(|(_, names)| names.len()).max().unwrap_or(0);
        let mut best = votes.iter().filter(|(_, names)| names.len() == most);
        let place = match (best.next(), best.next()) {
            (Some(((rack, unit), _)), None) => Some((self.racks[*rack].clone(), *unit)),
            _ => None,
        };
        let says = |((rack, unit), names): &((usize, u32), Vec<&str>)| {
            let verb = if names.len() == 1 { "says" } else { "say" };
            format!("{} {verb} {} unit {unit}", names.join(" and "), self.racks[*rack])
        };
        let contradiction = (votes.len() > 1).then(|| votes.iter().map(says).collect::<Vec<_>>().join(", "));
        Told { place, contradiction }
    }

    /// Where a node stands, if that is known: as declared, else as its cables tell.
    pub fn place(&self, node: &Node) -> Option<Place> {
        let declared = self.declaration(&node.identity);
        let declared =
            declared.and_then(|declared| Some(Place { rack: declared.rack.clone()?, unit: declared.unit, from: PlaceFrom::Declared }));
        if declared.as_ref().is_some_and(|place| place.unit.is_some()) {
            return declared;
        }
        let told = self.told(&node.summary.each_nic).place.map(|(rack, unit)| Place { rack, unit: Some(unit), from: PlaceFrom::Cabling });
        match (&declared, &told) {
            (Some(place), Some(told)) if place.rack != told.rack => declared,
            _ => told.or(declared),
        }
    }

    /// What is written on a node: an operator's words, and the site's where the operator wrote none.
    pub fn labels(&self, node: &Node) -> Labels {
        let Some(declared) = self.declaration(&node.identity) else { return node.labels.clone() };
        Labels {
            owner: node.labels.owner.clone().or_else(|| declared.owner.clone()),
            tags: node.labels.tags.iter().chain(&declared.tags).cloned().collect(),
            note: node.labels.note.clone(),
        }
    }

    /// The node that is declared in a unit.
    pub(crate) fn declared_in(&self, rack: &str, unit: u32) -> Option<usize> {
        let rack = self.racks.binary_search_by(|name| name.as_str().cmp(rack)).ok()?;
        self.units.get(&(rack, unit)).copied()
    }
}

/// What people call an interface: the name that udev would choose, else the kernel's.
pub(crate) fn shown(nic: &NicBrief) -> &str {
    nic.names.first().unwrap_or(&nic.name)
}

fn canonical(told: &str) -> String {
    let told = told.trim();
    told.parse::<MacAddr>().map(|mac| mac.to_string()).unwrap_or_else(|_| told.to_ascii_lowercase())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::verify::fakes::{at, machine, nic, racked};

    fn place(nics: Vec<NicBrief>, serial: &str) -> String {
        let layout = Layout::new(Arc::new(racked()));
        match layout.place(&machine(serial, nics)) {
            Some(Place { rack, unit, from }) => format!("{rack} {} {from:?}", unit.map(|unit| unit.to_string()).unwrap_or_default()),
            None => String::new(),
        }
    }

    #[test]
    fn a_place_is_declared_or_told_by_the_cables() {
        for (what, serial, nics, expected) in [
            ("declared", "A7", vec![at("eno1", "sw1", "8")], "r1 7 Declared"),
            ("both cables agree", "B1", vec![at("eno1", "sw1", "Ethernet1/20"), at("eno2", "sw2", "Ethernet1/20")], "r1 20 Cabling"),
            ("one cable is enough", "B1", vec![at("eno1", "sw1", "swp20"), nic("eno2")], "r1 20 Cabling"),
            ("exchanged cables of one unit", "B1", vec![at("eno1", "sw2", "20"), at("eno2", "sw1", "20")], "r1 20 Cabling"),
            ("two against one", "B1", vec![at("a", "sw1", "20"), at("b", "sw2", "20"), at("c", "sw2", "9")], "r1 20 Cabling"),
            ("one against one", "B1", vec![at("eno1", "sw1", "20"), at("eno2", "sw2", "21")], ""),
            ("by the switch's whole name", "B1", vec![at("eno1", "SW1.hall1.example", "20")], "r1 20 Cabling"),
            ("by its chassis id", "B1", vec![at("eno1", "5254.0000.00AA", "20")], "r2 20 Cabling"),
            ("another switch", "B1", vec![at("eno1", "sw9", "20")], ""),
            ("another port", "B1", vec![at("eno1", "sw1", "uplink")], ""),
            ("no unit of that number", "B1", vec![at("eno1", "sw1", "61")], ""),
            ("nothing heard", "B1", vec![nic("eno1")], ""),
            ("declared in a rack, the unit by its cable", "A30", vec![at("eno1", "sw1", "30")], "r1 30 Cabling"),
            ("declared in a rack, the cable elsewhere", "A30", vec![at("eno1", "5254.0000.00AA", "30")], "r1  Declared"),
            ("a port of its own", "B1", vec![at("eno3", "sw2", "48")], "r1 8 Cabling"),
        ] {
            assert_eq!(place(nics, serial), expected, "{what}");
        }
    }

    #[test]
    fn cables_that_contradict_each_other_are_told() {
        let layout = Layout::new(Arc::new(racked()));
        let told = layout.told(&[at("eno1", "sw1", "20"), at("eno2", "sw2", "20"), at("eno3", "sw2", "21")]);
        assert_eq!(told.place, Some(("r1".into(), 20)));
        assert_eq!(told.contradiction.as_deref(), Some("eno1 and eno2 say r1 unit 20, eno3 says r1 unit 21"));
    }

    #[test]
    fn the_strongest_sign_finds_the_declaration() {
        let layout = Layout::new(Arc::new(racked()));
        let identity = |serial| Identity::new(None, serial, [MacAddr([0x52, 0x54, 0, 0, 0, 0x30])]);
        assert_eq!(layout.declaration(&identity(Some("A7"))).map(|node| node.name.as_str()), Some("w7"));
        assert_eq!(layout.declaration(&identity(None)).map(|node| node.name.as_str()), Some("w30"));
        assert_eq!(layout.declaration(&identity(Some("B1"))), None, "a card that moved does not carry the declaration along");
    }
}
