-- Rows become requests; what of them is settled before anything is sent.

-- name: add_run
INSERT INTO runs
    (id, base_url, state, limits, settings, created_at, session, done_since, activity)
VALUES (:id, :base_url, 'planning', :limits, :settings, :created_at, :session, :done_since,
    {next_activity})

-- Counted, not timed: clocks are set, and that of a rehearsal is ahead.
-- part: next_activity
(SELECT coalesce(max(activity), 0) + 1 FROM runs)

-- name: add_row
INSERT INTO rows (run, seq, input, line, status, order_id, locale, entries, skip, notes, call,
    account, problem, reason, raw, kept)
VALUES (:run, :seq, :input, :line, :status, :order_id, :locale, :entries, :skip, :notes, :call,
    :account, :problem, :reason, :raw, :kept)

-- name: add_input
INSERT INTO inputs (run, ordinal, name, sha256, form, rows, written_for)
VALUES (:run, :ordinal, :name, :sha256, :form, :rows, :written_for)

-- name: reject_without_addresses
UPDATE rows SET status = 'rejected', problem = 'no_address', reason = :reason, entries = NULL
WHERE run = :run AND seq > :since AND status = 'accepted' AND entries = '' AND call IS NULL
    AND notes NOT LIKE '%all_domains%'

-- The reader's own copy of the rows, sorted: read from the journal itself while that is written,
-- they would hold up its checkpoints, and its log would grow with every row.
-- name: create_sorted_rows
CREATE TEMPORARY TABLE sorted_rows (
    place {serial} NOT NULL,
    seq BIGINT,
    input INTEGER,
    line BIGINT,
    order_id {text},
    locale {text},
    entries {text},
    skip {text},
    notes {text},
    call {text},
    account {text},
    PRIMARY KEY (place)
)

-- Order-only rows come after the rows of their order that name domains, which rule them out; so do
-- those that name them badly: a typing error must not widen a mail to all domains of its order.
-- name: sort_rows
INSERT INTO sorted_rows (seq, input, line, order_id, locale, entries, skip, notes, call, account)
SELECT seq, input, line, order_id, locale, CASE WHEN problem IS NULL THEN entries END, skip, notes,
    call, account
FROM rows
WHERE run = :run AND (status = 'accepted' OR order_id IS NOT NULL AND (
    problem IN ('domain', 'email', 'email_domain', 'pair', 'form')
    OR problem IS NOT NULL AND entries IS NOT NULL
))
ORDER BY order_id, call NULLS FIRST, account NULLS FIRST,
    CASE WHEN entries = '' THEN 2 WHEN entries IS NOT NULL THEN 1 ELSE 0 END,
    locale NULLS FIRST, seq

-- name: page_of_sorted_rows
SELECT * FROM sorted_rows WHERE place > :after ORDER BY place LIMIT 5000

-- What becomes of each row, in the order in which it is found: written into the rows themselves, all
-- over the table, every page of it would be written hundreds of times.
-- name: create_assignments
CREATE TEMPORARY TABLE assignments (
    seq BIGINT, status {text}, request BIGINT, problem {text}, reason {text}
)

-- name: assign_row
INSERT INTO assignments (seq, status, request, problem, reason)
VALUES (:seq, :status, :request, :problem, :reason)

-- In the order of the rows: looked up by an index, they would be read from all over their table.
-- name: create_sorted_assignments
CREATE TEMPORARY TABLE sorted_assignments (
    seq {serial} NOT NULL,
    status {text},
    request BIGINT,
    problem {text},
    reason {text},
    PRIMARY KEY (seq)
)

-- name: sort_assignments
INSERT INTO sorted_assignments (seq, status, request, problem, reason)
SELECT seq, status, request, problem, reason FROM assignments ORDER BY seq

-- name: assign_rows
UPDATE rows SET status = assigned.status, request = assigned.request, problem = assigned.problem,
    reason = assigned.reason
FROM sorted_assignments AS assigned
WHERE rows.run = :run AND rows.seq = assigned.seq AND rows.seq > :after AND rows.seq <= :until

-- name: add_request
INSERT INTO requests (run, number, position, order_id, locale, entries, digest, doubted_before, skip,
    notes, call, account)
VALUES (:run, :number, :position, :order_id, :locale, :entries, :digest, FALSE, :skip, :notes,
    :call, :account)

-- name: note_plan
UPDATE runs SET plan_digest = :digest, order_numbers = :order_numbers WHERE number = :run

-- --- a run belongs to one process at a time ---------------------------------------------------

-- part: unfinished
('running', 'stopped', 'interrupted')

-- part: with_workers
runs.distributed_by IS NOT NULL AND runs.state = 'running'

