"""Where no connection comes about, or none that is trusted, nothing was sent or is in doubt."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp.client_reqrep import ConnectionKey

from batch_resend.certcentral.wire import classify
from batch_resend.model import Fault, FaultKind, Reply
from tests.certcentral.conftest import LONG_S, ORDER, SHORT_S, assert_never_sent, ca_at, free_port
from tests.certcentral.fault_server import NO_CONTENT, FaultServer, Step, Visit, says

pytestmark = pytest.mark.asyncio

HELLO = 5  # bytes of the record that begins a handshake
REFUSED, NOT_CONNECTED = FaultKind.TLS_REFUSED, FaultKind.NOT_CONNECTED


def server_context(
    authority: trustme.CA, *names: str, until: datetime | None = None
) -> ssl.SSLContext:
    """Return a server's context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=until).configure_cert(context)
    return context


def pem_of(folder: Path, *authorities: trustme.CA) -> Path:
    """Write the certificates of authorities into a file."""
    path = folder / "trusted.pem"
    path.write_bytes(b"".join(authority.cert_pem.bytes() for authority in authorities))
    return path


# --- no connection ---------------------------------------------------------------------------


HOST = ConnectionKey("ca.example", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(
            aiohttp.ClientConnectorDNSError(HOST, socket.gaierror(socket.EAI_NONAME, "unknown")),
            FaultKind.NO_SUCH_HOST,
            id="a name that does not exist",
        ),
        pytest.param(
            aiohttp.ClientConnectorDNSError(HOST, socket.gaierror(socket.EAI_AGAIN, "try again")),
            NOT_CONNECTED,
            id="a name server that is away may come back",
        ),
        pytest.param(
            aiohttp.ClientConnectorError(HOST, OSError(101, "Network is unreachable")),
            NOT_CONNECTED,
            id="no network",
        ),
        pytest.param(aiohttp.InvalidURL("x"), NOT_CONNECTED, id="no address"),
        pytest.param(TimeoutError(), NOT_CONNECTED, id="too late to connect"),
    ],
)
async def test_an_error_without_a_connection_says_that_nothing_was_sent(
    error: Exception, kind: FaultKind
) -> None:
    fault = classify(error, connected=False)
    assert (fault.kind, fault.kind.may_have_arrived) == (kind, False)
    assert fault.detail


async def test_a_refused_connection_was_never_sent_over() -> None:
    base_url = f"http://127.0.0.1:{free_port()}"
    await assert_never_sent(base_url, NOT_CONNECTED)


async def test_to_a_name_that_does_not_resolve_nothing_was_sent() -> None:
    # Where no name server answers, nobody can say that there is no such name.
    kinds = FaultKind.NO_SUCH_HOST, NOT_CONNECTED
    await assert_never_sent("https://nosuch.invalid/services/v2", *kinds, timeout_s=2.0)


async def test_over_a_connection_that_does_not_come_about_in_time_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as held:
        address = full.getsockname()
        for _ in range(4):  # what does not fit the queue gets no answer at all
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        base_url = f"http://127.0.0.1:{address[1]}"
        await assert_never_sent(base_url, NOT_CONNECTED, timeout_s=SHORT_S)


async def test_a_request_that_is_not_to_leave_any_more_leaves_a_connection_unused() -> None:
    """What is asked directly before a request leaves can keep it from that."""

    def too_late() -> None:
        raise TimeoutError

    async with FaultServer(says(NO_CONTENT)) as server, ca_at(server.base_url) as ca:
        fault = await ca.resend(ORDER, too_late)
        assert (server.connections, server.requests) == (1, 0)
        assert isinstance(fault, Fault)
        assert not fault.kind.may_have_arrived
        assert isinstance(await ca.resend(ORDER), Reply)
        assert (server.connections, server.requests) == (1, 1)


# --- whom it trusts ---------------------------------------------------------------------------


async def test_a_server_of_a_trusted_ca_is_sent_to_and_its_connection_kept(
    authority: trustme.CA, untrusted: ssl.SSLContext, tmp_path: Path
) -> None:
    trusted = pem_of(tmp_path, authority)
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        for base_url in (server.base_url, server.base_url.replace("127.0.0.1", "localhost")):
            async with ca_at(base_url, trusted=trusted) as ca:
                for _ in range(2):
                    assert isinstance(await ca.resend(ORDER), Reply)
        assert (server.requests, server.connections) == (4, 2)


async def test_of_several_cas_in_the_file_each_is_trusted(
    authority: trustme.CA, untrusted: ssl.SSLContext, tmp_path: Path
) -> None:
    trusted = pem_of(tmp_path, trustme.CA(), authority)
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        async with ca_at(server.base_url, trusted=trusted) as ca:
            assert isinstance(await ca.resend(ORDER), Reply)
        assert server.requests == 1


