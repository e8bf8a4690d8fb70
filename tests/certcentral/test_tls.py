"""Over TLS: whom the client trusts, and that nothing is sent to anyone else."""

import ssl
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from batch_resend.certcentral import CertCentral, Route, judge, open_certcentral
from batch_resend.model import Fault, FaultKind, Reply, Ruling
from tests.certcentral.conftest import KEY, LONG_S, ORDER, SHORT_S
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


def ca_trusting(
    base_url: str, trusted: Path | None, timeout_s: float = LONG_S
) -> AbstractAsyncContextManager[CertCentral]:
    """Open the client under test with certificates of its own to trust."""
    return open_certcentral(base_url, SecretStr(KEY), timeout_s, route=Route(ca_file=trusted))


async def assert_never_sent(
    server: FaultServer, base_url: str, trusted: Path | None, kinds: set[FaultKind], said: str
) -> None:
    timeout_s = SHORT_S if kinds == {NOT_CONNECTED} else LONG_S
    async with ca_trusting(base_url, trusted, timeout_s) as ca:
        fault = await ca.resend(ORDER)
    assert isinstance(fault, Fault)
    assert fault.kind in kinds, fault
    assert not fault.kind.may_have_arrived
    assert judge(fault).ruling is Ruling.UNAVAILABLE
    assert said in fault.detail
    assert "object at 0x" not in fault.detail  # nothing of Python's insides
    assert "None" not in fault.detail
    assert KEY not in fault.detail
    assert server.requests == 0


# --- whom it trusts ---------------------------------------------------------------------------


async def test_a_server_of_a_trusted_ca_is_sent_to_and_its_connection_kept(
    authority: trustme.CA, untrusted: ssl.SSLContext, tmp_path: Path
) -> None:
    trusted = pem_of(tmp_path, authority)
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        for base_url in (server.base_url, server.base_url.replace("127.0.0.1", "localhost")):
            async with ca_trusting(base_url, trusted) as ca:
                for _ in range(2):
                    assert isinstance(await ca.resend(ORDER), Reply)
        assert (server.requests, server.connections) == (4, 2)


async def test_of_several_cas_in_the_file_each_is_trusted(
    authority: trustme.CA, untrusted: ssl.SSLContext, tmp_path: Path
) -> None:
    trusted = pem_of(tmp_path, trustme.CA(), authority)
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        async with ca_trusting(server.base_url, trusted) as ca:
            assert isinstance(await ca.resend(ORDER), Reply)
        assert server.requests == 1


async def test_a_ca_that_the_system_does_not_know_is_refused(untrusted: ssl.SSLContext) -> None:
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        said = "unable to get local issuer certificate"
        await assert_never_sent(server, server.base_url, None, {REFUSED}, said)


async def test_a_ca_that_is_not_in_the_file_is_refused(
    untrusted: ssl.SSLContext, tmp_path: Path
) -> None:
    trusted = pem_of(tmp_path, trustme.CA())
    async with FaultServer(says(NO_CONTENT), tls=untrusted) as server:
        await assert_never_sent(server, server.base_url, trusted, {REFUSED}, "verify failed")


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
        await assert_never_sent(server, server.base_url, trusted, {REFUSED}, "verify failed")


# --- a certificate that does not fit ----------------------------------------------------------


@pytest.mark.parametrize("name", ["ca.example", "127.0.0.2", "*.localhost", "127.0.0.1.example"])
async def test_a_certificate_of_another_host_is_refused(
    authority: trustme.CA, tmp_path: Path, name: str
) -> None:
    trusted = pem_of(tmp_path, authority)
    async with FaultServer(says(NO_CONTENT), tls=server_context(authority, name)) as server:
        said = "certificate is not valid for '127.0.0.1'"
        await assert_never_sent(server, server.base_url, trusted, {REFUSED}, said)
        base_url = server.base_url.replace("127.0.0.1", "localhost")
        await assert_never_sent(server, base_url, trusted, {REFUSED}, "not valid for 'localhost'")


async def test_an_expired_certificate_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    context = server_context(authority, "127.0.0.1", until=yesterday)
    trusted = pem_of(tmp_path, authority)
    async with FaultServer(says(NO_CONTENT), tls=context) as server:
        said = "certificate has expired"
        await assert_never_sent(server, server.base_url, trusted, {REFUSED}, said)


async def test_a_certificate_that_vouches_for_itself_is_refused(tmp_path: Path) -> None:
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = tmp_path / "own.pem"
    chain.write_bytes(own.private_key_pem.bytes() + own.cert_pem.bytes())
    context.load_cert_chain(chain)
    trusted = pem_of(tmp_path, trustme.CA())
    async with FaultServer(says(NO_CONTENT), tls=context) as server:
        await assert_never_sent(server, server.base_url, trusted, {REFUSED}, "self-signed")


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
    kinds = {NOT_CONNECTED} if then == "hangs" else {NOT_CONNECTED, REFUSED}
    async with FaultServer(after_hello(data, then)) as server:
        base_url = server.base_url.replace("http:", "https:")
        await assert_never_sent(server, base_url, None, kinds, "")
        assert server.connections == 1


@pytest.mark.parametrize(
    "data", [pytest.param(ALERT, id="an alert"), pytest.param(NO_HELLO, id="a message of no sense")]
)
async def test_a_handshake_that_the_server_refuses_is_told_as_that(data: bytes) -> None:
    async with FaultServer(after_hello(data, "closes")) as server:
        base_url = server.base_url.replace("http:", "https:")
        await assert_never_sent(server, base_url, None, {REFUSED}, "")
