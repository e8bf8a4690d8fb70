"""Group commit: what many tasks write at once becomes durable in one transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.errors import JournalError
from batch_resend.journal.bulk import Values, execute_many
from batch_resend.journal.database import journal_errors

Change = tuple[Executable, Values]

_MAX_WAITING = 4096


@dataclass(eq=False, slots=True)
class _Ticket:
    changes: tuple[Change, ...]
    done: anyio.Event = field(default_factory=anyio.Event)
    error: JournalError | None = None


class Writer:
    """Carries out changes in the order they were asked for, as many a commit as are waiting."""

    def __init__(self, connection: AsyncConnection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._send, self._receive = anyio.create_memory_object_stream[_Ticket](_MAX_WAITING)
        self._turn = anyio.Lock()
        self._broken: JournalError | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Have the connection alone, for bulk work; durable at the end. Raises JournalError."""
        # Cut off in the middle by a cancellation, the connection would be of no use any more.
        async with self._turn:
            self._check()
            with anyio.CancelScope(shield=True), journal_errors(self._path):
                async with self._connection.begin():
                    yield self._connection

    async def write(self, *changes: Change) -> None:
        """Carry out `changes` in one transaction; they are durable on return.

        Raises JournalError; from the first failure on nothing more is written, since what the
        journal does not know of may not happen.
        """
        self._check()
        ticket = _Ticket(changes)
        await self._send.send(ticket)
        await ticket.done.wait()
        if ticket.error:
            # One of its own for each who waits: a shared one would gather all their tracebacks.
            raise JournalError(str(ticket.error)) from ticket.error

    def _check(self) -> None:
        if self._broken:
            raise JournalError(str(self._broken)) from self._broken

    async def __aenter__(self) -> "Writer":
        self._task = asyncio.create_task(self._serve(), name="journal writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write all that waits, then end."""
        self._send.close()
        with anyio.CancelScope(shield=True):
            await self._task

    async def _serve(self) -> None:
        """Commit what is waiting, all of it at once, until closed."""
        with self._receive:
            async for first in self._receive:
                tickets = [first]
                while self._receive.statistics().current_buffer_used:
                    tickets.append(self._receive.receive_nowait())
                try:
                    if self._broken is None:
                        await self._commit(tickets)
                except Exception as error:  # whatever it is, those who wait must hear of it
                    self._broken = (
                        error
                        if isinstance(error, JournalError)
                        else JournalError(f"{self._path}: the journal cannot be written: {error!r}")
                    )
                for ticket in tickets:
                    ticket.error = self._broken
                    ticket.done.set()

    async def _commit(self, tickets: list[_Ticket]) -> None:
        changes_of: dict[Executable, list[Values]] = {}
        for ticket in tickets:
            for statement, values in ticket.changes:
                changes_of.setdefault(statement, []).append(values)
        async with self.transaction() as connection:
            for statement, many in changes_of.items():
                await execute_many(connection, statement, many)
