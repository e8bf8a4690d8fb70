"""A raw record -> a Row, or a RejectedRow that says why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from batch_resend.calls import CALLS, Addresses, Description, domain_subject
from batch_resend.intake.cells import (
    Malformed,
    domain_name,
    domain_number,
    is_nothing,
    locale_code,
    order_number,
    several,
    shown,
    trimmed,
    yes_or_no,
)
from batch_resend.intake.entries import UnusableError, entries_of, notes_of, pairs_of, parsed
from batch_resend.intake.exports import is_dv, is_known_product, is_known_word, skip_cause
from batch_resend.intake.fields import Field, RawEntry, RawRecord
from batch_resend.intake.suggestions import ignore_flag, own_name
from batch_resend.model import Call, Entry, Note, Problem, RejectedRow, Row

Cell = TypeVar("Cell")
Value = TypeVar("Value")

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
        told = f"{record.place}: {why}" if record.place else why
        return RejectedRow(
            record.line, problem, told, record.raw, subject, call, account, entries_of(pairs)
        )

    try:
        subject = _subject(record, described)
        if not record.complaint:
            pairs = pairs_of(record, described)
        if unknown is not None:  # only now: left out, it is to have no other row mail more
            raise unknown
        asks_for_all = record.all_domains not in ("", None) and parsed(
            record, Field.ALL_DOMAINS, yes_or_no, record.all_domains
        )
        locale = defaults.locale if account is None else defaults.accounts[account]
        if record.locale and trimmed(record.locale):
            locale = parsed(record, Field.LOCALE, locale_code, record.locale)
    except UnusableError as unusable:
        cause = unknown or unusable
        return rejected(cause.problem, str(cause))
    entries = entries_of(pairs)
    if why := _unfit(record, call, defaults, entries, asks_for_all=asks_for_all):
        return rejected(*why)
    if not described.in_language:
        locale = None
    skip = _skip_cause(record, call, defaults)
    notes = tuple(notes_of(pairs, locale, described))
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
    if not (entries or asks_for_all) and (_says_no(record) or record.unread):
        return Problem.NO_ADDRESS, _SAYS_NO if _says_no(record) else _unread_sign(record.unread)
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
    by_word = record.has_addresses or Field.ALL_DOMAINS in record.names
    return by_word or _names_domain_by_number(record)


def _names_domain_by_number(record: RawRecord) -> bool:
    """Whether a record about an order names a domain of it, by the domain's number at the CA.

    Exports have the number beside each order: there it asks for nothing.
    """
    if record.domains_aside or record.of_the_ca:
        return False
    number = record.domain_id
    text = trimmed(number) if isinstance(number, str) else str(number or "")
    return bool(text) and not is_nothing(text)


def _unread_sign(name: str) -> str:
    return (
        f"names no address, and {name!r} holds one, or a domain, and is not read: write it where "
        "it is read; or, if the CA is to mail all domains of the order that wait: --all-domains "
        f"{ignore_flag(name)}"
    )


def _says_no(record: RawRecord) -> bool:
    """Whether a record says outright that it does not ask for all domains."""
    word = record.all_domains
    return word is not None and (not isinstance(word, str) or trimmed(word) != "")


def _needs_the_word(record: RawRecord, described: Description) -> str:
    if not described.is_about_domain and _names_domain_by_number(record):
        return (
            f"names a domain by its number, and {Call.DV_RESEND} takes none: --call "
            f"{Call.DOMAIN_DCV}, or yes in a column {Field.ALL_DOMAINS} (or --all-domains) to have "
            "the CA mail all domains of the order that wait"
        )
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
) -> tuple[Call, str | None, UnusableError | None]:
    """Return a row's call and account, as far as they can be told, and why it cannot be sent."""
    unknown = UnusableError(Problem.FORM, record.complaint) if record.complaint else None
    try:
        call = _call(record, defaults)
    except UnusableError as unusable:
        call, unknown = _likely_call(record, defaults), unknown or unusable
    try:
        account = _account(record, defaults)
    except UnusableError as unusable:
        account, unknown = None, unknown or unusable
    return call, account, unknown


def _likely_call(record: RawRecord, defaults: Defaults) -> Call:
    """Return which call a row is likely to mean that names none of them."""
    names_domain = record.domain_id or any(raw.domain for raw in record.entries)
    return Call.DOMAIN_DCV if names_domain and not record.order_id else defaults.call


def _subject(record: RawRecord, described: Description) -> str:
    return _domain(record) if described.is_about_domain else _order(record)


def _call(record: RawRecord, defaults: Defaults) -> Call:
    if record.call and (named := trimmed(record.call)):
        return parsed(record, Field.CALL, _call_of_name, named)
    product = record.product
    # What is no product of the CA's says nothing of a call: its row is skipped.
    if defaults.auto_call and product and not is_dv(product) and is_known_product(product):
        return Call.DOMAIN_DCV
    return defaults.call


def _account(record: RawRecord, defaults: Defaults) -> str | None:
    """Return whose key a row goes by."""
    if not record.account:
        return None
    named = trimmed(record.account)
    if not named or is_nothing(named) or named == defaults.own_account:
        return None
    if not defaults.accounts:  # all would go by one key, whosever they are
        name = own_name(record.names.get(Field.ACCOUNT, Field.ACCOUNT))
        raise UnusableError(
            Problem.ACCOUNT,
            f"no profile describes the account {shown(named)}, for there is none: describe it "
            "(batch-resend help accounts), or, if the column is about something else: "
            f"{ignore_flag(name)}",
        )
    if named not in defaults.accounts:
        raise UnusableError(
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
    return parsed(record, Field.ORDER_ID, order_number, record.order_id)


def _domain(record: RawRecord) -> str:
    """Return what names the domain that a row is about: its number at the CA, its name, or both."""
    number = ""
    if record.domain_id not in ("", None):
        number = parsed(record, Field.DOMAIN_ID, domain_number, record.domain_id)
    texts = [text for raw in record.entries for text in several(raw.domain)]
    if not texts and not number:
        # What an order is for is validated by its name without the wildcard.
        texts = [text.removeprefix("*.") for text in several(record.domains_aside)]
    names = {parsed(record, Field.DOMAIN, domain_name, text) for text in texts}
    if len(names) > 1:
        raise UnusableError(
            Problem.DOMAIN,
            f"{len(names)} domains in one row: {Call.DOMAIN_DCV} is about one; give each a row of "
            "its own",
        )
    if not number and not names:
        raise UnusableError(
            Problem.DOMAIN, f"the domain is missing: {Call.DOMAIN_DCV} is about one"
        )
    return domain_subject(number, *names) if names else number


def _skip_cause(
    record: RawRecord, call: Call, defaults: Defaults
) -> tuple[Field, str] | None:  # fmt: skip
    """Return which of a record's cells says that there is nothing to send, and why."""
    if defaults.all_statuses or not (record.status or record.dcv_method or record.product):
        return None
    word = trimmed(record.status), trimmed(record.dcv_method), trimmed(record.product)
    return skip_cause(*word, call, any_product=defaults.any_product)


def _said(record: RawRecord) -> dict[Field, str]:
    return {
        Field.STATUS: trimmed(record.status),
        Field.DCV_METHOD: trimmed(record.dcv_method),
        Field.PRODUCT: trimmed(record.product),
    }
