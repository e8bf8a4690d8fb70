"""The windows that all hosts keep together: PostgreSQL says what the model says."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import psycopg
import pytest

from batch_resend.cluster.postgres import PostgresBackend
from batch_resend.cluster.slots import NEW_S, Budget, Grant, News, Slots, open_slots
from batch_resend.errors import JournalError
from batch_resend.folders import Database
from batch_resend.journal import open_journal
from batch_resend.sending.channel import LEAVES_WITHIN_S
from batch_resend.sending.limiter import HOLD
from batch_resend.windows import Window
from tests.booking import Booking
from tests.journal.conftest import Clock
from tests.postgres import end_connections, forget

pytestmark = pytest.mark.asyncio

_TEST_CLOCK = (
    "CREATE TABLE batch_resend.test_clock (at double precision)",
    "INSERT INTO batch_resend.test_clock VALUES (0)",
    "CREATE OR REPLACE FUNCTION batch_resend.clock_s() RETURNS double precision LANGUAGE sql "
    "VOLATILE AS 'SELECT at FROM batch_resend.test_clock'",
)
# Steady: nobody sets it.
HOSTS_CLOCK = Clock()


@dataclass
class ServerClock:
    """The server's clock, as a test sets it, and the time that goes by."""

    connection: psycopg.AsyncConnection[object]
    hosts: Clock
    set_by_s: float = 0.0

    def __call__(self) -> float:
        return self.hosts.now

    async def advance(self, by_s: float) -> None:
        """Let time go by, for the server and for all hosts."""
        self.hosts.now += by_s
        await self._tell()

    async def is_set(self, by_s: float) -> None:
        """Have somebody set the server's clock."""
        self.set_by_s += by_s
        await self._tell()

    async def _tell(self) -> None:
        at = self.hosts.now + self.set_by_s
        await self.connection.execute("UPDATE batch_resend.test_clock SET at = %s", (at,))


@asynccontextmanager
async def slots_of(database: Database, clock: Clock) -> AsyncIterator[Slots]:
    """Open the journal as a host does; yield its way to the windows."""
    async with (
        open_journal(database, clock) as journal,
        open_slots(PostgresBackend(database), journal.session, clock) as slots,
    ):
        yield slots


@asynccontextmanager
async def hosts(
    database: Database, number: int = 2, clock: Clock = HOSTS_CLOCK
) -> AsyncIterator[list[Slots]]:
    """Open the journal as several hosts do; yield each one's way to the windows."""
    async with anyio.create_task_group() as tasks:
        opened: list[Slots] = []
        done = anyio.Event()

        async def host() -> None:
            async with slots_of(database, clock) as slots:
                opened.append(slots)
                await done.wait()

        for expected in range(1, number + 1):
            tasks.start_soon(host)
            while len(opened) < expected:  # noqa: ASYNC110 - a server's answers, not an event
                await anyio.sleep(0.001)
        yield opened
        done.set()


@asynccontextmanager
async def set_clock(database: Database) -> AsyncIterator[ServerClock]:
    """Have the server's clock say what a test wants."""
    connection = await psycopg.AsyncConnection.connect(database.url, autocommit=True)
    async with connection:
        for statement in _TEST_CLOCK:
            await connection.execute(statement)
        clock = ServerClock(connection, HOSTS_CLOCK)
        await clock.advance(0)
        yield clock


@dataclass(frozen=True)
class Step:
    """What one of the hosts does next."""

    host: int
    after_s: float
    wanted: int
    ended: int  # how many of its slots were answered meanwhile, given up, never used
    lingering: int
    unused: int
    decrease: bool
    pause_s: float


def course_of(chance: random.Random) -> list[Step]:
    """Return some steps by chance."""
    return [
        Step(
            host=chance.randint(0, 1),
            after_s=chance.choice((0.0, 0.125, 0.5, 2.0)),
            wanted=chance.randint(0, 5),
            ended=chance.randint(0, 3),
            lingering=chance.randint(0, 3),
            unused=chance.choice((0, 0, 0, 1)),
            decrease=chance.choice((False, False, False, True)),
            pause_s=chance.choice((0.0, 0.0, 0.0, 0.75)),
        )
        for _ in range(chance.randint(1, 25))
    ]


def windows_of(chance: random.Random) -> list[Window]:
    """Return up to three windows by chance."""
    return [
        Window(chance.randint(1, 8), chance.choice((0.5, 1.0, 2.5)))
        for _ in range(chance.randint(1, 3))
    ]


@pytest.fixture
def empty(database: Database) -> Database:
    """Return a database without a journal."""
    forget(database)
    return database


