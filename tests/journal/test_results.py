"""What a run's attempts and outcomes add up to."""

import tracemalloc

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint, Event, Journal, OwnAccount, Pause, Terms, connection
from batch_resend.model import Problem, RejectedRow, RequestStatus, Ruling, RunState
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    WINDOWS,
    Clock,
    carry,
    opened,
    orders,
    pending,
    plan,
    results,
    row,
    send,
)

pytestmark = pytest.mark.asyncio

# What the order met in another run before, what it met in this one, its status, and the mails
# that may have gone out beyond the first while this run was at it.
FATES = [
    ("never touched: nothing went out", "", "", "not_attempted", 0),
    ("sent at once: one mail", "", "204", "sent", 0),
    ("refused at once: no mail", "", "400", "refused", 0),
    ("errors before it was sent are no mails", "", "503 429 503 204", "sent", 0),
    ("one doubt alone is at most the first mail", "", "lost", "in_doubt", 0),
    ("an unanswered attempt is a doubt", "", "cut", "in_doubt", 0),
    ("a doubt, then sent: perhaps two", "", "lost 204", "sent", 1),
    ("an unanswered attempt, then sent", "", "cut 204", "sent", 1),
    ("two doubts: perhaps two", "", "lost lost", "in_doubt", 1),
    ("three doubts given up: perhaps three", "", "lost lost lost in_doubt", "in_doubt", 2),
    ("two doubts, then sent: perhaps three", "", "lost 503 lost 204", "sent", 2),
    ("a doubt, then refused: at most the first", "", "lost 404", "refused", 0),
    ("errors till given up: no mail", "", "503 503 failed", "failed", 0),
    ("a doubt elsewhere, untouched here", "lost", "", "in_doubt", 0),
    ("a doubt elsewhere, then sent: perhaps two", "lost", "204", "sent", 1),
    ("a doubt elsewhere and one here: perhaps two", "lost", "lost", "in_doubt", 1),
    ("a doubt elsewhere, one here, then sent", "lost", "lost 204", "sent", 2),
    ("a doubt elsewhere, refused here", "lost", "400", "refused", 0),
    ("a doubt elsewhere, errors here till given up", "lost", "503 in_doubt", "in_doubt", 0),
    ("an unanswered attempt elsewhere, then sent", "cut", "204", "sent", 1),
    ("an error elsewhere is no mail", "503 failed", "204", "sent", 0),
    ("sent elsewhere: skipped here", "204", "", "skipped", 0),
    ("a doubt and sent elsewhere: skipped here", "lost 204", "", "skipped", 0),
]


@pytest.mark.parametrize("fate", FATES, ids=[fate[0] for fate in FATES])
async def test_possible_duplicates(
    place: Place, clock: Clock, fate: tuple[str, str, str, str, int]
) -> None:
    _, before, now, status, duplicates = fate
    async with opened(place, clock) as journal:
        other = await plan(journal, orders(7))
        await send(journal, clock, other, {"7": before})
        await journal.finish(other, RunState.COMPLETED)
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(7, 8))
        await send(journal, clock, run, {"7": now}, cooldown_s=20 * HOUR)
        result = (await results(journal.reader, run))["7"]
        assert (result.status.value, result.possible_duplicates) == (status, duplicates)
        assert result.attempts == len([w for w in now.split() if w not in ("failed", "in_doubt")])
        tally = await journal.reader.tally(run)
        assert tally.possible_duplicates == duplicates
        assert sum(tally.orders.values()) == tally.planned == 2


@pytest.mark.parametrize("taken_up", [True, False], ids=["with the list", "from the journal"])
async def test_a_possible_duplicate_stays_one_when_the_run_is_resumed_later(
    journal: Journal, clock: Clock, taken_up: bool
) -> None:
    other = await plan(journal, orders(7))
    await send(journal, clock, other, {"7": "lost in_doubt"})
    await journal.finish(other, RunState.COMPLETED)
    clock.now += 19 * HOUR
    run = await plan(journal, orders(7, 8))
    await send(journal, clock, run, {"7": "204"}, cooldown_s=20 * HOUR)
    await journal.finish(run, RunState.INTERRUPTED)
    assert (await journal.reader.tally(run)).possible_duplicates == 1
    clock.now += 2 * HOUR
    if taken_up:
        assert (await plan(journal, orders(7, 8))).id == run.id
    await send(journal, clock, run, {"8": "204"}, cooldown_s=20 * HOUR)
    assert (await journal.reader.tally(run)).possible_duplicates == 1


