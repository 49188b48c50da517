//! Learns nodes from reports and remembers them.
//!
//! Reports come in over [`agent_routes`], are translated into the domain's words, recognised, and kept in the store
//! before they are answered. [`Inventory`] owns a small record of each node in memory, from which it answers the boot
//! protocols and lists, and gives waiting agents their orders. It does not know how the store keeps nodes, how a ticket came to
//! be issued, what TLS is, or what an operator's request looks like.
//!
//! ```text
//! agent                        inventory                           boots, store
//!   POST /report ───────────────► ticket and key ─────────────────► claim
//!                                 translate, recognise: reports of one machine one by one
//!                                 keep ───────────────────────────► durable
//!   ◄────────────── node, name    index, reported, note
//!   GET /orders?wait=60 ────────► ticket and key ─────────────────► claim
//!   ◄──────────── order, or wait  as soon as an operator gives one
//!   POST /progress ─────────────► taken, kept
//! ```

mod accept;
mod agents;
mod body;
mod burn_in;
mod counters;
#[cfg(test)]
mod fake_store;
#[cfg(test)]
mod fakes;
mod find;
mod history;
mod import;
mod index;
mod labels;
mod locks;
mod names;
mod operate;
mod orders;
mod owner;
mod placing;
pub mod problem;
mod refusals;
mod remember;
mod routes;
mod schema;
mod seal;
pub mod search;
#[cfg(test)]
mod speed_tests;
mod summary;
mod test_data;
mod translate;

pub use accept::ReportError;
pub use agents::{AgentPeer, NotItsNode, TicketError};
pub use burn_in::{LONGEST_TEST, NodeTest, TestState};
pub use find::FindError;
pub use history::{Dated, Differences, HistoryError, Mark, Moment, NodeDifferences, NodeThen, Past};
pub use import::{ImportError, Imported};
pub use inventory_wire::MOST_BYTES as MOST_REPORT_BYTES;
pub use labels::{LONGEST_NOTE, LONGEST_OWNER, LONGEST_TAG, LabelChange, LabelError, MOST_TAGS};
pub use operate::{ForgetError, OrderError, RenameError};
pub use orders::ProgressError;
pub use owner::{Inventory, MOST_NODES};
pub use problem::Problem;
pub use routes::agent_routes;
pub use schema::report_schema;
pub use translate::ReadError;
