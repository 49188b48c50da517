//! The addresses of one network: who holds them, who was offered them, and which one comes next.
//!
//! Knows nothing of other networks, nor of what the protocol asks; only [`super::table`] uses it.

use super::offers::{Offer, Offers};
use super::{Asking, Lease, LeaseState, MOST_OFFERS, NoAddress, OFFER_SECONDS, Requested, Rule, is_held};
use crate::address::AddressRange;
use crate::clock::{Timestamp, after_seconds};
use crate::mac::MacAddr;
use crate::site::Network;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_address: HashMap<Ipv4Addr, Lease>,
    by_mac: HashMap<MacAddr, Ipv4Addr>,
    by_expiry: BTreeSet<(Timestamp, Ipv4Addr)>,
    offers: Offers,
    /// Pool addresses below this were all given out at least once, as long as the pool is `fresh_in`.
    fresh: u32,
    fresh_in: Option<AddressRange>,
}

impl Addresses {
    pub(super) fn all(&self) -> impl Iterator<Item = &Lease> {
        self.by_address.values()
    }

    /// All that it holds, to be put elsewhere.
    pub(super) fn into_parts(self) -> (impl Iterator<Item = Lease>, impl Iterator<Item = (Ipv4Addr, Offer)>) {
        (self.by_address.into_values(), self.offers.into_all())
    }

    /// An address that is kept for a machine, from elsewhere.
    pub(super) fn take_over(&mut self, address: Ipv4Addr, offer: Offer) {
        self.offers.take_over(address, offer);
    }

    /// What is known of an address, whether or not it is held.
    pub(super) fn at(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.by_address.get(&address)
    }

    /// The last lease of a machine, whether or not it is held.
    pub(super) fn of_machine(&self, mac: MacAddr) -> Option<&Lease> {
        self.by_address.get(self.by_mac.get(&mac)?)
    }

    /// Whether the machine has the address, or was offered it.
    pub(super) fn was_given(&self, address: Ipv4Addr, mac: MacAddr) -> bool {
        self.by_mac.get(&mac) == Some(&address) || self.offers.of(mac) == Some(address)
    }

    /// The address that the site names for a machine, unless it is the appliance's own, or still somebody else's because
    /// the site named it only now: one address is never promised to two.
    fn fixed_address(&self, asking: &Asking<'_>, network: &Network) -> Option<Ipv4Addr> {
        let named = asking.site.nodes.iter().find(|node| node.mac == Some(asking.mac)).and_then(|node| node.address)?;
        (network.subnet.contains(&named) && self.is_usable_for(named, asking)).then_some(named)
    }

    /// Whether the machine holds a lease, or the site names its address.
    pub(super) fn knows_address_of(&self, asking: &Asking<'_>, network: &Network) -> bool {
        self.fixed_address(asking, network).is_some() || self.of_machine(asking.mac).is_some_and(|lease| is_held(lease, asking.now))
    }

    /// Whether it was this address that the machine was given. A lease that is over counts as well: a machine that asks for the
    /// address again has it, or had it last.
    pub(super) fn knows(&self, asking: &Asking<'_>, network: &Network, address: Ipv4Addr) -> bool {
        let was_its = self.of_machine(asking.mac).is_some_and(|lease| lease.state == LeaseState::Bound && lease.address == address);
        was_its || self.fixed_address(asking, network) == Some(address)
    }

