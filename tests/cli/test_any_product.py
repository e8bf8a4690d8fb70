"""Orders that are not DV: skipped by the rule of the CA's older pages, or sent by their own call.

What went out is counted at the CA: the calls for an order, whatever it answered to them.
"""

import time
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results
from tests.notify.listener import listening

RULE = "is not DV, and by the CA's older pages dv-resend is for DV only"
LIST = """\
order_id,status,dcv_method,product
1,pending,email,ssl_dv_rapidssl
2,pending,email,ssl_ev_plus
3,issued,email,ssl_ev_plus
4,pending,dns-txt-token,ssl_ev_plus
"""


def fill(desk: Desk, ca: Simulator) -> None:
    """Have the CA's orders be those of the list, and a list of bare numbers beside it."""
    desk.write("orders.csv", LIST)
    desk.write("numbers.csv", "order_id\n1\n2\n3\n4\n")
    old = time.time() - 9 * 86_400
    for line in LIST.splitlines()[1:]:
        number, status, method, product = line.split(",")
        order = WorldOrder(int(number), status, product, created_at=old, dcv_method=method)
        ca.world.add(order)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("send", "orders.csv"), id="by what the list says"),
        pytest.param(("send", "numbers.csv", "--preflight"), id="by what the CA says beforehand"),
        pytest.param(("sweep",), id="of those that wait at the CA"),
    ],
)
async def test_what_is_not_dv_is_sent_by_the_orders_call_only_where_that_is_wanted(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(desk, ca)
        usual = await desk.run(*command)
        assert usual.code == 0, usual.err
        assert ca.books.bodies == {"1": [{}]}
        await desk.run(*command, "--any-product", "--again", "--report-dir", "again")
        assert set(ca.books.bodies) == {"1", "2"}, "issued, and validated by DNS: neither is sent"


async def test_the_reason_says_whose_rule_it_is_and_which_options_there_are(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        for report, command in enumerate((("orders.csv",), ("numbers.csv", "--preflight"))):
            sent = await desk.run("send", *command, "--again", "--report-dir", str(report))
            assert RULE in sent.err
            (of_ev,) = (r for r in results(tmp_path / str(report)) if r["order_id"] == "2")
            assert of_ev["status"] == "skipped"
            assert RULE in of_ev["error_message"]
            assert "--call domain-dcv" in of_ev["error_message"]
            assert "--any-product" in of_ev["error_message"]


async def test_a_run_that_goes_on_may_be_asked_about_with_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(desk, ca)
        desk.write("held.csv", "order_id\n2\n3\nx\n")
        assert (await desk.run("send", "held.csv", "--strict", "--report-dir", "held")).code == 3
        assert ca.books.bodies == {}
        run = read_summary(tmp_path / "held")["run_id"]
        await desk.run("resume", run, "--preflight", "--any-product", "--report-dir", "on")
        assert set(ca.books.bodies) == {"2"}


@pytest.mark.parametrize("command", ["check", "send"])
async def test_with_auto_call_it_is_wrong_usage_and_a_watchdog_hears_so(
    desk: Desk, command: str
) -> None:
    desk.write("orders.csv", LIST)
    async with listening() as watchdog:
        ping = ("--ping-url", watchdog.url) if command == "send" else ()
        wrong = await desk.run(command, "orders.csv", *ping, "--any-product", "--auto-call")
        assert wrong.code == 2
        assert "--auto-call and --any-product exclude each other" in wrong.err
        assert len(watchdog.posts) == (1 if ping else 0)
        by_variable = await desk.run(
            command, "orders.csv", "--any-product", BATCH_RESEND_AUTO_CALL="1"
        )
        assert by_variable.code == 2
