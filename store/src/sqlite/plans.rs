//! Whether SQLite finds rows by an index wherever time matters: with 50,000 leases a scan would be felt.

use super::{open, sql::hot};
use crate::{Limits, schema};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    // Safe: the text is this crate's own.
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).fetch_all(connection).await.expect(statement);
    rows.iter().map(|row| row.get("detail")).collect()
}

/// A step that reads all rows of a table.
fn scans(detail: &str) -> bool {
    let table = |rest: &str| schema::TABLES.iter().any(|table| rest.split(' ').next() == Some(table.name));
    detail.strip_prefix("SCAN ").is_some_and(table)
}

#[tokio::test]
async fn no_statement_that_is_run_often_reads_a_whole_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut connection) = open::open(&folder.path().join("state.db"), &Limits::default()).await.expect("a store");
    for (name, text) in hot::STATEMENTS {
        for statement in text.split(';') {
            let plan = plan(&mut connection, statement).await;
            assert!(!plan.iter().any(|step| scans(step)), "{name}: {plan:?}");
        }
    }
    let plan = plan(&mut connection, &hot::steps()).await;
    assert!(!plan.iter().any(|step| scans(step) || step.contains("TEMP B-TREE")), "{plan:?}");
}

#[tokio::test]
async fn the_tables_are_those_of_the_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, mut connection) = open::open(&folder.path().join("state.db"), &Limits::default()).await.expect("a store");
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY m.name, c.name",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the tables");
    let mut listed: Vec<_> = schema::TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned())))
        .collect();
    listed.sort();
    assert_eq!(found, listed);
}
