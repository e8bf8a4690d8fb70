"""Rolling windows as people write them, and the time they dictate."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_resend.windows import (
    CA_WINDOWS,
    Schedule,
    Window,
    beyond_patience,
    dictated_time,
    joint,
    parse_windows,
    time_with_earlier_s,
)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("1000/3m", Window(1000, 180.0)),
        ("100/5s", Window(100, 5.0)),
        (" 1300/1h ", Window(1300, 3600.0)),
        ("20/1.5h", Window(20, 5400.0)),
        ("1/100ms", Window(1, 0.1)),
        ("5000/1d", Window(5000, 86400.0)),
        ("007/7s", Window(7, 7.0)),
    ],
)
def test_a_window_is_requests_by_a_length_of_time(text: str, window: Window) -> None:
    assert Window.parse(text) == window


@pytest.mark.parametrize(
    "text",
    ["", "/", "100", "100/", "/5s", "0/5s", "-1/5s", "1.5/5s", "x/5s", "100/0", "100/0s", "100/-5s",
     "100/x", "100/5", "1000/180", "100/5s/3m", "100 per 5s", "\u0661/5s", "1e3/5s",
     "+1/5s", "100 /5s", "none"],
)  # fmt: skip
def test_what_is_no_window_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|needs a length"):
        Window.parse(text)


def test_a_window_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Window.parse("1/" + "9" * 400)


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window(1000, 180.0), "1000/3m"),
        (Window(100, 5.0), "100/5s"),
        (Window(1, 5400.0), "1/90m"),
        (Window(1, 7200.0), "1/2h"),
        (Window(5000, 86400.0), "5000/1d"),
        (Window(7, 61.5), "7/61.5s"),
        (Window(7, 0.25), "7/0.25s"),
    ],
)
def test_a_window_is_written_in_the_largest_unit_that_divides_it(window: Window, text: str) -> None:
    assert str(window) == text


@given(st.integers(1, 10**9), st.integers(1, 999_999), st.sampled_from(["s", "m", "h"]))
def test_a_window_written_and_read_again_is_the_same(limit: int, length: int, unit: str) -> None:
    window = Window.parse(f"{limit}/{length}{unit}")
    if window.period_s < 1_000_000:
        assert Window.parse(str(window)) == window


@given(st.integers(1, 10**9), st.floats(0.001, 10.0**8).map(lambda length: round(length, 3)))
@example(1, 1_234_567.0)
@example(1, 12_345.67)
def test_a_window_of_any_length_written_and_read_again_is_the_same(
    limit: int, length: float
) -> None:
    window = Window.parse(f"{limit}/{length:.3f}s")
    assert Window.parse(str(window)) == window


def test_several_windows_are_kept_each_once_in_the_order_given() -> None:
    assert parse_windows(["100/5s", " 1000/3m", "100/5000ms", "1000/180s"]) == CA_WINDOWS[::-1]
    assert parse_windows([]) == ()


def test_none_alone_means_no_limit() -> None:
    assert parse_windows([" none "]) == ()


@pytest.mark.parametrize("texts", [["none", "100/5s"], ["100/5s", "none"], ["none", "none"]])
def test_none_beside_another_limit_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot be combined with another"):
        parse_windows(texts)


def test_the_windows_of_the_ca_are_those_of_its_newest_page() -> None:
    assert [str(window) for window in CA_WINDOWS] == ["1000/3m", "100/5s"]


# --- the time they dictate ----------------------------------------------------------------


def one_at_a_time(requests: int, windows: list[Window]) -> float:
    """Return when the last of `requests` leaves, each as soon as every window has room."""
    leaves: list[float] = []
    for number in range(requests):
        at = leaves[-1] if leaves else 0.0
        for window in windows:
            if number >= window.limit:
                at = max(at, leaves[number - window.limit] + window.period_s)
        leaves.append(at)
    return leaves[-1] if leaves else 0.0


_QUARTERS = st.integers(1, 40).map(lambda quarters: quarters / 4)  # their sums are exact
_WINDOW = st.builds(Window, st.integers(1, 12), _QUARTERS)


@given(st.integers(0, 120), st.lists(_WINDOW, max_size=4))
@example(61, [Window(20, 3.0), Window(6, 1.0), Window(50, 2.0)])
def test_the_time_is_that_of_requests_let_go_one_by_one(
    requests: int, windows: list[Window]
) -> None:
    assert dictated_time(requests, windows) == one_at_a_time(requests, windows)


@given(st.integers(1, 120), st.lists(_WINDOW, min_size=1, max_size=3), _WINDOW)
def test_one_more_request_or_one_more_window_never_makes_it_shorter(
    requests: int, windows: list[Window], more: Window
) -> None:
    time = dictated_time(requests, windows)
    assert dictated_time(requests + 1, windows) >= time
    assert dictated_time(requests, [*windows, more]) >= time


@pytest.mark.parametrize(
    ("requests", "windows", "seconds"),
    [
        pytest.param(0, CA_WINDOWS, 0.0, id="nothing to send takes no time"),
        pytest.param(10**9, (), 0.0, id="without windows nothing dictates"),
        pytest.param(100, CA_WINDOWS, 0.0, id="a first burst leaves at once"),
        pytest.param(101, CA_WINDOWS, 5.0, id="the next waits for the short window"),
        pytest.param(1_000, CA_WINDOWS, 45.0, id="ten bursts, nine waits"),
        pytest.param(1_001, CA_WINDOWS, 180.0, id="the next waits for the long window"),
        pytest.param(5_000, CA_WINDOWS, 765.0, id="an outage's worth"),
        pytest.param(10_000_000, CA_WINDOWS, 1_799_865.0, id="ten million"),
    ],
)
def test_what_the_windows_of_the_ca_dictate(
    requests: int, windows: tuple[Window, ...], seconds: float
) -> None:
    assert dictated_time(requests, windows) == seconds


@pytest.mark.parametrize(
    ("requests", "ages_s", "seconds"),
    [
        pytest.param(5, [], 0.0, id="nothing before"),
        pytest.param(5, [60.0] * 995, 0.0, id="just room for them"),
        pytest.param(5, [60.0] * 1000, 120.0, id="none before the first comes free"),
        pytest.param(5, [1.0] * 98, 4.0, id="of the short window"),
        pytest.param(5, [179.0, *[60.0] * 999], 120.0, id="one by one as they come free"),
        pytest.param(1, [179.0, *[60.0] * 999], 1.0, id="the first of them"),
        pytest.param(5, [500.0] * 1000, 0.0, id="long ago"),
        pytest.param(1, [60.0] * 1500, 120.0, id="more than the window of now has room for"),
        pytest.param(1, [-30.0] * 100, 35.0, id="those that may still arrive"),
        pytest.param(196, [-30.0] * 2, 5.0, id="a few such, which delay no others"),
    ],
)
def test_what_was_sent_before_counts_in_the_time_that_windows_dictate(
    requests: int, ages_s: list[float], seconds: float
) -> None:
    assert dictated_time(requests, CA_WINDOWS, ages_s) == pytest.approx(seconds)


@pytest.mark.parametrize("requests", [0, 1, 10, 990, 1001, 2500, 5001])
def test_the_time_after_earlier_requests_is_known_without_reckoning_every_round(
    requests: int,
) -> None:
    ages_s = [10.0 + n / 50 for n in range(950)]
    exact = dictated_time(requests, CA_WINDOWS, ages_s)
    assert time_with_earlier_s(requests, CA_WINDOWS, ages_s) == pytest.approx(exact, abs=5.0)
    assert time_with_earlier_s(10_000_000, CA_WINDOWS, ages_s) > 1_700_000, "at once"


def slot_by_slot(requests: int, windows: list[Window], ages_s: list[float]) -> float:
    """Return when the last of `requests` leaves, each as soon as every window has a free slot."""
    taken_until = [[window.period_s - age_s for age_s in ages_s] for window in windows]
    now = 0.0
    for _ in range(requests):
        for window, until in zip(windows, taken_until, strict=True):
            still = sorted(one for one in until if one > now)
            if len(still) >= window.limit:
                now = still[len(still) - window.limit]
        for window, until in zip(windows, taken_until, strict=True):
            until.append(now + window.period_s)
    return now


@given(
    st.integers(0, 60),
    st.lists(_WINDOW, max_size=3),
    st.lists(st.integers(-40, 40).map(lambda quarters: quarters / 4), max_size=20),
)
def test_earlier_requests_take_their_slots_for_as_long_as_they_may_arrive_and_no_others(
    requests: int, windows: list[Window], ages_s: list[float]
) -> None:
    assert dictated_time(requests, windows, ages_s) == slot_by_slot(requests, windows, ages_s)


@given(st.integers(1, 60), st.integers(0, 60), st.lists(_WINDOW, min_size=1, max_size=3))
def test_a_schedule_tells_of_every_request_what_the_time_up_to_it_alone_would_be(
    made: int, to_make: int, windows: list[Window]
) -> None:
    schedule = Schedule(windows)
    assert schedule.time_of(made + to_make) == dictated_time(made + to_make, windows)
    assert schedule.time_of(made) == dictated_time(made, windows), "asked in any order"
    ahead = dictated_time(made + to_make, windows) - dictated_time(made, windows)
    assert schedule.left_s(made, to_make, 0.0) == ahead
    assert schedule.left_s(made, to_make, ahead + 1.0) == 0.0, "late is not negative"


def test_the_time_left_continues_from_where_the_run_is_and_not_from_the_last_second() -> None:
    schedule = Schedule(CA_WINDOWS)
    assert schedule.left_s(0, 2000, 0.0) == 225.0
    assert schedule.left_s(1000, 1000, 0.0) == 225.0 - 45.0, "the burst is over, the wait is not"
    assert schedule.left_s(1000, 1000, 135.0) == 45.0


def test_without_windows_nothing_is_dictated() -> None:
    assert not Schedule(()).has_windows
    assert Schedule(()).left_s(5, 1000, 0.0) == 0.0


def test_what_several_keep_each_for_itself_is_added_up_over_a_time_of_any_length() -> None:
    assert joint([CA_WINDOWS]) == CA_WINDOWS
    covered = (Window(150, 1.0), Window(2_000, 10.0))
    assert joint([covered]) == covered, "as it was told, though one covers the other"
    assert joint([CA_WINDOWS, (Window(50, 5.0), Window(10, 180.0))]) == (
        Window(1010, 180.0), Window(110, 5.0),
    )  # fmt: skip
    assert joint([CA_WINDOWS, (Window(50, 10.0),)]) == (
        Window(1000 + 18 * 50, 180.0), Window(150, 5.0), Window(200 + 50, 10.0),
    )  # fmt: skip
    assert joint([CA_WINDOWS, ()]) == (), "one without a limit"


@pytest.mark.parametrize("since_s", [19.0, 19.2, 19.5, 19.9])
def test_what_goes_beyond_the_patience_is_said_to_be_longer_than_it(since_s: float) -> None:
    told = beyond_patience("it is down", since_s, 1.01, 20.0)
    assert "it would be 21s, beyond the patience of 20s" in told
