"""What a page lists of a run in full: orders not sent and rejected rows, to a bound."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from batch_resend.journal import JournalReader
from batch_resend.model import Call, Request, RequestStatus, Run
from batch_resend.report.redaction import NOT_SHOWN, without_quotes
from batch_resend.report.tables import as_text
from batch_resend.results import InputNote, RequestResult

MOST_ORDERS = 5_000  # listed; the others are counted
MOST_REJECTED = 1_000
MOST_TEXT = 1_500_000  # characters of what is listed, as HTML, in each of both tables
MOST_ENTRIES = 20  # of an order, and of its source lines
MOST_OF_A_ROW = 1_000  # characters

Listed = TypeVar("Listed")


@dataclass(frozen=True, slots=True)
class RequestNotSent:
    """An order that was not sent."""

    order_id: str
    locale: str | None
    status: RequestStatus
    answer: str
    message: str
    entries: tuple[str, ...]  # address for domain
    sources: tuple[str, ...]  # file, line


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A rejected row."""

    file: str
    line: int
    reason: str
    raw: str


async def list_orders(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote]
) -> list[RequestNotSent]:
    """Return the orders that were not sent, to a bound; those rightly skipped come last."""
    return await _bounded(_orders(reader, run, inputs), MOST_ORDERS)


async def list_rejected(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote], *, redact: bool
) -> list[ListedRow]:
    """Return the rejected rows, to a bound, as the lists had them; with `redact`, only why."""
    return await _bounded(_rejected(reader, run, inputs, redact=redact), MOST_REJECTED)


async def _bounded(listed: AsyncGenerator[Listed, None], most: int) -> list[Listed]:
    """Return the first of many, as many as fit the page."""
    fitting: list[Listed] = []
    room = MOST_TEXT
    async with aclosing(listed):
        async for one in listed:
            room -= len(escape(str(one)))  # about what its HTML takes
            if len(fitting) == most or room < 0:
                break
            fitting.append(one)
    return fitting


async def _orders(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote]
) -> AsyncGenerator[RequestNotSent, None]:
    for results in (reader.results_not_sent(run), reader.results_skipped(run)):
        async with aclosing(results) as found:
            async for one in found:
                yield _request_not_sent(one, inputs)


async def _rejected(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote], *, redact: bool
) -> AsyncGenerator[ListedRow, None]:
    rows = reader.rejected_rows(run)
    async with aclosing(rows):
        async for row in rows:
            text = NOT_SHOWN if redact else as_text(row, inputs)
            reason = without_quotes(row.reason or "") if redact else row.reason or ""
            if len(text) > MOST_OF_A_ROW:
                text = f"{text[:MOST_OF_A_ROW]}..."
            yield ListedRow(inputs[row.input_ordinal].name, row.line, reason, text)


def _request_not_sent(found: RequestResult, inputs: Sequence[InputNote]) -> RequestNotSent:
    order, result = found.order, found.result
    answer = " ".join(str(word) for word in (result.http_status, result.error_code) if word)
    return RequestNotSent(
        order_id=_named(order),
        locale=order.locale,
        status=result.status,
        answer=answer,
        message=result.error_message or "",
        entries=_cut([str(entry) for entry in order.entries]),
        sources=_cut(
            [f"{inputs[source.input_ordinal].name}, line {source.line}" for source in found.sources]
        ),
    )


def _named(order: Request) -> str:
    """Return the order, with what sets it apart from the usual ones."""
    by = "" if order.call is Call.DV_RESEND else f" by {order.call}"
    of = "" if order.account is None else f" of {order.account}"
    return f"{order.subject}{by}{of}"


def _cut(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the first of many texts, and how many more there are."""
    more = len(texts) - MOST_ENTRIES
    return (*texts[:MOST_ENTRIES], *((f"and {more:,} more",) if more > 0 else ()))
