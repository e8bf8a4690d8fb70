"""Which column holds what."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.model import Call, ListForm


class Field(StrEnum):
    """What a column may hold. The values are the names in a list that needs no mapping."""

    ORDER_ID = "order_id"
    DOMAIN_ID = "domain_id"  # for calls about a domain: its number at the CA
    DOMAIN = "domain"
    EMAIL = "email"
    EMAIL_DOMAIN = "email_domain"
    LOCALE = "locale"
    STATUS = "status"  # of the order, in exports of the CA
    DCV_METHOD = "dcv_method"  # how its domains are validated, likewise
    PRODUCT = "product"  # what was ordered, likewise; it may stand in several columns
    CALL = "call"  # which of the CA's calls
    ACCOUNT = "account"  # by whose key, where there are profiles


REQUEST_FIELDS = (Field.ORDER_ID, Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN, Field.LOCALE)

ADDRESSES = frozenset((Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN))
_OF_EXPORTS = (Field.STATUS, Field.DCV_METHOD, Field.PRODUCT)
ABOUT_REJECTED = ("file", "line", "reason")  # behind a rejected row, in rejected.csv
AS_ONE_TEXT = ("row",)  # behind them, where it does not stand as it stood
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{24,}")  # in a message it would come out
_FIELD_OF_HEADING = {
    "orderid": Field.ORDER_ID,
    "order": Field.ORDER_ID,
    "ordernumber": Field.ORDER_ID,
    "id": Field.ORDER_ID,
    "domainid": Field.DOMAIN_ID,
    "domain": Field.DOMAIN,
    "domains": Field.DOMAIN,
    "commonname": Field.DOMAIN,
    "fqdn": Field.DOMAIN,
    "dnsname": Field.DOMAIN,
    "dnsnames": Field.DOMAIN,
    "namescope": Field.DOMAIN,
    "email": Field.EMAIL,
    "emails": Field.EMAIL,
    "approveremail": Field.EMAIL,
    "dcvemail": Field.EMAIL,
    "emailarray": Field.EMAIL,
    "emaildomain": Field.EMAIL_DOMAIN,
    "locale": Field.LOCALE,
    "language": Field.LOCALE,
    "status": Field.STATUS,
    "orderstatus": Field.STATUS,
    "dcvmethod": Field.DCV_METHOD,
    "product": Field.PRODUCT,
    "productname": Field.PRODUCT,
    "productnameid": Field.PRODUCT,
    "producttype": Field.PRODUCT,
    "call": Field.CALL,
    "account": Field.ACCOUNT,
}
# The CA's order report. Its `email` is not an approver's (page "Order report").
_ORDER_REPORT = frozenset(("orderid", "commonname", "dnsnames", "dcvmethod"))
# Dashes of any kind, and signs that take no room.
_BETWEEN_WORDS = re.compile("[\\s_.\\-#\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]+")
_ORDER_NUMBER = re.compile(r"\s*'?[0-9][0-9 ]*(?:\.0+)?\s*")
_DOMAIN = re.compile(r"\s*(?:\*\.)?[\w-]+(?:\.[\w-]+)+\s*")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a list holds what."""

    places: Mapping[Field, tuple[int, ...]]  # columns, counted from 0
    names: Mapping[Field, str]  # what messages call them
    orders_only: bool  # an export of the CA: what domains and addresses it has are not for us
    aside: tuple[int, ...] = ()  # those domains, which only a call about a domain looks at


def known_field(heading: str) -> Field | None:
    """Return the field that a heading is known to stand for."""
    return _FIELD_OF_HEADING.get(_plain(heading))


def find_columns(
    headings: Sequence[str], mapping: Mapping[Field, str], where: str, call: Call
) -> Columns:
    """Return which columns hold the fields that the list has.

    `call` is that of rows that name none. `mapping` says the heading of a field outright; the rest
    are known by their usual names.
    `where` (file and line) stands in front of messages. Raises InputError.
    """
    names = [heading.strip() for heading in headings]
    places: dict[Field, tuple[int, ...]] = {
        field: (_mapped(names, field, wanted, where),) for field, wanted in mapping.items()
    }
    taken = {index for indexes in places.values() for index in indexes}
    known: dict[Field, list[int]] = {}
    for index, name in enumerate(names):
        field = known_field(name)
        if field is not None and field not in mapping and index not in taken:
            known.setdefault(field, []).append(index)
    by_pairs = call is Call.DV_RESEND and Field.CALL not in {*known, *places}
    orders_only = by_pairs and mapping.keys().isdisjoint(ADDRESSES) and _is_export(names, known)
    aside = tuple(known.get(Field.DOMAIN, ())) if orders_only else ()
    for field, indexes in known.items():
        if orders_only and field in ADDRESSES:
            continue
        if len(indexes) > 1 and field is not Field.PRODUCT:
            one, other = (names[index] for index in indexes[:2])
            raise InputError(
                f"{where}: the columns {one!r} and {other!r} could both hold the {field}; "
                f"say which: --map {field}={other!r} (rename one if they are alike)"
            )
        places[field] = tuple(indexes)
    require_subject(places, call, f"{where}: {_no_order_column(names)}", where)
    shown = {field: f"column {names[indexes[0]]!r}" for field, indexes in places.items()}
    return Columns(places, shown, orders_only, aside)


