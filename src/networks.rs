//! What this machine serves on each provisioning network: DHCP, TFTP, boot HTTP, and HTTPS for agents.
//!
//! All of it is bound before a site is accepted; a network that stays as it was is not touched when the site changes. What
//! was accepted once is served whenever the machine can: interfaces come late, vanish, and change their addresses.

mod bind_error;
mod interface;
mod settle;

pub use bind_error::BindError;

use crate::authority::Authority;
use crate::counters::Counter;
use crate::listen::{self, Bounds, Port};
use crate::settings::Settings;
use crate::sites::Serve;
use async_trait::async_trait;
use domain::clock::Clock;
use domain::ports::BoxError;
use domain::site::{Network, Site};
use interface::Found;
use inventory::Inventory;
use pxe::boots::Boots;
use pxe::files::BootFiles;
use pxe::leases::LeaseBook;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, mpsc, watch};
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

/// How long servers that were told to stop may keep their ports: longer than DHCP waits for the store, and TFTP for the
/// end of its transfers.
const LETTING_GO: Duration = Duration::from_secs(5);

type Pairs = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

struct Serving {
    /// The number of the interface.
    interface: u32,
    address: Ipv4Addr,
    cancel: CancellationToken,
    /// Not empty while a port is held.
    ports: TaskTracker,
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

impl Serving {
    /// Whether its sockets are good for an interface as it is now.
    fn fits(&self, found: &Found) -> bool {
        self.interface == found.number && found.own.contains(&self.address)
    }

    /// Waits until its ports are free, so that they can be bound anew.
    async fn stop(self) {
        self.cancel.cancel();
        self.ports.close();
        if tokio::time::timeout(LETTING_GO, self.ports.wait()).await.is_err() {
            let BoundNetwork { network, interface, .. } = self.bound;
            tracing::warn!("network {network} on {interface} was told to stop, and keeps its ports after {LETTING_GO:?}");
        }
    }
}

/// The servers of all networks, by interface.
pub struct Networks {
    shared: Shared,
    cancel: CancellationToken,
    tasks: TaskTracker,
    /// Locked by whoever binds or lets go.
    ready: Mutex<BTreeMap<String, Ready>>,
    serving: StdMutex<BTreeMap<String, Serving>>,
    changed: Notify,
}

impl Networks {
    /// Nothing is served yet.
    pub fn new(shared: Shared, cancel: CancellationToken) -> Self {
        let (tasks, ready, serving) = (TaskTracker::new(), Mutex::default(), StdMutex::default());
        Self { shared, cancel, tasks, ready, serving, changed: Notify::new() }
    }

    /// Where everything is served.
    pub fn bound(&self) -> Vec<BoundNetwork> {
        self.locked().values().map(|serving| serving.bound.clone()).collect()
    }

    /// Waits until something else is bound than before. For one who waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
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

    /// Where a network is to be served; none when it already is.
    fn to_bind(&self, name: &str, network: &Network) -> Result<Option<Found>, BindError> {
        let found = interface::find(name, network)?;
        match self.locked().get(&network.interface) {
            Some(serving) if serving.fits(&found) => Ok(None),
            Some(Serving { address: old, .. }) => {
                Err(BindError::Moved { network: name.to_owned(), interface: network.interface.clone(), old: *old, new: found.own[0] })
            }
            None => Ok(Some(found)),
        }
    }

    /// Whether the site in force has it already, under whatever name. Then it is served as soon as it can be, and no reason
    /// to refuse another site: somebody whose second network is down wants to repair a node of the first.
    fn is_in_force(&self, network: &Network) -> bool {
        let site = self.shared.site.borrow();
        site.networks.values().any(|old| old.interface == network.interface && old.subnet == network.subnet)
    }

