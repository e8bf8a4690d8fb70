"""What was taken out of a list or an unsent.csv before it was sent: named, not mailed unasked."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_resend.batch import open_batch
from batch_resend.errors import UnknownRun
from batch_resend.settings import Settings
from batch_resend.windows import parse_windows
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, run_ids, until
from tests.cli.test_sweep import wait

HEADING = "order_id,domain,email\n"
LEFT = [str(100_200_300 + n) for n in range(3, 7)]  # once two of six were sent


def row(number: str, name: str = "a") -> str:
    """Return a row of an order."""
    return f"{number},{name}{number}.example.com,admin@{name}{number}.example.com\n"


async def send_two(desk: Desk) -> tuple[str, Path]:
    """Send the first two of six orders; return the run, and its unsent.csv."""
    numbers = [str(100_200_300 + n) for n in range(1, 7)]
    desk.write("a.csv", HEADING + "".join(map(row, numbers)) + row(LEFT[-1], "b"))
    await desk.run("send", "--yes", "-q", "--max-orders", "2", "a.csv")
    (run,) = await run_ids(desk)
    return run, desk.folder / "reports" / run / "unsent.csv"


def without_an_order(text: str) -> str:
    """Delete the rows of an order."""
    return text.replace(row("100200305"), "")


def without_a_row(text: str) -> str:
    """Delete one of the two rows of an order."""
    return text.replace(row(LEFT[-1], "b"), "")


def with_another_address(text: str) -> str:
    """Correct an address."""
    return text.replace("admin@a100200305", "it@a100200305")


def damaged(text: str) -> str:
    """Damage a row, so that it is rejected."""
    return text.replace("admin@a100200305", "admin a100200305")


@pytest.mark.parametrize("name", ["reports/{}/unsent.csv", "today-unsent (2).csv"])
@pytest.mark.parametrize("edit", [without_an_order, without_a_row, with_another_address, damaged])
async def test_what_was_deleted_or_changed_in_unsent_csv_is_named_and_mailed_only_by_its_runs_name(
    tmp_path: Path, edit: Callable[[str], str], name: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, unsent = await send_two(desk)
        list_ = name.format(run)
        edited = edit(unsent.read_text())
        assert edited != unsent.read_text()
        desk.write(list_, edited)
        await desk.run("send", "--yes", "-q", "--max-rejected", "50%", list_)
        later, _ = await run_ids(desk)
        mails = ca.books.mails
        it = (
            f"1 order was not in {list_}, or was changed there, when run {later} sent that "
            "list. To send it after all, unchanged:"
        )
        command = f"\n  batch-resend resume {run} "
        for words in ("show", "watch"):
            told = (await desk.run(words)).out
            assert f"Run {run} at {ca.base_url} (a rehearsal): {it}" in in_one_line(told)
            assert command in told
        shown = (await desk.run("show", run)).out
        assert f" {it} batch-resend resume " in in_one_line(shown)
        bare = await desk.run("resume", "-q")
        assert bare.code == 1
        assert "no run is resumed unless you name it:\n" in bare.err
        assert it in in_one_line(bare.err)
        assert command in bare.err
        assert ca.books.mails == mails
        async with open_batch(settings(desk)) as batch:
            with pytest.raises(UnknownRun):
                await batch.take_up()
        listed = (await desk.run("runs")).out
        assert "; of what is left, 1 left out of a later list" in in_one_line(listed)
        by_name = await desk.run("resume", "-q", run)
        assert by_name.code == 0, by_name.err
        assert ca.books.mails > mails
        assert (await desk.run("resume")).code == 1
        assert run not in (await desk.run("resume")).err


def settings(desk: Desk) -> Settings:
    """Return what the library takes of a desk."""
    return Settings(
        api_key=SecretStr(KEY),
        base_url=desk.base_url,
        journal=desk.folder / "journal.db",
        windows=parse_windows(()),
    )


def in_one_line(shown: str) -> str:
    """Return a text as it was before it was wrapped."""
    return re.sub(r"\s+", " ", shown)


@pytest.mark.parametrize("edit", [without_an_order, without_a_row, with_another_address, damaged])
async def test_what_was_deleted_or_changed_in_the_list_itself_is_mailed_only_by_its_runs_name(
    tmp_path: Path, edit: Callable[[str], str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, _ = await send_two(desk)
        whole = (desk.folder / "a.csv").read_text()
        desk.write("a.csv", edit(whole))
        await desk.run("send", "--yes", "-q", "--max-rejected", "50%", "a.csv")
        later, _ = await run_ids(desk)
        mails = ca.books.mails
        it = f"1 order was not in a.csv, or was changed there, when run {later} sent that list."
        for words in ("show", "watch"):
            assert f"Run {run} at {ca.base_url} (a rehearsal): {it}" in in_one_line(
                (await desk.run(words)).out
            )
        bare = await desk.run("resume", "-q")
        assert bare.code == 1
        assert it in in_one_line(bare.err)
        assert "; of what is left, 1 left out of a later list" in in_one_line(
            (await desk.run("runs")).out
        )
        assert ca.books.mails == mails
        by_name = await desk.run("resume", "-q", run)
        assert by_name.code == 0, by_name.err
        assert ca.books.mails > mails


async def test_a_list_of_each_night_with_other_orders_leaves_the_night_before_to_be_resumed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        await send_two(desk)
        desk.write("a.csv", HEADING + row("100200399"))
        assert (await desk.run("send", "--yes", "-q", "a.csv")).code == 0
        assert (await desk.run("resume", "-q")).code == 0
        assert len(ca.books.mails_per_order) == 7


async def test_who_sends_half_of_unsent_csv_sees_that_the_other_half_is_left(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, unsent = await send_two(desk)
        heading, *rows = unsent.read_text().splitlines(keepends=True)
        desk.write("unsent-1.csv", heading + "".join(rows[:2]))
        desk.write("unsent-2.csv", heading + "".join(rows[2:]))
        await desk.run("send", "--yes", "unsent-1.csv")
        told = (await desk.run("show")).out
        assert "2 orders were not in unsent-1.csv, or were changed " in in_one_line(told)
        assert f"\n  batch-resend resume {run} " in told
        await desk.run("send", "--yes", "unsent-2.csv")
        assert run not in (await desk.run("show")).out
        assert (await desk.run("resume")).code == 0, "nothing is left to send"
        assert set(ca.books.mails_per_order.values()) == {1}


async def test_of_two_unfinished_runs_the_one_that_sent_what_the_other_left_is_resumed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, unsent = await send_two(desk)
        unsent.write_text(without_an_order(unsent.read_text()))
        await desk.run("send", "--yes", "-q", "--max-orders", "1", f"reports/{run}/unsent.csv")
        later, _ = await run_ids(desk)
        resumed = await desk.run("resume", "--max-orders", "9")
        assert f"This resumes run {later}. These did not finish either:" in resumed.err
        assert "1 of 3 orders left was not in reports/" in in_one_line(resumed.err)
        assert "100200305" not in ca.books.mails_per_order
        assert len(ca.books.mails_per_order) == 5


async def test_what_was_deleted_from_two_lists_in_turn_is_mailed_by_neither_run(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, unsent = await send_two(desk)
        await desk.run("send", "--yes", "-q", "--max-orders", "1", f"reports/{run}/unsent.csv")
        later, _ = await run_ids(desk)
        unsent = tmp_path / "reports" / later / "unsent.csv"
        unsent.write_text(without_an_order(unsent.read_text()))
        await desk.run("send", "--yes", "-q", f"reports/{later}/unsent.csv")
        bare = await desk.run("resume")
        assert bare.code == 1
        words = in_one_line(bare.err)
        assert f"Run {later} at {ca.base_url} (a rehearsal): 1 order was not in " in words
        assert f": 1 order left, all of which run {later} had from reports/{run}/unsent." in words
        assert "100200305" not in ca.books.mails_per_order


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("part.csv", LEFT[:2]),  # a list of one's own is no unsent.csv
        ("reports/20250101-000000-abcd/unsent.csv", LEFT[:2]),  # that of another run
        ("unsent.csv", [*LEFT[:2], "100200399"]),  # it has orders of another run
        ("refused.csv", LEFT[:2]),  # which says nothing of what was not sent
    ],
)
async def test_another_list_with_some_of_its_orders_leaves_a_run_to_be_resumed(
    tmp_path: Path, name: str, rows: list[str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, _ = await send_two(desk)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        desk.write(name, HEADING + "".join(map(row, rows)))
        await desk.run("send", "--yes", name)
        told = in_one_line((await desk.run("show")).out)
        assert f"Run {run} at {ca.base_url} (a rehearsal) did not finish; 2 orders left. " in told
        resumed = await desk.run("resume", "-q")
        assert resumed.code == 0, resumed.err
        assert set(LEFT) <= set(ca.books.mails_per_order)


async def test_a_run_that_was_resumed_by_name_since_is_again_what_resume_takes(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        run, unsent = await send_two(desk)
        unsent.write_text(HEADING + row(LEFT[0]))
        await desk.run("send", "--yes", "-q", f"reports/{run}/unsent.csv")
        assert (await desk.run("resume", "-q")).code == 1
        await desk.run("resume", "-q", run, "--max-orders", "1")
        resumed = await desk.run("resume", "-q", "--max-orders", "9")
        assert resumed.code == 0, resumed.err
        assert len(ca.books.mails_per_order) == 6


async def test_a_rehearsal_of_unsent_csv_leaves_its_run_to_be_resumed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca), desk_with_ca(tmp_path) as (other, _):
        run, unsent = await send_two(desk)
        unsent.write_text(without_an_order(unsent.read_text()))
        rehearsed = f"reports/{run}/unsent.csv", "--base-url", other.base_url
        await desk.run("send", "--yes", "-q", *rehearsed, "--report-dir", "rehearsed")
        assert (await desk.run("resume", "-q")).code == 0
        assert len(ca.books.mails_per_order) == 6


@pytest.mark.parametrize("again", [("--again",), ()], ids=["again", "for the first time"])
@pytest.mark.parametrize("list_", ["reports/RUN/unsent.csv", "others.csv"])
async def test_what_another_run_has_sent_is_not_left_whatever_the_cooldown(
    tmp_path: Path, again: tuple[str, ...], list_: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = [str(100_200_300 + n) for n in range(1, 7)]
        desk.write("a.csv", HEADING + "".join(map(row, numbers)))
        if again:
            assert (await desk.run("send", "--yes", "-q", "a.csv")).code == 0
        before = dict.fromkeys(numbers, 1 if again else 0)
        await desk.run("send", "--yes", "-q", "--max-orders", "2", "a.csv", *again)
        run = (await run_ids(desk))[0]
        desk.write("others.csv", HEADING + "".join(map(row, numbers[2:])))
        sent = await desk.run("send", "--yes", "-q", "--again", list_.replace("RUN", run))
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == {n: mails + 1 for n, mails in before.items()}
        assert "4 sent by other runs" in in_one_line((await desk.run("runs")).out)
        assert f"resume {run}" not in (await desk.run("show")).out, "nothing of it is left"
        for words in (("resume", run, "--again"), ("resume", run)):
            assert (await desk.run(*words, "--yes", "-q")).code in (0, 1)
            assert ca.books.mails_per_order == {n: mails + 1 for n, mails in before.items()}


async def test_a_run_that_sends_again_does_so_when_it_is_resumed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = [str(100_200_300 + n) for n in range(1, 7)]
        desk.write("a.csv", HEADING + "".join(map(row, numbers)))
        assert (await desk.run("send", "--yes", "-q", "a.csv")).code == 0
        await desk.run("send", "--yes", "-q", "--again", "--max-orders", "2", "a.csv")
        resumed = await desk.run("resume", "--yes", "-q")
        assert resumed.code == 0, resumed.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 2)


async def test_what_a_sweep_leaves_of_another_one_is_left_out_of_no_list(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.3, 0.3)) as (desk, ca):
        wait(ca, *[9] * 40)
        sweep = ("sweep", "--yes", "-q", "--older-than", "0s", "--concurrency", "4")
        process = await desk.start(*sweep)
        await until(lambda: ca.books.mails >= 3)
        process.send_signal(signal.SIGKILL)
        await ended(process)
        assert (await desk.run(*sweep, "--max-orders", "2")).code == 0
        killed = (await run_ids(desk))[1]
        for words in (("show", killed), ("watch",), ("runs",), ("resume", killed, "--dry-run")):
            told = in_one_line((await desk.run(*words)).out)
            assert "or was changed there" not in told
            assert "were changed there" not in told
            assert "left out of a later list" not in told
