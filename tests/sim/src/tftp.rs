//! TFTP as boot firmware reads files (RFC 1350, 2347, 2348, 2349, 7440).
//!
//! ```text
//! RRQ file, options ──►
//!                   ◄── OACK          (or DATA 1 where no option was taken up)
//! ACK 0             ──►
//!                   ◄── DATA 1 … window
//! ACK window        ──►
//! ```

mod client;
mod packet;

pub use client::{Abandoned, Client, Options, TftpError, Transfer};
pub use packet::{Answer, BadAnswer, acknowledge, error, read_request, write_request};
