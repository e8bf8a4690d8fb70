-- What came of a run: its requests, rows and counts; where it stands; what was ever done.

-- name: inputs
SELECT * FROM inputs WHERE run = :run ORDER BY ordinal

-- Under way, or cut off: as long as no answer is recorded, it is in doubt.
-- part: is_doubt
coalesce(attempts.ruling, 'in_doubt') = 'in_doubt'

-- The attempt that an order without an outcome is explained by: a doubt, before what came after it.
-- part: results
(SELECT requests.number, requests.position, requests.order_id, requests.locale, requests.entries,
    requests.call, requests.account,
    coalesce(outcomes.status, CASE WHEN {may_be_done} THEN 'in_doubt' ELSE 'not_attempted' END)
        AS status,
    coalesce(outcomes.http_status, CASE WHEN {only_anothers_doubt} THEN NULL
        ELSE last.http_status END) AS http_status,
    coalesce(outcomes.error_code, CASE WHEN {only_anothers_doubt} THEN NULL
        ELSE last.error_code END) AS error_code,
    coalesce(outcomes.error_message, CASE WHEN {only_anothers_doubt}
        THEN 'an attempt of an earlier run had no answer: it may have been mailed'
        ELSE last.error_message END) AS error_message,
    coalesce(tries.attempts, 0) AS attempts,
    coalesce(tries.rate_limited, 0) AS rate_limited,
    coalesce(tries.unconnected, 0) AS unconnected,
    CASE WHEN {beyond_the_first} > 0 THEN {beyond_the_first} ELSE 0 END AS possible_duplicates,
    tries.first_attempt_at, tries.last_attempt_at
FROM requests
LEFT JOIN outcomes ON outcomes.run = requests.run AND outcomes.request = requests.number
LEFT JOIN (
    SELECT attempts.request, count(*) AS attempts,
        sum(CASE WHEN {is_doubt} THEN 1 ELSE 0 END) AS doubts,
        sum(CASE WHEN attempts.ruling = 'accepted' THEN 1 ELSE 0 END) AS acknowledged,
        sum(CASE WHEN attempts.ruling = 'rate_limited' THEN 1 ELSE 0 END) AS rate_limited,
        sum(CASE WHEN attempts.ruling = 'unavailable' AND attempts.http_status IS NULL
            THEN 1 ELSE 0 END) AS unconnected,
        min(attempts.begun_at) AS first_attempt_at, max(attempts.begun_at) AS last_attempt_at,
        max(CASE WHEN {is_doubt} THEN attempts.attempt END) AS last_doubt
    FROM attempts WHERE attempts.run = :run GROUP BY attempts.request
) AS tries ON tries.request = requests.number
LEFT JOIN attempts AS last ON last.run = requests.run AND last.request = requests.number
    AND last.attempt = coalesce(CASE WHEN outcomes.status IS NULL THEN tries.last_doubt END,
        tries.attempts)
WHERE requests.run = :run) AS results

-- All of it, once, for what reads it several times: results by number.
-- name: create_kept_results
CREATE TEMPORARY TABLE kept_results (
    number {serial} NOT NULL,
    position BIGINT,
    order_id {text},
    locale {text},
    entries {text},
    call {text},
    account {text},
    status {text},
    http_status INTEGER,
    error_code {text},
    error_message {text},
    attempts BIGINT,
    rate_limited BIGINT,
    unconnected BIGINT,
    possible_duplicates BIGINT,
    first_attempt_at FLOAT,
    last_attempt_at FLOAT,
    PRIMARY KEY (number)
)

-- name: keep_results
INSERT INTO kept_results SELECT * FROM {results}

-- part: may_be_done
CASE WHEN requests.doubted_before THEN 1 ELSE coalesce(tries.doubts, 0) END > 0

-- part: only_anothers_doubt
outcomes.status IS NULL AND requests.doubted_before AND coalesce(tries.doubts, 0) = 0

-- part: beyond_the_first
coalesce(tries.doubts, 0) + coalesce(tries.acknowledged, 0)
    - CASE WHEN requests.doubted_before THEN 0 ELSE 1 END

-- part: request_columns
results.order_id, results.locale, results.entries, results.call, results.account

