"""What is seen of a run on its way: told truly, at any width, with and without colour."""

import re
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from batch_resend.cli.output.progress import (
    Course,
    View,
    live_lines,
    plain_line,
    time_left_s,
    together,
)
from batch_resend.model import RequestStatus
from batch_resend.windows import CA_WINDOWS, Schedule

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
def test_a_screen_of_any_width_has_the_counts_the_speed_and_the_time_left(width: int) -> None:
    shown = screen(RUNNING, width)
    assert max(map(len, shown.splitlines())) <= width
    told = words(shown)
    assert "4,210 of 10,000 orders, 42%" in told
    assert "4,190 sent · 12 refused · 5 in doubt · 3 failed" in told
    assert "20.0/s now · 32 in flight · 17m 20s left allowed: 1000/3m and 100/5s" in told
    assert "paused" not in told


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_pause_says_why_and_for_how_long_still(width: int) -> None:
    told = words(screen(PAUSED, width))
    assert "paused: the CA asks for fewer requests (Service unavailable), 42s left" in told
    assert "allowed: 1000/3m and 100/5s; 50% of it taken, after a 429" in told


def test_counts_are_words_colour_is_only_beside_them() -> None:
    coloured = screen(RUNNING, 120, color=True)
    assert "\x1b[" in coloured
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    bar = "[━╸╺]"
    assert words(re.sub(bar, "", without)) == words(re.sub(bar, "", screen(RUNNING, 120)))


def test_nothing_that_a_ca_says_reaches_the_terminal_as_a_command() -> None:
    for shown in (screen, lambda view, _width: plain_line(view)):
        told = shown(replace(PAUSED, held_up_by="paused: \x1b]0;taken\x07 over"), 120)
        assert "\x1b]" not in told
        assert r"\x1b]0;taken" in told


def test_a_message_of_the_ca_is_not_taken_for_markup() -> None:
    told = screen(replace(PAUSED, held_up_by="paused: [red]no[/red] [link=x]"), 120)
    assert "[red]no[/red] [link=x]" in told


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


# --- how long still -------------------------------------------------------------------------------


HALF_DONE = Course(
    made=1000, done=1000, to_make=1000, since_last_s=0.0, flowed_s=45.0, paused_s=0.0, share=1.0
)


def left_s(schedule: Schedule | None = None, **known: Any) -> float | None:
    """Return the time left of a run half done in the time that the windows dictate."""
    return time_left_s(schedule or Schedule(CA_WINDOWS), replace(HALF_DONE, **known))


def test_the_time_left_is_what_the_windows_dictate_whatever_the_last_second_was_like() -> None:
    assert left_s() == 180.0
    assert left_s(since_last_s=100.0, flowed_s=145.0) == 145.0, "or more, by the average so far"


def test_a_ca_that_answers_slowly_makes_it_longer() -> None:
    assert left_s(done=100, made=100, to_make=900, flowed_s=100.0) == 900.0


def test_a_pause_is_added_and_a_smaller_share_stretches_it() -> None:
    assert left_s(paused_s=60.0) == 240.0
    assert left_s(share=0.5) == 360.0
    assert left_s(share=0.25, since_last_s=200.0, flowed_s=245.0) == 720.0 - 200.0, (
        "of narrow windows, too, only the time passed is over"
    )


def test_nothing_left_takes_no_time_and_before_the_first_answer_only_windows_tell() -> None:
    assert left_s(to_make=0) == 0.0
    assert left_s(made=0, done=0, to_make=2000, flowed_s=0.0) == 225.0
    assert left_s(Schedule(()), done=0) is None


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
