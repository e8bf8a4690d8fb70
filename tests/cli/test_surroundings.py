"""What keeps a run from starting, and where little is as usual: one clear line, nothing sent."""

import asyncio
import json
import pwd
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio

from batch_resend.cli.lifecycle import LOOP_VARIABLE, run_interruptibly
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
