"""A CA on its worst day: a twentieth of 400 orders for every way to fail, at once.

The 429s come last and together: as so many are a limit that was met, the windows are halved. Until
they come the windows are what holds the run up, so that it is seen to keep them.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import Desk, assert_adds_up, results
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

pytestmark = pytest.mark.timeout(300)

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
    folder: Path, policy: str
) -> tuple[CountingServer, dict[str, Any], dict[str, dict[str, Any]]]:
    """Send 400 orders; return the server's books, the summary, and the results by order."""
    async with CountingServer(worst_day()) as ca:
        desk = Desk(folder, ca.base_url)
        desk.environment["BATCH_RESEND_LIMIT"] = " ".join(map(str, WINDOWS))
        desk.write("orders.csv", "order_id\n" + "".join(f"{n}\n" for n in range(1, ORDERS + 1)))
        options = ("--timeout", "2s", "--in-doubt", policy)
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


async def test_all_that_can_be_sent_is_sent_and_no_double_goes_unreported(tmp_path: Path) -> None:
    ca, summary, found = await sent_on_the_worst_day(tmp_path, "retry")
    expected = {n: "refused" if kind_of(n) in REFUSED else "sent" for n in found}
    assert {number: line["status"] for number, line in found.items()} == expected
    assert ca.acknowledged == {number for number, status in expected.items() if status == "sent"}
    doubled = {number for number, mails in ca.mails_of.items() if mails > 1}
    assert doubled >= {n for n in found if kind_of(n) in ("resets after", "garbage", "hangs")}
    marked = {number for number, line in found.items() if line["possible_duplicate"]}
    doubts = {number for number in found if kind_of(number) in IN_DOUBT}
    assert doubled <= doubts <= marked <= doubts | set(unseen(ca, found))
    assert summary["requests"]["possible_duplicates"] >= ca.doubles > 0


async def test_with_hold_nothing_is_mailed_twice_and_every_doubt_is_told(tmp_path: Path) -> None:
    ca, summary, found = await sent_on_the_worst_day(tmp_path, "hold")
    assert ca.doubles == 0
    in_doubt = {n for n in found if kind_of(n) in IN_DOUBT} | set(unseen(ca, found))
    refused = {n for n in found if kind_of(n) in REFUSED} - in_doubt
    assert {number: line["status"] for number, line in found.items()} == {
        n: "in_doubt" if n in in_doubt else "refused" if n in refused else "sent" for n in found
    }
    assert ca.acknowledged == set(found) - in_doubt - refused
    assert summary["requests"]["possible_duplicates"] == 0
