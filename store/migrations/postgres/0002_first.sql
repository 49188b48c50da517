-- Schema 2 as the first that Postgres has; its tables and columns are those of SQLite's schema 2.
-- Times are microseconds since 1970, UTC. Ids are UUIDs, as text in the older tables. Columns that end in _json hold JSON text,
-- in the words of the domain's types. Text sorts by its bytes, whatever the language of the database.

CREATE TABLE leases (
    network TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    mac TEXT COLLATE "C" NOT NULL,
    granted BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL,
    host_name TEXT,
    PRIMARY KEY (network, address)
);
-- One machine is one lease on a network; the addresses that it declined do not count.
CREATE UNIQUE INDEX leases_by_machine ON leases (network, mac) WHERE state <> 'declined';

CREATE TABLE boots (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- The order in which boots were first kept. The clock may have been wrong, so their times cannot say which is newest.
    number BIGINT NOT NULL,
    mac TEXT COLLATE "C" NOT NULL,
    network TEXT NOT NULL,
    started BIGINT NOT NULL,
    last_heard BIGINT NOT NULL,
    firmware_xid BIGINT,
    ipxe_xid BIGINT,
    architecture BIGINT,
    uuid TEXT,
    ticket TEXT,
    ticket_address TEXT,
    agent_key TEXT,
    node TEXT,
    revoked TEXT
);
CREATE UNIQUE INDEX boots_by_number ON boots (number);
CREATE INDEX boots_by_machine ON boots (mac, number);
CREATE INDEX boots_of_nobody ON boots (number) WHERE node IS NULL;

CREATE TABLE steps (
    boot TEXT COLLATE "C" NOT NULL REFERENCES boots (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    protocol TEXT NOT NULL,
    event TEXT NOT NULL,
    message TEXT NOT NULL,
    rule TEXT,
    PRIMARY KEY (boot, number)
);

CREATE TABLE revisions (
    number BIGINT NOT NULL PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    applied BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    site_json TEXT NOT NULL,
    files_json TEXT NOT NULL
);

CREATE TABLE answers (
    idempotency_key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX answers_by_time ON answers (at);

CREATE TABLE nodes (
    id UUID NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C",
    stage TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    boot UUID,
    agent_key TEXT,
    address TEXT,
    digest BYTEA,
    version BIGINT NOT NULL,
    labels_json TEXT NOT NULL,
    order_json TEXT,
    identity_json TEXT NOT NULL,
    summary_json TEXT NOT NULL
) WITH (fillfactor = 50); -- Each report changes its node: with room in its page, that leaves nothing to clean up.
CREATE UNIQUE INDEX nodes_by_name ON nodes (name);

-- One row a report, whether or not it changed anything, so it is small.
CREATE TABLE reports (
    node UUID NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    boot UUID,
    address TEXT,
    amends BOOLEAN NOT NULL,
    -- JSON, or Zstandard of it.
    readings BYTEA,
    PRIMARY KEY (node, number)
);

-- The document after each report that changed it.
CREATE TABLE snapshots (
    node UUID NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    digest BYTEA,
    -- JSON, or Zstandard of it; compressing it once more would be in vain.
    body BYTEA NOT NULL
);
ALTER TABLE snapshots ALTER COLUMN body SET STORAGE EXTERNAL;
-- With the time, which is asked for by it alone.
CREATE UNIQUE INDEX snapshots_by_report ON snapshots (node, number, at);

CREATE TABLE tests (
    node UUID NOT NULL,
    id UUID NOT NULL,
    ordered BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    plan_json TEXT NOT NULL,
    results_json TEXT NOT NULL,
    PRIMARY KEY (node, id)
);

CREATE TABLE store_state (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
