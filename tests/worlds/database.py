"""The PostgreSQL of a world with several hosts: a real server, asked at moments of the world's.

The server is that of the tests, for what matters here is what it really does: how it locks, what
of a transaction others see, and that a session ends with its connection. A model of that would
show what we take it to do. psycopg runs as it is, too; what is replaced is where it waits for the
server. A question (a statement, a COMMIT, a new connection) leaves, travels, is carried out at one
moment of the world's, and its answer travels back. One that waits for a lock stands there until
whoever has it lets go, which the server itself is asked about. So statements of several hosts fall
between each other as chance has it, inside transactions too, and the same way for the same seed;
inside `take_slots` as well, which a trigger holds between what it counts and what it takes.

The clock that slots are stamped by is the world's: the function `clock_s` reads a file. Nothing
else in the database looks at a clock. The tables are made once, and emptied for each world.

Not real: a restart of the server ends all connections, and refuses new ones for a while; it does
not end the server. What is committed would be there afterwards in any case.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any
from unittest import mock

import psycopg
import psycopg.waiting
from greenlet import getcurrent, greenlet
from psycopg.pq import TransactionStatus

from tests.worlds.loop import Outside
from tests.worlds.server import PreparedServer, Question

KEEPALIVE_S = 25.0  # after which the server gives up a host that is gone without a word
_HELD = 0.2  # of the questions that are no part of a transaction
_GONE = "the connection is lost"


class DatabaseKind(StrEnum):
    """A kind of trouble with the database."""

    SLOW = "slow"  # a share of questions takes its time, there or back
    BREAKS_BEFORE = "breaks_before"  # a share of connections breaks; the question was not heard
    BREAKS_AFTER = "breaks_after"  # it was heard and carried out; the answer is lost
    RESTARTED = "restarted"  # all connections end, and there are none for a while
    UNREACHABLE = "unreachable"  # for one host: its questions wait, until the server gives it up
    CLOCK_SET = "clock_set"  # the database's, for good


@dataclass(frozen=True, slots=True)
class DatabaseTrouble:
    """A time of trouble. Seconds since the world began."""

    kind: DatabaseKind
    since_s: float
    until_s: float
    share: float = 1.0  # of the questions
    host: int = 0  # of which alone
    by_s: float = 0.0  # what a clock is set by


@dataclass(eq=False)
class _Question(Question):
    """One on its way, by a process."""

    loop: Any = field(kw_only=True)
    answered: Callable[[Any, Any], None] = field(kw_only=True)  # with what came, or the error
    is_heard: bool = False  # by the server, or never
    breaks_after: bool = False
    is_over: bool = False


class Thread(greenlet):  # type: ignore[misc]  # it has no types
    """A thread of a process, which stands still while the server is asked."""

    loop: Any

    def wait(self) -> Any:
        """Let others go on, until `resume` says what has come."""
        assert self.parent is not None
        made, error = self.parent.switch()
        if error is not None:
            raise error
        return made

    def resume(self, made: Any, error: BaseException | None) -> None:
        """Go on with what has come, until it waits again or ends."""
        self.parent = getcurrent()
        self.switch((made, error))


@dataclass(eq=False)
class WorldDatabase:
    """The server as the processes of one world reach it."""

    server: PreparedServer
    seed: str
    outside: Outside
    epoch_s: float
    troubles: tuple[DatabaseTrouble, ...] = ()
    met: list[DatabaseKind] = field(default_factory=list)
    calm: bool = False

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed}/database")
        self._under_way: dict[_Question, None] = {}
        self._blocked: list[_Question] = []
        self._open: dict[int, Any] = {}  # by process of the server: whose connection that is
        self._left_open: list[Any] = []  # by processes that are dead
        self._dying: list[list[int]] = []  # connections of which the server is about to notice that
        for trouble in self.troubles:
            if trouble.kind is DatabaseKind.RESTARTED:
                self.outside.at(trouble.since_s, self._restart)
            elif trouble.kind is DatabaseKind.UNREACHABLE:
                gives_up_at = trouble.since_s + KEEPALIVE_S
                if gives_up_at < trouble.until_s:
                    self.outside.at(gives_up_at, partial(self.give_up, trouble.host))

    # --- how things are -----------------------------------------------------------------------

    @property
    def is_refusing(self) -> bool:
        """Whether it is being started again."""
        return self._now(DatabaseKind.RESTARTED) is not None

    def _now(self, kind: DatabaseKind, host: int | None = None) -> DatabaseTrouble | None:
        now = self.outside.now
        for one in self.troubles:
            is_here = host is None or one.host == host
            if one.kind is kind and one.since_s <= now < one.until_s and is_here and not self.calm:
                return one
        return None

    def _strikes(self, kind: DatabaseKind) -> bool:
        trouble = self._now(kind)
        if trouble is None or self._dice.random() >= trouble.share:
            return False
        self.met.append(kind)
        return True

    def _clock_s(self) -> float:
        now, set_ = self.outside.now, DatabaseKind.CLOCK_SET
        by_s = sum(t.by_s for t in self.troubles if t.kind is set_ and t.since_s <= now)
        return self.epoch_s + now + by_s

    def _travel_s(self, host: int) -> float:
        took_s = self._dice.choice((5e-5, 5e-5, 2e-4, 1e-3, 1e-2))
        if self._strikes(DatabaseKind.SLOW):
            took_s += self._dice.choice((0.05, 0.5, 4.0))
        if cut := self._now(DatabaseKind.UNREACHABLE, host):
            self.met.append(cut.kind)
            took_s += cut.until_s - self.outside.now
        return took_s

    # --- questions ----------------------------------------------------------------------------

    def ask(self, loop: Any, connection: Any, gen: Any, answered: Callable[..., None]) -> None:
        """Ask the server something for a process; `answered` is called when it hears of it."""
        question = _Question(connection, gen, loop=loop, answered=answered)
        self._under_way[question] = None
        self.outside.after(self._travel_s(loop.host), partial(self._arrive, question))

    def _arrive(self, question: _Question) -> None:
        """Have the server carry out what has come to it."""
        if question.is_heard or question.is_over:
            return
        question.is_heard = True
        if self._dying and _is_in_transaction(question.connection) and self._dice.random() < 0.15:
            self._end_dying(self._dying[0])
        if question.connection is None and self.is_refusing:
            question.error = psycopg.OperationalError("connection refused: is the server running?")
            self._send_back(question)
            return
        if question.connection is not None and self._strikes(DatabaseKind.BREAKS_BEFORE):
            self._end([question.connection.pgconn.backend_pid])
        question.breaks_after = self._strikes(DatabaseKind.BREAKS_AFTER)
        is_by_itself = question.connection and not _is_in_transaction(question.connection)
        if is_by_itself and self._dice.random() < _HELD:
            self._hold(question.connection.pgconn.backend_pid)
        self._carry_on(question)
        if not _is_in_transaction(question.connection):
            self._carry_on_blocked()

    def _carry_on(self, question: _Question) -> None:
        self.server.show_time(self._clock_s())
        if not question.carry_on(self.server.is_blocked):
            self._blocked.append(question)
            return
        if question.connection is None and question.error is None:
            self._open[question.made.pgconn.backend_pid] = question.loop
        elif question.breaks_after and question.connection is not None:
            self._end([question.connection.pgconn.backend_pid])
            question.lose_answer()
        self._send_back(question)

    def _hold(self, pid: int) -> None:
        """Have a question stand still where it is about to take slots, with the locks it has."""

        def let_go() -> None:
            self.server.let_go(pid)
            self._carry_on_blocked()

        self.server.hold(pid)
        self.outside.after(self._dice.choice((1e-3, 0.03, 0.3)), let_go)

    def _carry_on_blocked(self) -> None:
        """Let those go on who waited for a lock that is free now."""
        waited, self._blocked = self._blocked, []
        for question in waited:
            self._carry_on(question)
        if len(self._blocked) < len(waited):
            self._carry_on_blocked()  # what they let go

    def _send_back(self, question: _Question) -> None:
        answer = partial(self._answer, question)
        back_s = self._travel_s(question.loop.host)
        self.outside.after(back_s, answer, of_process=question.loop)

    def _answer(self, question: _Question) -> None:
        if not question.is_over:
            question.is_over = True
            self._under_way.pop(question, None)
            question.answered(question.made, question.error)

    # --- ends ---------------------------------------------------------------------------------

    def _restart(self) -> None:
        if not self.calm:
            self.met.append(DatabaseKind.RESTARTED)
            self._end(list(self._open))
            self._carry_on_blocked()

    def give_up(self, host: int) -> None:
        """End the sessions of a host that gives no sign of life."""
        self._end([pid for pid, loop in self._open.items() if loop.host == host])
        self._carry_on_blocked()

    def lose_host(self, loop: Any, after_s: float) -> None:
        """Note that a process is gone: its connections end now, or after a while."""
        for question in list(self._under_way):
            # What it had asked a moment before may still be heard.
            if question.loop is loop and not question.is_heard:
                if question.connection is not None and self._dice.random() < 0.5:
                    self._arrive(question)
                question.is_heard = True
        pids = [pid for pid, of in self._open.items() if of is loop]
        if not pids:
            return
        self.outside.after(after_s, partial(self._dying.append, pids))
        # At the latest: sooner, if there is a transaction of others for it to fall into.
        self.outside.after(0.5 + 1.2 * after_s, partial(self._end_dying, pids))

    def _end_dying(self, pids: list[int]) -> None:
        if pids in self._dying:
            self._dying.remove(pids)
            self._end(pids)
            self._carry_on_blocked()

    def unwind(self, loop: Any) -> None:
        """Let what a dead process waits for fail."""
        self._blocked = [q for q in self._blocked if q.loop is not loop]
        for question in [q for q in self._under_way if q.loop is loop]:
            question.error = psycopg.OperationalError(_GONE)
            self._answer(question)

    def close(self, connection: Any) -> bool:
        """Note that a process closes a connection; return whether it can: a dead one does not."""
        pid = 0 if connection.closed else connection.pgconn.backend_pid
        if getattr(self._open.get(pid), "is_dead", False):
            self._left_open.append(connection)
            return False
        if self._open.pop(pid, None) is not None:
            connection.pgconn.finish()
            self.server.await_end([pid])
            self._carry_on_blocked()
        return True

    def _end(self, pids: list[int]) -> None:
        for pid in pids:
            self._open.pop(pid, None)
        self.server.end(pids)

    def end_all(self) -> None:
        """End what is still open."""
        self._end(list(self._open))
        for connection in self._left_open:
            connection.pgconn.finish()


# --- where psycopg waits --------------------------------------------------------------------------


@contextmanager
def asked_in_the_world(database: WorldDatabase) -> Iterator[None]:
    """Have what processes of the world ask go through it, for as long as the block lasts."""

    def in_thread(gen: Any, connection: Any = None) -> Any:
        thread = getcurrent()
        assert isinstance(thread, Thread)
        _refuse_the_dead(thread.loop)
        if _is_done_at_once(gen):
            return psycopg.waiting.wait(gen, -1)
        database.ask(thread.loop, connection, gen, thread.resume)
        return thread.wait()

    def of_world() -> bool:
        return isinstance(getcurrent(), Thread)

    real_wait, real_close = psycopg.Connection.wait, psycopg.Connection.close
    real_wait_conn = psycopg.waiting.wait_conn

    def wait(own: Any, gen: Any, *rest: Any, **options: Any) -> Any:
        if not of_world():
            return real_wait(own, gen, *rest, **options)
        return in_thread(gen, own)

    def wait_conn(gen: Any, *rest: Any, **options: Any) -> Any:
        return in_thread(gen) if of_world() else real_wait_conn(gen, *rest, **options)

    def close(own: Any) -> None:
        if database.close(own):
            real_close(own)

    with ExitStack() as stack:
        for owner, name, instead in (
            (psycopg.Connection, "wait", wait),
            (psycopg.Connection, "close", close),
            (psycopg.waiting, "wait_conn", wait_conn),
        ):
            stack.enter_context(mock.patch.object(owner, name, instead))
        yield


def _is_in_transaction(connection: Any) -> bool:
    """Whether a connection, if there is one, is inside a transaction."""
    status = TransactionStatus.IDLE if connection is None else connection.pgconn.transaction_status
    return bool(status != TransactionStatus.IDLE)


def _is_done_at_once(gen: Any) -> bool:
    """Whether something does not come to the server at all."""
    name = getattr(gen, "__name__", "")
    return name.startswith("_set_") and name.endswith("_gen")


def _refuse_the_dead(loop: Any) -> None:
    if loop.is_dead:
        raise psycopg.OperationalError(_GONE)
