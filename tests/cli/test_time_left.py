"""How long a run still takes, as it is said while it goes."""

from dataclasses import replace
from typing import Any

import pytest

from batch_resend.cli.output.progress import rate_per_s, reads_of
from batch_resend.cli.output.view import plain_line
from batch_resend.model import RequestStatus
from batch_resend.sending import Progress
from batch_resend.windows import CA_WINDOWS, Course, Schedule, parse_windows, time_left_s
from tests.cli.test_view import RUNNING, screen, words

HALF_DONE = Course(
    made=1000, done=1000, to_make=1000, since_last_s=0.0, elapsed_s=45.0, paused_s=0.0, share=1.0
)


@pytest.mark.parametrize(
    ("known", "left_s"),
    [
        pytest.param({}, 180.0, id="what the windows dictate"),
        pytest.param({"since_last_s": 100.0, "elapsed_s": 145.0}, 145.0, id="or the average"),
        pytest.param({"done": 100, "made": 100, "to_make": 900, "elapsed_s": 100.0}, 900.0,
                     id="a CA that answers slowly"),
        pytest.param({"paused_s": 60.0}, 240.0, id="a pause is added"),
        pytest.param({"elapsed_s": 900.0}, 900.0, id="where there were pauses, there may be more"),
        pytest.param({"share": 0.5}, 360.0, id="a smaller share stretches it"),
        pytest.param({"share": 0.25, "since_last_s": 200.0, "elapsed_s": 245.0}, 720.0 - 200.0,
                     id="of narrow windows, too, only the time passed is over"),
        pytest.param({"to_make": 0}, 0.0, id="nothing left"),
        pytest.param({"made": 0, "done": 0, "to_make": 2000, "elapsed_s": 0.0}, 225.0,
                     id="before the first answer only windows tell"),
    ],
)  # fmt: skip
def test_the_time_left_is_no_less_than_the_windows_dictate(
    known: dict[str, Any], left_s: float
) -> None:
    assert time_left_s(Schedule(CA_WINDOWS), replace(HALF_DONE, **known)) == left_s


@pytest.mark.parametrize(
    ("ended", "over_s", "limits", "rate"),
    [
        pytest.param(400, 1.05, "200/1s", 200.0, id="two bursts in little more than a second"),
        pytest.param(2200, 10.1, "200/1s", 200.0, id="eleven in ten seconds"),
        pytest.param(100, 0.3, "1000/3m 100/5s", 20.0, id="the first burst"),
        pytest.param(50, 10.0, "1000/3m 100/5s", 5.0, id="a slow CA"),
        pytest.param(400, 1.05, "none", 400 / 1.05, id="no limit"),
    ],
)  # fmt: skip
def test_the_rate_that_is_shown_is_none_that_the_limits_forbid(
    ended: int, over_s: float, limits: str, rate: float
) -> None:
    assert rate_per_s(ended, over_s, parse_windows(limits.split())) == rate


def test_without_windows_and_answers_the_time_left_is_not_known() -> None:
    assert time_left_s(Schedule(()), replace(HALF_DONE, done=0)) is None


@pytest.mark.parametrize(
    ("attempts", "in_flight", "done", "reads"),
    [
        pytest.param(4, 4, 0, (0, 118), id="nothing is answered"),
        pytest.param(62, 3, 0, (59, 118), id="the first read of each order"),
        pytest.param(68, 2, 7, (66, 118), id="some have their second one"),
        pytest.param(118, 0, 59, (118, 118), id="all"),
        pytest.param(31, 1, 30, (30, 59), id="orders that need but one"),
        pytest.param(190, 0, 50, (190, 199), id="orders that need more"),
    ],
)
def test_asking_is_counted_in_reads_of_which_an_order_needs_one_or_two(
    attempts: int, in_flight: int, done: int, reads: tuple[int, int]
) -> None:
    progress = Progress(total=59, done=done, attempts=attempts, in_flight=in_flight)
    assert reads_of(progress) == reads


def test_once_only_answers_are_missing_no_time_left_is_told_but_what_is_waited_for() -> None:
    last = replace(RUNNING, outcomes={RequestStatus.SENT: 9_998}, in_flight=2, left_s=None)
    assert "2 in flight · waiting for the last answers" in words(screen(last, 80))
    assert "2 in flight · waiting for the last answers" in plain_line(last)
    retried = replace(last, in_flight=1)
    assert "waiting" not in plain_line(retried), "one more is still to leave"


def test_what_is_counted_since_a_run_was_resumed_says_so() -> None:
    resumed = replace(RUNNING, retries=21, unsettled={503: 16}, is_resumed=True)
    assert "since it was resumed: 21 retries · HTTP 503: 16" in words(screen(resumed, 80))
    assert "resumed" not in plain_line(replace(RUNNING, is_resumed=True))
