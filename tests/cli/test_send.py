"""The main job as a user runs it: a list in, every order's mails resent once, a report out."""

import csv
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from batch_resend.cli.values import SHARE
from batch_resend.windows import Window
from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, read_summary, results
from tests.cli.screen import answered_on_terminal


async def test_each_order_is_mailed_once_within_all_windows_never_again(tmp_path: Path) -> None:
    windows = (Window(60, 2.0), Window(100, 6.0))
    async with desk_with_ca(tmp_path, windows=windows, latency_s=(0.01, 0.3)) as (desk, ca):
        numbers = desk.write_list(200)

        first = await desk.run("send", "orders.csv", "-q")

        assert (first.code, first.err) == (0, "")
        assert "200 of 200 orders sent" in first.out
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert ca.books.requests == 200
        assert [log.refused for log in ca.books.windows] == [0, 0]
        assert ca.books.wrong_request_count == 0
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "completed"
        assert summary["orders"]["sent"] == 200

        again = await desk.run("send", "orders.csv", "--report-dir", "again")

        assert again.code == 0, again.err
        assert ca.books.requests == 200
        assert "200 skipped: again/results.csv says why" in again.out
        assert read_summary(tmp_path / "again")["orders"]["skipped"] == 200
        reason = results(tmp_path / "again")[0]["error_message"]
        assert reason.startswith("sent 20")
        assert reason.endswith(f"by run {summary['run_id']}")


