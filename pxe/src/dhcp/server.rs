//! The socket: packets in, answers out, and the wait for the disk between a request and its acknowledgement.
//!
//! One server serves one interface. It knows no rule; see [`super::answer`].

use super::Counts;
use super::answer::{Answer, Counted, Here, Outcome, answer};
use super::link::{self, BindError};
use super::notice::{Allowance, Notices};
use super::packet::{LONGEST, Reply, Request};
use crate::boots::Boots;
use crate::counts::one;
use crate::leases::LeaseBook;
use dhcproto::v4::MessageType;
use domain::clock::Clock;
use domain::lease::Lease;
use domain::ports::{BoxError, Directory, StoreError};
use domain::site::Site;
use domain::timeline::Protocol;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The port that clients and relay agents send to (RFC 2131, 4.1).
pub const SERVER_PORT: u16 = 67;
/// The port that clients listen on.
const CLIENT_PORT: u16 = 68;
/// Leases that may wait for the disk at once.
const MOST_WAITING: usize = 1024;
/// How long the disk may take: clients ask again after about four seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what was seen of the interface's addresses is believed: to look is to ask the kernel for all of this machine's.
const BELIEVED: Duration = Duration::from_millis(250);
/// Errors of the socket in a row after which it is given up.
const MOST_ERRORS: u32 = 100;
/// Boots that machines without an answer may open in ten seconds: enough to explain, too few to push out real ones.
const STRANGERS: u32 = 100;

/// What a server works with.
pub struct Settings {
    /// The interface to serve.
    pub interface: String,
    /// This machine's address there, on which the other boot servers listen. While the interface does not have it, nothing
    /// is answered: a machine would be sent to where nobody answers.
    pub address: Ipv4Addr,
    /// The port, [`SERVER_PORT`]; 0 for any that is free.
    pub port: u16,
    /// The port of boot HTTP, for URLs.
    pub http_port: u16,
    /// The site in force.
    pub site: watch::Receiver<Arc<Site>>,
    /// Nodes by interface and UUID.
    pub directory: Arc<dyn Directory>,
    /// The boots under way.
    pub boots: Arc<Boots>,
    /// The leases.
    pub leases: Arc<LeaseBook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where packets are counted; servers of several interfaces may share it.
    pub counts: Arc<Counts>,
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket could not be handed to the runtime.
    #[error("could not start to wait for DHCP packets on `{interface}`")]
    Start {
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket gives errors only.
    #[error("the DHCP socket of `{interface}` failed {MOST_ERRORS} times in a row")]
    Socket {
        /// The interface.
        interface: String,
        /// The last error.
        #[source]
        source: io::Error,
    },
}

/// A DHCP server for one interface, bound and not yet running. An interface that is made anew under its old name is
/// another interface, from which nothing comes in here: it needs a new server.
pub struct Server {
    socket: StdSocket,
    port: u16,
    settings: Settings,
}

impl Server {
    /// Takes the port on the interface. Nothing shares it: a second server must be noticed at once.
    pub fn bind(settings: Settings) -> Result<Self, BindError> {
        let (socket, port) = link::open(&settings.interface, settings.port)?;
        Ok(Self { socket, port, settings })
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The interface that is served.
    pub fn interface(&self) -> &str {
        &self.settings.interface
    }

    /// Answers until cancelled; then lets those finish that wait for the disk.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), ServeError> {
        let interface = self.settings.interface.clone();
        let started = UdpSocket::from_std(self.socket).map_err(|source| ServeError::Start { interface: interface.clone(), source })?;
        let desk = Arc::new(Desk::new(started, self.port, self.settings));
        let ended = desk.clone().serve(&cancel).await;
        desk.waiting_tasks.close();
        if timeout(PATIENCE, desk.waiting_tasks.wait()).await.is_err() {
            tracing::warn!("some DHCP requests on {interface} still waited for the store at the end and stay unanswered");
        }
        ended.map_err(|source| ServeError::Socket { interface, source })
    }
}

/// What the receiving loop and the tasks that wait for the disk share.
struct Desk {
    socket: UdpSocket,
    port: u16,
    settings: Settings,
    own: Mutex<link::Addresses>,
    waiting: Arc<Semaphore>,
    waiting_tasks: TaskTracker,
    notices: Notices,
    strangers: Allowance,
}

impl Desk {
    fn new(socket: UdpSocket, port: u16, settings: Settings) -> Self {
        let own = Mutex::new(link::Addresses::of(&settings.interface));
        Self {
            socket,
            port,
            settings,
            own,
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            waiting_tasks: TaskTracker::new(),
            notices: Notices::default(),
            strangers: Allowance::new(STRANGERS),
        }
    }

