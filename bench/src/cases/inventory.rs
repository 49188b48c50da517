//! Reports taken in, kept and found again: as many as there are machines, then ten more of each that say nothing new.
//!
//! Everything of the service takes part but sockets and TLS: boots, tickets, the agents' routes, the inventory, the store.
//! A report counts when its answer is there, so when it is on disk.

use super::Case;
use crate::contestants::{Contestant, Programs, Setup};
use crate::fleet;
use crate::report::{Goal, Sample};
use anyhow::{Context, bail, ensure};
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use domain::boot::{Asker, Speaker};
use domain::clock::Clock;
use domain::search::{Columns, Mistake, Query, Sort};
use domain::site::Site;
use domain::ticket::KeyFingerprint;
use domain::{MacAddr, NodeId, Timestamp};
use inventory::search::{Ask, Bounds};
use inventory::{AgentPeer, Inventory, Moment, agent_routes};
use pxe::boots::Boots;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Location, OpenStore};
use tests_peers::Postgres;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;
use uuid::Uuid;

/// Reports under way at once.
const IN_FLIGHT: usize = 64;
/// Machines that are started before they report: fewer than boots are remembered.
const AT_ONCE: u64 = 10_000;
/// How many machines report again.
const AGAIN: u64 = 1000;
/// How often they do.
const TIMES: u64 = 10;
/// How many questions of a kind are asked.
const QUESTIONS: usize = 500;

/// The inventory with so many machines.
pub struct OfMachines {
    /// How many.
    pub machines: u64,
    /// The case's name.
    pub name: &'static str,
    /// A line about it.
    pub about: &'static str,
    /// In how many rounds it takes part.
    pub rounds: u32,
}

impl Case for OfMachines {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn contestants(&self) -> &'static [&'static str] {
        &["sqlite", "postgres", "sqlite alone"]
    }

    fn goals(&self) -> Vec<Goal> {
        let below = |measure, below| Goal { contestant: "sqlite", measure, below, unit: "ms" };
        let mut goals = vec![below("filtered page, p99", 10.0), below("one node, p99", 10.0), below("text search, p99", 10.0)];
        // 2,000 a second.
        goals.push(Goal { contestant: "sqlite", measure: "time a first report", below: 0.5, unit: "ms" });
        goals
    }

    fn round(&self, programs: &Programs, contestant: &dyn Contestant, round: u32) -> anyhow::Result<Vec<Sample>> {
        if round >= self.rounds {
            return Ok(vec![]);
        }
        let folder = tempfile::Builder::new().prefix("ovbench-inventory").tempdir()?;
        if contestant.name() == "sqlite alone" {
            return alone(programs, contestant, folder.path());
        }
        let postgres = if contestant.name() == "postgres" { Some(Postgres::start()) } else { None };
        let location = match &postgres {
            Some(postgres) => Location::Postgres(postgres.default_url().parse().context("the URL of Postgres")?),
            None => Location::Sqlite(folder.path().join("overture.db")),
        };
        let bytes = || match &postgres {
            Some(postgres) => of_folder(postgres.folder()),
            None => of_folder(folder.path()),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(measure(self.machines, &location, &bytes))
    }
}

