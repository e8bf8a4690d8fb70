"""What the journal forgets, and what it keeps."""

from pathlib import Path

import pytest

from batch_resend.journal import Mailed, Terms, prune_journal, read_journal
from batch_resend.model import OrderStatus
from batch_resend.places import Place
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    WINDOWS,
    Clock,
    on_disk,
    opened,
    orders,
    plan,
    send,
)

pytestmark = pytest.mark.asyncio

DAY = 24 * HOUR
TABLES = ("runs", "inputs", "rows", "requests", "attempts", "outcomes", "pauses", "starts", "reads")


async def nights(place: Place, clock: Clock, count: int) -> None:
    """Send the same orders on so many nights, a night a day."""
    for _ in range(count):
        async with opened(place, clock) as journal:
            run = await plan(journal, orders(1, 2, 3), take_up_since=1e12)
            await send(journal, clock, run, {"1": "204", "2": "404", "3": "lost in_doubt"})
            await journal.finish(run, run.state.COMPLETED)
        clock.now += DAY


async def test_runs_that_ended_long_ago_are_forgotten_wholly_and_younger_ones_not_at_all(
    path: Path, clock: Clock
) -> None:
    await nights(path, clock, 4)
    async with read_journal(path) as reader:
        ids = [run.id for run in await reader.runs()]
    pruned = await prune_journal(path, 2.5 * DAY, clock)
    assert (pruned.runs, pruned.rows) == (2, 6)
    async with read_journal(path) as reader:
        kept = await reader.runs()
        assert [run.id for run in kept] == ids[:2]
        for run in kept:
            assert (await reader.tally(run)).orders[OrderStatus.SENT] == 1
            assert len([row async for row in reader.rows_in_list_order(run)]) == 3
    everything = await prune_journal(path, 0.0, clock)
    assert everything.runs == 2
    assert {t: on_disk(path, f"SELECT count(*) FROM {t}")[0][0] for t in TABLES} == dict.fromkeys(
        TABLES, 0
    )


async def test_how_often_orders_were_mailed_is_the_same_before_and_after(
    place: Place, clock: Clock
) -> None:
    await nights(place, clock, 4)
    async with read_journal(place) as reader:
        before = await reader.mails(BASE_URL)
        assert {number: m.mails for number, m in before.items()} == {"1": 4, "3": 4}
    for older_than in (2.5 * DAY, 1.5 * DAY, 0.0):
        await prune_journal(place, older_than, clock)
        async with read_journal(place) as reader:
            assert await reader.mails(BASE_URL) == before
            assert await reader.mails("https://other.example") == {}
    assert before["3"] == Mailed(4, None), "what may have been mailed counts, never for sure"
    assert before["1"].last_at is not None
    assert before["1"].last_at > NOON + 3 * DAY, "the last of all"


async def test_reads_and_starts_that_nothing_needs_any_more_go_too(
    path: Path, clock: Clock
) -> None:
    async with opened(path, clock) as journal:
        reads = await journal.start_reading(BASE_URL)
        await reads.end(await reads.begin(clock()), clock())
    clock.now += 3 * DAY
    async with opened(path, clock) as journal:
        run = await plan(journal, orders(1))
        await journal.start(run, Terms(WINDOWS))
    await prune_journal(path, 2 * DAY, clock)
    assert on_disk(path, "SELECT count(*) FROM reads") == [(0,)]
    assert on_disk(path, "SELECT count(*) FROM starts") == [(1,)]


async def test_a_journal_that_is_then_mostly_empty_takes_less_room_on_disk(
    path: Path, clock: Clock
) -> None:
    async with opened(path, clock) as journal:
        run = await plan(journal, orders(*range(1, 5_001)))
        await send(journal, clock, run, {})
    before = path.stat().st_size
    clock.now += 3 * DAY
    await prune_journal(path, 2 * DAY, clock)
    assert path.stat().st_size < before / 3
    await nights(path, clock, 1)  # and is as good as ever
