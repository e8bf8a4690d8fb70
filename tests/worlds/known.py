"""Do worlds find the faults that the program once had, or might have? Each is put back alone.

    python -m tests.worlds --known [NAME ...] --seconds 600

The table that this prints says how many worlds and seconds each took, and by which check it was
found. A fault is put back by replacing a function, a value or a statement while a world runs. Where
that is no longer there, or is never called, this says so: what is not put back is not found.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import aiohttp

from batch_resend import channels
from batch_resend.certcentral import client, wire
from batch_resend.errors import JournalError
from batch_resend.intake import records
from batch_resend.journal import (
    connection,
    database,
    journal,
    journal_file,
    reading,
    recording,
    runs,
    sqlite,
    statements,
    statistics,
)
from batch_resend.journal.runs import CUT_OFF
from batch_resend.model import Ruling
from batch_resend.sending import breaker, breaker_state, channel, limiter
from batch_resend.sending.breaker_state import Advice
from batch_resend.windows import Fate
from tests.worlds.explore import Explorer

judge = import_module("batch_resend.certcentral.judge")  # the package has a function of that name


@dataclass(eq=False)
class Fault:
    """A fault being put back, and whether the program has come to it."""

    is_reached: bool = False
    _patches: list[Callable[[], AbstractContextManager[Any]]] = field(default_factory=list)

    def function(self, owner: Any, name: str, instead: Callable[..., Any]) -> "Fault":
        """Replace a function. `instead` takes the real one first. Raises AttributeError."""
        real = getattr(owner, name)

        def replaced(*args: Any, **options: Any) -> Any:
            self.is_reached = True
            return instead(real, *args, **options)

        self._patches.append(lambda: mock.patch.object(owner, name, replaced))
        return self

    def value(self, owner: Any, name: str, value: Any) -> "Fault":
        """Replace a value, which has to be another one now. Raises AttributeError."""
        if getattr(owner, name) == value:
            raise ValueError(f"{name} is {value!r} already: this is no fault")
        self._patches.append(lambda: mock.patch.object(owner, name, value))
        self.is_reached = True
        return self

    def statement(self, name: str, before: str, after: str) -> "Fault":
        """Change a statement of the journal's. Raises ValueError where it does not have that."""
        text = statements._texts.get(name, "")
        if before not in text:
            raise ValueError(f"the statement {name} has no {before!r} any more")
        self._patches.append(lambda: _statement(name, text.replace(before, after)))
        self.is_reached = True
        return self

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Have it in the program."""
        with ExitStack() as stack:
            for patch in self._patches:
                stack.enter_context(patch())
            yield


@contextmanager
def _statement(name: str, text: str) -> Iterator[None]:
    with mock.patch.dict(statements._texts, {name: text}), read_again():
        yield


@contextmanager
def read_again() -> Iterator[None]:
    """Have statements made of their texts again, within the block and after it."""
    for cached in (statements.statement, connection._by_place):
        cached.cache_clear()
    yield
    for cached in (statements.statement, connection._by_place):
        cached.cache_clear()


# --- rate limits ----------------------------------------------------------------------------------


def _slot_freed_at_the_grant() -> Fault:
    async def slot(real: Any, own: Any) -> Any:
        granted = await real(own)
        granted.end(Fate.ANSWERED)
        return granted

    return Fault().function(limiter.WindowLimiter, "slot", slot)


def _head_of_the_queue_oversleeps() -> Fault:
    def deaf(give_back: Any, own: Any, arrived_by: float) -> bool:
        give_back(own, arrived_by)
        return False

    return Fault().function(limiter.WindowLimiter, "_give_back", deaf)


def _windows_forgotten_at_a_restart() -> Fault:
    async def recent_ends(*_: Any, **__: Any) -> list[float]:
        return []

    return Fault().function(reading.JournalReader, "recent_ends", recent_ends)


def _share_forgotten_at_a_restart() -> Fault:
    async def recent_shares(*_: Any) -> list[tuple[float, float]]:
        return []

    return Fault().function(reading.JournalReader, "recent_shares", recent_shares)


def _late_arrivals_forgotten() -> Fault:
    def limiter_of(real: Any, windows: Any, ages: Any = (), *, shares: Any = (), **_: Any) -> Any:
        return real(windows, ages, shares=shares)

    return Fault().function(channels, "WindowLimiter", limiter_of)


# --- never twice, nothing lost --------------------------------------------------------------------


def _attempt_written_after_the_request() -> Fault:
    real_begin = recording.Recorder.begin

    async def begin(*_: Any) -> None:
        pass

    async def end(real: Any, own: Any, attempt: Any, *rest: Any) -> None:
        await real_begin(own, attempt)
        await real(own, attempt, *rest)

    of = recording.Recorder
    return Fault().function(of, "begin", begin).function(of, "end", end)


def _outcome_counted_before_it_is_durable() -> Fault:
    writing: set[asyncio.Task[None]] = set()

    async def end(real: Any, mail: Any, verdict: Any, now: float) -> Any:
        async def write() -> None:
            with suppress(JournalError):
                await real(mail, verdict, now)

        writing.add(asyncio.create_task(write()))
        return mail._settled(verdict)

    return Fault().function(channel.Mail, "end", end)


def _resume_forgets_hold() -> Fault:
    async def settle(real: Any, own: Any, run: Any, cooldown_s: float, *, hold_doubts: bool) -> Any:
        del hold_doubts
        return await real(own, run, cooldown_s, hold_doubts=False)

    return Fault().function(journal.Journal, "settle", settle)


def _cut_off_is_not_in_doubt() -> Fault:
    def execute(real: Any, connection: Any, name: str, *words: Any, **values: Any) -> Any:
        done = real(connection, name, *words, **values)
        if name == "end_cut_off_attempts":
            of_all = f"UPDATE attempts SET ruling = 'unavailable' WHERE error_message = '{CUT_OFF}'"
            connection.driver.execute(of_all)
        return done

    statements.sql("end_cut_off_attempts", "sqlite")  # it has to be there
    return Fault().function(runs, "execute", execute)


def _clock_of_no_boot(_: Any, clock: Any) -> dict[str, object]:
    return {"our_boot": "another one", "our_offset_s": clock.offset_s}


def _cooldown_by_wall_clock() -> Fault:
    def settle(real: Any, connection: Any, run: Any, since: Any, clock: Any, **hold: Any) -> Any:
        elsewhere = SimpleNamespace(boot="another one", offset_s=clock.offset_s)
        return real(connection, run, since, elsewhere, **hold)

    return Fault().function(runs, "settle_what_others_did", settle)


def _lock_by_path() -> Fault:
    @contextmanager
    def hold_file(_: Any, place: Path, path: Path) -> Iterator[Any]:
        yield journal_file.HeldFile(place, place, 0)

    fault = Fault().function(sqlite, "hold_file", hold_file)
    return fault.function(database, "real_path", lambda _, place: place.absolute())


# --- what an answer says --------------------------------------------------------------------------


def _timer_beats_a_delivered_answer() -> Fault:
    end = client.Deadline._end
    fault = Fault().function(client.Deadline, "_due", lambda _, own: end(own))
    return fault.function(wire, "read_answer", lambda *_: None)


def _late_connection_leaves_after_a_stop() -> Fault:
    """Found by these worlds: from when it was written down, nothing stopped an attempt."""

    async def request(real: Any, own: Any, attempts: Any, slot: Any, _shield: Any) -> Any:
        attempts.scope = None  # nor does the last look see it
        return await real(own, attempts, slot, SimpleNamespace(shield=True))

    return Fault().function(channel.Channel, "_request", request)


def _request_leaves_after_its_time() -> Fault:
    def begin(real: Any, own: Any, exchange: Any, *given: Any) -> None:
        real(own, exchange, *given)
        exchange.leaves_by = inf

    return Fault().function(client.Deadline, "__init__", begin)


def _a_put_is_sent_twice() -> Fault:
    """As by aiohttp's session, where the connection breaks."""

    async def carry_out(real: Any, own: Any, *request: Any) -> Any:
        try:
            return await real(own, *request)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            return await real(own, *request)

    return Fault().function(wire.Connections, "carry_out", carry_out)


