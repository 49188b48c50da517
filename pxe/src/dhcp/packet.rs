//! Bytes to a [`Request`], a [`Reply`] to bytes.
//!
//! `dhcproto`'s borrowed view finds header fields and raw options. Its typed options are not used: one option that they
//! cannot read (a host name that is not UTF-8) ends the list there, and of option 93 only the first architecture is
//! kept. Nothing here knows what a good answer is.

use dhcproto::v4::MessageType;
use dhcproto::v4::borrowed::{DhcpOptionIterator, Message};
use domain::MacAddr;
use domain::boot::{Architecture, Asker, Speaker};
use domain::timeline::printable;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Option codes (RFC 2132 unless noted).
pub mod code {
    #![allow(missing_docs)]
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVER: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN_NAME: u8 = 15;
    pub const BROADCAST: u8 = 28;
    pub const TIME_SERVER: u8 = 42;
    pub const VENDOR_OPTIONS: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const MESSAGE: u8 = 56;
    pub const LARGEST_MESSAGE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    /// RFC 3004; iPXE writes it without the length prefix.
    pub const USER_CLASS: u8 = 77;
    /// RFC 3046.
    pub const RELAY_AGENT: u8 = 82;
    /// RFC 4578.
    pub const ARCHITECTURE: u8 = 93;
    /// RFC 4578.
    pub const MACHINE_ID: u8 = 97;
    /// iPXE's encapsulated options.
    pub const IPXE: u8 = 175;
}

/// Header and magic cookie, bytes.
const HEADER: usize = 240;
/// What follows the header of every DHCP packet.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// BOOTP packets are at least this long (RFC 1542, 2.1); some firmware drops shorter ones.
const SHORTEST: usize = 300;
/// The largest packet that is read: an Ethernet frame's worth and some more.
pub const LONGEST: usize = 2048;
/// The file field holds this much and a zero byte.
const LONGEST_FILE: usize = 127;
/// Bytes of an IP header and a UDP header, which option 57 counts in.
const IP_AND_UDP: u16 = 28;

/// Why bytes are not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than a header.
    #[error("it is shorter than a DHCP header")]
    Short,
    /// Longer than any client's.
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    /// `op` is not BOOTREQUEST.
    #[error("it is not a request (op 1)")]
    NotARequest,
    /// `htype` or `hlen`.
    #[error("its hardware is not Ethernet with six bytes of address")]
    NotEthernet,
    /// A group address or zeros.
    #[error("its hardware address is none that a machine can have")]
    NotAMachine,
    /// BOOTP or something else.
    #[error("it lacks DHCP's magic cookie")]
    NoCookie,
    /// Option 53 is missing, broken, or a server's.
    #[error("it has no message type that clients send (option 53)")]
    NoMessageType,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// DISCOVER, REQUEST, DECLINE, RELEASE or INFORM.
    pub kind: MessageType,
    /// Transaction id.
    pub xid: u32,
    /// Flags; the highest bit asks for a broadcast answer.
    pub flags: u16,
    /// The address that the client uses; unspecified when it has none.
    pub ciaddr: Ipv4Addr,
    /// The relay agent; unspecified when the client is on the link.
    pub giaddr: Ipv4Addr,
    /// chaddr.
    pub mac: MacAddr,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Option 12, control characters escaped, shortened.
    pub host_name: Option<String>,
    /// The longest answer that the client takes, bytes of UDP payload (from option 57).
    pub room: usize,
    /// The programme that speaks.
    pub speaker: Speaker,
    /// How that was told.
    pub speaker_rule: &'static str,
    /// Option 93; of several the one that counts.
    pub architecture: Option<Architecture>,
    /// Option 97 as SMBIOS text has it; none when absent or a placeholder.
    pub uuid: Option<Uuid>,
    /// Option 97 as it came.
    pub machine_id: Option<Vec<u8>>,
    /// Option 61 as it came.
    pub client_id: Option<Vec<u8>>,
    /// Option 82 as it came.
    pub relay: Option<Vec<u8>>,
}

