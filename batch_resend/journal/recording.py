"""What happens is written down: every attempt before it leaves, every answer after; many a commit.

What many tasks write at once becomes durable in one transaction.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, count
from typing import TypeVar

import anyio

from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal.connection import (
    AsyncConnection,
    Connection,
    execute_many,
    journal_errors,
)
from batch_resend.journal.database import write_back
from batch_resend.journal.journal_file import HeldFile
from batch_resend.journal.statements import Change, Values
from batch_resend.model import Attempt, Outcome, RunState, Verdict

Made = TypeVar("Made")


@dataclass(eq=False, slots=True)
class _Ticket:
    changes: tuple[Change, ...]
    done: asyncio.Future[None]  # and not anyio's event, which takes several times as long
    of_the_past: bool  # what has happened already: written though the journal is lost
    refused: JournalError | None = None


class Writer:
    """Carries out changes, as many a commit as are waiting, one statement after another.

    Once the file of the journal is lost, it takes nothing but what has happened already, which
    goes to the file that is still open, for the report.
    """

    def __init__(
        self, connection: AsyncConnection, place: Place, held: HeldFile | None = None
    ) -> None:
        self._connection = connection
        self._place = place
        self.held = held  # the file, where it is one of this machine's
        self._waiting: list[_Ticket] = []
        self._news = asyncio.Event()
        self._closed = False
        self._turn = anyio.Lock()
        self._broken: JournalError | None = None

    async def transaction(self, work: Callable[[Connection], Made]) -> Made:
        """Have `work` carried out, beside nobody else's; durable on return. Raises JournalError.

        It is done in the connection's thread.
        """

        def unless_lost(connection: Connection) -> Made:
            if (lost := self._loss()) is not None:
                raise lost
            return work(connection)

        return await self._transaction(unless_lost)

    async def _transaction(self, work: Callable[[Connection], Made]) -> Made:
        async with self._turn:
            self._check()
            with journal_errors(self._place):
                return await self._connection.transaction(work)

    def write(self, *changes: Change, of_the_past: bool = False) -> asyncio.Future[None]:
        """Carry out `changes` in one transaction; they are durable once that is awaited.

        `of_the_past`: they say what has happened already, and are written though the journal's file
        is lost. Raises JournalError; from the first failure on nothing more is written, since what
        the journal does not know of may not happen.
        """
        if self._closed:
            raise RuntimeError("the journal is closed")
        ticket = _Ticket(changes, asyncio.get_running_loop().create_future(), of_the_past)
        self._waiting.append(ticket)
        self._news.set()
        return ticket.done

    def _loss(self) -> JournalError | None:
        """Return what has become of the file, if it is lost. A look costs some microseconds."""
        text = self.held.loss_text() if self.held is not None else None
        return None if text is None else JournalError(text)

    def _check(self) -> None:
        if self._broken:
            raise JournalError(str(self._broken)) from self._broken
        if self._connection.connection.is_lost:
            raise JournalError(f"{self._place}: the connection was lost; nothing more is written")

    async def __aenter__(self) -> "Writer":
        self._task = asyncio.create_task(self._serve(), name="journal writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write all that waits, then end."""
        self._closed = True
        self._news.set()
        with anyio.CancelScope(shield=True):
            await self._task

    async def _serve(self) -> None:
        """Commit what is waiting, all of it at once, until closed."""
        while self._waiting or not self._closed:
            await self._news.wait()
            self._news.clear()
            tickets, self._waiting = self._waiting, []
            try:
                if self._broken is None and tickets:
                    await self._commit(tickets)
            except JournalError as error:
                self._broken = error
            except Exception as error:  # whatever it is, those who wait must hear of it
                what = f"{self._place}: the journal cannot be written: {error!r}"
                self._broken = JournalError(what)
            for ticket in tickets:
                self._resolve(ticket)

    def _resolve(self, ticket: _Ticket) -> None:
        """Let the task that waits know; one that was cancelled waits no more."""
        if ticket.done.done():
            return
        failure = self._broken or ticket.refused
        if failure is None:
            ticket.done.set_result(None)
        else:
            # One of its own for each who waits: a shared one would gather all their tracebacks.
            error = JournalError(str(failure))
            error.__cause__ = failure
            ticket.done.set_exception(error)

    async def _commit(self, tickets: list[_Ticket]) -> None:
        def write_all(connection: Connection) -> None:
            lost = self._loss()
            refused = [t for t in tickets if lost is not None and not t.of_the_past]
            for ticket in refused:
                ticket.refused = lost
            changes_of: dict[str, list[Values]] = {}
            for statement, values in chain(*(t.changes for t in tickets if t.refused is None)):
                changes_of.setdefault(statement, []).append(values)
            for statement, many in changes_of.items():
                execute_many(connection, statement, many)

        await self._transaction(write_all)
        if self.held is not None and self.held.log_is_lost:
            await write_back(self._connection)  # a log without a name ends with this process


