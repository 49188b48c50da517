//! Start, run, stop.
//!
//! DHCP, TFTP, boot HTTP and the store are the core: when one of them ends, the process ends, and says why.

use crate::api::{self, Api};
use crate::authority::Authority;
use crate::clock::ProcessClock;
use crate::counters::Counter;
use crate::listen::{self, Bounds};
use crate::networks::{BindError, BoundNetwork, CoreFailure, Networks, Shared};
use crate::settings::Settings;
use crate::sites::Sites;
use crate::transfers::Transfers;
use domain::boot::{IPXE_BIOS, IPXE_UEFI};
use domain::clock::Clock;
use domain::history::Retention;
use domain::ports::{BoxError, Store, StoreError};
use inventory::Inventory;
use pxe::boots::Boots;
use pxe::files::{AUTHORITY, BootFiles, KERNEL, RAMDISK};
use pxe::leases::LeaseBook;
use serde::Serialize;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::OpenStore;
use store::transfer::Switchable;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why the service did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A folder or file of its own.
    #[error("could not {attempted} {path}")]
    File {
        /// make, open, write.
        attempted: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another service has this state folder.
    #[error("another overture service is using {0}: stop it, or name another folder with --state")]
    InUse(PathBuf),
    /// Something answers at the socket.
    #[error("another service answers at {0}: stop it, or name another socket with --socket")]
    SocketInUse(PathBuf),
    /// The store was opened, and what it holds cannot be read.
    #[error("the store {place} cannot be used: restore it from a backup, or move it away to start with an empty store")]
    Unreadable {
        /// The database.
        place: String,
        /// What cannot be read.
        #[source]
        source: StoreError,
    },
    /// A part could not start.
    #[error("the service could not start")]
    Start(#[source] BoxError),
    /// A core part ended.
    #[error("the service ends")]
    Core(#[source] BoxError),
}

/// What the service listens on.
#[derive(Debug, Serialize)]
struct Bound {
    pid: u32,
    operators: PathBuf,
    networks: Vec<BoundNetwork>,
}

/// Runs the service until a signal or a failure.
pub fn run_to_the_end(settings: Settings, bound_file: Option<PathBuf>) -> Result<(), ServiceError> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| ServiceError::Start(error.into()))?;
    let ended = runtime.block_on(serve(settings, bound_file));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

/// A hall of agents waits for orders, each on a connection; the usual soft limit of 1024 is made for `select(2)`.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const ENOUGH: u64 = 65_536;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard.min(ENOUGH)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard)
    {
        tracing::warn!("the limit of open files stays at {soft}: {error}");
    }
}

