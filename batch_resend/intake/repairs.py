"""What people write around an order number, a domain or an address, taken away and counted.

Only where one thing can be meant: `mailto:`, `Name <address>`, `https://host/`, `#100200301`, a
bullet, a dot behind, letters of full width, a language by its name, `NULL` for nothing. What could
be meant in two ways stays as it stands, and `cells` refuses it.
"""

import re
import unicodedata
from collections import Counter

from batch_resend.intake.cells import KNOWN_LOCALES, is_nothing, trimmed
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import Remark

_LANGUAGES = {
    "en": "english englisch anglais inglese ingl\u00e9s ingl\u00eas eng",
    "de": "german deutsch allemand tedesco alem\u00e1n alem\u00e3o deu ger",
    "fr": "french franz\u00f6sisch fran\u00e7ais francese franc\u00e9s franc\u00eas fra fre",
    "es": "spanish spanisch espagnol spagnolo espa\u00f1ol espanhol spa",
    "it": "italian italienisch italien italiano ita",
    "ja": "japanese japanisch japonais giapponese japon\u00e9s jpn",
    "ko": "korean koreanisch cor\u00e9en coreano kor",
    "pt": "portuguese portugiesisch portugais portoghese portugu\u00e9s portugu\u00eas por",
    "ru": "russian russisch russe russo ruso rus",
}
_CODE_OF_LANGUAGE = {name: code for code, names in _LANGUAGES.items() for name in names.split()}
_KNOWN_CODES = frozenset(code.lower() for code in KNOWN_LOCALES)
# What a cell has that is to be looked at more closely; most have none of it.
_ODD_NUMBER = re.compile("[^0-9 .,']")
_ODD_DOMAIN = re.compile(
    "[^A-Za-z0-9.*;, -]|^[ ]*[-*](?![.])|^[?]$|^n[a/]|^nil$|^null$|^none$", re.I
)
_ODD_ADDRESS = re.compile(
    r"[^A-Za-z0-9._@+;, -]|^[ ]*-|\.[ ]*$|\.[;,]|^n[a/]|^nil$|^null$|^none$", re.I
)
_BULLET = re.compile(
    "(?:^|(?<=[;,\n]))[ \t\u00a0]*"
    "(?:[*\u2022\u2023\u2043\u25aa\u25cf\u25e6\u00b7\u2013\u2014\u2212-][ \t\u00a0]+"
    "|[\u2022\u2023\u2043\u25aa\u25cf\u25e6\u00b7][ \t\u00a0]*)"
)
_QUOTED = re.compile("=?\"([^\"]*)\"|[\u201c\u201d\u201e]([^\u201c\u201d\u201e]*)[\u201c\u201d]"
                     "|[\u2018\u2019\u201a']([^\u2018\u2019']*)[\u2018\u2019']"
                     "|[\u00ab\u00bb]([^\u00ab\u00bb]*)[\u00ab\u00bb]")  # fmt: skip
_FULL_WIDTH = re.compile("[\u3000\uff01-\uff60]")
_LINK = re.compile(r"\b(?:mailto:)", re.I)
_QUERY = re.compile(r"\?[a-z]+=[^;, ]*", re.I)
_NAMED = re.compile(r"[^<>@;]*<\s*([^<>\s@]+@[^<>\s@]+)\s*>\s*")
_BETWEEN_NAMED = re.compile(r";|(?<=>)\s*,")
_URL = re.compile(r"https?://([^/\s;,?#@:]+)(?::\d+)?(?:[/?#][^\s;,]*)?", re.I)
_DOT_BEHIND = re.compile(r"(?<=[^.\s;,])\.+(?=[ \t]*(?:[;,]|$))")


def is_language(text: str) -> bool:
    """Whether a cell holds a language: its name, or a code that is known."""
    word = trimmed(text).lower()
    return word in _CODE_OF_LANGUAGE or word.replace("-", "_") in _KNOWN_CODES


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
    if record.locale and (text := trimmed(record.locale)):
        if is_nothing(text):
            changed["locale"] = _noted("", Remark.REPAIRED_NOTHING, counts)
        elif (code := _CODE_OF_LANGUAGE.get(text.lower())) is not None:
            changed["locale"] = _noted(code, Remark.REPAIRED_LANGUAGE, counts)
    return record._replace(**changed) if changed else record  # type: ignore[arg-type]


def _is_odd(entry: RawEntry) -> bool:
    return (
        _ODD_DOMAIN.search(entry.domain) is not None
        or _ODD_ADDRESS.search(entry.email) is not None
        or (entry.email_domain != "" and _ODD_DOMAIN.search(entry.email_domain) is not None)
    )


def _entry(entry: RawEntry, counts: Counter[Remark]) -> RawEntry:
    return RawEntry(
        _domains(entry.domain, counts),
        _addresses(entry.email, counts),
        _domains(entry.email_domain, counts),
    )


def _number(cell: str, counts: Counter[Remark]) -> str:
    text = _plain_text(cell, counts)
    without = text.lstrip("#\u2116").lstrip()
    return _noted(without, Remark.REPAIRED_SIGNS, counts) if without != text else text


def _domains(cell: str, counts: Counter[Remark]) -> str:
    text = _plain_text(cell, counts)
    host = _URL.sub(r"\1", text)
    if host == text:
        host = re.sub(r"(?<=[A-Za-z0-9])/(?=[ \t]*(?:[;,]|$))", "", text)
    return _noted(host, Remark.REPAIRED_LINK, counts) if host != text else text


def _addresses(cell: str, counts: Counter[Remark]) -> str:
    text = _plain_text(cell, counts)
    if (without := _LINK.sub("", text)) != text:
        text = _noted(_QUERY.sub("", without), Remark.REPAIRED_LINK, counts)
    if "<" in text:
        parts = _BETWEEN_NAMED.split(text)
        found = [_NAMED.fullmatch(part) for part in parts]
        if any(found):
            named = [match[1] if match else part for match, part in zip(found, parts, strict=True)]
            text = _noted("; ".join(named), Remark.REPAIRED_NAME, counts)
    if (without := _DOT_BEHIND.sub("", text)) != text:
        text = _noted(without, Remark.REPAIRED_DOT, counts)
    return text


def _plain_text(cell: str, counts: Counter[Remark]) -> str:
    """Return a cell without bullets and quotation marks around it, in letters of usual width."""
    text = trimmed(cell)
    if is_nothing(text):
        return _noted("", Remark.REPAIRED_NOTHING, counts)
    if _FULL_WIDTH.search(text):
        text = _noted(unicodedata.normalize("NFKC", text), Remark.REPAIRED_WIDTH, counts)
    without = _BULLET.sub("", text)
    if quoted := _QUOTED.fullmatch(without):
        without = next(part for part in quoted.groups() if part is not None)
    elif without[:1] == "'" and without[1:2].isalnum():  # with which spreadsheets mark a text
        without = without[1:]
    return _noted(without.strip(), Remark.REPAIRED_SIGNS, counts) if without != text else text


def _noted(text: str, remark: Remark, counts: Counter[Remark]) -> str:
    counts[remark] += 1
    return text
