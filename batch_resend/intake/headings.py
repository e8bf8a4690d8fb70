"""Which column holds what."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake import exports
from batch_resend.intake.asked_about import ask_about
from batch_resend.intake.cells import is_nothing, trimmed
from batch_resend.intake.fields import (
    ADDRESSES,
    OF_EXPORTS,
    Field,
    fields_of,
    in_one_line,
    is_any_order,
    known_field,
    known_fields,
    misspelled,
    plain,
    second_fields,
)
from batch_resend.intake.first_row import is_data, is_row_of_data
from batch_resend.intake.looks import holds_alone, is_domain
from batch_resend.intake.reading import Reading
from batch_resend.intake.suggestions import (
    Head,
    Noun,
    by_position,
    if_a_title,
    listed,
    map_flag,
    what_is_missing,
    which_of,
    whose_email,
)
from batch_resend.model import Call

# Half of the world's tables have a column of this name: beside one of these it names orders. Not
# beside a common name, a status or a serial number, which any inventory of certificates has.
_OF_ORDERS_ONLY = frozenset(
    ("domainapprovalemails", "dcvmethod", "productnameid", "approveremail", "dcvemail",
     "alldomains")
)  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Where a list holds what."""

    places: Mapping[Field, tuple[int, ...]]  # columns, counted from 0
    names: Mapping[Field, str]  # what messages call them
    orders_only: bool = False  # an export of the CA: what domains it has are not for us
    aside: tuple[int, ...] = ()  # those domains, which only a call about a domain looks at
    of_the_ca: frozenset[int] = frozenset()  # columns whose addresses are known to be no approvers'
    added: frozenset[int] = frozenset()  # columns that no export of the CA has
    of_rejected: frozenset[int] = frozenset()  # of a rejected.csv: what was wrong with its rows

    @cached_property
    def read(self) -> frozenset[int]:
        """Which columns hold a field."""
        return frozenset(at for places in self.places.values() for at in places)

    def cell(self, cells: Sequence[str], which: Field) -> str:
        """Return what a row says of a field, in one column or several; empty where nothing."""
        places = self.places.get(which, ())
        texts = [trimmed(cells[at]) for at in places if at < len(cells)]
        said = [text for text in texts if not is_nothing(text)]
        return said[0] if len(said) == 1 else ", ".join(said)

    @cached_property
    def has_addresses(self) -> bool:
        """Whether there is a column for what would name whom to mail."""
        return not ADDRESSES.isdisjoint(self.places)


class Headed(Enum):
    """What has headings, or keys."""

    TABLE = auto()
    RECORD = auto()  # of JSON, one of many: it may leave out what others have, but its subject
    ORDER_OF_THE_CA = auto()  # such a record, as the CA lists it


def mapped_in(keys: Container[str], mapping: Mapping[Field, str]) -> dict[Field, str]:
    """Return what of a mapping is for a record with these keys, which may leave out the rest."""
    return {f: key for f, key in mapping.items() if key in keys}


def find_columns(
    headings: Sequence[str],
    reading: Reading,
    where: str,
    sample: Sequence[Sequence[str]] = (),
    of: Headed = Headed.TABLE,
) -> Columns:
    """Return which columns hold the fields that the list has.

    `where` (file and line) stands in front of messages; `sample` has some rows, for what is to be
    suggested. Raises InputError.
    """
    is_table = of is Headed.TABLE
    mapped = reading.mapping if is_table else mapped_in(headings, reading.mapping)
    names = [in_one_line(heading) for heading in headings]
    noun = Noun.COLUMN if is_table else Noun.KEY
    given = reading.flags if is_table else ""
    head = Head(names, where, sample, given, noun, reading.ignored)
    places = _mapped(head, mapped, is_table)
    known = _known(
        names,
        reading,
        {at for found in places.values() for at in found},
        of is Headed.ORDER_OF_THE_CA,
        {at for at, which in second_fields(names).items() if holds_alone(at, which, sample)},
    )
    orders_only = _is_of_orders_only(head, known, mapped, reading)
    places |= _one_each(head, known, without=ADDRESSES if orders_only else frozenset())
    if is_table:
        _refuse_incomplete(head, places, reading.call)
    ask_about(head, places, reading, orders_only=orders_only)
    added = (at for at, name in enumerate(names) if name and not exports.is_own_heading(name))
    return Columns(
        places,
        names={field: f"{noun.word} {names[indexes[0]]!r}" for field, indexes in places.items()},
        orders_only=orders_only,
        aside=tuple(known.get(Field.DOMAIN, ())) if orders_only else (),
        of_the_ca=frozenset(exports.own_address_columns(names) if orders_only else ()),
        added=frozenset(added),
    )


