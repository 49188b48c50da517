//! Reads replies, and refuses what the RFCs forbid or what some firmware is known to choke on.

use super::packet::{COOKIE, Kind, OPTIONS_AT, option};
use crate::names::Mac;
use std::net::Ipv4Addr;

/// The least length of a message (RFC 1542, 2.1); some firmware drops shorter ones.
const LEAST: usize = 300;

/// A well-formed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// OFFER, ACK or NAK.
    pub kind: Kind,
    /// Transaction.
    pub xid: u32,
    /// Whether the client's wish for broadcasts was echoed.
    pub broadcast: bool,
    /// The client's address, echoed.
    pub ciaddr: Ipv4Addr,
    /// The address that is offered or given.
    pub yiaddr: Ipv4Addr,
    /// Where the boot file lies.
    pub siaddr: Ipv4Addr,
    /// The relay, echoed.
    pub giaddr: Ipv4Addr,
    /// For whom.
    pub mac: Mac,
    /// The field `sname`, without the zeros after it.
    pub sname: Vec<u8>,
    /// The field `file`, without the zeros after it.
    pub file: Vec<u8>,
    /// Options in the order in which they came; parts of one option are joined (RFC 3396).
    pub options: Vec<(u8, Vec<u8>)>,
    /// Length of the whole message, bytes.
    pub length: usize,
}

/// What is wrong with a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// RFC 1542, 2.1.
    #[error("the reply has {0} bytes, and some firmware drops what has less than 300")]
    TooShort(usize),
    /// `op` is not 2, or hardware type and length are not Ethernet's.
    #[error("the reply begins with op, htype, hlen {0:?} instead of 2, 1, 6")]
    NotAReply([u8; 3]),
    /// The magic cookie is missing.
    #[error("the reply has no magic cookie")]
    NoCookie,
    /// An option runs over the end of the message.
    #[error("option {0} runs past the end of the reply")]
    CutShort(u8),
    /// END is missing.
    #[error("the options have no end")]
    NoEnd,
    /// Something follows END.
    #[error("something other than zeros follows the end of the options")]
    AfterEnd,
    /// Some firmware looks for option 53 in the first place only.
    #[error("the first option is {0:?}, not 53")]
    KindNotFirst(Option<u8>),
    /// Option 53 is none of OFFER, ACK, NAK.
    #[error("option 53 is {0:?}, which is no server's message")]
    UnknownKind(Vec<u8>),
    /// RFC 3046, 2.2.
    #[error("option {0} follows option 82, which has to be the last")]
    RelayInfoNotLast(u8),
    /// An option came twice without need.
    #[error("option {0} came twice")]
    Repeated(u8),
    /// RFC 2131, table 3: a server must not send this option.
    #[error("option {0} is not a server's to send")]
    Forbidden(u8),
    /// RFC 2131, table 3: the option is missing, or has a length that is not its own.
    #[error("option {code} is missing in this {kind:?}, or has a wrong length")]
    Needed {
        /// Which.
        code: u8,
        /// In which message.
        kind: Kind,
    },
    /// An address is given where there must be none, or the other way round.
    #[error("this {kind:?} has yiaddr {yiaddr}")]
    Address {
        /// In which message.
        kind: Kind,
        /// What stands there.
        yiaddr: Ipv4Addr,
    },
}

