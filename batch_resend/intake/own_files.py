"""What this program itself has written: tables that are no lists, the list of stuck orders, parts.

They are known by columns, or keys, that other lists do not have together. If yours has them all
the same, --ignore one of them. A part of a list has the columns of the whole: its name tells.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from batch_resend.errors import InputError
from batch_resend.intake.fields import in_one_line
from batch_resend.part_names import parts_named

LISTS_BESIDE = (
    "unsent.csv of the same folder has what is left to send; refused.csv and rejected.csv have "
    "what is to be corrected first"
)
_OF_RUNS = "batch-resend resume RUN sends what a run has left"


@dataclass(frozen=True, slots=True)
class _NoList:
    """A file that has an order or a run in each line, and is nothing to send."""

    columns: frozenset[str]  # some of its own, by which it is known
    what: str
    instead: str


_NO_LISTS = (
    _NoList(
        frozenset(("possible_duplicate", "first_attempt_at", "last_attempt_at")),
        "what a report says of each row or request (its results.csv or results.jsonl)",
        LISTS_BESIDE,
    ),
    _NoList(
        frozenset(("run_id", "verdict", "back_pressure")),
        "what a report says of a run in numbers (its summary.json)",
        LISTS_BESIDE,
    ),
    _NoList(frozenset(("run", "attempt", "begun_at", "outcome")), "what `history` shows", _OF_RUNS),
    _NoList(
        frozenset(("run", "not_attempted", "in_flight", "attempts")), "what `runs` shows", _OF_RUNS
    ),
)
_OF_STUCK = frozenset(("mails", "mails_in_doubt", "last_mail_at"))
_OF_REJECTED = frozenset(("file", "line", "reason", "row"))
_COUNTS_OF_STUCK = _OF_STUCK | {"last_acknowledged_at"}


def refuse_own_tables(name: str, columns: Iterable[str]) -> None:
    """Raise InputError where a list, by its columns or keys, is a table of ours with no list."""
    there = set(map(in_one_line, columns))
    for one in _NO_LISTS:
        if one.columns <= there:
            raise InputError(f"{name} is {one.what}, not a list: {one.instead}")


def mail_counts_of_stuck(columns: Iterable[str]) -> frozenset[str]:
    """Return which columns of a stuck.csv count mails, and say not whom to mail; else none."""
    there = frozenset(map(in_one_line, columns))
    return _COUNTS_OF_STUCK & there if there >= _OF_STUCK else frozenset()


def is_named_as_part(name: str, columns: Iterable[str]) -> bool:
    """Whether a list is what a report wrote of another one: by its name, or as a rejected.csv."""
    return bool(parts_named(name)) or frozenset(map(in_one_line, columns)) >= _OF_REJECTED