    fn bind(&self, name: &str, network: &Network, found: &Found) -> Result<Ready, BindError> {
        let (shared, address) = (&self.shared, found.own[0]);
        let settings = &shared.settings;
        let listen = |server: &'static str, port: u16| {
            let (network, interface, address) = (name.to_owned(), network.interface.clone(), SocketAddr::new(IpAddr::V4(address), port));
            let failed = |source: io::Error| {
                let taken = source.kind() == io::ErrorKind::AddrInUse;
                let holder = taken.then(|| pxe::port_holder::holder_of(pxe::port_holder::Transport::Tcp, port)).flatten();
                BindError::Port { network: network.clone(), server, address, holder, source }
            };
            let listener = interface::listen_on(&interface, address).map_err(failed)?;
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
        let (cancel, ports) = (self.cancel.child_token(), TaskTracker::new());
        let serving = Serving { interface: found.number, address, cancel, ports, bound, counts };
        Ok(Ready { serving, dhcp, tftp, boot: (boot, pxe::http::router(http)), agents: (agents, tls), listeners })
    }

    fn start(&self, ready: Ready) -> Serving {
        let Ready { serving, dhcp, tftp, boot, agents, listeners: [boot_counts, agent_counts] } = ready;
        let cancel = || serving.cancel.clone();
        let port = |listener: TcpListener| Port { listener, held: serving.ports.token() };
        let name = serving.bound.network.clone();
        self.spawn("DHCP", &name, cancel(), serving.ports.track_future(dhcp.run(cancel())));
        self.spawn("TFTP", &name, cancel(), serving.ports.track_future(tftp.run(cancel())));
        self.spawn("boot HTTP", &name, cancel(), listen::plain(port(boot.0), boot.1, Bounds::default(), boot_counts, cancel()));
        let routes = inventory::agent_routes(self.shared.inventory.clone());
        let bounds = Bounds { connections: 8192, ..Bounds::default() };
        self.spawn("agents' HTTPS", &name, cancel(), listen::agents(port(agents.0), agents.1, routes, bounds, agent_counts, cancel()));
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
        let mut new = site.networks.iter().filter(|(_, network)| !self.is_in_force(network));
        Ok(new.try_for_each(|(name, network)| self.to_bind(name, network).map(drop))?)
    }

    async fn prepare(&self, site: &Site) -> Result<(), BoxError> {
        // Held until everything is bound: nothing else may take a port meanwhile.
        let mut ready = self.ready.lock().await;
        let mut prepared = BTreeMap::new();
        for (name, network) in site.networks.iter().filter(|(_, network)| !self.is_in_force(network)) {
            if let Some(found) = self.to_bind(name, network)? {
                prepared.insert(network.interface.clone(), self.bind(name, network, &found)?);
            }
        }
        *ready = prepared;
        Ok(())
    }

    async fn abandon(&self) {
        self.ready.lock().await.clear();
    }

    fn rehome(&self, site: &Site, tell: &mut (dyn FnMut() + Send)) {
        let mut leases = self.shared.leases.table();
        leases.rehome(site);
        tell();
    }

    fn unserved(&self, site: &Site) -> Vec<String> {
        let serving = self.locked();
        site.networks.iter().filter(|(_, network)| !serving.contains_key(&network.interface)).map(|(name, _)| name.clone()).collect()
    }

    async fn switch(&self, site: &Site) {
        // Held until the ports are free that are no longer needed: the next site may need them.
        let mut ready = self.ready.lock().await;
        let started: Vec<_> = std::mem::take(&mut *ready).into_iter().map(|(interface, ready)| (interface, self.start(ready))).collect();
        let mut gone = vec![];
        {
            let mut serving = self.locked();
            serving.extend(started);
            for (interface, mut it) in std::mem::take(&mut *serving) {
                match site.networks.iter().find(|(_, network)| network.interface == interface) {
                    Some((name, _)) => {
                        it.bound.network.clone_from(name);
                        serving.insert(interface, it);
                    }
                    None => gone.push(it),
                }
            }
        }
        gone.iter().for_each(|it| it.cancel.cancel());
        for it in gone {
            it.stop().await;
        }
        self.changed.notify_one();
    }
}
