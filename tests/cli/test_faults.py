"""Every class of fault, end to end: what the report says against what the server saw.

An order's first request meets the fault; whatever follows is accepted. The README has the same
table, for operators.
"""

import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certcentral.conftest import free_port
from tests.certcentral.fault_server import Visit, answer
from tests.cli.conftest import Desk, assert_adds_up, results
from tests.cli.counting_server import (
    Call,
    CountingServer,
    Fate,
    breaks_off,
    closes_after_headers,
    closes_within_body,
    in_turn_per_order,
    mails_and_closes,
    mails_and_hangs,
    mails_and_resets,
    mails_and_says,
    reads_all_and_resets,
    resets_after_headers,
    says,
    stops_after_headers,
)

pytestmark = pytest.mark.asyncio

README = Path(__file__).parents[2] / "README.md"
HTML = b"<html><title>502 Bad Gateway</title></html>"
MAILED, NOT_MAILED = "yes", "no"
IN_DOUBT = ("sent again, a possible duplicate", "in doubt")
AGAIN = ("sent again", "sent again")
REFUSED = ("refused", "refused")
STOPS = ("stops the run", "stops the run")


@dataclass(frozen=True)
class Fault:
    """One fault of an order's first request."""

    stage: str
    fate: Fate
    row: str  # of the README's table
    comes_of_it: tuple[str, str]  # with retry, with hold
    acted: bool = False  # whether the server has mailed


def error(code: str) -> bytes:
    """Return an error body of the CA's."""
    return b'{"errors":[{"code":"%s","message":"No."}]}' % code.encode()


