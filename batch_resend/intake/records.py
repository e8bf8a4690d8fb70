"""A raw record -> a Row, or a RejectedRow that says why not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from batch_resend.calls import CALLS, Addresses, Description, domain_subject
from batch_resend.intake.addresses import is_constructed, is_parent
from batch_resend.intake.ca_words import is_dv, is_known_product, is_known_word
from batch_resend.intake.cells import (
    KNOWN_LOCALES,
    Malformed,
    domain_name,
    domain_number,
    email_address,
    locale_code,
    order_number,
    several,
    shown,
    trimmed,
    yes_or_no,
)
from batch_resend.intake.exports import skip_cause
from batch_resend.intake.vocabulary import Field
from batch_resend.model import Call, Entry, Note, Problem, RejectedRow, Row

Cell = TypeVar("Cell")
Value = TypeVar("Value")

_PROBLEMS = {
    Field.ORDER_ID: Problem.ORDER_ID,
    Field.DOMAIN: Problem.DOMAIN,
    Field.EMAIL: Problem.EMAIL,
    Field.EMAIL_DOMAIN: Problem.EMAIL_DOMAIN,
    Field.LOCALE: Problem.LOCALE,
    Field.CALL: Problem.CALL,
    Field.ACCOUNT: Problem.ACCOUNT,
    Field.DOMAIN_ID: Problem.DOMAIN,
    Field.ALL_DOMAINS: Problem.NO_ADDRESS,
}


_NOTE_OF_WORD = {
    Field.STATUS: Note.UNKNOWN_STATUS,
    Field.DCV_METHOD: Note.UNKNOWN_METHOD,
    Field.PRODUCT: Note.UNKNOWN_PRODUCT,
}

NAMES_NOBODY = (
    "no domain and no e-mail address, in a list that has some: write them, or yes into a column "
    f"{Field.ALL_DOMAINS} (or say --all-domains) to have the CA mail all domains of the order that "
    "wait"
)

_SAYS_NO = (
    f"names no domain and no e-mail address, and does not say yes in {Field.ALL_DOMAINS}: nothing "
    "is left to send"
)


class RawEntry(NamedTuple):
    """The cells of one entry, each with one text or several; an empty text is an empty cell."""

    domain: str
    email: str
    email_domain: str


class RawRecord(NamedTuple):  # made of every row there is: a dataclass takes twice as long
    """The cells of one row that matter, as a list has them, whatever its form."""

    line: int
    order_id: object  # text, or a JSON number
    entries: Sequence[RawEntry]
    locale: str
    raw: str
    names: Mapping[Field, str]  # what messages call the cells
    status: str = ""
    dcv_method: str = ""
    product: str = ""
    addresses_aside: bool = False  # none is taken from it, though it holds some
    domains_aside: str = ""  # of an export of the CA: only a call about a domain looks at them
    call: str = ""
    account: str = ""
    domain_id: object = ""  # text, or a JSON number
    complaint: str = ""  # why it is not in its list's form; of what it says only this much is taken
    all_domains: object = ""  # text, or a JSON truth value
    has_addresses: bool = False  # its list has columns for them, or it has keys
    uncorrected: str = ""  # of a rejected.csv, as it stood: why it was rejected
    of_the_ca: bool = False  # an order as the CA lists it, in JSON


class _Unusable(Exception):
    """The row cannot be sent; the text is the reason."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for rows that do not say it themselves."""

    locale: str | None = None
    call: Call = Call.DV_RESEND
    auto_call: bool = False  # by their product, where they name one
    all_statuses: bool = False  # leave aside what the CA's exports say of an order
    any_product: bool = False  # leave aside what they say of its product
    # Whom rows may name, and the language of those that name none. Without any, nobody can be.
    accounts: Mapping[str, str | None] = field(default_factory=dict)
    own_account: str | None = None  # of these, the command's own
    all_domains: bool = False  # those without addresses mail all domains


