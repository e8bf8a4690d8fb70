"""What came of a run, and of one order over all runs."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from batch_resend.journal.database import Reader
from batch_resend.journal.encoding import (
    decode_call,
    decode_entries,
    decode_form,
    decode_kept,
    decode_request,
)
from batch_resend.journal.statements import Record
from batch_resend.model import Call, Entry, RequestStatus, RowStatus, Ruling, Run
from batch_resend.results import InputNote, RequestResult, Result, RowResult, Source, Tally

# By place, a third of the time of by name: the columns of a row come before those of its result;
# those of its source and of its request do so where a request is looked for.
_OF_ROW = 11
_OF_SOURCE = 3
_TO_RESULT = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt for an order; or a run that made none for it, and why."""

    run_id: str
    base_url: str
    order_id: str  # or the domain that a call is about
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
    outcome: RequestStatus  # of the order in that run; as long as it has none, what is known of it


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
            **paused._mapping,
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

    def history(self, order_id: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made for an order, in all runs, the oldest first."""
        return self.stream("history_of_order", _event, order_id=order_id)

    def history_of_domain(self, domain: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made that named a domain, as `history` does.

        What had the CA mail all domains of an order names none. `domain` is one that `domain_name`
        takes: none of its characters stands for others.
        """
        patterns = {"with_number": f"% {domain}", "in_entries": f'%["{domain}",%'}
        return self.stream("history_of_domain", _event, domain=domain, **patterns)

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


def row_result(record: Record) -> RowResult:
    """Return a row as a statement found it, with the columns of its result or without them."""
    ordinal, line, status, order_id, locale, entries, call, account, reason, raw, kept = record[
        :_OF_ROW
    ]
    result = record[_OF_ROW:]
    return RowResult(
        ordinal,
        line,
        RowStatus(status),
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
    return Result(number, RequestStatus(status), *others)


def _event(record: Record) -> Event:
    values = dict(record._mapping)
    accounts = json.loads(values.pop("settings")).get("accounts", {})
    return Event(
        **values
        | {
            "base_url": accounts.get(record.account, record.base_url),
            "entries": decode_entries(record.entries),
            "call": decode_call(record.call),
            "ruling": Ruling(record.ruling) if record.ruling else None,
            "outcome": RequestStatus(record.outcome),
        }
    )
