"""The domains and addresses of a record, each checked, and what a person should know of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from batch_resend.calls import Addresses, Description
from batch_resend.intake.cells import (
    KNOWN_LOCALES,
    Malformed,
    domain_name,
    email_address,
    failed_formula,
    several,
    shown,
    trimmed,
)
from batch_resend.intake.fields import Field, RawEntry, RawRecord
from batch_resend.intake.looks import is_constructed, is_parent
from batch_resend.model import Entry, Note, Problem

Cell = TypeVar("Cell")
Value = TypeVar("Value")
Pairs = list[tuple[RawEntry, tuple[Entry, ...]]]  # the cells, and what they come to

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


class UnusableError(Exception):
    """The row cannot be sent; the text is the reason."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


def pairs_of(record: RawRecord, described: Description) -> Pairs:
    """Return each entry's cells with what they come to for a call. Raises UnusableError."""
    if described.addresses is Addresses.PAIRS:
        return [(raw, tuple(_entries(record, raw))) for raw in record.entries]
    return [(raw, tuple(_addresses(record, raw, described))) for raw in record.entries]


def entries_of(pairs: Sequence[tuple[RawEntry, tuple[Entry, ...]]]) -> tuple[Entry, ...]:
    """Return all that pairs come to."""
    return tuple(entry for _, of_raw in pairs for entry in of_raw)


def _addresses(record: RawRecord, raw: RawEntry, described: Description) -> Iterator[Entry]:
    """Yield the addresses of a call that takes them without pairing them with domains."""
    domain = ""
    if described.is_about_domain and (texts := several(raw.domain)):
        domain = parsed(record, Field.DOMAIN, domain_name, texts[0])
    emails = several(raw.email)
    for text in emails:
        email = parsed(record, Field.EMAIL, _one_of(email_address, emails, raw.email), text)
        yield Entry(domain, email)


def parsed(record: RawRecord, field: Field, parse: Callable[[Cell], Value], cell: Cell) -> Value:
    """Return what a cell says. Raises UnusableError with the name of its column."""
    try:
        return parse(cell)
    except Malformed as reason:
        name = record.names.get(field)
        if isinstance(cell, str) and (why := failed_formula(cell)):
            raise UnusableError(_PROBLEMS[field], f"{name or field} {why}") from None
        raise UnusableError(
            _PROBLEMS[field], f"{reason} ({name})" if name else str(reason)
        ) from None


def _entries(record: RawRecord, raw: RawEntry) -> Iterator[Entry]:
    """Yield the entries of one domain cell and one address cell; none where both are empty."""
    domains, emails = several(raw.domain), several(raw.email)
    named = raw.email_domain and trimmed(raw.email_domain)
    if not domains and not emails and not named:
        return
    if not emails:
        raise UnusableError(
            Problem.PAIR,
            "a domain without an e-mail address: give both",
        )
    if not domains:
        raise UnusableError(Problem.PAIR, "an e-mail address without the domain it shall approve")
    if len(domains) > 1 and len(emails) > 1:
        raise UnusableError(
            Problem.PAIR,
            f"{len(domains)} domains and {len(emails)} e-mail addresses in one row: which belong "
            "together? Give each domain a row of its own",
        )
    email_domain = parsed(record, Field.EMAIL_DOMAIN, domain_name, named) if named else None
    if len(domains) > 1:
        _refuse_broken_name(record, raw, domains, emails[0])
    for domain_text in domains:
        domain = parsed(
            record, Field.DOMAIN, _one_of(domain_name, domains, raw.domain), domain_text
        )
        for email_text in emails:
            email = parsed(
                record, Field.EMAIL, _one_of(email_address, emails, raw.email), email_text
            )
            yield Entry(domain, email, email_domain or _parent_of_mail(domain, email))


def _refuse_broken_name(
    record: RawRecord, raw: RawEntry, domains: Sequence[str], address: str
) -> None:
    """Raise UnusableError where what stands between domains may stand in the middle of one.

    Each half of a name may look like one; but the address is at none of the two. Where a line break
    stands there it has to be at both: few write one between domains.
    """
    mail = _mail_domain(parsed(record, Field.EMAIL, email_address, address))
    names = [
        parsed(record, Field.DOMAIN, _one_of(domain_name, domains, raw.domain), d) for d in domains
    ]
    at_it = [mail == name.removeprefix("*.") or is_parent(mail, name) for name in names]
    if not any(at_it):
        raise UnusableError(
            Problem.DOMAIN,
            f"the address is at none of the domains in {shown(raw.domain)}: is it one name, broken "
            "in the middle? If there are several, give each a row of its own",
        )
    if not all(at_it) and set("\r\n") & set(raw.domain):
        raise UnusableError(
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
    return email.rpartition("@")[2]


def notes_of(
    pairs: Sequence[tuple[RawEntry, Sequence[Entry]]], locale: str | None, described: Description
) -> Iterator[Note]:
    """Yield what a person should know of a row's language and addresses."""
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
