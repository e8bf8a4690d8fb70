"""What messages suggest: options, whole commands, and what is missing among headings."""

import re
import shlex
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from batch_resend.intake.cells import named
from batch_resend.intake.fields import (
    ADDRESSES,
    Field,
    in_one_line,
    known_field,
    known_fields,
    may_be_for,
    plain,
)
from batch_resend.intake.first_row import is_row_of_data
from batch_resend.intake.looks import columns_of_languages, filled, has_address, looked_for
from batch_resend.part_names import PIPED_IN

_PLAIN = re.compile(r'[^"$`\\!]*')  # what a shell leaves as it is between double quotes


class Noun(StrEnum):
    """What a list may have a field in; the value stands for a name that only a person can give."""

    COLUMN = "COLUMN"  # of a table
    KEY = "KEY"  # of JSON records

    @classmethod
    def of(cls, shown: str) -> "Noun":
        """Return which one it is that messages call so: `key 'Order #'`."""
        return cls.KEY if shown.startswith(f"{cls.KEY.word} ") else cls.COLUMN

    @property
    def word(self) -> str:
        """The word itself, in a sentence."""
        return self.lower()


def map_flag(field: Field, name: str | None, noun: Noun = Noun.COLUMN) -> str:
    """Return the option that says which column, or key, holds a field.

    Without its name where that is not known, or says that it is something else.
    """
    return f"--map {field}={quoted(name if name and may_be_for(field, name) else noun)}"


def ignore_flag(column: str) -> str:
    """Return the option that leaves a column aside."""
    return f"--ignore {quoted(column)}"


def unnamed(at: int) -> str:
    """Return how --ignore names a column without a heading; `at`: counted from 0."""
    return f"column {at + 1}"


def needs_no_mail(
    called: str, name: str, *, several: bool = False, of: str = "orders", beside: str = ""
) -> str:
    """Return what to ask about what may say that its record needs no mail.

    `of`: or what needs none; `beside`: what else is to be looked at.
    """
    are = "are" if several else "is"
    return (
        f"{called} may say which {of} need no mail, and {are} not read.{beside} Remove those that "
        f"need none, then add {ignore_flag(name)}"
    )


def pair_flags(domain: str | None, email: str | None, noun: Noun = Noun.COLUMN) -> str:
    """Return the options for the columns of domains and addresses, as far as they are known."""
    return f"{map_flag(Field.DOMAIN, domain, noun)} {map_flag(Field.EMAIL, email, noun)}"


def own_name(shown: str) -> str:
    """Return the heading, or the key, in what messages call it: `column 'Order #'`."""
    return shown.partition("'")[2].rpartition("'")[0] or shown


def quoted(text: str) -> str:
    """Return a text as one printable word of a shell; `$'...'` is what bash, ksh and zsh read."""
    if not text.isprintable():
        return "$'" + "".join(map(_escaped, text)) + "'"
    return f'"{text}"' if _PLAIN.fullmatch(text) else shlex.quote(text)


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    return sign if sign.isprintable() else f"\\U{ord(sign):08x}"


def check_command(where: str, flags: Iterable[str]) -> str:
    """Return the command that reads a list again; `where`: its name, perhaps with a line."""
    file = where.rpartition(", line ")[0] or where
    word = "-" if file == PIPED_IN else shlex.quote(file)
    return " ".join(("batch-resend check", *filter(None, flags), word))


_TITLES_LOOKED_BELOW = 3  # rows that may be the headings, where titles stand above
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{24,}")  # in a message it would come out
_NO_DELIMITER = re.compile(r"[\w\s.,;|()-]")  # of another kind, or in headings
_IN_QUOTES = (",", ";", "|", "\t")
_IN_WORDS = {
    Field.ORDER_ID: "the order number",
    Field.DOMAIN: "the domain",
    Field.EMAIL: "the e-mail address",
}


@dataclass(frozen=True, slots=True)
class Head:
    """A heading row, or the keys of a record, and what is known around it."""

    names: Sequence[str]
    where: str  # file and line
    sample: Sequence[Sequence[str]] = ()  # some rows below it
    given: str = ""  # the options that were given on the command line
    noun: Noun = Noun.COLUMN
    ignored: Collection[str] = ()  # by --ignore: of these the names are empty


