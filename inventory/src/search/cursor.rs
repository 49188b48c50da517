//! Where a page ended, as a text that a client hands back unread.
//!
//! It holds the sort keys and the id of the last node that was looked at, not a number of nodes: what comes, goes or
//! changes between two pages neither repeats nor hides any other node.

use super::page::BadCursor;
use data_encoding::BASE64URL_NOPAD;
use domain::NodeId;
use domain::search::{KEY_BYTES, Query, Sort, Standing};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest cursor that is read, bytes.
const MOST_BYTES: usize = 8192;

/// A place in the order of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Position {
    pub(super) keys: Vec<Standing<'static>>,
    pub(super) id: NodeId,
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// Which list it belongs to.
    of: String,
    keys: Vec<Key>,
    id: NodeId,
}

#[derive(Serialize, Deserialize)]
enum Key {
    #[serde(rename = "n")]
    Number(String),
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "m")]
    Missing,
}

/// What tells one list from another: its query and its order.
pub(super) fn fingerprint(query: &Query, sort: &Sort) -> String {
    let digest = Sha256::digest(format!("{query}\n{sort}"));
    BASE64URL_NOPAD.encode(&digest[..9])
}

pub(super) fn write(list: &str, position: &Position) -> String {
    let key = |key: &Standing<'_>| match key {
        Standing::Number(n) => Key::Number(n.to_string()),
        Standing::Text(text) => Key::Text(text.as_ref().to_owned()),
        Standing::Missing => Key::Missing,
    };
    let written = Written { of: list.to_owned(), keys: position.keys.iter().map(key).collect(), id: position.id };
    BASE64URL_NOPAD.encode(&serde_json::to_vec(&written).unwrap_or_default())
}

pub(super) fn read(text: &str, list: &str, sort: &Sort) -> Result<Position, BadCursor> {
    let read = (text.len() <= MOST_BYTES).then(|| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).flatten();
    let written: Written = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(BadCursor::Unreadable)?;
    if written.of != list || written.keys.len() != sort.keys().len() {
        return Err(BadCursor::OfAnotherList);
    }
    let key = |key: Key| match key {
        Key::Number(n) => n.parse().map(Standing::Number).ok(),
        Key::Text(text) => (text.len() <= KEY_BYTES).then(|| Standing::Text(text.into())),
        Key::Missing => Some(Standing::Missing),
    };
    let keys: Option<_> = written.keys.into_iter().map(key).collect();
    Ok(Position { keys: keys.ok_or(BadCursor::Unreadable)?, id: written.id })
}
