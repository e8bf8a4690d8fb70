-- Runs as they are sent: starts, attempts, reads, pauses; what is left; what was cut off; pruning.

-- name: run
SELECT * FROM runs WHERE id = :id

-- part: begun
state IN ('running', 'stopped', 'interrupted', 'completed')

-- name: runs
SELECT * FROM runs WHERE {begun} ORDER BY activity DESC LIMIT :most

-- name: newest_start
SELECT coalesce(max(number), 0) FROM starts

-- name: begun_since
SELECT runs.* FROM runs JOIN starts ON starts.run = runs.number
WHERE starts.number > :start ORDER BY starts.number DESC LIMIT 1

-- name: runs_by_part
SELECT * FROM runs WHERE {begun} AND CAST(:part AS TEXT) IN (
    substr(id, 1, length(CAST(:part AS TEXT))),
    substr(id, length(id) - length(CAST(:part AS TEXT)) + 1))
ORDER BY activity DESC LIMIT :most

-- The last at work first. What failed before anything was sent, as by a wrong URL, is last. What is
-- in doubt may have been sent.
-- name: unfinished_runs
SELECT *, CASE WHEN NOT EXISTS (
        SELECT 1 FROM outcomes WHERE outcomes.run = runs.number AND status = 'sent')
    AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.run = runs.number AND {is_doubt})
    AND (state = 'stopped' OR EXISTS (
        SELECT 1 FROM attempts WHERE attempts.run = runs.number AND ruling IS NOT NULL))
    THEN 1 ELSE 0
END AS was_useless, coalesce(
    (SELECT max(began_at) FROM starts WHERE starts.run = runs.number), started_at, created_at
) AS last_begun_at
FROM runs WHERE state IN {unfinished} AND (started_at IS NOT NULL OR state = 'interrupted')
    AND NOT {in_anothers_hand}
ORDER BY was_useless, activity DESC LIMIT :most

-- Those of its last start come last.
-- name: budgets_of_run
SELECT account, budget FROM budgets JOIN starts ON starts.number = budgets.start
WHERE starts.run = :run GROUP BY account, budget ORDER BY max(starts.number)

-- Those of the last starts come last.
-- name: budgets_by_account
SELECT runs.base_url, {run_profile} AS profile, budgets.account, budgets.budget
FROM budgets JOIN starts ON starts.number = budgets.start JOIN runs ON runs.number = starts.run
GROUP BY 1, 2, 3, 4 ORDER BY max(starts.number)

-- name: budgets_by_start
SELECT start, account, budget FROM budgets JOIN starts ON starts.number = budgets.start
WHERE starts.run = :run ORDER BY start, account

-- name: budgets_of_start
SELECT DISTINCT budget FROM budgets WHERE start = :start

-- name: add_start
INSERT INTO starts (run, boot, offset_s, began_at, limits, session, is_same_process)
VALUES (:run, :boot, :offset_s, :began_at, :limits, :session, :is_same_process) RETURNING number

-- name: add_budget
INSERT INTO budgets (start, account, budget) VALUES (:start, :account, :budget)

-- name: begin_run
UPDATE runs SET state = 'running', stop_reason = NULL, finished_at = NULL, limits = :limits,
    settings = :settings, started_at = coalesce(started_at, :now), distributed_by = :distributed_by,
    activity = {next_activity}
WHERE number = :run

-- name: note_preflight
UPDATE runs SET preflight_due = :is_due WHERE number = :run

-- name: note_settings
UPDATE runs SET settings = :settings WHERE number = :run

-- name: set_state
UPDATE runs SET state = :state, stop_reason = :stop_reason, finished_at = :finished_at,
    activity = {next_activity}
WHERE number = :run

-- Nothing more leaves, and some answers are not there yet: how it ended is written once they are.
-- name: note_stop
UPDATE runs SET stop_reason = :reason WHERE number = :run AND state = 'running'

-- --- the hot path ------------------------------------------------------------------------------

-- name: begin_attempt
INSERT INTO attempts (run, request, attempt, start, digest, begun_at)
VALUES (:run, :request, :attempt, :start, :digest, :begun_at)

-- name: end_attempt
UPDATE attempts SET ended_at = :ended_at, ruling = :ruling, http_status = :http_status,
    error_code = :error_code, error_message = :error_message
WHERE run = :run AND request = :request AND attempt = :attempt

-- name: begin_read
INSERT INTO reads (start, number, base_url, begun_at) VALUES (:start, :number, :base_url, :begun_at)

-- name: end_read
UPDATE reads SET ended_at = :ended_at, in_doubt = :in_doubt WHERE start = :start AND number = :number

-- name: begin_pause
INSERT INTO pauses (run, start, number, began_at, until_at, reason, share, share_at, account)
VALUES (:run, :start, :number, :began_at, :until_at, :reason, :share, :began_at, :account)

