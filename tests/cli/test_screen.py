"""A run as a person sees it on a terminal: plan, progress, pause, end."""

import asyncio
import re
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from batch_resend.cli.output import terminal
from tests.cli.conftest import Desk, desk_with_ca, ended, until, until_told
from tests.cli.counting_server import Call, CountingServer
from tests.cli.screen import Screen, on_screen

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
            assert any(re.match(r"│ time +│ at least 2s, within 40/1s +│", line) for line in plan)
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
        assert "Stopping (repeat it to quit at once)" in screen.text
        assert "sending ━" not in screen.text, "nothing of the live view is left behind"
        assert "To resume:\n  batch-resend resume " in screen.text


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


@pytest.mark.parametrize(
    ("environment", "is_drawn", "coloured"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, False)],
    ids=["usual", "NO_COLOR", "dumb"],
)
async def test_no_color_and_a_dumb_terminal_are_heeded(
    tmp_path: Path, environment: dict[str, str], *, is_drawn: bool, coloured: bool
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        command = ("send", "orders.csv", "--yes", "-v")
        async with on_screen(desk, *command, environment=environment) as screen:
            assert await screen.ended() == 0
        codes = set(re.findall(rb"\x1b\[([0-9;]*)m", screen.sent))
        # Bold and dim are no colours; 30-37, 38 and 90-97 are.
        assert any(re.search(rb"(^|;)[39][0-7]", code) for code in codes) == coloured
        assert (b"\x1b" in screen.sent) == ("╭" in screen.text) == is_drawn


async def test_quiet_on_a_terminal_shows_the_summary_alone(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv", "--yes", "-q") as screen:
            assert await screen.ended() == 0
        assert screen.text.startswith("Run ")
        assert "sending" not in screen.text


# --- watched from another terminal --------------------------------------------------------------


async def test_a_run_is_watched_from_elsewhere_and_not_disturbed(tmp_path: Path) -> None:
    is_seen = asyncio.Event()  # then the run may end

    async def fate(call: Call) -> None:
        if ca.requests > 30:
            await is_seen.wait()
        if call.order == "700003":
            await call.refuse(404, b'{"errors":[{"code":"not_found|order","message":"No."}]}')
        else:
            await call.accept()

    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(60)
        sending = await desk.start("send", "orders.csv", "--limit", "90/1s", "--timeout", "2m")
        await until(lambda: ca.requests > 30)
        async with on_screen(desk, "watch", columns=80) as screen:
            await screen.shows(has("sending", "of 60 orders", "allowed: 90/1s", "refused"))
            screen.type(b"\x03")
            assert await screen.ended() == 130
            assert "No longer watching; that stops no run." in screen.text
        elsewhere = await desk.start("watch")
        await until_told(elsewhere, b" of 60 orders, ")
        async with on_screen(desk, "watch", columns=80) as screen:
            await screen.shows(has("sending"))
            is_seen.set()
            assert await screen.ended() == 3, "as the run"
            assert "59 of 60 orders sent" in screen.text
        watched = await ended(elsewhere)
        assert watched.code == (await ended(sending)).code == 3
        assert "59 of 60 orders sent" in watched.out
        assert ca.requests_of.total() == 60


async def test_watch_says_that_the_limits_are_used_up_also_by_what_was_before_the_run(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(18)
        await desk.run("send", "orders.csv", "--limit", "20/60s")
        desk.write_list(30)
        command = ("send", "orders.csv", "--limit", "20/60s", "--cooldown", "0", "--yes")
        sending = await desk.start(*command)
        async with on_screen(desk, "watch", "--wait", columns=80) as screen:
            await screen.shows(
                has_lines(
                    r".*2 of 30 orders.*",
                    r".* 0 in flight · (1m .*|5\ds) left",
                    r"  waiting: the rate limits are used up, 5\ds left",
                )
            )
            screen.type(b"\x03")
            await screen.ended()
        sending.terminate()
        await ended(sending)


async def test_watch_tells_no_time_left_while_the_ca_is_down(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"503": 1.0}) as (desk, ca):
        desk.write_list(120)
        sending = await desk.start("send", "orders.csv", *LIMITS, "--yes")
        await until(lambda: ca.books.requests > 0)
        async with on_screen(desk, "watch", "--wait", columns=80) as screen:
            await screen.shows(
                has_lines(
                    r"  paused: the CA has problems.*", r"  .*/s now · 0 in flight( · allowed.*)?"
                )
            )
            screen.type(b"\x03")
            await screen.ended()
        sending.terminate()
        await ended(sending)


async def test_with_nothing_under_way_watch_says_so(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        nowhere = await desk.run("watch")
        assert (nowhere.code, "there is no journal here yet" in nowhere.err) == (1, True)
        await desk.run("send", "orders.csv", "--all-domains")
        over = await desk.run("watch")
        assert (
            "process that still reads its list, or asks the CA or you, sends nothing yet"
            in over.err
        )
        assert over.code == 0
        assert "No run is under way. " in over.err
        assert "The newest run:" in over.err
        assert "1 of 1 orders sent" in over.out


async def test_a_run_that_was_killed_is_watched_no_further(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(60)
        sending = await desk.start("send", "orders.csv", "--limit", "20/5s")
        await until(lambda: ca.books.requests >= 20)
        async with on_screen(desk, "watch") as screen:
            await screen.shows(has("sending"))
            sending.kill()
            assert await screen.ended() == 4
            told = screen.text.replace("\n", " ")
            assert re.search(r"Not finished: \d+ of 60 orders sent", told)
            assert "To resume:\n  batch-resend resume 2" in screen.text
        await ended(sending)


async def test_who_waits_for_a_run_keeps_waiting_while_a_killed_one_is_asked_about(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(60)
        killed = await desk.start("send", "orders.csv", "--limit", "20/1h")
        await until(lambda: ca.books.requests >= 20)
        killed.kill()
        await ended(killed)
        async with on_screen(desk, "watch", "--wait") as watching:
            await watching.shows(has("waiting for the next one to begin"))
            for command, answer in (
                (("resume",), b"n\n"),
                (("send", "orders.csv"), b"n\n"),
                (("send", "orders.csv"), b"y\n"),
            ):
                async with on_screen(desk, *command, "--limit", "none") as asking:
                    await asking.shows(has("now? [y/N]"))
                    assert "Interrupted" not in watching.text
                    asking.type(answer)
                    await asking.ended()
            assert await watching.ended() == 0
            assert "60 of 60 orders sent" in watching.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_however_it_is_killed_the_cursor_of_the_terminal_is_seen(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(30.0, 30.0)) as (desk, _):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv", "--yes", "--limit", "none") as screen:
            await screen.shows(has("1 in flight"))
            screen.signal(number)
            if number is not signal.SIGKILL:
                await screen.shows(has("Stopping: waiting for 1 request in flight"))
                screen.signal(signal.SIGKILL)
            await screen.ended()
        assert b"\x1b[?25l" not in screen.sent, "never hidden, so that SIGKILL leaves it, too"


@pytest.mark.parametrize("lists", [1, 30])
async def test_at_80x24_the_counts_of_the_plan_are_on_the_screen_with_the_question(
    tmp_path: Path, lists: int
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        names = [f"list-{number}.csv" for number in range(lists)]
        for name in names:
            rows = "".join(f"7000{n:02},d{n}.example.com,a b\n" for n in range(30))
            rows += "".join(f"8000{n:02},d{n}.example.com,a@d{n}.example.com\n" for n in range(9))
            desk.write(name, f"order_id,domain,email\n{rows}x,,\n,,\n1 2,a.example,\n")
        words = ("send", *names, "--max-rejected", "100%")
        async with on_screen(desk, *words, lines=24) as screen:
            shown = await screen.shows(has("now? [y/N]"))
            screen.type(b"n\n")
            await screen.ended()
        assert len(shown) == 24
        text = "\n".join(shown)
        for label in ("list", "rows", "requests", "mails to", "time"):
            assert re.search(rf"│ {label} ", text), label
        assert f"{41 * lists:,} read" in text


@pytest.mark.parametrize("columns", [40, 80])
async def test_what_is_said_is_wrapped_between_words(tmp_path: Path, columns: int) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.environment["BATCH_RESEND_NO_SUCH_VARIABLE_AT_ALL"] = "1"
        async with on_screen(desk, "runs", columns=columns, lines=24) as screen:
            assert await screen.ended() == 1
            assert "BATCH_RESEND_NO_SUCH_VARIABLE_AT_ALL." in screen.text.split()


def test_the_title_of_a_small_table_is_not_squeezed_into_its_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = StringIO()
    console = Console(file=drawn, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(terminal, "is_screen", lambda _: True)
    monkeypatch.setattr(terminal, "console_of", lambda _: console)
    terminal.show_pairs("Of 115 orders sent by run 20261129-064153-5c93", [("waiting", "1")], drawn)
    assert drawn.getvalue().startswith("Of 115 orders sent by run 20261129-064153-5c93\n╭")
