"""Several processes share a database: each run is in one's hand, each request in one run's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import psycopg
import pytest

from batch_resend.cluster import leases, postgres
from batch_resend.cluster.leases import Chunk, ChunkLeases
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.folders import Database
from batch_resend.journal import Journal, Terms, open_journal
from batch_resend.journal.connection import Connection
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.sending.channel import LEAVES_WITHIN_S
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    WINDOWS,
    Clock,
    carry,
    orders,
    pending,
    pending_ids,
    plan,
    results,
    send,
    statuses,
)
from tests.postgres import end_connections, forget

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def two(database: Database, clock: Clock) -> AsyncIterator[tuple[Journal, Journal]]:
    """Open the same journal twice, as two processes would."""
    forget(database)
    async with open_journal(database, clock) as one, open_journal(database, clock) as other:
        clock.now += 1
        yield one, other


async def begun(journal: Journal, *numbers: int) -> Run:
    """Return a run that has begun to send, and has sent nothing."""
    run = await plan(journal, orders(*numbers))
    await journal.settle(run, HOUR, hold_doubts=False)
    await journal.start(run, Terms(WINDOWS))
    return await journal.reader.run(run.id)


async def test_opening_ends_nothing_of_what_others_have_in_hand(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (one, other):
        run = await begun(one, 1, 2)
        planned = await plan(other, orders(7))
        recorder = await one.start(run, Terms(WINDOWS))
        (first, _) = await pending(one.reader, run)
        await carry(recorder, clock, first, "cut")
        async with open_journal(database, clock) as third:
            running = await third.reader.run(run.id)
            assert running.state is RunState.RUNNING
            assert "process" in (await third.reader.holder(running) or "")
            assert (await third.reader.run(planned.id)).state is RunState.PLANNED
            assert await third.reader.recent_ends(BASE_URL, 0.0, clock) == []


async def test_what_a_process_had_in_hand_when_it_died_is_cut_off_and_taken_up(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (_, other):
        async with open_journal(database, clock) as dying:
            run = await begun(dying, 1, 2)
        # The server notices the end of a connection, and so of its locks, a moment later.
        while await other.reader.holder(run) is not None:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)
        async with open_journal(database, clock):
            pass
        assert (await other.reader.run(run.id)).state is RunState.INTERRUPTED
        assert (await plan(other, orders(1, 2))).id == run.id


async def test_a_run_that_is_left_to_workers_is_in_their_hand_when_who_began_it_has_ended(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (_, other):
        async with open_journal(database, clock) as one:
            run, terms = await plan(one, orders(1, 2)), Terms(WINDOWS)
            await one.decide(
                lambda connection: one.begin(connection, run, terms, is_distributed=True)
            )
        run = await other.reader.run(run.id)
        assert await other.reader.holder(run) == "workers"
        assert await other.reader.unfinished() == []
        stands = await other.reader.standing(run, clock)
        assert stands is not None
        assert (stands.planned, stands.made) == (2, 0)


async def test_the_same_list_meanwhile_is_another_run_which_leaves_all_to_the_first(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (one, other):
        first = await begun(one, 1, 2)
        second = await begun(other, 1, 2, 3)
        assert second.id != first.id
        assert await pending_ids(other.reader, second) == ["3"]
        skipped = (await results(other.reader, second))["1"]
        assert skipped.status is RequestStatus.SKIPPED
        assert skipped.error_message == f"run {first.id}, which is under way, sends it"


async def test_two_who_start_at_once_share_no_order(database: Database, clock: Clock) -> None:
    async with two(database, clock) as (one, other):
        plans = {}
        for journal, numbers in ((one, range(1, 41)), (other, range(21, 61))):
            plans[journal] = await plan(journal, orders(*numbers))
            await journal.settle(plans[journal], HOUR, hold_doubts=False)

        async def start(journal: Journal) -> None:
            await journal.start(plans[journal], Terms(WINDOWS))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, one)
            tasks.start_soon(start, other)
        left = [await pending_ids(journal.reader, run) for journal, run in plans.items()]
        assert sorted(left[0] + left[1], key=int) == [str(number) for number in range(1, 61)]


async def test_a_run_in_anothers_hand_cannot_be_taken(database: Database, clock: Clock) -> None:
    async with two(database, clock) as (one, other):
        run = await begun(one, 1)
        with pytest.raises(JournalBusy, match=f"batch-resend watch {run.id}"):
            await other.claim(run)
        await one.claim(run)  # its own it may
        assert await other.reader.unfinished() == []


async def test_what_another_run_sent_after_this_one_was_planned_is_not_sent_again(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (one, other):
        late = await plan(other, orders(1, 2))
        await other.settle(late, HOUR, hold_doubts=False)
        first = await plan(one, orders(1))
        await send(one, clock, first, {"1": "204"})
        await one.finish(first, RunState.COMPLETED)
        await other.start(late, Terms(WINDOWS, cooldown_s=HOUR))
        assert await statuses(other.reader, late) == {"1": "skipped", "2": "not_attempted"}


async def test_what_died_after_this_process_opened_the_journal_had_in_flight_is_in_doubt_for_it(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (_, other):
        late = await plan(other, orders(1, 2))
        await other.settle(late, HOUR, hold_doubts=True)
        before = connections(database)
        with suppress(JournalError):  # its connections are gone when it is closed
            async with open_journal(database, clock) as dying:
                run = await begun(dying, 1, 2)
                recorder = await dying.start(run, Terms(WINDOWS))
                (first, _) = await pending(dying.reader, run)
                await carry(recorder, clock, first, "cut")
                cut(database, connections(database) - before)
                await other.start(late, Terms(WINDOWS, cooldown_s=HOUR, hold_doubts=True))
                assert await statuses(other.reader, late) == {"1": "in_doubt", "2": "not_attempted"}


async def test_a_process_that_lost_its_session_writes_nothing_more_though_the_server_is_there(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (one, _):
        run = await begun(one, 1, 2)
        recorder = await one.start(run, Terms(WINDOWS))
        (first, _) = await pending(one.reader, run)
        end_connections(database)
        with pytest.raises(JournalError):
            await one.claim(run)
        with pytest.raises(JournalError, match="the connection was lost"):
            await one.claim(run)
        with pytest.raises(JournalError, match="the connection was lost"):
            await carry(recorder, clock, first, "204")
        async with open_journal(database, clock) as third:
            assert (await third.reader.run(run.id)).state is RunState.INTERRUPTED
            assert (await third.reader.tally(run)).attempts == 0


async def test_a_reader_that_lost_its_connection_reads_on_through_another(
    database: Database, clock: Clock
) -> None:
    async with two(database, clock) as (one, _):
        run = await begun(one, 1, 2)
        end_connections(database)
        with pytest.raises(JournalError, match="is the server up"):
            await one.reader.run(run.id)
        assert (await one.reader.run(run.id)).number == run.number
        assert [found.request.subject for found in await pending(one.reader, run)] == ["1", "2"]


def connections(database: Database) -> set[int]:
    """Return the connections that the server has, by their processes."""
    with psycopg.connect(database.url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in found}


def cut(database: Database, victims: set[int]) -> None:
    """End some connections, and so the session that they are of; return when they are gone."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        for pid in victims:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    while victims & connections(database):
        time.sleep(0.005)  # the server has no event for it


