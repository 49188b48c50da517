//! Which address a machine gets, and for how long.
//!
//! One machine is one lease on a network, told by its MAC address: firmware, iPXE and the system of one machine
//! send different client identifiers in one boot. The table decides; keeping a lease on disk before it is
//! acknowledged is the caller's part, which is why granting has two steps, [`LeaseTable::request`] and
//! [`LeaseTable::granted`].

use crate::address::AddressRange;
use crate::clock::{Timestamp, after_seconds, seconds_between};
use crate::mac::MacAddr;
use crate::site::{Network, Site};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
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

/// How long an offered address is kept for the machine, seconds. OVMF takes about 4 s from offer to request.
const OFFER_SECONDS: i64 = 60;
/// How long a declined address is given to nobody, seconds.
const DECLINED_SECONDS: i64 = 3600;
/// How many offers may be open on one network: a flood of DISCOVERs must not eat the memory.
const MOST_OFFERS: usize = 4096;

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
}

/// What a DHCPREQUEST deserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// Keep this lease, then acknowledge it.
    Grant(Lease),
    /// Refuse (DHCPNAK), with the reason.
    Refuse(String),
    /// Say nothing, with the reason: the request is not ours to answer.
    Silence(String),
}

/// How the address was chosen, in words.
pub type Rule = &'static str;

/// All leases and open offers, by network.
#[derive(Debug, Default)]
pub struct LeaseTable {
    networks: HashMap<String, Leases>,
}

#[derive(Debug, Default)]
struct Leases {
    by_address: HashMap<Ipv4Addr, Lease>,
    by_mac: HashMap<MacAddr, Ipv4Addr>,
    by_expiry: BTreeSet<(Timestamp, Ipv4Addr)>,
    offers: HashMap<Ipv4Addr, (MacAddr, Timestamp)>,
    offer_of: HashMap<MacAddr, Ipv4Addr>,
    offers_by_end: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// Pool addresses below this were all given out at least once, as long as the pool is `fresh_in`.
    fresh: u32,
    fresh_in: Option<AddressRange>,
}

impl LeaseTable {
    /// A table with what the store kept.
    pub fn restore(leases: impl IntoIterator<Item = Lease>) -> Self {
        let mut table = Self::default();
        for lease in leases {
            table.networks.entry(lease.network.clone()).or_default().insert(lease);
        }
        table
    }

    /// The address for a DHCPDISCOVER, kept for the machine for a minute. `taken` are addresses of this network that
    /// belong to the appliance itself.
    pub fn offer(
        &mut self,
        site: &Site,
        name: &str,
        mac: MacAddr,
        wanted: Option<Ipv4Addr>,
        taken: &[Ipv4Addr],
        now: Timestamp,
    ) -> Result<(Ipv4Addr, Rule), NoAddress> {
        let Some(network) = site.networks.get(name) else {
            return Err(NoAddress::Exhausted { network: name.into(), pool: "(none)".into(), size: 0 });
        };
        let leases = self.networks.entry(name.to_owned()).or_default();
        leases.drop_lapsed_offers(now);
        let (address, rule) = leases.choose(site, name, network, mac, wanted, taken, now)?;
        if !leases.has_room_for(mac, address, now) {
            return Err(NoAddress::TooManyOffers { network: name.into() });
        }
        leases.open_offer(address, mac, after_seconds(now, OFFER_SECONDS));
        Ok((address, rule))
    }

