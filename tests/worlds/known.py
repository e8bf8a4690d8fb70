"""Do worlds find the faults that the program once had, or might have? Each is put back alone.

    python -m tests.worlds.known [NAME ...] [--seconds 600]

Each is a patch of one function or value. The table that this prints says how many worlds and
seconds each took, and by which invariant it was found.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from math import inf
from types import SimpleNamespace
from typing import Any
from unittest import mock

import anyio

from batch_resend import channels
from batch_resend.certcentral import client, wire
from batch_resend.errors import JournalError
from batch_resend.journal import journal, reading, recording, runs, sqlite, statements
from batch_resend.journal.runs import CUT_OFF
from batch_resend.model import Ruling
from batch_resend.sending import breaker, channel, limiter
from batch_resend.sending.breaker_state import Advice
from batch_resend.windows import Fate
from tests.worlds.explore import violations
from tests.worlds.spec import draw

judge = import_module("batch_resend.certcentral.judge")  # the package has a function of that name
Patch = AbstractContextManager[Any]


def _slot_freed_at_the_grant() -> Patch:
    real = limiter.WindowLimiter.slot

    @asynccontextmanager
    async def slot(self: Any) -> Any:
        async with real(self) as granted:
            granted.end(Fate.ANSWERED)
            yield granted

    return mock.patch.object(limiter.WindowLimiter, "slot", slot)


def _attempt_written_after_the_request() -> Patch:
    real_begin, real_end = recording.Recorder.begin, recording.Recorder.end

    async def begin(self: Any, attempt: Any) -> None:
        pass

    async def end(self: Any, attempt: Any, *rest: Any) -> None:
        await real_begin(self, attempt)
        await real_end(self, attempt, *rest)

    stack = ExitStack()
    stack.enter_context(mock.patch.object(recording.Recorder, "begin", begin))
    stack.enter_context(mock.patch.object(recording.Recorder, "end", end))
    return stack


def _timer_beats_a_delivered_answer() -> Patch:
    stack = ExitStack()
    stack.enter_context(mock.patch.object(client.Deadline, "_due", client.Deadline._end))
    stack.enter_context(mock.patch.object(wire.Exchange, "answer", lambda *_: None))
    return stack


def _outcome_counted_before_it_is_durable() -> Patch:
    real = channel.Mail.end
    writing: set[asyncio.Task[Any]] = set()

    async def end(self: Any, verdict: Any, now: float) -> Any:
        async def write() -> None:
            with suppress(JournalError):
                await real(self, verdict, now)

        writing.add(asyncio.create_task(write()))
        return self._settled(verdict)

    return mock.patch.object(channel.Mail, "end", end)


def _resume_forgets_hold() -> Patch:
    real = journal.Journal.settle

    async def settle(self: Any, run: Any, cooldown_s: float, *, hold_doubts: bool) -> None:
        await real(self, run, cooldown_s, hold_doubts=False)

    return mock.patch.object(journal.Journal, "settle", settle)


async def _no_ends(*_: Any, **__: Any) -> list[float]:
    return []


def _head_of_the_queue_oversleeps() -> Patch:
    deaf = SimpleNamespace(wait=anyio.sleep_forever, set=lambda: None)
    return mock.patch.object(limiter.anyio, "Event", lambda: deaf)  # type: ignore[attr-defined]


async def _sends_twice(request: Any, handler: Any) -> Any:
    return await handler(request)


def _any_connection_is_used_again() -> Patch:
    return mock.patch.object(wire.SilentConnector, "_may_be_used", lambda *_: True)


def _loss_ends_no_other_connection() -> Patch:
    return mock.patch.object(wire.SilentConnector, "retire_all", lambda _: None)


def _cut_off_is_not_in_doubt() -> Patch:
    real = statements.execute

    def execute(connection: Any, name: str, *words: Any, **values: Any) -> Any:
        done = real(connection, name, *words, **values)
        if name == "end_cut_off_attempts":
            of_all = f"UPDATE attempts SET ruling = 'unavailable' WHERE error_message = '{CUT_OFF}'"
            connection.exec_driver_sql(of_all)
        return done

    return mock.patch.object(runs, "execute", execute)


def _ruled(ruling: Ruling, into: Ruling) -> Callable[[], Patch]:
    real = judge._ruling

    def rule(*said: Any) -> Ruling:
        found = real(*said)
        return into if found is ruling else found

    return lambda: mock.patch.object(judge, "_ruling", rule)


def _an_errors_body_is_accepted() -> Patch:
    real = judge._ruling

    def rule(reply: Any, errors: Any) -> Ruling:
        return Ruling.ACCEPTED if 200 <= reply.status < 300 else real(reply, errors)

    return mock.patch.object(judge, "_ruling", rule)


def _rate_limit_counts() -> Patch:
    real = breaker.CircuitBreaker.record

    def record(self: Any, permit: Any, verdict: Any, history: Any) -> Any:
        action = real(self, permit, verdict, history)
        if verdict.ruling is Ruling.RATE_LIMITED:
            return replace(action, advice=Advice.COUNT)
        return action

    return mock.patch.object(breaker.CircuitBreaker, "record", record)


def _pragmas(**instead: str) -> Callable[[], Patch]:
    pragmas = tuple(instead.get(p.partition("=")[0], p) for p in sqlite._PRAGMAS)
    return lambda: mock.patch.object(sqlite, "_PRAGMAS", pragmas)


def _others_are_not_asked() -> Patch:
    return mock.patch.object(runs, "_skip_acknowledged", lambda *_: None)


def _no_linger() -> Patch:
    return mock.patch.object(channels, "WindowLimiter", partial(_limiter_without_linger))


def _limiter_without_linger(windows: Any, ages: Any = (), **_: Any) -> Any:
    return limiter.WindowLimiter(windows, ages)


KNOWN: Mapping[str, Callable[[], Patch]] = {
    "slot freed at the grant": _slot_freed_at_the_grant,
    "attempt written after the request": _attempt_written_after_the_request,
    "timer beats a delivered answer": _timer_beats_a_delivered_answer,
    "outcome counted before it is durable": _outcome_counted_before_it_is_durable,
    "resume forgets hold": _resume_forgets_hold,
    "windows forgotten at a restart": lambda: mock.patch.object(
        reading.JournalReader, "recent_ends", _no_ends
    ),
    "head of the queue oversleeps": _head_of_the_queue_oversleeps,
    "aiohttp sends a PUT twice": lambda: mock.patch.object(
        client, "never_send_twice", _sends_twice
    ),
    "extra bytes taken for an answer": _any_connection_is_used_again,
    "retries on old connections": _loss_ends_no_other_connection,
    "cut off is not in doubt": _cut_off_is_not_in_doubt,
    "403 of the key is a refusal": _ruled(Ruling.KEY_REFUSED, Ruling.REFUSED),
    "an errors body is accepted": _an_errors_body_is_accepted,
    "a page is a refusal": _ruled(Ruling.BLOCKED, Ruling.REFUSED),
    "in doubt is not done": _ruled(Ruling.IN_DOUBT, Ruling.UNAVAILABLE),
    "429 costs an attempt": _rate_limit_counts,
    "log not synced": _pragmas(synchronous="synchronous=OFF"),
    "log synced at checkpoints only": _pragmas(synchronous="synchronous=NORMAL"),
    "cooldown forgotten": _others_are_not_asked,
    "late arrivals forgotten": _no_linger,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds.known")
    parser.add_argument("names", nargs="*", help="which; all by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each")
    given = parser.parse_args()
    missed = 0
    for name, patch in KNOWN.items():
        if given.names and name not in given.names:
            continue
        worlds, took_s, found = search(patch, given.seconds)
        missed += not found
        sys.stdout.write(f"{name:38} {worlds:5} worlds {took_s:6.1f} s  {(found or ['-'])[0]}\n")
        sys.stdout.flush()
    return 1 if missed else 0


def search(
    patch: Callable[[], Patch], seconds: float, most: float = inf
) -> tuple[int, float, list[str]]:
    """Return how many worlds, and seconds of a processor, it took, and what was found."""
    began, worlds = time.process_time(), 0
    while time.process_time() - began < seconds and worlds < most:
        worlds += 1
        world = draw(f"known {worlds}")
        with patch():
            found = violations(world)
        if found and not violations(world):  # and not what is there without the fault
            return worlds, time.process_time() - began, found
    return worlds, time.process_time() - began, []


if __name__ == "__main__":
    sys.exit(main())
