"""Group commit: durable on return, few commits for many writes, and no writing after a failure."""

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from batch_resend.errors import JournalError
from batch_resend.journal import Endpoint, Journal, Recorder, Terms, read_journal
from batch_resend.journal.connection import Connection
from batch_resend.model import Attempt, Outcome, PlannedRequest, RequestStatus, Ruling, Run, Verdict
from tests.journal.conftest import (
    FORM,
    NOON,
    WINDOWS,
    Clock,
    on_disk,
    opened,
    orders,
    pending,
    pending_ids,
    plan,
    send,
    statuses,
)

pytestmark = pytest.mark.asyncio

ACCEPTED = Verdict(Ruling.ACCEPTED, 204)


@asynccontextmanager
async def running(
    path: Path, count: int
) -> AsyncIterator[tuple[Journal, Run, Recorder, list[PlannedRequest]]]:
    """Open a journal with a run of so many orders that has just started."""
    async with opened(path, Clock()) as journal:
        run = await plan(journal, orders(*range(1, count + 1)))
        recorder = await journal.start(run, Terms(WINDOWS))
        yield journal, run, recorder, await pending(journal.reader, run)


@asynccontextmanager
async def statements(journal: Journal) -> AsyncIterator[list[str]]:
    """Collect what the writing connection has SQLite do, BEGIN and COMMIT included."""
    done: list[str] = []
    connection = journal._writer._connection
    await connection.run(lambda writing: writing.driver.set_trace_callback(done.append))
    try:
        yield done
    finally:
        await connection.run(lambda writing: writing.driver.set_trace_callback(None))


async def begun_at_once(
    recorder: Recorder, planned: Sequence[PlannedRequest]
) -> list[BaseException | None]:
    """Begin an attempt of each order, all at once; return what became of each."""
    begins = (recorder.begin(Attempt(order, 1, NOON)) for order in planned)
    return await asyncio.gather(*begins, return_exceptions=True)


async def test_an_attempt_is_on_disk_when_begin_returns(path: Path) -> None:
    async with running(path, 1) as (_, run, recorder, (order,)):
        await recorder.begin(Attempt(order, 1, NOON + 5))
        found = on_disk(path, "SELECT run, request, attempt, digest, begun_at FROM attempts")
        assert found == [(run.number, order.number, 1, order.digest, NOON + 5)]
        async with read_journal(path) as reader:
            assert await statuses(reader, run) == {"1": "in_doubt"}


async def test_an_answer_and_its_outcome_are_on_disk_together_when_end_returns(path: Path) -> None:
    async with running(path, 1) as (_, run, recorder, (order,)):
        attempt = Attempt(order, 1, NOON)
        await recorder.begin(attempt)
        await recorder.end(attempt, NOON + 1, ACCEPTED, Outcome(order, RequestStatus.SENT, 204))
        assert on_disk(path, "SELECT ended_at, ruling, http_status FROM attempts") == [
            (NOON + 1, "accepted", 204)
        ]
        assert on_disk(path, "SELECT run, request, status, http_status FROM outcomes") == [
            (run.number, order.number, "sent", 204)
        ]


async def test_settled_orders_are_on_disk_and_no_longer_pending(path: Path) -> None:
    async with running(path, 3) as (journal, run, recorder, planned):
        for order in planned[:2]:
            await recorder.settle(Outcome(order, RequestStatus.FAILED))
        assert len(on_disk(path, "SELECT * FROM outcomes")) == 2
        assert await pending_ids(journal.reader, run) == ["3"]


