"""`history`: every attempt ever made for an order, a domain or an address."""

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import anyio
import click

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.cli.command import ExitCode, command, format_option
from batch_resend.cli.options import journal_option
from batch_resend.cli.output.summary import mails_in_words
from batch_resend.cli.output.terminal import (
    Record,
    records_of,
    show_json,
    show_lines,
    show_records,
)
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.clock import timestamp
from batch_resend.folders import Place
from batch_resend.intake import Field, domain_name, email_address, known_field, order_number
from batch_resend.journal import CUT_OFF, Event, mention_of, read_journal
from batch_resend.model import RowStatus, Ruling
from batch_resend.report import counted, in_words
from batch_resend.results import Mailed
from batch_resend.settings import is_at_loopback

_LINES_SHOWN = 5  # of duplicates
_FORGOTTEN = (
    "Older runs were forgotten by `prune`: their domains and addresses are not kept, only how "
    "often each order was mailed: batch-resend history ORDER_ID"
)
_ORDER = re.compile(r"([^0-9@]*?)[\s:#]*([0-9][0-9 ,.']*)")  # as lists have it


@command(
    examples={
        "Everything that was done for an order": "batch-resend history 100200301",
        "Whether a domain, or one below it, was mailed": "batch-resend history example.com",
        "Whether an address was mailed": "batch-resend history admin@example.com",
    },
    see_also=("runs",),
)
@click.argument("sought", metavar="ORDER_ID|DOMAIN|E-MAIL")
@format_option("table", "csv")
@journal_option
def history(sought: str, form: str, journal: Place, is_json: bool) -> int:
    """Show every attempt ever made for an order, a domain or an e-mail address, in all runs.

    The newest attempt comes last. The outcome of a request is at its last attempt. A run that made
    no attempt has one line, which says why, and so have each rejected row of its lists, and all
    duplicate ones together. A domain is also found by its subdomains and by the addresses at it.
    If an order was sent without addresses, only the CA knows whom it mailed: a domain then finds
    the order only if its list, or the CA's list for a sweep, named that domain. Search for the
    order's number. What was sent for a domain is found by an order's number if its row had that
    beside the domain. Of runs that `prune` forgot, the number of an order's mails is kept, without
    those for domains.
    """
    try:
        sought = _as_in_the_journal(sought)
    except ValueError as error:
        raise click.UsageError(f"ORDER_ID: {error}") from None
    is_name = "." in sought

    async def found() -> tuple[list[Event], int, bool]:
        async with read_journal(journal, clock_of_command()) as reader:
            without = await reader.count_orders_that_name_nobody() if is_name else 0
            has_forgotten = is_name and await reader.has_forgotten()
            return await reader.history(sought), without, has_forgotten

    events, without, has_forgotten = anyio.run(found)
    records = records_of(events, _EVENT_FIELDS)
    if is_json:
        show_json(records)
    elif form == "csv":
        show_records(records, [*_EVENT_FIELDS], form, {})
    else:
        _show(records, sought, is_name=is_name)
        texts = [
            *_with_forgotten(events, rehearsed=False),
            *_with_forgotten(events, rehearsed=True),
            *([_FORGOTTEN] if has_forgotten else ()),
            *([_not_found_by_name(without)] if without else ()),
        ]
        show_lines([(0, text) for text in texts], sys.stdout)
    return ExitCode.ALL_WELL


def _show(records: Sequence[Record], sought: str, *, is_name: bool) -> None:
    """Print what is known, but for what was forgotten, as a table."""
    if not records:
        click.echo(f"The journal knows nothing of {sought}.")
    table = _EVENT_TABLE | {"mails": _of_order}
    if is_name:
        of_name = {"mails": partial(_mails, mention=mention_of(sought))}
        table = {"order": lambda event: event["order_id"] or ""} | table | of_name
    if any(record["account"] for record in records):
        table |= {"account": lambda event: event["account"] or ""}
    if shown := _for_people([record for record in records if record["run"] is not None]):
        show_records(shown, [], "table", table)


def _with_forgotten(events: Sequence[Event], *, rehearsed: bool) -> list[str]:
    """Return how many mails there were, where some were by forgotten runs: they are in no table."""
    alike = [event for event in events if is_at_loopback(event.base_url) is rehearsed]
    of_forgotten = (event.mailed for event in alike if event.run_id is None)
    forgotten = sum(of_forgotten, start=Mailed())
    if not forgotten.mails:
        return []
    mailed = sum((event.mailed for event in alike), start=Mailed())
    all_mails = mails_in_words(mailed, " in rehearsals" if rehearsed else " in all")
    in_utc = " (UTC)" if mailed.last_at else ""
    by, doubt = "all", ""
    if forgotten.mails < mailed.mails:
        by = f"{forgotten.mails:,}"
        doubt = f", {forgotten.in_doubt:,} of these in doubt" if forgotten.in_doubt else ""
    return [f"{all_mails}{in_utc}; {by} of the mails by runs that `prune` forgot{doubt}"]


def _not_found_by_name(count: int) -> str:
    """Return what it means that so many orders were sent without addresses."""
    return (
        f"{counted(count, 'order')} {'was' if count == 1 else 'were'} sent without addresses: only "
        "the CA knows whom it mailed. To find such an order for sure, search for its number: "
        "batch-resend history ORDER_ID"
    )


