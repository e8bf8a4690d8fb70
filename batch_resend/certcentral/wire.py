"""The door to aiohttp: connections to the CA, and what an exchange over one came to.

aiohttp makes the connections, keeps them, and reads the answers. Its session, which adds what is
not wanted here (redirects, cookies, sending again by itself), took a fifth of a run's processor
time: a request is written here, in one piece, and nothing below sends it a second time.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import inf
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from yarl import URL

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


def at_once() -> None:
    """Let a request leave."""


@dataclass(slots=True)
class Exchange:
    """How far a call has come."""

    leave: Callable[[], None] = at_once  # asked once there is a connection; see `client`
    leaves_by: float = inf  # by the loop's time: later, nobody waits for an answer any more
    connections: "Connections | None" = None  # that gave the call its connection
    arrived: bytearray = field(default_factory=bytearray)  # the first bytes of the answer
    received: int = 0  # bytes, in all
    head: Reply | None = None  # the answer, as far as aiohttp has read it
    body: bytearray = field(default_factory=bytearray)

    @property
    def connected(self) -> bool:
        """Whether there was a connection: without one nothing was sent."""
        return self.connections is not None

    def broke_off(self) -> None:
        """Note that the call had no whole answer: connections of that age are not used again."""
        if self.connections is not None:
            self.connections.retire_all()

    def keep(self, data: bytes) -> None:
        """Keep what has come, to a bound."""
        self.received += len(data)
        self.arrived += data[: MAX_HEAD_BYTES - len(self.arrived)]

    def has_too_much(self) -> bool:
        """Whether it is a 204, which is over with its headers, that names something behind them."""
        return _FULL_204.match(self.arrived) is not None

    def answer(self, received_at: float) -> Reply | None:
        """Return the answer as far as its bytes can be read; None: no status line came whole."""
        if self.head is None:
            return read_answer(bytes(self.arrived), received_at)
        return self.with_body(self.head)

    def with_body(self, head: Reply) -> Reply:
        """Return an answer with as much of its body as has come."""
        # Some servers put a byte order mark before JSON.
        body = bytes(self.body).removeprefix(b"\xef\xbb\xbf")
        return replace(head, body=body) if body else head


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


_NO_LIMITS = aiohttp.ClientTimeout(total=None)  # each call has a deadline around all of it


class Connections:
    """All connections to the CA. How many there are, who calls bounds.

    None is used again that is older than the last loss, or on which something has come: what nobody
    asked for, aiohttp would take for the answer to the next request. Where no file descriptor is
    left, a call waits for one, as long as it may take: that is no fault of the CA's, and says
    nothing of an order.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        clock: Callable[[], float],
        trusted: ssl.SSLContext | bool = True,
        proxy: str | None = None,
    ) -> None:
        """Prepare what all requests have in common. `headers` are for the CA alone."""
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._generation = 0  # of connections: a loss ends one
        self._has_logged = False  # that no file descriptor is left
        self._connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
        # aiohttp has no public way to say by which class it reads.
        self._connector._factory = cast(
            "partial[ResponseHandler]", partial(_Recorded, loop=self._loop)
        )
        # What a connection is for; it never leaves itself.
        self._to_ca = aiohttp.ClientRequest(
            "GET", URL(base_url, encoded=True), loop=self._loop, proxy=URL(proxy) if proxy else None
        )
        self._headers = headers
        is_forwarded = proxy is not None and not self._to_ca.is_ssl()
        self._root = base_url if is_forwarded else self._to_ca.url.raw_path.rstrip("/")

    async def close(self) -> None:
        """Close all."""
        await self._connector.close()

    async def carry_out(
        self, exchange: Exchange, method: str, path: str, body: bytes | None, max_body: int
    ) -> Reply:
        """Make one request, and return its answer: of the body, to a bound.

        Raises aiohttp's errors, OSError, TimeoutError: it is too late to leave; what
        `exchange.leave` raises.
        """
        connection = await self._connect(exchange)
        try:
            protocol: Any = connection.protocol
            protocol.set_response_params(
                read_until_eof=True,
                max_line_size=MAX_HEAD_BYTES,
                max_field_size=MAX_HEAD_BYTES,
                max_headers=MAX_HEADERS,
            )
            protocol.transport.write(self._in_bytes(method, path, body))
            message, content = await protocol.read()
            while message.code < 200 and message.code != 101:  # an interim answer
                message, content = await protocol.read()
            head = exchange.head = _head_of(message, self._clock())
            while len(exchange.body) < max_body and not content.at_eof():
                exchange.body += await content.read(max_body - len(exchange.body))
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientResponseError(
                self._to_ca.request_info, (), status=error.code, message=error.message
            ) from error
        except BaseException:
            connection.close()
            raise
        connection.release()  # one with more to say is closed
        return exchange.with_body(head)

    def _in_bytes(self, method: str, path: str, body: bytes | None) -> bytes:
        """Return a request as it goes over the wire."""
        first = f"{method} {self._root}{path} HTTP/1.1\r\n{self._headers_of_all}"
        if body is None:
            return f"{first}\r\n".encode()
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"{first}{length}".encode() + body

    @cached_property
    def _headers_of_all(self) -> str:
        """The headers of every request. Once there was a connection: a proxy may want one, too."""
        headers = {**self._to_ca.headers, **self._headers}
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def _connect(self, exchange: Exchange) -> Connection:
        """Return a connection that is new, or as good as new: the request leaves now.

        Raises TimeoutError: it is too late for that.
        """
        if self._connector.closed:
            raise RuntimeError("the connections to the CA are closed")
        while True:
            try:
                connection = await self._connector.connect(self._to_ca, [], _NO_LIMITS)
            except OSError as error:
                await self._wait_for_descriptors(error)
                continue
            if self._may_be_used(connection.protocol):
                break
            connection.close()
        protocol: Any = connection.protocol
        protocol.generation = self._generation  # also where nothing leaves on it for now
        try:
            exchange.leave()
            if self._loop.time() >= exchange.leaves_by:
                # Its call ends in this turn, or the next: it would leave, and be in doubt at once.
                # Last of all: the process may stand still while the other looks are taken.
                raise TimeoutError
        except BaseException:
            connection.release()
            raise
        exchange.connections = self
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


def _head_of(message: RawResponseMessage, received_at: float) -> Reply:
    """Return an answer without its body."""
    headers = message.headers
    return Reply(
        status=message.code,
        body=b"",
        received_at=received_at,
        retry_after=headers.get("Retry-After"),
        location=headers.get("Location"),
        content_type=media_type(headers.get("Content-Type")),
        server_date=headers.get("Date"),
    )


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
    if _is_of_a_proxy(error):
        return Fault(FaultKind.PROXY_REFUSED, _describe_proxy_error(error, detail))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        unknown = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
        return Fault(FaultKind.NO_SUCH_HOST if unknown else FaultKind.NOT_CONNECTED, detail)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Fault(FaultKind.TLS_REFUSED, detail)
    timed_out = isinstance(error, TimeoutError)
    return Fault(FaultKind.NOT_CONNECTED, "no connection in time" if timed_out else detail)


def _is_of_a_proxy(error: Exception) -> bool:
    """Whether an error that came before there was a connection to the CA is a proxy's doing."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error, aiohttp.ClientProxyConnectionError)
    return isinstance(
        error, aiohttp.ClientResponseError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    )


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
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed it"  # its own text is the inside of a half-read answer
    elif isinstance(error, aiohttp.ClientOSError) and error.strerror:
        return error.strerror
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
