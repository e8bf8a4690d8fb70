"""The file of a journal: one process at a time, by whatever name, and never apart from its log."""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from batch_resend.errors import JournalBusy, JournalError
from batch_resend.journal import Pause, journal_file, open_journal, read_journal
from batch_resend.journal.journal_file import HeldFile, mount_points
from batch_resend.model import Attempt, Outcome, RequestStatus, RunState
from tests.journal.conftest import NOON, Clock, on_disk, opened, orders, plan
from tests.journal.test_writer import ACCEPTED, running

pytestmark = pytest.mark.asyncio


# --- one process at a time ------------------------------------------------------------------


def by_a_link(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path.name)
    return link


def by_a_link_to_its_folder(path: Path) -> Path:
    link = path.parent.with_name("link")
    link.symlink_to(path.parent)
    return link / path.name


def by_a_relative_path(path: Path) -> Path:
    return Path(os.path.relpath(path))


def by_its_new_name(path: Path) -> Path:
    return path.rename(path.with_name("moved.db"))


def by_its_new_name_with_its_log(path: Path) -> Path:
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").rename(path.with_name(f"moved.db{ending}"))
    return by_its_new_name(path)


def without_the_file_beside_it(path: Path) -> Path:
    """As after `rm *.lock`."""
    path.with_name(f"{path.name}.lock").unlink()
    return path


OTHER_WAYS = [
    by_a_link,
    by_a_link_to_its_folder,
    by_a_relative_path,
    by_its_new_name,
    by_its_new_name_with_its_log,
    without_the_file_beside_it,
]
TRY = """
import asyncio, sys
from pathlib import Path
from batch_resend.errors import JournalBusy
from batch_resend.journal import open_journal
async def main():
    async with open_journal(Path(sys.argv[1])):
        pass
try:
    asyncio.run(main())
except JournalBusy as error:
    sys.exit(f"busy: {error}")
"""


async def said_by(*command: str) -> str:
    """Run a program to its end; return what it said on standard error."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()


@pytest.mark.parametrize("other_way", OTHER_WAYS)
async def test_a_journal_is_one_processs_by_whatever_way_it_is_opened_again(
    tmp_path: Path, other_way: Callable[[Path], Path]
) -> None:
    """Nor does that take locks of SQLite's away, as a descriptor does that this process closes."""
    path = tmp_path / "state" / "journal.db"
    async with opened(path, Clock()):
        inode = f":{path.stat().st_ino} "
        before = [line for line in locks() if inode in line]
        assert any("POSIX" in line for line in before)
        named = other_way(path)
        with pytest.raises(JournalBusy):
            async with open_journal(named):
                pass
        assert [line for line in locks() if inode in line] == before
        said = await said_by(sys.executable, "-c", TRY, str(named))
        assert f"busy: {named}: another run holds the journal" in said


def locks() -> Sequence[str]:
    """Return the locks there are, without their numbers."""
    file = Path("/proc/locks")
    if not file.exists():
        pytest.skip("needs /proc/locks")
    return [line.split(" ", 1)[1] for line in file.read_text().splitlines()]


async def test_what_was_written_by_a_link_is_there_by_the_name_that_it_leads_to(
    tmp_path: Path,
) -> None:
    path = tmp_path / "real" / "journal.db"
    path.parent.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with opened(link, Clock()) as journal:
        run = await plan(journal, orders(1))
        assert path.with_name("journal.db-wal").exists()
        async with read_journal(path) as reader:
            assert (await reader.run(run.id)).id == run.id
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["link.db"]


# --- what parts a journal from its log ------------------------------------------------------


async def test_a_journal_with_a_second_name_is_refused_until_that_is_gone(path: Path) -> None:
    async with opened(path, Clock()):
        pass
    other = path.with_name("other.db")
    other.hardlink_to(path)
    for name in (path, other):
        with pytest.raises(JournalError, match=r"has 2 names \(hard links\).*remove the other"):
            async with open_journal(name):
                pass
    other.unlink()
    async with open_journal(path):
        pass


async def test_links_in_a_circle_are_a_journal_error(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(JournalError, match="lead nowhere"):
        async with open_journal(path):
            pass


@pytest.mark.parametrize("name", ["journal.db", "with a blank.db", "with\\backslash.db"])
async def test_a_journal_that_is_mounted_by_itself_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    async with opened(path, Clock()):
        pass
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 254:1 / / rw,relatime - ext4 /dev/root rw\n"
        f"29 22 254:1 /srv/journal.db {escaped} rw,relatime - ext4 /dev/root rw\n"
    )
    monkeypatch.setattr(journal_file, "_MOUNTS", table)
    for way in (open_journal, read_journal):
        with pytest.raises(JournalError, match="mount the folder"):
            async with way(path):
                pass


async def test_where_nobody_can_tell_what_is_mounted_a_journal_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(journal_file, "_MOUNTS", tmp_path / "there is none")
    assert list(mount_points()) == []
    async with open_journal(path):
        pass


async def test_a_file_that_is_really_mounted_by_itself_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    async with opened(source, Clock()):
        pass
    target.touch()
    script = f'mount --bind "$1" "$2" && shift 2 && exec {sys.executable} -c "$@"'
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, to mount something")
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(source), str(target), TRY]
    said = await said_by(*command, str(target))
    if "mount:" in said or "unshare:" in said:
        pytest.skip(f"needs the right to mount: {said.strip()}")
    assert "mount the folder that it is in" in said


# --- lost while it is open ------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def delete_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace(path: Path) -> None:
    copy = path.with_name(f"copy of {path.name}")
    shutil.copy(path, copy)
    copy.replace(path)


