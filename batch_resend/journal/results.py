"""What came of a run, in rows and in numbers; where it stands; and one order over all runs.

Everything is streamed or counted by the database; nothing here holds a run in memory.
"""

import json
import re
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from operator import attrgetter
from typing import Any, NamedTuple

from batch_resend.clock import Clock
from batch_resend.journal.database import Reader
from batch_resend.journal.statements import (
    Record,
    decode_call,
    decode_entries,
    decode_form,
    decode_kept,
    decode_request,
)
from batch_resend.model import Call, Entry, RequestStatus, RowStatus, Ruling, Run, SkipReason
from batch_resend.results import (
    InputNote,
    PartCount,
    ProductCount,
    RequestResult,
    Result,
    RowResult,
    Source,
    Tally,
)

# To look a member up takes a fifth of the time of calling its enum, for every row there is.
_ROW_STATUSES = {status.value: status for status in RowStatus}
_REQUEST_STATUSES = {status.value: status for status in RequestStatus}
# By place, a third of the time of by name: the columns of a row come before those of its result;
# those of its source and of its request do so where a request is looked for.
_OF_ROW = 11
_OF_SOURCE = 3
_TO_RESULT = 8

RATE_OVER_S = 10.0  # how far back the rate of now reaches


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt for an order; a run that made none, and why; or a row that asked for nothing."""

    run_id: str
    base_url: str
    order_id: str | None  # or the domain that a call is about; None: its row was not understood
    locale: str | None
    entries: tuple[Entry, ...]
    call: Call
    account: str | None
    attempt: int | None  # None: the run made none
    begun_at: float | None
    ended_at: float | None
    ruling: Ruling | None  # None: no answer is recorded yet
    http_status: int | None
    error_code: str | None
    message: str | None
    # Of the order in that run; as long as it has none, what is known of it. Or of the row.
    outcome: RequestStatus | RowStatus
    input: str | None  # where the row is: its list,
    line: int | None


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """How long answers took, in seconds, from when their attempts were written down."""

    answers: int
    median_s: float
    p95_s: float
    longest_s: float
    counts: tuple[int, ...]  # up to each bound, the last one beyond all


@dataclass(frozen=True, slots=True)
class ActivePeriod:
    """A time in which a run was at work, from the first sign of it to the last: a start of it."""

    start: int
    from_at: float
    to_at: float
    limits: tuple[str, ...]


class MadeInStep(NamedTuple):
    """The attempts that began in one step of a period."""

    step: int
    made: int
    troubled: int  # that brought neither yes nor no: 429, 5xx, a lost connection


@dataclass(frozen=True, slots=True)
class PauseNote:
    """A pause of a run. Its end is that of the run where nothing else is known."""

    began_at: float
    ended_at: float | None  # None: it was cut off, nobody knows when
    until_at: float | None
    reason: str
    share: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why orders were not sent: status, the last answer or `SkipReason`, one of its messages."""

    status: RequestStatus
    http_status: int | None
    error_code: str | None
    message: str | None
    messages: int  # different ones; that one is the first in the alphabet
    orders: int


