"""What people write around an order number, a domain or a language, taken away and counted.

Only where one thing can be meant: `https://host/`, `DNS:host`, `#100200301`, a bullet, letters of
full width, a language by its name, `NULL` for nothing. Addresses: see `repaired_addresses`. What
could be meant in two ways stays as it stands, and `cells` refuses it.
"""

import re
from collections import Counter

from batch_resend.intake.cells import KNOWN_LOCALES, Malformed, locale_code, trimmed
from batch_resend.intake.raw_records import RawEntry, RawRecord
from batch_resend.intake.repaired_addresses import PLAIN_ADDRESS, repaired_addresses
from batch_resend.intake.repaired_texts import BETWEEN_SEVERAL, noted, plain_text
from batch_resend.model import Remark

# Most cells are plain; the others are looked at more closely.
_ODD_NUMBER = re.compile("[^0-9 .,']")
_PLAIN_DOMAIN = re.compile(r"(?:\*\.)?[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+")
_URL = re.compile(r"(?:(?:https?|ftps?):)?//([^/\s;,?#@:]+)(?::\d+)?(?:[/?#][^\s;,]*)?", re.I)
# `host:443`, and a path, which is no second name.
_PORT = re.compile(r"(?<=[A-Za-z0-9]):[0-9]{1,5}(?=[ \t]*(?:[;,/]|$))")
_PATH = re.compile(r"(?<=[A-Za-z0-9])/(?:[^\s;,.]*)(?=[ \t]*(?:[;,]|$))")
# How certificates have names, and how people label them.
_LABEL = re.compile(
    r"(?:^|(?<=[;,\s]))(?:subjectAltName\s*=\s*)?"
    r"(?:DNS(?:[ .]Name)?\s*[:=]|CN\s*=(?![^;]*,\s*CN\s*=)"
    r"|(?:host(?:[ _]?name)?|domain(?:[ _]?name)?|fqdn|dom\u00e4ne|domaine|dominio)\s*:)\s*",
    re.I,
)
_DISTINGUISHED = re.compile(
    r"CN\s*=\s*([^,;/+=\s]+)\s*(?:[,;/+]\s*(?!CN\b)[A-Za-z.0-9]+\s*=[^=]*)+", re.I
)
_IN_BRACKETS = re.compile(r"[<(\[{]\s*([^<>()\[\]{}@]+?)\s*[>)\]}]")


def is_language(text: str) -> bool:
    """Whether a cell holds a language: its name, or a code that is known."""
    return _code_of(text) in KNOWN_LOCALES


def _code_of(text: str) -> str | None:
    try:
        return locale_code(text)
    except Malformed:
        return None


def repaired(record: RawRecord, counts: Counter[Remark]) -> RawRecord:
    """Return a record with what is repaired in its cells, and count those cells by what it was."""
    changed: dict[str, object] = {}
    number = record.order_id
    if isinstance(number, str) and _ODD_NUMBER.search(number):
        changed["order_id"] = _number(number, counts)
    for entry in record.entries:
        if _is_odd(entry):
            changed["entries"] = tuple(_entry(each, counts) for each in record.entries)
            break
    if record.locale and record.locale not in KNOWN_LOCALES and (text := trimmed(record.locale)):
        changed["locale"] = _locale(text, counts)
    return record._replace(**changed) if changed else record  # type: ignore[arg-type]


def _locale(text: str, counts: Counter[Remark]) -> str:
    text = plain_text(text, counts)
    code = _code_of(text)
    if code is None or code.lower() == text.lower().replace("-", "_"):
        return code or text
    return noted(code, Remark.REPAIRED_LANGUAGE, counts)


def _is_odd(entry: RawEntry) -> bool:
    domain, email, email_domain = entry
    return (
        (domain != "" and _PLAIN_DOMAIN.fullmatch(domain) is None)
        or (email != "" and PLAIN_ADDRESS.fullmatch(email) is None)
        or (email_domain != "" and _PLAIN_DOMAIN.fullmatch(email_domain) is None)
    )


def _entry(entry: RawEntry, counts: Counter[Remark]) -> RawEntry:
    return RawEntry(
        _domains(entry.domain, counts),
        repaired_addresses(entry.email, counts),
        _domains(entry.email_domain, counts),
    )


def _number(cell: str, counts: Counter[Remark]) -> str:
    text = plain_text(cell, counts)
    without = text.lstrip("#\u2116").lstrip()
    if not without[:1].isdigit():  # the sign is none of a number: a formula has failed
        return text
    return noted(without, Remark.REPAIRED_SIGNS, counts) if without != text else text


def _domains(cell: str, counts: Counter[Remark]) -> str:
    text = plain_text(cell, counts)
    if not text or text.startswith("#"):
        return text
    host = text
    if found := _DISTINGUISHED.fullmatch(host):
        host = found[1]
    host = BETWEEN_SEVERAL.sub("; ", host)
    host = _URL.sub(r"\1", _LABEL.sub("", host))
    if found := _IN_BRACKETS.fullmatch(host):
        host = found[1]
    host = _PATH.sub("", _PORT.sub("", host))
    return noted(host, Remark.REPAIRED_LINK, counts) if host != text else text
