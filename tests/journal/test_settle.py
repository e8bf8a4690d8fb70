"""Before a run starts: what other runs, or an earlier start of it, have settled already."""

import anyio
import pytest

from batch_resend.clock import timestamp
from batch_resend.folders import Place
from batch_resend.journal import Journal, Terms, read_journal
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.results import Since
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
    pending_ids,
    plan,
    results,
    row,
    send,
    statuses,
)

pytestmark = pytest.mark.asyncio

DAY_S = 20 * HOUR


async def ended_run(
    journal: Journal, clock: Clock, script: dict[str, str], base_url: str = BASE_URL
) -> Run:
    """Carry a run of these orders to its end."""
    run = await plan(journal, orders(*map(int, script)), base_url=base_url, take_up_since=1e12)
    await send(journal, clock, run, script)
    await journal.finish(run, RunState.COMPLETED)
    return run


async def settled(
    journal: Journal, *numbers: int, cooldown_s: float = DAY_S, hold_doubts: bool = False
) -> Run:
    """Plan a new run of these orders, and settle it."""
    run = await plan(journal, orders(*numbers), take_up_since=1e12)
    await journal.settle(run, cooldown_s, hold_doubts=hold_doubts)
    return run


async def test_what_another_run_had_acknowledged_is_skipped_saying_when_and_by_which_run(
    journal: Journal, clock: Clock
) -> None:
    first = await ended_run(journal, clock, {"1": "204", "2": "503 204"})
    run = await settled(journal, 2, 3, 1)
    assert await pending_ids(journal.reader, run) == ["3"]
    found = await results(journal.reader, run)
    assert {n: r.status.value for n, r in found.items()} == {
        "1": "skipped", "2": "skipped", "3": "not_attempted",
    }  # fmt: skip
    assert found["1"].error_message == f"sent {timestamp(NOON + 1)} by run {first.id}"
    assert found["2"].error_message == f"sent {timestamp(NOON + 3)} by run {first.id}"
    assert (found["1"].attempts, found["1"].possible_duplicates) == (0, 0)
    assert await journal.reader.count_outcomes(run) == {RequestStatus.SKIPPED: 2}


async def test_the_newest_acknowledgement_is_the_one_that_is_named(
    journal: Journal, clock: Clock
) -> None:
    await ended_run(journal, clock, {"1": "204"})
    clock.now += HOUR
    newest = await ended_run(journal, clock, {"1": "204"})
    run = await settled(journal, 1)
    message = (await results(journal.reader, run))["1"].error_message
    assert message == f"sent {timestamp(NOON + HOUR + 2)} by run {newest.id}"


async def test_what_another_run_sent_since_a_run_was_planned_is_not_left_to_it_however_long_ago(
    journal: Journal, clock: Clock
) -> None:
    cut_off = await settled(journal, 1, 2, 3)
    await send(journal, clock, cut_off, {"1": "204"})
    await journal.finish(cut_off, RunState.INTERRUPTED, "a person said so")
    clock.now += 1
    await ended_run(journal, clock, {"2": "204"})
    clock.now += 3 * DAY_S
    await journal.settle(cut_off, DAY_S, hold_doubts=False)
    assert await pending_ids(journal.reader, cut_off) == ["3"]
    await journal.settle(cut_off, 0.0, hold_doubts=False)
    assert await pending_ids(journal.reader, cut_off) == ["3"], "also without a cooldown"


# What the order met in another run, how long ago, the cooldown, and whether it is skipped then, is
# sent, or may have been mailed.
ELSEWHERE = [
    ("204", 0.0, DAY_S, "skipped"),
    ("204", DAY_S - 1, DAY_S, "skipped"),
    ("204", DAY_S, DAY_S, "skipped"),
    ("204", DAY_S + 1, DAY_S, "sent"),
    ("204", 30.0, 60.0, "skipped"),
    ("204", 0.25, 0.5, "skipped"),
    ("204", 90.0, 60.0, "sent"),
    ("204", 0.0, 0.0, "sent"),
    ("lost 204", 0.0, DAY_S, "skipped"),
    *((script, 0.0, DAY_S, "sent") for script in ("400", "403", "404", "503 failed", "429")),
    ("lost", 0.0, DAY_S, "in doubt"),
    ("lost", DAY_S + 1, DAY_S, "sent"),
    ("cut", 0.0, DAY_S, "in doubt"),
]


@pytest.mark.parametrize(("script", "passed_s", "cooldown_s", "then"), ELSEWHERE)
async def test_what_another_run_met_settles_a_request_within_the_cooldown_and_not_after_it(
    place: Place, script: str, passed_s: float, cooldown_s: float, then: str
) -> None:
    """A doubt is sent again, and known to be one, or held for a person."""
    clock = Clock()
    async with opened(place, clock) as journal:
        await ended_run(journal, clock, {"1": script})
        clock.now += passed_s
    clock.now -= 1.0  # that an opening takes
    async with opened(place, clock) as journal:  # what was cut off is known by then
        run = await settled(journal, 1, 2, cooldown_s=cooldown_s)
        left = [
            (p.request.subject, p.attempts, p.doubts) for p in await pending(journal.reader, run)
        ]
        ours = {"skipped": [], "sent": [("1", 0, 0)], "in doubt": [("1", 0, 1)]}[then]
        assert left == [*ours, ("2", 0, 0)]
        await journal.settle(run, cooldown_s, hold_doubts=True)
        assert await pending_ids(journal.reader, run) == ["1", "2"][then != "sent" :]
        if then == "in doubt":
            held = (await results(journal.reader, run))["1"]
            assert held.status is RequestStatus.IN_DOUBT
            assert "held for a person" in (held.error_message or "")


