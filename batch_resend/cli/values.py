"""What the values of options look like, what they become, and how a shell completes them."""

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import anyio
import click
from click.shell_completion import CompletionItem

from batch_resend.cli.command import Parsed
from batch_resend.clock import parse_duration
from batch_resend.errors import BatchResendError
from batch_resend.folders import Place, parse_place
from batch_resend.intake import Field
from batch_resend.journal import read_journal
from batch_resend.settings import default_journal

_MOST_RUNS = 50


class Pairs(Parsed):
    """Pairs, of which a variable has several."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the pairs in a variable; what has blanks stands in quotation marks."""
        return shlex.split(rv)


def as_character(delimiter: str | None) -> str | None:
    """Return a delimiter as it is in a list: a tab by its name, too."""
    return "\t" if delimiter in ("tab", "\\t") else delimiter


@dataclass(frozen=True, slots=True)
class Share:
    """A number of rows, or a part of all of them."""

    text: str  # as a person writes it
    number: float
    is_percentage: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the share that a text names. Raises ValueError."""
        text = text.strip()
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", text)
        if found is None or (found[2] and float(found[1]) > 100) or ("." in text and not found[2]):
            raise ValueError(f"{text!r}: write a number of rows, such as 50, or a percentage, 20%")
        return cls(text, float(found[1]), bool(found[2]))

    def __str__(self) -> str:
        return self.text

    def is_exceeded(self, count: int, of: int) -> bool:
        """Whether `count` of so many is more."""
        return count * 100 > self.number * of if self.is_percentage else count > self.number


def _place_of_journal(text: str) -> Place:
    place = parse_place(text)
    if isinstance(place, Path) and place.is_dir():
        raise ValueError(f"File {text!r} is a directory.")
    return place


def url_of(text: str) -> str:
    """Return a URL as it is written. Raises ValueError where it is none."""
    url = urlsplit(text.strip())
    if url.scheme not in ("https", "http") or not url.hostname:
        raise ValueError(f"{text!r} is not a URL such as https://HOST/PATH")
    return text.strip()


def _url_with_order(text: str) -> str:
    if "{order}" not in text:
        raise ValueError(f"{text!r} is not a URL such as https://HOST/PATH/{{order}}")
    return url_of(text)


def mapping(text: str) -> tuple[Field, str]:
    """Return the field and the column of FIELD=COLUMN. Raises ValueError."""
    name, equals, column = text.partition("=")
    if not equals or name not in [field.value for field in Field]:
        fields = ", ".join(Field)
        raise ValueError(f"{text!r}: write FIELD=COLUMN, where FIELD is one of {fields}")
    return Field(name), column.strip()


MAX_REJECTED = Share.parse("20%")  # unless the option says otherwise
DURATION = Parsed("duration", parse_duration, ((str, int, float), 'a length of time, such as "1h"'))
SHARE = Parsed("N|N%", Share.parse, ((str, int), "a string"))
PLACE = Parsed("file or url", _place_of_journal)
ORDER_URL = Parsed("url", _url_with_order)
PATH = click.Path(path_type=Path)


def complete_file(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Leave it to the shell, which knows its files."""
    return [CompletionItem(incomplete, type="file")]


def complete_run(
    context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the runs of the journal whose names begin so, the newest first."""
    journal = context.params.get("journal") or os.environ.get("BATCH_RESEND_JOURNAL")

    async def found() -> list[CompletionItem]:
        async with read_journal(parse_place(journal or default_journal())) as reader:
            return [
                CompletionItem(run.id, help=run.state.value)
                for run in await reader.runs()
                if run.id.startswith(incomplete)
            ]

    with suppress(BatchResendError, ValueError):
        return anyio.run(found)[:_MOST_RUNS]
    return []
