"""The limiter that shares its windows: between several, and what it asks of the database."""

import anyio
import pytest

from batch_resend.clock import running_time
from batch_resend.cluster.limiter import SharedLimiter
from batch_resend.cluster.slots import Budget, Grant, News
from batch_resend.errors import JournalError
from batch_resend.windows import Hold, KeyStopped, Window, dictated_time
from tests.booking import Booking
from tests.sending.conftest import crowded
from tests.sending.test_limiter import Request, play

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]

WINDOWS = (Window(20, 2.0), Window(50, 10.0))


async def test_several_by_one_key_take_together_just_the_time_the_windows_dictate() -> None:
    booking, budget = Booking(running_time), Budget("key", WINDOWS, 0.0)
    arrived: list[float] = []

    async def host(session: int) -> None:
        async with SharedLimiter(booking.of_session(session), budget) as limiter:
            courses, _ = await play(limiter, [Request(0)] * 100)
            arrived.extend(course.arrived for course in courses)

    async with anyio.create_task_group() as tasks:
        for session in range(1, 5):
            tasks.start_soon(host, session)
    for window in WINDOWS:
        assert crowded(arrived, window) == []
    dictated_s = dictated_time(400, WINDOWS)
    assert dictated_s <= max(arrived) <= 1.02 * dictated_s


async def test_many_who_wait_together_are_one_question_and_so_are_their_answers() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(100, 5.0),), 0.0)
    async with SharedLimiter(booking.of_session(1), budget) as limiter:
        await play(limiter, [Request(0, ended_s=0.5)] * 1_000)
    assert booking.takes["key"] <= 150, "fifteen a window's worth"


async def test_while_others_have_all_slots_it_asks_now_and_then_and_not_all_the_time() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(1, 60.0),), 0.0)
    other = booking.of_session(2)
    (held,) = (await other.take(budget, 1, News())).slots
    async with SharedLimiter(booking.of_session(1), budget) as limiter:
        with anyio.move_on_after(30):
            with await limiter.slot():
                raise AssertionError("there was none")
        assert booking.takes["key"] <= 40
        await other.take(budget, 0, News(ended=[held]))
        with await limiter.slot():
            assert anyio.current_time() == pytest.approx(90, abs=1.0)


async def test_a_pause_and_a_smaller_share_hold_for_the_others_too() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(10, 10.0),), 0.0)
    async with (
        SharedLimiter(booking.of_session(1), budget) as one,
        SharedLimiter(booking.of_session(2), budget) as other,
    ):
        assert [str(window) for window in one.decrease()] == ["5/10s"]
        one.hold(20, "the CA has problems")
        await anyio.sleep(1)
        courses, _ = await play(other, [Request(0)] * 6)
        assert [course.granted for course in courses[:5]] == [pytest.approx(19, abs=0.1)] * 5
        assert other.share < 1


async def test_a_pause_of_another_beyond_the_patience_is_not_waited_for() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(10, 10.0),), 0.0)
    other = booking.of_session(2)
    await other.take(budget, 0, News(pause_s=7_200, why_paused="the CA asks for it"))
    async with SharedLimiter(booking.of_session(1), budget, patience_s=600) as limiter:
        began = running_time()
        for _ in range(2):
            with pytest.raises(
                KeyStopped, match=r"asks for it, for 0s.*it would be 2h.*patience of 10m"
            ):
                await limiter.slot()
        assert running_time() - began < 5


async def test_pauses_of_another_one_after_another_are_waited_for_as_long_as_patience_lasts() -> (
    None
):
    booking, budget = Booking(running_time), Budget("key", (Window(10, 10.0),), 0.0)
    other = booking.of_session(2)

    async def go_on_pausing() -> None:
        while True:
            await other.take(budget, 0, News(pause_s=60, why_paused="the CA has problems"))
            await anyio.sleep(50)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on_pausing)
        await anyio.sleep(1)
        async with SharedLimiter(booking.of_session(1), budget, patience_s=600) as limiter:
            began = running_time()
            with pytest.raises(KeyStopped, match="the CA has problems"):
                await limiter.slot()
            assert 480 <= running_time() - began <= 600
        tasks.cancel_scope.cancel()


async def test_who_is_held_by_another_can_say_why_and_for_how_long() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(10, 10.0),), 0.0)
    other = booking.of_session(2)
    async with SharedLimiter(booking.of_session(1), budget, patience_s=600) as limiter:
        assert limiter.held is None
        await other.take(budget, 0, News(pause_s=100, why_paused="the CA has problems"))
        with anyio.move_on_after(10):
            with await limiter.slot():
                raise AssertionError("there is none")
        held: Hold | None = limiter.held
        assert held is not None
        assert held.reason == "the CA has problems"
        assert held.until - running_time() == pytest.approx(90, abs=1)
        with await limiter.slot():
            held = limiter.held
        assert held is None


async def test_whatever_the_database_grants_one_process_alone_keeps_the_windows() -> None:
    """As when its clock is set forward again and again, and all its slots come free."""
    set_by_s = 0.0

    def clock() -> float:
        nonlocal set_by_s
        set_by_s += 3_600
        return running_time() + set_by_s

    booking, budget = Booking(clock), Budget("key", WINDOWS, 0.0)
    async with SharedLimiter(booking.of_session(1), budget) as limiter:
        courses, _ = await play(limiter, [Request(0, ended_s=0.1)] * 120)
    for window in WINDOWS:
        assert crowded([course.arrived for course in courses], window) == []


async def test_who_no_longer_waits_for_a_slot_that_was_just_granted_gives_it_back_unused() -> None:
    booking, budget = Booking(running_time), Budget("key", (Window(1, 1000.0),), 0.0)

    class Slow(type(booking.of_session(1))):  # type: ignore[misc]  # a class made here
        async def take(self, budget: Budget, wanted: int, news: News) -> Grant:
            grant: Grant = await super().take(budget, wanted, news)
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            return grant

    async with SharedLimiter(Slow(booking, 1), budget) as limiter:
        with anyio.move_on_after(1):
            with await limiter.slot():
                raise AssertionError("too late")
        with await limiter.slot():
            assert anyio.current_time() < 20, "not a window later"


async def test_a_database_that_is_gone_is_said_to_all_who_wait_and_to_who_comes_later() -> None:
    class Gone(Booking):
        def take(self, session: int, budget: Budget, wanted: int, news: News) -> Grant:
            raise JournalError("the server is gone")

    said: list[str] = []

    async def wait(limiter: SharedLimiter) -> None:
        try:
            with await limiter.slot():
                raise AssertionError("there is none")
        except JournalError as error:
            said.append(str(error))

    budget = Budget("key", WINDOWS, 0.0)
    async with SharedLimiter(Gone(running_time).of_session(1), budget) as limiter:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait, limiter)
        await wait(limiter)
    assert said == ["the server is gone"] * 6
