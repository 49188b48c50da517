//! What the operators' API says, as JSON: fields in lower snake_case, sizes in bytes, times RFC 3339 UTC.

mod history;
mod nodes;

pub use history::*;
pub use nodes::*;

use domain::lease::{Lease, LeaseState};
use domain::ports::Revision;
use domain::timeline::Timeline;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

pub(super) fn snake<T: Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
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
