"""A raw record -> a Row, or a RejectedRow that says why not."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.intake.cells import (
    Malformed,
    domain_name,
    email_address,
    locale_code,
    order_number,
)
from batch_resend.model import Entry, RejectedRow, Row


@dataclass(frozen=True, slots=True)
class RawEntry:
    """The cells of one entry; an empty text is an empty cell."""

    domain: str
    email: str
    email_domain: str


@dataclass(frozen=True, slots=True)
class RawRecord:
    """The cells of one row that matter, as a list has them, whatever its form."""

    line: int
    order_id: object  # text, or a JSON number
    entries: Sequence[RawEntry]
    locale: str
    raw: str


def check_record(record: RawRecord, default_locale: str | None) -> Row | RejectedRow:
    """Return the row that `record` stands for, or why it cannot be sent."""
    try:
        return Row(
            line=record.line,
            order_id=order_number(record.order_id),
            entries=tuple(e for raw in record.entries if (e := _entry(raw)) is not None),
            locale=locale_code(record.locale) if record.locale.strip() else default_locale,
            raw=record.raw,
        )
    except Malformed as reason:
        return RejectedRow(record.line, str(reason), record.raw)


def _entry(raw: RawEntry) -> Entry | None:
    """Return the entry, or None where the row names neither domain nor address."""
    has_domain, has_email = bool(raw.domain.strip()), bool(raw.email.strip())
    if not has_domain and not has_email and not raw.email_domain.strip():
        return None
    if not has_email:
        raise Malformed(
            "a domain without an e-mail address: give both, or neither to have the CA mail "
            "all domains of the order that still wait"
        )
    if not has_domain:
        raise Malformed("an e-mail address without the domain it shall approve")
    return Entry(
        domain=domain_name(raw.domain),
        email=email_address(raw.email),
        email_domain=domain_name(raw.email_domain) if raw.email_domain.strip() else None,
    )
