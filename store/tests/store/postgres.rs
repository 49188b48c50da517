//! The Postgres store keeps the contract, tells what is wrong with a server, and is alone in its database.

use crate::contract::{boot, lease, step};
use domain::ports::{BootStore, LeaseStore, StoreError};
use sqlx::{Connection, Executor, PgConnection};
use std::error::Error;
use std::time::{Duration, Instant};
use store::postgres::{OpenError, PostgresStore};
use store::{Limits, Location};
use tests_peers::Postgres;

async fn open(server: &Postgres) -> PostgresStore {
    PostgresStore::open(&server.default_url().parse().expect("a URL")).await.expect("a store")
}

async fn empty() -> (Postgres, PostgresStore) {
    let server = Postgres::start();
    let store = open(&server).await;
    (server, store)
}

crate::keeps_the_contract!(empty);

/// The bounds of a test that runs into them.
fn impatient() -> Limits {
    Limits { lock_wait: Duration::from_millis(300), answer_wait: Duration::from_secs(2), mailbox: 8, ..Limits::default() }
}

async fn open_impatiently(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::open_with(&url.parse().expect("a URL"), impatient()).await
}

/// Opens and expects a refusal, which shows no password.
async fn refused(url: &str) -> OpenError {
    let error = open_impatiently(url).await.expect_err("refused");
    let mut all = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(next) = source {
        all += &next.to_string();
        source = next.source();
    }
    assert!(!all.contains("geheim"), "{all}");
    error
}

fn cause(error: &StoreError) -> String {
    error.source().expect("a cause").to_string()
}