async def test_with_a_file_the_systems_own_cas_are_not_trusted_as_well(
    authority: trustme.CA,
    untrusted: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    systems = tmp_path / "system.pem"
    authority.cert_pem.write_to_path(str(systems))
    monkeypatch.setenv("SSL_CERT_FILE", str(systems))  # OpenSSL's name for the system's file
    assert ssl.create_default_context().get_ca_certs()
    trusted = pem_of(tmp_path, trustme.CA())
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        await assert_never_sent(server.base_url, REFUSED, trusted=trusted, said="verify failed")
        assert server.requests == 0


def own(_authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """Return the context of a server with a certificate that vouches for itself."""
    itself = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = folder / "own.pem"
    chain.write_bytes(itself.private_key_pem.bytes() + itself.cert_pem.bytes())
    context.load_cert_chain(chain)
    return context


def good(authority: trustme.CA, _folder: Path) -> ssl.SSLContext:
    return server_context(authority, "127.0.0.1")


def expired(authority: trustme.CA, _folder: Path) -> ssl.SSLContext:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return server_context(authority, "127.0.0.1", until=yesterday)


@pytest.mark.parametrize(
    ("context", "trusts", "said"),
    [
        pytest.param(good, "the system's", "unable to get local issuer", id="unknown there"),
        pytest.param(good, "another", "verify failed", id="not in the file"),
        pytest.param(own, "another", "self-signed", id="that vouches for itself"),
        pytest.param(expired, "its own", "certificate has expired", id="expired"),
    ],
)
async def test_a_certificate_that_is_not_trusted_is_refused(
    authority: trustme.CA,
    tmp_path: Path,
    context: Callable[[trustme.CA, Path], ssl.SSLContext],
    trusts: str,
    said: str,
) -> None:
    one = authority if trusts == "its own" else trustme.CA()
    trusted = None if trusts == "the system's" else pem_of(tmp_path, one)
    async with FaultServer(says(NO_CONTENT), tls=context(authority, tmp_path)) as server:
        await assert_never_sent(server.base_url, REFUSED, trusted=trusted, said=said)
        assert server.requests == 0


@pytest.mark.parametrize("name", ["ca.example", "127.0.0.2", "*.localhost", "127.0.0.1.example"])
async def test_a_certificate_of_another_host_is_refused(
    authority: trustme.CA, tmp_path: Path, name: str
) -> None:
    trusted = pem_of(tmp_path, authority)
    async with FaultServer(says(NO_CONTENT), tls=server_context(authority, name)) as server:
        for host in ("127.0.0.1", "localhost"):
            base_url = server.base_url.replace("127.0.0.1", host)
            said = f"not valid for '{host}'"
            await assert_never_sent(base_url, REFUSED, trusted=trusted, said=said)
        assert server.requests == 0


# --- a handshake that breaks ------------------------------------------------------------------

ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # fatal: handshake_failure
NO_HELLO = b"\x16\x03\x03\x00\x04nope"
HALF_A_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03half"


def after_hello(data: bytes, then: str) -> Step:
    """Read into the client's first words, say something, and end there."""

    async def step(visit: Visit) -> None:
        await visit.reader.readexactly(HELLO)
        if data:
            await visit.send(data)
        if then == "hangs":
            await visit.hang()
        elif then == "resets":
            visit.reset()
        else:
            visit.close()

    return step


@pytest.mark.parametrize("then", ["closes", "resets", "hangs"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="without a word"),
        pytest.param(HALF_A_HELLO, id="within its hello"),
    ],
)
async def test_a_connection_that_breaks_within_the_handshake_was_never_sent_over(
    data: bytes, then: str
) -> None:
    kinds = (NOT_CONNECTED,) if then == "hangs" else (NOT_CONNECTED, REFUSED)
    async with FaultServer(after_hello(data, then)) as server:
        base_url = server.base_url.replace("http:", "https:")
        timeout_s = SHORT_S if then == "hangs" else LONG_S
        await assert_never_sent(base_url, *kinds, timeout_s=timeout_s)
        assert server.connections == 1
        assert server.requests == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ALERT, id="an alert"),
        pytest.param(NO_HELLO, id="a message of no sense"),
        pytest.param(b"HTTP/1.1 400 No TLS here\r\n\r\n", id="plain HTTP"),
    ],
)
async def test_a_handshake_that_the_server_refuses_is_told_as_that(data: bytes) -> None:
    async with FaultServer(after_hello(data, "closes")) as server:
        base_url = server.base_url.replace("http:", "https:")
        await assert_never_sent(base_url, REFUSED, said="")
        assert server.requests == 0
