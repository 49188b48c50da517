//! Search as people type it: `disks.size > 1TB and vendor = Dell and stage = ready`.
//!
//! The language, the fields it knows, what it means for a node, in which order nodes are listed and how their values are
//! shown. Knows no table and no store: a node is anything that implements [`Record`]; `docs/search.md` is the guide.

mod columns;
mod facts;
mod fields;
mod fits;
mod mistake;
mod order;
mod parse;
mod quantity;
mod query;
mod record;
mod token;

#[cfg(test)]
mod tests;

pub use columns::{Cell, Column, Columns};
pub use fields::{Described, FIELDS, Field, Kind, List};
pub use fits::{Document, Verdict};
pub use mistake::Mistake;
pub use order::{KEY_BYTES, Key, MOST_KEYS, Sort, Standing, beginning};
pub use query::{Path, Query};
pub use record::{Case, Placed, Record, Shown, Value, Wording, firmware_word, order_word, stage_word};

/// The longest query that is read, bytes.
pub const MOST_BYTES: usize = 4096;
/// The deepest nesting that is read.
pub const DEEPEST: usize = 32;
