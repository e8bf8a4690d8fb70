"""A run as a person sees it on a terminal: plan, progress, pause, end."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca, ended, until
from tests.cli.screen import Screen, on_screen

pytestmark = pytest.mark.asyncio

LIMITS = ("--limit", "40/1s", "--patience", "1m")


def has(*words: str) -> Callable[[Screen], bool]:
    """Return a condition: all these words are on the screen."""
    return lambda screen: all(word in "\n".join(screen.lines) for word in words)


def has_lines(*patterns: str) -> Callable[[Screen], bool]:
    """Return a condition: lines that match are on the screen at once. One may be half painted."""
    return lambda screen: all(
        any(re.fullmatch(pattern, line) for line in screen.lines) for pattern in patterns
    )


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_run_is_seen_from_its_plan_to_its_end(tmp_path: Path, columns: int) -> None:
    async with desk_with_ca(
        tmp_path, unknown_orders=frozenset({"700003"}), latency_s=(0.01, 0.1)
    ) as (desk, ca):
        desk.write_list(120)
        async with on_screen(desk, "send", "orders.csv", *LIMITS, columns=columns) as screen:
            plan = await screen.shows(has("Send 120 requests to 127.0.0.1 now? [y/N]"))
            assert any(line.startswith("╭") for line in plan), "a table"
            assert any(
                re.match(r"│ time +│ 2s at the least, within 40/1s +│", line) for line in plan
            )
            assert ca.books.requests == 0
            screen.type(b"y\n")
            await screen.shows(
                has_lines(
                    r"sending ━.* of 120 orders, \d+%", r".* in flight .* left", r"  allowed: 40/1s"
                )
            )
            assert await screen.ended() == 3
            text = screen.text
    assert "Run " in text
    assert "119 of 120 orders sent" in text
    assert "in flight" not in text, "the live view is gone; the summary says it for good"
    assert "1 refused by the CA: reports/" in text


async def test_a_pause_is_seen_with_its_reason_and_the_seconds_left(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"429": 1.0}) as (desk, _):
        desk.write_list(120)
        async with on_screen(desk, "send", "orders.csv", *LIMITS, "--yes", columns=120) as screen:
            reason = r"the CA asks for fewer requests.*please limit request volume\)"
            await screen.shows(has_lines(rf"  paused: {reason}, [1-8]s left"))
            screen.type(b"\x03")
            assert await screen.ended() == 130
        assert "Interrupted: " in screen.text
        assert "Stopping: waiting for " in screen.text
        assert "sending ━" not in screen.text, "nothing of the live view is left behind"
        assert "To go on:\n  batch-resend resume " in screen.text


async def test_while_the_windows_are_full_the_screen_says_so_and_until_when(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(30)
        command = ("send", "orders.csv", "--limit", "20/20s", "--yes")
        async with on_screen(desk, *command) as screen:
            await screen.shows(
                has_lines(
                    r"  waiting: the rate limits are used up, .*left", r".*20 of 30 orders, 66%.*"
                )
            )
            screen.type(b"\x03")
            await screen.ended()


async def test_no_color_is_heeded_and_without_it_there_is_colour(tmp_path: Path) -> None:
    for number, (environment, coloured) in enumerate((({"NO_COLOR": "1"}, False), ({}, True))):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with desk_with_ca(folder) as (desk, _):
            desk.write_list(3)
            command = ("send", "orders.csv", "--yes", "-v")
            async with on_screen(desk, *command, environment=environment) as screen:
                assert await screen.ended() == 0
            codes = set(re.findall(rb"\x1b\[([0-9;]*)m", screen.sent))
            # Bold and dim are no colours; 30-37, 38 and 90-97 are.
            assert any(re.search(rb"(^|;)[39][0-7]", code) for code in codes) == coloured


async def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        async with on_screen(
            desk, "send", "orders.csv", "--yes", environment={"TERM": "dumb"}
        ) as screen:
            assert await screen.ended() == 0
        assert "  rows      " in screen.text
        assert "╭" not in screen.text
        assert b"\x1b" not in screen.sent


async def test_quiet_on_a_terminal_shows_the_summary_alone(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv", "--yes", "-q") as screen:
            assert await screen.ended() == 0
        assert screen.text.startswith("Run ")
        assert "sending" not in screen.text


# --- watched from another terminal --------------------------------------------------------------


async def test_a_run_is_watched_from_another_terminal_to_its_end_and_not_disturbed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700003"})) as (desk, ca):
        numbers = desk.write_list(60)
        sending = await desk.start("send", "orders.csv", "--limit", "20/2s")
        await until(lambda: ca.books.requests >= 1)
        async with on_screen(desk, "watch", columns=80) as screen:
            await screen.shows(has("sending", "of 60 orders", "allowed: 20/2s", "left", "refused"))
            assert await screen.ended() == 3, "as the run"
            assert "59 of 60 orders sent" in screen.text
        sent = await ended(sending)
        assert sent.code == 3
        assert ca.books.mails_per_order == {n: 1 for n in numbers if n != "700003"}
        assert ca.books.requests == 60


async def test_ctrl_c_ends_the_watching_and_not_the_run(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(60)
        sending = await desk.start("send", "orders.csv", "--limit", "20/2s")
        await until(lambda: ca.books.requests >= 1)
        async with on_screen(desk, "watch") as screen:
            await screen.shows(has("sending"))
            screen.type(b"\x03")
            assert await screen.ended() == 130
            assert "No longer watching; the run continues." in screen.text
        assert (await ended(sending)).code == 0


async def test_watched_without_a_terminal_a_run_is_told_in_log_lines(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(30)
        sending = await desk.start("send", "orders.csv", "--limit", "20/8s")
        await until(lambda: ca.books.requests >= 1)
        watched = await desk.run("watch")
        assert watched.code == 0
        assert re.search(r" of 30 orders, \d+%; \d+ sent; ", watched.err)
        assert "30 of 30 orders sent" in watched.out
        assert (await ended(sending)).code == 0


async def test_with_nothing_under_way_watch_says_so(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        nowhere = await desk.run("watch")
        assert (nowhere.code, "there is no journal here yet" in nowhere.err) == (1, True)
        await desk.run("send", "orders.csv")
        over = await desk.run("watch")
        assert "process that is still reading" in over.err
        assert over.code == 1
        assert "no run is under way; `batch-resend runs --journal " in over.err


async def test_a_run_that_was_killed_is_watched_no_further(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(60)
        sending = await desk.start("send", "orders.csv", "--limit", "20/5s")
        await until(lambda: ca.books.requests >= 20)
        async with on_screen(desk, "watch") as screen:
            await screen.shows(has("sending"))
            sending.kill()
            assert await screen.ended() == 4
            assert "was cut off): 20 of 60 orders sent" in screen.text.replace("\n", " ")
            assert "To go on:\n  batch-resend resume 2" in screen.text
        await ended(sending)
