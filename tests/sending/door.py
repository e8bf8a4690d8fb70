"""A gate, and requests that go through it with answers of a script."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from batch_resend.sending.gate import Gate
from batch_resend.sending.history import Advice, History, Permit
from tests.sending.conftest import LONG_S, verdict


@asynccontextmanager
async def leave(gate: Gate, tried: int, history: History) -> AsyncIterator[Permit]:
    """Wait for a permit that holds. One that does not, since a pause began, is given back."""
    while True:
        permit = await gate.permit(tried, has_failed=history.has_failed)
        try:
            if gate.leaves(permit):
                yield permit
                return
        finally:
            gate.give_back(permit)


@dataclass
class Door:
    """A gate, and what went through it. Times are seconds since it was opened."""

    gate: Gate
    left: list[tuple[float, int]] = field(default_factory=list)
    under_way: int = 0
    tried: Counter[int] = field(default_factory=Counter)
    histories: defaultdict[int, History] = field(default_factory=lambda: defaultdict(History))

    def __post_init__(self) -> None:
        self.start = anyio.current_time()

    def now(self) -> float:
        return anyio.current_time() - self.start

    async def go(self, order: int, word: str, takes_s: float = 0.0) -> Advice:
        """Make one request that is answered with `word`."""
        history = self.histories[order]
        async with leave(self.gate, self.tried[order], history) as permit:
            self.tried[order] += 1
            self.left.append((self.now(), order))
            self.under_way += 1
            try:
                await anyio.sleep(takes_s)
            finally:
                self.under_way -= 1
            return self.gate.record(permit, order, verdict(word), history).advice

    async def all_go(self, requests: Sequence[tuple[int, str, float]]) -> dict[int, Advice]:
        """Make requests at once."""
        advice: dict[int, Advice] = {}

        async def one(order: int, word: str, takes_s: float) -> None:
            advice[order] = await self.go(order, word, takes_s)

        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(one, *request)
        return advice


def closed(patience_s: float = LONG_S) -> Door:
    return Door(Gate(patience_s))


async def flowing(patience_s: float = LONG_S) -> Door:
    """Return a door through which one request got."""
    door = closed(patience_s)
    assert await door.go(0, "204") is Advice.COUNT
    door.left.clear()
    return door


async def told(door: Door, words: str) -> list[Advice]:
    """Let orders 1, 2, .. go one after another; return the advice for each."""
    return [await door.go(order, word) for order, word in enumerate(words.split(), 1)]