impl Request {
    /// Reads a client's packet. Options that cannot be read count as absent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > LONGEST {
            return Err(Malformed::Long);
        }
        let message = Message::new(bytes).map_err(|_| Malformed::Short)?;
        if bytes[0] != 1 {
            return Err(Malformed::NotARequest);
        }
        // Before chaddr(), which believes hlen.
        if (bytes[1], message.hlen()) != (1, 6) {
            return Err(Malformed::NotEthernet);
        }
        if bytes[HEADER - COOKIE.len()..HEADER] != COOKIE {
            return Err(Malformed::NoCookie);
        }
        let mac = MacAddr::from_bytes(message.chaddr()).filter(MacAddr::is_a_machines).ok_or(Malformed::NotAMachine)?;
        let options = Options::of(bytes);
        let kind = options.get(code::MESSAGE_TYPE).and_then(|value| client_message(&value)).ok_or(Malformed::NoMessageType)?;
        let (user_class, vendor_class) = (options.get(code::USER_CLASS), options.get(code::VENDOR_CLASS));
        let (speaker, speaker_rule) =
            domain::boot::speaker(user_class.as_deref(), vendor_class.as_deref(), options.get(code::IPXE).is_some());
        let machine_id = options.get(code::MACHINE_ID);
        Ok(Self {
            kind,
            xid: message.xid(),
            flags: u16::from_be_bytes([bytes[10], bytes[11]]),
            ciaddr: message.ciaddr(),
            giaddr: message.giaddr(),
            mac,
            requested: options.address(code::REQUESTED_ADDRESS),
            server: options.address(code::SERVER_ID),
            host_name: options.get(code::HOST_NAME).and_then(|value| host_name(&value)),
            room: room(options.get(code::LARGEST_MESSAGE).as_deref()),
            speaker,
            speaker_rule,
            architecture: domain::boot::architecture(speaker, &architectures(options.get(code::ARCHITECTURE).as_deref())),
            uuid: machine_id.as_deref().and_then(uuid),
            machine_id,
            client_id: options.get(code::CLIENT_ID),
            relay: options.get(code::RELAY_AGENT),
        })
    }

    /// What the packet says of its sender.
    pub fn asker(&self) -> Asker {
        Asker { mac: self.mac, xid: self.xid, speaker: self.speaker, architecture: self.architecture, uuid: self.uuid }
    }

    /// Whether a relay agent passed it on.
    pub fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }
}

fn client_message(value: &[u8]) -> Option<MessageType> {
    let &[kind] = value else { return None };
    let kind = MessageType::from(kind);
    matches!(kind, MessageType::Discover | MessageType::Request | MessageType::Decline | MessageType::Release | MessageType::Inform)
        .then_some(kind)
}

fn host_name(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_end_matches('\0').trim();
    (!text.is_empty()).then(|| printable(text, 64))
}

/// Option 57, within what every client must take (RFC 2131, 2) and what an Ethernet frame holds. OVMF sends 65280, which
/// is 255 in the wrong byte order.
fn room(value: Option<&[u8]>) -> usize {
    let said = value.and_then(|value| value.try_into().ok()).map_or(576, u16::from_be_bytes);
    usize::from(said.clamp(576, 1500) - IP_AND_UDP)
}

fn architectures(value: Option<&[u8]>) -> Vec<Architecture> {
    value.unwrap_or_default().chunks_exact(2).map(|pair| Architecture(u16::from_be_bytes([pair[0], pair[1]]))).collect()
}

/// Type 0 and sixteen bytes, the first three fields little-endian as EFI has them: QEMU's iPXE and OVMF both send
/// `00 77000000 0000 0040 80…` for the machine that `dmidecode` calls `00000077-0000-4000-80…`.
fn uuid(value: &[u8]) -> Option<Uuid> {
    let (&0, guid) = value.split_first()? else { return None };
    domain::identity::usable_uuid(Uuid::from_bytes_le(guid.try_into().ok()?))
}

/// The options of a packet as bytes, those in the overloaded header fields included (option 52; RFC 3396 joins the
/// pieces in this order: options, file, sname).
struct Options<'a> {
    areas: [&'a [u8]; 3],
}

impl<'a> Options<'a> {
    /// Of a packet that has a whole header.
    fn of(packet: &'a [u8]) -> Self {
        let (sname, file, options) = (&packet[44..108], &packet[108..236], &packet[HEADER..]);
        // Only the main list may overload: an option 52 inside an overloaded field leads nowhere.
        let overload = Self { areas: [options, &[], &[]] }.get(code::OVERLOAD);
        let bits = match overload.as_deref() {
            Some(&[bits]) => bits,
            _ => 0,
        };
        Self { areas: [options, if bits & 1 != 0 { file } else { &[] }, if bits & 2 != 0 { sname } else { &[] }] }
    }

    /// The value of an option, its pieces joined.
    fn get(&self, wanted: u8) -> Option<Vec<u8>> {
        let mut joined: Option<Vec<u8>> = None;
        for piece in self.areas.iter().flat_map(|area| DhcpOptionIterator::new(area)).filter(|piece| u8::from(piece.code()) == wanted) {
            joined.get_or_insert_default().extend_from_slice(piece.data());
        }
        joined
    }

