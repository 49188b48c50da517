//! What the operator wants, as values, and the rules that a site must keep.
//!
//! Reading TOML and CSV is not known here: a mistake names the key it concerns (`network.provision.pool`), and whoever
//! read the file knows where that key stands. Sites are kept as JSON: what a later version adds has a default, so that
//! what an earlier one kept is still read.

mod cabling;
mod network;
mod node;
mod profile;
mod rack;
mod rules;
#[cfg(test)]
mod rules_tests;
mod switch;

pub use cabling::{BadCabling, Cable, Cabling, SwitchPort, last_number, same_port};
pub use network::{DEFAULT_LEASE_SECONDS, LONGEST_LEASE_SECONDS, Network, SHORTEST_LEASE_SECONDS, Unknown};
pub use node::{DeclaredBmc, DeclaredNode};
pub use profile::{Expects, Profile};
pub use rack::{HIGHEST_UNIT, Rack};
pub use switch::Switch;

use rules::shortened;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

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
    /// What classes of nodes are like, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
    /// Switches, in the order of the files.
    #[serde(default)]
    pub switches: Vec<Switch>,
    /// Racks by name.
    #[serde(default)]
    pub racks: BTreeMap<String, Rack>,
    /// Declared nodes, in the order of the files.
    pub nodes: Vec<DeclaredNode>,
}

impl Site {
    /// The rack that a node is declared in, if there is such a rack.
    pub fn rack_of(&self, node: &DeclaredNode) -> Option<&Rack> {
        self.racks.get(node.rack.as_ref()?)
    }

    /// The profile that a node has by itself or by its rack, with its name.
    pub fn profile_of(&self, node: &DeclaredNode) -> Option<(&str, &Profile)> {
        let name = node.profile.as_ref().or_else(|| self.rack_of(node)?.profile.as_ref())?;
        self.profiles.get_key_value(name).map(|(name, profile)| (name.as_str(), profile))
    }

    /// What a node is expected to have: what it says itself, and for the rest what its profile says.
    pub fn expects_of(&self, node: &DeclaredNode) -> Expects {
        let profile = self.profile_of(node).map(|(_, profile)| profile.expects.clone()).unwrap_or_default();
        node.expects.clone().or(profile)
    }

    /// Where a node's cables are to be plugged in: as it says itself, and for the other interfaces by its rack's pattern.
    pub fn cables_of(&self, node: &DeclaredNode) -> Vec<Cable> {
        let pattern = self.rack_of(node).and_then(|rack| rack.cabling.as_ref()).zip(node.unit);
        let own = node.cabling.iter().map(|(nic, at)| Cable { nic: nic.clone(), at: at.clone() });
        let by_rack = pattern.map(|(cabling, unit)| cabling.of_unit(unit)).unwrap_or_default();
        own.chain(by_rack.into_iter().filter(|cable| !node.cabling.contains_key(&cable.nic))).collect()
    }
}

/// A rule of the site that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// The key that is wrong, dotted; blocks of an array by their index: `node.2.name`.
    pub key: String,
    /// What is wrong with which value, and how to mend it: one sentence or two.
    pub message: String,
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
