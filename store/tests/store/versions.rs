//! Stores of other versions: older ones are brought up to date, the next one's are used as they are, newer ones are refused.

use crate::contract::{self, ODD, answer, at, boot, lease, mac, revision, step};
use domain::boot::Architecture;
use domain::document::{Document, Gap};
use domain::hardware::{Firmware, Summary};
use domain::history::{PastReport, Snapshot};
use domain::identity::Identity;
use domain::ids::{BootId, NodeId, OrderId};
use domain::lease::{Lease, LeaseState};
use domain::node::{Labels, Node, Stage};
use domain::order::{Order, OrderKind};
use domain::ports::{AnswerStore, BootStore, LeaseStore, NodeStore, ObserveStore, SiteStore};
use domain::ticket::{KeyFingerprint, Ticket};
use domain::timeline::{Protocol, Step};
use serde_json::{Map, Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use store::postgres::PostgresStore;
use store::schema;
use store::sqlite::SqliteStore;
use tests_peers::Postgres;
use uuid::Uuid;

/// What the released program of schema 1 wrote, as SQL.
const SCHEMA_1: &str = include_str!("../fixtures/schema-1.sql");

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    (folder, path)
}

async fn beside(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.expect("a connection")
}

async fn released(path: &Path) {
    let mut file = beside(path).await;
    file.execute(sqlx::raw_sql(SCHEMA_1)).await.expect("SQL");
    file.close().await.expect("closed");
}

/// The nodes that are in it.
fn nodes() -> [(Node, Document); 3] {
    let node = |n: u16| Node {
        id: NodeId(Uuid::from_u128(n.into())),
        name: None,
        stage: Stage::Discovered,
        identity: Identity {
            uuid: Some(Uuid::from_u128(0xabcd << 64 | u128::from(n))),
            serial: Some(format!("VM-{n}")),
            macs: [mac(n)].into(),
            ..Identity::default()
        },
        summary: Summary { memory_bytes: Some(u64::MAX), firmware: Some(Firmware::Uefi), ..Summary::default() },
        labels: Labels::default(),
        digest: None,
        first_seen: at(n.into()),
        last_seen: at(n.into()),
        reports: 1,
        boot: Some(BootId(Uuid::from_u128(n.into()))),
        key: Some(KeyFingerprint("cd".repeat(32))),
        address: Some(Ipv4Addr::new(10, 20, 0, 9)),
        order: None,
        version: 1,
    };
    let document = |n: u16| Document {
        facts: json!({"system": {"serial": ODD, "later": [1, u64::MAX, -1, 0.5, null]}}),
        gaps: vec![Gap { path: "disks.sda.wwn".into(), reason: ODD.into() }],
        other: Map::from_iter([(ODD.into(), json!({"later": [ODD, {"": null}, n]}))]),
    };
    let order = Order { id: OrderId(Uuid::from_u128(9)), kind: OrderKind::Reboot, given: at(5), taken: Some(at(6)), test: None };
    let changed = Node { name: Some("w1".into()), last_seen: at(99), reports: 2, order: Some(order), version: 2, ..node(1) };
    let bare = Node { identity: Identity::default(), summary: Summary::default(), ..node(0xffff) };
    let nothing = Document { facts: json!({}), ..Document::default() };
    [(changed, document(1)), (node(2), document(2)), (bare, nothing)]
}