-- part: result_columns
results.number, results.status, results.http_status, results.error_code, results.error_message,
    results.attempts, results.possible_duplicates, results.first_attempt_at,
    results.last_attempt_at

-- part: row_columns
rows.input, rows.line, rows.status, rows.order_id, rows.locale, rows.entries, rows.call,
    rows.account, rows.reason, rows.raw, rows.kept

-- Not the column itself: SQLite would see that only rows with a result can be meant, look for the
-- rows of each result in turn, and so need a time that grows with their square.
-- part: not_sent
coalesce(results.status, '') NOT IN ('', 'sent', 'skipped')

-- name: rows_in_list_order
SELECT {row_columns}, {result_columns}
FROM rows LEFT JOIN {results} ON results.number = rows.request
WHERE rows.run = :run ORDER BY rows.seq

-- name: rows_not_sent
SELECT {row_columns}, {result_columns}
FROM rows LEFT JOIN {results} ON results.number = rows.request
WHERE rows.run = :run AND {not_sent} ORDER BY rows.seq

-- name: rejected_rows
SELECT {row_columns} FROM rows WHERE rows.run = :run AND rows.status = 'rejected' ORDER BY rows.seq

-- The first rejected row of each order that is sent without it; `orders`: how many there are.
-- name: incomplete
SELECT {row_columns}, count(*) OVER () AS orders FROM rows
WHERE rows.run = :run AND rows.seq IN (
    SELECT min(seq) FROM rows AS rejected
    WHERE run = :run AND status = 'rejected' AND order_id IN (
        SELECT order_id FROM requests WHERE run = :run AND NOT EXISTS (
            SELECT 1 FROM outcomes WHERE outcomes.run = requests.run
                AND outcomes.request = requests.number
                AND outcomes.status IN ('refused', 'failed', 'skipped')))
    GROUP BY order_id)
ORDER BY rows.seq LIMIT :most

-- The rows that ask for each request, put together as JSON: one record a request, not one a row.
-- part: requests_with_sources
SELECT CAST(sources.found AS TEXT) AS sources, {request_columns}, {result_columns}
FROM (
    SELECT request, {json_of_all}({json_array}(seq, input, line, kept)) AS found
    FROM rows WHERE run = :run AND request IS NOT NULL GROUP BY request
) AS sources JOIN {results} ON results.number = sources.request

-- name: results_by_request
{requests_with_sources} ORDER BY results.position

-- name: results_not_sent
{requests_with_sources} WHERE {not_sent} ORDER BY results.position

-- name: results_skipped
{requests_with_sources} WHERE results.status = 'skipped' ORDER BY results.position

-- To find that there are none among the results takes as long as to find them all; to count doesn't.
-- name: any_not_sent
SELECT 1 WHERE (SELECT count(*) FROM requests WHERE run = :run) > (
    SELECT count(*) FROM outcomes WHERE run = :run AND status IN ('sent', 'skipped'))

-- name: any_skipped
SELECT 1 FROM outcomes WHERE run = :run AND status = 'skipped' LIMIT 1

-- name: any_other_call_or_account
SELECT 1 FROM requests WHERE run = :run AND (call IS NOT NULL OR account IS NOT NULL) LIMIT 1

-- name: any_without_addresses
SELECT 1 FROM requests WHERE run = :run AND entries = '' LIMIT 1

-- --- counts ------------------------------------------------------------------------------------

-- name: count_requests
SELECT count(*) FROM requests WHERE run = :run

-- name: count_rows
SELECT status, count(*) FROM rows WHERE run = :run GROUP BY status

-- name: count_outcomes
SELECT status, count(*) FROM outcomes WHERE run = :run GROUP BY status

-- name: count_results
SELECT status, count(*) AS orders, CAST(sum(attempts) AS BIGINT) AS attempts,
    CAST(sum(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END) AS BIGINT) AS retries,
    CAST(sum(rate_limited) AS BIGINT) AS rate_limited,
    CAST(sum(unconnected) AS BIGINT) AS unconnected,
    CAST(sum(possible_duplicates) AS BIGINT) AS possible_duplicates
FROM {results} GROUP BY status

-- name: unanswered
SELECT count(*) FROM attempts WHERE run = :run AND ended_at IS NULL

