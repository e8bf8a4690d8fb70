"""What keeps a run from starting, and where little is as usual: one clear line, nothing sent."""

import asyncio
import json
import os
import pwd
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio

from batch_resend.cli.lifecycle import LOOP_VARIABLE, run_interruptibly
from batch_resend.folders import followed
from batch_resend.report.index import NOT_STARTED
from batch_resend.simulator import Simulator, SimulatorSettings
from tests.cli.conftest import Desk, desk_with_ca
from tests.notify.listener import listening

LISTS = {
    "good.csv": "order_id\n100200301\n",
    "empty.csv": "",
    "foreign.csv": "Bestellung,Wohin\n1,a\n",
    "array.json": "[1, 2",
}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.csv"], 1, "gone.csv: cannot be read: No such file or directory"),
        (["."], 1, ".: cannot be read: Is a directory"),
        (["empty.csv"], 1, "empty.csv is empty"),
        (["good.csv", "gone.csv"], 1, "gone.csv: cannot be read"),
        (["foreign.csv"], 1, "foreign.csv, line 1: no column holds the order number"),
        (["good.csv", "--map", "order_id=Auftrag"], 1, "--map order_id='Auftrag' names a column"),
        (["array.json"], 1, "array.json, line 1: not JSON"),
        (["good.csv", "--limit", "fast"], 1, "--limit: 'fast' is not a limit: write 1000/3m"),
        (["good.csv", "--base-url", "http://example.com"], 1, "API key is sent over https only"),
        (["good.csv", "--concurrency", "0"], 1, "concurrency"),
        (["good.csv", "--journal", "good.csv"], 1, "good.csv: the journal cannot be used"),
        (["good.csv", "--journal", "."], 2, "is a directory"),
        (["good.csv", "--report-dir", "good.csv"], 2, "'good.csv' is a file"),
        (["good.csv", "--config", "gone.toml"], 2, "--config goes before the command"),
        ([], 2, "Missing argument 'INPUT...'"),
        (["good.csv", "--cooldown", "soon"], 2, "'soon' is not a length of time"),
        (["good.csv", "--map", "colour=Farbe"], 2, "FIELD is one of order_id, domain"),
        (["good.csv", "--in-doubt", "maybe"], 2, "'maybe' is not one of 'retry', 'hold'"),
    ],
)
async def test_a_run_that_cannot_start_says_why_and_sends_nothing(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name, text in LISTS.items():
            desk.write(name, text)
        refused = await desk.run("send", *arguments)
        assert said in refused.err
        assert refused.code == code
        assert "Traceback" not in refused.err
        assert ca.books.requests == 0
        assert not (tmp_path / "reports").exists()


async def test_the_simulator_says_when_its_port_is_taken(desk: Desk) -> None:
    async with Simulator(SimulatorSettings()) as ca:
        port = ca.base_url.split(":")[2].split("/")[0]
        refused = await desk.run("simulate", "--port", port)
        assert refused.code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in refused.err


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.skipif(
    not (__file__ + sys.prefix).isascii(),
    reason="in such a locale Python itself cannot read where this checkout is",
)
async def test_a_locale_of_ascii_sends_the_same_from_a_folder_with_umlauts(tmp_path: Path) -> None:
    folder = tmp_path / "bätch ✉ resend"
    folder.mkdir()
    async with desk_with_ca(folder, unknown_orders=frozenset({"1002"})) as (desk, ca):
        desk.write(
            "örders.csv", "order_id,domain,email\n1001,exämple.com,admin@exämple.com\n1002,,\n"
        )
        desk.environment |= ASCII | {"BATCH_RESEND_JOURNAL": "jöurnal.db"}
        sent = await desk.run("send", "örders.csv", "--all-domains")
        assert sent.code == 3, sent.err
        assert "1 of 2 orders sent" in sent.out
        assert (folder / "jöurnal.db").is_file()
        summary = json.loads((desk.report() / "summary.json").read_text(encoding="utf-8"))
        assert summary["orders"]["sent"] == ca.books.mails == 1
        shown = await desk.run("show", summary["run_id"])
        assert shown.code == 0, shown.err
        again = await desk.run("send", "örders.csv")
        assert again.code == 3, again.err
        assert ca.books.mails == 1


# --- no home --------------------------------------------------------------------------------------

COMMANDS = [
    ("send", "orders.csv"), ("sweep",), ("export",), ("resume",), ("runs",), ("show", "RUN"),
    ("history", "1"), ("report", "RUN"), ("verify", "RUN"), ("prune",), ("watch",),
]  # fmt: skip
NEEDING_NONE = [("check", "orders.csv"), ("completion", "bash"), ("--help",)]


@pytest_asyncio.fixture
async def homeless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Desk, Simulator]]:
    """Have neither HOME nor an entry in passwd, as a user of a container often has none."""

    def none_of(_: object) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    async with desk_with_ca(tmp_path, orders=1) as (desk, ca):
        desk.write_list(1)
        del desk.environment["HOME"], desk.environment["BATCH_RESEND_JOURNAL"]
        monkeypatch.setattr(pwd, "getpwuid", none_of)
        yield desk, ca


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
async def test_with_neither_home_nor_passwd_entry_every_command_asks_for_the_journal(
    homeless: tuple[Desk, Simulator], words: tuple[str, ...]
) -> None:
    desk, ca = homeless
    asked = await desk.run(*words)
    assert asked.code == 2
    assert "no home folder to keep the journal in: name a file, --journal" in asked.err
    assert "Traceback" not in asked.err
    assert ca.books.requests == 0
    assert not (desk.folder / "~").exists()
    named = await desk.run(*words, "--journal", "journal.db")
    assert "Traceback" not in named.err
    if words[0] in ("send", "export", "prune"):
        assert named.code == 0, named.err


async def test_a_state_folder_that_is_named_will_do_and_a_watchdog_hears_of_none(
    homeless: tuple[Desk, Simulator],
) -> None:
    desk, ca = homeless
    async with listening() as watchdog:
        send = ("send", "orders.csv", "--ping-url", watchdog.url)
        assert (await desk.run(*send)).code == 2
        ((path, _),) = watchdog.posts
        assert path.endswith("/fail")
        nowhere = await desk.run(*send, HOME="/dev/null")
        assert nowhere.code == 1
        assert "--journal" in nowhere.err
        assert ca.books.requests == 0
        sent = await desk.run(*send, XDG_STATE_HOME=str(desk.folder / "state"))
        assert sent.code == 0, sent.err
        assert ca.books.mails == 1
        assert (desk.folder / "state" / "batch-resend" / "journal.db").is_file()


@pytest.mark.parametrize("words", NEEDING_NONE, ids=lambda words: words[0])
async def test_what_needs_no_journal_needs_no_home(
    homeless: tuple[Desk, Simulator], words: tuple[str, ...]
) -> None:
    done = await homeless[0].run(*words)
    assert done.code == 0, done.err


# --- which event loop -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "loop"), [("", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
def test_a_command_runs_on_uvloop_where_it_is_installed_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, told: str, loop: str
) -> None:
    async def named(_: object) -> str:
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.setenv(LOOP_VARIABLE, told)
    assert run_interruptibly(named).partition(".")[0] == loop


async def test_a_loop_that_is_none_is_refused_before_anything_is_read(desk: Desk) -> None:
    run = await desk.run("send", "no-such-list.csv", BATCH_RESEND_EVENT_LOOP="trio")
    assert run.code == 1
    assert run.err == f"batch-resend: {LOOP_VARIABLE}: 'trio' is neither asyncio nor uvloop\n"


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
