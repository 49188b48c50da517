//! From what a machine says of itself to one node, or to none, or to a person.
//!
//! There are two witnesses. What somebody typed into the firmware, UUID and serial numbers, can be wrong in a whole batch of
//! machines at once. What is built in, cards and disks, is unique but moves. Neither is believed against the other; either is
//! believed where the other is silent, but for a card or a disk alone. A value that stands at several nodes already speaks for
//! none of them.

use super::{Identity, same_uuid, usable_serial, usable_uuid};
use crate::ids::NodeId;
use crate::mac::MacAddr;
use std::collections::{BTreeMap, BTreeSet};

/// A node that shares a sign with the machine.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'i> {
    /// Which.
    pub id: NodeId,
    /// What is known of it.
    pub identity: &'i Identity,
    /// Whether its agent was heard within the last two minutes from another boot than the one that reports: it either just
    /// restarted or is another machine.
    pub live_elsewhere: bool,
}

/// What the inventory should do with a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// It is this node; the reason in words.
    Known(NodeId, &'static str),
    /// Nobody like it was seen before.
    New,
    /// It may be any of these nodes: a person must look.
    Ambiguous(Vec<NodeId>),
    /// Nothing in it identifies a machine.
    Nameless,
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the inventory should do.
    pub recognised: Recognised,
    /// The reason, in words.
    pub because: &'static str,
}

/// Recognises a machine among the nodes that share a sign with it ([`Identity::signs`]); all of them, because a value that
/// several have is no evidence. Where more than a handful share one value, those that share no other may be left out.
///
/// Each node is held against the rules of [`Rule`], strongest first. The node for which the strongest rule speaks is the one;
/// of several the one that shares more cards, then more disks; and if that leaves several, a person must look.
pub fn judge(seen: &Identity, candidates: &[Candidate<'_>]) -> Judgement {
    if seen.is_empty() {
        return Judgement { recognised: Recognised::Nameless, because: "it says nothing by which a machine could be told from another" };
    }
    let known: Vec<_> = candidates.iter().map(|candidate| Evident::of(candidate.identity)).collect();
    let seen = Unworn::of(Evident::of(seen), &known);
    let alike: Vec<_> = known.iter().map(|other| Alike::of(&seen, other)).collect();
    let fits = candidates.iter().zip(&alike).filter_map(|(candidate, alike)| Some((alike.rule()?, alike, candidate)));
    let strength = |(rule, alike, _): &(Rule, &Alike, _)| (std::cmp::Reverse(*rule), alike.cards.shared, alike.disks.shared);
    let mut fits: Vec<_> = fits.collect();
    let Some(best) = fits.iter().map(strength).max() else {
        return Judgement { recognised: Recognised::New, because: why_new(&alike) };
    };
    fits.retain(|fit| strength(fit) == best);
    match fits[..] {
        [(_, alike, candidate)] if candidate.live_elsewhere && alike.cards.shared == 0 => Judgement {
            recognised: Recognised::Ambiguous(vec![candidate.id]),
            because: "it is like a node that was heard from another boot a moment ago, and shares no card with it: wait two \
                      minutes, or tell the two machines apart",
        },
        [(rule, _, candidate)] => Judgement { recognised: Recognised::Known(candidate.id, rule.in_words()), because: rule.in_words() },
        _ => Judgement {
            recognised: Recognised::Ambiguous(fits.iter().map(|(.., candidate)| candidate.id).collect()),
            because: "it fits several nodes equally well",
        },
    }
}

/// By what a machine is recognised as a node, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    UuidAndSerial,
    Serial,
    SerialOnNewBoard,
    Uuid,
    UuidUnderNewSerial,
    Board,
    CardsAndDisks,
    Cards,
}

impl Rule {
    fn in_words(self) -> &'static str {
        match self {
            Self::UuidAndSerial => "UUID and serial agree",
            Self::Serial => "the serial agrees",
            Self::SerialOnNewBoard => "the serial agrees, and a card or a disk with it: its board was changed",
            Self::Uuid => "the UUID agrees",
            Self::UuidUnderNewSerial => "the UUID agrees, and the board or its cards and disks with it: its serial was changed",
            Self::Board => "the board's serial agrees",
            Self::CardsAndDisks => "cards and disks agree, and no serial says otherwise",
            Self::Cards => "its cards agree, and neither has a UUID or serial of its own",
        }
    }
}

