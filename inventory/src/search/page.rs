//! One page of a list: the first nodes after a place, in order.
//!
//! Every node is looked at, one segment after the other, and no more than a page of them is remembered.

use super::cursor::Position;
use super::segment::{Kept, Segment, Wordings};
use domain::search::{Case, Cell, Columns, Document, Field, Query, Record, Sort, Standing, Verdict, beginning};
use domain::{NodeId, Timestamp};
use std::cmp::Ordering;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Which nodes.
    pub query: Query,
    /// In which order.
    pub sort: Sort,
    /// What is to be told of each.
    pub columns: Option<Columns>,
    /// [`Found::next`] of the page before.
    pub cursor: Option<String>,
    /// The most nodes of the page; at least 1 and at most 1000 are answered.
    pub limit: usize,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The nodes, in order. There may be fewer than were asked for, even none, although more follow: see `next`.
    pub items: Vec<Hit>,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
    /// How many nodes fit, on all pages together; none where only documents can tell.
    pub total: Option<usize>,
}

/// A node that fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: NodeId,
    /// What stands in the columns that were asked for, in their order; empty where none were.
    pub cells: Vec<Cell>,
}

/// Why a cursor is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    /// It is not one.
    #[error("this is no cursor of a search: send the `next_cursor` of the page before as it is, or none for the first page")]
    Unreadable,
    /// It was given with another query or order.
    #[error("this cursor belongs to another search: ask with the query and the order of the page it came with, or without a cursor")]
    OfAnotherList,
}

/// The first nodes after a place, one more than a page has if there are more.
pub(super) struct Gathering<'a> {
    pub(super) query: &'a Query,
    pub(super) sort: &'a Sort,
    pub(super) after: Option<&'a Position>,
    pub(super) limit: usize,
    pub(super) now: Timestamp,
    best: Vec<(Position, Verdict)>,
    /// Where the last of a full page stands: what stands after it is not looked at closer.
    cutoff: Option<Position>,
    /// The beginning of its name, where nodes are sorted by name: most nodes are told to stand after it without a look at
    /// their texts.
    cutoff_beginning: Option<u64>,
    pub(super) fitting: usize,
    pub(super) open: usize,
}

/// A node that may be on the page, while its segment is held.
struct Near<'a> {
    first: Standing<'a>,
    kept: Kept<'a>,
    verdict: Verdict,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(query: &'a Query, sort: &'a Sort, after: Option<&'a Position>, limit: usize, now: Timestamp) -> Self {
        Self { query, sort, after, limit, now, best: Vec::new(), cutoff: None, cutoff_beginning: None, fitting: 0, open: 0 }
    }

    /// Looks at the nodes of one segment.
    pub(super) fn look_at(&mut self, segment: &Segment) {
        let first_key = self.sort.keys().first();
        let known = Wordings::default();
        let mut near = Vec::new();
        for kept in segment.iter(&known) {
            let verdict = self.query.judge(&kept, Document::Unread, self.now);
            match verdict {
                Verdict::FitsNot => continue,
                Verdict::Fits => self.fitting += 1,
                Verdict::AskDocument => self.open += 1,
            }
            if self.stands_late(&kept) {
                continue;
            }
            let first = first_key.map_or(Standing::Missing, |key| match (kept.extremes(key.field), key.descending) {
                (Some((_, greatest)), true) => Standing::Number(greatest.into()),
                (Some((least, _)), false) => Standing::Number(least.into()),
                (None, _) => key.choose(|test| _ = kept.any_value(key.field, None, Case::Either, test)),
            });
            let one = Near { first, kept, verdict };
            let is_late = self.cutoff.as_ref().is_some_and(|cutoff| self.against(&one, cutoff).is_ge());
            if !is_late && self.after.is_none_or(|after| self.against(&one, after).is_gt()) {
                near.push(one);
            }
        }
        if near.len() > self.limit + 1 {
            near.select_nth_unstable_by(self.limit, |a, b| self.among(a, b));
            near.truncate(self.limit + 1);
        }
        let positions: Vec<_> = near.into_iter().map(|near| (self.position(&near.kept), near.verdict)).collect();
        self.best.extend(positions);
        self.narrow();
    }

    /// Whether the beginning of its name already tells that a node stands after the page.
    fn stands_late(&self, kept: &Kept<'_>) -> bool {
        match (self.cutoff_beginning, self.sort.keys().first()) {
            (Some(cutoff), Some(key)) if key.descending => kept.row.beginning < cutoff,
            (Some(cutoff), _) => kept.row.beginning > cutoff,
            (None, _) => false,
        }
    }

    /// Lets go of all but one more than a page.
    fn narrow(&mut self) {
        if self.best.len() > self.limit {
            let sort = self.sort;
            let (_, last, _) = self.best.select_nth_unstable_by(self.limit, |(a, _), (b, _)| in_order(sort, a, b));
            let position = last.0.clone();
            self.cutoff_beginning = match (self.sort.keys().first(), position.keys.first()) {
                (Some(key), Some(Standing::Text(name))) if key.field == Field::Name => Some(beginning(name)),
                _ => None,
            };
            self.cutoff = Some(position);
            self.best.truncate(self.limit + 1);
        }
    }

    /// The page, and whether more follow.
    pub(super) fn finish(mut self) -> (Vec<(Position, Verdict)>, bool) {
        let sort = self.sort;
        self.best.sort_unstable_by(|(a, _), (b, _)| in_order(sort, a, b));
        let more = self.best.len() > self.limit;
        self.best.truncate(self.limit);
        (self.best, more)
    }

    fn position(&self, kept: &Kept<'_>) -> Position {
        Position { keys: self.sort.keys().iter().map(|key| key.of(kept).into_owned()).collect(), id: kept.row.id }
    }

    fn among(&self, a: &Near<'_>, b: &Near<'_>) -> Ordering {
        let mut keys = self.sort.keys().iter();
        let beginnings = (a.kept.row.beginning, b.kept.row.beginning);
        let first = keys.next().map_or(Ordering::Equal, |key| match beginnings {
            (a, b) if key.field == Field::Name && a != b && a.max(b) != u64::MAX => {
                if key.descending {
                    b.cmp(&a)
                } else {
                    a.cmp(&b)
                }
            }
            _ => key.compare(&a.first, &b.first),
        });
        let others = || keys.map(|key| key.compare(&key.of(&a.kept), &key.of(&b.kept))).find(|ordering| ordering.is_ne());
        first.then_with(|| others().unwrap_or(Ordering::Equal)).then_with(|| a.kept.row.id.cmp(&b.kept.row.id))
    }

    fn against(&self, near: &Near<'_>, place: &Position) -> Ordering {
        let mut keys = self.sort.keys().iter().zip(&place.keys);
        let first = keys.next().map_or(Ordering::Equal, |(key, standing)| key.compare(&near.first, standing));
        let others = || keys.map(|(key, standing)| key.compare(&key.of(&near.kept), standing)).find(|ordering| ordering.is_ne());
        first.then_with(|| others().unwrap_or(Ordering::Equal)).then_with(|| near.kept.row.id.cmp(&place.id))
    }
}

fn in_order(sort: &Sort, a: &Position, b: &Position) -> Ordering {
    let keys = sort.keys().iter().zip(a.keys.iter().zip(&b.keys));
    let differing = keys.map(|(key, (a, b))| key.compare(a, b)).find(|ordering| ordering.is_ne());
    differing.unwrap_or(Ordering::Equal).then_with(|| a.id.cmp(&b.id))
}