BREAKS = "the connection breaks once it was made, wherever in the exchange"
NO_ANSWER = "no answer in time"
GARBAGE = "an answer that is not HTTP"
FAULTS = [
    Fault("closes after the headers", closes_after_headers, BREAKS, IN_DOUBT),
    Fault("resets after the headers", resets_after_headers, BREAKS, IN_DOUBT),
    Fault("closes within the body", closes_within_body, BREAKS, IN_DOUBT),
    Fault("reads all, resets", reads_all_and_resets, BREAKS, IN_DOUBT),
    Fault("mails, closes", mails_and_closes, BREAKS, IN_DOUBT, acted=True),
    Fault("mails, resets", mails_and_resets, BREAKS, IN_DOUBT, acted=True),
    Fault("mails, breaks off in the status line", mails_and_says(b"HTTP/1.1 20"), BREAKS, IN_DOUBT,
          acted=True),
    Fault("mails, breaks off in the headers", mails_and_says(b"HTTP/1.1 204 N\r\nServ"), BREAKS,
          IN_DOUBT, acted=True),
    Fault("stops after the headers", stops_after_headers, NO_ANSWER, IN_DOUBT),
    Fault("mails, never answers", mails_and_hangs, NO_ANSWER, IN_DOUBT, acted=True),
    Fault("mails, answers garbage", mails_and_says(b"\x15\x03\x01 what?\r\n\r\n"), GARBAGE,
          IN_DOUBT, acted=True),
    Fault("502", says(502, HTML), "502, 504: a gateway had no good answer", IN_DOUBT),
    Fault("504", says(504), "502, 504: a gateway had no good answer", IN_DOUBT),
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

STATUS = {"sent again": "sent", IN_DOUBT[0]: "sent", "in doubt": "in_doubt", "refused": "refused"}


def desk_at(folder: Path, base_url: str) -> Desk:
    """Return a folder to work in, with a CA at an address and no windows."""
    desk = Desk(folder, base_url)
    desk.environment |= {"BATCH_RESEND_LIMIT": "none", "BATCH_RESEND_TIMEOUT": "1s"}
    desk.write("orders.csv", "order_id\n1\n2\n3\n")
    return desk


@pytest.mark.parametrize("policy", ["retry", "hold"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.stage)
async def test_what_comes_of_a_fault_and_what_is_reported_is_what_the_server_saw(
    tmp_path: Path, fault: Fault, policy: str
) -> None:
    async with CountingServer(in_turn_per_order({"2": [fault.fate]})) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        ended = await desk.run("send", "orders.csv", "--in-doubt", policy)
    comes_of_it = fault.comes_of_it[policy == "hold"]
    summary, found = desk.summary(), {line["order_id"]: line for line in results(desk.report())}
    assert_adds_up(summary)
    status = STATUS[comes_of_it]
    assert {number: line["status"] for number, line in found.items()} == {
        "1": "sent", "2": status, "3": "sent",
    }  # fmt: skip
    assert ended.code == (0 if status == "sent" else 3), ended.err
    for number, line in found.items():
        assert line["attempts"] == ca.requests_of[number] == (2 if number == "2" and
                                                              status == "sent" else 1)  # fmt: skip
    assert ca.repeated == set()
    reported = summary["requests"]["possible_duplicates"]
    assert reported >= ca.doubles
    assert found["2"]["possible_duplicate"] == (reported > 0)
    assert reported == (comes_of_it == IN_DOUBT[0])
    assert ca.doubles == (fault.acted and policy == "retry")


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


async def accepts_and_closes(call: Call) -> None:
    """Acknowledge, and say that the connection is closed: the next request makes one."""
    await call.mail()
    call.server.acknowledged.add(call.order)
    await call.say(answer(204, b"", "Connection: close"))
    call.visit.close()


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

    fate = in_turn_per_order({"1": [accepts_and_closes]})
    async with CountingServer(fate, before=before) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        ended = await desk.run("send", "orders.csv", "--in-doubt", policy, "--concurrency", "1")
    found = {line["order_id"]: line["status"] for line in results(desk.report())}
    summary = desk.summary()
    if policy == "retry":
        assert (ended.code, set(found.values())) == (0, {"sent"})
        assert summary["requests"]["attempts"] == ca.requests + 1
        assert summary["requests"]["possible_duplicates"] == 1
        assert ca.mails_of == dict.fromkeys("123", 1)
    else:
        assert (ended.code, found) == (3, {"1": "sent", "2": "in_doubt", "3": "sent"})
        assert ca.mails_of == {"1": 1, "3": 1}


# --- what concerns the whole run ----------------------------------------------------------------

WHOLE_RUN = {
    "401": answer(401, error("invalid_api_key")),
    "404 of the URL": answer(404, error("not_found|route")),
    "a redirect": answer(302, b"", "Location: https://elsewhere.example/"),
    "a page": answer(200, b"<!DOCTYPE html><title>Welcome</title>"),
}


@pytest.mark.parametrize("said", WHOLE_RUN.values(), ids=WHOLE_RUN)
async def test_an_answer_that_none_will_pass_stops_the_run_after_that_one_request(
    tmp_path: Path, said: bytes
) -> None:
    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(said)

    async with CountingServer(fate) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        ended = await desk.run("send", "orders.csv")
    assert ended.code == 4
    assert ca.requests == 1
    assert desk.summary()["orders"]["not_attempted"] == 3
    assert desk.summary()["requests"]["possible_duplicates"] == 0


async def test_where_no_connection_can_be_made_nothing_is_in_doubt(
    tmp_path: Path, untrusted: ssl.SSLContext
) -> None:
    async with CountingServer(Call.accept, tls=untrusted) as ca:
        for name, base_url in (
            ("refused", f"http://127.0.0.1:{free_port()}/services/v2"),
            ("host", "https://no-such-host.invalid/services/v2"),
            ("TLS", ca.base_url),
        ):
            (tmp_path / name).mkdir()
            desk = desk_at(tmp_path / name, base_url)
            ended = await desk.run("send", "orders.csv", "--patience", "1s")
            assert ended.code == 4, name
            assert desk.summary()["orders"]["not_attempted"] == 3
            assert desk.summary()["requests"]["possible_duplicates"] == 0
            assert len((desk.report() / "unsent.csv").read_text().splitlines()) == 4
        assert ca.requests == 0


# --- the README's table -------------------------------------------------------------------------

NEVER_SENT = [
    ("the host is unknown, TLS fails: at the opening of a run", NOT_MAILED, *STOPS),
    ("no connection, a proxy that refuses; host or TLS later on", NOT_MAILED, *AGAIN),
]
OF_ALL = [("401, 404 of the URL, a redirect, a page instead of an answer", NOT_MAILED, *STOPS)]


async def test_the_readme_says_the_same() -> None:
    of_orders = dict.fromkeys(
        (fault.row, MAILED if fault.comes_of_it == IN_DOUBT else NOT_MAILED, *fault.comes_of_it)
        for fault in FAULTS
    )
    table = README.read_text(encoding="utf-8").partition("<!-- faults -->\n")[2]
    lines = table.partition("\n\n")[0].splitlines()[2:]
    cells = [tuple(re.split(r" \| ", line.strip("| "))) for line in lines]
    assert cells == [*NEVER_SENT, *of_orders, *OF_ALL]