def what_is_missing(
    head: Head, missing: Sequence[Field], places: Mapping[Field, tuple[int, ...]]
) -> str:
    """Return all that is missing in one message, with the whole command to give."""
    if other := _other_than_a_name(head, missing, places):
        return f"{head.where}: {other}"
    names, is_table = head.names, head.noun is Noun.COLUMN
    wanted = _wanted(head, missing, places)
    known = {field: at for field, (at, *_) in places.items()}
    others = set(range(len(names))).difference(*places.values())
    found = looked_for(head.sample, names, known, others)
    plainly = _called_by_one(names, found)
    said = " ".join(map_flag(field, plainly.get(field), head.noun) for field in wanted)
    if is_table and plainly.keys() >= set(wanted):
        said = check_command(head.where, (head.given, said))
    unnamed = [at for field, at in found.items() if field in wanted and not names[at]]
    it = "it" if len(wanted) == 1 else "them"
    more = _beside_flags(head, missing, unnamed, places)
    return (
        f"{head.where}: {_lacking(head, missing, places)}; the {head.noun.word}s are "
        f"{listed(names)}. Name {it}: {said}{more}"
    )


def _other_than_a_name(
    head: Head, missing: Sequence[Field], places: Mapping[Field, tuple[int, ...]]
) -> str:
    """Return what is to be done where columns are missing and no name would help; or ""."""
    without_orders = Field.ORDER_ID in missing
    is_table = head.noun is Noun.COLUMN
    if is_table and without_orders and (special := _is_no_heading(head) or _is_split(head)):
        return special
    if (better := _headings_below(head, len(places))) is not None:
        return (
            f"a row below has more of the headings ({listed(better)}): if it is the "
            "heading row, delete what is above it"
        )
    if taken := _ignored_of(head, missing):
        more = "" if without_orders else _beside_flags(head, missing, (), places)
        return f"{_lacking(head, missing, places)}, because of {taken}: leave that out{more}"
    return ""


def _lacking(head: Head, missing: Sequence[Field], places: Mapping[Field, tuple[int, ...]]) -> str:
    if Field.ORDER_ID in missing:
        wanted = map(_IN_WORDS.__getitem__, _wanted(head, missing, places))
        return f"no {head.noun.word} holds {' or '.join(wanted)}"
    there = " and ".join(filter(ADDRESSES.__contains__, places))
    return f"there is a column for the {there}, but none for the {' or '.join(missing)}"


def _ignored_of(head: Head, missing: Container[Field]) -> str:
    """Return the options that leave unread what is missing; empty where none does."""
    taken = [name for name in sorted(head.ignored) if known_field(name) in missing]
    return " ".join(map(ignore_flag, taken)) if "" in head.names else ""


def _headings_below(head: Head, known: int) -> Sequence[str] | None:
    """Return a row below a heading row, such as one of merged titles, that has more headings."""
    rows = ([in_one_line(cell) for cell in row] for row in head.sample[:_TITLES_LOOKED_BELOW])
    return next((row for row in rows if len(known_fields(row)) > known), None)


def _called_by_one(names: Sequence[str], found: Mapping[Field, int]) -> dict[Field, str]:
    """Return the headings of columns that have one of their own."""
    called = {field: names[at] for field, at in found.items()}
    return {field: name for field, name in called.items() if name and names.count(name) == 1}


def _wanted(head: Head, missing: Sequence[Field], places: Container[Field]) -> list[Field]:
    """Return the fields to ask for: what is missing, and whom to mail where rows name somebody."""
    names_somebody = any(has_address(cell) for row in head.sample for cell in row)
    if Field.ORDER_ID not in missing or not names_somebody or Field.EMAIL in places:
        return list(missing)
    pair = [f for f in (Field.DOMAIN, Field.EMAIL) if f not in places and f not in missing]
    return [*missing, *pair]


def _beside_flags(
    head: Head,
    missing: Sequence[Field],
    unnamed: Iterable[int],
    places: Mapping[Field, tuple[int, ...]],
) -> str:
    """Return what else may be done about missing columns; `unnamed`: places without a heading."""
    names, more = head.names, ""
    if missing == [Field.EMAIL] and Field.DOMAIN in places:
        flags = (*(ignore_flag(names[at]) for at in places[Field.DOMAIN]), "--all-domains")
        more = f"; to have the CA mail every pending domain of each order: {' '.join(flags)}"
    if Field.ORDER_ID in missing:
        if (bare := bare_id(names)) is not None:
            more = f"; {bare!r} could number anything"
        if head.noun is Noun.COLUMN:
            more += f" (without a heading row: --no-header --map order_id=1){if_a_title(names)}"
    return more + "".join(f"; column {at + 1} has no heading: give it one" for at in unnamed)


def bare_id(names: Iterable[str]) -> str | None:
    """Return the heading that is `id` and no more, which may number anything; None: none is."""
    return next((name for name in names if plain(name) == "id"), None)


