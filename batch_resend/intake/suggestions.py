"""What to say on the command line where a list does not say it itself: fit to be pasted."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from batch_resend.intake.vocabulary import Field, may_be_for

COLUMN = "COLUMN"  # in the place of a heading that only a person can name
_PLAIN = re.compile(r'[^"$`\\!\n\r\t]*')  # what a shell leaves as it is between double quotes
_STANDARD_INPUT = "standard input"


def map_flag(field: Field, column: str) -> str:
    """Return the option that says which column, or key, holds a field.

    With COLUMN in its place where the heading says that it is something else.
    """
    return f"--map {field}={quoted(column if may_be_for(field, column) else COLUMN)}"


def flags_for_one(field: Field, names: Sequence[str], right: str | None) -> str:
    """Return the options that have one of several columns read: the right one, if it is plain."""
    others = [name for name in names if name != right]
    ignored = " ".join(map(ignore_flag, others)) if right else ignore_flag(COLUMN)
    return f"{map_flag(field, right or COLUMN)}, or leave aside what is not to be read: {ignored}"


def ignore_flag(column: str) -> str:
    """Return the option that leaves a column aside."""
    return f"--ignore {quoted(column)}"


def pair_flags(domain: str | None, email: str | None) -> str:
    """Return the options for the columns of domains and addresses, as far as they are known."""
    return " ".join(
        map_flag(field, column or COLUMN)
        for field, column in ((Field.DOMAIN, domain), (Field.EMAIL, email))
    )


def own_name(shown: str) -> str:
    """Return the heading, or the key, in what messages call it: `column 'Order #'`."""
    return shown.partition("'")[2].rpartition("'")[0] or shown


def quoted(text: str) -> str:
    """Return a text as one word of a shell."""
    return f'"{text}"' if _PLAIN.fullmatch(text) else shlex.quote(text)


def check_command(where: str, flags: Iterable[str]) -> str:
    """Return the command that reads a list again; `where`: its name, perhaps with a line."""
    file = where.rpartition(", line ")[0] or where
    word = "-" if file == _STANDARD_INPUT else shlex.quote(file)
    return " ".join(("batch-resend check", *filter(None, flags), word))


def flags_of(mapping: Mapping[Field, str], ignored: Sequence[str], **others: object) -> list[str]:
    """Return options that were given, to give them again; `others` by their long names.

    What is false or None was not given.
    """
    flags = [f"--map {field}={quoted(column)}" for field, column in mapping.items()]
    flags += [ignore_flag(column) for column in ignored]
    for name, value in others.items():
        if value is True:
            flags.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False:
            flags.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    return flags
