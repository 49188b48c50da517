//! Where reports are kept. The inventory runs inside this programme, so there is nothing to start but Postgres and the peer.

use super::{Contestant, Programs, Setup, program};
use anyhow::bail;
use std::process::Command;

/// The inventory over SQLite.
pub struct OnSqlite;
/// The inventory over Postgres.
pub struct OnPostgres;
/// SQLite alone: one insert of the same bytes a commit, synced, without knowing what they are. Python's module.
pub struct SqliteAlone;

impl Contestant for OnSqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn check(&self, _: &Programs) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, _: &Programs, _: &Setup<'_>) -> anyhow::Result<Command> {
        bail!("the inventory runs inside this programme")
    }
}

impl Contestant for OnPostgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn check(&self, _: &Programs) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, _: &Programs, _: &Setup<'_>) -> anyhow::Result<Command> {
        bail!("the inventory runs inside this programme")
    }
}

/// What the peer runs: rows of the same size, one commit each, as durable as ours.
const ALONE: &str = r#"
import sqlite3, sys, time, os
path, rows, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE reports (id INTEGER PRIMARY KEY, body BLOB)")
body = os.urandom(size)
began = time.monotonic()
for _ in range(rows):
    db.execute("INSERT INTO reports (body) VALUES (?)", (body,))
print(rows / (time.monotonic() - began))
"#;

impl Contestant for SqliteAlone {
    fn name(&self) -> &'static str {
        "sqlite alone"
    }

    fn check(&self, _: &Programs) -> anyhow::Result<()> {
        program("python3").map(drop)
    }

    fn command(&self, _: &Programs, setup: &Setup<'_>) -> anyhow::Result<Command> {
        let mut command = Command::new(program("python3")?);
        command.args(["-c", ALONE]).arg(setup.folder.join("alone.db"));
        Ok(command)
    }
}
