//! The tables, the steps that made them, and which versions of them this program takes.
//!
//! A program that knows schema N makes and brings older stores up to N, works on N + 1, and refuses what is newer. Each step
//! must keep to that: `docs/adr/0014-schema-versions.md`.

/// The newest schema that this program knows, and the one it makes.
pub const KNOWN: u32 = 2;
/// The newest schema that this program works on.
pub const READABLE: u32 = KNOWN + 1;

/// What it takes to come from the schema before to this one.
pub(crate) struct Step {
    pub schema: u32,
    /// None where SQLite had that schema before Postgres was there.
    pub postgres: Option<&'static str>,
    pub sqlite: &'static str,
}

/// A step that was released is never changed.
pub(crate) const STEPS: [Step; KNOWN as usize] = [
    Step { schema: 1, postgres: None, sqlite: include_str!("../migrations/0001_first.sql") },
    Step {
        schema: 2,
        postgres: Some(include_str!("../migrations/postgres/0002_first.sql")),
        sqlite: include_str!("../migrations/0002_history.sql"),
    },
];

/// What a column holds, in either database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// Text without NUL.
    Text,
    /// A UUID: 16 bytes in SQLite, a `UUID` in Postgres.
    Id,
    /// Bytes.
    Bytes,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
    /// The columns that tell one row from another, by which it is read in order.
    pub key: &'static [&'static str],
}

use Kind::{Bytes, Flag, Id, Number, Text};

/// All of them at [`KNOWN`], each after those that it refers to.
pub const TABLES: [Table; 10] = [
    Table {
        name: "leases",
        columns: &[
            ("network", Text),
            ("address", Text),
            ("mac", Text),
            ("granted", Number),
            ("expires", Number),
            ("state", Text),
            ("host_name", Text),
        ],
        key: &["network", "address"],
    },
    Table {
        name: "boots",
        columns: &[
            ("id", Text),
            ("number", Number),
            ("mac", Text),
            ("network", Text),
            ("started", Number),
            ("last_heard", Number),
            ("firmware_xid", Number),
            ("ipxe_xid", Number),
            ("architecture", Number),
            ("uuid", Text),
            ("ticket", Text),
            ("ticket_address", Text),
            ("agent_key", Text),
            ("node", Text),
            ("revoked", Text),
        ],
        key: &["id"],
    },
    Table {
        name: "steps",
        columns: &[
            ("boot", Text),
            ("number", Number),
            ("at", Number),
            ("protocol", Text),
            ("event", Text),
            ("message", Text),
            ("rule", Text),
        ],
        key: &["boot", "number"],
    },
    Table {
        name: "nodes",
        columns: &[
            ("id", Id),
            ("name", Text),
            ("stage", Text),
            ("first_seen", Number),
            ("last_seen", Number),
            ("reports", Number),
            ("boot", Id),
            ("agent_key", Text),
            ("address", Text),
            ("digest", Bytes),
            ("version", Number),
            ("labels_json", Text),
            ("order_json", Text),
            ("identity_json", Text),
            ("summary_json", Text),
        ],
        key: &["id"],
    },
    Table {
        name: "reports",
        columns: &[
            ("node", Id),
            ("number", Number),
            ("at", Number),
            ("boot", Id),
            ("address", Text),
            ("amends", Flag),
            ("readings", Bytes),
        ],
        key: &["node", "number"],
    },
    Table {
        name: "snapshots",
        columns: &[("node", Id), ("number", Number), ("at", Number), ("digest", Bytes), ("body", Bytes)],
        key: &["node", "number"],
    },
    Table {
        name: "tests",
        columns: &[
            ("node", Id),
            ("id", Id),
            ("ordered", Number),
            ("started", Number),
            ("finished", Number),
            ("plan_json", Text),
            ("results_json", Text),
        ],
        key: &["node", "id"],
    },
    Table {
        name: "revisions",
        columns: &[("number", Number), ("id", Text), ("applied", Number), ("applied_by", Text), ("site_json", Text), ("files_json", Text)],
        key: &["number"],
    },
    Table {
        name: "answers",
        columns: &[("idempotency_key", Text), ("request", Text), ("status", Number), ("body", Text), ("at", Number)],
        key: &["idempotency_key"],
    },
    Table { name: "store_state", columns: &[("name", Text), ("value", Text)], key: &["name"] },
];
