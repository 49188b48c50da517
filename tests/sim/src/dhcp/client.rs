//! One machine's exchanges with whoever answers.

use super::frame::{Datagram, Header, arp_request};
use super::machine::Machine;
use super::packet::{Kind, Packet, option};
use super::reply::{BadReply, Reply};
use crate::interface::{Interface, InterfaceError, Wire};
use crate::names::Mac;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// A transaction id that nobody uses.
pub fn fresh_xid() -> u32 {
    RandomState::new().hash_one(0u8) as u32
}

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the first answer is waited for; doubled with each repetition.
    pub first: Duration,
    /// How often a message is sent at most.
    pub tries: u32,
}

impl Default for Timing {
    /// Half a second, five times: patient with a busy machine, quicker than firmware.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), tries: 5 }
    }
}

/// An address and what came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix; 32 when no mask came.
    pub prefix: u32,
    /// Who gave it (option 54).
    pub server: Ipv4Addr,
    /// What to load: option 67, else the field `file`.
    pub boot_file: Option<String>,
    /// Where it lies: `siaddr`, else option 66 if that is an address, else the server.
    pub next_server: Ipv4Addr,
    /// For how long, seconds.
    pub seconds: u32,
    /// The ACK's options in the order in which they came.
    pub options: Vec<(u8, Vec<u8>)>,
    /// The whole ACK.
    pub ack: Reply,
    /// How many messages had to be repeated until it came.
    pub repeated: u32,
}

impl Lease {
    /// What an ACK gives; none if it answers an INFORM.
    pub fn of(ack: &Reply) -> Option<Self> {
        let server = ack.server()?;
        let seconds = ack.option(option::LEASE_TIME)?.try_into().map(u32::from_be_bytes).ok()?;
        let prefix = ack.address(option::SUBNET_MASK).map_or(32, |mask| u32::from(mask).count_ones());
        let named = ack.option(option::TFTP_SERVER).and_then(|text| std::str::from_utf8(text).ok()?.trim_end_matches('\0').parse().ok());
        let next_server = if ack.siaddr.is_unspecified() { named.unwrap_or(server) } else { ack.siaddr };
        Some(Self {
            address: ack.yiaddr,
            prefix,
            server,
            boot_file: ack.boot_file(),
            next_server,
            seconds,
            options: ack.options.clone(),
            ack: ack.clone(),
            repeated: 0,
        })
    }
}

/// Why a client cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The interface cannot be used.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// Sending or receiving failed.
    #[error("could not {attempted} on `{interface}`")]
    Socket {
        /// "send", "hear".
        attempted: &'static str,
        /// Where.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nobody answered.
    #[error("{mac} sent its {kind:?} {tries} times in {waited:?}, and nobody answered")]
    Silence {
        /// Who asked.
        mac: Mac,
        /// What.
        kind: Kind,
        /// How often.
        tries: u32,
        /// For how long.
        waited: Duration,
    },
    /// The server refused.
    #[error("the server refused {mac}'s request: {why}")]
    Nak {
        /// Who asked.
        mac: Mac,
        /// Option 56, as far as it can be printed.
        why: String,
    },
    /// An answer came that no client should get.
    #[error("{mac} was sent a reply that is not well-formed")]
    Malformed {
        /// Who asked.
        mac: Mac,
        /// What is wrong.
        #[source]
        source: BadReply,
    },
    /// The answer has not what was asked for.
    #[error("the reply to {mac} {what}")]
    Unfit {
        /// Who asked.
        mac: Mac,
        /// What is wrong, after "the reply".
        what: &'static str,
    },
    /// The socket failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A datagram that was heard on the client's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The server's MAC address.
    pub from_mac: Mac,
    /// The server's address.
    pub from: SocketAddrV4,
    /// To which MAC address it was sent.
    pub to_mac: Mac,
    /// To which address it was sent.
    pub to: SocketAddrV4,
    /// The message.
    pub bytes: Vec<u8>,
}

/// A network card that speaks DHCP for any machine.
#[derive(Debug)]
pub struct Client {
    interface: String,
    wire: Wire,
    timing: Timing,
}

impl Client {
    /// A client on an interface of this thread's network namespace.
    pub fn bind(interface: &str) -> Result<Self, ClientError> {
        let wire = Interface::find(interface)?.open()?;
        Ok(Self { interface: interface.to_owned(), wire, timing: Timing::default() })
    }

