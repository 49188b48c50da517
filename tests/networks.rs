//! Several networks, and interfaces that come, go and change: each network is served by its own rules, sites change what
//! is served while it is served, and what the machine cannot serve now is served as soon as it can.
//!
//! Needs root; everything happens in network namespaces of its own.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

#[path = "networks/apply.rs"]
mod apply;
#[path = "networks/files.rs"]
mod files;
#[path = "networks/hall.rs"]
mod hall;
#[path = "networks/interfaces.rs"]
mod interfaces;
#[path = "networks/names.rs"]
mod names;
#[path = "networks/ports.rs"]
mod ports;
