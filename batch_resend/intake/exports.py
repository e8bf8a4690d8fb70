"""What the CA's own exports say of an order, in their columns and in their words.

The one place that decides whether there is anything to resend: for rows of a list, for `sweep` and
for `--preflight`. The values are those of the pages "List orders", "Order report" and "Product
list", and those that clients of the API were seen to meet.

A column of such a name may be about something else: a ticket has a status, too, and a shop a
product. How much of the column is made of the CA's words decides, once the list has been read.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake.cells import is_nothing, shown, trimmed
from batch_resend.intake.fields import Field, known_field, plain
from batch_resend.intake.suggestions import (
    Noun,
    ignore_flag,
    map_flag,
    needs_no_mail,
    own_name,
)
from batch_resend.listed import REPORT_COLUMNS, STATUSES, WAITING
from batch_resend.model import Call

_BY_EMAIL = frozenset(("email", "e_mail"))
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
_NAMES = {Field.STATUS: "status", Field.DCV_METHOD: "validation method", Field.PRODUCT: "product"}


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
    return not status or plain_word(status) in STATUSES


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
                raise InputError(f"{name}, line {column.line}: {self._defect(which, column)}")

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

    def _defect(self, which: Field, column: _Column) -> str:
        known, total = column.cells[True], column.cells.total()
        only = f"only {known:,} of {total:,} cells hold" if known else "no cell holds"
        name, noun = own_name(column.heading), Noun.of(column.heading)
        why = f"{shown(column.first)} is not a {_NAMES[which]} of the CA's, and {only} one"
        is_status = which is Field.STATUS  # of orders, in other words, or of anything
        does = (
            needs_no_mail("It", name)
            if is_status
            else (f"If the {noun.word} is about something else: {ignore_flag(name)}")
        )
        # With other words alone, all orders would be skipped by it.
        if known:
            does += f"; if it is the CA's: {map_flag(which, name, noun)}"
        return f"{why} ({column.heading}). {does}"


def skip_cause(
    status: str, dcv_method: str, product: str, call: Call, *, any_product: bool
) -> tuple[Field, str] | None:
    """Return why an order has nothing to resend by a call, and which field of its list says so.

    An empty text says nothing. `any_product`: whatever the product is, the call is made. A word
    that is not known is a reason: what it means is not known either, and the narrower is sent.
    """
    if status and (word := plain_word(status)) not in WAITING:
        if not is_known_status(status):
            why = f"its status is {shown(status.strip())}, which is not known"
            return Field.STATUS, why
        return Field.STATUS, f"its status is {word}, not pending"
    described = CALLS[call]
    if described.approves_domains and dcv_method and plain_word(dcv_method) not in _BY_EMAIL:
        why = f"its domains are validated by {shown(dcv_method.strip())}, not by e-mail"
        return Field.DCV_METHOD, why
    if described.is_for_dv and not any_product and product and not is_dv(product):
        return Field.PRODUCT, (
            f"its product, {shown(product)}, is not DV, and according to the CA's older pages "
            f"{call} is for DV only: use --call domain-dcv for its domains, or --any-product to "
            "send it as it is"
        )
    return None


# --- its columns --------------------------------------------------------------------------

# Of the CA's order report (page "Order report"). Its `email` is the requester's.
_REPORT = frozenset(
    ("orderid", "customerorderid", "datecreated", "containerid", "containername", "status",
     "userid", "techemail", "dcvmethod", "commonname", "plusfeature", "dnsnames", "productid",
     "productnameid", "productname", "producttype", "email", "csr", "validfrom", "validtill")
)  # fmt: skip
# A report of all columns has these; one of chosen columns, or another list, some of them.
_WHOLE_REPORT = frozenset(
    ("orderid", "datecreated", "containerid", "status", "userid", "techemail", "dcvmethod",
     "commonname", "dnsnames", "productnameid", "email", "csr")
)  # fmt: skip
_USUAL_IN_LISTS = frozenset(("orderid", "commonname", "email"))
_OWN_ADDRESSES = frozenset(("techemail", "email"))
_OWN_DOMAINS = frozenset(
    ("commonname", "dnsname", "dnsnames", "san", "sans", "subjectalternativenames",
     "domains")  # the last is that of our own `export`
)  # fmt: skip


# Of an order as the CA's calls List orders and Order info have it.
_KEYS = frozenset(
    ("id", "order_id", "certificate", "status", "is_renewed", "is_renewable", "renewed_order_id",
     "date_created", "organization", "organization_contact", "technical_contact",
     "verified_contacts", "contacts", "container", "product", "product_name_id", "price",
     "order_validity", "number_of_sans", "is_multi_year_plan", "dcv_method", "user", "requests",
     "notes", "additional_emails", "user_assignments", "custom_fields", "alternative_order_id",
     "receipt_id", "payment_method", "payment_profile")
)  # fmt: skip


# What an order of the CA's has below a key of these, and other shops' orders have not.
_BELOW = {"certificate": ("dns_names", "common_name"), "product": ("name_id",)}


# Columns of the CA's order report, of its list of orders, and of our `export`.
_OWN_COLUMNS = frozenset(map(plain, REPORT_COLUMNS)) | frozenset(
    ("requested", "requestedon", "requestedby", "dateordered", "orderdate", "ordered", "expires",
     "validuntil", "validity", "container", "division", "organization", "createdat", "agedays",
     "domainid", "file", "line", "reason", "row")
)  # fmt: skip


def is_own_heading(heading: str) -> bool:
    """Whether the CA's exports, or ours, have a column of that name."""
    return plain(heading) in _OWN_COLUMNS or known_field(heading) is not None


def is_order_of_the_ca(value: Mapping[str, object]) -> bool:
    """Whether a JSON object is an order as the CA's calls have it: their `id` is its number."""
    if "product_name_id" in value:
        return True
    for key, own in _BELOW.items():
        held = value.get(key)
        if isinstance(held, dict) and not held.keys().isdisjoint(own):
            return True
    return False


def is_own_key(key: str) -> bool:
    """Whether the CA has such a key in its orders: addresses below it are no approvers'."""
    return key in _KEYS


def is_whole_report(headings: Sequence[str]) -> bool:
    """Whether these are the columns of the CA's order report, all of them."""
    names = [plain(name) for name in headings]
    return _WHOLE_REPORT.issubset(names) and names.count("email") == 1


def is_report_with_email(headings: Sequence[str]) -> bool:
    """Whether a list may be a report of chosen columns, in which `email` is the requester's."""
    names = {plain(name) for name in headings if name.strip()}
    return names <= _REPORT and "email" in names and bool(names - _USUAL_IN_LISTS)


def is_domain_heading(heading: str) -> bool:
    """Whether the CA's exports have their domains under such a heading."""
    return plain(heading) in _OWN_DOMAINS


def own_address_columns(headings: Sequence[str]) -> Iterator[int]:
    """Yield the places of columns whose addresses are those of the CA's customer."""
    yield from (at for at, name in enumerate(headings) if plain(name) in _OWN_ADDRESSES)
