"""What is taken away around a text of any kind: bullets, quotation marks, what takes no room."""

import re
import unicodedata
from collections import Counter

from batch_resend.intake.cells import is_nothing, trimmed
from batch_resend.model import Remark

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
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
# Between letters of some scripts these two mean something; between others they do not.
_JOINERS = re.compile("[\u200c\u200d]")
TAKES_NO_ROOM = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # any of those above
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


def _usual(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0])


def noted(text: str, remark: Remark, counts: Counter[Remark]) -> str:
    """Return a text, and count what was done to it."""
    counts[remark] += 1
    return text
