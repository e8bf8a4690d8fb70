"""Lists that people edit before they send them: no report writes over them."""

import errno
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zipfile import ZipFile

import pytest

from batch_resend.errors import ReportError
from batch_resend.intake import ListSource, Source
from batch_resend.journal import Journal, Terms
from batch_resend.model import Run, RunState
from batch_resend.report import next_steps, write_report
from batch_resend.report.files import LISTS, OF_ORDERS, forget_earlier
from tests.journal.conftest import Clock, carry, pending
from tests.report.carried import (
    FILES,
    SCRIPT,
    Report,
    carried,
    plan_lists,
    reported,
    two_lists,
)

pytestmark = pytest.mark.asyncio


def edit(path: Path) -> bytes:
    """Correct something in a list; return what is in it then."""
    path.write_text(path.read_text() + "16,mine,a.example,admin@a.example,\n")
    return path.read_bytes()


def packed_in(report: Report) -> dict[str, bytes]:
    """Return the files in report.zip."""
    with ZipFile(report.folder / "report.zip") as packed:
        return {Path(name).name: packed.read(name) for name in packed.namelist()}


def links_of(report: Report) -> set[str]:
    """Return the files that the page links to."""
    return set(re.findall(r'href="([^"#]+)"', (report.folder / "report.html").read_text()))


async def send_next(journal: Journal, clock: Clock, run: Run) -> Run:
    """Resume a run, and interrupt it after the next order."""
    recorder = await journal.start(run, Terms(()))
    await carry(recorder, clock, (await pending(journal.reader, run))[0], "204")
    await journal.finish(run, RunState.INTERRUPTED, "so it was")
    return await journal.reader.run(run.id)


def orders(path: Path, *numbers: int) -> list[Source]:
    """Return a list of orders, and of a row that is rejected."""
    rows = "".join(f"{number},a.example,admin@a.example\n" for number in numbers)
    path.write_text(f"order_id,domain,email\n{rows}1e9,a.example,admin@a.example\n")
    return [ListSource(str(path))]


def assert_only_edited(report: Report, before: dict[str, bytes], edited: dict[str, bytes]) -> None:
    """Check that a report is as before, but that its page, which is packed too, says of the lists.

    And that no list is beside them.
    """
    texts = report.texts()
    rewritten = {name: texts[name] for name in ("report.html", "report.zip")}
    assert texts == before | edited | rewritten
    assert b"you have edited this list" in rewritten["report.html"]


@asynccontextmanager
async def edited_lists(
    folder: Path,
) -> AsyncIterator[tuple[Journal, Run, Report, dict[str, bytes], dict[str, bytes]]]:
    """Write a report and edit its lists; yield what its files were, and what the lists are now."""
    async with carried(folder, two_lists(folder), SCRIPT) as (journal, run):
        report = Report(folder / "report")
        await write_report(journal.reader, run, report.folder)
        before = report.texts()
        yield journal, run, report, before, {n: edit(report.folder / n) for n in LISTS}


async def test_a_list_that_somebody_has_edited_stays_when_its_report_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it was is in report.zip, and the commands name the edited one: it has all its rows."""
    async with edited_lists(tmp_path) as (journal, run, report, before, edited):
        for _ in range(2):
            caplog.clear()
            summary = await write_report(journal.reader, run, report.folder)
            assert_only_edited(report, before, edited)
            assert [name for name in edited if f"{name}: it was edited" in caplog.text] == [*edited]
            assert len(caplog.records) == len(LISTS)
    assert packed_in(report)["rejected.csv"] == before["rejected.csv"]
    commands = [step.command or "" for step in next_steps(summary, report.folder)]
    assert any(f"{report.folder}/rejected.csv" in command for command in commands)


async def test_a_list_that_nobody_has_edited_is_replaced_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, lists = Clock(), orders(tmp_path / "list.csv", 11, 12, 13)
    async with carried(tmp_path, lists, {}, RunState.INTERRUPTED, clock) as (journal, run):
        report = Report(tmp_path / "report")
        await write_report(journal.reader, run, report.folder)
        await write_report(journal.reader, await send_next(journal, clock, run), report.folder)
    assert report.texts().keys() == FILES
    assert [row["order_id"] for row in report.records("unsent.csv")] == ["12", "13"]
    assert not caplog.records


async def test_a_list_of_a_report_that_failed_does_not_pass_for_an_edited_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, lists = Clock(), orders(tmp_path / "list.csv", 11, 12, 13)
    async with carried(tmp_path, lists, {}, RunState.INTERRUPTED, clock) as (journal, run):
        report = Report(tmp_path / "report")
        await write_report(journal.reader, run, report.folder)
        stopped = await send_next(journal, clock, run)
        with pytest.raises(ReportError), pytest.MonkeyPatch.context() as patch:
            patch.setattr("shutil.copyfileobj", out_of_room)
            await write_report(journal.reader, stopped, report.folder)
        assert [row["order_id"] for row in report.records("unsent.csv")] == ["11", "12", "13"]
        await write_report(journal.reader, stopped, report.folder)
    assert [row["order_id"] for row in report.records("unsent.csv")] == ["12", "13"]
    assert report.texts().keys() == FILES
    assert not caplog.records


def out_of_room(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_another_list_than_before_goes_beside_the_edited_one_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where that one was edited, too; page, commands and report.zip name the newest."""
    clock, lists = Clock(), orders(tmp_path / "list.csv", 11, 12, 13, 14)
    async with carried(tmp_path, lists, {}, RunState.INTERRUPTED, clock) as (journal, run):
        report, edited, name = Report(tmp_path / "report"), dict[str, bytes](), "unsent.csv"
        await write_report(journal.reader, run, report.folder)
        for new, left in (("unsent-{}.csv", ["12", "13", "14"]), ("unsent-{}-2.csv", ["13", "14"])):
            edited[name] = edit(report.folder / name)
            name = new.format(run.id)
            stopped = await send_next(journal, clock, run)
            summary = await write_report(journal.reader, stopped, report.folder)
            assert f"the new list is {report.folder / name}" in caplog.text
            assert [row["order_id"] for row in report.records(name)] == left
            assert report.texts().keys() == FILES | {*edited, name}
            assert {old: report.texts()[old] for old in edited} == edited
            assert name in links_of(report)
            assert not links_of(report) & edited.keys()
            assert packed_in(report)[name] == report.texts()[name]
            assert not packed_in(report).keys() & edited.keys()
        done = summary.model_copy(update={"state": "completed"})
        command = next_steps(done, report.folder)[0].command or ""
        assert command.startswith(f"batch-resend send {report.folder / name}")


