//! The SQLite store keeps the contract, survives, and stays within its bounds.

use crate::contract::{self, answer, boot, lease, node, revision, step};
use domain::ports::{AnswerStore, BootStore, LeaseStore, NodeStore, SiteStore, StoreError};
use sqlx::{Connection, SqliteConnection};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::Limits;
use store::sqlite::SqliteStore;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    (folder, path)
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).await.expect("a store")
}

/// The database by another way than the store's.
async fn other_process(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("a connection")
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.expect(sql);
}

async fn empty() -> (tempfile::TempDir, SqliteStore) {
    let (folder, path) = folder();
    let store = open(&path).await;
    (folder, store)
}

crate::keeps_the_contract!(empty);

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_stop_without_notice() {
    let (_folder, path) = folder();
    for n in 1..=5u8 {
        let store = open(&path).await;
        assert_eq!(store.leases().await.expect("read").len(), usize::from(n) - 1);
        store.keep_lease(&lease("n", n, n.into())).await.expect("kept");
        store.keep_node(&node(n.into())).await.expect("kept");
        store.keep_revision(&revision(n.into())).await.expect("kept");
        drop(store);
    }
    let store = open(&path).await;
    assert_eq!(store.leases().await.expect("read").len(), 5);
    assert_eq!(store.nodes(None, 10).await.expect("read").items.len(), 5);
    assert_eq!(store.current_site().await.expect("read"), Some(revision(5)));
}

#[tokio::test]
async fn closing_writes_what_has_queued_and_refuses_what_comes_later() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    for n in 0..100 {
        assert!(store.note(Some(&boot(n + 1, n as u16)), step(&boot(n + 1, n as u16), "a step")));
    }
    store.close().await;
    store.close().await;
    let late = store.keep_lease(&lease("n", 1, 1)).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    assert!(matches!(store.leases().await, Err(StoreError::Unavailable { .. })));
    assert!(!store.note(None, step(&boot(1, 1), "too late")));
    assert!(!path.with_extension("db-wal").exists(), "the log was written into the file");

    let store = open(&path).await;
    assert_eq!(store.recent_boots(1000).await.expect("read").len(), 100);
    assert_eq!(store.timeline(boot(100, 1).id).await.expect("read").expect("a boot").steps.len(), 1);
}

#[tokio::test]
async fn a_closed_store_has_not_failed() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let watched = store.clone();
    let watch = tokio::spawn(async move { watched.run_until_failure().await });
    store.close().await;
    let outcome = tokio::time::timeout(Duration::from_millis(50), watch).await;
    assert!(outcome.is_err(), "closing is not a failure: {outcome:?}");
}