def _one_each(
    head: Head, known: Mapping[Field, Sequence[int]], without: Container[Field]
) -> dict[Field, tuple[int, ...]]:
    """Return the column of each field. Raises InputError where several could hold it."""
    read = {field: tuple(indexes) for field, indexes in known.items() if field not in without}
    for field, indexes in read.items():
        if len(indexes) > 1 and field is not Field.PRODUCT:
            raise InputError(which_of(field, known, head))
    return read


def _is_of_orders_only(
    head: Head, known: Mapping[Field, Sequence[int]], mapped: Mapping[Field, str], reading: Reading
) -> bool:
    """Whether a list is an export of the CA, whose domains and addresses are not for us.

    Raises InputError where that cannot be known.
    """
    by_pairs = reading.call is Call.DV_RESEND and Field.CALL not in {*known, *mapped}
    if not by_pairs or not ADDRESSES.isdisjoint(mapped):
        return False
    if exports.is_whole_report(head.names) and _adds_no_address(head.names, known):
        return True
    if not exports.is_report_with_email(head.names):
        return _is_export(head.names, known)
    if not reading.names_nobody:
        raise InputError(whose_email(head, known))
    return True


def _known(
    names: Sequence[str],
    reading: Reading,
    taken: Container[int],
    of_the_ca: bool,
    second: Container[int],
) -> dict[Field, list[int]]:
    """Return where the usual headings stand of the fields that are read, and not mapped.

    What is mapped elsewhere counts as mapped, too: usual words are no sign of it.
    """
    known: dict[Field, list[int]] = {}
    for index, field in enumerate(fields_of(names, second)):
        if field is not None and field not in reading.mapping and index not in taken:
            known.setdefault(field, []).append(index)
    orders = known.pop(Field.ORDER_ID, [])
    if plainly := _plainly_orders(names, orders, of_the_ca, is_alone=not known):
        known[Field.ORDER_ID] = plainly
    return {field: places for field, places in known.items() if reading.reads(field)}


def _plainly_orders(
    names: Sequence[str], orders: list[int], of_the_ca: bool, *, is_alone: bool
) -> list[int]:
    """Return which of the columns that may hold orders do; `is_alone`: no other field is known."""
    plainly = [index for index in orders if plain(names[index]) != "id"]
    others = [name for index, name in enumerate(names) if name and index not in orders]
    if not plainly:
        return orders if of_the_ca or not _OF_ORDERS_ONLY.isdisjoint(map(plain, others)) else []
    # An order among other things may be that in which they are to be done.
    is_any = len(plainly) == 1 and is_any_order(names[plainly[0]])
    return [] if is_any and is_alone and others else plainly


def unread_of(
    names: Iterable[str], read: Container[Field], ignored: Container[str]
) -> dict[str, str]:
    """Return names of what is not read, each with the field it may be misspelled for, or ""."""
    near = {name: None if name in ignored else misspelled(name) for name in names}
    return {name: field if field and field not in read else "" for name, field in near.items()}


def find_positions(mapping: Mapping[Field, str], where: str, call: Call) -> Columns:
    """Return the columns of a list without a heading row: `mapping` counts them from 1.

    Raises InputError.
    """
    if lacks_subject(mapping, call):
        raise InputError(
            f"{where}: without a heading row, say by position which column is which: --no-header "
            "--map order_id=1 --map domain=2 --map email=3"
        )
    for field, position in mapping.items():
        if not (position.isascii() and position.isdigit() and int(position) > 0):
            raise InputError(
                f"{where}: --map {field}={position!r}: with --no-header, give the column's "
                "position, from 1"
            )
    return Columns(
        places={field: (int(position) - 1,) for field, position in mapping.items()},
        names={field: f"column {position}" for field, position in mapping.items()},
    )


def _refuse_incomplete(
    head: Head, places: Mapping[Field, tuple[int, ...]], call: Call
) -> None:  # fmt: skip
    if missing := _missing(places, call):
        raise InputError(what_is_missing(head, missing, places))
    if lacks_subject(places, call):
        raise InputError(without_subject(head, places, call))


def lacks_subject(fields: Container[Field], call: Call) -> bool:
    """Whether nothing says what a row is about, whichever its call."""
    of_domain = Field.DOMAIN_ID in fields or Field.DOMAIN in fields
    by_domain = of_domain and (Field.CALL in fields or CALLS[call].is_about_domain)
    return not (Field.ORDER_ID in fields or by_domain)


