//! Who is speaking DHCP, which boot that belongs to, and which file it is told to load.

use crate::clock::Timestamp;
use crate::ids::{BootId, NodeId};
use crate::mac::MacAddr;
use crate::ticket::{KeyFingerprint, Ticket};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The programme that sends a DHCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// A PXE client in a boot ROM or UEFI (option 60 `PXEClient`).
    Pxe,
    /// UEFI HTTP boot (option 60 `HTTPClient`).
    HttpBoot,
    /// iPXE, wherever it was loaded from.
    Ipxe,
    /// An operating system or a ramdisk.
    System,
}

/// Client architecture, option 93 (RFC 4578; IANA "Processor Architecture Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub u16);

impl Architecture {
    /// PC BIOS.
    pub const BIOS: Self = Self(0);

    /// Whether it starts x86-64 UEFI programmes (7 is what firmware sends, 9 what RFC 4578 meant; 16 by HTTP).
    pub fn is_uefi_x86_64(self) -> bool {
        matches!(self.0, 7 | 9 | 16)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BIOS",
            6 => "IA32 UEFI",
            7 | 9 => "x86-64 UEFI",
            10 => "ARM 32 UEFI",
            11 => "ARM64 UEFI",
            15 => "IA32 UEFI by HTTP",
            16 => "x86-64 UEFI by HTTP",
            18 => "ARM 32 UEFI by HTTP",
            19 => "ARM64 UEFI by HTTP",
            _ => "unknown",
        };
        write!(f, "{name} ({})", self.0)
    }
}

/// What a DHCP packet says of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// chaddr.
    pub mac: MacAddr,
    /// Transaction id.
    pub xid: u32,
    /// Which programme it is.
    pub speaker: Speaker,
    /// Option 93, when sent.
    pub architecture: Option<Architecture>,
    /// Option 97, when sent; in the byte order of SMBIOS text.
    pub uuid: Option<Uuid>,
}

/// Tells who speaks from the options that say so, with the reason.
///
/// `user_class` is option 77 as it came: iPXE writes the bare text, RFC 3004 wants length-prefixed instances; both
/// are read. `ipxe_options` is whether option 175 came. Either alone makes it iPXE: a user class can be overridden
/// by a script, and option 175 is still there (dnsmasq's and Kea's usual rules miss that, and loop).
pub fn speaker(user_class: Option<&[u8]>, vendor_class: Option<&[u8]>, ipxe_options: bool) -> (Speaker, &'static str) {
    let says_ipxe = |bytes: &[u8]| bytes == b"iPXE" || bytes == b"\x04iPXE" || bytes.windows(5).any(|w| w == b"\x04iPXE");
    if user_class.is_some_and(says_ipxe) {
        return (Speaker::Ipxe, "its user class (option 77) is iPXE");
    }
    if ipxe_options {
        return (Speaker::Ipxe, "it sends iPXE's encapsulated options (option 175)");
    }
    match vendor_class {
        Some(class) if class.starts_with(b"PXEClient") => (Speaker::Pxe, "its vendor class (option 60) is PXEClient"),
        Some(class) if class.starts_with(b"HTTPClient") => (Speaker::HttpBoot, "its vendor class (option 60) is HTTPClient"),
        _ => (Speaker::System, "neither firmware nor iPXE is named in its options"),
    }
}

/// Which architecture counts when a client lists several (RFC 4578, 2.1): the first that there is a boot file for, or
/// the first.
pub fn architecture(speaker: Speaker, listed: &[Architecture]) -> Option<Architecture> {
    let bootable = |arch: &&Architecture| boot_file(speaker, Some(**arch)).0 != BootFile::Nothing;
    listed.iter().find(bootable).or(listed.first()).copied()
}

