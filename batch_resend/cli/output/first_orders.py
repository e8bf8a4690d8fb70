"""The orders that `--max-orders` sends first: in the plan, and once they were sent."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TextIO

from batch_resend.cli.as_settings import RunOptions
from batch_resend.cli.output.terminal import show_lines
from batch_resend.journal import JournalReader
from batch_resend.model import Request, RequestStatus, Run

MOST_NAMED = 10
_ADDRESSES_SHOWN = 3  # of an order
_MOST_LOOKED_AT = 10_000  # of a run: those that were skipped may come before


def first_in_words(options: RunOptions, to_send: int) -> str:
    """Return what is sent before the rest; "": all is sent at once."""
    first = options.first_orders
    if first is None or first >= to_send:
        return ""
    then = "then you are asked about the rest" if options.asks else "`resume` sends the rest"
    return f"the first {first:,} (--max-orders); {then}"


async def show_sent(reader: JournalReader, run: Run, to: TextIO, *, redact: bool) -> None:
    """Print the first orders that were sent, and to whom: somebody may look into these mailboxes.

    `redact`: without the addresses. Raises JournalError.
    """
    lines = [(2, _in_words(order, redact=redact)) async for order in _sent(reader, run)]
    if lines:
        show_lines([(0, "Sent first, and to whom"), *lines], to)


async def _sent(reader: JournalReader, run: Run) -> AsyncIterator[Request]:
    looked_at = named = 0
    async with aclosing(reader.results(run)) as results:
        async for order, result, _ in results:
            looked_at += 1
            if result.status is RequestStatus.SENT:
                named += 1
                yield order
            if named == MOST_NAMED or looked_at == _MOST_LOOKED_AT:
                return


def _in_words(order: Request, *, redact: bool) -> str:
    emails = list(dict.fromkeys(entry.email for entry in order.entries))
    more = len(emails) - _ADDRESSES_SHOWN
    shown = ", ".join(emails[:_ADDRESSES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    if redact or not emails:
        shown = "addresses masked" if emails else "the CA's contacts on file"
    return f"{order.subject}: {shown}"