def without_subject(head: Head, places: Mapping[Field, tuple[int, ...]], call: Call) -> str:
    """Return what to say where nothing says what a row is about."""
    if not CALLS[call].is_about_domain:
        return what_is_missing(head, [Field.ORDER_ID], places)
    pair = (Field.DOMAIN, Field.DOMAIN_ID)
    flags = ", or ".join(map_flag(field, None, head.noun) for field in pair)
    return (
        f"{head.where}: {call} is about domains, and no {head.noun.word} holds one; the "
        f"{head.noun.word}s are {listed(head.names)}. Name it: {flags}"
    )


def require_width(columns: Columns, widest: int, where: str) -> None:
    """Raise InputError where --map counts beyond the columns of the widest row."""
    for field, (place, *_) in columns.places.items():
        if place >= widest:
            raise InputError(
                f"{where}: --map {field}={place + 1}: no row has more than {widest} columns"
            )


def is_heading_row(cells: Iterable[str], headings: Sequence[str] = ()) -> bool:
    """Whether a row is nothing but headings, of which one names orders or domains.

    `headings`: those that its list is known to have.
    """
    names = [cell.strip() for cell in cells if cell.strip()]
    own = {plain(name) for name in headings if name.strip()}
    if len(names) == 1:
        return len(own) == 1 and plain(names[0]) in own
    return all(known_field(name) is not None or plain(name) in own for name in names)


def names_orders(heading: str) -> bool:
    """Whether a heading is one of orders by itself, and no word of other meanings."""
    return (
        known_field(heading) is Field.ORDER_ID
        and plain(heading) != "id"
        and not is_any_order(heading)
    )


def _missing(places: Mapping[Field, object], call: Call) -> list[Field]:
    """Return the fields that a list lacks: what its rows are about, or half of a pair."""
    about_domain = CALLS[call].is_about_domain or (
        Field.CALL in places and (Field.DOMAIN in places or Field.DOMAIN_ID in places)
    )
    missing = [] if Field.ORDER_ID in places or about_domain else [Field.ORDER_ID]
    by_pairs = call is Call.DV_RESEND and Field.CALL not in places
    pair = (Field.DOMAIN, Field.EMAIL) if by_pairs and not ADDRESSES.isdisjoint(places) else ()
    return missing + [field for field in pair if field not in places]


def _mapped(
    head: Head, mapping: Mapping[Field, str], is_table: bool
) -> dict[Field, tuple[int, ...]]:
    """Return the columns that --map names. Raises InputError where one is not there, or twice."""
    # A heading that looks like a domain may be a nested key, in what a report has of a JSON list.
    data = {name for name in mapping.values() if is_data(name)}
    is_key = bool(known_fields(head.names)) and all(map(is_domain, data))
    if is_table and data and not is_key and is_row_of_data(head.names, head.sample):
        raise InputError(
            f"{head.where}: --map names a cell of data, not a heading; without a heading row: "
            f"{by_position(head)}"
        )
    return {
        field: (_place(head.names, field, wanted, head.where),) for field, wanted in mapping.items()
    }


def _place(names: Sequence[str], field: Field, wanted: str, where: str) -> int:
    if wanted not in names:
        by_position = "; positions are for lists without a heading row: --no-header"
        raise InputError(
            f"{where}: --map {field}={wanted!r} names a column that is not there; "
            f"the columns are {listed(names)}{by_position if wanted.isdigit() else ''}"
            f"{if_a_title(names)}"
        )
    if names.count(wanted) > 1:
        raise InputError(
            f"{where}: two columns are called {wanted!r}; rename the one that does not hold the "
            f"{field}"
        )
    return names.index(wanted)


def _adds_no_address(names: Sequence[str], known: Mapping[Field, Sequence[int]]) -> bool:
    """Whether the order report has no columns for approvers beside its own."""
    return (
        len(known.get(Field.EMAIL, ())) == 1
        and Field.EMAIL_DOMAIN not in known
        and all(exports.is_domain_heading(names[at]) for at in known[Field.DOMAIN])
    )


def _is_export(names: Sequence[str], known: Mapping[Field, Sequence[int]]) -> bool:
    """Whether a list is one that the CA makes: orders, without approvers' addresses.

    Its domains stand under the CA's own headings: under another one somebody has written which of
    them are meant.
    """
    if Field.EMAIL in known or Field.EMAIL_DOMAIN in known or Field.DOMAIN not in known:
        return False
    of_the_ca = all(exports.is_domain_heading(names[at]) for at in known[Field.DOMAIN])
    return of_the_ca and any(field in known for field in OF_EXPORTS)
