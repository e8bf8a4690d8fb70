"""Do worlds with several hosts find faults of what hosts share? Each is put back alone.

    python -m tests.worlds --hosts --known [NAME ...] --seconds 600

As `known.py` does it for one host. The seconds are without those of the server.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any
from unittest import mock

from batch_resend import channels
from batch_resend.cluster import leases, postgres
from batch_resend.cluster.limiter import SharedLimiter
from batch_resend.cluster.slots import Bounds, DatabaseTime
from batch_resend.errors import JournalError
from batch_resend.journal import journal, recording, statements
from batch_resend.journal.connection import Connection
from batch_resend.sending import channel
from batch_resend.windows import Fate
from tests.worlds.known import KNOWN, Fault, read_again

# --- rate limits ----------------------------------------------------------------------------------


def _slot_freed_at_the_grant() -> Fault:
    async def slot(real: Any, own: Any) -> Any:
        granted = await real(own)
        granted.end(Fate.ANSWERED)
        return granted

    return Fault().function(SharedLimiter, "slot", slot)


def _each_host_by_itself() -> Fault:
    async def limiter(
        real: Any, own: Any, key: Any, ages_s: Any, _shared: Any, sessions: Any
    ) -> Any:
        return await real(own, key, ages_s, None, sessions)

    return Fault().function(channels.Channels, "_limiter", limiter)


def _share_forgotten_at_a_restart() -> Fault:
    def enter(real: Any, own: Any, connection: Connection, *given: Any) -> Any:
        connection.driver.execute("UPDATE keys SET share = 1")
        return real(own, connection, *given)

    return Fault().function(postgres.PostgresBackend, "enter", enter)


# --- one request, one process ---------------------------------------------------------------------


def _orphans_looked_for_after_the_cleaning() -> Fault:
    """Have who dies between the two lose a chunk whose attempts nobody has looked at."""

    async def tidy(_real: Any, own: Any) -> Any:
        def look(connection: Connection) -> list[tuple[int, leases.Chunk]]:
            own._journal.clean_up(connection)
            if found := leases.orphaned(connection):
                leases._hold_doubts(connection)
            return found

        return await own._journal.decide(look)

    return Fault().function(leases.ChunkLeases, "tidy", tidy)


def _what_died_meanwhile_is_forgotten() -> Fault:
    """Found by these worlds: only who opened the journal looked for what the dead had in flight."""

    def begin(real: Any, own: Any, *given: Any, **options: Any) -> Any:
        with mock.patch.object(type(own), "clean_up", lambda *_: None):
            return real(own, *given, **options)

    return Fault().function(journal.Journal, "begin", begin)


@contextmanager
def _nobody_lives() -> Iterator[None]:
    words = dict(statements._WORDS["postgresql"], living="(SELECT 0)")
    with mock.patch.dict(statements._WORDS, {"postgresql": words}), read_again():
        yield


def _others_taken_for_dead() -> Fault:
    fault = Fault(is_reached=True)
    fault._patches.append(_nobody_lives)
    return fault


def _writes_without_its_session() -> Fault:
    """Have who has lost its session connect again, as what only reads does, and write on."""

    async def write_on(real: Any, own: Any, work: Any) -> Any:
        try:
            return await real(own, work)
        except JournalError:
            if not own._connection.connection.is_lost:
                raise
        own._connection.reconnect = postgres.PostgresBackend(own._place).connect_to_write
        return await own._connection.transaction(work)

    return Fault().function(recording.Writer, "_transaction", write_on)


HOSTS_KNOWN: Mapping[str, Callable[[], Fault]] = {
    "slot freed at the grant": _slot_freed_at_the_grant,
    "each host keeps limits by itself": _each_host_by_itself,
    "slots of the dead freed at once": lambda: Fault().statement(
        "define_take_slots",
        "UPDATE slots SET arrived_by = said_s + {leaves_within} + linger_s\n"
        "            WHERE budget = of_budget "
        "AND arrived_by IS NULL\n                AND session",
        "DELETE FROM slots\n            WHERE budget = of_budget AND arrived_by IS NULL\n"
        "                AND session",
    ),
    "late arrivals forgotten": lambda: Fault().statement(
        "define_take_slots",
        "UPDATE slots SET arrived_by = said_s + linger_s\n        WHERE budget = of_budget "
        "AND number = ANY (lingering)",
        "UPDATE slots SET arrived_by = said_s\n        WHERE budget = of_budget "
        "AND number = ANY (lingering)",
    ),
    "slots by a clock that was set": lambda: Fault().function(
        DatabaseTime, "ask", lambda *_: Bounds(is_new=False)
    ),
    "keys are not locked": lambda: Fault().statement(
        "define_take_slots", "WHERE budget = of_budget FOR UPDATE", "WHERE budget = of_budget"
    ),
    "share forgotten at a restart": _share_forgotten_at_a_restart,
    "what is under way is sent, too": lambda: Fault().statement(
        "skip_what_is_under_way", "WHERE ", "WHERE FALSE AND "
    ),
    "decisions at once": lambda: Fault().function(
        postgres.PostgresBackend, "serialize", lambda *_: None
    ),
    "a chunk is anybody's": lambda: Fault().statement(
        "overlapping_claims", "WHERE ", "WHERE FALSE AND "
    ),
    "a worker that sleeps is taken for dead": lambda: Fault().statement(
        "release_of_dead", " AND session NOT IN {living}", ""
    ),
    "others are taken for dead": _others_taken_for_dead,
    "doubts of the dead are not held": lambda: Fault().function(
        leases, "_hold_doubts", lambda *_: None
    ),
    "what died meanwhile is forgotten": _what_died_meanwhile_is_forgotten,
    "orphans looked for after the cleaning": _orphans_looked_for_after_the_cleaning,
    "writes without its session": _writes_without_its_session,
    "attempt written after the request": KNOWN["attempt written after the request"],
    "cooldown forgotten": KNOWN["cooldown forgotten"],
    "what a host that slept has begun leaves": lambda: Fault().value(
        channel, "LEAVES_WITHIN_S", inf
    ),
}
