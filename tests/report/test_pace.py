"""How the report cuts a run's time into steps, and lays it out by the clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.journal import ActivePeriod, MadeInStep, PauseNote
from batch_resend.report.charts import (
    MOST_STEPS,
    Band,
    BandKind,
    PaceChart,
    lasting_per_minute,
    most_per_minute,
    pace_chart,
    step_length_s,
    stretch_of,
    with_pauses,
)
from batch_resend.windows import CA_WINDOWS, Window

WINDOWS = st.lists(st.builds(Window, st.integers(1, 2000), st.integers(1, 600)), max_size=3)
LIMITS = tuple(map(str, CA_WINDOWS))


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
    made = [MadeInStep(0, 10, 4), MadeInStep(3, 5, 0)]
    stretch = stretch_of(made, 60.0, period(1000.0, 1200.0))
    assert [step.per_minute for step in stretch.steps] == [10, 0, 0, 5]
    assert [step.troubled for step in stretch.steps] == [4, 0, 0, 0]
    assert (stretch.began_at, stretch.ended_at) == (1000, 1240)


def test_in_the_long_run_the_strictest_window_counts() -> None:
    assert lasting_per_minute(CA_WINDOWS) == pytest.approx(1000 / 3)
    assert lasting_per_minute(()) is None


def period(from_at: float, to_at: float, limits: tuple[str, ...] = ()) -> ActivePeriod:
    """Return a time at work."""
    return ActivePeriod(1, from_at, to_at, limits)


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


def chart(*starts: tuple[float, dict[int, int]], pauses: list[PauseNote] | None = None,
          steps: int = 60, troubled: int = 0) -> PaceChart:  # fmt: skip
    """Return the chart of starts, each with the requests of its steps of five seconds."""
    stretches = [
        stretch_of(
            [MadeInStep(step, made, troubled) for step, made in counts.items()],
            5.0,
            period(at, at + steps * 5.0, LIMITS),
        )
        for at, counts in starts
    ]
    return pace_chart(stretches, pauses or [])


def of_kind(found: PaceChart, kind: BandKind) -> list[Band]:
    """Return the bands of a kind."""
    return [band for band in found.bands if band.kind is kind]


FULL = dict.fromkeys(range(10), 100)  # the thousand of a window, in fifty seconds


def test_a_wait_for_the_limit_is_named_as_one_and_takes_its_place_on_the_clock() -> None:
    found = chart((0.0, FULL | {36: 100}), steps=40)
    (wait,) = of_kind(found, BandKind.LIMIT)
    assert wait.label == "limit reached: waited 2m 10s"
    assert (wait.left, wait.width) == pytest.approx((25.0, 65.0))
    assert not of_kind(found, BandKind.PAUSE)


@pytest.mark.parametrize(
    ("made", "pauses"),
    [
        pytest.param({0: 20, 36: 20}, [], id="far below the limit nothing is known of a gap"),
        pytest.param(FULL | {36: 1}, [pause(50.0, 180.0)], id="a pause has a name of its own"),
        pytest.param(FULL, [], id="behind the last request nothing waits"),
    ],
)
def test_what_is_no_wait_for_the_limit_is_not_called_one(
    made: dict[int, int], pauses: list[PauseNote]
) -> None:
    assert not of_kind(chart((0.0, made), pauses=pauses), BandKind.LIMIT)


def test_a_pause_is_labelled_with_its_length() -> None:
    (found,) = of_kind(chart((0.0, {0: 1}), pauses=[pause(30.0, 120.0)]), BandKind.PAUSE)
    assert found.label == "paused 1m 30s"
    assert (found.left, found.width) == pytest.approx((10.0, 30.0))


@pytest.mark.parametrize(
    ("made", "bands"),
    [
        pytest.param(dict.fromkeys(range(60), 10), [], id="others send all the time"),
        pytest.param({0: 10, 1: 10, 59: 10}, [(10.0, 30.0)], id="nobody sends"),
        pytest.param(
            dict.fromkeys((0, *range(10, 15), 59), 10),
            [(10.0, 50 / 3 - 10.0), (25.0, 15.0)],
            id="others send for a while",
        ),
    ],
)
def test_a_pause_of_one_account_is_labelled_only_where_no_other_one_sends(
    made: dict[int, int], bands: list[tuple[float, float]]
) -> None:
    of_bank = replace(pause(30.0, 120.0), accounts=("bank",))
    of_shop = replace(pause(60.0, 90.0), accounts=("shop",))
    found = of_kind(chart((0.0, made), pauses=[of_bank, of_shop]), BandKind.PAUSE)
    assert [(band.left, band.width) for band in found] == [pytest.approx(one) for one in bands]


def test_two_resumptions_are_two_gaps_of_their_own_that_nothing_joins() -> None:
    starts = [(0.0, {0: 50}), (40_000.0, {0: 50}), (90_000.0, {0: 50})]
    found = chart(*starts, steps=20)
    gaps = of_kind(found, BandKind.GAP)
    assert [gap.label for gap in gaps] == ["continued 11h 05m later", "continued 13h 51m later"]
    edges = [(gap.left, gap.left + gap.width) for gap in gaps]
    drawn = [(bar.left, bar.left + bar.width) for bar in found.bars] + [
        (left, right) for left, right, _ in found.limits
    ]
    for left, right in drawn:
        assert all(right <= a + 1e-3 or left >= b - 1e-3 for a, b in edges), "none crosses a gap"
    assert len({tick.label for tick in found.ticks}) >= 3, "each start has its time"


def test_trouble_is_a_part_of_the_requests_of_its_step() -> None:
    (bar,) = chart((0.0, {0: 100}), troubled=25).bars
    assert bar.troubled == pytest.approx(bar.height / 4)
    assert "25 answered with 429, 5xx or not at all" in bar.label


@given(
    st.lists(st.tuples(st.floats(1.0, 1e5), st.integers(1, 30)), min_size=1, max_size=12),
    st.integers(1, 10_000_000),
)
def test_whatever_is_drawn_stays_within_the_picture(
    starts: list[tuple[float, int]], made: int
) -> None:
    at, stretches = 1e9, []
    for later_s, steps in starts:
        at += later_s
        counts = [MadeInStep(step, made, made // 2) for step in range(0, steps, 2)]
        stretches.append(stretch_of(counts, 5.0, period(at, at + steps * 5.0, LIMITS)))
        at += steps * 5.0
    found = pace_chart(stretches, [pause(at - 3.0, None, at + 1e6)])
    places = [(bar.left, bar.left + bar.width) for bar in found.bars]
    places += [(band.left, band.left + min(band.width, 100 - band.left)) for band in found.bands]
    places += [(tick.at, tick.at) for tick in found.ticks]
    assert all(-1e-6 <= left <= right <= 100 + 1e-6 for left, right in places)
    assert all(0 < bar.height <= 100 + 1e-6 for bar in found.bars)
    assert len({tick.at for tick in found.ticks}) == len(found.ticks)


def test_time_at_work_and_gaps_are_told_to_the_second_however_long_a_step_is() -> None:
    """A start of ten seconds does not count as the three minutes of its one step."""
    starts = [period(1000.0, 1010.0), period(1070.0, 1080.0)]
    stretches = [stretch_of([MadeInStep(0, 5, 0)], 180.0, start) for start in starts]
    chart = pace_chart(stretches, [])
    assert [band.label for band in chart.bands if band.kind is BandKind.GAP] == [
        "continued 1m 00s later"
    ]
    assert chart.at_work_s == 20.0
    assert "over 20s of work" in chart.text
