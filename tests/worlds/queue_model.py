"""What hands chunks out to workers, in the place of procrastinate, whose clock is not the world's.

It does no more than that says it does, and sometimes less: it hands one out twice, and takes a
worker for dead that only sleeps. At most one process has a request in hand all the same.
"""

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from batch_resend.cluster.leases import Chunk
from batch_resend.cluster.queue import STALLED_S, SendChunk
from batch_resend.errors import JournalError
from tests.worlds.database import WorldDatabase

_POLL_S = 1.0
_TWICE = 0.2  # of the chunks


@dataclass(eq=False)
class _Job:
    chunk: Chunk
    worker: "HostQueue | None" = None


@dataclass(eq=False)
class ModelQueue:
    """The jobs of a world."""

    seed: str
    database: WorldDatabase
    jobs: dict[int, _Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.seed}/queue")
        self.numbers = itertools.count(1)


class HostQueue:
    """The queue as one process has it."""

    def __init__(self, model: ModelQueue) -> None:
        self._model = model
        self._seen_at = 0.0

    async def _ask(self) -> None:
        model = self._model
        await asyncio.sleep(model.dice.choice((1e-4, 1e-3, 1e-2)))
        if model.database.is_refusing:
            raise JournalError("the queue cannot be used: connection refused")

    async def add(self, chunks: Sequence[Chunk]) -> None:
        await self._ask()
        for chunk in chunks:
            self._model.jobs[next(self._model.numbers)] = _Job(chunk)

    async def hand_on(self, job: int, chunk: Chunk) -> None:
        await self._ask()
        self._model.jobs.pop(job, None)
        await self.add([chunk])

    async def has_jobs(self, run_id: str) -> bool:
        await self._ask()
        return any(job.chunk.run == run_id for job in self._model.jobs.values())

    async def tidy(self) -> list[tuple[int, Chunk]]:
        await self._ask()
        now = self._model.database.outside.now
        return [
            (number, job.chunk)
            for number, job in self._model.jobs.items()
            if job.worker is not None and now - job.worker._seen_at > STALLED_S
        ]

    async def work(self, send: SendChunk, _sweeps: Sequence[Any], concurrency: int) -> None:
        """Do jobs as they come until cancelled; what is in work is ended first."""
        at_work: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._ask()
                self._seen_at = self._model.database.outside.now
                at_work = {task for task in at_work if not task.done()}
                while len(at_work) < concurrency and (found := self._fetch()) is not None:
                    at_work.add(asyncio.create_task(self._do(send, *found)))
                await asyncio.sleep(_POLL_S)
        finally:
            if at_work:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait(at_work)

    def _fetch(self) -> tuple[int, _Job] | None:
        for number, job in self._model.jobs.items():
            if job.worker is None:
                if self._model.dice.random() < _TWICE:
                    return next(self._model.numbers), job
                job.worker = self
                return number, job
        return None

    async def _do(self, send: SendChunk, number: int, job: _Job) -> None:
        await send(number, job.chunk)
        if self._model.jobs.get(number) is job:
            del self._model.jobs[number]
