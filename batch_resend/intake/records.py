"""A raw record -> a Row, or a RejectedRow that says why not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from batch_resend.calls import CALLS, Addresses, Description, domain_subject
from batch_resend.intake.cells import is_nothing, several, shown, trimmed
from batch_resend.intake.entries import Pairs, UnusableError, notes_of, pairs_of, parsed
from batch_resend.intake.exports import is_known_word, skip_cause
from batch_resend.intake.fields import OF_EXPORTS, Field, RawRecord
from batch_resend.intake.reading import Reading
from batch_resend.intake.suggestions import Noun, ignore_flag, own_name
from batch_resend.model import Call, Entry, Note, Problem, RejectedRow, Row

_NOTE_OF_WORD = {
    Field.STATUS: Note.UNKNOWN_STATUS,
    Field.DCV_METHOD: Note.UNKNOWN_METHOD,
    Field.PRODUCT: Note.UNKNOWN_PRODUCT,
}

NAMES_NOBODY = (
    "no domain and no e-mail address, in a list that has some: add them, or write yes in a "
    f"column (or key) {Field.ALL_DOMAINS} (or use --all-domains) to have the CA mail every pending "
    "domain of the order"
)

_SAYS_NO = (
    f"names no domain and no e-mail address, and does not say yes in {Field.ALL_DOMAINS}: nothing "
    "is left to send"
)


@dataclass(slots=True)
class _Asked:
    """What a record asks for, as far as it was understood: a rejected row keeps that."""

    call: Call
    account: str | None
    locale: str | None
    subject: str = ""
    pairs: Pairs = ()
    entries: tuple[Entry, ...] = ()  # of the pairs
    all_domains: bool = False
    kept: tuple[tuple[str, str], ...] = ()


def check_record(record: RawRecord, reading: Reading) -> Row | RejectedRow:
    """Return the row that `record` stands for, or why it cannot be sent."""
    call, account, unknown = _call_and_account(record, reading)
    usual = reading.locale if account is None else reading.accounts[account]
    asked = _Asked(call, account, usual)
    try:
        _understand(record, asked, unknown)
        _refuse_unfit(record, asked, reading)
    except UnusableError as unusable:
        cause = unknown or unusable
        reason = f"{record.place}: {cause}" if record.place else str(cause)
        problem = Problem.UNCHANGED if record.uncorrected else cause.problem
        return RejectedRow(
            record.line, problem, reason, record.raw,
            asked.subject or None, call, account, asked.entries, asked.kept,
        )  # fmt: skip
    return _row(record, asked, reading)


def _understand(record: RawRecord, asked: _Asked, unknown: UnusableError | None) -> None:
    """Fill in what a record asks for. Raises UnusableError, `unknown` too.

    Subject and addresses come first: left out, a rejected row would have others mail more.
    """
    described = CALLS[asked.call]
    unfit = None
    keeps_number = described.is_about_domain
    if (record.kept or keeps_number or record.texts.get(Field.PRODUCT)) and not record.defect:
        asked.kept, unfit = _kept(record, with_number=keeps_number)
    if described.is_about_domain:
        asked.subject = _domain(record)
    else:
        asked.subject = parsed(record, Field.ORDER_ID, record.texts.get(Field.ORDER_ID))
    if not record.defect:
        asked.pairs = pairs_of(record, described)
        asked.entries = tuple(chain.from_iterable(map(itemgetter(1), asked.pairs)))
    if cause := unknown or unfit:
        raise cause
    if word := record.texts.get(Field.ALL_DOMAINS):
        asked.all_domains = parsed(record, Field.ALL_DOMAINS, word) != ""
    if record.texts.get(Field.LOCALE) and (text := record.text(Field.LOCALE)):
        asked.locale = parsed(record, Field.LOCALE, text)


def _kept(
    record: RawRecord, *, with_number: bool
) -> tuple[tuple[tuple[str, str], ...], UnusableError | None]:
    """Return what stays with its row, whatever else is wrong with that; and what of it is wrong.

    `with_number`: an order's number does, too.
    """
    kept: list[tuple[str, str]] = []
    unfit = None
    if with_number and (number := _number_beside(record)):
        kept.append((Field.ORDER_ID, number))
    for which, text in record.kept.items():
        try:
            if text:
                kept.append((which, parsed(record, which, text)))
        except UnusableError as unusable:
            unfit = unfit or unusable
    product = record.texts.get(Field.PRODUCT)
    if isinstance(product, str) and (product := trimmed(product)):
        kept.append((Field.PRODUCT, product))
    return tuple(kept), unfit


def _number_beside(record: RawRecord) -> str:
    """Return the number of the order that a domain is for, as it stands: nothing is asked by it.

    In JSON there may be several; what is neither text nor a whole number is left out.
    """
    number = record.texts.get(Field.ORDER_ID)
    if isinstance(number, str) and number.isascii() and number.isdigit():  # most are
        return number
    held = number if isinstance(number, list) else [number]
    texts = [trimmed(str(one)) for one in held if type(one) in (str, int)]
    # Half a character is in no file.
    return "; ".join(one for one in texts if not is_nothing(one)).encode(errors="replace").decode()


def _row(record: RawRecord, asked: _Asked, reading: Reading) -> Row:
    """Return the row of a record that can be sent, or need not."""
    described = CALLS[asked.call]
    locale = asked.locale if described.in_language else None
    notes = notes_of(asked.pairs, locale, described)
    if not asked.entries:
        notes += _notes_without_addresses(record, asked, described)
    skip = None
    if not (reading.all_statuses or record.texts.keys().isdisjoint(OF_EXPORTS)):
        skip = skip_cause(*record.said(), asked.call, any_product=reading.any_product)
    if skip and not is_known_word(skip[0], record.text(skip[0])):
        notes.append(_NOTE_OF_WORD[skip[0]])
    elif skip and skip[0] is Field.PRODUCT:
        notes.append(Note.OTHER_CALL)
    why_skipped = skip[1] if skip else None
    return Row(
        record.line, asked.subject, asked.entries, locale, record.raw, why_skipped, tuple(notes),
        asked.call, asked.account, asked.kept,
    )  # fmt: skip


def _notes_without_addresses(
    record: RawRecord, asked: _Asked, described: Description
) -> Iterator[Note]:
    if record.addresses_aside:
        yield Note.ADDRESSES_ASIDE
    if asked.all_domains:
        yield Note.ALL_DOMAINS
    if described.is_about_domain and asked.subject.isdecimal():
        yield Note.NUMBER_ALONE


def _refuse_unfit(record: RawRecord, asked: _Asked, reading: Reading) -> None:
    """Raise UnusableError where cells are good, and what they ask for is not to be sent."""
    described = CALLS[asked.call]
    may_be_by_number = Field.DOMAIN_ID in record.texts and asked.call is Call.DV_RESEND
    if may_be_by_number and not asked.entries and _names_domain_by_number(record):
        # No word widens what is named.
        raise UnusableError(Problem.NO_ADDRESS, _takes_no_number(record))
    if not (asked.entries or asked.all_domains):
        _refuse_without_addresses(record, described, reading)
    if described.addresses is Addresses.REQUIRED and not asked.entries:
        raise UnusableError(Problem.EMAIL, f"{asked.call} needs an e-mail address: the one to mail")
    if asked.entries and asked.all_domains:
        raise UnusableError(
            Problem.PAIR, "asks for all domains, but also names some: which is meant?"
        )
    if record.uncorrected:  # what else is wrong with it says it better
        raise UnusableError(Problem.FORM, record.uncorrected)


def _refuse_without_addresses(record: RawRecord, described: Description, reading: Reading) -> None:
    """Raise UnusableError where a record neither names whom to mail nor asks for all plainly."""
    if _says_no(record):
        raise UnusableError(Problem.NO_ADDRESS, _SAYS_NO)
    if record.unread:
        raise UnusableError(Problem.NO_ADDRESS, _unread_sign(record.unread))
    if described.addresses is Addresses.REQUIRED:
        return  # which says it better
    if not reading.names_nobody and _should_name_somebody(record, described):
        raise UnusableError(Problem.NO_ADDRESS, _needs_the_word(record, described))


def _should_name_somebody(record: RawRecord, described: Description) -> bool:
    """Whether a record without addresses is in a list whose records have some."""
    if described.is_about_domain:  # it names what it is about
        return Field.EMAIL in record.names
    # Where there is a word for those that are to mail all, the others are not.
    return record.has_addresses or Field.ALL_DOMAINS in record.names


def _names_domain_by_number(record: RawRecord) -> bool:
    """Whether a record about an order names a domain of it, by the domain's number at the CA.

    Exports have the number beside each order: there it asks for nothing.
    """
    if record.domains_aside or record.of_the_ca:
        return False
    number = record.texts.get(Field.DOMAIN_ID)
    text = trimmed(number) if isinstance(number, str) else str(number or "")
    return bool(text) and not is_nothing(text)


def _unread_sign(name: str) -> str:
    return (
        f"names no address, and {name!r} holds one, or a domain, and is not read: write it where "
        "it is read; or, if the CA is to mail every pending domain of the order: --all-domains "
        f"{ignore_flag(name)}"
    )


def _says_no(record: RawRecord) -> bool:
    """Whether a record says outright that it does not ask for all domains."""
    word = record.texts.get(Field.ALL_DOMAINS)
    return word is not None and (not isinstance(word, str) or trimmed(word) != "")


def _takes_no_number(record: RawRecord) -> str:
    called = record.names.get(Field.DOMAIN_ID, Field.DOMAIN_ID)
    return (
        f"names a domain by its number, and {Call.DV_RESEND} takes none: --call {Call.DOMAIN_DCV}; "
        "or, if the CA is to mail every pending domain of the order: --all-domains "
        f"{ignore_flag(own_name(called))}"
    )


def _needs_the_word(record: RawRecord, described: Description) -> str:
    if Field.ALL_DOMAINS in record.names and not record.has_addresses:
        return (
            f"nothing under {Field.ALL_DOMAINS}: write yes there (or use --all-domains) "
            "to have the CA mail every pending domain of the order"
        )
    if described.is_about_domain:
        return (
            "no e-mail address, in a list that has some: add one, or write yes in a column (or "
            f"key) {Field.ALL_DOMAINS} (or use --all-domains) to have the CA mail all its "
            "contacts for the domain"
        )
    return NAMES_NOBODY


def _call_and_account(
    record: RawRecord, reading: Reading
) -> tuple[Call, str | None, UnusableError | None]:
    """Return a row's call and account, as far as they are known, and why it cannot be sent."""
    is_usual = record.texts.keys().isdisjoint((Field.CALL, Field.ACCOUNT))
    if is_usual and not (record.defect or reading.auto_call):
        return reading.call, None, None
    unknown = UnusableError(Problem.FORM, record.defect) if record.defect else None
    try:
        call = _call(record, reading)
    except UnusableError as unusable:
        call, unknown = _likely_call(record, reading), unknown or unusable
    try:
        account = _account(record, reading)
    except UnusableError as unusable:
        account, unknown = None, unknown or unusable
    return call, account, unknown