-- One that still lasts, until now. Where its process died, it ended before another request was due.
-- part: lasts_until
CASE WHEN pauses.until_at < :now THEN pauses.until_at
    WHEN pauses.began_at > :now THEN pauses.began_at ELSE :now END

-- name: count_pauses
SELECT count(*) AS pauses, coalesce(min(pauses.share), 1.0) AS lowest_share, coalesce(sum(
    coalesce(pauses.ended_at, runs.finished_at, {lasts_until}) - pauses.began_at), 0.0) AS paused_s
FROM pauses JOIN runs ON runs.number = pauses.run WHERE pauses.run = :run

-- :start, where there is one: without what only starts before it attempted.
-- name: reasons
SELECT status, http_status, error_code, min(error_message) AS message,
    count(DISTINCT error_message) AS messages, count(*) AS orders
FROM {results} WHERE {not_sent} AND (:start = 0 OR results.attempts = 0 OR EXISTS (
    SELECT 1 FROM attempts
    WHERE attempts.run = :run AND attempts.request = results.number AND attempts.start >= :start))
GROUP BY status, http_status, error_code
ORDER BY orders DESC, status, http_status, error_code LIMIT :most

-- name: any_two_parts
SELECT DISTINCT locale, call, account FROM requests WHERE run = :run LIMIT 2

-- name: count_parts
SELECT locale, call, account, status, count(*) AS orders
FROM {results} GROUP BY locale, call, account, status

-- An order's product is that of its first row. `products`: how many there are, those beyond :most too.
-- name: count_products
SELECT {product} AS product, count(*) AS orders,
    CAST(sum(CASE WHEN results.status = 'sent' THEN 1 ELSE 0 END) AS BIGINT) AS sent,
    count(*) OVER () AS products
FROM {results} JOIN rows ON rows.run = :run AND rows.seq = results.position
GROUP BY 1 ORDER BY orders DESC, product NULLS LAST LIMIT :most

-- --- a run in time -----------------------------------------------------------------------------

-- What was cut off ends, for the windows' sake, when that was found: for its run it was over before.
-- name: periods
SELECT attempts.start, min(attempts.begun_at) AS from_at,
    max(CASE WHEN attempts.http_status IS NOT NULL THEN attempts.ended_at
        ELSE attempts.begun_at END) AS to_at,
    coalesce(starts.limits, runs.limits) AS limits
FROM attempts JOIN runs ON runs.number = attempts.run
LEFT JOIN starts ON starts.number = attempts.start
WHERE attempts.run = :run GROUP BY attempts.start, starts.limits, runs.limits ORDER BY from_at

-- How long no process had a run in hand, between its first sign of life and its last: signs are the
-- begin of a start, the end of its last attempt, and the ends of its pauses. Not of an attempt that
-- was cut off: it ends when that was found.
-- name: between_starts
SELECT coalesce(sum(from_at - before), 0.0)
FROM (
    SELECT from_at, is_same_process, max(to_at) OVER (
        ORDER BY from_at, lives.number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT number, min(at) AS from_at, max(at) AS to_at
        FROM (
            SELECT number, began_at AS at FROM starts WHERE run = :run
            UNION ALL SELECT number, (
                SELECT attempts.ended_at FROM attempts
                WHERE attempts.start = starts.number AND attempts.ended_at IS NOT NULL
                    AND coalesce(attempts.error_message, '') <> :cut_off
                ORDER BY attempts.ended_at DESC LIMIT 1
            ) FROM starts WHERE run = :run
            UNION ALL SELECT start, ended_at FROM pauses WHERE run = :run
        ) AS signs
        WHERE at IS NOT NULL GROUP BY number
    ) AS lives JOIN starts ON starts.number = lives.number
) AS gaps
WHERE from_at > before AND NOT is_same_process

-- name: pace
SELECT CAST({trunc}((begun_at - CAST(:from_at AS FLOAT)) / CAST(:step_s AS FLOAT)) AS BIGINT) AS step,
    count(*) AS made,
    CAST(sum(CASE WHEN ruling NOT IN ('accepted', 'refused') THEN 1 ELSE 0 END) AS BIGINT) AS troubled