    /// Decides a DHCPREQUEST for `address`, whether it answers our offer, verifies, renews or rebinds (RFC 2131, 4.3.2).
    /// Open offers are not kept on disk: after a restart, a machine that answers one gets its address if it is free.
    #[allow(clippy::too_many_arguments)]
    pub fn request(
        &mut self,
        site: &Site,
        name: &str,
        mac: MacAddr,
        address: Ipv4Addr,
        host_name: Option<String>,
        taken: &[Ipv4Addr],
        now: Timestamp,
    ) -> Requested {
        let Some(network) = site.networks.get(name) else {
            return Requested::Silence(format!("network `{name}` is no longer served"));
        };
        if !network.subnet.contains(&address) {
            return Requested::Refuse(format!("{address} is not an address of network `{name}`"));
        }
        let leases = self.networks.entry(name.to_owned()).or_default();
        leases.drop_lapsed_offers(now);
        let fixed = leases.fixed_address(site, network, mac, taken, now);
        if let Some(fixed) = fixed
            && fixed != address
        {
            return Requested::Refuse(format!("the site gives this machine {fixed}, not {address}"));
        }
        let lease = Lease {
            network: name.to_owned(),
            address,
            mac,
            granted: now,
            expires: after_seconds(now, i64::from(network.lease_seconds)),
            state: LeaseState::Bound,
            host_name,
        };
        let offered = leases.offer_of.get(&mac) == Some(&address);
        let held = leases.by_mac.get(&mac) == Some(&address);
        if offered || held {
            if !leases.is_free_for(address, mac, now) || taken.contains(&address) {
                return Requested::Refuse(format!("{address} was given to somebody else meanwhile"));
            }
            if fixed.is_none() && !network.pool.contains(address) {
                return Requested::Refuse(format!("{address} is no longer in the pool {}", network.pool));
            }
            return leases.reserve_for(lease, now);
        }
        match leases.by_mac.get(&mac) {
            Some(other) => Requested::Refuse(format!("this machine holds {other}, not {address}")),
            // RFC 2131, 4.3.2: a server without a record of the client stays silent, other servers may know it.
            // This one is the only authority of its networks, so an address that it can give is given,
            // and one that it can't is refused at once rather than after a time-out.
            None if fixed.is_some()
                || (network.pool.contains(address) && leases.is_free_for(address, mac, now) && !taken.contains(&address)) =>
            {
                leases.reserve_for(lease, now)
            }
            None => Requested::Refuse(format!("{address} is not free for this machine")),
        }
    }

    /// The lease is on disk: it is held from now on.
    pub fn granted(&mut self, lease: Lease) {
        let leases = self.networks.entry(lease.network.clone()).or_default();
        leases.close_offer(lease.mac);
        if let Some(old) = leases.by_mac.get(&lease.mac).copied()
            && old != lease.address
        {
            leases.remove(old);
        }
        leases.remove(lease.address);
        leases.insert(lease);
    }

    /// DHCPRELEASE: the lease as it should be kept, if the machine really holds that address; nothing otherwise.
    pub fn release(&self, name: &str, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> Option<Lease> {
        let lease = self.networks.get(name)?.by_address.get(&address)?;
        (lease.mac == mac && lease.state == LeaseState::Bound).then(|| Lease { state: LeaseState::Released, expires: now, ..lease.clone() })
    }

    /// DHCPDECLINE: the address, set aside, if the machine was really given it; nothing otherwise.
    pub fn decline(&self, name: &str, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> Option<Lease> {
        let leases = self.networks.get(name)?;
        let holds = leases.by_mac.get(&mac) == Some(&address) || leases.offer_of.get(&mac) == Some(&address);
        holds.then(|| Lease {
            network: name.to_owned(),
            address,
            mac,
            granted: now,
            expires: after_seconds(now, DECLINED_SECONDS),
            state: LeaseState::Declined,
            host_name: None,
        })
    }

    /// The lease that `mac` holds on a network at this moment.
    pub fn held_by(&self, name: &str, mac: MacAddr, now: Timestamp) -> Option<&Lease> {
        let leases = self.networks.get(name)?;
        leases.by_address.get(leases.by_mac.get(&mac)?).filter(|lease| lease.state == LeaseState::Bound && lease.expires > now)
    }

    /// Who holds `address` at this moment, on whichever network it belongs to.
    pub fn holder_of(&self, address: Ipv4Addr, now: Timestamp) -> Option<&Lease> {
        self.networks
            .values()
            .find_map(|leases| leases.by_address.get(&address).filter(|lease| lease.state == LeaseState::Bound && lease.expires > now))
    }

    /// Every lease, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Lease> {
        self.networks.values().flat_map(|leases| leases.by_address.values())
    }
}

/// What a lease still promises, seconds; none when it is over.
pub fn remaining_seconds(lease: &Lease, now: Timestamp) -> Option<u32> {
    u32::try_from(seconds_between(now, lease.expires)).ok().filter(|&left| left > 0)
}

impl Leases {
    /// The address that the site names for a machine, unless it is the appliance's own, or still somebody else's because
    /// the site named it only now: one address is never promised to two.
    fn fixed_address(&self, site: &Site, network: &Network, mac: MacAddr, taken: &[Ipv4Addr], now: Timestamp) -> Option<Ipv4Addr> {
        let named = site.nodes.iter().find(|node| node.mac == Some(mac)).and_then(|node| node.address)?;
        (network.subnet.contains(&named) && !taken.contains(&named) && self.is_free_for(named, mac, now)).then_some(named)
    }