    /// The same, with another patience.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// The whole exchange: DISCOVER, OFFER, REQUEST, ACK. The first OFFER is taken.
    pub fn lease(&mut self, machine: &Machine) -> Result<Lease, ExchangeError> {
        self.lease_as(machine, fresh_xid())
    }

    /// The whole exchange, with a transaction id of the caller's.
    pub fn lease_as(&mut self, machine: &Machine, xid: u32) -> Result<Lease, ExchangeError> {
        let (offer, repeated) = self.exchange(machine, |secs| machine.discover(xid, secs), Kind::Discover)?;
        let unfit = |what| ExchangeError::Unfit { mac: machine.mac, what };
        let server = offer.server().ok_or_else(|| unfit("names no server"))?;
        let (ack, more) = self.exchange(machine, |secs| machine.request(xid, secs, offer.yiaddr, server), Kind::Request)?;
        let lease = Lease::of(&ack).ok_or_else(|| unfit("is an ACK without a lease time"))?;
        match () {
            () if ack.server() != Some(server) => Err(unfit("is an ACK of another server than the one chosen")),
            () if ack.yiaddr != offer.yiaddr => Err(unfit("is an ACK of another address than the one offered")),
            () => Ok(Lease { repeated: repeated + more, ..lease }),
        }
    }

    /// The answer to a DISCOVER.
    pub fn discover(&mut self, machine: &Machine) -> Result<Reply, ExchangeError> {
        let xid = fresh_xid();
        Ok(self.exchange(machine, |secs| machine.discover(xid, secs), Kind::Discover)?.0)
    }

    /// Takes up an address of a server, as if that server had offered it.
    pub fn request(&mut self, machine: &Machine, address: Ipv4Addr, server: Ipv4Addr) -> Result<Reply, ExchangeError> {
        let xid = fresh_xid();
        Ok(self.exchange(machine, |secs| machine.request(xid, secs, address, server), Kind::Request)?.0)
    }

    /// Asks after a restart whether an address still holds.
    pub fn verify(&mut self, machine: &Machine, address: Ipv4Addr) -> Result<Reply, ExchangeError> {
        let xid = fresh_xid();
        Ok(self.exchange(machine, |_| machine.verify(xid, address), Kind::Request)?.0)
    }

    /// Prolongs a lease, by broadcast as in REBINDING, from the leased address, which the interface need not have.
    pub fn renew(&mut self, machine: &Machine, lease: &Lease) -> Result<Reply, ExchangeError> {
        self.send_frame(&arp_request(machine.mac, lease.address, lease.server))?;
        let xid = fresh_xid();
        Ok(self.exchange(machine, |_| machine.renew(xid, lease.address), Kind::Request)?.0)
    }

    /// Asks a server for options for an address that the machine has.
    pub fn inform(&mut self, machine: &Machine, address: Ipv4Addr, server: Ipv4Addr) -> Result<Reply, ExchangeError> {
        self.send_frame(&arp_request(machine.mac, address, server))?;
        let xid = fresh_xid();
        Ok(self.exchange(machine, |_| machine.inform(xid, address), Kind::Inform)?.0)
    }

    /// Gives an address back; there is no answer.
    pub fn release(&mut self, machine: &Machine, address: Ipv4Addr, server: Ipv4Addr) -> Result<(), ClientError> {
        self.send(&machine.release(fresh_xid(), address, server))
    }

    /// Says that an address is used by somebody else; there is no answer.
    pub fn decline(&mut self, machine: &Machine, address: Ipv4Addr, server: Ipv4Addr) -> Result<(), ClientError> {
        self.send(&machine.decline(fresh_xid(), address, server))
    }

    /// Sends a message by broadcast from its sender's MAC and, when it says one, its address.
    pub fn send(&mut self, packet: &Packet) -> Result<(), ClientError> {
        self.send_bytes(packet.mac, packet.ciaddr, &packet.emit())
    }

    /// Sends any bytes to port 67 by broadcast, at most 1472.
    pub fn send_bytes(&mut self, from_mac: Mac, from: Ipv4Addr, bytes: &[u8]) -> Result<(), ClientError> {
        self.send_datagram(&Datagram {
            from_mac,
            to_mac: Mac::BROADCAST,
            from: SocketAddrV4::new(from, CLIENT_PORT),
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
            header: Header::default(),
            payload: bytes,
        })
    }

    /// Sends any datagram, however it is addressed.
    pub fn send_datagram(&mut self, datagram: &Datagram<'_>) -> Result<(), ClientError> {
        self.send_frame(&datagram.emit())
    }

