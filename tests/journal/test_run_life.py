"""A run from its plan to its end, and what the next opening makes of one that was cut off."""

import re

import pytest

from batch_resend.errors import AmbiguousRun, UnknownRun
from batch_resend.folders import Place
from batch_resend.journal import Journal, Terms, read_journal
from batch_resend.journal.runs import CUT_OFF
from batch_resend.model import RequestStatus, RunState
from tests.journal.conftest import (
    BASE_URL,
    NOON,
    WINDOWS,
    Clock,
    all_rows,
    carry,
    opened,
    orders,
    pending,
    pending_ids,
    plan,
    results,
    send,
    statuses,
)

pytestmark = pytest.mark.asyncio


async def test_a_run_is_planned_then_running_then_what_its_end_says(
    journal: Journal, clock: Clock
) -> None:
    run = await plan(journal, orders(1))
    assert (run.state, run.created_at, run.started_at, run.finished_at) == (
        RunState.PLANNED, NOON, None, None,
    )  # fmt: skip
    assert (run.base_url, run.limits) == (BASE_URL, ("1000/3m", "100/5s"))
    clock.now += 5
    await journal.start(run, Terms(()))
    run = await journal.reader.run(run.id)
    assert (run.state, run.started_at, run.limits) == (RunState.RUNNING, NOON + 5, ())
    clock.now += 5
    await journal.finish(run, RunState.STOPPED, "the key is wrong")
    run = await journal.reader.run(run.id)
    assert (run.state, run.stop_reason, run.started_at, run.finished_at) == (
        RunState.STOPPED, "the key is wrong", NOON + 5, NOON + 10,
    )  # fmt: skip


async def test_a_resumed_run_keeps_its_start_and_loses_its_end_and_its_reason(
    journal: Journal, clock: Clock
) -> None:
    run = await plan(journal, orders(1))
    await journal.start(run, Terms(()))
    await journal.finish(run, RunState.STOPPED, "the CA is gone")
    clock.now += 60
    await journal.start(run, Terms(WINDOWS))
    run = await journal.reader.run(run.id)
    assert (run.state, run.stop_reason, run.started_at, run.finished_at) == (
        RunState.RUNNING, None, NOON, None,
    )  # fmt: skip
    assert run.limits == ("1000/3m", "100/5s")


async def test_a_run_is_named_by_when_it_was_planned(journal: Journal) -> None:
    assert re.fullmatch(r"20270115-080000-[0-9a-f]{4}", (await plan(journal, orders(1))).id)


async def test_of_many_runs_whose_names_begin_alike_the_newest_five_are_named(
    journal: Journal, clock: Clock
) -> None:
    runs: list[str] = []
    for number in range(6):
        run = await plan(journal, orders(number))
        await journal.start(run, Terms(WINDOWS))
        runs.insert(0, run.id)
        clock.now += 1
        if number == 4:
            with pytest.raises(
                AmbiguousRun, match=rf"with '2027': {', '.join(runs)}\. Write more of"
            ):
                await journal.reader.run("2027")
    with pytest.raises(AmbiguousRun, match=rf"with '2027': {', '.join(runs[:5])} and others\. "):
        await journal.reader.run("2027")


async def test_an_unknown_run_is_said_to_be_unknown(journal: Journal) -> None:
    with pytest.raises(UnknownRun, match=r"no run '20200101-000000-0000'"):
        await journal.reader.run("20200101-000000-0000")


async def test_what_a_dead_process_was_planning_vanishes_at_the_next_opening(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        half, staging = await journal.new_run(BASE_URL, WINDOWS)
        await staging.add_rows(orders(1, 2))
        whole = await plan(journal, orders(3))
    async with opened(place, clock) as journal:
        for run in (half, whole):
            with pytest.raises(UnknownRun):
                await journal.reader.run(run.id)
            assert await all_rows(journal.reader, run) == []
            assert await pending(journal.reader, run) == []
            assert await journal.reader.inputs(run) == []
        later = await plan(journal, orders(3))
        assert await pending_ids(journal.reader, later) == ["3"]


async def test_a_plan_that_is_discarded_vanishes_and_leaves_other_runs_alone(
    journal: Journal,
) -> None:
    kept = await plan(journal, orders(1, 2))
    dropped = await plan(journal, orders(2, 3))
    await journal.settle(dropped, 0, hold_doubts=False)
    await journal.discard(dropped)
    assert await pending_ids(journal.reader, kept) == ["1", "2"]
    assert await all_rows(journal.reader, dropped) == []
    with pytest.raises(UnknownRun):
        await journal.reader.run(dropped.id)


@pytest.mark.parametrize(
    ("script", "ended_s"),
    [
        pytest.param("", 0, id="before its first attempt: when it started"),
        pytest.param("204", 1, id="an answer that was recorded is a sign of life"),
        pytest.param("cut cut", 1, id="an attempt that was begun is one"),
    ],
)
async def test_a_run_that_was_cut_off_is_interrupted_at_its_last_sign_of_life(
    place: Place, clock: Clock, script: str, ended_s: float
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2))
        clock.now += 7
        await send(journal, clock, run, {"1": script})
    clock.now += 3600
    async with opened(place, clock) as journal:
        found = await journal.reader.run(run.id)
        assert (found.state, found.finished_at) == (RunState.INTERRUPTED, NOON + 7 + ended_s)
        assert "killed" in (found.stop_reason or "")
        is_known = {"": "not_attempted", "204": "sent"}.get(script, "in_doubt")
        assert await statuses(journal.reader, run) == {"1": is_known, "2": "not_attempted"}


