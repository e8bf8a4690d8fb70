"""A signal at each step of a run, given by the process to itself as it takes that step."""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial, reduce, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import JournalError, ReportError
from batch_resend.journal import Journal
from tests.cli.conftest import Desk, Ended, assert_adds_up, desk_with_ca, ended, read_summary
from tests.cli.meddling import run_ids

pytestmark = pytest.mark.asyncio

BEFORE_SENDING = [
    "journal.database:_version",
    "journal.database:_create_tables",
    "journal.journal:Journal.clean_up",
    "journal.journal:Journal.new_run",
    "journal.planning:Staging.add_rows",
    "journal.planning:Staging.group",
    "journal.grouping:Grouping.changes",
    "journal.journal:Journal.settle",
    "batch:make_plan",
    "cli.execution:make_preview",
]
FROM_SENDING_ON = [
    "journal.journal:Journal.start",
    "channels:open_certcentral",
    "journal.recording:Recorder.begin",
    "certcentral.client:CertCentral.resend",
    "journal.recording:Recorder.end",
    "journal.journal:Journal.finish",
    "batch:write_report",
    "report.report:write_results_csv",
]


def signal_at(step: str) -> None:
    """Have the process signal itself as it takes a step for the first time."""
    module, _, path = step.partition(":")
    *owners, name = path.split(".")
    owner: Any = reduce(getattr, owners, import_module(f"batch_resend.{module}"))
    function: Callable[..., Any] = getattr(owner, name)
    given = False

    @wraps(function)
    def signalled(*arguments: Any, **options: Any) -> Any:
        nonlocal given
        if not given:
            given = True
            os.kill(os.getpid(), signal.SIGTERM)
        return function(*arguments, **options)

    pytest.MonkeyPatch().setattr(owner, name, signalled)


async def signalled_at(desk: Desk, step: str) -> Ended:
    """Send a list, with SIGTERM at a step; the process is killed if that does not end it."""
    process = await desk.start_after(partial(signal_at, step), "send", "orders.csv")
    ending = asyncio.create_task(ended(process))
    await asyncio.wait([ending], timeout=15)
    in_time = ending.done()
    if not in_time:
        process.kill()
    told = await ending
    assert in_time, "SIGTERM did not end it"
    assert "Traceback" not in told.err, told.err
    assert told.code == 143, told.err
    return told


async def assert_the_rest_is_sent(desk: Desk, mails: dict[str, int], numbers: list[str]) -> None:
    later = await desk.run("send", "orders.csv", "--report-dir", "later")
    assert later.code == 0, later.err
    assert mails == dict.fromkeys(numbers, 1)
    assert_adds_up(read_summary(desk.folder / "later"))


@pytest.mark.parametrize("step", BEFORE_SENDING)
async def test_a_signal_at_any_step_before_sending_ends_it_with_no_run_and_nothing_sent(
    tmp_path: Path, step: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(10)
        told = await signalled_at(desk, step)
        assert "nothing more was sent" in told.err
        assert ca.books.requests == 0
        assert await run_ids(desk) == []
        await assert_the_rest_is_sent(desk, ca.books.mails_per_order, numbers)


@pytest.mark.parametrize("step", FROM_SENDING_ON)
async def test_a_signal_at_any_step_from_sending_on_ends_it_with_a_report(
    tmp_path: Path, step: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(10)
        await signalled_at(desk, step)
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["orders"]["sent"] == ca.books.mails == ca.books.requests
        assert await run_ids(desk) == [summary["run_id"]]
        await assert_the_rest_is_sent(desk, ca.books.mails_per_order, numbers)


def have_no_run_told_of() -> None:
    async def write_report(*_: object) -> None:
        raise JournalError("journal.db: the journal cannot be used: disk I/O error")

    pytest.MonkeyPatch().setattr("batch_resend.batch.write_report", write_report)


async def test_a_journal_that_fails_after_the_last_mail_is_no_failed_start_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(3)
        untold = await ended(
            await desk.start_after(have_no_run_told_of, "send", "orders.csv", "--quiet")
        )
        (run,) = await run_ids(desk)
        assert untold.code == 4
        assert untold.err.splitlines() == [
            f"batch-resend: run {run} has ended, and its results cannot be read: "
            "journal.db: the journal cannot be used: disk I/O error",
            "When the journal can be used again, write the report with:",
            f"  batch-resend report {run} --journal {desk.folder}/journal.db",
        ]
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert (await desk.run("report", run)).code == 0
        assert desk.summary()["orders"]["sent"] == len(numbers)


def have_neither_report_nor_journal_written() -> None:
    async def write_report(*_: object) -> None:
        raise ReportError("reports/one/results.csv: No space left on device")

    async def make_summary(*_: object) -> None:
        raise JournalError("journal.db: the journal cannot be used: disk I/O error")

    pytest.MonkeyPatch().setattr("batch_resend.batch.write_report", write_report)
    pytest.MonkeyPatch().setattr("batch_resend.cli.execution.make_summary", make_summary)


async def test_a_disk_that_fails_both_report_and_journal_is_no_failed_start(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        untold = await ended(
            await desk.start_after(have_neither_report_nor_journal_written, "send", "orders.csv")
        )
        assert (untold.code, ca.books.mails) == (4, 3)
        assert "No space left on device" in untold.err
        assert "its results cannot be read" in untold.err


def have_no_run_begin() -> None:
    async def start(*_: object) -> None:
        raise JournalError("journal.db: the journal cannot be used: database or disk is full")

    pytest.MonkeyPatch().setattr(Journal, "start", start)


async def test_a_journal_that_fails_when_sending_is_to_begin_is_told_in_a_line(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        failed = await ended(
            await desk.start_after(have_no_run_begin, "send", "orders.csv", "--quiet")
        )
        assert failed.code == 1
        assert failed.err == (
            "batch-resend: journal.db: the journal cannot be used: database or disk is full\n"
        )
        assert ca.books.requests == 0
