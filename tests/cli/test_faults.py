"""Every class of fault, end to end: what the report says against what the server saw.

An order's first request meets the fault; whatever follows is accepted. The manual has the same
table, for operators.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.certcentral.conftest import free_port
from tests.certcentral.fault_server import Visit
from tests.cli.conftest import Desk, Ended, assert_adds_up, ended, results, until_told
from tests.cli.counting_server import (
    Call,
    CountingServer,
    Fate,
    accepts_and_closes,
    breaks_off,
    closes_after_headers,
    closes_within_body,
    in_turn_per_order,
    mails_and_closes,
    mails_and_hangs,
    mails_and_resets,
    mails_and_says,
    reads_all_and_closes,
    reads_all_and_hangs,
    reads_all_and_resets,
    resets_after_headers,
    says,
    stops_after_headers,
    stops_within_body,
)
from tests.pages import table

HTML = b"<html><title>502 Bad Gateway</title></html>"
MAILED, NOT_MAILED = "yes", "no"
IN_DOUBT = ("sent again, a possible duplicate", "in doubt")
AGAIN = ("sent again", "sent again")
SENT = ("sent", "sent")
REFUSED = ("refused", "refused")
STOPS = ("stops the run", "stops the run")


@dataclass(frozen=True)
class Fault:
    """One fault of an order's first request."""

    stage: str
    fate: Fate
    row: str  # of the manual's table
    comes_of_it: tuple[str, str]  # with retry, with hold
    acted: bool = False  # whether the server has mailed

    @property
    def may_have_been_mailed(self) -> str:
        return MAILED if self.comes_of_it in (IN_DOUBT, SENT) else NOT_MAILED


def error(code: str) -> bytes:
    """Return an error body of the CA's."""
    return b'{"errors":[{"code":"%s","message":"No."}]}' % code.encode()


BREAKS = "an established connection breaks before the answer's status line is complete"
NO_ANSWER = "no answer in time"
GARBAGE = "an answer that is not HTTP"
GATEWAY = "502, 504, or a non-standard 5xx (520 to 524, 598): a gateway got no usable answer"
STANDS = "a 2xx with something wrong after its status line"
FOREIGN = "403, 406 or similar without one of the CA's codes: from a proxy or a CDN"
FAULTS = [
    Fault("closes after the headers", closes_after_headers, BREAKS, IN_DOUBT),
    Fault("resets after the headers", resets_after_headers, BREAKS, IN_DOUBT),
    Fault("closes within the body", closes_within_body, BREAKS, IN_DOUBT),
    Fault("reads all, closes", reads_all_and_closes, BREAKS, IN_DOUBT),
    Fault("reads all, resets", reads_all_and_resets, BREAKS, IN_DOUBT),
    Fault("mails, closes", mails_and_closes, BREAKS, IN_DOUBT, acted=True),
    Fault("mails, resets", mails_and_resets, BREAKS, IN_DOUBT, acted=True),
    Fault("mails, breaks off in the status line", mails_and_says(b"HTTP/1.1 20"), BREAKS, IN_DOUBT,
          acted=True),
    Fault("stops after the headers", stops_after_headers, NO_ANSWER, IN_DOUBT),
    Fault("stops within the body", stops_within_body, NO_ANSWER, IN_DOUBT),
    Fault("reads all, never answers", reads_all_and_hangs, NO_ANSWER, IN_DOUBT),
    Fault("mails, never answers", mails_and_hangs, NO_ANSWER, IN_DOUBT, acted=True),
    Fault("mails, answers garbage", mails_and_says(b"\x15\x03\x01 what?\r\n\r\n"), GARBAGE,
          IN_DOUBT, acted=True),
    Fault("502", says(502, HTML), GATEWAY, IN_DOUBT),
    Fault("504", says(504), GATEWAY, IN_DOUBT),
    Fault("524", says(524, HTML), GATEWAY, IN_DOUBT),
    Fault("598", says(598), GATEWAY, IN_DOUBT),
    Fault("mails, breaks off in the headers", mails_and_says(b"HTTP/1.1 204 N\r\nServ"), STANDS,
          SENT, acted=True),
    Fault("mails, breaks off in the answer's body",
          mails_and_says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), STANDS, SENT,
          acted=True),
    Fault("a 2xx with errors", says(200, error("invalid_email")), "a 2xx with errors in its body",
          REFUSED),
    Fault("a page under 403", says(403, HTML), FOREIGN, AGAIN),
    Fault("nothing under 403", says(403), FOREIGN, AGAIN),
    Fault("a page under 406", says(406, HTML), FOREIGN, AGAIN),
    Fault("500", says(500, error("server_error")), "500, 503 and other errors of the CA", AGAIN),
    Fault("500 that breaks off", breaks_off(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nx"),
          "500, 503 and other errors of the CA", AGAIN),
    Fault("503", says(503, b"", "Retry-After: 1"), "500, 503 and other errors of the CA", AGAIN),
    Fault("429", says(429, error("request_limit_exceeded"), "Retry-After: 1"),
          "429: too many requests", AGAIN),
    Fault("400", says(400, error("bad_request_format")), "400, 403, 404 about the order", REFUSED),
    Fault("403", says(403, error("access_denied|missing_permission")),
          "400, 403, 404 about the order", REFUSED),
    Fault("404", says(404, error("not_found|order")), "400, 403, 404 about the order", REFUSED),
]  # fmt: skip