-- part: in_anothers_hand
({with_workers} OR runs.session IN {living} AND runs.session <> :session)

-- name: same_plan
SELECT * FROM runs
WHERE state IN {unfinished} AND plan_digest = :digest
    AND coalesce(finished_at, started_at) >= :since AND NOT {in_anothers_hand}
ORDER BY activity DESC LIMIT 1

-- name: claim_run
UPDATE runs SET session = :session WHERE number = :run AND NOT {in_anothers_hand}

-- What the earlier lists said, not what the CA did: before `take_from_lists`.
-- name: forget_other_calls
DELETE FROM outcomes WHERE run = :run AND status = 'skipped' AND error_code = 'other_call'
    AND request IN (SELECT number FROM requests WHERE requests.run = :run AND skip IS NOT NULL)

-- The same requests have the same numbers in both runs; what lists say of them beside may differ.
-- name: take_from_lists
UPDATE requests SET position = new.position, skip = new.skip, notes = new.notes
FROM requests AS new
WHERE requests.run = :run AND new.run = :new_run AND new.number = requests.number

-- By which key what is left is asked for; what was sent, was sent by the one of then.
-- name: take_accounts
UPDATE requests SET account = new.account
FROM requests AS new
WHERE requests.run = :run AND new.run = :new_run AND new.number = requests.number
    AND NOT {has_outcome}

-- The command's own account is another one now, unless something was sent by the one of then.
-- name: take_url
UPDATE runs SET base_url = new.base_url
FROM runs AS new
WHERE runs.number = :run AND new.number = :new_run AND NOT EXISTS (SELECT 1 FROM requests
    WHERE requests.run = runs.number AND requests.account IS NULL AND {has_outcome})

-- Both in one, between two journals.
-- name: said_by_lists
SELECT number, skip, notes, account FROM requests WHERE run = :run

-- name: say_by_lists
UPDATE requests SET skip = :skip, notes = :notes,
    account = CASE WHEN {has_outcome} THEN account ELSE :account END
WHERE run = :run AND number = :number

-- name: give_to_run
UPDATE {table} SET run = :earlier WHERE run = :run

-- name: forget_of_run
DELETE FROM {table} WHERE run = :run

-- name: forget_run
DELETE FROM runs WHERE number = :run

-- --- what is settled before anything is sent ---------------------------------------------------

-- Not EXISTS: PostgreSQL would join it, and where its statistics are older than the run, think that
-- the run has one outcome, and look through all of them for each request.
-- part: has_outcome
(SELECT outcomes.request FROM outcomes
    WHERE outcomes.run = requests.run AND outcomes.request = requests.number) IS NOT NULL

-- What a process that lives has in flight is its own: that is no doubt yet.
-- part: may_have_arrived
(requests.doubted_before OR EXISTS (SELECT 1 FROM attempts
    WHERE attempts.run = requests.run AND attempts.request = requests.number
        AND (attempts.ruling = 'in_doubt' OR attempts.ruling IS NULL AND attempts.start NOT IN (
            SELECT number FROM starts WHERE session IN {living}))))

-- A copy of what settling changes, in place of it: for who only looks. Of requests also those that
-- other runs have mailed, or may have, within the cooldown: a plan counts what they mailed otherwise.
-- name: create_mailed_lately
CREATE TEMPORARY TABLE mailed_lately (run INTEGER, request BIGINT)

-- name: note_mailed_lately
INSERT INTO mailed_lately (run, request)
SELECT DISTINCT run, request FROM {lately_mailed} WHERE run <> :run

-- name: copy_of_requests
CREATE TEMPORARY TABLE requests AS SELECT * FROM requests WHERE run = {number}
UNION ALL SELECT requests.* FROM mailed_lately CROSS JOIN requests
WHERE requests.run = mailed_lately.run AND requests.number = mailed_lately.request

-- name: copy_of_outcomes
CREATE TEMPORARY TABLE outcomes AS SELECT * FROM outcomes WHERE run = {number}

-- name: index_copy
CREATE INDEX {temporary}copy_of_{table} ON {table} (run, {column})

-- name: settle
INSERT INTO outcomes (run, request, status, http_status, error_code, error_message)
VALUES (:run, :request, :status, :http_status, :error_code, :error_message)

-- A key that was denied (403) may have been given its permission since. What the CA itself said
-- before sending stays: it was asked about this run, order by order. Of `other_call` the list may
-- have said it: only another list takes that back, see `forget_other_calls`.
-- name: forget_outcomes
DELETE FROM outcomes WHERE run = :run AND {is_looked_at_again}

-- part: is_looked_at_again
coalesce(http_status = 403 OR status = 'in_doubt'
    OR status = 'skipped' AND error_code NOT IN ('preflight', 'other_call'), FALSE)

