"""A CA that mails and then drops the connection: what is counted is what it saw."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca, results

pytestmark = pytest.mark.asyncio


class DroppingCa:
    """Mails every request; drops every fifth of a connection after mailing, unanswered."""

    def __init__(self) -> None:
        self.mails: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen on loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for count in range(1, 6):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                order = head.split(b"/order/certificate/")[1].split(b"/")[0].decode()
                self.mails[order] += 1
                if count == 5:
                    self.dropped[order] += 1
                    return
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client has closed an idle connection
        finally:
            writer.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_with_hold_nothing_is_mailed_twice_and_every_drop_is_in_doubt(
    tmp_path: Path, loop: str
) -> None:
    ca = DroppingCa()
    async with ca.open():
        desk = Desk(tmp_path, f"http://127.0.0.1:{ca.port}/services/v2")
        numbers = desk.write_list(500)
        ended = await desk.run(
            "send", "orders.csv", "--limit", "none", "--in-doubt", "hold",
            BATCH_RESEND_EVENT_LOOP=loop,
        )  # fmt: skip

    assert ended.code == 3
    assert ca.mails == dict.fromkeys(numbers, 1)
    assert desk.summary()["requests"]["attempts"] == ca.mails.total() == 500
    assert desk.summary()["requests"]["possible_duplicates"] == 0
    doubtful = {r["order_id"] for r in results(desk.report()) if r["status"] == "in_doubt"}
    assert doubtful == set(ca.dropped)
    assert doubtful


async def test_with_retry_all_are_sent_and_the_doubles_reported_are_the_doubles_counted(
    tmp_path: Path,
) -> None:
    ca = DroppingCa()
    async with ca.open():
        desk = Desk(tmp_path, f"http://127.0.0.1:{ca.port}/services/v2")
        numbers = desk.write_list(500)
        # Of many connections all may be about to drop, and an order may be tried on one after the
        # other: by chance it would use up its attempts.
        ended = await desk.run(
            "send", "orders.csv", "--limit", "none", "--concurrency", "3", "--max-attempts", "12"
        )

    assert ended.code == 0, ended.err
    summary = desk.summary()
    assert set(ca.mails) == set(numbers)
    assert summary["orders"]["sent"] == 500
    assert summary["requests"]["attempts"] == ca.mails.total() > 500
    assert summary["requests"]["possible_duplicates"] == ca.mails.total() - 500
    marked = {r["order_id"] for r in results(desk.report()) if r["possible_duplicate"]}
    assert marked == {number for number, count in ca.mails.items() if count > 1}


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


async def test_what_is_in_doubt_stays_so_and_is_explained_so_when_the_ca_is_gone_later(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"drop": 1.0}) as (desk, ca):
        numbers = desk.write_list(3)
        held = await desk.run("send", "orders.csv", "--in-doubt", "hold")
        assert (held.code, ca.books.mails) == (3, 3)
    gone = await desk.run("send", "orders.csv", "--patience", "0s", "--report-dir", "later")
    assert gone.code == 4
    assert {r["status"] for r in results(tmp_path / "later")} == {"in_doubt"}
    assert "3 in doubt: an attempt of an earlier run had no answer" in gone.out
    assert "No connection to the CA could be made" not in gone.out
    told = json.loads((await desk.run("history", numbers[0], "--format", "json")).out)
    assert {event["outcome"] for event in told} == {"in_doubt"}
