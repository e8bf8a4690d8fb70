"""Orders that are not DV: skipped or sent, told alike in every place, and when resumed."""

import csv
import json
import time
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results
from tests.notify.listener import listening

RULE = "is not DV, and according to the CA's older pages dv-resend is for DV only"
LIST = """\
order_id,status,dcv_method,product
100200301,pending,email,ssl_dv_rapidssl
100200302,pending,email,ssl_ev_plus
100200303,issued,email,ssl_ev_plus
100200304,pending,dns-txt-token,ssl_ev_plus
"""


def fill(desk: Desk, ca: Simulator) -> None:
    """Have the CA's orders be those of the list, and a list of bare numbers beside it."""
    desk.write("orders.csv", LIST)
    desk.write("numbers.csv", "order_id\n100200301\n100200302\n100200303\n100200304\n")
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
        usual = await desk.run(*command, "--report-dir", "usual")
        assert usual.code == (3 if command[0] == "send" else 0), usual.err
        assert ca.books.bodies == {"100200301": [{}]}
        if command[0] == "send":
            assert "1 of 2 orders sent" in usual.out
            assert "3 skipped (1 of them perhaps waiting for mails of another call)" in usual.out
            assert "1 order skipped that may wait for mails" in usual.out, "what to do next"
            summary = read_summary(tmp_path / "usual")
            assert (summary["skipped"]["other_call"], summary["verdict"]) == (1, "rehearsal")
            assert ", perhaps waiting for mails of another call: its product" in usual.err
            assert RULE in usual.err
            (of_ev,) = (r for r in results(tmp_path / "usual") if r["order_id"] == "100200302")
            assert (of_ev["status"], of_ev["error_code"]) == ("skipped", "other_call")
            for word in (RULE, "--call domain-dcv", "--any-product"):
                assert word in of_ev["error_message"]
        await desk.run(*command, "--any-product", "--again", "--report-dir", "again")
        assert set(ca.books.bodies) == {"100200301", "100200302"}, (
            "issued, and validated by DNS: neither is sent"
        )


async def test_every_place_says_the_same_numbers_of_what_waits_for_mails_of_another_call(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        words = ("--notify-url", hook.url, "--metrics-file", "m.prom", "--report-dir", "all/{run}")
        said = {"send": (await desk.run("send", "numbers.csv", "--preflight", *words)).out}
        for command in ("show", "watch", "report", "runs", "history 100200302"):
            said[command] = (await desk.run(*command.split())).out
        for command in ("runs", "show"):
            said[f"{command} csv"] = (await desk.run(command, "--format", "csv")).out
        (folder,) = (tmp_path / "all").glob("*/")
        said["page"] = (folder / "report.html").read_text()
        said["index"] = (tmp_path / "all" / "index.html").read_text()
        said["metrics"] = (tmp_path / "m.prom").read_text()
        notified = json.loads(hook.posts[-1][1])
        said["notification"] = notified["text"]
        (listed,) = csv.DictReader(said["runs csv"].splitlines())
        (run,) = json.loads((await desk.run("runs", "--json")).out)
        shown = json.loads((await desk.run("show", "--json")).out)
    of, beside = "1 of 2", "3 skipped (1 of them perhaps waiting for mails of another call)"
    for places, parts in (
        (
            ("send", "show", "watch", "report", "page", "notification"),
            (f"{of} orders sent", beside),
        ),
        (("runs",), (f" {of} ", beside)),
        (("page",), ("50 %<span> of 2 sent",)),
        (("index",), (">1 (50 % of 2)<", ">1 (1 perhaps waiting for mails of another call)<")),
        (("metrics",), ('{outcome="skipped"} 3.0', '_skipped_orders{reason="other_call"} 1.0')),
        (("show csv",), ('"orders, skipped",3', '"skipped orders, other call",1')),
        (("history 100200302",), ("other_call",)),
    ):
        for place in places:
            assert [part for part in parts if part not in said[place]] == [], place
    counts = {"sent": 1, "skipped": 3, "other_call": 1, "sent_of": 2}
    assert {name: run[name] for name in counts} == counts
    assert {name: int(listed[name]) for name in counts} == counts
    for summary in (shown, notified, read_summary(folder)):
        assert (summary["sent_of"], summary["orders"]["skipped"]) == (2, 3)
        assert summary["skipped"]["other_call"] == 1


async def test_what_is_approved_or_waits_no_more_is_of_no_other_call(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        of_ev = ca.world.orders[100200302]
        of_ev.approved.update(of_ev.domains)
        sent = await desk.run("send", "numbers.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert desk.summary()["skipped"]["preflight"] == 3


async def test_a_list_takes_back_what_an_earlier_one_said_of_the_call(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("orders.csv", LIST + "100200305,pending,email,ssl_dv_rapidssl\n")
        first = await desk.run("send", "orders.csv", "--max-orders", "1", "--report-dir", "first")
        assert first.code == 4, first.err
        assert read_summary(tmp_path / "first")["skipped"]["other_call"] == 1
        rest = await desk.run("send", "orders.csv", "--any-product")
        assert rest.code == 0, rest.err
        assert "Resuming run" in rest.err
        assert set(ca.books.mails_per_order) == {"100200301", "100200302", "100200305"}


async def test_what_the_ca_said_of_the_call_holds_when_the_run_is_resumed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        desk.write("numbers.csv", "order_id\n100200302\n100200301\n100200305\n")
        words = ("send", "numbers.csv", "--preflight", "--max-orders", "1", "--report-dir", "first")
        assert (await desk.run(*words)).code == 4
        run = read_summary(tmp_path / "first")["run_id"]
        rest = await desk.run("resume", run, "--report-dir", "rest")
        assert rest.code == 3, rest.err
        assert set(ca.books.mails_per_order) == {"100200301", "100200305"}
        assert read_summary(tmp_path / "rest")["skipped"]["other_call"] == 1


async def test_a_resumed_run_may_be_asked_about_with_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(desk, ca)
        desk.write("held.csv", "order_id\n100200302\n100200303\nx\n")
        assert (await desk.run("send", "held.csv", "--strict", "--report-dir", "held")).code == 3
        assert ca.books.bodies == {}
        run = read_summary(tmp_path / "held")["run_id"]
        await desk.run("resume", run, "--preflight", "--any-product", "--report-dir", "on")
        assert set(ca.books.bodies) == {"100200302"}


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
