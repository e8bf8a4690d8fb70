"""What people and programs write around a value, taken away and counted.

Only where one thing can be meant: `https://host/`, `DNS:host`, `#100200301`, a bullet, letters of
full width, a language by its name, `NULL` for nothing. What could be meant
in two ways stays as it stands, and `cells` refuses it.

`mailto:`, `smtp:`, `To:`, a name before or behind, brackets, a dot behind it; several with `/`, `|`
or `&` between them. A word in parentheses may be a name; `(old)` or `(do not use)` is not, and its
row is rejected.
"""

import html
import re
import unicodedata
from collections import Counter
from urllib.parse import unquote

from batch_resend.intake.cells import PLAIN_ADDRESS, is_nothing, is_plain_pair, trimmed
from batch_resend.intake.fields import Field, RawEntry, RawRecord
from batch_resend.intake.languages import KNOWN_LOCALES, code_of
from batch_resend.intake.lengths import digits_of
from batch_resend.intake.reading import Reading
from batch_resend.list_form import Remark

_BULLETS = "\u2022\u2023\u2043\u25aa\u25cf\u25e6\u00b7"
_BULLET = re.compile(
    "(?:^|(?<=[;,\n]))[ \t\u00a0]*"
    f"(?:[*+>\u2192{_BULLETS}\u2013\u2014\u2212-][ \t\u00a0]+"
    f"|[{_BULLETS}][ \t\u00a0]*"
    # The number of an item, and no order's: those have no blank behind the dot.
    r"|[0-9]{1,3}[.)][ \t\u00a0]+(?=\S))"
)
_QUOTED = re.compile("=?\"([^\"]*)\"|[\u201c\u201d\u201e]([^\u201c\u201d\u201e]*)[\u201c\u201d]"
                     "|[\u2018\u2019\u201a']([^\u2018\u2019']*)[\u2018\u2019']"
                     "|[\u00ab\u00bb]([^\u00ab\u00bb]*)[\u00ab\u00bb]|`([^`]*)`")  # fmt: skip
# Letters of full width, and those that a printer joins: from a PDF file `config` has one for `fi`.
_FULL_WIDTH = re.compile("[\u3000\uff01-\uff60\ufb00-\ufb06]")
# They take no room: copies from web pages and PDF files have them.
# Not those that turn the direction of what follows: the eye reads something else.
_NO_ROOM = (
    "\u00ad\u180e\u200b\u200e\u200f\u202a-\u202c\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
)
_INVISIBLE = re.compile(f"[{_NO_ROOM}]")
# Between letters of some scripts these two mean something; between others they do not.
_JOINERS = re.compile("[\u200c\u200d]")
TAKES_NO_ROOM = re.compile(f"[{_NO_ROOM}\u200c\u200d]")  # any of those above
# Encodings of which a text was not freed: of pages, of JSON, of Excel's XML, of links, of mails. Of
# links only signs, of mails only what is blank: other things could be meant as they stand.
_ENCODED = re.compile(
    r"&(?:amp;)?(?:#[0-9]{2,5}|#x[0-9a-f]{2,4}|[a-z]{2,8});|(?<!\w)(?:nbsp|lt|gt|quot|apos|#39|#160);"
    r"|_x(?P<excel>00[0-9a-f]{2})_|\\u(?P<json>(?!d[89a-f])[0-9a-f]{4})|^(?:\\[nrt])+|(?:\\[nrt])+$"
    r"|(?P<link>(?:%(?:0[9ad]|2[0267cf]|3[a-ce]|40|5[bd]|c2%a0|e2%80%8b))+)"
    r"|^(?:=(?:0[9ad]|20|a0|c2=a0))+(?=[^0-9=])|(?:=(?:0[9ad]|20|a0|c2=a0))+$",
    re.IGNORECASE,
)
# Between several texts of one cell, beside those that `cells` knows.
BETWEEN_SEVERAL = re.compile(r"\s+(?:/|\||&|and|und|et)\s+", re.I)