STATUS = {
    "sent": "sent", "sent again": "sent", IN_DOUBT[0]: "sent",
    "in doubt": "in_doubt", "refused": "refused",
}  # fmt: skip


def desk_at(folder: Path, base_url: str) -> Desk:
    """Return a folder to work in, with a CA at an address and no windows."""
    desk = Desk(folder, base_url)
    desk.environment |= {"BATCH_RESEND_LIMIT": "none", "BATCH_RESEND_TIMEOUT": "1s"}
    desk.write("orders.csv", "order_id\n100200301\n100200302\n100200303\n")
    return desk


@pytest.mark.parametrize(
    ("fault", "policy"),
    [
        pytest.param(fault, policy, id=f"{fault.stage}, {policy}")
        for fault in FAULTS
        for policy in ("retry", "hold")
        if policy == "hold" or fault.comes_of_it == IN_DOUBT  # else it makes no difference
    ],
)
async def test_what_comes_of_a_fault_and_what_is_reported_is_what_the_server_saw(
    tmp_path: Path, fault: Fault, policy: str
) -> None:
    async with CountingServer(in_turn_per_order({"100200302": [fault.fate]})) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        ended = await desk.run("send", "orders.csv", "--in-doubt", policy)
    comes_of_it = fault.comes_of_it[policy == "hold"]
    summary, found = desk.summary(), {line["order_id"]: line for line in results(desk.report())}
    assert_adds_up(summary)
    status = STATUS[comes_of_it]
    assert {number: line["status"] for number, line in found.items()} == {
        "100200301": "sent", "100200302": status, "100200303": "sent",
    }  # fmt: skip
    assert ended.code == (0 if status == "sent" else 3), ended.err
    repeats = "again" in comes_of_it
    for number, line in found.items():
        assert line["attempts"] == ca.requests_of[number] == 1 + (repeats and number == "100200302")
    assert summary["requests"]["attempts"] == ca.requests
    assert ca.mails_of == Counter(
        {"100200301": 1, "100200302": fault.acted + repeats, "100200303": 1}
    )
    assert ca.repeated == set()
    reported = summary["requests"]["possible_duplicates"]
    assert reported >= ca.doubles
    assert found["100200302"]["possible_duplicate"] == (reported > 0)
    assert reported == (comes_of_it == IN_DOUBT[0])
    assert ca.doubles == (fault.acted and repeats)


# --- what happens before anything is read -------------------------------------------------------


async def hangs_up(visit: Visit) -> None:
    """Close a connection that was just made."""
    visit.close()


async def resets(visit: Visit) -> None:
    """Reset it once something has come; sooner, it may pass for one that was never made."""
    await visit.reader.readexactly(1)
    visit.reset()


async def stops(visit: Visit) -> None:
    """Do nothing with it."""
    await visit.hang()


@pytest.mark.parametrize("policy", ["retry", "hold"])
@pytest.mark.parametrize("act", [hangs_up, resets, stops], ids=lambda act: act.__name__)
async def test_a_connection_that_breaks_before_the_request_was_read_is_in_doubt_all_the_same(
    tmp_path: Path, act: Callable[[Visit], Awaitable[None]], policy: str
) -> None:
    """From here nobody can tell that nothing had arrived."""

    async def before(visit: Visit) -> bool:
        if ca.connections != 2:
            return False
        await act(visit)
        return True

    fate = in_turn_per_order({"100200301": [accepts_and_closes]})
    async with CountingServer(fate, before=before) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        ended = await desk.run("send", "orders.csv", "--in-doubt", policy, "--concurrency", "1")
    found = {line["order_id"]: line["status"] for line in results(desk.report())}
    summary = desk.summary()
    if policy == "retry":
        assert (ended.code, set(found.values())) == (0, {"sent"})
        assert summary["requests"]["attempts"] == ca.requests + 1
        assert summary["requests"]["possible_duplicates"] == 1
        assert ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 1)
    else:
        assert (ended.code, found) == (
            3,
            {"100200301": "sent", "100200302": "in_doubt", "100200303": "sent"},
        )
        assert ca.mails_of == {"100200301": 1, "100200303": 1}


