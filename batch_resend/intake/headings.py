"""Which column holds what."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from batch_resend.errors import InputError


class Field(StrEnum):
    """What a column may hold. The values are the names in a list that needs no mapping."""

    ORDER_ID = "order_id"
    DOMAIN = "domain"
    EMAIL = "email"
    EMAIL_DOMAIN = "email_domain"
    LOCALE = "locale"


_FIELD_OF_HEADING = {
    "orderid": Field.ORDER_ID,
    "order": Field.ORDER_ID,
    "ordernumber": Field.ORDER_ID,
    "id": Field.ORDER_ID,
    "domain": Field.DOMAIN,
    "commonname": Field.DOMAIN,
    "fqdn": Field.DOMAIN,
    "dnsname": Field.DOMAIN,
    "email": Field.EMAIL,
    "approveremail": Field.EMAIL,
    "dcvemail": Field.EMAIL,
    "emaildomain": Field.EMAIL_DOMAIN,
    "locale": Field.LOCALE,
    "language": Field.LOCALE,
}
_OTHER_DELIMITERS = re.compile(r"[;\t|]")
_BETWEEN_WORDS = re.compile(r"[\s_.\-#]+")

Columns = Mapping[Field, int]


def find_columns(headings: Sequence[str], mapping: Mapping[Field, str], where: str) -> Columns:
    """Return which column, counted from 0, holds each field that the list has.

    `mapping` says the heading of a field outright; the rest are known by their usual names.
    `where` (file and line) stands in front of messages. Raises InputError.
    """
    names = [heading.strip() for heading in headings]
    columns: dict[Field, int] = {}
    for field, wanted in mapping.items():
        if wanted not in names:
            raise InputError(
                f"{where}: --map {field}={wanted!r} names a column that is not there; "
                f"the columns are {_listed(names)}"
            )
        if names.count(wanted) > 1:
            raise InputError(
                f"{where}: two columns are called {wanted!r}; give the one that holds the {field} "
                "a name of its own"
            )
        columns[field] = names.index(wanted)
    for index, name in enumerate(names):
        known = _FIELD_OF_HEADING.get(_BETWEEN_WORDS.sub("", name.lower()))
        if known is None or known in mapping or index in columns.values():
            continue
        if known in columns:
            raise InputError(
                f"{where}: the columns {names[columns[known]]!r} and {name!r} could both hold "
                f"the {known}; say which: --map {known}={name!r} (rename one if they are alike)"
            )
        columns[known] = index
    if Field.ORDER_ID not in columns:
        if len(names) == 1 and (found := _OTHER_DELIMITERS.search(names[0])):
            raise InputError(
                f"{where}: the columns seem to be separated by {found[0]!r}; a comma is expected"
            )
        raise InputError(
            f"{where}: no column holds the order number; the columns are {_listed(names)}. "
            'Say which it is: --map order_id="COLUMN" (a list needs a heading row)'
        )
    return columns


def require_pair(columns: Columns, headings: Sequence[str], where: str) -> None:
    """Raise InputError where there is a column for the domain or the e-mail, but not both."""
    for one, other in ((Field.DOMAIN, Field.EMAIL), (Field.EMAIL, Field.DOMAIN)):
        if one in columns and other not in columns:
            raise InputError(
                f"{where}: there is a column for the {one}, but none for the {other}; the "
                f'columns are {_listed(headings)}. Say which it is: --map {other}="COLUMN"'
            )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