/// What a machine is told to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootFile {
    /// A file by TFTP, by name.
    Tftp(&'static str),
    /// A path of the boot HTTP server.
    Http(&'static str),
    /// An address, and nothing to load.
    Nothing,
}

/// The programme that firmware of BIOS machines loads.
pub const IPXE_BIOS: &str = "undionly.kpxe";
/// The programme that x86-64 UEFI firmware loads.
pub const IPXE_UEFI: &str = "snponly.efi";
/// The first script that iPXE loads.
pub const FIRST_SCRIPT: &str = "/boot.ipxe";

/// Chooses the boot file, with the reason.
pub fn boot_file(speaker: Speaker, architecture: Option<Architecture>) -> (BootFile, String) {
    let because = |text: &str| text.to_owned();
    match (speaker, architecture) {
        (Speaker::Ipxe, _) => {
            (BootFile::Http(FIRST_SCRIPT), because("iPXE gets the script, never another boot programme: that would loop"))
        }
        (Speaker::System, _) => (BootFile::Nothing, because("a running system needs an address and no boot file")),
        (Speaker::Pxe, None | Some(Architecture::BIOS)) => {
            (BootFile::Tftp(IPXE_BIOS), because("BIOS firmware loads iPXE over its own network driver (UNDI)"))
        }
        (Speaker::Pxe, Some(arch)) if arch.is_uefi_x86_64() => {
            (BootFile::Tftp(IPXE_UEFI), format!("firmware of architecture {arch} loads iPXE over its own network driver (SNP)"))
        }
        (Speaker::HttpBoot, Some(arch)) if arch.is_uefi_x86_64() => {
            (BootFile::Http("/boot/snponly.efi"), format!("firmware of architecture {arch} loads iPXE by HTTP"))
        }
        (_, Some(arch)) => (BootFile::Nothing, format!("there is no boot programme for architecture {arch}")),
        (_, None) => (BootFile::Nothing, because("the firmware does not say its architecture (option 93)")),
    }
}

/// One power-on of one machine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Its id, which everything that follows shares.
    pub id: BootId,
    /// The interface that asked.
    pub mac: MacAddr,
    /// The network it asked on.
    pub network: String,
    /// Its first DHCPDISCOVER.
    pub started: Timestamp,
    /// The last that was heard in it.
    pub last_heard: Timestamp,
    /// Transaction of the firmware's DISCOVER, when firmware asked.
    pub firmware_xid: Option<u32>,
    /// Transaction of iPXE's last DISCOVER.
    pub ipxe_xid: Option<u32>,
    /// Option 93, when sent.
    pub architecture: Option<Architecture>,
    /// Option 97, when sent.
    pub uuid: Option<Uuid>,
    /// The ticket that was issued in it.
    pub ticket: Option<Ticket>,
    /// The address that the ticket was issued to.
    pub ticket_address: Option<Ipv4Addr>,
    /// The key of the agent that used the ticket first.
    pub key: Option<KeyFingerprint>,
    /// The node that reported in it.
    pub node: Option<NodeId>,
    /// Why the ticket is void, when it is.
    pub revoked: Option<String>,
}

impl Boot {
    /// A boot that has just begun.
    pub fn begin(id: BootId, network: &str, asker: &Asker, now: Timestamp) -> Self {
        let mut boot = Self {
            id,
            mac: asker.mac,
            network: network.to_owned(),
            started: now,
            last_heard: now,
            firmware_xid: None,
            ipxe_xid: None,
            architecture: None,
            uuid: None,
            ticket: None,
            ticket_address: None,
            key: None,
            node: None,
            revoked: None,
        };
        boot.hear(asker, now);
        boot
    }

    /// Whether a DHCPDISCOVER belongs to this boot.
    ///
    /// A boot is new with a new transaction of firmware, or of an iPXE that no firmware exchange preceded (iPXE in
    /// a ROM). Everything else belongs to the boot that is under way.
    pub fn continues_with(&self, asker: &Asker) -> bool {
        match asker.speaker {
            Speaker::Pxe | Speaker::HttpBoot => self.firmware_xid == Some(asker.xid),
            Speaker::Ipxe => self.firmware_xid.is_some() || self.ipxe_xid.is_none() || self.ipxe_xid == Some(asker.xid),
            Speaker::System => true,
        }
    }

    /// Notes what a DHCPDISCOVER of this boot says.
    pub fn hear(&mut self, asker: &Asker, now: Timestamp) {
        self.last_heard = now;
        match asker.speaker {
            Speaker::Pxe | Speaker::HttpBoot => self.firmware_xid = Some(asker.xid),
            Speaker::Ipxe => self.ipxe_xid = Some(asker.xid),
            Speaker::System => {}
        }
        self.architecture = asker.architecture.or(self.architecture);
        self.uuid = asker.uuid.or(self.uuid);
    }
}

/// The boot under way of each machine; bounded, the longest silent goes first.
#[derive(Debug)]
pub struct CurrentBoots {
    most: usize,
    by_mac: HashMap<MacAddr, Boot>,
    by_ticket: HashMap<Ticket, MacAddr>,
    by_silence: BTreeSet<(Timestamp, MacAddr)>,
}

