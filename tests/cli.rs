//! The command line, as an operator meets it: whole transcripts and helps compared with `tests/expected/`, written anew by
//! `UPDATE_EXPECTED=1`. The service runs without any network.
#![allow(missing_docs, clippy::unwrap_used)]

mod service;

#[path = "cli/help.rs"]
mod help;
#[path = "cli/journal.rs"]
mod journal;
#[path = "cli/nodes.rs"]
mod nodes;
#[path = "cli/reach.rs"]
mod reach;
#[path = "cli/site.rs"]
mod site;
