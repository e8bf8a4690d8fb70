"""The tables of a report: what came of each row, and of each request."""

import csv
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from pydantic_core import to_json

from batch_resend.clock import timestamp
from batch_resend.intake import Field
from batch_resend.intake.fields import COLUMNS
from batch_resend.model import Call, Entry, RowStatus
from batch_resend.results import InputNote, RequestResult, RowResult, StuckOrder
from batch_resend.visible import defused_row

Rows = AsyncIterator[RowResult]

# --- what was sent ------------------------------------------------------------------------------

RESULT_COLUMNS = (
    "file", "line", "order_id", "domain", "email", "email_domain", "locale", "status", "reason",
    "http_status", "error_code", "attempts", "possible_duplicate", "first_attempt_at",
    "last_attempt_at", "call", "account",
)  # fmt: skip


def _cells(name: str, row: RowResult) -> tuple[object, ...]:
    """Return what a row of the list `name` has in each of these columns."""
    entries, result = row.entries, row.result
    if result is None or row.status is not RowStatus.ACCEPTED:  # of a duplicate, another row's
        came: tuple[object, ...] = (row.status, row.reason, *[None] * 6)
    else:
        came = (
            result.status, result.error_message, result.http_status, result.error_code,
            result.attempts, "yes" if result.possible_duplicates > 0 else "no",
            _time(result.first_attempt_at), _time(result.last_attempt_at),
        )  # fmt: skip
    return (
        name, row.line, row.order_id,
        "; ".join([one.domain for one in entries if one.domain]),
        "; ".join([one.email for one in entries]),
        "; ".join([one.email_domain for one in entries if one.email_domain]),
        row.locale, *came, row.call, row.account,
    )  # fmt: skip


async def write_results_csv(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write a line a row, in the order of the lists; what the lists have beside comes last."""
    table = csv.writer(file)
    kept = kept_of(inputs)
    table.writerow((*RESULT_COLUMNS, *kept))
    names = [note.name for note in inputs]
    async for row in rows:
        cells = _cells(names[row.input_ordinal], row)
        table.writerow(defused_row((*cells, *map(row.kept.get, kept)) if kept else cells))


def kept_of(inputs: Sequence[InputNote]) -> list[Field]:
    """Return which of the fields that stay with their rows any of the lists has."""
    found = {which for note in inputs for which in note.form.kept}
    return [which for which in COLUMNS if which in found]


async def write_results_jsonl(
    results: AsyncIterator[RequestResult], inputs: Sequence[InputNote], file: TextIO
) -> None:
    """Write an object a request."""
    async for found in results:
        file.write(f"{to_json(_request_object(found, inputs)).decode()}\n")


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
        table.writerow(defused_row(cells))


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


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
