"""Windows and cooldown across processes whose clocks disagree: the safer reading counts."""

import asyncio
from dataclasses import dataclass

import pytest

from batch_resend.clock import SystemClock, steady_time
from batch_resend.folders import Place
from batch_resend.journal import Journal, Pause, Terms
from batch_resend.model import Run, RunState
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    WINDOWS,
    Clock,
    carry,
    opened,
    orders,
    pending,
    pending_ids,
    plan,
    send,
)

pytestmark = pytest.mark.asyncio

ONE_BOOT = "the machine's one start"
ANOTHER_BOOT = "after a restart of the machine"


@dataclass
class Machine:
    """A machine on which time passes, whose clock may be set, and may have been restarted."""

    steady: float = 1000.0
    ahead_s: float = NOON  # what its clock says, less the steady time
    boot: str = ONE_BOOT

    def clock(self) -> Clock:
        """Return the clock of a process that begins now."""
        return Clock(self.steady + self.ahead_s, self.boot, self.ahead_s)


async def attempted(journal: Journal, clock: Clock, script: str) -> Run:
    """Make attempts for an order, each a second long, in a run of its own."""
    run = await plan(journal, orders(1), take_up_since=1e12)
    recorder = await journal.start(run, Terms(WINDOWS))
    (planned,) = await pending(journal.reader, run)
    await carry(recorder, clock, planned, script)
    return run


async def ages(journal: Journal, clock: Clock, linger_s: float = 0.0) -> list[float]:
    """Return how long ago each attempt is taken to have ended."""
    ends = await journal.reader.recent_ends(BASE_URL, clock() - 10 * HOUR, clock, linger_s)
    return [clock() - end for end in ends]


@pytest.mark.parametrize(
    ("set_by_s", "boot", "age_s"),
    [
        pytest.param(0, ONE_BOOT, 60, id="nobody set the clock"),
        pytest.param(3600, ONE_BOOT, 60, id="put forward an hour: it is still a minute"),
        pytest.param(5, ONE_BOOT, 60, id="put forward by seconds, as NTP may"),
        pytest.param(-20, ONE_BOOT, 40, id="put back a little: the younger reading"),
        pytest.param(-3600, ONE_BOOT, 0, id="put back an hour: as if it were just now"),
        pytest.param(0, ANOTHER_BOOT, 60, id="the machine was restarted"),
        pytest.param(-3600, ANOTHER_BOOT, 0, id="put back meanwhile: nothing is in the future"),
    ],
)
async def test_of_two_clocks_the_one_counts_by_which_an_attempt_is_younger(
    place: Place, set_by_s: float, boot: str, age_s: float
) -> None:
    machine = Machine()
    clock = machine.clock()
    async with opened(place, clock) as journal:
        await attempted(journal, clock, "204")
    machine.steady += 61.0  # a second for the attempt, and a minute
    machine.ahead_s += set_by_s
    machine.boot = boot
    clock = machine.clock()
    async with opened(place, clock) as journal:
        assert await ages(journal, clock) == [age_s]


async def test_an_attempt_in_doubt_may_arrive_so_much_later(place: Place) -> None:
    clock = Machine().clock()
    async with opened(place, clock) as journal:
        await attempted(journal, clock, "lost 204")
        assert sorted(await ages(journal, clock, linger_s=30.0)) == [1.0 - 30.0, 0.0]


async def test_an_attempt_that_was_cut_off_may_have_arrived_up_to_now_by_whichever_clock(
    place: Place,
) -> None:
    machine = Machine()
    clock = machine.clock()
    async with opened(place, clock) as journal:
        await attempted(journal, clock, "cut")
    machine.steady += 500.0
    machine.ahead_s += 3600.0
    clock = machine.clock()
    async with opened(place, clock) as journal:
        assert await ages(journal, clock) == [0.0]
    machine.steady += 100.0
    clock = machine.clock()
    async with opened(place, clock) as journal:
        assert await ages(journal, clock) == [100.0]


