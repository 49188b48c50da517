//! How fast and how small: not run with the others, told on the terminal.
//!
//! `cargo test --profile bench-run -p store --test store -- --ignored --nocapture --test-threads 1 measure`

use crate::contract::{at, node};
use domain::document::Digest;
use domain::history::KeptReport;
use domain::ids::{BootId, NodeId};
use domain::node::Node;
use domain::ports::{NodeStore, StoreError};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::OpenStore;
use store::postgres::PostgresStore;
use store::sqlite::SqliteStore;
use tests_peers::Postgres;
use uuid::Uuid;

/// Digits and letters that belong to one thing of one machine.
fn serial(machine: u64, part: u64) -> String {
    let mixed = (machine << 16 | part).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("S{:013X}", mixed >> 12)
}

/// What a server with two sockets, sixteen DIMMs, eight disks and four ports says: about 8 KB.
fn lifelike(n: u64) -> String {
    let flags = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx pdpe1gb \
        rdtscp lm constant_tsc arch_perfmon rep_good nopl xtopology cpuid pni pclmulqdq ssse3 fma cx16 pcid sse4_1 sse4_2 x2apic movbe \
        popcnt aes xsave avx f16c rdrand hypervisor lahf_lm abm 3dnowprefetch fsgsbase bmi1 avx2 smep bmi2 erms invpcid avx512f";
    let dimms: Vec<Value> = (0..16)
        .map(|i| {
            json!({"slot": format!("P{}-DIMM{}", i / 8, i % 8), "size_bytes": 34_359_738_368u64, "speed_mt": 3200, "type": "DDR4",
                "manufacturer": "Samsung", "part": "M393A4K40DB3-CWE", "serial": serial(n, i), "ecc": true})
        })
        .collect();
    let disks: Vec<Value> = (0..8)
        .map(|i| {
            json!({"name": format!("nvme{i}n1"), "model": "SAMSUNG MZQL21T9HCJR-00A07", "serial": serial(n, 100 + i),
                "wwn": format!("eui.{:016x}", n << 8 | i), "size_bytes": 1_920_383_410_176u64, "sector_bytes": 512, "transport": "nvme",
                "rotational": false, "firmware": "GDC5602Q", "healthy": true,
                "partitions": [{"number": 1, "size_bytes": 1_073_741_824u64, "filesystem": "vfat", "uuid": serial(n, 200 + i)}]})
        })
        .collect();
    let nics: Vec<Value> = (0..4)
        .map(|i| {
            json!({"name": format!("eno{}", i + 1), "mac": format!("52:54:00:{:02x}:{:02x}:{i:02x}", n >> 8 & 255, n & 255),
                "driver": "ice", "firmware": "4.30 0x8001af28 1.3429.0", "pci": format!("0000:31:00.{i}"), "speed_mbit": 25_000,
                "link": true, "names": [format!("eno{}", i + 1), format!("ens1f{i}"), format!("enp49s0f{i}")],
                "lldp": {"switch": format!("sw{}", i % 2 + 1), "port": format!("Ethernet1/{}", n % 48 + 1), "vlan": 40}})
        })
        .collect();
    let cpus: Vec<Value> =
        (0..2).map(|i| json!({"socket": i, "model": "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "cores": 32, "threads": 64, "microcode": "0xd0003d1", "flags": flags})).collect();
    let system = json!({"vendor": "Supermicro", "product": "SYS-620U-TNR", "serial": serial(n, 300), "uuid": Uuid::from_u128(n.into())});
    json!({"facts": {"system": system, "cpus": cpus, "dimms": dimms, "disks": disks, "nics": nics,
        "bmc": {"address": "10.20.1.11", "firmware": "01.02.03", "mac": serial(n, 301)}},
        "gaps": [{"path": "tpm", "reason": "there is no /sys/class/tpm/tpm0"}]})
    .to_string()
}

/// The `n`th machine: ids that sort in the order in which they were made, as UUIDv7 do.
fn machine(n: u64) -> Node {
    let id = NodeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n) << 80 | u128::from(n)));
    Node { id, reports: 0, version: 0, ..node(n as u16) }
}

