"""A call's time limit, which hears what has arrived before it says that nothing came.

An event loop looks at its clock and at its sockets in turns, and a timer that is due cancels a call
whose answer was read in the same turn, or lies in the socket still. While the loop turns, that is a
matter of microseconds. When the process was stopped (SIGSTOP, a paused container, a laptop that was
closed) for longer than the limit, all that is in flight is due at once when it goes on, and the
answers of minutes are in the sockets: none of them may be taken for missing.
"""

import asyncio
from types import TracebackType
from typing import Self

from batch_resend.certcentral.wire import Exchange

LATE_S = 0.2  # behind its time by more, a timer says that the loop stood still
GRACE_S = 1.0  # for the loop to read what has come meanwhile, from then on
QUIET_TURNS = 5  # of the loop in which nothing came; each of them looks at all sockets


class Deadline:
    """`async with Deadline(exchange, seconds):` raises TimeoutError, as `asyncio.timeout` does.

    A call that has no connection yet ends on time: nothing of it has left, and nothing is to.
    """

    __slots__ = (
        "_at",
        "_ends_by",
        "_exchange",
        "_handle",
        "_limit",
        "_loop",
        "_quiet",
        "_received",
    )

    def __init__(self, exchange: Exchange, limit_s: float) -> None:
        """Limit the call that `exchange` follows."""
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + limit_s
        self._exchange = exchange
        exchange.leaves_by = self._at
        self._limit = asyncio.timeout(None)
        self._handle: asyncio.Handle = self._loop.call_at(self._at, self._due)
        self._ends_by = 0.0
        self._quiet = 0
        self._received = 0

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _due(self) -> None:
        """End the call once nothing more comes, after a while where the loop stood still."""
        now = self._loop.time()
        if not self._exchange.connected:
            self._end()
        elif now - self._at > LATE_S:
            self._handle = self._loop.call_later(GRACE_S, self._listen)
        else:
            self._listen()

    def _listen(self) -> None:
        self._ends_by = self._loop.time() + GRACE_S  # an answer without an end is not waited for
        self._received = self._exchange.received
        self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._exchange.received != self._received:
            self._received, self._quiet = self._exchange.received, 0
        else:
            self._quiet += 1
        if self._quiet >= QUIET_TURNS or self._loop.time() > self._ends_by:
            self._end()
        else:
            self._handle = self._loop.call_soon(self._turn)

    def _end(self) -> None:
        self._limit.reschedule(self._loop.time())
