"""What people write around an e-mail address, taken away and counted.

`mailto:`, `smtp:`, `To:`, a name before or behind, brackets, a dot behind it; several with `/`, `|`
or `&` between them. A word in parentheses may be a name; `(old)` or `(do not use)` is not, and its
row is rejected.
"""

import re
from collections import Counter
from urllib.parse import unquote

from batch_resend.intake.repaired_texts import BETWEEN_SEVERAL, noted, plain_text
from batch_resend.model import Remark

# Most cells are plain; the others are looked at more closely.
PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*@[A-Za-z0-9.-]*[A-Za-z0-9-]")
_LINK = re.compile(r"\bmailto:(?://)?", re.I)
_LABEL = re.compile(
    r"(?:^|(?<=[;,<(\[\s]))(?:smtp|to|an|e-?mail|mail|address|e-?mail address|adresse|approver)"
    r"\s*:\s*(?=[^\s@:]+@)",
    re.I,
)
_QUERY = re.compile(r"\?[a-z]+=[^;, )\]>]*", re.I)
_ADDRESS = r"[^<>()\[\]{}\s@;,/|&]+@[^<>()\[\]{}\s@;,/|&]+"
_NAMED = re.compile(r"[^<>@;]*<\s*([^<>\s@]+@[^<>\s@]+)\s*>\s*")
_BETWEEN_NAMED = re.compile(r";|(?<=>)\s*,")
# `(a@b)`, `Bob (a@b)`, `[a@b]`; of a link in a page's source, `[Bob](a@b)`.
_IN_BRACKETS = re.compile(
    rf"(?:\[[^\[\]@]*\])?[^<>()\[\]{{}}@;]*[(\[{{]\s*({_ADDRESS})\s*[)\]}}]\s*"
)
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
    if (without := _LABEL.sub("", text)) != text:
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
    if found := _NAMED.fullmatch(text) or _IN_BRACKETS.fullmatch(text):
        name = text.replace(found[1], "")
        return None if _NO_NAME.search(name) else found[1]
    found = _COMMENTED.fullmatch(text)
    if found and _NAME.fullmatch(found[2]) and not _NO_NAME.search(found[2]):
        is_name = all(word[:1].isupper() for word in found[2].split())
        return found[1] if is_name else None
    return None