async def test_a_worker_that_dies_while_others_look_has_its_doubts_held_before_its_part_is_resumed(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one that lives has in flight meanwhile is left to it."""
    forget(database)
    async with open_journal(database, clock) as one:
        run = await plan(one, orders(1, 2))
        await one.settle(run, HOUR, hold_doubts=True)
        terms = Terms(WINDOWS, settings={"in_doubt": "hold"}, hold_doubts=True)
        (chunk,) = await ChunkLeases(one).distribute(run, terms, [[None]])
        before = connections(database)
        with suppress(JournalError):  # its connections are gone when it is closed
            async with open_journal(database, clock) as dying:
                assert await ChunkLeases(dying).take(1, run, chunk)
                recorder = await dying.join(run, {})
                first, second = await pending(dying.reader, run)
                await carry(recorder, clock, first, "cut")
                await carry(await one.join(run, {}), clock, second, "cut")
                victims = connections(database) - before
                real = leases.orphaned

                def orphaned_meanwhile(connection: Connection) -> list[tuple[int, Chunk]]:
                    cut(database, victims)
                    return real(connection)

                monkeypatch.setattr(leases, "orphaned", orphaned_meanwhile)
                found = await ChunkLeases(one).tidy()
                assert found == [(1, chunk)]
                assert await pending_ids(one.reader, run) == ["2"], "1 may have been mailed"


async def test_nothing_leaves_so_late_that_its_host_is_taken_for_dead() -> None:
    of_client, of_server = postgres._REACHED, " ".join(postgres._SET_UP)
    idle, interval, count = (
        of_client[f"keepalives_{name}"] for name in ("idle", "interval", "count")
    )
    for name, value in (("idle", idle), ("interval", interval), ("count", count)):
        assert f"SET tcp_keepalives_{name} = {value}" in of_server
    assert idle + interval * count > LEAVES_WITHIN_S
