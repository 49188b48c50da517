//! The server dies in the middle, or its disk is full: nothing that was acknowledged is lost, nothing is half there.

use crate::contract::{at, document, lease, node};
use crate::faults::{other_half, told};
use domain::document::Digest;
use domain::history::KeptReport;
use domain::lease::Lease;
use domain::node::Node;
use domain::ports::{LeaseStore, NodeStore, StoreError};
use serde_json::{Value, json};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::postgres::PostgresStore;
use tests_peers::Postgres;

async fn open(server: &Postgres) -> PostgresStore {
    PostgresStore::open(&server.default_url().parse().expect("a URL")).await.expect("a store")
}

fn report(number: u64, document: Option<String>) -> KeptReport {
    KeptReport {
        at: at(number as i64),
        boot: None,
        address: None,
        amends: false,
        digest: Digest([1; 32]),
        document,
        readings: json!({"uptime": number}),
    }
}

/// The node after one more report.
fn next(node: &Node) -> Node {
    Node { reports: node.reports + 1, version: node.version + 1, ..node.clone() }
}

/// What was acknowledged of one node and of its lease.
#[derive(Default)]
struct Acknowledged {
    report: AtomicU64,
    granted: AtomicU64,
}

/// Reports and renews without end, and notes what was acknowledged. After a failure it looks what is there, as the service does.
async fn write(store: PostgresStore, n: u16, acknowledged: Arc<Acknowledged>, end: Arc<AtomicBool>) {
    let mut now = match store.node(node(n).id).await.expect("read") {
        Some(now) => now,
        None => Node { reports: 0, version: 0, ..node(n) },
    };
    while !end.load(Ordering::SeqCst) {
        let wanted = next(&now);
        let body = (wanted.reports % 3 == 1).then(|| serde_json::to_string(&document(wanted.reports as u16)).expect("JSON"));
        match store.keep_report(&wanted, &report(wanted.reports, body)).await {
            Ok(()) => {
                acknowledged.report.store(wanted.reports, Ordering::SeqCst);
                now = wanted;
            }
            Err(StoreError::Unavailable { .. } | StoreError::Changed) => {
                if let Ok(Some(there)) = store.node(now.id).await {
                    now = there;
                }
            }
            Err(error) => panic!("{error:?}"),
        }
        let second = acknowledged.granted.load(Ordering::SeqCst) + 1;
        if store.keep_lease(&Lease { granted: at(second as i64), ..lease("n", n as u8, n) }).await.is_ok() {
            acknowledged.granted.store(second, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut server = Postgres::start();
    let store = open(&server).await;
    let all: Vec<Arc<Acknowledged>> = (0..16).map(|_| Arc::default()).collect();
    let end = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for (n, acknowledged) in all.iter().enumerate() {
        tasks.spawn(write(store.clone(), n as u16 + 1, Arc::clone(acknowledged), Arc::clone(&end)));
    }
    let reports = || all.iter().map(|acknowledged| acknowledged.report.load(Ordering::SeqCst)).sum::<u64>();
    for _ in 0..3 {
        let before = reports();
        let patience = Instant::now();
        while reports() < before + 300 {
            assert!(patience.elapsed() < Duration::from_secs(60), "it does not go on by itself: {:?}", store.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill9();
        // Whoever waits goes on waiting, or is told; both happen.
        server.restart();
        check(&server, &all).await;
    }
    end.store(true, Ordering::SeqCst);
    while let Some(done) = tasks.join_next().await {
        done.expect("no failure but those that are to be expected");
    }
    check(&server, &all).await;
    assert!(store.stats().failures > 0, "the server died in the middle of something: {:?}", store.stats());
}

/// All that was acknowledged is there, and each node agrees with its newest report and its document. Read beside the store,
/// in one snapshot, since the others go on writing.
async fn check(server: &Postgres, all: &[Arc<Acknowledged>]) {
    let acknowledged: Vec<_> = all.iter().map(|one| (one.report.load(Ordering::SeqCst), one.granted.load(Ordering::SeqCst))).collect();
    let half = server.sql(
        "postgres",
        "SELECT COUNT(*) FROM nodes WHERE
            reports IS DISTINCT FROM (SELECT MAX(number) FROM reports WHERE node = id)
            OR reports <> (SELECT COUNT(*) FROM reports WHERE node = id)
            OR (reports + 2) / 3 <> (SELECT COUNT(*) FROM snapshots WHERE node = id)",
    );
    assert_eq!(half, "0", "nodes that do not agree with their history");
    for (n, (report, granted)) in acknowledged.into_iter().enumerate() {
        let id = node(n as u16 + 1).id;
        let kept = server.sql("postgres", &format!("SELECT COALESCE(MAX(reports), 0) FROM nodes WHERE id = '{id}'"));
        assert!(kept.parse::<u64>().expect("a number") >= report, "{id}: {kept}, but {report} was acknowledged");
        let lease = lease("n", n as u8 + 1, n as u16 + 1);
        let kept = server.sql("postgres", &format!("SELECT COALESCE(MAX(granted), 0) FROM leases WHERE address = '{}'", lease.address));
        let promised = if granted == 0 { 0 } else { at(granted as i64).as_microsecond() };
        assert!(kept.parse::<i64>().expect("a number") >= promised, "{}", lease.address);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_server_is_reported_and_nothing_is_lost_when_it_has_space_again() {
    if let Some(place) = told() {
        return fill_the_disk(&place).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("text");
    // A file system that only that process and its server see, and that goes with them. Needs root.
    let small = r#"mount -t tmpfs -o size=80m none "$0" && exec "$@""#;
    let before = ["unshare", "--mount", "sh", "-c", small, place];
    let test = "postgres_faults::a_full_disk_of_the_server_is_reported_and_nothing_is_lost_when_it_has_space_again";
    let done = other_half(&before, test, folder.path()).output().expect("util-linux's unshare");
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(done.status.success() && said.contains("the disk was full"), "{said}");
}

async fn fill_the_disk(place: &Path) {
    // Log files of a fixed size, so that what fills the disk is data.
    let mut server = Postgres::start_in(place, &["max_wal_size=4MB", "min_wal_size=4MB"]);
    let store = open(&server).await;
    let mut now = Node { reports: 0, version: 0, ..node(1) };
    let ballast = place.join("ballast");
    let mut file = std::fs::File::create(&ballast).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    let length = file.metadata().expect("metadata").len();
    file.set_len(length - (6 << 20)).expect("shortened");

    // Digits that do not repeat, so that they stay large.
    let mut number = 1u64;
    let mut large = || {
        let digits: Vec<u64> = (0..10_000)
            .map(|_| {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                number
            })
            .collect();
        json!({"facts": {"digits": digits}}).to_string()
    };
    let (mut kept, error) = (
        vec![],
        loop {
            let wanted = next(&now);
            match store.keep_report(&wanted, &report(wanted.reports, Some(large()))).await {
                Ok(()) => now = wanted,
                Err(error) => break error,
            }
            assert!(now.reports < 1000, "the disk never filled");
        },
    );
    println!("the disk was full after {} reports: {:?}", now.reports, error.source().map(ToString::to_string));
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    kept.push(now.reports);

    drop(file);
    std::fs::remove_file(&ballast).expect("removed");
    // When it could not write its log, the server has ended; whoever runs it starts it again.
    let patience = Instant::now();
    loop {
        match store.node(now.id).await {
            Ok(there) => {
                let there = there.expect("a node");
                assert!(there.reports >= now.reports, "{} were acknowledged, {} are there", now.reports, there.reports);
                now = there;
                break;
            }
            Err(error) => assert!(patience.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
        server.stop();
        server.restart();
    }
    let wanted = next(&now);
    store.keep_report(&wanted, &report(wanted.reports, Some(large()))).await.expect("there is space again");
    let history = store.reports(now.id, None, 10_000).await.expect("read");
    assert_eq!(history.len() as u64, wanted.reports, "every one, and none twice");
    for report in history {
        let snapshot = store.snapshot_after(now.id, report.number).await.expect("read").expect("a snapshot");
        assert_eq!(snapshot.readings, json!({"uptime": report.number}));
        assert_ne!(snapshot.document.facts["digits"][0], Value::Null);
    }
    drop(store);
    server.kill9();
}
