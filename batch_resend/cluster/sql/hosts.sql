-- What several hosts share beside the journal's tables. All of it is for PostgreSQL alone.
--
--     sessions   a process that has the journal open; alive as long as its connection holds its lock
--     keys       what all senders by a key have learned: their share of the windows, and a pause
--     slots      a slot from its grant until W after its answer
--     claims     which session has which part of a run in hand
--     stops      of whose requests nothing more is to be sent in a run

-- name: tables_of_hosts
CREATE TABLE claims (
    job BIGINT NOT NULL,
    run INTEGER NOT NULL,
    accounts TEXT NOT NULL,  -- sorted, one a line; "": the command's own
    first BIGINT NOT NULL,  -- positions of requests
    last BIGINT NOT NULL,
    session INTEGER NOT NULL,
    PRIMARY KEY (job)
);
CREATE TABLE stops (
    run INTEGER NOT NULL,
    accounts TEXT NOT NULL,  -- as in claims
    reason TEXT NOT NULL,
    PRIMARY KEY (run, accounts)
);
CREATE TABLE sessions (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    began_at double precision NOT NULL
);
CREATE VIEW living AS
    SELECT sessions.* FROM sessions JOIN pg_locks ON objid = number::oid
    WHERE locktype = 'advisory' AND granted AND objsubid = 2
        AND classid = x'62726573'::int::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
CREATE TABLE keys (
    budget text PRIMARY KEY,
    share double precision NOT NULL DEFAULT 1,
    share_at double precision NOT NULL DEFAULT 0,
    paused_until double precision NOT NULL DEFAULT 0,
    pause_reason text,
    longest double precision NOT NULL DEFAULT 0,  -- of all windows that anyone keeps
    correction_s double precision NOT NULL DEFAULT 0,  -- of the clock, where it was set
    asked_at double precision NOT NULL DEFAULT 0  -- the last question of who knows the time
);
CREATE TABLE slots (
    budget text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    session integer NOT NULL,
    arrived_by double precision,
    PRIMARY KEY (budget, number)
);
CREATE INDEX slots_by_arrival ON slots (budget, arrived_by);
CREATE FUNCTION clock_s() RETURNS double precision LANGUAGE sql VOLATILE AS
    'SELECT extract(epoch FROM clock_timestamp())::double precision';

-- How a share falls and rises has its numbers from sending/limiter.py. Of two 429s at
-- once only one counts.
-- name: define_take_slots
CREATE OR REPLACE FUNCTION take_slots(
    of_budget text, of_session integer, wanted integer,
    limits integer[], periods double precision[], linger_s double precision,
    ended bigint[], lingering bigint[], unused bigint[],
    decrease boolean, pause_s double precision, why_paused text,
    known_correction_s double precision, at_least double precision, at_most double precision,
    too_high_s double precision, is_new boolean
) RETURNS TABLE (
    granted bigint[], wait_s double precision, share_now double precision,
    said_s double precision, correction_now_s double precision,
    paused_s double precision, paused_for text
)
LANGUAGE plpgsql AS $$
DECLARE
    now_s double precision;
    known record;
    free integer := wanted;
    taken integer;
    most integer;
    free_at double precision;