    #[allow(clippy::too_many_arguments)]
    fn choose(
        &mut self,
        site: &Site,
        name: &str,
        network: &Network,
        mac: MacAddr,
        wanted: Option<Ipv4Addr>,
        taken: &[Ipv4Addr],
        now: Timestamp,
    ) -> Result<(Ipv4Addr, Rule), NoAddress> {
        if let Some(fixed) = self.fixed_address(site, network, mac, taken, now) {
            return Ok((fixed, "the site names this address for the machine"));
        }
        let usable = |leases: &Self, address: Ipv4Addr| {
            network.pool.contains(address) && !taken.contains(&address) && leases.is_free_for(address, mac, now)
        };
        if let Some(&offered) = self.offer_of.get(&mac)
            && usable(self, offered)
        {
            return Ok((offered, "it was offered this address a moment ago"));
        }
        if let Some(&had) = self.by_mac.get(&mac)
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
        if self.fresh_in != Some(network.pool) {
            self.fresh = u32::from(network.pool.first());
            self.fresh_in = Some(network.pool);
        }
        while self.fresh <= u32::from(network.pool.last()) {
            let address = Ipv4Addr::from(self.fresh);
            if usable(self, address) && !self.by_address.contains_key(&address) {
                return Ok((address, "the lowest address of the pool that nobody had"));
            }
            self.fresh += 1;
        }
        self.by_expiry
            .iter()
            .take_while(|(expires, _)| *expires <= now)
            .map(|(_, address)| *address)
            .find(|&address| usable(self, address))
            .map(|address| (address, "the address of the pool that was given back longest ago"))
            .ok_or_else(|| NoAddress::Exhausted { network: name.into(), pool: network.pool.to_string(), size: network.pool.size() })
    }

    fn is_free_for(&self, address: Ipv4Addr, mac: MacAddr, now: Timestamp) -> bool {
        let leased = self.by_address.get(&address).is_some_and(|lease| {
            let theirs = lease.mac == mac && lease.state != LeaseState::Declined;
            !theirs && lease.expires > now
        });
        let offered = self.offers.get(&address).is_some_and(|(holder, until)| *holder != mac && *until > now);
        !leased && !offered
    }

