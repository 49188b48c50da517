//! Which agent speaks, and for which node.

use crate::counters::Happened;
use crate::owner::Inventory;
use axum::http::{HeaderMap, HeaderValue};
use domain::NodeId;
use domain::boot::Boot;
use domain::ports::ClaimError;
use domain::ticket::{ClaimRefused, KeyFingerprint, Ticket};
use inventory_wire::TICKET_HEADER;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Who is at the other end of an agent's connection. The TLS listener puts it into each request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPeer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The key that the agent has shown to own.
    pub key: KeyFingerprint,
}

impl AgentPeer {
    /// Its IPv4 address; a socket for both families writes it as `::ffff:10.20.0.5`.
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.address.ip().to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

/// Why a request is not an agent's of a boot under way.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// No ticket came along.
    #[error("send the ticket of this boot in the header `{TICKET_HEADER}`: it stands on the kernel command line")]
    Missing,
    /// It cannot be one.
    #[error("the header `{TICKET_HEADER}` must be one ticket of 32 hexadecimal digits in lower case")]
    NotATicket,
    /// Tickets are issued to IPv4 addresses.
    #[error("agents speak IPv4, and this request comes from {0}")]
    NotIpv4(IpAddr),
    /// It was not accepted.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl TicketError {
    fn happened(&self) -> Happened {
        match self {
            Self::Missing => Happened::NoTicket,
            Self::NotATicket | Self::NotIpv4(_) => Happened::BadTicket,
            Self::Claim(ClaimError::Refused(ClaimRefused::SecondKey)) => Happened::SecondKey,
            Self::Claim(ClaimError::Refused(ClaimRefused::WrongAddress { .. })) => Happened::WrongAddress,
            Self::Claim(ClaimError::Refused(_)) => Happened::UnknownTicket,
            Self::Claim(ClaimError::Store(_)) => Happened::Unavailable,
        }
    }
}

/// Why a boot speaks for no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotItsNode {
    /// Nothing was reported in this boot.
    #[error("unknown node: report first")]
    Unknown,
    /// It did report, and so did another boot as the same node after it. Either the machine was started again, or two
    /// machines share one identity.
    #[error(
        "{label} has reported from another boot since: if this machine was not started again meanwhile, two machines share one serial or UUID; start this one again and compare them"
    )]
    Superseded {
        /// What a person calls the node.
        label: String,
    },
}

impl NotItsNode {
    pub(crate) fn happened(&self) -> Happened {
        match self {
            Self::Unknown => Happened::UnknownNode,
            Self::Superseded { .. } => Happened::Superseded,
        }
    }
}

impl Inventory {
    /// The boot that an agent speaks for: it has the ticket, comes from the ticket's address and owns the key that used
    /// the ticket first.
    pub(crate) async fn boot_of(&self, peer: &AgentPeer, headers: &HeaderMap) -> Result<Boot, TicketError> {
        let boot = self.claim(peer, headers).await;
        if let Err(refused) = &boot {
            self.counters.count(refused.happened());
        }
        boot
    }

    async fn claim(&self, peer: &AgentPeer, headers: &HeaderMap) -> Result<Boot, TicketError> {
        let ticket = one_ticket(headers)?;
        let from = peer.ipv4().ok_or(TicketError::NotIpv4(peer.address.ip()))?;
        Ok(self.boots.claim(&ticket, from, &peer.key).await?)
    }

    /// The node that a boot speaks for. The node's own record decides, because it is durable; the boot's tells whether
    /// it ever reported. Neither depends on a clock.
    pub(crate) fn node_of(&self, boot: &Boot) -> Result<NodeId, NotItsNode> {
        match (self.index.of_boot(boot.id), boot.node) {
            (Some(id), _) => Ok(id),
            (None, Some(id)) if self.index.contains(id) => Err(NotItsNode::Superseded { label: self.shown_label(id) }),
            _ => Err(NotItsNode::Unknown),
        }
    }

    /// What a person calls a node, fit for a log.
    pub(crate) fn shown_label(&self, id: NodeId) -> String {
        domain::timeline::printable(&self.index.label(id), 80)
    }
}

fn one_ticket(headers: &HeaderMap) -> Result<Ticket, TicketError> {
    let mut values = headers.get_all(TICKET_HEADER).iter();
    let parse = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
    match (values.next(), values.next()) {
        (None, _) => Err(TicketError::Missing),
        (Some(value), None) => parse(value).ok_or(TicketError::NotATicket),
        (Some(_), Some(_)) => Err(TicketError::NotATicket),
    }
}
