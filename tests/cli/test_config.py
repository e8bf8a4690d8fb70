"""The TOML file of options: what it may say, and that nothing in it is passed over."""

import shlex
from pathlib import Path

import click
import pytest

from batch_resend.cli.as_settings import option_words
from batch_resend.cli.config import read_config
from batch_resend.cli.main import cli
from tests.cli.conftest import Desk, desk_with_ca, read_summary

pytestmark = pytest.mark.asyncio


async def config_words(desk: Desk, text: str, *words: str) -> str:
    """Return what is said of a TOML file that is refused before anything is sent."""
    desk.write("batch.toml", text)
    desk.write_list(3)
    refused = await desk.run("--config", "batch.toml", *(words or ("send", "orders.csv")))
    assert refused.code == 1, refused.err
    assert "Traceback" not in refused.err
    return refused.err


REFUSED = {
    # unknown
    "a key": ("concurency = 3", 1, "there is no option concurency. Did you mean concurrency?"),
    "a key that is like none": ("zzz = 3", 1, "there is no option zzz."),
    "a key in capitals": ("Max-Orders = 3", 1, "Did you mean max-orders?"),
    "a table": ("\n[swep]\nmax-orders = 3", 2, "there is no command swep. Did you mean sweep?"),
    "a table that is like none": ("[zzz]\na = 1", 1, "there is no command zzz."),
    "a key of a table": (
        "[sweep]\n# few\nmax-order = 3", 3,
        "sweep has no option max-order. Did you mean max-orders?",
    ),
    "another command's option in a table": (
        "[send]\nmax-orders = 3", 2, "send has no option max-orders; sweep has",
    ),
    "a dotted key": ("yes = true\nsweep.max-order = 3", 2, "sweep has no option max-order"),
    "a table within a table": ("[sweep.sweep]\nmax-orders = 3", 1, "sweep has no option sweep"),
    "what only a command's table may say": (
        'format = "json"', 1, "format means something else from command to command",
    ),
    "an argument": ('[send]\ninputs = "a.csv"', 2, "send has no option inputs"),
    "a profile, misspelled": (
        '[profile.shop]\nregion = "eu"', 1, "profile: write a text. Did you mean [profiles.shop]?",
    ),
    "a key of a profile": (
        '[profiles.shop]\n\nkey = "x"', 3, "profile shop: there is no key; there are api-key-file",
    ),
    "a key after a profile": ("[profiles.shop]\nmax-orders = 3", 2, "there is no max-orders"),
    "a list of tables": ("[[sweep]]\nmax-orders = 3", 1, "sweep is a table: [sweep]"),
    "a command that is no table": ("sweeps = 3\n[send]", 1, "there is no option sweeps"),
    "a command that is a value": ("export = true", 1, "export is a table: [export]"),
    # of another type
    "a text as a number": ('[sweep]\nmax-orders = "3"', 2, "max-orders: write a whole number"),
    "a fraction as a number": ("[sweep]\nmax-orders = 3.7", 2, "max-orders: write a whole number"),
    "truth as a number": ("max-orders = true", 1, "max-orders: write a whole number"),
    "a number that is too small": ("[sweep]\nmax-orders = 0", 2, "max-orders: 0 is not in the"),
    "a text as truth": ('strict = "yes"', 1, "strict: write true or false"),
    "a number as truth": ("strict = 1", 1, "strict: write true or false"),
    "a number as text": ("locale = 5", 1, "locale: write a text"),
    "a day as text": ("locale = 2026-01-01", 1, "locale: write a text"),
    "a list as text": ('locale = ["en"]', 1, "locale: write a text"),
    "a table as text": ('[locale]\nde = "x"', 1, "locale: write a text"),
    "a number in a list of texts": ('limit = ["7/1m", 5]', 1, "limit: write a text, or a list of"),
    "a list of a list": ('limit = [["7/1m"]]', 1, "limit: write a text, or a list of texts"),
    "a table for what takes a list": ('limit = { a = "b" }', 1, "limit: write a text, or a list"),
    "a word that is none of the choices": ('region = "mars"', 1, "region: 'mars' is not one of"),
    "no limit": ('limit = "many"', 1, "limit: 'many' is not a limit: write 1000/3m"),
    "a share as a fraction": ("max-rejected = 0.2", 1, "max-rejected: write a text"),
    "a time of day as a length": ("cooldown = 20:00:00", 1, "cooldown: write a length of time"),
    "a field there is none of": ('[map]\ncolour = "Farbe"', 1, "FIELD is one of order_id"),
    "truth as a column": ("map = { order_id = true }", 1, "map: write a table of texts"),
    # said twice
    "an option in both its spellings": (
        "max-orders = 3\nmax_orders = 5", 2, "max-orders is said twice",
    ),
    # over several lines
    "behind a list of many lines": ('limit = [\n  "7/1m",\n]\nxyz = [\n  1,\n]', 4, "option xyz"),
    "behind a text of many lines": ('locale = """\n[send]\nxyz = 1"""\nxyz = 2', 4, "option xyz"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_it_does_not_know_is_refused_with_its_line_and_nothing_is_sent(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        told = await config_words(desk, text)
        assert told.startswith(f"batch-resend: --config batch.toml, line {line}: "), told
        assert said in told
        assert ca.books.requests == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("a = ", "line 1"), ("a = 1\na = 2", "line 2"), ("[send]\n[send]", "line 2")],
)
async def test_what_is_no_toml_is_refused_with_its_line(desk: Desk, text: str, said: str) -> None:
    assert said in await config_words(desk, text)


async def test_a_command_s_table_goes_before_the_top_level_and_is_that_command_s_alone(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, orders=20) as (desk, ca):
        del desk.environment["BATCH_RESEND_LIMIT"]
        desk.write(
            "batch.toml",
            'limit = "50/1m"\nmax-orders = 7\n\n[sweep]\nmax-orders = 3\nolder-than = "0s"\n'
            '[send]\nlimit = ["60/1m", "40/5s"]\n[report]\nreport-dir = "elsewhere"\n',
        )
        desk.write("orders.csv", "order_id\n100200305\n")
        config = ("--config", "batch.toml")
        swept = await desk.run(*config, "sweep", "--report-dir", "swept")
        assert swept.code == 0, swept.err
        assert ca.books.mails == 3
        assert read_summary(tmp_path / "swept")["limits"] == ["50/1m"]
        sent = await desk.run(*config, "send", "orders.csv", "--report-dir", "sent")
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "sent")["limits"] == ["60/1m", "40/5s"]
        assert not (tmp_path / "elsewhere").exists()