def _ruled(ruling: Ruling, into: Ruling) -> Fault:
    def rule(real: Any, *answer: Any) -> Ruling:
        found: Ruling = real(*answer)
        return into if found is ruling else found

    return Fault().function(judge, "_ruling", rule)


def _an_errors_body_is_accepted() -> Fault:
    def rule(real: Any, reply: Any, errors: Any) -> Ruling:
        return Ruling.ACCEPTED if 200 <= reply.status < 300 else real(reply, errors)

    return Fault().function(judge, "_ruling", rule)


# --- whose trouble it is --------------------------------------------------------------------------


def _rate_limit_counts() -> Fault:
    def record(real: Any, own: Any, permit: Any, verdict: Any, history: Any) -> Any:
        action = real(own, permit, verdict, history)
        is_limited = verdict.ruling is Ruling.RATE_LIMITED
        return replace(action, advice=Advice.COUNT) if is_limited else action

    return Fault().function(breaker.CircuitBreaker, "record", record)


class _WorstFirst(breaker._Waiting):
    def __lt__(self, other: Any) -> bool:
        return bool(other.tried < self.tried)


def _probe_by_a_bad_order() -> Fault:
    # The canary ends such a pause, so there was none yet: with it, this alone does no harm.
    return _no_canary().function(breaker, "_Waiting", lambda _, *of: _WorstFirst(*of))