def check_record(record: RawRecord, defaults: Defaults) -> Row | RejectedRow:
    """Return the row that `record` stands for, or why it cannot be sent."""
    call, account, unknown = _call_and_account(record, defaults)
    described = CALLS[call]
    subject = None
    pairs: list[tuple[RawEntry, tuple[Entry, ...]]] = []

    def rejected(problem: Problem, why: str) -> RejectedRow:
        return RejectedRow(
            record.line, problem, why, record.raw, subject, call, account, _entries_of(pairs)
        )

    try:
        subject = _subject(record, described)
        if not record.complaint:
            pairs = _pairs(record, described)
        if unknown is not None:  # only now: left out, it is to have no other row mail more
            raise unknown
        asks_for_all = record.all_domains not in ("", None) and _parsed(
            record, Field.ALL_DOMAINS, yes_or_no, record.all_domains
        )
        locale = defaults.locale if account is None else defaults.accounts[account]
        if record.locale and trimmed(record.locale):
            locale = _parsed(record, Field.LOCALE, locale_code, record.locale)
    except _Unusable as unusable:
        cause = unknown or unusable
        return rejected(cause.problem, str(cause))
    entries = _entries_of(pairs)
    if why := _unfit(record, call, defaults, entries, asks_for_all=asks_for_all):
        return rejected(*why)
    if not described.in_language:
        locale = None
    skip = _skip_cause(record, call, defaults)
    notes = tuple(_notes(pairs, locale, described))
    if record.addresses_aside and not entries:
        notes = (*notes, Note.ADDRESSES_ASIDE)
    if asks_for_all:
        notes = (*notes, Note.ALL_DOMAINS)
    if skip is not None and not is_known_word(skip[0], _said(record)[skip[0]]):
        notes = (*notes, _NOTE_OF_WORD[skip[0]])
    why_skipped = None if skip is None else skip[1]
    return Row(
        record.line, subject, entries, locale, record.raw, why_skipped, notes, call, account
    )  # fmt: skip


def _unfit(
    record: RawRecord,
    call: Call,
    defaults: Defaults,
    entries: Sequence[Entry],
    *,
    asks_for_all: bool,
) -> tuple[Problem, str] | None:
    """Return why what a record asks for is not to be sent, though its cells are good."""
    described = CALLS[call]
    if not entries and not asks_for_all and _says_no(record):
        return Problem.NO_ADDRESS, _SAYS_NO
    if described.addresses is Addresses.REQUIRED and not entries:
        return Problem.EMAIL, f"{call} needs an e-mail address: of whom to mail"
    if not (entries or asks_for_all or defaults.all_domains) and _should_name_somebody(
        record, described
    ):
        return Problem.NO_ADDRESS, _needs_the_word(record, described)
    if entries and asks_for_all:
        return Problem.PAIR, "asks for all domains, and names some beside: which is meant?"
    if record.uncorrected:  # what else is wrong with it says it better
        return Problem.FORM, record.uncorrected
    return None


def _should_name_somebody(record: RawRecord, described: Description) -> bool:
    """Whether a record without addresses is in a list whose records have some."""
    if described.is_about_domain:  # it names what it is about
        return Field.EMAIL in record.names
    # Where there is a word for those that are to mail all, the others are not.
    return record.has_addresses or Field.ALL_DOMAINS in record.names


def _says_no(record: RawRecord) -> bool:
    """Whether a record says outright that it does not ask for all domains."""
    said = record.all_domains
    return said is not None and (not isinstance(said, str) or trimmed(said) != "")


def _needs_the_word(record: RawRecord, described: Description) -> str:
    if Field.ALL_DOMAINS in record.names and not record.has_addresses:
        return (
            f"nothing in the column {Field.ALL_DOMAINS}: write yes there (or say --all-domains) to "
            "have the CA mail all domains of the order that wait"
        )
    if described.is_about_domain:
        return (
            "no e-mail address, in a list that has a column for it: write one, or yes into a "
            f"column {Field.ALL_DOMAINS} (or say --all-domains) to have the CA mail all whom it "
            "knows for the domain"
        )
    return NAMES_NOBODY


def _call_and_account(
    record: RawRecord, defaults: Defaults
) -> tuple[Call, str | None, _Unusable | None]:
    """Return a row's call and account, as far as they can be told, and why it cannot be sent."""
    unknown = _Unusable(Problem.FORM, record.complaint) if record.complaint else None
    try:
        call = _call(record, defaults)
    except _Unusable as unusable:
        call, unknown = _likely_call(record, defaults), unknown or unusable
    try:
        account = _account(record, defaults)
    except _Unusable as unusable:
        account, unknown = None, unknown or unusable
    return call, account, unknown


def _likely_call(record: RawRecord, defaults: Defaults) -> Call:
    """Return which call a row is likely to mean that names none of them."""
    names_domain = record.domain_id or any(raw.domain for raw in record.entries)
    return Call.DOMAIN_DCV if names_domain and not record.order_id else defaults.call


def _subject(record: RawRecord, described: Description) -> str:
    return _domain(record) if described.is_about_domain else _order(record)


