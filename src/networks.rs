//! What this machine serves on each provisioning network: DHCP, TFTP, boot HTTP, and HTTPS for agents.
//!
//! All of it is bound before a site is accepted; a network that stays as it was is not touched when the site changes.

use crate::authority::{Authority, AuthorityError};
use crate::counters::Counter;
use crate::listen::{self, Bounds};
use crate::settings::Settings;
use crate::sites::Serve;
use async_trait::async_trait;
use domain::clock::Clock;
use domain::ports::BoxError;
use domain::site::{Network, Site};
use inventory::Inventory;
use pxe::boots::Boots;
use pxe::files::BootFiles;
use pxe::leases::LeaseBook;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every network's servers share.
pub struct Shared {
    /// Ports.
    pub settings: Settings,
    /// The files that boots load.
    pub files: Arc<BootFiles>,
    /// Boots under way.
    pub boots: Arc<Boots>,
    /// Leases.
    pub leases: Arc<LeaseBook>,
    /// Nodes.
    pub inventory: Arc<Inventory>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// The site in force.
    pub site: watch::Receiver<Arc<Site>>,
    /// Signs the agents' listener's certificates.
    pub authority: Authority,
    /// Told when a server ends that nobody stopped.
    pub failed: mpsc::UnboundedSender<CoreFailure>,
}

/// A server ended that nobody stopped: the process must end too.
#[derive(Debug, thiserror::Error)]
#[error("{server} on network `{network}` ended")]
pub struct CoreFailure {
    /// DHCP, TFTP, boot HTTP, agents' HTTPS.
    pub server: &'static str,
    /// Which network.
    pub network: String,
    /// Why.
    #[source]
    pub source: BoxError,
}

/// Where a network is served.
#[derive(Debug, Clone, Serialize)]
pub struct BoundNetwork {
    /// Its name in the site.
    pub network: String,
    /// The interface.
    pub interface: String,
    /// DHCP.
    pub dhcp: SocketAddrV4,
    /// TFTP.
    pub tftp: SocketAddrV4,
    /// Boot HTTP.
    pub boot: SocketAddr,
    /// Agents' HTTPS.
    pub agents: SocketAddr,
}

/// How often it is looked whether every network is served.
const SETTLE_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

type Pairs = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

struct Serving {
    address: Ipv4Addr,
    cancel: CancellationToken,
    bound: BoundNetwork,
    counts: Vec<(&'static str, Pairs)>,
}

/// Bound, and answering nobody yet.
struct Ready {
    serving: Serving,
    dhcp: pxe::dhcp::Server,
    tftp: pxe::tftp::Server,
    boot: (TcpListener, axum::Router),
    agents: (TcpListener, Arc<rustls::ServerConfig>),
    listeners: [Arc<listen::Counts>; 2],
}

/// The servers of all networks, by interface.
pub struct Networks {
    shared: Shared,
    cancel: CancellationToken,
    tasks: TaskTracker,
    ready: Mutex<BTreeMap<String, Ready>>,
    serving: StdMutex<BTreeMap<String, Serving>>,
}

impl Networks {
    /// Nothing is served yet.
    pub fn new(shared: Shared, cancel: CancellationToken) -> Self {
        Self { shared, cancel, tasks: TaskTracker::new(), ready: Mutex::default(), serving: StdMutex::default() }
    }

    /// Where everything is served.
    pub fn bound(&self) -> Vec<BoundNetwork> {
        self.locked().values().map(|serving| serving.bound.clone()).collect()
    }

    /// What the servers counted.
    pub fn counters(&self) -> Vec<Counter> {
        let serving = self.locked();
        let of = |serving: &Serving| -> Vec<Counter> {
            let network = &serving.bound.network;
            serving
                .counts
                .iter()
                .flat_map(|(family, pairs)| {
                    pairs().into_iter().map(|(reason, value)| Counter { family, reason, network: network.clone(), value })
                })
                .collect()
        };
        serving.values().flat_map(of).collect()
    }

    /// Waits until all servers have ended; they have been cancelled by then.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Serving>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address that a network is to be served on; none when it already is.
    fn to_bind(&self, name: &str, network: &Network) -> Result<Option<Ipv4Addr>, BindError> {
        let own = own_addresses(name, network)?;
        match self.locked().get(&network.interface).map(|serving| serving.address) {
            Some(old) if own.contains(&old) => Ok(None),
            Some(old) => Err(BindError::Moved { network: name.to_owned(), interface: network.interface.clone(), old, new: own[0] }),
            None => Ok(Some(own[0])),
        }
    }

