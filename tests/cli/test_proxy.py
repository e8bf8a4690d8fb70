"""Over https and through a proxy: whom a run trusts, and what it says where it does not."""

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from tests.certcentral.conftest import free_port
from tests.certcentral.fault_server import (
    Step,
    answer,
    closes_after_head,
    closes_at_once,
    hangs_after_head,
    resets_after_head,
)
from tests.cli.conftest import KEY, Desk, Ended, assert_adds_up, results
from tests.cli.connect_proxy import OPENED, ConnectProxy, refuses, tunnels_to
from tests.cli.counting_server import Call, CountingServer

BASE_URL = "https://ca.test/services/v2"  # a name that no name server knows
USER, PASSWORD = "someone", "hunter2-of-the-proxy"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode())
HTML = b"<html><title>No way</title></html>"
NEVER_SENT = {"proxy_refused", "not_connected"}


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return a TLS server's context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest_asyncio.fixture
async def ca(authority: trustme.CA) -> AsyncIterator[CountingServer]:
    """Return a CA that is https://ca.test to whoever is led there."""
    names = ("ca.test", "127.0.0.1", "localhost")
    async with CountingServer(Call.accept, tls=context_for(authority, *names)) as server:
        yield server


@pytest.fixture
def at_desk(tmp_path: Path, authority: trustme.CA) -> Desk:
    """Return a folder to work in, with a list and the CA's certificate."""
    desk = Desk(tmp_path, BASE_URL)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    desk.write("orders.csv", "order_id\n100200301\n100200302\n100200303\n")
    desk.environment |= {
        "BATCH_RESEND_LIMIT": "none",
        "BATCH_RESEND_CA_FILE": str(tmp_path / "ca.pem"),
        "BATCH_RESEND_PATIENCE": "1s",
    }
    return desk


async def send(desk: Desk, *arguments: str, proxy: str, name: str = "HTTPS_PROXY") -> Ended:
    """Send the list, with a proxy in the environment."""
    desk.environment[name] = proxy
    return await desk.run("send", "orders.csv", "-v", *arguments)


# --- through it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scheme", "user"),
    [
        ("HTTPS_PROXY", "http", ""),
        ("all_proxy", "http", ""),
        ("HTTPS_PROXY", "http", f"{USER}:{PASSWORD}@"),
        ("HTTPS_PROXY", "https", ""),
    ],
)
async def test_the_requests_go_through_the_tunnel_and_the_proxy_hears_nothing_of_them(
    ca: CountingServer, at_desk: Desk, authority: trustme.CA, *, name: str, scheme: str, user: str
) -> None:
    tls = context_for(authority, "127.0.0.1") if scheme == "https" else None
    async with ConnectProxy(tunnels_to(ca.port), tls=tls) as proxy:
        url = f"{scheme}://{user}{proxy.address}"
        sent = await send(at_desk, "--trust-env", proxy=url, name=name)
    assert sent.code == 0, sent.err
    assert ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 1)
    assert proxy.heads
    for head in proxy.heads:
        assert head.startswith(b"CONNECT ca.test:443 HTTP/1.1\r\n")
        assert (b"Proxy-Authorization: Basic " + BASIC in head) == bool(user)
    assert all(b"uthorization" not in head for head in ca.heads)
    assert len(proxy.told) > 3 * 100  # the requests did pass here
    for secret in (KEY.encode(), KEY[:12].encode(), b"DEVKEY", b"resend-emails"):
        assert secret not in proxy.told
    assert_not_told(at_desk, sent)


# --- past it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("exempt", [None, "ca.test", ".test", "elsewhere.example, CA.TEST"])
async def test_without_the_flag_or_for_a_host_that_no_proxy_names_none_is_connected_to(
    ca: CountingServer, at_desk: Desk, exempt: str | None
) -> None:
    flags = () if exempt is None else ("--trust-env",)
    async with ConnectProxy(tunnels_to(ca.port)) as proxy:
        at_desk.environment |= {"ALL_PROXY": f"http://{proxy.address}", "NO_PROXY": exempt or ""}
        sent = await send(at_desk, *flags, proxy=f"http://{proxy.address}")
        assert sent.code == 4
        assert proxy.connections == 0
    assert ca.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_is_reached_past_any_proxy(
    ca: CountingServer, at_desk: Desk, host: str
) -> None:
    base_url = ca.base_url.replace("127.0.0.1", host)
    async with ConnectProxy(refuses(answer(403))) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            at_desk.environment[name] = f"http://{proxy.address}"
        url = f"http://{proxy.address}"
        sent = await send(at_desk, "--trust-env", "--base-url", base_url, proxy=url)
        assert proxy.connections == 0
    assert sent.code == 0, sent.err
    assert ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 1)


# --- refused ------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[Step | None, str]] = {
    "403": (refuses(answer(403, HTML)), "the proxy says 403"),
    "407": (refuses(answer(407, HTML, "Proxy-Authenticate: Basic")), "the proxy says 407"),
    "502": (refuses(answer(502, HTML)), "the proxy says 502"),
    "a redirect": (refuses(answer(302, b"", f"Location: {BASE_URL}")), "the proxy says 302"),
    "closes at once": (closes_at_once, "the proxy broke off"),
    "closes after it has read": (closes_after_head, "the proxy broke off"),
    "resets after it has read": (resets_after_head, "the proxy broke off"),
    "closes the tunnel": (refuses(OPENED), "no connection to ca.test:443: "),
    "says no HTTP": (refuses(b"SSH-2.0-OpenSSH_9.6\r\n"), "the proxy's answer is not HTTP"),
    "hangs": (hangs_after_head, "no connection in time"),
    "nobody there": (None, "the proxy cannot be reached"),
}  # fmt: skip


