//! Takes in reports that operators bring: of installed systems, which no boot of ours has started.

use crate::accept::{ReportError, understood};
use crate::counters::Happened;
use crate::owner::Inventory;
use crate::remember::{Incoming, Said};
use crate::translate::ReadError;
use domain::NodeId;
use domain::node::{Node, Origin};
use domain::ports::StoreError;
use domain::timeline::printable;
use std::sync::Arc;

/// A report that was imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The node it is of.
    pub node: Arc<Node>,
    /// Whether nobody knew the node before.
    pub new: bool,
    /// Whether its document is another than before.
    pub changed: bool,
}

/// Why a report was not imported. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not stand for itself.
    #[error("this report only amends another one: import a whole report, as `overture-agent report` prints it")]
    Amends,
    /// Nothing in it identifies a machine.
    #[error(
        "nothing in this report identifies a machine: it has no usable serial, UUID or network card; run `overture-agent report` as root, who may read the serial"
    )]
    Nameless,
    /// It fits several nodes.
    #[error("it cannot be told which node this machine is, {because}: {}; compare their serials and UUIDs with the report's", .candidates.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The nodes.
        candidates: Vec<NodeId>,
        /// Why not: "it fits several nodes equally well".
        because: &'static str,
    },
    /// It is of a new machine, and as many nodes are known as there may be.
    #[error(
        "the inventory is full: it has {most} nodes, the most there may be; forget nodes that are gone (`overture nodes forget NODE`), then import it again"
    )]
    Full {
        /// How many there may be.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ReportError> for ImportError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Read(error) => Self::Read(error),
            ReportError::Ambiguous { candidates, because } => Self::Ambiguous { candidates, because },
            ReportError::Full { most } => Self::Full { most },
            ReportError::Store(error) => Self::Store(error),
            ReportError::Nameless => Self::Nameless,
            // An import belongs to no boot; what is left speaks of amendments.
            ReportError::NothingToAmend { .. } | ReportError::OtherBoot { .. } | ReportError::Superseded(_) => Self::Amends,
        }
    }
}

impl Inventory {
    /// Takes in a report that an operator, `by`, brings. The same rules recognise its machine; a node that is known keeps
    /// its stage, its order and its boot, whatever boot the report names.
    ///
    /// # Errors
    /// When it is no whole report, its machine cannot be told or has no room, or the store fails.
    pub async fn import(&self, bytes: Vec<u8>, by: &str) -> Result<Imported, ImportError> {
        let said = understood(bytes, |report| if report.amends { Err(ImportError::Amends) } else { Ok(()) }).await?;
        debug_assert!(matches!(said, Said::Whole(_)), "what amends was refused");
        let kept = self.remember(Incoming { boot: None, origin: Origin::Imported, said }).await?;
        self.counters.count(Happened::Imported);
        let (label, by) = (printable(&kept.node.label(), 80), printable(by, 80));
        tracing::info!(node.id = %kept.node.id, "{by} imported a report of {label}: {}", kept.because);
        if let Some(boot) = kept.node.boot {
            self.boots.note(boot, "report", format!("{by} imported a report of it"), Some(kept.because.to_owned()));
        }
        Ok(Imported { node: kept.node, new: kept.new, changed: kept.changed })
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
