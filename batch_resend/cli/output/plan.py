"""What a plan comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from batch_resend.cli.output.terminal import show_lines, show_pairs
from batch_resend.clock import format_duration
from batch_resend.model import Note, Plan, RequestStatus
from batch_resend.report import Summary, counted, in_words
from batch_resend.visible import with_unicode, without_quotes

if TYPE_CHECKING:
    from batch_resend.report import Kind, MailDomainsAsked, Preview


@dataclass(frozen=True, slots=True)
class Closeness:
    """How closely a plan is shown."""

    first: int  # rows or orders of each kind, at most
    other_rows: str  # where the others are
    other_orders: str


BEFORE_SENDING = Closeness(2, "all are in rejected.csv of the report", "`check -v` lists them")
WHEN_CHECKING = Closeness(5, "-v lists them", "-v lists them")
WHEN_CHECKING_CLOSELY = Closeness(10_000, "correct these first", "look at these first")
_USUAL = (Note.EMAIL_DOMAIN_FILLED_IN,)  # of www.X; an unusual address there has a note of its own
_FEW_SECONDS = 2.0
_LISTS_SHOWN = 4
_ALIKE_SHOWN = 2  # of domains that all get one mail
_ROUTES_IN_WORDS = {  # by mail_domains.MailRoute
    "mx": "with an MX record",
    "no_mx": "without one, but with an address",
    "null_mx": "that accept no mail",
    "no_mail_records": "with neither MX record nor address",
    "no_such_domain": "that do not exist",
    "unknown": "not known, because no answer came",
    "not_asked": "not asked about (at most {most:,} are, within two minutes)",
}


def show_plan(
    preview: Preview, to: TextIO, closeness: Closeness, now: str = "", *, redact: bool = False
) -> None:
    """Print what a run is about to do; with `redact`, without whatever a row says.

    `now`: what of it is sent first.
    """
    usual = () if closeness is WHEN_CHECKING_CLOSELY else _USUAL
    rejected = _kinds("Rejected", "row", preview.rejected, closeness.other_rows)
    warnings = _kinds("Worth a look", "order", preview.warnings, closeness.other_orders, usual)
    hide = without_quotes if redact else str
    show_lines([(indent, hide(text)) for indent, text in (*rejected, *warnings)], to)
    # Last: a low screen shows it beside the question.
    show_pairs("Plan", list(_pairs(preview, now)), to)


def show_left(plan: Plan, preview: Preview, to: TextIO, now: str = "") -> None:
    """Print what is left of a run that did not finish; its lists were shown when it began."""
    rejected = preview.rows.rejected
    settled = [f"{plan.settled[s]:,} {in_words(s)}" for s in RequestStatus if s in plan.settled]
    pairs = [
        ("requests", f"{plan.to_send:,} to send of {plan.orders:,}"),
        *((("so far", " · ".join(settled)),) if settled else ()),
        *((("left out", counted(rejected, "rejected row")),) if rejected else ()),
        *_to_send(preview, now),
    ]
    show_pairs(f"Left of run {plan.run.id}", pairs, to)


def sending_in_words(plan: Plan, preview: Preview) -> str:
    """Return what sending comes to, in one line: whom it mails, what is left out, how long."""
    whom = []
    if preview.mails:
        domains = counted(preview.recipient_domains, "domain")
        whom.append(f"{counted(preview.mails, 'mail')} at {domains}")
    if others := preview.without_addresses + preview.domains_without_addresses:
        whom.append(f"{counted(others, 'request')} to the CA's contacts on file")
    left_out = [f"{plan.settled[s]:,} {in_words(s)}" for s in RequestStatus if s in plan.settled]
    if rejected := preview.rows.rejected:
        left_out.append(counted(rejected, "rejected row"))
    parts = [" and ".join(whom), _time_needed(preview.duration_s, preview.waits_s)]
    if left_out and not plan.taken_up:
        parts.append(f"left out: {', '.join(left_out)}")
    parts += _asked_in_words(preview)
    return "; ".join(parts)


def _time_needed(least_s: float, waits_s: float) -> str:
    """Return how long sending takes, as a range: a 429 halves what is taken of the limits.

    Not so of what is waited for before (`Plan.waits_s`).
    """
    if least_s < _FEW_SECONDS:
        return "a few seconds at best"
    return f"{format_duration(least_s)} to {format_duration(2 * least_s - waits_s)}"


def _pairs(preview: Preview, now: str) -> Iterator[tuple[str, str]]:
    for read in preview.inputs[:_LISTS_SHOWN]:
        about = "; ".join(filter(None, (counted(read.rows, "row"), read.form)))
        yield "list", f"{read.path}: {about}"
    if others := preview.inputs[_LISTS_SHOWN:]:
        rows = counted(sum(read.rows for read in others), "row")
        yield "", f"and {counted(len(others), 'other list')}: {rows}"
    yield "rows", rows_in_words(preview)
    orders = f"{counted(preview.orders, 'order')} (one per order and language)"
    yield "requests", f"{preview.requests:,} for {orders}, {preview.to_send:,} to send"
    yield from _skipped(preview)
    yield from _to_send(preview, now)


def _asked_in_words(preview: Preview) -> Iterator[str]:
    """Yield what else is to be known of what the CA was asked before sending."""
    if preview.asked_about is not None:
        yield f"only the first {preview.asked_about:,} have been asked about so far"
    elif preview.to_ask:
        yield "the CA is asked about these first"
    if unanswered := preview.unanswered:
        are = "is" if unanswered == 1 else "are"
        yield f"{unanswered:,} could not be asked about, and {are} sent as listed"


def _to_send(preview: Preview, now: str) -> Iterator[tuple[str, str]]:
    yield from _under("preflight", _asked_in_words(preview))
    if held := preview.held:
        again = "--in-doubt retry sends them again"
        yield "in doubt", f"{held:,} may have been mailed before; {again}"
    if second := preview.second_mails:
        hold = "--in-doubt hold leaves them to you"
        yield "in doubt", f"{second:,} of those to send may have been mailed before; {hold}"
    if others := preview.mailed_otherwise:
        them = "an order or domain" if others == 1 else "orders or domains"
        what = f"{others:,} of those to send: for {them} that another run mailed within the"
        how = "cooldown, with other addresses, in another language, or by another call or key"
        yield "mailed", f"{what} {how}. People may get a second mail"
    yield from _under("mails to", _recipients(preview))
    if preview.mail_domains is not None:
        yield from _under("dns", _of_dns(preview.mail_domains))
    if preview.accounts:
        yield "accounts", ", ".join(f"{one.text} {one.count:,}" for one in preview.accounts)
    if preview.to_send:
        if now:
            yield "now", now
        yield from _under("time", _time(preview, now))


def _time(preview: Preview, now: str) -> Iterator[str]:
    several = len(preview.accounts) > 1  # whose limits, put together, are none that anybody knows
    limits = ("the rate limits of each account",) if several and preview.limits else preview.limits
    yield _least_time(preview.duration_s, limits) + (", for all of them" if now else "")
    if preview.to_ask and limits:
        yield f"with one read for each of the {preview.to_ask:,} still to be asked about"
    if preview.waits_s >= _FEW_SECONDS:
        wait = format_duration(preview.waits_s)
        yield f"of which {wait} because requests of the last minutes count in these limits"


def _least_time(least_s: float, limits: Sequence[str]) -> str:
    if not limits:
        return "without a rate limit"
    is_short = least_s < _FEW_SECONDS
    time = "a few seconds at best" if is_short else f"at least {format_duration(least_s)}"
    return f"{time}, within {' and '.join(limits)}"


def rows_in_words(of: Preview | Summary) -> str:
    """Return how many rows were read, and what became of them."""
    return f"{of.rows.read:,} read: {of.rows.in_words()}"


def _under(label: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield "" if number else label, text


def _recipients(preview: Preview) -> Iterator[str]:
    recipients = preview.recipients
    if len(recipients) < preview.recipient_domains == preview.mails:  # the most is one each
        such = ", ".join(with_unicode(one.text) for one in recipients[:_ALIKE_SHOWN])
        yield f"{counted(preview.recipient_domains, 'domain')}, one each, such as {such}"
    elif recipients:
        shown = [f"{with_unicode(one.text)} {one.count:,}" for one in recipients]
        if others := preview.recipient_domains - len(shown):
            mails = preview.mails - sum(one.count for one in recipients)
            shown.append(f"and {counted(mails, 'mail')} at {counted(others, 'other domain')}")
        yield ", ".join(shown)
    for requests, domains in (
        (preview.without_addresses, "every pending domain"),
        (preview.domains_without_addresses, "the domain named"),
    ):
        if requests:
            have = f"{counted(requests, 'request')} {'has' if requests == 1 else 'have'} no address"
            yield f"{have}: the CA will mail the contacts on file for {domains}"


def _of_dns(asked: MailDomainsAsked) -> Iterator[str]:
    from batch_resend.report import MOST_DOMAINS_ASKED  # noqa: PLC0415 - slow, and runs need no plan

    found = [
        f"{count:,} {_ROUTES_IN_WORDS[route].format(most=MOST_DOMAINS_ASKED)}"
        for route, count in asked.routes.items()
        if count
    ]
    domains = counted(asked.domains, "domain")
    if not asked.domains:
        yield "no request has an address to ask about: `batch-resend help mail` says what to do"
        return
    yield f"{domains} of addresses{': ' if found else ''}{', '.join(found)}"
    if asked.unknown:
        more = asked.routes["unknown"] - len(asked.unknown)
        yield f"not known: {', '.join(asked.unknown)}" + (f" and {more:,} more" if more else "")


def _skipped(preview: Preview) -> Iterator[tuple[str, str]]:
    for skip in preview.skipped_by_ca:
        yield "skipped", f"{skip.count:,}, says the CA: {skip.text}"
    for skip in preview.skipped:
        yield "skipped", f"{skip.count:,}: {skip.text}"
    if preview.skipped_otherwise:
        yield "skipped", f"{preview.skipped_otherwise:,}: for other reasons"
    if preview.skipped:
        yield "", "--all-statuses sends those too"
    for skip in preview.other_call:
        yield "skipped", f"{skip.count:,}, perhaps waiting for mails of another call: {skip.text}"
    if cooling := preview.cooling_down:
        again = "--again sends them again"
        yield "skipped", f"{cooling:,} acknowledged within the cooldown; {again}"


def _kinds(
    title: str, of: str, kinds: Sequence[Kind], elsewhere: str, folded: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """Yield what was found, by kind, with the first rows of each: lines and their indents.

    `folded`: the kinds that are only counted.
    """
    if kinds:
        yield 0, title
    for kind in kinds:
        yield 2, f"{counted(kind.count, of)}: {kind.text}"
        if kind.kind in folded:
            continue
        for place in kind.first:
            yield 4, f"{place.file}, line {place.line}: {place.text}"
        if (more := kind.count - len(kind.first)) > 0:
            yield 4, f"and {more:,} more: {elsewhere}"