@dataclass(frozen=True, slots=True)
class Pausing:
    """A pause that lasts."""

    reason: str
    left_s: float | None  # until the next request is to leave, as far as is known


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Where a run stands. Times are those of the process that sends it."""

    outcomes: dict[RequestStatus, int]
    planned: int
    made: int  # attempts of its last start
    retries: int  # of these, at what had been attempted before
    unsettled: dict[int, int]  # answers to these that settled nothing, by HTTP status; 0: none came
    since_start_s: float
    since_last_s: float | None  # since the last of them began
    in_flight: int
    ended_lately: int  # attempts that ended within RATE_OVER_S
    pausing: Pausing | None
    share: float  # of the windows, after the last pause
    share_since_s: float  # how long ago that was


class ResultReader(Reader):
    """Reads what came of runs."""

    async def inputs(self, run: Run) -> list[InputNote]:
        """Return the inputs of a run, in the order they were given."""
        return [
            InputNote(record.name, record.sha256, decode_form(record.form), record.rows)
            for record in await self.fetch("inputs", run=run.number)
        ]

    async def count_orders(self, run: Run) -> int:
        """Return how many orders a run has planned."""
        return await self.count("count_requests", run=run.number)

    async def count_rows(self, run: Run) -> dict[RowStatus, int]:
        """Return what planning made of the rows of a run."""
        found = {RowStatus(s): n for s, n in await self.fetch("count_rows", run=run.number)}
        return {status: found.get(status, 0) for status in RowStatus}

    async def count_outcomes(self, run: Run) -> dict[RequestStatus, int]:
        """Return how many orders of a run have which outcome already."""
        found = await self.fetch("count_outcomes", run=run.number)
        return {RequestStatus(status): n for status, n in found}

    async def tally(self, run: Run) -> Tally:
        """Count a run."""
        by_status = await self.fetch("count_results", run=run.number)
        orders = {RequestStatus(record.status): record.orders for record in by_status}
        counts = ("attempts", "retries", "rate_limited", "possible_duplicates")
        (paused,) = await self.fetch("count_pauses", run=run.number)
        return Tally(
            rows=await self.count_rows(run),
            planned=await self.count_orders(run),
            orders={status: orders.get(status, 0) for status in RequestStatus},
            **{name: sum(getattr(record, name) for record in by_status) for name in counts},
            **paused._asdict(),
        )

    def rows_in_list_order(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield every row of a run, as the lists had them."""
        return self.stream("rows_in_list_order", row_result, run=run.number)

    def rows_not_sent(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rows of requests neither sent nor skipped, as the lists had them."""
        return self.stream("rows_not_sent", row_result, "any_not_sent", run=run.number)

    def rejected_rows(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rejected rows of a run, as the lists had them."""
        return self.stream("rejected_rows", row_result, run=run.number)

    def results(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield every request of a run, in the order of the lists."""
        return self._by_request("results_by_request", run)

    def results_not_sent(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the requests neither sent nor skipped."""
        return self._by_request("results_not_sent", run, "any_not_sent")

    def results_skipped(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the skipped requests."""
        return self._by_request("results_skipped", run, "any_skipped")

    async def is_mixed(self, run: Run) -> bool:
        """Return whether any request of a run is another call than dv-resend, or an account's."""
        return bool(await self.fetch("any_other_call_or_account", run=run.number))

    async def names_nobody(self, run: Run) -> bool:
        """Return whether any request of a run leaves it to the CA whom to mail."""
        return bool(await self.fetch("any_without_addresses", run=run.number))

    async def history(self, sought: str) -> list[Event]:
        """Return every attempt ever made for an order, or that named a domain or an e-mail address.

        In all runs, the oldest first; behind those of a run its rejected and duplicate rows. What
        had the CA mail all domains of an order names none. See `mention_of` for `sought`.
        """
        mention = mention_of(sought)
        # A character that stands for others finds more, which the mention excludes.
        somewhere = f"%{sought.rpartition('@')[2].lower()}%"
        if is_number := sought.isdecimal():
            found = [*await self.fetch("history_of_order", order_id=sought)]
        else:
            named = await self.fetch("history_of_name", somewhere=somewhere)
            found = [one for one in named if mention.search(f"{one.order_id} {one.entries}")]
        for row in await self.fetch("history_of_rows", somewhere=somewhere):
            is_known = is_number and row.order_id is not None
            text = row.order_id if is_known else f"{row.order_id} {row.entries} {row.raw}"
            if mention.search(text):
                found.append(row)
        return [_event(record) for record in sorted(found, key=attrgetter("number"))]

    async def _by_request(
        self, name: str, run: Run, if_any: str | None = None
    ) -> AsyncGenerator[RequestResult, None]:
        """Yield a request for all its rows, which come together."""
        of_one: Sequence[Any] = ()
        sources: list[Source] = []
        async with aclosing(self.stream(name, tuple, if_any, run=run.number)) as records:
            async for record in records:
                if of_one and of_one[_TO_RESULT] != record[_TO_RESULT]:  # the request's number
                    yield _request_result(of_one, sources)
                    sources = []
                of_one = record
                ordinal, line, kept = record[:_OF_SOURCE]
                sources.append(Source(ordinal, line, decode_kept(kept)))
        if of_one:
            yield _request_result(of_one, sources)


class StatisticsReader(Reader):
    """Reads what there is to say of a whole run, without disturbing the process that sends it."""

    async def periods(self, run: Run) -> list[ActivePeriod]:
        """Return when the run was at work: from when to when each start of it made requests."""
        return [
            ActivePeriod(start, from_at, to_at, tuple(limits.split()))
            for start, from_at, to_at, limits in await self.fetch("periods", run=run.number)
        ]

    async def between_starts_s(self, run: Run) -> float:
        """Return for how many seconds nothing sent a run between its starts.

        0 of one that workers send: each of them has starts of its own.
        """
        if run.distributed_by is not None:
            return 0.0
        ((seconds,),) = await self.fetch("between_starts", run=run.number)
        return float(seconds)

    async def pace(self, run: Run, period: ActivePeriod, step_s: float) -> list[MadeInStep]:
        """Return how many attempts began in which step of a period, those with none left out."""
        of = {"run": run.number, "start": period.start, "from_at": period.from_at}
        return [MadeInStep(*record) for record in await self.fetch("pace", **of, step_s=step_s)]

    async def answer_times(self, run: Run, bounds_s: Sequence[float]) -> AnswerTimes | None:
        """Return how long answers took, counted between ascending bounds; None without answers."""
        answers = await self.count("count_answers", run=run.number)
        if not answers:
            return None

        async def nth_s(nth: int) -> float:  # the quickest being the first
            ((took_s,),) = await self.fetch("nth_answer", run=run.number, before=nth - 1)
            return float(took_s)

        whens = (f"WHEN ended_at - begun_at <= {b!r} THEN {n}" for n, b in enumerate(bounds_s))
        words = (("bounds", " ".join((*whens, f"ELSE {len(bounds_s)}"))),)
        found: dict[int, int] = dict(
            await self.fetch("count_answers_between", words, run=run.number)
        )
        return AnswerTimes(
            answers,
            await nth_s(ceil(answers * 0.5)),
            await nth_s(ceil(answers * 0.95)),
            await nth_s(answers),
            tuple(found.get(place, 0) for place in range(len(bounds_s) + 1)),
        )

    async def pauses(self, run: Run, limit: int) -> list[PauseNote]:
        """Return the pauses of a run, the first ones first."""
        return [
            PauseNote(began_at, ended_at or run.finished_at, *others)
            for began_at, ended_at, *others in await self.fetch(
                "pauses", run=run.number, most=limit
            )
        ]

    async def count_skipped(self, run: Run) -> dict[SkipReason, int]:
        """Return how many orders of a run were skipped, by why."""
        found = {SkipReason(c): n for c, n in await self.fetch("count_skipped", run=run.number)}
        return {reason: found.get(reason, 0) for reason in SkipReason}

    async def skips(
        self, run: Run, limit: int, only: Collection[SkipReason] = tuple(SkipReason)
    ) -> list[Reason]:
        """Return why orders were skipped, the most frequent first; by run, where one sent them."""
        found = await self.fetch("skips", run=run.number, codes=list(only), most=limit)
        return [_skip(*record) for record in found]

    async def reasons(self, run: Run, limit: int) -> list[Reason]:
        """Return why orders were not sent, the most frequent first."""
        if not await self.fetch("any_not_sent", run=run.number):
            return []
        found = await self.fetch("reasons", run=run.number, most=limit)
        return [Reason(RequestStatus(status), *others) for status, *others in found]

    async def parts(self, run: Run) -> list[PartCount]:
        """Count a run by language, call and account; nothing where all its orders share them."""
        if len(await self.fetch("any_two_parts", run=run.number)) < 2:
            return []
        return [
            PartCount(locale, decode_call(call), account, RequestStatus(status), orders)
            for locale, call, account, status, orders in await self.fetch(
                "count_parts", run=run.number
            )
        ]

    async def products(self, run: Run, limit: int) -> list[ProductCount]:
        """Count a run by product, the most frequent first."""
        found = await self.fetch("count_products", run=run.number, most=limit)
        return [ProductCount(*record) for record in found]

    async def standing(self, run: Run, clock: Clock) -> LiveStatus | None:
        """Return where a run stands; None before its first request may leave."""
        if run.distributed_by is None:
            found = await self.fetch("last_start", run=run.number)
        else:
            found = await self.fetch("start", start=run.distributed_by)
        if not found:
            return None
        start = found[0]
        # As the clock of the process that sends says it, where both count from one boot.
        same_boot = start.boot == clock.boot
        now = clock() + (start.offset_s - clock.offset_s if same_boot else 0.0)
        of = {"run": run.number, "start": start.number}
        by_status = await self.fetch("attempts_since", **of)
        last_at = max((record.last_at for record in by_status), default=None)
        outcomes = await self.fetch("count_outcomes", run=run.number)
        paused = await self.fetch("last_pause", run=run.number)
        pausing = None
        if paused and paused[0].ended_at is None:
            until_at = paused[0].until_at
            left_s = None if until_at is None else max(0.0, until_at - now)
            pausing = Pausing(paused[0].reason, left_s)
        return LiveStatus(
            outcomes={RequestStatus(status): number for status, number in outcomes},
            planned=await self.count("count_requests", run=run.number),
            made=sum(record.made for record in by_status),
            retries=sum(record.retries for record in by_status),
            unsettled={r.http_status: r.unsettled for r in by_status if r.unsettled},
            since_start_s=now - start.began_at,
            since_last_s=None if last_at is None else now - last_at,
            in_flight=sum(record.in_flight for record in by_status),
            ended_lately=await self.count("ended_lately", **of, since=now - RATE_OVER_S),
            pausing=pausing,
            share=paused[0].share if paused else 1.0,
            share_since_s=now - paused[0].share_at if paused else 0.0,
        )


def mention_of(sought: str) -> re.Pattern[str]:
    """Return what finds in a text where it names this: a number, a domain or an e-mail address.

    A domain is also named by its subdomains, and by the addresses at these and at itself.
    """
    before = r"[\w-]" if "@" not in sought and "." in sought else r"[\w.!#$%&'*+/=?^`{|}~-]"
    return re.compile(rf"(?<!{before}){re.escape(sought)}(?!\.?[\w-])", re.IGNORECASE)


def row_result(record: Record) -> RowResult:
    """Return a row as a statement found it, with the columns of its result or without them."""
    ordinal, line, status, order_id, locale, entries, call, account, reason, raw, kept = record[
        :_OF_ROW
    ]
    result = record[_OF_ROW:]
    return RowResult(
        ordinal,
        line,
        _ROW_STATUSES[status],
        order_id,
        locale,
        decode_entries(entries),
        decode_call(call),
        account,
        reason,
        raw,
        decode_kept(kept),
        _result(*result) if result and result[0] is not None else None,
    )


def _request_result(record: Sequence[Any], sources: Sequence[Source]) -> RequestResult:
    request, result = record[_OF_SOURCE:_TO_RESULT], record[_TO_RESULT:]
    return RequestResult(decode_request(*request), _result(*result), tuple(sources))


def _result(number: int, status: str, *others: Any) -> Result:
    return Result(number, _REQUEST_STATUSES[status], *others)


def _skip(code: str, what: str, first_at: str, last_at: str, orders: int) -> Reason:
    message = what
    if code == SkipReason.COOLDOWN:
        first, last = (at[:16].replace("T", " ") for at in (first_at, last_at))
        message = f"sent {first if first == last else f'{first} to {last}'} UTC by run {what}"
    return Reason(RequestStatus.SKIPPED, None, code, message, 1, orders)


def _event(record: Record) -> Event:
    values = record._asdict()
    del values["number"], values["raw"]
    accounts = json.loads(values.pop("settings")).get("accounts", {})
    return Event(
        **values
        | {
            "base_url": accounts.get(record.account, record.base_url),
            "entries": decode_entries(record.entries),
            "call": decode_call(record.call),
            "ruling": Ruling(record.ruling) if record.ruling else None,
            "outcome": _ROW_STATUSES.get(record.outcome) or _REQUEST_STATUSES[record.outcome],
        }
    )
