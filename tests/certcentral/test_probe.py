"""How far a connection comes is said step by step, and no request is made on the way."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from batch_resend.certcentral import Failure, Probe, Route, Step, probe
from tests.certcentral.conftest import LONG_S, free_port
from tests.certcentral.fault_server import (
    NO_CONTENT,
    FaultServer,
    answer,
    closes_after_head,
    closes_at_once,
    hangs_after_head,
    hangs_at_once,
    resets_at_once,
    says,
)
from tests.certcentral.test_no_connection import pem_of, server_context
from tests.cli.conftest import until
from tests.cli.connect_proxy import OPENED, ConnectProxy, refuses, tunnels_to

pytestmark = pytest.mark.asyncio

URL = "https://ca.test/services/v2"  # a name that no name server knows
HANGING_S = 1.0  # time enough to connect, on a busy machine too
USER, PASSWORD = "someone", "hunter2-of-the-proxy"


def https(server: FaultServer) -> str:
    """Return where a server is, if it spoke TLS."""
    return f"https://127.0.0.1:{server.port}/services/v2"


# --- without a proxy ----------------------------------------------------------------------------


async def test_a_way_that_is_open_is_walked_to_its_end_and_nothing_is_sent(
    authority: trustme.CA, tmp_path: Path
) -> None:
    expires_at = datetime.now(UTC) + timedelta(days=30)
    tls = server_context(authority, "127.0.0.1", until=expires_at)
    async with FaultServer(says(NO_CONTENT), tls=tls) as server:
        found = await probe(server.base_url, Route(pem_of(tmp_path, authority)), LONG_S)
        assert found.failure is None
        assert (found.host, found.port, found.proxy) == ("127.0.0.1", server.port, None)
        assert (found.addresses, found.connected_to) == (("127.0.0.1",), "127.0.0.1")
        assert found.certificate is not None
        assert "trustme" in found.certificate.issuer
        assert found.certificate.expires_at == pytest.approx(expires_at.timestamp(), abs=2)
        assert found.certificate.tls_version == "TLSv1.3"
        await until(lambda: server.connections)  # its end of the handshake may come later
        assert (server.connections, server.requests) == (1, 0)


async def test_of_plain_http_on_loopback_no_certificate_is_expected() -> None:
    async with FaultServer(says(NO_CONTENT)) as server:
        found = await probe(server.base_url, Route(), LONG_S)
        assert (found.failure, found.is_encrypted, found.certificate) == (None, False, None)
        assert server.requests == 0


async def test_a_name_without_an_address_is_said_to_be_that() -> None:
    found = await probe("https://no-such-host.invalid/services/v2", Route(), LONG_S)
    assert found.failure is not None
    assert found.failure.step is Step.NAME
    assert found.failure.reason
    assert found.addresses == ()


@pytest.mark.parametrize("host", ["a..example", "x" * 64 + ".example"])
async def test_what_is_no_host_name_has_no_address_either(host: str) -> None:
    found = await probe(f"https://{host}/services/v2", Route(), LONG_S)
    assert found.failure is not None
    assert found.failure.step is Step.NAME


async def test_a_port_where_nobody_listens_is_said_to_refuse() -> None:
    found = await probe(f"https://127.0.0.1:{free_port()}/services/v2", Route(), LONG_S)
    assert found.failure == Failure(Step.CONNECTION, "Connection refused")


async def test_of_several_addresses_one_that_takes_the_connection_is_enough() -> None:
    async with FaultServer(says(NO_CONTENT)) as server:  # at 127.0.0.1 alone
        url = f"http://localhost:{server.port}/services/v2"
        found = await probe(url, Route(), LONG_S)
    assert found.failure is None
    assert found.connected_to == "127.0.0.1"


def of_another_host(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "ca.example")


def expired(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority, "127.0.0.1", until=datetime.now(UTC) - timedelta(days=1))


def of_an_unknown_authority(_: trustme.CA) -> ssl.SSLContext:
    return server_context(trustme.CA(), "127.0.0.1")


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (of_another_host, "not valid for '127.0.0.1'"),
        (expired, "certificate has expired"),
        (of_an_unknown_authority, "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_is_not_trusted_is_said_to_be_so_and_why(
    authority: trustme.CA,
    tmp_path: Path,
    context: Callable[[trustme.CA], ssl.SSLContext],
    said: str,
) -> None:
    async with FaultServer(says(NO_CONTENT), tls=context(authority)) as server:
        found = await probe(server.base_url, Route(pem_of(tmp_path, authority)), LONG_S)
        assert found.failure is not None
        assert found.failure.step is Step.TLS
        assert said in found.failure.reason
        assert server.requests == 0


async def test_a_server_that_speaks_no_tls_or_breaks_off_fails_at_that_step() -> None:
    for step in (says(answer(200)), closes_at_once, resets_at_once):
        async with FaultServer(step) as server:
            found = await probe(https(server), Route(), LONG_S)
            assert found.failure is not None
            assert found.failure.step is Step.TLS
            assert found.failure.reason
            assert found.addresses == ("127.0.0.1",)


async def test_each_step_is_waited_for_no_longer_than_it_may_take() -> None:
    async with FaultServer(hangs_at_once) as server:
        found = await probe(https(server), Route(), HANGING_S)
        assert found.failure == Failure(Step.TLS, f"no answer within {HANGING_S:g} s")


# --- through a proxy ----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_asked_for_a_tunnel_and_hears_its_password_and_nothing_else(
    authority: trustme.CA, tmp_path: Path, scheme: str
) -> None:
    own = server_context(authority, "127.0.0.1") if scheme == "https" else None
    ca_file = pem_of(tmp_path, authority)
    async with (
        FaultServer(says(NO_CONTENT), tls=server_context(authority, "ca.test")) as ca,
        ConnectProxy(tunnels_to(ca.port), tls=own) as proxy,
    ):
        url = f"{scheme}://{USER}:{PASSWORD}@{proxy.address}"
        found = await probe(URL, Route(ca_file, url), LONG_S)
        assert found.failure is None
        assert found.proxy == proxy.address
        assert found.certificate is not None
        (head,) = proxy.heads
        assert head.startswith(b"CONNECT ca.test:443 HTTP/1.1\r\nHost: ca.test:443\r\n")
        assert b"Proxy-Authorization: Basic " in head
        assert ca.requests == 0
    assert_password_unsaid(found)


REFUSALS = {
    "403": (refuses(answer(403, b"<html>")), 403, "it says 403 Said"),
    "407": (refuses(answer(407)), 407, "it says 407 Said"),
    "a redirect": (refuses(answer(302)), 302, "it says 302 Said"),
    "closes at once": (closes_at_once, None, ""),
    "closes once it has read": (closes_after_head, None, "it closed the connection"),
    "says no HTTP": (refuses(b"SSH-2.0-OpenSSH_9.6\r\n"), None, "its answer is not HTTP"),
    "says half a line": (refuses(b"HTTP/1.1 \r\n\r\n"), None, "its answer is not HTTP"),
    "says too much": (refuses(b"x" * 100_000), None, "its answer is not HTTP"),
    "hangs": (hangs_after_head, None, f"no answer within {HANGING_S:g} s"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_proxy_that_opens_no_tunnel_is_quoted_without_its_password(case: str) -> None:
    step, status, said = REFUSALS[case]
    async with ConnectProxy(step) as proxy:
        url = f"http://{USER}:{PASSWORD}@{proxy.address}"
        found = await probe(URL, Route(proxy=url), HANGING_S if case == "hangs" else LONG_S)
    assert found.failure is not None
    assert found.failure.step is Step.TUNNEL
    assert found.failure.status == status
    assert said in found.failure.reason
    assert_password_unsaid(found)


async def test_a_proxy_that_is_not_there_is_not_taken_for_the_ca() -> None:
    port = free_port()
    found = await probe(URL, Route(proxy=f"http://127.0.0.1:{port}"), LONG_S)
    assert found.proxy == f"127.0.0.1:{port}"
    assert found.failure == Failure(Step.CONNECTION, "Connection refused")


async def test_a_tunnel_that_leads_to_another_ends_at_the_certificate(tmp_path: Path) -> None:
    own, false_ca = trustme.CA(), trustme.CA()
    async with (
        FaultServer(says(NO_CONTENT), tls=server_context(false_ca, "ca.test")) as server,
        ConnectProxy(tunnels_to(server.port)) as proxy,
    ):
        route = Route(pem_of(tmp_path, own), f"http://{proxy.address}")
        found = await probe(URL, route, LONG_S)
        assert found.failure is not None
        assert found.failure.step is Step.TLS
        assert server.requests == 0
    assert OPENED  # the proxy did its part


async def test_a_proxy_whose_own_certificate_is_not_trusted_is_said_to_be_that(
    tmp_path: Path,
) -> None:
    tls = server_context(trustme.CA(), "127.0.0.1")
    async with ConnectProxy(refuses(answer(403)), tls=tls) as proxy:
        route = Route(pem_of(tmp_path, trustme.CA()), f"https://{proxy.address}")
        found = await probe(URL, route, LONG_S)
        assert found.failure is not None
        assert found.failure.step is Step.PROXY_TLS
        assert proxy.requests == 0


def assert_password_unsaid(found: Probe) -> None:
    assert PASSWORD not in repr(found)