#[tokio::test]
async fn a_store_is_opened_by_where_it_is() {
    let server = Postgres::start();
    let location: Location = server.default_url().parse().expect("a place");
    let store = store::open(&location).await.expect("a store");
    store.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    assert!(store.place().starts_with("postgres://overture@/"), "{}", store.place());
    store.close().await;
    let late = store.keep_lease(&lease("n", 1, 1)).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    assert_eq!(store::open(&location).await.expect("a store").leases().await.expect("read").len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_with_what_to_do() {
    let server = Postgres::start();
    let error = refused(&server.url("missing")).await;
    assert!(matches!(error, OpenError::NoDatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("/missing does not exist: create it with `createdb"), "{error}");

    let error = refused(&format!("{}?sslmode=require", server.default_url())).await;
    assert!(matches!(error, OpenError::NoTls { .. }), "{error:?}");

    let nobody = tempfile::tempdir().expect("a folder");
    let error = refused(&format!("postgres://u:geheim@{}/db", nobody.path().display().to_string().replace('/', "%2F"))).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(matches!(refused("postgres://u:geheim@127.0.0.1:1/db").await, OpenError::Unreachable { .. }));
    assert!(matches!(refused("postgres://u:geheim@h:port/db").await, OpenError::NotAUrl(_)));
    assert!(matches!(refused("postgres://u:geheim@h/db?sslmode=odd").await, OpenError::NotAUrl(_)));

    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let error = refused(&server.url("latin")).await;
    assert!(error.to_string().contains("its encoding is LATIN1: create it with"), "{error}");

    server.sql("postgres", "CREATE DATABASE theirs");
    server.sql("theirs", "CREATE TABLE users (id int)");
    assert!(matches!(refused(&server.url("theirs")).await, OpenError::NotAStore { .. }));
    assert_eq!(server.sql("theirs", "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"), "1", "it was left as it is");

    server.sql("postgres", "CREATE USER stranger PASSWORD 'geheim'");
    server.sql("postgres", "CREATE DATABASE closed");
    let stranger = |word: &str| server.url("closed").replace("overture@", &format!("stranger{word}@"));
    let error = refused(&stranger("")).await;
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error:?}");

    let admit = |line: &str| {
        std::fs::write(server.admission(), format!("local all overture trust\n{line}")).expect("written");
        server.reload();
    };
    admit("local all stranger scram-sha-256\n");
    // The server takes a moment to look at its files.
    let patience = Instant::now();
    while !matches!(refused(&stranger(":geheimer")).await, OpenError::WrongPassword { .. }) {
        assert!(patience.elapsed() < Duration::from_secs(10));
    }
    assert!(matches!(refused(&stranger("")).await, OpenError::WrongPassword { .. }));
    server.sql("postgres", "ALTER DATABASE closed OWNER TO stranger");
    let store = open_impatiently(&stranger(":geheim")).await.expect("the right password, and the right to make tables");
    assert!(!format!("{store:?}").contains("geheim"));
    store.close().await;
    admit("");
    let patience = Instant::now();
    while !matches!(refused(&stranger(":geheim")).await, OpenError::NotAdmitted { .. }) {
        assert!(patience.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn only_one_service_writes_to_a_database() {
    let server = Postgres::start();
    let first = open_impatiently(&server.default_url()).await.expect("a store");
    first.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    let error = refused(&server.default_url()).await;
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    first.keep_lease(&lease("n", 2, 2)).await.expect("it goes on");
    first.close().await;

    let first = open_impatiently(&server.default_url()).await.expect("when the other is closed");
    // Its session is cut, and before it notices, another service takes the database.
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overture'");
    let second = open(&server).await;
    second.keep_lease(&lease("n", 3, 3)).await.expect("kept");
    let error = first.keep_lease(&lease("n", 4, 4)).await.expect_err("it has no right to write");
    assert!(cause(&error).starts_with("another Overture writes to this database"), "{}", cause(&error));
    assert_eq!(first.leases().await.expect("reading goes on").len(), 3);
    second.close().await;
    let error = first.keep_lease(&lease("n", 5, 5)).await.expect_err("what it remembers is out of date");
    assert!(cause(&error).starts_with("another Overture has written to this database meanwhile"), "{}", cause(&error));
    let failure = first.run_until_failure().await;
    assert!(cause(&failure).starts_with("another Overture has written"), "the process is to end: {failure:?}");
    assert_eq!(open(&server).await.leases().await.expect("read").len(), 3);
}

#[tokio::test]
async fn a_connection_that_was_cut_is_replaced_unnoticed() {
    let (server, store) = empty().await;
    for n in 1..=3u8 {
        store.keep_lease(&lease("n", n, n.into())).await.expect("kept");
        assert_eq!(store.leases().await.expect("read").len(), usize::from(n));
        server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overture'");
    }
    assert_eq!(store.stats().failures, 0);
}

#[tokio::test]
async fn a_locked_table_is_reported_in_time_and_written_when_it_is_free() {
    let server = Postgres::start();
    let store = open_impatiently(&server.default_url()).await.expect("a store");
    store.keep_boot(&boot(1, 1)).await.expect("kept");
    let mut other = PgConnection::connect(&server.default_url()).await.expect("a connection");
    other.execute("BEGIN; LOCK TABLE leases IN SHARE MODE; LOCK TABLE steps IN SHARE MODE").await.expect("locked");
    let began = Instant::now();
    assert!(store.note(None, step(&boot(1, 1), "while it was locked")));
    let error = store.keep_lease(&lease("n", 1, 1)).await.expect_err("locked");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(cause(&error).starts_with("another process has the database locked"), "{}", cause(&error));
    assert!(store.leases().await.expect("reading goes on").is_empty());

    other.execute("ROLLBACK").await.expect("free");
    store.keep_lease(&lease("n", 2, 2)).await.expect("kept");
    assert_eq!(store.leases().await.expect("read"), [lease("n", 2, 2)], "what was refused is not there");
    let steps = store.timeline(boot(1, 1).id).await.expect("read").expect("a boot").steps;
    assert_eq!(steps.len(), 1, "what nobody waited for was held and written");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_in_time_and_a_short_absence_is_not_noticed() {
    let mut server = Postgres::start();
    let impatient = open_impatiently(&server.default_url()).await.expect("a store");
    impatient.keep_lease(&lease("n", 1, 1)).await.expect("kept");
    server.stop();
    let began = Instant::now();
    let error = impatient.keep_lease(&lease("n", 2, 2)).await.expect_err("nobody is there");
    assert!(cause(&error).starts_with("the database server cannot be reached: start it"), "{}", cause(&error));
    let error = impatient.leases().await.expect_err("nobody is there");
    assert!(cause(&error).starts_with("the database server cannot be reached: start it"), "{}", cause(&error));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.restart();
    impatient.keep_lease(&lease("n", 3, 3)).await.expect("it goes on by itself");
    impatient.close().await;

    let store = open(&server).await;
    server.stop();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.keep_lease(&lease("n", 4, 4)).await }
    });
    tokio::task::yield_now().await;
    server.restart();
    waiting.await.expect("no panic").expect("it waited for the server");
    assert_eq!(store.leases().await.expect("read").len(), 3);
}
