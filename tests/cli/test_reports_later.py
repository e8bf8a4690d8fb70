"""Reports that could not be written when their run ended: later runs write them."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca, read_summary, run_ids
from tests.cli.test_reports_apart import AGAIN, remove, two_nights


async def test_a_run_writes_the_reports_that_those_before_it_could_not_write(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        arguments = ("--report-dir", "nights/{run}", "--redact")
        desk.write_list(3)
        for _ in range(5):
            assert (await desk.run(*AGAIN, *arguments)).code == 0
        _, without, killed, _, removed = await run_ids(desk)
        places = {run: tmp_path / "nights" / run for run in (without, killed, removed)}
        remove(places[without])
        remove(places[removed])
        await desk.run(*AGAIN, *arguments)
        assert not places[without].exists(), "somebody removed it: the last night's is there"
        remove(tmp_path / "nights" / (await run_ids(desk))[0])
        remove(tmp_path / "nights" / (await run_ids(desk))[1])
        live = json.loads((places[killed] / "summary.json").read_text())
        live |= {"state": "running", "verdict": "under way", "finished_at": None}
        (places[killed] / "summary.json").write_text(json.dumps(live))
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute(
                "UPDATE runs SET state = 'interrupted', finished_at = NULL WHERE id = ?", [killed]
            )
        desk.write_list(2)
        sent = await desk.run(*AGAIN, "--report-dir", "other/{run}", "--log-file", "run.log")
        assert sent.code == 0, sent.err
        for run in (without, killed):
            summary = json.loads((places[run] / "summary.json").read_text())
            assert (summary["run_id"], summary["state"] != "running") == (run, True)
            assert "@example" not in (places[run] / "report.html").read_text(), "as it was told"
        assert "other/{run}" not in (places[killed] / "report.html").read_text()
        assert not places[removed].exists()
        index = (tmp_path / "nights" / "index.html").read_text()
        assert without in index
        assert ">under way<" not in index
        assert f"wrote the missing report of run {killed}" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize("where", [(), ("--report-dir", "nights/{run}")])
async def test_a_report_that_was_only_begun_is_written_by_a_later_run(
    tmp_path: Path, where: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        begun, newer = await two_nights(desk, *where)
        place = tmp_path / ("nights" if where else "reports")
        for path in (place / begun).iterdir():
            if path.name != "results.csv":
                path.unlink()
        shown = await desk.run("show", begun)
        assert f"There is no up-to-date report of it in {'nights' if where else 'reports'}/" in (
            shown.out.replace(f"{tmp_path}/", "")
        )
        assert f"batch-resend report {begun}" in shown.out
        assert "There is no up-to-date report" not in (await desk.run("show", newer)).out
        assert (await desk.run(*AGAIN, *where)).code == 0
        assert read_summary(place / begun)["run_id"] == begun
        assert begun in (place / "index.html").read_text()


@pytest.mark.parametrize(
    ("there", "is_written"),
    [
        pytest.param([], True, id="nothing"),
        pytest.param(["results.csv", ".unsent.csv.7.ab12"], True, id="what a report begins with"),
        pytest.param(["results.csv", "notes.txt"], False, id="a file of somebody's"),
        pytest.param(["summary.json"], False, id="a summary that cannot be read"),
        pytest.param(None, False, id="the report of another run of that day"),
    ],
)
async def test_a_killed_night_is_reported_in_the_folder_of_its_day_if_nothing_else_is_there(
    tmp_path: Path, there: list[str] | None, is_written: bool
) -> None:
    """Of two killed on one day, the newer one is."""
    async with desk_with_ca(tmp_path) as (desk, _):
        where = ("--report-dir", "nights/{date}")
        _, newer = await two_nights(desk, *where)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE runs SET created_at = created_at - 86400")
        (today,) = (tmp_path / "nights").iterdir()
        day = today.rename(today.with_name(f"{date.fromisoformat(today.name) - timedelta(1)}"))
        if there is not None:
            remove(day)
            day.mkdir()
            for name in there:
                (day / name).write_text("begun")
        sent = await desk.run(*AGAIN, *where, "--log-file", "run.log")
        assert sent.code == 0, sent.err
        told = (tmp_path / "run.log").read_text()
        assert (f"wrote the missing report of run {newer}: {day}" in told) is is_written
        assert ("missing report" in told) is is_written
        if is_written or there is None:
            assert read_summary(day)["run_id"] == newer
        else:
            assert {path.name for path in day.iterdir()} == {*(there or ())}


async def test_a_report_is_written_though_the_disk_of_all_reports_was_another_one(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        where = ("--report-dir", "nights/{run}")
        names = await two_nights(desk, *where)
        shutil.rmtree(tmp_path / "nights")
        assert (await desk.run(*AGAIN, *where)).code == 0
        for name in names:
            assert read_summary(tmp_path / "nights" / name)["run_id"] == name


async def test_after_a_rehearsal_of_a_list_that_a_report_wrote_the_whole_list_is_to_be_sent(
    desk: Desk,
) -> None:
    """It may have another name by then, and lie elsewhere; the whole list is none of them."""
    desk.write_list(3)
    send = ("--", *desk.command(), "send", "--all-domains", "--limit", "none")
    some = await desk.run("simulate", "--unknown", "700001", *send, "orders.csv")
    assert "To send for real; key.txt is the file with your API key:\n  batch-resend" in some.out
    refused = desk.report() / "refused.csv"
    shutil.copy(refused, desk.folder / "those.csv")
    none = await desk.run("simulate", "--unknown", "700001", *send, "those.csv")
    assert none.code == 3
    for name in ("those.csv", str(refused)):
        part = await desk.run("simulate", *send, name)
        assert part.code == 0, part.err
        told = " ".join(part.out.partition("To send for real")[2].split())
        assert told.startswith(", send the whole list without simulate, and without a base-url.")
        assert f"{name} is only a part of it" in told
        assert "batch-resend send" not in told
    whole = await desk.run("simulate", *send, "orders.csv")
    assert "is only a part" not in whole.out


async def test_a_report_that_is_written_once_more_masks_addresses_and_links_orders_as_the_run_did(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id,domain,email\n1,a.example,jane@\n" + "".join(
            f"10020030{n},a{n}.example,jane{n}@a{n}.example\n" for n in range(1, 4)
        ))  # fmt: skip
        shown = ("--redact", "--order-url", "https://ca.example/order/{order}")
        few = ("--max-orders", "1", "--max-rejected", "50%", "--yes")
        await desk.run("send", "orders.csv", *few, *shown)
        (folder,) = (tmp_path / "reports").glob("*/")
        is_linked = "https://ca.example/order/" in (folder / "report.html").read_text()
        assert is_linked

        async def is_as_before(*words: str) -> None:
            (folder / "report.html").unlink()
            done = await desk.run(*words)
            page = (folder / "report.html").read_text()
            assert "jane" not in page + done.err + (tmp_path / "run.log").read_text()
            assert ("https://ca.example/order/" in page) is is_linked

        (tmp_path / "run.log").touch()
        await is_as_before("report")
        await is_as_before("resume", "--max-orders", "1", "--yes", "-v", "--log-file", "run.log")
        await is_as_before("report", "--json")


@pytest.mark.parametrize("pattern", ["night", "night/{date}"])
async def test_a_report_that_is_beside_a_newer_one_is_found_there_and_pruned(
    tmp_path: Path, pattern: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        older, _ = await two_nights(desk, "--report-dir", pattern)
        for command in ("show", "watch"):
            missing = await desk.run(command, older)
            assert f"batch-resend report {older}" in missing.out
        (page,) = re.findall(r"Report: (\S+)", (await desk.run("report", older)).out)
        assert (tmp_path / page).is_file()
        for command in ("show", "watch"):
            found = await desk.run(command, older)
            assert page in found.out
            assert "There is no up-to-date report" not in found.out
        if "{" in pattern:
            return
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE runs SET created_at = created_at - 864000")
            journal.execute("UPDATE runs SET finished_at = finished_at - 864000")
        assert (await desk.run("prune", "--older-than", "5d")).code == 0
        assert not (tmp_path / page).exists()