@pytest.mark.parametrize(("step", "said"), REFUSALS.values(), ids=REFUSALS)
async def test_a_proxy_that_opens_no_way_leaves_no_request_in_doubt_and_its_password_unsaid(
    at_desk: Desk, step: Step | None, said: str
) -> None:
    async with ConnectProxy(step or closes_at_once) as proxy:
        port = proxy.port if step else free_port()
        url = f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"
        flags = ("--trust-env", "--max-attempts", "1", "--timeout", "0.4s", "--in-doubt", "hold")
        ended = await send(at_desk, *flags, proxy=url)
        assert proxy.connections == (3 if step else 0)
    assert ended.code == 3, ended.err
    assert_adds_up(at_desk.summary())
    assert at_desk.summary()["requests"]["possible_duplicates"] == 0
    for line in results(at_desk.report()):
        assert line["status"] == "failed"
        assert line["error_code"] in NEVER_SENT
        assert said in line["error_message"]
        assert said in ended.err
    assert_not_told(at_desk, ended)


async def test_a_run_that_a_proxy_lets_nowhere_stops_and_says_that_it_is_the_proxy(
    at_desk: Desk,
) -> None:
    async with ConnectProxy(refuses(answer(403))) as proxy:
        at_desk.write_list(20)
        stopped = await send(at_desk, "--trust-env", proxy=f"http://{proxy.address}")
    assert stopped.code == 4
    assert "the proxy says 403" in stopped.out
    assert at_desk.summary()["orders"]["in_doubt"] == 0


@pytest.mark.parametrize(
    "url",
    [
        f"socks5://{USER}:{PASSWORD}@127.0.0.1:1080",
        f"http://{USER}:{PASSWORD}@127.0.0.1:port",
        f"http://{USER}:{PASSWORD}/#@127.0.0.1:3128",
    ],
)
async def test_what_is_no_proxy_ends_in_one_line_that_does_not_show_its_password(
    at_desk: Desk, url: str
) -> None:
    refused = await send(at_desk, "--trust-env", proxy=url)
    assert_not_told(at_desk, refused)
    assert refused.code == 1
    assert refused.out == ""
    line, empty = refused.err.split("\n")
    assert line.startswith("batch-resend: the proxy that the environment names cannot be used")
    assert "http://HOST:PORT" in line
    assert not empty
    assert not (at_desk.folder / "reports").exists()


# --- ~/.netrc -----------------------------------------------------------------------------------


async def test_credentials_of_a_netrc_reach_neither_the_ca_nor_the_proxy(
    ca: CountingServer, at_desk: Desk
) -> None:
    hosts = ("ca.test", "127.0.0.1", "localhost")
    entries = [f"machine {host} login {USER} password {PASSWORD}" for host in hosts]
    netrc = at_desk.write(".netrc", "\n".join([*entries, f"default login x password {PASSWORD}"]))
    netrc.chmod(0o600)
    at_desk.environment["NETRC"] = str(netrc)
    async with ConnectProxy(tunnels_to(ca.port)) as proxy:
        url = f"http://{proxy.address}"
        through = await send(at_desk, "--trust-env", proxy=url)
        past = await send(at_desk, "--base-url", ca.base_url, "--report-dir", "past", proxy=url)
    assert (through.code, past.code) == (0, 0), through.err + past.err
    assert ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 2)
    assert proxy.requests > 0
    assert [head for head in (*ca.heads, *proxy.heads) if b"uthorization" in head] == []


def assert_not_told(desk: Desk, ended: Ended) -> None:
    """Check that the proxy's password stands in nothing that was said or written."""
    written = b"".join(path.read_bytes() for path in desk.folder.rglob("*") if path.is_file())
    told = written + ended.out.encode() + ended.err.encode()
    assert PASSWORD.encode() not in told
    assert BASIC not in told


# --- whom a run trusts --------------------------------------------------------------------------


async def test_a_ca_that_no_file_names_stops_the_run_before_a_request_and_it_is_said_what_to_do(
    ca: CountingServer, at_desk: Desk
) -> None:
    at_desk.environment["BATCH_RESEND_BASE_URL"] = ca.base_url
    del at_desk.environment["BATCH_RESEND_CA_FILE"]
    stopped = await at_desk.run("send", "orders.csv")
    assert stopped.code == 4, stopped.err
    for told in (stopped.err, stopped.out):
        assert f"{ca.base_url} cannot be reached" in told
        assert "unable to get local issuer certificate" in told
        assert "--ca-file" in told
        assert "Traceback" not in told
    summary = at_desk.summary()
    assert_adds_up(summary)
    assert summary["orders"]["not_attempted"] == 3
    assert summary["requests"]["possible_duplicates"] == 0
    assert ca.requests == 0
    assert (await at_desk.run("resume", "--ca-file", "ca.pem", "--report-dir", "later")).code == 0
    assert ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.pem", "No such file or directory"),
        (".", "Is a directory"),
        ("orders.csv", "holds no certificates (PEM)"),
        ("half.pem", "holds no certificates (PEM)"),
        ("key.pem", "holds no certificates (PEM)"),
        ("/dev/null", "holds no certificates (PEM)"),
    ],
)
async def test_a_file_that_holds_no_certificates_is_named_in_one_line_and_nothing_starts(
    ca: CountingServer, at_desk: Desk, authority: trustme.CA, *, name: str, reason: str
) -> None:
    at_desk.write("half.pem", authority.cert_pem.bytes().decode()[:300])
    at_desk.write("key.pem", authority.private_key_pem.bytes().decode())
    flags = ("--base-url", ca.base_url, "--ca-file", name)
    refused = await at_desk.run("send", "orders.csv", *flags)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"batch-resend: --ca-file: {name}: {reason}\n"
    assert ca.connections == 0
    assert not (at_desk.folder / "reports").exists()
