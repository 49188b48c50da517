//! Accepting HTTP connections: plain TCP, TLS with the agent's key, and the local socket. Each with bounds.

mod watched;

use axum::Router;
use axum::extract::{Extension, Request};
use domain::ticket::KeyFingerprint;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use inventory::AgentPeer;
use pxe::http::Peer;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use watched::Watched;

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections at once of one address; more are closed at once. One machine must not keep out the others.
    pub of_one_address: usize,
    /// Time for the head of a request, and for a TLS handshake.
    pub head: Duration,
    /// Time without a byte in either direction. Longer than an agent's longest wait for orders.
    pub idle: Duration,
    /// Time that connections have to finish when the service stops.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            of_one_address: 32,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(90),
            drain: Duration::from_secs(5),
        }
    }
}

/// What happened at a listener.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    too_many_of_address: AtomicU64,
    handshake_failed: AtomicU64,
    idle: AtomicU64,
}

impl Counts {
    /// Every counter by its name.
    pub fn pairs(&self) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("accepted", read(&self.accepted)),
            ("too_many_of_address", read(&self.too_many_of_address)),
            ("handshake_failed", read(&self.handshake_failed)),
            ("idle", read(&self.idle)),
        ]
    }
}

/// A port that is listened on.
pub struct Port {
    /// The listener.
    pub listener: TcpListener,
    /// Given back when the port is free again, which is before its last connection has ended.
    pub held: TaskTrackerToken,
}

/// Who is at the other end of the local socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPeer {
    /// Its user, as the kernel says (SO_PEERCRED).
    pub uid: u32,
}

/// Serves plain HTTP until cancelled; requests carry [`Peer`].
pub async fn plain(
    Port { listener, held }: Port,
    router: Router,
    bounds: Bounds,
    counts: Arc<Counts>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let gate = Gate::new(bounds, counts, cancel);
    while let Some((permit, (stream, address))) = gate.next(|| listener.accept()).await? {
        let Some(place) = gate.place_for(address.ip()) else { continue };
        stream.set_nodelay(true).ok();
        gate.serve((permit, place), stream, router.clone().layer(Extension(Peer(address))));
    }
    // Whoever comes now is refused at once, and the port is free for the next.
    drop((listener, held));
    gate.drain().await;
    Ok(())
}

/// Serves HTTPS to agents until cancelled; requests carry [`AgentPeer`].
pub async fn agents(
    Port { listener, held }: Port,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    bounds: Bounds,
    counts: Arc<Counts>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    let gate = Arc::new(Gate::new(bounds, counts, cancel));
    while let Some((permit, (stream, address))) = gate.next(|| listener.accept()).await? {
        let Some(place) = gate.place_for(address.ip()) else { continue };
        stream.set_nodelay(true).ok();
        let (acceptor, router, shaking) = (acceptor.clone(), router.clone(), gate.clone());
        gate.tracker.spawn(async move {
            let shaken = tokio::time::timeout(bounds.head, acceptor.accept(stream)).await;
            let key = shaken.as_ref().ok().and_then(|stream| agent_key(stream.as_ref().ok()?));
            match (shaken, key) {
                (Ok(Ok(stream)), Some(key)) => shaking.serve((permit, place), stream, router.layer(Extension(AgentPeer { address, key }))),
                _ => one(&shaking.counts.handshake_failed),
            }
        });
    }
    // Whoever comes now is refused at once, and the port is free for the next.
    drop((listener, held));
    gate.drain().await;
    Ok(())
}

/// Serves the local socket until cancelled; requests carry [`LocalPeer`].
pub async fn local(
    listener: UnixListener,
    router: Router,
    bounds: Bounds,
    counts: Arc<Counts>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let gate = Gate::new(bounds, counts, cancel);
    while let Some((permit, (stream, _))) = gate.next(|| listener.accept()).await? {
        let Ok(peer) = stream.peer_cred() else { continue };
        gate.serve(permit, stream, router.clone().layer(Extension(LocalPeer { uid: peer.uid() })));
    }
    // Whoever comes now is refused at once, and the port is free for the next.
    drop(listener);
    gate.drain().await;
    Ok(())
}

fn agent_key(stream: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> Option<KeyFingerprint> {
    crate::agent_tls::fingerprint(stream.get_ref().1.peer_certificates()?.first()?)
}

fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Lets connections in, and out.
struct Gate {
    bounds: Bounds,
    permits: Arc<Semaphore>,
    places: Places,
    tracker: TaskTracker,
    counts: Arc<Counts>,
    cancel: CancellationToken,
}

type Places = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One connection's place among those of its address, given back when it ends.
struct Place {
    places: Places,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.address);
            }
        }
    }
}

impl Gate {
    fn new(bounds: Bounds, counts: Arc<Counts>, cancel: CancellationToken) -> Self {
        let permits = Arc::new(Semaphore::new(bounds.connections));
        Self { bounds, permits, places: Places::default(), tracker: TaskTracker::new(), counts, cancel }
    }

    /// The next connection; none when cancelled.
    async fn next<T, F: Future<Output = io::Result<T>>>(&self, accept: impl Fn() -> F) -> io::Result<Option<(OwnedSemaphorePermit, T)>> {
        let accepted = self.cancel.run_until_cancelled(async {
            let permit = self.permits.clone().acquire_owned().await.map_err(io::Error::other)?;
            loop {
                match accept().await {
                    Ok(accepted) => return Ok::<_, io::Error>((permit, accepted)),
                    Err(error) => hold_on(error).await?,
                }
            }
        });
        let accepted = accepted.await.transpose()?;
        if accepted.is_some() {
            one(&self.counts.accepted);
        }
        Ok(accepted)
    }

    /// A place for one more connection of an address; none when it has too many.
    fn place_for(&self, address: IpAddr) -> Option<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(address).or_default();
        if *taken >= self.bounds.of_one_address {
            one(&self.counts.too_many_of_address);
            return None;
        }
        *taken += 1;
        Some(Place { places: self.places.clone(), address })
    }

    /// Serves one connection in a task of its own; `held` is let go when it ends.
    fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, held: impl Send + 'static, stream: S, router: Router) {
        let (bounds, counts, cancel) = (self.bounds, self.counts.clone(), self.cancel.clone());
        self.tracker.spawn(async move {
            let _held = held;
            let (stream, progress) = Watched::new(stream);
            let router =
                tower::ServiceExt::<Request>::map_request(router, |request: hyper::Request<Incoming>| request.map(axum::body::Body::new));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(64 * 1024).half_close(true);
            let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = progress.stalls_for(bounds.idle) => one(&counts.idle),
                () = cancel.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        _ = connection => {}
                        () = progress.stalls_for(bounds.idle) => one(&counts.idle),
                    }
                }
            }
        });
    }

    async fn drain(&self) {
        self.tracker.close();
        let _ = tokio::time::timeout(self.bounds.drain, self.tracker.wait()).await;
    }
}

/// Errors of `accept` pass: the peer hung up, or this process has no descriptor left, for which waiting is the cure.
/// One that says that this is no listening socket does not.
async fn hold_on(error: io::Error) -> io::Result<()> {
    use nix::errno::Errno;
    let lasting = [Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK, Errno::EOPNOTSUPP];
    if lasting.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) {
        return Err(error);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
