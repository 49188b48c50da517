//! DHCP as boot firmware, iPXE and a small system speak it (RFC 2131, 2132, 4578).
//!
//! ```text
//! machine                        server
//!   DISCOVER  ── broadcast ──►
//!             ◄── to its MAC ──  OFFER       (or broadcast, when it asked for that)
//!   REQUEST   ── broadcast ──►
//!             ◄── to its MAC ──  ACK or NAK
//! ```
//!
//! Packets are sent and heard as whole Ethernet frames: a machine that has no address yet sends from 0.0.0.0 and its own
//! MAC, and hears what is sent to that MAC, which a UDP socket of the host could not do.

mod client;
mod frame;
mod load;
mod machine;
mod packet;
mod reply;

pub use client::{Client, ClientError, ExchangeError, Heard, Lease, Timing, fresh_xid};
pub use frame::{BadFrame, Datagram, Header};
pub use load::{Load, LoadResult};
pub use machine::{ARCH_BIOS, ARCH_UEFI_X86_64, ARCH_UEFI_X86_64_HTTP, Machine, Speaker};
pub use packet::{Kind, Packet, option};
pub use reply::{BadReply, Reply};
