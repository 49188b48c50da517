//! What the operators' API says, as JSON: fields in lower snake_case, sizes in bytes, times RFC 3339 UTC.

use domain::lease::{Lease, LeaseState};
use domain::node::{Listed, Node};
use domain::order::{Order, OrderKind};
use domain::ports::Revision;
use domain::timeline::Timeline;
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
    /// The address it reported from.
    pub address: String,
    /// Who made it.
    pub vendor: Option<String>,
    /// The model.
    pub product: Option<String>,
    /// The processor's model.
    pub cpu_model: Option<String>,
    /// Logical processors.
    pub cpu_threads: Option<u32>,
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Disks that could hold a system.
    pub disks: Option<u32>,
    /// Their sizes together, bytes.
    pub disk_bytes: Option<u64>,
    /// Physical network interfaces.
    pub nics: Option<u32>,
    /// `bios` or `uefi`.
    pub firmware: Option<String>,
    /// First report.
    pub first_seen: String,
    /// Last report or question of its agent.
    pub last_seen: String,
    /// Reports accepted.
    pub reports: u64,
    /// The boot that reported last, UUIDv7.
    pub boot: String,
    /// The last order it was given.
    pub order: Option<OrderView>,
    /// Counts changes; the ETag of the node.
    pub version: u64,
}

/// A node with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeDetail {
    /// The node in short.
    #[serde(flatten)]
    pub node: NodeView,
    /// SHA-256 of the public key of the agent that reported last, hexadecimal; the agent shows its start on the screen.
    pub key: String,
    /// The facts of the last report as they came.
    #[schema(value_type = Object)]
    pub facts: serde_json::Value,
    /// What that report lacks, and why.
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
}

impl From<OrderName> for OrderKind {
    fn from(name: OrderName) -> Self {
        match name {
            OrderName::Wait => Self::Wait,
            OrderName::Reboot => Self::Reboot,
            OrderName::PowerOff => Self::PowerOff,
            OrderName::LocalDisk => Self::LocalDisk,
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
    /// The nodes, oldest id first.
    pub items: Vec<NodeView>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// A lease.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeaseView {
    /// The network's name.
    pub network: String,
    /// The address.
    pub address: String,
    /// Who holds it.
    pub mac: String,
    /// `bound`, `released`, `declined` or `expired`.
    pub state: String,
    /// When it was last granted.
    pub granted: String,
    /// When it ends.
    pub expires: String,
    /// The name that the machine gave itself.
    pub host_name: Option<String>,
}

/// A page of leases, by network and address.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeasePage {
    /// The leases.
    pub items: Vec<LeaseView>,
    /// Ask again with `cursor` set to this for the next page; none after the last.
    pub next_cursor: Option<String>,
}

/// The boots of a machine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// What was asked for.
    pub machine: String,
    /// The node, when the inventory knows it.
    pub node: Option<NodeView>,
    /// Its network interfaces.
    pub macs: Vec<String>,
    /// Its boots, newest first.
    pub boots: Vec<BootView>,
}

/// One boot, from the first DHCPDISCOVER on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BootView {
    /// UUIDv7.
    pub id: String,
    /// The interface that asked.
    pub mac: String,
    /// The network it asked on.
    pub network: String,
    /// Its first packet.
    pub started: String,
    /// Client architecture (option 93), in words.
    pub architecture: Option<String>,
    /// The node that reported in it, UUIDv7.
    pub node: Option<String>,
    /// Why its ticket is void, when it is.
    pub revoked: Option<String>,
    /// What it asked and was answered, oldest first.
    pub steps: Vec<StepView>,
}

/// One thing that was asked or answered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// When.
    pub at: String,
    /// Milliseconds since the boot's first packet.
    pub after_ms: i64,
    /// `dhcp`, `tftp`, `http` or `agent`.
    pub protocol: String,
    /// A word for programs: `discover`, `offer`, `request`, `ack`, `nak`, `silence`, `file`, `script`, `report`, `refused`…
    pub event: String,
    /// A sentence for people.
    pub message: String,
    /// By which rule.
    pub rule: Option<String>,
}

/// One version of the site.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevisionView {
    /// UUIDv7.
    pub id: String,
    /// Counts from 1.
    pub number: u64,
    /// When it was accepted.
    pub applied: String,
    /// Who applied it.
    pub by: String,
    /// The site's name.
    pub name: String,
    /// How many networks it has.
    pub networks: usize,
    /// How many nodes it declares.
    pub nodes: usize,
}

/// Revisions, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevisionList {
    /// The revisions.
    pub items: Vec<RevisionView>,
}