def whose_email(head: Head, known: Mapping[Field, Sequence[int]]) -> str:
    """Return what to ask of a list that may be the CA's order report, with an `email`."""
    names, where = head.names, head.where
    domains = [names[at] for at in known.get(Field.DOMAIN, ())]
    email = names[known[Field.EMAIL][0]] if Field.EMAIL in known else None
    there = {at for found in known.values() for at in found}
    is_plain = Field.EMAIL in looked_for(head.sample, names, among=there)
    flags = pair_flags(next(iter(domains), None), email if is_plain else None, head.noun)
    return (
        f"{where}: this list has the {head.noun.word}s of the CA's order report, where {email!r} "
        "is the person who requested the certificate. If here it is who approves the domain: "
        f"{flags}; if the CA is to mail every pending domain of each order: --all-domains"
    )


def which_of(field: Field, known: Mapping[Field, Sequence[int]], head: Head) -> str:
    """Return what to ask where several columns, of those that are known, could hold a field."""
    where, names = head.where, [head.names[at] for at in known[field]]
    one, other = names[:2]
    if names.count(one) > 1 or names.count(other) > 1:
        return (
            f"{where}: several columns are called {one if names.count(one) > 1 else other!r}; if "
            f"each holds one more {field}, give each a row of its own; if not, rename all but one"
        )
    others = {which: at for which, (at, *rest) in known.items() if which is not field and not rest}
    at = looked_for(head.sample, head.names, others, known[field]).get(field)
    right = None if at is None else head.names[at]
    aside = [head.noun] if at is None else [name for name in names if name != right]
    return (
        f"{where}: the {head.noun.word}s {listed(names)} could each hold the {field}; say which: "
        f"{map_flag(field, right, head.noun)}, or leave the others unread: "
        f"{' '.join(map(ignore_flag, aside))}"
    )


def by_position(head: Head) -> str:
    """Return the options for a list without a heading row: the first may be damaged."""
    width = max(map(len, (head.names, *head.sample)))
    no_names = [""] * width
    # Headings may stand among the rows below, and so may what is damaged.
    found = [looked_for(rows, no_names) for rows in ([head.names, *head.sample], head.sample)]
    guesses = max(found, key=lambda guess: (Field.ORDER_ID in guess, len(guess)))
    if Field.ORDER_ID not in guesses:
        guesses |= looked_for([head.names], no_names)
    places = {field: str(at + 1) for field, at in guesses.items()}
    places.setdefault(Field.ORDER_ID, "N")
    languages = columns_of_languages([head.names, *head.sample])
    if len(languages) == 1 and not any(map(str.isupper, filled(head.sample, languages[0]))):
        places[Field.LOCALE] = str(languages[0] + 1)  # in capitals they may be countries
    return " ".join(("--no-header", *(f"--map {field}={at}" for field, at in places.items())))


def _is_no_heading(head: Head) -> str:
    """Return what to do about a first row that is none of headings at all; mostly nothing."""
    names = head.names
    if is_row_of_data(names, head.sample):
        return (
            "there is no heading row, but a row of data; say by position which column is which: "
            f"{by_position(head)}"
        )
    if len(names) == 1 and _LIKE_A_KEY.fullmatch(names[0].strip()):
        return (
            "no column holds the order number, and the first line is one long word, like a key: "
            "if it is one, use --api-key-file FILE"
        )
    return ""


def _is_split(head: Head) -> str:
    """Return what to do about several headings in one cell; mostly there are none."""
    if len(head.names) != 1:
        return ""
    text = head.names[0]
    for between in dict.fromkeys(_NO_DELIMITER.sub("", text)):
        if _has_several(text.split(between)):
            flags = (head.given, f"--delimiter {quoted(between)}")
            return (
                f"the columns seem to be separated by {named(between)}: "
                f"{check_command(head.where, flags)}"
            )
    for between in _IN_QUOTES:
        if _has_several(text.split(between)):
            return (
                f"{text!r} is one cell, because each line is in quotation marks: remove those at "
                "the beginning and the end of each line"
            )
    if "::" in text or _has_several(text.split()):
        return (
            f"{text!r} is one cell: no single character separates the columns. Save the list as "
            "CSV, or put a tab between them"
        )
    return ""


def _has_several(parts: Sequence[str]) -> bool:
    return sum(known_field(part) is not None for part in parts) > 1 and "" not in parts


def if_a_title(names: Sequence[str]) -> str:
    """Return a word for a line that has a single text, which may stand above the headings."""
    has_one = sum(bool(name.strip()) for name in names) == 1
    return "; if that line is a title, delete what is above the headings" if has_one else ""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names in a row, so many at the most; `none` where there are none."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown or "none" if len(names) <= most else f"{shown} and {len(names) - most} more"
