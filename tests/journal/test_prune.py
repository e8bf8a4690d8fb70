"""What the journal forgets, and what it keeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.cluster.leases import ChunkLeases
from batch_resend.folders import Database, Place
from batch_resend.journal import (
    Endpoint,
    Terms,
    open_journal,
    prune_journal,
    read_journal,
)
from batch_resend.model import RequestStatus, RunState
from batch_resend.results import Mailed
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    WINDOWS,
    Clock,
    all_rows,
    carry,
    on_disk,
    opened,
    orders,
    pending,
    plan,
    row,
    send,
)
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

DAY = 24 * HOUR
EU = "https://eu.example/services/v2"
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
    would = await prune_journal(path, 2.5 * DAY, clock, dry_run=True)
    async with read_journal(path) as reader:
        assert [run.id for run in await reader.runs()] == ids
    pruned = await prune_journal(path, 2.5 * DAY, clock)
    assert pruned == would
    assert (len(pruned.runs), pruned.rows) == (2, 6)
    async with read_journal(path) as reader:
        kept = await reader.runs()
        assert [run.id for run in kept] == ids[:2]
        for run in kept:
            assert (await reader.tally(run)).orders[RequestStatus.SENT] == 1
            assert len(await all_rows(reader, run)) == 3
    everything = await prune_journal(path, 0.0, clock)
    assert len(everything.runs) == 2
    assert {t: on_disk(path, f"SELECT count(*) FROM {t}")[0][0] for t in TABLES} == dict.fromkeys(
        TABLES, 0
    )


def mails_of(found: dict[str, Mailed]) -> dict[str, Mailed]:
    """Return what is known of mails: what the CA refused is forgotten with its run."""
    return {
        number: replace(mailed, refused_at=None, tried_at=None)
        for number, mailed in found.items()
        if mailed.mails
    }


async def test_how_often_orders_were_mailed_is_the_same_before_and_after(
    place: Place, clock: Clock
) -> None:
    await nights(place, clock, 4)
    async with read_journal(place) as reader:
        before = mails_of(await reader.mails(BASE_URL, clock))
        assert {number: m.mails for number, m in before.items()} == {"1": 4, "3": 4}
    for older_than in (2.5 * DAY, 1.5 * DAY, 0.0):
        await prune_journal(place, older_than, clock)
        async with read_journal(place) as reader:
            assert mails_of(await reader.mails(BASE_URL, clock)) == before
            assert await reader.mails("https://other.example", clock) == {}
    doubted_at = before["3"].doubted_at
    assert before["3"] == Mailed(4, 4, None, doubted_at), "it may have been mailed, never for sure"
    for last_at in (before["1"].acknowledged_at, doubted_at):
        assert last_at is not None
        assert last_at > NOON + 3 * DAY, "the last of all"


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


async def test_a_run_that_another_process_sends_is_not_forgotten_however_long_ago_it_began(
    database: Database, clock: Clock
) -> None:
    forget(database)
    async with opened(database, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await send(journal, clock, run, {"1": "204"})
        await journal.finish(run, RunState.STOPPED, "the key was refused")
    clock.now += 40 * DAY
    async with open_journal(database, clock) as sending:
        await sending.claim(run)
        recorder = await sending.start(run, Terms(WINDOWS))
        assert len((await prune_journal(database, 30 * DAY, clock)).runs) == 0
        (left,) = await pending(sending.reader, run)
        await carry(recorder, clock, left, "204")
        await sending.finish(run, RunState.COMPLETED)
    clock.now += 40 * DAY
    assert len((await prune_journal(database, 30 * DAY, clock)).runs) == 1


async def test_a_run_that_was_dealt_out_long_ago_keeps_its_start_and_whose_windows_it_counts_in(
    database: Database, clock: Clock
) -> None:
    forget(database)
    async with opened(database, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await ChunkLeases(journal).distribute(
            run, Terms(WINDOWS, budgets={None: "a key"}), [[None]]
        )
    clock.now += 40 * DAY
    assert len((await prune_journal(database, 30 * DAY, clock)).runs) == 0
    async with opened(database, clock) as journal:
        dealt = await journal.reader.run(run.id)
        assert [chunk.run for chunk in await ChunkLeases(journal).distribute_again(dealt)] == [
            run.id
        ]


async def test_whose_mails_they_were_is_the_same_before_and_after(
    place: Place, clock: Clock
) -> None:
    parties = {None: Endpoint(BASE_URL, "ours"), "eu": Endpoint(EU, "theirs")}
    async with opened(place, clock) as journal:
        rows = [*orders(1), row(3, "2")._replace(account="eu")]
        run = await plan(journal, rows, parties=parties)
        budgets = {name: party.budget or "" for name, party in parties.items()}
        recorder = await journal.start(run, Terms(WINDOWS, budgets=budgets))
        for planned in await pending(journal.reader, run):
            await carry(recorder, clock, planned, "204")
        await journal.finish(run, RunState.COMPLETED)

    async def mails() -> list[set[str]]:
        asked = ((BASE_URL, "ours"), (BASE_URL, "another"), (EU, "theirs"), (EU, "another"))
        async with read_journal(place) as reader:
            return [set(await reader.mails(url, clock, budget)) for url, budget in asked]

    before = await mails()
    assert before == [{"1"}, {"1"}, {"2"}, set()]
    clock.now += DAY
    assert len((await prune_journal(place, 0.0, clock)).runs) == 1
    assert await mails() == before
