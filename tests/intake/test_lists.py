"""Lists as people have them, in `lists/`: each beside what it must yield, `NAME.yields`.

A line of it is `LINE: ORDER | DOMAIN ADDRESS (E-MAIL DOMAIN) | ... [LOCALE] ~NOTES skipped: WHY`,
or `LINE: rejected PROBLEM: REASON`, or `error: MESSAGE`. A first line `options:` says how the list
is read.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from batch_resend.cli.as_settings import reading_of
from batch_resend.cli.options import list_options
from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.model import Entry, RejectedRow, Row

LISTS = Path(__file__).parent / "lists"
YIELDS = ".yields"
# Which encoding comes second is a library's guess, and another one with its next version.
_SECOND_GUESS = re.compile(r"(?<=\)) or \S+ \('[^']+'\)(?=: say --encoding)")
NAMES = sorted(path.name for path in LISTS.iterdir() if path.suffix not in (YIELDS, ".py", ".md"))


@click.command()
@list_options
def as_reading(**options: Any) -> Reading:
    """Take the options that say how lists are read, as every command does."""
    return reading_of(options)


def described(row: Row | RejectedRow) -> str:
    """Return a row as the files of what a list yields have it."""
    if isinstance(row, RejectedRow):
        return f"{row.line}: rejected {row.problem}: {row.reason}"
    parts = [f"{row.line}: {row.order_id}", *map(described_entry, row.entries)]
    text = " | ".join(parts)
    text += f" [{row.locale}]" if row.locale else ""
    text += f" ~{' '.join(row.notes)}" if row.notes else ""
    return text + (f" skipped: {row.skip}" if row.skip else "")


def described_entry(entry: Entry) -> str:
    """Return an entry likewise."""
    where = f" ({entry.email_domain})" if entry.email_domain else ""
    return f"{entry.domain} {entry.email}{where}"


def yields(path: Path, reading: Reading) -> Iterator[str]:
    """Yield what reading a list comes to, a line each."""
    try:
        for row in ListSource(str(path), reading):
            yield described(row)
    except InputError as error:
        yield f"error: {error}".replace(str(path), path.name)


@pytest.mark.parametrize("name", NAMES)
def test_a_list_yields_what_stands_beside_it(name: str) -> None:
    expected = (LISTS / (name + YIELDS)).read_text(encoding="utf-8").splitlines()
    options = ""
    if expected and expected[0].startswith("options: "):
        options = expected.pop(0).removeprefix("options: ")
    reading = as_reading.main(shlex.split(options), standalone_mode=False)
    assert [_SECOND_GUESS.sub("", line) for line in yields(LISTS / name, reading)] == expected


def test_every_list_has_something_beside_it_that_it_must_yield_and_nothing_else_has() -> None:
    of = {path.name.removesuffix(YIELDS) for path in LISTS.iterdir() if path.suffix == YIELDS}
    assert of == set(NAMES)
    assert len(NAMES) > 50