async def test_the_same_order_asking_for_something_else_is_not_skipped(
    journal: Journal, clock: Clock
) -> None:
    await ended_run(journal, clock, {"1": "204"})
    await ended_run(journal, clock, {"2": "204"}, base_url="https://other.example")
    run = await plan(
        journal,
        [row(2, "1", "a.example x@a.example"), row(3, "2"), row(4, "3", locale="de")],
    )
    await journal.settle(run, DAY_S, hold_doubts=True)
    assert await pending_ids(journal.reader, run) == ["1", "2", "3"]


async def test_an_acknowledgement_counts_whatever_list_or_line_brings_the_request_up(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, [row(2, "1", "a.example x@a.example", "b.example y@b.example")])
    await send(journal, clock, first, {"1": "204"})
    run = await plan(
        journal,
        [row(8, "1", "b.example y@b.example"), row(9, "2")],
        [row(5, "1", "a.example x@a.example")],
    )
    await journal.settle(run, DAY_S, hold_doubts=False)
    assert await pending_ids(journal.reader, run) == ["2"]


async def test_own_doubts_are_held_or_sent_again_as_each_start_says(
    place: Place, clock: Clock
) -> None:
    """Held orders are pending again once doubts are retried; the other way round as well."""
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3))
        await send(journal, clock, run, {"1": "lost in_doubt", "2": "cut"})
    async with opened(place, clock) as journal:
        for hold_doubts, left in ((True, ["3"]), (False, ["1", "2", "3"]), (True, ["3"])):
            await journal.settle(run, DAY_S, hold_doubts=hold_doubts)
            assert await pending_ids(journal.reader, run) == left
            assert await statuses(journal.reader, run) == {
                "1": "in_doubt", "2": "in_doubt", "3": "not_attempted",
            }  # fmt: skip


async def test_own_outcomes_stand_but_for_denials_doubts_and_skips(
    journal: Journal, clock: Clock
) -> None:
    """A key that was denied may have been given its permission since."""
    await ended_run(journal, clock, {"6": "204"})
    clock.now += 1  # before this run was planned
    run = await plan(journal, orders(1, 2, 3, 4, 5, 6))
    script = {"1": "204", "2": "400", "3": "403", "4": "404", "5": "503 failed"}
    await send(journal, clock, run, script, cooldown_s=DAY_S)
    assert (await statuses(journal.reader, run))["6"] == "skipped"
    clock.now += DAY_S + 60
    await journal.settle(run, DAY_S, hold_doubts=False)
    assert await pending_ids(journal.reader, run) == ["3", "6"]
    assert await statuses(journal.reader, run) == {
        "1": "sent", "2": "refused", "3": "not_attempted", "4": "refused", "5": "failed",
        "6": "not_attempted",
    }  # fmt: skip


async def test_a_run_does_not_skip_what_it_sent_itself(journal: Journal, clock: Clock) -> None:
    run = await plan(journal, orders(1, 2))
    await send(journal, clock, run, {"1": "204"})
    await journal.settle(run, DAY_S, hold_doubts=True)
    assert await statuses(journal.reader, run) == {"1": "sent", "2": "not_attempted"}


async def test_settling_twice_says_the_same(journal: Journal, clock: Clock) -> None:
    await ended_run(journal, clock, {"1": "204", "2": "lost"})
    run = await settled(journal, 1, 2, 3, hold_doubts=True)
    before = await results(journal.reader, run)
    await journal.settle(run, DAY_S, hold_doubts=True)
    assert await results(journal.reader, run) == before


