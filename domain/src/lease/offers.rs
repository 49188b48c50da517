//! Addresses that are kept for a machine for a moment: offered and not yet asked for, or granted and on their way to disk.
//!
//! A machine has one at a time. What is on its way to disk stays until it is there or lapses, whatever the machine does
//! meanwhile: until then nothing else says that the address is taken.

use crate::clock::Timestamp;
use crate::mac::MacAddr;
use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

#[derive(Debug, Default)]
pub(super) struct Offers {
    by_address: HashMap<Ipv4Addr, Offer>,
    of_machine: HashMap<MacAddr, Ipv4Addr>,
    by_end: BTreeSet<(Timestamp, Ipv4Addr)>,
}

/// An address that is kept for a machine.
#[derive(Debug)]
pub(super) struct Offer {
    mac: MacAddr,
    until: Timestamp,
    /// How many leases of it are on their way to disk: a machine may ask again before the first is there.
    writing: u32,
}

impl Offers {
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// The address that is kept for a machine.
    pub(super) fn of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.of_machine.get(&mac).copied()
    }

    /// The address of which a lease of the machine is on its way to disk.
    pub(super) fn being_written(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.of(mac).filter(|address| self.by_address.get(address).is_some_and(|offer| offer.writing > 0))
    }

    /// Whether an address is kept for another than this machine.
    pub(super) fn keeps_from(&self, mac: MacAddr, address: Ipv4Addr, now: Timestamp) -> bool {
        self.by_address.get(&address).is_some_and(|offer| offer.mac != mac && offer.until > now)
    }

    /// Keeps an address for a machine, in place of the one that was kept for it; yields that one.
    pub(super) fn open(&mut self, address: Ipv4Addr, mac: MacAddr, until: Timestamp) -> Option<Ipv4Addr> {
        let given_up = self.of(mac).filter(|before| *before != address);
        if let Some(before) = given_up {
            self.close(before);
        }
        let writing = self.close(address).map_or(0, |offer| offer.writing);
        self.take_over(address, Offer { mac, until, writing });
        given_up
    }

    /// Every address that is kept.
    pub(super) fn into_all(self) -> impl Iterator<Item = (Ipv4Addr, Offer)> {
        self.by_address.into_iter()
    }

    /// An address that was kept elsewhere and for nobody here.
    pub(super) fn take_over(&mut self, address: Ipv4Addr, offer: Offer) {
        self.of_machine.insert(offer.mac, address);
        self.by_end.insert((offer.until, address));
        self.by_address.insert(address, offer);
    }

    /// A lease of an address that is kept goes to disk.
    pub(super) fn write(&mut self, address: Ipv4Addr) {
        if let Some(offer) = self.by_address.get_mut(&address) {
            offer.writing = offer.writing.saturating_add(1);
        }
    }

    /// A lease of the machine is on disk, which now says whose the address is.
    pub(super) fn written(&mut self, address: Ipv4Addr, mac: MacAddr) {
        let Some(offer) = self.by_address.get_mut(&address).filter(|offer| offer.mac == mac) else { return };
        offer.writing = offer.writing.saturating_sub(1);
        if offer.writing == 0 {
            self.close(address);
        }
    }

    /// Forgets one that has lapsed; yields its address.
    pub(super) fn drop_lapsed(&mut self, now: Timestamp) -> Option<Ipv4Addr> {
        let (_, address) = self.by_end.first().copied().filter(|(until, _)| *until <= now)?;
        self.close(address);
        Some(address)
    }

    fn close(&mut self, address: Ipv4Addr) -> Option<Offer> {
        let offer = self.by_address.remove(&address)?;
        self.by_end.remove(&(offer.until, address));
        if self.of(offer.mac) == Some(address) {
            self.of_machine.remove(&offer.mac);
        }
        Some(offer)
    }
}