-- name: prolong_pause
UPDATE pauses SET until_at = :until_at, reason = :reason, share = coalesce(:share, share),
    share_at = coalesce(:share_at, share_at)
WHERE run = :run AND start = :start AND number = :number

-- name: end_pauses
UPDATE pauses SET ended_at = :ended_at WHERE run = :run AND ended_at IS NULL

-- name: end_pauses_of_account
UPDATE pauses SET ended_at = :ended_at
WHERE run = :run AND ended_at IS NULL AND coalesce(account, '') = :account

-- Others may learn the same at once, in this process or on another host.
-- name: keep_answer
INSERT INTO answers (budget, purpose, subject, found, asked_at)
VALUES (:budget, :purpose, :subject, :found, :asked_at)
ON CONFLICT (budget, purpose, subject)
    DO UPDATE SET found = excluded.found, asked_at = excluded.asked_at

-- name: answers
SELECT subject, found FROM answers WHERE budget = :budget AND purpose = :purpose

-- name: forget_answers
DELETE FROM answers WHERE budget = :budget AND purpose = :purpose

-- The old ones, and what a clock that was set back has not seen yet.
-- name: forget_old_answers
DELETE FROM answers WHERE asked_at < :before OR asked_at > :now

-- --- what is left to send ----------------------------------------------------------------------

-- part: pending_columns
SELECT requests.*,
    (SELECT count(*) FROM attempts
        WHERE attempts.run = requests.run AND attempts.request = requests.number) AS attempts,
    (SELECT count(*) FROM attempts
        WHERE attempts.run = requests.run AND attempts.request = requests.number
            AND attempts.ruling = 'in_doubt') AS doubts

-- SQLite pages through the rows: an index of requests by their first rows would have every commit
-- of a long plan write all over it. PostgreSQL, which would join them all, has that index.
-- part: pending_page
{pending_columns} FROM {requests_by_place}
WHERE {run_there} = :run AND {place} > :after AND {place} <= :last
    AND (SELECT outcomes.request FROM outcomes
        WHERE outcomes.run = {run_there} AND outcomes.request = {request_there}) IS NULL

-- name: pending
{pending_page} ORDER BY {place} LIMIT 1000

-- name: pending_without_account
{pending_page} AND requests.account IS NULL ORDER BY {place} LIMIT 1000

-- name: pending_of_account
{pending_columns} FROM requests
WHERE requests.run = :run AND requests.account = :account AND requests.position > :after
    AND requests.position <= :last AND NOT {has_outcome}
ORDER BY requests.position LIMIT 1000

-- name: count_second_mails
SELECT count(*) FROM requests WHERE run = :run AND NOT {has_outcome} AND {may_have_arrived}

-- name: count_by_account
SELECT account, count(*) FROM requests WHERE run = :run AND NOT {has_outcome}
GROUP BY account ORDER BY account NULLS FIRST

-- Where an account stands does not depend on what is settled of it.
-- name: count_in_list_order
SELECT account, CAST(sum(CASE WHEN {has_outcome} THEN 0 ELSE 1 END) AS BIGINT)
FROM requests WHERE run = :run GROUP BY account ORDER BY min(position)

-- name: accounts
SELECT DISTINCT account FROM requests WHERE run = :run

-- --- clocks ------------------------------------------------------------------------------------

-- By how much later our clock would have said what the clock of a start said. Of two clocks that
-- disagree, the one is believed by which a thing is younger: the safer reading, for windows and
-- cooldown alike.
-- part: shift_s
CASE WHEN starts.boot = :our_boot AND :our_offset_s - starts.offset_s > 0
    THEN :our_offset_s - starts.offset_s ELSE 0.0 END

-- Now, as the clock of a start would have said it, where that can be known: a third process may read
-- what we write into its rows by a clock that is neither.
-- part: now_of_start
(:now + coalesce((SELECT CASE WHEN starts.boot = :our_boot
    THEN -(:our_offset_s - starts.offset_s) ELSE 0.0 END
    FROM starts WHERE starts.number = start), 0.0))

-- part: attempts_with_key
starts
CROSS JOIN attempts
JOIN runs ON runs.number = attempts.run
JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
LEFT JOIN budgets ON budgets.start = starts.number
    AND budgets.account = coalesce(requests.account, '')

-- part: is_attempt_of_key
(coalesce(budgets.budget = :budget, FALSE)
    OR budgets.budget IS NULL AND runs.base_url = :base_url)

-- part: reads_with_key
starts
CROSS JOIN reads
LEFT JOIN budgets ON budgets.start = starts.number AND budgets.account = ''

-- part: is_read_of_key
(coalesce(budgets.budget = :budget, FALSE)
    OR budgets.budget IS NULL AND reads.base_url = :base_url)

