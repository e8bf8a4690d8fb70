"""The journal: what is planned, what was attempted, what came of it. On disk before it counts.

An attempt is written before its request leaves and its answer after; a request that the process
did not live to see answered is therefore known, and in doubt.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar

import anyio.to_thread

from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal import runs
from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.database import (
    Backend,
    backend_of,
    reading_connection,
    writing_connection,
)
from batch_resend.journal.journal_file import HeldFile
from batch_resend.journal.planning import Staging
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.recording import (
    KeptAnswers,
    Purpose,
    ReadRecorder,
    Recorder,
    Writer,
    state_change,
)
from batch_resend.journal.runs import Pruned, Terms, limits_text
from batch_resend.journal.sweeps import sweep_values
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.results import OrderCheck, StuckOrder, SweepCounts
from batch_resend.windows import SharedLimiters, Window

LOOK_EVERY_S = 1.0  # whether the journal's file is still there
ANSWERS_KEPT_S = 3_600.0  # beyond that, too much may have changed at the CA
_TITLE = "process"  # of one that gives itself none

Made = TypeVar("Made")


class Journal:
    """The journal, open for writing; where it is a file, by this process alone."""

    def __init__(
        self, backend: Backend, writer: Writer, session: int, reader: JournalReader, clock: Clock
    ) -> None:
        self._backend = backend
        self._writer = writer
        self.session = session
        self._clock = clock
        self.reader = reader
        self._begun: set[int] = set()  # runs that it has begun to send

    async def decide(self, work: Callable[[Connection], Made]) -> Made:
        """Have `work` carried out with no other process's decision falling into it."""

        def alone(connection: Connection) -> Made:
            self._backend.serialize(connection)
            return work(connection)

        return await self._writer.transaction(alone)

    def now(self) -> float:
        """Return the seconds since the epoch, by this process's clock."""
        return self._clock()

    # --- planning -----------------------------------------------------------------------------

    async def new_run(
        self,
        base_url: str,
        windows: Sequence[Window],
        settings: Mapping[str, object] | None = None,
        done_since: float | None = None,
    ) -> tuple[Run, Staging]:
        """Begin to plan a run: its rows go into the staging. Raises JournalError.

        `settings` is what reports say of it later, as of `Terms`; `done_since` as of `Run`.
        """
        now = self._clock()
        run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"
        values = {
            "id": run_id,
            "base_url": base_url,
            "limits": limits_text(windows),
            "settings": json.dumps(settings or {}),
            "created_at": now,
            "session": self.session,
            "done_since": done_since,
        }
        await self._writer.write(("add_run", values))
        run = await self.reader.run(run_id)
        return run, Staging(self._writer, self.reader, run.number)

    async def finish_planning(self, run: Run, digest: bytes | None, take_up_since: float) -> Run:
        """Return the run that is to make the requests that a staging has made, of this digest.

        That is an unfinished run of just the same requests, at work since `take_up_since`, which
        then resumes the rows of this plan; or else this run.
        """
        await self._writer.transaction(self._backend.analyze)
        if digest and (
            earlier := await self.decide(
                lambda connection: runs.take_up_same_plan(
                    connection, run, digest, take_up_since, self.session
                )
            )
        ):
            return earlier
        await self._writer.write(state_change(run.number, RunState.PLANNED))
        return await self.reader.run(run.id)

    async def claim(self, run: Run) -> None:
        """Take a run in hand, to resume it. Raises JournalBusy where another process has it."""
        await self.decide(lambda connection: runs.claim(connection, run, self.session))

    async def discard(self, run: Run) -> None:
        """Forget a run that was never started; one that was is left as it is."""
        if (await self.reader.run(run.id)).started_at is None:
            await self._writer.transaction(
                lambda connection: runs.delete_plans(connection, [run.number])
            )

    async def note_settings(self, run: Run, settings: Mapping[str, object]) -> None:
        """Write down by which settings a run is taken up, should it be cut off before it begins."""
        values = {"run": run.number, "settings": json.dumps(dict(settings))}
        await self._writer.write(("note_settings", values))

    async def settle(self, run: Run, cooldown_s: float, *, hold_doubts: bool) -> None:
        """Give their outcome to the orders that are settled before anything is sent.

        Their lists say that there is nothing to resend; or another run had them acknowledged
        within the last `cooldown_s` seconds, or since this run was planned: those are skipped. With
        `hold_doubts`, what may have reached the CA before is left for a person.
        """
        clock = self._clock
        since = runs.settled_since(run, cooldown_s, clock())
        await self._writer.transaction(
            lambda connection: runs.settle(connection, run, since, clock, hold_doubts=hold_doubts)
        )

    async def leave_out(
        self, run: Run, reasons: Sequence[tuple[int, str]], status: RequestStatus, code: str
    ) -> None:
        """Give orders, by their numbers, no mail in this run, by what the CA says of them."""
        await self._writer.transaction(
            lambda connection: runs.write_settled(connection, run, reasons, status, code)
        )

    # --- sending ------------------------------------------------------------------------------

    async def start(self, run: Run, terms: Terms) -> Recorder:
        """Begin to send, or resume: return what attempts are recorded with.

        What other processes are about to send is left to them; what they did, or another run of
        this process, since this run was settled, settles it again, as `settle` says.
        """
        start = await self.decide(lambda connection: self.begin(connection, run, terms))
        self._begun.add(run.number)
        self.reader.unwritten_ends.pop(run.number, None)
        return Recorder(self._writer, run.number, start)

    def begin(
        self, connection: Connection, run: Run, terms: Terms, *, is_distributed: bool = False
    ) -> int:
        """Begin to send a run, as a part of a decision; return the number of this start."""
        if self._backend.is_shared:
            # In this order: who dies in between was left what it had in hand, or is seen as dead.
            execute(connection, "skip_what_is_under_way", run=run.number)
            self.clean_up(connection)
        if self._backend.is_shared or self._begun:
            since = runs.settled_since(run, terms.cooldown_s, self._clock())
            hold_doubts = terms.hold_doubts
            runs.settle_what_others_did(
                connection, run, since, self._clock, hold_doubts=hold_doubts
            )
        start = self._new_start(run.number, limits_text(terms.windows))
        start["is_same_process"] = run.number in self._begun
        number = runs.add_start(connection, start, terms.budgets)
        runs.begin(connection, run, terms, self._clock(), number if is_distributed else None)
        return number

    async def join(self, run: Run, budgets: Mapping[str | None, str]) -> Recorder:
        """Begin to send a part of a run that was begun: return what its attempts are recorded with.

        `budgets` names, by account, whose windows its requests count in.
        """
        start = self._new_start(run.number, " ".join(run.limits))
        number = await self._writer.transaction(
            lambda connection: runs.add_start(connection, start, budgets)
        )
        return Recorder(self._writer, run.number, number)

    async def start_reading(
        self, base_url: str, budget: str = "", purpose: Purpose | None = None
    ) -> ReadRecorder:
        """Begin to read of a CA: return what its requests are recorded with.

        For a purpose, answers are kept, and those of a reading that was cut off are there.
        """
        start, now = self._new_start(0, None), self._clock()

        def begin(connection: Connection) -> tuple[int, KeptAnswers | None]:
            number = runs.add_start(connection, start, {None: budget} if budget else {})
            if purpose is None:
                return number, None
            execute(connection, "forget_old_answers", before=now - ANSWERS_KEPT_S, now=now)
            found = execute(connection, "answers", budget=budget, purpose=purpose)
            kept = {record.subject: record.found for record in found}
            return number, KeptAnswers(self._writer, budget, purpose, kept)

        number, answers = await self._writer.transaction(begin)
        return ReadRecorder(self._writer, number, base_url, answers)

    def shared_limiters(self) -> AbstractAsyncContextManager[SharedLimiters | None]:
        """Open the way to the limits that several hosts keep together; None: this one is alone."""
        return self._backend.shared_limiters(self.session, self._clock)

    async def finish(self, run: Run, state: RunState, stop_reason: str | None = None) -> None:
        """Write down how a run ended.

        Raises JournalError: then it was stopped by that, as reports of this process have it, and
        the next start finds it cut off.
        """
        now = self._clock()
        try:
            await self._writer.write(
                ("end_pauses", {"run": run.number, "ended_at": now}),
                state_change(run.number, state, stop_reason, now),
                of_the_past=True,
            )
        except JournalError as error:
            end = {"state": RunState.STOPPED, "stop_reason": str(error), "finished_at": now}
            self.reader.unwritten_ends[run.number] = end
            raise

    async def note_stop(self, run: Run, reason: str) -> None:
        """Write down, for others, why a run is being stopped that still waits for answers."""
        with suppress(JournalError):  # who sends finds it out
            await self._writer.write(("note_stop", {"run": run.number, "reason": reason}))

    async def note_preflight(self, run: Run, *, is_due: bool) -> Run:
        """Write down whether a preflight of a run is to be made, or finished; return the run."""
        await self._writer.write(("note_preflight", {"run": run.number, "is_due": is_due}))
        return replace(run, preflight_due=is_due)

    async def note_sweep(self, run: Run, counts: SweepCounts, stuck: Sequence[StuckOrder]) -> None:
        """Write down what a sweep has found before a run, in place of an earlier one's."""
        noted, values = sweep_values(run, counts, stuck)

        def note(connection: Connection) -> None:
            runs.forget_sweep(connection, run.number)
            execute(connection, "add_sweep", **noted)
            execute_many(connection, "add_stuck", values)

        await self._writer.transaction(note)

    async def note_checks(self, run: Run, found: Mapping[int, OrderCheck]) -> None:
        """Write down what the CA says now of requests that a run has sent, by their numbers."""
        now = self._clock()
        values = [
            {
                "run": run.number,
                "request": number,
                "asked_at": now,
                "status": check.status,
                "names": check.names,
                "approved": check.approved,
            }
            for number, check in found.items()
        ]

        def note(connection: Connection) -> None:
            execute_many(connection, "forget_check", values)
            execute_many(connection, "add_check", values)

        await self._writer.transaction(note)

    def _new_start(self, run: int, limits: str | None) -> dict[str, object]:
        return {
            "run": run,
            "boot": self._clock.boot,
            "offset_s": self._clock.offset_s,
            "began_at": self._clock(),
            "limits": limits,
            "session": self.session,
            "is_same_process": False,
        }

    # --- the journal itself -------------------------------------------------------------------

    async def loss(self) -> str | None:
        """Return what has become of the journal's file since it was opened, and what to do.

        None where it is there as it was, or is no file of this machine's. Once it is lost, the next
        run of the same lists would mail all of them again.
        """
        held = self._writer.held
        if held is None:
            return None
        return await anyio.to_thread.run_sync(held.loss_text, abandon_on_cancel=True)

    async def watch(self, lose: Callable[[str], None]) -> None:
        """Look every second whether the journal is still there; `lose` it once it is not."""
        while (lost := await self.loss()) is None:  # noqa: ASYNC110 - others do it, no task of ours
            await anyio.sleep(LOOK_EVERY_S)
        lose(lost)

    async def ended_before(self, before: float) -> Pruned:
        """Return the runs that `prune` would forget."""
        return await self.decide(lambda connection: runs.ended_before(connection, before))

    async def prune(self, before: float) -> Pruned:
        """Forget the runs that ended before a time, but for how often orders were mailed."""
        more = self._backend.own_tables_of_runs
        return await self.decide(lambda connection: runs.prune(connection, before, more))

    def clean_up(self, connection: Connection) -> None:
        """Bring what a process that died left behind into a known state, within a decision."""
        runs.end_cut_off(connection, self._clock)


