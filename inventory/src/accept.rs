//! Takes in a report: read, recognise, keep, and only then answer.

use crate::agents::NotItsNode;
use crate::counters::Happened;
use crate::owner::Inventory;
use crate::translate::{self, ReadError};
use domain::boot::Boot;
use domain::identity::{Recognised, recognise};
use domain::node::{Node, Seen};
use domain::ports::StoreError;
use domain::ticket::KeyFingerprint;
use domain::timeline::printable;
use domain::{BootId, NodeId};
use inventory_wire::{Accepted, Report};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Above this many bytes a report is read beside the threads that serve everything else: half a megabyte of JSON takes
/// milliseconds.
const SMALL: usize = 64 * 1024;
/// How often a report is tried again when its node was changed by somebody else meanwhile.
const MOST_TRIES: usize = 16;

/// Why a report was not taken in. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It names another boot than the ticket's.
    #[error("the report names boot `{named}`, and its ticket belongs to boot {boot}: send the `boot` of the kernel command line")]
    OtherBoot {
        /// The boot it names, printable.
        named: String,
        /// The boot of its ticket.
        boot: BootId,
    },
    /// Another boot has reported as the same node since.
    #[error(transparent)]
    Superseded(NotItsNode),
    /// Nothing in it identifies a machine.
    #[error(
        "this machine has no usable serial, UUID or network card: set a serial in its firmware, or check that the ramdisk has its network driver"
    )]
    Nameless,
    /// It fits several nodes.
    #[error("this machine fits several nodes equally well: {}; compare their serials and UUIDs with the machine's", list(.candidates))]
    Ambiguous {
        /// The nodes.
        candidates: Vec<NodeId>,
    },
    /// It is of a new machine, and as many nodes are known as there may be.
    #[error(
        "the inventory is full: it has {most} nodes, the most there may be, and this machine is a new one; have nodes that are gone forgotten (`overture nodes forget NODE`), then it is taken in by itself"
    )]
    Full {
        /// How many there may be.
        most: usize,
    },
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(ids: &[NodeId]) -> String {
    ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl ReportError {
    fn happened(&self) -> Happened {
        match self {
            Self::Read(ReadError::Version { .. }) => Happened::Version,
            Self::Read(ReadError::TooMany { .. }) => Happened::TooLarge,
            Self::Read(ReadError::Malformed { .. }) => Happened::Malformed,
            Self::OtherBoot { .. } => Happened::OtherBoot,
            Self::Superseded(why) => why.happened(),
            Self::Nameless => Happened::Nameless,
            Self::Ambiguous { .. } => Happened::Ambiguous,
            Self::Full { .. } => Happened::Full,
            Self::Store(_) => Happened::Unavailable,
        }
    }
}

/// Which node a report is of.
struct Match {
    node: Option<Node>,
    because: &'static str,
    /// Whether it says it is another node than the one that this boot reported as before.
    contradicts: bool,
}

impl Inventory {
    /// Takes in the report of a boot whose ticket was checked.
    pub(crate) async fn accept(&self, boot: &Boot, from: Ipv4Addr, key: KeyFingerprint, bytes: Vec<u8>) -> Result<Accepted, ReportError> {
        let accepted = self.take_in(boot, from, key, bytes).await;
        if let Err(refused) = &accepted {
            let sentence = format!("the report of {} from {from} was refused: {refused}", boot.mac);
            if !matches!(refused, ReportError::Store(_)) {
                self.boots.note(boot.id, "refused", "its report was refused, nothing of it was kept".into(), Some(refused.to_string()));
            }
            self.refuse(refused.happened(), || sentence);
        }
        accepted
    }

    async fn take_in(&self, boot: &Boot, from: Ipv4Addr, key: KeyFingerprint, bytes: Vec<u8>) -> Result<Accepted, ReportError> {
        let report = parse(bytes).await?;
        if report.boot.parse() != Ok(boot.id) {
            return Err(ReportError::OtherBoot { named: printable(&report.boot, 60), boot: boot.id });
        }
        let seen = translate::seen(report, boot.id, key, from)?;
        let one_at_a_time = self.recognising.lock().await;
        let (node, because) = self.remember(boot, seen).await?;
        drop(one_at_a_time);

        self.counters.count(if node.version == 1 { Happened::AcceptedNew } else { Happened::AcceptedKnown });
        self.boots.reported(boot.id, boot.mac, node.id);
        let label = printable(&node.label(), 80);
        let what = format!("reported its hardware: {}; it is node {label}", translate::in_words(&node.summary));
        tracing::info!(node.id = %node.id, node.mac = %boot.mac, "{label} {what}");
        self.boots.note(boot.id, "report", what, Some(because.to_owned()));
        Ok(Accepted { node: node.id.to_string(), name: node.name })
    }

    /// Recognises the machine and keeps what was seen of it.
    async fn remember(&self, boot: &Boot, seen: Seen) -> Result<(Node, &'static str), ReportError> {
        let mut may_name = true;
        for _ in 0..MOST_TRIES {
            let now = self.clock.now();
            let found = self.recognised(boot, &seen).await?;
            let mut node = match found.node {
                Some(known) if found.contradicts => {
                    self.contradiction(boot, &known);
                    Node { identity: known.identity.clone(), ..known.seen_again(seen.clone(), now) }
                }
                Some(known) => known.seen_again(seen.clone(), now),
                None if self.index.len() >= self.most_nodes => return Err(ReportError::Full { most: self.most_nodes }),
                None => Node::first_seen(NodeId(Uuid::now_v7()), None, seen.clone(), now),
            };
            let gets_name = may_name && node.name.is_none();
            if gets_name {
                node.name = self.declared_name(&node.identity, Some(node.id));
            }
            match self.keep(node).await {
                Ok(node) => return Ok((node, found.because)),
                Err(StoreError::NameTaken { .. }) if gets_name => may_name = false,
                Err(StoreError::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Changed.into())
    }

    /// The node that the report is of. A boot that has reported stays the node it was, whatever it says later.
    async fn recognised(&self, boot: &Boot, seen: &Seen) -> Result<Match, ReportError> {
        let reported_as = match self.node_of(boot) {
            Ok(id) => self.store.node(id).await?,
            Err(NotItsNode::Unknown) => None,
            Err(superseded) => return Err(ReportError::Superseded(superseded)),
        };
        let alike: Vec<_> = self.store.nodes_like(&seen.identity).await?.into_iter().map(|node| (node.id, node.identity)).collect();
        let recognised = recognise(&seen.identity, &alike);
        if let Some(node) = reported_as {
            let contradicts = match &recognised {
                Recognised::Known(other, _) => *other != node.id,
                Recognised::Ambiguous(_) => true,
                Recognised::New | Recognised::Nameless => false,
            };
            return Ok(Match { node: Some(node), because: "it reported in this boot before", contradicts });
        }
        match recognised {
            Recognised::Known(id, because) => Ok(Match { node: self.store.node(id).await?, because, contradicts: false }),
            Recognised::New => Ok(Match { node: None, because: "no node like it was seen before", contradicts: false }),
            Recognised::Nameless => Err(ReportError::Nameless),
            Recognised::Ambiguous(candidates) => Err(ReportError::Ambiguous { candidates }),
        }
    }

    /// Facts are taken from whoever owns the key; a second node's identity is not, or the first report of that node's
    /// own machine would fit two nodes.
    fn contradiction(&self, boot: &Boot, node: &Node) {
        let sentence = "its report names the serial or UUID of another node: what identifies it was left as it was";
        self.refuse(Happened::Contradiction, || {
            format!("{}, {}: {sentence}; start it again to have it recognised anew", boot.mac, printable(&node.label(), 80))
        });
        self.boots.note(boot.id, "refused", sentence.into(), Some("a boot that has reported stays the same node".into()));
    }
}

async fn parse(bytes: Vec<u8>) -> Result<Report, ReadError> {
    if bytes.len() <= SMALL {
        return translate::read(&bytes);
    }
    match tokio::task::spawn_blocking(move || translate::read(&bytes)).await {
        Ok(report) => report,
        Err(ended) => match ended.try_into_panic() {
            // This request ends as it would have without the other thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
