"""The TOML file of options, and variables: what they may say, and that nothing is passed over."""

from pathlib import Path

import click
import pytest

from batch_resend.cli.config import read_config
from batch_resend.cli.main import cli
from batch_resend.cli.next_flags import option_words
from tests.cli.conftest import Desk, desk_with_ca, read_summary


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
    "a key that is a little like one": ("bogus = 3", 1, "there is no option bogus.\n"),
    "a key cut short": ('ping = "x"', 1, "there is no option ping. Did you mean ping-url?"),
    "a key in capitals": ("Max-Orders = 3", 1, "Did you mean max-orders?"),
    "a table": ("\n[swep]\nmax-orders = 3", 2, "there is no command swep. Did you mean sweep?"),
    "a table that is like none": ("[zzz]\na = 1", 1, "there is no command zzz."),
    "a key of a table": (
        "[sweep]\n# few\nmax-order = 3", 3,
        "sweep has no option max-order. Did you mean max-orders?",
    ),
    "another command's option in a table": (
        "[send]\nfail-on = \"stuck\"", 2, "send has no option fail-on; resume has",
    ),
    "a dotted key": ("yes = true\nsweep.max-order = 3", 2, "sweep has no option max-order"),
    "a table within a table": ("[sweep.sweep]\nmax-orders = 3", 1, "sweep has no option sweep"),
    "what only a command's table may say": (
        'format = "json"', 1, "format has another meaning in each command",
    ),
    "an argument": ('[send]\ninputs = "a.csv"', 2, "send has no option inputs"),
    "a profile, misspelled": (
        '[profile.shop]\nregion = "eu"', 1, "profile: write a string. Did you mean [profiles.shop]",
    ),
    "a key of a profile": (
        '[profiles.shop]\n\nkey = "x"', 3, "profile shop: there is no option key; write one of ",
    ),
    "a key after a profile": ("[profiles.shop]\nmax-orders = 3", 2, "no option max-orders"),
    "a list of tables": ("[[sweep]]\nmax-orders = 3", 1, "sweep is a table: [sweep]"),
    "a command that is no table": ("sweeps = 3\n[send]", 1, "there is no option sweeps"),
    "a command that is a value": ("export = true", 1, "export is a table: [export]"),
    # of another type
    "a text as a number": ('[sweep]\nmax-orders = "3"', 2, "max-orders: write a whole number"),
    "a fraction as a number": ("[sweep]\nmax-orders = 3.7", 2, "max-orders: write a whole number"),
    "truth as a number": ("max-orders = true", 1, "max-orders: write a whole number"),
    "a number that is too small": (
        "[sweep]\nmax-orders = 0", 2, "max-orders: 0: write a whole number, at least 1",
    ),
    "a text as truth": ('strict = "yes"', 1, "strict: write true or false"),
    "a number as truth": ("strict = 1", 1, "strict: write true or false"),
    "a number as text": ("locale = 5", 1, "locale: write a string"),
    "a day as text": ("locale = 2026-01-01", 1, "locale: write a string"),
    "a list as text": ('locale = ["en"]', 1, "locale: write a string"),
    "a table as text": ('[locale]\nde = "x"', 1, "locale: write a string"),
    "a number in a list of texts": ('limit = ["7/1m", 5]', 1, "limit: write a string, or a list"),
    "a list of a list": ('limit = [["7/1m"]]', 1, "limit: write a string, or a list of strings"),
    "a table for what takes a list": ('limit = { a = "b" }', 1, "limit: write a string, or a list"),
    "a word that is none of the choices": ('region = "mars"', 1, "region: 'mars' is not one of"),
    "no limit": ('limit = "many"', 1, "limit: 'many' is not a limit: write 1000/3m"),
    "a share as a fraction": ("max-rejected = 0.2", 1, "max-rejected: write a string"),
    "a time of day as a length": ("cooldown = 20:00:00", 1, "cooldown: write a length of time"),
    "a field there is none of": ('[map]\ncolour = "Farbe"', 1, "FIELD is one of order_id"),
    "truth as a column": ("map = { order_id = true }", 1, "map: write a table of strings"),
    # said twice
    "an option in both its spellings": (
        "max-orders = 3\nmax_orders = 5", 2, "max-orders is given twice",
    ),
    # over several lines
    "behind a list of many lines": ('limit = [\n  "7/1m",\n]\nxyz = [\n  1,\n]', 4, "option xyz"),
    "behind a text of many lines": ('locale = """\n[send]\nxyz = 1"""\nxyz = 2', 4, "option xyz"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_it_does_not_know_is_refused_with_its_line_and_nothing_is_sent(
    desk: Desk, text: str, line: int, said: str
) -> None:
    told = await config_words(desk, text)
    assert told.startswith(f"batch-resend: --config batch.toml, line {line}: "), told
    assert said in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "(at line 1, column 5)\n"),
        ("a = 1\na = 2", "(at line 2, column 6)\n"),
        ("[send]\n[send]", "(at line 2, column 6)\n"),
        (
            "[sweep]\nfail-on = stuck # so",
            'line 2, column 11): put text in quotes, fail-on = "..."',
        ),
        ("cooldown = 20h", 'line 1, column 14): put text in quotes, cooldown = "..."'),
        ("x = 1\r\nlimit = 1000/3m\r\n", '): put text in quotes, limit = "..."'),
        ("strict = True", "(at line 1, column 10): write strict = true"),
    ],
)
async def test_what_is_no_toml_is_refused_with_its_line(desk: Desk, text: str, said: str) -> None:
    assert said in await config_words(desk, text)


