"""The door to aiohttp: connections to the CA, and what an exchange over one came to.

**Once a status line has come, the status stands.** aiohttp takes an answer only as a whole: one
header too long or too many, a name that no standard allows, bytes behind a 204, an encoding that it
cannot read, and it says nothing of the status either, which was there. So the first bytes of every
answer are kept beside it (`Exchange.arrived`), and read again where aiohttp gives up.

**Connections of one age break together.** A server that closes each after so many requests, a
balancer that restarts, a router that forgets what it forwards: each takes all that are as old. So
once a call has broken off, no request leaves on a connection that was there before.
"""

import asyncio
import errno
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import cast

import aiohttp
import anyio.lowlevel
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from batch_resend.model import Fault, FaultKind, Reply

log = logging.getLogger(__name__)

_AGAIN_AFTER_S = 0.1
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)  # of the process, of the whole machine


def _is_none_left() -> bool:
    """Whether no file can be opened: of a name that is not resolved for that, no error says so."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NONE_LEFT
    return False


MAX_HEAD_BYTES = 64 * 1024  # of an answer's line of status, of one header, and of what is kept
MAX_HEADERS = 1_000

_STATUS_LINE = re.compile(rb"HTTP/1\.\d (\d{3})(?: [^\r\n]*)?\r?\n")
_FULL_204 = re.compile(
    rb"HTTP/1\.\d 204\b(?:[^\n]*\n(?!\r?\n))*?"
    rb"[^\n]*\n(?:content-length:[ \t]*0*[1-9]|transfer-encoding:)",
    re.IGNORECASE,
)
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"(?:\A|\r\n)[0-9A-Fa-f]+[^\r\n]*\r\n")


class _Broken(aiohttp.ClientError):
    """A connection broke. Not one of the errors on which aiohttp sends a PUT once more."""


def at_once() -> None:
    """Let a request leave."""


@dataclass(slots=True)
class Exchange:
    """How far the call that a task makes has come.

    aiohttp's own tracing would tell as well, and cost a tenth of a request.
    """

    connector: "SilentConnector | None" = None  # that gave the call its connection
    arrived: bytearray = field(default_factory=bytearray)  # the first bytes of the answer
    received: int = 0  # bytes, in all
    leave: Callable[[], None] = at_once  # asked once there is a connection; see `client`
    leaves_by: float = inf  # by the loop's time: later, nobody waits for an answer any more

    @property
    def connected(self) -> bool:
        """Whether there was a connection: without one nothing was sent."""
        return self.connector is not None

    def broke_off(self) -> None:
        """Note that the call had no whole answer: connections of that age are not used again."""
        if self.connector is not None:
            self.connector.retire_all()

    def keep(self, data: bytes) -> None:
        """Keep what has come, to a bound."""
        self.received += len(data)
        self.arrived += data[: MAX_HEAD_BYTES - len(self.arrived)]

    def has_too_much(self) -> bool:
        """Whether it is a 204, which is over with its headers, that names something behind them."""
        return _FULL_204.match(self.arrived) is not None

    def answer(self, received_at: float) -> Reply | None:
        """Return the answer as far as its bytes can be read; None: no status line came whole."""
        return read_answer(bytes(self.arrived), received_at)

    @classmethod
    def begin(cls, leave: Callable[[], None] = at_once) -> "Exchange":
        """Return a new one, which follows this task's call from now on."""
        exchange = cls(leave=leave)
        _EXCHANGE.set(exchange)
        return exchange


_EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


async def never_send_twice(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stop aiohttp from re-sending by itself.

    It sends an idempotent request again when a connection breaks under it, and has no public
    switch for that. Errors of connecting pass: those requests never left.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except aiohttp.ServerDisconnectedError as error:
        # Its own text is the inside of a half-read answer.
        raise _Broken("the server closed it") from error
    except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
        raise _Broken(error.strerror or type(error).__name__) from error


class _Recorded(ResponseHandler):
    """aiohttp's end of a connection, which lets an exchange keep what arrives."""

    exchange: Exchange | None = None
    generation: int | None = None  # None: it was just made

    def data_received(self, data: bytes) -> None:
        """Keep what has come before aiohttp judges it."""
        if self.exchange is not None:
            self.exchange.keep(data)
            if self.exchange.has_too_much():
                self.force_close()  # the rest would be taken for the next answer
        super().data_received(data)


class SilentConnector(aiohttp.TCPConnector):
    """Uses no connection again that is older than the last loss, or on which something has come.

    What nobody asked for, aiohttp would take for the answer to the next request. Where no file
    descriptor is left, a call waits for one, as long as it may take: that is no fault of the CA's,
    and says nothing of an order.
    """

    def __init__(self, trusted: ssl.SSLContext | bool) -> None:
        """Bound nothing, so that no request waits, its time running, for a connection."""
        super().__init__(limit=0, ssl=trusted)
        self._generation = 0  # of connections: a loss ends one
        self._has_logged = False  # that no file descriptor is left
        # aiohttp has no public way to say by which class it reads.
        self._factory = cast("partial[ResponseHandler]", partial(_Recorded, loop=self._loop))

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - it overrides aiohttp's
    ) -> Connection:
        """Return a connection that is new, or as good as new: the request leaves now.

        Raises TimeoutError: it is too late for that.
        """
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except OSError as error:
                await self._wait_for_descriptors(error)
                continue
            if self._may_be_used(connection.protocol):
                break
            connection.close()
        exchange, protocol = _EXCHANGE.get(), connection.protocol
        if isinstance(protocol, _Recorded):
            protocol.generation = self._generation  # also where nothing leaves on it for now
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            exchange.leave()
            if self._loop.time() >= exchange.leaves_by:
                # Its call ends in this turn, or the next: it would leave, and be in doubt at once.
                # Last of all, for whoever decides to let it leave may be stopped doing so.
                raise TimeoutError
        except BaseException:
            connection.release()
            raise
        exchange.connector = self
        if isinstance(protocol, _Recorded):
            protocol.exchange = exchange
        return connection

    async def _wait_for_descriptors(self, error: OSError) -> None:
        """Wait where none is left; raise the error where it says something else."""
        if not (error.errno in _NONE_LEFT or _is_none_left()):
            raise error
        if not self._has_logged:
            self._has_logged = True
            log.warning(
                "no file descriptor is left for a connection (ulimit -n): requests wait for one"
            )
        await asyncio.sleep(_AGAIN_AFTER_S)

    def retire_all(self) -> None:
        """Let no request leave any more on a connection that there is now.

        What is in flight on them is not touched.
        """
        self._generation += 1

    def _may_be_used(self, protocol: ResponseHandler | None) -> bool:
        """Whether a connection is new, or silent since its last answer and none was lost since.

        A new one is good however often others were lost while it was made: its handshake shows it.
        """
        if protocol is None:
            return True
        if isinstance(protocol, _Recorded) and protocol.generation not in (None, self._generation):
            return False
        return not protocol.should_close


