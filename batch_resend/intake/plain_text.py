"""A cell without what stands around any value: bullets, quotation marks, leftovers of encodings.

Letters of full width get their usual width, and characters that take no room are removed.
"""

import html
import re
import unicodedata
from collections import Counter
from urllib.parse import unquote

from batch_resend.intake.cells import is_nothing, trimmed
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
