//! The operators' API over its socket, held to its conventions (docs/adr/0008): problems, pages, ETags, idempotency keys,
//! the description, and who may use it. The service runs without any network; only `guard` needs root.
#![allow(missing_docs, clippy::unwrap_used)]

mod service;

#[path = "api/document.rs"]
mod document;
#[path = "api/guard.rs"]
mod guard;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/problems.rs"]
mod problems;
#[path = "api/writes.rs"]
mod writes;