async fn serve(settings: Settings, bound_file: Option<PathBuf>) -> Result<(), ServiceError> {
    let start = |error: BoxError| ServiceError::Start(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| start(error.into()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| start(error.into()))?;
    make_state_folder(&settings.state)?;
    let _lock = lock(&settings.state)?;
    let clock: Arc<dyn Clock> = Arc::new(ProcessClock::start());
    let location = settings.store_location();
    // Both wait for the disk, so they do it at the same time.
    let keys = settings.state.clone();
    let authority = tokio::task::spawn_blocking(move || Authority::load_or_make(&keys));
    let store = Arc::new(Switchable::new(store::open(&location).await.map_err(|error| start(error.into()))?));
    let unreadable = |source: StoreError| match source {
        source @ StoreError::Corrupt { .. } => ServiceError::Unreadable { place: store.place().to_string(), source },
        source => start(source.into()),
    };
    let authority = authority.await.map_err(|error| start(error.into()))?.map_err(|error| start(error.into()))?;
    let cancel = CancellationToken::new();
    let (failed, mut failures) = mpsc::unbounded_channel();

    let sites = Arc::new(Sites::restore(store.clone(), clock.clone()).await.map_err(unreadable)?);
    let boots = Arc::new(Boots::restore(store.clone(), clock.clone()).await.map_err(unreadable)?);
    let leases = Arc::new(LeaseBook::restore(store.clone(), clock.now()).await.map_err(unreadable)?);
    leases.table().rehome(&sites.watch().borrow());
    let inventory = Arc::new(Inventory::restore(store.clone(), boots.clone(), sites.watch(), clock.clone()).await.map_err(unreadable)?);
    // Before anybody is answered: a restored store does not know which addresses were given since its backup.
    let transfers = Transfers::start(store.clone(), clock.clone(), leases.clone(), inventory.clone()).await.map_err(unreadable)?;
    let transfers = Arc::new(transfers);
    let files = Arc::new(boot_files(&settings, &authority));
    warn_of_missing_files(&files).await;
    let shared = Shared {
        settings: settings.clone(),
        files,
        boots: boots.clone(),
        leases: leases.clone(),
        inventory: inventory.clone(),
        clock: clock.clone(),
        site: sites.watch(),
        authority,
        failed,
    };
    let networks = Arc::new(Networks::new(shared, cancel.child_token()));
    load_site(&settings, &sites, &networks, &inventory).await.map_err(start)?;

    let counters = {
        let (networks, inventory, store) = (networks.clone(), inventory.clone(), store.clone());
        Arc::new(move || counters(&networks, &inventory, &*store))
    };
    let api = Api {
        inventory: inventory.clone(),
        sites,
        serve: networks.clone(),
        leases,
        store: store.clone() as Arc<dyn Store>,
        watching: transfers.watching(),
        transfers,
        clock,
        counters,
        writes: Default::default(),
    };
    let socket = bind_socket(&settings.socket)?;
    let operators = tokio::spawn(listen::local(
        socket,
        api::router(api),
        Bounds { connections: 256, ..Bounds::default() },
        Arc::default(),
        cancel.child_token(),
    ));
    announce(&settings, &networks, bound_file.as_deref())?;
    let settling = tokio::spawn(networks.clone().keep_settled(cancel.child_token()));
    let telling = tokio::spawn(keep_told(settings.clone(), networks.clone(), bound_file.clone(), cancel.child_token()));
    let pruning = tokio::spawn(keep_pruned(settings.clone(), inventory.clone(), cancel.child_token()));

    let ended = tokio::select! {
        _ = terminate.recv() => { tracing::info!("stopping: SIGTERM"); Ok(()) }
        _ = interrupt.recv() => { tracing::info!("stopping: SIGINT"); Ok(()) }
        Some(failure) = failures.recv() => Err(core(failure)),
        error = store.run_until_failure() => Err(ServiceError::Core(error.into())),
    };
    inventory.stop();
    cancel.cancel();
    let _ = tokio::join!(settling, telling, pruning);
    networks.ended().await;
    let _ = operators.await;
    store.close().await;
    remove(&settings.socket);
    if let Some(file) = &bound_file {
        remove(file);
    }
    ended
}

fn core(failure: CoreFailure) -> ServiceError {
    ServiceError::Core(failure.into())
}

fn counters(networks: &Networks, inventory: &Inventory, store: &dyn OpenStore) -> Vec<Counter> {
    let mut all = networks.counters();
    let plain = |family, reason, value| Counter { family, reason, network: String::new(), value };
    all.extend(inventory.counters().into_iter().map(|(reason, value)| plain("inventory_events", reason, value)));
    let stats = store.stats();
    // With those that the database did not take after they had been accepted.
    all.push(plain("explain_notes", "lost", stats.notes_lost));
    all.extend(
        [("commits", stats.commits), ("written", stats.written), ("failures", stats.failures)]
            .map(|(reason, value)| plain("store_events", reason, value)),
    );
    all
}

fn boot_files(settings: &Settings, authority: &Authority) -> BootFiles {
    let files = BootFiles::new();
    files.insert_file(KERNEL, settings.boot_files.join(KERNEL));
    files.insert_file(RAMDISK, settings.boot_files.join(RAMDISK));
    files.insert_file(IPXE_BIOS, settings.ipxe.join(IPXE_BIOS));
    files.insert_file(IPXE_UEFI, settings.ipxe.join(IPXE_UEFI));
    files.insert_bytes(AUTHORITY, authority.pem().as_bytes().to_vec());
    files
}

/// Machines are answered all the same, and told to wait; but who starts the service should not learn it from them.
async fn warn_of_missing_files(files: &BootFiles) {
    let mends = [
        (IPXE_BIOS, "install the package ipxe, or set boot.ipxe"),
        (IPXE_UEFI, "install the package ipxe, or set boot.ipxe"),
        (KERNEL, "run `overture ramdisk build`, or set boot.files"),
        (RAMDISK, "run `overture ramdisk build`, or set boot.files"),
    ];
    for (name, mend) in mends {
        if let Err(error) = files.open(name).await {
            tracing::warn!("{name} cannot be given to machines ({}): {mend}", crate::chain(&error));
        }
    }
}

/// The store's site, or, when it has none, the one that the settings name.
async fn load_site(settings: &Settings, sites: &Sites, networks: &Networks, inventory: &Inventory) -> Result<(), BoxError> {
    match (sites.current().await, &settings.site) {
        (Some(revision), folder) => {
            if let Some(folder) = folder {
                let (number, folder) = (revision.number, folder.display());
                tracing::info!("revision {number} of the site is in force; only an empty store loads {folder}: `overture apply {folder}`");
            }
            // A site that was accepted once must not keep the service from starting when an interface is late or gone:
            // without the service, no other site could be applied. A port that somebody else has is another matter.
            let lasting = |error: &BindError| !matches!(error, BindError::NoInterface { .. } | BindError::NoAddress { .. });
            if let Some(error) = networks.settle().await.errors.into_iter().find(lasting) {
                return Err(error.into());
            }
            // The service may have ended between keeping the revision and naming its nodes.
            if let Err(error) = inventory.apply_site(&revision.site).await {
                tracing::error!("nodes could not be given the names that the site declares: {}", crate::chain(&error));
            }
        }
        (None, Some(folder)) => {
            let files = crate::site::read_files(folder)?;
            let outcome = sites.apply(files, folder.display().to_string(), false, networks).await?;
            if let Some(revision) = outcome.revision {
                inventory.apply_site(&revision.site).await?;
            }
        }
        (None, None) => tracing::warn!("no site was applied yet, so nothing is answered: run `overture apply FOLDER`"),
    }
    Ok(())
}

pub(crate) fn make_state_folder(path: &Path) -> Result<(), ServiceError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| ServiceError::File {
        attempted: "make the folder",
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn lock(state: &Path) -> Result<nix::fcntl::Flock<std::fs::File>, ServiceError> {
    let path = state.join("lock");
    // For its owner only: whoever can open it can lock it, and keep the service from starting.
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|source| ServiceError::File { attempted: "write", path, source })?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|_| ServiceError::InUse(state.to_owned()))
}

