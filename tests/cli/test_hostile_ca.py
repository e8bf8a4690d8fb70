"""A CA on its worst day, and one that is out: what is counted is what it saw."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batch_resend.windows import Window
from tests.certcentral.conftest import free_port
from tests.cli.conftest import (
    Desk,
    assert_adds_up,
    desk_with_ca,
    ended,
    read_summary,
    results,
    until,
    until_told,
)
from tests.cli.counting_server import (
    Call,
    CountingServer,
    Fate,
    accepts_and_closes_unannounced,
    accepts_late,
    mails_and_hangs,
    mails_and_resets,
    mails_and_says,
    reads_all_and_resets,
    says,
)
from tests.cli.raw_service import unsent

ORDERS = 400
WINDOWS = (Window(100, 1.0), Window(400, 5.0))
LIMITED = range(381, 401)  # orders
NOT_FOUND = b'{"errors":[{"code":"not_found|order","message":"No such order."}]}'
BAD = b'{"errors":[{"code":"bad_request_format","message":"No."}]}'
FATES: dict[str, Fate] = {
    "500": says(500),
    "502": says(502, b"<html><title>502 Bad Gateway</title></html>"),
    "503": says(503, b"", "Retry-After: 1"),
    "429": says(429, b"", "Retry-After: 1"),
    "400": says(400, BAD),
    "404": says(404, NOT_FOUND),
    "resets before": reads_all_and_resets,
    "resets after": mails_and_resets,
    "closes unannounced": accepts_and_closes_unannounced,
    "garbage": mails_and_says(b"\x15\x03\x01 what?\r\n\r\n"),
    "late": accepts_late(0.5),
    "hangs": mails_and_hangs,
}
KINDS = (
    "500", "400", "502", "late", "503", "closes unannounced", "resets before", "404",
    "resets after", "good", "garbage", "good", "hangs", *["good"] * 6,
)  # fmt: skip
IN_DOUBT = {"502", "resets before", "resets after", "garbage", "hangs"}
REFUSED = {"400", "404"}


def place_of(order: str) -> int:
    """Return an order's place among those that meet no 429."""
    number = int(order)
    return number if number < LIMITED.start else number - len(LIMITED)


def kind_of(order: str) -> str:
    """Return how an order's first request fares: a twentieth of all orders each."""
    return "429" if int(order) in LIMITED else KINDS[place_of(order) % len(KINDS)]


def times_of(order: str) -> int:
    """Return how many of an order's requests fare so."""
    twice = place_of(order) // len(KINDS) % 2 and kind_of(order) != "429"
    return 2 if twice else 1


def worst_day() -> Fate:
    """Let an order's first request or two fare as its number says; accept those that follow."""

    async def fate(call: Call) -> None:
        await asyncio.sleep(0.002 * (int(call.order) % 25))
        kind = kind_of(call.order)
        if kind in REFUSED or (kind in FATES and call.turn <= times_of(call.order)):
            await FATES[kind](call)
        else:
            await call.accept()

    return fate


