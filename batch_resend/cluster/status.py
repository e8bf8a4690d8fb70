"""How the workers are doing: for whoever operates them, and for probes."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.cluster.queue import Queue, WorkerNote
from batch_resend.cluster.slots import KeyUse, key_use, sessions
from batch_resend.journal import JournalReader
from batch_resend.model import Run


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
        sessions=await sessions(reader),
        workers=await queue.workers(),
        jobs=await queue.counts(),
        runs=await reader.runs_with_workers(),
        keys=await key_use(reader),
    )