@pytest.mark.parametrize(
    ("set_by_s", "skipped"),
    [
        pytest.param(0, True, id="nobody set the clock"),
        pytest.param(5 * HOUR, True, id="put forward beyond the cooldown"),
        pytest.param(-5 * HOUR, True, id="put back"),
    ],
)
async def test_a_clock_that_is_set_ends_no_cooldown(
    place: Place, set_by_s: float, skipped: bool
) -> None:
    machine = Machine()
    clock = machine.clock()
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        await send(journal, clock, run, {"1": "204"})
        await journal.finish(run, RunState.COMPLETED)
    machine.steady += 61.0
    machine.ahead_s += set_by_s
    clock = machine.clock()
    async with opened(place, clock) as journal:
        again = await plan(journal, orders(1), take_up_since=1e12)
        await journal.settle(again, HOUR, hold_doubts=False)
        assert (await pending_ids(journal.reader, again) == []) is skipped
        (mailed,) = (await journal.reader.mails(BASE_URL, clock)).values()
        assert mailed.last_at is not None
        assert journal.now() - mailed.last_at < HOUR, "a sweep mails it no sooner either"


async def test_the_systems_clock_is_asked_once_and_counted_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SystemClock()
    before = clock()
    monkeypatch.setattr("time.time", lambda: 0.0)  # somebody sets it to 1970
    assert before <= clock() <= before + 60
    assert SystemClock().boot == clock.boot, "the same start of the machine"
    assert clock() - clock.offset_s == pytest.approx(steady_time(), abs=60)


async def test_what_was_read_of_the_ca_counts_in_its_windows_too(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        reads = await journal.start_reading(BASE_URL)
        await reads.end(await reads.begin(clock()), clock() + 2)
        await reads.end(await reads.begin(clock()), clock() + 1, in_doubt=True)
        other = await journal.start_reading("https://other.example")
        await other.end(await other.begin(clock()), clock())
        await reads.begin(clock())  # and then it is killed
        clock.now += 10
    async with opened(place, clock) as journal:
        ends = await journal.reader.recent_ends(BASE_URL, NOON, clock, linger_s=30.0)
        answered, given_up, cut_off = NOON + 2, NOON + 1 + 30, clock() + 30
        assert ends == [answered, given_up, cut_off], "what may still arrive counts from then"
        assert await journal.reader.runs() == []


async def test_reads_that_go_beside_each_other_are_each_written_down_with_an_end_of_their_own(
    journal: Journal, clock: Clock
) -> None:
    reads = await journal.start_reading(BASE_URL)

    async def read(seconds: int) -> None:
        await reads.end(await reads.begin(clock()), clock() + seconds)

    await asyncio.gather(*map(read, range(8)))
    clock.now += 60
    ends = await journal.reader.recent_ends(BASE_URL, NOON, clock, linger_s=30.0)
    assert ends == [NOON + seconds for seconds in range(8)], "none is taken for one cut off"


async def test_what_part_of_the_windows_was_taken_is_known_by_both_clocks(place: Place) -> None:
    machine = Machine()
    clock = machine.clock()
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1))
        recorder = await journal.start(run, Terms(WINDOWS, budgets={None: "ours"}))
        await recorder.pause(Pause(clock(), clock() + 5, "the CA has problems", 1.0))
        await recorder.pause(Pause(clock(), clock() + 5, "the CA asks for fewer requests", 0.5))
        later = clock() + 10.0
        await recorder.prolong_pause(Pause(later, later + 5, "the CA has problems", 0.35))
    machine.steady += 71.0
    machine.ahead_s += HOUR
    clock = machine.clock()
    async with opened(place, clock) as journal:
        found = await journal.reader.recent_shares("ours", clock() - 100.0, clock)
        assert [(clock() - at, share) for at, share in found] == [(61.0, 0.35)]
        assert await journal.reader.recent_shares("ours", clock() - 60.0, clock) == []
        assert await journal.reader.recent_shares("another's", 0.0, clock) == []
