"""Where a run stands, for whoever watches it through the journal while another process sends."""

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from batch_resend.folders import Place
from batch_resend.journal import RATE_OVER_S, JournalReader, LiveStatus, Pause, Terms, read_journal
from batch_resend.journal.statements import sql
from batch_resend.model import Attempt, RequestStatus, Run, RunState
from tests.journal.conftest import (
    BASE_URL,
    NOON,
    WINDOWS,
    Clock,
    carry,
    on_disk,
    opened,
    orders,
    pending,
    plan,
)

pytestmark = pytest.mark.asyncio


async def test_a_run_that_is_only_planned_stands_nowhere_yet(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        async with read_journal(place) as outside:
            assert await outside.standing(run, clock) is None


async def standing(outside: JournalReader, run: Run, clock: Clock) -> LiveStatus:
    """Return where a run stands that has begun to send."""
    stands = await outside.standing(run, clock)
    assert stands is not None
    return stands


async def test_outcomes_attempts_and_what_is_in_flight_are_seen_from_outside_as_they_come(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal, read_journal(place) as outside:
        run = await plan(journal, orders(1, 2, 3))
        recorder = await journal.start(run, Terms(WINDOWS))
        first, second, _ = await pending(journal.reader, run)
        await carry(recorder, clock, first, "503 204")
        await recorder.begin(Attempt(second, 1, clock()))
        clock.now += 0.25
        stands = await standing(outside, run, clock)
        assert stands.outcomes == {RequestStatus.SENT: 1}
        assert (stands.planned, stands.made, stands.in_flight) == (3, 3, 1)
        assert stands.ended_lately == 2
        assert stands.since_last_s == 0.25
        assert (stands.pausing, stands.share) == (None, 1.0)


async def test_what_the_limits_count_is_seen_whichever_run_or_reading_made_it(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal, read_journal(place) as outside:
        for account in ("another", "this"):
            terms = Terms(WINDOWS, budgets={None: account})
            earlier = await plan(journal, orders(1))
            recorder = await journal.start(earlier, terms)
            await carry(recorder, clock, (await pending(journal.reader, earlier))[0], "204")
            await journal.finish(earlier, RunState.COMPLETED)
        reading = await journal.start_reading(BASE_URL, "this")
        await reading.end(await reading.begin(clock()), clock())
        clock.now += 10
        run = await plan(journal, orders(2))
        recorder = await journal.start(run, terms)
        await carry(recorder, clock, (await pending(journal.reader, run))[0], "503")
        stands = await standing(outside, run, clock)
        # Where hosts share a journal, it is not looked for.
        assert stands.ages_s == ((11, 11, 0) if isinstance(place, Path) else ())


async def test_the_rate_of_now_forgets_what_ended_long_ago(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal, read_journal(place) as outside:
        run = await plan(journal, orders(1, 2))
        recorder = await journal.start(run, Terms(WINDOWS))
        first, second = await pending(journal.reader, run)
        await carry(recorder, clock, first, "204")
        clock.now += RATE_OVER_S
        await carry(recorder, clock, second, "204")
        stands = await standing(outside, run, clock)
        assert (stands.made, stands.ended_lately) == (2, 1)


async def test_a_pause_tells_its_reason_and_the_seconds_left_until_it_is_over(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal, read_journal(place) as outside:
        run = await plan(journal, orders(1))
        recorder = await journal.start(run, Terms(WINDOWS))
        await recorder.pause(Pause(clock(), clock() + 42, "the CA asks for fewer requests", 0.5))
        stands = await standing(outside, run, clock)
        assert stands.pausing is not None
        assert stands.pausing.reason == "the CA asks for fewer requests"
        assert stands.pausing.left_s == 42
        assert stands.share == 0.5
        assert (stands.pause_s(2), stands.pause_s(43)) == (40, 0)
        clock.now += 10
        await recorder.prolong_pause(Pause(clock(), clock() + 90, "the CA has problems", 0.25))
        stands = await standing(outside, run, clock)
        assert stands.pausing is not None
        assert (stands.pausing.reason, stands.pausing.left_s) == ("the CA has problems", 90)
        assert (stands.share, stands.share_since_s) == (0.25, 0.0)
        await recorder.flow_again(clock())
        clock.now += 7
        stands = await standing(outside, run, clock)
        assert (stands.pausing, stands.share, stands.share_since_s) == (None, 0.25, 7)


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param(Clock(NOON + 7200, offset_s=7200), id="put back two hours since they began"),
        pytest.param(Clock(boot="another", offset_s=7200), id="of another boot: each as it stands"),
    ],
)
async def test_a_clock_that_was_set_between_the_two_processes_changes_no_time_left(
    place: Place, clock: Clock, theirs: Clock
) -> None:
    theirs = replace(theirs)
    async with opened(place, theirs) as journal, read_journal(place) as outside:
        run = await plan(journal, orders(1))
        recorder = await journal.start(run, Terms(WINDOWS))
        await recorder.pause(Pause(theirs(), theirs() + 42, "the CA has problems", 1.0))
        stands = await standing(outside, run, clock)
        assert stands.pausing is not None
        assert stands.pausing.left_s == 42


async def test_a_resumed_run_is_counted_whole_but_its_pace_is_that_of_its_last_start(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal, read_journal(place) as outside:
        run = await plan(journal, orders(1, 2, 3))
        recorder = await journal.start(run, Terms(WINDOWS))
        first, *_ = await pending(journal.reader, run)
        await carry(recorder, clock, first, "204")
        await journal.finish(run, RunState.INTERRUPTED, "a person said so")
        again = await journal.start(run, Terms(WINDOWS))
        second, *_ = await pending(journal.reader, run)
        await carry(again, clock, second, "404")
        stands = await standing(outside, run, clock)
        assert stands.outcomes == {RequestStatus.SENT: 1, RequestStatus.REFUSED: 1}
        assert stands.made == 1


async def test_watching_writes_nothing(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        await journal.start(run, Terms(WINDOWS))
        before = everything_in(place)
        async with read_journal(place) as outside:
            await outside.standing(run, clock)
        assert everything_in(place) == before


def everything_in(place: Place) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of all tables of the journal."""
    names = re.findall(r"CREATE TABLE (\w+)", sql("tables", "sqlite"))
    if isinstance(place, Path):
        return {name: on_disk(place, f"SELECT * FROM {name}") for name in names}
    with psycopg.connect(place.url) as connection:
        return {
            name: connection.execute(f"SELECT * FROM batch_resend.{name}".encode()).fetchall()
            for name in (*names, "sessions", "keys", "slots")
        }