@asynccontextmanager
async def open_journal(
    place: Place, clock: Clock | None = None, title: str = _TITLE
) -> AsyncIterator[Journal]:
    """Open the journal for writing. Raises JournalError. `title`: what this process is, for others.

    A file is for one process at a time: raises JournalBusy where another one has it.
    """
    clock, backend = clock or SystemClock(), backend_of(place)
    with backend.exclusive(clock()) as held:
        async with _opened(backend, clock, title, held) as journal:
            yield journal


@asynccontextmanager
async def _opened(
    backend: Backend, clock: Clock, title: str, held: HeldFile | None
) -> AsyncIterator[Journal]:
    """Open the journal, which this process holds, or shares."""
    async with (
        writing_connection(backend) as connection,
        reading_connection(backend) as reading,
        Writer(connection, backend.place, held) as writer,
    ):
        if held is not None:
            held.note_log()
        now = clock()
        session = await writer.transaction(lambda writing: backend.enter(writing, now, title))
        reader = JournalReader(reading, backend, clock, session)
        journal = Journal(backend, writer, session, reader, clock)
        await journal.decide(journal.clean_up)
        yield journal


@asynccontextmanager
async def read_journal(place: Place, clock: Clock | None = None) -> AsyncIterator[JournalReader]:
    """Open the journal for reading, beside the process that writes it. Raises JournalError."""
    backend = backend_of(place)
    async with reading_connection(backend) as connection:
        yield JournalReader(connection, backend, clock or SystemClock())


async def prune_journal(
    place: Place, older_than_s: float, clock: Clock | None = None, *, dry_run: bool = False
) -> Pruned:
    """Forget the runs that ended so long ago, and make a file smaller where that pays.

    How often orders were mailed is kept. `dry_run`: only return which runs these are. Raises
    JournalError, JournalBusy.
    """
    clock, backend = clock or SystemClock(), backend_of(place)
    with backend.exclusive(clock()) as held:
        async with _opened(backend, clock, _TITLE, held) as journal:
            before = clock() - older_than_s
            if dry_run:
                return await journal.ended_before(before)
            pruned = await journal.prune(before)
        with suppress(JournalError):  # it is larger than it need be, and as good as before
            await anyio.to_thread.run_sync(backend.compact)
    return pruned


def size_of_journal(place: Place) -> int | None:
    """Return how many bytes a journal takes; None: there is none. Raises JournalError."""
    return backend_of(place).size()