async def test_the_database_grants_what_the_model_grants(empty: Database) -> None:
    async with hosts(empty) as opened, set_clock(empty) as clock:
        for seed in range(60):
            chance = random.Random(seed)
            windows = windows_of(chance)
            budget = Budget(f"key {seed}", windows, linger_s=0.25)
            for host in opened:
                await host.take(budget, 0, News())
            await clock.advance(NEW_S)
            booking = Booking(clock)
            models = [booking.of_session(1), booking.of_session(2)]
            held: list[list[tuple[int, int]]] = [[], []]
            for step in course_of(chance):
                await clock.advance(step.after_s)
                told = [_news(step, held[step.host], place) for place in (0, 1)]
                del held[step.host][: step.ended + step.lingering + step.unused]
                found = await opened[step.host].take(budget, step.wanted, told[0])
                expected = await models[step.host].take(budget, step.wanted, told[1])
                assert _said(found) == _said(expected), (seed, windows, step)
                held[step.host] += zip(found.slots, expected.slots, strict=True)


def _news(step: Step, held: Sequence[tuple[int, int]], place: int) -> News:
    numbers = [numbers[place] for numbers in held]
    ended, rest = numbers[: step.ended], numbers[step.ended :]
    lingering, rest = rest[: step.lingering], rest[step.lingering :]
    why = f"host {step.host} says so" if step.pause_s else ""
    return News(ended, lingering, rest[: step.unused], step.decrease, step.pause_s, why)


def _said(grant: Grant) -> tuple[object, ...]:
    pause = round(grant.paused_s, 5), grant.paused_for
    return len(grant.slots), round(grant.wait_s, 5), round(grant.share, 5), *pause


async def test_the_slots_of_a_host_that_died_come_free_as_if_sent_late_when_that_was_noticed(
    empty: Database,
) -> None:
    """It may have lost its session alone: then what it has begun still leaves for a while."""
    budget = Budget("key", (Window(3, 4.0),), linger_s=1.0)
    async with hosts(empty) as (one, _), set_clock(empty) as clock:
        async with slots_of(empty, HOSTS_CLOCK) as dying:
            assert len((await dying.take(budget, 2, News())).slots) == 2
        await clock.advance(100)
        assert len((await one.take(budget, 3, News())).slots) == 1, "no sign of its end so far"
        noticed = await one.take(budget, 1, News())
        assert len(noticed.slots) == 0
        await clock.advance(LEAVES_WITHIN_S + 4.9)
        assert len((await one.take(budget, 3, News())).slots) == 0
        await clock.advance(0.2)
        assert len((await one.take(budget, 3, News())).slots) == 2


async def test_what_one_host_learns_of_the_ca_holds_for_all(empty: Database) -> None:
    budget = Budget("key", (Window(8, 10.0),), linger_s=0.0)
    async with hosts(empty) as (one, other), set_clock(empty) as clock:
        await one.take(budget, 0, News(decrease=True, pause_s=30))
        held_up = await other.take(budget, 8, News(decrease=True))
        assert (held_up.slots, held_up.wait_s, held_up.share) == ([], 30.0, 0.5)
        await clock.advance(HOLD * 10 + 30)
        risen = await other.take(budget, 8, News())
        assert len(risen.slots) == 5
        assert risen.share == pytest.approx(0.65)


async def test_keys_know_nothing_of_each_other(empty: Database) -> None:
    windows = (Window(2, 10.0),)
    async with hosts(empty) as (one, other):
        assert len((await one.take(Budget("a", windows, 0.0), 5, News())).slots) == 2
        assert len((await other.take(Budget("b", windows, 0.0), 5, News())).slots) == 2
        assert len((await other.take(Budget("a", windows, 0.0), 5, News())).slots) == 0


async def test_all_hosts_at_once_get_no_more_than_there_is(empty: Database) -> None:
    budget = Budget("key", (Window(50, 60.0),), linger_s=0.0)
    taken: list[int] = []

    async def take(host: Slots) -> None:
        for _ in range(10):
            taken.extend((await host.take(budget, 3, News())).slots)

    async with hosts(empty, 4) as opened, anyio.create_task_group() as tasks:
        for host in opened:
            tasks.start_soon(take, host)
    assert len(taken) == len(set(taken)) == 50


async def test_a_server_that_is_gone_is_said_to_be_so(empty: Database) -> None:
    budget = Budget("key", (Window(5, 60.0),), linger_s=0.0)
    async with hosts(empty, 1) as (host,):
        end_connections(empty)
        with pytest.raises(JournalError, match="is the server up"):
            await host.take(budget, 1, News())


# --- somebody sets the server's clock ---------------------------------------------------------

BY_S = [3_600.0, -3_600.0, 5.0, -5.0, 86_400.0 * 400]
WINDOW = Window(20, 6.0)
OURS = Budget("key", (WINDOW,), linger_s=0.0)


async def known_for_a_while(opened: Sequence[Slots], clock: ServerClock) -> None:
    """Let hosts come to know the time."""
    for after_s in (0.0, NEW_S + 0.1):
        await clock.advance(after_s)
        for host in opened:
            await host.take(OURS, 0, News())


async def used(host: Slots, budget: Budget, wanted: int) -> Sequence[int]:
    """Take slots and have them answered at once; return them."""
    taken = (await host.take(budget, wanted, News())).slots
    await host.take(budget, 0, News(ended=list(taken)))
    return taken


async def all_taken(host: Slots) -> int:
    """Take and use up all slots there are; return how many."""
    return len(await used(host, OURS, 100))


