"""The tables of a report: what came of each row, and of each request."""

import csv
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TextIO

from pydantic_core import from_json, to_json

from batch_resend.clock import timestamp
from batch_resend.intake import Field
from batch_resend.intake.fields import COLUMNS
from batch_resend.journal.statements import Record, decode_kept
from batch_resend.model import Call, RowStatus
from batch_resend.results import InputNote, StuckOrder
from batch_resend.visible import defused, defused_row

# What a journal's reader yields of rows or requests: page by page, as its statement finds them. To
# make a `RowResult` or `RequestResult` of each takes as long as to write its line.
Pages = AsyncIterator[Iterable[Record]]

# --- what was sent ------------------------------------------------------------------------------

RESULT_COLUMNS = (
    "file", "line", "order_id", "domain", "email", "email_domain", "locale", "status", "reason",
    "http_status", "error_code", "attempts", "possible_duplicate", "first_attempt_at",
    "last_attempt_at", "call", "account",
)  # fmt: skip
# Of a row about a domain, whose order_id is the domain; the others have their own names.
_KEPT_COLUMNS = {Field.ORDER_ID: "kept_order_id"}


def _cells(record: Record, names: Sequence[str], profile: str | None) -> tuple[object, ...]:
    """Return what a record of `rows_in_list_order` has in each of these columns.

    `profile`: the run's own, whose account every row is of that names none.
    """
    (
        ordinal, line, row_status, order_id, locale, encoded, call, account, reason, _raw, _kept,
        _number, status, http_status, error_code, message, attempts, duplicates, first_at, last_at,
    ) = record  # fmt: skip
    came: tuple[object, ...] = (None,) * 4
    if status is None or row_status != RowStatus.ACCEPTED:  # of a duplicate, another row's
        status, message, http_status, error_code = row_status, reason, None, None
    else:
        is_duplicate = "yes" if duplicates > 0 else "no"
        came = (attempts, is_duplicate, _time(first_at), _time(last_at))
    domain, email, email_domain = _in_one_cell_each(from_json(encoded)) if encoded else (None,) * 3
    if account is None and row_status != RowStatus.REJECTED:
        account = profile
    order_id, domain, email, email_domain, message, error_code, account = defused_row(
        (order_id, domain, email, email_domain, message, error_code, account)
    )
    return (
        names[ordinal], line, order_id, domain, email, email_domain, locale, status, message,
        http_status, error_code, *came, call or Call.DV_RESEND, account,
    )  # fmt: skip


def _kept_cells(record: Record, kept: Sequence[Field]) -> Iterable[str | None]:
    return defused_row(map(decode_kept(record.kept).get, kept))


def _in_one_cell_each(entries: Sequence[Sequence[str | None]]) -> Sequence[str | None]:
    """Return domain, e-mail and e-mail domain, or those of all entries."""
    if len(entries) == 1:
        return entries[0]
    domains, emails, email_domains = zip(*entries, strict=True)
    return [
        "; ".join(filter(None, domains)),
        "; ".join(emails),
        "; ".join(filter(None, email_domains)),
    ]


async def write_results_csv(
    pages: Pages, inputs: Sequence[InputNote], file: TextIO, *, profile: str | None = None
) -> None:
    """Write a line a row, in the order of the lists; what the lists have beside comes last."""
    table = csv.writer(file)
    kept = kept_of(inputs)
    table.writerow((*RESULT_COLUMNS, *(_KEPT_COLUMNS.get(which, which) for which in kept)))
    names = [defused(note.name) for note in inputs]
    async for page in pages:
        if kept:
            lines = ((*_cells(one, names, profile), *_kept_cells(one, kept)) for one in page)
            table.writerows(lines)
        else:
            table.writerows([_cells(one, names, profile) for one in page])


def kept_of(inputs: Sequence[InputNote]) -> list[Field]:
    """Return which of the fields that stay with their rows any of the lists has."""
    found = {which for note in inputs for which in note.form.kept}
    return [which for which in COLUMNS if which in found]


async def write_results_jsonl(
    pages: Pages, inputs: Sequence[InputNote], file: TextIO, *, profile: str | None = None
) -> None:
    """Write an object a request."""
    names = [note.name for note in inputs]
    async for page in pages:
        lines = [to_json(_request_object(record, names, profile)) for record in page]
        file.write(b"\n".join((*lines, b"")).decode())


STUCK_COLUMNS = (
    "order_id", "mails", "mails_in_doubt", "last_mail_at", "last_acknowledged_at", "created_at",
    "product", "container", "domains",
)  # fmt: skip


async def write_stuck(orders: AsyncIterator[StuckOrder], file: TextIO) -> None:
    """Write a line an order that a sweep has given up on, those first that have waited longest."""
    table = csv.writer(file)
    table.writerow(STUCK_COLUMNS)
    async for one in orders:
        mailed = one.mailed
        cells = (
            one.order_id, mailed.mails, mailed.in_doubt, _time(mailed.last_at),
            _time(mailed.acknowledged_at), _time(one.created_at), one.product, one.container,
            "; ".join(one.domains),
        )  # fmt: skip
        table.writerow(defused_row(cells))


def _request_object(record: Record, names: Sequence[str], profile: str | None) -> dict[str, object]:
    """Return what results.jsonl says of a record of `requests_in_list_order`."""
    (
        sources, order_id, locale, entries, call, account,
        _number, status, http_status, error_code, message, attempts, duplicates, first_at, last_at,
    ) = record  # fmt: skip
    line: dict[str, object] = {
        "order_id": order_id,
        "locale": locale,
        "entries": [_entry_object(*one) for one in from_json(entries)] if entries else [],
        "status": status,
        "http_status": http_status,
        "error_code": error_code,
        "error_message": message,
        "attempts": attempts,
        "possible_duplicate": duplicates > 0,
        "first_attempt_at": _time(first_at),
        "last_attempt_at": _time(last_at),
        "source": [_source_object(names, *one) for one in sorted(from_json(sources))],
    }
    if call is not None:
        line["call"] = call
    if account := account or profile:
        line["account"] = account
    return line


def _entry_object(domain: str, email: str, email_domain: str | None) -> dict[str, str]:
    described = {"domain": domain, "email": email}
    return described | {"email_domain": email_domain} if email_domain else described


def _source_object(
    names: Sequence[str], _seq: int, ordinal: int, line: int, kept: str | None
) -> dict[str, object]:
    described: dict[str, object] = {"file": names[ordinal], "line": line}
    return described | {"kept": from_json(kept)} if kept else described


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
