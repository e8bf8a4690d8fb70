"""The CA's client: one request in, one reply or fault out, within its time."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json import JSONEncoder
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import aiohttp
from pydantic import SecretStr

from batch_resend.calls import body_of, path_of
from batch_resend.certcentral.judge import judge, remedy
from batch_resend.certcentral.wire import Connections, Exchange, at_once, classify
from batch_resend.model import Fault, Reply, Request, Verdict
from batch_resend.version import __version__

LATE_S = 0.2  # behind its time by more, a timer says that the loop stood still
GRACE_S = 1.0  # for the loop to read what has come meanwhile, from then on
QUIET_TURNS = 5  # of the loop in which nothing came; each of them looks at all sockets
MOST_STILLS = 20  # that one call waits for: on a host that is too busy, each turn may be late


class Deadline:
    """`with Deadline(exchange, seconds):` raises TimeoutError, as `asyncio.timeout` does.

    An event loop looks at its clock and at its sockets in turns, and a timer that is due cancels a
    call whose answer was read in the same turn, or lies in the socket still. While the loop turns,
    that is a matter of microseconds. When the process was stopped (SIGSTOP, a paused container, a
    laptop that was closed) for longer than the limit, all that is in flight is due at once when it
    resumes, and the answers of minutes are in the sockets: none of them may be taken for missing.

    A call that has no connection yet ends on time: nothing of it has left, and nothing is to.
    """

    __slots__ = (
        "_at",
        "_cancelling",
        "_clock",
        "_ends_by",
        "_exchange",
        "_handle",
        "_has_ended",
        "_loop",
        "_quiet",
        "_received",
        "_stood_still",
        "_task",
        "_turned_at",
    )

    def __init__(self, exchange: Exchange, limit_s: float, clock: Callable[[], float]) -> None:
        """Limit the call that `exchange` follows, which this task makes.

        `clock`: one that goes on while the machine sleeps, which the event loop's does not.
        """
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + limit_s
        self._exchange = exchange
        exchange.leaves_by = self._at
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()  # by others, before
        self._has_ended = False
        self._ends_by = self._turned_at = 0.0
        self._quiet = self._stood_still = self._received = 0

    def __enter__(self) -> None:
        self._handle: asyncio.Handle = self._loop.call_at(self._at, self._due)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handle.cancel()
        is_ours_alone = self._has_ended and self._task.uncancel() <= self._cancelling
        if is_ours_alone and kind is asyncio.CancelledError:
            raise TimeoutError from error

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
        self._turned_at = self._clock()
        self._ends_by = self._loop.time() + GRACE_S  # an answer without an end is not waited for
        self._received = self._exchange.received
        self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now, turned_at = self._loop.time(), self._clock()
        if turned_at - self._turned_at > LATE_S and self._stood_still < MOST_STILLS:
            # It stood still again, and has read nothing since: count the turns from the start.
            self._ends_by, self._quiet = now + GRACE_S, 0
            self._stood_still += 1
        self._turned_at = turned_at
        if self._exchange.received != self._received:
            self._received, self._quiet = self._exchange.received, 0
        else:
            self._quiet += 1
        if self._quiet >= QUIET_TURNS or now > self._ends_by:
            self._end()
        else:
            self._handle = self._loop.call_soon(self._turn)

    def _end(self) -> None:
        self._has_ended = True
        self._task.cancel()


USER_AGENT = f"batch-resend/{__version__}"
MAX_BODY_BYTES = 16 * 1024  # of an answer; the CA's are empty or a few hundred bytes
MAX_READ_BYTES = 32 * 1024 * 1024  # of a page of orders: a thousand, each with 250 domains


_to_json = JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Route:
    """How the CA is reached."""

    ca_file: Path | None = None  # trusted certificates (PEM), in place of the system's
    proxy: str | None = None  # URL of an HTTP proxy, which is asked for a tunnel


DIRECT = Route()


@dataclass(frozen=True, slots=True)
class CertCentral:
    """The CA, as one key reaches it. Made by `open_certcentral`."""

    connections: Connections
    base_url: str
    api_key: SecretStr
    timeout_s: float
    clock: Callable[[], float]

    def judge(self, result: Reply | Fault) -> Verdict:
        """Return what an answer means. The key is not in it, whatever the server repeats."""
        return judge(result, self.api_key.get_secret_value())

    def remedy(self, verdict: Verdict, key_named: str = "") -> str:
        """Return why nothing will pass, and what a person can do, of a verdict that stops a run."""
        return remedy(verdict, self.base_url, key_named)

    def resend(
        self, order: Request, leave: Callable[[], None] = at_once
    ) -> Coroutine[Any, Any, Reply | Fault]:
        """Ask the CA to mail an order again: one request, whatever happens to it.

        `leave` is called once there is a connection, directly before the request leaves: if it
        raises, the request does not.
        """
        body = request_body(order)
        return self._call("PUT", path_of(order), body, MAX_BODY_BYTES, leave)

    def get(
        self, path: str, leave: Callable[[], None] = at_once
    ) -> Coroutine[Any, Any, Reply | Fault]:
        """Read something of the CA's. `path` is below the base URL, quoted, with its query."""
        return self._call("GET", path, None, MAX_READ_BYTES, leave)

    async def _call(
        self, method: str, path: str, body: bytes | None, max_body: int, leave: Callable[[], None]
    ) -> Reply | Fault:
        """Make one request, and read its answer to a bound."""
        exchange = Exchange(leave)
        try:
            with Deadline(exchange, self.timeout_s, self.clock):
                return await self.connections.carry_out(exchange, method, path, body, max_body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            exchange.broke_off()
            # What is wrong behind a status line takes nothing away from the status. But what was to
            # be read is then not there.
            reply = exchange.answer(self.clock())
            if reply is None or (method == "GET" and _has_what_is_read(reply.status)):
                return classify(error, connected=exchange.connected)
            return reply


def request_body(order: Request) -> bytes:
    """Return the body of the call. Without entries the CA mails all domains that still wait."""
    return _to_json(body_of(order)).encode()


def _has_what_is_read(status: int) -> bool:
    """Whether the body of an answer to a GET is what was asked for; a 204 has none."""
    return 200 <= status < 300 and status != 204


@asynccontextmanager
async def open_certcentral(
    base_url: str,
    api_key: SecretStr,
    timeout_s: float,
    clock: Callable[[], float] = time.time,
    route: Route = DIRECT,
) -> AsyncIterator[CertCentral]:
    """Open a way to the CA. Certificates are verified, redirects are not followed.

    How many requests are in flight is the caller's to bound.
    """
    trusted = ssl.create_default_context(cafile=route.ca_file) if route.ca_file else True
    headers = {"User-Agent": USER_AGENT, "X-DC-DEVKEY": api_key.get_secret_value()}
    connections = Connections(base_url, headers, clock, trusted, route.proxy)
    try:
        yield CertCentral(connections, base_url, api_key, timeout_s, clock)
    finally:
        await connections.close()