impl Reply {
    /// Reads a reply strictly.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadReply> {
        if bytes.len() < LEAST {
            return Err(BadReply::TooShort(bytes.len()));
        }
        if bytes[..3] != [2, 1, 6] {
            return Err(BadReply::NotAReply([bytes[0], bytes[1], bytes[2]]));
        }
        if bytes[OPTIONS_AT - 4..OPTIONS_AT] != COOKIE {
            return Err(BadReply::NoCookie);
        }
        let options = options(&bytes[OPTIONS_AT..])?;
        let kind = match options.first() {
            Some((option::MESSAGE_TYPE, value)) => kind(value)?,
            other => return Err(BadReply::KindNotFirst(other.map(|(code, _)| *code))),
        };
        let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        let text = |from: usize, to: usize| bytes[from..to].split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let reply = Self {
            kind,
            xid: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            broadcast: bytes[10] & 0x80 != 0,
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            mac: Mac([28, 29, 30, 31, 32, 33].map(|at| bytes[at])),
            sname: text(44, 108),
            file: text(108, 236),
            options,
            length: bytes.len(),
        };
        reply.check()?;
        Ok(reply)
    }

    /// The value of an option.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(other, _)| *other == code).map(|(_, value)| value.as_slice())
    }

    /// An option that is one address, or begins with one.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.option(code)?.first_chunk::<4>().copied().map(Ipv4Addr::from)
    }

    /// Who answered (option 54).
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.address(option::SERVER_ID)
    }

    /// The file to load: option 67, else the field `file`. Firmware takes them in this order, and zeros at the end off.
    pub fn boot_file(&self) -> Option<String> {
        let bytes = self.option(option::BOOT_FILE).unwrap_or(&self.file);
        let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn check(&self) -> Result<(), BadReply> {
        let kind = self.kind;
        for code in [option::REQUESTED_ADDRESS, option::PARAMETER_LIST, option::MAX_SIZE] {
            if self.option(code).is_some() {
                return Err(BadReply::Forbidden(code));
            }
        }
        let needs = |code: u8| match self.option(code) {
            Some(value) if value.len() == 4 => Ok(()),
            _ => Err(BadReply::Needed { code, kind }),
        };
        needs(option::SERVER_ID)?;
        match kind {
            Kind::Offer => needs(option::LEASE_TIME)?,
            Kind::Nak if self.option(option::LEASE_TIME).is_some() => return Err(BadReply::Forbidden(option::LEASE_TIME)),
            _ => {}
        }
        // An ACK without an address answers an INFORM.
        let wrong = match kind {
            Kind::Offer => self.yiaddr.is_unspecified(),
            Kind::Nak => !self.yiaddr.is_unspecified(),
            _ => self.yiaddr.is_unspecified() == self.option(option::LEASE_TIME).is_some(),
        };
        if wrong { Err(BadReply::Address { kind, yiaddr: self.yiaddr }) } else { Ok(()) }
    }
}

fn kind(value: &[u8]) -> Result<Kind, BadReply> {
    match value {
        [2] => Ok(Kind::Offer),
        [5] => Ok(Kind::Ack),
        [6] => Ok(Kind::Nak),
        _ => Err(BadReply::UnknownKind(value.to_vec())),
    }
}

