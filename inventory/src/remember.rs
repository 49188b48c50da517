//! Finds the node that a report is of, and keeps both. Knows nothing of who sent it.

use crate::accept::{ReportError, beside};
use crate::agents::NotItsNode;
use crate::counters::Happened;
use crate::index::Like;
use crate::owner::{Inventory, MOST_TRIES};
use crate::translate::{self, Translated};
use domain::NodeId;
use domain::boot::Boot;
use domain::clock::seconds_between;
use domain::history::KeptReport;
use domain::identity::{Candidate, Identity, Judgement, Recognised, judge};
use domain::node::{Node, Origin, Seen};
use domain::ports::StoreError;
use domain::timeline::printable;
use inventory_wire::Report;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// A node whose agent was heard so many seconds ago is taken to be running.
const LIVE: i64 = 120;

/// A report that was read.
pub(crate) struct Incoming<'b> {
    /// The boot whose agent sent it; none when an operator imported it.
    pub(crate) boot: Option<&'b Boot>,
    pub(crate) origin: Origin,
    pub(crate) said: Said,
}

/// What it says.
pub(crate) enum Said {
    /// It stands for itself.
    Whole(Box<Translated>),
    /// It changes parts of what the node reported last.
    Amends(Box<Report>),
}

/// A report that was kept.
pub(crate) struct Kept {
    pub(crate) node: Arc<Node>,
    pub(crate) because: &'static str,
    /// Whether nobody knew the node before.
    pub(crate) new: bool,
    /// Whether the document is another than before.
    pub(crate) changed: bool,
}

/// Which node a report is of.
struct Match {
    node: Option<Arc<Node>>,
    because: &'static str,
    /// Whether it says it is another node than the one that this boot reported as before.
    contradicts: bool,
}

/// How one more try goes about it.
#[derive(Clone, Copy)]
struct Try {
    /// Whether memory was behind the store the last time.
    again: bool,
    /// Whether the declared name was free the last time.
    may_name: bool,
}

/// What was amended, and the version of the node at that time: nothing may have come in between.
struct Amended {
    translated: Translated,
    version: u64,
}

impl Inventory {
    /// Recognises the machine and keeps what was seen of it.
    pub(crate) async fn remember(&self, incoming: Incoming<'_>) -> Result<Kept, ReportError> {
        let mut this = Try { again: false, may_name: true };
        // Held until it is kept, over all tries. It is never closed.
        let _room = match &incoming.said {
            Said::Whole(_) => None,
            Said::Amends(_) => self.amending.acquire().await.ok(),
        };
        for _ in 0..MOST_TRIES {
            let amended = match &incoming.said {
                Said::Whole(_) => None,
                Said::Amends(report) => Some(self.amended(incoming.boot, report, this).await?),
            };
            let (translated, version) = match (&incoming.said, &amended) {
                (Said::Whole(translated), _) => (&**translated, None),
                (Said::Amends(_), Some(amended)) => (&amended.translated, Some(amended.version)),
                (Said::Amends(_), None) => continue,
            };
            let _locked = self.locks.machine(incoming.boot.map(|boot| boot.id), &translated.identity).await;
            match self.remember_now(&incoming, translated, version, this).await {
                Err(ReportError::Store(StoreError::NameTaken { .. })) if this.may_name => this.may_name = false,
                Err(ReportError::Store(StoreError::Changed)) => this.again = true,
                done => return done,
            }
        }
        Err(StoreError::Changed.into())
    }

    async fn remember_now(
        &self,
        incoming: &Incoming<'_>,
        translated: &Translated,
        amends_version: Option<u64>,
        this: Try,
    ) -> Result<Kept, ReportError> {
        let now = self.clock.now();
        let found = self.recognised(incoming.boot, &translated.identity, this).await?;
        if amends_version.is_some_and(|amended| found.node.as_ref().map(|node| node.version) != Some(amended)) {
            return Err(StoreError::Changed.into());
        }
        let Translated { identity, summary, sealed } = translated;
        let seen = Seen { identity: identity.clone(), summary: summary.clone(), digest: sealed.digest, origin: incoming.origin.clone() };
        let before = found.node.as_deref();
        let room = before.is_none().then(|| self.room_for_one()).transpose()?;
        let mut node = match before {
            Some(known) => known.seen_again(seen, now),
            None => Node::first_seen(NodeId(Uuid::now_v7()), None, seen, now),
        };
        if let Some(known) = before {
            if found.contradicts {
                node.identity = known.identity.clone();
            }
            self.leave_test_behind(known, &mut node).await?;
        }
        if this.may_name && node.name.is_none() {
            node.name = self.declared_name(&node.identity, Some(node.id));
        }
        let changed = before.and_then(|known| known.digest) != Some(sealed.digest);
        let report = KeptReport {
            at: now,
            boot: incoming.boot.map(|boot| boot.id),
            address: match &incoming.origin {
                Origin::Boot { address, .. } => Some(*address),
                Origin::Imported => None,
            },
            amends: amends_version.is_some(),
            digest: sealed.digest,
            document: changed.then(|| sealed.json.clone()),
            readings: sealed.readings.clone(),
        };
        let node = self.keep(node, Some(report)).await?;
        drop(room);
        if let Some((boot, known)) = incoming.boot.zip(before).filter(|_| found.contradicts) {
            self.contradiction(boot, known);
        }
        Ok(Kept { new: before.is_none(), changed, because: found.because, node })
    }

