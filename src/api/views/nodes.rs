//! Nodes, as the operators' API shows them.

use super::snake;
use domain::document::{Document, Gap};
use domain::node::Node;
use domain::order::{Order, OrderKind};
use domain::place::{Layout, Place, PlaceFrom};
use inventory::Past;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node, as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// UUIDv7.
    pub id: String,
    /// The operator's name for it.
    pub name: Option<String>,
    /// Where it stands: `discovered`.
    pub stage: String,
    /// SMBIOS serial number, unless it is a placeholder.
    pub serial: Option<String>,
    /// SMBIOS UUID, unless it is a placeholder.
    pub uuid: Option<String>,
    /// Permanent MAC addresses of its network cards.
    pub macs: Vec<String>,
    /// The address it reported from; null where all that is known of it was imported.
    pub address: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// The model.
    pub product: Option<String>,
    /// The processor's model.
    pub cpu_model: Option<String>,
    /// Logical processors.
    pub cpu_threads: Option<u32>,
    /// Cores of all packages.
    #[serde(default)]
    pub cpu_cores: Option<u32>,
    /// Processor packages.
    #[serde(default)]
    pub cpu_sockets: Option<u32>,
    /// Memory that the kernel can use, bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is plugged in, bytes.
    #[serde(default)]
    pub memory_installed_bytes: Option<u64>,
    /// Memory modules that are plugged in.
    #[serde(default)]
    pub dimms: Option<u32>,
    /// Disks that could hold a system.
    pub disks: Option<u32>,
    /// Their sizes together, bytes.
    pub disk_bytes: Option<u64>,
    /// Physical network interfaces.
    pub nics: Option<u32>,
    /// `bios` or `uefi`.
    pub firmware: Option<String>,
    /// Version of the firmware.
    #[serde(default)]
    pub firmware_version: Option<String>,
    /// Address of the management controller.
    #[serde(default)]
    pub bmc_address: Option<String>,
    /// Who it belongs to.
    #[serde(default)]
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What an operator wrote on it.
    #[serde(default)]
    pub note: Option<String>,
    /// Where it stands, as far as the site or its cabling tells.
    #[serde(default)]
    pub place: Option<PlaceView>,
    /// First report.
    pub first_seen: String,
    /// Last report or question of its agent.
    pub last_seen: String,
    /// Reports accepted.
    pub reports: u64,
    /// The boot that reported last, UUIDv7; null where all that is known of it was imported.
    pub boot: Option<String>,
    /// The last order it was given.
    pub order: Option<OrderView>,
    /// Counts changes; the ETag of the node.
    pub version: u64,
    /// What stands in the columns that were asked for, in their order; absent when none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellView>,
}

/// What stands in one column of a node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CellView {
    /// For people: short, with units; empty where nothing is known.
    pub text: String,
    /// For machines: bytes, Mbit/s and per cent as integers, a list for fields that can have several values, null where
    /// nothing is known.
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
}

/// A column that was asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ColumnView {
    /// Its name, as it is typed.
    pub name: String,
    /// Its head, for people.
    pub title: String,
}

/// A node with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeDetail {
    /// The node in short.
    #[serde(flatten)]
    pub node: NodeView,
    /// SHA-256 of the public key of the agent that reported last, hexadecimal; the agent shows its start on the screen.
    pub key: Option<String>,
    /// The report after which the facts were like this; null when none of them is kept.
    #[serde(default)]
    pub report: Option<u64>,
    /// When that was accepted.
    #[serde(default)]
    pub reported: Option<String>,
    /// The facts, readings such as temperatures included.
    #[schema(value_type = Object)]
    pub facts: serde_json::Value,
    /// What they lack, and why.
    pub gaps: Vec<GapView>,
    /// What that report says beside facts and gaps, from an agent that is newer than this service.
    #[schema(value_type = Object)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// Something that a report could not find out.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GapView {
    /// Where in the facts.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a node is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderName {
    /// Stay in the ramdisk; takes back an order that was not taken yet, and `local_disk`.
    Wait,
    /// Restart.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Restart from the local disk, now and at each later boot, until told otherwise.
    LocalDisk,
    /// Test the hardware; given by `test_node`.
    Test,
}

