"""The domains and addresses of a record, each checked, and what a person should know of them."""

from collections.abc import Iterator, Sequence

from batch_resend.calls import Addresses, Description
from batch_resend.intake.cells import (
    Malformed,
    failed_formula,
    is_plain_pair,
    several,
    shown,
    trimmed,
)
from batch_resend.intake.fields import COLUMNS, Field, RawEntry, RawRecord
from batch_resend.intake.languages import KNOWN_LOCALES
from batch_resend.intake.looks import is_at, is_constructed, is_parent
from batch_resend.model import Entry, Note, Problem

Pairs = Sequence[tuple[RawEntry, Sequence[Entry]]]  # the cells, and what they come to


class UnusableError(Exception):
    """The row cannot be sent; the text is the reason."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


def pairs_of(record: RawRecord, described: Description) -> Pairs:
    """Return each entry's cells with what they come to for a call. Raises UnusableError."""
    if described.addresses is Addresses.PAIRS:
        return [(raw, _entries(record, raw)) for raw in record.entries]
    return [(raw, tuple(_addresses(record, raw, described))) for raw in record.entries]


def _addresses(record: RawRecord, raw: RawEntry, described: Description) -> Iterator[Entry]:
    """Yield the addresses of a call that takes them without pairing them with domains."""
    domain = ""
    if described.is_about_domain and (texts := several(raw.domain)):
        domain = parsed(record, Field.DOMAIN, texts[0])
    for email in _each(record, Field.EMAIL, several(raw.email), raw.email):
        yield Entry(domain, email)


def parsed(record: RawRecord, field: Field, cell: object, whole: str = "") -> str:
    """Return what a cell says. Raises UnusableError with the name of its column.

    `whole`: what to show beside it, where it is one of several texts in a cell.
    """
    column = COLUMNS[field]
    try:
        return column.parse(cell)
    except Malformed as refused:
        reason = f"{refused}, in {shown(whole)}" if whole else str(refused)
    name = record.names.get(field)
    if isinstance(cell, str) and (why := failed_formula(cell)):
        reason = f"{name or field} {why}"
    elif name:
        reason = f"{reason} ({name})"
    raise UnusableError(column.problem, reason)


def _each(record: RawRecord, field: Field, texts: Sequence[str], cell: str) -> Sequence[str]:
    """Return what each of the texts in a cell says. Raises UnusableError."""
    if len(texts) == 1:
        return (parsed(record, field, texts[0]),)
    return [parsed(record, field, text, cell) for text in texts]


def _entries(record: RawRecord, raw: RawEntry) -> Sequence[Entry]:
    """Return the entries of one domain cell and one address cell; none where both are empty."""
    if is_plain_pair(raw.domain, raw.email) and not raw.email_domain:
        return (Entry(raw.domain, raw.email, _parent_of_mail(raw.domain, raw.email)),)
    if not any(raw):
        return ()
    domains, emails = several(raw.domain), several(raw.email)
    named = raw.email_domain and trimmed(raw.email_domain)
    if len(domains) != 1 or len(emails) != 1:
        _refuse_unpaired(domains, emails)
    email_domain = parsed(record, Field.EMAIL_DOMAIN, named) if named else None
    names = _each(record, Field.DOMAIN, domains, raw.domain)
    addresses = _each(record, Field.EMAIL, emails, raw.email)
    if len(names) > 1:
        _refuse_broken_name(names, addresses[0], raw.domain)
    return [
        Entry(domain, email, _other_domain(domain, email, email_domain))
        for domain in names
        for email in addresses
    ]


def _other_domain(domain: str, email: str, named: str | None) -> str | None:
    """Return at which domain an address lives, if not at the one that it approves.

    That one the CA takes for granted: to name it is the same request.
    """
    return None if named == domain else named or _parent_of_mail(domain, email)


def _refuse_unpaired(domains: Sequence[str], emails: Sequence[str]) -> None:
    """Raise UnusableError where it is not plain which domain goes with which address."""
    if not emails:
        raise UnusableError(Problem.PAIR, "a domain without an e-mail address: give both")
    if not domains:
        raise UnusableError(Problem.PAIR, "an e-mail address without the domain to approve")
    if len(domains) > 1 and len(emails) > 1:
        raise UnusableError(
            Problem.PAIR,
            f"{len(domains)} domains and {len(emails)} e-mail addresses in one row: which belong "
            "together? Give each domain a row of its own",
        )


def _refuse_broken_name(names: Sequence[str], address: str, cell: str) -> None:
    """Raise UnusableError where what stands between domains may stand in the middle of one.

    Each half of a name may look like one; but the address is at none of the two. Where a line break
    stands there it has to be at both: few write one between domains.
    """
    mail = address.rpartition("@")[2]
    at_it = [is_at(mail, name) for name in names]
    if not any(at_it):
        raise UnusableError(
            Problem.DOMAIN,
            f"the address is at none of the domains in {shown(cell)}: is it one name, broken "
            "in the middle? If there are several, give each a row of its own",
        )
    if not all(at_it) and set("\r\n") & set(cell):
        raise UnusableError(
            Problem.DOMAIN,
            f"{shown(cell)} contains a line break, and the address is not at each part: is it a "
            "broken name? Write ; between several",
        )


def _parent_of_mail(domain: str, email: str) -> str | None:
    """Return the domain at which an address lives where that is a parent of `domain`."""
    mail_domain = email.rpartition("@")[2]
    return mail_domain if is_parent(mail_domain, domain) else None


def notes_of(pairs: Pairs, locale: str | None, described: Description) -> list[Note]:
    """Return what a person should know of a row's language and addresses."""
    of_locale = [Note.UNKNOWN_LOCALE] if locale and locale not in KNOWN_LOCALES else []
    if described.addresses is Addresses.REQUIRED:
        return of_locale  # these are contacts of the account, which the CA knows itself
    return of_locale + _notes_of_addresses(pairs, described.addresses)


def _notes_of_addresses(pairs: Pairs, addresses: Addresses) -> list[Note]:
    constructed = [_is_constructed(entry) for _, entries in pairs for entry in entries]
    notes = [Note.NOT_CONSTRUCTED] if False in constructed else []
    if addresses is Addresses.SOME:
        # The CA leaves out whom it does not know; if that is everybody, it mails all it knows
        # (page "Resend domain DCV emails").
        return [Note.MAY_MAIL_ALL] if notes and True not in constructed else notes
    return [*notes, Note.EMAIL_DOMAIN_FILLED_IN] if _is_filled_in(pairs) else notes


def _is_filled_in(pairs: Pairs) -> bool:
    """Whether the domain at which an address lives is one that the list does not have."""
    for raw, entries in pairs:
        for entry in entries:
            if entry.email_domain is not None and not trimmed(raw.email_domain):
                return True
    return False


def _is_constructed(entry: Entry) -> bool:
    """Whether the CA makes an address up itself; of a domain known by its number nobody can say."""
    if not entry.domain:
        return False
    local_part, _, mail_domain = entry.email.rpartition("@")
    return is_constructed(local_part, mail_domain, entry.domain)