fn alone(programs: &Programs, contestant: &dyn Contestant, folder: &Path) -> anyhow::Result<Vec<Sample>> {
    let rows = 5000;
    let mut command = contestant.command(programs, &Setup { folder, files: None })?;
    let output = command.args([rows.to_string(), fleet::report(0, "b", 0).len().to_string()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rate: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(vec![Sample::new("first reports", "/s", rate), Sample::new("time a first report", "ms", 1000.0 / rate)])
}

fn of_folder(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => of_folder(&entry.path()),
            Ok(found) => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
            Err(_) => 0,
        })
        .sum()
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The service without its sockets.
struct Service {
    store: Arc<dyn OpenStore>,
    boots: Arc<Boots>,
    inventory: Arc<Inventory>,
    routes: axum::Router,
    transactions: AtomicU64,
}

impl Service {
    async fn open(location: &Location) -> anyhow::Result<Self> {
        let store = store::open(location).await?;
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let boots = Arc::new(Boots::restore(store.clone(), clock.clone()).await?);
        let (_, site) = watch::channel(Arc::new(Site::default()));
        let inventory = Arc::new(Inventory::restore(store.clone(), boots.clone(), site, clock).await?);
        let routes = agent_routes(inventory.clone());
        Ok(Self { store, boots, inventory, routes, transactions: AtomicU64::new(1) })
    }

    /// A machine starts and gets its ticket.
    async fn start(&self, machine: u64, rounds: std::ops::Range<u64>) -> anyhow::Result<Started> {
        let mac = MacAddr(fleet::mac(machine, 0));
        let address = Ipv4Addr::from_bits(0x0a14_0000 + u32::try_from(machine % 1_000_000)?);
        let xid = u32::try_from(self.transactions.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff)?;
        self.boots.discover("provision", &Asker { mac, xid, speaker: Speaker::Ipxe, architecture: None, uuid: None });
        let (boot, ticket) = self.boots.ticket(mac, address, Some(address)).await?;
        let reports = rounds.map(|round| fleet::report(machine, &boot.id.to_string(), round).into()).collect();
        let (ticket, key) = (ticket.as_str().to_owned(), KeyFingerprint(format!("{machine:064x}")));
        Ok(Started { machine, reports, ticket, address, key })
    }

    /// It reports and is answered.
    async fn report(&self, started: &Started, round: usize) -> anyhow::Result<()> {
        let machine = started.machine;
        let body = started.reports.get(round).cloned().unwrap_or_default();
        let mut request = Request::post("/report").header("overture-ticket", &started.ticket).body(Body::from(body))?;
        request.extensions_mut().insert(AgentPeer { address: (started.address, 40_000).into(), key: started.key.clone() });
        let response = self.routes.clone().oneshot(request).await?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let said = axum::body::to_bytes(response.into_body(), 4096).await.unwrap_or_default();
            bail!("machine {machine} was refused with {status}: {}", String::from_utf8_lossy(&said));
        }
        Ok(())
    }
}

/// A machine that may report.
struct Started {
    machine: u64,
    /// What it will say, made beforehand: that is other computers' work.
    reports: Vec<Bytes>,
    ticket: String,
    address: Ipv4Addr,
    key: KeyFingerprint,
}

/// Has machines start, which is not counted, and report, some at once; how long the reports took.
async fn all_report(service: &Arc<Service>, machines: u64, rounds: std::ops::Range<u64>) -> anyhow::Result<Took> {
    let mut took = Took::default();
    let mut first = 0;
    while first < machines {
        let last = machines.min(first + AT_ONCE);
        let mut started = vec![];
        for group in (first..last).collect::<Vec<_>>().chunks(IN_FLIGHT) {
            let mut starting = JoinSet::new();
            for machine in group.iter().copied() {
                let service = service.clone();
                let rounds = rounds.clone();
                starting.spawn(async move { service.start(machine, rounds).await });
            }
            while let Some(done) = starting.join_next().await {
                started.push(done??);
            }
        }
        settle(service).await?;
        let (started, next) = (Arc::new(started), Arc::new(AtomicU64::new(0)));
        let (began, worked) = (Instant::now(), worked()?);
        let mut workers = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (service, started, next) = (service.clone(), started.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let taken = next.fetch_add(1, Ordering::Relaxed);
                    let Some(machine) = usize::try_from(taken).ok().and_then(|taken| started.get(taken)) else { return anyhow::Ok(()) };
                    for round in 0..machine.reports.len() {
                        service.report(machine, round).await?;
                    }
                }
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        took.wall += began.elapsed();
        took.processor += self::worked()?.saturating_sub(worked);
        first = last;
    }
    Ok(took)
}

/// How long something took, and how much of the processors; the latter hardly depends on who else is at work.
#[derive(Default)]
struct Took {
    wall: Duration,
    processor: Duration,
}

/// Processor time of this process.
fn worked() -> anyhow::Result<Duration> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let of = |time: nix::sys::time::TimeVal| Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0));
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

