//! Boot HTTP: what iPXE, UEFI HTTP boot and the ramdisk fetch.
//!
//! ```text
//! GET /boot.ipxe            the first script, the same for all
//! GET /ipxe?mac=…&serial=…  the script of one machine, with its ticket
//! GET /boot/{file}          kernel, ramdisk, iPXE, the authority's certificate; HEAD, Range, ETag
//! ```
//!
//! Only routes: listening, time limits and the number of connections are the caller's, who says with [`Peer`] who asks.
//! Everything here is public on its network but the ticket, which goes to the address leased to the machine.

mod file;
mod range;
mod script;
mod sent;

use crate::boots::Boots;
use crate::counts::{counters, one};
use crate::files::{AUTHORITY, BootFiles};
use crate::ipxe::{self, Scripts};
use crate::leases::LeaseBook;
use crate::log_limit::LogLimit;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::clock::Clock;
use domain::ports::Directory;
use domain::site::Site;
use domain::timeline::Protocol;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// The longest path and query that are looked at, bytes each.
const LONGEST_TARGET: usize = 2048;

/// Who is at the other end of the connection: an extension of each request, put there by the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How machines of one network reach this service; one for each listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The address of this service on that network.
    pub address: Ipv4Addr,
    /// The port of boot HTTP, as bound.
    pub http_port: u16,
    /// The port of the agents' HTTPS, as bound.
    pub agents_port: u16,
    /// SHA-256 of the authority's certificate (DER), 64 hexadecimal digits.
    pub pin: String,
}

/// What the routes need.
#[derive(Clone)]
pub struct BootHttp {
    /// Gives tickets, takes notes.
    pub boots: Arc<Boots>,
    /// Knows which machine has an address.
    pub leases: Arc<LeaseBook>,
    /// Knows the nodes.
    pub directory: Arc<dyn Directory>,
    /// The site in force.
    pub site: watch::Receiver<Arc<Site>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The table of files.
    pub files: Arc<BootFiles>,
    /// What happened; shared by the listeners of all networks.
    pub counts: Arc<Counts>,
    /// How this listener is reached.
    pub here: Here,
}

counters! {
    /// What happened, by reason.
    Counts {
        /// First scripts.
        first_scripts,
        /// Scripts of machines, with whatever they said.
        scripts,
        /// Tickets that were given.
        tickets,
        /// Tickets that were refused.
        tickets_refused,
        /// Questions for a script that could not be read.
        malformed_asks,
        /// Scripts for an address of no network.
        strangers,
        /// Scripts that said that the ramdisk is missing.
        no_ramdisk,
        /// Files sent to their end, parts of files too.
        files,
        /// Files whose reader went away.
        files_aborted,
        /// Questions for a file's headers only.
        files_heads,
        /// Files that the asker already had.
        files_not_modified,
        /// Ranges outside their file.
        bad_ranges,
        /// Files that the table has and the disk does not give.
        unreadable_files,
        /// Paths that are not served.
        not_found,
        /// Methods other than GET and HEAD.
        bad_methods,
        /// Paths or queries beyond their bound.
        too_long,
    }
}

/// RFC 3339 with milliseconds, UTC; the agents' service sends it too.
const TIME_HEADER: &str = "overture-time";

struct Serving {
    http: BootHttp,
    scripts: Scripts,
    log: LogLimit,
}

impl Serving {
    /// Warns, unless somebody makes it warn all the time.
    fn warn(&self, line: &str) {
        if let Some(held_back) = self.log.admits() {
            tracing::warn!(held_back, "{line}");
        }
    }
}

/// The routes. Every request needs a [`Peer`] among its extensions.
pub fn router(http: BootHttp) -> Router {
    // By hand, because firmware and shim ask for `/boot//name` too, and a router would call that another path.
    Router::new().fallback(answer).with_state(Arc::new(Serving { http, scripts: Scripts::new(), log: LogLimit::default() }))
}

async fn answer(State(serving): State<Arc<Serving>>, request: Request) -> Response {
    let counts = &serving.http.counts;
    let Some(peer) = request.extensions().get::<Peer>().and_then(|peer| v4(peer.0.ip())) else {
        return plain(StatusCode::FORBIDDEN, "boot HTTP answers IPv4 only");
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        one(&counts.bad_methods);
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let query = request.uri().query().unwrap_or_default();
    if request.uri().path().len() > LONGEST_TARGET || query.len() > LONGEST_TARGET {
        one(&counts.too_long);
        return plain(StatusCode::URI_TOO_LONG, "the path or the query is too long");
    }
    let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
    match path[..] {
        ["boot.ipxe"] => serving.first_script(peer),
        ["ipxe"] => serving.node_script(peer, query).await,
        ["boot", name] => {
            let mut response = serving.file(peer, name, request.method(), request.headers()).await;
            if name == AUTHORITY {
                serving.tell_the_time(&mut response);
            }
            response
        }
        _ => not_found(counts),
    }
}

impl Serving {
    /// The certificate is the first thing that an agent asks for: from the time of the answer it knows how wrong its
    /// machine's clock is before it reports.
    fn tell_the_time(&self, response: &mut Response) {
        if let Ok(now) = HeaderValue::from_str(&format!("{:.3}", self.http.clock.now())) {
            response.headers_mut().insert(TIME_HEADER, now);
        }
    }

    fn first_script(&self, peer: Ipv4Addr) -> Response {
        one(&self.http.counts.first_scripts);
        self.http.note_at(peer, "script", "asked for the first script".into(), None);
        script_response(ipxe::FIRST.into())
    }
}

impl BootHttp {
    /// Notes a step of the boot of the machine that has an address; nothing for an address that nobody has leased.
    fn note_at(&self, address: Ipv4Addr, event: &str, message: String, rule: Option<String>) {
        if let Some(lease) = self.leases.holder_of(address, self.clock.now()) {
            self.boots.note_for(lease.mac, Protocol::Http, event, message, rule);
        }
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn not_found(counts: &Counts) -> Response {
    one(&counts.not_found);
    plain(StatusCode::NOT_FOUND, "there is no such file here")
}

fn plain(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{why}\n")).into_response()
}

fn script_response(text: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}