    fn insert(&mut self, lease: Lease) {
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

    fn open_offer(&mut self, address: Ipv4Addr, mac: MacAddr, until: Timestamp) {
        self.close_offer(mac);
        self.offers.insert(address, (mac, until));
        self.offer_of.insert(mac, address);
        self.offers_by_end.insert((until, address));
    }

    /// Grants a lease and keeps its address from others while it is being written to disk: until
    /// [`LeaseTable::granted`], nothing else says that the address is taken.
    fn reserve_for(&mut self, lease: Lease, now: Timestamp) -> Requested {
        if !self.has_room_for(lease.mac, lease.address, now) {
            return Requested::Silence(format!("{MOST_OFFERS} offers and requests are open on network `{}`", lease.network));
        }
        self.open_offer(lease.address, lease.mac, after_seconds(now, OFFER_SECONDS));
        Requested::Grant(lease)
    }

    /// Whether one more offer may be opened. Who holds a lease is never turned away: there are only so many leases.
    fn has_room_for(&self, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> bool {
        let holds =
            self.by_address.get(&address).is_some_and(|lease| lease.mac == mac && lease.state == LeaseState::Bound && lease.expires > now);
        holds || self.offer_of.contains_key(&mac) || self.offers.len() < MOST_OFFERS
    }

    fn close_offer(&mut self, mac: MacAddr) {
        if let Some(address) = self.offer_of.remove(&mac)
            && let Some((_, until)) = self.offers.remove(&address)
        {
            self.offers_by_end.remove(&(until, address));
            self.step_back_to(address);
        }
    }

    /// An offer that came to nothing leaves a hole behind the mark of fresh addresses.
    fn step_back_to(&mut self, address: Ipv4Addr) {
        let in_pool = self.fresh_in.is_some_and(|pool| pool.contains(address));
        if in_pool && !self.by_address.contains_key(&address) {
            self.fresh = self.fresh.min(u32::from(address));
        }
    }

    fn drop_lapsed_offers(&mut self, now: Timestamp) {
        while let Some(&(until, address)) = self.offers_by_end.first()
            && until <= now
        {
            self.offers_by_end.pop_first();
            if let Some((mac, _)) = self.offers.remove(&address) {
                self.offer_of.remove(&mac);
            }
            self.step_back_to(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{DeclaredNode, Unknown};
    use std::collections::BTreeMap;

    const NET: &str = "provision";

    fn site(pool: &str) -> Site {
        let network = Network {
            interface: "br0".into(),
            subnet: "10.20.0.0/24".parse().expect("subnet"),
            gateway: None,
            dns: vec![],
            pool: pool.parse().expect("range"),
            fixed: None,
            unknown: Unknown::Discover,
            lease_seconds: 600,
        };
        Site { name: "s".into(), networks: BTreeMap::from([(NET.into(), network)]), ..Site::default() }
    }

    fn mac(last: u8) -> MacAddr {
        MacAddr([0x52, 0x54, 0, 0, 0, last])
    }

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 20, 0, last)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    fn take(table: &mut LeaseTable, site: &Site, mac: MacAddr, now: Timestamp) -> Result<Ipv4Addr, NoAddress> {
        let (address, _) = table.offer(site, NET, mac, None, &[], now)?;
        match table.request(site, NET, mac, address, None, &[], now) {
            Requested::Grant(lease) => table.granted(lease),
            other => panic!("{other:?}"),
        }
        Ok(address)
    }

    #[test]
    fn a_machine_keeps_its_address_through_boots_and_expiry() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.103"), LeaseTable::default());
        for second in [0, 10, 5000] {
            assert_eq!(take(&mut table, &site, mac(1), at(second)), Ok(ip(100)), "{second}");
        }
        assert_eq!(take(&mut table, &site, mac(2), at(5000)), Ok(ip(101)));
    }

    #[test]
    fn no_address_is_promised_to_two() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.102"), LeaseTable::default());
        let first = table.offer(&site, NET, mac(1), None, &[], at(0)).expect("an address").0;
        let second = table.offer(&site, NET, mac(2), Some(first), &[], at(0)).expect("an address").0;
        assert_ne!(first, second);
        assert!(matches!(table.request(&site, NET, mac(2), first, None, &[], at(1)), Requested::Refuse(_)));
    }

    #[test]
    fn an_offer_nobody_took_is_given_to_the_next() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
        table.offer(&site, NET, mac(1), None, &[], at(0)).expect("an address");
        assert!(table.offer(&site, NET, mac(2), None, &[], at(59)).is_err());
        assert_eq!(table.offer(&site, NET, mac(2), None, &[], at(60)).map(|o| o.0), Ok(ip(100)));
    }

    #[test]
    fn a_full_pool_says_so_and_takes_the_longest_expired() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
        take(&mut table, &site, mac(1), at(0)).expect("an address");
        take(&mut table, &site, mac(2), at(100)).expect("an address");
        assert!(matches!(table.offer(&site, NET, mac(3), None, &[], at(599)), Err(NoAddress::Exhausted { size: 2, .. })));
        assert_eq!(take(&mut table, &site, mac(1), at(599)), Ok(ip(100)), "the holder renews all the same");
        assert_eq!(take(&mut table, &site, mac(3), at(700)), Ok(ip(101)));
        assert!(table.held_by(NET, mac(2), at(700)).is_none());
    }

    #[test]
    fn a_request_is_answered_by_what_is_known() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
        let held = take(&mut table, &site, mac(1), at(0)).expect("an address");
        let free = ip(120);
        type Check = fn(&Requested) -> bool;
        let granted: Check = |r| matches!(r, Requested::Grant(_));
        let refused: Check = |r| matches!(r, Requested::Refuse(_));
        let cases: [(&str, MacAddr, Ipv4Addr, Check); 7] = [
            ("renewing its own", mac(1), held, granted),
            ("another's address", mac(2), held, refused),
            ("an address of another network", mac(1), Ipv4Addr::new(192, 168, 1, 4), refused),
            ("another than it holds", mac(1), free, refused),
            ("a forgotten but free address", mac(2), free, granted),
            ("outside the pool", mac(2), ip(9), refused),
            ("the appliance's own", mac(2), ip(130), refused),
        ];
        for (what, who, address, check) in cases {
            let answer = table.request(&site, NET, who, address, None, &[ip(130)], at(10));
            assert!(check(&answer), "{what}: {answer:?}");
        }
    }