/// How what one says stands to what the other says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Same,
    /// The same, and several nodes say it.
    Worn,
    Different,
    /// One of them is silent.
    OneSided,
    /// Both are silent.
    Silent,
}

#[derive(Debug, Default)]
struct Parts {
    /// How many both have and no other node.
    shared: usize,
    /// Whether these are all that either has, and the most that either has.
    all: bool,
    most: usize,
    /// Whether both have any that could be compared.
    compared: bool,
}

#[derive(Debug)]
struct Alike {
    uuid: Word,
    serial: Word,
    board: Word,
    /// Whether each card of the machine is known from a node, this one or another.
    cards_moved: bool,
    cards: Parts,
    disks: Parts,
}

impl Alike {
    fn of(seen: &Unworn, other: &Evident) -> Self {
        let Unworn { evident, worn, .. } = seen;
        let text = |a: &Option<String>, b: &Option<String>, worn| word(a.as_ref(), b.as_ref(), worn, |a, b| a.eq_ignore_ascii_case(b));
        Self {
            uuid: word(evident.uuid.as_ref(), other.uuid.as_ref(), worn.uuid, |a, b| same_uuid(*a, *b)),
            serial: text(&evident.serial, &other.serial, worn.serial),
            board: text(&evident.board, &other.board, worn.board),
            cards_moved: seen.cards_known,
            cards: cards(seen, other),
            disks: parts(&evident.disks, &other.disks, &seen.disks),
        }
    }

    fn rule(&self) -> Option<Rule> {
        use Word::{Different, Same};
        let (cards, disks) = (self.cards.shared > 0, self.disks.shared > 0);
        let (agree, both) = (cards || disks, cards && disks);
        // Cards were compared, none is the same, and no disk speaks for it either. Where all its cards come from other nodes,
        // they were moved, and that tells nothing.
        let contradicted = self.cards.compared && !self.cards_moved && !agree;
        let another_board = self.board == Different;
        let holds = match (self.uuid, self.serial) {
            (Same, Same) => !contradicted,
            (Different, Same) => agree,
            (Same, Different) => (self.board == Same && agree) || both || (self.cards.all && !self.disks.compared),
            (_, Same) | (Same, _) if another_board => agree,
            (_, Same) | (Same, _) => !contradicted,
            (_, Different) => self.board == Same && both,
            (Different, _) if self.board == Same => agree,
            _ if self.board == Same => !contradicted,
            (Different, _) => both,
            _ => both || (!another_board && self.cards_alone()),
        };
        holds.then(|| match (self.uuid, self.serial) {
            (Same, Same) => Rule::UuidAndSerial,
            (Different, Same) => Rule::SerialOnNewBoard,
            (_, Same) => Rule::Serial,
            (Same, Different) => Rule::UuidUnderNewSerial,
            (Same, _) => Rule::Uuid,
            _ if self.board == Same => Rule::Board,
            _ if both => Rule::CardsAndDisks,
            _ => Rule::Cards,
        })
    }

    /// A card moves. It tells two of a batch apart all the same; most cards of a machine stay, where neither has anything else to
    /// be told by; and all of several cards stay, where one of them has.
    fn cards_alone(&self) -> bool {
        let equally_nameless = self.uuid != Word::OneSided && self.serial != Word::OneSided;
        let of_a_batch = self.uuid == Word::Worn || self.serial == Word::Worn;
        let enough = self.cards.shared * 2 > self.cards.most || (of_a_batch && self.cards.shared > 0);
        let several = self.cards.all && self.cards.shared > 1;
        (enough && equally_nameless) || (several && !self.disks.compared)
    }
}

fn why_new(alike: &[Alike]) -> &'static str {
    let typed = |alike: &Alike| [alike.uuid, alike.serial, alike.board].iter().any(|word| matches!(word, Word::Same | Word::Worn));
    let built_in = |alike: &Alike| alike.cards.shared > 0 || alike.disks.shared > 0;
    if alike.iter().any(typed) {
        "its UUID or serial stands at another node too, whose parts are others: no evidence"
    } else if alike.iter().any(built_in) {
        "a card or disk of it was seen in another node: they move, and identify nobody by themselves"
    } else {
        "no node like it was seen before"
    }
}

