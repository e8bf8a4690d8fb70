"""The windows that all hosts keep together: PostgreSQL says what the model says."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import psycopg
import pytest

from batch_resend.errors import JournalError
from batch_resend.journal import Budget, Grant, News, Slots, open_journal
from batch_resend.places import Database
from batch_resend.sending.share import HOLD
from batch_resend.windows import Window
from tests.booking import Booking
from tests.postgres import end_connections, forget

pytestmark = pytest.mark.asyncio

_TEST_CLOCK = (
    "CREATE TABLE batch_resend.test_clock (at double precision)",
    "INSERT INTO batch_resend.test_clock VALUES (0)",
    "CREATE OR REPLACE FUNCTION batch_resend.clock_s() RETURNS double precision LANGUAGE sql "
    "VOLATILE AS 'SELECT at FROM batch_resend.test_clock'",
)


@dataclass
class ServerClock:
    """The server's clock, as a test sets it."""

    connection: psycopg.AsyncConnection[object]
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    async def goes_on(self, by_s: float) -> None:
        """Let time go by."""
        self.now += by_s
        await self.connection.execute("UPDATE batch_resend.test_clock SET at = %s", (self.now,))


@asynccontextmanager
async def hosts(database: Database, number: int = 2) -> AsyncIterator[list[Slots]]:
    """Open the journal as several hosts do; yield each one's way to the windows."""
    async with anyio.create_task_group() as tasks:
        opened: list[Slots] = []
        done = anyio.Event()

        async def host() -> None:
            async with open_journal(database) as journal, journal.slots() as slots:
                assert slots is not None
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
        clock = ServerClock(connection)
        await clock.goes_on(0)
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
        for seed in range(150):
            chance = random.Random(seed)
            windows = windows_of(chance)
            budget = Budget(f"key {seed}", windows, linger_s=0.25)
            booking = Booking(clock)
            models = [booking.of_session(1), booking.of_session(2)]
            held: list[list[tuple[int, int]]] = [[], []]
            for step in course_of(chance):
                await clock.goes_on(step.after_s)
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
    return News(ended, lingering, rest[: step.unused], step.decrease, step.pause_s)


def _said(grant: Grant) -> tuple[int, float, float]:
    return len(grant.slots), round(grant.wait_s, 5), round(grant.share, 5)


async def test_the_slots_of_a_host_that_died_come_free_as_if_answered_when_that_was_noticed(
    empty: Database,
) -> None:
    budget = Budget("key", (Window(3, 4.0),), linger_s=1.0)
    async with hosts(empty) as (one, _), set_clock(empty) as clock:
        async with open_journal(empty) as journal, journal.slots() as dying:
            assert dying is not None
            assert len((await dying.take(budget, 2, News())).slots) == 2
        await clock.goes_on(100)
        assert len((await one.take(budget, 3, News())).slots) == 1, "no sign of its end so far"
        noticed = await one.take(budget, 1, News())
        assert len(noticed.slots) == 0
        await clock.goes_on(4.9)
        assert len((await one.take(budget, 3, News())).slots) == 0
        await clock.goes_on(0.2)
        assert len((await one.take(budget, 3, News())).slots) == 2


async def test_what_one_host_learns_of_the_ca_holds_for_all(empty: Database) -> None:
    budget = Budget("key", (Window(8, 10.0),), linger_s=0.0)
    async with hosts(empty) as (one, other), set_clock(empty) as clock:
        await one.take(budget, 0, News(decrease=True, pause_s=30))
        held_up = await other.take(budget, 8, News(decrease=True))
        assert (held_up.slots, held_up.wait_s, held_up.share) == ([], 30.0, 0.5)
        await clock.goes_on(HOLD * 10 + 30)
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