async def test_rows_planned_are_on_disk_before_they_are_grouped(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as journal:
        _, staging = await journal.new_run("https://ca.example", ())
        await staging.add_rows(orders(1, 2))
        assert on_disk(path, "SELECT order_id FROM rows") == [("1",), ("2",)]


async def test_the_journal_is_kept_so_that_a_commit_survives_a_power_loss(path: Path) -> None:
    def told(connection: Connection) -> list[object]:
        pragmas = ("journal_mode", "synchronous")
        return [connection.found(f"PRAGMA {name}", ()).value() for name in pragmas]

    async with running(path, 1) as (journal, *_):
        assert await journal._writer.transaction(told) == ["wal", 3]  # 3: EXTRA


async def test_what_many_tasks_write_at_once_is_few_commits(path: Path) -> None:
    async with running(path, 300) as (journal, _, recorder, planned):
        async with statements(journal) as done, anyio.create_task_group() as tasks:
            for order in planned:
                tasks.start_soon(recorder.begin, Attempt(order, 1, NOON))
        assert on_disk(path, "SELECT count(*) FROM attempts") == [(300,)]
        assert 1 <= done.count("COMMIT") <= 10
        assert done.count("BEGIN IMMEDIATE") == done.count("COMMIT")


async def test_what_one_task_writes_by_itself_is_a_commit_each(path: Path) -> None:
    """Nothing waits for company: each begin is durable on its own."""
    async with running(path, 5) as (journal, _, recorder, planned):
        async with statements(journal) as done:
            for order in planned:
                await recorder.begin(Attempt(order, 1, NOON))
        assert done.count("COMMIT") == 5


async def test_begins_and_ends_that_wait_together_are_all_carried_out(path: Path) -> None:
    async with running(path, 60) as (journal, run, recorder, planned):

        async def whole(order: PlannedRequest) -> None:
            for attempt in (1, 2):
                made = Attempt(order, attempt, NOON + attempt)
                await recorder.begin(made)
                verdict = ACCEPTED if attempt == 2 else Verdict(Ruling.UNAVAILABLE, 503)
                outcome = Outcome(order, RequestStatus.SENT, 204) if attempt == 2 else None
                await recorder.end(made, NOON + 10 + attempt, verdict, outcome)

        async with statements(journal) as done, anyio.create_task_group() as tasks:
            for order in planned:
                tasks.start_soon(whole, order)
        tally = await journal.reader.tally(run)
        assert (tally.attempts, tally.retries) == (120, 60)
        assert tally.orders[RequestStatus.SENT] == 60
        assert on_disk(path, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
        assert done.count("COMMIT") < 60


async def test_all_that_waits_is_written_before_the_journal_closes(path: Path) -> None:
    async with running(path, 50) as (journal, _, recorder, planned):
        begun = [asyncio.create_task(recorder.begin(Attempt(order, 1, NOON))) for order in planned]
        while not journal._writer._waiting:
            await anyio.lowlevel.checkpoint()
    await asyncio.gather(*begun)
    assert on_disk(path, "SELECT count(*) FROM attempts") == [(50,)]


# --- failing --------------------------------------------------------------------------------


async def no_more_room(journal: Journal) -> None:
    """Let the database grow no more."""
    await journal._writer.transaction(
        lambda connection: connection.driver.execute("PRAGMA max_page_count = 1")
    )


async def no_such_table(journal: Journal) -> None:
    """Take a table away."""
    await journal._writer.transaction(
        lambda connection: connection.driver.execute("DROP TABLE attempts")
    )


@pytest.mark.parametrize(
    ("wreck", "said"),
    [(no_more_room, "database or disk is full"), (no_such_table, "no such table")],
    ids=["disk full", "table gone"],
)
async def test_a_write_that_fails_fails_for_all_who_wait_and_for_everyone_later(
    path: Path, wreck: Callable[[Journal], Awaitable[None]], said: str
) -> None:
    async with running(path, 400) as (journal, run, recorder, planned):
        await wreck(journal)
        heard = await begun_at_once(recorder, planned)
        assert len(heard) == 400
        for error in heard:
            assert isinstance(error, JournalError)
            assert said in str(error)
            assert str(path) in str(error)

        async with statements(journal) as done:
            with pytest.raises(JournalError, match=said):
                await recorder.settle(Outcome(planned[0], RequestStatus.FAILED))
            with pytest.raises(JournalError, match=said):
                await journal.finish(run, run.state)
            with pytest.raises(JournalError, match=said):
                await journal.start(run, Terms(WINDOWS))
        assert done == [], "nothing more is even tried"


async def test_what_was_written_before_a_failure_stays(path: Path) -> None:
    async with running(path, 400) as (journal, run, recorder, planned):
        await recorder.begin(Attempt(planned[0], 1, NOON))
        await no_more_room(journal)
        failed = await begun_at_once(recorder, planned[1:])
        assert all(isinstance(error, JournalError) for error in failed)
    async with opened(path, Clock(NOON + 60)) as journal:
        assert [p.doubts for p in await pending(journal.reader, run)][:2] == [1, 0]


async def test_one_bad_change_takes_back_all_that_was_committed_with_it(path: Path) -> None:
    """An attempt begun twice: who waits with it may not let a request go either."""
    async with running(path, 3) as (_, _, recorder, planned):
        await recorder.begin(Attempt(planned[0], 1, NOON))
        failed = await begun_at_once(recorder, planned)
        assert [type(error) for error in failed] == [JournalError] * 3
        assert on_disk(path, "SELECT count(*) FROM attempts") == [(1,)]


async def test_everyone_who_waits_has_an_error_of_its_own_with_one_cause_and_a_short_traceback(
    path: Path,
) -> None:
    async with running(path, 400) as (journal, _, recorder, planned):
        await no_more_room(journal)
        errors = [error for error in await begun_at_once(recorder, planned) if error is not None]
        assert len({id(error) for error in errors}) == 400
        assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) < 50
        (cause,) = {error.__cause__ for error in errors}
        assert isinstance(cause, JournalError)


async def test_bulk_work_that_fails_is_a_journal_error_and_leaves_no_half(
    path: Path, clock: Clock
) -> None:
    async with opened(path, clock) as journal:
        _, staging = await journal.new_run("https://ca.example", ())
        await staging.add_rows(orders(1))
        await no_more_room(journal)
        with pytest.raises(JournalError, match="full"):
            await staging.add_rows(orders(*range(2, 3000)))
        assert on_disk(path, "SELECT count(*) FROM rows") == [(1,)]


# --- cancelling -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 10, 20, 40])
async def test_who_waits_to_write_may_be_cancelled_and_the_journal_continues(
    path: Path, steps: int
) -> None:
    """At whichever step: the write is on disk whole or not at all, and the next one works."""
    async with running(path, 3) as (journal, run, recorder, planned):
        async with anyio.create_task_group() as tasks:
            for order in planned[:2]:
                tasks.start_soon(recorder.begin, Attempt(order, 1, NOON))
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            attempt = Attempt(planned[2], 1, NOON)
            await recorder.begin(attempt)
            await recorder.end(attempt, NOON, ACCEPTED, Outcome(planned[2], RequestStatus.SENT))
        assert (await statuses(journal.reader, run))["3"] == "sent"
        assert on_disk(path, "SELECT count(*) FROM attempts") in ([(1,)], [(2,)], [(3,)])


@pytest.mark.parametrize("steps", [0, 1, 2, 4, 8, 16, 32, 64])
async def test_planning_may_be_cancelled_and_the_journal_continues(
    path: Path, clock: Clock, steps: int
) -> None:
    async with opened(path, clock) as journal:
        run, staging = await journal.new_run("https://ca.example", ())

        async def work() -> None:
            await staging.add_rows(orders(*range(200)))
            await staging.end_input("a.csv", None, FORM, "")
            await staging.group({None: Endpoint("https://ca.example")})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await journal.discard(run)
            later = await plan(journal, orders(7))
            await send(journal, clock, later, {"7": "204"})
        assert await statuses(journal.reader, later) == {"7": "sent"}
        assert on_disk(path, "SELECT count(*) FROM rows") == [(1,)]


LEAVING = """
import os, sys, threading
from pathlib import Path
import anyio
from batch_resend.journal import open_journal, read_journal

async def leave():
    path = Path(sys.argv[1])
    async with open_journal(path):
        pass
    for opening in (read_journal, open_journal):
        with anyio.CancelScope() as scope:
            async with opening(path):
                scope.cancel()
                await anyio.sleep_forever()
    with anyio.move_on_after(2):
        while threading.active_count() > 1:
            await anyio.sleep(0.01)
    print(threading.active_count(), "thread left", flush=True)
    os._exit(0)

anyio.run(leave)
"""


async def test_a_journal_left_by_a_cancellation_keeps_no_program_from_ending(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEAVING, str(path),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert (out, err) == (b"1 thread left\n", b"")
