//! What runs on the node: `overture-agent`, one static programme with four parts.
//!
//! ```text
//! kernel ─► init   mounts, modules, links, an address; keeps `run` alive       (process 1)
//!           run    looks, reports, does what it is told ─HTTPS─► the service   (child of init)
//!           look   prints what it sees, changes nothing                        (any Linux, any user)
//!           report prints it as a report that the service imports             (any Linux, any user)
//! ```
//!
//! It touches no disk: nothing is mounted from one, nothing is written to one. It does not know stages, plans or
//! other nodes; it has the address of the service, the fingerprint of its authority, a ticket, and orders.

pub mod backoff;
pub mod boot;
pub mod burn_in;
pub mod clock;
pub mod command;
pub mod console;
pub mod facts;
pub mod generic_netlink;
pub mod init;
pub mod ipmi;
pub mod key;
pub mod lldp;
pub mod netlink;
pub mod run;
pub mod sentences;
pub mod service;
pub mod tree;