async fn measure(machines: u64, location: &Location, bytes: &dyn Fn() -> u64) -> anyhow::Result<Vec<Sample>> {
    let service = Arc::new(Service::open(location).await?);
    let empty = bytes();
    let took = all_report(&service, machines, 0..1).await?;
    let rate = machines as f64 / took.wall.as_secs_f64();
    settle(&service).await?;
    let filled = bytes();
    let again = AGAIN.min(machines);
    let took_again = all_report(&service, again, 1..1 + TIMES).await?;
    settle(&service).await?;
    let more = bytes();

    let mut samples = vec![
        Sample::new("first reports", "/s", rate),
        Sample::new("time a first report", "ms", 1000.0 / rate),
        Sample::new("processor time a first report", "ms", took.processor.as_secs_f64() * 1000.0 / machines as f64),
        Sample::new("unchanged reports", "/s", (again * TIMES) as f64 / took_again.wall.as_secs_f64()),
        Sample::new("processor time an unchanged report", "ms", took_again.processor.as_secs_f64() * 1000.0 / (again * TIMES) as f64),
        Sample::new("disk a node", "bytes", filled.saturating_sub(empty) as f64 / machines as f64),
        Sample::new("disk for ten unchanged reports of a node", "bytes", more.saturating_sub(filled) as f64 / again as f64),
    ];
    samples.extend(questions(&service, machines).await?);
    service.store.close().await;

    let began = Instant::now();
    let service = Service::open(location).await?;
    samples.push(Sample::new("start with these nodes", "ms", began.elapsed().as_secs_f64() * 1000.0));
    ensure!(service.inventory.count() as u64 == machines, "after a restart {} nodes are known", service.inventory.count());
    service.store.close().await;
    Ok(samples)
}

/// What was noted without waiting is on disk when something that came later is.
async fn settle(service: &Arc<Service>) -> anyhow::Result<()> {
    // A node that is not there is not heard, but its turn comes after all that came before.
    service.store.keep_seen(NodeId(Uuid::nil()), Timestamp::UNIX_EPOCH).await?;
    Ok(())
}

/// The questions are asked one after the other, as the operators' API asks them.
async fn questions(service: &Arc<Service>, machines: u64) -> anyhow::Result<Vec<Sample>> {
    let filters = [
        "vendor = Dell and memory > 200GiB and stage = discovered",
        "disks.size > 10TB",
        "product = \"PowerEdge R650\" and firmware.version = 1.12.1",
        "nics.speed >= 25G and not vendor = Supermicro",
        "disks.healthy = no",
        "memory.dimms = 15",
    ];
    let texts = ["r7-sw2", "epyc", "3c:ec:00:00:03", "100003E", "mlx5"];
    let sorts = ["", "-memory,name", "disks.size"];
    let (mut filtered, mut searched, mut shown) = (vec![], vec![], vec![]);
    for n in 0..QUESTIONS {
        filtered.push(ask(service, filters[n % filters.len()], sorts[n % sorts.len()]).await?);
        searched.push(ask(service, texts[n % texts.len()], "").await?);
        let machine = (n as u64).wrapping_mul(0x9e37_79b9) % machines;
        let began = Instant::now();
        let node = service.inventory.find(&fleet::serial(machine))?;
        let past = service.inventory.document(node.id, Moment::Now).await?;
        ensure!(past.document.facts["system"]["serial"] == fleet::serial(machine), "another machine was shown");
        shown.push(milliseconds(began));
    }
    let mut samples = vec![];
    for (what, times) in [("filtered page", &mut filtered), ("text search", &mut searched), ("one node", &mut shown)] {
        times.sort_by(f64::total_cmp);
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            samples.push(Sample::new(format!("{what}, {name}"), "ms", times[(times.len() as f64 * share) as usize]));
        }
    }
    Ok(samples)
}

/// A page of a hundred nodes, in milliseconds.
async fn ask(service: &Service, filter: &str, sort: &str) -> anyhow::Result<f64> {
    let began = Instant::now();
    let query: Query = filter.parse().map_err(|mistake: Mistake| anyhow::anyhow!("{mistake}"))?;
    let sort: Sort = sort.parse().map_err(|mistake: Mistake| anyhow::anyhow!("{mistake}"))?;
    let columns: Columns = "name,product,memory,disks.size".parse().map_err(|mistake: Mistake| anyhow::anyhow!("{mistake}"))?;
    let wanted = Ask { query, sort, columns: Some(columns), cursor: None, limit: 100 };
    service.inventory.search(wanted, Bounds::default()).await?;
    Ok(milliseconds(began))
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
