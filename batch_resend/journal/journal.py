"""The journal: what is planned, what was attempted, what came of it. On disk before it counts.

An attempt is written before its request leaves and its answer after; a request that the process
did not live to see answered is therefore known, and in doubt.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import anyio.to_thread
from sqlalchemy import Connection, insert

from batch_resend.clock import Clock
from batch_resend.explanations import WOULD_WIDEN
from batch_resend.journal.checks import OrderCheck, Purpose, kept_answers, note_checks
from batch_resend.journal.database import Backend
from batch_resend.journal.dialects import journal_errors
from batch_resend.journal.grouping import (
    Endpoint,
    claim,
    claim_same_plan,
    go_on,
    skip_what_is_under_way,
)
from batch_resend.journal.planning import Staging
from batch_resend.journal.preview import AS_THE_CA_SAYS
from batch_resend.journal.reading import JournalReader, as_run
from batch_resend.journal.recording import (
    END_PAUSE,
    KeptAnswers,
    ReadRecorder,
    Recorder,
    state_change,
)
from batch_resend.journal.runs import (
    Pruned,
    Terms,
    add_start,
    begin,
    delete_plans,
    end_cut_off,
    limits_text,
    prune,
)
from batch_resend.journal.schema import runs
from batch_resend.journal.settling import SETTLE, settle, settle_what_others_did, settled
from batch_resend.journal.writer import Writer
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.windows import SharedLimiters, Window

LOOK_EVERY_S = 1.0  # whether the journal's file is still there

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
        self._has_begun = False  # to send any run

    async def new_run(
        self,
        base_url: str,
        windows: Sequence[Window],
        settings: Mapping[str, object] | None = None,
    ) -> tuple[Run, Staging]:
        """Begin to plan a run: its rows go into the staging. Raises JournalError.

        `settings` is what is to be told of it later, as of `Terms`.
        """
        now = self._clock()
        run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"
        values = {
            "id": run_id,
            "base_url": base_url,
            "state": RunState.PLANNING,
            "limits": limits_text(windows),
            "settings": json.dumps(settings or {}),
            "created_at": now,
            "session": self.session,
        }
        await self._writer.write((insert(runs), values))
        run = await self.reader.run(run_id)
        return run, Staging(self._writer, run.number)

    async def finish_planning(
        self,
        run: Run,
        staging: Staging,
        take_up_since: float,
        parties: Mapping[str | None, Endpoint] | None = None,
    ) -> Run:
        """Group the rows into requests; return the run that is to make them.

        That is an unfinished run of just the same requests, at work since `take_up_since`, which
        then resumes the rows of this plan; or else this run. `parties`: whom
        each account asks; without it there is only the run's own.
        """
        parties = parties or {None: Endpoint(run.base_url)}
        with journal_errors(self._backend.place):
            digest = await staging.group(self.reader.connection, parties)

        def take_up_earlier(connection: Connection) -> Run | None:
            found = claim_same_plan(connection, digest or b"", take_up_since, self.session)
            if found is None:
                return None
            earlier = as_run(found)
            go_on(connection, earlier, run)
            return earlier

        if digest and (earlier := await self.decide(take_up_earlier)):
            return earlier
        await self._writer.write(state_change(run.number, RunState.PLANNED))
        return await self.reader.run(run.id)

    async def claim(self, run: Run) -> None:
        """Take a run in hand, to resume it. Raises JournalBusy where another process has it."""
        await self.decide(lambda connection: claim(connection, run, self.session))

    async def decide(self, work: Callable[[Connection], Made]) -> Made:
        """Have `work` carried out with no other process's decision falling into it."""

        def alone(connection: Connection) -> Made:
            self._backend.serialize(connection)
            return work(connection)

        return await self._writer.transaction(alone)

    async def loss(self) -> str | None:
        """Return what has become of the journal's file since it was opened, and what to do.

        None where it is there as it was, or is no file of this machine's.
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

    def now(self) -> float:
        """Return the seconds since the epoch, by this process's clock."""
        return self._clock()

    async def discard(self, run: Run) -> None:
        """Forget a run that was never started; one that was is left as it is."""
        if (await self.reader.run(run.id)).started_at is None:
            await self._writer.transaction(
                lambda connection: delete_plans(connection, [run.number])
            )

    async def settle(self, run: Run, cooldown_s: float, *, hold_doubts: bool) -> None:
        """Give their outcome to the orders that are settled before anything is sent.

        Their lists say that there is nothing to resend; or another run had them acknowledged
        within the last `cooldown_s` seconds: those are skipped. With `hold_doubts`, what may have
        reached the CA before is left for a person.
        """
        since, ours = self._since(cooldown_s), self._our_clock()
        await self._writer.transaction(
            lambda connection: settle(connection, run, since, ours, hold_doubts=hold_doubts)
        )

    async def skip(self, run: Run, reasons: Sequence[tuple[int, str]]) -> None:
        """Give orders, by their numbers, no mail in this run: the CA itself says there is none."""
        await self._settle_unsent(run, reasons, RequestStatus.SKIPPED, AS_THE_CA_SAYS)

    async def refuse(self, run: Run, reasons: Sequence[tuple[int, str]]) -> None:
        """Give orders, by their numbers, no mail in this run: the CA would mail others for them."""
        await self._settle_unsent(run, reasons, RequestStatus.REFUSED, WOULD_WIDEN)

    async def _settle_unsent(
        self, run: Run, reasons: Sequence[tuple[int, str]], status: RequestStatus, code: str
    ) -> None:
        changes = [(SETTLE, settled(run, number, status, why, code)) for number, why in reasons]
        if changes:
            await self._writer.write(*changes)

    async def note_checks(self, run: Run, found: Mapping[int, OrderCheck]) -> None:
        """Write down what the CA says now of requests that a run has sent, by their numbers."""
        now = self._clock()
        await self._writer.transaction(lambda connection: note_checks(connection, run, found, now))

    async def start(self, run: Run, terms: Terms) -> Recorder:
        """Begin to send, or go on: return what attempts are recorded with.

        What other processes are about to send is left to them; what they did, or another run of
        this process, since this run was settled, settles it again, as `settle` says.
        """
        start = await self.decide(self.beginning(run, terms))
        self._has_begun = True
        return self._recorder(run, start)

    async def join(self, run: Run, budgets: Mapping[str | None, str]) -> Recorder:
        """Begin to send a part of a distributed run: return what attempts are recorded with.

        `budgets` names, by account, whose windows its requests count in.
        """
        start = self._new_start(run.number, " ".join(run.limits))
        number = await self._writer.transaction(
            lambda connection: add_start(connection, start, budgets)
        )
        return self._recorder(run, number)

    def _recorder(self, run: Run, start: int) -> Recorder:
        return Recorder(self._writer, run.number, start)

    def beginning(
        self, run: Run, terms: Terms, *, is_distributed: bool = False
    ) -> Callable[[Connection], int]:
        """Return what a start of a run is in a transaction: it returns the start's number."""
        start = self._new_start(run.number, limits_text(terms.windows))
        since, ours, now = self._since(terms.cooldown_s), self._our_clock(), self._clock()

        def begin_alone(connection: Connection) -> int:
            if self._backend.is_shared:
                skip_what_is_under_way(connection, run)
            if self._backend.is_shared or self._has_begun:
                settle_what_others_did(connection, run, since, ours, hold_doubts=terms.hold_doubts)
            number = add_start(connection, start, terms.budgets)
            begin(connection, run, terms, now, number if is_distributed else None)
            return number

        return begin_alone

    async def start_reading(
        self, base_url: str, budget: str = "", purpose: Purpose | None = None
    ) -> ReadRecorder:
        """Begin to read of a CA: return what its requests are recorded with.

        For a purpose, answers are kept, and those of a reading that was cut off are there.
        """
        start = self._new_start(0, None)
        budgets: dict[str | None, str] = {None: budget} if budget else {}
        now = self._clock()

        def begin(connection: Connection) -> tuple[int, KeptAnswers | None]:
            number = add_start(connection, start, budgets)
            if purpose is None:
                return number, None
            found = kept_answers(connection, budget, purpose, now)
            return number, KeptAnswers(self._writer, budget, purpose, found)

        number, answers = await self._writer.transaction(begin)
        return ReadRecorder(self._writer, number, base_url, answers)

    def _new_start(self, run: int, limits: str | None) -> dict[str, object]:
        return {
            "run": run,
            "boot": self._clock.boot,
            "offset_s": self._clock.offset_s,
            "began_at": self._clock(),
            "limits": limits,
            "session": self.session,
        }

    def shared_limiters(self) -> AbstractAsyncContextManager[SharedLimiters | None]:
        """Open the way to the limits that several hosts keep together; None: this one is alone."""
        return self._backend.shared_limiters(self.session, self._clock)

    def _since(self, cooldown_s: float) -> float | None:
        return self._clock() - cooldown_s if cooldown_s > 0 else None

    async def prune(self, before: float) -> Pruned:
        """Forget the runs that ended before a time, but for how often orders were mailed."""
        more = self._backend.own_tables_of_runs
        return await self.decide(lambda connection: prune(connection, before, more))

    async def finish(self, run: Run, state: RunState, stop_reason: str | None = None) -> None:
        """Write down how a run ended. Raises JournalError."""
        now = self._clock()
        await self._writer.write(
            (END_PAUSE, {"of_run": run.number, "new_ended_at": now}),
            state_change(run.number, state, stop_reason, now),
            of_the_past=True,
        )

    def _our_clock(self) -> dict[str, object]:
        return {"our_boot": self._clock.boot, "our_offset_s": self._clock.offset_s}

    async def clean_up(self) -> None:
        """Bring what a process that died left behind into a known state."""
        await self.decide(self.clean_up_within)

    def clean_up_within(self, connection: Connection) -> None:
        """Do so as a part of a transaction."""
        end_cut_off(connection, self._our_clock(), self._clock())
