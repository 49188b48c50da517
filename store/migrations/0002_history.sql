-- Nodes without their documents, which get a history of their own; tests of hardware; what the service must remember of itself.
-- Ids of nodes and boots in these tables are the 16 bytes of the UUID: there are many rows, and bytes sort as they count, too.

DROP TABLE node_macs;

CREATE TABLE nodes_now (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT,
    stage TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    boot BLOB,
    agent_key TEXT,
    address TEXT,
    digest BLOB,
    version BIGINT NOT NULL,
    labels_json TEXT NOT NULL,
    order_json TEXT,
    identity_json TEXT NOT NULL,
    summary_json TEXT NOT NULL
);

-- One row a report, whether or not it changed anything, so it is small; a node's rows lie side by side.
CREATE TABLE reports (
    node BLOB NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    boot BLOB,
    address TEXT,
    amends BOOLEAN NOT NULL,
    -- JSON, or Zstandard of it.
    readings BLOB,
    PRIMARY KEY (node, number)
) WITHOUT ROWID;

-- The document after each report that changed it. Large rows, so they are written one after the other and found by an index.
CREATE TABLE snapshots (
    node BLOB NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    digest BLOB,
    -- JSON, or Zstandard of it.
    body BLOB NOT NULL
);
-- With the time, which is asked for by it alone.
CREATE UNIQUE INDEX snapshots_by_report ON snapshots (node, number, at);

CREATE TABLE tests (
    node BLOB NOT NULL,
    id BLOB NOT NULL,
    ordered BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT,
    plan_json TEXT NOT NULL,
    results_json TEXT NOT NULL,
    PRIMARY KEY (node, id)
) WITHOUT ROWID;

CREATE TABLE store_state (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

INSERT INTO nodes_now (id, name, stage, first_seen, last_seen, reports, boot, agent_key, address, digest, version,
    labels_json, order_json, identity_json, summary_json)
SELECT unhex(replace(id, '-', '')), name, stage, first_seen, last_seen, reports, unhex(replace(boot, '-', '')), agent_key, address,
    NULL, version, '{}', order_json, identity_json, summary_json
FROM nodes ORDER BY id;

-- History begins with what was known: the newest report, as far as it is known when that came.
INSERT INTO reports (node, number, at, boot, address, amends, readings)
SELECT unhex(replace(id, '-', '')), reports, last_seen, unhex(replace(boot, '-', '')), address, 0, NULL FROM nodes ORDER BY id;

INSERT INTO snapshots (node, number, at, digest, body)
SELECT unhex(replace(id, '-', '')), reports, last_seen, NULL,
    CAST('{"facts":' || facts_json || ',"gaps":' || gaps_json || ',"other":' || other_json || '}' AS BLOB)
FROM nodes ORDER BY id;

DROP TABLE nodes;
ALTER TABLE nodes_now RENAME TO nodes;
CREATE UNIQUE INDEX nodes_by_name ON nodes (name);
