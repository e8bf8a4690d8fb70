"""What keeps a run from starting, and where little is as usual: one clear line, nothing sent."""

import json
import pwd
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from batch_resend.cli.lifecycle import LOOP_VARIABLE
from batch_resend.simulator import Simulator, SimulatorSettings
from tests.cli.conftest import Desk, desk_with_ca, ended
from tests.notify.listener import listening

LISTS = {
    "good.csv": "order_id\n1\n",
    "empty.csv": "",
    "blank.csv": "\n\n  \n",
    "heading.csv": "order_id,domain,email\n",
    "foreign.csv": "Bestellung,Wohin\n1,a\n",
    "half.csv": "order_id,domain\n1,example.com\n",
    "twice.csv": "order_id,Order Number\n1,2\n",
    "quote.csv": 'order_id\n"1\n2\n',
    "array.json": "[1, 2",
}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.csv"], 1, "gone.csv: cannot be read: No such file or directory"),
        (["."], 1, ".: cannot be read: Is a directory"),
        (["empty.csv"], 1, "empty.csv: is empty"),
        (["blank.csv"], 1, "blank.csv: is empty"),
        (["heading.csv"], 1, "heading.csv: has a heading, but no rows"),
        (["good.csv", "gone.csv"], 1, "gone.csv: cannot be read"),
        (["foreign.csv"], 1, "foreign.csv, line 1: no column holds the order number; the columns "
                             "are 'Bestellung', 'Wohin'. Say which it is: --map order_id="),
        (["good.csv", "--map", "order_id=Auftrag"], 1, "good.csv, line 1: --map order_id='Auftrag' "
                                                       "names a column that is not there"),
        (["half.csv"], 1, "a column for the domain, but none for the email"),
        (["twice.csv"], 1, "the columns 'order_id', 'Order Number' could each hold"),
        (["quote.csv"], 1, "quote.csv, line 2: not CSV"),
        (["array.json"], 1, "array.json, line 1: not JSON: ',' is expected; was it copied"),
        (["good.csv", "--api-key-file", "no.txt"], 1, "--api-key-file no.txt: No such file"),
        (["good.csv", "--limit", "fast"], 1, "--limit: 'fast' is not a limit: write 1000/3m"),
        (["good.csv", "--base-url", "http://example.com"], 1, "API key is sent over https only"),
        (["good.csv", "--concurrency", "0"], 1, "concurrency"),
        (["good.csv", "--journal", "good.csv"], 1, "good.csv: the journal cannot be used"),
        (["good.csv", "--config", "gone.toml"], 2, "--config stands before the command"),
        ([], 2, "Missing argument 'INPUT...'"),
        (["good.csv", "--cooldown", "soon"], 2, "'soon' is not a length of time"),
        (["good.csv", "--map", "colour=Farbe"], 2, "FIELD is one of order_id, domain"),
        (["good.csv", "--in-doubt", "maybe"], 2, "'maybe' is not one of 'retry', 'hold'"),
    ],
)  # fmt: skip
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
async def test_a_locale_of_ascii_sends_the_same_from_a_folder_with_umlauts_in_its_name(
    tmp_path: Path,
) -> None:
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


async def test_without_a_home_the_journal_is_asked_for(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        desk.environment["HOME"] = "/dev/null"
        del desk.environment["BATCH_RESEND_JOURNAL"]
        nowhere = await desk.run("send", "orders.csv")
        assert nowhere.code == 1
        assert "--journal" in nowhere.err
        assert ca.books.requests == 0
        assert (await desk.run("send", "orders.csv", "--journal", "journal.db")).code == 0


def without_a_home() -> None:
    """Have no entry in passwd, as a user of a container often has none."""

    def none_of(_: object) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    pwd.getpwuid = none_of


COMMANDS = [
    ("send", "orders.csv"), ("sweep",), ("export",), ("resume",), ("runs",), ("show", "RUN"),
    ("history", "1"), ("report", "RUN"), ("verify", "RUN"), ("prune",), ("watch",),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
async def test_with_neither_home_nor_passwd_entry_every_command_asks_for_the_journal(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, orders=1) as (desk, ca):
        desk.write_list(1)
        del desk.environment["HOME"]
        journal = desk.environment.pop("BATCH_RESEND_JOURNAL")
        asked = await ended(await desk.start_after(without_a_home, *words))
        assert asked.code == 2
        assert "no home folder to keep the journal in: name a file, --journal" in asked.err
        assert "Traceback" not in asked.err
        assert ca.books.requests == 0
        assert not (tmp_path / "~").exists()
        named = await ended(await desk.start_after(without_a_home, *words, "--journal", journal))
        assert "Traceback" not in named.err
        if words[0] in ("send", "export", "prune"):
            assert named.code == 0, named.err


async def test_without_a_home_a_state_folder_that_is_named_will_do(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        del desk.environment["HOME"], desk.environment["BATCH_RESEND_JOURNAL"]
        desk.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
        sent = await ended(await desk.start_after(without_a_home, "send", "orders.csv"))
        assert sent.code == 0, sent.err
        assert ca.books.mails == 1
        assert (tmp_path / "state" / "batch-resend" / "journal.db").is_file()


@pytest.mark.parametrize("words", [("check", "orders.csv"), ("completion", "bash"), ("--help",)])
async def test_what_needs_no_journal_needs_no_home(desk: Desk, words: tuple[str, ...]) -> None:
    desk.write_list(1)
    del desk.environment["HOME"], desk.environment["BATCH_RESEND_JOURNAL"]
    done = await ended(await desk.start_after(without_a_home, *words))
    assert done.code == 0, done.err


async def test_that_there_is_no_home_is_told_to_a_watchdog(tmp_path: Path) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        del desk.environment["HOME"], desk.environment["BATCH_RESEND_JOURNAL"]
        words = ("send", "orders.csv", "--ping-url", watchdog.url)
        assert (await ended(await desk.start_after(without_a_home, *words))).code == 2
        ((path, _),) = watchdog.posts
        assert path.endswith("/fail")


NAMES_ITS_LOOP = """
import asyncio
from batch_resend.cli.lifecycle import run_interruptibly

async def named(_):
    return type(asyncio.get_running_loop()).__module__

print(run_interruptibly(named))
"""


@pytest.mark.parametrize(
    ("told", "loop"), [("", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
async def test_a_command_runs_on_uvloop_where_it_is_installed_unless_told_otherwise(
    desk: Desk, told: str, loop: str
) -> None:
    program = (sys.executable, "-c", NAMES_ITS_LOOP)
    run = await ended(await desk.start(program=program, **{LOOP_VARIABLE: told}))
    assert (run.code, run.out.partition(".")[0].strip()) == (0, loop)


async def test_a_loop_that_is_none_is_refused_before_anything_is_read(desk: Desk) -> None:
    run = await desk.run("send", "no-such-list.csv", BATCH_RESEND_EVENT_LOOP="trio")
    assert run.code == 1
    assert run.err == f"batch-resend: {LOOP_VARIABLE}: 'trio' is neither asyncio nor uvloop\n"
