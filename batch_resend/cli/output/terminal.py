"""The terminal: its width and colours, tables, and pages of the manual."""

import csv
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, TextIO

import click
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batch_resend.visible import defused, visible, visible_lines

_GAP = 2  # blanks between columns
Pairs = Sequence[tuple[str, str]]  # a label, and what is said under it


def console_of(stream: TextIO) -> Console:
    """Return a console; it heeds NO_COLOR, TERM and the terminal's width."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)


def is_screen(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal on which things can be drawn."""
    return stream is not None and stream.isatty() and not console_of(stream).is_dumb_terminal


def say(text: str) -> None:
    """Say something on standard error, above a live view where there is one.

    click.echo would write past the view, to the stream beneath it.
    """
    if sys.stderr is not None:
        sys.stderr.write(f"{visible_lines(text)}\n")
        sys.stderr.flush()


def show_pairs(title: str, pairs: Pairs, to: TextIO) -> None:
    """Show what is said under labels: a table on a terminal, a line each elsewhere."""
    title, pairs = visible(title), [(label, visible(text)) for label, text in pairs]
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


def show_records(
    records: Sequence[Record],
    columns: Sequence[str],
    form: str,
    in_table: Mapping[str, Callable[[Record], str]],
) -> None:
    """Print records: all their columns for programs; for people what `in_table` makes of each."""
    if form == "json":
        click.echo(json.dumps(list(records), indent=2, ensure_ascii=False))
    elif form == "csv":
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


_COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)
_IMAGE = re.compile(r"^!\[[^\]]*\]\([^)\s]+\)\n", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_START_OF_ITEM = re.compile(r"\s*(?:- |\d+\. )?")
_FENCE = "```"
_CODE = re.compile(r"`[^`]+`")
_LONGEST_UNBROKEN = 30
_UNBROKEN = "\0"
_BETWEEN = "  "
_INDENT = "    "


def laid_out(markdown: str, width: int) -> str:
    """Return the text of a page for a terminal of `width` columns.

    Of a table that is too wide the last column is wrapped; where that leaves it little room, the
    table becomes a list: the first cell of a row, and below it the others, each with its heading
    where there are several. Lines of code stay whole, so that they can be copied.
    """
    text = _LINK.sub(_as_words, _IMAGE.sub("", _COMMENT.sub("", markdown)))
    return "\n".join(_lines(text.splitlines(), width)) + "\n"


def _as_words(link: re.Match[str]) -> str:
    words, target = link.groups()
    file = target.partition("#")[0].removeprefix("../../").removeprefix("../")
    if not file:
        return words
    if "/" not in file and file.endswith(".md") and file.islower():
        topic = f"`help {file.removesuffix('.md')}`"
        return topic if topic == f"`help {words}`" else f"{words} ({topic})"
    return words if words == file else f"{words} ({file})"


def _lines(lines: Sequence[str], width: int) -> Iterator[str]:
    is_code = False
    for is_table, group in groupby(lines, lambda line: line.startswith("|")):
        if is_table and not is_code:
            yield from _table([_cells(line) for line in group], width)
            continue
        for line in group:
            is_fence = line.startswith(_FENCE)
            is_code ^= is_fence
            yield from [line] if is_code or is_fence else _sentences(line, width)


def _sentences(line: str, width: int) -> list[str]:
    """Return a line of text, or several where it is too long; where it fits, it stays as it is."""
    if len(line) <= width:
        return [line]
    start = _START_OF_ITEM.match(line)
    return _wrap(line, width, later=" " * (start.end() if start else 0))


def _cells(line: str) -> list[str]:
    cells = _CELL_BORDER.split(line)[1:-1]
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _table(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    headings, _, *rows = rows
    *leading, last = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    indent = sum(leading) + len(_BETWEEN) * len(leading)
    room = width - indent  # for the last column, which may be wrapped
    if indent + last <= width or (indent <= width // 2 and _all_fit([r[-1] for r in rows], room)):
        rule = ["-" * size for size in (*leading, min(last, room))]
        for row in (headings, rule, *rows):
            yield from _in_columns(row, leading, room)
    else:
        yield from _as_list(headings, rows, width)


def _all_fit(cells: Iterable[str], room: int) -> bool:
    """Whether cells can be wrapped to this width: a long word cannot be broken."""
    return all(len(line) <= room for cell in cells for line in _wrap(cell, room))


def _in_columns(row: Sequence[str], leading: Sequence[int], room: int) -> Iterator[str]:
    start = "".join(cell.ljust(size) + _BETWEEN for cell, size in zip(row, leading, strict=False))
    wrapped = _wrap(row[-1], room) or [""]
    yield (start + wrapped[0]).rstrip()
    yield from (" " * len(start) + line for line in wrapped[1:])


def _as_list(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    # Where each row has one cell below its first, the headings are said once, before them.
    is_named = len(headings) > 2
    about = headings[0] if is_named else ": ".join(filter(None, headings))
    if about:
        yield from _wrap(f"({about})", width)
        yield ""
    for number, row in enumerate(rows):
        if number:
            yield ""
        yield from _wrap(row[0], width)
        for heading, cell in zip(headings[1:], row[1:], strict=True):
            if cell:
                item = f"{heading}: {cell}" if is_named and heading else cell
                yield from _wrap(item, width, _INDENT, _INDENT + _BETWEEN)


def _in_one_piece(code: re.Match[str]) -> str:
    """Return code that is short enough to be kept on one line, as what is to be typed should be."""
    return code[0].replace(" ", _UNBROKEN) if len(code[0]) <= _LONGEST_UNBROKEN else code[0]


def _wrap(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    lines = textwrap.wrap(
        _CODE.sub(_in_one_piece, text),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]
