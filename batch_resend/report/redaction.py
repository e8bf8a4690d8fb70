"""E-mail addresses, masked: for reports and logs that go to more people than the list did."""

import re

# What stands before the @, quoted or not, up to what cannot be part of it; generous, for it is to
# be hidden. The bound keeps the search linear.
_ADDRESS = re.compile(
    r"""(?: "[^"\n]{1,1000}" | [^\s@<>()\[\];:"',] [^\s@<>()\[\];:",]{0,1000} ) @ (?=[^\s@])""",
    re.VERBOSE,
)
# What a message quotes of a row, from its first quotation mark to its last.
_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)
MASK = "***@"
NOT_SHOWN = "not shown: --redact"


def redacted(text: str) -> str:
    """Return text in which every e-mail address keeps its domain only."""
    return _ADDRESS.sub(MASK, text) if "@" in text else text


def without_quotes(text: str) -> str:
    """Return a message without what it quotes: a mistyped address is none, and yet somebody's."""
    return redacted(_QUOTED.sub("'***'", text))
