-- What a plan is about; whom it mails; how often orders were mailed, and what the CA says of them.

-- name: count_problems
SELECT problem, count(*) AS found FROM rows WHERE run = :run AND status = 'rejected'
GROUP BY problem ORDER BY found DESC, problem

-- name: first_of_problem
SELECT {row_columns} FROM rows
WHERE rows.run = :run AND rows.status = 'rejected' AND rows.problem = :problem
ORDER BY rows.seq LIMIT :most

-- name: count_notes
SELECT notes, count(*) FROM requests WHERE run = :run GROUP BY notes

-- part: first_rows
SELECT requests.order_id, requests.locale, requests.entries, requests.call, requests.account,
    requests.skip, rows.input, rows.line
FROM requests JOIN rows ON rows.run = requests.run AND rows.seq = requests.position
WHERE requests.run = :run

-- name: first_noted
{first_rows} AND requests.notes LIKE '%' || :note || '%' ORDER BY requests.position LIMIT :most

-- name: notes_of_skipped
SELECT requests.notes, count(*) FROM outcomes
JOIN requests ON requests.run = outcomes.run AND requests.number = outcomes.request
WHERE outcomes.run = :run AND outcomes.status = 'skipped' AND outcomes.error_code = 'list'
GROUP BY requests.notes

-- name: count_skipped
SELECT error_code, count(*) FROM outcomes WHERE run = :run AND status = 'skipped'
GROUP BY error_code

-- name: skipped_for_other_calls
SELECT requests.* FROM outcomes
JOIN requests ON requests.run = outcomes.run AND requests.number = outcomes.request
WHERE outcomes.run = :run AND outcomes.status = 'skipped' AND outcomes.error_code = 'other_call'
ORDER BY requests.number

-- Refused, though not by the CA: it would have mailed others for them, or might have.
-- name: count_withheld
SELECT count(*) FROM outcomes
WHERE run = :run AND status = 'refused' AND error_code IN ('would_widen', 'may_widen')

-- What another run sent stands together, by that run: "sent TIME by run RUN", see `runs.sent_by`.
-- name: skips
SELECT error_code AS code, CASE WHEN error_code = 'cooldown' THEN substr(error_message, 38)
        ELSE error_message END AS what,
    min(substr(error_message, 6, 24)) AS first_at, max(substr(error_message, 6, 24)) AS last_at,
    count(*) AS orders
FROM outcomes WHERE run = :run AND status = 'skipped' AND error_code IN :codes
GROUP BY 1, 2 ORDER BY orders DESC, code, what LIMIT :most

-- name: count_without_addresses
SELECT call, count(*) FROM requests WHERE run = :run AND entries = '' AND NOT {has_outcome}
GROUP BY call

-- part: by_mail_domain
(SELECT {mail_domain} AS domain, count(*) AS mails FROM requests JOIN {each_entry} ON TRUE
WHERE requests.run = :run AND NOT {has_outcome} GROUP BY {mail_domain}) AS by_mail_domain

-- `domains`, `all_mails`: of all that there are, those beyond :most too.
-- name: recipients
SELECT domain, mails, count(*) OVER () AS domains, CAST(sum(mails) OVER () AS BIGINT) AS all_mails
FROM {by_mail_domain} ORDER BY mails DESC, domain LIMIT :most

-- part: at_domains
NOT {has_outcome} AND EXISTS (SELECT 1 FROM {each_entry} WHERE {mail_domain} IN :domains)

-- name: count_mailed_at
SELECT count(*) FROM requests WHERE requests.run = :run AND {at_domains}

-- name: first_mailed_at
{first_rows} AND {at_domains} ORDER BY requests.position LIMIT :most

-- At which CA each account of each run was.
-- part: account_urls
SELECT number AS run, '' AS account, base_url FROM runs
UNION ALL SELECT runs.number, accounts.key, accounts.value FROM runs JOIN {accounts_of_run} ON TRUE

-- The same order or domain of the same CA, but another request: with other addresses, in another
-- language, or by another call, which may name the domain in another way. A domain by its number
-- alone has no name. Whose it is, an account's name does not tell: commands name one differently.
-- :urls has it of ours, by account. MATERIALIZED: read from the settings once, not for each attempt.
-- CROSS JOIN: start by start, of each only what is recent. SQLite would else read all attempts.
-- name: count_mailed_otherwise
WITH account_urls AS MATERIALIZED ({account_urls}),
own_urls AS MATERIALIZED (
    SELECT accounts.key AS account, accounts.value AS base_url FROM {accounts_here}),