#[tokio::test]
async fn what_schema_1_kept_reads_as_it_was() {
    let (_folder, path) = folder();
    released(&path).await;
    let store = SqliteStore::open(&path).await.expect("brought up to date");
    nodes_are_as_they_were(&store).await;
    boots_are_as_they_were(&store).await;

    let mut leases = store.leases().await.expect("read");
    leases.sort_by_key(|lease| (lease.network.clone(), lease.address));
    let declined = Lease { state: LeaseState::Declined, ..lease("a", 2, 4) };
    let released = Lease { state: LeaseState::Released, ..lease("b", 1, 3) };
    assert_eq!(leases, [Lease { host_name: Some(ODD.into()), ..lease("a", 1, 1) }, declined, released]);
    let current = store.current_site().await.expect("read").expect("a revision");
    assert_eq!((current.number, &current.files, &current.site.name), (3, &revision(3).files, &"hall-3".to_owned()));
    assert_eq!(store.revisions(10).await.expect("read").len(), 3);
    for (key, second) in [("a", 0), (ODD, 1)] {
        assert_eq!(store.answered(key).await.expect("read"), Some(answer(key, second)));
    }
    assert_eq!(store.observe_only().await.expect("read"), None);

    // And it goes on from there.
    let (node, document) = nodes().into_iter().next().expect("one");
    let next = contract::tell(&store, node, contract::Told::Changed(contract::document(7)), 200).await;
    assert_eq!(store.reports(next.id, None, 10).await.expect("read").len(), 2);
    assert_eq!(store.snapshot(next.id, Some(at(199))).await.expect("read").expect("a snapshot").document, document);
    store.close().await;
    nodes_are_there_after_another_start(&path).await;
}

async fn nodes_are_as_they_were(store: &SqliteStore) {
    let expected = nodes();
    assert_eq!(store.nodes(None, 10).await.expect("read").items, expected.clone().map(|(node, _)| node));
    for (node, document) in expected {
        let snapshot = Snapshot { number: node.reports, at: node.last_seen, document, readings: Value::Null };
        assert_eq!(store.snapshot(node.id, None).await.expect("read"), Some(snapshot.clone()), "history begins with what was known");
        assert_eq!(store.snapshot_after(node.id, node.reports).await.expect("read"), Some(snapshot));
        let report = PastReport {
            number: node.reports,
            at: node.last_seen,
            boot: node.boot,
            address: node.address,
            amends: false,
            changed: true,
            digest: None,
        };
        assert_eq!(store.reports(node.id, None, 10).await.expect("read"), [report]);
    }
}

async fn boots_are_as_they_were(store: &SqliteStore) {
    let mut first = boot(1, 1);
    first.ipxe_xid = Some(7);
    first.last_heard = at(50);
    first.architecture = Some(Architecture(u16::MAX));
    first.uuid = Some(Uuid::from_u128(u128::MAX));
    first.ticket = Some(Ticket::from_random([0xab; 16]));
    first.ticket_address = Some(Ipv4Addr::new(10, 20, 0, 9));
    first.key = Some(KeyFingerprint("ab".repeat(32)));
    first.node = Some(NodeId(Uuid::from_u128(1)));
    first.revoked = Some(ODD.into());
    assert_eq!(store.recent_boots(10).await.expect("read"), [boot(2, 2), first.clone()]);
    let steps = store.timeline(first.id).await.expect("read").expect("a boot").steps;
    let odd = Step { rule: Some(ODD.into()), protocol: Protocol::Agent, ..step(&first, ODD) };
    assert_eq!(steps, [odd, step(&first, "another")]);
}

async fn nodes_are_there_after_another_start(path: &Path) {
    let store = SqliteStore::open(path).await.expect("a store");
    assert_eq!(store.nodes(None, 10).await.expect("read").items.len(), 3);
    store.close().await;
    let mut file = beside(path).await;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut file).await.expect("a version");
    assert_eq!(version, i64::from(schema::KNOWN));
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_store_as_it_was() {
    let (_folder, path) = folder();
    released(&path).await;
    let mut file = beside(&path).await;
    // Its id is none, so that the rows cannot be brought over.
    file.execute("PRAGMA foreign_keys = OFF").await.expect("set");
    file.execute("UPDATE nodes SET id = 'spoilt' WHERE name = 'w1'").await.expect("spoilt");
    file.close().await.expect("closed");
    let error = SqliteStore::open(&path).await.expect_err("refused");
    assert!(matches!(error, store::sqlite::OpenError::Failed { .. }), "{error}");
    let mut file = beside(&path).await;
    let (version, nodes): (i64, i64) =
        sqlx::query_as("SELECT user_version, (SELECT COUNT(*) FROM nodes WHERE facts_json <> '') FROM pragma_user_version")
            .fetch_one(&mut file)
            .await
            .expect("as it was");
    assert_eq!((version, nodes), (1, 3));
}

