"""How the report cuts a run's time into steps, and the most that windows allow in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.report.pace import (
    MOST_STEPS,
    Step,
    most_per_minute,
    step_length_s,
    steps_of,
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
    steps = steps_of([(0, 10), (3, 5)], 60.0, 200.0)
    assert steps == [Step(0, 60, 10), Step(60, 120, 0), Step(120, 180, 0), Step(180, 240, 5)]
    assert [step.per_minute for step in steps] == [10, 0, 0, 5]