    /// The address for a machine that asks for any, or would like to have `wanted`.
    pub(super) fn choose(
        &mut self,
        asking: &Asking<'_>,
        network: &Network,
        wanted: Option<Ipv4Addr>,
    ) -> Result<(Ipv4Addr, Rule), NoAddress> {
        if let Some(address) = self.offers.being_written(asking.mac) {
            return match self.objection(asking, network, address) {
                None => Ok((address, "a lease of this address is being written for it")),
                Some(_) => Err(NoAddress::BeingWritten { address }),
            };
        }
        if let Some(fixed) = self.fixed_address(asking, network) {
            return Ok((fixed, "the site names this address for the machine"));
        }
        let usable = |leases: &Self, address: Ipv4Addr| network.pool.contains(address) && leases.is_usable_for(address, asking);
        if let Some(offered) = self.offers.of(asking.mac)
            && usable(self, offered)
        {
            return Ok((offered, "it was offered this address a moment ago"));
        }
        if let Some(&had) = self.by_mac.get(&asking.mac)
            && usable(self, had)
        {
            return Ok((had, "it had this address before"));
        }
        if let Some(wanted) = wanted
            && usable(self, wanted)
            && !self.by_address.contains_key(&wanted)
        {
            return Ok((wanted, "it asked for this address, which is free"));
        }
        if let Some(address) = self.next_fresh(network.pool, usable) {
            return Ok((address, "the lowest address of the pool that nobody had"));
        }
        self.by_expiry
            .iter()
            .take_while(|(expires, _)| *expires <= asking.now)
            .map(|(_, address)| *address)
            .find(|&address| usable(self, address))
            .map(|address| (address, "the address of the pool that was given back longest ago"))
            .ok_or_else(|| {
                let pool = network.pool;
                NoAddress::Exhausted { network: asking.network.into(), pool: pool.to_string(), size: pool.size() }
            })
    }