def _pairs(record: RawRecord, described: Description) -> list[tuple[RawEntry, tuple[Entry, ...]]]:
    if described.addresses is Addresses.PAIRS:
        return [(raw, tuple(_entries(record, raw))) for raw in record.entries]
    return [(raw, tuple(_addresses(record, raw, described))) for raw in record.entries]


def _entries_of(pairs: Sequence[tuple[RawEntry, tuple[Entry, ...]]]) -> tuple[Entry, ...]:
    return tuple(entry for _, of_raw in pairs for entry in of_raw)


def _call(record: RawRecord, defaults: Defaults) -> Call:
    if record.call and (named := trimmed(record.call)):
        return _parsed(record, Field.CALL, _call_of_name, named)
    product = record.product
    # What is no product of the CA's says nothing of a call: its row is skipped.
    if defaults.auto_call and product and not is_dv(product) and is_known_product(product):
        return Call.DOMAIN_DCV
    return defaults.call


def _account(record: RawRecord, defaults: Defaults) -> str | None:
    """Return whose key a row goes by. Without profiles such a column is about something else."""
    if not record.account or not defaults.accounts:
        return None
    named = trimmed(record.account)
    if not named or named == defaults.own_account:
        return None
    if named not in defaults.accounts:
        raise _Unusable(
            Problem.ACCOUNT,
            f"no profile describes the account {shown(named)}; there are "
            f"{', '.join(sorted(defaults.accounts))}",
        )
    return named


def _call_of_name(name: str) -> Call:
    try:
        return Call(name.lower().replace("_", "-"))
    except ValueError:
        raise Malformed(
            f"the call {shown(name)} is none: write {', '.join(Call)}, or leave it empty"
        ) from None


def _order(record: RawRecord) -> str:
    return _parsed(record, Field.ORDER_ID, order_number, record.order_id)


def _domain(record: RawRecord) -> str:
    """Return what names the domain that a row is about: its number at the CA, its name, or both."""
    number = ""
    if record.domain_id not in ("", None):
        number = _parsed(record, Field.DOMAIN_ID, domain_number, record.domain_id)
    texts = [text for raw in record.entries for text in several(raw.domain)]
    if not texts and not number:
        # What an order is for is validated by its name without the wildcard.
        texts = [text.removeprefix("*.") for text in several(record.domains_aside)]
    names = {_parsed(record, Field.DOMAIN, domain_name, text) for text in texts}
    if len(names) > 1:
        raise _Unusable(
            Problem.DOMAIN,
            f"{len(names)} domains in one row: {Call.DOMAIN_DCV} is about one; give each a row of "
            "its own",
        )
    if not number and not names:
        raise _Unusable(Problem.DOMAIN, f"the domain is missing: {Call.DOMAIN_DCV} is about one")
    return domain_subject(number, *names) if names else number


def _addresses(record: RawRecord, raw: RawEntry, described: Description) -> Iterator[Entry]:
    """Yield the addresses of a call that takes them without pairing them with domains."""
    domain = ""
    if described.is_about_domain and (texts := several(raw.domain)):
        domain = _parsed(record, Field.DOMAIN, domain_name, texts[0])
    emails = several(raw.email)
    for text in emails:
        email = _parsed(record, Field.EMAIL, _one_of(email_address, emails, raw.email), text)
        yield Entry(domain, email)


def _parsed(record: RawRecord, field: Field, parse: Callable[[Cell], Value], cell: Cell) -> Value:
    try:
        return parse(cell)
    except Malformed as reason:
        name = record.names.get(field)
        raise _Unusable(_PROBLEMS[field], f"{reason} ({name})" if name else str(reason)) from None


def _skip_cause(
    record: RawRecord, call: Call, defaults: Defaults
) -> tuple[Field, str] | None:  # fmt: skip
    """Return which of a record's cells says that there is nothing to send, and why."""
    if defaults.all_statuses or not (record.status or record.dcv_method or record.product):
        return None
    said = _said(record)
    status, method, product = said[Field.STATUS], said[Field.DCV_METHOD], said[Field.PRODUCT]
    return skip_cause(status, method, product, call, any_product=defaults.any_product)


def _said(record: RawRecord) -> dict[Field, str]:
    return {
        Field.STATUS: trimmed(record.status),
        Field.DCV_METHOD: trimmed(record.dcv_method),
        Field.PRODUCT: trimmed(record.product),
    }


