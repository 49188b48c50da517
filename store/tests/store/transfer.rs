//! A store that was copied tells the same as the one that it was copied from, whichever databases they are; what was
//! acknowledged meanwhile is there too; a spoilt backup is refused.

use crate::contract::{Told, answer, at, boot, document, lease, node, revision, step, tell};
use domain::ports::{BootStore, LeaseStore, NodeStore, ObserveOnly};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::sqlite::SqliteStore;
use store::transfer::{ArchiveError, Header, MigrateError, Progress, RestoreError, State, Switchable, backup, restore, verify};
use store::{Location, OpenError, OpenStore};
use tests_peers::Postgres;

async fn sqlite(folder: &Path) -> Arc<dyn OpenStore> {
    Arc::new(SqliteStore::open(&folder.join("overture.db")).await.expect("a store"))
}

async fn postgres(server: &Postgres, database: &str) -> Arc<dyn OpenStore> {
    if database != "postgres" {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
    }
    store::open(&server.url(database).parse().expect("a place")).await.expect("a store")
}

/// Something of everything, more than fits into the first portions.
async fn fill(store: &dyn OpenStore) {
    for n in 1..=40 {
        let last = tell(store, node(n), Told::Changed(document(n)), 10).await;
        let last = tell(store, last, Told::Unchanged, 21).await;
        tell(store, last, Told::Readings(serde_json::json!({"t": [n]})), 30).await;
        store.keep_lease(&lease("n", n as u8, n)).await.expect("kept");
        let boot = boot(u128::from(n), n);
        store.keep_boot(&boot).await.expect("kept");
        while !store.note(Some(&boot), step(&boot, "a step")) {
            tokio::task::yield_now().await;
        }
    }
    store.keep_revision(&revision(1)).await.expect("kept");
    store.keep_answer(&answer("key", 1)).await.expect("kept");
}

/// What every port tells, as text.
async fn told(store: &dyn OpenStore) -> String {
    let mut leases = store.leases().await.expect("read");
    leases.sort_by_key(|lease| lease.address);
    let boots = store.recent_boots(1000).await.expect("read");
    let macs: Vec<_> = boots.iter().map(|boot| boot.mac).collect();
    let nodes = store.nodes(None, 1000).await.expect("read");
    let mut all = format!("{leases:?}\n{boots:?}\n{:?}\n{nodes:?}\n", store.timelines(&macs, 1000).await.expect("read"));
    for node in &nodes.items {
        let reports = store.reports(node.id, None, 1000).await.expect("read");
        for report in &reports {
            all += &format!("{:?}\n", store.snapshot_after(node.id, report.number).await.expect("read"));
        }
        all += &format!("{reports:?}\n{:?}\n", store.tests(node.id, 100).await.expect("read"));
    }
    all += &format!("{:?}\n", store.current_site().await.expect("read"));
    all + &format!("{:?}\n", store.answered("key").await.expect("read"))
}

async fn archive(store: &dyn OpenStore, path: &Path) -> u64 {
    let mut bytes = vec![];
    let header = Header::new(at(77), "9.9.9", Some("hall-1".into()));
    let rows = backup(store, header, |piece| {
        bytes.extend(piece);
        std::future::ready(true)
    });
    let rows = rows.await.expect("a backup");
    std::fs::write(path, bytes).expect("written");
    rows
}

