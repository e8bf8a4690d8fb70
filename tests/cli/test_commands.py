"""The other commands, the options' sources, and what is printed where."""

import sys
from functools import partial
from pathlib import Path

import click
import pytest

from batch_resend.cli.main import cli
from batch_resend.explanations import explain
from batch_resend.version import __version__
from tests.cli.conftest import Desk, desk_with_ca, ended, read_summary


async def test_help_lists_every_command_and_shows_an_example(desk: Desk) -> None:
    helped = await desk.run("--help")
    assert helped.code == 0
    assert all(f"\n  {name} " in helped.out for name in cli.commands)
    assert "$ batch-resend check orders.csv" in helped.out


@pytest.mark.parametrize("command", sorted(cli.commands))
async def test_every_command_has_help_of_its_own(desk: Desk, command: str) -> None:
    helped = await desk.run(command, "--help")
    assert helped.code == 0
    assert helped.out.startswith(f"Usage: batch-resend {command} ")
    assert "\nExamples:\n" in helped.out
    assert "\nExit codes:\n  0 " in helped.out
    for option in cli.commands[command].params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.opts[0]} says nothing of itself"


async def test_version_says_which(desk: Desk) -> None:
    assert (await desk.run("--version")).out == f"batch-resend, version {__version__}\n"


async def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        await desk.run("send", "orders.csv")
        for command in ("show", "report", "resume"):
            refused = await desk.run(command, "20200101-000000-beef")
            assert refused.code == 1
            assert "no run '20200101-000000-beef'; `batch-resend runs --journal " in refused.err


async def test_with_nothing_unfinished_resume_says_so(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        nowhere = await desk.run("resume")
        assert nowhere.code == 1
        assert "there is no journal here yet" in nowhere.err
        desk.write_list(1)
        await desk.run("send", "orders.csv")
        refused = await desk.run("resume")
        assert refused.code == 1
        assert "no run is unfinished" in refused.err
        completed = desk.summary()["run_id"]
        assert "is complete" in (await desk.run("resume", completed)).err
        assert ca.books.requests == 1


async def test_flags_win_over_the_environment_and_the_environment_over_the_file(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        del desk.environment["BATCH_RESEND_LIMIT"]
        desk.write("orders.csv", "Nummer\n1\n")
        desk.write(
            "settings.toml",
            'limit = ["7/1m"]\nmap = { order_id = "Nummer" }\nreport-dir = "from file"\n',
        )
        send = ("--config", "settings.toml", "send", "orders.csv", "--again")
        assert (await desk.run(*send)).code == 0
        assert read_summary(tmp_path / "from file")["limits"] == ["7/1m"]

        await desk.run(*send, BATCH_RESEND_LIMIT="8/1m 9/1h")
        assert read_summary(tmp_path / "from file")["limits"] == ["8/1m", "9/1h"]

        await desk.run(*send, "--limit", "10/1m", BATCH_RESEND_LIMIT="8/1m 9/1h")
        assert read_summary(tmp_path / "from file")["limits"] == ["10/1m"]


async def test_what_commands_mean_differently_by_one_name_only_a_flag_says(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.environment |= {"BATCH_RESEND_OLDER_THAN": "1h"}
        desk.write_list(1)
        sent = await desk.run("send", "orders.csv")
        assert sent.code == 0, sent.err
        pruned = await desk.run("prune")
        assert pruned.out.startswith("0 runs with 0 rows forgotten"), pruned.err
        assert (await desk.run("export")).out.startswith("order_id,")
        assert ca.books.mails == 1
        desk.write("settings.toml", 'format = "json"\n')
        refused = await desk.run("--config", "settings.toml", "runs")
        assert "format means something else from command to command" in refused.err
        refused = await desk.run("runs", BATCH_RESEND_FORMAT="json")
        assert "there is no variable BATCH_RESEND_FORMAT" in refused.err


def without(*extras: str) -> None:
    """Have extras not installed, and nothing imported that needs them."""
    for name in [
        name for name in sys.modules if "cluster" in name or name.endswith("commands.worker")
    ]:
        del sys.modules[name]
    for name in [name for name in sys.modules if name.partition(".")[0] in extras]:
        del sys.modules[name]
    sys.modules |= dict.fromkeys(extras)  # type: ignore[arg-type] # None: there is none


async def test_a_file_of_options_needs_no_extra_that_its_command_does_not_need(desk: Desk) -> None:
    desk.write("settings.toml", "concurrency = 3\n")
    desk.write_list(1)
    meddling = partial(without, "procrastinate", "croniter", "psycopg")
    checked = await ended(
        await desk.start_after(meddling, "--config", "settings.toml", "check", "orders.csv")
    )
    assert checked.code == 0, checked.err
    worker = await ended(await desk.start_after(meddling, "--config", "settings.toml", "worker"))
    assert worker.code == 1
    assert "pip install 'batch-resend[cluster]'" in worker.err


async def test_the_summary_says_why_orders_were_not_sent_in_the_words_of_the_one_table(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700000", "700002"})) as (desk, _):
        desk.write_list(3)
        told = (await desk.run("send", "orders.csv")).out
        again = (await desk.run("report", desk.summary()["run_id"])).out
    known = explain(404, "not_found|order")
    assert known is not None
    for text in (told, again):
        assert (
            "Not sent, and why\n"
            "  2 refused: 404 not_found|order, The specified order was not found.\n"
            f"    {known.meaning} {known.remedy}\n"
        ) in text
