//! Kills, full disks, locked and damaged stores, and taken ports: what was acknowledged is remembered, what could not be
//! kept was not acknowledged, and whoever refuses to start says why and touches nothing.
//!
//! Needs root; everything happens in network namespaces and on disks of its own. `OVERTURE_LONG=1` kills more often.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

#[path = "crash/disk_full.rs"]
mod disk_full;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/locked.rs"]
mod locked;
#[path = "crash/refusals.rs"]
mod refusals;
#[path = "crash/stop.rs"]
mod stop;
