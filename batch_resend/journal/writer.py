"""Group commit: what many tasks write at once becomes durable in one transaction."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
from sqlalchemy import Connection, Executable

from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal.database import WritingConnection
from batch_resend.journal.dialects import journal_errors
from batch_resend.journal.encoding import Values, execute_many
from batch_resend.journal.journal_file import HeldFile

Change = tuple[Executable, Values]
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
        self, connection: WritingConnection, place: Place, held: HeldFile | None = None
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

    async def write(self, *changes: Change, of_the_past: bool = False) -> None:
        """Carry out `changes` in one transaction; they are durable on return.

        `of_the_past`: they say what has happened already, and are written though the journal's file
        is lost. Raises JournalError; from the first failure on nothing more is written, since what
        the journal does not know of may not happen.
        """
        self._check()
        if self._closed:
            raise RuntimeError("the journal is closed")
        ticket = _Ticket(changes, asyncio.get_running_loop().create_future(), of_the_past)
        self._waiting.append(ticket)
        self._news.set()
        await ticket.done

    def _loss(self) -> JournalError | None:
        """Return what has become of the file, if it is lost. A look costs some microseconds."""
        text = self.held.loss_text() if self.held is not None else None
        return None if text is None else JournalError(text)

    def _check(self) -> None:
        if self._broken:
            raise JournalError(str(self._broken)) from self._broken
        if self._connection.is_lost:
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
            except Exception as error:  # whatever it is, those who wait must hear of it
                self._broken = (
                    error
                    if isinstance(error, JournalError)
                    else JournalError(f"{self._place}: the journal cannot be written: {error!r}")
                )
            for ticket in tickets:
                self._resolve(ticket)

    def _resolve(self, ticket: _Ticket) -> None:
        """Let whoever waits know; one that was cancelled waits no more."""
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
        def execute(connection: Connection) -> None:
            changes_of: dict[Executable, list[Values]] = {}
            lost = self._loss()
            for ticket in tickets:
                if lost is not None and not ticket.of_the_past:
                    ticket.refused = lost
                    continue
                for statement, values in ticket.changes:
                    changes_of.setdefault(statement, []).append(values)
            for statement, many in changes_of.items():
                execute_many(connection, statement, many)

        await self._transaction(execute)
        if self.held is not None and self.held.log_is_lost:
            await self._connection.write_back()  # a log without a name ends with this process
