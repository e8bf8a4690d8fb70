"""One budget for all hosts: the windows of a key as rows in PostgreSQL, by the server's own clock.

That clock may be set: each client's steady clock says so (`DatabaseTime`).

The argument of `sending/limiter.py` holds unchanged, its g and e being read off one clock: a slot
is granted before its request leaves, and its answer is written down after that came. Of a process
that died nobody hears an answer. Perhaps it has only lost its session, and does not know it yet:
its requests are taken to leave until LEAVES_WITHIN_S after that was noticed, and to arrive as long
after as one may linger. Grants for one key are made one after another, under the lock of its row in
`keys`; all is one statement, so one way to the server and back.

The database stamps what all hosts count, so one clock reads every stamp. When that clock is set
forward, every slot of the windows comes free at once; when it is set back, none does for as long.
So each client checks it. Between a question and its answer the database read its clock once: what
that said, and the steady time that has gone by since, bound what it may say now, give or take the
time the question was under way.

    too low    proven when the question leaves: it is read later than that. The database corrects it
    too high   by the question: it may have been under way for long. Believed for this question, and
               proven when the answer is there; another question has the database correct it

After a correction by another client, what does not agree with it is forgotten. Whether a clock was
set just before it asked first, a client cannot tell: while it is new, and others are there who can,
the time that it goes by is theirs.

    sessions   a process that has the journal open; alive as long as its connection holds its lock
    keys       what all senders by a key have learned: their share of the windows, and a pause
    slots      a slot from its grant until W after its answer
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

import anyio

from batch_resend.clock import Clock
from batch_resend.folders import Place
from batch_resend.journal.connection import (
    AsyncConnection,
    Connection,
    execute,
    journal_errors,
)
from batch_resend.journal.database import Backend, reading_connection
from batch_resend.journal.statements import sql
from batch_resend.sending import limiter
from batch_resend.sending.channel import LEAVES_WITHIN_S
from batch_resend.windows import Window

TOLERANCE_S = 0.1
NEW_S = 1.5  # a client that knows it for longer asks more often, while it waits for slots
DRIFT = 0.001  # of the time gone by, that two clocks may go apart; a clock that is slewed included


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a question says of the database's time. None: the client has not asked before."""

    correction_s: float | None = None  # that was in force when it learned the rest
    at_least: float | None = None
    at_most: float | None = None
    too_high_s: float = 0.0  # proven
    is_new: bool = True


@dataclass(slots=True)
class _Sample:
    """The database's time less the steady time, at a steady time."""

    offset_s: float
    at: float


class DatabaseTime:
    """What is known of the time that a database counts by."""

    def __init__(self, steady_time: Callable[[], float]) -> None:
        """`steady_time`: seconds of a clock that nobody sets."""
        self._steady_time = steady_time
        self._correction_s: float | None = None
        self._since = inf  # when it learned something first
        self._lowest = _Sample(0.0, 0.0)
        self._highest = _Sample(0.0, 0.0)
        self._too_high_s = 0.0
        self._asked_at = 0.0

    def ask(self) -> Bounds:
        """Return what a question that leaves now says."""
        now = self._asked_at = self._steady_time()
        if self._correction_s is None:
            return Bounds()
        return Bounds(
            self._correction_s,
            now + self._lowest_at(now) - TOLERANCE_S,
            now + self._highest_at(now),
            self._too_high_s,
            now < self._since + NEW_S,
        )

    def learn(self, said: float, correction_s: float) -> None:
        """Take in what the database's clock said, corrected by so much, while the question was out.

        That is the clock as it is, whether or not the database believed it.
        """
        sent, received = self._asked_at, self._steady_time()
        lowest, highest = _Sample(said - received, received), _Sample(said - sent, sent)
        is_too_high = lowest.offset_s > self._highest_at(received) + TOLERANCE_S
        is_too_low = highest.offset_s < self._lowest_at(received) - TOLERANCE_S
        if correction_s != self._correction_s:
            is_first, self._correction_s = self._correction_s is None, correction_s
            self._since = received if is_first else self._since
            if is_first or is_too_high or is_too_low:
                self._lowest, self._highest = lowest, highest
                is_too_high = False
        # Rather too much: what is a little late holds a slot for a little longer.
        self._too_high_s = highest.offset_s - self._lowest_at(sent) if is_too_high else 0.0
        if is_too_high:
            return
        if lowest.offset_s > self._lowest_at(received):
            self._lowest = lowest
        if highest.offset_s < self._highest_at(received):
            self._highest = highest

    @property
    def is_too_high(self) -> bool:
        """Whether the last answer has proven that the clock was set forward."""
        return self._too_high_s > 0

    def _lowest_at(self, now: float) -> float:
        return self._lowest.offset_s - DRIFT * (now - self._lowest.at)

    def _highest_at(self, now: float) -> float:
        return self._highest.offset_s + DRIFT * (now - self._highest.at)


