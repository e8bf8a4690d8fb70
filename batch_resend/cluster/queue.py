"""The queue that hands chunks out to workers: procrastinate's, beside the journal's tables.

It says who is to do what next, and nothing more: that no two have one request in hand at once is
the journal's doing (`cluster/leases.py`), whatever becomes of a job.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import anyio

from batch_resend.errors import JournalError, SettingsError
from batch_resend.folders import Database, Place
from batch_resend.journal import JournalReader
from batch_resend.model import Run

try:
    import procrastinate
    from croniter import croniter
    from procrastinate import exceptions, jobs

    from batch_resend.cluster.leases import Chunk, runs_with_workers
    from batch_resend.cluster.postgres import encryption_options
except ModuleNotFoundError as missing:
    raise JournalError(
        "workers need procrastinate: pip install 'batch-resend[cluster]'"
    ) from missing

SEND, SWEEP = "send", "sweep"  # what is to be done
STALLED_S = 40.0  # without a sign of life from a worker that has not claimed its chunk yet
HEARTBEAT_S = 5.0
SILENT_S = 4 * HEARTBEAT_S  # a worker that gives no sign of life for longer is taken for dead

# A query that Ctrl-C cuts off is nothing to warn of.
logging.getLogger("psycopg").setLevel(logging.ERROR)

_QUEUE = "batch-resend"
_OPTIONS = "-c search_path=batch_resend"
_IS_THERE = "SELECT to_regclass('batch_resend.procrastinate_jobs') IS NOT NULL AS is_there"
_COUNT = (
    "SELECT task_name, status::text AS status, count(*) AS jobs FROM procrastinate_jobs "
    "GROUP BY task_name, status ORDER BY task_name, status"
)
_WORKERS = (
    "SELECT id, extract(epoch FROM now() - last_heartbeat)::double precision AS silent_s, "
    "(SELECT count(*) FROM procrastinate_jobs WHERE worker_id = w.id AND status = 'doing') AS jobs "
    "FROM procrastinate_workers w ORDER BY id"
)
_OPEN_JOBS = (
    "SELECT count(*) AS jobs FROM procrastinate_jobs "
    "WHERE status IN ('todo', 'doing') AND task_name = 'send' AND args ->> 'run' = %(run)s"
)

SendChunk = Callable[[int, Chunk], Awaitable[None]]
Sweep = Callable[[float], Awaitable[None]]  # that was due then, in seconds since 1970


@dataclass(frozen=True, slots=True)
class SweepAt:
    """When a sweep is due, as cron says it, in UTC, and its name among other sweeps."""

    cron: str
    name: str

    def __post_init__(self) -> None:
        if not croniter.is_valid(self.cron):
            raise SettingsError(
                f"{self.cron!r} is not a schedule: write, for example, '0 2 * * *', as in cron"
            )


@dataclass(frozen=True, slots=True)
class WorkerNote:
    """A worker."""

    number: int
    silent_s: float  # since its last sign of life
    jobs: int  # in work

    @property
    def is_alive(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.silent_s <= SILENT_S


class Queue:
    """Jobs for workers. All methods raise JournalError where the database cannot be asked."""

    def __init__(self, app: procrastinate.App, place: Place) -> None:
        self._app = app
        self._place = place

    async def add(self, chunks: Sequence[Chunk]) -> None:
        """Have chunks sent, by whichever workers there are."""
        with self._errors():
            if chunks:
                await self._app.configure_task(
                    SEND, queue=_QUEUE, allow_unknown=True
                ).batch_defer_async(*(_arguments(chunk) for chunk in chunks))

    async def hand_on(self, job: int, chunk: Chunk) -> None:
        """Have another worker send what is left of a chunk, whose own has died."""
        with self._errors():
            await self._give_up(job)
            await self.add([chunk])

    async def tidy(self) -> list[tuple[int, Chunk]]:
        """Return the chunks of workers that give no sign of life, with their jobs.

        Sweeps of theirs are ended: they would be in the next one's way.
        """
        left: list[tuple[int, Chunk]] = []
        with self._errors():
            for job in await self._app.job_manager.get_stalled_jobs(
                queue=_QUEUE, seconds_since_heartbeat=STALLED_S
            ):
                number = cast("int", job.id)  # read from the database: it has one
                if job.task_name == SEND:
                    left.append((number, chunk_of(job.task_kwargs)))
                else:
                    await self._give_up(number)
        return left

    async def _give_up(self, job: int) -> None:
        with suppress(exceptions.ConnectorException):  # it is another's doing already
            await self._app.job_manager.finish_job_by_id_async(
                job, jobs.Status.FAILED, delete_job=False
            )

    async def has_jobs(self, run_id: str) -> bool:
        """Whether anything of a run waits, or is in work."""
        with self._errors():
            found = await self._app.connector.execute_query_one_async(_OPEN_JOBS, run=run_id)
        return bool(found["jobs"])

    async def counts(self) -> list[tuple[str, str, int]]:
        """Return how many jobs there are, by what is to be done and where they stand."""
        with self._errors():
            found = await self._app.connector.execute_query_all_async(_COUNT)
        return [(row["task_name"], row["status"], row["jobs"]) for row in found]

    async def workers(self) -> list[WorkerNote]:
        """Return the workers that there are, or were a while ago."""
        with self._errors():
            found = await self._app.connector.execute_query_all_async(_WORKERS)
        return [WorkerNote(row["id"], row["silent_s"], row["jobs"]) for row in found]

    async def work(
        self, send: SendChunk, sweeps: Sequence[tuple[SweepAt, Sweep]], concurrency: int
    ) -> None:
        """Do jobs as they come, so many at once, until cancelled; what is in work is ended first.

        `send` is not to raise: a job that fails is not tried again by itself.
        """

        async def send_job(context: procrastinate.JobContext, /, **arguments: Any) -> None:
            await send(cast("int", context.job.id), chunk_of(arguments))  # fetched: it has one

        self._app.task(name=SEND, queue=_QUEUE, pass_context=True)(send_job)
        for due, sweep in sweeps:
            self._register(due, sweep)
        running = asyncio.create_task(
            self._app.run_worker_async(
                queues=[_QUEUE],
                concurrency=concurrency,
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=STALLED_S,
                delete_jobs="successful",
                fetch_job_polling_interval=1.0,
            )
        )
        with self._errors():
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                # Cancelled once it ends its jobs first, cancelled twice it cuts them off.
                with anyio.CancelScope(shield=True):
                    running.cancel()
                    await asyncio.wait([running])
                raise

    def _register(self, due: SweepAt, sweep: Sweep) -> None:
        async def sweep_job(timestamp: int) -> None:
            await sweep(timestamp)

        # One at a time, and one that waits: a sweep waits for what it hands out, and more of them
        # would take up all places for jobs.
        name = f"{SWEEP} {due.name}"
        task = self._app.task(name=name, queue=_QUEUE, lock=name, queueing_lock=name)(sweep_job)
        self._app.periodic(cron=due.cron, periodic_id=due.name)(task)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except exceptions.ConnectorException as error:
            message = " ".join(str(error.__cause__ or error).split())
            raise JournalError(
                f"{self._place}: the queue cannot be used: {message}; is the server up, and "
                "can it be reached from here?"
            ) from error


@asynccontextmanager
async def open_queue(place: Place) -> AsyncIterator[Queue]:
    """Open the queue of a journal that is open; creates its tables. Raises JournalError."""
    if not isinstance(place, Database):
        raise JournalError(
            f"{place}: workers need a journal in PostgreSQL: --journal postgresql://HOST/NAME"
        )
    connector = procrastinate.PsycopgConnector(
        conninfo=place.url,
        kwargs={
            "options": _OPTIONS,
            "application_name": "batch-resend worker",
            **encryption_options(place),
        },
        min_size=1,
        max_size=6,
    )
    app = procrastinate.App(connector=connector)
    queue = Queue(app, place)
    with queue._errors():
        await app.open_async()
    try:
        with queue._errors():
            await _create_tables(app)
        yield queue
    finally:
        await app.close_async()


async def _create_tables(app: procrastinate.App) -> None:
    async def is_there() -> bool:
        found = await app.connector.execute_query_one_async(_IS_THERE)
        return bool(found["is_there"])

    if await is_there():
        return
    try:
        await app.schema_manager.apply_schema_async()
    except exceptions.ConnectorException:
        if not await is_there():  # or another one was a moment sooner
            raise


def _arguments(chunk: Chunk) -> dict[str, Any]:
    return {
        "run": chunk.run,
        "accounts": list(chunk.accounts),
        "first": chunk.first,
        "last": chunk.last,
    }


def chunk_of(arguments: Mapping[str, Any]) -> Chunk:
    """Return the chunk that a job's arguments name."""
    return Chunk(
        arguments["run"], tuple(arguments["accounts"]), arguments["first"], arguments["last"]
    )


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How much of the windows of a key is in use."""

    budget: str
    out: int  # slots of requests that were not answered yet
    waiting: int  # slots that come free within the longest window
    longest_s: float
    share: float  # of the windows, after the last 429
    paused_s: float  # how long nothing more is to leave


@dataclass(frozen=True, slots=True)
class Status:
    """The state of things."""

    sessions: Sequence[str]  # processes that have the journal open to write
    workers: Sequence[WorkerNote]
    jobs: Sequence[tuple[str, str, int]]  # what is to be done, where they stand, how many
    runs: Sequence[Run]  # with workers now
    keys: Sequence[KeyUse]


async def cluster_status(queue: Queue, reader: JournalReader) -> Status:
    """Return how the workers are doing. Raises JournalError."""
    return Status(
        sessions=[record.name for record in await reader.fetch("sessions")],
        workers=await queue.workers(),
        jobs=await queue.counts(),
        runs=await runs_with_workers(reader),
        keys=[KeyUse(*record) for record in await reader.fetch("key_use")],
    )
