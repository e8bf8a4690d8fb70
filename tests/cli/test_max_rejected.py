"""A list that is mostly junk: --max-rejected holds the run back before anything is sent."""

import csv
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest
import pytest_asyncio

from batch_resend.cli.options import SHARE
from batch_resend.simulator import Simulator
from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, read_summary

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


@pytest.mark.asyncio
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
    share = SHARE.convert(given, None, None)
    assert share.is_exceeded(bad, good + bad) is not sends


@pytest.mark.parametrize(
    "given", ["", "-1", "-5%", "101%", "100.1%", "2.5", "20 %%", "half", "1e2", "5/100", "%", "٣"]
)
def test_what_is_neither_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter, match="write a number of rows, such as 50, or a perc"):
        SHARE.convert(given, None, None)


@pytest.mark.asyncio
async def test_it_is_then_a_usage_error_that_shows_how_and_nothing_is_sent(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 1, 0)
    refused = await desk.run("send", "list.csv", "--max-rejected=half")
    assert refused.code == 2
    assert "write a number of rows, such as 50, or a percentage, 20%" in refused.err
    assert "--max-rejected" in refused.err
    assert simulator.books.requests == 0
    assert not (desk.folder / "reports").exists()


@pytest.mark.asyncio
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


@pytest.mark.asyncio
async def test_a_list_of_nothing_but_bad_rows_is_held_back(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 0, 4)
    held = await desk.run("send", "list.csv")
    assert held.code == 3
    assert "4 of 4 rows were rejected" in held.out
    assert simulator.books.requests == 0


@pytest.mark.asyncio
async def test_all_rows_of_all_lists_count_together(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 1, 1)
    desk.write_list(20)
    assert (await desk.run("send", "list.csv", "orders.csv")).code == 3
    assert simulator.books.mails == 21


@pytest.mark.asyncio
async def test_rows_found_to_be_ambiguous_count_too(ca: Ca) -> None:
    desk, simulator = ca
    desk.write("list.csv", "order_id,domain,email\n1,a.example,admin@a.example\n1,,\n2,,\n")
    held = await desk.run("send", "list.csv", "--all-domains")
    assert "1 of 3 rows were rejected, more than --max-rejected 20%" in held.out
    assert simulator.books.requests == 0


@pytest.mark.asyncio
async def test_once_more_is_allowed_the_run_is_sent(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 3, 2)
    await desk.run("send", "list.csv", "--report-dir", "held")
    sent = await desk.run("send", "list.csv", "--max-rejected", "2", "--report-dir", "sent")
    assert sent.code == 3
    assert simulator.books.mails == 3
    assert read_summary(desk.folder / "sent")["orders"]["sent"] == 3


@pytest.mark.asyncio
async def test_strict_holds_back_for_one_bad_row_whatever_else_is_allowed(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 99, 1)
    held = await desk.run("send", "list.csv", "--strict", "--max-rejected", "100%")
    assert held.code == 3
    assert "--strict: 1 row" in held.out
    assert simulator.books.requests == 0


@pytest.mark.asyncio
async def test_a_strict_list_of_good_rows_is_sent(ca: Ca) -> None:
    desk, simulator = ca
    write_rows(desk, 3, 0)
    assert (await desk.run("send", "list.csv", "--strict", "--max-rejected", "0")).code == 0
    assert simulator.books.mails == 3


@pytest.mark.parametrize(("written", "sends"), [("2", True), ("1", False), ('"40%"', True)])
@pytest.mark.asyncio
async def test_the_file_may_have_it_as_a_number_or_as_text(
    ca: Ca, written: str, sends: bool
) -> None:
    desk, simulator = ca
    write_rows(desk, 3, 2)
    desk.write("settings.toml", f"max-rejected = {written}\n")
    assert (await desk.run("--config", "settings.toml", "send", "list.csv")).code == 3
    assert bool(simulator.books.mails) is sends


@pytest.mark.asyncio
async def test_a_bad_value_in_the_file_or_the_environment_is_refused(ca: Ca) -> None:
    desk, _ = ca
    write_rows(desk, 3, 2)
    assert (await desk.run("send", "list.csv", BATCH_RESEND_MAX_REJECTED="many")).code == 2
    desk.write("settings.toml", 'max-rejected = "many"\n')
    refused = await desk.run("--config", "settings.toml", "send", "list.csv")
    assert refused.code == 1
    assert "settings.toml, line 1: max-rejected: 'many': write a number of rows" in refused.err
