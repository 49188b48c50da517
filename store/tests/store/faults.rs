//! Faults that need a process of their own: killed in the middle, and a disk that fills up.
//!
//! Each test starts this test program again for its other half, told by the environment where its store is.

use crate::contract::{at, boot, lease, step};
use domain::lease::Lease;
use domain::ports::{BootStore, LeaseStore, StoreError};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use store::sqlite::SqliteStore;

const STORE: &str = "OVERTURE_TEST_STORE";
const ROUND: &str = "OVERTURE_TEST_ROUND";

/// Where the other half finds its store; nothing in the first half.
pub fn told() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

/// How the other half is started: this program again, for one of its tests, after `before`.
pub fn other_half(before: &[&str], test: &str, store: &Path) -> Command {
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(std::env::current_exe().expect("a program"));
    command.args(["--exact", test, "--nocapture"]).env(STORE, store);
    command
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    if let Some(path) = told() {
        return write_until_killed(&path).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let mut acknowledged: HashMap<Ipv4Addr, i64> = HashMap::new();
    for (round, lines) in [1, 40, 500, 3000, 7000].into_iter().enumerate() {
        let mut command = other_half(&["env"], "faults::nothing_acknowledged_is_lost_when_the_process_is_killed", &path);
        let mut child = Killed(command.env(ROUND, round.to_string()).stdout(Stdio::piped()).spawn().expect("a process"));
        let mut output = BufReader::new(child.0.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
        let mut note = |line: String| {
            if let Some((address, second)) = line.strip_prefix("kept ").and_then(|words| words.split_once(' ')) {
                acknowledged.insert(address.parse().expect("an address"), second.parse().expect("a number"));
            }
        };
        output.by_ref().take(lines).for_each(&mut note);
        child.0.kill().expect("killed");
        // What it said before it died was acknowledged as well.
        output.for_each(&mut note);

        let store = SqliteStore::open(&path).await.expect("a store");
        let found: HashMap<_, _> = store.leases().await.expect("read").into_iter().map(|lease| (lease.address, lease)).collect();
        for (address, second) in &acknowledged {
            // A later renewal may have been kept and not acknowledged any more.
            assert!(found.get(address).is_some_and(|lease| lease.granted >= at(*second)), "{address} of second {second}: {found:?}");
        }
        store.close().await;
    }
    assert!(acknowledged.len() > 1000, "{}", acknowledged.len());
}

/// Renews leases in many tasks, and says of each that it was kept.
async fn write_until_killed(path: &Path) {
    let store = SqliteStore::open(path).await.expect("a store");
    let round: i64 = std::env::var(ROUND).expect("a round").parse().expect("a number");
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16u16 {
        let store = store.clone();
        tasks.spawn(async move {
            for turn in 0.. {
                let n = task * 100 + (turn % 100) as u16;
                let second = round * 1_000_000 + turn;
                let address = Ipv4Addr::from(0x0a14_0000 + u32::from(n));
                store.note(Some(&boot(n.into(), n)), step(&boot(n.into(), n), "a step"));
                store.keep_lease(&Lease { address, granted: at(second), ..lease("n", 0, n) }).await.expect("kept");
                println!("kept {address} {second}");
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_reported_and_nothing_is_lost_when_it_has_space_again() {
    if let Some(path) = told() {
        return fill_the_disk(&path).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("text");
    // A file system of one MiB that only that process sees, and that goes with it. Needs root.
    let small = r#"mount -t tmpfs -o size=1m none "$0" && exec "$@""#;
    let before = ["unshare", "--mount", "sh", "-c", small, place];
    let test = "faults::a_full_disk_is_reported_and_nothing_is_lost_when_it_has_space_again";
    let done = other_half(&before, test, &folder.path().join("state.db")).output().expect("util-linux's unshare");
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(done.status.success() && said.contains("the disk was full"), "{said}");
}

async fn fill_the_disk(path: &Path) {
    let store = SqliteStore::open(path).await.expect("a store");
    store.keep_boot(&boot(1, 1)).await.expect("kept");
    // Somebody reads, so that the log cannot be folded into the file and dropped to make room.
    assert!(store.leases().await.expect("read").is_empty());
    let ballast = path.with_file_name("ballast");
    let mut file = std::fs::File::create(&ballast).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
    let length = file.metadata().expect("metadata").len();
    file.set_len(length - 64 * 1024).expect("shortened");

    let mut kept = vec![];
    let error = loop {
        let next = lease("n", kept.len() as u8, kept.len() as u16);
        match store.keep_lease(&next).await {
            Ok(()) => kept.push(next),
            Err(error) => break error,
        }
        assert!(kept.len() < 255, "the disk never filled");
    };
    println!("the disk was full after {} leases: {:?}", kept.len(), error.source().map(ToString::to_string));
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.source().expect("a cause").to_string().starts_with("the disk is full"), "{error:?}");
    assert!(store.note(None, step(&boot(1, 1), &"while it was full ".repeat(10_000))), "it is held");
    assert!(store.keep_lease(&lease("n", 255, 255)).await.is_err(), "it still is full");
    assert_eq!(store.leases().await.expect("reading goes on").len(), kept.len());

    drop(file);
    std::fs::remove_file(&ballast).expect("removed");
    let after = lease("n", 254, 254);
    store.keep_lease(&after).await.expect("kept");
    kept.push(after);
    drop(store);
    let store = SqliteStore::open(path).await.expect("a store");
    assert_eq!(store.leases().await.expect("read"), kept);
    assert_eq!(store.timeline(boot(1, 1).id).await.expect("read").expect("a boot").steps.len(), 1);
}