#[test]
fn when_the_writer_is_gone_everybody_is_told() {
    let (_folder, path) = folder();
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    let store = first.block_on(open(&path));
    drop(first);
    let second = tokio::runtime::Runtime::new().expect("a runtime");
    second.block_on(async {
        let error = store.run_until_failure().await;
        assert!(matches!(error, StoreError::Unavailable { .. }));
        let error = store.keep_lease(&lease("n", 1, 1)).await.expect_err("nobody writes");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.starts_with("the task that writes has ended"), "{cause}");
        assert!(!store.note(None, step(&boot(1, 1), "lost")));
    });
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let (folder, path) = folder();
    let store = open(&path).await;
    store.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    let modes = || {
        let files = std::fs::read_dir(folder.path()).expect("a folder");
        files.map(|file| file.expect("a file").metadata().expect("metadata").permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    assert_eq!(modes(), [0o600; 3], "the file, its log and its index");
    store.close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    open(&path).await.close().await;
    assert_eq!(modes(), [0o600]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_leases_at_once_share_their_commits() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000u16 {
        let store = store.clone();
        let one = domain::lease::Lease { address: std::net::Ipv4Addr::from(0x0a14_0000 + u32::from(n)), ..lease("n", 0, n) };
        tasks.spawn(async move { store.keep_lease(&one).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic").expect("kept");
    }
    let stats = store.stats();
    assert_eq!(stats.written, 1000);
    assert!(stats.commits <= 250, "{stats:?}");
    assert_eq!(store.leases().await.expect("read").len(), 1000);
}

#[tokio::test]
async fn history_is_bounded() {
    let (_folder, path) = folder();
    let limits = Limits { boots_of_one_mac: 3, boots: 40, steps_of_one_boot: 5, revisions: 2, ..Limits::default() };
    let store = SqliteStore::open_with(&path, limits.clone()).await.expect("a store");
    for n in 1..=6 {
        store.keep_boot(&boot(n, 1)).await.expect("kept");
    }
    let ids = |boots: Vec<domain::boot::Boot>| boots.iter().map(|boot| boot.id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(store.recent_boots(10).await.expect("read")), [6, 5, 4], "the newest of one interface");

    for n in 1..=9 {
        store.note(None, step(&boot(6, 1), &format!("step {n}")));
    }
    let of_a_node = domain::boot::Boot { node: Some(node(1).id), ..boot(4, 1) };
    store.keep_boot(&of_a_node).await.expect("kept");
    let steps = store.timeline(boot(6, 1).id).await.expect("read").expect("a boot").steps;
    let told: Vec<_> = steps.iter().map(|step| (step.event.as_str(), step.message.as_str())).collect();
    let more = ("limit", "more happened in this boot than the 5 steps that are kept");
    assert_eq!(told, [("offer", "step 1"), ("offer", "step 2"), ("offer", "step 3"), ("offer", "step 4"), more]);

    // A restart in between, so that the count is taken from the file.
    store.close().await;
    let store = SqliteStore::open_with(&path, limits).await.expect("a store");
    for n in 100..200 {
        store.keep_boot(&boot(n, n as u16)).await.expect("kept");
    }
    let kept = ids(store.recent_boots(1000).await.expect("read"));
    let expected: Vec<u128> = (161..200).rev().chain([4]).collect();
    assert_eq!(kept, expected, "the newest in all, and the one of a node although it is older");
    assert!(store.timeline(boot(6, 1).id).await.expect("read").is_none());
    let mut other = other_process(&path).await;
    let steps: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM steps").fetch_one(&mut other).await.expect("a count");
    assert_eq!(steps, 0, "steps go with their boot");

    for number in 1..=5 {
        store.keep_revision(&revision(number)).await.expect("kept");
    }
    assert_eq!(store.revisions(10).await.expect("read").len(), 2);
}

#[tokio::test]
async fn the_history_of_a_node_that_reports_without_end_is_bounded() {
    let (_folder, path) = folder();
    let limits = Limits { reports_of_one_node: 40, history_of_one_node: 4000, ..Limits::default() };
    let store = SqliteStore::open_with(&path, limits).await.expect("a store");
    let (mut many, mut large) = (node(1), node(2));
    for n in 0..200u16 {
        let told = if n == 0 { contract::Told::Changed(contract::document(n)) } else { contract::Told::Unchanged };
        many = contract::tell(&store, many, told, n.into()).await;
        large = contract::tell(&store, large, contract::Told::Changed(contract::document(n)), n.into()).await;
    }
    let reports = store.reports(many.id, None, 1000).await.expect("read");
    assert!((40..56).contains(&reports.len()), "{}", reports.len());
    assert_eq!(store.snapshot(many.id, None).await.expect("read").expect("a snapshot").document, contract::document(0));
    let reports = store.reports(large.id, None, 1000).await.expect("read");
    assert!((2..40).contains(&reports.len()), "{}", reports.len());
    for report in reports {
        let document = store.snapshot_after(large.id, report.number).await.expect("read").expect("a snapshot").document;
        assert_eq!(document, contract::document(report.number as u16 - 1));
    }
    let mut other = other_process(&path).await;
    let bytes: i64 = sqlx::query_scalar("SELECT SUM(LENGTH(body)) FROM snapshots").fetch_one(&mut other).await.expect("a sum");
    assert!(bytes < 4000 + 20 * 300, "{bytes}");
}

#[tokio::test]
async fn answers_are_bounded_also_within_a_day() {
    let (_folder, path) = folder();
    let limits = Limits { most_answers: 3, ..Limits::default() };
    let store = SqliteStore::open_with(&path, limits.clone()).await.expect("a store");
    for n in 1..=5 {
        store.keep_answer(&answer(&n.to_string(), n)).await.expect("kept");
        store.keep_answer(&answer(&n.to_string(), n + 1)).await.expect("a repetition takes no room");
    }
    // A restart in between, so that the count is taken from the file; and a clock that was set back.
    store.close().await;
    let store = SqliteStore::open_with(&path, limits).await.expect("a store");
    let kept = async |keys: [&str; 6]| {
        let mut found = vec![];
        for key in keys {
            if store.answered(key).await.expect("read").is_some() {
                found.push(key.to_owned());
            }
        }
        found
    };
    assert_eq!(kept(["1", "2", "3", "4", "5", "back"]).await, ["3", "4", "5"]);
    store.keep_answer(&answer("back", -100)).await.expect("kept");
    assert_eq!(kept(["1", "2", "3", "4", "5", "back"]).await, ["4", "5", "back"], "the one just kept stays, whatever the clock says");
    store.keep_answer(&answer("6", 6)).await.expect("kept");
    assert_eq!(kept(["2", "3", "4", "5", "6", "back"]).await, ["4", "5", "6"]);
}

#[tokio::test]
async fn a_list_reads_no_documents_and_a_spoilt_one_is_named() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let told = contract::tell(&store, node(1), contract::Told::Changed(contract::document(1)), 1).await;
    execute(&mut other_process(&path).await, "UPDATE snapshots SET body = x'28b52ffd00'").await;
    let error = store.snapshot(told.id, None).await.expect_err("spoilt");
    assert_eq!(error.to_string(), format!("the store holds a document of node ({}) that cannot be read", told.id));
    assert_eq!(store.nodes(None, 10).await.expect("read").items, [told]);
}

#[tokio::test]
async fn a_record_that_was_spoilt_by_hand_is_named() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    store.keep_lease(&lease("n", 7, 7)).await.expect("kept");
    execute(&mut other_process(&path).await, "UPDATE leases SET state = 'lost'").await;
    let error = store.leases().await.expect_err("refused");
    assert_eq!(error.to_string(), "the store holds a lease (10.20.0.7) that cannot be read");
}

/// The bounds of a test that runs into them.
fn impatient() -> Limits {
    Limits { lock_wait: Duration::from_millis(100), answer_wait: Duration::from_millis(500), mailbox: 8, ..Limits::default() }
}

#[tokio::test]
async fn a_locked_database_is_reported_in_time_and_written_when_it_is_free() {
    let (_folder, path) = folder();
    let store = SqliteStore::open_with(&path, impatient()).await.expect("a store");
    store.keep_boot(&boot(1, 1)).await.expect("kept");
    let mut other = other_process(&path).await;
    execute(&mut other, "BEGIN EXCLUSIVE").await;
    let began = Instant::now();
    assert!(store.note(None, step(&boot(1, 1), "while it was locked")));
    let error = store.keep_lease(&lease("n", 1, 1)).await.expect_err("locked");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(error.to_string(), "the store could not keep a lease");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.starts_with("another process has the database locked"), "{cause}");
    assert!(store.leases().await.expect("reading goes on").is_empty());

    execute(&mut other, "ROLLBACK").await;
    store.keep_lease(&lease("n", 2, 2)).await.expect("kept");
    assert_eq!(store.leases().await.expect("read"), [lease("n", 2, 2)], "what was refused is not there");
    let steps = store.timeline(boot(1, 1).id).await.expect("read").expect("a boot").steps;
    assert_eq!(steps.len(), 1, "what nobody waited for was held and written");
}

#[tokio::test]
async fn steps_leave_room_for_those_who_wait() {
    let (_folder, path) = folder();
    let store = SqliteStore::open_with(&path, impatient()).await.expect("a store");
    // The writer has not run yet: this test has one thread and did not wait.
    let taken = (0..20).filter(|_| store.note(None, step(&boot(1, 1), "a step"))).count();
    assert_eq!(taken, 6, "a quarter of the mailbox is left");
    assert_eq!(store.stats().notes_lost, 14);
    store.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    assert!(store.note(None, step(&boot(1, 1), "there is room again")));
}