    /// Serves what of a site can be served now, and says what cannot. An interface whose address has changed is let go
    /// first, so that the next call serves it anew.
    pub async fn settle(&self, site: &Site) -> Vec<BindError> {
        let preparing = self.ready.lock().await;
        let mut errors = vec![];
        for (name, network) in &site.networks {
            if preparing.contains_key(&network.interface) {
                continue;
            }
            let bound =
                self.to_bind(name, network).and_then(|address| address.map(|address| self.bind(name, network, address)).transpose());
            match bound {
                Ok(None) => {}
                Ok(Some(ready)) => {
                    let serving = self.start(ready);
                    self.locked().insert(network.interface.clone(), serving);
                }
                Err(error) => {
                    if matches!(error, BindError::Moved { .. })
                        && let Some(old) = self.locked().remove(&network.interface)
                    {
                        old.cancel.cancel();
                    }
                    errors.push(error);
                }
            }
        }
        errors
    }

    /// Goes on settling until cancelled: interfaces come late, vanish, and change their addresses.
    pub async fn keep_settled(self: Arc<Self>, cancel: CancellationToken) {
        let mut said: Vec<String> = vec![];
        while cancel.run_until_cancelled(tokio::time::sleep(SETTLE_EVERY)).await.is_some() {
            let site = self.shared.site.borrow().clone();
            let before: Vec<_> = self.bound().into_iter().map(|bound| (bound.interface, bound.boot)).collect();
            let errors: Vec<String> = self.settle(&site).await.iter().map(|error| crate::chain(error)).collect();
            for bound in self.bound().iter().filter(|bound| !before.contains(&(bound.interface.clone(), bound.boot))) {
                tracing::info!("network {} is served on {} again, boot HTTP at {}", bound.network, bound.interface, bound.boot);
            }
            for error in errors.iter().filter(|error| !said.contains(error)) {
                tracing::error!("not served for now, and tried again every {} s: {error}", SETTLE_EVERY.as_secs());
            }
            said = errors;
        }
    }

    fn bind(&self, name: &str, network: &Network, address: Ipv4Addr) -> Result<Ready, BindError> {
        let shared = &self.shared;
        let settings = &shared.settings;
        let listen = |server: &'static str, port: u16| {
            let (network, interface, address) = (name.to_owned(), network.interface.clone(), SocketAddr::new(IpAddr::V4(address), port));
            let failed = |source: io::Error| {
                let taken = source.kind() == io::ErrorKind::AddrInUse;
                let holder = taken.then(|| pxe::port_holder::holder_of(pxe::port_holder::Transport::Tcp, port)).flatten();
                BindError::Port { network: network.clone(), server, address, holder, source }
            };
            let listener = bind_on(&interface, address).map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            Ok::<_, BindError>((listener, bound))
        };
        let (agents, agents_at) = listen("agents' HTTPS", settings.agents_port)?;
        let (boot, boot_at) = listen("boot HTTP", settings.boot_port)?;
        let tls = {
            let (chain, key) = shared.authority.issue(&[IpAddr::V4(address)])?;
            Arc::new(crate::agent_tls::server_config(chain, key)?)
        };
        let tftp = pxe::tftp::Server::bind(
            pxe::tftp::Settings {
                interface: Some(network.interface.clone()),
                ..pxe::tftp::Settings::new(SocketAddrV4::new(address, settings.tftp_port))
            },
            pxe::tftp::Shared {
                files: shared.files.clone(),
                boots: shared.boots.clone(),
                leases: shared.leases.clone(),
                clock: shared.clock.clone(),
            },
        )
        .map_err(|source| BindError::Tftp { network: name.to_owned(), source })?;
        let dhcp_counts = Arc::new(pxe::dhcp::Counts::default());
        let dhcp = pxe::dhcp::Server::bind(pxe::dhcp::Settings {
            interface: network.interface.clone(),
            address,
            port: settings.dhcp_port,
            http_port: boot_at.port(),
            site: shared.site.clone(),
            directory: shared.inventory.clone(),
            boots: shared.boots.clone(),
            leases: shared.leases.clone(),
            clock: shared.clock.clone(),
            counts: dhcp_counts.clone(),
        })
        .map_err(|source| BindError::Dhcp { network: name.to_owned(), source })?;
        let http = pxe::http::BootHttp {
            boots: shared.boots.clone(),
            leases: shared.leases.clone(),
            directory: shared.inventory.clone(),
            site: shared.site.clone(),
            clock: shared.clock.clone(),
            files: shared.files.clone(),
            counts: Arc::default(),
            here: pxe::http::Here {
                address,
                http_port: boot_at.port(),
                agents_port: agents_at.port(),
                pin: shared.authority.fingerprint(),
            },
        };
        let bound = BoundNetwork {
            network: name.to_owned(),
            interface: network.interface.clone(),
            dhcp: SocketAddrV4::new(address, dhcp.port()),
            tftp: tftp.local_addr(),
            boot: boot_at,
            agents: agents_at,
        };
        let listeners: [Arc<listen::Counts>; 2] = Default::default();
        let [boot_connections, agent_connections] = listeners.clone();
        let (tftp_counts, http_counts) = (tftp.counts(), http.counts.clone());
        let counts: Vec<(&'static str, Pairs)> = vec![
            ("dhcp_events", Box::new(move || dhcp_counts.pairs())),
            ("tftp_events", Box::new(move || tftp_counts.pairs())),
            ("boot_http_events", Box::new(move || http_counts.pairs())),
            ("boot_http_connections", Box::new(move || boot_connections.pairs())),
            ("agent_connections", Box::new(move || agent_connections.pairs())),
        ];
        let serving = Serving { address, cancel: self.cancel.child_token(), bound, counts };
        Ok(Ready { serving, dhcp, tftp, boot: (boot, pxe::http::router(http)), agents: (agents, tls), listeners })
    }

