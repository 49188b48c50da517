//! The socket that requests come to, and the transfers under way.

use super::answer::{Asked, Limits, asked_for};
use super::counts::Counts;
use super::packet::{ErrorCode, LONGEST_REQUEST, NotAPacket, Packet, Request, emit_error};
use super::transfer::{self, Ended, Order};
use crate::boots::Boots;
use crate::counts::one;
use crate::files::BootFiles;
use crate::leases::LeaseBook;
use crate::log_limit::LogLimit;
use crate::port_holder::{Transport, holder_of};
use domain::boot::{IPXE_BIOS, IPXE_UEFI};
use domain::clock::Clock;
use domain::timeline::{Protocol, printable};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How the server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where requests come to. Port 0 takes a free one. The address should be one of this machine's own, not 0.0.0.0:
    /// every transfer answers from it.
    pub address: SocketAddrV4,
    /// The only interface that is listened and answered on; none for all.
    pub interface: Option<String>,
    /// The names that are served, of those in the table.
    pub names: Vec<String>,
    /// The most that is agreed to with a client.
    pub limits: Limits,
    /// Transfers under way at once.
    pub transfers_most: usize,
    /// Transfers under way at once for one address.
    pub of_one_client_most: usize,
    /// Silence before the first retransmission, unless the client chose one; doubled with each.
    pub first_timeout: Duration,
    /// Retransmissions of the same packets before a client counts as gone.
    pub tries: u32,
    /// How long transfers may go on after the server was told to stop.
    pub drain: Duration,
}

impl Settings {
    /// The usual settings for an address: firmware's boot programmes, blocks that fit Ethernet.
    pub fn new(address: SocketAddrV4) -> Self {
        Self {
            address,
            interface: None,
            names: vec![IPXE_BIOS.into(), IPXE_UEFI.into()],
            limits: Limits { block: 1468, window: 64 },
            transfers_most: 512,
            of_one_client_most: 8,
            first_timeout: Duration::from_secs(1),
            tries: 5,
            drain: Duration::from_secs(3),
        }
    }
}

