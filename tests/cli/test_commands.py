"""The other commands, the options' sources, and what is printed where."""

import asyncio
import json
import os
import re
import shlex
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from batch_resend.explanations import explain
from batch_resend.version import __version__
from tests.cli.conftest import Desk, desk_with_ca, ended, read_summary

pytestmark = pytest.mark.asyncio

COMMANDS = (
    "send", "sweep", "export", "check", "doctor", "simulate", "resume", "watch", "runs", "show",
    "history", "report", "verify", "prune",
    "completion",
)  # fmt: skip


async def test_help_lists_every_command_and_shows_an_example(desk: Desk) -> None:
    helped = await desk.run("--help")
    assert helped.code == 0
    assert all(f"\n  {name} " in helped.out for name in COMMANDS)
    assert "$ batch-resend check orders.csv" in helped.out


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help_of_its_own(desk: Desk, command: str) -> None:
    helped = await desk.run(command, "--help")
    assert helped.code == 0
    assert helped.out.startswith(f"Usage: batch-resend {command} ")


async def test_version_says_which(desk: Desk) -> None:
    assert (await desk.run("--version")).out == f"batch-resend, version {__version__}\n"


async def test_check_shows_the_plan_and_touches_neither_network_nor_journal(desk: Desk) -> None:
    desk.write_list(2_000)
    del desk.environment["DIGICERT_API_KEY"]
    checked = await desk.run("check", "orders.csv")
    assert checked.code == 0, checked.err
    assert "2,000 for 2,000 orders (one an order and language), 2,000 to send" in checked.out
    assert "3m 20s at the least, within 1000/3m and 100/5s" not in checked.out
    assert "within 1000/3m and 100/5s" in checked.out
    assert not (desk.folder / "journal.db").exists()


async def test_check_names_rejected_rows_with_line_and_reason(desk: Desk) -> None:
    desk.write("list.csv", "order_id\n" + "\n".join("abcdefghijkl"))
    checked = await desk.run("check", "list.csv")
    assert checked.code == 3
    assert "list.csv, line 2: the order number is 'a': digits are expected" in checked.out
    assert "and 7 more: -v lists them" in checked.out
    closely = await desk.run("check", "-v", "list.csv")
    assert "list.csv, line 13: the order number is 'l'" in closely.out


async def test_runs_show_and_report_tell_of_earlier_runs_from_the_journal_alone(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(4)
        await desk.run("send", "orders.csv")
        summary = desk.summary()
    run_id = summary["run_id"]

    listed = await desk.run("runs")
    assert run_id in listed.out
    assert "completed" in listed.out
    assert "orders.csv" in listed.out

    shown = await desk.run("show", run_id)
    assert re.search(rf"^run +{run_id}$", shown.out, re.M)
    assert re.search(r"^state +completed$", shown.out, re.M)
    assert re.search(r"^orders, sent +4$", shown.out, re.M)
    assert json.loads((await desk.run("show", run_id, "--format", "json")).out) == summary

    written = await desk.run("report", run_id, "--report-dir", "once more")
    assert written.code == 0
    for name in ("results.csv", "results.jsonl", "unsent.csv", "rejected.csv", "summary.json"):
        assert (tmp_path / "once more" / name).read_text() == (desk.report() / name).read_text()
    assert (tmp_path / "once more" / "report.html").is_file()


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


async def test_logs_are_one_json_object_a_line_when_asked(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"503": 0.3}) as (desk, _):
        desk.write_list(20)
        sent = await desk.run("send", "orders.csv", "-v", "--log-format", "json")
    events = [json.loads(line) for line in sent.err.splitlines() if line.startswith("{")]
    assert len(events) >= 20
    assert {"event", "level", "timestamp"} <= set(events[0])
    failed = [event for event in events if event["event"] == "attempt unavailable"]
    assert failed
    for event in failed:
        assert event["said"] == "Service is unavailable"
        assert event["run_id"] == desk.summary()["run_id"]
        assert event["order_id"].startswith("7000")


async def test_quiet_prints_nothing_but_the_summary(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        sent = await desk.run("send", "orders.csv", "-q")
    assert sent.err == ""
    assert "3 of 3 orders sent" in sent.out


async def test_the_summary_names_the_next_command_with_the_options_it_needs(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write("orders.csv", "My Number\n1\n")
        failed = await desk.run(
            "send", "orders.csv", "--map", "order_id=My Number", "--max-attempts", "1"
        )
        assert failed.code == 3
        _, told = failed.out.split("To send what is left:\n  batch-resend ")
        command = told.splitlines()[0]
        assert "/unsent.csv --map 'order_id=My Number'" in command
        for given_by_environment in ("--base-url", "--journal"):
            assert f" {given_by_environment} " in command, "whoever reads it may have another"
        again = await desk.run(*shlex.split(command), "--max-attempts", "1")
        assert again.code == 3
        assert ca.books.requests_per_order == {"1": 2}


async def test_the_next_command_names_the_file_of_options_and_no_flag_that_is_off(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write("my settings.toml", 'trust-env = false\npatience = "1s"\n')
        desk.write_list(8)
        send = ("--config", "my settings.toml", "send", "orders.csv")
        stopped = await desk.run(*send, BATCH_RESEND_AGAIN="0")
        assert stopped.code == 4, stopped.err
        _, told = stopped.out.split("once what stopped it is mended:\n  batch-resend ")
        command = shlex.split(told.splitlines()[0])
        assert command[:3] == ["--config", "my settings.toml", "resume"]
        assert not {"--trust-env", "--again", "False"} & set(command)
        ca.fail({})
        assert (await desk.run(*command)).code == 0


async def test_a_reader_that_leaves_early_is_no_error(desk: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *desk.command("--help"),
        env=desk.environment,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, told = await process.communicate()
    assert told == b""


async def test_a_rehearsal_runs_a_command_against_a_simulator_of_its_own(desk: Desk) -> None:
    desk.write_list(30)
    rehearsed = await desk.run(
        "simulate", "--limit", "none", "--books", "books.json", "--",
        *desk.command("send", "orders.csv", "--limit", "none"),
    )  # fmt: skip
    assert rehearsed.code == 0, rehearsed.err
    assert "30 of 30 orders sent" in rehearsed.out
    books = json.loads((desk.folder / "books.json").read_text())
    assert books["mails"] == books["orders_mailed"] == 30


async def test_a_rehearsal_ends_with_the_command_s_exit_code(desk: Desk) -> None:
    ended = await desk.run("simulate", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert ended.code == 7


async def test_a_simulator_left_running_tells_its_books_until_it_is_ended(desk: Desk) -> None:
    desk.write_list(12)
    simulator = await desk.start("simulate", "--key", desk.environment["DIGICERT_API_KEY"])
    assert simulator.stdout is not None
    base_url = (await simulator.stdout.readline()).decode().split()[-1]
    books_url = (await simulator.stdout.readline()).decode().split()[2]

    sent = await desk.run("send", "orders.csv", "--base-url", base_url)
    assert sent.code == 0, sent.err
    async with aiohttp.ClientSession() as session, session.get(books_url) as answer:
        books = await answer.json()
    assert books["mails"] == books["requests"] == 12
    assert books["windows"][1] == {"limit": "100/5s", "peak": 12, "refused": 0}

    simulator.terminate()
    assert (await ended(simulator)).code == 0


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