    async fn serve(self: Arc<Self>, cancel: &CancellationToken) -> io::Result<()> {
        let mut buffer = vec![0; LONGEST + 1];
        let mut errors = 0;
        loop {
            let got = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                got = self.socket.recv_from(&mut buffer) => got,
            };
            match got {
                Ok((length, SocketAddr::V4(peer))) => {
                    errors = 0;
                    self.take(&buffer[..length], peer).await;
                }
                Ok(_) => {}
                // An interface that goes down says so once; it may come back.
                Err(error) => {
                    errors += 1;
                    one(&self.settings.counts.receive_failed);
                    tracing::debug!("the DHCP socket of {} said: {error}", self.settings.interface);
                    if errors >= MOST_ERRORS {
                        return Err(error);
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// The interface's addresses, the one that is served first; none while it lacks that one.
    fn own_addresses(&self) -> Vec<Ipv4Addr> {
        let mut addresses = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            if own.seen.elapsed() > BELIEVED {
                *own = link::Addresses::of(&self.settings.interface);
            }
            own.addresses.clone()
        };
        match addresses.iter().position(|address| *address == self.settings.address) {
            Some(place) => addresses.swap(0, place),
            None => addresses.clear(),
        }
        addresses
    }

    async fn take(self: &Arc<Self>, bytes: &[u8], peer: SocketAddrV4) {
        one(&self.settings.counts.received);
        let request = match Request::parse(bytes) {
            Ok(request) => request,
            Err(why) => {
                one(&self.settings.counts.malformed);
                self.warn("malformed", |times| format!("{times} packets were dropped; the last came from {peer}: {why}"));
                return;
            }
        };
        let taken = self.own_addresses();
        let (network, decided) = match self.decide(&request, &taken) {
            Ok(decided) => decided,
            Err(why) => return self.leave(&request, why, peer),
        };
        match decided {
            Answer::Now(outcome) => self.finish(&request, &network, outcome, peer).await,
            Answer::Keep(promise) => {
                let Ok(place) = self.waiting.clone().try_acquire_owned() else {
                    one(&self.settings.counts.overloaded);
                    self.warn("overloaded", |times| format!("{times} requests were dropped: {MOST_WAITING} leases wait for the store"));
                    return;
                };
                let desk = self.clone();
                self.waiting_tasks.spawn(async move {
                    let outcome = if desk.keep(promise.lease).await { promise.kept } else { promise.not_kept };
                    desk.finish(&request, &network, outcome, peer).await;
                    drop(place);
                });
            }
        }
    }

    /// The network that a request belongs to, and the answer.
    fn decide(&self, request: &Request, taken: &[Ipv4Addr]) -> Result<(String, Answer), Counted> {
        let Settings { interface, site, directory, leases, clock, http_port, .. } = &self.settings;
        // The leases before the site: when another site comes into force, its leases are moved under the same lock.
        let mut leases = leases.table();
        let site = site.borrow().clone();
        let here = Here::find(request, &site, interface, taken, &**directory, *http_port)?;
        Ok((here.name.to_owned(), answer(request, &here, &mut leases, clock.now())))
    }

    async fn keep(&self, lease: Lease) -> bool {
        let late = || StoreError::Busy { attempted: "keep a lease" };
        let kept = timeout(PATIENCE, self.settings.leases.keep(lease)).await.unwrap_or_else(|_| Err(late()));
        let Err(error) = kept else { return true };
        if let Some(times) = self.notices.due("store_unavailable", Instant::now()) {
            let why = chain(Box::new(error));
            tracing::error!("{times} leases on {} could not be kept; the last: {why}", self.settings.interface);
        }
        false
    }

    /// A request that belongs nowhere.
    fn leave(&self, request: &Request, why: Counted, peer: SocketAddrV4) {
        one(why.of(&self.settings.counts));
        let giaddr = request.giaddr;
        match why {
            Counted::HostileRelay => self.warn("hostile_relay", |times| {
                format!("{times} packets named a relay agent that cannot be one; the last, from {peer}, named {giaddr}")
            }),
            Counted::NoOwnAddress => self.warn("no_own_address", |times| {
                format!("{times} machines got no answer: this machine has no address in the network's subnet there: give it one")
            }),
            _ => self.warn("no_network", |times| format!("{times} packets belong to no network of the site; the last came from {peer}")),
        }
    }

    async fn finish(&self, request: &Request, network: &str, outcome: Outcome, peer: SocketAddrV4) {
        one(outcome.counted.of(&self.settings.counts));
        self.tell(request, network, &outcome);
        self.note(request, network, &outcome);
        if let Some(reply) = &outcome.reply {
            let to = destination(reply, peer, self.port);
            if let Err(error) = self.socket.send_to(&reply.emit(request.room), to).await {
                one(&self.settings.counts.send_failed);
                self.warn("send_failed", |times| format!("{times} answers could not be sent; the last, to {to}: {error}"));
            }
        }
    }

    fn tell(&self, request: &Request, network: &str, outcome: &Outcome) {
        let mac = request.mac;
        match (outcome.counted, &outcome.reply) {
            (Counted::PoolExhausted, _) if self.notices.begins(network, Instant::now()) => {
                tracing::error!(node.mac = %mac, network, "{mac} got no answer: {}", outcome.rule().unwrap_or("the pool is exhausted"));
            }
            (Counted::TooManyOffers, _) => {
                self.warn("too_many_offers", |times| format!("{times} machines must wait: too many offers are open on network {network}"));
            }
            (Counted::OnlyWatching, _) => self.warn("only_watching", |times| {
                format!(
                    "{times} requests got no answer until `overture db resume`, because only known addresses are given; the last: {mac}"
                )
            }),
            (Counted::Acknowledged | Counted::AcknowledgedFromDisk, Some(reply)) => {
                tracing::info!(node.mac = %mac, network, "{mac} was given {}", reply.yiaddr);
            }
            (Counted::Refused, _) => self.warn("refused", |times| {
                format!("{times} requests were refused; the last, of {mac}: {}", outcome.rule().unwrap_or_default())
            }),
            _ => tracing::debug!(node.mac = %mac, network, "{mac}: {:?}", outcome.counted),
        }
    }

    /// For `explain`. A machine that gets no answer is explained too, but must not push out those that do.
    fn note(&self, request: &Request, network: &str, outcome: &Outcome) {
        let boots = &self.settings.boots;
        if outcome.notes.is_empty() {
            return;
        }
        if request.kind == MessageType::Discover {
            let stranger = outcome.reply.is_none() && boots.of(request.mac).is_none();
            if stranger && !self.strangers.passes(Instant::now()) {
                return;
            }
            boots.discover(network, &request.asker());
        }
        for note in &outcome.notes {
            boots.note_for(request.mac, Protocol::Dhcp, note.event, note.message.clone(), note.rule.clone());
        }
    }

    fn warn(&self, what: &'static str, line: impl FnOnce(u64) -> String) {
        if let Some(times) = self.notices.due(what, Instant::now()) {
            tracing::warn!(interface = self.settings.interface, reason = what, "DHCP on {}: {}", self.settings.interface, line(times));
        }
    }
}

/// Where an answer goes (RFC 2131, 4.1). Nothing is injected into ARP tables: who has no address gets a broadcast,
/// whatever the flags say. Between other ports than DHCP's, tests and translated clients among them, it goes back to
/// where the request came from.
fn destination(reply: &Reply, peer: SocketAddrV4, own_port: u16) -> SocketAddrV4 {
    if own_port != SERVER_PORT || !matches!(peer.port(), SERVER_PORT | CLIENT_PORT) {
        let to = if peer.ip().is_unspecified() { Ipv4Addr::BROADCAST } else { *peer.ip() };
        return SocketAddrV4::new(to, peer.port());
    }
    if !reply.giaddr.is_unspecified() {
        SocketAddrV4::new(reply.giaddr, SERVER_PORT)
    } else if !reply.ciaddr.is_unspecified() {
        SocketAddrV4::new(reply.ciaddr, CLIENT_PORT)
    } else {
        SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT)
    }
}

/// An error with its causes, in one line.
fn chain(error: BoxError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        line.push_str(": ");
        line.push_str(&next.to_string());
        cause = next.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::MacAddr;

    #[test]
    fn an_answer_goes_where_its_client_can_hear_it() {
        let none = Ipv4Addr::UNSPECIFIED;
        let (relay, client) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 20, 0, 100));
        let cases = [
            ("a client without an address", none, none, "0.0.0.0:68", 67, "255.255.255.255:68"),
            ("a client that renews", none, client, "10.20.0.100:68", 67, "10.20.0.100:68"),
            ("through a relay agent", relay, none, "10.9.0.1:67", 67, "10.9.0.1:67"),
            ("a relay agent that passes on a renewal", relay, client, "10.9.0.1:67", 67, "10.9.0.1:67"),
            ("a relay agent behind another port", relay, none, "10.9.0.1:4000", 67, "10.9.0.1:4000"),
            ("a server on another port", none, none, "127.0.0.1:5000", 1067, "127.0.0.1:5000"),
            ("a client without an address, to another port", none, none, "0.0.0.0:68", 1067, "255.255.255.255:68"),
        ];
        for (what, giaddr, ciaddr, peer, port, expected) in cases {
            let reply = Reply {
                kind: MessageType::Ack,
                xid: 1,
                flags: 0,
                ciaddr,
                yiaddr: none,
                siaddr: none,
                giaddr,
                mac: MacAddr([2, 0, 0, 0, 0, 1]),
                file: String::new(),
                options: vec![],
                relay: None,
            };
            let to = destination(&reply, peer.parse().expect("an address"), port);
            assert_eq!(to.to_string(), expected, "{what}");
        }
    }
}
