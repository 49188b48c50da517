//! What each programme on a machine sends, byte for byte as recorded in `tests/fixtures`.

use super::packet::{Kind, Packet, option};
use crate::names::{Mac, Uuid};
use std::net::Ipv4Addr;

/// PC BIOS (option 93).
pub const ARCH_BIOS: u16 = 0;
/// x86-64 UEFI, as firmware numbers it.
pub const ARCH_UEFI_X86_64: u16 = 7;
/// x86-64 UEFI that loads by HTTP.
pub const ARCH_UEFI_X86_64_HTTP: u16 = 16;

/// The programme that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// PXE in a boot ROM (architecture 0) or in UEFI.
    Firmware,
    /// UEFI HTTP boot.
    HttpBoot,
    /// iPXE.
    Ipxe,
    /// A system or ramdisk: busybox's udhcpc.
    System,
}

/// A machine, and who speaks on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its network card.
    pub mac: Mac,
    /// Its SMBIOS UUID.
    pub uuid: Uuid,
    /// Its SMBIOS serial number; only iPXE tells it.
    pub serial: String,
    /// Option 93.
    pub arch: u16,
    /// Who speaks.
    pub speaker: Speaker,
    /// Whether replies are asked for by broadcast; as recorded for this speaker when not said.
    pub broadcast: Option<bool>,
}

impl Machine {
    /// A machine whose MAC address, UUID and serial follow from a number; it starts in its firmware.
    pub fn numbered(number: u32, arch: u16) -> Self {
        let serial = format!("SIM-{number:06}");
        let speaker = if arch == ARCH_UEFI_X86_64_HTTP { Speaker::HttpBoot } else { Speaker::Firmware };
        Self { mac: Mac::numbered(number), uuid: Uuid::numbered(number), serial, arch, speaker, broadcast: None }
    }

    /// The same machine with another programme running.
    #[must_use]
    pub fn running(&self, speaker: Speaker) -> Self {
        Self { speaker, ..self.clone() }
    }

    /// Whether it is UEFI, by any way of loading.
    pub fn is_uefi(&self) -> bool {
        self.arch != ARCH_BIOS
    }

    /// Asks who can give an address.
    pub fn discover(&self, xid: u32, secs: u16) -> Packet {
        self.message(Kind::Discover, xid, secs, &[])
    }

    /// Takes up an offer.
    pub fn request(&self, xid: u32, secs: u16, address: Ipv4Addr, server: Ipv4Addr) -> Packet {
        let chosen = [(option::SERVER_ID, server.octets().to_vec()), (option::REQUESTED_ADDRESS, address.octets().to_vec())];
        self.message(Kind::Request, xid, secs, &chosen)
    }

    /// Asks, after a restart, whether the old address still holds (RFC 2131, 4.3.2, INIT-REBOOT).
    pub fn verify(&self, xid: u32, address: Ipv4Addr) -> Packet {
        self.message(Kind::Request, xid, 0, &[(option::REQUESTED_ADDRESS, address.octets().to_vec())])
    }

    /// Prolongs a lease (RFC 2131, 4.3.2, RENEWING).
    pub fn renew(&self, xid: u32, address: Ipv4Addr) -> Packet {
        Packet { ciaddr: address, flags: 0, ..self.message(Kind::Request, xid, 0, &[]) }
    }

    /// Gives an address back (RFC 2131, table 5).
    pub fn release(&self, xid: u32, address: Ipv4Addr, server: Ipv4Addr) -> Packet {
        Packet { ciaddr: address, ..self.bare(Kind::Release, xid) }.with(option::SERVER_ID, server.octets())
    }

    /// Says that somebody else uses the address (RFC 2131, table 5).
    pub fn decline(&self, xid: u32, address: Ipv4Addr, server: Ipv4Addr) -> Packet {
        self.bare(Kind::Decline, xid).with(option::REQUESTED_ADDRESS, address.octets()).with(option::SERVER_ID, server.octets())
    }

    /// Asks for options, having an address (RFC 2131, 3.4).
    pub fn inform(&self, xid: u32, address: Ipv4Addr) -> Packet {
        Packet { ciaddr: address, flags: 0, ..self.message(Kind::Inform, xid, 0, &[]) }
    }

    fn bare(&self, kind: Kind, xid: u32) -> Packet {
        Packet { at_least: 300, ..Packet::request(xid, self.mac) }
            .with(option::MESSAGE_TYPE, [kind as u8])
            .with(option::CLIENT_ID, self.hardware_id())
    }

