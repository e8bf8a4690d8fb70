"""The words that the CA's exports have for an order's status, validation and product.

A column of such a name may be about something else: a ticket has a status, too, and a shop a
product. One word in common does not make it the CA's. How much of the column is made of the CA's
words decides, once the list has been read.
"""

import re
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from batch_resend.errors import InputError
from batch_resend.intake.cells import is_nothing, shown, trimmed
from batch_resend.intake.suggestions import ignore_flag, map_flag, own_name
from batch_resend.intake.vocabulary import Field, plain
from batch_resend.listed import WAITING

WAITING_WORDS = frozenset(WAITING)
_OVER = frozenset(
    (
        "issued", "rejected", "revoked", "waiting_pickup", "canceled", "cancelled", "expired",
        "denied", "failed", "suspended", "approved", "needs_approval", "needs_csr", "processing",
    )
)  # fmt: skip
BY_EMAIL = frozenset(("email", "e_mail"))
_METHOD = re.compile(r"e_?mail|(?:dns|http)(?:_.+)?")
_DV = re.compile(r"(?<![a-z])dv(?![a-z])|rapidssl|quickssl|ssl123|encryption.?everywhere")
# Of the page "Product list": what its names and name_ids are made of.
_PRODUCT = re.compile(
    _DV.pattern
    + r"|ssl|tls|s/?mime|secure.?(?:site|email)|geotrust|thawte|true.?bus|web.?server|wild.?card"
    r"|multi.?domain|code.?sign|document.?sign|digital.?signature|certif|zertif|digicert"
    r"|verified.?mark|common.?mark|(?<![a-z])(?:ov|ev|vmc|cmc|san)(?![a-z])|(?:grid|wi.?fi).?host"
    r"|^client[ _](?:premium|authentication|email)"
)
# What shops write of an order's state, and help desks of a ticket's; in the form of `plain`.
_STATES = re.compile(
    r"(?:partially|un|not|ready(?:for|to)|awaiting|pending)?(?:ship(?:ped|ping)?|paid|payment"
    r"|refund(?:ed)?|delivered|delivery|dispatch(?:ed)?|fulfill?ed|returned|packed|pick(?:ed)?up"
    r"|invoiced|backorder(?:ed)?)|intransit|outfordelivery|onbackorder|chargeback"
    r"|(?:un)?solved|(?:un)?resolved|closed|reopened|inprogress|(?:un)?assigned|escalated|backlog"
    r"|versandt|versendet|(?:un)?bezahlt|(?:aus)?geliefert|zugestellt|erstattet|retourniert|gelost"
    r"|geschlossen|inbearbeitung|expediee?|payee?|livree?|remboursee?|enviado|pagado|entregado"
    r"|spedito|pagato|consegnato|verzonden|betaald|geleverd"
)
_BETWEEN_WORDS = re.compile(r"[\s\-]+")
_MAX_WORDS = 10_000  # that are remembered, with those beside them
_NAMES = {
    Field.STATUS: "status",
    Field.DCV_METHOD: "validation method",
    Field.PRODUCT: "product",
}


def plain_word(text: str) -> str:
    """Return a word as the CA writes it: in lower case, with `_` between its parts."""
    return _BETWEEN_WORDS.sub("_", text.strip().lower())


def is_dv(product: str) -> bool:
    """Whether a product is validated by domain alone, by its name, name_id or type."""
    return _DV.search(product.lower()) is not None


def is_known_status(status: str) -> bool:
    """Whether a status is one that orders of the CA were seen to have; an empty one says nothing.

    Another one may be a later one of the CA's, or no order status at all.
    """
    return not status or plain_word(status) in WAITING_WORDS | _OVER


@lru_cache(maxsize=1024)
def is_state_of_another_trade(text: str) -> bool:
    """Whether a text is a state that orders of shops have, or tickets, and those of the CA not."""
    return _STATES.fullmatch(plain(text)) is not None


def is_known_method(method: str) -> bool:
    """Whether a validation method is one of the CA's; an empty one says nothing."""
    return not method or _METHOD.fullmatch(plain_word(method)) is not None


def is_known_product(product: str) -> bool:
    """Whether a product may be one of the CA's, by what their names are made of."""
    return not product or _PRODUCT.search(product.lower()) is not None


_IS_KNOWN = {
    Field.STATUS: is_known_status,
    Field.DCV_METHOD: is_known_method,
    Field.PRODUCT: is_known_product,
}


def is_known_word(which: Field, text: str) -> bool:
    """Whether what a row says in one of these columns is in the CA's words; empty: it is."""
    return _IS_KNOWN[which](text)


Said = tuple[str, str, str]  # status, validation method and product, as a row has them


@dataclass(slots=True)
class _Column:
    """How much of one column is made of the CA's words."""

    heading: str  # what messages call it
    cells: Counter[bool] = field(default_factory=Counter)  # by whether they hold a word of the CA's
    words: dict[str, bool] = field(default_factory=dict)  # likewise
    first: str = ""  # that is not the CA's
    line: int = 0
    of_others: bool = False  # a shop's, or a help desk's, among them

    @property
    def is_of_the_ca(self) -> bool:
        """Whether at least half of its cells, and of its words, are the CA's."""
        words = Counter(self.words.values())
        return self.cells[True] >= self.cells[False] and words[True] >= words[False]


class WordsSeen:
    """The words of a list's columns for status, validation and product."""

    def __init__(self, unasked: Container[Field]) -> None:
        """Take the fields that need no look: what --map names is the CA's by that."""
        self._unasked = unasked
        self._rows: dict[Said, list[int]] = {}  # how many say so, and the line of the first
        self._headings: Mapping[Field, str] = {}

    def note(self, said: Said, line: int, headings: Mapping[Field, str]) -> None:
        """Take note of a row; `headings`: what messages call the columns."""
        known = self._rows.get(said)
        if known is not None:
            known[0] += 1
        elif len(self._rows) < _MAX_WORDS:
            self._rows[said] = [1, line]
            self._headings = headings

    def refuse(self, name: str) -> None:
        """Raise InputError where a column is about something else; `name`: the list's."""
        for at, which in enumerate(_IS_KNOWN):
            column = self._column(at, which)
            of_others = which is Field.STATUS and column.of_others
            if which not in self._unasked and (of_others or not column.is_of_the_ca):
                raise InputError(f"{name}, line {column.line}: {self._complaint(which, column)}")

    def _column(self, at: int, which: Field) -> _Column:
        column = _Column(self._headings.get(which, which))
        for said, (count, line) in self._rows.items():
            cell = trimmed(said[at])
            if not cell or is_nothing(cell):
                continue
            is_known = _IS_KNOWN[which](cell)
            column.cells[is_known] += count
            column.words[cell.lower()] = is_known
            of_others = not is_known and is_state_of_another_trade(cell)
            if not is_known and (not column.first or (of_others and not column.of_others)):
                column.first, column.line = cell, line
            column.of_others = column.of_others or of_others
        return column

    def _complaint(self, which: Field, column: _Column) -> str:
        known, total = column.cells[True], column.cells.total()
        only = f"only {known:,} of {total:,} cells hold" if known else "no cell holds"
        name = own_name(column.heading)
        return (
            f"{shown(column.first)} is no {_NAMES[which]} of the CA's, and {only} one "
            f"({column.heading}). If the column is about something else: {ignore_flag(name)}; if "
            f"it is the CA's: {map_flag(which, name)}"
        )