fn word<T>(seen: Option<&T>, other: Option<&T>, worn: bool, same: impl Fn(&T, &T) -> bool) -> Word {
    match (seen, other) {
        (Some(a), Some(b)) if !same(a, b) => Word::Different,
        (Some(_), Some(_)) if worn => Word::Worn,
        (Some(_), Some(_)) => Word::Same,
        (None, None) => Word::Silent,
        _ => Word::OneSided,
    }
}

fn parts<T: Ord>(seen: &BTreeSet<T>, other: &BTreeSet<T>, unworn: &BTreeSet<T>) -> Parts {
    let shared = unworn.intersection(other).count();
    Parts { shared, all: shared > 0 && seen == other, most: seen.len().max(other.len()), compared: !seen.is_empty() && !other.is_empty() }
}

/// Addresses that software chose speak for a machine that has no others, and never against it: they may be others at each start.
fn cards(seen: &Unworn, other: &Evident) -> Parts {
    if seen.evident.cards.is_empty() && other.cards.is_empty() {
        let chosen = parts(&seen.evident.chosen, &other.chosen, &seen.chosen);
        return Parts { compared: chosen.shared > 0, ..chosen };
    }
    parts(&seen.evident.cards, &other.cards, &seen.cards)
}

/// What a machine says, and which of it stands at several nodes already.
struct Unworn {
    evident: Evident,
    worn: Worn,
    cards: BTreeSet<MacAddr>,
    chosen: BTreeSet<MacAddr>,
    disks: BTreeSet<String>,
    /// Whether each card is known from a node.
    cards_known: bool,
}

struct Worn {
    uuid: bool,
    serial: bool,
    board: bool,
}

impl Unworn {
    fn of(evident: Evident, known: &[Evident]) -> Self {
        let several = |has: &dyn Fn(&Evident) -> bool| known.iter().filter(|node| has(node)).nth(1).is_some();
        let text = |own: &Option<String>, of: fn(&Evident) -> &Option<String>| {
            own.as_ref().is_some_and(|own| several(&|node| of(node).as_ref().is_some_and(|text| text.eq_ignore_ascii_case(own))))
        };
        let worn = Worn {
            uuid: evident.uuid.is_some_and(|own| several(&|node| node.uuid.is_some_and(|uuid| same_uuid(uuid, own)))),
            serial: text(&evident.serial, |node| &node.serial),
            board: text(&evident.board, |node| &node.board),
        };
        let cards = unworn(&evident.cards, known, |node| &node.cards);
        let chosen = unworn(&evident.chosen, known, |node| &node.chosen);
        let disks = unworn(&evident.disks, known, |node| &node.disks);
        let cards_known = evident.cards.iter().all(|card| known.iter().any(|node| node.cards.contains(card)));
        Self { evident, worn, cards, chosen, disks, cards_known }
    }
}

/// Those that at most one node has.
fn unworn<T: Ord + Clone>(own: &BTreeSet<T>, known: &[Evident], of: fn(&Evident) -> &BTreeSet<T>) -> BTreeSet<T> {
    let mut nodes_with = BTreeMap::new();
    for part in known.iter().flat_map(|node| own.intersection(of(node))) {
        *nodes_with.entry(part).or_insert(0) += 1;
    }
    own.iter().filter(|part| nodes_with.get(part).is_none_or(|nodes| *nodes < 2)).cloned().collect()
}

/// What of an identity is evidence. What an earlier version kept and today counts as a placeholder is not.
struct Evident {
    uuid: Option<uuid::Uuid>,
    serial: Option<String>,
    board: Option<String>,
    /// Addresses that a maker burnt in, or that a hypervisor keeps as if.
    cards: BTreeSet<MacAddr>,
    /// Addresses that software chose.
    chosen: BTreeSet<MacAddr>,
    disks: BTreeSet<String>,
}

impl Evident {
    fn of(identity: &Identity) -> Self {
        let (cards, chosen) = identity.macs.iter().copied().filter(MacAddr::is_a_machines).partition(MacAddr::is_permanent);
        Self {
            uuid: identity.uuid.and_then(usable_uuid),
            serial: identity.serial.as_deref().and_then(usable_serial),
            board: identity.board_serial.as_deref().and_then(usable_serial),
            cards,
            chosen,
            disks: identity.disks.iter().map(|disk| disk.to_ascii_lowercase()).collect(),
        }
    }
}
