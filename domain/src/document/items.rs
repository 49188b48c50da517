//! What tells the items of a list apart, and which items of two lists are the same thing.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

type Fields = Map<String, Value>;

/// What identifies an item, strongest first: each is the fields that do so together.
type Signs = &'static [&'static [&'static str]];

/// By the name of the list. All other lists go by [`OTHERS`].
const LISTS: &[(&str, Signs)] = &[
    ("disks", &[&["serial"], &["wwn"], &["name"]]),
    ("nics", &[&["permanent_mac"], &["mac"], &["name"]]),
    ("dimms", &[&["slot"], &["bank"], &["slot", "bank"]]),
    ("controllers", &[&["pci"]]),
    ("gpus", &[&["pci"]]),
    ("pci", &[&["address"]]),
    ("partitions", &[&["number"], &["name"]]),
    ("neighbours", &[&["chassis", "port"]]),
    ("boot_entries", &[&["number"]]),
    ("signatures", &[&["kind", "offset_bytes"], &["kind"]]),
];
const OTHERS: Signs = &[&["id"], &["name"]];

/// The fields by which a gap's path may call an item.
const CALLED: [&str; 6] = ["name", "slot", "pci", "address", "number", "id"];

/// Whether there is anything in it. Nothing, an empty list and an empty object say the same: nothing.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// What a gap's path may call an item.
pub(super) fn called(item: &Value) -> impl Iterator<Item = &str> {
    CALLED.iter().filter_map(|field| item.get(field)?.as_str())
}

/// Two items that are the same thing, one that is new, or one that is gone; and what it is called in a path.
pub(super) struct Pair<'d> {
    pub(super) before: Option<&'d Value>,
    pub(super) after: Option<&'d Value>,
    /// Its sign, or its place in the list, `#2`, counted from 1.
    pub(super) key: String,
}

/// Matches the items of two lists. A sign counts where one item of each list at most has it, so that two disks with one serial
/// are matched by something else; and two items whose stronger signs differ are two things. What has no sign is matched by its
/// order. Linear.
pub(super) fn matched<'d>(list: &str, before: &'d [Value], after: &'d [Value]) -> Vec<Pair<'d>> {
    let signs = LISTS.iter().find(|(name, _)| *name == list).map_or(OTHERS, |(_, signs)| *signs);
    let mut matching = Matching { signs, before: Side::of(signs, before), after: Side::of(signs, after), pairs: Vec::new() };
    for rank in 0..signs.len() {
        matching.by_sign(rank);
    }
    matching.by_order();
    matching.rest();
    let mut pairs = matching.pairs;
    // In the order of the new list; what is gone comes after what is there.
    pairs.sort_by_key(|(place, _)| *place);
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

struct Side<'d> {
    items: &'d [Value],
    /// What each sign says of each item: `said[rank][item]`.
    said: Vec<Vec<Option<Cow<'d, str>>>>,
    free: Vec<bool>,
}

impl<'d> Side<'d> {
    fn of(signs: Signs, items: &'d [Value]) -> Self {
        let said = signs.iter().map(|fields| items.iter().map(|item| sign(item.as_object()?, fields)).collect()).collect();
        Self { items, said, free: vec![true; items.len()] }
    }

    /// How often a sign says the same, and of which item.
    fn counted(&self, rank: usize) -> HashMap<&str, (usize, usize)> {
        let mut counted = HashMap::new();
        for (place, said) in self.said[rank].iter().enumerate() {
            if let Some(said) = said {
                counted.entry(&**said).or_insert((place, 0)).1 += 1;
            }
        }
        counted
    }
}

struct Matching<'d> {
    signs: Signs,
    before: Side<'d>,
    after: Side<'d>,
    pairs: Vec<(usize, Pair<'d>)>,
}

impl<'d> Matching<'d> {
    fn by_sign(&mut self, rank: usize) {
        let (old, new) = (self.before.counted(rank), self.after.counted(rank));
        let mut found: Vec<_> = new
            .iter()
            .filter_map(|(said, &(at, many))| {
                let &(was, were) = old.get(said)?;
                (many == 1 && were == 1 && self.before.free[was] && self.after.free[at] && !self.contradict(rank, was, at))
                    .then(|| (was, at, (*said).to_owned()))
            })
            .collect();
        found.sort_by_key(|(_, at, _)| *at);
        for (was, at, said) in found {
            self.pair(Some(was), Some(at), said);
        }
    }

    /// Whether stronger signs tell that they are two things.
    fn contradict(&self, rank: usize, was: usize, at: usize) -> bool {
        let differ = |stronger: usize| {
            let (old, new) = (&self.before.said[stronger][was], &self.after.said[stronger][at]);
            old.is_some() && new.is_some() && old != new
        };
        (0..rank).any(differ)
    }

    /// What no sign tells from its like is matched by its order.
    fn by_order(&mut self) {
        let common = |side: &Side<'d>| -> Vec<usize> {
            let counts: Vec<_> = (0..self.signs.len()).map(|rank| (self.before.counted(rank), self.after.counted(rank))).collect();
            let many = |rank: usize, said: &str| {
                let of = |counted: &HashMap<&str, (usize, usize)>| counted.get(said).map_or(0, |(_, many)| *many);
                of(&counts[rank].0).max(of(&counts[rank].1)) > 1
            };
            let nondescript = |place: &usize| {
                side.free[*place] && (0..self.signs.len()).all(|rank| side.said[rank][*place].as_ref().is_none_or(|said| many(rank, said)))
            };
            (0..side.items.len()).filter(nondescript).collect()
        };
        let pairs: Vec<_> = common(&self.before).into_iter().zip(common(&self.after)).collect();
        for (was, at) in pairs {
            self.pair(Some(was), Some(at), format!("#{}", at + 1));
        }
    }

    fn rest(&mut self) {
        for at in 0..self.after.items.len() {
            if self.after.free[at] {
                let key = self.key(&self.after, at);
                self.pair(None, Some(at), key);
            }
        }
        for was in 0..self.before.items.len() {
            if self.before.free[was] {
                let key = self.key(&self.before, was);
                self.pair(Some(was), None, key);
            }
        }
    }

    fn key(&self, side: &Side<'d>, place: usize) -> String {
        let strongest = side.said.iter().find_map(|said| said[place].as_deref());
        strongest.map_or_else(|| format!("#{}", place + 1), str::to_owned)
    }

    fn pair(&mut self, was: Option<usize>, at: Option<usize>, key: String) {
        let (mut before, mut after) = (None, None);
        if let Some(was) = was {
            self.before.free[was] = false;
            before = self.before.items.get(was);
        }
        if let Some(at) = at {
            self.after.free[at] = false;
            after = self.after.items.get(at);
        }
        let place = at.unwrap_or_else(|| self.after.items.len() + was.unwrap_or_default());
        self.pairs.push((place, Pair { before, after, key }));
    }
}

/// What the fields say together; none when one of them says nothing.
fn sign<'d>(item: &'d Fields, fields: &[&str]) -> Option<Cow<'d, str>> {
    match fields {
        [only] => scalar(item.get(*only)?),
        _ => fields.iter().map(|field| scalar(item.get(*field)?)).collect::<Option<Vec<_>>>().map(|all| all.join(" ").into()),
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