@pytest.mark.parametrize("by_s", BY_S)
async def test_a_clock_that_is_set_neither_frees_a_slot_nor_keeps_one(
    empty: Database, by_s: float
) -> None:
    async with hosts(empty) as opened, set_clock(empty) as clock:
        one, other = opened
        await known_for_a_while(opened, clock)
        assert await all_taken(one) == WINDOW.limit
        await clock.advance(1.0)
        await clock.is_set(by_s)
        for host in (other, one, other, one):
            assert await all_taken(host) == 0
        await clock.advance(4.5)
        assert await all_taken(one) + await all_taken(other) == 0
        await clock.advance(1.0)
        assert await all_taken(one) + await all_taken(other) == WINDOW.limit
        await clock.advance(WINDOW.period_s + 0.3)
        assert await all_taken(other) == WINDOW.limit


@pytest.mark.parametrize("by_s", [-3_600.0, -5.0])
async def test_a_clock_that_is_set_back_while_nobody_asks_holds_nobody_up_for_as_long(
    empty: Database, by_s: float
) -> None:
    async with hosts(empty, 1) as (one,), set_clock(empty) as clock:
        assert await all_taken(one) == WINDOW.limit
        await clock.is_set(by_s)
        async with hosts(empty, 1) as (new,):
            assert await all_taken(new) == 0
            await clock.advance(WINDOW.period_s + 0.3)
            assert await all_taken(new) == WINDOW.limit


async def test_a_new_host_takes_nothing_by_a_clock_that_was_just_set_forward(
    empty: Database,
) -> None:
    async with hosts(empty, 1) as (old,), set_clock(empty) as clock:
        await known_for_a_while([old], clock)
        assert await all_taken(old) == WINDOW.limit
        await clock.is_set(3_600.0)
        async with hosts(empty, 1) as (new,):
            for _ in range(8):
                assert await all_taken(new) == 0
                await clock.advance(0.3)
                await old.take(OURS, 0, News())
            await clock.advance(WINDOW.period_s - 2.4 + 0.3)
            assert await all_taken(new) + await all_taken(old) == WINDOW.limit


async def test_what_a_host_has_stamped_by_a_wrong_clock_holds_nobody_up_once_that_is_known(
    empty: Database,
) -> None:
    """Slots, a pause, a share: nobody asked for so long that it took the time for right."""
    async with hosts(empty, 1) as (old,), set_clock(empty) as clock:
        await known_for_a_while([old], clock)
        await clock.is_set(3_600.0)
        async with hosts(empty, 1) as (new,):
            await known_for_a_while([new], clock)
            assert await all_taken(new) == WINDOW.limit
            await new.take(OURS, 0, News(pause_s=2.0, decrease=True))
            assert await all_taken(old) == 0
            await clock.advance(WINDOW.period_s + 0.3)
            assert await all_taken(old) >= WINDOW.limit // 2


async def test_however_often_the_clock_is_set_the_windows_are_kept_and_used(
    empty: Database,
) -> None:
    async with hosts(empty) as opened, set_clock(empty) as clock:
        for seed in range(8):
            chance = random.Random(seed)
            budget = Budget(f"key {seed}", (WINDOW,), 0.0)
            taken: list[float] = []
            for after_s in (0.0, NEW_S + 0.1):
                await clock.advance(after_s)
                for host in opened:
                    await host.take(budget, 0, News())
            for _ in range(40):
                if chance.random() < 0.2:
                    await clock.is_set(chance.choice([-4_000.0, -7.0, -1.0, 1.0, 7.0, 4_000.0]))
                    for host in chance.sample([*opened, *opened], 4):  # as those who wait do
                        taken += [clock()] * len(await used(host, budget, 1))
                host = chance.choice(opened)
                taken += [clock()] * len(await used(host, budget, chance.randint(1, 15)))
                await clock.advance(chance.choice([0.0, 0.25, 1.0, 3.0]))
            await clock.advance(WINDOW.period_s + 0.5)
            assert len(await used(opened[0], budget, 100)) == WINDOW.limit, seed
            for at in taken:
                within = sum(at <= other < at + WINDOW.period_s - 0.01 for other in taken)
                assert within <= WINDOW.limit, (seed, at)


async def test_what_was_stamped_while_the_clock_was_too_low_is_held_for_as_long(
    empty: Database,
) -> None:
    """A clock that is corrected forward frees no slot before its time."""
    async with hosts(empty, 1) as (one,), set_clock(empty) as clock:
        await known_for_a_while([one], clock)
        assert await all_taken(one) == WINDOW.limit
        time = one._times[OURS.name]  # it comes to know that the clock has been low all the while
        time._lowest.offset_s += WINDOW.period_s - 1.0
        time._highest.offset_s += WINDOW.period_s - 1.0
        assert await all_taken(one) == 0
        await clock.advance(WINDOW.period_s - 0.5)
        assert await all_taken(one) == 0
        await clock.advance(1.0)
        assert await all_taken(one) == WINDOW.limit