BEGIN
    INSERT INTO keys (budget) VALUES (of_budget) ON CONFLICT DO NOTHING;
    SELECT * INTO known FROM keys WHERE budget = of_budget FOR UPDATE;
    IF known.longest < (SELECT max(period) FROM unnest(periods) period) THEN
        SELECT max(period) INTO known.longest FROM unnest(periods) period;
        UPDATE keys SET longest = known.longest WHERE budget = of_budget;
    END IF;
    said_s := clock_s() + known.correction_s;
    is_new := is_new AND known.asked_at > 0
        AND EXISTS (SELECT FROM living WHERE number <> of_session);  -- who may know better
    IF known_correction_s IS NULL THEN
        at_least := nullif(known.asked_at, 0);
    ELSIF known_correction_s <> known.correction_s THEN
        at_least := NULL;  -- another one may know better
        too_high_s := 0;
    END IF;
    now_s := greatest(at_least, said_s - too_high_s);  -- and not what is unknown
    IF now_s <> said_s THEN
        known.correction_s := known.correction_s + now_s - said_s;
        IF now_s < said_s THEN  -- what was stamped meanwhile is of no later time than now
            UPDATE slots SET arrived_by = now_s + linger_s
                WHERE budget = of_budget AND arrived_by > now_s + linger_s;
            known.asked_at := least(known.asked_at, now_s);
            known.share_at := least(known.share_at, now_s);
            IF known.paused_until > said_s THEN
                known.paused_until := known.paused_until - too_high_s;
            END IF;
        ELSE  -- what was stamped while it was too low may have been as much later
            UPDATE slots SET arrived_by = arrived_by + now_s - said_s
                WHERE budget = of_budget AND arrived_by <= said_s + linger_s;
        END IF;
        UPDATE keys SET correction_s = known.correction_s, asked_at = known.asked_at,
            share_at = known.share_at, paused_until = known.paused_until
            WHERE budget = of_budget;
        said_s := now_s;
    END IF;
    correction_now_s := known.correction_s;
    now_s := least(now_s, at_most);
    IF is_new THEN
        now_s := least(now_s, known.asked_at);
    ELSE
        UPDATE keys SET asked_at = greatest(now_s, known.asked_at) WHERE budget = of_budget;
    END IF;
    share_now := least(1, known.share
        + {rise} * greatest(0, (now_s - known.share_at) / known.longest - {hold}));
    -- Stamps are by the clock, believed or not: one that is too late holds for longer.
    IF decrease AND said_s - known.share_at > 1 THEN
        share_now := greatest({least},
            CASE WHEN share_now >= 1 THEN {decrease} ELSE {decrease_later} END * share_now);
        UPDATE keys SET share = share_now, share_at = said_s WHERE budget = of_budget;
    END IF;
    IF pause_s > 0 AND said_s + pause_s > known.paused_until THEN
        known.paused_until := said_s + pause_s;
        known.pause_reason := why_paused;
        UPDATE keys SET paused_until = known.paused_until, pause_reason = why_paused
            WHERE budget = of_budget;
    END IF;
    DELETE FROM slots WHERE budget = of_budget AND number = ANY (unused);
    UPDATE slots SET arrived_by = said_s WHERE budget = of_budget AND number = ANY (ended);
    UPDATE slots SET arrived_by = said_s + linger_s
        WHERE budget = of_budget AND number = ANY (lingering);
    DELETE FROM slots WHERE budget = of_budget AND arrived_by + known.longest <= now_s;
    wait_s := 0;
    FOR place IN 1 .. coalesce(array_length(limits, 1), 0) LOOP
        most := greatest(1, floor(limits[place] * share_now + 1e-9)::integer);
        SELECT count(*) INTO taken FROM slots WHERE budget = of_budget
            AND (arrived_by IS NULL OR arrived_by + periods[place] > now_s);
        IF taken >= most THEN
            SELECT arrived_by + periods[place] INTO free_at FROM slots
                WHERE budget = of_budget AND arrived_by + periods[place] > now_s
                ORDER BY arrived_by OFFSET taken - most LIMIT 1;
            wait_s := greatest(wait_s, coalesce(free_at - now_s, 'infinity'));
        END IF;
        free := least(free, most - taken);
    END LOOP;
    paused_s := greatest(0, known.paused_until - now_s);
    IF paused_s > 0 THEN
        free := 0;
        paused_for := known.pause_reason;
        wait_s := greatest(wait_s, paused_s);
    END IF;
    IF free <= 0 AND wanted > 0 THEN
        -- Who has lost its session alone may not know it yet, and send what it has on disk.
        UPDATE slots SET arrived_by = said_s + {leaves_within} + linger_s
            WHERE budget = of_budget AND arrived_by IS NULL
                AND session NOT IN (SELECT number FROM living);
    END IF;
    WITH added AS (
        INSERT INTO slots (budget, session)
        SELECT of_budget, of_session FROM generate_series(1, free) RETURNING number
    )
    SELECT coalesce(array_agg(number), '{{}}') INTO granted FROM added;
    RETURN NEXT;