    fn hardware_id(&self) -> Vec<u8> {
        [&[1], &self.mac.0[..]].concat()
    }

    fn message(&self, kind: Kind, xid: u32, secs: u16, chosen: &[(u8, Vec<u8>)]) -> Packet {
        let recorded = matches!((self.speaker, self.arch), (Speaker::Firmware, 1..) | (Speaker::HttpBoot, _));
        let flags = if self.broadcast.unwrap_or(recorded) { 0x8000 } else { 0 };
        let at_least = if self.speaker == Speaker::System { 300 } else { 0 };
        let mut packet = Packet { secs, flags, at_least, ..Packet::request(xid, self.mac) }.with(option::MESSAGE_TYPE, [kind as u8]);
        packet.options.extend(match self.speaker {
            Speaker::Firmware if self.arch == ARCH_BIOS => [self.rom(&ROM_WANTS), chosen.to_vec()].concat(),
            Speaker::Ipxe => [self.rom(&IPXE_WANTS), chosen.to_vec()].concat(),
            Speaker::Firmware | Speaker::HttpBoot => [chosen.to_vec(), self.uefi(kind)].concat(),
            Speaker::System => [chosen.iter().rev().cloned().collect(), self.system()].concat(),
        });
        packet
    }

    /// Option 97: type 0, then the UUID (RFC 4578, 2.3).
    fn machine_id(&self) -> Vec<u8> {
        [&[0], &self.uuid.on_the_wire()[..]].concat()
    }

    /// BIOS boot ROMs and iPXE share their ancestry, and the order of their options.
    fn rom(&self, wants: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let (interface, undi) = if self.is_uefi() { ([1, 3, 10], "003010") } else { ([1, 2, 1], "002001") };
        // iPXE started by HTTP boot says what any UEFI iPXE says.
        let arch = if self.arch == ARCH_UEFI_X86_64_HTTP { ARCH_UEFI_X86_64 } else { self.arch };
        let mut options = vec![
            (option::MAX_SIZE, 1472u16.to_be_bytes().to_vec()),
            (option::ARCHITECTURE, arch.to_be_bytes().to_vec()),
            (option::INTERFACE_ID, interface.to_vec()),
            (option::VENDOR_CLASS, format!("PXEClient:Arch:{arch:05}:UNDI:{undi}").into_bytes()),
        ];
        if self.speaker == Speaker::Ipxe {
            // Not the length-prefixed instances of RFC 3004: iPXE sends the bare text.
            options.push((option::USER_CLASS, b"iPXE".to_vec()));
        }
        options.push((option::PARAMETER_LIST, wants.to_vec()));
        if self.speaker == Speaker::Ipxe {
            options.push((option::IPXE, if self.is_uefi() { IPXE_FEATURES_UEFI.to_vec() } else { IPXE_FEATURES_BIOS.to_vec() }));
        }
        options.push((option::CLIENT_ID, self.hardware_id()));
        options.push((option::MACHINE_ID, self.machine_id()));
        options
    }

    fn uefi(&self, kind: Kind) -> Vec<(u8, Vec<u8>)> {
        let http = self.speaker == Speaker::HttpBoot;
        // EDK II's PXE client asks for 1472 bytes at first and for 65,280 when it takes up the offer.
        let size: u16 = if kind == Kind::Discover || http { 1472 } else { 0xff00 };
        let class = if http { "HTTPClient" } else { "PXEClient" };
        vec![
            (option::MAX_SIZE, size.to_be_bytes().to_vec()),
            (option::PARAMETER_LIST, [&UEFI_WANTS[..], if http { &HTTP_WANTS } else { &PXE_WANTS }].concat()),
            (option::MACHINE_ID, self.machine_id()),
            (option::INTERFACE_ID, vec![1, 3, 0]),
            (option::ARCHITECTURE, self.arch.to_be_bytes().to_vec()),
            (option::VENDOR_CLASS, format!("{class}:Arch:{:05}:UNDI:003000", self.arch).into_bytes()),
        ]
    }

    fn system(&self) -> Vec<(u8, Vec<u8>)> {
        vec![
            (option::MAX_SIZE, 576u16.to_be_bytes().to_vec()),
            (option::PARAMETER_LIST, vec![1, 3, 6, 12, 15, 28, 42]),
            (option::VENDOR_CLASS, b"labdisk".to_vec()),
            (option::CLIENT_ID, self.hardware_id()),
        ]
    }
}