theirs AS (
    SELECT requests.order_id, coalesce(requests.call, '') AS call, requests.entries,
        account_urls.base_url
    FROM starts CROSS JOIN attempts
    JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
    JOIN account_urls ON account_urls.run = requests.run
        AND account_urls.account = coalesce(requests.account, '')
    WHERE attempts.start = starts.number AND attempts.ended_at >= :since - {shift_s}
        AND attempts.run <> :run AND attempts.ruling = 'accepted'
        AND account_urls.base_url IN (SELECT base_url FROM own_urls))
SELECT count(*) FROM requests
LEFT JOIN own_urls ON own_urls.account = coalesce(requests.account, '')
WHERE requests.run = :run AND NOT {has_outcome} AND (
    (own_urls.base_url, requests.order_id, coalesce(requests.call, '')) IN (
        SELECT base_url, order_id, call FROM theirs)
    OR requests.call IN {about_domains} AND (own_urls.base_url, {domain_of_subject}) IN (
        SELECT base_url, {domain_of_subject} FROM theirs AS requests WHERE call IN {about_domains}
        UNION ALL SELECT base_url, {domain} FROM theirs AS requests JOIN {each_entry} ON TRUE
            WHERE requests.call = '')
    OR requests.call IS NULL AND EXISTS (SELECT 1 FROM theirs WHERE call IN {about_domains})
        AND EXISTS (SELECT 1 FROM {each_entry} WHERE (own_urls.base_url, {domain}) IN (
            SELECT base_url, {domain_of_subject} FROM theirs AS requests
            WHERE call IN {about_domains})))

-- --- what the CA says of orders that were mailed -------------------------------------------------

-- part: outcome
(SELECT outcomes.status FROM outcomes
    WHERE outcomes.run = requests.run AND outcomes.request = requests.number)

-- Not what was in doubt, and another run has sent since: that one knows more of it.
-- part: is_mailed
(coalesce({outcome}, '') = 'sent'
    OR (coalesce({outcome}, '') = 'in_doubt' OR {outcome} IS NULL AND {may_have_arrived})
        AND NOT {is_acknowledged_elsewhere})

-- name: mailed_requests
SELECT * FROM requests WHERE run = :run AND number > :after AND {is_mailed}
ORDER BY number LIMIT 1000

-- name: count_domains_mailed
SELECT count(*) FROM requests WHERE run = :run AND call IN {about_domains} AND {is_mailed}

-- name: doubts_of_domains
SELECT count(*) FROM requests WHERE run = :run AND call IN {about_domains} AND {is_mailed}
    AND coalesce({outcome}, 'in_doubt') = 'in_doubt'

-- Some of it by the run's own attempts: what is in doubt may be so by an earlier run alone.
-- name: any_order_mailed
SELECT 1 FROM attempts
JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
    AND coalesce(requests.call, '') NOT IN {about_domains}
LEFT JOIN outcomes ON outcomes.run = attempts.run AND outcomes.request = attempts.request
WHERE attempts.run = :run AND coalesce(attempts.ruling, 'in_doubt') IN ('accepted', 'in_doubt')
    AND coalesce(outcomes.status, 'in_doubt') IN ('sent', 'in_doubt')
LIMIT 1

-- name: forget_check
DELETE FROM checks WHERE run = :run AND request = :request

-- name: add_check
INSERT INTO checks (run, request, asked_at, status, names, approved)
VALUES (:run, :request, :asked_at, :status, :names, :approved)

-- An order once, though it was mailed in several languages; sent, if it was in any.
-- name: count_checks
SELECT status, is_sent, count(*) AS orders, min(first_at) AS first_at, max(at) AS at FROM (
    SELECT checks.status, min(checks.asked_at) AS first_at, max(checks.asked_at) AS at,
        max(CASE WHEN {outcome} = 'sent' THEN 1 ELSE 0 END) AS is_sent
    FROM checks JOIN requests ON requests.run = checks.run AND requests.number = checks.request
    WHERE checks.run = :run AND {is_mailed} GROUP BY requests.order_id, checks.status
) AS by_order GROUP BY status, is_sent ORDER BY orders DESC, status

-- Likewise; such as those of an account whose key was refused.
-- name: count_not_asked
SELECT is_sent, count(*) AS orders FROM (
    SELECT max(CASE WHEN {outcome} = 'sent' THEN 1 ELSE 0 END) AS is_sent
    FROM requests LEFT JOIN checks ON checks.run = requests.run AND checks.request = requests.number
    WHERE requests.run = :run AND coalesce(requests.call, '') NOT IN {about_domains} AND {is_mailed}
    GROUP BY requests.order_id HAVING max(checks.asked_at) IS NULL
) AS by_order GROUP BY is_sent

