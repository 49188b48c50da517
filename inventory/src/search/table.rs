//! All nodes, small, in segments.

use super::cursor::{self, Position};
use super::page::{Ask, BadCursor, Found, Gathering, Hit};
use super::row::{Packed, nanoseconds};
use super::segment::{ROWS, Segment, Wordings};
use domain::node::Node;
use domain::search::{Cell, Columns, Document, Placed, Query, Verdict};
use domain::{NodeId, Timestamp};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most nodes of a page.
pub(super) const MOST_LISTED: usize = 1000;

/// Every node as search needs it. Told of each change by whoever keeps nodes, in any order: an older version never
/// replaces a newer one. A query holds one segment at a time, and so keeps a change waiting for a fraction of a
/// millisecond; it sees each node once, as it is when its segment is reached.
#[derive(Debug, Default)]
pub struct Table {
    segments: RwLock<Vec<Arc<RwLock<Segment>>>>,
    slots: RwLock<Slots>,
}

/// Where nodes stand: segment number times [`ROWS`] and place within it.
#[derive(Debug, Default)]
struct Slots {
    of: HashMap<NodeId, usize>,
    free: Vec<usize>,
    used: usize,
}

/// Nodes that a query lets through, in order.
pub(super) struct Candidates {
    pub(super) nodes: Vec<(Position, Verdict)>,
    pub(super) more: bool,
    pub(super) fitting: usize,
    pub(super) open: usize,
}

impl Table {
    /// Takes in a node as it now stands.
    pub fn put(&self, node: &Node) {
        let packed = Packed::new(node);
        // Held to the end: a node that is taken out meanwhile must not have its place given away first.
        let mut slots = write(&self.slots);
        let slot = match slots.of.get(&node.id) {
            Some(slot) => *slot,
            None => {
                let slot = slots.free.pop().unwrap_or(slots.used);
                slots.used = slots.used.max(slot + 1);
                slots.of.insert(node.id, slot);
                slot
            }
        };
        let segment = self.segment_or_new(slot / ROWS);
        let mut segment = write(&segment);
        let seen = match segment.row(slot % ROWS) {
            Some(old) if old.version > node.version => return,
            Some(old) => old.last_seen.load(Ordering::Relaxed),
            None => i64::MIN,
        };
        packed.row.last_seen.fetch_max(seen, Ordering::Relaxed);
        segment.put(slot % ROWS, packed);
    }

    /// Takes a node out.
    pub fn remove(&self, id: NodeId) {
        let mut slots = write(&self.slots);
        if let Some(slot) = slots.of.remove(&id) {
            if let Some(segment) = self.segment(slot / ROWS) {
                write(&segment).remove(slot % ROWS);
            }
            slots.free.push(slot);
        }
    }

    /// Notes when a node was heard last. Cheap, and keeps no query waiting.
    pub fn heard(&self, id: NodeId, at: Timestamp) {
        self.with(id, |segment, slot| {
            if let Some(row) = read(segment).row(slot) {
                row.last_seen.fetch_max(nanoseconds(at), Ordering::Relaxed);
            }
        });
    }