def without_invisible(text: str) -> str:
    """Return a text without characters that take no room."""
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    without = _JOINERS.sub("", text)
    return without if without.isascii() else text


def plain_text(cell: str, counts: Counter[Remark]) -> str:
    """Return a cell without bullets and quotation marks around it, in letters of usual width."""
    text = trimmed(cell)
    if (decoded := trimmed(_ENCODED.sub(_decoded, text))) != text:
        text = noted(decoded, Remark.REPAIRED_ENCODING, counts)
    if (without := without_invisible(text)) != text:
        text = noted(trimmed(without), Remark.REPAIRED_INVISIBLE, counts)
    if is_nothing(text):
        return noted("", Remark.REPAIRED_NOTHING, counts)
    if _FULL_WIDTH.search(text):
        text = noted(_FULL_WIDTH.sub(_usual, text), Remark.REPAIRED_WIDTH, counts)
    without = _BULLET.sub("", text)
    if quoted := _QUOTED.fullmatch(without):
        without = next(part for part in quoted.groups() if part is not None)
    elif without[:1] == "'" and without[1:2].isalnum():  # with which spreadsheets mark a text
        without = without[1:]
    return noted(without.strip(), Remark.REPAIRED_SIGNS, counts) if without != text else text


def _decoded(found: re.Match[str]) -> str:
    if code := found["excel"] or found["json"]:
        return chr(int(code, 16))
    if found["link"]:
        return unquote(found[0])
    return (
        html.unescape("&" + found[0].removeprefix("&").removeprefix("amp;"))
        if ";" in found[0]
        else ""
    )


def _usual(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0])


def noted(text: str, remark: Remark, counts: Counter[Remark]) -> str:
    """Return a text, and count what was done to it."""
    counts[remark] += 1
    return text


_LINK = re.compile(r"\bmailto:(?://)?", re.I)
_LABEL_BEFORE = re.compile(
    r"(?:^|(?<=[;,<(\[\s]))(?:smtp|to|an|e-?mail|mail|address|e-?mail address|adresse|approver)"
    r"\s*:\s*(?=[^\s@:]+@)",
    re.I,
)
_QUERY = re.compile(r"\?[a-z]+=[^;, )\]>]*", re.I)
_ADDRESS = r"[^<>()\[\]{}\s@;,/|&]+@[^<>()\[\]{}\s@;,/|&]+"
_NAMED = re.compile(r"[^<>@;]*<\s*([^<>\s@]+@[^<>\s@]+)\s*>\s*")
_BETWEEN_NAMED = re.compile(r";|(?<=>)\s*,")
# `(a@b)`, `Bob (a@b)`, `[a@b]`; of a link in a page's source, `[Bob](a@b)`.
_BRACKETED = re.compile(rf"(?:\[[^\[\]@]*\])?[^<>()\[\]{{}}@;]*[(\[{{]\s*({_ADDRESS})\s*[)\]}}]\s*")
_COMMENTED = re.compile(rf"({_ADDRESS})\s*[(\[]\s*([^()\[\]@]+?)\s*[)\]]\s*")
_NAME = re.compile(r"[^\W\d_][\w'.\u2019-]*(?: [^\W\d_][\w'.\u2019-]*){0,3}")
# In the place of a name, but said of the address.
_NO_NAME = re.compile(
    r"\b(?:not?|don'?t|never|do|don|old|ex|former|left|wrong|bad|invalid|inactive|bounce[ds]?|dead|dele"
    r"ted|retired|unknown|temp|test|tb[cd]|todo|stop|skip|hold|only|if|or|new|backup|cc|bcc|spare"
    r"|nicht|kein\w*|nie|alt\w*|ehemalig\w*|falsch\w*|ung\u00fcltig\w*|nur|oder|neu\w*|gel\u00f6scht"
    r"|pas|ancien\w*|faux|ne|ou|vecchi\w*|non|solo|antigu\w*|o)\b",
    re.I,
)
_DOT_BEHIND = re.compile(r"(?<=[^.\s;,])\.+(?=[ \t]*(?:[;,]|$))")
_SLASH = re.compile(rf"({_ADDRESS})/(?={_ADDRESS}(?:/|$))")


