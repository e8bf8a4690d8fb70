"""Where little is as usual: a locale of ASCII, odd folders, no home."""

import json
import pwd
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cli.conftest import Desk, desk_with_ca, ended
from tests.notify.listener import listening

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
