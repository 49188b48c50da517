//! The boot under way of each machine.

use super::Boot;
use super::speaker::Asker;
use crate::clock::Timestamp;
use crate::ids::BootId;
use crate::mac::MacAddr;
use crate::ticket::Ticket;
use std::collections::{BTreeSet, HashMap};

/// The boot under way of each machine; bounded, the longest silent goes first.
///
/// Anyone on the network can send a DHCPDISCOVER with another machine's MAC address, which begins a boot that the
/// machine knows nothing of. So an agent that waits may go on using the ticket of its boot until somebody uses that of the
/// new one.
#[derive(Debug)]
pub struct CurrentBoots {
    most: usize,
    by_mac: HashMap<MacAddr, Boot>,
    /// The boot before, while its agent may still be the one that waits.
    before: HashMap<MacAddr, Boot>,
    by_ticket: HashMap<Ticket, MacAddr>,
    by_silence: BTreeSet<(Timestamp, MacAddr)>,
}

impl CurrentBoots {
    /// A table for `most` machines.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), by_mac: HashMap::new(), before: HashMap::new(), by_ticket: HashMap::new(), by_silence: BTreeSet::new() }
    }

    /// The boot that a DHCPDISCOVER belongs to, begun with `fresh` if it opens a new one; and whether it did.
    pub fn discover(&mut self, network: &str, asker: &Asker, fresh: BootId, now: Timestamp) -> (Boot, bool) {
        if let Some(boot) = self.by_mac.get(&asker.mac)
            && boot.continues_with(asker)
        {
            let mut boot = boot.clone();
            boot.hear(asker, now);
            self.replace(boot.clone());
            return (boot, false);
        }
        let boot = Boot::begin(fresh, network, asker, now);
        let waiting = self.by_mac.get(&asker.mac).filter(|old| old.key.is_some() && old.revoked.is_none()).cloned();
        let waiting = waiting.or_else(|| self.before.get(&asker.mac).cloned());
        self.replace(boot.clone());
        if let Some(waiting) = waiting {
            self.keep_before(waiting);
        }
        (boot, true)
    }

    /// The boot under way of a machine.
    pub fn of(&self, mac: MacAddr) -> Option<&Boot> {
        self.by_mac.get(&mac)
    }

    /// The boot that a ticket was issued in, while it is under way, or its agent may still be the one that waits.
    pub fn by_ticket(&self, ticket: &Ticket) -> Option<&Boot> {
        let mac = self.by_ticket.get(ticket)?;
        [self.by_mac.get(mac), self.before.get(mac)].into_iter().flatten().find(|boot| boot.ticket.as_ref() == Some(ticket))
    }

    /// Writes a boot back as changed, or takes up one that the store remembers, the newest of a machine first; without
    /// effect when the machine has another boot by now. Times are not compared: between two boots the wall clock may have
    /// been set back, or not moved on.
    pub fn put(&mut self, boot: Boot) {
        if self.by_mac.get(&boot.mac).is_none_or(|current| current.id == boot.id) {
            let before = self.before.get(&boot.mac).cloned().filter(|_| boot.key.is_none());
            self.replace(boot);
            if let Some(before) = before {
                self.keep_before(before);
            }
        } else if self.before.get(&boot.mac).is_some_and(|before| before.id == boot.id) {
            self.keep_before(boot);
        }
    }

    fn keep_before(&mut self, boot: Boot) {
        if let Some(ticket) = &boot.ticket
            && self.by_mac.contains_key(&boot.mac)
        {
            self.by_ticket.insert(ticket.clone(), boot.mac);
            self.before.insert(boot.mac, boot);
        }
    }

    fn replace(&mut self, boot: Boot) {
        self.forget(boot.mac);
        if let Some(ticket) = &boot.ticket {
            self.by_ticket.insert(ticket.clone(), boot.mac);
        }
        self.by_silence.insert((boot.last_heard, boot.mac));
        self.by_mac.insert(boot.mac, boot);
        while self.by_mac.len() > self.most
            && let Some(&(_, mac)) = self.by_silence.first()
        {
            self.forget(mac);
        }
    }

    /// How many machines are remembered.
    pub fn len(&self) -> usize {
        self.by_mac.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_mac.is_empty()
    }

    fn forget(&mut self, mac: MacAddr) {
        if let Some(old) = self.by_mac.remove(&mac) {
            self.by_silence.remove(&(old.last_heard, mac));
            for boot in [Some(old), self.before.remove(&mac)].into_iter().flatten() {
                if let Some(ticket) = &boot.ticket {
                    self.by_ticket.remove(ticket);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Architecture, Speaker};
    use super::*;
    use crate::ticket::KeyFingerprint;
    use uuid::Uuid;

    fn asker(speaker: Speaker, xid: u32) -> Asker {
        Asker { mac: MacAddr([0x52, 0x54, 0, 0, 0, 1]), xid, speaker, architecture: Some(Architecture(7)), uuid: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn one_power_on_is_one_boot() {
        let (a, b) = (BootId(Uuid::from_u128(1)), BootId(Uuid::from_u128(2)));
        let cases: [(&str, &[(Speaker, u32)], bool); 8] = [
            ("firmware repeats its packet", &[(Speaker::Pxe, 1), (Speaker::Pxe, 1)], false),
            ("firmware, then its iPXE, then the ramdisk", &[(Speaker::Pxe, 1), (Speaker::Ipxe, 5), (Speaker::System, 9)], false),
            ("iPXE loaded by firmware tries again", &[(Speaker::Pxe, 1), (Speaker::Ipxe, 5), (Speaker::Ipxe, 6)], false),
            ("firmware again", &[(Speaker::Pxe, 1), (Speaker::Ipxe, 5), (Speaker::Pxe, 2)], true),
            ("iPXE in a ROM, then the ramdisk", &[(Speaker::Ipxe, 5), (Speaker::System, 9)], false),
            ("iPXE in a ROM repeats", &[(Speaker::Ipxe, 5), (Speaker::Ipxe, 5)], false),
            ("iPXE in a ROM again", &[(Speaker::Ipxe, 5), (Speaker::Ipxe, 6)], true),
            ("a system, then iPXE in a ROM", &[(Speaker::System, 1), (Speaker::Ipxe, 6)], false),
        ];
        for (what, packets, opens_new) in cases {
            let mut boots = CurrentBoots::new(8);
            let (last, before) = packets.split_last().expect("packets");
            for (speaker, xid) in before {
                boots.discover("n", &asker(*speaker, *xid), a, at(0));
            }
            let (_, new) = boots.discover("n", &asker(last.0, last.1), b, at(1));
            assert_eq!(new, opens_new, "{what}");
        }
    }

    #[test]
    fn an_ipxe_in_a_rom_begins_a_boot_although_firmware_spoke_before_once_an_agent_used_the_ticket() {
        let (a, b) = (BootId(Uuid::from_u128(1)), BootId(Uuid::from_u128(2)));
        let mut boots = CurrentBoots::new(8);
        boots.discover("n", &asker(Speaker::Pxe, 1), a, at(0));
        let (mut boot, _) = boots.discover("n", &asker(Speaker::Ipxe, 5), a, at(1));
        boot.key = Some(KeyFingerprint("k".into()));
        boots.put(boot);
        assert!(!boots.discover("n", &asker(Speaker::Ipxe, 5), b, at(2)).1, "a repeated packet");
        assert!(boots.discover("n", &asker(Speaker::Ipxe, 6), b, at(3)).1);
    }

    #[test]
    fn a_discover_in_its_name_does_not_cut_off_an_agent_that_waits() {
        let id = |n| BootId(Uuid::from_u128(n));
        let (ticket, other) = (Ticket::from_random([1; 16]), Ticket::from_random([2; 16]));
        let mut boots = CurrentBoots::new(8);
        let (mut boot, _) = boots.discover("n", &asker(Speaker::Pxe, 1), id(1), at(0));
        (boot.ticket, boot.key) = (Some(ticket.clone()), Some(KeyFingerprint("k".into())));
        boots.put(boot);
        for n in 2..5 {
            boots.discover("n", &asker(Speaker::Pxe, n), id(u128::from(n)), at(i64::from(n)));
            assert_eq!(boots.by_ticket(&ticket).map(|boot| boot.id), Some(id(1)), "after stranger {n}");
        }
        let mut new = boots.of(MacAddr([0x52, 0x54, 0, 0, 0, 1])).cloned().expect("a boot");
        new.ticket = Some(other.clone());
        boots.put(new.clone());
        assert!(boots.by_ticket(&ticket).is_some() && boots.by_ticket(&other).is_some(), "the machine may start anew");
        new.key = Some(KeyFingerprint("l".into()));
        boots.put(new);
        assert!(boots.by_ticket(&ticket).is_none(), "it did");
        assert!(boots.by_ticket(&other).is_some());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_silent() {
        let mut boots = CurrentBoots::new(3);
        for last in 0..10 {
            let asker = Asker { mac: MacAddr([2, 0, 0, 0, 0, last]), ..asker(Speaker::Pxe, 1) };
            boots.discover("n", &asker, BootId(Uuid::from_u128(u128::from(last))), at(i64::from(last)));
        }
        assert_eq!(boots.len(), 3);
        assert!(boots.of(MacAddr([2, 0, 0, 0, 0, 9])).is_some());
        assert!(boots.of(MacAddr([2, 0, 0, 0, 0, 0])).is_none());
    }

    #[test]
    fn the_boot_that_began_last_counts_whatever_the_clock_says() {
        let (earlier, later) = (BootId(Uuid::from_u128(1)), BootId(Uuid::from_u128(2)));
        for later_at in [0, 1, -3600] {
            let mut boots = CurrentBoots::new(8);
            let (old, _) = boots.discover("n", &asker(Speaker::Pxe, 1), earlier, at(0));
            let (new, _) = boots.discover("n", &asker(Speaker::Pxe, 2), later, at(later_at));
            boots.put(old.clone());
            assert_eq!(boots.of(new.mac).map(|boot| boot.id), Some(later), "written back late");
            let mut restored = CurrentBoots::new(8);
            restored.put(new.clone());
            restored.put(old);
            assert_eq!(restored.of(new.mac).map(|boot| boot.id), Some(later), "taken up from the store, newest first");
        }
    }
}