/// A site in force, with its files.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SiteView {
    /// The revision.
    #[serde(flatten)]
    pub revision: RevisionView,
    /// Its files by path.
    pub files: std::collections::BTreeMap<String, String>,
}

/// A site to apply.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SiteFiles {
    /// The `.toml` files by their path within the site's folder.
    pub files: std::collections::BTreeMap<String, String>,
}

/// What applying did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The revision in force; the one before when nothing changed, or on a dry run.
    pub revision: Option<RevisionView>,
    /// Whether it is new.
    pub changed: bool,
    /// What differs from the revision before, a line each.
    pub changes: Vec<String>,
}

/// A refusal (RFC 9457), as `inventory::problem` writes it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// Tells one kind of problem from another: `urn:overture:problem:no_such_node`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what to do next.
    pub detail: String,
    /// Each mistake by itself, where there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FaultView>,
}

/// One mistake in what was sent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FaultView {
    /// What is wrong and how to mend it.
    pub detail: String,
    /// The file, where several were sent.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The key, or the name of a header or parameter.
    pub key: Option<String>,
}

fn snake<T: Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl From<&Node> for NodeView {
    fn from(node: &Node) -> Self {
        Self::from(&node.listed())
    }
}

impl From<&Listed> for NodeView {
    fn from(node: &Listed) -> Self {
        let summary = &node.summary;
        Self {
            id: node.id.to_string(),
            name: node.name.clone(),
            stage: snake(node.stage),
            serial: node.identity.serial.clone(),
            uuid: node.identity.uuid.map(|uuid| uuid.to_string()),
            macs: node.identity.macs.iter().map(ToString::to_string).collect(),
            address: node.address.to_string(),
            vendor: summary.vendor.clone(),
            product: summary.product.clone(),
            cpu_model: summary.cpu_model.clone(),
            cpu_threads: summary.cpu_threads,
            memory_bytes: summary.memory_bytes,
            disks: summary.disks,
            disk_bytes: summary.disk_bytes,
            nics: summary.nics,
            firmware: summary.firmware.map(snake),
            first_seen: node.first_seen.to_string(),
            last_seen: node.last_seen.to_string(),
            reports: node.reports,
            boot: node.boot.to_string(),
            order: node.order.as_ref().map(OrderView::from),
            version: node.version,
        }
    }
}

impl From<&Node> for NodeDetail {
    fn from(node: &Node) -> Self {
        Self {
            node: node.into(),
            key: node.key.to_string(),
            facts: node.facts.clone(),
            gaps: node.gaps.iter().map(|gap| GapView { path: gap.path.clone(), reason: gap.reason.clone() }).collect(),
            other: node.other.clone(),
        }
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

impl LeaseView {
    /// A lease as it is at a moment.
    pub fn of(lease: &Lease, now: domain::Timestamp) -> Self {
        let expired = lease.state == LeaseState::Bound && lease.expires <= now;
        Self {
            network: lease.network.clone(),
            address: lease.address.to_string(),
            mac: lease.mac.to_string(),
            state: if expired { "expired".into() } else { snake(lease.state) },
            granted: lease.granted.to_string(),
            expires: lease.expires.to_string(),
            host_name: lease.host_name.clone(),
        }
    }
}

impl From<&Timeline> for BootView {
    fn from(timeline: &Timeline) -> Self {
        let boot = &timeline.boot;
        let after = |at: domain::Timestamp| at.as_millisecond() - boot.started.as_millisecond();
        Self {
            id: boot.id.to_string(),
            mac: boot.mac.to_string(),
            network: boot.network.clone(),
            started: boot.started.to_string(),
            architecture: boot.architecture.map(|architecture| architecture.to_string()),
            node: boot.node.map(|node| node.to_string()),
            revoked: boot.revoked.clone(),
            steps: timeline
                .steps
                .iter()
                .map(|step| StepView {
                    at: step.at.to_string(),
                    after_ms: after(step.at),
                    protocol: snake(step.protocol),
                    event: step.event.clone(),
                    message: step.message.clone(),
                    rule: step.rule.clone(),
                })
                .collect(),
        }
    }
}

impl From<&Revision> for RevisionView {
    fn from(revision: &Revision) -> Self {
        Self {
            id: revision.id.to_string(),
            number: revision.number,
            applied: revision.applied.to_string(),
            by: revision.by.clone(),
            name: revision.site.name.clone(),
            networks: revision.site.networks.len(),
            nodes: revision.site.nodes.len(),
        }
    }
}
