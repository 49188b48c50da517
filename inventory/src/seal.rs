//! What is kept of a report's document: the settled part as JSON, always the same bytes for the same facts, with its digest;
//! and apart from it the readings.

use domain::document::{Digest, Document};
use inventory_wire::READINGS;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A document as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sealed {
    /// Over `json`.
    pub(crate) digest: Digest,
    /// The settled document, keys sorted, gaps sorted by path.
    pub(crate) json: String,
    /// The readings; null when there are none.
    pub(crate) readings: Value,
}

/// Parts what is settled from what is read, and seals it.
pub(crate) fn seal(document: Document) -> Result<Sealed, serde_json::Error> {
    let (mut settled, mut readings) = document.settled(READINGS);
    // Agents look in several places at once: in which order they found nothing is no news.
    settled.gaps.sort_by(|a, b| (&a.path, &a.reason).cmp(&(&b.path, &b.reason)));
    // No work, unless something in this process makes JSON objects keep their order. The document's own fields stand in order.
    settled.facts.sort_all_objects();
    settled.other.sort_keys();
    settled.other.values_mut().for_each(Value::sort_all_objects);
    readings.sort_all_objects();
    let json = serde_json::to_string(&settled)?;
    let digest = Digest(Sha256::digest(json.as_bytes()).into());
    Ok(Sealed { digest, json, readings })
}
