//! Whether SQLite finds rows by an index wherever time matters: with 50,000 leases a scan would be felt.

use super::{answers, boots, leases, nodes, open, site};
use crate::Limits;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

/// Every statement of a write; and the reads by key.
const HOT: [(&str, &str); 21] = [
    ("leases::KEEP", leases::KEEP),
    ("boots::CHANGE", boots::CHANGE),
    ("boots::ADD", boots::ADD),
    ("boots::FORGET_OF_MAC", boots::FORGET_OF_MAC),
    ("boots::FORGET_OF_NOBODY", boots::FORGET_OF_NOBODY),
    ("boots::ADD_STEP", boots::ADD_STEP),
    ("nodes::NAME_OF_ANOTHER", nodes::NAME_OF_ANOTHER),
    ("nodes::ADD", nodes::ADD),
    ("nodes::CHANGE", nodes::CHANGE),
    ("nodes::KEEP_SEEN", nodes::KEEP_SEEN),
    ("nodes::FORGET", nodes::FORGET),
    ("nodes::IS_THERE", nodes::IS_THERE),
    ("nodes::MACS", nodes::MACS),
    ("nodes::ADD_MAC", nodes::ADD_MAC),
    ("nodes::FORGET_MAC", nodes::FORGET_MAC),
    ("site::LAST", site::LAST),
    ("site::ADD", site::ADD),
    ("site::FORGET", site::FORGET),
    ("answers::FORGET_OLD", answers::FORGET_OLD),
    ("answers::KEEP", answers::KEEP),
    ("answers::ONE", answers::ONE),
];

/// The tables that grow.
const TABLES: [&str; 7] = ["leases", "boots", "steps", "nodes", "node_macs", "revisions", "answers"];

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    // Safe: the text is this crate's own.
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).fetch_all(connection).await.expect(statement);
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn no_statement_that_is_run_often_reads_a_whole_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut connection) = open::open(&folder.path().join("state.db"), &Limits::default()).await.expect("a store");
    let scans = |detail: &String| detail.strip_prefix("SCAN ").is_some_and(|rest| TABLES.iter().any(|table| rest.starts_with(table)));
    for (name, text) in HOT {
        for statement in text.split(';') {
            let plan = plan(&mut connection, statement).await;
            assert!(!plan.iter().any(scans), "{name}: {plan:?}");
        }
    }
    let steps = format!("{}$1, $2) ORDER BY boot, number", boots::STEPS);
    let plan = plan(&mut connection, &steps).await;
    assert!(!plan.iter().any(|step| scans(step) || step.contains("TEMP B-TREE")), "{plan:?}");
}