impl CurrentBoots {
    /// A table for `most` machines.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), by_mac: HashMap::new(), by_ticket: HashMap::new(), by_silence: BTreeSet::new() }
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
        self.replace(boot.clone());
        (boot, true)
    }

    /// The boot under way of a machine.
    pub fn of(&self, mac: MacAddr) -> Option<&Boot> {
        self.by_mac.get(&mac)
    }

    /// The boot that a ticket was issued in, while it is under way.
    pub fn by_ticket(&self, ticket: &Ticket) -> Option<&Boot> {
        self.by_mac.get(self.by_ticket.get(ticket)?)
    }

    /// Writes a boot back as changed, or takes up one that the store remembers, the newest of a machine first; without
    /// effect when the machine has another boot by now. Times are not compared: between two boots the wall clock may have
    /// been set back, or not moved on.
    pub fn put(&mut self, boot: Boot) {
        if self.by_mac.get(&boot.mac).is_none_or(|current| current.id == boot.id) {
            self.replace(boot);
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
            if let Some(ticket) = &old.ticket {
                self.by_ticket.remove(ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(speaker: Speaker, xid: u32) -> Asker {
        Asker { mac: MacAddr([0x52, 0x54, 0, 0, 0, 1]), xid, speaker, architecture: Some(Architecture(7)), uuid: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn the_speaker_is_told_by_any_sign_of_ipxe() {
        let pxe = Some(b"PXEClient:Arch:00000:UNDI:002001".as_slice());
        let cases: [(Option<&[u8]>, Option<&[u8]>, bool, Speaker); 7] = [
            (None, pxe, false, Speaker::Pxe),
            (None, Some(b"HTTPClient:Arch:00016:UNDI:003001"), false, Speaker::HttpBoot),
            (Some(b"iPXE"), pxe, false, Speaker::Ipxe),
            (Some(b"\x04iPXE"), pxe, true, Speaker::Ipxe),
            (Some(b"plain"), pxe, true, Speaker::Ipxe),
            (Some(b"plain"), pxe, false, Speaker::Pxe),
            (None, Some(b"d-i"), false, Speaker::System),
        ];
        for (user_class, vendor_class, options, expected) in cases {
            assert_eq!(speaker(user_class, vendor_class, options).0, expected, "{user_class:?} {vendor_class:?} {options}");
        }
    }

    #[test]
    fn each_speaker_gets_the_file_it_can_start() {
        let cases = [
            (Speaker::Pxe, Some(0), BootFile::Tftp(IPXE_BIOS)),
            (Speaker::Pxe, None, BootFile::Tftp(IPXE_BIOS)),
            (Speaker::Pxe, Some(7), BootFile::Tftp(IPXE_UEFI)),
            (Speaker::Pxe, Some(9), BootFile::Tftp(IPXE_UEFI)),
            (Speaker::Pxe, Some(11), BootFile::Nothing),
            (Speaker::HttpBoot, Some(16), BootFile::Http("/boot/snponly.efi")),
            (Speaker::HttpBoot, None, BootFile::Nothing),
            (Speaker::Ipxe, Some(0), BootFile::Http(FIRST_SCRIPT)),
            (Speaker::Ipxe, Some(7), BootFile::Http(FIRST_SCRIPT)),
            (Speaker::System, None, BootFile::Nothing),
        ];
        for (speaker, arch, expected) in cases {
            assert_eq!(boot_file(speaker, arch.map(Architecture)).0, expected, "{speaker:?} {arch:?}");
        }
    }

    #[test]
    fn of_several_architectures_the_one_that_can_be_served_counts() {
        let listed = |codes: &[u16]| codes.iter().map(|&code| Architecture(code)).collect::<Vec<_>>();
        let cases: [(Speaker, &[u16], Option<u16>); 5] = [
            (Speaker::Pxe, &[], None),
            (Speaker::Pxe, &[11], Some(11)),
            (Speaker::Pxe, &[6, 7], Some(7)),
            (Speaker::HttpBoot, &[15, 16], Some(16)),
            (Speaker::System, &[7, 0], Some(7)),
        ];
        for (speaker, codes, expected) in cases {
            assert_eq!(architecture(speaker, &listed(codes)), expected.map(Architecture), "{speaker:?} {codes:?}");
        }
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
}