async def test_a_doubt_elsewhere_still_counts_for_an_order_that_is_tried_again_later(
    journal: Journal, clock: Clock
) -> None:
    """Three mails may have gone out: the other run's, and both of this one."""
    other = await plan(journal, orders(7))
    await send(journal, clock, other, {"7": "lost in_doubt"})
    await journal.finish(other, RunState.COMPLETED)
    clock.now += 19 * HOUR
    run = await plan(journal, orders(7))
    await send(journal, clock, run, {"7": "lost"}, cooldown_s=20 * HOUR)
    assert (await journal.reader.tally(run)).possible_duplicates == 1
    clock.now += 2 * HOUR
    await send(journal, clock, run, {"7": "204"}, cooldown_s=20 * HOUR)
    assert (await journal.reader.tally(run)).possible_duplicates == 2


async def test_a_result_says_what_the_last_answer_said(place: Place, clock: Clock) -> None:
    """Of a settled order its outcome; of one that is open its last attempt, or what is in doubt."""
    script = {"1": "503 404", "2": "lost 503", "3": "503 failed", "4": "lost in_doubt"}
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3, 4, 5))
        await send(journal, clock, run, script)
        found = await results(journal.reader, run)
        told = {
            n: (r.status.value, r.http_status, r.error_code, r.error_message)
            for n, r in found.items()
        }
        assert told == {
            "1": ("refused", 404, "not_found|order", "no such order"),
            "2": ("in_doubt", None, None, "the connection broke"),
            "3": ("failed", 503, None, "maintenance"),
            "4": ("in_doubt", None, None, "the connection broke"),
            "5": ("not_attempted", None, None, None),
        }
        assert (found["2"].first_attempt_at, found["2"].last_attempt_at) == (NOON + 2, NOON + 3)
        assert (found["5"].first_attempt_at, found["5"].last_attempt_at) == (None, None)


async def test_a_tally_counts_every_order_once_and_every_attempt(
    place: Place, clock: Clock
) -> None:
    script = {
        "1": "204", "2": "429 429 204", "3": "400", "4": "503 503 failed", "5": "lost in_doubt",
        "6": "lost 204", "7": "503",
    }  # fmt: skip
    async with opened(place, clock) as journal:
        other = await plan(journal, orders(9))
        await send(journal, clock, other, {"9": "204"})
        run = await plan(journal, orders(1, 2, 3, 4, 5, 6, 7, 8, 9))
        await send(journal, clock, run, script, cooldown_s=HOUR)
        tally = await journal.reader.tally(run)
        assert tally.orders == {
            RequestStatus.SENT: 3,
            RequestStatus.REFUSED: 1,
            RequestStatus.FAILED: 1,
            RequestStatus.IN_DOUBT: 1,
            RequestStatus.NOT_ATTEMPTED: 2,
            RequestStatus.SKIPPED: 1,
        }
        assert tally.planned == 9
        assert (tally.attempts, tally.retries, tally.rate_limited) == (11, 4, 2)
        assert tally.possible_duplicates == 1
        assert len(await pending(journal.reader, run)) == 2


async def test_an_empty_run_counts_nothing(journal: Journal) -> None:
    run = await plan(journal, [])
    tally = await journal.reader.tally(run)
    assert sum(tally.orders.values()) == sum(tally.rows.values()) == tally.planned == 0
    assert (tally.attempts, tally.retries, tally.possible_duplicates) == (0, 0, 0)


