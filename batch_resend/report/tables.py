"""The tables of a report: what came of each row, and of each request."""

import csv
from collections.abc import (
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from typing import TextIO, TypeVar

from pydantic_core import to_json

from batch_resend.clock import timestamp
from batch_resend.intake import Field
from batch_resend.intake.fields import (
    Role,
    of_role,
)
from batch_resend.model import Call, Entry, RowStatus
from batch_resend.results import InputNote, RequestResult, Result, RowResult, StuckOrder
from batch_resend.visible import defused

Rows = AsyncIterator[RowResult]
Cells = Mapping[Field, object]
Value = TypeVar("Value")

# --- what was sent ------------------------------------------------------------------------------

# The columns of results.csv: what a row has in each, and the result of its request, if it has one.
_RESULTS: Mapping[str, Callable[[RowResult, Result | None], object]] = {
    "line": lambda row, _: row.line,
    "order_id": lambda row, _: row.order_id,
    "domain": lambda row, _: "; ".join([one.domain for one in row.entries if one.domain]),
    "email": lambda row, _: "; ".join([one.email for one in row.entries]),
    "email_domain": lambda row, _: "; ".join(
        [one.email_domain for one in row.entries if one.email_domain]
    ),
    "locale": lambda row, _: row.locale,
    "status": lambda row, result: result.status if result else row.status,
    "reason": lambda row, result: result.error_message if result else row.reason,
    "http_status": lambda _, result: result and result.http_status,
    "error_code": lambda _, result: result and result.error_code,
    "attempts": lambda _, result: result and result.attempts,
    "possible_duplicate": lambda _, result: result and _yes_no(result.possible_duplicates > 0),
    "first_attempt_at": lambda _, result: result and _time(result.first_attempt_at),
    "last_attempt_at": lambda _, result: result and _time(result.last_attempt_at),
    "call": lambda row, _: row.call,
    "account": lambda row, _: row.account,
}
RESULT_COLUMNS = ("file", *_RESULTS)


async def write_results_csv(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write a line a row, in the order of the lists; what the lists have beside comes last."""
    table = csv.writer(file)
    kept = kept_of(inputs)
    table.writerow((*RESULT_COLUMNS, *kept))
    names = [defused(note.name) for note in inputs]
    made = tuple(_RESULTS.values())
    async for row in rows:
        result = row.result if row.status is RowStatus.ACCEPTED else None
        cells = [defused(make(row, result)) for make in made]
        beside = [defused(row.kept.get(which)) for which in kept]
        table.writerow((names[row.input_ordinal], *cells, *beside))


def kept_of(inputs: Sequence[InputNote]) -> list[Field]:
    """Return which fields that only stay with their rows any of the lists has."""
    found = {which for note in inputs for which in note.form.kept}
    return [which for which in of_role(Role.KEPT) if which in found]


async def write_results_jsonl(
    results: AsyncIterator[RequestResult], inputs: Sequence[InputNote], file: TextIO
) -> None:
    """Write an object a request."""
    async for found in results:
        file.write(to_json(_request_object(found, inputs)).decode() + "\n")


STUCK_COLUMNS = (
    "order_id", "mails", "last_mail_at", "created_at", "product", "container", "domains",
)  # fmt: skip


async def write_stuck(orders: AsyncIterator[StuckOrder], file: TextIO) -> None:
    """Write a line an order that a sweep has given up on, those first that have waited longest."""
    table = csv.writer(file)
    table.writerow(STUCK_COLUMNS)
    async for one in orders:
        cells = (
            one.order_id, one.mails, _time(one.last_mail_at), _time(one.created_at), one.product,
            one.container, "; ".join(one.domains),
        )  # fmt: skip
        table.writerow(map(defused, cells))


def _request_object(found: RequestResult, inputs: Sequence[InputNote]) -> dict[str, object]:
    order, result = found.order, found.result
    return {
        "order_id": order.subject,
        "locale": order.locale,
        "entries": [_entry_object(entry) for entry in order.entries],
        "status": result.status,
        "http_status": result.http_status,
        "error_code": result.error_code,
        "error_message": result.error_message,
        "attempts": result.attempts,
        "possible_duplicate": result.possible_duplicates > 0,
        "first_attempt_at": _time(result.first_attempt_at),
        "last_attempt_at": _time(result.last_attempt_at),
        "source": [
            {"file": inputs[source.input_ordinal].name, "line": source.line}
            | ({"kept": source.kept} if source.kept else {})
            for source in found.sources
        ],
        **({} if order.call is Call.DV_RESEND else {"call": order.call}),
        **({} if order.account is None else {"account": order.account}),
    }


def _entry_object(entry: Entry) -> dict[str, str]:
    described = {"domain": entry.domain, "email": entry.email}
    return described | ({"email_domain": entry.email_domain} if entry.email_domain else {})


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