async def test_a_run_has_begun_since_once_it_starts_not_when_its_end_is_written(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        assert await journal.reader.newest_start() == 0
        cut_off = await plan(journal, orders(1))
        await send(journal, clock, cut_off, {"1": "cut"})
        before = await journal.reader.newest_start()
    async with opened(place, clock) as journal:
        assert (await journal.reader.run(cut_off.id)).state is RunState.INTERRUPTED
        held_back = await plan(journal, orders(2))
        await journal.finish(held_back, RunState.STOPPED, "a row was rejected")
        assert await journal.reader.begun_since(before) is None
        await journal.start(cut_off, Terms(WINDOWS))
        begun = await journal.reader.begun_since(before)
        assert begun is not None
        assert (begun.id, begun.state) == (cut_off.id, RunState.RUNNING)
        assert await journal.reader.begun_since(await journal.reader.newest_start()) is None


@pytest.mark.parametrize(
    "state", [RunState.COMPLETED, RunState.STOPPED, RunState.INTERRUPTED], ids=str
)
async def test_a_run_that_ended_is_left_as_it_is(
    place: Place, clock: Clock, state: RunState
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        await send(journal, clock, run, {"1": "204"})
        await journal.finish(run, state, "so it was")
        before = await journal.reader.run(run.id)
    clock.now += 3600
    async with opened(place, clock) as journal:
        assert await journal.reader.run(run.id) == before


async def test_an_attempt_without_an_answer_is_in_doubt_from_this_opening_on(
    place: Place, clock: Clock
) -> None:
    """Its request may have arrived up to now: the windows must count it as ended only now."""
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await send(journal, clock, run, {"1": "cut", "2": "204"})
    clock.now += 500
    reopened_at = clock.now
    async with opened(place, clock) as journal:
        assert await journal.reader.recent_ends(BASE_URL, 0.0, clock) == [NOON + 2, reopened_at]
        left = await pending(journal.reader, run)
        assert [(p.request.subject, p.attempts, p.doubts) for p in left] == [("1", 1, 1)]
        assert (await results(journal.reader, run))["1"].error_message == CUT_OFF
    clock.now += 500
    async with opened(place, clock) as journal:
        ends = await journal.reader.recent_ends(BASE_URL, 0.0, clock)
        assert ends == [NOON + 2, reopened_at], "a second opening moves nothing"


async def test_attempts_under_way_are_in_doubt_for_whoever_reads_meanwhile(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await send(journal, clock, run, {"1": "cut"})
        async with read_journal(place) as reader:
            assert await statuses(reader, run) == {"1": "in_doubt", "2": "not_attempted"}
            tally = await reader.tally(run)
            assert (tally.orders[RequestStatus.IN_DOUBT], tally.attempts) == (1, 1)


async def test_recent_ends_are_those_of_one_ca_over_all_runs_oldest_first(
    journal: Journal, clock: Clock
) -> None:
    other = await plan(journal, orders(1), base_url="https://other.example")
    await send(journal, clock, other, {"1": "204"})
    first = await plan(journal, orders(1, 2))
    await send(journal, clock, first, {"1": "429 503", "2": "lost"})
    second = await plan(journal, orders(3), take_up_since=clock.now + 1)
    await send(journal, clock, second, {"3": "204"})
    assert await journal.reader.recent_ends(BASE_URL, 0.0, clock) == [
        NOON + k for k in (2, 3, 4, 5)
    ]
    assert await journal.reader.recent_ends(BASE_URL, NOON + 3, clock) == [NOON + 4, NOON + 5]


async def test_runs_are_listed_once_sending_was_begun_the_one_active_last_first(
    journal: Journal, clock: Clock
) -> None:
    assert await journal.reader.unfinished() == []
    first = await plan(journal, orders(1))
    await send(journal, clock, first, {"1": "503"})
    second = await plan(journal, orders(2))
    await send(journal, clock, second, {"2": "204"})
    await journal.finish(second, RunState.COMPLETED)
    await plan(journal, orders(3))
    assert [run.id for run in await journal.reader.runs()] == [second.id, first.id]
    (unfinished,) = await journal.reader.unfinished()
    assert unfinished.run.id == first.id
    clock.now -= 3_600  # set back: what comes later is newer all the same
    await send(journal, clock, first, {})
    assert [run.id for run in await journal.reader.runs()] == [first.id, second.id]


async def test_attempts_are_counted_over_all_starts_of_a_run(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        await send(journal, clock, run, {"1": "503 lost 429"})
    async with opened(place, clock) as journal:
        (left,) = await pending(journal.reader, run)
        assert (left.attempts, left.doubts) == (3, 1)
        recorder = await journal.start(run, Terms(()))
        await carry(recorder, clock, left, "204")
        result = (await results(journal.reader, run))["1"]
        assert (result.status, result.attempts) == (RequestStatus.SENT, 4)
        assert (result.first_attempt_at, result.last_attempt_at) == (NOON, NOON + 4)
        tally = await journal.reader.tally(run)
        assert (tally.attempts, tally.retries, tally.rate_limited) == (4, 3, 1)
