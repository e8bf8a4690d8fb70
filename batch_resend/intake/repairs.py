"""What people and programs write around a value, taken away and counted.

Only where one thing can be meant: `https://host/`, `DNS:host`, `#100200301`, a bullet, letters of
full width, a language by its name, `NULL` for nothing. What could be meant
in two ways stays as it stands, and `cells` refuses it.

`mailto:`, `smtp:`, `To:`, a name before or behind, brackets, a dot behind it; several with `/`, `|`
or `&` between them. A word in parentheses may be a name; `(old)` or `(do not use)` is not, and its
row is rejected.
"""

import re
from collections import Counter
from urllib.parse import unquote

from batch_resend.intake.cells import PLAIN_ADDRESS, is_plain_pair
from batch_resend.intake.fields import Field, RawEntry, RawRecord
from batch_resend.intake.languages import KNOWN_LOCALES, code_of
from batch_resend.intake.numbers import bare_number, digits_of
from batch_resend.intake.plain_text import noted, plain_text
from batch_resend.intake.reading import Reading
from batch_resend.list_form import Remark

# Between several texts of one cell, beside those that `cells` knows.
BETWEEN_SEVERAL = re.compile(r"\s+(?:/|\||&|and|und|et)\s+", re.I)

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
    r"\b(?:not?|don'?t|never|do|don|old|ex|former(?:ly)?|left|gone|wrong|bad|invalid|inactive|bounce[ds]?|dead|dele"
    r"ted|retired|unknown|temp|test|tb[cd]|todo|stop|skip|hold|only|if|or|new|backup|cc|bcc|spare"
    r"|nicht|kein\w*|nie|alt\w*|ehemalig\w*|falsch\w*|ung\u00fcltig\w*|nur|oder|neu\w*|gel\u00f6scht|raus|weg"
    r"|ausgeschieden"
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
        text = noted(several, Remark.REPAIRED_BETWEEN, counts)
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
    text = bare_number(cell, counts)
    number = digits_of(text) if text[:1].isdigit() else ""
    if not number or number == text:
        return text
    return noted(number, Remark.REPAIRED_NUMBER, counts)


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