    /// The lowest address of the pool that nobody had. What lies below it is not looked at again.
    fn next_fresh(&mut self, pool: AddressRange, usable: impl Fn(&Self, Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        if self.fresh_in != Some(pool) {
            self.fresh = u32::from(pool.first());
            self.fresh_in = Some(pool);
        }
        while self.fresh <= u32::from(pool.last()) {
            let address = Ipv4Addr::from(self.fresh);
            if usable(self, address) && !self.by_address.contains_key(&address) {
                return Some(address);
            }
            self.fresh += 1;
        }
        None
    }

    /// Why a machine cannot have the address that it asks for; nothing when it can.
    pub(super) fn objection(&self, asking: &Asking<'_>, network: &Network, address: Ipv4Addr) -> Option<String> {
        if !network.subnet.contains(&address) {
            return Some(format!("{address} is not an address of network `{}`", asking.network));
        }
        if let Some(other) = self.offers.being_written(asking.mac)
            && other != address
        {
            return Some(format!("this machine is being given {other}, not {address}"));
        }
        let fixed = self.fixed_address(asking, network);
        if let Some(fixed) = fixed
            && fixed != address
        {
            return Some(format!("the site gives this machine {fixed}, not {address}"));
        }
        let free = self.is_usable_for(address, asking);
        let leasable = fixed.is_some() || network.pool.contains(address);
        if self.was_given(address, asking.mac) {
            return match (free, leasable) {
                (false, _) => Some(format!("{address} was given to somebody else meanwhile")),
                (true, false) => Some(format!("{address} is no longer in the pool {}", network.pool)),
                (true, true) => None,
            };
        }
        match self.by_mac.get(&asking.mac) {
            Some(other) => Some(format!("this machine holds {other}, not {address}")),
            // RFC 2131, 4.3.2: a server without a record of the client stays silent, other servers may know it.
            // This one is the only authority of its networks, so an address that it can give is given,
            // and one that it can't is refused at once rather than after a time-out.
            None if free && leasable => None,
            None => Some(format!("{address} is not free for this machine")),
        }
    }

    fn is_usable_for(&self, address: Ipv4Addr, asking: &Asking<'_>) -> bool {
        !asking.taken.contains(&address) && self.is_free_for(address, asking.mac, asking.now)
    }

    /// Whether nobody else holds the address or has it kept for it.
    pub(super) fn is_free_for(&self, address: Ipv4Addr, mac: MacAddr, now: Timestamp) -> bool {
        let leased = self.by_address.get(&address).is_some_and(|lease| {
            let theirs = lease.mac == mac && lease.state != LeaseState::Declined;
            !theirs && lease.expires > now
        });
        !leased && !self.offers.keeps_from(mac, address, now)
    }

    /// A lease that is on disk.
    pub(super) fn take_up(&mut self, lease: Lease) {
        if lease.state == LeaseState::Bound {
            self.offers.written(lease.address, lease.mac);
        }
        if !self.is_overtaken(&lease) {
            self.place(lease);
        }
    }

    /// A lease in place of whatever its address or its machine had.
    pub(super) fn place(&mut self, lease: Lease) {
        if let Some(old) = self.by_mac.get(&lease.mac).copied()
            && old != lease.address
        {
            self.remove(old);
        }
        self.remove(lease.address);
        self.insert(lease);
    }

    /// Whether what a machine gave up was given again while that was on its way to disk. What was decided first need not
    /// come back first.
    fn is_overtaken(&self, given_up: &Lease) -> bool {
        let current = self.at(given_up.address);
        match given_up.state {
            LeaseState::Bound => false,
            // It ends the lease that it was made from, and no other.
            LeaseState::Released => current.is_none_or(|current| current.mac != given_up.mac || current.granted != given_up.granted),
            LeaseState::Declined => current.is_some_and(|current| {
                current.mac != given_up.mac && current.state == LeaseState::Bound && current.granted > given_up.granted
            }),
        }
    }

    pub(super) fn insert(&mut self, lease: Lease) {
        if lease.state != LeaseState::Declined {
            self.by_mac.insert(lease.mac, lease.address);
        } else if self.by_mac.get(&lease.mac) == Some(&lease.address) {
            self.by_mac.remove(&lease.mac);
        }
        self.by_expiry.insert((lease.expires, lease.address));
        self.by_address.insert(lease.address, lease);
    }

    fn remove(&mut self, address: Ipv4Addr) {
        if let Some(old) = self.by_address.remove(&address) {
            self.by_expiry.remove(&(old.expires, address));
            if self.by_mac.get(&old.mac) == Some(&address) {
                self.by_mac.remove(&old.mac);
            }
        }
    }

    /// Keeps an address for a machine for a minute.
    pub(super) fn open_offer(&mut self, address: Ipv4Addr, mac: MacAddr, now: Timestamp) {
        if let Some(given_up) = self.offers.open(address, mac, after_seconds(now, OFFER_SECONDS)) {
            self.step_back_to(given_up);
        }
    }

    /// Grants a lease and keeps its address from others while it is being written to disk.
    pub(super) fn reserve_for(&mut self, lease: Lease, now: Timestamp) -> Requested {
        if !self.has_room_for(lease.mac, lease.address, now) {
            return Requested::Silence(format!("{MOST_OFFERS} offers and requests are open on network `{}`", lease.network));
        }
        self.open_offer(lease.address, lease.mac, now);
        self.offers.write(lease.address);
        Requested::Grant(lease)
    }

    /// Whether one more offer may be opened. Who holds a lease is never turned away: there are only so many leases.
    pub(super) fn has_room_for(&self, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> bool {
        let holds = self.at(address).is_some_and(|lease| lease.mac == mac && is_held(lease, now));
        holds || self.offers.of(mac).is_some() || self.offers.len() < MOST_OFFERS
    }

    /// An offer that came to nothing leaves a hole behind the mark of fresh addresses.
    fn step_back_to(&mut self, address: Ipv4Addr) {
        let in_pool = self.fresh_in.is_some_and(|pool| pool.contains(address));
        if in_pool && !self.by_address.contains_key(&address) {
            self.fresh = self.fresh.min(u32::from(address));
        }
    }

    pub(super) fn drop_lapsed_offers(&mut self, now: Timestamp) {
        while let Some(address) = self.offers.drop_lapsed(now) {
            self.step_back_to(address);
        }
    }
}
