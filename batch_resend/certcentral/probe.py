"""How far a connection to the CA comes: name, TCP, proxy, TLS, each step by itself.

No HTTP request is made of the CA, so nothing counts in its rate limits, and no key leaves. A
session of `client` takes the same steps, but says only that one of them failed.
"""

import os
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import anyio
import anyio.to_thread
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSStream

from batch_resend.certcentral.client import Route
from batch_resend.settings import PORTS

_MAX_HEAD_BYTES = 16 * 1024  # of a proxy's answer to CONNECT
_BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


class Step(StrEnum):
    """What has to succeed before a request can leave, in this order."""

    NAME = "name"  # the name of the host, or of the proxy, has an address
    CONNECTION = "connection"  # TCP to one of its addresses
    PROXY_TLS = "proxy_tls"  # TLS to a proxy that is reached by https
    TUNNEL = "tunnel"  # the proxy connects to the host
    TLS = "tls"  # the host's certificate is trusted


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a host shows of itself, once it is trusted."""

    issuer: str  # the organization that vouches for it, or its common name
    expires_at: float  # seconds since the epoch
    tls_version: str


@dataclass(frozen=True, slots=True)
class Failure:
    """At which step a connection failed, and why."""

    step: Step
    reason: str  # as the system, TLS or the proxy has it; no secret
    status: int | None = None  # of a proxy that refused


@dataclass(frozen=True, slots=True)
class Probe:
    """How far a connection came."""

    host: str  # the CA's
    port: int
    proxy: str | None = None  # its host and port; None: it was not needed
    addresses: tuple[str, ...] = ()  # of what was connected to: the proxy, or else the host
    connected_to: str | None = None  # the one address that took the connection
    certificate: Certificate | None = None  # None: not reached, or plain HTTP
    is_encrypted: bool = True
    failure: Failure | None = None


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


async def probe(base_url: str, route: Route, timeout_s: float) -> Probe:
    """Connect to the CA and close again; say how far that came. `timeout_s` is for each step."""
    target = urlsplit(base_url)
    found = Probe(
        target.hostname or "",
        _port(target),
        proxy=None if route.proxy is None else _address(urlsplit(route.proxy)),
        is_encrypted=target.scheme == "https",
    )
    walk = _Walk(found, target, route, timeout_s)
    try:
        await walk.go()
    except _Failed as error:
        return replace(walk.found, failure=error.failure)
    return walk.found


class _Walk:
    """One connection on its way; `found` is what is known so far."""

    def __init__(self, found: Probe, target: SplitResult, route: Route, timeout_s: float) -> None:
        self.found = found
        self._target = target
        self._proxy = None if route.proxy is None else urlsplit(route.proxy)
        self._context = ssl.create_default_context(cafile=route.ca_file)
        self._timeout_s = timeout_s

    async def go(self) -> None:
        """Take all steps. Raises _Failed at the first that fails."""
        first = self._proxy or self._target
        await self._resolve(first)
        async with self._connected(first) as connection:
            way: AnyByteStream = connection
            if self._proxy is not None:
                if self._proxy.scheme.lower() == "https":
                    way = await self._encrypted(way, self._proxy, Step.PROXY_TLS)
                await self._tunnel(way, self._proxy)
            if self.found.is_encrypted:
                encrypted = await self._encrypted(way, self._target, Step.TLS)
                self.found = replace(self.found, certificate=_certificate(encrypted))

    async def _resolve(self, url: SplitResult) -> None:
        async with self._step(Step.NAME):
            # In a thread that can be left behind: name servers that are gone take half a minute.
            infos = await anyio.to_thread.run_sync(
                lambda: socket.getaddrinfo(url.hostname, _port(url), type=socket.SOCK_STREAM),
                abandon_on_cancel=True,
            )
        addresses = dict.fromkeys(str(info[4][0]) for info in infos)
        self.found = replace(self.found, addresses=tuple(addresses))

    @asynccontextmanager
    async def _connected(self, url: SplitResult) -> AsyncIterator[AnyByteStream]:
        async with self._step(Step.CONNECTION):
            stream = await anyio.connect_tcp(url.hostname or "", _port(url))
        # None where it is reset already.
        address = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django's
        self.found = replace(self.found, connected_to=str(address[0]) if address else None)
        try:
            yield stream
        finally:
            await anyio.aclose_forcefully(stream)

    async def _encrypted(self, stream: AnyByteStream, url: SplitResult, step: Step) -> TLSStream:
        async with self._step(step):
            return await TLSStream.wrap(
                stream, hostname=url.hostname, ssl_context=self._context, standard_compatible=False
            )

    async def _tunnel(self, stream: AnyByteStream, proxy: SplitResult) -> None:
        """Ask a proxy for a way to the CA (RFC 9110, 9.3.6)."""
        async with self._step(Step.TUNNEL):
            await stream.send(_connect_request(self._target, proxy))
            reader = BufferedByteReceiveStream(stream)
            try:
                head = await reader.receive_until(b"\r\n\r\n", _MAX_HEAD_BYTES)
            except anyio.IncompleteRead:
                detail = "its answer is not HTTP" if reader.buffer else "it closed the connection"
                raise _Failed(Failure(Step.TUNNEL, detail)) from None
            except anyio.DelimiterNotFound:
                raise _Failed(Failure(Step.TUNNEL, "its answer is not HTTP")) from None
        version, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        code, _, phrase = rest.partition(" ")
        if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit()):
            raise _Failed(Failure(Step.TUNNEL, "its answer is not HTTP"))
        if not 200 <= int(code) < 300:
            raise _Failed(Failure(Step.TUNNEL, f"it says {code} {phrase}".strip(), int(code)))

    @asynccontextmanager
    async def _step(self, step: Step) -> AsyncIterator[None]:
        """Bound a step in time, and say that it was this one that failed."""
        try:
            with anyio.fail_after(self._timeout_s):
                yield
        except TimeoutError as error:
            # The system's own is an OSError as well: `fail_after` raises one without a number.
            reason = (
                error.errno and os.strerror(error.errno)
            ) or f"no answer within {self._timeout_s:g} s"
            raise _Failed(Failure(step, reason)) from None
        except _BROKEN as error:
            raise _Failed(Failure(step, _reason(error))) from None
        except UnicodeError:
            raise _Failed(Failure(step, "it is not a host name")) from None


def _reason(error: Exception) -> str:
    """Return why a step failed, in the words of the system."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if not isinstance(error, OSError):
        return "it closed the connection"
    cause = error.__cause__
    if error.errno is None and cause is not None:
        # Of several addresses each has failed by itself.
        causes = cause.exceptions if isinstance(cause, ExceptionGroup) else (cause,)
        reasons = (_of_system(one) for one in causes if isinstance(one, OSError))
        return "; ".join(dict.fromkeys(reasons)) or str(error)
    return _of_system(error)


def _of_system(error: OSError) -> str:
    """Return the system's own words; Python has others for some, with the address in them."""
    if error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _certificate(stream: TLSStream) -> Certificate:
    tls = stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - not Django's
    shown = cast("dict[str, Any]", tls.getpeercert())  # there is one, for it was verified
    issuer = dict(pair for names in shown["issuer"] for pair in names)
    return Certificate(
        issuer.get("organizationName") or issuer.get("commonName") or "an authority without a name",
        float(ssl.cert_time_to_seconds(shown["notAfter"])),
        tls.version() or "TLS",
    )


def _connect_request(target: SplitResult, proxy: SplitResult) -> bytes:
    authority = _address(target)
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.username is not None:
        pair = b":".join(unquote_to_bytes(word or "") for word in (proxy.username, proxy.password))
        lines.append(f"Proxy-Authorization: Basic {b64encode(pair).decode()}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _port(url: SplitResult) -> int:
    return url.port or PORTS[url.scheme.lower()]


def _address(url: SplitResult) -> str:
    host = url.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{_port(url)}"
