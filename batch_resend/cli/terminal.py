"""What can be shown where: rich on a terminal, plain lines elsewhere.

Whatever is shown is text: nothing in it is taken for markup.
"""

from collections.abc import Sequence
from typing import Literal, TextIO

import click
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Pairs = Sequence[tuple[str, str]]  # a label, and what is said under it


def console_of(stream: TextIO) -> Console:
    """Return a console; it heeds NO_COLOR, TERM and the terminal's width."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)


def is_screen(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal on which things can be drawn."""
    return stream is not None and stream.isatty() and not console_of(stream).is_dumb_terminal


def show_pairs(title: str, pairs: Pairs, to: TextIO) -> None:
    """Show what is said under labels: a table on a terminal, a line each elsewhere."""
    if not is_screen(to):
        click.echo(title, file=to)
        for label, text in pairs:
            click.echo(f"  {label:<9} {text}", file=to)
        return
    table = Table(
        title=Text(title, "bold"), title_justify="left", show_header=False, box=box.ROUNDED
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, text in pairs:
        table.add_row(Text(label), Text(text))
    console_of(to).print(table)


def show_lines(lines: Sequence[tuple[int, str]], to: TextIO) -> None:
    """Show lines, each so far indented; on a terminal they are wrapped between words."""
    screen = is_screen(to)
    for indent, text in lines:
        if screen:
            console_of(to).print(Padding(Text(text, overflow="fold"), (0, 0, 0, indent)))
        else:
            click.echo(" " * indent + text, file=to)


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], to: TextIO) -> None:
    """Show a table: within the width of a terminal, and of any width elsewhere."""
    screen = is_screen(to)
    table = Table(box=box.SIMPLE_HEAD if screen else None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(Text(column), overflow="fold", justify=_justify(rows, place))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if screen:
        console_of(to).print(table)
        return
    console = Console(file=to, width=100_000, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), file=to)


def _justify(rows: Sequence[Sequence[str]], place: int) -> Literal["left", "right"]:
    numbers = all(row[place].replace(",", "").replace(".", "").isdigit() for row in rows)
    return "right" if rows and numbers else "left"
