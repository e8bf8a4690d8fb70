"""What always holds, checked on a world's books: those of the CA, of the journal, of the reports.

The numbers are those of the invariants that the maintainers' page names. Each check returns what is
wrong in one line, for people; an empty list is a world in which all held.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import inf

from batch_resend.journal.runs import CUT_OFF
from batch_resend.model import Outcome, Request, RequestStatus, RunState, SkipReason
from tests.worlds.ca import Asked, Visit, key_of_account
from tests.worlds.departures import (
    after_a_refused_key,
    after_an_interruption,
    held_up,
    in_doubt_without_need,
    left_as_it_woke,
    left_too_late,
    over_the_limit,
    share_forgotten,
    slower_than_needed,
    stood_still,
)
from tests.worlds.run import History, Process
from tests.worlds.spec import How, Kind

_SETTLED = (RequestStatus.SENT, RequestStatus.SKIPPED)
_SKIPPED_BY_US = {*SkipReason} - {SkipReason.PREFLIGHT}


def check(history: History) -> list[str]:
    """Return what is wrong; each line begins with the invariant that it breaks."""
    found = [
        *common(history),
        *over_the_limit(history),
        *_unwritten(history),
        *_left_open(history),
        *share_forgotten(history),
        *_swept_too_soon(history),
        *lost(history),
        *after_a_refused_key(history),
        *slower_than_needed(history),
        *held_up(history),
        *after_an_interruption(history),
    ]
    if not history.ended:
        last = history.processes[-1]
        found.append(
            f"8 no healthy end: {last.state} {last.stop_reason or last.error or ''}, "
            f"{_statuses(history, last)}"
        )
    return found


def common(history: History) -> Iterator[str]:
    """Check what always holds in worlds with several hosts, too."""
    yield from _wider_than_asked(history)
    yield from _rows_unaccounted(history)
    yield from _mailed_twice(history)
    yield from _deaf(history)
    yield from in_doubt_without_need(history)
    yield from left_too_late(history)
    yield from _crashes(history)


def _asked_by(request: Request) -> Asked:
    entries = tuple(sorted((entry.domain, entry.email) for entry in request.entries))
    return key_of_account(request.account), request.subject, entries


def _mails(history: History) -> dict[Asked, list[Visit]]:
    mails = defaultdict(list)
    for visit in history.ca.visits:
        if visit.mailed:
            mails[visit.asked].append(visit)
    return mails


def _wider_than_asked(history: History) -> Iterator[str]:
    # A damaged list may ask for less, or, where its accounts are lost, by a key that has no such
    # order. Whatever is sent of it, a later start may carry on.
    is_damaged = any(start.how is How.DAMAGED for start in history.world.starts)
    whole: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for _, order_id, entries in history.asked_for:
        whole[order_id] |= set(entries)
    for visit in history.ca.visits:
        if visit.order_id is None or visit.asked in history.asked_for:
            continue
        key, order_id, entries = visit.asked
        if not (is_damaged and entries and set(entries) <= whole[order_id]):
            yield f"1 wider: order {order_id} was asked for {entries} by {key}"


def _rows_unaccounted(history: History) -> Iterator[str]:
    last = {p.run.id: p for p in history.processes if p.run is not None and p.has_planned}
    for process in history.processes:
        if process.run is None or process.rows_read is None:
            continue
        results = history.results[process.run.id]
        places = (source[:2] for result in results for source in result.sources)
        sources = Counter(places)
        if process.rows is None:  # damaged: it can have any number
            continue
        rows = len(process.rows)
        if process.has_planned and process.rows_read != rows:
            yield f"2 rows: {rows} in the list, {process.rows_read} counted"
        # A run that is planned again, of a list that asks for the same, resumes it.
        if last.get(process.run.id) is process and list(sources.values()) != [1] * rows:
            yield f"2 rows: {rows} in the list, {len(sources)} in requests"
        ids = Counter(result.order.subject for result in results)
        if any(count > 1 for count in ids.values()):
            yield f"7 requests: {ids.most_common(1)} of one order in one run"


def _unwritten(history: History) -> Iterator[str]:
    """Check that each attempt is on disk before it leaves, and ends no earlier than it began."""
    written = Counter(order_id for order_id, *_ in history.attempts)
    left = Counter(visit.order_id for visit in history.ca.visits if visit.order_id)
    for order_id, times in left.items():
        if times > written[order_id]:
            yield f"5 unwritten: order {order_id} left {times} times, of {written[order_id]} begun"
    for order_id, began_at, ended_at, _ in history.attempts:
        if ended_at is not None and ended_at < began_at:
            yield f"3 ages: order {order_id} ended at {ended_at:.3f}, and began at {began_at:.3f}"


def _left_open(history: History) -> Iterator[str]:
    """Check that a process that ends by itself has ended, and counted, all that it began."""
    for process in history.processes:
        if (progress := process.progress) is None or process.crashed or process.error:
            continue
        heard = Counter(outcome.status for _, outcome in process.heard)
        if (
            progress.in_flight
            or Counter(progress.outcomes) != heard
            or progress.done != heard.total()
        ):
            yield f"2 counts: {progress.in_flight} in flight at the end, {progress.outcomes}"
    cut_off = sum(error == CUT_OFF for *_, error in history.attempts)
    if cut_off and not any(
        p.crashed or p.error or p.cancelled_at or any("disk" in blow for blow in p.struck)
        for p in history.processes
    ):
        yield f"6 cut off: {cut_off} attempts, and no process was"


def _mailed_twice(history: History) -> Iterator[str]:
    counted: Counter[Asked] = Counter()
    for results in history.results.values():
        for one in results:
            counted[_asked_by(one.order)] += one.result.possible_duplicates
    for asked, mails in _mails(history).items():
        if history.world.hold and len(mails) > 1:
            yield f"5 hold: order {asked[1]} was mailed {len(mails)} times"
        if len(mails) - 1 > counted[asked]:
            yield (
                f"5 twice: order {asked[1]} was mailed {len(mails)} times, "
                f"{counted[asked]} possible duplicates are reported"
            )
    settled = _acknowledged(history)
    for visit in history.ca.visits:
        is_known = visit.left_at > settled.get(visit.asked, visit.left_at)
        if visit.order_id and is_known and not left_as_it_woke(history, visit):
            yield f"5 again: order {visit.order_id} left at {visit.left_at:.3f} s, once more"


def _acknowledged(history: History) -> dict[Asked, float]:
    """Return since when what was asked for is known to be mailed; no world lasts a cooldown."""
    since: dict[Asked, float] = {}
    for process in history.processes:
        for at, outcome in process.heard:
            if outcome.status is RequestStatus.SENT:
                asked = _asked_by(outcome.request)
                since[asked] = min(at, since.get(asked, at))
    return since


def _swept_too_soon(history: History) -> Iterator[str]:
    """Check that a sweep finds no order due of which any mail was acknowledged."""
    known: dict[tuple[str, str], float] = {}
    for (key, order_id, _), at in _acknowledged(history).items():
        known[key, order_id] = min(at, known.get((key, order_id), at))
    for process in history.processes:
        if process.start.how is not How.SWEEP or process.plan is None or process.plan.taken_up:
            continue
        for visit in history.ca.visits:
            if visit.process != process.number or not visit.order_id or visit.asked[2]:
                continue
            if known.get((visit.key, visit.order_id), inf) < process.began_at:
                yield f"5 sweep: order {visit.order_id} is mailed again within the cooldown"


def _deaf(history: History) -> Iterator[str]:
    """Check that an acknowledgement counts that lay in the buffer well before the timeout."""
    undisturbed = {
        p.number: p for p in history.processes
        if p.crashed is None and p.error is None and not any("disk" in s for s in p.struck)
        and sum("cancel" in s for s in p.struck) < 2  # then nothing is waited for, as by a signal
    }  # fmt: skip
    is_late = any(trouble.kind is Kind.CONNECT_LATE for trouble in history.world.troubles)
    for visit in history.ca.visits:
        if visit.brought_at is None or not visit.mailed or visit.process not in undisturbed:
            continue
        # A reset takes with it what was not read; a connection may close behind its answer.
        of_others = (Kind.STALE_CONNECTION, Kind.GATEWAY_504, Kind.EXTRA_BYTES)
        if visit.trouble in of_others or visit.follows_junk:
            continue
        # To connect took most of its time, or it stood still meanwhile.
        process = undisturbed[visit.process]
        is_slow = stood_still(process) or (visit.made_at is None and is_late)
        if is_slow and visit.brought_at > (visit.given_up_at or inf):
            continue
        in_time = visit.brought_at < visit.left_at + 0.5 * history.world.timeout_s
        again = any(
            v.left_at > visit.brought_at and v.asked == visit.asked
            for v in history.ca.visits if v.order_id and not left_as_it_woke(history, v)
        )  # fmt: skip
        if in_time and again:
            yield f"5 deaf: order {visit.order_id} left again, its acknowledgement had come in time"
        ends = [o for at, o in process.heard if at >= visit.brought_at and _is_of(o, visit)]
        became = {outcome.status for outcome in ends}
        if in_time and not became <= {RequestStatus.SENT}:
            yield f"5 deaf: order {visit.order_id} ends as {became}, its acknowledgement had come"


def _is_of(outcome: Outcome, visit: Visit) -> bool:
    return _asked_by(outcome.request) == visit.asked


def lost(history: History) -> Iterator[str]:
    """Check that no run says sent, or refused, of what the CA did not; and none forgets."""
    mails = _mails(history)
    by_any_key = {asked[1:] for asked in mails}
    for run, results in history.results.items():
        of_run = history.processes_of(run)
        refused = {v.order_id for v in _visits_of(history, of_run) if v.refuses}
        for one in results:
            order_id, status = one.order.subject, one.result.status
            asked = _asked_by(one.order)
            # That there is nothing to mail.
            by_the_ca = one.result.error_code not in (None, *_SKIPPED_BY_US)
            if status in _SETTLED and not by_the_ca and asked[1:] not in by_any_key:
                yield f"6 lost: run {run} says {status} of order {order_id}, never mailed"
            if status is RequestStatus.REFUSED and order_id not in refused:
                yield f"10 refused: run {run} says so of order {order_id}; the CA did not"
            mailed = any(v.process in of_run for v in mails.get(asked, ()))
            is_limited = status is RequestStatus.FAILED and one.result.http_status == 429
            if is_limited and of_run and not _have_others_passed(history, of_run, order_id):
                yield f"8 back-pressure: run {run} says failed of order {order_id}, by a 429"
            if status is RequestStatus.FAILED and mailed:
                yield f"5 doubt: run {run} says failed of order {order_id}, which was mailed"


def _visits_of(history: History, processes: set[int]) -> list[Visit]:
    """Return the visits of some processes; of none, all: nobody can say whose they were."""
    return [v for v in history.ca.visits if not processes or v.process in processes]


def _have_others_passed(history: History, processes: set[int], order_id: str) -> bool:
    """Whether others did since an order's first 429: then it is its own affair (guarantees.md)."""
    visits = [v for v in history.ca.visits if v.process in processes]
    limited_at = min(
        (v.left_at for v in visits if v.order_id == order_id and v.is_429), default=inf
    )
    others = (v for v in visits if v.order_id != order_id and v.answer and not v.is_429)
    return any(v.left_at > limited_at for v in others)


def _crashes(history: History) -> Iterator[str]:
    """Check that what was in flight at a crash is in doubt afterwards, not forgotten."""
    for process in history.processes:
        ended = process.state is not None or process.crashed is not None
        ended |= process.cancelled_at is not None
        if not ended and process.error is None:
            yield f"2 process {process.number} ended with neither a state nor an error"
        if process.state is RunState.COMPLETED and process.run is not None:
            statuses = _statuses(history, process)
            if statuses.get(RequestStatus.NOT_ATTEMPTED):
                yield f"2 run {process.run.id} is complete, and has orders not attempted"


def _statuses(history: History, process: Process) -> Counter[RequestStatus]:
    if process.run is None:
        return Counter()
    return Counter(one.result.status for one in history.results.get(process.run.id, ()))