    /// The node that the report is of. A boot that has reported stays the node it was, whatever it says later.
    async fn recognised(&self, boot: Option<&Boot>, identity: &Identity, this: Try) -> Result<Match, ReportError> {
        let reported_as = match boot.map(|boot| self.node_of(boot)) {
            Some(Ok(id)) => self.current(id, this).await?,
            None | Some(Err(NotItsNode::Unknown)) => None,
            Some(Err(superseded)) => return Err(ReportError::Superseded(superseded)),
        };
        let alike = self.index.like(identity);
        let now = self.clock.now();
        let live = |like: &Like| -> Option<bool> {
            // An import is no machine that runs beside another.
            let elsewhere = like.node.boot? != boot?.id;
            Some(elsewhere && seconds_between(like.last_seen, now) < LIVE)
        };
        let candidates: Vec<_> = alike
            .iter()
            .map(|like| Candidate { id: like.node.id, identity: &like.node.identity, live_elsewhere: live(like).unwrap_or(false) })
            .collect();
        let Judgement { recognised, because } = judge(identity, &candidates);
        if let Some(node) = reported_as {
            let contradicts = match &recognised {
                Recognised::Known(other, _) => *other != node.id,
                Recognised::Ambiguous(_) => true,
                Recognised::New | Recognised::Nameless => false,
            };
            return Ok(Match { node: Some(node), because: "it reported in this boot before", contradicts });
        }
        match recognised {
            Recognised::Known(id, because) => Ok(Match { node: self.current(id, this).await?, because, contradicts: false }),
            Recognised::New => Ok(Match { node: None, because, contradicts: false }),
            Recognised::Nameless => Err(ReportError::Nameless),
            Recognised::Ambiguous(candidates) => Err(ReportError::Ambiguous { candidates, because }),
        }
    }

    /// A node as it stands: memory knows, and where it was behind the store is asked.
    async fn current(&self, id: NodeId, this: Try) -> Result<Option<Arc<Node>>, StoreError> {
        match this.again {
            false => Ok(self.index.get(id)),
            true => Ok(self.store.node(id).await?.map(|node| Arc::new(self.as_heard(node)))),
        }
    }

    /// What is known after an amendment.
    async fn amended(&self, boot: Option<&Boot>, report: &Report, this: Try) -> Result<Amended, ReportError> {
        const NOTHING: ReportError = ReportError::NothingToAmend { why: "nothing was reported in this boot" };
        let id = match self.node_of(boot.ok_or(NOTHING)?) {
            Ok(id) => id,
            Err(NotItsNode::Unknown) => return Err(NOTHING),
            Err(superseded) => return Err(ReportError::Superseded(superseded)),
        };
        // The node first: what was kept in between shows in its version.
        let node = self.current(id, this).await?.ok_or(NOTHING)?;
        let snapshot = self.store.snapshot(id, None).await?;
        let snapshot = snapshot.ok_or(ReportError::NothingToAmend { why: "no document of this node is kept" })?;
        let report = report.clone();
        let translated = beside(true, move || translate::amended(snapshot, report)).await?;
        Ok(Amended { translated, version: node.version })
    }

    /// Room for one more node, until it is in the index.
    fn room_for_one(&self) -> Result<Room<'_>, ReportError> {
        let others = self.newcomers.fetch_add(1, Ordering::SeqCst);
        let room = Room(self);
        match self.index.len() + others >= self.most_nodes {
            true => Err(ReportError::Full { most: self.most_nodes }),
            false => Ok(room),
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

struct Room<'i>(&'i Inventory);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.newcomers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[path = "remember_tests.rs"]
mod tests;
