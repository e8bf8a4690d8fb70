"""Group commit: what many tasks write at once becomes durable in one transaction."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
from sqlalchemy import Connection, Executable

from batch_resend.errors import JournalError
from batch_resend.journal.bulk import Values, execute_many
from batch_resend.journal.complaints import journal_errors
from batch_resend.journal.database import WritingConnection
from batch_resend.places import Place

Change = tuple[Executable, Values]
Made = TypeVar("Made")


@dataclass(eq=False, slots=True)
class _Ticket:
    changes: tuple[Change, ...]
    done: asyncio.Future[None]  # and not anyio's event, which takes several times as long


class Writer:
    """Carries out changes, as many a commit as are waiting, one statement after another."""

    def __init__(self, connection: WritingConnection, place: Place) -> None:
        self._connection = connection
        self._place = place
        self._waiting: list[_Ticket] = []
        self._news = asyncio.Event()
        self._closed = False
        self._turn = anyio.Lock()
        self._broken: JournalError | None = None

    async def transaction(self, work: Callable[[Connection], Made]) -> Made:
        """Have `work` carried out, beside nobody else's; durable on return. Raises JournalError.

        It is done in the connection's thread.
        """
        async with self._turn:
            self._check()
            with journal_errors(self._place):
                return await self._connection.transaction(work)

    async def write(self, *changes: Change) -> None:
        """Carry out `changes` in one transaction; they are durable on return.

        Raises JournalError; from the first failure on nothing more is written, since what the
        journal does not know of may not happen.
        """
        self._check()
        if self._closed:
            raise RuntimeError("the journal is closed")
        ticket = _Ticket(changes, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._news.set()
        await ticket.done

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
                self._tell(ticket)

    def _tell(self, ticket: _Ticket) -> None:
        """Let whoever waits know; one that was cancelled waits no more."""
        if ticket.done.done():
            return
        if self._broken is None:
            ticket.done.set_result(None)
        else:
            # One of its own for each who waits: a shared one would gather all their tracebacks.
            error = JournalError(str(self._broken))
            error.__cause__ = self._broken
            ticket.done.set_exception(error)

    async def _commit(self, tickets: list[_Ticket]) -> None:
        changes_of: dict[Executable, list[Values]] = {}
        for ticket in tickets:
            for statement, values in ticket.changes:
                changes_of.setdefault(statement, []).append(values)

        def carry_out(connection: Connection) -> None:
            for statement, many in changes_of.items():
                execute_many(connection, statement, many)

        await self.transaction(carry_out)