END
$$

-- name: take_slots
SELECT * FROM take_slots(:of_budget, :of_session, :wanted, CAST(:limits AS integer[]),
    CAST(:periods AS double precision[]), :linger_s, CAST(:ended AS bigint[]),
    CAST(:lingering AS bigint[]), CAST(:unused AS bigint[]), :decrease, :pause_s, :why_paused,
    :correction_s, :at_least, :at_most, :too_high_s, :is_new)

-- name: key_use
SELECT budget,
    (SELECT count(*) FROM slots WHERE slots.budget = keys.budget AND arrived_by IS NULL) AS out,
    (SELECT count(*) FROM slots WHERE slots.budget = keys.budget
        AND arrived_by > clock_s() + correction_s - longest) AS waiting,
    longest, share, greatest(0, paused_until - clock_s() - correction_s) AS paused_s
FROM keys ORDER BY budget

-- --- sessions ----------------------------------------------------------------------------------

-- name: find_schema
SELECT to_regnamespace('batch_resend')

-- "bres", and which lock of ours: 0 for decisions, another for each session.
-- name: decide_alone
SELECT pg_advisory_xact_lock(x'62726573'::int, 0)

-- name: add_session
INSERT INTO sessions (name, began_at) VALUES (:name, :now) RETURNING number

-- name: lock_session
SELECT pg_advisory_lock(x'62726573'::int, :number)

-- name: forget_sessions
DELETE FROM sessions WHERE number NOT IN (SELECT number FROM living)
    AND number NOT IN (SELECT session FROM runs) AND number NOT IN (SELECT session FROM starts)

-- name: holder
SELECT name FROM living WHERE number = :number

-- name: sessions
SELECT name FROM living ORDER BY number

-- name: size
SELECT sum(pg_total_relation_size(oid)) FROM pg_class
WHERE relnamespace = to_regnamespace('batch_resend') AND relkind = 'r'

-- --- chunks of runs -----------------------------------------------------------------------------

-- name: runs_with_workers
SELECT * FROM runs WHERE {with_workers} ORDER BY activity DESC

-- name: positions
SELECT position FROM requests
WHERE run = :run AND NOT {has_outcome} AND coalesce(account, '') IN :accounts ORDER BY position

-- name: accounts_of_keys
SELECT budget, account FROM budgets WHERE start = :start ORDER BY account

-- name: state
SELECT state FROM runs WHERE number = :run

-- name: stop_reason
SELECT reason FROM stops WHERE run = :run AND accounts = :accounts

-- name: overlapping_claims
SELECT job FROM claims
WHERE run = :run AND accounts = :accounts AND first <= :last AND last >= :first

-- name: claim_chunk
INSERT INTO claims (job, run, accounts, first, last, session)
VALUES (:job, :run, :accounts, :first, :last, :session)

-- name: release
DELETE FROM claims WHERE job = :job

-- name: release_of_dead
DELETE FROM claims WHERE job = :job AND session NOT IN {living}

-- name: claim
SELECT job FROM claims WHERE job = :job

-- name: orphaned
SELECT claims.job, claims.accounts, claims.first, claims.last, runs.id
FROM claims JOIN runs ON runs.number = claims.run
WHERE claims.session NOT IN {living} AND runs.state = 'running' ORDER BY claims.job

-- name: in_hand
SELECT job FROM claims WHERE run = :run AND session IN {living}

-- name: add_stop
INSERT INTO stops (run, accounts, reason) VALUES (:run, :accounts, :reason)

-- name: stops
SELECT accounts, reason FROM stops WHERE run = :run ORDER BY accounts

-- name: forget_stops
DELETE FROM stops WHERE run = :run

-- The last ones first: until the end one of those is left, and is found at once.
-- name: any_left
SELECT number FROM requests
WHERE run = :run AND NOT {has_outcome} AND NOT coalesce(account, '') IN :stopped
ORDER BY position DESC LIMIT 1
