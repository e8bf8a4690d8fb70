"""How the report cuts a run's time into steps, and the most that windows allow in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.journal import ActivePeriod, PauseNote
from batch_resend.report.charts import (
    MOST_STEPS,
    at_work_s,
    lasting_per_minute,
    most_per_minute,
    step_length_s,
    steps_of,
    with_pauses,
)
from batch_resend.windows import CA_WINDOWS, Window

WINDOWS = st.lists(st.builds(Window, st.integers(1, 2000), st.integers(1, 600)), max_size=3)


@pytest.mark.parametrize(
    ("lasted_s", "step_s"),
    [
        pytest.param(10.0, 5.0, id="too short for both: the shorter window"),
        pytest.param(600.0, 5.0 * 2, id="the shorter one, doubled to keep within the steps"),
        pytest.param(1860.0, 180.0, id="long enough for the longest window"),
        pytest.param(86_400.0, 180.0 * 8, id="a day"),
    ],
)
def test_a_step_is_a_multiple_of_the_longest_window_that_fits_several_times(
    lasted_s: float, step_s: float
) -> None:
    assert step_length_s(lasted_s, CA_WINDOWS) == step_s


@given(st.floats(0.0, 1e7), WINDOWS)
def test_a_run_of_any_length_has_a_bounded_number_of_steps(
    lasted_s: float, windows: list[Window]
) -> None:
    step_s = step_length_s(lasted_s, windows)
    assert step_s > 0
    assert lasted_s / step_s <= MOST_STEPS


def test_the_most_that_windows_allow_in_a_step_is_a_bound_that_no_run_within_them_exceeds() -> None:
    assert most_per_minute(5.0, CA_WINDOWS) == 100 * 12
    assert most_per_minute(180.0, CA_WINDOWS) == 1000 / 3
    assert most_per_minute(60.0, CA_WINDOWS) == 1000.0, "a whole window's may leave in a minute"
    assert most_per_minute(60.0, ()) is None


def test_steps_without_a_request_are_there_and_the_sum_is_all_that_were_made() -> None:
    steps = steps_of([(0, 10), (3, 5)], 60.0, period(1000.0, 1200.0), 0.0, 20.0)
    assert [step.per_minute for step in steps] == [10, 0, 0, 5]
    assert [(s.began_at, s.from_s, s.to_s) for s in steps[::3]] == [
        (1000, 0, 60), (1180, 180, 240)
    ]  # fmt: skip
    assert [step.is_first for step in steps] == [True, False, False, False]


def test_in_the_long_run_the_strictest_window_counts() -> None:
    assert lasting_per_minute(CA_WINDOWS) == pytest.approx(1000 / 3)
    assert lasting_per_minute(()) is None


def period(from_at: float, to_at: float) -> ActivePeriod:
    """Return a time at work."""
    return ActivePeriod(1, from_at, to_at, ())


def pause(began_at: float, ended_at: float | None, until_at: float | None = None) -> PauseNote:
    """Return a pause."""
    return PauseNote(began_at, ended_at, until_at, "the CA is down", 1.0)


def test_a_time_at_work_lasts_as_long_as_its_last_pause_but_not_into_the_next() -> None:
    first, second = with_pauses(
        [period(0.0, 100.0), period(500.0, 600.0)],
        [pause(90.0, 140.0), pause(95.0, 95.0, until_at=9_000.0), pause(590.0, None, 650.0)],
    )
    assert (first.from_at, first.to_at) == (0.0, 500.0), "cut off, and was to last longer"
    assert (second.from_at, second.to_at) == (500.0, 650.0)


def test_the_time_between_two_starts_is_no_time_at_work() -> None:
    steps = steps_of([(0, 1)], 60.0, period(1000.0, 1100.0), 0.0, None)
    steps += steps_of([(0, 1)], 60.0, period(9000.0, 9010.0), steps[-1].to_s, None)
    assert [at_work_s(at, steps) for at in (0, 1000, 1090, 5000, 9000, 9020)] == [
        0, 0, 90, 120, 120, 140
    ]  # fmt: skip
