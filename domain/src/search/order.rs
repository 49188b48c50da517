//! In which order nodes are listed.

use super::fields::{Field, Kind, all_names, nearest};
use super::mistake::{Mistake, shown};
use super::record::{Case, Record, Value};
use crate::clock::Timestamp;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The most keys of a sort order.
pub const MOST_KEYS: usize = 8;
/// How much of a text counts for the order, bytes.
pub const KEY_BYTES: usize = 96;

/// By what nodes are sorted: several keys, the first counts first. Nodes that are equal in all of them stand by id, and a
/// node that lacks a key stands after those that have it, in either direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sort {
    keys: Vec<Key>,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The field. Of several values the least counts, or with `descending` the greatest.
    pub field: Field,
    /// The greatest first.
    pub descending: bool,
}

/// What a node has for one key. Owned or borrowed from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing<'a> {
    /// A number, or what is ordered like one.
    Number(u128),
    /// A text.
    Text(Cow<'a, str>),
    /// Nothing.
    Missing,
}

impl FromStr for Sort {
    type Err = Mistake;

    /// Reads `-disks.size,name`; an empty text sorts by id alone.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mut keys = Vec::new();
        for (at, word) in words(text, super::MOST_BYTES)? {
            let (descending, name) = word.strip_prefix('-').map_or((false, word.strip_prefix('+').unwrap_or(word)), |name| (true, name));
            let place = at..at + word.len();
            if name.to_ascii_lowercase().starts_with("facts.") {
                let message = "nodes cannot be sorted by facts, only by the fields of the node itself";
                return Err(Mistake::new(text, place, message));
            }
            let field = Field::named(name).ok_or_else(|| unknown(text, place.clone(), name))?;
            if keys.len() >= MOST_KEYS {
                return Err(Mistake::new(text, place, format!("at most {MOST_KEYS} sort keys are read")));
            }
            keys.push(Key { field, descending });
        }
        Ok(Self { keys })
    }
}

/// The words between commas, with their places.
pub(super) fn words(text: &str, most: usize) -> Result<Vec<(usize, &str)>, Mistake> {
    if text.len() > most {
        return Err(Mistake::new("", 0..0, format!("the list is too long: it has {} bytes, and {most} are read", text.len())));
    }
    let mut found = Vec::new();
    let mut start = 0;
    for piece in text.split(',') {
        let word = piece.trim();
        if word.is_empty() && !text.trim().is_empty() {
            return Err(Mistake::new(text, start..start + piece.len(), "expected the name of a field between the commas"));
        }
        if !word.is_empty() {
            found.push((start + (piece.len() - piece.trim_start().len()), word));
        }
        start += piece.len() + 1;
    }
    Ok(found)
}

pub(super) fn unknown(text: &str, at: std::ops::Range<usize>, name: &str) -> Mistake {
    let near = nearest(name, all_names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Mistake::new(text, at, format!("there is no field `{}`{near}", shown(name)))
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.keys.iter().enumerate() {
            let (comma, minus) = (if n > 0 { "," } else { "" }, if key.descending { "-" } else { "" });
            write!(f, "{comma}{minus}{}", key.field.described().name)?;
        }
        Ok(())
    }
}

impl Sort {
    /// The keys, the first counts first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

impl Key {
    /// What a record has for this key.
    pub fn of<'a>(&self, record: &'a impl Record) -> Standing<'a> {
        if let Some((least, greatest)) = record.extremes(self.field) {
            return Standing::Number(if self.descending { greatest } else { least }.into());
        }
        self.choose(|test| _ = record.any(self.field, None, Case::Either, test))
    }

    /// The one of several values that counts. `each` hands every value of the field to a test, until that says yes.
    #[inline]
    pub fn choose<'a>(&self, each: impl FnOnce(&mut dyn FnMut(Value<'a>) -> bool)) -> Standing<'a> {
        let mut best = Standing::Missing;
        let is_many = self.field.described().many;
        each(&mut |value| {
            let standing = standing(self.field, value);
            if best == Standing::Missing || self.compare(&standing, &best).is_lt() {
                best = standing;
            }
            !is_many
        });
        best
    }

    /// Which of two stands first under this key.
    #[inline]
    pub fn compare(&self, a: &Standing<'_>, b: &Standing<'_>) -> Ordering {
        let ordering = match (a, b) {
            (Standing::Missing, Standing::Missing) => return Ordering::Equal,
            (Standing::Missing, _) => return Ordering::Greater,
            (_, Standing::Missing) => return Ordering::Less,
            (Standing::Number(a), Standing::Number(b)) => a.cmp(b),
            (Standing::Text(a), Standing::Text(b)) => natural(a, b),
            // One field gives one kind; only a forged cursor mixes them.
            (Standing::Number(_), Standing::Text(_)) => Ordering::Less,
            (Standing::Text(_), Standing::Number(_)) => Ordering::Greater,
        };
        if self.descending { ordering.reverse() } else { ordering }
    }
}