    fn start(&self, ready: Ready) -> Serving {
        let Ready { serving, dhcp, tftp, boot, agents, listeners: [boot_counts, agent_counts] } = ready;
        let cancel = || serving.cancel.clone();
        let name = serving.bound.network.clone();
        self.spawn("DHCP", &name, cancel(), dhcp.run(cancel()));
        self.spawn("TFTP", &name, cancel(), tftp.run(cancel()));
        self.spawn("boot HTTP", &name, cancel(), listen::plain(boot.0, boot.1, Bounds::default(), boot_counts, cancel()));
        let routes = inventory::agent_routes(self.shared.inventory.clone());
        self.spawn(
            "agents' HTTPS",
            &name,
            cancel(),
            listen::agents(agents.0, agents.1, routes, Bounds { connections: 8192, ..Bounds::default() }, agent_counts, cancel()),
        );
        serving
    }

    fn spawn<E: Into<BoxError>>(
        &self,
        server: &'static str,
        network: &str,
        cancel: CancellationToken,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let (failed, network) = (self.shared.failed.clone(), network.to_owned());
        self.tasks.spawn(async move {
            let ended = work.await;
            if !cancel.is_cancelled() {
                let source = ended.err().map_or_else(|| "it stopped by itself".into(), Into::into);
                let _ = failed.send(CoreFailure { server, network, source });
            }
        });
    }
}

#[async_trait]
impl Serve for Networks {
    fn could_serve(&self, site: &Site) -> Result<(), BoxError> {
        Ok(site.networks.iter().try_for_each(|(name, network)| self.to_bind(name, network).map(drop))?)
    }

    async fn prepare(&self, site: &Site) -> Result<(), BoxError> {
        // Held until everything is bound: nothing else may take a port meanwhile.
        let mut ready = self.ready.lock().await;
        // What an earlier site had bound that was then not kept would be in its own way.
        ready.clear();
        let mut prepared = BTreeMap::new();
        for (name, network) in &site.networks {
            if let Some(address) = self.to_bind(name, network)? {
                prepared.insert(network.interface.clone(), self.bind(name, network, address)?);
            }
        }
        *ready = prepared;
        Ok(())
    }

    fn rehome(&self, site: &Site) {
        self.shared.leases.table().rehome(site);
    }

    async fn switch(&self, site: &Site) {
        let ready = std::mem::take(&mut *self.ready.lock().await);
        let started: Vec<_> = ready.into_iter().map(|(interface, ready)| (interface, self.start(ready))).collect();
        let mut serving = self.locked();
        serving.extend(started);
        serving.retain(|interface, serving| {
            let wanted = site.networks.iter().find(|(_, network)| network.interface == *interface);
            match wanted {
                Some((name, _)) => serving.bound.network.clone_from(name),
                None => serving.cancel.cancel(),
            }
            wanted.is_some()
        });
    }
}
