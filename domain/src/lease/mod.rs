//! Which address a machine gets, and for how long.
//!
//! One machine is one lease on a network, told by its MAC address: firmware, iPXE and the system of one machine
//! send different client identifiers in one boot. The table decides; keeping a lease on disk before it is
//! acknowledged is the caller's part, which is why granting has two steps, [`LeaseTable::request`] and
//! [`LeaseTable::granted`].
//!
//! ```text
//! DISCOVER ─► offer ─────► the address is kept for the machine for a minute
//! REQUEST ──► request ───► Grant: the caller writes the lease; meanwhile it counts as the machine's
//!             granted ◄─── the lease is on disk; only now it is acknowledged
//! ```

mod addresses;
mod offers;
#[cfg(test)]
mod promises_tests;
mod table;
#[cfg(test)]
mod tests;

pub use table::LeaseTable;

use crate::clock::{Timestamp, seconds_between};
use crate::mac::MacAddr;
use crate::site::Site;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An address promised to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The network's name in the site.
    pub network: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Who holds it; for a declined address, who declined it.
    pub mac: MacAddr,
    /// When it was last granted.
    pub granted: Timestamp,
    /// When the promise ends.
    pub expires: Timestamp,
    /// Whether it is held.
    pub state: LeaseState,
    /// The name that the machine gave itself (option 12); from the network, so never trusted.
    pub host_name: Option<String>,
}

/// Whether a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Held until it expires.
    Bound,
    /// Given back; kept for its machine while nobody else needs the address.
    Released,
    /// Found in use by somebody else; given to nobody until it expires.
    Declined,
}

/// Who asks for an address, where and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The site in force.
    pub site: &'a Site,
    /// The network's name in the site.
    pub network: &'a str,
    /// Who asks.
    pub mac: MacAddr,
    /// Addresses of this network that belong to the appliance itself; never given away.
    pub taken: &'a [Ipv4Addr],
    /// The present.
    pub now: Timestamp,
}

/// How long an offered address is kept for the machine, seconds. OVMF takes about 4 s from offer to request.
const OFFER_SECONDS: i64 = 60;
/// How long a declined address is given to nobody, seconds.
const DECLINED_SECONDS: i64 = 3600;
/// How many offers may be open on one network: a flood of DISCOVERs must not eat the memory.
const MOST_OFFERS: usize = 4096;

/// Why machines get no new address from a service that only watches.
const WATCHING: &str = "the service only watches since its store was restored, so only known machines get their known addresses \
    until `overture db resume`";

/// Why no address can be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Every address of the pool is held.
    #[error("all {size} addresses of the pool {pool} are held: widen `pool`, or shorten `lease_seconds`, of network `{network}`")]
    Exhausted {
        /// The network.
        network: String,
        /// Its pool.
        pool: String,
        /// How many addresses it has.
        size: u64,
    },
    /// Too many machines were offered an address and have not answered.
    #[error("{MOST_OFFERS} offers are open on network `{network}`: more wait until some are taken or lapse")]
    TooManyOffers {
        /// The network.
        network: String,
    },
    /// The service only watches, and does not know which addresses were given after the backup that it was restored from.
    #[error("{WATCHING}; this machine holds no lease that is known")]
    Watching,
    /// The machine was granted an address that it cannot have any more, and that lease is still on its way to disk.
    #[error("a lease of {address} is still being written for this machine: ask again in a moment")]
    BeingWritten {
        /// The address.
        address: Ipv4Addr,
    },
}

/// What a DHCPREQUEST deserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// Keep this lease, then acknowledge it.
    Grant(Lease),
    /// Refuse (DHCPNAK), with the reason.
    Refuse(String),
    /// Say nothing, with the reason: the service only watches.
    Withhold(String),
    /// Say nothing, with the reason: the request is not ours to answer.
    Silence(String),
}

/// How the address was chosen, in words.
pub type Rule = &'static str;

/// What a lease still promises, seconds; none when it is over.
pub fn remaining_seconds(lease: &Lease, now: Timestamp) -> Option<u32> {
    u32::try_from(seconds_between(now, lease.expires)).ok().filter(|&left| left > 0)
}

/// Whether a lease is somebody's at this moment.
fn is_held(lease: &Lease, now: Timestamp) -> bool {
    lease.state == LeaseState::Bound && lease.expires > now
}
