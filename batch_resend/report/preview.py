"""What a run is about to do: whom it mails, what is worth a look."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from batch_resend.account_names import OWN
from batch_resend.calls import CALLS
from batch_resend.intake import Field, listed, map_flag, named
from batch_resend.journal import JournalReader, NotedRequest
from batch_resend.list_form import ListForm, ListKind, Remark
from batch_resend.model import (
    UNKNOWN_WORDS,
    Asked,
    Note,
    Plan,
    Problem,
    Request,
    RequestStatus,
    Run,
    SkipReason,
)
from batch_resend.report.counts import RowCounts
from batch_resend.report.summary import counted
from batch_resend.results import InputNote, RowResult
from batch_resend.settings import Settings
from batch_resend.windows import Window, dictated_time, joint

KINDS_SHOWN = 10  # of reasons to skip, and of domains
SHOWN = 5  # of columns, and of the addresses of an order
Said = TypeVar("Said", Problem, Note)
_DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe"}

_NOTE_IN_WORDS = {
    Note.MAY_MAIL_ALL: "DANGER: domain-dcv with addresses other than admin, administrator, "
    "webmaster, hostmaster or postmaster at the domain or a parent. If the CA does not know any of "
    "them for the domain, it mails ALL addresses of the domain instead; --preflight asks the CA "
    "beforehand",
    Note.NUMBER_ALONE: "a domain by its number alone, and no addresses: the CA mails its contacts "
    "for all that the number stands for, and which name that is, is not known here",
    Note.UNKNOWN_STATUS: "an unknown order status, and therefore skipped: the CA may have added "
    "it, or the column is about something else. --all-statuses sends these "
    "too",
    Note.UNKNOWN_METHOD: "an unknown way of validation, and therefore skipped: --all-statuses "
    "sends these too",
    Note.UNKNOWN_PRODUCT: "a product that is not known to be the CA's, and therefore skipped: "
    "--any-product sends these too",
    Note.OTHER_CALL: "a product that is not DV, and therefore skipped: these may wait for mails, "
    "which only --call domain-dcv sends, domain by domain",
    Note.NOT_CONSTRUCTED: "an address other than admin, administrator, webmaster, hostmaster or "
    "postmaster at the domain or a parent, which the CA may refuse or leave out",
    Note.ADDRESSES_ASIDE: "addresses under an unknown heading, which are not mailed: the CA mails "
    "every pending domain. To mail them instead, name their column or key with --map email=...",
    Note.UNKNOWN_LOCALE: "a language that the CA's documentation does not list",
    Note.ROWS_DISAGREE: "rows that disagree: some say that nothing waits for a mail, and only the "
    "others are sent",
    Note.SEVERAL_ADDRESSES: "several addresses for one domain, all of which are mailed",
    Note.EMAIL_DOMAIN_FILLED_IN: "an address at a parent domain; email_domain is filled in",
    Note.ALL_DOMAINS: "no address, and the list asks for mails to every pending domain",
}


_INCOMPLETE = "sent without some of their rows, which are rejected"

# What is counted, and what is said of it.
_REMARK_IN_WORDS = {
    Remark.TITLE_ROWS: ("row", "above the headings skipped"),
    Remark.FOOTER_ROWS: ("row", "below the list skipped"),
    Remark.HEADING_AGAIN: ("heading row", "in the middle, used for the rows below it"),
    Remark.OPEN_END: ("line", "without a line end (the last one), which seems complete"),
    Remark.HIDDEN_ROWS: ("hidden row", "left out"),
    Remark.HIDDEN_SHEETS: ("hidden sheet", "left out"),
    Remark.STRUCK_ROWS: ("struck-out row", "left out"),
    Remark.REPAIRED_NAME: ("cell", "repaired: a name next to the address"),
    Remark.REPAIRED_LINK: ("cell", "repaired: mailto:, https://, DNS: and the like around it"),
    Remark.REPAIRED_DOT: ("cell", "repaired: a dot behind the address"),
    Remark.REPAIRED_BETWEEN: ("cell", "repaired: /, |, & or a word between addresses"),
    Remark.REPAIRED_SIGNS: ("cell", "repaired: bullets, quotation marks or # around it"),
    Remark.REPAIRED_NUMBER: ("order number", "repaired: thousands separators, .0 or zeros removed"),
    Remark.REPAIRED_WIDTH: ("cell", "repaired: full-width letters"),
    Remark.REPAIRED_INVISIBLE: ("cell", "repaired: invisible characters"),
    Remark.REPAIRED_ENCODING: ("cell", "repaired: &nbsp;, %20 and the like, decoded"),
    Remark.REPAIRED_NOTHING: ("cell", "repaired: a word such as NULL for an empty cell"),
    Remark.REPAIRED_LANGUAGE: ("cell", "repaired: a language, written as its code"),
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
    asked_about: int | None  # by --preflight only these, the first ones, so far; None: all, or none
    to_ask: int  # of those to send: not yet asked about; `duration_s` has a read for each
    unanswered: int  # of those to send: --preflight could read nothing of them
    cooling_down: int  # acknowledged within the cooldown
    mailed_otherwise: int  # to send, though another request mailed that order or domain likewise
    held: int  # in doubt, and left for a person
    second_mails: int  # of those to send, that may have been mailed before
    skipped_by_ca: list[Count]  # by why the CA itself says there is nothing to resend
    skipped: list[Count]  # by why their lists say there is nothing to resend, the most first
    skipped_otherwise: int  # for reasons that are not among these
    other_call: list[Count]  # skipped, by why only another call sends the mails they may wait for
    rejected: list[Kind]
    warnings: list[Kind]
    recipients: list[Count]  # mails by the domain of the address, the most first
    recipient_domains: int  # all of them
    mails: int  # to addresses, at all of them
    without_addresses: int  # requests that have the CA mail all domains of an order that wait
    domains_without_addresses: int  # likewise, of one domain its contacts on file
    accounts: list[Count]  # requests to send by account; none where they are all the command's own
    limits: list[str]
    duration_s: float
    waits_s: float  # of that, because of requests that were made lately
    mail_domains: MailDomainsAsked | None = None  # None: DNS was not asked


async def plan_of(
    reader: JournalReader,
    run: Run,
    parts: Sequence[tuple[int, Sequence[Window], Sequence[float]]],
    *,
    taken_up: bool,
    asked: Asked | None = None,
) -> Plan:
    """Return the plan of a run as the journal has it now.

    `parts`: of each key, how many requests are left, with the reads before them, its windows, and
    how many seconds ago those requests ended that these still count.
    """
    duration_s = max(dictated_time(*part) for part in parts)
    alone_s = max(dictated_time(count, windows) for count, windows, _ in parts)
    return Plan(
        run=run,
        taken_up=taken_up,
        rows=await reader.count_rows(run),
        orders=await reader.count_orders(run),
        settled=await reader.count_outcomes(run),
        to_send=sum((await reader.count_by_account(run)).values()),
        limits=tuple(map(str, joint([windows for _, windows, _ in parts]))),
        duration_s=duration_s,
        waits_s=max(0.0, duration_s - alone_s),
        asked=asked or Asked(),
    )


async def make_preview(
    plan: Plan, reader: JournalReader, settings: Settings, *, shown: int
) -> Preview:
    """Return the preview of a plan, with the first `shown` rows or orders of each kind.

    `settings`: those that it is to be sent by.
    """
    run = plan.run
    inputs = await reader.inputs(run)

    async def rejected(problem: Problem) -> list[Place]:
        rows = await reader.first_rejected(run, problem, shown)
        return [place_of(inputs, row, row.reason or "") for row in rows]

    async def noted(note: Note) -> list[Place]:
        found = await reader.first_noted(run, note, shown)
        said = [f"{subject_of(one.order)}: {_of_note(note, one)}" for one in found]
        return [place_of(inputs, *of_one) for of_one in zip(found, said, strict=True)]

    async def incomplete() -> list[Kind]:
        count, rows = await reader.incomplete(run, max(shown, 1))
        first = [place_of(inputs, row, f"order {row.order_id}: {row.reason}") for row in rows]
        return [Kind(kind="incomplete", text=_INCOMPLETE, count=count, first=first)] * bool(count)

    problems = await reader.count_problems(run)
    by_ca = await reader.skips(run, KINDS_SHOWN, [SkipReason.PREFLIGHT])
    by_lists = await reader.skips(run, KINDS_SHOWN, [SkipReason.LIST])
    by_call = await reader.skips(run, KINDS_SHOWN, [SkipReason.OTHER_CALL])
    skipped = await reader.count_skipped(run)
    not_shown = skipped[SkipReason.OTHER_CALL] - sum(one.orders for one in by_call)
    others = [Count(text="other products that are not DV", count=not_shown)] * bool(not_shown)
    recipients = await reader.recipients(run, KINDS_SHOWN)
    without = await reader.count_without_addresses(run)
    of_domains = sum(count for call, count in without.items() if CALLS[call].is_about_domain)
    accounts = await reader.count_by_account(run)
    return Preview(
        inputs=[
            InputPreview(path=i.name, form=_form_in_words(i.form, inputs), rows=i.rows)
            for i in inputs
        ],
        rows=RowCounts(read=sum(plan.rows.values()), **{s.value: n for s, n in plan.rows.items()}),
        orders=run.order_numbers,
        requests=plan.orders,
        to_send=plan.to_send,
        asked_about=plan.asked.about,
        to_ask=sum(plan.asked.to_ask.values()),
        unanswered=plan.asked.unanswered,
        cooling_down=skipped[SkipReason.COOLDOWN] + skipped[SkipReason.UNDER_WAY],
        mailed_otherwise=await reader.count_mailed_otherwise(
            run, settings.cooldown_s, settings.urls
        ),
        held=plan.settled.get(RequestStatus.IN_DOUBT, 0),
        second_mails=await reader.count_second_mails(run),
        skipped_by_ca=_counts((one.message or "", one.orders) for one in by_ca),
        skipped=_counts((one.message or "", one.orders) for one in by_lists),
        skipped_otherwise=skipped[SkipReason.LIST] - sum(one.orders for one in by_lists),
        other_call=[*_counts((one.message or "", one.orders) for one in by_call), *others],
        rejected=await _kinds(attrgetter("words"), problems, rejected),
        warnings=[
            *(await incomplete() if problems else ()),
            *await _kinds(_NOTE_IN_WORDS.__getitem__, await reader.count_notes(run), noted),
        ],
        recipients=_counts(recipients.first),
        recipient_domains=recipients.domains,
        mails=recipients.mails,
        without_addresses=sum(without.values()) - of_domains,
        domains_without_addresses=of_domains,
        accounts=_counts((name or OWN, count) for name, count in accounts.items())
        if accounts.keys() - {None}
        else [],
        limits=list(plan.limits),
        duration_s=round(plan.duration_s, 3),
        waits_s=round(plan.waits_s, 3),
    )


async def _kinds(
    words: Callable[[Said], str],
    counts: Mapping[Said, int],
    first: Callable[[Said], Awaitable[list[Place]]],
) -> list[Kind]:
    return [
        Kind(kind=kind, text=words(kind), count=count, first=await first(kind))
        for kind, count in counts.items()
    ]


def _counts(found: Iterable[tuple[str, int]]) -> list[Count]:
    return [Count(text=text, count=count) for text, count in found]


def place_of(inputs: Sequence[InputNote], row: RowResult | NotedRequest, text: str) -> Place:
    """Return a row of a list, by its file, with what is said of it."""
    return Place(file=inputs[row.input_ordinal].name, line=row.line, text=text)


def subject_of(order: Request) -> str:
    """Return what a request is about, as a person names it."""
    return f"{'domain' if CALLS[order.call].is_about_domain else 'order'} {order.subject}"


def _of_note(note: Note, noted: NotedRequest) -> str:
    """Return what in an order a note is about."""
    order = noted.order
    if note in UNKNOWN_WORDS:
        return noted.skip or ""
    if note is Note.OTHER_CALL:
        return (noted.skip or "").partition(", and ")[0]  # the plan has all of it
    if note is Note.UNKNOWN_LOCALE:
        return f"locale {order.locale}"
    if note is Note.NUMBER_ALONE:
        return "only the domain's number is given, so its name is not known here"
    if note in (Note.ADDRESSES_ASIDE, Note.ALL_DOMAINS):
        return "asks for mails to every pending domain"
    is_about_domain = CALLS[order.call].is_about_domain
    shown = first_of(
        [e.email if is_about_domain else f"{e.email} for {e.domain}" for e in order.entries]
    )
    if note is Note.MAY_MAIL_ALL and not all(entry.domain for entry in order.entries):
        shown += " (only the domain's number is given, so its name is not known here)"
    return shown


def first_of(texts: Sequence[str]) -> str:
    """Return the first of several, and how many more there are."""
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _form_in_words(form: ListForm, inputs: Sequence[InputNote]) -> str:
    """Return how a list was read; `inputs`: all of its run, which may be pages of one list."""
    # What a program hands over has no form to speak of.
    kind = [] if form.kind is ListKind.RECORDS else [form.kind.value]
    if form.delimiter is not None:
        kind.append(_DELIMITERS.get(form.delimiter) or named(form.delimiter))
    if form.encoding is not None:
        kind.append(form.encoding)
    if form.is_table and not form.columns:
        kind.append("no heading row")
    words = [", ".join(kind)] if kind else []
    if form.under:
        words.append(f"the list under {form.under!r}")
    if form.orders_only:
        words.append("an export of the CA: order numbers only")
    for remark, count in form.remarks.items():
        noun, what = _REMARK_IN_WORDS[Remark(remark)]
        words.append(f"{counted(count, noun)} {what}")
    if form.unread:
        words.append(_unread_in_words(form))
    return "; ".join((*words, *_other_pages(form, inputs)))


def _other_pages(form: ListForm, inputs: Sequence[InputNote]) -> Iterator[str]:
    """Yield what a list says of pages that are not here: in it, or among the other lists."""
    here = sum(one.rows for one in inputs if one.form.in_all == form.in_all)
    if form.in_all > here:
        yield (
            f"its page says that there are {form.in_all:,} in all, of which {here:,} are here: "
            "fetch the other pages, too"
        )
    elif form.has_next and all(one.form.has_next is not False for one in inputs):
        yield "its page names a next one: fetch that, too"


def _unread_in_words(form: ListForm) -> str:
    noun = f"{'column' if form.is_table else 'key'}{'s' if len(form.unread) > 1 else ''} "
    if form.is_table and not form.columns:
        noun = ""  # they are called `column 4`
    near = {name: which for name, which in form.unread.items() if which}
    meant = [
        f"if {name!r} is {form.of_others[name]!r} misspelled, correct it in the list"
        if name in form.of_others
        else f"if {name!r} is {which}: {map_flag(Field(which), name)}"
        for name, which in near.items()
    ]
    hint = f" ({'; '.join(meant[:SHOWN])})" if meant else ""
    names = [*near, *(name for name in form.unread if name not in near)]
    return f"{noun}{listed(names, SHOWN)} not read{hint}"