FROM attempts WHERE run = :run AND start = :start GROUP BY step ORDER BY step

-- name: count_answers
SELECT count(*) FROM attempts WHERE run = :run AND http_status IS NOT NULL

-- name: count_answers_between
SELECT CASE {bounds} END AS place, count(*)
FROM attempts WHERE run = :run AND http_status IS NOT NULL GROUP BY place

-- name: nth_answer
SELECT ended_at - begun_at AS took_s FROM attempts WHERE run = :run AND http_status IS NOT NULL
ORDER BY took_s LIMIT 1 OFFSET :before

-- name: pauses
SELECT began_at, ended_at, until_at, reason, share, start, account FROM pauses WHERE run = :run
ORDER BY began_at, number LIMIT :most

-- name: pausing_accounts
SELECT DISTINCT start, account FROM pauses WHERE run = :run

-- name: lasting_pauses
SELECT * FROM pauses WHERE run = :run AND ended_at IS NULL ORDER BY began_at, number

-- The starts of the workers that a run was distributed to come after the one that began it.
-- part: of_starts_since
attempts.start IN (SELECT number FROM starts WHERE run = :run AND number >= :start)

-- name: last_start
SELECT * FROM starts WHERE run = :run ORDER BY number DESC LIMIT 1

-- name: first_sent
SELECT requests.order_id, requests.locale, requests.entries, requests.call, requests.account
FROM attempts
JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
WHERE attempts.start = :start AND attempts.ruling = 'accepted'
ORDER BY requests.position LIMIT :most

-- name: start
SELECT * FROM starts WHERE number = :start

-- name: attempts_since
SELECT coalesce(http_status, 0) AS http_status, count(*) AS made, max(begun_at) AS last_at,
    sum(CASE WHEN attempt > 1 THEN 1 ELSE 0 END) AS retries,
    sum(CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END) AS in_flight,
    sum(CASE WHEN ruling NOT IN ('accepted', 'refused') THEN 1 ELSE 0 END) AS unsettled
FROM attempts WHERE {of_starts_since} GROUP BY coalesce(http_status, 0)

-- name: ended_lately
SELECT count(*) FROM attempts WHERE {of_starts_since} AND ended_at > :since

-- name: last_pause
SELECT * FROM pauses WHERE run = :run ORDER BY began_at DESC, number DESC LIMIT 1

-- --- all runs ----------------------------------------------------------------------------------

-- The first row of a request that names nobody: its list may have the domains beside the number.
-- part: row_that_names_nobody
CASE WHEN requests.entries = '' THEN coalesce((SELECT rows.raw FROM rows
    WHERE rows.run = requests.run AND rows.seq = requests.position), '') ELSE '' END

-- What the CA said to an attempt; where a run made none, what became of the order.
-- part: history
SELECT runs.activity, coalesce(runs.started_at, runs.created_at) AS run_at, runs.id AS run_id, runs.base_url, runs.settings, requests.order_id, requests.locale,
    requests.entries, requests.call, requests.account, attempts.attempt, attempts.begun_at,
    attempts.ended_at, attempts.ruling,
    CASE WHEN attempts.attempt IS NULL THEN outcomes.http_status ELSE attempts.http_status END
        AS http_status,
    CASE WHEN attempts.attempt IS NULL THEN outcomes.error_code ELSE attempts.error_code END
        AS error_code,
    CASE WHEN attempts.attempt IS NULL THEN outcomes.error_message ELSE attempts.error_message END
        AS message,
    coalesce(outcomes.status, CASE WHEN requests.doubted_before OR EXISTS (
        SELECT 1 FROM attempts
        WHERE attempts.run = requests.run AND attempts.request = requests.number AND {is_doubt}
    ) THEN 'in_doubt' ELSE 'not_attempted' END) AS outcome,
    CASE WHEN attempts.attempt IS NOT NULL AND {may_be_mailed} THEN 1 ELSE 0 END AS mails,
    CASE WHEN {may_be_mailed} AND {doubted_at} IS NOT NULL THEN 1 ELSE 0 END AS in_doubt,
    CASE WHEN {may_be_mailed} THEN {acknowledged_at} END AS acknowledged_at,
    CASE WHEN {may_be_mailed} THEN {doubted_at} END AS doubted_at,
    NULL AS input, NULL AS line, {row_that_names_nobody} AS raw
