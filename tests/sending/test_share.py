"""Sharing a key with others: half at once, and slowly more again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.sending.limiter import HOLD, LEAST, Share

PERIOD_S = 180.0


def test_without_a_429_the_whole_is_ours() -> None:
    assert Share(PERIOD_S).at(0.0) == Share(PERIOD_S).at(1e9) == 1.0


def test_a_limit_halves_the_share_which_stays_so_and_then_rises_by_a_twentieth_a_period() -> None:
    share = Share(PERIOD_S)
    assert share.decrease(1000.0) == 0.5
    periods = (0, 1, HOLD, HOLD + 1, HOLD + 2, HOLD + 10, HOLD + 11)
    assert [share.at(1000.0 + n * PERIOD_S) for n in periods] == pytest.approx(
        [0.5, 0.5, 0.5, 0.55, 0.6, 1.0, 1.0]
    )


def test_each_later_limit_takes_three_tenths_of_what_there_is_but_leaves_something() -> None:
    share = Share(PERIOD_S)
    shares = [share.decrease(float(second)) for second in range(12)]
    assert shares[:4] == pytest.approx([0.5, 0.35, 0.245, 0.1715])
    assert shares[-3:] == [LEAST] * 3


@given(
    st.lists(st.floats(0, 1e4), max_size=5).map(sorted),
    st.floats(0, 1e4),
    st.floats(0.001, 1.0),
    st.floats(0.1, 1e4),
)
def test_the_time_of_a_share_is_the_first_one_at_which_it_is_reached(
    decreases: list[float], later_s: float, wanted: float, period_s: float
) -> None:
    share = Share(period_s)
    for at in decreases:
        share.decrease(at)
    now = (decreases[-1] if decreases else 0.0) + later_s
    then = share.time_of(wanted, now)
    assert then >= now
    assert share.at(then) == pytest.approx(max(wanted, share.at(now)), rel=1e-6)
    if then > now:
        assert share.at((now + then) / 2) < wanted


@given(st.lists(st.tuples(st.floats(0, 1e4), st.booleans()), max_size=8), st.floats(0, 1e4))
def test_a_later_process_takes_what_this_one_would(
    pauses: list[tuple[float, bool]], later_s: float
) -> None:
    """The part of each pause is noted, of those for a 429 and of others, and tells all."""
    share, now, noted = Share(PERIOD_S), 0.0, []
    for after_s, is_limited in pauses:
        now += after_s
        noted.append((now, share.decrease(now) if is_limited else share.at(now)))
    next_one = Share(PERIOD_S)
    next_one.remember(noted)
    if all(part > LEAST for _, part in noted):  # another 429 at the least leaves no trace
        assert next_one.at(now + later_s) == pytest.approx(share.at(now + later_s))
    assert next_one.at(now) == pytest.approx(share.at(now))


def test_the_whole_is_ours_again_after_a_while_and_more_than_that_never() -> None:
    share = Share(PERIOD_S)
    share.decrease(0.0)
    assert share.time_of(1.0, 0.0) == pytest.approx((HOLD + 10) * PERIOD_S)
    assert share.time_of(1.01, 0.0) == float("inf")