-- name: skip_what_lists_say
INSERT INTO outcomes (run, request, status, error_code, error_message)
SELECT run, number, 'skipped', CASE WHEN notes LIKE '%other_call%' THEN 'other_call' ELSE 'list' END,
    skip
FROM requests
WHERE run = :run AND NOT {has_outcome} AND skip IS NOT NULL

-- name: hold_doubts
INSERT INTO outcomes (run, request, status, error_message)
SELECT run, number, 'in_doubt',
    'an earlier attempt may have reached the CA; held for a person to decide'
FROM requests WHERE run = :run AND NOT {has_outcome} AND {may_have_arrived}

-- part: by_another_run_since
attempts.digest = requests.digest AND attempts.run <> requests.run
    AND starts.number = attempts.start AND attempts.ended_at >= :since - {shift_s}

-- Only ever noted, never taken back: what this run sends meanwhile is a possible duplicate for good.
-- name: note_others_doubts
UPDATE requests SET doubted_before = TRUE
WHERE run = :run AND NOT {has_outcome} AND NOT doubted_before AND EXISTS (
    SELECT 1 FROM attempts, starts WHERE {by_another_run_since} AND attempts.ruling = 'in_doubt')

-- In a copy, in which nothing else changes: the next start ends it, and then finds it in doubt.
-- name: note_what_others_were_cut_off_at
UPDATE requests SET doubted_before = TRUE WHERE run = :run AND {is_cut_off_elsewhere}

-- part: is_cut_off_elsewhere
requests.digest IN (SELECT attempts.digest FROM starts CROSS JOIN attempts
    WHERE attempts.start = starts.number AND attempts.ended_at IS NULL
        AND attempts.run <> :run AND starts.session NOT IN {living})

-- part: is_acknowledged_elsewhere
EXISTS (SELECT 1 FROM attempts, starts
    WHERE {by_another_run_since} AND attempts.ruling = 'accepted')

-- Also what was cut off, as if the next start had ended it by now.
-- part: is_doubted_elsewhere
(EXISTS (SELECT 1 FROM attempts, starts
    WHERE {by_another_run_since} AND attempts.ruling = 'in_doubt')
OR :since <= :now AND {is_cut_off_elsewhere})

-- part: has_outcome_for_good
coalesce((SELECT NOT {is_looked_at_again} FROM outcomes
    WHERE outcomes.run = requests.run AND outcomes.request = requests.number), FALSE)

-- What became of a request that its run has not sent, see `results.Since`. What has failed, another
-- run may have sent.
-- part: since
CASE WHEN {has_outcome_for_good} AND {outcome} <> 'failed' THEN 'settled'
    WHEN {is_acknowledged_elsewhere} THEN 'sent_elsewhere'
    WHEN {may_have_arrived} THEN 'in_doubt'
    WHEN {is_doubted_elsewhere} THEN 'in_doubt_elsewhere'
    ELSE 'nothing' END

-- part: counted_status
coalesce({outcome}, CASE WHEN requests.doubted_before OR EXISTS (SELECT 1 FROM attempts
        WHERE attempts.run = requests.run AND attempts.request = requests.number AND {is_doubt})
    THEN 'in_doubt' ELSE 'not_attempted' END)

-- part: rest
SELECT requests.account, {counted_status} AS status, {since} AS since,
    requests.skip IS NULL AND NOT {has_outcome_for_good} AS may_be_sent,
    :successor > 0 AND requests.digest NOT IN (
        SELECT theirs.digest FROM requests AS theirs WHERE theirs.run = :successor
    ) AS is_left_out
FROM requests WHERE requests.run = :run AND coalesce({outcome}, '') <> 'sent'

-- What resuming the run would find; nothing is changed.
-- name: count_rest
SELECT account, status, since, may_be_sent, is_left_out, count(*) AS requests FROM ({rest}) AS rest
GROUP BY account, status, since, may_be_sent, is_left_out

-- Of some orders only, and of their own mails: what a sweep sends.
-- name: count_rest_among
SELECT account, status, since, may_be_sent, is_left_out, count(*) AS requests FROM (
    {rest} AND requests.call IS NULL AND requests.order_id IN :orders) AS rest
GROUP BY account, status, since, may_be_sent, is_left_out

