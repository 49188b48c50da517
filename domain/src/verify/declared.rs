//! Declared and never seen, seen and never declared, and another machine than declared.

use super::{Difference, Hall, Kind, Severity, Telling, text};
use crate::admission::answers_to;
use crate::identity::Identity;
use crate::place::Told;
use crate::site::DeclaredNode;

impl Hall<'_> {
    pub(super) fn check_declaration(&self, i: usize, told: &mut Telling) {
        let node = self.seen[i].node;
        let cables = self.layout.told(&node.summary.each_nic);
        match self.declared[i] {
            Some(d) => {
                let declared = &self.layout.site().nodes[d];
                self.check_identity(i, d, declared, told);
                self.check_unit(declared, &cables, told);
            }
            None => self.check_undeclared(i, &cables, told),
        }
        let unit_known = self.declaration(i).is_some_and(|declared| declared.unit.is_some());
        if let Some(contradiction) = cables.contradiction.filter(|_| !unit_known) {
            told.add(Kind::Place, Severity::Notice, "nics", format!("its cables contradict each other: {}", text(&contradiction)));
        }
    }

    fn check_identity(&self, i: usize, d: usize, declared: &DeclaredNode, told: &mut Telling) {
        let node = self.seen[i].node;
        let mut differs = |severity, path: &str, sentence: String| told.add(Kind::Identity, severity, path, sentence);
        let others: Vec<_> = self.answering.get(&d).into_iter().flatten().filter(|other| **other != i).collect();
        if let Some(other) = others.first() {
            let name = &declared.name;
            let label = self.seen[**other].node.label();
            differs(
                Severity::Wrong,
                "",
                format!("{} answers to the declaration of {name} too: declare {name} by a serial or UUID of its own", text(&label)),
            );
        }
        if let Some(name) = node.name.as_ref().filter(|name| **name != declared.name) {
            let wanted = &declared.name;
            differs(
                Severity::Notice,
                "",
                format!(
                    "the site declares this machine as {wanted}: rename it with `overture nodes name {name} {wanted}`, or mend the site"
                ),
            );
        }
        if let (Some(wanted), Some(uuid)) = (declared.uuid, node.identity.uuid)
            && wanted != uuid
        {
            differs(
                Severity::Wrong,
                "system.uuid",
                format!("its UUID is {uuid}, expected {wanted}: mend the site if its board was replaced"),
            );
        }
        if let Some(mac) = declared.mac.filter(|mac| !node.identity.macs.is_empty() && !node.identity.macs.contains(mac)) {
            let seen = node.identity.macs.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            differs(
                Severity::Wrong,
                "nics",
                format!(
                    "no interface has the MAC address {mac}, which the site declares; it has {seen}: mend the site if a card was replaced"
                ),
            );
        }
        match (declared.bmc.as_ref().and_then(|bmc| bmc.ip()), node.summary.bmc_address) {
            (Some(wanted), Some(address)) if wanted != address => {
                differs(Severity::Wrong, "bmc.address", format!("its management controller has the address {address}, expected {wanted}"));
            }
            (Some(wanted), None) => {
                let reason = self.reason(i, "bmc.address");
                differs(
                    Severity::Unchecked,
                    "bmc.address",
                    format!("the address of its management controller, expected {wanted}, cannot be checked: {reason}"),
                );
            }
            _ => {}
        }
    }

    /// Whether it stands where another machine is declared.
    fn check_unit(&self, declared: &DeclaredNode, cables: &Told, told: &mut Telling) {
        let Some((rack, unit)) = &cables.place else { return };
        let Some(holder) = self.layout.declared_in(rack, *unit).map(|d| &self.layout.site().nodes[d]) else { return };
        if holder.name != declared.name {
            let expected = place_of(declared).map(|place| format!("; expected {place}")).unwrap_or_default();
            told.add(
                Kind::Place,
                Severity::Wrong,
                "nics",
                format!("its cables say rack {rack} unit {unit}, where {} is declared{expected}", holder.name),
            );
        }
    }

    fn check_undeclared(&self, i: usize, cables: &Told, told: &mut Telling) {
        let node = self.seen[i].node;
        if let Some(declared) = node.name.as_deref().and_then(|name| self.layout.declared_as(name)).map(|d| &self.layout.site().nodes[d]) {
            let (is, wanted) = (identity_of(&node.identity), signs(declared));
            let rest = format!(
                "the site declares another machine under this name ({wanted}), and this one is {is}: mend the site, or rename this node"
            );
            return told.add(Kind::Identity, Severity::Wrong, "system.serial", rest);
        }
        let holder =
            cables.place.as_ref().and_then(|(rack, unit)| self.layout.declared_in(rack, *unit)).map(|d| &self.layout.site().nodes[d]);
        let is = identity_of(&node.identity);
        match (&cables.place, holder) {
            (Some((rack, unit)), Some(holder)) => {
                let (name, wanted) = (&holder.name, signs(holder));
                let rest = format!(
                    "it stands in rack {rack} unit {unit}, where {name} is declared ({wanted}), and is {is}: mend the site, or look for {name}"
                );
                told.add(Kind::Place, Severity::Wrong, "system.serial", rest);
            }
            (Some((rack, unit)), None) => {
                let rest = format!(
                    "it reports and nobody declared it ({is}); its cables say rack {rack} unit {unit}: declare it there, or remove it"
                );
                told.add(Kind::Undeclared, Severity::Notice, "", rest);
            }
            _ => told.add(
                Kind::Undeclared,
                Severity::Notice,
                "",
                format!("it reports and nobody declared it ({is}): declare it, or remove it"),
            ),
        }
    }

    /// The declared nodes that nothing answers to.
    pub(super) fn missing(&self) -> Vec<Difference> {
        let site = self.layout.site();
        let named: std::collections::HashSet<&str> = self.seen.iter().filter_map(|seen| seen.node.name.as_deref()).collect();
        // A node that has the name and is another machine has said so already.
        let silent =
            site.nodes.iter().enumerate().filter(|(d, node)| !self.answering.contains_key(d) && !named.contains(node.name.as_str()));
        silent.map(|(_, node)| self.missing_one(node)).collect()
    }

    fn missing_one(&self, declared: &DeclaredNode) -> Difference {
        let mut told = Telling { node: None, name: declared.name.clone(), found: vec![] };
        let place = place_of(declared).map(|place| format!("{place}, ")).unwrap_or_default();
        let what = format!("it was declared ({place}{}) and never reported", signs(declared));
        let there = declared.rack.as_ref().zip(declared.unit).and_then(|(rack, unit)| self.standing.get(&(rack.clone(), unit)));
        let rest = match there.and_then(|there| there.first()) {
            Some(other) => {
                let (label, is) = (self.label(*other), identity_of(&self.seen[*other].node.identity));
                format!("{what}; {label} ({is}) stands there: mend the site, or look for {}", declared.name)
            }
            None => format!("{what}: switch it on, and look at its cables"),
        };
        told.add(Kind::Missing, Severity::Wrong, "", rest);
        told.found.remove(0)
    }
}

fn place_of(declared: &DeclaredNode) -> Option<String> {
    let rack = declared.rack.as_ref()?;
    Some(declared.unit.map_or_else(|| format!("rack {rack}"), |unit| format!("rack {rack} unit {unit}")))
}

/// What a declaration recognises a machine by.
fn signs(declared: &DeclaredNode) -> String {
    let serial = declared.serial.as_ref().map(|serial| format!("serial {}", text(serial)));
    let uuid = || declared.uuid.map(|uuid| format!("UUID {uuid}"));
    let mac = || declared.mac.map(|mac| format!("MAC address {mac}"));
    serial.or_else(uuid).or_else(mac).unwrap_or_default()
}

fn identity_of(identity: &Identity) -> String {
    let as_declared = DeclaredNode {
        serial: identity.serial.clone(),
        uuid: identity.uuid,
        mac: identity.macs.first().copied(),
        ..DeclaredNode::default()
    };
    debug_assert!(identity.is_empty() || answers_to(&as_declared, identity));
    Some(signs(&as_declared)).filter(|signs| !signs.is_empty()).unwrap_or_else(|| "without serial, UUID or MAC address".into())
}
