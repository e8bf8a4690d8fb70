"""The orders that `--max-orders` sends first: before, in the questions, and once they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from batch_resend.account_names import accounts_in_words
from batch_resend.cli.output.terminal import show_lines
from batch_resend.report import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_resend.cli.as_settings import RunOptions
    from batch_resend.first_part import FirstPart
    from batch_resend.journal import JournalReader
    from batch_resend.model import Plan, Request, Run

MOST_NAMED = 10
_ADDRESSES_SHOWN = 3  # of an order


def first_in_words(first: FirstPart | None, run: Run, options: RunOptions) -> str:
    """Return what is sent before the rest; "": all is sent at once."""
    if first is None:
        return ""
    then = "then you are asked about the rest" if options.asks else "`resume` sends the rest"
    whose = _without(first, run)
    if not whose and len(first.shares) > 1:
        whose = ", of each account by turns"
    return f"the first {options.first_orders:,} (--max-orders){whose}; {then}"


def question(first: FirstPart | None, plan: Plan, options: RunOptions, hosts: Sequence[str]) -> str:
    """Return what a person is asked before anything is sent."""
    what = counted(plan.to_send, "request")
    if first is not None:
        apart = _without(first, plan.run)
        what = f"the first {options.first_orders:,} of {what}{apart}{',' if apart else ''}"
    return f"Send {what} to {' and '.join(hosts)} now?"


def of_untried(first: FirstPart | None, run: Run) -> list[str]:
    """Return what the first orders, once they are sent, have not shown."""
    if first is None or not first.untried:
        return []
    return [f"None of these was of {accounts_in_words(first.untried, run.profile)}."]


def _without(first: FirstPart, run: Run) -> str:
    untried = first.untried
    return f", none of them of {accounts_in_words(untried, run.profile)}" if untried else ""


async def show_sent(reader: JournalReader, run: Run, to: TextIO, *, redact: bool) -> None:
    """Print the first orders that the last start of a run sent, and to whom.

    A person may look into the mailboxes. `redact`: without the addresses. Raises JournalError.
    """
    start = await reader.last_start(run)
    first = await reader.first_sent(start, MOST_NAMED)
    are_several = len(await reader.accounts(run)) > 1
    lines = [
        (2, f"{_which(order, run, is_of_several=are_several)}: {_whom(order, redact=redact)}")
        for order in first
    ]
    if lines:
        show_lines([(0, "Sent first, and to whom"), *lines], to)


def _which(order: Request, run: Run, *, is_of_several: bool) -> str:
    of = f" ({accounts_in_words([order.account], run.profile)})" if is_of_several else ""
    return f"{order.subject}{of}"


def _whom(order: Request, *, redact: bool) -> str:
    emails = list(dict.fromkeys(entry.email for entry in order.entries))
    more = len(emails) - _ADDRESSES_SHOWN
    shown = ", ".join(emails[:_ADDRESSES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    if redact or not emails:
        shown = "addresses masked" if emails else "the CA's contacts on file"
    return shown
