//! The decisions of Overture and the words they are made of.
//!
//! Everything here is a value or a function of values: no file, no socket, no clock, no runtime. Time and
//! new ids are arguments. Every other crate may point here; this one points at none of them.

pub mod address;
pub mod admission;
pub mod boot;
pub mod clock;
pub mod document;
pub mod hardware;
pub mod history;
pub mod identity;
pub mod ids;
pub mod lease;
pub mod mac;
pub mod node;
pub mod order;
pub mod place;
pub mod ports;
pub mod quantity;
pub mod search;
pub mod site;
pub mod ticket;
pub mod timeline;
pub mod verify;

pub use clock::Timestamp;
pub use ids::{BootId, NodeId, OrderId, RevisionId};
pub use mac::MacAddr;
