//! A node with all that the site adds to it: its place, its profile, whose it is.

use domain::hardware::Summary;
use domain::ids::NodeId;
use domain::node::Node;
use domain::place::Layout;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A node as it is exported.
#[derive(Debug, Clone, Serialize)]
pub struct Record<'n> {
    /// Its id.
    pub id: NodeId,
    /// The operator's name for it; the site's, where it has none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it stands in its life.
    pub stage: String,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<&'n str>,
    /// Its SMBIOS UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<uuid::Uuid>,
    /// Its rack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Its unit there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<u32>,
    /// How its place is known: `declared` or `cabling`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_from: Option<String>,
    /// Its profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Who it belongs to: as an operator wrote on it, else as the site says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'n str>,
    /// Its tags, an operator's and the site's.
    pub tags: BTreeSet<String>,
    /// An operator's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'n str>,
    /// The address that it has for certain, else the one that it reported from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::Ipv4Addr>,
    /// `bios` or `uefi`.
    #[serde(skip)]
    pub firmware: Option<String>,
    /// The first report.
    pub first_seen: domain::Timestamp,
    /// The last report or question of its agent.
    pub last_seen: domain::Timestamp,
    /// How many reports were accepted.
    pub reports: u64,
    /// Its hardware in short.
    pub hardware: &'n Summary,
}

impl<'n> Record<'n> {
    /// A node with what the site says of it.
    pub fn of<'l: 'n>(layout: &'l Layout, node: &'n Node) -> Self {
        let declared = layout.declaration(&node.identity);
        let place = layout.place(node);
        let tags = declared.iter().flat_map(|declared| &declared.tags).chain(&node.labels.tags).cloned().collect();
        Self {
            id: node.id,
            name: node.name.clone().or_else(|| declared.map(|declared| declared.name.clone())),
            stage: word(node.stage).unwrap_or_default(),
            serial: node.identity.serial.as_deref(),
            uuid: node.identity.uuid,
            unit: place.as_ref().and_then(|place| place.unit),
            place_from: place.as_ref().and_then(|place| word(place.from)),
            rack: place.map(|place| place.rack),
            profile: declared.and_then(|declared| layout.site().profile_of(declared)).map(|(name, _)| name.to_owned()),
            owner: node.labels.owner.as_deref().or_else(|| declared?.owner.as_deref()),
            tags,
            note: node.labels.note.as_deref(),
            address: declared.and_then(|declared| declared.address).or(node.address),
            firmware: node.summary.firmware.and_then(word),
            first_seen: node.first_seen,
            last_seen: node.last_seen,
            reports: node.reports,
            hardware: &node.summary,
        }
    }

    /// What a person calls it.
    pub(super) fn label(&self, node: &Node) -> String {
        self.name.clone().unwrap_or_else(|| node.label())
    }
}

/// A word of the API.
fn word(value: impl Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => Some(word),
        _ => None,
    }
}
