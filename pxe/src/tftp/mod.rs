//! TFTP, reads only: how boot firmware fetches iPXE.
//!
//! ```text
//! firmware :2070 ── RRQ undionly.kpxe, octet, blksize 1468, tsize 0 ──► :69
//!                ◄─ OACK blksize 1468, tsize 70085 ──────────────────── :41234 (one socket for each transfer)
//!                ── ACK 0 ────────────────────────────────────────────► :41234
//!                ◄─ DATA 1 … DATA n, as many as the window holds ────── :41234
//!                ── ACK n ────────────────────────────────────────────► :41234
//! ```
//!
//! RFC 1350 the protocol, 1123 (4.2.3.1) why a duplicate ACK sends nothing, 2347 options, 2348 `blksize`, 2349 `timeout`
//! and `tsize`, 7440 `windowsize`. [`packet`] reads and writes bytes, [`answer`] decides, [`server`] and its transfers
//! have the sockets. What a machine should load is not known here: a request is served from a fixed table of names.

pub mod answer;
mod counts;
pub mod packet;
pub mod server;
mod transfer;

pub use counts::Counts;
pub use server::{BindError, ServeError, Server, Settings, Shared};
