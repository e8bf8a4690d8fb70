"""What a page lists of a plan or a run, to a bound."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from batch_resend.calls import CALLS
from batch_resend.intake import listed, unread
from batch_resend.journal import JournalReader, NotedRequest
from batch_resend.model import (
    Call,
    Note,
    Plan,
    Problem,
    Remark,
    Request,
    RequestStatus,
    RowStatus,
    Run,
)
from batch_resend.report.redaction import NOT_SHOWN, without_quotes
from batch_resend.report.summary import RowCounts
from batch_resend.report.tables import as_text
from batch_resend.results import InputNote, RequestResult, RowResult

KINDS_SHOWN = 10  # of reasons to skip, and of domains that are mailed
COLUMNS_SHOWN = 5
MOST_DOMAINS_ASKED = 10_000  # of DNS: those with the most mails

_PROBLEM_IN_WORDS = {
    Problem.ORDER_ID: "no valid order number",
    Problem.DOMAIN: "no valid domain",
    Problem.EMAIL: "no valid e-mail address",
    Problem.EMAIL_DOMAIN: "no valid e-mail domain",
    Problem.LOCALE: "no locale code",
    Problem.PAIR: "domains and addresses that are no pairs",
    Problem.NO_ADDRESS: "no domain and address, in a list that has some",
    Problem.CALL: "none of the CA's calls",
    Problem.ACCOUNT: "an account that no profile describes",
    Problem.FORM: "not in the list's form",
    Problem.AMBIGUOUS: "an order that two rows ask for in two ways",
}
_NOTE_IN_WORDS = {
    Note.MAY_MAIL_ALL: "DANGER: domain-dcv with addresses other than admin, administrator, "
    "webmaster, hostmaster or postmaster at the domain or a parent. If the CA does not know any of "
    "them for the domain, it mails ALL addresses of the domain instead; --preflight asks the CA "
    "beforehand",
    Note.UNKNOWN_STATUS: "an order status that we do not know, and so skipped: the CA may have "
    "added it, or the column is about something else. --all-statuses sends these too",
    Note.UNKNOWN_METHOD: "a way of validation that we do not know, and so skipped: "
    "--all-statuses sends these too",
    Note.UNKNOWN_PRODUCT: "a product that is none of the CA's as far as we know, and so skipped: "
    "--any-product sends these too",
    Note.NOT_CONSTRUCTED: "an address other than admin, administrator, webmaster, hostmaster or "
    "postmaster at the domain or a parent, which the CA may refuse or leave out",
    Note.ADDRESSES_ASIDE: "addresses under a heading that is not known, and so not mailed: the CA "
    'mails all domains that wait. If they are to be mailed, say --map email="COLUMN"',
    Note.UNKNOWN_LOCALE: "a language that the CA's documentation does not name",
    Note.SEVERAL_ADDRESSES: "several addresses for one domain, all of which are mailed",
    Note.EMAIL_DOMAIN_FILLED_IN: "an address at a parent domain, for which email_domain is "
    "filled in",
    Note.ALL_DOMAINS: "no addresses, and the word for it: the CA mails all domains that wait",
}


# What is counted, and what is said of it.
_REMARK_IN_WORDS = {
    Remark.TITLE_ROWS: ("row", "above the headings passed over"),
    Remark.FOOTER_ROWS: ("row", "below the list passed over"),
    Remark.HEADING_AGAIN: ("heading row", "in the middle, which counts from there on"),
    Remark.OPEN_END: ("line", "without a line end, the last, which seems whole"),
    Remark.HIDDEN_ROWS: ("hidden row", "left out"),
    Remark.HIDDEN_SHEETS: ("hidden sheet", "left out"),
    Remark.STRUCK_ROWS: ("struck-out row", "left out"),
    Remark.REPAIRED_NAME: ("cell", "repaired: a name beside the address"),
    Remark.REPAIRED_LINK: ("cell", "repaired: mailto:, https://, DNS: and the like around it"),
    Remark.REPAIRED_DOT: ("cell", "repaired: a dot behind the address"),
    Remark.REPAIRED_SIGNS: ("cell", "repaired: bullets, quotation marks or # around it"),
    Remark.REPAIRED_WIDTH: ("cell", "repaired: letters of full width"),
    Remark.REPAIRED_INVISIBLE: ("cell", "repaired: characters that take no room"),
    Remark.REPAIRED_ENCODING: ("cell", "repaired: &nbsp;, %20 and the like, decoded"),
    Remark.REPAIRED_NOTHING: ("cell", "repaired: a word for nothing"),
    Remark.REPAIRED_LANGUAGE: ("cell", "repaired: a language by its name"),
}


class Place(BaseModel):
    """A row of a list, and what is said of it."""

    file: str
    line: int
    text: str


class Kind(BaseModel):
    """Rows or orders of which the same is said: how many, and the first of them."""

    kind: str
    text: str
    count: int
    first: list[Place]


class Count(BaseModel):
    """How many there are of something."""

    text: str
    count: int


class InputPreview(BaseModel):
    """One input, and how it was read."""

    path: str
    form: str
    rows: int


class MailDomainsAsked(BaseModel):
    """What DNS was asked of the domains of the addresses that are to be mailed."""

    domains: int  # that there are
    asked: int  # of these
    routes: dict[str, int]  # how many by where their mail goes: `mail_domains.MailRoute`
    unknown: list[str]  # the first of which no answer came


class Preview(BaseModel):
    """What a run is about to do. Orders in two languages are two requests."""

    model_config = ConfigDict(frozen=True)

    inputs: list[InputPreview]
    rows: RowCounts
    orders: int
    requests: int
    to_send: int
    cooling_down: int  # acknowledged within the cooldown
    held: int  # in doubt, and left for a person
    second_mails: int  # of those to send, that may have been mailed before
    skipped_by_ca: list[Count]  # by why the CA itself says there is nothing to resend
    skipped: list[Count]  # by why their lists say there is nothing to resend, the most first
    skipped_otherwise: int  # for reasons that are not among these
    rejected: list[Kind]
    warnings: list[Kind]
    recipients: list[Count]  # mails by the domain of the address, the most first
    recipient_domains: int  # all of them
    mails: int  # to addresses, at all of them
    without_addresses: int  # requests that have the CA mail all domains of an order that wait
    domains_without_addresses: int  # requests that have it mail whom it knows for one domain
    accounts: list[Count]  # requests to send by account; none where they are all the run's own
    limits: list[str]
    duration_s: float
    mail_domains: MailDomainsAsked | None = None  # None: DNS was not asked


async def make_preview(plan: Plan, reader: JournalReader, *, shown: int) -> Preview:
    """Return the preview of a plan, with the first `shown` rows or orders of each kind."""
    run = plan.run
    inputs = await reader.inputs(run)
    rejected = [
        Kind(
            kind=problem,
            text=_PROBLEM_IN_WORDS[problem],
            count=count,
            first=[
                _place(inputs, row, row.reason or "")
                for row in await reader.first_rejected(run, problem, shown)
            ],
        )
        for problem, count in (await reader.count_problems(run)).items()
    ]
    warnings = [
        Kind(
            kind=note,
            text=_NOTE_IN_WORDS[note],
            count=count,
            first=[
                Place(
                    file=inputs[noted.input_ordinal].name,
                    line=noted.line,
                    text=f"{subject_of(noted.order)}: {_of_note(note, noted)}",
                )
                for noted in await reader.first_noted(run, note, shown)
            ],
        )
        for note, count in (await reader.count_notes(run)).items()
    ]
    skips = await reader.count_skips(run, KINDS_SHOWN)
    skipped = plan.settled.get(RequestStatus.SKIPPED, 0)
    by_lists = await reader.count_skipped_by_lists(run)
    by_ca = await reader.count_skips_by_ca(run)
    recipients = await reader.recipients(run, KINDS_SHOWN)
    domains, mails = await reader.count_recipients(run)
    left_open = await reader.count_without_addresses(run)
    return Preview(
        inputs=[
            InputPreview(path=note.name, form=_form_in_words(note), rows=note.rows)
            for note in inputs
        ],
        rows=RowCounts(
            read=sum(plan.rows.values()),
            accepted=plan.rows[RowStatus.ACCEPTED],
            duplicate=plan.rows[RowStatus.DUPLICATE],
            rejected=plan.rows[RowStatus.REJECTED],
        ),
        orders=await reader.count_order_numbers(run),
        requests=plan.orders,
        to_send=plan.to_send,
        cooling_down=skipped - by_lists - sum(count for _, count in by_ca),
        held=plan.settled.get(RequestStatus.IN_DOUBT, 0),
        second_mails=await reader.count_second_mails(run),
        skipped_by_ca=[Count(text=reason, count=count) for reason, count in by_ca],
        skipped=[Count(text=reason, count=count) for reason, count in skips],
        skipped_otherwise=by_lists - sum(count for _, count in skips),
        rejected=rejected,
        warnings=warnings,
        recipients=[Count(text=domain, count=count) for domain, count in recipients],
        recipient_domains=domains,
        mails=mails,
        without_addresses=sum(n for call, n in left_open.items() if not _is_about_domain(call)),
        domains_without_addresses=sum(n for call, n in left_open.items() if _is_about_domain(call)),
        accounts=await _by_account(reader, plan),
        limits=list(plan.limits),
        duration_s=round(plan.duration_s, 3),
    )


def _is_about_domain(call: Call) -> bool:
    return CALLS[call].is_about_domain


async def _by_account(reader: JournalReader, plan: Plan) -> list[Count]:
    counts = await reader.count_by_account(plan.run)
    if not counts.keys() - {None}:
        return []
    return [Count(text=name or "the run's own", count=count) for name, count in counts.items()]


def _place(inputs: list[InputNote], row: RowResult, text: str) -> Place:
    return Place(file=inputs[row.input_ordinal].name, line=row.line, text=text)


def subject_of(order: Request) -> str:
    """Return what a request is about, as a person names it."""
    return f"{'domain' if _is_about_domain(order.call) else 'order'} {order.subject}"


def _of_note(note: Note, noted: NotedRequest) -> str:
    """Return what in an order a note is about."""
    order = noted.order
    if note in (Note.UNKNOWN_STATUS, Note.UNKNOWN_METHOD, Note.UNKNOWN_PRODUCT):
        return noted.skip or ""
    if note is Note.UNKNOWN_LOCALE:
        return f"locale {order.locale}"
    if note in (Note.ADDRESSES_ASIDE, Note.ALL_DOMAINS):
        return "asks for mails to all domains that wait"
    if _is_about_domain(order.call):
        mails = [entry.email for entry in order.entries]
    else:
        mails = [f"{entry.email} for {entry.domain}" for entry in order.entries]
    shown = ", ".join(mails[:5]) + (f" and {len(mails) - 5} more" if len(mails) > 5 else "")
    if note is Note.MAY_MAIL_ALL and not all(entry.domain for entry in order.entries):
        shown += " (only the domain's number is given, so its name is not known here)"
    return shown


def _form_in_words(note: InputNote) -> str:
    form = note.form
    words = [form.kind.value]
    if form.delimiter is not None:
        words.append(
            {"\t": "tab", ",": "comma", ";": "semicolon"}.get(form.delimiter, form.delimiter)
        )
    if form.encoding is not None:
        words.append(form.encoding)
    if form.is_table and not form.columns:
        words.append("no heading row")
    if form.under:
        words.append(f"the list under {form.under!r}")
    if form.orders_only:
        words.append("an export of the CA: order numbers only")
    for remark, count in form.remarks.items():
        noun, words_of_it = _REMARK_IN_WORDS[Remark(remark)]
        words.append(f"{count:,} {noun}{'' if count == 1 else 's'} {words_of_it}")
    if names := unread(form):
        words.append(
            f"column{'s' if len(names) > 1 else ''} {listed(names, COLUMNS_SHOWN)} not read"
        )
    return ", ".join(words)


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
