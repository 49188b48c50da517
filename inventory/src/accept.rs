//! Takes in a report from an agent: read, recognise, keep, and only then answer.

use crate::agents::NotItsNode;
use crate::counters::Happened;
use crate::owner::Inventory;
use crate::remember::{Incoming, Said};
use crate::summary::in_words;
use crate::translate::{self, ReadError};
use domain::boot::Boot;
use domain::node::Origin;
use domain::ports::StoreError;
use domain::ticket::KeyFingerprint;
use domain::timeline::printable;
use domain::{BootId, NodeId};
use inventory_wire::{Accepted, Report};
use std::net::Ipv4Addr;

/// Above this many bytes a report is read beside the threads that serve everything else: half a megabyte of JSON takes
/// milliseconds.
const SMALL: usize = 64 * 1024;

/// Why a report was not taken in. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It names another boot than the ticket's.
    #[error("the report names {named}, and its ticket belongs to boot {boot}: send the `boot` of the kernel command line")]
    OtherBoot {
        /// The boot it names, printable: "boot `7`", or "no boot".
        named: String,
        /// The boot of its ticket.
        boot: BootId,
    },
    /// Another boot has reported as the same node since.
    #[error(transparent)]
    Superseded(NotItsNode),
    /// It amends something that is not there.
    #[error("there is nothing that this report could amend: {why}; send a whole report, without `amends`")]
    NothingToAmend {
        /// Why: "nothing was reported in this boot".
        why: &'static str,
    },
    /// Nothing in it identifies a machine.
    #[error(
        "this machine has no usable serial, UUID or network card: set a serial in its firmware, or check that the ramdisk has its network driver"
    )]
    Nameless,
    /// It fits several nodes.
    #[error("it cannot be told which node this machine is, {because}: {}; compare their serials and UUIDs with the machine's", list(.candidates))]
    Ambiguous {
        /// The nodes.
        candidates: Vec<NodeId>,
        /// Why not: "it fits several nodes equally well".
        because: &'static str,
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
    pub(crate) fn happened(&self) -> Happened {
        match self {
            Self::Read(ReadError::Version { .. }) => Happened::Version,
            Self::Read(ReadError::TooMany { .. } | ReadError::TooLong { .. }) => Happened::TooLarge,
            Self::Read(ReadError::Malformed { .. }) => Happened::Malformed,
            Self::OtherBoot { .. } => Happened::OtherBoot,
            Self::Superseded(why) => why.happened(),
            Self::NothingToAmend { .. } => Happened::NothingToAmend,
            Self::Nameless => Happened::Nameless,
            Self::Ambiguous { .. } => Happened::Ambiguous,
            Self::Full { .. } => Happened::Full,
            Self::Store(_) => Happened::Unavailable,
        }
    }
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
        let said = understood(bytes, |report| names(report, boot.id)).await?;
        let amends = matches!(said, Said::Amends(_));
        let origin = Origin::Boot { boot: boot.id, key, address: from };
        let again = self.index.of_boot(boot.id).is_some();
        let kept = self.remember(Incoming { boot: Some(boot), origin, said }).await?;

        self.counters.count(if kept.new { Happened::AcceptedNew } else { Happened::AcceptedKnown });
        self.boots.reported(boot.id, boot.mac, kept.node.id);
        let label = printable(&kept.node.label(), 80);
        let what = match amends {
            false => format!("reported its hardware: {}; it is node {label}", in_words(&kept.node.summary)),
            true => format!("reported more of its hardware; it is node {label}"),
        };
        // Thousands of machines that only say that nothing has changed are no news.
        if kept.changed {
            tracing::info!(node.id = %kept.node.id, node.mac = %boot.mac, "{label} {what}");
        } else {
            tracing::debug!(node.id = %kept.node.id, node.mac = %boot.mac, "{label} {what}, the same as before");
        }
        // Nor do they explain anything.
        if kept.changed || !again {
            self.boots.note(boot.id, "report", what, Some(kept.because.to_owned()));
        }
        Ok(Accepted { node: kept.node.id.to_string(), name: kept.node.name.clone() })
    }
}

/// A report of an agent names the boot it belongs to.
fn names(report: &Report, boot: BootId) -> Result<(), ReportError> {
    match &report.boot {
        Some(named) if named.parse() == Ok(boot) => Ok(()),
        Some(named) => Err(ReportError::OtherBoot { named: format!("boot `{}`", printable(named, 60)), boot }),
        None => Err(ReportError::OtherBoot { named: "no boot".into(), boot }),
    }
}

/// What a report says, if it passes a check.
pub(crate) async fn understood<E>(bytes: Vec<u8>, check: impl Fn(&Report) -> Result<(), E>) -> Result<Said, E>
where
    E: From<ReadError>,
{
    let large = bytes.len() > SMALL;
    let report = beside(large, move || translate::read(&bytes)).await?;
    check(&report)?;
    if report.amends {
        return Ok(Said::Amends(Box::new(report)));
    }
    Ok(Said::Whole(Box::new(beside(large, move || translate::whole(report)).await?)))
}

/// Does something here, or, if it takes long, on a thread where nothing waits for it.
pub(crate) async fn beside<T: Send + 'static>(long: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if !long {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            // This request ends as it would have without the other thread.
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
