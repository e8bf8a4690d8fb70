"""The main job as a user runs it: a list in, every order's mails resent once, a report out."""

import csv
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest
import pytest_asyncio

from batch_resend.cli.values import ShareType
from batch_resend.simulator import Simulator
from batch_resend.windows import Window
from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, read_summary, results


async def test_each_order_is_mailed_once_within_all_windows_and_never_again(
    tmp_path: Path,
) -> None:
    windows = (Window(60, 2.0), Window(100, 6.0))
    async with desk_with_ca(tmp_path, windows=windows, latency_s=(0.01, 0.3)) as (desk, ca):
        numbers = desk.write_list(200)

        first = await desk.run("send", "orders.csv")

        assert first.code == 0, first.err
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


async def test_an_edited_list_sends_only_what_is_new(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("a.csv", "order_id\n1\n2\n3\n")
        desk.write("b.jsonl", '{"order_id": 4}\n{"order_id": 3}\n{"order_id": 2, "locale": "de"}\n')
        assert (await desk.run("send", "a.csv")).code == 0
        assert (await desk.run("send", "b.jsonl", "--report-dir", "b")).code == 0
        assert ca.books.mails_per_order == {"1": 1, "2": 2, "3": 1, "4": 1}
        assert read_summary(tmp_path / "b")["orders"]["skipped"] == 1


async def test_every_row_is_accounted_for_and_a_rejected_one_shows_in_the_exit_code(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(["3"])) as (desk, ca):
        desk.write(
            "list.csv",
            "order_id,domain,email,note\n"
            "1,a.example.com,admin@example.com,first\n"
            "1,a.example.com,admin@example.com,the same again\n"
            "2,a.example.com,nobody,=cmd\n"
            "3,a.example.com,admin@example.com,unknown\n",
        )
        ended = await desk.run("send", "--max-rejected", "1", "list.csv")
        assert ended.code == 3
        assert ca.books.mails_per_order == {"1": 1}
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["rows"] == {"read": 4, "accepted": 2, "duplicate": 1, "rejected": 1}
        assert summary["orders"]["sent"] == summary["orders"]["refused"] == 1
        with (desk.report() / "results.csv").open() as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        assert statuses == ["sent", "duplicate", "rejected", "refused"]
        rejected = (desk.report() / "rejected.csv").read_text()
        assert (
            "2,a.example.com,nobody,'=cmd,list.csv,4,"
            "the e-mail address 'nobody' has no @ (column 'email'),"
            '"2,a.example.com,nobody,=cmd"\n'
        ) in rejected
        assert "list.csv, line 4: the e-mail address 'nobody' has no @" in ended.err


Ca = tuple[Desk, Simulator]


@pytest_asyncio.fixture
async def ca(tmp_path: Path) -> AsyncIterator[Ca]:
    """Open a folder to work in, and a CA."""
    async with desk_with_ca(tmp_path) as opened:
        yield opened


def write_rows(desk: Desk, good: int, bad: int) -> None:
    """Write a list of so many good and bad rows."""
    rows = [str(100 + n) for n in range(good)] + [f"bad{n}" for n in range(bad)]
    desk.write("list.csv", "\n".join(["order_id", *rows]))


async def test_by_default_a_fifth_of_bad_rows_is_sent_and_more_is_not(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 79, 21)
    held = await desk.run("send", "list.csv", "--report-dir", "held")
    assert held.code == 3
    assert simulator.books.requests == 0
    assert (
        "Nothing was sent: 21 of 100 rows were rejected, more than --max-rejected 20%." in held.out
    )

    write_rows(desk, 80, 20)
    assert (await desk.run("send", "list.csv", "--report-dir", "sent")).code == 3
    assert simulator.books.mails == 80


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
    share = ShareType().convert(given, None, None)
    assert share.is_exceeded(bad, good + bad) is not sends


@pytest.mark.parametrize(
    "given", ["", "-1", "-5%", "101%", "100.1%", "2.5", "20 %%", "half", "1e2", "5/100", "%", "٣"]
)
def test_what_is_neither_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter, match="write a number of rows, such as 50, or a perc"):
        ShareType().convert(given, None, None)


async def test_the_report_of_a_run_held_back_says_why_and_names_every_bad_row(ca: Ca) -> None:
    desk, _ = ca
    write_rows(desk, 2, 3)
    held = await desk.run("send", "list.csv")
    assert held.code == 3
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["state"] == "stopped"
    assert summary["stop_reason"] == ("3 of 5 rows were rejected, more than --max-rejected 20%")
    assert summary["orders"]["not_attempted"] == summary["orders"]["total"] == 2
    assert summary["requests"]["attempts"] == 0
    with (desk.report() / "rejected.csv").open(newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [(row["line"], row["order_id"]) for row in rejected] == [
        ("4", "bad0"), ("5", "bad1"), ("6", "bad2"),
    ]  # fmt: skip
    assert (desk.report() / "unsent.csv").read_text().split() == ["order_id", "100", "101"]
    assert "correct the rejected rows and send the list again" in held.out
    # What damaged those rows may have damaged others: nothing offers to send them.
    assert "batch-resend resume" not in held.out
    resumed = await desk.run("resume", summary["run_id"], "--report-dir", "resumed")
    assert read_summary(desk.folder / "resumed")["orders"]["sent"] == 2, resumed.err


async def test_all_rows_of_all_lists_count_together(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 1, 1)
    desk.write_list(20)
    assert (await desk.run("send", "list.csv", "orders.csv")).code == 3
    assert simulator.books.mails == 21


async def test_rows_found_to_be_ambiguous_count_too(ca: Ca) -> None:
    desk, simulator = ca
    desk.write("list.csv", "order_id,domain,email\n1,a.example,admin@a.example\n1,,\n2,,\n")
    held = await desk.run("send", "list.csv", "--all-domains")
    assert "1 of 3 rows were rejected, more than --max-rejected 20%" in held.out
    assert simulator.books.requests == 0


async def test_strict_holds_back_for_one_bad_row_whatever_else_is_allowed(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 99, 1)
    held = await desk.run("send", "list.csv", "--strict", "--max-rejected", "100%")
    assert held.code == 3
    assert "--strict: 1 row" in held.out
    assert simulator.books.requests == 0


async def test_a_strict_list_of_good_rows_is_sent(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 3, 0)
    assert (await desk.run("send", "list.csv", "--strict", "--max-rejected", "0")).code == 0
    assert simulator.books.mails == 3


@pytest.mark.parametrize(("written", "sends"), [("2", True), ("1", False), ('"40%"', True)])
async def test_the_file_may_have_it_as_a_number_or_as_text(
    ca: Ca, written: str, sends: bool
) -> None:
    desk, simulator = ca
    write_rows(desk, 3, 2)
    desk.write("settings.toml", f"max-rejected = {written}\n")
    assert (await desk.run("--config", "settings.toml", "send", "list.csv")).code == 3
    assert bool(simulator.books.mails) is sends


async def test_a_bad_value_in_the_file_or_the_environment_is_refused(ca: Ca) -> None:
    desk, _ = ca
    write_rows(desk, 3, 2)
    assert (await desk.run("send", "list.csv", BATCH_RESEND_MAX_REJECTED="many")).code == 2
    desk.write("settings.toml", 'max-rejected = "many"\n')
    refused = await desk.run("--config", "settings.toml", "send", "list.csv")
    assert refused.code == 1
    assert "settings.toml, line 1: max-rejected: 'many': write a number of rows" in refused.err