async def sent_on_the_worst_day(
    folder: Path,
) -> tuple[CountingServer, dict[str, Any], dict[str, dict[str, Any]]]:
    """Send 400 orders; return the server's books, the summary, and the results by order."""
    async with CountingServer(worst_day()) as ca:
        desk = Desk(folder, ca.base_url)
        desk.environment["BATCH_RESEND_LIMIT"] = " ".join(map(str, WINDOWS))
        desk.write("orders.csv", "order_id\n" + "".join(f"{n}\n" for n in range(1, ORDERS + 1)))
        options = ("--timeout", "2s", "--all-domains")
        ended = await desk.run("send", "orders.csv", *options, timeout_s=120)
        assert ended.code == 3, ended.err
        assert "others use this key" in ended.err
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["requests"]["rate_limited"] == len(LIMITED)
    assert summary["back_pressure"]["pauses"] >= 1
    assert summary["back_pressure"]["lowest_share"] <= 0.5
    for window in WINDOWS:
        assert window.limit / 2 < ca.most_in(window) <= window.limit
    assert ca.wrong == []
    assert ca.repeated == set(), "an acknowledged order was asked for again"
    found = {line["order_id"]: line for line in results(desk.report())}
    kinds = Counter(map(kind_of, found))
    assert [kinds[kind] for kind in FATES] == [ORDERS // 20] * len(FATES)
    assert summary["requests"]["attempts"] == sum(line["attempts"] for line in found.values())
    return ca, summary, found


def unseen(ca: CountingServer, found: dict[str, dict[str, Any]]) -> Counter[str]:
    """Return the attempts, by order, that the server did not see, and check that they can be.

    A request that leaves just as the server closes its connection is never read.
    """
    missed = Counter({n: line["attempts"] - ca.requests_of[n] for n, line in found.items()})
    assert min(missed.values()) == 0, "the server saw more than the report tells"
    assert missed.total() <= sum(kind_of(n) == "closes unannounced" for n in found)
    return +missed


@pytest.mark.timeout(300)
async def test_all_that_can_be_sent_is_sent_and_no_double_goes_unreported(tmp_path: Path) -> None:
    ca, summary, found = await sent_on_the_worst_day(tmp_path)
    expected = {n: "refused" if kind_of(n) in REFUSED else "sent" for n in found}
    assert {number: line["status"] for number, line in found.items()} == expected
    assert ca.acknowledged == {number for number, status in expected.items() if status == "sent"}
    doubled = {number for number, mails in ca.mails_of.items() if mails > 1}
    assert doubled >= {n for n in found if kind_of(n) in ("resets after", "garbage", "hangs")}
    marked = {number for number, line in found.items() if line["possible_duplicate"]}
    doubts = {number for number in found if kind_of(number) in IN_DOUBT}
    assert doubled <= doubts <= marked <= doubts | set(unseen(ca, found))
    assert summary["requests"]["possible_duplicates"] >= ca.doubles > 0


# --- a CA that is out -----------------------------------------------------------------------------

WANTED = 120
BEFORE_IT = 40  # orders mailed before the outage


def desk_at(folder: Path, base_url: str) -> Desk:
    """Return a folder to work in, with a CA at an address."""
    desk = Desk(folder, base_url)
    desk.environment |= {"BATCH_RESEND_LIMIT": "none", "BATCH_RESEND_CONCURRENCY": "8"}
    desk.write_list(WANTED)
    return desk


async def test_a_ca_whose_port_is_closed_is_waited_for_and_only_what_was_in_flight_is_in_doubt(
    tmp_path: Path,
) -> None:
    async def fate(call: Call) -> None:
        await asyncio.sleep(0.05)
        await call.accept()

    async with CountingServer(fate) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        process = await desk.start("send", "orders.csv")
        await until(lambda: len(ca.acknowledged) >= BEFORE_IT)
        await ca.crash()
        await until_told(process, b"next try in 8s")  # three pauses are over, probes have failed
        assert len(ca.acknowledged) < WANTED
        await ca.listen()
        sent = await ended(process)
    assert sent.code == 0, sent.err
    assert "the CA takes requests again: sending resumes" in sent.err
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["orders"]["sent"] == WANTED == len(ca.mails_of)
    assert summary["back_pressure"]["pauses"] == 1
    assert set(ca.mails_of.values()) == {1}
    assert ca.repeated == set()
    # Those in flight when it broke, and those that then met a closed port, and probes.
    assert 16 <= summary["requests"]["attempts"] - WANTED <= 8 + 8 + 20 + 10 + 4
    assert summary["requests"]["possible_duplicates"] <= 8


async def test_a_port_at_which_nothing_is_is_named_with_q_too_and_what_never_left_is_counted_apart(
    tmp_path: Path,
) -> None:
    desk = desk_at(tmp_path, f"http://127.0.0.1:{free_port()}/services/v2")
    process = await desk.start("send", "-q", "orders.csv")
    await until_told(process, b"[error    ] paused: the CA cannot be reached (no connection to")
    process.send_signal(signal.SIGINT)
    sent = await ended(process)
    assert sent.code == 130, sent.err
    assert "Check --base-url, the network" in sent.out
    assert "If that is the wrong place, send its list again" in " ".join(sent.out.split())
    requests = desk.summary()["requests"]
    assert requests["unconnected"] == requests["attempts"] > 0
    without = f", {requests['attempts']} of them without a connection, "
    assert f"{requests['attempts']} tried{without}" in sent.out
    assert without in (desk.report() / "report.html").read_text()
    tried = next(line["order_id"] for line in results(desk.report()) if line["attempts"])
    history = await desk.run("history", tried)
    assert "no connection not_connected" in history.out
    swept = await desk.start("sweep", "-q")
    await until_told(swept, b"[error    ] paused: the CA cannot be reached (no connection to")
    swept.send_signal(signal.SIGINT)
    assert (await ended(swept)).code == 130


async def test_beyond_the_patience_the_run_stops_and_the_rest_is_sent_later(tmp_path: Path) -> None:
    is_out = False

    async def fate(call: Call) -> None:
        nonlocal is_out
        is_out |= len(ca.acknowledged) >= BEFORE_IT
        if is_out:
            await call.refuse(503)
        else:
            await call.accept()

    async with CountingServer(fate) as ca:
        desk = desk_at(tmp_path, ca.base_url)
        stopped = await desk.run("send", "orders.csv", "--patience", "6s")
        assert stopped.code == 4
        assert "beyond the patience of 6s" in stopped.err
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "stopped"
        assert summary["orders"]["failed"] == summary["orders"]["in_doubt"] == 0
        assert summary["orders"]["not_attempted"] == WANTED - len(ca.acknowledged)
        left = unsent(desk.report())
        assert left.isdisjoint(ca.acknowledged)
        assert len(left) == WANTED - len(ca.acknowledged)
        mailed_before = len(ca.acknowledged)
        assert ca.requests - mailed_before <= 8 + 20 + 10  # until it is plain; probes
        ca.fate = Call.accept
        again = await desk.run("send", str(desk.report() / "unsent.csv"), "--report-dir", "again")
        assert again.code == 0, again.err
    assert len(ca.mails_of) == WANTED
    assert set(ca.mails_of.values()) == {1}
    summary = read_summary(tmp_path / "again")
    assert_adds_up(summary)
    assert summary["orders"]["sent"] == summary["orders"]["total"]
    assert summary["orders"]["total"] == WANTED - mailed_before


async def test_an_outage_that_mails_and_never_answers_mails_no_order_beyond_its_attempts(
    tmp_path: Path,
) -> None:
    faults = {"drop": 1.0}
    async with desk_with_ca(tmp_path, faults=faults) as (desk, ca):
        desk.write_list(30)
        stopped = await desk.run("send", "orders.csv", "--max-attempts", "1", "--patience", "8s")
        assert stopped.code == 4, stopped.err
        assert max(ca.books.mails_per_order.values()) == 1
        assert desk.summary()["requests"]["possible_duplicates"] == 0
        assert desk.summary()["orders"]["in_doubt"] == len(ca.books.mails_per_order)


async def test_what_is_in_doubt_stays_so_when_the_ca_is_gone_later(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"drop": 1.0}) as (desk, ca):
        numbers = desk.write_list(3)
        held = await desk.run("send", "orders.csv", "--in-doubt", "hold")
        assert (held.code, ca.books.mails) == (3, 3)
    gone = await desk.run("send", "orders.csv", "--patience", "0s", "--report-dir", "later")
    assert gone.code == 4
    assert {r["status"] for r in results(tmp_path / "later")} == {"in_doubt"}
    assert "3 in doubt: an attempt of an earlier run had no answer" in gone.out
    assert "No connection to the CA was possible" not in gone.out
    told = json.loads((await desk.run("history", numbers[0], "--json")).out)
    assert {event["outcome"] for event in told} == {"in_doubt"}
