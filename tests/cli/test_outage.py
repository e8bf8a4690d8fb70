"""The whole CA is out in the middle of a run: it is waited for, and no order pays for it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, assert_adds_up, ended, read_summary, until, until_told
from tests.cli.counting_server import Call, CountingServer

ORDERS = 120
BEFORE_IT = 40  # orders mailed before the outage
OUTAGE_S = 12.0  # longer than the first pauses, so that some probes fail


class MovingCA:
    """A CA that is out for a while, once it has mailed so many orders."""

    def __init__(self, out: Callable[[Call], Awaitable[object]]) -> None:
        self.server = CountingServer(self._fate)
        self.probes: Counter[str] = Counter()  # requests during the outage
        self._out = out
        self._over: float | None = None

    def is_out(self) -> bool:
        """Tell whether it is out; it goes out by itself."""
        now = asyncio.get_running_loop().time()
        if self._over is None and len(self.server.acknowledged) >= BEFORE_IT:
            self._over = now + OUTAGE_S
        return self._over is not None and now < self._over

    async def _fate(self, call: Call) -> None:
        if self.is_out():
            self.probes[call.order] += 1
            await self._out(call)
        else:
            await asyncio.sleep(0.05)
            await call.accept()


async def says_503(call: Call) -> None:
    """Answer that it is out."""
    await call.refuse(503)


async def hangs(call: Call) -> None:
    """Take the request and do nothing with it."""
    await call.visit.read_all()
    await call.visit.hang()


def desk_at(folder: Path, base_url: str) -> Desk:
    """Return a folder to work in, with a CA at an address."""
    desk = Desk(folder, base_url)
    desk.environment |= {"BATCH_RESEND_LIMIT": "none", "BATCH_RESEND_CONCURRENCY": "8"}
    desk.write_list(ORDERS)
    return desk


@pytest.mark.parametrize("out", [says_503, hangs], ids=lambda out: out.__name__)
async def test_an_outage_is_ridden_out_with_few_probes_and_no_order_fails(
    tmp_path: Path, out: Callable[[Call], Awaitable[object]]
) -> None:
    ca = MovingCA(out)
    async with ca.server as server:
        desk = desk_at(tmp_path, server.base_url)
        sent = await desk.run("send", "orders.csv", "--timeout", "1s")
    assert sent.code == 0, sent.err
    assert "paused: the CA is in trouble" in sent.err
    assert "the CA takes requests again: going on" in sent.err
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["orders"]["sent"] == ORDERS
    assert summary["back_pressure"]["pauses"] == 1
    assert summary["back_pressure"]["paused_s"] > 5
    assert set(server.mails_of.values()) == {1}
    assert len(server.mails_of) == ORDERS
    # Those that fail until it is plain, those in flight then, and probes: five, three, two, one.
    assert 16 <= ca.probes.total() <= 8 + 20 + 10 + 4
    assert summary["requests"]["possible_duplicates"] == (
        0 if out is says_503 else ca.probes.total()
    )


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
        assert len(ca.acknowledged) < ORDERS
        await ca.listen()
        sent = await ended(process)
    assert sent.code == 0, sent.err
    assert "the CA takes requests again: going on" in sent.err
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["orders"]["sent"] == ORDERS == len(ca.mails_of)
    assert summary["back_pressure"]["pauses"] == 1
    assert set(ca.mails_of.values()) == {1}
    assert ca.repeated == set()
    # Those in flight when it broke, and those that then met a closed port, and probes.
    assert 16 <= summary["requests"]["attempts"] - ORDERS <= 8 + 8 + 20 + 10 + 4
    assert summary["requests"]["possible_duplicates"] <= 8


@pytest.mark.parametrize("later", ["resume", "send of unsent.csv"])
async def test_beyond_the_patience_the_run_stops_and_what_is_left_goes_on_later(
    tmp_path: Path, later: str
) -> None:
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
        assert summary["orders"]["not_attempted"] == ORDERS - len(ca.acknowledged)
        unsent = (desk.report() / "unsent.csv").read_text().splitlines()[1:]
        assert {line.partition(",")[0] for line in unsent}.isdisjoint(ca.acknowledged)
        assert len({line.partition(",")[0] for line in unsent}) == ORDERS - len(ca.acknowledged)
        mailed_before = len(ca.acknowledged)
        assert ca.requests - mailed_before <= 8 + 20 + 10  # until it is plain; probes
        ca.fate = Call.accept
        feed = ["resume"] if later == "resume" else ["send", str(desk.report() / "unsent.csv")]
        again = await desk.run(*feed, "--report-dir", "again")
        assert again.code == 0, again.err
    assert len(ca.mails_of) == ORDERS
    assert set(ca.mails_of.values()) == {1}
    summary = read_summary(tmp_path / "again")
    assert_adds_up(summary)
    assert summary["orders"]["sent"] == summary["orders"]["total"]
    assert summary["orders"]["total"] == ORDERS - (0 if later == "resume" else mailed_before)
