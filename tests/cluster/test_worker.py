"""Workers in one process, with a queue that says what it should not: the journal knows better."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import psycopg
import pytest

from batch_resend.batch import Batch, open_batch
from batch_resend.channels import Channels
from batch_resend.clock import SystemClock
from batch_resend.cluster import leases, worker
from batch_resend.cluster.leases import Chunk, ChunkLeases
from batch_resend.cluster.queue import Queue, Sweep, SweepAt, chunk_of, open_queue
from batch_resend.cluster.worker import Worker
from batch_resend.folders import Database
from batch_resend.intake import RecordSource
from batch_resend.journal import JournalReader, open_journal
from batch_resend.model import Plan, RequestStatus, Run, RunState
from batch_resend.sending import Sender
from batch_resend.settings import Settings, make_settings
from batch_resend.simulator import Simulator, SimulatorSettings
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

KEY = "key-of-a-test-0123456789"


@asynccontextmanager
async def at_work(
    settings: Settings, jobs: int = 4, sweeps: Sequence[tuple[SweepAt, Sweep]] = ()
) -> AsyncIterator[Worker]:
    """Run a worker as long as the block lasts."""
    clock = SystemClock()
    async with (
        open_journal(settings.journal, clock) as journal,
        open_queue(settings.journal) as queue,
        anyio.create_task_group() as tasks,
    ):
        one = Worker(Channels(settings, journal, clock), queue, jobs)
        tasks.start_soon(one.run, sweeps)
        yield one
        one.stop()


async def test_what_a_worker_that_only_seems_dead_has_in_hand_stays_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped for a while, and goes on: its session lives."""
    forget(database)
    found: list[int] = []

    async def all_in_work(self: Queue) -> list[tuple[int, Chunk]]:
        listed = await self._app.job_manager.list_jobs_async(status="doing")
        chunks = [(job.id or 0, chunk_of(job.task_kwargs)) for job in listed]
        found.extend(job for job, _ in chunks)
        return chunks

    monkeypatch.setattr(Queue, "tidy", all_in_work)
    monkeypatch.setattr(worker, "LOOK_AFTER_EVERY_S", 0.05)
    async with Simulator(SimulatorSettings(api_key=KEY, windows=(), latency_s=(0.02, 0.06))) as ca:
        settings = make_settings(
            api_key=KEY, base_url=ca.base_url, windows=(), journal=database, concurrency=4
        )
        async with open_batch(settings) as batch, open_queue(database) as queue:
            orders = [{"order_id": number} for number in range(100_200_300, 100_200_700)]
            plan = await batch.plan([RecordSource(orders)])
            await queue.add(await leases.distribute(batch, plan))
            async with at_work(settings), at_work(settings), asyncio.timeout(60):
                run = await end_of(batch, plan)
            tally = await batch.reader.tally(run)
    assert found, "others took them for dead"
    assert tally.orders[RequestStatus.SENT] == 400
    assert set(ca.books.requests_per_order.values()) == {1}


async def test_no_plan_and_no_channel_looks_through_what_all_hosts_ever_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their limits are kept together, in the database; its statistics may be old."""
    forget(database)
    monkeypatch.setattr(JournalReader, "recent_ends", None)
    async with Simulator(SimulatorSettings(api_key=KEY)) as ca:
        settings = make_settings(api_key=KEY, base_url=ca.base_url, journal=database)
        async with open_batch(settings) as batch:
            plan = await batch.plan([RecordSource([{"order_id": 100_200_300}])])
            async with batch.send(plan) as sending:
                assert [outcome.status async for outcome in sending] == [RequestStatus.SENT]


async def test_a_key_that_is_refused_costs_one_request_however_late_other_parts_of_the_run_begin(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it held against the key once the run is distributed again."""
    forget(database)
    begun, refused = 0, asyncio.Event()
    sender, put_down = Worker._sender, ChunkLeases.put_down

    async def late_but_the_first(self: Worker, run: Run, chunk: Chunk) -> Sender:
        nonlocal begun
        begun += 1
        if begun > 1:
            await refused.wait()
        return await sender(self, run, chunk)

    async def put_down_and_told(self: ChunkLeases, *what: Any) -> bool:
        done = await put_down(self, *what)
        refused.set()
        return done

    monkeypatch.setattr(Worker, "_sender", late_but_the_first)
    monkeypatch.setattr(ChunkLeases, "put_down", put_down_and_told)
    async with Simulator(SimulatorSettings(api_key="another-key-0123456789")) as ca:
        settings = make_settings(api_key=KEY, base_url=ca.base_url, journal=database)
        async with open_batch(settings) as batch, open_queue(database) as queue:
            plan = await batch.plan(
                [RecordSource([{"order_id": n} for n in range(100_200_300, 100_200_700)])]
            )
            await queue.add(await leases.distribute(batch, plan))
            async with at_work(settings), asyncio.timeout(60):
                run = await end_of(batch, plan)
                assert begun > 1
                assert run.state is RunState.STOPPED
                assert ca.books.requests == 1
                ca.settings = replace(ca.settings, api_key=KEY, windows=())
                again = await batch.take_up(run.id)
                await queue.add(await leases.distribute(batch, again))
                assert (await end_of(batch, again)).state is RunState.COMPLETED
    assert ca.books.mails == 400


async def end_of(batch: Batch, plan: Plan) -> Run:
    """Return a run once workers have ended it."""
    run = await batch.reader.run(plan.run.id)
    while run.state is RunState.RUNNING:
        await asyncio.sleep(0.05)
        run = await batch.reader.run(run.id)
    return run


async def test_a_sweep_waits_for_the_one_before_it_but_not_for_that_of_a_dead_worker(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(database)
    monkeypatch.setattr(worker, "LOOK_AFTER_EVERY_S", 0.05)
    settings = make_settings(api_key=KEY, journal=database)
    begun: list[float] = []
    second, over = asyncio.Event(), asyncio.Event()

    async def sweep(at: float) -> None:
        begun.append(at)
        if len(begun) == 2:
            second.set()
        await over.wait()

    async with at_work(settings, 4, [(SweepAt("* * * * * *", "each second"), sweep)]):
        try:
            async with asyncio.timeout(30), open_queue(database) as queue:
                while {state for _, state, _ in await queue.counts()} != {"todo", "doing"}:  # noqa: ASYNC110 - the database tells of no event
                    await asyncio.sleep(0.05)
                assert len(begun) <= 1
                with psycopg.connect(database.url, autocommit=True) as connection:
                    connection.execute(A_WORKER_IS_NO_MORE)
                await second.wait()
        finally:
            over.set()
    assert begun == sorted(set(begun))


A_WORKER_IS_NO_MORE = (
    "UPDATE batch_resend.procrastinate_jobs SET worker_id = NULL WHERE status = 'doing'"
)
