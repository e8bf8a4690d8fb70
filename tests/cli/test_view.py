"""What a run is told to be while it runs, on a screen of any width and as a line."""

import logging
import re
from dataclasses import replace
from io import StringIO

import anyio
import pytest
from rich.console import Console

from batch_resend.channels import RunHandle
from batch_resend.cli.options import Style
from batch_resend.cli.output.progress import follow
from batch_resend.cli.output.view import (
    View,
    live_lines,
    plain_line,
    together,
)
from batch_resend.model import Outcome, RequestStatus
from batch_resend.windows import Window
from tests.sending.conftest import Rig, one_by_one
from tests.sending.scripted import orders

RUNNING = View(
    total=10_000,
    outcomes={
        RequestStatus.SENT: 4_190,
        RequestStatus.REFUSED: 12,
        RequestStatus.IN_DOUBT: 5,
        RequestStatus.FAILED: 3,
    },
    in_flight=32,
    rate_per_s=19.96,
    limits=("1000/3m", "100/5s"),
    share=1.0,
    held_up_by=None,
    held_up_s=None,
    left_s=1040.0,
)
PAUSED = replace(
    RUNNING,
    share=0.5,
    in_flight=0,
    held_up_by="paused: the CA asks for fewer requests (Service unavailable)",
    held_up_s=42.0,
)


def screen(view: View, width: int, *, color: bool = False) -> str:
    """Return what a terminal of some width shows."""
    out = StringIO()
    console = Console(
        file=out, width=width, force_terminal=True, color_system="standard" if color else None
    )
    console.print(live_lines(view))
    return out.getvalue()


def words(text: str) -> str:
    """Return a screen as one line."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_screen_of_any_width_has_counts_speed_time_left_and_why_it_pauses(width: int) -> None:
    shown = screen(RUNNING, width)
    assert max(map(len, shown.splitlines())) <= width
    told = words(shown)
    assert "4,210 of 10,000 orders, 42%" in told
    assert "4,190 sent · 12 refused · 5 in doubt · 3 failed" in told
    assert "20.0/s now · 32 in flight · 17m 20s left allowed: 1000/3m and 100/5s" in told
    assert "paused" not in told
    told = words(screen(PAUSED, width))
    assert "paused: the CA asks for fewer requests (Service unavailable), 42s left" in told
    assert "allowed: 1000/3m and 100/5s; 50% of it used, after a 429" in told


@pytest.mark.parametrize("width", [40, 80, 120])
def test_retries_and_errors_are_seen_while_it_runs(width: int) -> None:
    in_trouble = replace(RUNNING, retries=1, unsettled={503: 1_041, 429: 2, 0: 1})
    trouble = "1 retry · HTTP 503: 1,041 · HTTP 429: 2 · no answer: 1"
    alone = replace(RUNNING, retries=0, unsettled={0: 1})
    assert trouble in words(screen(in_trouble, width))
    assert f"; {trouble}; " in plain_line(in_trouble)
    assert "retr" not in words(screen(alone, width))
    assert "no answer: 1" in words(screen(alone, width))
    assert together([in_trouble, in_trouble], ()).unsettled == {503: 2_082, 429: 4, 0: 2}


def test_the_bar_is_in_no_colour_of_an_error() -> None:
    for view in (RUNNING, PAUSED, replace(RUNNING, outcomes={RequestStatus.SENT: 10_000})):
        bar = screen(view, 120, color=True).splitlines()[0]
        assert not re.findall(r"\x1b\[(?:\d+;)*(?:31|91|35|95|38[;\d]*)m", bar)


def test_counts_are_words_colour_is_only_beside_them() -> None:
    coloured = screen(RUNNING, 120, color=True)
    assert "\x1b[" in coloured
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    bar = "[━╸╺]"
    assert words(re.sub(bar, "", without)) == words(re.sub(bar, "", screen(RUNNING, 120)))


def test_what_a_ca_says_reaches_the_terminal_neither_as_a_command_nor_as_markup() -> None:
    said = replace(PAUSED, held_up_by="paused: \x1b]0;taken\x07 [red]no[/red] [link=x]")
    for told in (screen(said, 120), plain_line(said)):
        assert "\x1b]" not in told
        assert r"\x1b]0;taken\x07 [red]no[/red] [link=x]" in told


def test_a_plain_line_says_the_same_in_one_line() -> None:
    assert plain_line(RUNNING) == (
        "4,210 of 10,000 orders, 42%; 4,190 sent, 12 refused, 5 in doubt, 3 failed; "
        "20.0/s now · 32 in flight · 17m 20s left; allowed: 1000/3m and 100/5s"
    )
    assert plain_line(PAUSED).endswith("paused: the CA asks for fewer requests (Service "
                                       "unavailable), 42s left")  # fmt: skip


def test_a_run_without_a_limit_or_without_orders_has_a_line_too() -> None:
    empty = replace(RUNNING, total=0, outcomes={}, limits=(), left_s=None)
    assert plain_line(empty) == (
        "0 of 0 orders, 100%; 0 sent; 20.0/s now · 32 in flight; allowed: no limit"
    )


@pytest.mark.looptime(idle_step=1, idle_timeout=9)
async def test_a_log_names_no_more_requests_a_second_than_were_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(windows=(Window(100, 5.0),), concurrency=100, latency_s=1 / 64)
    rig.progress.total = 700
    deliver, outcomes = anyio.create_memory_object_stream[Outcome](0)
    async with anyio.create_task_group() as tasks, outcomes:
        tasks.start_soon(rig.sender.run, one_by_one(orders(1, 700)), deliver)
        await follow(RunHandle([rig.sender], outcomes), {}, Style.AUTO, is_resumed=False)
    speeds = re.findall(r"\S+ now", caplog.text)
    assert speeds == ["20.0/s now"] * 3


# --- several accounts -----------------------------------------------------------------------------


def test_several_accounts_are_one_view_and_only_a_pause_of_all_is_one() -> None:
    both = together([RUNNING, PAUSED], ("2000/3m",))
    assert (both.total, both.in_flight, both.limits) == (20_000, 32, ("2000/3m",))
    assert both.outcomes[RequestStatus.SENT] == 2 * 4_190
    assert (both.held_up_by, both.share) == (None, 0.5)
    assert both.left_s == 1040.0
    over = replace(RUNNING, outcomes={RequestStatus.SENT: 10_000}, left_s=0.0)
    waiting = together([over, PAUSED, replace(PAUSED, held_up_s=5.0)], ())
    assert (waiting.held_up_by, waiting.held_up_s) == (PAUSED.held_up_by, 5.0)
    assert together([PAUSED], ("ignored",)) is PAUSED


@pytest.mark.parametrize(
    ("limits", "says"), [(None, False), ((), True), (("7/1s",), True)], ids=str
)
def test_what_has_not_begun_to_ask_says_nothing_of_the_limits(
    limits: tuple[str, ...] | None, *, says: bool
) -> None:
    line = plain_line(View(0, {}, 0, 0.0, limits, 1.0, None, None, None, answered=0))
    assert ("allowed: " in line) == says
