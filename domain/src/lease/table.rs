//! The leases and open offers of all networks: what each kind of request deserves.

use super::addresses::Addresses;
use super::{Asking, DECLINED_SECONDS, Lease, LeaseState, NoAddress, Requested, Rule, WATCHING, is_held};
use crate::clock::{Timestamp, after_seconds, seconds_between};
use crate::mac::MacAddr;
use crate::site::Site;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// All leases and open offers, by network.
#[derive(Debug, Default)]
pub struct LeaseTable {
    networks: HashMap<String, Addresses>,
    /// Where the addresses of the site in force belong.
    homes: Vec<(Ipv4Net, String)>,
    /// Whether only known machines get their known addresses.
    only_known: bool,
}

impl LeaseTable {
    /// A table with what the store kept. A lease that was granted in what is now the future, by a clock that has been set
    /// back since, lasts from now for as long as it was to last.
    pub fn restore(leases: impl IntoIterator<Item = Lease>, now: Timestamp) -> Self {
        let mut table = Self::default();
        for mut lease in leases {
            if lease.granted > now {
                lease.expires = after_seconds(now, seconds_between(lease.granted, lease.expires));
                lease.granted = now;
            }
            table.networks.entry(lease.network.clone()).or_default().insert(lease);
        }
        table
    }

    /// Whether, from now on, only machines whose address is known get it: those that hold a lease, or that the site names an
    /// address for. After a restore it is not known which addresses were given since the backup.
    pub fn only_known(&mut self, only_known: bool) {
        self.only_known = only_known;
    }

    /// Puts every lease where its address belongs in the site that comes into force: a network may have another name, or
    /// other bounds, and its machines keep their addresses all the same. Of two leases of one address the newer counts.
    /// Must happen before anything is decided by the new site.
    pub fn rehome(&mut self, site: &Site) {
        let homes: Vec<_> = site.networks.iter().map(|(name, network)| (network.subnet, name.clone())).collect();
        if homes == self.homes {
            return;
        }
        self.homes = homes;
        let (mut leases, mut offers) = (vec![], vec![]);
        for (name, addresses) in std::mem::take(&mut self.networks) {
            let (its_leases, its_offers) = addresses.into_parts();
            leases.extend(its_leases);
            offers.extend(its_offers.map(|(address, offer)| (name.clone(), address, offer)));
        }
        leases.sort_by_key(|lease| lease.granted);
        for lease in leases {
            let lease = self.at_home(lease);
            self.networks.entry(lease.network.clone()).or_default().place(lease);
        }
        // What is on its way to disk is promised to nobody else meanwhile.
        for (name, address, offer) in offers {
            let home = self.home_of(address).map_or(name, str::to_owned);
            self.networks.entry(home).or_default().take_over(address, offer);
        }
    }

    /// The network that an address belongs to in the site in force.
    fn home_of(&self, address: Ipv4Addr) -> Option<&str> {
        self.homes.iter().find(|(subnet, _)| subnet.contains(&address)).map(|(_, name)| name.as_str())
    }

    fn at_home(&self, lease: Lease) -> Lease {
        let network = self.home_of(lease.address).map(str::to_owned);
        Lease { network: network.unwrap_or(lease.network), ..lease }
    }

    /// The address for a DHCPDISCOVER that would like to have `wanted`, kept for the machine for a minute.
    pub fn offer(&mut self, asking: &Asking<'_>, wanted: Option<Ipv4Addr>) -> Result<(Ipv4Addr, Rule), NoAddress> {
        let Some(network) = asking.site.networks.get(asking.network) else {
            return Err(NoAddress::Exhausted { network: asking.network.into(), pool: "(none)".into(), size: 0 });
        };
        let addresses = self.networks.entry(asking.network.to_owned()).or_default();
        addresses.drop_lapsed_offers(asking.now);
        if self.only_known && !addresses.knows_address_of(asking, network) {
            return Err(NoAddress::Watching);
        }
        let (address, rule) = addresses.choose(asking, network, wanted)?;
        if !addresses.has_room_for(asking.mac, address, asking.now) {
            return Err(NoAddress::TooManyOffers { network: asking.network.into() });
        }
        addresses.open_offer(address, asking.mac, asking.now);
        Ok((address, rule))
    }

    /// Decides a DHCPREQUEST for `address`, whether it answers our offer, verifies, renews or rebinds (RFC 2131, 4.3.2).
    /// Open offers are not kept on disk: after a restart, a machine that answers one gets its address if it is free.
    pub fn request(&mut self, asking: &Asking<'_>, address: Ipv4Addr, host_name: Option<String>) -> Requested {
        let Asking { site, network: name, mac, now, .. } = *asking;
        let Some(network) = site.networks.get(name) else {
            return Requested::Silence(format!("network `{name}` is no longer served"));
        };
        let addresses = self.networks.entry(name.to_owned()).or_default();
        addresses.drop_lapsed_offers(now);
        if self.only_known && !addresses.knows(asking, network, address) {
            return Requested::Withhold(format!("{WATCHING}; nobody is known to have given this machine {address}"));
        }
        if let Some(reason) = addresses.objection(asking, network, address) {
            // Another address may have been given to it, or this one to another, after the backup.
            if self.only_known {
                return Requested::Withhold(format!("{WATCHING}; {reason}"));
            }
            return Requested::Refuse(reason);
        }
        let expires = after_seconds(now, i64::from(network.lease_seconds));
        let lease = Lease { network: name.to_owned(), address, mac, granted: now, expires, state: LeaseState::Bound, host_name };
        addresses.reserve_for(lease, now)
    }

    /// The lease is on disk: it is held from now on.
    pub fn granted(&mut self, lease: Lease) {
        let lease = self.at_home(lease);
        self.networks.entry(lease.network.clone()).or_default().take_up(lease);
    }

    /// DHCPRELEASE: the lease as it should be kept, if the machine really holds that address; nothing otherwise.
    pub fn release(&self, name: &str, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> Option<Lease> {
        let lease = self.held_by(name, mac, now).filter(|lease| lease.address == address)?;
        Some(Lease { state: LeaseState::Released, expires: now, ..lease.clone() })
    }

    /// DHCPDECLINE: the address, set aside, if the machine was really given it; nothing otherwise.
    pub fn decline(&self, name: &str, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> Option<Lease> {
        let addresses = self.networks.get(name)?;
        // Who had it until it expired, and somebody else has it now, has no say in it.
        let is_its = addresses.was_given(address, mac) && addresses.is_free_for(address, mac, now);
        is_its.then(|| Lease {
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
        self.networks.get(name)?.of_machine(mac).filter(|lease| is_held(lease, now))
    }

    /// Who holds `address` at this moment, on whichever network it belongs to.
    pub fn holder_of(&self, address: Ipv4Addr, now: Timestamp) -> Option<&Lease> {
        self.networks.values().find_map(|addresses| addresses.at(address).filter(|lease| is_held(lease, now)))
    }

    /// Every lease, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Lease> {
        self.networks.values().flat_map(Addresses::all)
    }
}
