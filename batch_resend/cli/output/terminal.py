"""The terminal: what is shown on it, in tables and lines, and what is asked at it.

Whatever is shown is text: nothing in it is taken for markup, nor by the terminal for a command.
"""

import csv
import json
import os
import sys
import termios
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import anyio.to_thread
import click
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batch_resend.cli.command import DocumentsOnly
from batch_resend.visible import defused, visible, visible_lines

_GAP = 2  # blanks between columns
Pairs = Sequence[tuple[str, str]]  # a label, and what is said under it


class _Console(Console):
    """A console that hides the cursor never: a process that is killed could not show it again."""

    def show_cursor(self, show: bool = True) -> bool:
        del show
        return False


def console_of(stream: TextIO) -> Console:
    """Return a console; it heeds NO_COLOR, TERM and the terminal's width."""
    return _Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)


def is_screen(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal on which things can be drawn."""
    return stream is not None and stream.isatty() and not console_of(stream).is_dumb_terminal


def say(text: str) -> None:
    """Say something on standard error, above a live view where there is one.

    click.echo would write past the view, to the stream beneath it. On a terminal lines are wrapped
    between words, but for those that are indented: they are commands, to be copied.
    """
    if sys.stderr is not None:
        lines = visible_lines(text).split("\n")
        if is_screen(sys.stderr):
            width = console_of(sys.stderr).width
            lines = [line if line[:1].isspace() else _wrapped(line, width) for line in lines]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def show_pairs(title: str, pairs: Pairs, to: TextIO) -> None:
    """Show what is said under labels: a table on a terminal, a line each elsewhere."""
    title, pairs = visible(title), [(label, visible(text)) for label, text in pairs]
    if not is_screen(to):
        click.echo(title, file=to)
        for label, text in pairs:
            click.echo(f"  {label:<9} {text}", file=to)
        return
    console = console_of(to)
    console.print(Text(title, "bold"))  # as a title of the table it would be no wider than that
    table = Table(show_header=False, box=box.ROUNDED)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in pairs:
        table.add_row(Text(label), Text(text))
    console.print(table)


def show_lines(lines: Sequence[tuple[int, str]], to: TextIO) -> None:
    """Show lines, each so far indented; on a terminal they are wrapped between words."""
    screen = is_screen(to)
    for indent, line in lines:
        text = visible(line)
        if screen:
            console_of(to).print(Padding(Text(text, overflow="fold"), (0, 0, 0, indent)))
        else:
            click.echo(" " * indent + text, file=to)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], to: TextIO) -> None:
    """Show a table: within the width of a terminal, and of any width elsewhere.

    A terminal too narrow for its words gets a few lines for each row instead.
    """
    rows = [[visible(cell) for cell in row] for row in rows]
    if not is_screen(to):
        for line in _plain(columns, rows):
            click.echo(line, file=to)
        return
    console = console_of(to)
    if rows and _width_of_words(columns, rows) > console.width:
        for row in rows:
            console.print(_block(columns, row), "")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP, 0, 0))
    for place, column in enumerate(columns):
        # What names a row is to be copied, and so never wrapped.
        justify, named = _justify(rows, place), place == 0
        table.add_column(Text(column), overflow="fold", justify=justify, no_wrap=named)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _width_of_words(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how many characters a table needs in which no word is broken."""
    cells_of = zip(columns, *rows, strict=True)
    return sum(_GAP + max(map(len, " ".join(cells).split()), default=0) for cells in cells_of)


def _block(columns: Sequence[str], row: Sequence[str]) -> Table:
    """Return a row as lines, a cell each; what is empty is left out."""
    block = Table.grid(padding=(0, _GAP))
    for column, cell in zip(columns, row, strict=True):
        if cell:
            block.add_row(Text(column, "bold"), Text(cell, overflow="fold"))
    return block


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are as wide as they need."""
    cells = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [_justify(rows, place) == "right" for place in range(len(columns))]
    for row in cells:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        yield (" " * _GAP).join(aligned).rstrip()


def _justify(rows: Sequence[Sequence[str]], place: int) -> Literal["left", "right"]:
    numbers = all(row[place].replace(",", "").replace(".", "").isdigit() for row in rows)
    return "right" if rows and numbers else "left"


Record = Mapping[str, object]  # a row by its columns; numbers are numbers


def records_of(found: Iterable[Any], fields: Mapping[str, Callable[[Any], object]]) -> list[Record]:
    """Return a record of each thing that was found."""
    return [{name: value_of(one) for name, value_of in fields.items()} for one in found]


def show_json(document: object) -> None:
    """Print what a command has to say as one JSON document."""
    output = sys.stdout.documents if isinstance(sys.stdout, DocumentsOnly) else sys.stdout
    click.echo(json.dumps(document, indent=2, ensure_ascii=False), file=output)


def show_records(
    records: Sequence[Record],
    columns: Sequence[str],
    form: str,
    in_table: Mapping[str, Callable[[Record], str]],
) -> None:
    """Print records: all their columns as CSV; for people what `in_table` makes of each."""
    if form == "csv":
        _write_csv(records, columns)
    else:
        rows = [[cell(record) for cell in in_table.values()] for record in records]
        show_table(list(in_table), rows, sys.stdout)


def _write_csv(records: Sequence[Record], columns: Sequence[str]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(record[column]) for column in columns] for record in records)


def _cell(value: Any) -> object:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return defused(value)


_CONTROLLING_TERMINAL = "/dev/tty"
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}
_LONGEST_LINE = 4096  # bytes; a terminal hands over no longer one


class CannotAskError(Exception):
    """There is a terminal, but nobody can be asked at it; its text says why."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a question is shown, and the descriptor that the answer is read from."""

    shows: TextIO
    answers: int

    async def confirm(self, question: str) -> bool:
        """Return whether the answer is yes; asks again until it is an answer.

        What was typed before the question was seen is no answer to it.

        Raises click.Abort at the end of input, and CannotAskError where the terminal has gone.
        """
        return await anyio.to_thread.run_sync(self._confirm, question, abandon_on_cancel=True)

    def _confirm(self, question: str) -> bool:
        try:
            with suppress(termios.error):
                termios.tcflush(self.answers, termios.TCIFLUSH)
            while True:
                self.shows.write(f"{visible(question)} [y/N]: ")
                self.shows.flush()
                line = os.read(self.answers, _LONGEST_LINE)
                if not line:
                    raise click.Abort
                answer = line.decode(errors="replace").strip().lower()
                if answer in _ANSWERS:
                    return _ANSWERS[answer]
                self.shows.write("Answer y or n.\n")
        except OSError:
            raise CannotAskError("the terminal has gone") from None


def has_terminal() -> bool:
    """Whether this process has a terminal: its controlling one, or a stream that is one."""
    with suppress(OSError):
        os.close(_open_controlling_terminal())
        return True
    return any(map(_is_terminal, (sys.stdin, sys.stdout, sys.stderr)))


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Open the terminal at which to ask. Raises CannotAskError."""
    try:
        descriptor = _open_controlling_terminal()
    except OSError:
        # None controls this process, as after setsid: a terminal may still be its streams.
        if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
            raise CannotAskError("the terminal is not this command's own") from None
        yield Terminal(sys.stderr, sys.stdin.fileno())
        return
    if _is_in_background(descriptor):
        os.close(descriptor)
        # To read there would stop it, with the journal locked.
        raise CannotAskError("the command runs in the background of the terminal")
    with os.fdopen(descriptor, "w", errors="backslashreplace", closefd=False) as screen:
        yield Terminal(sys.stderr if _is_terminal(sys.stderr) else screen, descriptor)
    os.close(descriptor)  # left open after an error: a thread may still wait there for an answer


def _open_controlling_terminal() -> int:
    return os.open(_CONTROLLING_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def _is_in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # hung up
        return True


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
