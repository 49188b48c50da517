//! A switch that nodes are plugged into.

use serde::{Deserialize, Serialize};

/// A switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Its name in the site.
    pub name: String,
    /// The other switch of its pair: a node's cables are spread over both.
    pub pair: Option<String>,
    /// What it calls itself in LLDP, system name or chassis id, where that is not its name.
    pub lldp: Option<String>,
}
