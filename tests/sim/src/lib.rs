//! Pretends to be machines that boot from the network: DHCP, TFTP, iPXE and HTTP as a node speaks them.
//!
//! Everything is synchronous, and every byte is written and read here by hand from the RFCs and from recordings of real
//! firmware. Nothing of the appliance is used, not even a library that it uses for the same bytes: a shared mistake
//! would agree with itself. The simulator does not know what a right answer is, only what a well-formed one is.
//!
//! All sockets belong to the network namespace of the thread that opens them.

pub mod boot;
pub mod dhcp;
pub mod http;
pub mod interface;
pub mod ipxe;
pub mod names;
pub mod pcap;
pub mod tftp;

pub use boot::{BootError, Booted, Outcome, Patience, boot};
pub use names::{Mac, Uuid};