const ROM_WANTS: [u8; 23] = [1, 3, 6, 7, 12, 15, 17, 26, 42, 43, 60, 66, 67, 119, 121, 128, 129, 130, 131, 132, 133, 134, 135];
const IPXE_WANTS: [u8; 23] = [1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203];
const UEFI_WANTS: [u8; 24] = [1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60];
const PXE_WANTS: [u8; 11] = [66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135];
const HTTP_WANTS: [u8; 3] = [235, 67, 97];
const IPXE_FEATURES_BIOS: [u8; 48] = [
    0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x22, 1, 1, 0x13, 1, 1, 0x11, 1, 1, 0x27, 1, 1, 0x19, 1, 1, 0x29, 1, 1,
    0x10, 1, 2, 0x21, 1, 1, 0x15, 1, 1, 0x18, 1, 1, 0x12, 1, 1,
];
const IPXE_FEATURES_UEFI: [u8; 36] = [
    0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x24, 1, 1, 0x13, 1, 1, 0x11, 1, 1, 0x27, 1, 1, 0x29, 1, 1, 0x15, 1, 1,
    0x12, 1, 1,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::{Datagram, Reply};
    use crate::pcap;

    /// What a recording's machine says, and what it is answered: (sent, transaction, seconds, received before).
    fn check(recording: &[u8], number: u8, machine: impl Fn(usize) -> Machine) {
        let mut offered: Option<Reply> = None;
        let mut sent = 0;
        for frame in pcap::frames(recording).expect("a recording") {
            let datagram = Datagram::parse(frame).expect("UDP");
            let bytes = datagram.payload;
            if bytes[0] == 2 {
                offered = Some(Reply::parse(bytes).expect("a well-formed reply"));
                continue;
            }
            let xid = u32::from_be_bytes(bytes[4..8].try_into().expect("4 bytes"));
            let secs = u16::from_be_bytes([bytes[8], bytes[9]]);
            let machine = Machine {
                mac: Mac([0x52, 0x54, 0, 0x77, 0, number]),
                uuid: Uuid([0, 0, 0, 0x77, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, number]),
                ..machine(sent)
            };
            sent += 1;
            let packet = match (bytes[OPTIONS_AT + 2], &offered) {
                (1, _) => machine.discover(xid, secs),
                (_, Some(offer)) => machine.request(xid, secs, offer.yiaddr, offer.server().expect("a server")),
                (_, None) => panic!("a REQUEST before any OFFER"),
            };
            assert_eq!(packet.emit(), bytes, "packet {sent} of machine {number}");
            assert_eq!(datagram.emit(), frame, "frame {sent} of machine {number}");
        }
    }

    const OPTIONS_AT: usize = super::super::packet::OPTIONS_AT;

    fn machine(arch: u16, speaker: Speaker) -> Machine {
        Machine { speaker, ..Machine::numbered(0, arch) }
    }

    #[test]
    fn every_packet_is_what_the_recorded_machine_sent() {
        check(include_bytes!("../../../fixtures/ipxe-bios.pcap"), 1, |sent| {
            machine(ARCH_BIOS, if sent < 2 { Speaker::Ipxe } else { Speaker::System })
        });
        check(include_bytes!("../../../fixtures/plain-rom-bios.pcap"), 2, |sent| match sent {
            0..3 => machine(ARCH_BIOS, Speaker::Firmware),
            // iPXE on top of a ROM's driver asks for broadcasts, which such drivers hear more surely.
            3..5 => Machine { broadcast: Some(true), ..machine(ARCH_BIOS, Speaker::Ipxe) },
            _ => machine(ARCH_BIOS, Speaker::System),
        });
        let uefi = |arch, first| move |sent| machine(arch, [first, Speaker::Ipxe, Speaker::System][sent / 2]);
        check(include_bytes!("../../../fixtures/ovmf-pxe.pcap"), 3, uefi(ARCH_UEFI_X86_64, Speaker::Firmware));
        check(include_bytes!("../../../fixtures/ovmf-http.pcap"), 4, uefi(ARCH_UEFI_X86_64_HTTP, Speaker::HttpBoot));
        check(include_bytes!("../../../fixtures/ovmf-arm64-pxe.pcap"), 5, uefi(11, Speaker::Firmware));
        check(include_bytes!("../../../fixtures/ovmf-secureboot-shim.pcap"), 6, |sent| {
            machine(ARCH_UEFI_X86_64, if sent < 2 { Speaker::Firmware } else { Speaker::System })
        });
    }
}
