//! A rack: which switches it has, and how its nodes are plugged into them.

use super::cabling::Cabling;
use serde::{Deserialize, Serialize};

/// The highest unit of a rack.
pub const HIGHEST_UNIT: u32 = 60;

/// A rack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rack {
    /// The profile of its nodes, where they do not say another.
    pub profile: Option<String>,
    /// The switches that its nodes are plugged into.
    pub switches: Vec<String>,
    /// The pattern by which they are.
    pub cabling: Option<Cabling>,
    /// The file that lists its nodes.
    pub nodes: Option<String>,
}
