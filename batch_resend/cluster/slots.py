"""One budget for all hosts: the windows of a key as rows in PostgreSQL, by the server's own clock.

That clock may be set: each client's steady clock says so (`database_time`).

    sessions   a process that has the journal open; alive as long as its connection holds its lock
    keys       what all senders by a key have learned: their share of the windows, and a pause
    slots      a slot from its grant until W after its answer

The argument of `sending/limiter.py` holds unchanged, its g and e being read off one clock: a slot
is granted before its request leaves, and its answer is written down after that came. Of a process
that died nobody hears an answer: its requests are taken to have arrived when its end was noticed,
or as long after as one may linger. Grants for one key are made one after another, under the lock of
its row in `keys`; all is one statement, so one way to the server and back.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

import anyio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.clock import Clock
from batch_resend.folders import Place
from batch_resend.journal import JournalReader
from batch_resend.journal.database import Backend, reading_connection
from batch_resend.journal.dialects import journal_errors
from batch_resend.windows import Window

# Its numbers: see sending/limiter.py. Two who are told 429 at once learn it once.
TAKE_SLOTS = """
    CREATE OR REPLACE FUNCTION take_slots(
        of_budget text, of_session integer, wanted integer,
        limits integer[], periods double precision[], linger_s double precision,
        ended bigint[], lingering bigint[], unused bigint[],
        decrease boolean, pause_s double precision, why_paused text,
        known_correction_s double precision, at_least double precision, at_most double precision,
        too_high_s double precision, is_new boolean
    ) RETURNS TABLE (
        granted bigint[], wait_s double precision, share_now double precision,
        said_s double precision, correction_now_s double precision,
        paused_s double precision, paused_for text
    )
    LANGUAGE plpgsql AS $$
    DECLARE
        now_s double precision;
        known record;
        free integer := wanted;
        taken integer;
        most integer;
        free_at double precision;
    BEGIN
        INSERT INTO keys (budget) VALUES (of_budget) ON CONFLICT DO NOTHING;
        SELECT * INTO known FROM keys WHERE budget = of_budget FOR UPDATE;
        IF known.longest < (SELECT max(period) FROM unnest(periods) period) THEN
            SELECT max(period) INTO known.longest FROM unnest(periods) period;
            UPDATE keys SET longest = known.longest WHERE budget = of_budget;
        END IF;
        said_s := clock_s() + known.correction_s;
        is_new := is_new AND known.asked_at > 0
            AND EXISTS (SELECT FROM living WHERE number <> of_session);  -- who may know better
        IF known_correction_s IS NULL THEN
            at_least := nullif(known.asked_at, 0);
        ELSIF known_correction_s <> known.correction_s THEN
            at_least := NULL;  -- another one may know better
            too_high_s := 0;
        END IF;
        now_s := greatest(at_least, said_s - too_high_s);  -- and not what is unknown
        IF now_s <> said_s THEN
            known.correction_s := known.correction_s + now_s - said_s;
            IF now_s < said_s THEN  -- what was stamped meanwhile is of no later time than now
                UPDATE slots SET arrived_by = now_s + linger_s
                    WHERE budget = of_budget AND arrived_by > now_s + linger_s;
                known.asked_at := least(known.asked_at, now_s);
                known.share_at := least(known.share_at, now_s);
                IF known.paused_until > said_s THEN
                    known.paused_until := known.paused_until - too_high_s;
                END IF;
            END IF;
            UPDATE keys SET correction_s = known.correction_s, asked_at = known.asked_at,
                share_at = known.share_at, paused_until = known.paused_until
                WHERE budget = of_budget;
            said_s := now_s;
        END IF;
        correction_now_s := known.correction_s;
        now_s := least(now_s, at_most);
        IF is_new THEN
            now_s := least(now_s, known.asked_at);
        ELSE
            UPDATE keys SET asked_at = greatest(now_s, known.asked_at) WHERE budget = of_budget;
        END IF;
        share_now := least(1, known.share
            + 0.05 * greatest(0, (now_s - known.share_at) / known.longest - 6));
        -- Stamps are by the clock, believed or not: one that is too late holds for longer.
        IF decrease AND said_s - known.share_at > 1 THEN
            share_now := greatest(0.05,
                CASE WHEN share_now >= 1 THEN 0.5 ELSE 0.7 END * share_now);
            UPDATE keys SET share = share_now, share_at = said_s WHERE budget = of_budget;
        END IF;
        IF pause_s > 0 AND said_s + pause_s > known.paused_until THEN
            known.paused_until := said_s + pause_s;
            known.pause_reason := why_paused;
            UPDATE keys SET paused_until = known.paused_until, pause_reason = why_paused
                WHERE budget = of_budget;
        END IF;
        DELETE FROM slots WHERE budget = of_budget AND number = ANY (unused);
        UPDATE slots SET arrived_by = said_s WHERE budget = of_budget AND number = ANY (ended);
        UPDATE slots SET arrived_by = said_s + linger_s
            WHERE budget = of_budget AND number = ANY (lingering);
        DELETE FROM slots WHERE budget = of_budget AND arrived_by + known.longest <= now_s;
        wait_s := 0;
        FOR place IN 1 .. coalesce(array_length(limits, 1), 0) LOOP
            most := greatest(1, floor(limits[place] * share_now + 1e-9)::integer);
            SELECT count(*) INTO taken FROM slots WHERE budget = of_budget
                AND (arrived_by IS NULL OR arrived_by + periods[place] > now_s);
            IF taken >= most THEN
                SELECT arrived_by + periods[place] INTO free_at FROM slots
                    WHERE budget = of_budget AND arrived_by + periods[place] > now_s
                    ORDER BY arrived_by OFFSET taken - most LIMIT 1;
                wait_s := greatest(wait_s, coalesce(free_at - now_s, 'infinity'));
            END IF;
            free := least(free, most - taken);
        END LOOP;
        paused_s := greatest(0, known.paused_until - now_s);
        IF paused_s > 0 THEN
            free := 0;
            paused_for := known.pause_reason;
            wait_s := greatest(wait_s, paused_s);
        END IF;
        IF free <= 0 AND wanted > 0 THEN
            UPDATE slots SET arrived_by = said_s + linger_s
                WHERE budget = of_budget AND arrived_by IS NULL
                    AND session NOT IN (SELECT number FROM living);
        END IF;
        WITH added AS (
            INSERT INTO slots (budget, session)
            SELECT of_budget, of_session FROM generate_series(1, free) RETURNING number
        )
        SELECT coalesce(array_agg(number), '{}') INTO granted FROM added;
        RETURN NEXT;
    END
    $$
    """
TABLES = (
    """
    CREATE TABLE sessions (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        began_at double precision NOT NULL
    )
    """,
    """
    CREATE VIEW living AS
        SELECT sessions.* FROM sessions JOIN pg_locks ON objid = number::oid
        WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND classid = x'62726573'::int::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """,
    """
    CREATE TABLE keys (
        budget text PRIMARY KEY,
        share double precision NOT NULL DEFAULT 1,
        share_at double precision NOT NULL DEFAULT 0,
        paused_until double precision NOT NULL DEFAULT 0,
        pause_reason text,
        longest double precision NOT NULL DEFAULT 0,  -- of all windows that anyone keeps
        correction_s double precision NOT NULL DEFAULT 0,  -- of the clock, where it was set
        asked_at double precision NOT NULL DEFAULT 0  -- the last question of who knows the time
    )
    """,
    """
    CREATE TABLE slots (
        budget text NOT NULL,
        number bigint GENERATED ALWAYS AS IDENTITY,
        session integer NOT NULL,
        arrived_by double precision,
        PRIMARY KEY (budget, number)
    )
    """,
    """
    CREATE FUNCTION clock_s() RETURNS double precision LANGUAGE sql VOLATILE AS
    'SELECT extract(epoch FROM clock_timestamp())::double precision'
    """,
    "CREATE INDEX slots_by_arrival ON slots (budget, arrived_by)",
    TAKE_SLOTS,
)
_TAKE = text(
    "SELECT * FROM take_slots(:of_budget, :of_session, :wanted, CAST(:limits AS integer[]), "
    "CAST(:periods AS double precision[]), :linger_s, CAST(:ended AS bigint[]), "
    "CAST(:lingering AS bigint[]), CAST(:unused AS bigint[]), :decrease, :pause_s, :why_paused, "
    ":known_correction_s, :at_least, :at_most, :too_high_s, :is_new)"
)

TOLERANCE_S = 0.1
NEW_S = 1.5  # whoever knows it for longer asks more often than that, while it waits for slots
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


_NOTHING = {
    "wanted": 0, "ended": [], "lingering": [], "unused": [], "decrease": False, "pause_s": 0.0,
}  # fmt: skip


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
    paused_s: float = 0.0  # how long nothing is to leave, because somebody has said so
    paused_for: str = ""  # why


KEY_USE = text(
    "SELECT budget, share, paused_until - clock_s() - correction_s AS paused_s, "
    "(SELECT count(*) FROM slots WHERE slots.budget = keys.budget AND arrived_by IS NULL) AS out, "
    "(SELECT count(*) FROM slots WHERE slots.budget = keys.budget "
    "AND arrived_by > clock_s() + correction_s - longest) AS waiting, longest "
    "FROM keys ORDER BY budget"
)
SESSIONS = text("SELECT name FROM living ORDER BY number")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How much of the windows of a key is in use."""

    budget: str
    out: int  # slots of requests that were not answered yet
    waiting: int  # slots that come free within the longest window
    longest_s: float
    share: float  # of the windows, after the last 429
    paused_s: float  # how long nothing more is to leave