-- An order once, though it was mailed in several languages.
-- name: waiting_names
SELECT requests.order_id, checks.approved, checks.names
FROM checks JOIN requests ON requests.run = checks.run AND requests.number = checks.request
WHERE checks.run = :run AND checks.approved < checks.names
GROUP BY requests.order_id, checks.approved, checks.names ORDER BY min(requests.number) LIMIT :most

-- --- what a sweep found --------------------------------------------------------------------------

-- name: add_sweep
INSERT INTO sweeps (run, counts) VALUES (:run, :counts)

-- name: add_stuck
INSERT INTO stuck (run, number, found) VALUES (:run, :number, :found)

-- name: sweep_of_run
SELECT counts FROM sweeps WHERE run = :run

-- name: stuck_of_run
SELECT found FROM stuck WHERE run = :run ORDER BY number LIMIT :most

-- --- how often orders were mailed ----------------------------------------------------------------

-- What may have been mailed counts as mailed: one too few does less harm than one too many.
-- part: may_be_mailed
requests.call IS NULL AND (attempts.ruling IN ('accepted', 'in_doubt') OR attempts.ruling IS NULL)

-- part: acknowledged_at
CASE WHEN attempts.ruling = 'accepted' THEN attempts.ended_at END

-- When it was tried: that it was cut off may be found days later.
-- part: doubted_at
CASE WHEN attempts.ruling = 'in_doubt' OR attempts.ruling IS NULL THEN attempts.begun_at END

-- part: attempts_with_run
FROM attempts
JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
JOIN runs ON runs.number = attempts.run

-- Rows that name an account may be of another CA than their run: its key tells.
-- name: mails
SELECT requests.order_id, count(CASE WHEN {may_be_mailed} THEN 1 END) AS mails,
    count({doubted_at}) AS in_doubt,
    max({acknowledged_at} + {shift_s}) AS acknowledged_at,
    max({doubted_at} + {shift_s}) AS doubted_at,
    max(CASE WHEN attempts.ruling = 'refused' THEN attempts.ended_at + {shift_s} END) AS refused_at,
    max(CASE WHEN attempts.http_status IS NOT NULL OR coalesce(attempts.ruling, '') <> 'unavailable'
        THEN attempts.begun_at + {shift_s} END) AS tried_at
{attempts_with_run}
LEFT JOIN starts ON starts.number = attempts.start
WHERE requests.call IS NULL AND (
    requests.account IS NULL AND runs.base_url = :base_url
    OR EXISTS (SELECT 1 FROM budgets WHERE budgets.start = attempts.start
        AND budgets.account = requests.account AND budgets.budget = :budget))
GROUP BY requests.order_id
UNION ALL
SELECT order_id, mails, in_doubt, acknowledged_at, doubted_at, NULL, NULL FROM pruned_mails
WHERE CASE WHEN budget IS NULL THEN base_url = :base_url ELSE budget = :budget END

-- Before runs are forgotten: a line an order and run, as the statement above counts them.
-- name: keep_mails
INSERT INTO pruned_mails
    (order_id, mails, in_doubt, acknowledged_at, doubted_at, base_url, budget)
SELECT requests.order_id, count(*), count({doubted_at}), max({acknowledged_at}),
    max({doubted_at}), runs.base_url,
    (SELECT budgets.budget FROM budgets WHERE budgets.start = attempts.start
        AND budgets.account = requests.account) AS budget
{attempts_with_run}
WHERE {may_be_mailed} AND runs.number = :run
GROUP BY requests.order_id, runs.base_url, budget

-- A start and account that had mails sent for the orders that a sweep is about. Keys are replaced: the
-- command's own is then known by its profile; without one, by an order of the run that waits here, too.
-- part: starts_of_this_account
FROM starts JOIN runs ON runs.number = starts.run LEFT JOIN budgets ON budgets.start = starts.number
WHERE (budgets.budget IN :budgets OR runs.base_url = :base_url AND (budgets.start IS NULL
    OR budgets.account = '' AND {run_profile} = :profile AND (:profile <> '' OR EXISTS (
        SELECT 1 FROM requests WHERE requests.run = runs.number AND requests.account IS NULL
            AND requests.order_id IN :waiting))))

-- part: its_attempts
attempts CROSS JOIN requests WHERE attempts.start = starts.number
    AND requests.run = attempts.run AND requests.number = attempts.request
    AND coalesce(requests.account, '') = coalesce(budgets.account, '')

