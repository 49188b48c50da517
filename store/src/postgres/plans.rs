//! Whether Postgres takes every statement, and could find rows by an index wherever time matters.

use super::{open, sql::hot};
use crate::{Limits, schema};
use sqlx::{AssertSqlSafe, Executor, Row};
use tests_peers::Postgres;

/// Parameters that stand alone in a SELECT: their type is known only when they are bound.
const TYPED_WHEN_BOUND: [&str; 3] = ["boots::ADD", "boots::ADD_STEP", "hardware::KEEP"];

async fn plan(connection: &mut super::db::Connection, statement: &str) -> Vec<String> {
    let parameters = (1..20).take_while(|n| statement.contains(&format!("${n}"))).count();
    let nulls = vec!["NULL"; parameters].join(", ");
    let execute = if parameters == 0 { "EXECUTE asked".to_owned() } else { format!("EXECUTE asked ({nulls})") };
    // Safe: the text is this crate's own.
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("PREPARE asked AS {statement}")))).await.expect(statement);
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN {execute}")))).await.expect(statement);
    connection.execute("DEALLOCATE asked").await.expect("it is there");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn no_statement_that_is_run_often_must_read_a_whole_table() {
    let server = Postgres::start();
    let url = server.default_url().parse().expect("a URL");
    let (_, mut connection) = open::open(&url, &Limits::default()).await.expect("a store");
    // The tables are empty, so that nothing but this keeps the planner from reading them whole.
    connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan").await.expect("set");
    for (name, text) in hot::STATEMENTS.into_iter().filter(|(name, _)| !TYPED_WHEN_BOUND.contains(name)) {
        for statement in text.split(';').filter(|statement| name != "leases::KEEP" || statement.contains("DELETE")) {
            let statement =
                if name == "history::ADD_CHANGED" { statement.replace("$8", "$4").replace("$9", "$5") } else { statement.into() };
            let plan = plan(&mut connection, &statement).await;
            assert!(!plan.iter().any(|step| step.contains("Seq Scan")), "{name}: {plan:#?}");
        }
    }
    let plan = plan(&mut connection, &hot::steps()).await;
    assert!(!plan.iter().any(|step| step.contains("Seq Scan")), "{plan:#?}");
}

#[tokio::test]
async fn the_tables_are_those_of_the_list() {
    let server = Postgres::start();
    let url = server.default_url().parse().expect("a URL");
    let (_, mut connection) = open::open(&url, &Limits::default()).await.expect("a store");
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name <> 'overture_store' ORDER BY table_name COLLATE \"C\", column_name COLLATE \"C\"",
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