def _likely_call(record: RawRecord, reading: Reading) -> Call:
    """Return which call a row is likely to mean that names none of them."""
    names_domain = record.texts.get(Field.DOMAIN_ID) or any(raw.domain for raw in record.entries)
    return (
        Call.DOMAIN_DCV if names_domain and not record.texts.get(Field.ORDER_ID) else reading.call
    )


def _call(record: RawRecord, reading: Reading) -> Call:
    if record.texts.get(Field.CALL) and (named := record.text(Field.CALL)):
        return Call(parsed(record, Field.CALL, named))
    return reading.usual_call(record.text(Field.PRODUCT))


def _account(record: RawRecord, reading: Reading) -> str | None:
    """Return whose key a row goes by."""
    if not record.texts.get(Field.ACCOUNT):
        return None
    named = record.text(Field.ACCOUNT)
    if not named or is_nothing(named) or named == reading.own_account:
        return None
    if not reading.accounts:  # all would go by one key, whosever they are
        called = record.names.get(Field.ACCOUNT, Field.ACCOUNT)
        raise UnusableError(
            Problem.ACCOUNT,
            f"no profile describes the account {shown(named)}, because there are no profiles: add "
            f"one (batch-resend help accounts), or, if the {Noun.of(called).word} is about "
            f"something else: {ignore_flag(own_name(called))}",
        )
    if named not in reading.accounts:
        raise UnusableError(
            Problem.ACCOUNT,
            f"no profile describes the account {shown(named)}; the profiles are "
            f"{', '.join(sorted(reading.accounts))}",
        )
    return named


def _domain(record: RawRecord) -> str:
    """Return what names the domain that a row is about: its number at the CA, its name, or both.

    A wildcard is validated by the name below it, and the CA knows it by that.
    """
    number = ""
    if (cell := record.texts.get(Field.DOMAIN_ID)) not in ("", None):
        number = parsed(record, Field.DOMAIN_ID, cell)
    texts = [text for raw in record.entries for text in several(raw.domain)]
    named = texts or _names_aside(record, number)
    names = {parsed(record, Field.DOMAIN, text).removeprefix("*.") for text in named}
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


def _names_aside(record: RawRecord, number: str) -> Sequence[str]:
    """Return the names that an export gives for the domain of a record; `number`: the domain's.

    One beside a number is its name scope: the number alone may stand for other names, too.
    """
    names = several(record.domains_aside)
    return () if number and len(names) > 1 else names