async fn restored(archive: &Path, location: &Location, replace: bool) -> Result<Option<PathBuf>, RestoreError> {
    restore(archive, location, replace, at(99), &Progress::default()).await.map(|restored| restored.aside)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_the_same_after_a_way_through_both_databases_and_two_backups() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), Postgres::start());
    let first = sqlite(folder.path()).await;
    fill(&*first).await;
    let wanted = told(&*first).await;

    let used = Switchable::new(first);
    let progress = Progress::default();
    let moved = used.migrate_to(postgres(&server, "postgres").await, &progress).await.expect("moved");
    assert_eq!((moved.rows, progress.total()), (progress.done(), progress.done()));
    assert!(told(&used).await == wanted, "it is not the same");
    assert!(used.place().starts_with("postgres://"));

    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let rows = archive(&used, &one).await;
    assert_eq!(verify(&one).expect("whole").total(), rows);
    used.close().await;

    // From Postgres through a file into SQLite, where an old store has made room for it.
    let place = Location::Sqlite(folder.path().join("overture.db"));
    assert!(matches!(restored(&one, &place, false).await, Err(RestoreError::NotEmpty { .. })));
    let aside = restored(&one, &place, true).await.expect("restored").expect("there was another");
    assert!(aside.exists());
    let again = store::open(&place).await.expect("a store");
    assert!(told(&*again).await == wanted, "it is not the same");
    let reason = format!("restored from a backup of {:.0}", at(77));
    assert_eq!(again.observe_only().await.expect("read"), Some(ObserveOnly { since: at(99), reason }));

    // And from there into an empty database; one that is not empty is left alone.
    archive(&*again, &two).await;
    again.close().await;
    server.sql("postgres", "CREATE DATABASE fresh");
    let fresh: Location = server.url("fresh").parse().expect("a place");
    restored(&two, &fresh, false).await.expect("restored");
    let refused = restored(&two, &fresh, true).await.expect_err("refused");
    assert!(matches!(&refused, RestoreError::NotEmptyDatabase { .. }), "{refused:?}");
    assert!(told(&*store::open(&fresh).await.expect("a store")).await == wanted, "it is not the same");
}

#[tokio::test]
async fn a_store_that_was_moved_or_is_half_filled_is_not_opened() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), Postgres::start());
    let used = Switchable::new(sqlite(folder.path()).await);
    used.migrate_to(postgres(&server, "postgres").await, &Progress::default()).await.expect("moved");
    let place = Location::Sqlite(folder.path().join("overture.db"));
    let error = store::open(&place).await.err().expect("refused");
    assert!(matches!(&error, OpenError::Moved { .. }), "{error:?}");
    assert!(error.to_string().contains("set `url` in `[store]`"), "{error}");

    let half = postgres(&server, "half").await;
    half.set_state(State::Filling, Some("moving another store into it".into())).await.expect("kept");
    half.close().await;
    let error = store::open(&server.url("half").parse().expect("a place")).await.err().expect("refused");
    assert!(matches!(&error, OpenError::HalfFilled { .. }), "{error:?}");

    // Whoever fills it anew begins with nothing.
    let half = store::open_any(&server.url("half").parse().expect("a place")).await.expect("a store");
    half.keep_lease(&lease("n", 9, 9)).await.expect("kept");
    used.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    used.migrate_to(half, &Progress::default()).await.expect("moved");
    assert_eq!(used.leases().await.expect("read"), [lease("n", 1, 1)]);
}

#[tokio::test]
async fn a_store_with_something_in_it_is_not_moved_into() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), Postgres::start());
    let used = Switchable::new(sqlite(folder.path()).await);
    used.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    let full = postgres(&server, "postgres").await;
    full.keep_lease(&lease("n", 2, 2)).await.expect("kept");
    let refused = used.migrate_to(full, &Progress::default()).await.expect_err("refused");
    assert!(matches!(refused, MigrateError::NotEmpty(_)), "{refused:?}");
    used.keep_lease(&lease("n", 3, 3)).await.expect("it goes on with the one before");
    assert_eq!(postgres(&server, "postgres").await.leases().await.expect("read").len(), 1, "the other is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_during_the_move_leaves_the_store_in_use_with_everything() {
    let (folder, mut server) = (tempfile::tempdir().expect("a folder"), Postgres::start());
    let used = Switchable::new(sqlite(folder.path()).await);
    fill(&used).await;
    let wanted = told(&used).await;
    let target = postgres(&server, "postgres").await;
    server.kill9();
    let failed = used.migrate_to(target, &Progress::default()).await.expect_err("failed");
    assert!(matches!(failed, MigrateError::Target(_)), "{failed:?}");
    assert!(told(&used).await == wanted, "it is not the same");
    server.restart();
    used.migrate_to(postgres(&server, "postgres").await, &Progress::default()).await.expect("moved at the next try");
    assert!(told(&used).await == wanted, "it is not the same");
}

