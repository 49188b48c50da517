//! UDP in IPv4 in Ethernet (RFC 768, 791), as far as DHCP needs it: no fragments, no VLAN tags.

use crate::names::Mac;
use std::net::{Ipv4Addr, SocketAddrV4};

/// A UDP datagram and how it was addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent the frame.
    pub from_mac: Mac,
    /// Whom the frame is for.
    pub to_mac: Mac,
    /// Sender.
    pub from: SocketAddrV4,
    /// Receiver.
    pub to: SocketAddrV4,
    /// Type of service, identification, flags and fragment, time to live: what else tells IP headers apart.
    pub header: Header,
    /// What it carries.
    pub payload: &'a [u8],
}

/// What else stands in an IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type of service.
    pub service: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// Time to live.
    pub ttl: u8,
}

impl Default for Header {
    fn default() -> Self {
        Self { service: 0, id: 0, fragment: 0, ttl: 64 }
    }
}

/// Why a frame is no UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It carries something else.
    #[error("the frame carries no whole UDP datagram over IPv4")]
    OtherProtocol,
    /// A length points past the end.
    #[error("a length in the frame's headers points past its end")]
    CutShort,
    /// The IP header was damaged.
    #[error("the checksum of the IP header is wrong")]
    Checksum,
}

impl<'a> Datagram<'a> {
    /// Reads a frame. The UDP checksum is not looked at: between virtual interfaces the kernel leaves it unfinished.
    pub fn parse(frame: &'a [u8]) -> Result<Self, BadFrame> {
        let (ethernet, packet) = frame.split_at_checked(14).ok_or(BadFrame::CutShort)?;
        if ethernet[12..] != [8, 0] {
            return Err(BadFrame::OtherProtocol);
        }
        let first = *packet.first().ok_or(BadFrame::CutShort)?;
        let (head, _) = packet.split_at_checked(usize::from(first & 15) * 4).ok_or(BadFrame::CutShort)?;
        if head.len() < 20 {
            return Err(BadFrame::CutShort);
        }
        let pair = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let fragment = pair(6);
        if first >> 4 != 4 || head[9] != 17 || fragment & 0x3fff != 0 {
            return Err(BadFrame::OtherProtocol);
        }
        if checksum(&[head]) != 0 {
            return Err(BadFrame::Checksum);
        }
        // Short frames carry padding: the packet ends where its header says.
        let udp = packet.get(head.len()..usize::from(pair(2))).ok_or(BadFrame::CutShort)?;
        let (ports, _) = udp.split_at_checked(8).ok_or(BadFrame::CutShort)?;
        let length = usize::from(u16::from_be_bytes([ports[4], ports[5]]));
        let address = |at: usize| Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]);
        let mac = |at: usize| Mac([0, 1, 2, 3, 4, 5].map(|i| ethernet[at + i]));
        Ok(Self {
            from_mac: mac(6),
            to_mac: mac(0),
            from: SocketAddrV4::new(address(12), u16::from_be_bytes([ports[0], ports[1]])),
            to: SocketAddrV4::new(address(16), u16::from_be_bytes([ports[2], ports[3]])),
            header: Header { service: head[1], id: pair(4), fragment, ttl: head[8] },
            payload: udp.get(8..length).ok_or(BadFrame::CutShort)?,
        })
    }

    /// The frame, with both checksums. The payload has to fit into a datagram.
    pub fn emit(&self) -> Vec<u8> {
        let length = u16::try_from(self.payload.len() + 8).expect("what is sent here fits into a datagram");
        let mut udp = Vec::with_capacity(8);
        for number in [self.from.port(), self.to.port(), length, 0] {
            udp.extend(number.to_be_bytes());
        }
        let mut head = vec![0x45, self.header.service];
        for number in [length + 20, self.header.id, self.header.fragment] {
            head.extend(number.to_be_bytes());
        }
        head.extend([self.header.ttl, 17, 0, 0]);
        head.extend(self.from.ip().octets());
        head.extend(self.to.ip().octets());
        let sum = checksum(&[&head]).to_be_bytes();
        head[10..12].copy_from_slice(&sum);
        let pseudo = [&head[12..20], &[0, 17][..], &length.to_be_bytes()[..]].concat();
        let sum = match checksum(&[&pseudo, &udp, self.payload]) {
            0 => 0xffff, // zero would say that there is none
            sum => sum,
        };
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        [&self.to_mac.0[..], &self.from_mac.0, &[8, 0], &head, &udp, self.payload].concat()
    }
}

/// The question (RFC 826) that every machine asks before it speaks to a server from its address. Whoever is asked learns
/// the asker's MAC address, and need not ask back, which nobody here would answer.
pub(super) fn arp_request(mac: Mac, address: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
    let kind = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6][..], &mac.0, &kind, &mac.0, &address.octets(), &[0; 6], &server.octets()].concat()
}

/// The Internet checksum (RFC 1071) over parts that have even lengths, but for the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words =
        parts.iter().flat_map(|part| part.chunks(2)).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcap;

    #[test]
    fn a_frame_cut_anywhere_is_refused_and_harms_nobody() {
        let recording = include_bytes!("../../../fixtures/ovmf-pxe.pcap");
        let frame = pcap::frames(recording).expect("a recording")[0];
        assert!(Datagram::parse(frame).is_ok());
        for end in 0..frame.len() {
            assert!(Datagram::parse(&frame[..end]).is_err(), "{end}");
        }
    }
}