/// Listens on the local socket: mode 0660, of the group `overture` where there is one.
fn bind_socket(path: &Path) -> Result<UnixListener, ServiceError> {
    let failed = |attempted| move |source| ServiceError::File { attempted, path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ServiceError::SocketInUse(path.to_owned()));
    }
    remove(path);
    // Nobody else may connect between the binding and the change of its mode.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = listener.map_err(failed("listen on"))?;
    if let Ok(Some(group)) = nix::unistd::Group::from_name("overture") {
        nix::unistd::chown(path, None, Some(group.gid)).map_err(|error| failed("give to the group `overture`")(error.into()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed("set the mode of"))?;
    Ok(listener)
}

fn remove(path: &Path) {
    let is_ours = std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir());
    if is_ours && let Err(error) = std::fs::remove_file(path) {
        tracing::warn!("could not remove {}: {error}", path.display());
    }
}

fn announce(settings: &Settings, networks: &Networks, file: Option<&Path>) -> Result<(), ServiceError> {
    let bound = bound(settings, networks);
    // A standard output that is closed is no reason to stop.
    let mut out = io::stdout();
    for network in &bound.networks {
        let _ = writeln!(
            out,
            "network {} on {}: DHCP {}, TFTP {}, boot HTTP {}, agents' HTTPS {}",
            network.network, network.interface, network.dhcp, network.tftp, network.boot, network.agents
        );
    }
    let _ = writeln!(out, "operators: {}", bound.operators.display());
    file.map_or(Ok(()), |file| write_bound(&bound, file))
}

/// Lets go of history that is older than the settings say: a part at a time, so that reports need not wait for it.
async fn keep_pruned(settings: Settings, inventory: Arc<Inventory>, cancel: CancellationToken) {
    const PAUSE: Duration = Duration::from_secs(3600);
    const BETWEEN: Duration = Duration::from_millis(50);
    loop {
        let days = i64::from(settings.history_days);
        let before = domain::clock::after_seconds(inventory.now(), -days * 86_400);
        let retention = Retention { before, most_reports: settings.history_reports };
        let pause = match inventory.prune_once(&retention).await {
            Ok(0) => PAUSE,
            Ok(_) => BETWEEN,
            Err(error) => {
                tracing::warn!("old history was not let go: {}", crate::chain(&error));
                PAUSE
            }
        };
        if cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Keeps the file of what is bound as it is. The standard output tells the start only, the log what follows.
async fn keep_told(settings: Settings, networks: Arc<Networks>, file: Option<PathBuf>, cancel: CancellationToken) {
    let Some(file) = file else { return };
    while cancel.run_until_cancelled(networks.changed()).await.is_some() {
        if let Err(error) = write_bound(&bound(&settings, &networks), &file) {
            tracing::warn!("what is bound could not be told: {}", crate::chain(&error));
        }
    }
}

fn bound(settings: &Settings, networks: &Networks) -> Bound {
    Bound { pid: std::process::id(), operators: settings.socket.clone(), networks: networks.bound() }
}

fn write_bound(bound: &Bound, path: &Path) -> Result<(), ServiceError> {
    let failed = |source| ServiceError::File { attempted: "write", path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, serde_json::to_vec_pretty(bound).unwrap_or_default()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
