"""What a worker has in hand of runs that were distributed, and what others have left behind."""

from collections.abc import Sequence

from sqlalchemy import Connection

from batch_resend.journal.chunks import (
    cut_by_key,
    finish_if_done,
    note_stop,
    orphaned,
    release,
    release_of_dead,
    take,
)
from batch_resend.journal.journal import Journal
from batch_resend.journal.settling import hold_doubts_of_workers
from batch_resend.model import Chunk, Run


class ChunkLeases:
    """The chunks that this process has, of any runs. All methods raise JournalError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def take(self, job: int, run: Run, chunk: Chunk) -> bool:
        """Take a chunk; return whether nobody else has it, and it is to be sent."""

        def claim(connection: Connection) -> bool:
            return take(connection, job, run.number, chunk, self._journal.session)

        return await self._journal.decide(claim)

    async def put_down(self, job: int, run: Run, stopped: Sequence[str | None], why: str) -> bool:
        """Give a chunk back: it is done, or others may have it. Return whether its run has ended.

        `why`, unless it is empty: nothing more of the accounts `stopped` is to be sent.
        """
        now = self._journal.now()

        def end(connection: Connection) -> bool:
            if why:
                note_stop(connection, run.number, stopped, why)
            release(connection, job)
            return finish_if_done(connection, run.number, now)

        return await self._journal.decide(end)

    async def free(self, job: int) -> bool:
        """Give back the chunk of a process that died; return whether it is nobody's now."""
        return await self._journal.decide(lambda connection: release_of_dead(connection, job))

    async def distribute_again(self, run: Run) -> list[Chunk]:
        """Return what is left to send of a run, in chunks: no job for it is anywhere."""
        now = self._journal.now()

        def distribute(connection: Connection) -> list[Chunk]:
            if finish_if_done(connection, run.number, now):
                return []
            return cut_by_key(connection, run)

        return await self._journal.decide(distribute)

    async def tidy(self) -> list[tuple[int, Chunk]]:
        """Bring what processes that died had in hand into a known state.

        Return their chunks, and which jobs they were: somebody must send what is left of them.
        """

        def look(connection: Connection) -> list[tuple[int, Chunk]]:
            # In this order: a process that dies in between has its chunk found the next time, and
            # nobody's chunk is found before what it had in flight is in doubt.
            found = orphaned(connection)
            self._journal.clean_up_within(connection)
            if found:
                hold_doubts_of_workers(connection)
            return found

        return await self._journal.decide(look)