async def test_the_time_of_a_plan_counts_what_was_sent_a_moment_ago(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(20)
        assert (await desk.run("send", "orders.csv", "--limit", "20/10m")).code == 0
        desk.write("orders.csv", "order_id\n100200301\n")
        for limit, waits in (("20/10m", True), ("21/10m", False)):
            options = ("--all-domains", "--limit", limit)
            _, told = await answered_on_terminal(desk, "now? [y/N]", b"n\n", *options)
            for said in ("at least", "of which"):
                assert bool(re.search(rf"{said} (9|10)m ", told)) is waits


async def test_an_edited_list_sends_only_what_is_new(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("a.csv", "order_id\n100200301\n100200302\n100200303\n")
        desk.write(
            "b.jsonl",
            '{"order_id": 100200304}\n{"order_id": 100200303}\n'
            '{"order_id": 100200302, "locale": "de"}\n',
        )
        assert (await desk.run("send", "a.csv")).code == 0
        assert (await desk.run("send", "b.jsonl", "--report-dir", "b")).code == 0
        assert ca.books.mails_per_order == {
            "100200301": 1,
            "100200302": 2,
            "100200303": 1,
            "100200304": 1,
        }
        assert read_summary(tmp_path / "b")["orders"]["skipped"] == 1


async def test_every_row_is_accounted_for_and_the_exit_code_shows_rejects(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(["100200303"])) as (desk, ca):
        desk.write(
            "list.csv",
            "order_id,domain,email,note\n"
            "100200301,a.example.com,admin@example.com,first\n"
            "100200301,a.example.com,admin@example.com,the same again\n"
            "100200302,a.example.com,nobody,=cmd\n"
            "100200303,a.example.com,admin@example.com,unknown\n",
        )
        ended = await desk.run("send", "--max-rejected", "1", "list.csv")
        assert ended.code == 3
        assert ca.books.mails_per_order == {"100200301": 1}
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["rows"] == {
            "read": 4,
            "accepted": 2,
            "duplicate": 1,
            "skipped": 0,
            "rejected": 1,
        }
        assert summary["orders"]["sent"] == summary["orders"]["refused"] == 1
        with (desk.report() / "results.csv").open() as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        assert statuses == ["sent", "duplicate", "rejected", "refused"]
        assert "list.csv, line 4: the e-mail address 'nobody' has no @" in ended.err


async def test_what_was_skipped_says_which_run_sent_it_when_and_what_its_list_says(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("a.csv", "order_id\n100200301\n100200302\n")
        desk.write("b.csv", "order_id\n100200303\n")
        desk.write(
            "all.csv",
            "order_id,status\n100200301,pending\n100200302,pending\n100200303,pending\n"
            "100200304,issued\n",
        )
        runs = []
        for name in ("a", "b"):
            sent = await desk.run("send", f"{name}.csv", "--report-dir", name)
            assert sent.code == 0, sent.err
            runs.append(read_summary(tmp_path / name)["run_id"])
        last = await desk.run("send", "all.csv", "--report-dir", "all")
        assert last.code == 0, last.err
        assert read_summary(tmp_path / "all")["skipped"] == {
            "cooldown": 3, "list": 1, "preflight": 0, "other_call": 0, "under_way": 0,
        }  # fmt: skip
        codes = [one["error_code"] for one in results(tmp_path / "all")]
        assert codes == ["cooldown", "cooldown", "cooldown", "list"]
        page = re.sub("<[^>]+>", "", (tmp_path / "all" / "report.html").read_text())
        for told in (last.out, (await desk.run("show")).out, page):
            for run in runs:
                assert re.search(rf"sent \d{{4}}-\d\d-\d\d \d\d:\d\d.* UTC by run {run}", told)
            assert "The list says that these wait for no mail." in told
            assert "To mail them once more: --again." in told
        assert re.search(rf"^  2 skipped: sent .* by run {runs[0]}$", last.out, re.M)


# --- the command for what is left -----------------------------------------------------------------

ROW = "100200301;a.example.com;admin@a.example.com;Müller\n"


def next_command(told: str) -> list[str]:
    """Return the words of the command that a summary prints, behind the program's name."""
    return shlex.split(told.partition("\n  batch-resend ")[2].splitlines()[0])


@pytest.mark.parametrize(
    ("heading", "encoding", "options"),
    [
        pytest.param("order_id;domain;email;note\n", "utf-8", "", id="semicolon"),
        pytest.param("My Number;domain;email;note\n", "utf-8", "--map 'order_id=My Number'",
                     id="a heading of its own"),
        pytest.param("order_id;domain;email;note\n", "cp1252", "--encoding cp1252", id="Windows"),
        pytest.param("", "utf-8", "--no-header --map order_id=1 --map domain=2 --map email=3",
                     id="no heading"),
        pytest.param("order_id;domain;email;product\n", "utf-8", "--any-product",
                     id="any product"),
        pytest.param("order_id;domain;email;note\n", "utf-8", "--call order-approval", id="a call"),
    ],
)  # fmt: skip
async def test_what_is_left_is_sent_by_the_command_that_the_summary_prints(
    tmp_path: Path, heading: str, encoding: str, options: str
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}, keep_bodies=True) as (desk, ca):
        (desk.folder / "list").write_bytes((heading + ROW).encode(encoding))
        failed = await desk.run("send", "list", *shlex.split(options), "--max-attempts", "1")
        assert failed.code == 3, failed.err
        command = next_command(failed.out)
        assert {"--base-url", "--journal"} <= set(command), "whoever reads it may have another"
        ca.fail({})
        sent = await desk.run(*command)
        assert sent.code == 0, sent.err
        (first, again) = ca.books.bodies["100200301"]
        assert first == again != {}


@pytest.mark.parametrize(
    ("config", "by_variables"),
    [
        pytest.param('trust-env = false\npatience = "1s"\n', True, id="of all commands"),
        pytest.param(
            '[send]\napi-key-file = "key.txt"\nbase-url = "{}"\nlimit = "900/1m"\n'
            'patience = "1s"\n',
            False, id="of another command",
        ),
    ],
)  # fmt: skip
async def test_the_command_to_go_on_with_has_what_the_file_says_and_no_flag_that_is_off(
    tmp_path: Path, config: str, *, by_variables: bool
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write("my settings.toml", config.replace("{}", ca.base_url))
        desk.write("key.txt", desk.environment["DIGICERT_API_KEY"]).chmod(0o600)
        if not by_variables:
            for name in ("DIGICERT_API_KEY", "BATCH_RESEND_BASE_URL", "BATCH_RESEND_LIMIT"):
                del desk.environment[name]
        desk.write_list(8)
        send = ("--config", "my settings.toml", "send", "orders.csv", "--cooldown", "1.5h")
        stopped = await desk.run(*send, BATCH_RESEND_AGAIN="0")
        assert stopped.code == 4, stopped.err
        command = next_command(stopped.out)
        assert command[:3] == ["--config", str(tmp_path / "my settings.toml"), "resume"]
        assert not {"--trust-env", "--again", "False"} & set(command)
        assert command[command.index("--cooldown") + 1] == "90m"
        ca.fail({})
        resumed = await desk.run(*command)
        assert resumed.code == 0, resumed.err
        assert ca.books.mails == 8


# --- a list that is mostly junk -------------------------------------------------------------------


def write_rows(desk: Desk, good: int, bad: int) -> None:
    """Write a list of so many good and bad rows."""
    rows = [str(100_200_300 + n) for n in range(good)] + [f"bad{n}" for n in range(bad)]
    desk.write("list.csv", "\n".join(["order_id", *rows]))


@pytest.mark.parametrize(
    ("good", "bad", "options", "config", "held"),
    [
        (79, 21, "", "", "21 of 100 rows were rejected, more than --max-rejected 20%"),
        (80, 20, "", "", ""),
        (0, 4, "", "", "4 of 4 rows were rejected"),
        (3, 2, "--max-rejected 2", "", ""),
        (3, 2, "--max-rejected 1", "", "2 of 5 rows"),
        (3, 2, "", "max-rejected = 2", ""),
        (3, 2, "", "max-rejected = 1", "2 of 5 rows"),
        (3, 2, "", 'max-rejected = "40%"', ""),
        (99, 1, "--strict --max-rejected 100%", "", "--strict: 1 row was rejected"),
        (3, 0, "--strict --max-rejected 0", "", ""),
    ],
)
async def test_beyond_what_may_be_rejected_nothing_is_sent(
    tmp_path: Path, *, good: int, bad: int, options: str, config: str, held: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        write_rows(desk, good, bad)
        desk.write("settings.toml", config)
        send = ("--config", "settings.toml", "send", "list.csv", *options.split())
        sent = await desk.run(*send)
        assert sent.code == (3 if bad else 0), sent.err
        assert ca.books.mails == (0 if held else good)
        assert held in sent.out


async def test_the_report_of_a_run_held_back_says_why_and_names_bad_rows(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        write_rows(desk, 2, 3)
        held = await desk.run("send", "list.csv")
        assert held.code == 3
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "stopped"
        assert summary["stop_reason"] == "3 of 5 rows were rejected, more than --max-rejected 20%"
        assert summary["orders"]["not_attempted"] == summary["orders"]["total"] == 2
        assert summary["requests"]["attempts"] == 0
        with (desk.report() / "rejected.csv").open(newline="") as file:
            rejected = [(row["line"], row["order_id"]) for row in csv.DictReader(file)]
        assert rejected == [("4", "bad0"), ("5", "bad1"), ("6", "bad2")]
        assert (desk.report() / "unsent.csv").read_text().split() == [
            "order_id",
            "100200300",
            "100200301",
        ]
        # What damaged those rows may have damaged others: the list comes first.
        assert held.out.index("Is it the right list?") < held.out.index("send the other 2 orders")
        shown = await desk.run("show")
        page = (desk.report() / "report.html").read_text()
        for told in (shown.out, re.sub("<[^>]+>", "", page)):
            assert f"resume {summary['run_id']} " in told
        resumed = await desk.run(*next_command(held.out), "--report-dir", "resumed")
        assert read_summary(desk.folder / "resumed")["orders"]["sent"] == 2, resumed.err


async def test_what_to_do_next_is_in_the_document_for_programs_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        write_rows(desk, 2, 3)
        held = json.loads((await desk.run("send", "list.csv", "--json")).out)
        first, second = held["next_steps"]
        assert first["command"] is None
        assert second["command"].startswith(f"batch-resend resume {held['run_id']} ")
        for command in ("report", "watch"):
            again = json.loads((await desk.run(command, "--json")).out)
            assert [step["text"] for step in again["next_steps"]] == [
                step["text"] for step in held["next_steps"]
            ]


async def test_rows_of_all_lists_count_together_and_ambiguous_ones_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        write_rows(desk, 1, 1)
        rows = "100200301,a.example,admin@a.example\n100200301,,\n100200302,,\n"
        desk.write("odd.csv", f"order_id,domain,email\n{rows}")
        held = await desk.run("send", "odd.csv", "--all-domains", "--report-dir", "held")
        assert "1 of 3 rows were rejected, more than --max-rejected 20%" in held.out
        assert ca.books.requests == 0
        desk.write_list(20)
        assert (await desk.run("send", "list.csv", "orders.csv", "--report-dir", "r")).code == 3
        assert ca.books.mails == 21


@pytest.mark.parametrize(
    ("given", "good", "bad", "sends"),
    [
        ("0", 5, 0, True),
        ("0", 99, 1, False),
        ("0%", 999, 1, False),
        ("3", 1, 3, True),
        ("3", 100, 4, False),
        ("50%", 2, 2, True),
        ("50%", 2, 3, False),
        ("12.5%", 7, 1, True),
        ("12.5%", 13, 2, False),
        ("33.3%", 2, 1, False),
        ("100%", 1, 99, True),
        (" 20% ", 4, 1, True),
        ("1000000000000", 1, 9, True),
    ],
)
def test_it_is_a_number_or_a_share_that_may_be_reached_but_not_passed(
    given: str, good: int, bad: int, sends: bool
) -> None:
    share = SHARE.convert(given, None, None)
    assert share.is_exceeded(bad, good + bad) is not sends


@pytest.mark.parametrize(
    "given", ["", "-1", "-5%", "101%", "100.1%", "2.5", "20 %%", "half", "1e2", "5/100", "%", "٣"]
)
def test_what_is_neither_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter, match="write a number of rows, such as 50, or a perc"):
        SHARE.convert(given, None, None)
