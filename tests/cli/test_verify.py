"""`verify`: what has come of the orders that a run has sent."""

import json
from pathlib import Path

from batch_resend.simulator import FaultName, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import desk_with_ca, ended, until


async def test_the_orders_that_were_sent_are_asked_about_and_the_report_tells_of_them(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"6"})) as (desk, ca):
        for number in range(1, 5):
            ca.world.add(WorldOrder(number))
        desk.write("orders.csv", "order_id,locale\n1,de\n1,en\n2,\n3,\n4,\n5,\n6,\n")
        await desk.run("send", "orders.csv")
        run = desk.summary()["run_id"]
        ca.world.orders[1].status = ca.world.orders[2].status = "issued"
        verified = await desk.run("verify", run)
        assert verified.code == 0, verified.err
        assert verified.out == (
            f"Of 6 orders sent by run {run}\n  issued    3\n  pending   2\n  waiting   1\n"
            "Names that still wait\n"
            "  3         its name is not approved yet\n"
            "  4         its name is not approved yet\n"
        )
        assert ca.books.reads_of == {"status-changes": 1, "validation": 3}, (
            "what changed of all, and of each that waits its names"
        )
        page = (desk.report() / "report.html").read_text()
        assert "What has come of it" not in page
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        assert "of 6 orders sent 3 are issued, 2 are pending, 1 is waiting." in page


async def test_asked_again_the_newer_answer_stands(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.world.add(WorldOrder(1))
        desk.write("orders.csv", "order_id\n1\n")
        await desk.run("send", "orders.csv")
        run = desk.summary()["run_id"]
        for status in ("pending", "issued"):
            ca.world.orders[1].status = status
            told = json.loads((await desk.run("verify", run, "--format", "json")).out)
            assert told["statuses"] == {status: 1}
            assert told["orders"] == 1


async def test_a_run_that_has_sent_nothing_costs_no_request_and_an_unknown_one_is_named(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"1"})) as (desk, ca):
        desk.write("orders.csv", "order_id\n1\n")
        await desk.run("send", "orders.csv")
        run = desk.summary()["run_id"]
        told = await desk.run("verify", run)
        assert (told.code, told.out) == (0, f"Run {run} has sent no order.\n")
        assert ca.books.reads == 0
        unknown = await desk.run("verify", "20200101-000000-beef")
        assert unknown.code == 1
        assert "no run '20200101-000000-beef'" in unknown.err


async def test_it_keeps_the_windows_with_what_was_sent(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(5, 1.0),)) as (desk, ca):
        numbers = desk.write_list(8)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        await desk.run("send", "orders.csv")
        assert (await desk.run("verify", desk.summary()["run_id"])).code == 0
        assert (ca.books.mails, ca.books.reads) == (8, 1), "one answer tells of all"
        assert all(log.refused == 0 for log in ca.books.windows)


async def test_what_was_answered_before_the_ca_failed_is_kept_and_its_names_are_not_missed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.1)) as (desk, ca):
        numbers = desk.write_list(4)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        await desk.run("send", "orders.csv")
        run = desk.summary()["run_id"]
        assert (await desk.run("verify", run)).code == 0
        ca.world.orders[int(numbers[0])].status = "issued"
        reads = ca.books.reads
        failing = await desk.start("verify", run, "--max-attempts", "1")
        await until(lambda: ca.books.reads > reads)
        ca.fail({FaultName.SERVER_ERROR: 1.0})
        assert (await ended(failing)).code == 0, "names that nobody asked for"
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        assert "of 4 orders sent 3 are waiting, 1 is issued." in page