fn report(n: u64, number: u64, document: Option<String>) -> KeptReport {
    KeptReport {
        at: at(number as i64 * 3600),
        boot: Some(BootId(Uuid::from_u128(u128::from(n) << 64 | u128::from(number)))),
        address: Some(Ipv4Addr::new(10, 20, 0, 9)),
        amends: false,
        digest: Digest([n as u8; 32]),
        document,
        readings: Value::Null,
    }
}

async fn keep(store: &dyn NodeStore, n: u64, number: u64, document: Option<String>) -> Result<(), StoreError> {
    store.keep_report(&Node { reports: number, version: number, ..machine(n) }, &report(n, number, document)).await
}

/// So many reports by so many at once; yields how long it took.
async fn load<S: OpenStore + Clone + 'static>(store: &S, machines: u64, number: u64, body: fn(u64) -> Option<String>) -> Duration {
    let next = Arc::new(AtomicU64::new(0));
    let documents: Arc<Vec<Option<String>>> = Arc::new((0..machines).map(body).collect());
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (store, next, documents) = (store.clone(), Arc::clone(&next), Arc::clone(&documents));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(document) = documents.get(n as usize) else { return };
                keep(&store, n, number, document.clone()).await.expect("kept");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    began.elapsed()
}

async fn measure<S: OpenStore + Clone + 'static>(name: &str, store: &S, bytes: impl AsyncFn() -> u64) {
    let machines = std::env::var("OVERTURE_MACHINES").map_or(10_000, |text| text.parse().expect("a number"));
    let told = |what: &str, took: Duration| println!("{name}: {what}: {:.0}/s, {:?}", machines as f64 / took.as_secs_f64(), store.stats());
    told("new nodes with documents", load(store, machines, 1, |n| Some(lifelike(n))).await);
    let before = bytes().await;
    println!("{name}: {} bytes a node with one document of {} bytes", before / machines, lifelike(7).len());
    told("unchanged reports", load(store, machines, 2, |_| None).await);
    for number in 3..=11 {
        load(store, machines, number, |_| None).await;
    }
    println!("{name}: {} bytes a node for ten unchanged reports", (bytes().await.saturating_sub(before)) / machines);
    told("changed documents", load(store, machines, 12, |n| Some(lifelike(n + 1))).await);
    let mut times: Vec<Duration> = vec![];
    for turn in 0..2000u64 {
        let id = machine(turn * 7919 % machines).id;
        let began = Instant::now();
        store.node(id).await.expect("read").expect("a node");
        store.snapshot(id, None).await.expect("read").expect("a snapshot");
        times.push(began.elapsed());
    }
    times.sort();
    println!("{name}: one node and its document: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    let (began, mut after, mut all) = (Instant::now(), None, 0);
    loop {
        let page = store.snapshots(None, after, 500, 16 << 20).await.expect("read");
        all += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    println!("{name}: all {all} documents in {:?}", began.elapsed());
}

fn size(path: &Path) -> u64 {
    ["", "-wal"].iter().map(|suffix| std::fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |file| file.len())).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the top of this file"]
async fn reports_into_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).await.expect("a store");
    measure("SQLite", &store, async || size(&path)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the top of this file"]
async fn reports_into_postgres() {
    let server = Postgres::start_with(&["max_wal_size=1GB", "shared_buffers=128MB"]);
    let store = PostgresStore::open(&server.default_url().parse().expect("a URL")).await.expect("a store");
    let bytes = async || {
        server.sql("postgres", "VACUUM");
        let sizes = "SELECT SUM(pg_total_relation_size(name)) FROM UNNEST(ARRAY['nodes', 'reports', 'snapshots']) AS name";
        server.sql("postgres", sizes).parse().expect("a number")
    };
    measure("Postgres", &store, bytes).await;
}

#[test]
#[ignore = "measures; see the top of this file"]
fn levels() {
    let documents: Vec<String> = (0..200).map(lifelike).collect();
    let plain: usize = documents.iter().map(String::len).sum();
    println!("plain: {} bytes", plain / documents.len());
    for level in [-5, -1, 1, 2, 3, 4, 6, 9, 12, 19] {
        let began = Instant::now();
        let packed: usize = documents.iter().map(|document| zstd::bulk::compress(document.as_bytes(), level).expect("packed").len()).sum();
        println!("level {level}: {} bytes, {:?} each", packed / documents.len(), began.elapsed() / documents.len() as u32);
    }
}