def read_answer(arrived: bytes, received_at: float) -> Reply | None:
    """Return an answer of which the status line is whole, whatever is wrong behind it.

    Interim answers (1xx but 101) are passed over. None: no status line has come whole.
    """
    while (line := _STATUS_LINE.match(arrived)) is not None:
        head, body = (*_END_OF_HEAD.split(arrived[line.end() - 2 :], maxsplit=1), b"")[:2]
        status = int(line[1])
        if status >= 200 or status == 101:
            return Reply(
                status,
                _CHUNK_SIZE.sub(b"", body) if _header(head, "Transfer-Encoding") else body,
                received_at,
                retry_after=_header(head, "Retry-After"),
                location=_header(head, "Location"),
                content_type=media_type(_header(head, "Content-Type")),
                server_date=_header(head, "Date"),
            )
        arrived = body
    return None


def media_type(header: str | None) -> str | None:
    """Return a Content-Type without its parameters, in lower case; None: it names none."""
    return (header or "").partition(";")[0].strip().lower() or None


def _header(head: bytes, name: str) -> str | None:
    found = re.search(rb"\n%s:[ \t]*([^\r\n]*)" % name.encode(), head, re.IGNORECASE)
    return found[1].decode("utf-8", "surrogateescape").strip() if found else None


def classify(error: Exception, *, connected: bool) -> Fault:
    """Return the fault that an exception of a call stands for.

    Without a connection nothing was sent; with one, something may have been, and arrived.
    """
    detail = _describe(error)
    if connected:
        return _broken_off(error, detail)
    if isinstance(
        error, aiohttp.ClientProxyConnectionError | aiohttp.ClientResponseError | _Broken
    ):
        return Fault(FaultKind.PROXY_REFUSED, _describe_proxy_error(error, detail))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        unknown = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
        return Fault(FaultKind.NO_SUCH_HOST if unknown else FaultKind.NOT_CONNECTED, detail)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Fault(FaultKind.TLS_REFUSED, detail)
    timed_out = isinstance(error, TimeoutError)
    return Fault(FaultKind.NOT_CONNECTED, "no connection in time" if timed_out else detail)


def _describe_proxy_error(error: Exception, detail: str) -> str:
    """Return what a proxy did: without a connection to the CA only it can answer, or break off.

    Not the whole text of a bad answer, which has the proxy's URL and so the password in it.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy says {error.status} {error.message}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the proxy's answer is not HTTP: {error.message}"
    reached = not isinstance(error, aiohttp.ClientProxyConnectionError)
    return f"the proxy {'broke off' if reached else 'cannot be reached'}: {detail}"


def _describe(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        is_wordy = isinstance(error, aiohttp.ClientSSLError)  # it says what is wrong with TLS
        if not is_wordy or error.strerror is None:
            return f"no connection to {error.host}:{error.port}: {why_not_connected(error)}"
    return str(error) or type(error).__name__


def why_not_connected(error: aiohttp.ClientConnectorError) -> str:
    """Return why no connection came about, in the system's words."""
    code = error.os_error.errno
    if (
        code is not None and code in errno.errorcode
    ):  # of a name that is not found it is another kind of code
        return os.strerror(code)  # the error's own text may be "Connect call failed (..)"
    # None: it was closed within the TLS handshake.
    return error.strerror or "it closed the connection"


def _broken_off(error: Exception, detail: str) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault(FaultKind.TIMED_OUT, "no answer in time")
    if isinstance(error, aiohttp.ClientResponseError):
        # Raised for bytes that are no HTTP answer; whatever status it claims, the CA sent none.
        return Fault(FaultKind.GARBLED, f"the answer is not HTTP: {error.message}")
    return Fault(FaultKind.LOST, f"the connection broke: {detail}")