-- By its last start that had a mail acknowledged: a run may have been resumed since, and have had
-- nothing left to send. A run that mailed only for domains, or approvals of orders, mailed none that a
-- sweep looks at. Counted, not timed: clocks are set.
-- name: newest_runs
SELECT runs.*, coalesce(budgets.account, '') AS account, {swept} AS swept {starts_of_this_account}
    AND EXISTS (SELECT 1 FROM {its_attempts} AND requests.call IS NULL
        AND attempts.ruling = 'accepted')
ORDER BY starts.number DESC, account LIMIT :most

-- part: swept
(SELECT sweeps.counts FROM sweeps WHERE sweeps.run = runs.number)

-- name: newest_starts
SELECT runs.*, coalesce(budgets.account, '') AS account, {swept} AS swept
{starts_of_this_account}
ORDER BY starts.number DESC LIMIT :most

-- name: orders_of_run
SELECT DISTINCT order_id FROM requests WHERE run = :run

-- name: sent_by_run
SELECT requests.order_id FROM requests
JOIN outcomes ON outcomes.run = requests.run AND outcomes.request = requests.number
WHERE requests.run = :run AND coalesce(requests.account, '') = :account AND requests.call IS NULL
    AND outcomes.status = 'sent'

-- --- mailed several times, and waiting -----------------------------------------------------------

-- part: waiting_requests
FROM requests JOIN checks ON checks.run = requests.run AND checks.request = requests.number
WHERE requests.run = :run AND requests.call IS NULL
    AND checks.status IN :waiting AND {outcome} = 'sent'

-- name: accounts_with_waiting
SELECT DISTINCT coalesce(requests.account, '') AS account {waiting_requests}

-- part: waiting_orders
(SELECT requests.order_id {waiting_requests} AND coalesce(requests.account, '') IN :accounts)

-- By which keys the run mails for these accounts.
-- part: own_budgets
(SELECT own.budget FROM budgets AS own JOIN starts ON starts.number = own.start
    WHERE starts.run = :run AND own.account IN :accounts)

-- Of the accounts that ask one CA: an order's number may be another order's at another CA. The
-- attempts are walked through once, and each order looked up among those that wait: joined to these
-- from the start, SQLite would walk through all attempts for each. Of runs that were forgotten only
-- the last mail's time is kept. Counted are runs: a retry says nothing of whether mails arrive. Where
-- two runs mailed different people, nobody was mailed twice; without addresses all were.
-- part: mailed_several_times
SELECT order_id, mailed, since_at FROM (
    SELECT order_id, min(since_at) AS since_at, CAST(
        coalesce(sum(CASE WHEN entries = '' THEN mailed END), 0)
        + coalesce(max(CASE WHEN entries <> '' THEN mailed END), 0) AS BIGINT) AS mailed
    FROM (
        SELECT requests.order_id, requests.entries, count(DISTINCT attempts.run) AS mailed,
            min(attempts.begun_at) AS since_at
        {attempts_with_run}
        LEFT JOIN budgets ON budgets.start = attempts.start
            AND budgets.account = coalesce(requests.account, '')
        WHERE requests.call IS NULL AND attempts.ruling = 'accepted'
            AND requests.order_id IN {waiting_orders} AND (
                requests.account IS NULL AND runs.base_url = :base_url
                OR budgets.budget IN {own_budgets})
        GROUP BY requests.order_id, requests.entries
        UNION ALL
        SELECT order_id, '' AS entries, 1 AS mailed, acknowledged_at FROM pruned_mails
        WHERE acknowledged_at IS NOT NULL AND order_id IN {waiting_orders} AND (
            budget IS NULL AND base_url = :base_url OR budget IN {own_budgets})
    ) AS by_addresses GROUP BY order_id
) AS all_mails JOIN (
    SELECT requests.order_id AS number, max(checks.asked_at) AS asked_at {waiting_requests}
        AND coalesce(requests.account, '') IN :accounts
    GROUP BY requests.order_id
) AS answers ON answers.number = all_mails.order_id
WHERE mailed >= :several AND coalesce(since_at, 0) <= answers.asked_at - :enough_s

-- name: count_unapproved
SELECT count(*) FROM ({mailed_several_times}) AS counted

-- name: unapproved
{mailed_several_times} ORDER BY mailed DESC, since_at, order_id LIMIT :most

-- name: accounts_of
SELECT DISTINCT order_id, account FROM requests
WHERE run = :run AND account IS NOT NULL AND order_id IN :orders