-- By its key; a start of which no key is known counts by its CA. An end after now counts as now.
-- CROSS JOIN: start by start, of each only what is recent. SQLite would else read all attempts.
-- name: recent_ends
SELECT CASE WHEN attempts.ended_at + {shift_s} < :now THEN attempts.ended_at + {shift_s} ELSE :now END
    + CASE WHEN attempts.ruling = 'in_doubt' THEN :linger_s ELSE 0.0 END AS at
FROM {attempts_with_key}
WHERE attempts.start = starts.number AND attempts.ended_at > :since - :linger_s - {shift_s}
    AND {is_attempt_of_key}
UNION ALL
SELECT CASE WHEN reads.ended_at + {shift_s} < :now THEN reads.ended_at + {shift_s} ELSE :now END
    + CASE WHEN reads.in_doubt THEN :linger_s ELSE 0.0 END AS at
FROM {reads_with_key}
WHERE reads.start = starts.number AND reads.ended_at > :since - :linger_s - {shift_s}
    AND {is_read_of_key}
ORDER BY at

-- What the next start ends as cut off; by its key, likewise.
-- name: count_cut_off
SELECT count(*) FROM (
    SELECT 1 AS one
    FROM {attempts_with_key}
    WHERE attempts.start = starts.number AND attempts.ended_at IS NULL
        AND starts.session NOT IN {living}
        AND {is_attempt_of_key}
    UNION ALL
    SELECT 1 AS one
    FROM {reads_with_key}
    WHERE reads.start = starts.number AND reads.ended_at IS NULL
        AND starts.session NOT IN {living}
        AND {is_read_of_key}
) AS cut_off

-- What part of a key's windows was taken since each pause began, or was prolonged last.
-- name: recent_shares
SELECT pauses.share_at + {shift_s} AS at, pauses.share AS share
FROM starts
JOIN pauses ON pauses.start = starts.number AND pauses.share_at >= :since - {shift_s}
JOIN budgets ON budgets.start = starts.number AND budgets.account = coalesce(pauses.account, '')
WHERE budgets.budget = :budget AND pauses.share < 1.0
ORDER BY starts.number, pauses.number

-- --- what was cut off --------------------------------------------------------------------------

-- name: end_cut_off_runs
UPDATE runs SET state = 'interrupted',
    stop_reason = 'the program ended before it could write why: it was killed, the power failed, or the disk was full',
    finished_at = coalesce((SELECT max(coalesce(attempts.ended_at, attempts.begun_at))
        FROM attempts WHERE attempts.run = runs.number), started_at)
WHERE state = 'running' AND distributed_by IS NULL AND session NOT IN {living}

-- No earlier than it began: that was a sign of life too.
-- name: end_cut_off_pauses
UPDATE pauses SET ended_at = CASE
    WHEN began_at < (SELECT finished_at FROM runs WHERE runs.number = pauses.run)
    THEN (SELECT finished_at FROM runs WHERE runs.number = pauses.run) ELSE began_at END
WHERE ended_at IS NULL AND run NOT IN (SELECT number FROM runs WHERE state = 'running')

-- No earlier than it began, whatever the clocks say.
-- name: end_cut_off_attempts
UPDATE attempts SET
    ended_at = CASE WHEN begun_at < {now_of_start} THEN {now_of_start} ELSE begun_at END,
    ruling = 'in_doubt', error_message = :message
WHERE ended_at IS NULL AND start IN (SELECT number FROM starts WHERE session NOT IN {living})

-- name: end_cut_off_reads
UPDATE reads SET
    ended_at = CASE WHEN begun_at < {now_of_start} THEN {now_of_start} ELSE begun_at END,
    in_doubt = TRUE
WHERE ended_at IS NULL AND start IN (SELECT number FROM starts WHERE session NOT IN {living})

-- name: never_started
SELECT number FROM runs WHERE state IN ('planning', 'planned') AND session NOT IN {living}

-- --- pruning -----------------------------------------------------------------------------------

-- name: ended_before
SELECT * FROM runs
WHERE coalesce(finished_at, started_at, created_at) < :before AND state <> 'running'
    AND session NOT IN {living}

-- name: count_rows_of
SELECT count(*) FROM rows WHERE run = :run

-- name: forget_old_reads
DELETE FROM reads WHERE begun_at < :before

-- name: forget_idle_starts
DELETE FROM starts WHERE began_at < :before AND session NOT IN {living}
    AND number NOT IN (SELECT distributed_by FROM runs WHERE distributed_by IS NOT NULL)
    AND number NOT IN (SELECT start FROM attempts) AND number NOT IN (SELECT start FROM reads)

-- name: forget_idle_budgets
DELETE FROM budgets WHERE start NOT IN (SELECT number FROM starts)