def _entries(record: RawRecord, raw: RawEntry) -> Iterator[Entry]:
    """Yield the entries of one domain cell and one address cell; none where both are empty."""
    domains, emails = several(raw.domain), several(raw.email)
    named = raw.email_domain and trimmed(raw.email_domain)
    if not domains and not emails and not named:
        return
    if not emails:
        raise _Unusable(
            Problem.PAIR,
            "a domain without an e-mail address: give both",
        )
    if not domains:
        raise _Unusable(Problem.PAIR, "an e-mail address without the domain it shall approve")
    if len(domains) > 1 and len(emails) > 1:
        raise _Unusable(
            Problem.PAIR,
            f"{len(domains)} domains and {len(emails)} e-mail addresses in one row: which belong "
            "together? Give each domain a row of its own",
        )
    email_domain = _parsed(record, Field.EMAIL_DOMAIN, domain_name, named) if named else None
    if len(domains) > 1:
        _refuse_broken_name(record, raw, domains, emails[0])
    for domain_text in domains:
        domain = _parsed(
            record, Field.DOMAIN, _one_of(domain_name, domains, raw.domain), domain_text
        )
        for email_text in emails:
            email = _parsed(
                record, Field.EMAIL, _one_of(email_address, emails, raw.email), email_text
            )
            yield Entry(domain, email, email_domain or _parent_of_mail(domain, email))


def _refuse_broken_name(
    record: RawRecord, raw: RawEntry, domains: Sequence[str], address: str
) -> None:
    """Raise _Unusable where what stands between domains may stand in the middle of one.

    Each half of a name may look like one; but the address is at none of the two. Where a line break
    stands there it has to be at both: few write one between domains.
    """
    mail = _mail_domain(_parsed(record, Field.EMAIL, email_address, address))
    names = [
        _parsed(record, Field.DOMAIN, _one_of(domain_name, domains, raw.domain), d) for d in domains
    ]
    at_it = [mail == name.removeprefix("*.") or is_parent(mail, name) for name in names]
    if not any(at_it):
        raise _Unusable(
            Problem.DOMAIN,
            f"the address is at none of the domains in {shown(raw.domain)}: is it one name, broken "
            "in the middle? If there are several, give each a row of its own",
        )
    if not all(at_it) and set("\r\n") & set(raw.domain):
        raise _Unusable(
            Problem.DOMAIN,
            f"a line break stands in {shown(raw.domain)}, and the address is not at each part: is "
            "it a broken name? Write ; between several",
        )


def _one_of(parse: Callable[[str], str], texts: Sequence[str], cell: str) -> Callable[[str], str]:
    """Return `parse`, with a reason that shows the whole cell where it holds several texts."""
    if len(texts) == 1:
        return parse

    def parse_one(text: str) -> str:
        try:
            return parse(text)
        except Malformed as reason:
            raise Malformed(f"{reason}, in {shown(cell)}") from None

    return parse_one


def _parent_of_mail(domain: str, email: str) -> str | None:
    """Return the domain at which an address lives where that is a parent of `domain`."""
    mail_domain = _mail_domain(email)
    return mail_domain if is_parent(mail_domain, domain) else None


def _mail_domain(email: str) -> str:
    try:
        return domain_name(email.rpartition("@")[2])
    except Malformed:  # what follows the @ may be good for mail, but no domain of the CA's
        return ""


def _notes(
    pairs: Sequence[tuple[RawEntry, Sequence[Entry]]], locale: str | None, described: Description
) -> Iterator[Note]:
    if locale is not None and locale not in KNOWN_LOCALES:
        yield Note.UNKNOWN_LOCALE
    if described.addresses is Addresses.REQUIRED:
        return  # these are contacts of the account, which the CA knows itself
    constructed = [_is_constructed(entry) for _, entries in pairs for entry in entries]
    if described.addresses is Addresses.SOME and constructed and not any(constructed):
        # The CA leaves out whom it does not know; if that is everybody, it mails all it knows
        # (page "Resend domain DCV emails").
        yield Note.MAY_MAIL_ALL
    elif not all(constructed):
        yield Note.NOT_CONSTRUCTED
    if described.addresses is Addresses.SOME:
        return
    filled_in = (entry for raw, es in pairs if not trimmed(raw.email_domain) for entry in es)
    if any(entry.email_domain for entry in filled_in):
        yield Note.EMAIL_DOMAIN_FILLED_IN


def _is_constructed(entry: Entry) -> bool:
    """Whether the CA makes an address up itself; of a domain known by its number nobody can say."""
    if not entry.domain:
        return False
    local_part = entry.email.rpartition("@")[0]
    return is_constructed(local_part, _mail_domain(entry.email), entry.domain)