@dataclass(slots=True)
class News:
    """What a sender has to tell since it asked last."""

    ended: list[int] = field(default_factory=list)  # slots whose answers have come
    lingering: list[int] = field(default_factory=list)  # given up; they may still arrive
    unused: list[int] = field(default_factory=list)  # nothing left by them
    decrease: bool = False  # the CA asks for fewer requests
    pause_s: float = 0.0  # let nothing leave for so long
    why_paused: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the budget says."""

    slots: Sequence[int]
    wait_s: float  # until one more may be free; infinite: not before an answer comes
    share: float  # what part of the windows is taken
    paused_s: float = 0.0  # how long nothing is to leave, because a process has said so
    paused_for: str = ""  # why


@dataclass(frozen=True, slots=True)
class Budget:
    """The windows of one key, as one of those who send by it keeps them."""

    name: str  # a digest of CA and key, never the key
    windows: Sequence[Window]
    linger_s: float  # how long a request that was given up may still arrive


_NOTHING = {
    "wanted": 0, "ended": [], "lingering": [], "unused": [], "decrease": False, "pause_s": 0.0,
}  # fmt: skip


def define_take_slots(connection: Connection) -> None:
    """Teach the database to grant slots, a share being by the numbers of sending/limiter.py."""
    words = {
        "leaves_within": LEAVES_WITHIN_S,
        "rise": limiter.RISE,
        "hold": limiter.HOLD,
        "least": limiter.LEAST,
        "decrease": limiter.DECREASE,
        "decrease_later": limiter.DECREASE_LATER,
    }
    connection.driver.execute(sql("define_take_slots", connection.dialect, words))


class Slots:
    """Takes slots of any key. Raises JournalError where the database cannot be asked."""

    def __init__(
        self,
        connection: AsyncConnection,
        place: Place,
        session: int,
        steady_time: Callable[[], float],
    ) -> None:
        """Ask by a connection that commits every statement by itself.

        `steady_time`: seconds of a clock that nobody sets, by which the database's is checked.
        """
        self._times: defaultdict[str, DatabaseTime] = defaultdict(lambda: DatabaseTime(steady_time))
        self._connection = connection
        self._place = place
        self._session = session
        self._turn = anyio.Lock()  # a connection asks one thing at a time

    async def take(self, budget: Budget, wanted: int, news: News) -> Grant:
        """Tell the news, and take as many slots as are free and wanted: one way there and back."""
        values: dict[str, Any] = {
            "of_budget": budget.name,
            "of_session": self._session,
            "wanted": wanted,
            "limits": [window.limit for window in budget.windows],
            "periods": [window.period_s for window in budget.windows],
            "linger_s": budget.linger_s,
            "ended": news.ended,
            "lingering": news.lingering,
            "unused": news.unused,
            "decrease": news.decrease,
            "pause_s": news.pause_s,
            "why_paused": news.why_paused,
        }
        granted: list[Grant] = []
        with journal_errors(self._place), anyio.CancelScope(shield=True):
            async with self._turn:
                granted.append(await self._ask(budget.name, values))
                if self._times[budget.name].is_too_high:  # at once: others may believe it
                    await self._ask(budget.name, values | _NOTHING)
        return granted[0]

    async def _ask(self, budget: str, values: dict[str, Any]) -> Grant:
        time = self._times[budget]
        found = await self._connection.run(
            lambda connection: execute(connection, "take_slots", **values, **asdict(time.ask()))[0]
        )
        time.learn(found.said_s, found.correction_now_s)
        return Grant(
            found.granted, found.wait_s, found.share_now, found.paused_s, found.paused_for or ""
        )


@asynccontextmanager
async def open_slots(backend: Backend, session: int, clock: Clock) -> AsyncIterator[Slots]:
    """Open a session's way to the slots of all keys. Raises JournalError."""
    async with reading_connection(backend) as connection:
        yield Slots(connection, backend.place, session, lambda: clock() - clock.offset_s)
