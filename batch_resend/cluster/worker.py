"""A worker: sends chunks of runs that were distributed, and looks after those of workers that died.

It has one session with the journal, one channel for each key, and a sender for each chunk. A chunk
is claimed before anything of it leaves, and given back when it is done, or when the worker is to
end.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import cast

import anyio

from batch_resend.channels import Channels
from batch_resend.cluster.leases import Chunk, ChunkLeases, runs_with_workers
from batch_resend.cluster.queue import Queue, Sweep, SweepAt
from batch_resend.errors import JournalError, SettingsError, UnknownRun
from batch_resend.journal import Recorder
from batch_resend.model import Outcome, Run, RunState
from batch_resend.sending import Channel, Sender
from batch_resend.settings import InDoubt, Key, Settings
from batch_resend.windows import SharedLimiters, parse_windows

log = logging.getLogger(__name__)

LOOK_AFTER_EVERY_S = 5.0
AGAIN_AFTER_S = 20.0  # a chunk that this worker cannot send is for another, after a while
ENDS = "the worker ends"


class Worker:
    """Does the queue's jobs until it is stopped."""

    def __init__(self, channels: Channels, queue: Queue, concurrency: int) -> None:
        """`channels` has this worker's settings: a run's own, as it was distributed, go first."""
        self._channels = channels
        self._journal = channels.journal
        self._queue = queue
        self._leases = ChunkLeases(channels.journal)
        self._concurrency = concurrency
        self._scope = anyio.CancelScope()
        self._ending = anyio.Event()
        self._error: JournalError | None = None
        self._sessions = AsyncExitStack()
        self._open: dict[tuple[object, ...], Channel] = {}
        self._recorders: dict[int, Recorder] = {}
        self._shared: SharedLimiters | None = None
        self._at_work: set[Sender] = set()
        self._in_hand: Counter[tuple[object, ...]] = Counter()  # chunks, by run and accounts
        self._turn = anyio.Lock()  # to open a channel, or to join a run: once

    @property
    def _ends(self) -> bool:
        return self._ending.is_set()

    @property
    def in_flight(self) -> int:
        """How many requests are on their way."""
        return sum(sender.progress.in_flight for sender in self._at_work)

    def stop(self) -> None:
        """Let nothing more leave; `run` returns once what is in flight is answered."""
        self._ending.set()
        for sender in self._at_work:
            sender.stop(RunState.INTERRUPTED, ENDS)
        self._scope.cancel()

    async def run(self, sweeps: Sequence[tuple[SweepAt, Sweep]] = ()) -> None:
        """Work until `stop`. Raises JournalError where the database is gone."""

        async def work() -> None:
            try:
                await self._queue.work(self._send, sweeps, self._concurrency)
            except JournalError as error:
                self._fail(error)

        async with self._sessions:
            self._shared = await self._sessions.enter_async_context(self._journal.shared_limiters())
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._look_after_others)
                    tasks.start_soon(work)
        if self._error is not None:
            raise self._error

    def _fail(self, error: JournalError) -> None:
        """End, for want of a database: the command may begin again."""
        self._error = self._error or error
        self.stop()

    async def _send(self, job: int, chunk: Chunk) -> None:
        """Send what is left of a chunk. What is left of it then is for others."""
        try:
            if self._ends:
                await self._queue.add([chunk])
            else:
                await self._send_here(job, chunk)
        except UnknownRun:
            log.warning("run %s no longer exists", chunk.run)
        except JournalError as error:
            self._fail(error)

    async def _send_here(self, job: int, chunk: Chunk) -> None:
        run = await self._journal.reader.run(chunk.run)
        part = run.number, chunk.accounts
        self._in_hand[part] += 1
        try:
            if await self._leases.take(job, run, chunk):
                await self._send_taken(job, run, chunk)
        finally:
            self._in_hand[part] -= 1
            if not self._in_hand[part]:  # the journal knows; it may be distributed again
                del self._in_hand[part]
                # What is sent by a stopped key again begins with a single request.
                going = {name: one for name, one in self._open.items() if not one.breaker.stopped}
                self._open = going

    async def _send_taken(self, job: int, run: Run, chunk: Chunk) -> None:
        try:
            sender = await self._sender(run, chunk)
            await self._carry(sender, run, chunk)
        except JournalError:
            raise
        except SettingsError as error:
            log.error("run %s cannot be sent from here: %s", run.id, error)
            await self._leave_to_others(job, run, chunk)
            return
        except Exception:
            log.exception("internal error of batch-resend; please report it")
            await self._leave_to_others(job, run, chunk)
            return
        if sender.journal_error is not None:
            raise sender.journal_error
        stopped = (sender.stop_reason or "stopped") if sender.state is RunState.STOPPED else ""
        if stopped:
            log.error("run %s: %s", run.id, stopped)
        await self._put_down(job, run, chunk, stopped)
        if sender.state is RunState.INTERRUPTED:
            await self._queue.add([chunk])

    async def _leave_to_others(self, job: int, run: Run, chunk: Chunk) -> None:
        """Give back a chunk that cannot be sent here; it may be this worker's again, later."""
        await self._put_down(job, run, chunk)
        with anyio.move_on_after(AGAIN_AFTER_S):
            await self._ending.wait()
        await self._queue.add([chunk])

    async def _put_down(self, job: int, run: Run, chunk: Chunk, stopped: str = "") -> None:
        if await self._leases.put_down(job, run, chunk.accounts, stopped):
            self._recorders.pop(run.number, None)

    async def _carry(self, sender: Sender, run: Run, chunk: Chunk) -> None:
        deliver, outcomes = anyio.create_memory_object_stream[Outcome](0)
        outcomes.close()  # the journal has them
        self._at_work.add(sender)
        try:
            if self._ends:
                sender.stop(RunState.INTERRUPTED, ENDS)
            await sender.run(
                self._journal.reader.pending(run, chunk.accounts, chunk.first, chunk.last), deliver
            )
        finally:
            self._at_work.remove(sender)

    async def _sender(self, run: Run, chunk: Chunk) -> Sender:
        settings = _as_distributed(self._channels.settings, run.settings)
        key, *others = settings.keys(chunk.accounts)
        if others:
            names = ", ".join(name or "the command's own" for name in chunk.accounts)
            raise SettingsError(
                f"the accounts {names} use one key in the run, and several keys here"
            )
        self._channels.refuse_elsewhere(run, chunk.accounts)
        channels = Channels(settings, self._channels.journal, self._channels.clock)
        async with self._turn:
            channel = await self._channel(key, channels)
            recorder = await self._recorder(run, settings.keys(settings.names))
        return channels.sender(channel, recorder, 0)

    async def _channel(self, key: Key, channels: Channels) -> Channel:
        settings = channels.settings
        name = key.account.budget, key.names, key.windows, settings.timeout_s, settings.patience_s
        if name not in self._open:
            several = len(settings.keys(settings.names)) > 1
            self._open[name] = await channels.open_channel(
                key, self._shared, self._sessions, is_one_of_several=several
            )
        return self._open[name]

    async def _recorder(self, run: Run, keys: Sequence[Key]) -> Recorder:
        if run.number not in self._recorders:
            budgets = {name: key.account.budget for key in keys for name in key.names}
            self._recorders[run.number] = await self._journal.join(run, budgets)
        return self._recorders[run.number]

    async def _look_after_others(self) -> None:
        """Hand on what workers that died had in hand, and what nobody has."""
        while True:
            try:
                with anyio.CancelScope(shield=True):
                    await self.look_after_others()
            except JournalError as error:
                self._fail(error)
            await anyio.sleep(LOOK_AFTER_EVERY_S)

    async def look_after_others(self) -> None:
        """Look once."""
        for job, chunk in (*await self._leases.tidy(), *await self._queue.tidy()):
            if await self._leases.free(job):
                log.warning(
                    "a worker died: what is left of its part of run %s is sent by others", chunk.run
                )
                await self._queue.hand_on(job, chunk)
        for run in await runs_with_workers(self._journal.reader):
            if not await self._queue.has_jobs(run.id):
                await self._queue.add(await self._leases.distribute_again(run))


def _as_distributed(settings: Settings, recorded: Mapping[str, object]) -> Settings:
    """Return a worker's settings, with what a run was to be sent by."""
    wanted = {
        name: recorded[name]
        for name in ("concurrency", "timeout_s", "max_attempts", "max_elapsed_s", "patience_s")
        if name in recorded
    }
    if "in_doubt" in recorded:
        wanted["in_doubt"] = InDoubt(str(recorded["in_doubt"]))
    windows = {
        name: parse_windows(texts or ["none"])
        for name, texts in cast("Mapping[str, list[str]]", recorded.get("windows", {})).items()
    }
    if "" in windows:
        wanted["windows"] = windows[""]
    wanted["accounts"] = {
        name: account.model_copy(update={"windows": windows.get(name, account.windows)})
        for name, account in settings.accounts.items()
    }
    return settings.model_copy(update=wanted)
