"""What came of a run, row by row and request by request; and one order over all runs.

Everything is streamed or counted by the database; nothing here holds a run in memory.
"""

import json
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from batch_resend.journal.accounts import AccountsReader
from batch_resend.journal.statements import (
    Record,
    decode_call,
    decode_entries,
    decode_form,
    decode_kept,
    decode_request,
    decode_sources,
    keeps_order,
    kept_order_like,
)
from batch_resend.model import Call, Entry, RequestStatus, RowStatus, Ruling, Run
from batch_resend.results import (
    InputNote,
    Mailed,
    RequestResult,
    Result,
    RowResult,
    Tally,
)

# To look a member up takes a fifth of the time of calling its enum, for every row there is.
_ROW_STATUSES = {status.value: status for status in RowStatus}
_REQUEST_STATUSES = {status.value: status for status in RequestStatus}
# By place, a third of the time of by name: the columns of a row come before those of its result;
# the rows that ask for a request, and its own columns, do so where a request is looked for.
_OF_ROW = 11
_TO_RESULT = 6


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt for an order; a run that made none, and why; or a row that asked for nothing.

    Or all mails of an order by runs that were forgotten.
    """

    run_id: str | None  # None: forgotten
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
    outcome: RequestStatus | RowStatus | None  # None: forgotten
    mailed: Mailed  # for the domains of an order
    input: str | None  # where the row is: its list,
    line: int | None


class ResultReader(AccountsReader):
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
        counts = ("attempts", "retries", "rate_limited", "unconnected", "possible_duplicates")
        (paused,) = await self.fetch("count_pauses", run=run.number, now=self.clock())
        pausing = await self.pausing_accounts(run) if paused.pauses else ()
        return Tally(
            rows=await self.count_rows(run),
            planned=await self.count_orders(run),
            orders={status: orders.get(status, 0) for status in RequestStatus},
            **{name: sum(getattr(record, name) for record in by_status) for name in counts},
            **paused._asdict(),
            pausing_accounts=pausing,
        )

    def rows_in_list_order(self, run: Run) -> AsyncGenerator[Iterable[Record], None]:
        """Yield every row of a run, as the lists had them: records for `row_result`."""
        return self.pages("rows_in_list_order", run=run.number)

    def rows_not_sent(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rows of requests neither sent nor skipped, as the lists had them."""
        return self.stream("rows_not_sent", row_result, "any_not_sent", run=run.number)

    def rejected_rows(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rejected rows of a run, as the lists had them."""
        return self.stream("rejected_rows", row_result, run=run.number)

    async def incomplete(self, run: Run, most: int) -> tuple[int, list[RowResult]]:
        """Return how many orders a run sends without a row of theirs, and the first such rows."""
        found = await self.fetch("incomplete", run=run.number, most=most)
        return (found[0].orders if found else 0), [row_result(one[:_OF_ROW]) for one in found]

    def requests_in_list_order(self, run: Run) -> AsyncGenerator[Iterable[Record], None]:
        """Yield every request of a run, in the order of the lists: records for `request_result`."""
        return self.pages("results_by_request", run=run.number)

    def results(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield every request of a run, in the order of the lists."""
        return self.stream("results_by_request", request_result, run=run.number)

    def results_not_sent(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the requests neither sent nor skipped."""
        return self.stream("results_not_sent", request_result, "any_not_sent", run=run.number)

    def results_skipped(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the skipped requests."""
        return self.stream("results_skipped", request_result, "any_skipped", run=run.number)

    async def is_mixed(self, run: Run) -> bool:
        """Return whether any request of a run is another call than dv-resend, or an account's."""
        return bool(await self.fetch("any_other_call_or_account", run=run.number))

    async def names_nobody(self, run: Run) -> bool:
        """Return whether any request of a run leaves it to the CA whom to mail."""
        return bool(await self.fetch("any_without_addresses", run=run.number))

    async def history(self, sought: str) -> list[Event]:
        """Return every attempt ever made for an order, or that named a domain or an e-mail address.

        In all runs, the last attempt at the end; behind those of a run what it did not attempt, and
        its rejected, duplicate and skipped rows. At the beginning, what is kept of runs that were
        forgotten. What had the CA mail all domains of an order names none, unless its list had them
        beside the number. See `mention_of` for `sought`.
        """
        mention = mention_of(sought)
        # A character that stands for others finds more, which the mention excludes.
        somewhere = f"%{sought.rpartition('@')[2].lower()}%"
        if is_number := sought.isdecimal():
            of_order = {"order_id": sought}
            found = [
                *await self.fetch("history_of_forgotten", **of_order),
                *await self.fetch("history_of_order", **of_order),
                *await self._beside_order(sought),
            ]
        else:
            named = await self.fetch("history_of_name", somewhere=somewhere)
            # Addresses beside a number are not those that the CA has mailed; the domains are.
            is_address = "@" in sought
            found = [
                one
                for one in named
                if mention.search(f"{one.order_id} {one.entries} {'' if is_address else one.raw}")
            ]
        kept_like = kept_order_like(sought) if is_number else ""
        rows = await self.fetch("history_of_rows", somewhere=somewhere, kept_like=kept_like)
        found += [row for row in rows if _is_of_row(sought, mention, row)]
        return [_event(record) for record in _in_time(found)]

    async def _beside_order(self, order_id: str) -> list[Record]:
        """Return what was sent for the domains that rows with an order's number asked for."""
        rows = await self.fetch("requests_beside_order", kept_like=kept_order_like(order_id))
        requests = {
            (row.run, row.request)
            for row in rows
            if row.order_id.partition(" ")[0] != order_id and keeps_order(row.kept, order_id)
        }
        found = list[Record]()
        for run, request in sorted(requests):
            found += await self.fetch("history_of_request", run=run, request=request)
        return found

    async def has_forgotten(self) -> bool:
        """Return whether runs that mailed orders were forgotten."""
        return bool(await self.fetch("any_forgotten"))

    async def count_orders_that_name_nobody(self) -> int:
        """Return how many orders were sent without addresses, in all runs."""
        return await self.count("count_orders_that_name_nobody")


def _in_time(found: Sequence[Record]) -> list[Record]:
    """Return events by their time; those that are no attempts, behind the attempts of their run."""
    last: dict[str | None, float] = {}
    for one in found:
        if one.begun_at is not None:
            last[one.run_id] = max(one.begun_at, last.get(one.run_id, 0.0))

    def at(one: Record) -> tuple[float, int]:
        of_run = last.get(one.run_id, one.run_at)
        return (of_run if one.begun_at is None else one.begun_at), one.activity

    return sorted(found, key=at)


def _is_of_row(sought: str, mention: re.Pattern[str], row: Record) -> bool:
    """Whether a row that asked for nothing is about what is sought, as far as it was understood."""
    if sought.isdecimal() and row.order_id is not None:
        return mention.search(row.order_id) is not None or keeps_order(row.kept, sought)
    return mention.search(f"{row.order_id} {row.entries} {row.raw}") is not None


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


def request_result(record: Record) -> RequestResult:
    """Return a request as a statement found it, with the rows that ask for it."""
    sources, request, result = record[0], record[1:_TO_RESULT], record[_TO_RESULT:]
    return RequestResult(decode_request(*request), _result(*result), decode_sources(sources))


def _result(number: int, status: str, *others: Any) -> Result:
    return Result(number, _REQUEST_STATUSES[status], *others)


def _event(record: Record) -> Event:
    values = record._asdict()
    for name in ("activity", "run_at", "raw", "kept"):
        values.pop(name, None)
    settings = json.loads(values.pop("settings"))
    mailed = (values.pop(of) for of in ("mails", "in_doubt", "acknowledged_at", "doubted_at"))
    account = record.account
    if account is None and record.outcome != RowStatus.REJECTED:  # it is of the command's own
        account = settings.get("profile")
    return Event(
        **values
        | {
            "base_url": settings.get("accounts", {}).get(record.account, record.base_url),
            "account": account,
            "entries": decode_entries(record.entries),
            "call": decode_call(record.call),
            "mailed": Mailed(*mailed),
            "ruling": Ruling(record.ruling) if record.ruling else None,
            "outcome": _ROW_STATUSES.get(record.outcome) or _REQUEST_STATUSES.get(record.outcome),
        }
    )
