"""A month of nightly sweeps, rehearsed: orders come, are mailed, are approved; the CA fails."""

import json
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from batch_resend import clock
from batch_resend.simulator import FaultName, World, WorldOrder
from tests.cli.conftest import KEY, Desk, Ended, desk_with_ca, ended

pytestmark = pytest.mark.timeout(300)

NIGHTS, ORDERS, A_NIGHT = 30, 500, 25
DAY_S = 86_400.0
OUTAGES, WRONG_KEY = {9, 17}, 5
MOST_MAILS = 3
APPROVED = 0.3  # of those mailed, by the next night


@dataclass
class Model:
    """What must come of the month, reckoned without the program."""

    mails: dict[int, int] = field(default_factory=dict)

    def due(self, waiting: dict[int, int], night: int) -> set[int]:
        """Return which orders are due. `waiting`: the night on which each came."""
        return {
            number
            for number, came in waiting.items()
            if night - came >= 1 and self.mails.get(number, 0) < MOST_MAILS
        }


async def night_of(desk: Desk, night: int, *options: str) -> Ended:
    """Run the sweep of a night."""
    swept = await desk.start_after(
        partial(put_ahead, night * DAY_S), "sweep", "--yes", "--max-attempts", "2",
        "--max-mails-per-order", str(MOST_MAILS), "--report-dir", f"night-{night}", *options,
    )  # fmt: skip
    return await ended(swept, timeout_s=120)


def put_ahead(by_s: float) -> None:
    """Have the program as it is, on another day: both of its clocks are ahead by as much."""
    told, steady = time.time, clock.steady_time
    patch = pytest.MonkeyPatch()
    patch.setattr(time, "time", lambda: told() + by_s)
    patch.setattr(clock, "steady_time", lambda: steady() + by_s)


async def test_a_month_mails_every_order_as_often_as_allowed_and_forgets_none(
    tmp_path: Path,
) -> None:
    model = Model()
    came: dict[int, int] = {}
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        began, night = time.time(), 0
        ca.world = World(
            seed=20261124, chance=APPROVED, within_s=DAY_S / 2,
            clock=lambda: time.time() + night * DAY_S,
        )  # fmt: skip
        for night in range(NIGHTS):
            ca.world.let_approve()  # those of the day
            for number in range(len(came) + 1, min(len(came) + A_NIGHT, ORDERS) + 1):
                came[number] = night
                # A minute older than the night, for it to be a day old by the next.
                created_at = began + night * DAY_S - 60
                ca.world.add(WorldOrder(number, created_at=created_at))
            waiting = {
                number: night for number, night in came.items()
                if ca.world.orders[number].status == "pending"
            }  # fmt: skip
            due = model.due(waiting, night)
            before = dict(ca.books.mails_per_order)
            ca.fail({FaultName.MAINTENANCE: 1.0} if night in OUTAGES else {})
            desk.environment["DIGICERT_API_KEY"] = "wrong" if night == WRONG_KEY else KEY
            swept = await night_of(desk, night)
            if night in OUTAGES or night == WRONG_KEY:
                assert swept.code == (4 if night == WRONG_KEY else 1), swept.err
                due = set()
            else:
                assert swept.code == 0, swept.err
            mailed = {int(n) for n, count in ca.books.mails_per_order.items()
                      if count != before.get(n, 0)}  # fmt: skip
            assert mailed == due, f"night {night}"
            for number in due:
                model.mails[number] = model.mails.get(number, 0) + 1
            assert {n: o.mails for n, o in ca.world.orders.items() if o.mails} == model.mails
        assert {int(n): count for n, count in ca.books.mails_per_order.items()} == model.mails
        assert max(model.mails.values()) == MOST_MAILS
        assert len(came) == ORDERS
        assert set(model.mails) == set(came), "none was forgotten"
        statuses = [order.status for order in ca.world.orders.values()]
        assert 0.4 * ORDERS < statuses.count("issued") < 0.8 * ORDERS, "three mails at 0.3 each"
        assert ca.books.wrong_request_count == 0
        assert (tmp_path / "journal.db").stat().st_size < 2_000_000
        last = await night_of(desk, NIGHTS + 30, "-q")
        assert last.code == 0
        assert last.out.startswith("Nothing to send: ")
        runs = json.loads((await desk.run("runs", "--format", "json")).out)
        assert sum(run["sent"] for run in runs) == sum(model.mails.values())
