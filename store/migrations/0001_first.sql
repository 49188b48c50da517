-- Times are microseconds since 1970, UTC. Ids are UUIDs as text, hyphenated, in lower case, so that they sort as they count.
-- Columns that end in _json hold JSON text, in the words of the domain's types.

CREATE TABLE leases (
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    mac TEXT NOT NULL,
    granted BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    state TEXT NOT NULL,
    host_name TEXT,
    PRIMARY KEY (network, address)
);
-- One machine is one lease on a network; the addresses that it declined do not count.
CREATE UNIQUE INDEX leases_by_machine ON leases (network, mac) WHERE state <> 'declined';

CREATE TABLE boots (
    id TEXT NOT NULL PRIMARY KEY,
    -- The order in which boots were first kept. The clock may have been wrong, so their times cannot say which is newest.
    number BIGINT NOT NULL,
    mac TEXT NOT NULL,
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
    boot TEXT NOT NULL REFERENCES boots (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    protocol TEXT NOT NULL,
    event TEXT NOT NULL,
    message TEXT NOT NULL,
    rule TEXT,
    PRIMARY KEY (boot, number)
);

CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    stage TEXT NOT NULL,
    uuid TEXT,
    serial TEXT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    boot TEXT NOT NULL,
    agent_key TEXT NOT NULL,
    address TEXT NOT NULL,
    version BIGINT NOT NULL,
    order_json TEXT,
    identity_json TEXT NOT NULL,
    summary_json TEXT NOT NULL,
    gaps_json TEXT NOT NULL,
    -- Last, because they are large: a query that does not ask for them does not read them.
    other_json TEXT NOT NULL,
    facts_json TEXT NOT NULL
);
CREATE UNIQUE INDEX nodes_by_name ON nodes (name);
CREATE INDEX nodes_by_uuid ON nodes (uuid);
CREATE INDEX nodes_by_serial ON nodes (serial);

-- The network cards of nodes. Two nodes may have the same one: a card that moved stays with its old node until that reports.
CREATE TABLE node_macs (
    node TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    mac TEXT NOT NULL,
    PRIMARY KEY (node, mac)
);
CREATE INDEX node_macs_by_mac ON node_macs (mac);

CREATE TABLE revisions (
    number BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    applied BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    site_json TEXT NOT NULL,
    files_json TEXT NOT NULL
);

CREATE TABLE answers (
    idempotency_key TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX answers_by_time ON answers (at);
