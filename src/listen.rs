//! Accepting HTTP connections: plain TCP, TLS with the agent's key, and the local socket. Each with bounds.

use axum::Router;
use axum::extract::Extension;
use domain::ticket::KeyFingerprint;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use inventory::AgentPeer;
use pxe::http::Peer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for the head of a request, and for a TLS handshake.
    pub head: Duration,
    /// Time that connections have to finish when the service stops.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 1024, head: Duration::from_secs(15), drain: Duration::from_secs(5) }
    }
}

/// Who is at the other end of the local socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalPeer {
    /// Its user, as the kernel says (SO_PEERCRED).
    pub uid: u32,
}

/// Serves plain HTTP until cancelled; requests carry [`Peer`].
pub async fn plain(listener: TcpListener, router: Router, bounds: Bounds, cancel: CancellationToken) -> io::Result<()> {
    let gate = Gate::new(bounds, cancel.clone());
    while let Some((permit, accepted)) = gate.next(listener.accept()).await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                hold_on(&error).await?;
                continue;
            }
        };
        stream.set_nodelay(true).ok();
        let router = router.clone().layer(Extension(Peer(address)));
        gate.serve(permit, stream, router);
    }
    gate.drain().await;
    Ok(())
}

/// Serves HTTPS to agents until cancelled; requests carry [`AgentPeer`].
pub async fn agents(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    bounds: Bounds,
    cancel: CancellationToken,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    let gate = Arc::new(Gate::new(bounds, cancel.clone()));
    while let Some((permit, accepted)) = gate.next(listener.accept()).await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                hold_on(&error).await?;
                continue;
            }
        };
        stream.set_nodelay(true).ok();
        let (acceptor, router, handshaking) = (acceptor.clone(), router.clone(), gate.clone());
        gate.tracker.spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(bounds.head, acceptor.accept(stream)).await else { return };
            let Some(key) = agent_key(&stream) else { return };
            let router = router.layer(Extension(AgentPeer { address, key }));
            handshaking.serve(permit, stream, router);
        });
    }
    gate.drain().await;
    Ok(())
}

/// Serves the local socket until cancelled; requests carry [`LocalPeer`].
pub async fn local(listener: UnixListener, router: Router, bounds: Bounds, cancel: CancellationToken) -> io::Result<()> {
    let gate = Gate::new(bounds, cancel.clone());
    while let Some((permit, accepted)) = gate.next(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                hold_on(&error).await?;
                continue;
            }
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let router = router.clone().layer(Extension(LocalPeer { uid: peer.uid() }));
        gate.serve(permit, stream, router);
    }
    gate.drain().await;
    Ok(())
}

fn agent_key(stream: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> Option<KeyFingerprint> {
    crate::agent_tls::fingerprint(stream.get_ref().1.peer_certificates()?.first()?)
}

/// Errors of `accept` pass: the peer hung up, or this process has no descriptor left, for which waiting is the cure.
async fn hold_on(error: &io::Error) -> io::Result<()> {
    const NOT_A_SOCKET: [i32; 3] = [9, 22, 88];
    if error.raw_os_error().is_some_and(|code| NOT_A_SOCKET.contains(&code)) {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

struct Gate {
    bounds: Bounds,
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

type Permit = tokio::sync::OwnedSemaphorePermit;

impl Gate {
    fn new(bounds: Bounds, cancel: CancellationToken) -> Self {
        Self { bounds, permits: Arc::new(Semaphore::new(bounds.connections)), tracker: TaskTracker::new(), cancel }
    }

    async fn next<T>(&self, accept: impl Future<Output = T>) -> Option<(Permit, T)> {
        self.cancel
            .run_until_cancelled(async {
                let permit = self.permits.clone().acquire_owned().await.ok()?;
                Some((permit, accept.await))
            })
            .await
            .flatten()
    }

    fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, permit: Permit, stream: S, router: Router) {
        let (head, cancel) = (self.bounds.head, self.cancel.clone());
        self.tracker.spawn(async move {
            let _permit = permit;
            let service = TowerToHyperService::new(tower::ServiceExt::<axum::extract::Request>::map_request(
                router,
                |request: hyper::Request<Incoming>| request.map(axum::body::Body::new),
            ));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(64 * 1024).half_close(true);
            let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = cancel.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }

    async fn drain(&self) {
        self.tracker.close();
        let _ = tokio::time::timeout(self.bounds.drain, self.tracker.wait()).await;
    }
}
