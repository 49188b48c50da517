//! DHCPv4 (RFC 2131, RFC 2132) for network boot (PXE 2.1, RFC 4578; UEFI HTTP boot; iPXE).
//!
//! ```text
//! firmware                       DHCP                                      store
//!   │ DISCOVER 60=PXEClient 93=7 ─►│ a boot begins, an address is kept free    │
//!   │◄─ OFFER 10.20.0.100,         │                                           │
//!   │   boot file snponly.efi      │                                           │
//!   │ REQUEST 50 54 ──────────────►│ lease ───────────────────────────────────►│
//!   │◄─────────────────────── ACK  │◄────────────────────────────── on disk    │
//! iPXE  (77=iPXE or 175)           │
//!   │ DISCOVER, REQUEST ──────────►│ the same lease: one machine, one MAC
//!   │◄─ OFFER, ACK with the URL of the first script
//! ramdisk
//!   │ DISCOVER, REQUEST ──────────►│ the same lease, nothing to load
//! ```
//!
//! [`packet`] reads and writes bytes, [`answer`] decides by the rules of `domain` and is a function of values,
//! [`server`] has the socket and waits for the disk. Deliberately absent: ARP injection (an answer to a machine without
//! an address is broadcast), probing of addresses, and DHCPv6.

pub mod answer;
pub mod packet;
pub mod server;

mod link;
mod notice;
mod reply;

use crate::counts::counters;

pub use link::BindError;
pub use server::{ServeError, Server, Settings};

counters! {
    /// What happened to the packets, since the start.
    Counts {
        /// Packets that came in.
        received,
        /// Addresses offered (DHCPOFFER).
        offered,
        /// Leases acknowledged, on disk (DHCPACK).
        acknowledged,
        /// Leases acknowledged for no longer than the store already knew, because it could not keep more.
        acknowledged_from_disk,
        /// Questions for settings answered without a lease (DHCPINFORM).
        informed,
        /// Requests refused (DHCPNAK).
        refused,
        /// Leases given back.
        released,
        /// Addresses that a client found in use by somebody else.
        declined,
        /// Dropped: not a DHCP request over Ethernet.
        malformed,
        /// Dropped: meant for another server, or about an address that its sender does not hold.
        not_for_us,
        /// Dropped: the interface or the relay agent belongs to no network of the site.
        no_network,
        /// Dropped: this machine has no address on the network.
        no_own_address,
        /// Dropped: the site says not to answer this machine.
        ignored_by_site,
        /// Dropped: the service only watches, and does not know the machine's address.
        only_watching,
        /// Dropped: the pool has no address left.
        pool_exhausted,
        /// Dropped: too many offers are open.
        too_many_offers,
        /// Dropped: the store could not keep the lease.
        store_unavailable,
        /// Dropped: the answer would have gone to an address that no relay agent can have.
        hostile_relay,
        /// Dropped: too many leases wait for the disk.
        overloaded,
        /// Answers that the network did not take.
        send_failed,
        /// Times that the socket reported an error instead of a packet.
        receive_failed,
    }
}