def replace_by_a_link(path: Path) -> None:
    path.rename(path.with_name("other.db"))
    path.symlink_to(path.with_name("of-last-week.db"))


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def move_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def put_a_circle_of_links_in_the_place_of_its_folder(path: Path) -> None:
    move_its_folder(path)
    path.parent.symlink_to(path.parent)


LOSSES = [
    (delete, "", "was deleted while"),
    (delete_its_folder, "", "was deleted while"),
    (replace, "", "another file is in its place"),
    (replace_by_a_link, "", "another file is in its place"),
    (move, "", "was moved away"),
    (move_its_folder, "", "was moved away"),
    (put_a_circle_of_links_in_the_place_of_its_folder, "", "can no longer be reached"),
    (delete, "-wal", "journal.db-wal was deleted"),
    (replace, "-wal", "another file is in the place of journal.db-wal"),
    (delete, "-shm", "journal.db-shm was deleted"),
]


@pytest.mark.parametrize(("lose", "ending", "said"), LOSSES)
async def test_whatever_becomes_of_it_no_request_begins_and_every_answer_is_taken(
    tmp_path: Path, lose: Callable[[Path], None], ending: str, said: str
) -> None:
    path = tmp_path / "state" / "journal.db"
    async with running(path, 2) as (journal, run, recorder, (order, other)):
        attempt = Attempt(order, 1, NOON)
        await recorder.begin(attempt)
        assert await journal.loss() is None
        lose(Path(f"{path}{ending}"))
        assert said in (await journal.loss() or "")
        with pytest.raises(JournalError, match=said):
            await recorder.begin(Attempt(other, 1, NOON))
        await recorder.end(attempt, NOON + 1, ACCEPTED, Outcome(order, RequestStatus.SENT, 204))
        assert await journal.reader.count_outcomes(run) == {RequestStatus.SENT: 1}, "for the report"
        if ending:  # the process may be killed right after: an unlinked log ends with it
            copy = tmp_path / "copy.db"
            copy.write_bytes(path.read_bytes())  # the file as it is, without any log
            assert on_disk(copy, "SELECT request, status FROM outcomes") == [(order.number, "sent")]
            assert on_disk(copy, "SELECT count(*) FROM attempts") == [(1,)]


async def test_all_that_has_happened_is_taken_though_the_journal_is_lost(path: Path) -> None:
    async with running(path, 1) as (journal, run, recorder, (order,)):
        reads = await journal.start_reading("https://ca.example")
        read = await reads.begin(NOON)
        await recorder.pause(Pause(NOON, NOON + 5, "the CA has problems", 1.0))
        delete(path)
        await reads.end(read, NOON + 1)
        await recorder.prolong_pause(Pause(NOON + 1, NOON + 9, "the CA has problems", 0.5))
        await recorder.flow_again(NOON + 9)
        await recorder.pause(Pause(NOON + 10, NOON + 20, "the CA has problems", 0.25))
        await recorder.settle(Outcome(order, RequestStatus.FAILED))
        await journal.finish(run, RunState.STOPPED, "it was deleted")
        ended = await journal.reader.run(run.id)
        assert (ended.state, ended.stop_reason) == (RunState.STOPPED, "it was deleted")
        assert await journal.reader.count_outcomes(run) == {RequestStatus.FAILED: 1}
        pauses = await journal.reader.pauses(run, 9)
        assert [(p.until_at, p.share) for p in pauses] == [(NOON + 9, 0.5), (NOON + 20, 0.25)]


async def test_a_loss_is_looked_for_again_and_again_until_there_is_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, lost = iter((None, None, "it was deleted")), list[str]()

    async def loss() -> str | None:
        return next(answers)

    async with running(path, 1) as (journal, *_):
        monkeypatch.setattr(journal, "loss", loss)
        monkeypatch.setattr("batch_resend.journal.journal.LOOK_EVERY_S", 0.001)
        await journal.watch(lost.append)
    assert lost == ["it was deleted"]


async def test_a_look_at_a_file_system_that_hangs_keeps_nobody_from_stopping(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, looked = threading.Event(), list[bool]()

    def hang(_: HeldFile) -> None:
        anyio.from_thread.run_sync(scope.cancel)
        looked.append(answers.wait(5))

    async with running(path, 1) as (journal, *_):
        with monkeypatch.context() as patch:
            patch.setattr(HeldFile, "loss_text", hang)
            with anyio.CancelScope() as scope:
                await journal.loss()
            assert scope.cancelled_caught
            assert looked == []
            answers.set()


@pytest.mark.parametrize("linked", ["the journal", "its folder"])
async def test_a_link_in_its_name_that_leads_elsewhere_is_a_loss_and_back_again_is_none(
    tmp_path: Path, linked: str
) -> None:
    path = tmp_path / "state" / "journal.db"
    path.parent.mkdir()
    target = path if linked == "the journal" else path.parent
    link = tmp_path / "link"
    link.symlink_to(target)
    named = link if target is path else link / path.name
    async with opened(named, Clock()) as journal:
        assert await journal.loss() is None
        for leads_to, said in ((target.with_name("other"), True), (target, False)):
            link.unlink()
            link.symlink_to(leads_to)
            lost = await journal.loss() or ""
            assert ("named by a link that now leads to another file" in lost) == said


async def test_a_journal_that_cannot_have_a_log_is_not_missing_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_resend.journal.sqlite._PRAGMAS", ("journal_mode=DELETE",))
    async with running(path, 1) as (journal, _, recorder, (order,)):
        assert not Path(f"{path}-wal").exists()
        await recorder.begin(Attempt(order, 1, NOON))
        assert await journal.loss() is None