-- Files, begun after the last start of a run, the newest first: its own unsent.csv may be among them,
-- or its list as it was changed since (`is_the_same`: by its name). A sweep has no file.
-- name: later_lists
SELECT runs.*, inputs.ordinal AS input, inputs.name AS list_name, own.name IS NOT NULL AS is_the_same
FROM runs JOIN inputs ON inputs.run = runs.number
LEFT JOIN (SELECT DISTINCT name FROM inputs WHERE run = :run) AS own ON own.name = inputs.name
WHERE inputs.sha256 IS NOT NULL AND runs.number > :run AND runs.base_url = :base_url
    AND (own.name IS NOT NULL OR lower(inputs.name) LIKE '%unsent%')
    AND (SELECT min(starts.number) FROM starts WHERE starts.run = runs.number)
        > (SELECT coalesce(max(starts.number), 0) FROM starts WHERE starts.run = :run)
ORDER BY runs.number DESC, inputs.ordinal

-- Lists that a run's report wrote, and the runs that were begun with them, the newest last.
-- name: lists_sent_since
SELECT inputs.name, runs.id FROM inputs JOIN runs ON runs.number = inputs.run
WHERE inputs.written_for = :id AND runs.base_url = :base_url AND runs.started_at IS NOT NULL
ORDER BY runs.number

-- name: count_rows_in_common
SELECT count(*) AS every, count(CASE WHEN theirs.order_id IN (
    SELECT requests.order_id FROM requests WHERE requests.run = :run) THEN 1 END) AS in_common
FROM rows JOIN requests AS theirs ON theirs.run = rows.run AND theirs.number = rows.request
WHERE rows.run = :later AND rows.input = :input

-- Of a run that is complete, likewise: it is not resumed, and most of it needs no look.
-- name: count_rest_of_complete
SELECT requests.account, outcomes.status, {since} AS since, FALSE AS may_be_sent,
    FALSE AS is_left_out, count(*) AS requests
FROM outcomes
JOIN requests ON requests.run = outcomes.run AND requests.number = outcomes.request
WHERE outcomes.run = :run AND outcomes.status IN ('failed', 'in_doubt')
GROUP BY 1, 2, 3

-- name: acknowledged_elsewhere
SELECT acknowledged.number, acknowledged.sent_at, (
    SELECT runs.id FROM runs JOIN attempts ON attempts.run = runs.number
    WHERE attempts.digest = acknowledged.digest AND attempts.ruling = 'accepted'
        AND attempts.ended_at = acknowledged.sent_at AND attempts.run <> :run
    LIMIT 1) AS id
FROM (
    SELECT requests.number, requests.digest, max(attempts.ended_at) AS sent_at
    FROM starts, requests JOIN attempts ON attempts.digest = requests.digest
    WHERE requests.run = :run AND {by_another_run_since} AND attempts.ruling = 'accepted'
        AND requests.number > :after AND NOT {has_outcome}
    GROUP BY requests.number, requests.digest ORDER BY requests.number LIMIT 5000
) AS acknowledged
ORDER BY acknowledged.number

-- What was acknowledged, or is in doubt, also because its process died before it had an answer.
-- CROSS JOIN: start by start, of each only what is recent. SQLite would else read all attempts.
-- part: lately_mailed
(SELECT attempts.* FROM starts CROSS JOIN attempts
WHERE attempts.start = starts.number AND attempts.ruling IN ('accepted', 'in_doubt')
    AND attempts.ended_at >= :since - {shift_s}
UNION ALL SELECT attempts.* FROM starts CROSS JOIN attempts
WHERE attempts.start = starts.number AND attempts.ended_at IS NULL
    AND starts.session NOT IN {living}) AS mailed

-- name: lately_runs
SELECT * FROM runs WHERE number IN (SELECT run FROM {lately_mailed})

-- name: lately_starts
SELECT * FROM starts WHERE number IN (SELECT start FROM {lately_mailed})

-- name: lately_requests
SELECT * FROM requests WHERE (run, number) IN (SELECT run, request FROM {lately_mailed})

-- name: lately_attempts
SELECT * FROM {lately_mailed}

-- name: plan_digest
SELECT plan_digest FROM runs WHERE number = :run

-- name: copy_record
INSERT INTO {table} ({columns}) VALUES ({values})

-- What other runs are about to send is left to them.
-- name: skip_what_is_under_way
INSERT INTO outcomes (run, request, status, error_code, error_message)
SELECT requests.run, requests.number, 'skipped', 'under_way',
    min('run ' || runs.id || ', which is under way, sends it')
FROM requests
JOIN requests AS theirs ON theirs.digest = requests.digest AND theirs.run <> requests.run
JOIN runs ON runs.number = theirs.run
WHERE requests.run = :run AND NOT {has_outcome}
    AND NOT EXISTS (SELECT 1 FROM outcomes
        WHERE outcomes.run = theirs.run AND outcomes.request = theirs.number)
    AND runs.state = 'running' AND ({with_workers} OR runs.session IN {living})
GROUP BY requests.run, requests.number