def state_change(
    run: int, state: RunState, stop_reason: str | None = None, finished_at: float | None = None
) -> Change:
    """Return what writes down in which state a run is now."""
    values = {"run": run, "state": state, "stop_reason": stop_reason, "finished_at": finished_at}
    return "set_state", values


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which requests did not flow, because of the CA."""

    began_at: float
    until_at: float  # when the next request is to leave
    reason: str
    share: float  # of the windows, that is ours from then on: below 1 after a 429
    is_smaller: bool = True  # the share, by what began the pause, or has it last longer


class Recorder:
    """Writes down what happens to the orders of one run. All methods are durable on return."""

    def __init__(
        self,
        writer: Writer,
        run: int,
        start: int,
        pause_numbers: Iterator[int] | None = None,
        account: str | None = None,
    ) -> None:
        self._writer = writer
        self._run = run
        self._start = start
        self._pause_numbers = pause_numbers or count(1)  # of all its accounts together
        self._pause = 0  # the number of the last one
        self._account = account

    def of_account(self, account: str | None) -> "Recorder":
        """Return what the orders of an account are recorded with, which pauses by itself."""
        return Recorder(self._writer, self._run, self._start, self._pause_numbers, account)

    async def begin(self, attempt: Attempt) -> None:
        """Write down that a request is about to leave. Raises JournalError: then it must not."""
        values = {
            "run": self._run,
            "request": attempt.planned.number,
            "attempt": attempt.attempt,
            "start": self._start,
            "digest": attempt.planned.digest,
            "begun_at": attempt.begun_at,
        }
        await self._writer.write(("begin_attempt", values))

    async def end(
        self, attempt: Attempt, ended_at: float, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        """Write down what came of an attempt, and of its order where that is settled by it."""
        ended = {
            "run": self._run,
            "request": attempt.planned.number,
            "attempt": attempt.attempt,
            "ended_at": ended_at,
            "ruling": verdict.ruling,
            "http_status": verdict.http_status,
            "error_code": verdict.error_code,
            "error_message": verdict.error_message,
        }
        changes: list[Change] = [("end_attempt", ended)]
        if outcome is not None:
            changes.append(self._settlement(outcome))
        await self._writer.write(*changes, of_the_past=True)

    async def settle(self, outcome: Outcome) -> None:
        """Write down what became of an order that no answer has settled."""
        await self._writer.write(self._settlement(outcome), of_the_past=True)

    async def pause(self, pause: Pause) -> None:
        """Write down that requests do not flow from now on."""
        self._pause = next(self._pause_numbers)
        values = {
            **self._last_pause,
            "began_at": pause.began_at,
            "until_at": pause.until_at,
            "reason": pause.reason,
            "share": pause.share,
            "account": self._account,
        }
        await self._writer.write(("begin_pause", values), of_the_past=True)

    async def prolong_pause(self, pause: Pause) -> None:
        """Write down that the pause lasts longer: as if `pause` were one that begins now.

        A share that is as it was is as old as it was, too: it is about to rise again.
        """
        values = {
            **self._last_pause,
            "until_at": pause.until_at,
            "reason": pause.reason,
            "share": pause.share if pause.is_smaller else None,
            "share_at": pause.began_at if pause.is_smaller else None,
        }
        await self._writer.write(("prolong_pause", values), of_the_past=True)

    async def flow_again(self, now: float) -> None:
        """Write down that requests flow again."""
        values = {"run": self._run, "account": self._account or "", "ended_at": now}
        await self._writer.write(("end_pauses_of_account", values), of_the_past=True)

    @property
    def _last_pause(self) -> Values:
        return {"run": self._run, "start": self._start, "number": self._pause}

    def _settlement(self, outcome: Outcome) -> Change:
        return "settle", {
            "run": self._run,
            "request": outcome.planned.number,
            "status": outcome.status,
            "http_status": outcome.http_status,
            "error_code": outcome.error_code,
            "error_message": outcome.error_message,
        }


class Purpose(StrEnum):
    """What a CA is asked for. An answer serves the next reading for the same purpose alone."""

    SWEEP = "sweep"  # how orders are validated: kept for as long as answers are
    EXPORT = "export"  # a list of orders; kept until one is whole
    PREFLIGHT = "preflight"  # what is better not sent; kept until all of a run has been asked about


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """What readings by one key for one purpose have learned. Durable on return."""

    writer: Writer
    budget: str  # of the key
    purpose: Purpose
    found: Mapping[str, str]  # JSON by subject, of an earlier reading that was cut off

    async def keep(self, subject: str, found: str, now: float) -> None:
        """Keep an answer (JSON): this reading may be cut off, too."""
        values = {**self._of, "subject": subject, "found": found, "asked_at": now}
        await self.writer.write(("keep_answer", values))

    async def forget(self) -> None:
        """Forget all of them: the next reading asks again."""
        await self.writer.write(("forget_answers", self._of))

    @property
    def _of(self) -> Values:
        return {"budget": self.budget, "purpose": self.purpose}


class ReadRecorder:
    """Writes down what is read of the CA, which counts in its windows. Durable on return."""

    def __init__(
        self, writer: Writer, start: int, base_url: str, answers: KeptAnswers | None = None
    ) -> None:
        self.answers = answers  # None: none are kept
        self._writer = writer
        self._start = start
        self._base_url = base_url
        self._numbers = count(1)

    async def begin(self, begun_at: float) -> int:
        """Write down that a request is about to leave; return its number."""
        number = next(self._numbers)
        values = {
            "start": self._start,
            "number": number,
            "base_url": self._base_url,
            "begun_at": begun_at,
        }
        await self._writer.write(("begin_read", values))
        return number

    async def end(self, number: int, ended_at: float, *, in_doubt: bool = False) -> None:
        """Write down that its answer came; `in_doubt`: none did, and it may still arrive."""
        values = {
            "start": self._start,
            "number": number,
            "ended_at": ended_at,
            "in_doubt": in_doubt,
        }
        await self._writer.write(("end_read", values), of_the_past=True)
