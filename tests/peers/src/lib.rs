//! Real servers that tests start: each in a folder of its own, without the network, gone when the test is.
//!
//! Knows how to start, kill and restart them, not what Overture does with them.

mod postgres;

pub use postgres::Postgres;