async def test_more_than_a_batch_of_acknowledged_requests_are_all_skipped(
    place: Place, clock: Clock
) -> None:
    many = range(1, 5102)
    async with opened(place, clock) as journal:
        first = await plan(journal, orders(*many))
        await journal.start(first, Terms(()))
        await journal._writer.transaction(
            lambda connection: connection.driver.execute(
                "INSERT INTO attempts"
                " (run, request, attempt, start, digest, begun_at, ended_at, ruling)"
                f" SELECT run, number, 1, 1, digest, {NOON}, {NOON}, 'accepted' FROM requests"
                f" WHERE run = {first.number}"
            )
        )
        run = await settled(journal, *many, 9_999)
        assert await pending_ids(journal.reader, run) == ["9999"]
        assert await journal.reader.count_outcomes(run) == {RequestStatus.SKIPPED: len(many)}


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("cooldown_s", [DAY_S, 0.0])
async def test_what_is_left_of_a_cut_off_run_is_what_settling_it_leaves_to_send(
    place: Place, clock: Clock, cooldown_s: float, hold: bool
) -> None:
    """Counted without changing anything, by who only reads, before the next start cleans up."""
    fates = {
        "1": "204", "2": "403", "3": "404", "4": "lost in_doubt", "5": "503 failed", "6": "503",
        "7": "cut", "8": "lost",
    }  # fmt: skip
    async with opened(place, clock) as journal:
        await ended_run(journal, clock, {"9": "204"})  # mailed before, so skipped at first
        clock.now += 1
        rows = [*orders(*range(1, 14)), row(20, "14")._replace(skip="issued")]
        run = await plan(journal, rows, take_up_since=1e12)
        await journal.settle(run, DAY_S, hold_doubts=False)
        terms = {"cooldown_s": cooldown_s, "in_doubt": "hold" if hold else "retry"}
        recorder = await journal.start(run, Terms(WINDOWS, terms))
        for planned in await pending(journal.reader, run):
            await carry(recorder, clock, planned, fates.get(planned.request.subject, ""))
        await journal.finish(run, RunState.INTERRUPTED)
        clock.now += DAY_S
        others = {"10": "204", "11": "lost in_doubt", "12": "404", "13": "cut"}
        await ended_run(journal, clock, others)
    async with read_journal(place, clock) as reader:
        run = await reader.run(run.id)
        # PostgreSQL ends a session soon after it was closed, and says so nowhere.
        while await reader.holder(run):  # noqa: ASYNC110 - it is the server that ends it
            await anyio.sleep(0.005)
        before = await statuses(reader, run)
        rest = await reader.rest(run)
        assert await statuses(reader, run) == before
        await reader.settle_copy(run, cooldown_s, hold_doubts=hold)
        in_copy = await reader.count_by_account(run)
        assert await pending_ids(reader, run)
    async with read_journal(place) as reader:
        assert await statuses(reader, run) == before
    async with opened(place, clock) as journal:
        await journal.settle(run, cooldown_s, hold_doubts=hold)
        expected = await journal.reader.count_by_account(run)
    assert rest.left == in_copy == expected
    assert rest.left == {None: 9 - (5 if hold else 0)}
    for since, count in ((Since.SENT_ELSEWHERE, 1), (Since.IN_DOUBT_ELSEWHERE, 2)):
        assert rest.moved(since) == {RequestStatus.NOT_ATTEMPTED: count}


@pytest.mark.parametrize("cooldown_s", [DAY_S, 0.0])
async def test_a_copy_of_a_run_counts_what_others_have_mailed_otherwise_as_settling_it_does(
    place: Place, clock: Clock, cooldown_s: float
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3), take_up_since=1e12)
        await journal.start(run, Terms(WINDOWS))
        await journal.finish(run, RunState.INTERRUPTED)
        others = [row(n, str(n), "b.example admin@b.example") for n in (1, 2)]
        other = await plan(journal, others, take_up_since=1e12)
        await send(journal, clock, other, {"1": "204", "2": "404"})
        await journal.finish(other, RunState.COMPLETED)
    async with read_journal(place, clock) as reader:
        await reader.settle_copy(run, cooldown_s, hold_doubts=False)
        in_copy = await reader.count_mailed_otherwise(run, cooldown_s, {None: BASE_URL})
    async with opened(place, clock) as journal:
        await journal.settle(run, cooldown_s, hold_doubts=False)
        expected = await journal.reader.count_mailed_otherwise(run, cooldown_s, {None: BASE_URL})
    assert in_copy == expected == 1


@pytest.mark.parametrize("state", [RunState.INTERRUPTED, RunState.COMPLETED])
async def test_what_other_runs_have_sent_or_left_in_doubt_is_counted_by_what_it_was_in_the_run(
    place: Place, clock: Clock, state: RunState
) -> None:
    fates = {"1": "204", "2": "404", **dict.fromkeys("345", "503 failed")}
    fates |= dict.fromkeys("678", "lost in_doubt")
    not_tried = () if state is RunState.COMPLETED else (9, 10, 11)
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(*map(int, fates), *not_tried))
        await journal.settle(run, DAY_S, hold_doubts=True)
        recorder = await journal.start(run, Terms(WINDOWS, {"cooldown_s": DAY_S}))
        for planned in await pending(journal.reader, run):
            await carry(recorder, clock, planned, fates.get(planned.request.subject, ""))
        await journal.finish(run, state)
        clock.now += 1
        sent, doubts = dict.fromkeys(("3", "6", "9"), "204"), ("4", "7", "10")
        await ended_run(journal, clock, sent | dict.fromkeys(doubts, "lost in_doubt"))
        rest = await journal.reader.rest(await journal.reader.run(run.id))
    failed, in_doubt, not_attempted = (
        RequestStatus.FAILED, RequestStatus.IN_DOUBT, RequestStatus.NOT_ATTEMPTED
    )  # fmt: skip
    more = {not_attempted: 1} if not_tried else {}
    assert rest.moved(Since.SENT_ELSEWHERE) == {failed: 1, in_doubt: 1} | more
    assert rest.moved(Since.IN_DOUBT_ELSEWHERE) == {failed: 1} | more, "7 was in doubt already"
