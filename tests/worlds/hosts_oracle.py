"""What always holds in worlds with several hosts; how such worlds are explored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any

from batch_resend.cluster.slots import NEW_S
from batch_resend.sending.limiter import RISE
from batch_resend.windows import parse_windows
from tests.postgres import postgres_server
from tests.worlds import oracle
from tests.worlds.ca import Visit
from tests.worlds.database import DatabaseKind
from tests.worlds.departures import over_the_limit
from tests.worlds.explore import Explorer
from tests.worlds.hosts import HostsWorld, draw_hosts, smaller
from tests.worlds.hosts_run import SharedHistory, run_hosts
from tests.worlds.run import Process
from tests.worlds.server import PreparedServer, prepared
from tests.worlds.spec import Blow


@contextmanager
def several_hosts() -> Iterator[Explorer[HostsWorld]]:
    """Return what explores worlds with several hosts, at a server of its own."""
    with postgres_server() as made, prepared(made.database) as server:
        yield explorer_at(server)


def explorer_at(server: PreparedServer) -> Explorer[HostsWorld]:
    """Return what explores worlds with several hosts at a server."""
    run = partial(run_hosts, server=server)
    command = "make worlds HOSTS=1"
    return Explorer(command, draw_hosts, HostsWorld.from_json, smaller, run, check, states=("",))


def check(history: SharedHistory) -> list[str]:
    """Return what is wrong; each line begins with the invariant that it breaks."""
    found = [
        *oracle.common(history),
        *(() if _is_clock_set_unseen(history) else over_the_limit(history)),
        *_share_forgotten(history),
        *_two_at_once(history),
        *oracle.lost(_of_their_own(history)),
    ]
    if not history.ended:
        last = history.processes[-1]
        found.append(f"8 no healthy end: {last.state} {last.stop_reason or last.error or ''}")
    return found


def _of_their_own(history: SharedHistory) -> SharedHistory:
    """Leave out of the results what runs have left to others, which were sending it."""
    results = {
        run: [one for one in found if "which is under way" not in (one.result.error_message or "")]
        for run, found in history.results.items()
    }
    return replace(history, results=results)


def _is_clock_set_unseen(history: SharedHistory) -> bool:
    """Whether the database's clock was set while nobody was sending: docs/limitations.md."""
    for trouble in history.hosts.database:
        at = trouble.since_s
        before = {process for asked, *_, process in history.shares if asked < at - NEW_S}
        after = {process for _, heard, *_, process in history.shares if heard > at}
        if trouble.kind is DatabaseKind.CLOCK_SET and not before & after:
            return True
    return False


def _share_forgotten(history: SharedHistory) -> Iterator[str]:
    """Check that the share of a key rises as slowly as it is to, whichever hosts come and go."""
    longest_s = max((w.period_s for w in parse_windows(history.world.windows)), default=0.0)
    if any(t.kind is DatabaseKind.CLOCK_SET for t in history.hosts.database):
        return
    for budget in {budget for _, _, budget, *_ in history.shares}:
        grants = [grant for grant in history.shares if grant[2] == budget]
        for before, after in pairwise(grants):
            most = before[3] + RISE * (after[1] - before[0]) / longest_s + 1e-6
            if before[1] <= after[0] and after[3] > most:
                yield f"3 share: {before[3]:.2f} was known, {after[3]:.2f} is taken"


def _two_at_once(history: SharedHistory) -> Iterator[str]:
    """Check that no two processes that keep their sessions have one request on its way at once."""
    keep = {p.number: p for p in history.processes if _keeps_its_session(history, p)}
    mails: dict[Any, list[Visit]] = {}
    for visit in history.ca.visits:
        if visit.order_id is None or visit.process not in keep:
            continue
        for other in mails.get(visit.asked, ()):
            ended = min(at or inf for at in (other.heard_at, other.given_up_at, other.broke_at))
            ended = min(ended, keep[other.process].ended_at)
            if other.process != visit.process and visit.left_at < ended:
                yield f"5 two at once: order {visit.order_id} left at {visit.left_at:.3f} s"
        mails.setdefault(visit.asked, []).append(visit)


def _keeps_its_session(history: SharedHistory, process: Process) -> bool:
    """Whether a process has its session for as long as it lives: a frozen one does."""
    sleeps = any(blow.startswith(Blow.SUSPEND) for blow in process.struck)
    is_broken = process.error is not None and {*history.database.met} - {DatabaseKind.SLOW}
    return process.crashed is None and not sleeps and not is_broken
