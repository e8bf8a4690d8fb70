"""The life of a run: begun, taken in hand, settled, sent, cut off, pruned. Within transactions."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf, nextafter

from batch_resend.clock import Clock, timestamp
from batch_resend.errors import JournalBusy
from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.statements import Values, run_of
from batch_resend.model import RequestStatus, Run, SkipReason
from batch_resend.windows import Window

CUT_OFF = "the program ended before an answer was recorded"
# What there is of a run that was only planned, and what there is beyond it of one that was sent.
_OF_SWEEPS = ("sweeps", "stuck")
_OF_PLANS = ("inputs", "rows", "requests", "outcomes", *_OF_SWEEPS)
_OF_SENT_RUNS = ("attempts", "pauses", "checks")


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account at a CA, and what tells the runs that were for it, also by an earlier key."""

    base_url: str
    budgets: Set[str]  # of its keys, as far as they are known
    profile: str | None = None  # its name, where it has one
    waiting: Set[str] = frozenset()  # the numbers of its orders that wait

    @property
    def values(self) -> dict[str, object]:
        """What the journal's statements take of it."""
        return {
            "base_url": self.base_url,
            "budgets": [*self.budgets],
            "profile": self.profile or "",
            "waiting": [*self.waiting],
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a run is sent."""

    windows: Sequence[Window]
    settings: Mapping[str, object] = field(default_factory=dict)  # for reports; no secret
    budgets: Mapping[str | None, str] = field(default_factory=dict)  # whose windows, by account
    cooldown_s: float = 0.0
    hold_doubts: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten, or would be."""

    runs: tuple[Run, ...]
    rows_of: tuple[int, ...]  # each

    @property
    def rows(self) -> int:
        """How many rows they have in all."""
        return sum(self.rows_of)


def limits_text(windows: Sequence[Window]) -> str:
    """Return windows as the journal has them."""
    return " ".join(map(str, windows))


def clock_values(clock: Clock) -> Values:
    """Return our clock, as statements that compare it with other processes' want it."""
    return {"our_boot": clock.boot, "our_offset_s": clock.offset_s}


# --- begun ------------------------------------------------------------------------------------


def add_start(
    connection: Connection, start: Mapping[str, object], budgets: Mapping[str | None, str]
) -> int:
    """Write down a start, and whose windows each account's requests count in; return its number."""
    number: int = execute(connection, "add_start", **start).value()
    named = [
        {"start": number, "account": name or "", "budget": budget}
        for name, budget in budgets.items()
    ]
    execute_many(connection, "add_budget", named)
    return number


def begin(
    connection: Connection, run: Run, terms: Terms, now: float, distributed_by: int | None
) -> None:
    """Note that a run is being sent; `distributed_by`: the start that leaves it to workers."""
    execute(
        connection,
        "begin_run",
        run=run.number,
        now=now,
        limits=limits_text(terms.windows),
        settings=json.dumps(dict(terms.settings)),
        distributed_by=distributed_by,
    )


# --- in one process's hand ----------------------------------------------------------------------


def claim(connection: Connection, run: Run, session: int) -> None:
    """Take a run in hand. Raises JournalBusy where another process has it."""
    if not execute(connection, "claim_run", run=run.number, session=session).changed:
        raise JournalBusy(
            f"run {run.id} is under way elsewhere: `batch-resend watch {run.id}` follows it"
        )


def take_up_same_plan(
    connection: Connection, run: Run, digest: bytes, since: float, session: int
) -> Run | None:
    """Let the newest unfinished run of the same requests that was at work since then be resumed.

    It has the rows of the new run, which is forgotten. None: there is no such run.
    """
    values = {"digest": digest, "since": since, "session": session}
    found = execute(connection, "same_plan", **values).first()
    if found is None:
        return None
    earlier = run_of(found)
    claim(connection, earlier, session)
    _forget(connection, earlier.number, ("inputs", "rows"))
    for table in ("inputs", "rows"):
        words = (("table", table),)
        execute(connection, "give_to_run", words, run=run.number, earlier=earlier.number)
    both = {"run": earlier.number, "new_run": run.number}
    execute(connection, "forget_other_calls", run=earlier.number)
    execute(connection, "take_from_lists", **both)
    execute(connection, "take_accounts", **both)
    execute(connection, "take_url", **both)
    _forget(connection, run.number, ("requests",))
    _forget_runs(connection, [run.number])
    return run_of(execute(connection, "run", id=earlier.id).first())


# --- settled before anything is sent ------------------------------------------------------------


def settled_since(run: Run, cooldown_s: float, now: float) -> float:
    """Return since when what other runs had acknowledged need not be sent.

    What another run has sent since this one was planned is done, however long ago that was. A run
    of lists that a report wrote continues the run of that report: see `Run.done_since`. Without a
    cooldown, this run is to repeat what was sent before it was planned. Who looks at rehearsed days
    may do so before them: it is not earlier than the run.
    """
    if cooldown_s > 0:
        done_since = run.created_at if run.done_since is None else run.done_since
        return min(max(now, run.created_at) - cooldown_s, done_since)
    return nextafter(run.created_at, inf)


def settle(
    connection: Connection, run: Run, since: float, clock: Clock, *, hold_doubts: bool
) -> None:
    """Give their outcome to the requests that are settled already.

    `since`: what other runs had acknowledged from then on is skipped.
    """
    execute(connection, "forget_outcomes", run=run.number)
    execute(connection, "skip_what_lists_say", run=run.number)
    settle_what_others_did(connection, run, since, clock, hold_doubts=hold_doubts)


def settle_what_others_did(
    connection: Connection, run: Run, since: float, clock: Clock, *, hold_doubts: bool
) -> None:
    """Give their outcome to the requests that are settled by what other runs did; see `settle`."""
    recent = {"run": run.number, "since": since, **clock_values(clock)}
    execute(connection, "note_others_doubts", **recent)
    _skip_acknowledged(connection, run, recent)
    if hold_doubts:
        execute(connection, "hold_doubts", run=run.number)


def _skip_acknowledged(connection: Connection, run: Run, recent: Mapping[str, object]) -> None:
    after = 0
    while page := execute(connection, "acknowledged_elsewhere", **recent, after=after):
        write_settled(
            connection,
            run,
            ((r.number, f"sent {timestamp(r.sent_at)} by run {r.id}") for r in page),
            RequestStatus.SKIPPED,
            SkipReason.COOLDOWN,
        )
        after = page[-1].number


def write_settled(
    connection: Connection,
    run: Run,
    reasons: Iterable[tuple[int, str]],
    status: RequestStatus,
    code: str | None = None,
) -> None:
    """Give an outcome to requests, by their numbers, that are not sent, and why."""
    of_all = {"run": run.number, "status": status, "http_status": None, "error_code": code}
    values = [{**of_all, "request": number, "error_message": why} for number, why in reasons]
    execute_many(connection, "settle", values)


# --- cut off --------------------------------------------------------------------------------------


def end_cut_off(connection: Connection, clock: Clock) -> None:
    """End what was cut off: runs, pauses, attempts, reads. Forget the plans that never started."""
    ours = {**clock_values(clock), "now": clock()}
    execute(connection, "end_cut_off_runs")
    execute(connection, "end_cut_off_pauses")
    execute(connection, "end_cut_off_attempts", **ours, message=CUT_OFF)
    execute(connection, "end_cut_off_reads", **ours)
    delete_plans(connection, [number for (number,) in execute(connection, "never_started")])


def delete_plans(connection: Connection, numbers: Sequence[int]) -> None:
    """Forget runs of which nothing was sent, by their numbers."""
    for number in numbers:
        _forget(connection, number, _OF_PLANS)
    _forget_runs(connection, numbers)


def forget_sweep(connection: Connection, number: int) -> None:
    """Forget what a sweep found before a run, by the run's number."""
    _forget(connection, number, _OF_SWEEPS)


def ended_before(connection: Connection, before: float) -> Pruned:
    """Return the runs that ended before a time."""
    runs = tuple(map(run_of, execute(connection, "ended_before", before=before)))
    counts = (execute(connection, "count_rows_of", run=run.number).value() for run in runs)
    return Pruned(runs, tuple(counts))


def prune(connection: Connection, before: float, more: Sequence[str]) -> Pruned:
    """Forget the runs that ended before a time, keeping how often their orders were mailed.

    `more`: what other tables there are of runs, in this journal.
    """
    pruned = ended_before(connection, before)
    numbers = [run.number for run in pruned.runs]
    for number in numbers:
        execute(connection, "keep_mails", run=number)
        _forget(connection, number, (*_OF_PLANS, *_OF_SENT_RUNS, *more))
    _forget_runs(connection, numbers)
    execute(connection, "forget_old_reads", before=before)
    execute(connection, "forget_idle_starts", before=before)
    execute(connection, "forget_idle_budgets")
    return pruned


def _forget(connection: Connection, number: int, tables: Iterable[str]) -> None:
    for table in tables:
        execute(connection, "forget_of_run", (("table", table),), run=number)


def _forget_runs(connection: Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        execute(connection, "forget_run", run=number)
