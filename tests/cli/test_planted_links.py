"""Links that another user may have planted: which are followed; none is written through."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_resend.folders import followed
from batch_resend.report.index import NOT_STARTED
from tests.cli.conftest import Desk, desk_with_ca

OTHER = 12345  # a user who is not the one that runs the tests

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to others")


def everyones(folder: Path) -> None:
    folder.chmod(0o1777)


def own(_: Path) -> None:
    return


def by_another(link: Path) -> None:
    os.lchown(link, OTHER, OTHER)


# --- which links are followed --------------------------------------------------------------------


@pytest.mark.parametrize("relative", [False, True])
def test_a_link_of_the_user_s_own_is_followed_and_what_is_missing_stays_as_it_is(
    tmp_path: Path, relative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk" / "logs").mkdir(parents=True)
    target = Path("disk") / "logs" if relative else tmp_path / "disk" / "logs"
    (tmp_path / "logs").symlink_to(target)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "logs", Path("logs"), Path("disk") / ".." / "logs"):
        assert followed(path / "new" / "a.log") == tmp_path / "disk" / "logs" / "new" / "a.log"
    assert followed(Path("a.log")) == tmp_path / "a.log"


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        followed(tmp_path / "one" / "a.log")


REFUSED: list[tuple[Callable[[Path], None], Callable[[Path], None], str]] = [
    (everyones, own, "a folder where everyone may write"),
    (everyones, by_another, "a folder where everyone may write"),
    (own, by_another, "that another user made"),
]


@needs_root
@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize(("share", "give", "why"), REFUSED)
def test_a_link_that_another_may_have_made_is_refused_wherever_it_stands(
    tmp_path: Path,
    share: Callable[[Path], None],
    give: Callable[[Path], None],
    why: str,
    is_last: bool,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "link").symlink_to(tmp_path)
    share(shared)
    give(shared / "link")
    with pytest.raises(PermissionError, match=why):
        followed(shared / "link" if is_last else shared / "link" / "folder" / "a.log")


TARGETS = {  # what a link in the folder `shared` says, and which name leads there
    "mine": "shared/mine",
    "../mine": "mine",
    "./../shared/../mine": "shared/../mine",
    "../with a blank": "with a blank",
    "/somewhere/mine": "/somewhere/mine",
}


@pytest.mark.parametrize(("said", "meant"), TARGETS.items())
def test_a_link_that_is_refused_is_named_with_what_one_may_type_in_its_place(
    tmp_path: Path, said: str, meant: str
) -> None:
    (tmp_path / "shared").mkdir()
    link = tmp_path / "shared" / "link"
    link.symlink_to(said)
    (tmp_path / "shared").chmod(0o1777)
    with pytest.raises(PermissionError) as refused:
        followed(link / "a.log")
    typed = shlex.quote(str(tmp_path / meant))
    assert str(refused.value.strerror).endswith(f"; put {typed} in its place if that is meant")


def test_what_one_may_type_leads_on_by_the_links_in_what_a_refused_link_says(
    tmp_path: Path,
) -> None:
    """Names that cancel each other out on paper do not if one of them is a link."""
    for name in ("shared", "far", "far/logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "near").symlink_to("far/logs")
    (tmp_path / "shared" / "link").symlink_to("../near/../a.log")
    (tmp_path / "shared").chmod(0o1777)
    with pytest.raises(PermissionError) as refused:
        followed(tmp_path / "shared" / "link")
    typed = str(refused.value.strerror).split("; put ")[1].split(" in its place")[0]
    assert followed(Path(typed)) == tmp_path / "far" / "a.log"


# --- as a whole ----------------------------------------------------------------------------------

WRITES = {  # the words of a command by what it writes; {} is the link
    "a log file": ("send", "orders.csv", "--log-file", "shared/planted"),
    "metrics": ("send", "orders.csv", "--metrics-file", "shared/planted"),
    "a list": ("export", "--out", "shared/planted", "--overwrite"),
    "requests": ("check", "orders.csv", "--out", "shared/planted"),
}
REPORT = ("results.csv", "results.jsonl", "unsent.csv", "refused.csv", "rejected.csv",
          "report.html", "summary.json")  # fmt: skip


def plant(desk: Desk, name: str) -> Path:
    """Put a link to a file of this user's into a folder of everyone's; return that file."""
    mine = desk.write("mine", "precious\n")
    (desk.folder / "shared").mkdir()
    (desk.folder / "shared" / name).symlink_to(mine)
    (desk.folder / "shared").chmod(0o1777)
    return mine


@pytest.mark.parametrize("what", WRITES)
async def test_no_file_behind_a_planted_link_is_changed(tmp_path: Path, what: str) -> None:
    async with desk_with_ca(tmp_path, orders=3) as (desk, _):
        desk.write_list(3)
        mine = plant(desk, "planted")
        refused = await desk.run(*WRITES[what])
        assert mine.read_text() == "precious\n"
        assert "is a link in a folder where everyone may write" in refused.err
        assert "Traceback" not in refused.err
        assert refused.code == (0 if what == "metrics" else 1)


@pytest.mark.parametrize("name", REPORT)
async def test_no_file_behind_a_link_among_a_report_s_is_changed_and_nothing_is_sent(
    tmp_path: Path, name: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        mine = plant(desk, name)
        refused = await desk.run("send", "orders.csv", "--report-dir", "shared")
        assert (refused.code, ca.books.requests) == (1, 0), refused.err
        assert mine.read_text() == "precious\n"
        assert "is a link in a folder where everyone may write" in refused.err
        assert "Nothing was sent: name another with --report-dir" in refused.err


async def test_no_folder_is_made_behind_a_planted_link_and_nothing_sent_without_a_report_s(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        mine = tmp_path / "mine"
        mine.mkdir()
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared" / "planted").symlink_to("../mine")
        (tmp_path / "shared").chmod(0o1777)
        pattern = "shared/planted/{run}"
        refused = await desk.run("send", "orders.csv", "--report-dir", pattern)
        assert (refused.code, ca.books.requests) == (1, 0), refused.err
        assert "shared/planted is a link in a folder where everyone may write" in refused.err
        assert f"; put {mine} in its place if that is meant" in refused.err
        assert list(mine.iterdir()) == []
        assert (await desk.run("send", "orders.csv")).code == 0
        written = await desk.run("report", "--report-dir", pattern)
        assert (written.code, list(mine.iterdir())) == (1, []), written.err
        options = await desk.run("--config", "shared/planted/new/batch.toml", "config", "init")
        assert (options.code, list(mine.iterdir())) == (1, []), options.err


async def test_a_command_that_cannot_start_is_not_noted_in_a_file_behind_a_planted_link(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        mine = plant(desk, NOT_STARTED)
        refused = await desk.run("send", "gone.csv", "--report-dir", "shared/{run}")
        assert refused.code == 1
        assert "gone.csv: cannot be read" in refused.err
        assert f"{NOT_STARTED} is a link in a folder where everyone may write" in refused.err
        assert mine.read_text() == "precious\n"


async def test_the_user_s_own_links_are_followed_and_stay(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        disk = tmp_path / "disk"
        disk.mkdir()
        (tmp_path / "reports").symlink_to(disk)
        (tmp_path / "resend.log").symlink_to(disk / "resend.log")
        sent = await desk.run("send", "orders.csv", "--log-file", "resend.log")
        assert sent.code == 0, sent.err
        assert (tmp_path / "resend.log").is_symlink()
        assert "run ended: completed" in (disk / "resend.log").read_text()
        assert len(list(disk.glob("*/"))) == 1


@needs_root
async def test_a_log_goes_to_no_other_users_file_in_a_folder_of_everyones(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        (tmp_path / "shared").mkdir()
        log = desk.write("shared/resend.log", "")
        log.chmod(0o666)
        os.chown(log, OTHER, OTHER)
        (tmp_path / "shared").chmod(0o777)
        refused = await desk.run("send", "orders.csv", "--log-file", "shared/resend.log")
        assert (refused.code, ca.books.requests) == (1, 0)
        assert log.read_text() == ""
        assert "shared/resend.log: it belongs to another user" in refused.err


@pytest.mark.parametrize(
    ("before", "after"), [(0o666, 0o660), (0o644, 0o640), (0o600, 0o600), (0o640, 0o640)]
)
async def test_a_journal_that_was_open_to_everyone_is_so_no_longer(
    tmp_path: Path, before: int, after: int
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(2)
        assert (await desk.run("send", "orders.csv")).code == 0
        journal = tmp_path / "journal.db"
        journal.chmod(before)
        again = await desk.run("send", "orders.csv")
        assert again.code == 0
        assert journal.stat().st_mode & 0o777 == after
        assert ("open to every user" in again.err) == (before != after)