def unread(form: ListForm) -> list[str]:
    """Return the columns that stand for nothing; none of an export of the CA, which has many."""
    if form.orders_only:
        return []
    mapped = form.fields.values()
    names = (heading.strip() for heading in form.columns)
    of_nothing = {None, *form.fields, *(() if form.with_accounts else (Field.ACCOUNT,))}
    return [
        name for name in names if name and name not in mapped and known_field(name) in of_nothing
    ]


def find_positions(mapping: Mapping[Field, str], where: str, call: Call) -> Columns:
    """Return the columns of a list without a heading row: `mapping` counts them from 1.

    Raises InputError.
    """
    without = (
        f"{where}: without a heading row, say which column is which by its position: "
        "--no-header --map order_id=1 --map domain=2 --map email=3"
    )
    require_subject(mapping, call, without, where)
    for field, position in mapping.items():
        if not (position.isascii() and position.isdigit() and int(position) > 0):
            raise InputError(
                f"{where}: --map {field}={position!r}: with --no-header it is the column's "
                "position, from 1"
            )
    return Columns(
        places={field: (int(position) - 1,) for field, position in mapping.items()},
        names={field: f"column {position}" for field, position in mapping.items()},
        orders_only=False,
    )


def require_subject(
    fields: Container[Field], call: Call, without_order: str, where: str
) -> None:  # fmt: skip
    """Raise InputError where no column says what a row is about, whichever its call."""
    of_domain = Field.DOMAIN_ID in fields or Field.DOMAIN in fields
    if Field.ORDER_ID in fields or (of_domain and Field.CALL in fields):
        return
    if not CALLS[call].is_about_domain:
        raise InputError(without_order)
    if not of_domain:
        raise InputError(
            f"{where}: {call} is about domains, and no column holds one; say which does: "
            '--map domain="COLUMN", or --map domain_id="COLUMN"'
        )


def require_width(columns: Columns, widest: int, where: str) -> None:
    """Raise InputError where --map counts beyond the columns of the widest row."""
    for field, (place, *_) in columns.places.items():
        if place >= widest:
            raise InputError(
                f"{where}: --map {field}={place + 1}: no row has more than {widest} columns"
            )


def require_pair(columns: Columns, headings: Sequence[str], where: str, call: Call) -> None:
    """Raise InputError where there is a column for the domain or the e-mail, but not both."""
    if call is not Call.DV_RESEND or Field.CALL in columns.places:
        return
    for one, other in ((Field.DOMAIN, Field.EMAIL), (Field.EMAIL, Field.DOMAIN)):
        if one in columns.places and other not in columns.places:
            raise InputError(
                f"{where}: there is a column for the {one}, but none for the {other}; the "
                f'columns are {listed(headings)}. Say which it is: --map {other}="COLUMN"'
            )


def _plain(heading: str) -> str:
    return _BETWEEN_WORDS.sub("", heading.lower())


def _mapped(names: Sequence[str], field: Field, wanted: str, where: str) -> int:
    if wanted not in names:
        by_position = "; positions are for lists without a heading row: --no-header"
        raise InputError(
            f"{where}: --map {field}={wanted!r} names a column that is not there; "
            f"the columns are {listed(names)}{by_position if wanted.isdigit() else ''}"
            f"{_if_a_title(names)}"
        )
    if names.count(wanted) > 1:
        raise InputError(
            f"{where}: two columns are called {wanted!r}; give the one that holds the {field} "
            "a name of its own"
        )
    return names.index(wanted)


def _is_export(names: Iterable[str], known: Mapping[Field, object]) -> bool:
    """Whether a list is one that the CA makes: orders, without approvers' addresses."""
    if {_plain(name) for name in names} >= _ORDER_REPORT:
        return True
    no_address = Field.DOMAIN in known and Field.EMAIL not in known
    return no_address and any(field in known for field in _OF_EXPORTS)


def _no_order_column(names: Sequence[str]) -> str:
    guesses = _positions(names)
    if Field.ORDER_ID in guesses:
        shown = " ".join(f"--map {field}={position}" for field, position in guesses.items())
        return (
            "there is no heading row, but a row of data; say which column is which by its "
            f"position: --no-header {shown}"
        )
    if len(names) == 1 and _LIKE_A_KEY.fullmatch(names[0].strip()):
        return (
            "no column holds the order number, and the first line is one long word, as of a key: "
            "--api-key-file FILE names that"
        )
    return (
        f"no column holds the order number; the columns are {listed(names)}. "
        'Say which it is: --map order_id="COLUMN" (without a heading row: --no-header --map '
        f"order_id=1){_if_a_title(names)}"
    )


def _if_a_title(names: Sequence[str]) -> str:
    """Return a word for a line that has a single text, which may stand above the headings."""
    has_one = sum(bool(name.strip()) for name in names) == 1
    return "; if that line is a title, delete what stands above the headings" if has_one else ""


def _positions(cells: Sequence[str]) -> dict[Field, int]:
    """Return where a row of data seems to hold what, counted from 1."""
    found: dict[Field, int] = {}
    for position, cell in enumerate(cells, start=1):
        if _ORDER_NUMBER.fullmatch(cell):
            found.setdefault(Field.ORDER_ID, position)
        elif "@" in cell:
            found.setdefault(Field.EMAIL, position)
        elif _DOMAIN.fullmatch(cell):
            found.setdefault(Field.DOMAIN, position)
    return found


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names in a row, so many at the most."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