/// What the server shares with others.
#[derive(Clone)]
pub struct Shared {
    /// The table of files.
    pub files: Arc<BootFiles>,
    /// Takes the notes for `explain`.
    pub boots: Arc<Boots>,
    /// Knows which machine has an address.
    pub leases: Arc<LeaseBook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody has the port.
    #[error("TFTP cannot listen on {address}: {}", taken(.holder.as_deref()))]
    Taken {
        /// What was asked for.
        address: SocketAddrV4,
        /// The programme that has it, when it can be found.
        holder: Option<String>,
    },
    /// Anything else.
    #[error("TFTP cannot listen on {address}{}", .interface.as_ref().map(|name| format!(" of interface `{name}`")).unwrap_or_default())]
    Socket {
        /// What was asked for.
        address: SocketAddrV4,
        /// The interface, when one was asked for.
        interface: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn taken(holder: Option<&str>) -> String {
    match holder {
        Some(holder) => format!("{holder} has the port already; stop it, or give TFTP another port"),
        None => "another programme has the port already; stop it, or give TFTP another port".into(),
    }
}

/// Why a running server ended.
#[derive(Debug, thiserror::Error)]
#[error("TFTP could not receive on {address}")]
pub struct ServeError {
    /// Where it listened.
    pub address: SocketAddrV4,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A server that has its port. An interface that is made anew under its old name is another interface, from which nothing
/// comes in here: it needs a new server.
pub struct Server {
    socket: UdpSocket,
    address: SocketAddrV4,
    settings: Arc<Settings>,
    shared: Shared,
    counts: Arc<Counts>,
    log: Arc<LogLimit>,
    transfers: Transfers,
}

/// The transfers under way; their number has two bounds.
#[derive(Default)]
struct Transfers {
    tasks: JoinSet<()>,
    clients: HashMap<task::Id, SocketAddrV4>,
    by_client: HashMap<SocketAddrV4, UnderWay>,
    by_address: HashMap<Ipv4Addr, usize>,
}

struct UnderWay {
    task: task::Id,
    request: Box<[u8]>,
    since: Instant,
    heard: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Server {
    /// Takes the port. Needs a tokio runtime around it.
    pub fn bind(settings: Settings, shared: Shared) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => {
                BindError::Taken { address: settings.address, holder: holder_of(Transport::Udp, settings.address.port()) }
            }
            _ => BindError::Socket { address: settings.address, interface: settings.interface.clone(), source },
        };
        let socket = socket_at(settings.address, settings.interface.as_deref(), true).map_err(failed)?;
        let address = match socket.local_addr().map_err(failed)? {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => settings.address,
        };
        let (settings, counts) = (Arc::new(settings), Arc::default());
        Ok(Self { socket, address, settings, shared, counts, log: Arc::default(), transfers: Transfers::default() })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddrV4 {
        self.address
    }

    /// The counters, to be kept by whoever shows them.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Serves until cancelled, then lets transfers end for a while.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), ServeError> {
        let mut buffer = [0; LONGEST_REQUEST + 1];
        loop {
            tokio::select! {
                biased; // after a stop nothing new begins
                () = cancel.cancelled() => break,
                Some(ended) = self.transfers.tasks.join_next_with_id() => self.transfers.forget(ended),
                got = self.socket.recv_from(&mut buffer) => match got {
                    Ok((length, SocketAddr::V4(client))) => self.receive(client, &buffer[..length]),
                    Ok(_) => one(&self.counts.impossible_sender),
                    Err(source) if passes(&source) => {
                        tracing::warn!("TFTP could not receive on {} and goes on: {source}", self.address);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    Err(source) => return Err(ServeError { address: self.address, source }),
                },
            }
        }
        self.end().await;
        Ok(())
    }

    async fn end(mut self) {
        let tasks = &mut self.transfers.tasks;
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.drain, all_ended).await.is_err() {
            for transfer in self.transfers.by_client.values() {
                transfer.stop.cancel();
            }
            while self.transfers.tasks.join_next().await.is_some() {}
        }
    }

    fn receive(&mut self, client: SocketAddrV4, bytes: &[u8]) {
        one(&self.counts.packets);
        if client.port() == 0 || client.ip().is_unspecified() || client.ip().is_multicast() || client.ip().is_broadcast() {
            return one(&self.counts.impossible_sender);
        }
        match Packet::parse(bytes) {
            Ok(Packet::Read(request)) => self.read(client, &request, bytes),
            Ok(Packet::Write) => {
                one(&self.counts.write_refused);
                self.refuse(client, ErrorCode::AccessViolation, "this server is read-only", "tried to write a file");
            }
            Err(malformed @ (NotAPacket::Request | NotAPacket::Mode)) => {
                one(&self.counts.malformed_request);
                self.refuse(client, ErrorCode::IllegalOperation, &malformed.to_string(), "sent a malformed request");
            }
            // Answering these with an error would let two servers answer each other for ever.
            Ok(Packet::Ack(_) | Packet::Error { .. }) | Err(NotAPacket::Operation) => one(&self.counts.not_a_request),
        }
    }

    fn read(&mut self, client: SocketAddrV4, request: &Request<'_>, bytes: &[u8]) {
        let shown = printable(&String::from_utf8_lossy(request.name), 80);
        let name = match asked_for(request.name) {
            Asked::Name(name) if self.settings.names.iter().any(|served| served == name) => name,
            Asked::Name(_) => {
                one(&self.counts.unknown_file);
                return self.refuse(client, ErrorCode::FileNotFound, "no such file", &format!("asked for {shown}, which is not served"));
            }
            Asked::Forbidden => {
                one(&self.counts.forbidden_name);
                let what = format!("asked for {shown}, which tries to lead out of the table of files");
                return self.refuse(client, ErrorCode::AccessViolation, "names here have no folders", &what);
            }
        };
        if let Some(old) = self.transfers.by_client.get(&client) {
            // Sent again because our first packet is late or lost: the transfer sends that again by itself.
            if *old.request == *bytes && !old.heard.load(Ordering::Relaxed) {
                return one(&self.counts.repeated_request);
            }
            // The port is used anew: the machine has started again, or has what it wanted.
            one(&self.counts.replaced);
            old.stop.cancel();
        }
        if self.transfers.by_address.get(client.ip()).is_some_and(|&many| many >= self.settings.of_one_client_most) {
            one(&self.counts.too_many_of_client);
            return self.refuse(
                client,
                ErrorCode::NotDefined,
                "too many transfers to you",
                "asked with too many transfers of its own under way",
            );
        }
        let full = self.transfers.tasks.len() >= self.settings.transfers_most;
        if full && self.transfers.give_up_half_open(self.settings.first_timeout / 4) {
            one(&self.counts.half_open);
        } else if full {
            one(&self.counts.too_many_transfers);
            return self.refuse(
                client,
                ErrorCode::NotDefined,
                "too many transfers, try again",
                "asked while too many transfers were under way",
            );
        }
        self.start(client, name, request, bytes);
    }

    fn start(&mut self, client: SocketAddrV4, name: &str, request: &Request<'_>, bytes: &[u8]) {
        let (heard, stop) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let order = Order {
            client,
            name: name.to_owned(),
            options: request.options,
            from: *self.address.ip(),
            heard: Arc::clone(&heard),
            stop: stop.clone(),
        };
        let (settings, shared) = (Arc::clone(&self.settings), self.shared.clone());
        let (counts, log) = (Arc::clone(&self.counts), Arc::clone(&self.log));
        let transfers = &mut self.transfers;
        let spawned = transfers.tasks.spawn(async move {
            let ended = transfer::run(&order, &settings, &shared, &counts).await;
            close(&order, &shared, &counts, &log, &ended);
        });
        transfers.clients.insert(spawned.id(), client);
        transfers.by_client.insert(client, UnderWay { task: spawned.id(), request: bytes.into(), since: Instant::now(), heard, stop });
        *transfers.by_address.entry(*client.ip()).or_default() += 1;
    }

    fn refuse(&self, client: SocketAddrV4, code: ErrorCode, why: &str, what: &str) {
        let mut out = Vec::new();
        emit_error(&mut out, code, why);
        // Lost like any packet when the socket is full; the client asks again.
        let _ = self.socket.try_send_to(&out, client.into());
        tracing::debug!("{client} {what}: refused");
        self.shared.note(*client.ip(), "refused", what.to_owned(), Some(format!("TFTP: {why}")));
    }
}

impl Transfers {
    /// Gives up the oldest of the transfers whose clients have not said a word for so long: senders that do not exist must
    /// not keep out those that do.
    fn give_up_half_open(&mut self, grace: Duration) -> bool {
        let silent =
            self.by_client.iter().filter(|(_, transfer)| !transfer.heard.load(Ordering::Relaxed) && transfer.since.elapsed() >= grace);
        let Some(client) = silent.min_by_key(|(_, transfer)| transfer.since).map(|(client, _)| *client) else { return false };
        if let Some(oldest) = self.by_client.remove(&client) {
            oldest.stop.cancel();
        }
        true
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(panicked) => {
                tracing::error!("a TFTP transfer ended with a bug in it, please report it: {panicked}");
                panicked.id()
            }
        };
        let Some(client) = self.clients.remove(&task) else { return };
        if self.by_client.get(&client).is_some_and(|current| current.task == task) {
            self.by_client.remove(&client);
        }
        if let Some(many) = self.by_address.get_mut(client.ip()) {
            *many -= 1;
            if *many == 0 {
                self.by_address.remove(client.ip());
            }
        }
    }
}

impl Shared {
    /// Notes a step of the boot of the machine that has an address; nothing for an address that nobody has leased.
    pub(super) fn note(&self, address: Ipv4Addr, event: &str, message: String, rule: Option<String>) {
        if let Some(lease) = self.leases.holder_of(address, self.clock.now()) {
            self.boots.note_for(lease.mac, Protocol::Tftp, event, message, rule);
        }
    }
}

/// Counts and tells how a transfer ended.
fn close(order: &Order, shared: &Shared, counts: &Counts, log: &LogLimit, ended: &Ended) {
    one(match ended {
        Ended::Complete { .. } => &counts.completed,
        Ended::SizeTold { .. } => &counts.size_queries,
        Ended::GivenUp { .. } => &counts.given_up_by_client,
        Ended::Silent { .. } => &counts.silent_client,
        Ended::Stopped => &counts.stopped,
        Ended::Missing(_) => &counts.unknown_file,
        Ended::Failed(_) => &counts.failed,
    });
    let (event, what) = ended.in_words(&order.name);
    let ours = matches!(ended, Ended::Failed(_) | Ended::Missing(_));
    match ours.then(|| log.admits()).flatten() {
        Some(held_back) => tracing::warn!(held_back, "{} {what}", order.client),
        None => tracing::debug!("{} {what}", order.client),
    }
    shared.note(*order.client.ip(), event, what, None);
}

/// A socket of this address and interface.
pub(super) fn socket_at(address: SocketAddrV4, interface: Option<&str>, listens: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), None)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if listens {
        // A rack that is switched on sends its requests within a second; the kernel may give less.
        let _ = socket.set_recv_buffer_size(1 << 20);
    }
    socket.bind(&SocketAddr::new(IpAddr::V4(*address.ip()), address.port()).into())?;
    UdpSocket::from_std(socket.into())
}

/// Whether a failure to receive is the network's, and passes by itself.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    matches!(kind, Kind::NetworkDown | Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::ConnectionRefused | Kind::Interrupted)
}
