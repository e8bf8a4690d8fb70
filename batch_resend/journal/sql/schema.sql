--     runs 1-n inputs 1-n rows n-1 requests 1-n attempts
--                                  requests 1-1 outcomes
--     runs 1-n starts 1-n attempts
--     requests 1-1 checks
--     runs 1-1 sweeps 1-n stuck
--     starts 1-n pauses, 1-n reads, 1-n budgets
--
-- A request's number is its place in canonical order (order number, call, locale), so the same
-- requests have the same numbers in every run. Its order_id names a domain where the call is about
-- one. Times are seconds since the epoch, by the clock of the process that wrote them. That clock may
-- have been wrong: starts has, of each process, the start of the machine and how far its clock was
-- ahead of the steady time (see shift_s in sending.sql).

-- name: tables
CREATE TABLE batch_resend_schema (
    version {serial} NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE runs (
    number {serial} NOT NULL,
    id {text} NOT NULL,
    base_url {text} NOT NULL,
    state {text} NOT NULL,  -- RunState
    stop_reason {text},
    limits {text} NOT NULL,  -- windows, separated by blanks
    plan_digest {blob},  -- of all requests' digests, in canonical order
    settings {text} DEFAULT '{{}}' NOT NULL,  -- of its last start, or taking up, as JSON
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    finished_at FLOAT,
    session INTEGER DEFAULT '0' NOT NULL,  -- of the process that has it in hand
    activity INTEGER NOT NULL,  -- the higher, the later it was planned, begun, resumed or ended
    distributed_by INTEGER,  -- the start that left it to workers; NULL: one process sends it all
    order_numbers BIGINT DEFAULT '0' NOT NULL,  -- of its requests, of which an order has one a language
    preflight_due BOOLEAN DEFAULT FALSE NOT NULL,  -- the CA is to be asked first, and was not about all
    done_since FLOAT,  -- of lists of reports: since when their runs looked at what others had sent
    PRIMARY KEY (number),
    UNIQUE (id)
);
CREATE TABLE inputs (
    run INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name {text} NOT NULL,
    sha256 {text},
    form {text} NOT NULL,  -- how it was read: ListForm as a JSON object
    rows BIGINT NOT NULL,
    written_for {text},  -- the id of the run whose report wrote it; NULL: none did
    PRIMARY KEY (run, ordinal)
) {without_rowid};
CREATE TABLE rows (
    run INTEGER NOT NULL,
    seq BIGINT NOT NULL,  -- over all inputs, from 1
    input INTEGER NOT NULL,
    line BIGINT NOT NULL,
    status {text} NOT NULL,  -- RowStatus
    order_id {text},
    locale {text},
    entries {text},  -- a JSON array of [domain, e-mail, e-mail domain]; "" for none
    skip {text},  -- why its list says there is nothing to resend
    notes {text} DEFAULT '' NOT NULL,  -- Notes, separated by blanks
    call {text},  -- Call; NULL: dv-resend
    account {text},  -- NULL: the command's own
    request BIGINT,
    problem {text},  -- Problem, of a rejected row
    reason {text},
    raw {text} NOT NULL,
    kept {text},  -- a JSON object: what asks for nothing, by field; NULL: nothing
    PRIMARY KEY (run, seq)
) {without_rowid};
CREATE TABLE requests (
    run INTEGER NOT NULL,
    number BIGINT NOT NULL,
    position BIGINT NOT NULL,  -- the seq of its first row
    order_id {text} NOT NULL,
    locale {text},
    entries {text} NOT NULL,  -- as in rows: sorted, each once
    digest {blob} NOT NULL,
    doubted_before BOOLEAN NOT NULL,  -- by another run
    skip {text},  -- why its lists say there is nothing to resend
    notes {text} DEFAULT '' NOT NULL,  -- Notes, separated by blanks
    call {text},  -- Call; NULL: dv-resend
    account {text},  -- NULL: the command's own
    PRIMARY KEY (run, number)
) {without_rowid};
{index_by_place};
-- Each key pages through its own: of many in one list, each would else pass over all others'.
CREATE INDEX requests_of_account ON requests (run, account, position) WHERE account IS NOT NULL;
-- A process that began to send a run, or resumed it; or to read (run 0).
CREATE TABLE starts (
    number {serial} NOT NULL,
    run INTEGER NOT NULL,
    boot {text} NOT NULL,  -- names the start of the machine
    offset_s FLOAT NOT NULL,  -- its clock, less the steady time of that machine
    began_at FLOAT NOT NULL,
    limits {text},  -- as in runs: each start may have others
    session INTEGER DEFAULT '0' NOT NULL,  -- in a file, always 1
    is_same_process BOOLEAN NOT NULL,  -- it had begun the run before: nothing was interrupted
    PRIMARY KEY (number)
);
-- Whose windows the requests of an account count in, from a start on.
CREATE TABLE budgets (
    start INTEGER NOT NULL,
    account {text} NOT NULL,  -- "": the command's own
    budget {text} NOT NULL,  -- a digest of CA and key, never the key
    PRIMARY KEY (start, account)
) {without_rowid};
CREATE TABLE attempts (
    run INTEGER NOT NULL,
    request BIGINT NOT NULL,
    attempt INTEGER NOT NULL,  -- from 1
    start INTEGER DEFAULT '0' NOT NULL,
    digest {blob} NOT NULL,
    begun_at FLOAT NOT NULL,
    ended_at FLOAT,
    ruling {text},  -- Ruling; NULL with ended_at: no answer recorded yet
    http_status INTEGER,
    error_code {text},
    error_message {text},
    PRIMARY KEY (run, request, attempt)
) {without_rowid};
-- Of those that have ended: digests are scattered, and to begin an attempt touches none of it.
CREATE INDEX attempts_of_digest ON attempts (digest, ruling, ended_at) WHERE ruling IS NOT NULL;
CREATE INDEX attempts_by_end ON attempts (start, ended_at);
-- Requests that read something of the CA: they count in its windows too.
CREATE TABLE reads (
    start INTEGER NOT NULL,
    number BIGINT NOT NULL,  -- from 1
    base_url {text} NOT NULL,
    begun_at FLOAT NOT NULL,
    ended_at FLOAT,
    in_doubt BOOLEAN DEFAULT FALSE NOT NULL,  -- given up: it may arrive
    PRIMARY KEY (start, number)
) {without_rowid};
CREATE INDEX reads_by_end ON reads (start, ended_at);
-- What the CA said later of orders that a run has sent.
CREATE TABLE checks (
    run INTEGER NOT NULL,
    request BIGINT NOT NULL,
    asked_at FLOAT NOT NULL,
    status {text} NOT NULL,  -- in the CA's words
    names INTEGER,  -- that the order is for; NULL: that was not asked
    approved INTEGER,  -- of these
    PRIMARY KEY (run, request)
) {without_rowid};
-- What a sweep found before its run.
CREATE TABLE sweeps (
    run INTEGER NOT NULL,
    counts {text} NOT NULL,  -- SweepCounts, as JSON
    PRIMARY KEY (run)
) {without_rowid};
CREATE TABLE stuck (
    run INTEGER NOT NULL,
    number BIGINT NOT NULL,  -- from 1, those first that have waited longest
    found {text} NOT NULL,  -- StuckOrder, as JSON
    PRIMARY KEY (run, number)
) {without_rowid};
-- What the CA said when it was asked about one order or domain: kept for a while (ANSWERS_KEPT_S).
CREATE TABLE answers (
    budget {text} NOT NULL,  -- of the key that it was asked by
    purpose {text} NOT NULL,  -- Purpose
    subject {text} NOT NULL,
    found {text} NOT NULL,  -- as JSON
    asked_at FLOAT NOT NULL,
    PRIMARY KEY (budget, purpose, subject)
) {without_rowid};
-- What is kept of runs that were pruned: how often orders were mailed.
CREATE TABLE pruned_mails (
    number {serial} NOT NULL,
    base_url {text} NOT NULL,
    order_id {text} NOT NULL,
    mails INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,  -- of these
    acknowledged_at FLOAT,  -- the last
    doubted_at FLOAT,  -- likewise
    budget {text},  -- of the account that rows named; NULL: the command's own, of base_url
    PRIMARY KEY (number)
);
-- While requests did not flow, because of the CA.
CREATE TABLE pauses (
    run INTEGER NOT NULL,
    start INTEGER NOT NULL,
    number INTEGER NOT NULL,  -- from 1
    began_at FLOAT NOT NULL,
    ended_at FLOAT,  -- NULL: until the run ended, or was cut off
    until_at FLOAT,  -- when the next request is to leave
    reason {text} NOT NULL,
    share FLOAT NOT NULL,  -- of the windows, that was ours from then on
    share_at FLOAT NOT NULL,  -- when: it began, or was prolonged
    account {text},  -- NULL: the command's own
    PRIMARY KEY (run, start, number)
) {without_rowid};
CREATE TABLE outcomes (
    run INTEGER NOT NULL,
    request BIGINT NOT NULL,
    status {text} NOT NULL,  -- RequestStatus, but for not_attempted
    http_status INTEGER,
    error_code {text},
    error_message {text},
    PRIMARY KEY (run, request)
) {without_rowid};

-- name: note_version
INSERT INTO batch_resend_schema (version) VALUES (:version)

-- name: tables_there
{tables}

-- name: version
SELECT version FROM batch_resend_schema

-- name: drop_table
DROP TABLE IF EXISTS {table}