async def test_pauses_are_summed_over_all_starts_of_a_run_and_end_with_it_at_the_latest(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        recorder = await journal.start(run, Terms(WINDOWS))
        await recorder.pause(Pause(clock(), clock() + 5, "the CA has problems", 1.0))
        clock.now += 20
        await recorder.flow_again(clock())
        clock.now += 100
        await recorder.pause(Pause(clock(), clock() + 5, "the CA asks for fewer requests", 0.5))
        clock.now += 7
        await journal.finish(run, RunState.INTERRUPTED, "a person said so")
        clock.now += 500
        again = await journal.start(run, Terms(WINDOWS))
        await again.pause(Pause(clock(), clock() + 5, "the CA asks for fewer requests", 0.25))
        await carry(again, clock, (await pending(journal.reader, run))[0], "204")
        assert (await journal.reader.tally(run)).paused_s == 20 + 7 + 1, "the last one until now"
    clock.now += 500
    async with opened(place, clock) as journal:  # it was cut off a second into the last pause
        tally = await journal.reader.tally(run)
        assert (tally.pauses, tally.paused_s, tally.lowest_share) == (3, 20 + 7 + 1, 0.25)


async def test_a_stream_of_ten_times_the_rows_takes_little_more_memory(
    place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAGE", 200)
    peaks = []
    async with opened(place, clock) as journal:
        for rows in (1_000, 10_000):
            run = await plan(journal, orders(*range(1, rows + 1)))
            tracemalloc.start()
            try:
                async for page in journal.reader.rows_in_list_order(run):
                    line = list(page)[-1].line
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            assert line == rows + 1
    few, many = peaks
    assert many < 4 * few, peaks  # some pages stand until garbage is collected


# --- one order over all runs ----------------------------------------------------------------------


async def events(journal: Journal, order_id: str) -> list[Event]:
    return await journal.reader.history(order_id)


async def test_every_attempt_of_every_run_is_there_the_oldest_first(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, orders(1, 2))
    await send(journal, clock, first, {"1": "lost 429 404", "2": "204"})
    second = await plan(journal, orders(1))
    await send(journal, clock, second, {"1": "204"})
    told = await events(journal, "1")
    assert [(e.run_id, e.attempt, e.ruling, e.outcome) for e in told] == [
        (first.id, 1, Ruling.IN_DOUBT, RequestStatus.REFUSED),
        (first.id, 2, Ruling.RATE_LIMITED, RequestStatus.REFUSED),
        (first.id, 3, Ruling.REFUSED, RequestStatus.REFUSED),
        (second.id, 1, Ruling.ACCEPTED, RequestStatus.SENT),
    ]
    assert (told[0].begun_at, told[0].ended_at) == (NOON, NOON + 1)
    assert [e.http_status for e in told] == [None, 429, 404, 204]
    assert (told[0].error_code, told[0].message) == (None, "the connection broke")
    assert told[2].error_code == "not_found|order"


async def test_the_last_mail_is_told_last_though_an_older_run_was_resumed_since(
    journal: Journal, clock: Clock
) -> None:
    older = await plan(journal, orders(1))
    await send(journal, clock, older, {"1": "204"})
    clock.now += 24 * HOUR
    newer = await plan(journal, orders(1), take_up_since=clock())
    await send(journal, clock, newer, {"1": "204"})
    await send(journal, clock, older, {})
    assert (await journal.reader.runs())[0].id == older.id
    assert [e.run_id for e in await events(journal, "1")] == [older.id, newer.id]
    found = await journal.reader.newest_run(OwnAccount(BASE_URL, frozenset()))
    assert found and (found[0].id, found[1]) == (newer.id, None)


async def test_a_run_that_made_no_attempt_has_one_line_with_its_reason(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, orders(1))
    await send(journal, clock, first, {"1": "204"})
    second = await plan(journal, orders(1, 2))
    await send(journal, clock, second, {}, cooldown_s=HOUR)
    _, skipped = await events(journal, "1")
    assert (skipped.attempt, skipped.outcome) == (None, RequestStatus.SKIPPED)
    assert first.id in (skipped.message or "")
    (left,) = await events(journal, "2")
    assert (left.attempt, left.outcome) == (None, RequestStatus.NOT_ATTEMPTED)


async def test_both_languages_of_an_order_are_its_history(journal: Journal, clock: Clock) -> None:
    both = [
        row(2, "1", "b.example admin@b.example", locale="de"),
        row(3, "1", "a.example admin@a.example", locale="en"),
    ]
    await send(journal, clock, await plan(journal, both), {"1": "204"})
    told = await events(journal, "1")
    assert [(e.locale, [x.email for x in e.entries]) for e in told] == [
        ("de", ["admin@b.example"]),
        ("en", ["admin@a.example"]),
    ]


# Whom orders mail, and which of these orders a domain or an address finds.
MAILED = {
    "101": "shop.kunde.example postmaster@kunde.example",
    "102": "kunde.example Admin@kunde.example",
    "103": "notkunde.example admin@not-kunde.example",
    "104": "kunde.example.com admin@kunde.example.com",
    "105": "a-b.kunde.example.com x.admin@other.example",
    "106": "*.other.example web%master@other.example",
}
NAMED = {
    "kunde.example": ["101", "102"],
    "shop.kunde.example": ["101"],
    "other.example": ["105", "106"],
    "*.other.example": ["106"],
    "postmaster@kunde.example": ["101"],
    "admin@kunde.example": ["102"],
    "admin@other.example": [],
    "web%master@other.example": ["106"],
    "w%@other.example": [],
    "web_master@other.example": [],
    "k%.example": [],
    "hop.kunde.example": [],
}


async def test_a_domain_is_found_by_what_is_below_it_and_the_addresses_at_it(
    journal: Journal, clock: Clock
) -> None:
    rows = [row(line, number, pair) for line, (number, pair) in enumerate(MAILED.items(), start=2)]
    await send(journal, clock, await plan(journal, rows), dict.fromkeys(MAILED, "204"))
    found = {name: [one.order_id for one in await events(journal, name)] for name in NAMED}
    assert found == NAMED


async def test_a_rejected_row_and_a_duplicate_are_in_the_history_of_what_they_name(
    journal: Journal, clock: Clock
) -> None:
    broken = [
        RejectedRow(4, Problem.EMAIL, "no @", '["7","b.example","nobody"]', "7"),
        RejectedRow(5, Problem.ORDER_ID, "no number", '["No. 8","B.example"]'),
    ]
    good = row(2, "1", "a.example admin@a.example")
    run = await plan(journal, [good, good._replace(line=3), *broken])
    await send(journal, clock, run, {"1": "204"})
    found = {
        sought: [
            (one.outcome and one.outcome.value, one.line) for one in await events(journal, sought)
        ]
        for sought in ("1", "7", "8", "a.example", "b.example", "4")
    }
    assert found == {
        "1": [("sent", None), ("duplicate", 3)],
        "7": [("rejected", 4)],
        "8": [("rejected", 5)],
        "a.example": [("sent", None), ("duplicate", 3)],
        "b.example": [("rejected", 4), ("rejected", 5)],
        "4": [],
    }
    (rejected,) = await events(journal, "7")
    assert (rejected.run_id, rejected.input, rejected.message) == (run.id, "a.csv", "no @")


async def test_an_attempt_says_by_which_account_and_at_which_ca_it_was_made(
    place: Place, clock: Clock
) -> None:
    of_eu = row(2, "1")._replace(account="eu")
    async with opened(place, clock) as journal:
        eu = Endpoint("https://eu.ca.example", "theirs")
        run = await plan(journal, [of_eu, *orders(2)], parties={None: Endpoint(BASE_URL), "eu": eu})
        recorder = await journal.start(run, Terms(WINDOWS, {"accounts": {"eu": eu.base_url}}))
        for planned in await pending(journal.reader, run):
            await carry(recorder, clock, planned, "204")
        told = [*await events(journal, "1"), *await events(journal, "2")]
    assert [(e.account, e.base_url) for e in told] == [("eu", eu.base_url), (None, BASE_URL)]


@pytest.mark.parametrize(
    ("status", "code"),
    [(RequestStatus.SKIPPED, "preflight"), (RequestStatus.REFUSED, "would_widen")],
)
async def test_what_the_ca_itself_gives_no_mail_for_is_left_out_with_its_reason(
    journal: Journal, status: RequestStatus, code: str
) -> None:
    run = await plan(journal, orders(1, 2))
    (left_out, _) = await pending(journal.reader, run)
    reasons = [(left_out.number, "it waits no more")]
    await journal.leave_out(run, reasons, status, code)
    found = (await results(journal.reader, run))["1"]
    said = (found.status, found.error_code, found.error_message)
    assert said == (status, code, "it waits no more")
    assert [planned.request.subject for planned in await pending(journal.reader, run)] == ["2"]


async def test_an_attempt_without_an_answer_yet_says_so(journal: Journal, clock: Clock) -> None:
    await send(journal, clock, await plan(journal, orders(1)), {"1": "cut"})
    (event,) = await events(journal, "1")
    assert (event.attempt, event.ruling, event.ended_at) == (1, None, None)
    assert event.outcome is RequestStatus.IN_DOUBT, "until there is one"


async def test_of_an_order_that_no_run_had_nothing_is_known(journal: Journal, clock: Clock) -> None:
    await send(journal, clock, await plan(journal, orders(1)), {"1": "204"})
    assert await events(journal, "11") == []
