//! What is not a store of ours is refused with a reason, and left as it is.

use crate::contract::lease;
use domain::ports::LeaseStore;
use sqlx::{Connection, SqliteConnection};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::Limits;
use store::sqlite::{OpenError, SqliteStore};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    (folder, path)
}

/// A store with leases in it, closed.
async fn a_store(path: &Path) {
    let store = SqliteStore::open(path).await.expect("a store");
    for n in 0..200 {
        store.keep_lease(&lease("n", n, n.into())).await.expect("kept");
    }
    store.close().await;
}

/// The folder's files with what is in them, but for SQLite's index of its log, which holds nothing.
fn content(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(path.parent().expect("a folder")).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).filter(|path| !path.ends_with("state.db-shm")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

/// Opens and expects a refusal that changes nothing.
async fn refused(path: &Path) -> OpenError {
    let before = content(path);
    let error = SqliteStore::open(path).await.expect_err("refused");
    assert!(content(path) == before, "{} was changed: {error}", path.display());
    assert!(error.to_string().contains(path.to_str().expect("text")), "it names the file: {error}");
    error
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let (_folder, path) = folder();
    for bytes in [b"hello".to_vec(), vec![0; 8192], b"SQLite format 2\0".repeat(100), vec![b'x'; 100]] {
        std::fs::write(&path, &bytes).expect("written");
        let error = refused(&path).await;
        assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    let (_folder, path) = folder();
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut other = SqliteConnection::connect(&url).await.expect("a connection");
    sqlx::query("CREATE TABLE t (x)").execute(&mut other).await.expect("a table");
    other.close().await.expect("closed");
    let error = refused(&path).await;
    assert!(error.to_string().contains("the SQLite database of another program"), "{error}");
}

#[tokio::test]
async fn a_cut_off_file_is_refused_wherever_it_was_cut() {
    let (_folder, path) = folder();
    a_store(&path).await;
    let whole = std::fs::read(&path).expect("a file");
    for length in [0, 10, 99, 100, 4095, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("written");
        let error = refused(&path).await;
        assert!(matches!(error, OpenError::Truncated { .. }), "{length}: {error}");
    }
}

#[tokio::test]
async fn a_file_whose_schema_is_spoilt_is_refused() {
    let (_folder, path) = folder();
    a_store(&path).await;
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[100..4096].fill(0xa5);
    std::fs::write(&path, &bytes).expect("written");
    let error = SqliteStore::open(&path).await.expect_err("refused");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(std::fs::read(&path).expect("a file") == bytes);
}

#[tokio::test]
async fn a_newer_schema_is_refused_also_when_only_the_log_says_so() {
    let (_folder, path) = folder();
    a_store(&path).await;
    let mut newer = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("a connection");
    sqlx::query("PRAGMA user_version = 99").execute(&mut newer).await.expect("set");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "in the log: {error}");
    // The same as a crash leaves it, when nobody has it open.
    let (_elsewhere, crashed) = folder();
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&path), name(&crashed)).expect("copied");
    }
    let error = refused(&crashed).await;
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "after a crash: {error}");
    newer.close().await.expect("closed");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "in the file: {error}");
}

#[tokio::test]
async fn a_file_that_is_marked_read_only_is_refused() {
    let (_folder, path) = folder();
    a_store(&path).await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("chmod");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn a_log_without_its_file_is_not_given_to_a_new_one() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.expect("a store");
    store.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    std::fs::remove_file(&path).expect("removed");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::LogAlone { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_missing_or_in_the_way_is_named() {
    let (folder, path) = folder();
    let error = SqliteStore::open(&path.join("deeper/state.db")).await.expect_err("refused");
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    let error = SqliteStore::open(folder.path()).await.expect_err("refused");
    assert!(matches!(error, OpenError::Unusable { .. } | OpenError::NotAStore { .. }), "{error}");
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_made_anew() {
    let (folder, path) = folder();
    std::fs::write(folder.path().join("state.db.new"), b"half").expect("written");
    a_store(&path).await;
    let files: Vec<_> = content(&path).into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, [path]);
}

#[tokio::test]
async fn a_locked_file_is_refused_in_time() {
    let (_folder, path) = folder();
    a_store(&path).await;
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.expect("a connection");
    sqlx::query("PRAGMA locking_mode = EXCLUSIVE").execute(&mut other).await.expect("set");
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.expect("begun");
    let began = Instant::now();
    let limits = Limits { lock_wait: Duration::from_millis(100), ..Limits::default() };
    let error = SqliteStore::open_with(&path, limits).await.expect_err("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    other.close().await.expect("closed");
    assert_eq!(SqliteStore::open(&path).await.expect("a store").leases().await.expect("read").len(), 200);
}