def _for_people(records: Sequence[Record]) -> list[Record]:
    """Return events with an outcome only at a request's last attempt, and duplicates together."""
    shown: list[Record] = []
    duplicates: dict[tuple[object, ...], list[object]] = {}  # their lines
    for record in _with_outcomes_once(records):
        if record["outcome"] == RowStatus.DUPLICATE:
            key = tuple(record[of] for of in ("run", "order_id", "input", "error_message"))
            lines = duplicates.setdefault(key, [])
            if not lines:
                shown.append({**record, "line": lines})
            lines.append(record["line"])
        else:
            shown.append(record)
    return shown


def _with_outcomes_once(records: Sequence[Record]) -> list[Record]:
    # Between the attempts of a request there may be some of others, in its run and in others.
    last = {_request_of(one): one for one in records if one["attempt"] is not None}
    return [
        one if one["attempt"] is None or last[_request_of(one)] is one else {**one, "outcome": ""}
        for one in records
    ]


def _request_of(record: Record) -> tuple[object, ...]:
    return tuple(record[of] for of in ("run", "order_id", "locale", "call", "account"))


def _as_in_the_journal(sought: str) -> str:
    """Return an order's number, also one such as `Order #1 100 161`, a domain, or an address.

    Of a domain with its number, as reports have them, the name. Raises ValueError.
    """
    order = _ORDER.fullmatch(sought)
    if order and (not order[1].strip() or known_field(order[1]) is Field.ORDER_ID):
        return order_number(order[2])
    if "@" in sought:
        return email_address(sought)
    domain, scope = domain_and_scope(sought)
    if scope and domain.isdecimal() and "." in scope:
        return domain_name(scope)
    return domain_name(sought) if "." in sought else order_number(sought)


def _took_s(event: Event) -> float | None:
    """Return how long an answer took; what was cut off ends when that was found."""
    if event.begun_at is None or event.ended_at is None or event.message == CUT_OFF:
        return None
    return round(event.ended_at - event.begun_at, 3)


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


_EVENT_FIELDS: dict[str, Callable[[Event], object]] = {
    "run": attrgetter("run_id"),
    "locale": attrgetter("locale"),
    "attempt": attrgetter("attempt"),
    "begun_at": lambda event: _time(event.begun_at),
    "took_s": _took_s,
    "answer": lambda event: None if event.attempt is None else event.ruling or "none yet",
    "http_status": attrgetter("http_status"),
    "error_code": attrgetter("error_code"),
    "error_message": attrgetter("message"),
    "outcome": attrgetter("outcome"),
    "entries": lambda event: [str(entry) for entry in event.entries],
    "base_url": attrgetter("base_url"),
    "call": attrgetter("call"),
    "account": attrgetter("account"),
    "order_id": attrgetter("order_id"),
    "input": attrgetter("input"),
    "line": attrgetter("line"),
    "is_rehearsal": lambda event: is_at_loopback(event.base_url),
    "mails": attrgetter("mailed.mails"),
    "mails_in_doubt": attrgetter("mailed.in_doubt"),
    "last_mail_at": lambda event: _time(event.mailed.last_at),
    "last_acknowledged_at": lambda event: _time(event.mailed.acknowledged_at),
}


def _mails(event: Any, mention: re.Pattern[str] | None = None) -> str:
    """Return whom an event mails; of many, those that have the mention."""
    if event["line"] is not None:
        return ""
    about_domain = CALLS[event["call"]].is_about_domain
    known = "the CA's contacts for it" if about_domain else "every pending domain"
    entries = event["entries"]
    named = [entry for entry in entries if mention is None or mention.search(entry)] or entries
    beside = len(entries) - len(named)
    return ", ".join(named + [f"and {counted(beside, 'other')}"] * bool(beside)) or known


def _of_order(event: Any) -> str:
    """Return whom an event of an order mails; or for which of its domains, if it is about one."""
    domain = event["order_id"]
    if not domain or not CALLS[event["call"]].is_about_domain:
        return _mails(event)
    about = f"for the domain {domain}, by {event['call']}"
    whom = _mails({**event, "entries": [one.rpartition(": ")[2] for one in event["entries"]]})
    return f"{about}: {whom}" if whom else about


def _said(event: Any) -> str:
    if event["line"] is None:
        return event["error_message"] or ""
    lines = event["line"] if isinstance(event["line"], list) else [event["line"]]
    named = ", ".join(map(str, lines[:_LINES_SHOWN]))
    more = f" and {len(lines) - _LINES_SHOWN:,} more" if len(lines) > _LINES_SHOWN else ""
    why = event["error_message"] or "adds nothing to the other rows of its order"
    return f"{event['input']}, line{'s' if len(lines) > 1 else ''} {named}{more}: {why}"


def _answer(event: Any) -> str:
    status, code = event["http_status"], event["error_code"]
    never_left = event["answer"] == Ruling.UNAVAILABLE and status is None
    said = "no connection" if never_left else in_words(event["answer"] or "")
    return " ".join(str(word) for word in (said, status, code) if word)


_EVENT_TABLE: dict[str, Callable[[Any], str]] = {
    "run": lambda event: event["run"] + (" (rehearsal)" if event["is_rehearsal"] else ""),
    "attempt": lambda event: str(event["attempt"] or ("none" if event["line"] is None else "")),
    "begun (UTC)": lambda event: (event["begun_at"] or "")[:19].replace("T", " "),
    "took": lambda event: "" if event["took_s"] is None else f"{event['took_s']:.3f} s",
    "answer": _answer,
    "said": _said,
    "outcome": lambda event: in_words(event["outcome"]),
    "mails": _mails,
}
