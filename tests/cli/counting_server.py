"""A raw TCP server with books of every order: what arrived, when, and what was acted on."""

import asyncio
import re
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from batch_resend.windows import Window
from tests.certcentral.fault_server import NO_CONTENT, FaultServer, Visit, answer

_CANARY = b"GET /services/v2/user/me HTTP/1.1\r\n"
_ORDER = re.compile(rb"^PUT /services/v2/order/certificate/(\d+)/resend-emails HTTP/1\.1\r\n")

Fate = Callable[["Call"], Awaitable[object]]


class Call:
    """One request about one order."""

    def __init__(self, visit: Visit, server: "CountingServer", order: str) -> None:
        self.visit = visit
        self.server = server
        self.order = order
        self.turn = server.requests_of[order]  # 1 for the order's first request

    async def mail(self) -> None:
        """Read the whole request and do what it asks for."""
        await self.visit.read_all()
        self.server.mails_of[self.order] += 1

    async def say(self, data: bytes) -> None:
        """Send bytes, and go on with the connection."""
        await self.visit.send(data)

    async def accept(self) -> None:
        """Do what it asks for, and acknowledge it."""
        await self.mail()
        self.server.acknowledged.add(self.order)
        await self.say(NO_CONTENT)

    async def refuse(self, status: int, body: bytes = b"", *headers: str) -> None:
        """Answer without doing anything."""
        await self.visit.read_all()
        await self.say(answer(status, body, *headers))


def silent_after(count: int) -> tuple[Fate, asyncio.Event]:
    """Return a fate that accepts so many requests, and the others once the event is set."""
    may_answer = asyncio.Event()

    async def fate(call: Call) -> None:
        if call.server.requests > count:
            await may_answer.wait()
        await call.accept()

    return fate, may_answer


class CountingServer(FaultServer):
    """Gives every request of an order its fate; a request after the acknowledgement is noted.

    `before` is what it does with a connection before it has read anything, turn by turn.
    """

    def __init__(
        self,
        fate: Fate,
        *,
        before: Callable[[Visit], Awaitable[bool]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(self._take, tls=tls)
        self.requests_of: Counter[str] = Counter()
        self.mails_of: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        self.repeated: set[str] = set()  # asked for again after it was acknowledged
        self.arrivals: list[float] = []
        self.wrong: list[bytes] = []
        self.canaries = 0  # reads of who the key is, which are answered
        self.fate = fate
        self._before = before

    async def _take(self, visit: Visit) -> None:
        if self._before is not None and await self._before(visit):
            return
        head = await visit.read_head()
        self.arrivals.append(time.monotonic())
        if head.startswith(_CANARY):
            self.canaries += 1
            await visit.send(answer(200, b"{}", "Content-Type: application/json"))
            return
        found = _ORDER.match(head)
        if found is None:
            self.wrong.append(head)
            visit.close()
            return
        order = found[1].decode()
        self.requests_of[order] += 1
        if order in self.acknowledged:
            self.repeated.add(order)
        await self.fate(Call(visit, self, order))

    @property
    def doubles(self) -> int:
        """How many mails went out beyond the first of an order."""
        return sum(count - 1 for count in self.mails_of.values())

    def most_in(self, window: Window) -> int:
        """Return the most arrivals that any of a window's periods held."""
        return most_in(self.arrivals, window)


def most_in(arrivals: Sequence[float], window: Window) -> int:
    """Return the most arrivals that any of a window's periods held."""
    most, first = 0, 0
    for last, at in enumerate(arrivals):
        while at - arrivals[first] >= window.period_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def in_turn_per_order(fates: dict[str, Sequence[Fate]]) -> Fate:
    """Let an order's requests fare one after another as said; all that follow are accepted."""
    accepted: Fate = Call.accept

    async def fate(call: Call) -> None:
        of_order = fates.get(call.order, ())
        step = of_order[call.turn - 1] if call.turn <= len(of_order) else accepted
        await step(call)

    return fate


# --- fates --------------------------------------------------------------------------------------


def says(status: int, body: bytes = b"", *headers: str) -> Fate:
    """Answer without doing anything."""

    async def fate(call: Call) -> None:
        await call.refuse(status, body, *headers)

    return fate


def breaks_off(data: bytes) -> Fate:
    """Send a part of an answer without having done anything, and close."""

    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(data)
        call.visit.close()

    return fate


def mails_and_says(data: bytes) -> Fate:
    """Do what it asks for, send these bytes, and close."""

    async def fate(call: Call) -> None:
        await call.mail()
        await call.say(data)
        call.visit.close()

    return fate


async def stops_after_headers(call: Call) -> None:
    """Read no more than the headers, and say nothing."""
    await call.visit.hang()


async def closes_after_headers(call: Call) -> None:
    """Read no more than the headers, and close."""
    call.visit.close()


async def resets_after_headers(call: Call) -> None:
    """Read no more than the headers, and reset."""
    call.visit.reset()


async def closes_within_body(call: Call) -> None:
    """Read a part of the body, and close."""
    await call.visit.reader.readexactly(1)
    call.visit.close()


async def stops_within_body(call: Call) -> None:
    """Read a part of the body, and say nothing."""
    await call.visit.reader.readexactly(1)
    await call.visit.hang()


async def reads_all_and_closes(call: Call) -> None:
    """Read all and close, without having done anything."""
    await call.visit.read_all()
    call.visit.close()


async def reads_all_and_hangs(call: Call) -> None:
    """Read all and never answer, without having done anything."""
    await call.visit.read_all()
    await call.visit.hang()


async def reads_all_and_resets(call: Call) -> None:
    """Read all and reset, without having done anything."""
    await call.visit.read_all()
    call.visit.reset()


async def mails_and_closes(call: Call) -> None:
    """Do what it asks for, and close instead of an answer."""
    await call.mail()
    call.visit.close()


async def mails_and_resets(call: Call) -> None:
    """Do what it asks for, and reset instead of an answer."""
    await call.mail()
    call.visit.reset()


async def mails_and_hangs(call: Call) -> None:
    """Do what it asks for, and never answer."""
    await call.mail()
    await call.visit.hang()


async def accepts_and_closes_unannounced(call: Call) -> None:
    """Acknowledge, then close a connection that the client means to use again."""
    await call.accept()
    call.visit.close()


async def accepts_and_closes(call: Call) -> None:
    """Acknowledge, and say that the connection is closed: the next request makes one."""
    await call.mail()
    call.server.acknowledged.add(call.order)
    await call.say(answer(204, b"", "Connection: close"))
    call.visit.close()


def accepts_late(after_s: float) -> Fate:
    """Acknowledge after a while."""

    async def fate(call: Call) -> None:
        await call.mail()
        await asyncio.sleep(after_s)
        call.server.acknowledged.add(call.order)
        await call.say(NO_CONTENT)

    return fate
