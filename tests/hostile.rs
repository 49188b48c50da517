//! Attacks on a whole appliance over its network: each gets the protocol's proper answer or silence and a counted reason,
//! the process goes on, and a machine that means well boots from its firmware to its report as before.
//!
//! Needs root; everything happens in network namespaces of its own.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

#[path = "hostile/agents.rs"]
mod agents;
#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/dhcp.rs"]
mod dhcp;
#[path = "hostile/floods.rs"]
mod floods;
#[path = "hostile/http.rs"]
mod http;
#[path = "hostile/scripts.rs"]
mod scripts;
#[path = "hostile/tftp.rs"]
mod tftp;
