//! A DHCP message as it is sent. Every field is open, so that a test can also send what no client would.

use crate::names::Mac;
use std::net::Ipv4Addr;

/// Option codes (RFC 2132, 3004, 3046, 4578).
pub mod option {
    #![allow(missing_docs)] // the names are the RFCs'
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETER_LIST: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const USER_CLASS: u8 = 77;
    pub const RELAY_INFO: u8 = 82;
    pub const ARCHITECTURE: u8 = 93;
    pub const INTERFACE_ID: u8 = 94;
    pub const MACHINE_ID: u8 = 97;
    pub const IPXE: u8 = 175;
    pub const END: u8 = 255;
}

/// The magic cookie (RFC 2131, 3).
pub(super) const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Where options begin: fixed fields of RFC 951 and the cookie.
pub(super) const OPTIONS_AT: usize = 240;

/// The kind of a message, option 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are RFC 2132's
pub enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// 1 for a request, 2 for a reply.
    pub op: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// 0x8000 asks for broadcast replies.
    pub flags: u16,
    /// The client's address, when it has one.
    pub ciaddr: Ipv4Addr,
    /// The relay's address.
    pub giaddr: Ipv4Addr,
    /// The client's MAC address.
    pub mac: Mac,
    /// Options in the order in which they are sent; END is added. A value of more than 255 bytes is split (RFC 3396).
    pub options: Vec<(u8, Vec<u8>)>,
    /// Zeros follow END up to this length of the whole message.
    pub at_least: usize,
}

impl Packet {
    /// A request without options.
    pub fn request(xid: u32, mac: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self { op: 1, hops: 0, xid, secs: 0, flags: 0, ciaddr: none, giaddr: none, mac, options: vec![], at_least: 0 }
    }

    /// Adds an option at the end.
    #[must_use]
    pub fn with(mut self, code: u8, value: impl Into<Vec<u8>>) -> Self {
        self.options.push((code, value.into()));
        self
    }

    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.op, 1, 6, self.hops];
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.mac.0);
        out.resize(OPTIONS_AT - COOKIE.len(), 0);
        out.extend(COOKIE);
        for (code, value) in &self.options {
            let mut rest = value.as_slice();
            loop {
                let (part, left) = rest.split_at(rest.len().min(255));
                out.extend([*code, part.len() as u8]);
                out.extend(part);
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
        }
        out.push(option::END);
        out.resize(out.len().max(self.at_least), 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_option_is_split_and_an_empty_one_is_kept() {
        let bytes = Packet::request(1, Mac([2; 6])).with(43, vec![7; 300]).with(80, []).emit();
        assert_eq!(bytes[OPTIONS_AT..OPTIONS_AT + 2], [43, 255]);
        assert_eq!(bytes[OPTIONS_AT + 257..OPTIONS_AT + 259], [43, 45]);
        assert_eq!(bytes[bytes.len() - 3..], [80, 0, 255]);
    }
}