async def test_flags_and_variables_go_before_a_command_s_table(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, orders=20) as (desk, ca):
        desk.write("batch.toml", '[sweep]\nmax-orders = 3\nolder-than = "0s"\n')
        sweep = ("--config", "batch.toml", "sweep")
        await desk.run(*sweep, BATCH_RESEND_MAX_ORDERS="2")
        assert ca.books.mails == 2
        await desk.run(*sweep, "--max-orders", "1", BATCH_RESEND_MAX_ORDERS="2")
        assert ca.books.mails == 3


async def test_a_command_s_table_may_say_what_means_something_else_elsewhere(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, orders=2) as (desk, _):
        desk.write(
            "batch.toml",
            '[export]\nformat = "jsonl"\nout = "waiting.jsonl"\n[prune]\nolder-than = "1d"\n',
        )
        assert (await desk.run("--config", "batch.toml", "export")).code == 0
        assert (tmp_path / "waiting.jsonl").read_text().startswith('{"order_id":')
        assert "at least 2d" in (await desk.run("--config", "batch.toml", "prune")).err


async def test_profiles_take_from_the_table_of_the_command_what_they_do_not_say(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        del desk.environment["BATCH_RESEND_LIMIT"]
        desk.write("shop.key", "key-of-shop-0123456789").chmod(0o600)
        desk.write(
            "batch.toml",
            'limit = "50/1m"\n[profiles.shop]\napi-key-file = "shop.key"\n[send]\nlimit = "9/1m"\n',
        )
        desk.write("orders.csv", "order_id,account\n100200301,shop\n")
        send = ("--config", "batch.toml", "send", "orders.csv", "--report-dir", "report")
        sent = await desk.run(*send)
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "report")["limits"] == ["9/1m"]


async def test_the_next_command_is_told_what_stands_in_the_table_of_another_command(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        for name in ("DIGICERT_API_KEY", "BATCH_RESEND_BASE_URL", "BATCH_RESEND_LIMIT"):
            del desk.environment[name]
        desk.write("key.txt", "a-key-of-this-test-0123").chmod(0o600)
        desk.write(
            "batch.toml",
            f'[send]\napi-key-file = "key.txt"\nbase-url = "{ca.base_url}"\nlimit = "900/1m"\n'
            'patience = "1s"\n',
        )
        desk.write_list(8)
        stopped = await desk.run("--config", "batch.toml", "send", "orders.csv")
        assert stopped.code == 4, stopped.err
        _, told = stopped.out.split("once what stopped it is fixed:\n  batch-resend ")
        ca.fail({})
        resumed = await desk.run(*shlex.split(told.splitlines()[0]))
        assert resumed.code == 0, resumed.err
        assert ca.books.mails == 8


async def test_the_help_of_a_command_is_shown_beside_a_file_that_is_refused(desk: Desk) -> None:
    desk.write("batch.toml", "concurency = 3\n")
    helped = await desk.run("--config", "batch.toml", "send", "--help")
    assert helped.code == 0, helped.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('patience = "2h"\n[sweep]\npatience = "30m"', []),
        ('patience = "2h"', []),
        ('[worker]\npatience = "2h"', ["--patience", "7200s"]),
        ('[worker]\npatience = "2h"\n[sweep]\npatience = "30m"', []),
        ('[worker]\napi-key-file = "k"\n[profiles.x]', ["--api-key-file", "k"]),
        ('[worker]\nlimit = "7/1m"', ["--limit", "7/1m"]),
        ('[worker]\nlimit = "7/1m"\n[profiles.x]', []),
    ],
)
async def test_the_sweeps_of_a_worker_keep_to_the_table_of_sweeps(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "batch.toml").write_text(text)
    commands = [cli.commands["worker"], cli.commands["sweep"]]
    parent = click.Context(cli)
    read_config(tmp_path / "batch.toml", commands, (), "worker").apply_to(parent)
    with cli.commands["worker"].make_context("worker", [], parent) as context:
        names = ("patience", "api_key_file", "limit")
        assert option_words(context, names, "sweep") == words