async def test_in_one_folder_for_all_runs_only_the_newest_lists_are_beside_an_edited_one(
    tmp_path: Path,
) -> None:
    report = Report(tmp_path / "report")
    async with carried(tmp_path, orders(tmp_path / "1.csv", 11, 12), {}) as (journal, run):
        await write_report(journal.reader, run, report.folder)
        edited = edit(report.folder / "unsent.csv")
        for number in (13, 15):
            new = await plan_lists(journal, *orders(tmp_path / f"{number}.csv", number))
            await write_report(
                journal.reader, await send_next(journal, Clock(), new), report.folder
            )
            assert report.texts().keys() == FILES | {f"unsent-{new.id}.csv"}
            assert report.texts()["unsent.csv"] == edited


@pytest.mark.parametrize("name", OF_ORDERS)
@pytest.mark.parametrize("work", ["none", "it is being sent", "it was edited"])
async def test_once_its_run_is_resumed_what_is_no_longer_true_goes_but_no_list_at_work(
    tmp_path: Path, work: str, name: str
) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    edit(found.folder / "rejected.csv")
    if work == "it was edited":
        edit(found.folder / name)
    being_sent = found.folder / ".." / found.folder.name / name
    work_on = [Path("-"), *([being_sent] if work == "it is being sent" else [])]
    forget_earlier(found.folder, "RUN", work_on)
    gone = {"results.csv", "results.jsonl", "report.zip", *OF_ORDERS}
    left = {path.name for path in found.folder.iterdir() if not path.name.startswith(".")}
    assert left == set(FILES) - gone | (set() if work == "none" else {name})


async def test_lists_are_known_as_written_or_edited_when_their_run_was_resumed_and_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with edited_lists(tmp_path) as (journal, run, report, before, edited):
        for _ in range(2):  # the first of them is killed before it has written a report
            forget_earlier(report.folder, run.id, [])
        summary = await write_report(journal.reader, run, report.folder)
        assert_only_edited(report, before, edited)
        assert caplog.text.count("report.zip has it as it was") == len(LISTS)
        commands = [step.command or "" for step in next_steps(summary, report.folder)]
        assert any(f"{report.folder}/rejected.csv" in command for command in commands)


async def test_a_list_that_stands_beside_an_edited_one_is_not_taken_for_edited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, lists = Clock(), orders(tmp_path / "list.csv", 11, 12, 13, 14)
    async with carried(tmp_path, lists, {}, RunState.INTERRUPTED, clock) as (journal, run):
        report = Report(tmp_path / "report")
        await write_report(journal.reader, run, report.folder)
        mine = edit(report.folder / "unsent.csv")
        for _ in range(2):
            forget_earlier(report.folder, run.id, [])
            stopped = await send_next(journal, clock, run)
            await write_report(journal.reader, stopped, report.folder)
        found = sorted(path.name for path in report.folder.glob("unsent*"))
        assert found == [f"unsent-{run.id}.csv", "unsent.csv"]
        assert (report.folder / "unsent.csv").read_bytes() == mine
        assert f"unsent-{run.id}.csv: it was edited" not in caplog.text
