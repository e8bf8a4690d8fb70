"""Text of others, made such that it does nothing to what shows it, and names nobody if asked."""

import re
from collections.abc import Iterable
from typing import TypeVar

# With which a spreadsheet takes a cell for a formula; OWASP, "CSV Injection".
FORMULA_SIGNS = frozenset("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
# What stands before the @, quoted or not, up to what cannot be part of it; generous, for it is to
# be hidden. The bound keeps the search linear.
_ADDRESS = re.compile(
    r"""(?: "[^"\n]{1,1000}" | [^\s@<>()\[\];:"',] [^\s@<>()\[\];:",]{0,1000} ) @ (?=[^\s@])""",
    re.VERBOSE,
)
# What a message quotes of a row, from its first quotation mark to its last.
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
# A domain with an A-label in it, and that label (RFC 5890).
_A_DOMAIN = re.compile(r"(?<![\w.-])(?:[\w-]+\.)*xn--[\w-]+(?:\.[\w-]+)*", re.IGNORECASE)
_LABEL = re.compile(r"(?<![\w-])xn--([a-z0-9-]+)", re.IGNORECASE)
MASK = "***@"
NOT_SHOWN = "not shown: --redact"

Cell = TypeVar("Cell")


def visible(text: str) -> str:
    """Return text in which what cannot be seen, or turns the direction of writing, is spelled."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible_lines(text: str) -> str:
    """Return text of several lines, each of them visible."""
    return "\n".join(map(visible, text.split("\n")))


def with_unicode(text: str) -> str:
    """Return text with its internationalized domains, and behind them as people write these.

    Behind, not instead: letters of two scripts may look alike.
    """
    if "xn--" not in text.lower():
        return text
    domains = dict.fromkeys(one[0] for one in _A_DOMAIN.finditer(text))
    written = [_LABEL.sub(_as_people_write, domain) for domain in domains]
    known = [visible(name) for name in dict.fromkeys(written) if name not in domains]
    return f"{text} ({', '.join(known)})" if known else text


def _as_people_write(label: re.Match[str]) -> str:
    try:
        return label[1].encode("ascii").decode("punycode")
    except ValueError:  # it is none
        return label[0]


def defused(cell: Cell) -> Cell | str:
    """Return a cell that no spreadsheet runs as a formula."""
    return defused_row((cell,))[0]


def defused_row(cells: Iterable[Cell]) -> list[Cell | str]:
    """Return the cells of a row, none of which a spreadsheet runs as a formula."""
    return [
        f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA_SIGNS else cell
        for cell in cells
    ]


def redacted(text: str) -> str:
    """Return text in which every e-mail address keeps its domain only."""
    return _ADDRESS.sub(MASK, text) if "@" in text else text


def without_quotes(text: str) -> str:
    """Return a message without what it quotes: a mistyped address is none, and yet somebody's."""
    return redacted(_QUOTED.sub("'***'", text))
