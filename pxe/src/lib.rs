//! From power-on to the boot script: DHCP, TFTP and boot HTTP.
//!
//! What a machine gets is decided in `domain`; here it is read from bytes and written to bytes. Nothing here knows the
//! inventory, the store's kind, or the operators' API.

mod amount;
mod counts;
mod log_limit;

pub mod boots;
pub mod dhcp;
pub mod files;
pub mod http;
pub mod ipxe;
pub mod leases;
pub mod port_holder;
pub mod tftp;
