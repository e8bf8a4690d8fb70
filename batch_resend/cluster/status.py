"""How the workers are doing: for whoever operates them, and for probes."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.cluster.queue import HEARTBEAT_S, Queue
from batch_resend.journal import JournalReader, KeyUse
from batch_resend.model import Run

SILENT_S = 4 * HEARTBEAT_S  # a worker that gives no sign of life for longer is taken for dead


@dataclass(frozen=True, slots=True)
class WorkerNote:
    """A worker."""

    number: int
    silent_s: float  # since its last sign of life
    jobs: int  # in work

    @property
    def is_alive(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.silent_s <= SILENT_S


@dataclass(frozen=True, slots=True)
class Status:
    """The state of things."""

    sessions: Sequence[str]  # processes that have the journal open to write
    workers: Sequence[WorkerNote]
    jobs: Sequence[tuple[str, str, int]]  # what is to be done, where they stand, how many
    runs: Sequence[Run]  # with workers now
    keys: Sequence[KeyUse]


def workers_alive(found: Sequence[tuple[int, float, int]]) -> int:
    """Return how many workers have given a sign of life lately."""
    return sum(WorkerNote(*worker).is_alive for worker in found)


async def cluster_status(queue: Queue, reader: JournalReader) -> Status:
    """Return how the workers are doing. Raises JournalError."""
    return Status(
        sessions=await reader.sessions(),
        workers=[WorkerNote(*worker) for worker in await queue.workers()],
        jobs=await queue.counts(),
        runs=await reader.runs_with_workers(),
        keys=await reader.key_use(),
    )