# --- what concerns the whole run ----------------------------------------------------------------


@pytest.mark.parametrize("why", ["nobody listens", "the host is unknown", "TLS fails"])
async def test_where_no_connection_can_be_made_the_run_stops_and_nothing_is_in_doubt(
    tmp_path: Path, untrusted: ssl.SSLContext, why: str
) -> None:
    async with CountingServer(Call.accept, tls=untrusted) as ca:
        base_url = {
            "nobody listens": f"http://127.0.0.1:{free_port()}/services/v2",
            "the host is unknown": "https://name.invalid/services/v2",
            "TLS fails": ca.base_url,
        }[why]
        desk = desk_at(tmp_path, base_url)
        ended = await desk.run("send", "orders.csv", "--patience", "1s")
        assert ca.requests == 0
    assert ended.code == 4
    assert_adds_up(desk.summary())
    assert desk.summary()["orders"]["not_attempted"] == 3
    assert desk.summary()["requests"]["possible_duplicates"] == 0
    assert (
        desk.report() / "unsent.csv"
    ).read_text() == "order_id\n100200301\n100200302\n100200303\n"


# --- no connection, in the middle of a run ------------------------------------------------------


async def start_with_a_connection_an_order(
    desk: Desk, policy: str, *flags: str
) -> asyncio.subprocess.Process:
    """Start to send one by one, and tell of every attempt."""
    flags = ("--in-doubt", policy, "--concurrency", "1", "-v", *flags)
    return await desk.start("send", "orders.csv", *flags)


def assert_sent_again(desk: Desk, ca: CountingServer, sent: Ended) -> None:
    """Check that all are sent, order 2 at a later attempt, though the CA saw none but the last."""
    assert sent.code == 0, sent.err
    found = {line["order_id"]: line for line in results(desk.report())}
    assert {line["status"] for line in found.values()} == {"sent"}
    assert found["100200301"]["attempts"] == 1
    assert found["100200302"]["attempts"] >= 2
    assert (
        ca.requests_of == ca.mails_of == dict.fromkeys(("100200301", "100200302", "100200303"), 1)
    )
    assert desk.summary()["requests"]["possible_duplicates"] == 0


@pytest.mark.parametrize("policy", ["retry", "hold"])
async def test_a_connection_that_is_refused_later_on_is_made_again_and_nothing_is_in_doubt(
    tmp_path: Path, policy: str
) -> None:
    async def closes_the_port(call: Call) -> None:
        ca.close_port()
        await accepts_and_closes(call)

    async with CountingServer(in_turn_per_order({"100200301": [closes_the_port]})) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        process = await start_with_a_connection_an_order(desk, policy)
        await until_told(process, b"order_id=100200302 attempt=1")
        await ca.listen()
        assert_sent_again(desk, ca, await ended(process))


def context_of(authority: trustme.CA) -> ssl.SSLContext:
    """Return a TLS server's context with a certificate of an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "ca.test").configure_cert(context)
    return context


@pytest.mark.parametrize("policy", ["retry", "hold"])
async def test_a_certificate_that_cannot_be_trusted_later_on_costs_an_attempt_and_no_doubt(
    tmp_path: Path, authority: trustme.CA, policy: str
) -> None:
    trusted, of_a_stranger = context_of(authority), context_of(trustme.CA())
    handshakes = 0

    def at_hello(connection: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes == 2:
            connection.context = of_a_stranger

    trusted.sni_callback = at_hello
    async with CountingServer(
        in_turn_per_order({"100200301": [accepts_and_closes]}), tls=trusted
    ) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        process = await start_with_a_connection_an_order(desk, policy, "--ca-file", "ca.pem")
        sent = await ended(process)
        assert "order_id=100200302 attempt=1" in sent.err
        assert_sent_again(desk, ca, sent)


# --- the manual's table -------------------------------------------------------------------------

NEVER_SENT = [
    ("the host is unknown, or TLS fails, at the start of a run", NOT_MAILED, *STOPS),
    ("no connection, a proxy that refuses; host or TLS problems later on", NOT_MAILED, *AGAIN),
]
OF_ALL = [
    (
        "403 or 401 of the key, 404 of the URL; as the first answer also a redirect, or a page",
        NOT_MAILED,
        *STOPS,
    )
]


async def test_the_manual_says_the_same() -> None:
    of_orders = dict.fromkeys(
        (fault.row, fault.may_have_been_mailed, *fault.comes_of_it) for fault in FAULTS
    )
    assert [*map(tuple, table("faults"))] == [*NEVER_SENT, *of_orders, *OF_ALL]
