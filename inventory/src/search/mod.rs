//! Search over all nodes: a table of them in memory that answers a page of a filtered, sorted list in milliseconds.
//!
//! ```text
//! put, remove, heard, place ──► Table ◄── query: from the table alone (indexed fields)
//!                                  ▲
//!                       search ────┴────► documents: only of the nodes that the table leaves open (`facts.…`)
//! ```
//!
//! The language and what it means is [`domain::search`]'s. This knows how nodes are kept small, scanned and paged. It does
//! not know who tells it of nodes.

mod common;
mod cursor;
mod documents;
mod page;
mod row;
mod segment;
mod table;

#[cfg(test)]
mod lifelike;
#[cfg(test)]
mod tests;

pub use documents::{Bounds, SearchError, search};
pub use page::{Ask, BadCursor, Found, Hit};
pub use table::Table;