/// What a later version may do to a store: see `docs/adr/0014-schema-versions.md`. As if it were schema `KNOWN + 1`.
const LATER: &str = "
    ALTER TABLE leases ADD COLUMN later TEXT;
    ALTER TABLE boots ADD COLUMN later BIGINT NOT NULL DEFAULT 7;
    ALTER TABLE steps ADD COLUMN later TEXT;
    ALTER TABLE nodes ADD COLUMN later TEXT;
    ALTER TABLE reports ADD COLUMN later BIGINT;
    ALTER TABLE snapshots ADD COLUMN later TEXT;
    ALTER TABLE tests ADD COLUMN later TEXT NOT NULL DEFAULT 'x';
    ALTER TABLE revisions ADD COLUMN later TEXT;
    ALTER TABLE answers ADD COLUMN later TEXT;
    ALTER TABLE store_state ADD COLUMN later TEXT;
    CREATE TABLE later_things (id TEXT NOT NULL PRIMARY KEY, node TEXT);
    CREATE INDEX nodes_by_something ON nodes (stage);
    INSERT INTO later_things (id) VALUES ('thing')";

mod on_the_next_schema_of_sqlite {
    use super::*;

    async fn empty() -> (tempfile::TempDir, SqliteStore) {
        let (folder, path) = folder();
        SqliteStore::open(&path).await.expect("a store").close().await;
        let mut file = beside(&path).await;
        file.execute(LATER).await.expect("SQL");
        file.execute("PRAGMA user_version = 3").await.expect("set");
        file.close().await.expect("closed");
        (folder, SqliteStore::open(&path).await.expect("one version ahead"))
    }

    crate::keeps_the_contract!(empty);

    #[tokio::test]
    async fn it_stays_what_it_is() {
        let (folder, store) = empty().await;
        store.close().await;
        let mut file = beside(&folder.path().join("state.db")).await;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut file).await.expect("a version");
        assert_eq!((version, schema::KNOWN), (3, 2), "a new schema needs the next one here");
        file.execute("PRAGMA user_version = 4").await.expect("set");
        file.close().await.expect("closed");
        let error = SqliteStore::open(&folder.path().join("state.db")).await.expect_err("two versions ahead");
        assert!(error.to_string().contains("it has schema 4, and this one works on those up to 3"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_schema_of_postgres_is_used_as_it_is_and_the_one_after_refused() {
    let server = Postgres::start();
    let at = |database: &str| server.url(database).parse().expect("a URL");
    let empty = async |database: &str| {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        PostgresStore::open(&at(database)).await.expect("a store").close().await;
        server.sql(database, &format!("{LATER}; UPDATE overture_store SET version = 3"));
        PostgresStore::open(&at(database)).await.expect("one version ahead")
    };
    contract::lease_contract(&empty("a").await).await;
    contract::boot_contract(&empty("b").await).await;
    contract::node_contract(&empty("c").await).await;
    contract::history_contract(&empty("d").await).await;
    contract::pruning_contract(&empty("e").await).await;
    contract::hardware_contract(&empty("f").await).await;
    contract::site_contract(&empty("g").await).await;
    contract::answer_contract(&empty("h").await).await;
    contract::observe_contract(&empty("i").await).await;
    assert_eq!(server.sql("i", "SELECT version FROM overture_store"), "3", "it stays what it is");
    server.sql("i", "UPDATE overture_store SET version = 4");
    let error = PostgresStore::open(&at("i")).await.expect_err("two versions ahead");
    assert!(error.to_string().contains("it has schema 4, and this one works on those up to 3"), "{error}");
}
