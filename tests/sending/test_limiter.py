"""Never over the limit, never idle below it: checked against a model that shares no code.

What holds of the limiter of one process holds of the one that shares its windows with others: each
test that has a `kind` is for both. There, what the database keeps is kept by `tests/booking.py`;
that the two say the same is for tests/cluster/test_slots.py to show.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_resend.clock import running_time
from batch_resend.cluster.limiter import SharedLimiter
from batch_resend.cluster.slots import Budget
from batch_resend.sending import WindowLimiter
from batch_resend.sending.limiter import HOLD, Share
from batch_resend.windows import CA_WINDOWS, Fate, Limiter, Window, dictated_time
from tests.booking import Booking
from tests.sending.conftest import crowded

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]

STEP_S = 0.125
LINGER_S = 2.0
TICK_S = 5e-6  # virtual time counts whole microseconds

both = pytest.mark.parametrize("kind", ["alone", "shared"])


class LostAnswer(Exception):
    """The connection broke."""


@dataclass(frozen=True)
class Request:
    """How one request is going to fare."""

    asked_s: float  # since the start
    arrives_s: float = 0.0  # since it was let go
    ended_s: float = 0.0  # since it was let go: answered, or given up
    given_up: bool = False  # said to be so; it may arrive later still
    lost: bool = False  # no word but a failure, which is the same
    lingers_s: float = 0.0  # how long the slot is held on after the word


@dataclass(frozen=True)
class Course:
    """How it fared, in the order of asking. Seconds since the start."""

    asked: float
    granted: float
    arrived: float
    arrived_by: float  # the latest, as far as this side can know


async def play(
    limiter: Limiter,
    requests: Sequence[Request],
    decreases_s: Sequence[float] = (),
    linger_s: float = 0.0,
) -> tuple[list[Course], list[int]]:
    """Let all requests go through the limiter; return their courses, and who was granted when."""
    start = anyio.current_time()
    courses: dict[int, Course] = {}
    granted_order: list[int] = []
    asked_so_far = 0

    async def fare(request: Request) -> None:
        nonlocal asked_so_far
        await anyio.sleep(request.asked_s)
        place, asked_so_far = asked_so_far, asked_so_far + 1
        asked = anyio.current_time() - start
        try:
            with await limiter.slot() as slot:
                granted_order.append(place)
                granted = anyio.current_time() - start
                await anyio.sleep(request.ended_s)
                may_arrive = request.given_up or request.lost
                arrived_by = anyio.current_time() - start + linger_s * may_arrive
                courses[place] = Course(asked, granted, granted + request.arrives_s, arrived_by)
                if request.lost:
                    raise LostAnswer
                slot.end(Fate.GIVEN_UP if request.given_up else Fate.ANSWERED)
                await anyio.sleep(request.lingers_s)
        except LostAnswer:
            pass

    async def decrease(at_s: float) -> None:
        await anyio.sleep(at_s)
        limiter.decrease()

    async with anyio.create_task_group() as tasks:
        for at_s in decreases_s:
            tasks.start_soon(decrease, at_s)
        for request in requests:
            tasks.start_soon(fare, request)
    return [courses[place] for place in sorted(courses)], granted_order


@asynccontextmanager
async def limiter_of(
    kind: str, windows: Sequence[Window], linger_s: float = 0.0
) -> AsyncIterator[Limiter]:
    """Open a limiter that nobody has asked yet."""
    if kind == "alone":
        yield WindowLimiter(windows, linger_s=linger_s)
        return
    budget = Budget("key", windows, linger_s)
    async with SharedLimiter(Booking(running_time).of_session(1), budget) as limiter:
        yield limiter


async def play_fresh(
    kind: str, windows: Sequence[Window], requests: Sequence[Request]
) -> tuple[list[Course], list[int]]:
    """Let all requests go through a limiter that nobody has asked yet."""
    async with limiter_of(kind, windows) as limiter:
        return await play(limiter, requests)


def earliest(
    course: Course,
    earlier: Sequence[Course],
    windows: Sequence[Window],
    decreases_s: Sequence[float] = (),
) -> float:
    """Return when the rule of DESIGN lets a request go at the soonest: a model, step by step.

    It knows the share as it was at every moment, and tries each moment at which something changes.
    """
    period_s = max(window.period_s for window in windows)

    def share_at(moment: float) -> Share:
        share = Share(period_s)
        for at_s in sorted(decreases_s):
            if at_s <= moment:
                share.decrease(at_s)
        return share

    after = max([course.asked, *(other.granted for other in earlier)])
    moments = {after, *(o.arrived_by + window.period_s for o in earlier for window in windows)}
    for since in {after, *decreases_s} if decreases_s else ():
        for window in windows:
            for count in range(1, window.limit + 1):
                moments.add(share_at(since).time_of(count / window.limit, since))
    for moment in sorted(m for m in moments if m >= after):
        share = share_at(moment).at(moment + TICK_S)
        if all(
            sum(other.arrived_by + window.period_s > moment + TICK_S for other in earlier)
            < max(1, int(window.limit * share + 1e-6))
            for window in windows
        ):
            return moment
    raise AssertionError("no slot ever comes free")


steps = st.integers(0, 24).map(lambda n: n * STEP_S)
windows_of = st.lists(
    st.builds(Window, st.integers(1, 8), st.integers(1, 40).map(lambda n: n * STEP_S)),
    min_size=1,
    max_size=3,
)


@st.composite
def requests_of(draw: st.DrawFn, linger_s: float = LINGER_S) -> Request:
    """Draw a request that may arrive after it was given up, but not later than it may linger."""
    ended_s = draw(st.one_of(st.just(0.0), st.just(STEP_S), steps))
    given_up, lost = draw(st.sampled_from(((False, False), (False, True), (True, False))))
    latest_s = ended_s + (linger_s if given_up or lost else 0.0)
    return Request(
        asked_s=draw(st.one_of(st.just(0.0), steps)),
        arrives_s=draw(st.sampled_from((0.0, 0.5, 1.0))) * latest_s,
        ended_s=ended_s,
        given_up=given_up,
        lost=lost,
        lingers_s=draw(st.sampled_from((0.0, 0.0, 2.5))),
    )


SLOW_ONES_ARRIVE_LATE = [Request(0, 5, 5)] * 3 + [Request(0, 0, 0)] * 9
ALL_LOST = [Request(0, 2, 2, lost=True)] * 12


@both
@settings(max_examples=150)
@given(windows_of, st.lists(requests_of(), max_size=30), st.lists(steps, max_size=2))
@example([Window(3, 4.0)], SLOW_ONES_ARRIVE_LATE, [])
@example([Window(3, 1.0), Window(5, 4.0)], SLOW_ONES_ARRIVE_LATE + ALL_LOST, [])
async def test_requests_leave_in_turn_each_at_the_first_moment_the_rule_allows_and_crowd_no_window(
    kind: str, windows: list[Window], requests: list[Request], decreases_s: list[float]
) -> None:
    # Between the steps of everything else, so that what comes first is never in question.
    between = [at_s + STEP_S / 2 for at_s in decreases_s if kind == "alone"]
    async with limiter_of(kind, windows, LINGER_S) as limiter:
        courses, granted_order = await play(limiter, requests, between, LINGER_S)
    assert granted_order == list(range(len(requests)))
    for window in windows:
        assert crowded([course.arrived for course in courses], window) == []
    for place, course in enumerate(courses):
        soonest = earliest(course, courses[:place], windows, between)
        assert soonest - TICK_S <= course.granted <= soonest + TICK_S, place


@settings(max_examples=100)
@given(windows_of, st.lists(steps, max_size=12), st.lists(requests_of(0.0), max_size=15))
async def test_attempts_of_earlier_processes_count_as_if_made_by_this_one(
    windows: list[Window], ages_s: list[float], requests: list[Request]
) -> None:
    courses, _ = await play(WindowLimiter(windows, ages_s), requests)
    # Each of them may have arrived as late as it ended.
    earlier = [Course(-age, -age, -age, -age) for age in ages_s]
    for place, course in enumerate(courses):
        soonest = earliest(course, [*earlier, *courses[:place]], windows)
        assert soonest - TICK_S <= course.granted <= soonest + TICK_S, place
    known = {-age for age in ages_s}
    for window in windows:
        moments = [*(-age for age in ages_s), *(course.arrived for course in courses)]
        for first, last in crowded(moments, window):
            assert {first, last} <= known, "a new request made it too many"


@both
@pytest.mark.parametrize(
    ("requests", "windows"),
    [
        pytest.param(2500, CA_WINDOWS, id="the CA's own windows, 2500 orders"),
        pytest.param(1000, (Window(1000, 180.0),), id="just one window's worth takes no time"),
        pytest.param(1001, (Window(1000, 180.0),), id="one more waits for a whole window"),
        pytest.param(7, (Window(1, 1.0),), id="one a second"),
        pytest.param(600, (Window(7, 2.0), Window(31, 11.0), Window(90, 60.0)), id="three at once"),
        pytest.param(50, (Window(5, 60.0), Window(5, 1.0)), id="one window within the other"),
    ],
)
async def test_a_run_with_instant_answers_takes_just_the_time_the_windows_dictate(
    kind: str, requests: int, windows: tuple[Window, ...]
) -> None:
    courses, _ = await play_fresh(kind, windows, [Request(0)] * requests)
    assert max(course.granted for course in courses) == dictated_time(requests, windows)


@both
async def test_only_the_first_word_of_an_answer_counts(kind: str) -> None:
    async with limiter_of(kind, [Window(2, 10.0)]) as limiter:
        with await limiter.slot() as slot:
            slot.end(Fate.ANSWERED)
            await anyio.sleep(5)
            slot.end(Fate.ANSWERED)
        start = anyio.current_time()
        courses, _ = await play(limiter, [Request(0)] * 3)
        assert start == 5
        assert [course.granted for course in courses] == [0, 5, 10]


@both
async def test_an_error_in_the_slot_gives_it_back_and_is_passed_on(kind: str) -> None:
    async with limiter_of(kind, [Window(1, 4.0)]) as limiter:
        for expected in (0, 5, 10):
            with pytest.raises(LostAnswer), await limiter.slot():
                assert anyio.current_time() == expected
                await anyio.sleep(1)
                raise LostAnswer


@both
async def test_an_answer_that_never_comes_holds_its_slot_for_good_and_no_other(kind: str) -> None:
    async with limiter_of(kind, [Window(2, 4.0)]) as limiter:
        with await limiter.slot():
            courses, _ = await play(limiter, [Request(0)] * 5)
        assert [course.granted for course in courses] == [0, 4, 8, 12, 16]


async def leave(
    limiter: Limiter, waiters: Sequence[tuple[str, float]], held_s: float
) -> dict[str, float]:
    """Hold the slot for so long, while others wait for so long at most; return who got it when."""
    start = anyio.current_time()
    granted: dict[str, float] = {}

    async def wait(name: str, at_most_s: float) -> None:
        with anyio.move_on_after(at_most_s):
            with await limiter.slot():
                granted[name] = anyio.current_time() - start

    async with anyio.create_task_group() as tasks:
        with await limiter.slot():
            for name, at_most_s in waiters:
                tasks.start_soon(wait, name, at_most_s)
            await anyio.sleep(held_s)
    return granted


@both
@pytest.mark.parametrize(
    ("held_s", "first_at"),
    [
        pytest.param(0, 10, id="while a slot is to come free at a known time"),
        pytest.param(5, 15, id="while none has been answered"),
    ],
)
async def test_who_stops_waiting_takes_no_slot_and_blocks_nobody(
    kind: str, held_s: float, first_at: float
) -> None:
    waiters = [
        ("gives up at the head of the queue", 3),
        ("gives up behind it", 3),
        ("patient", 99),
        ("gives up in the middle", 3),
        ("gives up at the head, later", first_at + 2),
        ("patient too", 99),
    ]
    async with limiter_of(kind, [Window(1, 10.0)]) as limiter:
        granted = await leave(limiter, waiters, held_s)
    assert granted == {"patient": first_at, "patient too": first_at + 10}


@both
async def test_a_holder_that_is_cancelled_counts_as_answered_then(kind: str) -> None:
    async with limiter_of(kind, [Window(1, 10.0)]) as limiter:
        with anyio.move_on_after(3):
            with await limiter.slot():
                await anyio.sleep_forever()
        with await limiter.slot():
            assert anyio.current_time() == 13


async def test_without_windows_nobody_waits() -> None:
    limiter = WindowLimiter((), [0.0] * 5)
    courses, _ = await play(limiter, [Request(0, ended_s=60)] * 500)
    assert {course.granted for course in courses} == {0}


@pytest.mark.parametrize(
    ("ages_s", "granted"),
    [
        pytest.param([12, 1, 4], [0, 6, 9, 10], id="those within the window count, in any order"),
        pytest.param([10, 10, 10], [0, 0, 0, 10], id="one just a window ago counts no more"),
        pytest.param([0, 0, 0], [10, 10, 10, 20], id="those that ended just now count in full"),
        pytest.param([-5, 0, 0], [10, 10, 15, 20], id="one may still arrive, in five seconds"),
        pytest.param([5, 4, 3, 2, 1], [7, 8, 9, 17], id="more than the window now allows"),
    ],
)
async def test_the_first_slots_after_a_restart(ages_s: list[float], granted: list[float]) -> None:
    courses, _ = await play(WindowLimiter([Window(3, 10.0)], ages_s), [Request(0)] * 4)
    assert [course.granted for course in courses] == granted


@both
async def test_grants_of_a_busy_run_are_steady_over_minutes(kind: str) -> None:
    window = Window(10, 5.0)
    courses, _ = await play_fresh(kind, [window], [Request(0, 0.25, 0.5)] * 700)
    bursts = sorted({course.granted for course in courses})
    assert {later - sooner for sooner, later in pairwise(bursts)} == {5.5}


async def test_a_slot_given_up_comes_free_when_its_request_can_no_more_arrive() -> None:
    limiter = WindowLimiter([Window(1, 10.0)], linger_s=30.0)
    courses, _ = await play(limiter, [Request(0, 2, 2, given_up=True), Request(0)])
    assert courses[1].granted == 2 + 30 + 10


async def test_a_slot_left_without_a_word_counts_as_given_up() -> None:
    limiter = WindowLimiter([Window(1, 10.0)], linger_s=30.0)
    with await limiter.slot():
        pass
    start = anyio.current_time()
    await play(limiter, [Request(0)])
    assert anyio.current_time() - start == 40


async def test_after_a_429_half_of_each_window_is_taken_and_told() -> None:
    limiter = WindowLimiter([Window(100, 5.0), Window(1000, 180.0), Window(1, 1.0)])
    assert limiter.decrease() == [Window(50, 5.0), Window(500, 180.0), Window(1, 1.0)]
    assert limiter.share == 0.5


async def test_a_share_that_rises_lets_the_next_request_go_before_a_slot_comes_free() -> None:
    limiter = WindowLimiter([Window(20, 100.0)])
    limiter.decrease()
    await anyio.sleep(HOLD * 100)
    courses, _ = await play(limiter, [Request(0)] * 12)
    # A twentieth of the whole, which is one of twenty, in 100 s: before the first comes free.
    assert [course.granted for course in courses] == pytest.approx([0] * 10 + [100, 100], abs=0.01)
    courses, _ = await play(limiter, [Request(0)])
    assert [course.granted for course in courses] == [0]