async def test_a_commands_table_goes_before_the_top_level(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, orders=20) as (desk, ca):
        del desk.environment["BATCH_RESEND_LIMIT"]
        desk.write(
            "batch.toml",
            'limit = "50/1m"\nmax-orders = 7\n\n[sweep]\nmax-orders = 3\nolder-than = "0s"\n'
            '[send]\nlimit = ["60/1m", "40/5s"]\n[report]\nreport-dir = "elsewhere"\n'
            '[export]\nformat = "jsonl"\n',
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
        assert (await desk.run(*config, "export")).out.startswith('{"order_id":')


async def test_profiles_take_from_the_commands_table_what_they_leave_out(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('patience = "2h"\n[sweep]\npatience = "30m"', []),
        ('patience = "2h"', []),
        ('[worker]\npatience = "2h"', ["--patience", "2h"]),
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
    parent = click.Context(cli, **cli.context_settings)
    read_config(tmp_path / "batch.toml", commands, (), "worker").apply_to(parent)
    with cli.commands["worker"].make_context("worker", [], parent) as context:
        names = ("patience", "api_key_file", "limit")
        assert option_words(context, names, "sweep") == words


# --- variables ------------------------------------------------------------------------------------

NEAR = {
    "BATCH_RESEND_MAX_ORDERS": (
        "BATCH_RESEND_MAX_ORDER", "BATCH_RESEND_MAXORDERS", "batch_resend_max_orders",
        # The prefix, misspelled or joined in another way.
        "BATCHRESEND_MAX_ORDERS", "BATCHRESENDMAXORDERS", "BATCH-RESEND-MAX-ORDERS",
        "Batch_Resend_Max_Orders", "BATCH_RE_SEND_MAX_ORDERS", "BATCH_RESENT_MAX_ORDERS",
        "BATH_RESEND_MAX_ORDERS", "BACTH_RESEND_MAX_ORDERS", "BATCH_RESENDS_MAXORDERS",
    ),
    "BATCH_RESEND_LIMIT": ("BATCH_RESEND_LIMITS",),
    "BATCH_RESEND_API_KEY_FILE": ("BATCH_RESEND_API_KEY",),
    "": ("BATCH_RESEND_SANDBOX", "BATCH_RESEND_", "BATCHRESEND_OTHER"),
}  # fmt: skip
NO_OPTIONS = (
    "BATCH_RESEND_MAX_ORDERS",  # of another command
    # What Kubernetes sets for Services called batch-resend and batch-resend-worker.
    "BATCH_RESEND_SERVICE_HOST", "BATCH_RESEND_SERVICE_PORT", "BATCH_RESEND_SERVICE_PORT_METRICS",
    "BATCH_RESEND_PORT", "BATCH_RESEND_PORT_9100_TCP", "BATCH_RESEND_PORT_9100_TCP_PROTO",
    "BATCH_RESEND_PORT_9100_TCP_PORT", "BATCH_RESEND_PORT_9100_TCP_ADDR",
    "BATCH_RESEND_WORKER_SERVICE_HOST", "BATCHRESEND_SERVICE_HOST", "BATCHRESEND_PORT_9100_TCP",
    "_BATCH_RESEND_OTHER", "_BATCH_RESEND_LIMIT", "BATCH_RESEND",  # where a script has the program
    "BATCH_RESENT_HOME",  # of another program: no option is like it
    "BATCH_LIMIT", "BATCH_SIZE", "RESEND_LIMIT", "MY_BATCH_RESEND_LIMIT",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "near"), [(name, near) for near, names in NEAR.items() for name in names]
)
async def test_a_variable_that_is_misspelled_is_refused_with_the_nearest_and_without_its_value(
    desk: Desk, name: str, near: str
) -> None:
    desk.environment[name] = "a-secret-0123456789"
    hint = f" Did you mean {near}?" if near else ""
    for words in (("sweep", "--older-than", "0"), ("send", "orders.csv")):
        refused = await desk.run(*words)
        assert refused.code == 1
        assert refused.err == f"batch-resend: there is no variable {name}.{hint}\n"


async def test_those_of_other_commands_and_of_kubernetes_are_no_hindrance(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        desk.environment |= dict.fromkeys(NO_OPTIONS, "3")
        sent = await desk.run("send", "orders.csv", BATCH_RESEND_MAX_MAILS_PER_ORDER="")
        assert sent.code == 0, sent.err


@pytest.mark.parametrize(
    ("variable", "flag", "line"),
    [
        *(
            (name, "", "")
            for name in ("MAX_ORDERS", "LIMIT", "OLDER_THAN", "BASE_URL", "MAX_MAILS_PER_ORDER",
                         "CONFIG")
        ),
        *(("", flag, "") for flag in ("--max-orders=", "--max-orders=0", "--limit=",
                                      "--older-than=")),
        *(
            ("", "", line)
            for line in ('max-orders = ""', "max-orders = 0", 'limit = ""', "limit = []",
                         'limit = [""]', 'older-than = ""', 'base-url = ""')
        ),
    ],
)  # fmt: skip
async def test_one_that_is_empty_is_refused_and_lifts_no_limit(
    tmp_path: Path, variable: str, flag: str, line: str
) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, ca):
        words = ["sweep", "--yes", "-q", *([flag] if flag else [])]
        if line:
            del desk.environment["BATCH_RESEND_LIMIT"], desk.environment["BATCH_RESEND_BASE_URL"]
            place = "" if line.startswith("base") else f'base-url = "{ca.base_url}"\n'
            desk.write("batch.toml", f"[sweep]\n{place}{line}\n")
            words = ["--config", "batch.toml", *words]
        for value in ("", " ", "\t") if variable else ("",):
            if variable:
                desk.environment[f"BATCH_RESEND_{variable}"] = value
            refused = await desk.run(*words)
            assert refused.code in (1, 2), refused.err
            if variable:
                assert f"the variable BATCH_RESEND_{variable} is empty" in refused.err
        assert ca.books.requests == 0


async def test_help_is_shown_beside_a_variable_and_a_file_that_are_refused(desk: Desk) -> None:
    desk.write("batch.toml", "concurency = 3\n")
    for words in (("--help",), ("send", "--help"), ("send", "-h"), ("--version",)):
        helped = await desk.run("--config", "batch.toml", *words, BATCH_RESEND_MAX_ORDER="3")
        assert helped.code == 0, helped.err