def _no_canary() -> Fault:
    return Fault().function(breaker_state.BreakerState, "_wants_canary", lambda *_: False)


# --- the table ------------------------------------------------------------------------------------

_PRAGMAS = tuple(sqlite._PRAGMAS)


def _pragmas(instead: str) -> Fault:
    name = instead.partition("=")[0]
    pragmas = tuple(instead if p.partition("=")[0] == name else p for p in _PRAGMAS)
    return Fault().value(sqlite, "_PRAGMAS", pragmas)


KNOWN: Mapping[str, Callable[[], Fault]] = {
    "slot freed at the grant": _slot_freed_at_the_grant,
    "head of the queue oversleeps": _head_of_the_queue_oversleeps,
    "windows forgotten at a restart": _windows_forgotten_at_a_restart,
    "share forgotten at a restart": _share_forgotten_at_a_restart,
    "late arrivals forgotten": _late_arrivals_forgotten,
    "attempt written after the request": _attempt_written_after_the_request,
    "outcome counted before it is durable": _outcome_counted_before_it_is_durable,
    "resume forgets hold": _resume_forgets_hold,
    "cut off is not in doubt": _cut_off_is_not_in_doubt,
    "cooldown forgotten": lambda: Fault().function(runs, "_skip_acknowledged", lambda *_: None),
    "cooldown by wall clock": _cooldown_by_wall_clock,
    "recent requests by wall clock": lambda: Fault().function(
        statistics, "clock_values", _clock_of_no_boot
    ),
    "ages by a clock that was set": lambda: Fault().statement(
        "end_cut_off_attempts",
        "CASE WHEN begun_at < {now_of_start} THEN {now_of_start} ELSE begun_at END",
        ":now",
    ),
    "lock by path": _lock_by_path,
    "log not synced": lambda: _pragmas("synchronous=OFF"),
    "log synced at checkpoints only": lambda: _pragmas("synchronous=NORMAL"),
    "a late connection leaves after a stop": _late_connection_leaves_after_a_stop,
    "timer beats a delivered answer": _timer_beats_a_delivered_answer,
    "request leaves after its time": _request_leaves_after_its_time,
    "a PUT is sent twice": _a_put_is_sent_twice,
    "extra bytes taken for an answer": lambda: Fault().function(
        wire.Connections, "_may_be_used", lambda *_: True
    ),
    "retries on old connections": lambda: Fault().function(
        wire.Connections, "retire_all", lambda *_: None
    ),
    "403 of the key is a refusal": partial(_ruled, Ruling.KEY_REFUSED, Ruling.REFUSED),
    "an errors body is accepted": _an_errors_body_is_accepted,
    "a page is a refusal": partial(_ruled, Ruling.BLOCKED, Ruling.REFUSED),
    "in doubt is not done": partial(_ruled, Ruling.IN_DOUBT, Ruling.UNAVAILABLE),
    "429 costs an attempt": _rate_limit_counts,
    "a probe by a bad order": _probe_by_a_bad_order,
    "only orders that fail tell of the CA": _no_canary,
    "order-only by damage": lambda: Fault().function(
        records, "_should_name_somebody", lambda *_: False
    ),
}


def search(
    explorer: Explorer[Any], fault: Fault, seconds: float, most: float = inf
) -> tuple[int, float, list[str]]:
    """Return how many worlds, and seconds of a processor, it took, and what was found."""
    began, worlds = time.process_time(), 0
    while time.process_time() - began < seconds and worlds < most:
        worlds += 1
        found = broken_by(fault, explorer, worlds)
        # And not what is there without the fault.
        if found and not explorer.violations(explorer.draw(seed_of(worlds))):
            return worlds, time.process_time() - began, found
    return worlds, time.process_time() - began, []


def seed_of(number: int) -> str:
    """Return the seed of a world in which known faults are looked for. From 1 on."""
    return f"known {number}"


def broken_by(fault: Fault, explorer: Explorer[Any], number: int) -> list[str]:
    """Return what is wrong in such a world with a fault. Raises ValueError where the fault is."""
    with fault.put_back():
        found = explorer.violations(explorer.draw(seed_of(number)))
    if stale := [line for line in found if "known.py:" in line]:
        raise ValueError(f"the program is not what this fault takes it for: {stale[0]}")
    return found
