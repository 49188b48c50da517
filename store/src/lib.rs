//! What Overture must not forget, on disk: leases, boots and their steps, nodes, revisions of the site, answers to writes.
//!
//! The only SQL of the project. Everything here stands behind the domain's ports; nothing here decides what a lease or a
//! node should be. One database so far, [`sqlite`], embedded. Its SQL text keeps to what Postgres understands as well, and
//! `tests/store/contract` says what any store must do, so that a second one can join.

mod limits;
pub mod sqlite;

pub use limits::Limits;