impl From<OrderName> for OrderKind {
    fn from(name: OrderName) -> Self {
        match name {
            OrderName::Wait => Self::Wait,
            OrderName::Reboot => Self::Reboot,
            OrderName::PowerOff => Self::PowerOff,
            OrderName::LocalDisk => Self::LocalDisk,
            OrderName::Test => Self::Test,
        }
    }
}

impl From<OrderKind> for OrderName {
    fn from(kind: OrderKind) -> Self {
        match kind {
            OrderKind::Wait => Self::Wait,
            OrderKind::Reboot => Self::Reboot,
            OrderKind::PowerOff => Self::PowerOff,
            OrderKind::LocalDisk => Self::LocalDisk,
            OrderKind::Test => Self::Test,
        }
    }
}

/// An order and how far it has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// UUIDv7.
    pub id: String,
    /// What is to be done.
    pub order: OrderName,
    /// When it was given.
    pub given: String,
    /// When the agent said that it would do it; none while it waits for the agent.
    pub taken: Option<String>,
}

/// A page of nodes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodePage {
    /// The nodes, in the order that was asked for; without one, in the order in which they were first seen.
    pub items: Vec<NodeView>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
    /// How many nodes fit in all; null when the filter asks for facts that have no index, so that nobody has counted.
    #[serde(default)]
    pub total: Option<u64>,
    /// The columns that were asked for; absent when none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnView>,
}

/// Where a node stands in the hall.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// The rack.
    pub rack: String,
    /// The unit, from 1 at the bottom.
    pub unit: Option<u32>,
    /// How that is known: `declared` by the site, or derived from `cabling`.
    pub from: String,
}

impl From<&Place> for PlaceView {
    fn from(place: &Place) -> Self {
        let from = match place.from {
            PlaceFrom::Declared => "declared",
            PlaceFrom::Cabling => "cabling",
        };
        Self { rack: place.rack.clone(), unit: place.unit, from: from.into() }
    }
}

impl NodeView {
    /// A node, and what the site says of it.
    pub fn of(node: &Node, layout: &Layout) -> Self {
        let (summary, labels) = (&node.summary, layout.labels(node));
        Self {
            id: node.id.to_string(),
            name: node.name.clone(),
            stage: snake(node.stage),
            serial: node.identity.serial.clone(),
            uuid: node.identity.uuid.map(|uuid| uuid.to_string()),
            macs: node.identity.macs.iter().map(ToString::to_string).collect(),
            address: node.address.map(|address| address.to_string()),
            vendor: summary.vendor.clone(),
            product: summary.product.clone(),
            cpu_model: summary.cpu_model.clone(),
            cpu_threads: summary.cpu_threads,
            cpu_cores: summary.cpu_cores,
            cpu_sockets: summary.cpu_sockets,
            memory_bytes: summary.memory_bytes,
            memory_installed_bytes: summary.memory_installed_bytes,
            dimms: summary.dimms,
            disks: summary.disks,
            disk_bytes: summary.disk_bytes,
            nics: summary.nics,
            firmware: summary.firmware.map(snake),
            firmware_version: summary.firmware_version.clone(),
            bmc_address: summary.bmc_address.map(|address| address.to_string()),
            owner: labels.owner,
            tags: labels.tags.into_iter().collect(),
            note: labels.note,
            place: layout.place(node).as_ref().map(PlaceView::from),
            first_seen: node.first_seen.to_string(),
            last_seen: node.last_seen.to_string(),
            reports: node.reports,
            boot: node.boot.map(|boot| boot.to_string()),
            order: node.order.as_ref().map(OrderView::from),
            version: node.version,
            cells: vec![],
        }
    }
}

impl NodeDetail {
    /// A node with a document of its history.
    pub fn of(node: &Node, layout: &Layout, past: Option<Past>) -> Self {
        let (report, reported) = (past.as_ref().map(|past| past.mark.number), past.as_ref().map(|past| past.mark.at.to_string()));
        let Document { facts, gaps, other } = past.map(|past| past.document).unwrap_or_default();
        Self {
            node: NodeView::of(node, layout),
            key: node.key.as_ref().map(ToString::to_string),
            report,
            reported,
            facts,
            gaps: gaps.into_iter().map(GapView::from).collect(),
            other,
        }
    }
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self { path: gap.path, reason: gap.reason }
    }
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id.to_string(),
            order: order.kind.into(),
            given: order.given.to_string(),
            taken: order.taken.map(|at| at.to_string()),
        }
    }
}
