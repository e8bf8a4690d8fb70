"""When requests leave: never over the limits, none too late, none that is not to, none held up."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import ceil, inf

from batch_resend.sending.limiter import RISE
from batch_resend.windows import Window, dictated_time, parse_windows
from tests.worlds.ca import FIRST_ORDER, KEYS, Visit
from tests.worlds.loop import TURN_S
from tests.worlds.run import History, Process
from tests.worlds.spec import STANDING_STILL, How, Kind

_TURN_S = 0.01  # in which a process has surely seen what has come to it


def over_the_limit(history: History) -> Iterator[str]:
    for key in KEYS:
        visits = [v for v in history.ca.visits if v.key == key]
        arrivals = sorted(v.arrived_at for v in visits if v.arrived_at is not None)
        for window in parse_windows(history.world.windows):
            if crowd := _crowd(arrivals, window):
                yield f"3 limit {window}: {crowd[1]} arrivals from {crowd[0]:.6f} s on"


def _crowd(arrivals: Sequence[float], window: Window) -> tuple[float, int] | None:
    for first, last in zip(arrivals, arrivals[window.limit :], strict=False):
        if last - first < window.period_s - 1e-6:
            inside = [at for at in arrivals if first <= at < first + window.period_s]
            return first, len(inside)
    return None


def share_forgotten(history: History) -> Iterator[str]:
    """Check that what a process has learned of others on its key, the next one knows."""
    longest_s = max((w.period_s for w in parse_windows(history.world.windows)), default=0.0)
    if any(start.clock_skew_s for start in history.world.starts):
        return  # by a clock that is wrong, one process takes it for newer than the next one
    known = [process for process in history.processes if process.shares is not None]
    for before, after in pairwise(known):
        assert before.shares is not None
        assert after.shares is not None
        passed_s = after.shares_at - before.shares_at
        if longest_s and not after.is_second and not before.is_second:
            most = before.shares[1] + RISE * passed_s / longest_s + 1e-6
            is_written = not any("disk" in blow for blow in before.struck)
            if after.shares[0] > most and is_written and not stood_still(before):
                yield f"3 share: {before.shares[1]:.2f} was known, {after.shares[0]:.2f} is taken"


def left_too_late(history: History) -> Iterator[str]:
    """Check that no request leaves whose time is over: nobody would wait for its answer."""
    for process in history.processes:
        for at in process.left_late:
            yield f"5 doubt without need: a request of process {process.number} left at {at:.3f} s"


def in_doubt_without_need(history: History) -> Iterator[str]:
    """Check that what broke is not used again: connections of one age break together."""
    for process, key in product(history.processes, KEYS):
        # Each key has connections of its own.
        visits = [v for v in history.ca.visits if (v.process, v.key) == (process.number, key)]
        # What was given up before it broke is closed by then, and was a loss in that moment.
        broke_at = [min(v.broke_at, v.given_up_at or inf) for v in visits if v.broke_at is not None]
        # One that was frozen sees later what has come; one that is dead sees nothing.
        if not broke_at or process.crashed or stood_still(process):
            continue
        for visit in visits:
            losses = (at for at in broke_at if at + _TURN_S < visit.left_at)
            if visit.made_at is not None and visit.made_at < max(losses, default=-inf):
                yield (
                    f"5 doubt without need: order {visit.order_id} left at {visit.left_at:.3f} s "
                    "on a connection that was there before a loss"
                )


def after_a_refused_key(history: History) -> Iterator[str]:
    for process in history.processes:
        for key in KEYS:
            of_key = (process.number, key)
            visits = [v for v in history.ca.visits if (v.process, v.key) == of_key]
            known = [v.heard_at for v in visits if v.says_key_is_refused and v.heard_at is not None]
            later = [v for v in visits if v.left_at > min(known, default=inf) + _TURN_S]
            if later:
                yield f"9 key: {len(later)} requests left after the key was refused"


def after_an_interruption(history: History) -> Iterator[str]:
    """Check that nothing more leaves, and that only what is in flight is waited for."""
    world = history.world
    for process in history.processes:
        ordered_at = process.cancelled_at or process.interrupted_at
        if ordered_at is None or process.crashed or stood_still(process):
            continue
        later = [
            v
            for v in history.ca.visits
            if v.process == process.number and v.left_at > ordered_at + _TURN_S
        ]
        is_by_order = process.cancelled_at or process.stop_reason == "interrupted"
        if is_by_order and later:
            yield f"6 signal: {len(later)} requests left after the interruption"
        reads_s = inf if world.verify or world.preflight else 1.0
        commits_s = 0.3 + 3 * world.latency_s[1]
        if process.ended_at > ordered_at + world.timeout_s + reads_s + commits_s:
            yield f"6 signal: it took {process.ended_at - ordered_at:.1f} s to end"


def slower_than_needed(history: History) -> Iterator[str]:
    """Check the time that a run takes of which neither network, CA nor host disturbs anything."""
    world, visits = history.world, history.ca.visits
    reads = world.verify or world.preflight
    is_other = bool(world.approved or world.sick or world.accounts)
    is_other |= world.starts[0].how in (How.SWEEP, How.EXPORTED, How.DAMAGED)
    if reads or world.troubles or any(s.strikes for s in world.starts) or is_other:
        return
    of_first = [v for v in visits if v.process == 1 and v.heard_at is not None]
    if not of_first:
        return
    # A slot comes free W after its answer, and an answer takes both ways, behind a new connection.
    answers_s = 4 * world.latency_s[1] + 0.08  # and two commits
    windows = [
        Window(window.limit, window.period_s + answers_s) for window in parse_windows(world.windows)
    ]
    # A run opens with one request alone.
    in_turn = (1 + ceil((len(of_first) - 1) / world.concurrency)) * answers_s
    most_s = 1.02 * dictated_time(len(of_first), windows) + in_turn + 0.5
    took_s = max(v.heard_at or 0.0 for v in of_first) - min(v.left_at for v in of_first)
    if took_s > most_s:
        yield f"4 slow: {len(of_first)} requests took {took_s:.2f} s, and need {most_s:.2f}"


def held_up(history: History) -> Iterator[str]:
    """Check that an order that is bad holds no other up, once the CA is well."""
    world = history.world
    sick = {str(FIRST_ORDER + number) for number in world.sick}
    limits = (Kind.RATE_LIMITED, Kind.KEY_SHARED)
    if not sick or any(trouble.kind in limits for trouble in world.troubles):
        return
    for process in history.processes:
        visits = [v for v in history.ca.visits if v.process == process.number]
        good = [v.left_at for v in visits if v.order_id and v.order_id not in sick]
        if process.struck or not good:
            continue
        well_at = max(process.began_at, world.calm_at)
        needs_s = dictated_time(len(visits), parse_windows(world.windows))
        # A pause, or an order's own wait, lasts a minute at most, behind what is in flight. Where
        # all have failed, a bad order may be the one mail that probes between two canaries.
        most_s = needs_s + 2 * 61.0 + world.timeout_s + len(visits) * (4 * world.latency_s[1] + 0.1)
        if any(start.clock_skew_s for start in world.starts):
            # What ended later than now, by a clock that was ahead, counts as what ends now: for
            # the reads before sending, and for sending.
            most_s += 2 * max((w.period_s for w in parse_windows(world.windows)), default=0.0)
        if max(good) > well_at + most_s:
            yield f"8 held up: the CA was well at {well_at:.1f} s, a mail left at {max(good):.1f} s"


def stood_still(process: Process) -> bool:
    return any(blow.partition("@")[0] in STANDING_STILL for blow in process.struck)


def left_as_it_woke(history: History, visit: Visit) -> bool:
    """Whether its process stood still between its last look and its first byte.

    Under Python 3.11 a turn of the loop lies between the two; under later ones, an instant.
    """
    woke_at = history.processes[visit.process - 1].woke_at
    return any(0 <= visit.left_at - at < 5 * TURN_S for at in woke_at)