async def sessions(reader: JournalReader) -> list[str]:
    """Return which processes have a shared journal open to write."""
    return [record.name for record in await reader.fetch(SESSIONS)]


async def key_use(reader: JournalReader) -> list[KeyUse]:
    """Return how much of the windows of each key is in use."""
    return [
        KeyUse(r.budget, r.out, r.waiting, r.longest, r.share, max(0.0, r.paused_s))
        for r in await reader.fetch(KEY_USE)
    ]


@dataclass(frozen=True, slots=True)
class Budget:
    """The windows of one key, as one of those who send by it keeps them."""

    name: str  # a digest of CA and key, never the key
    windows: Sequence[Window]
    linger_s: float  # how long a request that was given up may still arrive


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
        found = (await self._connection.execute(_TAKE, values | _as_values(time.ask()))).one()
        time.learn(found.said_s, found.correction_now_s)
        return Grant(
            found.granted, found.wait_s, found.share_now, found.paused_s, found.paused_for or ""
        )


@asynccontextmanager
async def open_slots(backend: Backend, session: int, clock: Clock) -> AsyncIterator[Slots]:
    """Open a session's way to the slots of all keys. Raises JournalError."""
    async with reading_connection(backend, at_once=True) as connection:
        yield Slots(connection, backend.place, session, lambda: clock() - clock.offset_s)


def _as_values(bounds: Bounds) -> dict[str, float | bool | None]:
    return {
        "known_correction_s": bounds.correction_s,
        "at_least": bounds.at_least,
        "at_most": bounds.at_most,
        "too_high_s": bounds.too_high_s,
        "is_new": bounds.is_new,
    }
