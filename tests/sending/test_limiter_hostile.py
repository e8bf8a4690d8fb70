"""The limiter when answers are lost, requests held up on their way, and the key is shared."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.sending import WindowLimiter
from batch_resend.sending.limiter import HOLD, Share
from batch_resend.windows import Window
from tests.sending.conftest import Rig, crowded, orders

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]

STEP_S = 0.125
LINGER_S = 2.0
TICK_S = 5e-6  # virtual time counts whole microseconds


@dataclass(frozen=True)
class Fate:
    """How one request is going to fare, in seconds since it was let go."""

    ended_s: float  # answered, or given up
    arrives_s: float
    given_up: bool


@dataclass(frozen=True)
class Course:
    """How it fared, in seconds since the start."""

    granted: float
    arrived: float
    arrived_by: float  # the latest, as far as this side can know


async def play(
    limiter: WindowLimiter, fates: Sequence[Fate], decreases_s: Sequence[float] = ()
) -> list[Course]:
    """Let all requests ask at once; return their courses in the order of asking."""
    start = anyio.current_time()
    courses: list[Course] = []

    async def fare(fate: Fate) -> None:
        async with limiter.slot() as slot:
            granted = anyio.current_time() - start
            place = len(courses)
            courses.append(Course(granted, granted + fate.arrives_s, 0.0))
            await anyio.sleep(fate.ended_s)
            ended = anyio.current_time() - start
            linger_s = limiter.linger_s if fate.given_up else 0.0
            courses[place] = Course(granted, granted + fate.arrives_s, ended + linger_s)
            if fate.given_up:
                slot.given_up()
            else:
                slot.answered()

    async def decrease(at_s: float) -> None:
        await anyio.sleep(at_s)
        limiter.decrease()

    async with anyio.create_task_group() as tasks:
        for at_s in decreases_s:
            tasks.start_soon(decrease, at_s)
        for fate in fates:
            tasks.start_soon(fare, fate)
    return courses


steps = st.integers(0, 24).map(lambda n: n * STEP_S)
windows_of = st.lists(
    st.builds(Window, st.integers(1, 8), st.integers(1, 40).map(lambda n: n * STEP_S)),
    min_size=1,
    max_size=3,
)


@st.composite
def fates(draw: st.DrawFn) -> Fate:
    """Draw a request that may arrive after it was given up, but not later than it may linger."""
    ended_s = draw(steps)
    given_up = draw(st.booleans())
    latest_s = ended_s + (LINGER_S if given_up else 0.0)
    return Fate(ended_s, draw(st.sampled_from((0.0, 0.5, 1.0))) * latest_s, given_up)


@settings(deadline=None, max_examples=150)
@given(windows_of, st.lists(fates(), max_size=30), st.lists(steps, max_size=3))
async def test_requests_that_arrive_after_they_were_given_up_crowd_no_window(
    windows: list[Window], requests: list[Fate], decreases_s: list[float]
) -> None:
    courses = await play(WindowLimiter(windows, linger_s=LINGER_S), requests, decreases_s)
    assert len(courses) == len(requests)
    for window in windows:
        assert crowded([course.arrived for course in courses], window) == []


def earliest(
    earlier: Sequence[Course], windows: Sequence[Window], decreases_s: Sequence[float]
) -> float:
    """Return when the rule lets the next request go at the soonest: a model, step by step.

    It knows the share as it was at every moment, and tries each moment at which something changes.
    """
    period_s = max(window.period_s for window in windows)

    def share_at(moment: float) -> Share:
        share = Share(period_s)
        for at_s in sorted(decreases_s):
            if at_s <= moment:
                share.decrease(at_s)
        return share

    after = max((course.granted for course in earlier), default=0.0)
    moments = {after}
    moments |= {course.arrived_by + window.period_s for course in earlier for window in windows}
    for since in {after, *decreases_s}:
        for window in windows:
            for count in range(1, window.limit + 1):
                moments.add(share_at(since).time_of(count / window.limit, since))
    for moment in sorted(m for m in moments if m >= after):
        share = share_at(moment).at(moment + TICK_S)
        if all(
            sum(course.arrived_by + window.period_s > moment + TICK_S for course in earlier)
            < max(1, int(window.limit * share + 1e-6))
            for window in windows
        ):
            return moment
    raise AssertionError("no slot ever comes free")


@settings(deadline=None, max_examples=100)
@given(windows_of, st.lists(fates(), max_size=15), st.lists(steps, max_size=2))
async def test_no_slot_idles_while_a_request_is_ready(
    windows: list[Window], requests: list[Fate], decreases_s: list[float]
) -> None:
    # Between the steps of everything else, so that what comes first is never in question.
    between = [at_s + STEP_S / 2 for at_s in decreases_s]
    courses = await play(WindowLimiter(windows, linger_s=LINGER_S), requests, between)
    for place, course in enumerate(courses):
        soonest = earliest(courses[:place], windows, between)
        assert soonest - TICK_S <= course.granted <= soonest + TICK_S, place


async def test_a_slot_given_up_comes_free_when_its_request_can_no_more_arrive() -> None:
    limiter = WindowLimiter([Window(1, 10.0)], linger_s=30.0)
    courses = await play(limiter, [Fate(2, 2, given_up=True), Fate(0, 0, given_up=False)])
    assert courses[1].granted == 2 + 30 + 10


async def test_a_slot_left_without_a_word_counts_as_given_up() -> None:
    limiter = WindowLimiter([Window(1, 10.0)], linger_s=30.0)
    async with limiter.slot():
        pass
    start = anyio.current_time()
    await play(limiter, [Fate(0, 0, given_up=False)])
    assert anyio.current_time() - start == 40


async def test_after_a_429_half_of_each_window_is_taken_and_told() -> None:
    limiter = WindowLimiter([Window(100, 5.0), Window(1000, 180.0), Window(1, 1.0)])
    assert limiter.decrease() == [Window(50, 5.0), Window(500, 180.0), Window(1, 1.0)]
    assert limiter.share == 0.5


async def test_a_share_that_rises_lets_the_next_request_go_before_a_slot_comes_free() -> None:
    limiter = WindowLimiter([Window(20, 100.0)])
    limiter.decrease()
    await anyio.sleep(HOLD * 100)
    courses = await play(limiter, [Fate(0, 0, given_up=False)] * 12)
    # A twentieth of the whole, which is one of twenty, in 100 s: before the first comes free.
    assert [course.granted for course in courses] == pytest.approx([0] * 10 + [100, 100], abs=0.01)
    assert [course.granted for course in await play(limiter, [Fate(0, 0, given_up=False)])] == [0]


# --- through the whole sender -----------------------------------------------------------------


LIMITED = dict.fromkeys(range(30, 35), "429 204")  # so many that it is no order's own affair


async def test_429s_while_our_windows_are_kept_halve_what_is_sent_from_then_on() -> None:
    rig = Rig(LIMITED, windows=[Window(20, 10.0)], concurrency=4)
    await rig.carry(orders(1, 100))
    assert set(rig.statuses().values()) == {"sent"}
    limited = max(line.at for line in rig.noted("answer") if line.said == "429")
    after = sorted(line.at for line in rig.noted("call") if line.at > limited)
    assert crowded(after, Window(10, 10.0)) == []
    assert crowded(after, Window(9, 10.0)), "but no less than half"


async def test_a_single_429_takes_nothing_away_and_only_its_order_waits() -> None:
    rig = Rig({30: "429 204"}, windows=[Window(20, 10.0)], concurrency=4)
    await rig.carry(orders(1, 60))
    assert set(rig.statuses().values()) == {"sent"}
    assert rig.noted("pause") == []
    assert rig.sender.channel.limiter.share == 1.0


async def test_probes_that_meet_a_429_again_do_not_take_more_away() -> None:
    rig = Rig(dict.fromkeys(range(2, 7), "429 429 429 204"), windows=[Window(100, 600.0)])
    await rig.carry(orders(1, 6))
    (pause,) = rig.noted("pause")
    assert str(pause.said).startswith("0.5 the CA asks for fewer requests")
    assert rig.sender.channel.limiter.share == 0.5


async def test_without_windows_429s_only_pause() -> None:
    rig = Rig(LIMITED)
    await rig.carry(orders(1, 60))
    (pause,) = rig.noted("pause")
    assert str(pause.said).startswith("1 ")
    assert set(rig.statuses().values()) == {"sent"}


async def test_only_a_request_in_doubt_holds_its_slot_beyond_the_window() -> None:
    rig = Rig({2: "timeout"}, windows=[Window(1, 10.0)], linger_s=30, retry_in_doubt=False)
    await rig.carry(orders(1, 4))
    assert [line.at for line in rig.noted("call")] == [0, 10, 10 + 30 + 10, 60]