    /// Notes where a node stands. Stays when the node changes.
    pub fn place(&self, id: NodeId, placed: Placed) {
        self.with(id, |segment, slot| write(segment).place(slot, &placed));
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        read(&self.slots).of.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it takes of memory, bytes, but for the allocator's own.
    pub fn bytes(&self) -> usize {
        let slots = read(&self.slots);
        let places = slots.of.capacity() * (size_of::<(NodeId, usize)>() + 1) + slots.free.capacity() * size_of::<usize>();
        places + self.each_segment().map(|segment| read(&segment).bytes()).sum::<usize>()
    }

    /// A page of nodes, judged by their fields alone: conditions on facts count as open, and nodes that they leave open
    /// are not found. [`super::search`] asks their documents too. Takes milliseconds of a processor: call it where that
    /// blocks nobody.
    ///
    /// # Errors
    /// When the cursor is none, or belongs to another search.
    pub fn query(&self, ask: &Ask, now: Timestamp) -> Result<Found, BadCursor> {
        let list = cursor::fingerprint(&ask.query, &ask.sort);
        let after = ask.cursor.as_deref().map(|text| cursor::read(text, &list, &ask.sort)).transpose()?;
        let found = self.candidates(ask, after.as_ref(), ask.limit.clamp(1, MOST_LISTED), now);
        let next = found.nodes.last().filter(|_| found.more).map(|(position, _)| cursor::write(&list, position));
        let fitting = found.nodes.into_iter().filter(|(_, verdict)| *verdict == Verdict::Fits);
        let items = fitting.filter_map(|(position, _)| self.hit(position.id, ask.columns.as_ref(), Document::Unread, now)).collect();
        Ok(Found { items, next, total: (found.open == 0).then_some(found.fitting) })
    }

    /// What stands in columns of a node; none where it is not known.
    pub fn cells(&self, id: NodeId, columns: &Columns, document: Document<'_>, now: Timestamp) -> Option<Vec<Cell>> {
        self.with(id, |segment, slot| read(segment).get(slot, &Wordings::default()).map(|kept| columns.cells(&kept, document, now)))
            .flatten()
    }

    /// Whether a node fits, with its document; none where it is not known.
    pub fn judge(&self, id: NodeId, query: &Query, document: Document<'_>, now: Timestamp) -> Option<Verdict> {
        self.with(id, |segment, slot| read(segment).get(slot, &Wordings::default()).map(|kept| query.judge(&kept, document, now))).flatten()
    }

    /// A node with its columns, if it is still there.
    pub(super) fn hit(&self, id: NodeId, columns: Option<&Columns>, document: Document<'_>, now: Timestamp) -> Option<Hit> {
        let cells = match columns {
            Some(columns) => self.cells(id, columns, document, now)?,
            None => Vec::new(),
        };
        Some(Hit { id, cells })
    }

    /// The next nodes after a place that fit or are left open.
    pub(super) fn candidates(&self, ask: &Ask, after: Option<&Position>, limit: usize, now: Timestamp) -> Candidates {
        let query = ask.query.quickest_first();
        let mut gathering = Gathering::new(&query, &ask.sort, after, limit, now);
        let mut segments: Vec<_> = self.each_segment().collect();
        // Names and times often rise with the ids: beginning at the right end leaves less to sort.
        if ask.sort.keys().first().is_some_and(|key| key.descending) {
            segments.reverse();
        }
        segments.iter().for_each(|segment| gathering.look_at(&read(segment)));
        let (fitting, open) = (gathering.fitting, gathering.open);
        let (nodes, more) = gathering.finish();
        Candidates { nodes, more, fitting, open }
    }

    /// The segments there are now; none is held.
    fn each_segment(&self) -> impl Iterator<Item = Arc<RwLock<Segment>>> {
        read(&self.segments).clone().into_iter()
    }

    fn segment(&self, number: usize) -> Option<Arc<RwLock<Segment>>> {
        read(&self.segments).get(number).cloned()
    }

    fn segment_or_new(&self, number: usize) -> Arc<RwLock<Segment>> {
        if let Some(segment) = self.segment(number) {
            return segment;
        }
        let mut segments = write(&self.segments);
        while segments.len() <= number {
            segments.push(Arc::default());
        }
        segments[number].clone()
    }

    /// Does something to the place of a node, which stays the node's meanwhile.
    fn with<T>(&self, id: NodeId, act: impl FnOnce(&RwLock<Segment>, usize) -> T) -> Option<T> {
        let slots = read(&self.slots);
        let slot = *slots.of.get(&id)?;
        let segment = self.segment(slot / ROWS)?;
        Some(act(&segment, slot % ROWS))
    }
}

/// A panic while a lock was held leaves at worst one row out of date, which its next change mends.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