impl Standing<'_> {
    /// The same without the record.
    pub fn into_owned(self) -> Standing<'static> {
        match self {
            Self::Number(n) => Standing::Number(n),
            Self::Text(text) => Standing::Text(Cow::Owned(text.into_owned())),
            Self::Missing => Standing::Missing,
        }
    }
}

#[inline]
fn standing(field: Field, value: Value<'_>) -> Standing<'_> {
    let number = |n: u64| Standing::Number(n.into());
    match value {
        Value::Text(text) => Standing::Text(clipped(text)),
        Value::Word(word) => match field.described().kind {
            Kind::Word(words) => number(words.iter().position(|known| *known == word).unwrap_or(words.len()) as u64),
            _ => Standing::Text(word.into()),
        },
        Value::Number(n) => number(n),
        Value::Flag(flag) => number(flag.into()),
        Value::Time(at) => Standing::Number(since_first(at)),
        Value::Mac(mac) => number(mac.0.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))),
        Value::Address(IpAddr::V4(address)) => number(u32::from(address).into()),
        Value::Address(IpAddr::V6(address)) => Standing::Number(u128::from(address)),
        Value::Id(id) => Standing::Number(id.as_u128()),
    }
}

/// Nanoseconds since the first time that can be told, which is never negative.
fn since_first(at: Timestamp) -> u128 {
    u128::try_from(at.as_nanosecond() - Timestamp::MIN.as_nanosecond()).unwrap_or_default()
}

#[inline]
fn clipped(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= KEY_BYTES {
        return text;
    }
    let end = (0..=KEY_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

/// The order in which people count: letters A to Z of either case alike, and numbers by their value, so that `w9` stands
/// before `w10`.
#[inline]
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&x), Some(&y)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, after_m) = digits(a);
            let (n, after_n) = digits(b);
            let ordering = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
            if ordering.is_ne() {
                return ordering;
            }
            (a, b) = (after_m, after_n);
        } else {
            let ordering = x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase());
            if ordering.is_ne() {
                return ordering;
            }
            (a, b) = (&a[1..], &b[1..]);
        }
    }
}

/// The beginning of a text as a number: of two texts, the one with the lesser number stands first in the order in which
/// people count. Where the numbers are equal only the whole texts tell.
pub fn beginning(text: &str) -> u64 {
    let mut signs = [0u8; 8];
    let (mut rest, mut n) = (text.as_bytes(), 0);
    while let (Some(&first), true) = (rest.first(), n < signs.len()) {
        if !first.is_ascii_digit() {
            signs[n] = first.to_ascii_lowercase();
            (rest, n) = (&rest[1..], n + 1);
            continue;
        }
        let (number, after) = digits(rest);
        // A longer number is a greater one. From nine digits on the length does not tell.
        signs[n] = b'0' + number.len().min(9) as u8;
        if number.len() >= 9 {
            break;
        }
        let room = number.len().min(signs.len() - n - 1);
        signs[n + 1..=n + room].copy_from_slice(&number[..room]);
        (rest, n) = (after, n + 1 + room);
    }
    u64::from_be_bytes(signs)
}

/// The number at the start without leading zeros, and what follows.
#[inline]
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|b| **b == b'0').count();
    (&text[zeros..end], &text[end..])
}
