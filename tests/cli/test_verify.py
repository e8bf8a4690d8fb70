"""`verify`: what has come of the orders that were sent, and of those mailed several times."""

import json
from pathlib import Path

from batch_resend.simulator import FaultName, Simulator, WorldOrder
from batch_resend.topics import mail_advice
from tests.cli.conftest import Desk, desk_with_ca, ended, until


async def test_orders_sent_are_asked_about_and_the_report_tells_of_them(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"6"})) as (desk, ca):
        for number in range(1, 5):
            ca.world.add(WorldOrder(number))
        desk.write("orders.csv", "order_id,locale\n1,de\n1,en\n2,\n3,\n4,\n5,\n6,\n")
        await desk.run("send", "orders.csv", "--all-domains")
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


async def test_a_run_that_has_sent_nothing_costs_no_request(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"100200301"})) as (desk, ca):
        desk.write("orders.csv", "order_id\n100200301\n")
        await desk.run("send", "orders.csv", "--all-domains")
        run = desk.summary()["run_id"]
        told = await desk.run("verify", run)
        assert (told.code, told.out) == (0, f"Run {run} has sent no order.\n")
        assert ca.books.reads == 0
        unknown = await desk.run("verify", "20200101-000000-beef")
        assert unknown.code == 1
        assert "no run '20200101-000000-beef'" in unknown.err


async def test_what_was_answered_before_the_ca_failed_is_kept_and_its_names_are_not_missed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.1)) as (desk, ca):
        numbers = desk.write_list(4)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        await desk.run("send", "orders.csv", "--all-domains")
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


ADVICE = "What to look at before you send again (more: batch-resend help mail)"


async def mailed(desk: Desk, ca: Simulator, *nights: str) -> str:
    """Have lists of orders mailed, one after another; return the last run's name."""
    run = ""
    for night, numbers in enumerate(nights):
        for number in numbers.split():
            ca.world.add(WorldOrder(int(number)))
        desk.write("orders.csv", "\n".join(["order_id", *numbers.split()]) + "\n")
        sent = await desk.run(
            "send", "orders.csv", "--all-domains", "--again", "--report-dir", f"r{night}"
        )
        assert sent.code == 0, sent.err
        run = json.loads((desk.folder / f"r{night}" / "summary.json").read_text())["run_id"]
    return run


async def test_verify_names_those_mailed_often_and_what_to_look_at(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run = await mailed(desk, ca, "1 2", "1 2 3", "1 2 3 4 5")
        ca.world.orders[2].status = "issued"
        ca.world.orders[5].status = "reissue_pending"
        verified = await desk.run("verify", run)
        assert verified.code == 0, verified.err
        told = verified.out.partition("2 orders of these were mailed two or more times")[2]
        lines = told.splitlines()
        assert lines[1].startswith("  order 1: 3 mails since 20")
        assert lines[2].startswith("  order 3: 2 mails since 20")
        assert lines[3] == ADVICE
        assert [line.removeprefix("  - ") for line in lines[4:]] == list(mail_advice())
        several = json.loads((await desk.run("verify", run, "--json")).out)["mailed_several_times"]
        assert several["count"] == 2
        assert [(one["order_id"], one["mails"]) for one in several["first"]] == [
            ("1", 3), ("3", 2),
        ]  # fmt: skip


async def test_the_page_of_the_run_has_them_too_once_the_ca_was_asked(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run = await mailed(desk, ca, "1 2", "1 2")
        await desk.run("report", run, "--report-dir", "before")
        assert "still waiting</h2>" not in (tmp_path / "before" / "report.html").read_text()
        ca.world.orders[2].status = "issued"
        await desk.run("verify", run)
        await desk.run("report", run, "--report-dir", "after")
        page = (tmp_path / "after" / "report.html").read_text()
        section = page.partition('<h2 id="unapproved">')[2].partition("</section>")[0]
        assert "1 order of this run was mailed two or more times" in section
        assert '<tr><td>1</td><td class="n">2</td><td>20' in section
        assert "<tr><td>2</td>" not in section
        assert section.count("<li>") == len(mail_advice())
        assert "batch-resend help mail" in section


async def test_what_a_sweep_sees_waiting_counts_as_well(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run = await mailed(desk, ca, "1", "1")
        await desk.run("sweep", "--older-than", "0s")
        await desk.run("report", run, "--report-dir", "after")
        assert "still waiting</h2>" in (tmp_path / "after" / "report.html").read_text()


async def test_of_very_many_the_first_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = " ".join(map(str, range(1, 221)))
        run = await mailed(desk, ca, numbers, numbers)
        verified = await desk.run("verify", run)
        assert "220 orders of these were mailed" in verified.out
        assert "  and 210 more: --json, or the run's report, names them\n" in verified.out
        await desk.run("report", run, "--report-dir", "after")
        page = (tmp_path / "after" / "report.html").read_text()
        assert "The 200 with the most mails" in page
