-- The journal as schema 1 made it.
CREATE TABLE attempts (
    run INTEGER NOT NULL,
    request BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    digest BLOB NOT NULL,
    begun_at FLOAT NOT NULL,
    ended_at FLOAT,
    ruling TEXT,
    http_status INTEGER,
    error_code TEXT,
    error_message TEXT,
    PRIMARY KEY (run, request, attempt)
)
 WITHOUT ROWID;
CREATE INDEX attempts_by_end ON attempts (ended_at);
CREATE INDEX attempts_of_digest ON attempts (digest, ruling, ended_at);
CREATE TABLE batch_resend_schema (
    version INTEGER NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE inputs (
    run INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT,
    columns TEXT NOT NULL,
    fields TEXT NOT NULL,
    rows BIGINT NOT NULL,
    PRIMARY KEY (run, ordinal)
)
 WITHOUT ROWID;
CREATE TABLE outcomes (
    run INTEGER NOT NULL,
    request BIGINT NOT NULL,
    status TEXT NOT NULL,
    http_status INTEGER,
    error_code TEXT,
    error_message TEXT,
    PRIMARY KEY (run, request)
)
 WITHOUT ROWID;
CREATE TABLE requests (
    run INTEGER NOT NULL,
    number BIGINT NOT NULL,
    position BIGINT NOT NULL,
    order_id TEXT NOT NULL,
    locale TEXT,
    entries TEXT NOT NULL,
    digest BLOB NOT NULL,
    doubted_before BOOLEAN NOT NULL,
    PRIMARY KEY (run, number)
)
 WITHOUT ROWID;
CREATE INDEX requests_in_list_order ON requests (run, position);
CREATE TABLE rows (
    run INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    input INTEGER NOT NULL,
    line BIGINT NOT NULL,
    status TEXT NOT NULL,
    order_id TEXT,
    locale TEXT,
    entries TEXT,
    request BIGINT,
    reason TEXT,
    raw TEXT NOT NULL,
    PRIMARY KEY (run, seq)
)
 WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    base_url TEXT NOT NULL,
    state TEXT NOT NULL,
    stop_reason TEXT,
    limits TEXT NOT NULL,
    plan_digest BLOB,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    finished_at FLOAT,
    PRIMARY KEY (number),
    UNIQUE (id)
);
INSERT INTO batch_resend_schema VALUES (1);
