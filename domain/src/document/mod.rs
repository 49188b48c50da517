//! What a report says of a machine, and how two of them differ.
//!
//! [`readings`](Document::settled) parts what passes by itself from what is settled, [`amend`](Document::amended) lets late
//! facts in, [`differences`] compares, and [`Change::in_words`] says it to people. Knows JSON, paths and what tells the items
//! of a list apart; decides nothing about hardware.

mod amend;
mod differences;
mod gaps;
mod items;
mod readings;
#[cfg(test)]
mod tests;
mod words;

pub use differences::{Change, MORE, MOST_CHANGES, differences};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// Something that a report could not find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where in the facts it is missing: `system.serial`.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The facts as they came, unknown fields included.
    pub facts: Value,
    /// What is missing among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What the report says beside facts and gaps and nothing here knows: a newer agent's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub other: Map<String, Value>,
}

/// SHA-256 over a settled document, written as JSON with sorted keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// Not a digest's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct NotADigest;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NotADigest);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotADigest)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl Document {
    /// Takes the readings out of the facts: what is left is settled, and the readings have the same shape with nothing else
    /// in it (`null` where a list's item has none, and for none at all). `readings` are dotted paths that end in a name,
    /// `*` for each item of a list. An object that held nothing but readings stays, empty.
    #[must_use]
    pub fn settled(mut self, readings: &[&str]) -> (Self, Value) {
        let taken = readings::take(&mut self.facts, readings);
        (self, taken.unwrap_or(Value::Null))
    }

    /// Puts readings back where they were taken from: the inverse of [`Document::settled`]. Readings that fit nowhere are
    /// left out.
    #[must_use]
    pub fn with_readings(mut self, readings: &Value) -> Self {
        readings::put_back(&mut self.facts, readings);
        self
    }

    /// This document after an amendment: each part of its facts replaces the same part here, with the gaps at and below it.
    /// Its gaps about other parts are kept where nothing is known here. What it says beside facts replaces the same here.
    #[must_use]
    pub fn amended(self, amendment: Self) -> Self {
        amend::amended(self, amendment)
    }
}