def repaired_addresses(cell: str, counts: Counter[Remark]) -> str:
    """Return a cell of addresses with nothing around them, as far as one thing can be meant."""
    text = plain_text(_QUERY.sub("", cell) if _LINK.search(cell) else cell, counts)
    if (without := _LINK.sub("", text)) != text:
        text = noted(unquote(without), Remark.REPAIRED_LINK, counts)
    if (without := _LABEL_BEFORE.sub("", text)) != text:
        text = noted(without, Remark.REPAIRED_LINK, counts)
    several = _SLASH.sub(r"\1; ", BETWEEN_SEVERAL.sub("; ", text))
    # What stands between others than addresses is no sign of several.
    if several != text and all(part.count("@") == 1 for part in several.split(";")):
        text = noted(several, Remark.REPAIRED_SIGNS, counts)
    named = _without_names(text)
    if named != text:
        text = noted(named, Remark.REPAIRED_NAME, counts)
    if (without := _DOT_BEHIND.sub("", text)) != text:
        text = noted(without, Remark.REPAIRED_DOT, counts)
    return text


def _without_names(text: str) -> str:
    if not any(sign in text for sign in "<([{"):
        return text
    parts = _BETWEEN_NAMED.split(text)
    found = [_address_of(part) for part in parts]
    if not any(found):
        return text
    return "; ".join(one or part for one, part in zip(found, parts, strict=True))


def _address_of(part: str) -> str | None:
    """Return the address beside which a name stands, or that stands in brackets."""
    text = part.strip()
    if found := _NAMED.fullmatch(text) or _BRACKETED.fullmatch(text):
        name = text.replace(found[1], "")
        return None if _NO_NAME.search(name) else found[1]
    found = _COMMENTED.fullmatch(text)
    if found and _NAME.fullmatch(found[2]) and not _NO_NAME.search(found[2]):
        is_name = all(word[:1].isupper() for word in found[2].split())
        return found[1] if is_name else None
    return None


# Most cells are plain; the others are looked at more closely.
_PLAIN_NUMBER = re.compile("[1-9][0-9]*")
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


def repaired(record: RawRecord, counts: Counter[Remark], reading: Reading) -> RawRecord:
    """Return a record with what is repaired in its cells, and count those cells by what it was.

    An order's number that asks for nothing stays as it stands.
    """
    texts: dict[Field, object] = {}
    number = record.texts.get(Field.ORDER_ID)
    if (
        isinstance(number, str)
        and not _PLAIN_NUMBER.fullmatch(number)
        and not reading.is_about_domain(record.text(Field.CALL), record.text(Field.PRODUCT))
    ):
        texts[Field.ORDER_ID] = _number(number, counts)
    locale = record.texts.get(Field.LOCALE)
    if locale and locale not in KNOWN_LOCALES and (locale := record.text(Field.LOCALE)):
        texts[Field.LOCALE] = _locale(locale, counts)
    if texts:
        record = record._replace(texts={**record.texts, **texts})
    if True in map(_is_odd, record.entries):
        record = record._replace(entries=[_entry(each, counts) for each in record.entries])
    return record


def _locale(text: str, counts: Counter[Remark]) -> str:
    text = plain_text(text, counts)
    code = code_of(text)
    if code is None or code.lower() == text.lower().replace("-", "_"):
        return code or text
    return noted(code, Remark.REPAIRED_LANGUAGE, counts)


def _is_odd(entry: RawEntry) -> bool:
    domain, email, email_domain = entry
    if is_plain_pair(domain, email) and not email_domain:
        return False
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
    if without != text:
        noted(without, Remark.REPAIRED_SIGNS, counts)
    number = digits_of(without) or without
    return noted(number, Remark.REPAIRED_NUMBER, counts) if number != without else number


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
