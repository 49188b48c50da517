//! The inventory as operators use it: found, shown as it was, compared with what was ordered, tested, and taken elsewhere.
//! Machines are simulated; the service and the command line are the real ones. What needs an agent needs root and network
//! namespaces, the rest neither. Whole transcripts are compared with `tests/expected/`, written anew by `UPDATE_EXPECTED=1`.
#![allow(missing_docs, clippy::unwrap_used)]
// A service with a network and one without ask in the same way.
#![allow(clippy::duplicate_mod)]

mod service;
mod support;

#[path = "inventory/burn_in.rs"]
mod burn_in;
#[path = "inventory/changes.rs"]
mod changes;
#[path = "inventory/elsewhere.rs"]
mod elsewhere;
#[path = "inventory/imports.rs"]
mod imports;
#[path = "cli/journal.rs"]
#[allow(dead_code)] // the command line's tests use all of it
mod journal;
#[path = "inventory/labels.rs"]
mod labels;
#[path = "inventory/search.rs"]
mod search;
#[path = "inventory/server.rs"]
mod server;
#[path = "inventory/transcript.rs"]
mod transcript;
#[path = "inventory/wanted.rs"]
mod wanted;