    #[test]
    fn an_address_being_written_to_disk_is_granted_to_nobody_else() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
        let lease = match table.request(&site, NET, mac(1), ip(120), None, &[], at(0)) {
            Requested::Grant(lease) => lease,
            other => panic!("{other:?}"),
        };
        assert!(matches!(table.request(&site, NET, mac(2), ip(120), None, &[], at(1)), Requested::Refuse(_)));
        table.granted(lease);
        assert!(matches!(table.request(&site, NET, mac(2), ip(120), None, &[], at(100)), Requested::Refuse(_)));
    }

    #[test]
    fn only_the_holder_releases_or_declines() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
        let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
        assert_eq!(table.release(NET, mac(2), address, at(1)), None);
        assert_eq!(table.decline(NET, mac(2), address, at(1)), None);
        let declined = table.decline(NET, mac(1), address, at(1)).expect("its own");
        table.granted(declined);
        assert_eq!(take(&mut table, &site, mac(1), at(2)), Ok(ip(101)));
        assert!(table.offer(&site, NET, mac(2), None, &[], at(1000)).is_ok_and(|offer| offer.0 != ip(100)));
    }

    #[test]
    fn a_released_address_goes_back_to_its_machine_or_to_one_in_need() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.100"), LeaseTable::default());
        let address = take(&mut table, &site, mac(1), at(0)).expect("an address");
        let released = table.release(NET, mac(1), address, at(5)).expect("its own");
        table.granted(released);
        assert_eq!(table.held_by(NET, mac(1), at(6)), None);
        assert_eq!(take(&mut table, &site, mac(2), at(6)), Ok(address));
    }

    #[test]
    fn a_declared_address_wins_and_pins() {
        let mut site = site("10.20.0.100-10.20.0.101");
        site.nodes.push(DeclaredNode { name: "w1".into(), serial: None, uuid: None, mac: Some(mac(1)), address: Some(ip(20)) });
        let mut table = LeaseTable::default();
        assert_eq!(take(&mut table, &site, mac(1), at(0)), Ok(ip(20)));
        assert!(matches!(table.request(&site, NET, mac(1), ip(100), None, &[], at(1)), Requested::Refuse(_)));
    }

    #[test]
    fn a_declared_address_that_another_still_holds_is_not_promised_twice() {
        let (mut site, mut table) = (site("10.20.0.100-10.20.0.101"), LeaseTable::default());
        let held = take(&mut table, &site, mac(2), at(0)).expect("an address");
        site.networks.get_mut(NET).expect("network").pool = "10.20.0.101-10.20.0.102".parse().expect("range");
        site.nodes.push(DeclaredNode { name: "w1".into(), serial: None, uuid: None, mac: Some(mac(1)), address: Some(held) });
        assert_eq!(take(&mut table, &site, mac(1), at(10)), Ok(ip(101)), "another until then");
        assert_eq!(take(&mut table, &site, mac(1), at(700)), Ok(held));
    }

    #[test]
    fn an_offer_made_before_a_restart_is_honoured_if_the_address_is_free() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.150"), LeaseTable::default());
        let (offered, _) = table.offer(&site, NET, mac(1), None, &[], at(0)).expect("an address");
        let mut restarted = LeaseTable::default();
        assert!(matches!(restarted.request(&site, NET, mac(1), offered, None, &[], at(4)), Requested::Grant(_)));
    }

    #[test]
    fn a_flood_of_offers_is_bounded() {
        let mut site = site("10.20.0.100-10.20.0.199");
        let network = site.networks.get_mut(NET).expect("network");
        network.subnet = "10.0.0.0/8".parse().expect("subnet");
        network.pool = "10.64.0.0-10.127.255.255".parse().expect("range");
        let mut table = LeaseTable::default();
        let random = |n: u32| {
            let [a, b, c, d] = n.to_be_bytes();
            MacAddr([2, 0, a, b, c, d])
        };
        let held = take(&mut table, &site, mac(1), at(0)).expect("an address");
        let offered = (0..10_000).filter(|&n| table.offer(&site, NET, random(n), None, &[], at(0)).is_ok()).count();
        assert_eq!(offered, MOST_OFFERS);
        assert!(matches!(table.request(&site, NET, mac(1), held, None, &[], at(1)), Requested::Grant(_)), "renewals go on");
        assert_eq!(take(&mut table, &site, mac(1), at(1)), Ok(held), "and a machine with a lease boots");
        assert!(table.offer(&site, NET, random(3), None, &[], at(1)).is_ok(), "who has an offer keeps it");
        assert!(table.offer(&site, NET, random(20_000), None, &[], at(61)).is_ok(), "and the flood passes");
    }

    #[test]
    fn a_restored_table_knows_what_was_promised() {
        let (site, mut table) = (site("10.20.0.100-10.20.0.110"), LeaseTable::default());
        for last in 1..=5 {
            take(&mut table, &site, mac(last), at(0)).expect("an address");
        }
        let kept: Vec<_> = table.all().cloned().collect();
        let mut restored = LeaseTable::restore(kept);
        for last in 1..=5 {
            assert_eq!(take(&mut restored, &site, mac(last), at(30)), take(&mut table, &site, mac(last), at(30)));
        }
        assert_eq!(take(&mut restored, &site, mac(9), at(30)), Ok(ip(105)));
    }
}
