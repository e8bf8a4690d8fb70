"""The ways to open a journal: to write, to read, to make it smaller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio.to_thread

from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal.database import (
    Backend,
    backend_of,
    reading_connection,
    writing_connection,
)
from batch_resend.journal.journal import Journal
from batch_resend.journal.journal_file import HeldFile
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.runs import Pruned
from batch_resend.journal.writer import Writer

_TITLE = "process"  # of whoever gives itself none


@asynccontextmanager
async def open_journal(
    place: Place, clock: Clock | None = None, title: str = _TITLE
) -> AsyncIterator[Journal]:
    """Open the journal for writing. Raises JournalError. `title`: what others are told this is.

    A file is for one process at a time: raises JournalBusy where another one has it.
    """
    clock, backend = clock or SystemClock(), backend_of(place)
    with backend.exclusive(clock()) as held:
        async with _opened(backend, clock, title, held) as journal:
            yield journal


async def prune_journal(place: Place, older_than_s: float, clock: Clock | None = None) -> Pruned:
    """Forget the runs that ended so long ago, and make a file smaller where that pays.

    How often orders were mailed is kept. Raises JournalError, JournalBusy.
    """
    clock, backend = clock or SystemClock(), backend_of(place)
    with backend.exclusive(clock()) as held:
        async with _opened(backend, clock, _TITLE, held) as journal:
            pruned = await journal.prune(clock() - older_than_s)
        with suppress(JournalError):  # it is larger than it need be, and as good as before
            await anyio.to_thread.run_sync(backend.compact)
    return pruned


@asynccontextmanager
async def _opened(
    backend: Backend, clock: Clock, title: str, held: HeldFile | None
) -> AsyncIterator[Journal]:
    """Open the journal, which this process holds, or shares."""
    async with (
        writing_connection(backend, clock(), title) as connection,
        reading_connection(backend) as reading,
        Writer(connection, backend.place, held) as writer,
    ):
        if held is not None:
            held.note_log()
        session = connection.session
        reader = JournalReader(reading, backend, session)
        journal = Journal(backend, writer, session, reader, clock)
        await journal.clean_up()
        yield journal


@asynccontextmanager
async def read_journal(place: Place) -> AsyncIterator[JournalReader]:
    """Open the journal for reading, beside whoever writes it. Raises JournalError."""
    backend = backend_of(place)
    async with reading_connection(backend) as connection:
        yield JournalReader(connection, backend)


def size_of_journal(place: Place) -> int | None:
    """Return how many bytes a journal takes; None: there is none. Raises JournalError."""
    return backend_of(place).size()