    fn address(&self, wanted: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.get(wanted)?.try_into().ok()?;
        Some(bytes.into())
    }
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// OFFER, ACK or NAK.
    pub kind: MessageType,
    /// The request's.
    pub xid: u32,
    /// The request's.
    pub flags: u16,
    /// The request's, where it counts.
    pub ciaddr: Ipv4Addr,
    /// The address given; unspecified when none is.
    pub yiaddr: Ipv4Addr,
    /// Where the boot file is; unspecified without one.
    pub siaddr: Ipv4Addr,
    /// The request's.
    pub giaddr: Ipv4Addr,
    /// The request's.
    pub mac: MacAddr,
    /// BOOTP's file field; empty when the name is longer than 127 bytes.
    pub file: String,
    /// Options by code, the most important first; 53 and 82 have their own places.
    pub options: Vec<(u8, Vec<u8>)>,
    /// Option 82, echoed.
    pub relay: Option<Vec<u8>>,
}

/// Why bytes are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a DHCP server's answer over Ethernet")]
pub struct NotAReply;

impl Reply {
    /// The packet: option 53 first, 82 last, padded to 300 bytes. Options that do not fit into `room` bytes are left out,
    /// later ones first; 53 and 82 always stand.
    pub fn emit(&self, room: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(SHORTEST.max(room));
        out.extend_from_slice(&[2, 1, 6, 0]);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend_from_slice(&address.octets());
        }
        out.extend_from_slice(&self.mac.0);
        out.resize(108, 0);
        if self.file.len() <= LONGEST_FILE {
            out.extend_from_slice(self.file.as_bytes());
        }
        out.resize(HEADER - COOKIE.len(), 0);
        out.extend_from_slice(&COOKIE);
        write_option(&mut out, code::MESSAGE_TYPE, &[self.kind.into()]);
        let kept_free = 1 + self.relay.as_ref().map_or(0, |relay| written_length(relay));
        for (code, value) in &self.options {
            if out.len() + written_length(value) + kept_free <= room {
                write_option(&mut out, *code, value);
            }
        }
        if let Some(relay) = &self.relay {
            write_option(&mut out, code::RELAY_AGENT, relay);
        }
        out.push(255);
        out.resize(out.len().max(SHORTEST), 0);
        out
    }

    /// Reads a server's packet, as a client would. Option 53 and 82 are not among `options`; repeated options come joined.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAReply> {
        let message = Message::new(bytes).map_err(|_| NotAReply)?;
        if bytes.len() > LONGEST || bytes[..3] != [2, 1, 6] || bytes[HEADER - COOKIE.len()..HEADER] != COOKIE {
            return Err(NotAReply);
        }
        let area = Options::of(bytes);
        let kind = area.get(code::MESSAGE_TYPE).filter(|value| value.len() == 1).ok_or(NotAReply)?[0];
        let mut options: Vec<(u8, Vec<u8>)> = Vec::new();
        for piece in area.areas.iter().flat_map(|area| DhcpOptionIterator::new(area)) {
            let code = u8::from(piece.code());
            if code == code::MESSAGE_TYPE || code == code::RELAY_AGENT {
                continue;
            }
            match options.iter_mut().find(|(known, _)| *known == code) {
                Some((_, value)) => value.extend_from_slice(piece.data()),
                None => options.push((code, piece.data().to_vec())),
            }
        }
        Ok(Self {
            kind: kind.into(),
            xid: message.xid(),
            flags: u16::from_be_bytes([bytes[10], bytes[11]]),
            ciaddr: message.ciaddr(),
            yiaddr: message.yiaddr(),
            siaddr: message.siaddr(),
            giaddr: message.giaddr(),
            mac: MacAddr::from_bytes(message.chaddr()).ok_or(NotAReply)?,
            file: String::from_utf8_lossy(message.fname()).into_owned(),
            options,
            relay: area.get(code::RELAY_AGENT),
        })
    }

    /// The value of an option other than 53 and 82.
    pub fn option(&self, wanted: u8) -> Option<&[u8]> {
        self.options.iter().find(|(code, _)| *code == wanted).map(|(_, value)| value.as_slice())
    }
}

/// Writes an option, in pieces of 255 bytes (RFC 3396).
fn write_option(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    let mut rest = value;
    loop {
        let (piece, left) = rest.split_at(rest.len().min(255));
        out.extend_from_slice(&[code, u8::try_from(piece.len()).expect("a piece has at most 255 bytes")]);
        out.extend_from_slice(piece);
        rest = left;
        if rest.is_empty() {
            return;
        }
    }
}

fn written_length(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(255).max(1)
}