fn options(mut rest: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, BadReply> {
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    // Whether the last part of an option was full, so that another may follow.
    let mut full = false;
    loop {
        let (&code, after) = rest.split_first().ok_or(BadReply::NoEnd)?;
        match code {
            0 => {
                rest = after;
                continue;
            }
            option::OVERLOAD => return Err(BadReply::Forbidden(code)),
            option::END if after.iter().all(|b| *b == 0) => return Ok(found),
            option::END => return Err(BadReply::AfterEnd),
            _ => {}
        }
        let (&length, after) = after.split_first().ok_or(BadReply::CutShort(code))?;
        let (value, after) = after.split_at_checked(length.into()).ok_or(BadReply::CutShort(code))?;
        let seen = found.iter().any(|(other, _)| *other == code);
        match found.last_mut() {
            Some((last, whole)) if *last == code && full => whole.extend(value),
            Some((option::RELAY_INFO, _)) => return Err(BadReply::RelayInfoNotLast(code)),
            _ if seen => return Err(BadReply::Repeated(code)),
            _ => found.push((code, value.to_vec())),
        }
        full = length == 255;
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::{Datagram, Packet};
    use crate::pcap;

    fn recorded() -> Vec<u8> {
        let frames = pcap::frames(include_bytes!("../../../fixtures/plain-rom-bios.pcap")).expect("a recording");
        Datagram::parse(frames[1]).expect("UDP").payload.to_vec()
    }

    type Options<'o> = &'o [(u8, &'o [u8])];

    /// A reply of these options, otherwise right.
    fn reply(options: Options<'_>) -> Vec<u8> {
        let mut packet = Packet { op: 2, at_least: 300, ..Packet::request(7, Mac([2; 6])) };
        packet.options = options.iter().map(|(code, value)| (*code, value.to_vec())).collect();
        let mut bytes = packet.emit();
        bytes[16..20].copy_from_slice(&[10, 0, 0, 5]);
        bytes
    }

    const SERVER: (u8, &[u8]) = (54, &[10, 0, 0, 1]);
    const TIME: (u8, &[u8]) = (51, &[0, 0, 14, 16]);

    #[test]
    fn a_recorded_offer_is_read() {
        let offer = Reply::parse(&recorded()).expect("a reply");
        assert_eq!((offer.kind, offer.xid, offer.length), (Kind::Offer, 0xee62_d552, 302));
        assert_eq!(offer.yiaddr, Ipv4Addr::new(10, 77, 0, 131));
        assert_eq!(offer.siaddr, Ipv4Addr::new(10, 77, 0, 1));
        assert_eq!(offer.server(), Some(Ipv4Addr::new(10, 77, 0, 1)));
        assert_eq!(offer.boot_file().as_deref(), Some("undionly.kpxe"));
        assert_eq!(offer.mac, Mac([0x52, 0x54, 0, 0x77, 0, 2]));
    }

    #[test]
    fn what_firmware_would_choke_on_is_refused() {
        let offer: (u8, &[u8]) = (53, &[2]);
        let cases: [(Options<'_>, BadReply); 12] = [
            (&[SERVER, offer, TIME], BadReply::KindNotFirst(Some(54))),
            (&[], BadReply::KindNotFirst(None)),
            (&[(53, &[1]), SERVER, TIME], BadReply::UnknownKind(vec![1])),
            (&[offer, SERVER, TIME, (82, &[1, 1, 7]), (1, &[0; 4])], BadReply::RelayInfoNotLast(1)),
            (&[offer, SERVER, TIME, SERVER], BadReply::Repeated(54)),
            (&[offer, SERVER, TIME, (57, &[5, 0xc0])], BadReply::Forbidden(57)),
            (&[offer, SERVER, TIME, (52, &[1])], BadReply::Forbidden(52)),
            (&[offer, TIME], BadReply::Needed { code: 54, kind: Kind::Offer }),
            (&[offer, SERVER, (51, &[1])], BadReply::Needed { code: 51, kind: Kind::Offer }),
            (&[(53, &[6]), SERVER], BadReply::Address { kind: Kind::Nak, yiaddr: Ipv4Addr::new(10, 0, 0, 5) }),
            (&[(53, &[6]), SERVER, TIME], BadReply::Forbidden(51)),
            (&[(53, &[5]), SERVER], BadReply::Address { kind: Kind::Ack, yiaddr: Ipv4Addr::new(10, 0, 0, 5) }),
        ];
        for (options, expected) in cases {
            assert_eq!(Reply::parse(&reply(options)), Err(expected), "{options:?}");
        }
        assert!(Reply::parse(&reply(&[offer, SERVER, TIME, (82, &[1, 1, 7])])).is_ok());
        let joined = Reply::parse(&reply(&[offer, SERVER, TIME, (43, &[1; 300])])).expect("a reply");
        assert_eq!(joined.option(43).map(<[u8]>::len), Some(300));
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let whole = recorded();
        for end in 0..whole.len() {
            assert!(Reply::parse(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 52, 82, 254, 255] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = Reply::parse(&bytes);
            }
        }
        let mut bytes = whole;
        bytes.push(1);
        assert_eq!(Reply::parse(&bytes), Err(BadReply::AfterEnd));
    }
}
