//! Learns nodes from reports and remembers them.
//!
//! Reports come in over [`agent_routes`], are translated into the domain's words, recognised, and kept in the store
//! before they are answered. [`Inventory`] owns a small record of each node in memory, from which it answers the boot
//! protocols, and gives waiting agents their orders. It does not know how the store keeps nodes, how a ticket came to
//! be issued, what TLS is, or what an operator's request looks like.
//!
//! ```text
//! agent                        inventory                           boots, store
//!   POST /report ───────────────► ticket and key ─────────────────► claim
//!                                 translate, recognise (one by one)
//!                                 keep ───────────────────────────► durable
//!   ◄────────────── node, name    index, reported, note
//!   GET /orders?wait=60 ────────► ticket and key ─────────────────► claim
//!   ◄──────────── order, or wait  as soon as an operator gives one
//!   POST /progress ─────────────► taken, kept
//! ```

mod accept;
mod agents;
mod body;
mod counters;
#[cfg(test)]
mod fakes;
mod find;
mod index;
mod names;
mod operate;
mod orders;
mod owner;
pub mod problem;
mod refusals;
mod routes;
mod translate;

pub use accept::ReportError;
pub use agents::{AgentPeer, NotItsNode, TicketError};
pub use find::FindError;
pub use operate::{ForgetError, OrderError, RenameError};
pub use orders::ProgressError;
pub use owner::{Inventory, MOST_NODES};
pub use problem::Problem;
pub use routes::agent_routes;
pub use translate::ReadError;