/// Keeps leases and reports until it is told to stop, several at once; yields what was acknowledged of it.
fn writers(store: &Arc<Switchable>, stop: &Arc<AtomicBool>, kept: &Arc<AtomicU64>) -> Vec<tokio::task::JoinHandle<u64>> {
    let writer = |n: u16| {
        let (store, stop, kept) = (Arc::clone(store), Arc::clone(stop), Arc::clone(kept));
        tokio::spawn(async move {
            let mut last = tell(&*store, node(n), Told::Changed(document(n)), 1).await;
            while !stop.load(Ordering::Relaxed) {
                let told = if last.reports % 3 == 0 { Told::Changed(document(last.reports as u16)) } else { Told::Unchanged };
                last = tell(&*store, last, told, 10).await;
                store.keep_lease(&lease("n", n as u8, n)).await.expect("kept");
                let boot = boot(u128::from(n), n);
                store.note(Some(&boot), step(&boot, "meanwhile"));
                kept.fetch_add(1, Ordering::Relaxed);
            }
            last.reports
        })
    };
    (100..108).map(writer).collect()
}

async fn more(kept: &AtomicU64, many: u64) {
    let wanted = kept.load(Ordering::Relaxed) + many;
    while kept.load(Ordering::Relaxed) < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_acknowledged_during_a_backup_and_a_move_is_in_the_new_store() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), Postgres::start());
    let used = Arc::new(Switchable::new(sqlite(folder.path()).await));
    fill(&*used).await;
    let (stop, kept) = (Arc::default(), Arc::default());
    let writers = writers(&used, &stop, &kept);
    more(&kept, 50).await;
    let file = folder.path().join("backup");
    archive(&*used, &file).await;
    let moved = used.migrate_to(postgres(&server, "postgres").await, &Progress::default()).await.expect("moved");
    assert!(moved.meanwhile > 0 && moved.pause < Duration::from_secs(10), "{moved:?}");
    more(&kept, 50).await;
    stop.store(true, Ordering::Relaxed);
    for (writer, n) in writers.into_iter().zip(100..) {
        let reports = writer.await.expect("nothing was refused");
        assert_eq!(used.node(node(n).id).await.expect("read").expect("there").reports, reports);
        let past = used.reports(node(n).id, None, usize::MAX).await.expect("read");
        assert_eq!(past.iter().map(|report| report.number).collect::<Vec<_>>(), (1..=reports).rev().collect::<Vec<_>>());
    }
    // The last steps of boots are written when something after them is.
    used.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    let wanted = told(&*used).await;
    used.close().await;
    let again = store::open(&server.default_url().parse().expect("a place")).await.expect("a store");
    assert!(told(&*again).await == wanted, "it is kept there");

    // The backup is of one moment: each node has the reports that it says.
    let place = Location::Sqlite(folder.path().join("restored.db"));
    restored(&file, &place, false).await.expect("restored");
    let then = store::open(&place).await.expect("a store");
    for n in 100..108 {
        let reports = then.node(node(n).id).await.expect("read").map_or(0, |node| node.reports);
        assert_eq!(then.reports(node(n).id, None, usize::MAX).await.expect("read").len() as u64, reports);
    }
}

#[tokio::test]
async fn a_backup_that_was_cut_or_altered_anywhere_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    fill(&*store).await;
    let file = folder.path().join("backup");
    archive(&*store, &file).await;
    let whole = std::fs::read(&file).expect("read");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        verify(&file).expect_err("refused")
    };
    for length in (0..whole.len()).step_by(whole.len() / 150 + 1).chain(whole.len() - 33..whole.len()) {
        let error = refused(&whole[..length]);
        let told = matches!(error, ArchiveError::Truncated(_) | ArchiveError::Foreign(_) | ArchiveError::Altered { .. });
        assert!(told, "{length} bytes: {error:?}");
    }
    for place in (0..whole.len()).step_by(whole.len() / 150 + 1).chain(whole.len() - 33..whole.len()) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        refused(&bytes);
    }
    let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
    assert!(matches!(refused(&longer), ArchiveError::Altered { .. }));
    assert!(matches!(refused(b"SQLite format 3\0"), ArchiveError::Foreign(_)));
    let text = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|bytes| bytes == from.as_bytes()).expect("in the header");
        [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()
    };
    let newer = refused(&text("\"schema\":2", "\"schema\":9"));
    assert!(newer.to_string().contains("has schema 9, and this version reads 2: restore it with Overture 9.9.9"), "{newer}");
    assert!(matches!(refused(&text("\"format\":1", "\"format\":7")), ArchiveError::OtherVersion { what: "format", .. }));
}