    /// Sends any frame.
    pub fn send_frame(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        self.wire.send(frame).map_err(|source| ClientError::Socket { attempted: "send", interface: self.interface.clone(), source })
    }

    /// The next datagram for port 68, whoever it is for, or none until `deadline`.
    pub fn hear(&mut self, deadline: Instant) -> Result<Option<Heard>, ClientError> {
        let mut buffer = [0; 2048];
        loop {
            let heard = self.wire.hear(&mut buffer, deadline);
            let heard = heard.map_err(|source| ClientError::Socket { attempted: "hear", interface: self.interface.clone(), source })?;
            let Some(frame) = heard else { return Ok(None) };
            if let Ok(datagram) = Datagram::parse(frame)
                && datagram.to.port() == CLIENT_PORT
            {
                let Datagram { from_mac, from, to_mac, to, payload, .. } = datagram;
                return Ok(Some(Heard { from_mac, from, to_mac, to, bytes: payload.to_vec() }));
            }
        }
    }

    /// Every answer to one DISCOVER that comes within `time`, malformed ones too.
    pub fn offers(&mut self, machine: &Machine, time: Duration) -> Result<Vec<Result<Reply, BadReply>>, ClientError> {
        let packet = machine.discover(fresh_xid(), 0);
        self.send(&packet)?;
        let (deadline, mut offers) = (Instant::now() + time, Vec::new());
        while let Some(heard) = self.hear(deadline)? {
            if answers(&packet, &heard) {
                offers.push(Reply::parse(&heard.bytes));
            }
        }
        Ok(offers)
    }

    /// Sends a message until it is answered, and returns the answer and how often it was repeated.
    fn exchange(&mut self, machine: &Machine, message: impl Fn(u16) -> Packet, kind: Kind) -> Result<(Reply, u32), ExchangeError> {
        let (began, mut wait) = (Instant::now(), self.timing.first);
        for repeated in 0..self.timing.tries {
            let packet = message(began.elapsed().as_secs() as u16);
            self.send(&packet)?;
            let deadline = Instant::now() + wait;
            // Whoever is flooded by others' answers must give up too.
            while Instant::now() < deadline + wait
                && let Some(heard) = self.hear(deadline)?
            {
                if answers(&packet, &heard)
                    && let Some(reply) = judge(machine, kind, &packet, &heard)?
                {
                    return Ok((reply, repeated));
                }
            }
            wait *= 2;
        }
        Err(ExchangeError::Silence { mac: machine.mac, kind, tries: self.timing.tries, waited: began.elapsed() })
    }
}

/// Whether a datagram is an answer to this message, by transaction and MAC address; nothing more is read.
fn answers(packet: &Packet, heard: &Heard) -> bool {
    let hears = heard.to_mac == Mac::BROADCAST || heard.to_mac == packet.mac;
    hears && heard.bytes.get(4..8) == Some(&packet.xid.to_be_bytes()) && heard.bytes.get(28..34) == Some(&packet.mac.0)
}

/// Whether an answer is the one that was waited for: none, if it belongs to an earlier message of the exchange.
fn judge(machine: &Machine, kind: Kind, packet: &Packet, heard: &Heard) -> Result<Option<Reply>, ExchangeError> {
    let mac = machine.mac;
    let reply = Reply::parse(&heard.bytes).map_err(|source| ExchangeError::Malformed { mac, source })?;
    let unfit = |what| Err(ExchangeError::Unfit { mac, what });
    match (kind, reply.kind) {
        (Kind::Discover, Kind::Offer) | (Kind::Request | Kind::Inform, Kind::Ack) => {}
        (Kind::Request, Kind::Nak) => {
            let why = reply.option(option::MESSAGE).unwrap_or_default();
            return Err(ExchangeError::Nak { mac, why: String::from_utf8_lossy(why).escape_debug().to_string() });
        }
        (Kind::Request, Kind::Offer) => return Ok(None), // the answer to a DISCOVER that was repeated
        _ => return unfit("is of a kind that was not asked for"),
    }
    if reply.broadcast != (packet.flags & 0x8000 != 0) {
        return unfit("does not echo the broadcast flag (RFC 2131, table 3)");
    }
    if packet.flags & 0x8000 != 0 && heard.to_mac != Mac::BROADCAST {
        return unfit("came by unicast, and the machine asked for broadcasts because it cannot hear others");
    }
    Ok(Some(reply))
}