FROM requests JOIN runs ON runs.number = requests.run
LEFT JOIN attempts ON attempts.run = requests.run AND attempts.request = requests.number
LEFT JOIN outcomes ON outcomes.run = requests.run AND outcomes.request = requests.number
WHERE runs.state NOT IN ('planning', 'planned')

-- Also of a domain by its number, behind which its name may stand.
-- name: history_of_order
{history} AND (requests.order_id = :order_id OR requests.order_id LIKE CAST(:order_id AS TEXT) || ' %')
ORDER BY requests.run, requests.number, attempts.attempt

-- name: history_of_request
{history} AND requests.run = :run AND requests.number = :request
ORDER BY attempts.attempt

-- Which requests about domains an order's number stood beside, as :kept_like finds it. No index knows
-- these numbers: all rows are looked through, as they are for `history_of_rows`.
-- name: requests_beside_order
SELECT DISTINCT rows.run, rows.request, rows.order_id, rows.kept FROM rows
WHERE rows.request IS NOT NULL AND rows.kept LIKE :kept_like
ORDER BY rows.run, rows.request

-- No index knows the domains and addresses: all requests are looked through. What this finds too
-- much, such as notexample.com with example.com, `mention_of` excludes.
-- name: history_of_name
{history} AND lower(requests.order_id || ' ' || requests.entries || {row_that_names_nobody})
    LIKE :somewhere
ORDER BY requests.run, requests.number, attempts.attempt

-- Rows that became no part of a request, as the statements above have attempts.
-- name: history_of_rows
SELECT runs.activity, coalesce(runs.started_at, runs.created_at) AS run_at, runs.id AS run_id, runs.base_url, runs.settings, rows.order_id, rows.locale,
    rows.entries, rows.call, rows.account, NULL AS attempt, NULL AS begun_at, NULL AS ended_at,
    NULL AS ruling, NULL AS http_status, NULL AS error_code, rows.reason AS message,
    rows.status AS outcome, 0 AS mails, 0 AS in_doubt, NULL AS acknowledged_at, NULL AS doubted_at,
    inputs.name AS input, rows.line, rows.raw, rows.kept
FROM rows JOIN runs ON runs.number = rows.run
JOIN inputs ON inputs.run = rows.run AND inputs.ordinal = rows.input
WHERE runs.state NOT IN ('planning', 'planned') AND rows.status IN ('rejected', 'duplicate', 'skipped')
    AND (lower(coalesce(rows.order_id, '') || ' ' || coalesce(rows.entries, '') || ' ' || rows.raw)
        LIKE :somewhere OR rows.kept LIKE :kept_like)
ORDER BY rows.run, rows.seq

-- What is kept of runs that were forgotten, likewise.
-- name: history_of_forgotten
SELECT 0 AS activity, 0.0 AS run_at, NULL AS run_id, base_url, '{{}}' AS settings, order_id, NULL AS locale,
    '' AS entries, NULL AS call, NULL AS account, NULL AS attempt, NULL AS begun_at, NULL AS ended_at,
    NULL AS ruling, NULL AS http_status, NULL AS error_code, NULL AS message, NULL AS outcome,
    CAST(sum(mails) AS BIGINT) AS mails, CAST(sum(in_doubt) AS BIGINT) AS in_doubt,
    max(acknowledged_at) AS acknowledged_at, max(doubted_at) AS doubted_at, NULL AS input, NULL AS line,
    '' AS raw
FROM pruned_mails WHERE order_id = :order_id GROUP BY order_id, base_url ORDER BY base_url

-- name: any_forgotten
SELECT 1 FROM pruned_mails LIMIT 1

-- A domain with its name is found by that: no number has a dot.
-- name: count_orders_that_name_nobody
SELECT count(DISTINCT requests.order_id) FROM requests
JOIN attempts ON attempts.run = requests.run AND attempts.request = requests.number
WHERE requests.entries = '' AND requests.order_id NOT LIKE '%.%'
    AND (attempts.ruling IN ('accepted', 'in_doubt') OR attempts.ruling IS NULL)
