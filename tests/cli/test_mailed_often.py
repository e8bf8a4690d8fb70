"""Orders that were mailed several times and still wait: `verify` and the page tell of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from batch_resend.simulator import Simulator, WorldOrder
from batch_resend.topics import mail_advice
from tests.cli.conftest import Desk, desk_with_ca

ADVICE = "What to look at before you send again (more: batch-resend help mail)"


async def mailed(desk: Desk, ca: Simulator, *nights: str) -> str:
    """Have lists of orders mailed, a night after another; return the last run's name."""
    run = ""
    for night, numbers in enumerate(nights):
        if night:
            with closing(sqlite3.connect(desk.folder / "journal.db")) as journal, journal:
                journal.execute("UPDATE attempts SET begun_at = begun_at - 86400")
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
        told = verified.out.partition("2 orders of these were mailed by two or more runs")[2]
        lines = told.splitlines()
        assert lines[1].startswith("  order 1: 3 runs since 20")
        assert lines[2].startswith("  order 3: 2 runs since 20")
        assert lines[3] == ADVICE
        assert [line.removeprefix("  - ") for line in lines[4:]] == list(mail_advice())
        several = json.loads((await desk.run("verify", run, "--json")).out)["mailed_several_times"]
        assert several["count"] == 2
        assert [(one["order_id"], one["runs"]) for one in several["first"]] == [
            ("1", 3), ("3", 2),
        ]  # fmt: skip


async def test_directly_after_a_second_mail_nothing_is_said_of_mails_that_do_not_arrive(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n1\n")
        for _time in range(2):
            assert (await desk.run("send", "orders.csv", "--all-domains", "--again")).code == 0
        verified = await desk.run("verify")
        assert "1 order sent" in verified.out
        assert "perhaps the mails do not arrive" not in verified.out


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
        assert "1 order of this run was mailed by two or more runs" in section
        assert '<tr><td class="code">1</td><td class="n">2</td><td>20' in section
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
        assert "The 200 mailed by the most runs" in page
