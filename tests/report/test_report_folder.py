"""The folder of a report: all its files, whole or not at all, for their owner alone."""

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from batch_resend.errors import JournalError, ReportError
from batch_resend.intake import ListSource, RecordSource
from batch_resend.journal import read_journal
from batch_resend.report import whole_file, write_report
from tests.journal.conftest import send
from tests.report.carried import (
    FILES,
    SCRIPT,
    Report,
    carried,
    plan_lists,
    reported,
    two_lists,
    write_list,
)

pytestmark = pytest.mark.asyncio


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_report_is_all_its_files_and_nothing_else(tmp_path: Path) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    assert found.texts().keys() == FILES
    assert found.texts()["summary.json"].endswith(b"}\n")


async def test_a_report_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
            folder = tmp_path / "reports" / "of a run"
            await write_report(journal.reader, run, folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_report_written_twice_says_the_same(tmp_path: Path) -> None:
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        first = await write_report(journal.reader, run, tmp_path / "a")
        assert await write_report(journal.reader, run, tmp_path / "b") == first
        async with read_journal(tmp_path / "journal.db") as reader:
            assert await write_report(reader, run, tmp_path / "c") == first
    a, b, c = (texts_wherever(tmp_path / name) for name in "abc")
    assert a == b == c


def texts_wherever(folder: Path) -> dict[str, bytes]:
    """Return all that is in a report's folder, the folder's own name in it made the same."""
    here = str(folder).encode()
    texts = Report(folder).texts()
    with ZipFile(BytesIO(texts.pop("report.zip"))) as packed:
        texts |= {f"packed {name}": packed.read(name) for name in packed.namelist()}
    return {
        name: text.replace(b"<wbr>", b"").replace(here, b"HERE") for name, text in texts.items()
    }


async def test_a_report_of_one_run_says_nothing_of_another(tmp_path: Path) -> None:
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, first):
        before = await write_report(journal.reader, first, tmp_path / "before")
        other = write_list(
            tmp_path,
            "other.csv",
            "order_id,domain,email",
            *(f"{n},a.example,admin@a.example" for n in (11, 12, 99)),
        )
        run = await plan_lists(journal, ListSource(other))
        await send(journal, journal._clock, run, {"12": "lost", "99": "204"})  # type: ignore[arg-type]
        assert await write_report(journal.reader, first, tmp_path / "after") == before
        await write_report(journal.reader, run, tmp_path / "other")
    assert texts_wherever(tmp_path / "before") == texts_wherever(tmp_path / "after")
    assert [r["order_id"] for r in Report(tmp_path / "other").requests] == ["11", "12", "99"]


def many_orders() -> RecordSource:
    """Return orders whose results.csv takes some 150 kB, and results.jsonl a MB."""
    return RecordSource([{"order_id": number} for number in range(100_200_301, 100_204_301)])


@pytest.mark.parametrize(
    ("room_bytes", "first_unwritten"),
    [(10_000, "results.csv"), (500_000, "results.jsonl")],
)
async def test_on_a_full_disk_the_older_report_stays_whole_and_no_draft_is_left(
    tmp_path: Path, room_bytes: int, first_unwritten: str
) -> None:
    async with carried(tmp_path, [many_orders()], {}) as (journal, run):
        report = Report(tmp_path / "report")
        report.folder.mkdir()
        for name in FILES:
            (report.folder / name).write_text(f"an older {name}")
        with pytest.raises(ReportError, match="too large") as caught, full_disk(room_bytes):
            await write_report(journal.reader, run, report.folder)
        assert str(caught.value).startswith(str(report.folder / first_unwritten))
        texts = report.texts()
        assert texts.keys() == FILES
        older = {name for name in FILES if texts[name] == f"an older {name}".encode()}
        assert first_unwritten in older
        for name in FILES - older - {"report.html"}:
            assert texts[name].count(b"\n") == 4001, "what is new is whole"
        assert "summary.json" in older, "it comes last"


async def test_a_report_that_failed_can_be_written_elsewhere_while_its_error_is_handled(
    tmp_path: Path,
) -> None:
    """And a first one leaves no summary and no half a file."""
    async with carried(tmp_path, [many_orders()], {"100200301": "204"}) as (journal, run):
        try:
            with full_disk(500_000):
                await write_report(journal.reader, run, tmp_path / "report")
        except ReportError:
            summary = await write_report(journal.reader, run, tmp_path / "elsewhere")
    assert Report(tmp_path / "report").texts().keys() == {"results.csv"}
    assert summary.orders.total == len(Report(tmp_path / "elsewhere").requests) == 4000


async def test_a_journal_that_fails_midway_leaves_the_older_file(tmp_path: Path) -> None:
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        report = Report(tmp_path / "report")
        await write_report(journal.reader, run, report.folder)
        before = report.texts()
        await journal._writer.transaction(
            lambda connection: connection.driver.execute("DROP TABLE outcomes")
        )
        with pytest.raises(JournalError):
            await write_report(journal.reader, run, report.folder)
        assert report.texts() == before


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_folder_where_a_file_should_go_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "report" / name).mkdir(parents=True)
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        with pytest.raises(ReportError) as caught:
            await write_report(journal.reader, run, tmp_path / "report")
    assert str(caught.value).startswith(str(tmp_path / "report" / name))
    assert {path.name for path in (tmp_path / "report").iterdir()} <= FILES, "no draft is left"


async def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        for folder in (tmp_path / "report", tmp_path / "report" / "deeper"):
            with pytest.raises(ReportError, match="cannot be made") as caught:
                await write_report(journal.reader, run, folder)
            assert str(folder) in str(caught.value)


async def test_a_link_that_waits_where_a_file_is_to_be_written_is_not_followed(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".resend.prom.{os.getpid()}").symlink_to(victim)
    with whole_file(tmp_path / "resend.prom") as file:
        file.write("new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "resend.prom").read_text() == "new"


async def test_what_a_process_of_the_same_number_left_half_written_is_gone_after_a_day(
    tmp_path: Path,
) -> None:
    """In containers every process has the number 1."""
    old, young = (tmp_path / f".list.csv.{os.getpid()}.{name}" for name in ("old", "young"))
    for draft in (old, young):
        draft.write_text("half")
    os.utime(old, (0, 0))
    with whole_file(tmp_path / "list.csv"):
        pass
    assert (old.exists(), young.exists()) == (False, True)
