"""The text of a CSV list -> rows of cells, with the line each begins on."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from batch_resend.errors import InputError
from batch_resend.intake.fields import Field, in_one_line, known_field
from batch_resend.intake.layout import STRAY_CR, Unseen, count_titles
from batch_resend.intake.reading import Reading
from batch_resend.intake.text import MAX_LINE_CHARS, Text
from batch_resend.list_form import DELIMITERS

_SAMPLE_ROWS = 50
_MAX_BLANK_ROWS = 1_000_000
_ROW_OF_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's own way to say the delimiter

# What programs draw between heading and rows, as psql, mysql and Markdown do.
_RULE = re.compile(r"[\s+|:]*-{3,}[\s+|:-]*|[\s+|:]*={3,}[\s+|:=]*")
_MAY_BE_DRAWN = ("", "-", "+", "=", ":", " ")

Cells = tuple[int, list[str]]  # the line on which a row begins, and the row


class CsvCells:
    """The rows of one CSV list; rows of nothing but blanks are none."""

    def __init__(self, name: str, text: Text, delimiter: str) -> None:
        self.delimiter = delimiter
        self.delimiters: Sequence[str] = (delimiter,)
        self.unseen = Unseen()
        self.ends_open = False  # the row read last, which is the list's last, has no line end
        self._name = name
        self._text = text
        self._row_begins = 1  # the line of the row that is being read
        self._chars_of_row = 0
        self._blank_rows = 0  # one after another
        self._line = ""  # the last that was read

    def __iter__(self) -> Iterator[Cells]:
        """Yield the rows, but for lines that programs draw. Raises InputError.

        A line of signs alone among rows of one column is a row: it may be drawn between two parts.
        """
        count, drawn = 0, None
        for line, cells in self._rows():
            if cells[0][:1] in _MAY_BE_DRAWN and _RULE.fullmatch(self.delimiter.join(cells)):
                is_bare = len(cells) == 1 and len(set(cells[0].strip())) == 1
                drawn = (line, cells) if is_bare and count > 1 else None
                continue
            if drawn is not None:
                yield drawn
            drawn = None
            count += 1
            yield line, cells

    def _rows(self) -> Iterator[Cells]:
        """Yield each row. Raises InputError."""
        # The limit is the process's own: raised where it is lower, never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_CHARS))
        # Lenient, it would take all after a quotation mark that never ends for one cell.
        reader = csv.reader(self._bounded_lines(), delimiter=self.delimiter, strict=True)
        try:
            for cells in reader:
                line, self._row_begins = self._row_begins, reader.line_num + 1
                self._chars_of_row = 0
                if not "".join(cells).replace(STRAY_CR, "").strip():
                    self._count_blank(line)
                    continue
                self._blank_rows = 0
                if line > 1 or not _says_delimiter(cells, self.delimiter):
                    yield line, cells
        except csv.Error as error:
            raise InputError(
                f"{self._name}, line {self._row_begins}: not CSV: {self._why(error)}"
            ) from error

    def _count_blank(self, line: int) -> None:
        self.ends_open = False
        self._blank_rows += 1
        if self._blank_rows > _MAX_BLANK_ROWS:
            raise InputError(
                f"{self._name}, line {line}: {_MAX_BLANK_ROWS:,} blank rows, one after another; is "
                "this a list?"
            )

    def _why(self, error: csv.Error) -> str:
        """Return what is wrong with the line read last."""
        for other in DELIMITERS:
            with suppress(csv.Error):
                row = next(csv.reader([self._line], delimiter=other, strict=True), [])
                if other != self.delimiter and len(row) > 1:
                    return (
                        f"the cells are separated by {other!r} there, and by {self.delimiter!r} "
                        "above: separate all by one"
                    )
        return f"{error}; is a quotation mark missing?"

    def _bounded_lines(self) -> Iterator[str]:
        """Yield the lines; a row that goes on for ever, line after line, has an end here."""
        with_lf = self._text.lines_end_with_lf
        line_ends = ("\n",) if with_lf else ("\n", "\r")
        for line in self._text.lines():
            self._line = line
            self._chars_of_row += len(line)
            if self._chars_of_row > MAX_LINE_CHARS:
                raise InputError(
                    f"{self._name}, line {self._row_begins}: not CSV: the row that begins here is "
                    "longer than 1 MiB; is a quotation mark missing?"
                )
            self.ends_open = not line.endswith(line_ends)
            yield _with_stray_cr(line) if with_lf and "\r" in line else line


def _with_stray_cr(line: str) -> str:
    """Return a line with STRAY_CR for each carriage return that is none of its line end."""
    body = line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")
    return body.replace("\r", STRAY_CR) + line[len(body) :]


def find_delimiter(name: str, text: Text, mapping: Mapping[Field, str], *, headed: bool) -> str:
    """Return what stands between the cells, by the heading and the first rows.

    Raises InputError where two would do.
    """
    lines = io.StringIO(text.sample, newline="").readlines()
    if found := _ROW_OF_SEP.fullmatch(next(filter(str.strip, lines), "")):
        return found[1]
    known = mapping if headed else None
    samples = {delimiter: _sample(text, delimiter, known) for delimiter in DELIMITERS}
    scores = {d: _score(rows, known) for d, rows in samples.items() if rows and len(rows[0]) > 1}
    if not scores:  # a single column
        return DELIMITERS[0]
    chosen, *others = (d for d, score in scores.items() if score == max(scores.values()))
    if others:
        fitting = " or ".join(map(repr, (chosen, *others)))
        raise InputError(
            f"{name}: the columns could be separated by {fitting}; say which: "
            f"--delimiter {chosen!r}"
        )
    if headed:
        _refuse_two_in_one(name, samples[chosen][0], chosen)
    return chosen


def delimiter_of(name: str, text: Text, reading: Reading) -> str:
    """Return what stands between the cells: what was said, or what is found. Raises InputError."""
    if reading.delimiter is None:
        return find_delimiter(name, text, reading.mapping, headed=reading.headed)
    if reading.headed:
        _refuse_given(name, text, reading.delimiter, reading.mapping)
    return reading.delimiter


def _refuse_given(name: str, text: Text, given: str, mapping: Mapping[Field, str]) -> None:
    """Raise InputError where the headings are separated by another delimiter than the given one.

    A spreadsheet saves a list with the one of its country, whichever it had.
    """
    for between in (given, *DELIMITERS):
        rows = _sample(text, between, mapping)
        has_order, known, _ = _score(rows, mapping) if rows else (False, 0, 0)
        if between == given and (known or not rows or len(rows[0]) > 1):
            return
        if has_order or known > 1:
            raise InputError(
                f"{name}: its columns are separated by {between!r}, and --delimiter says {given!r}"
                ": leave that out"
            )


def _sample(text: Text, delimiter: str, mapping: Mapping[Field, str] | None) -> list[list[str]]:
    """Return the first rows, from the heading on, as this delimiter would have them."""
    # The last line may be cut off.
    lines = io.StringIO(text.sample, newline="").readlines()
    whole = lines if text.sample_is_all or len(lines) < 2 else lines[:-1]
    rows = (row for row in csv.reader(whole, delimiter=delimiter) if any(map(str.strip, row)))
    try:
        first = list(islice(rows, _SAMPLE_ROWS))
    except csv.Error:
        return []
    return first if mapping is None else first[count_titles(first, set(mapping.values())) :]


def _score(rows: Sequence[Sequence[str]], mapping: Mapping[Field, str] | None) -> tuple[int, ...]:
    """Return how well a delimiter fits: what is known of the heading, then the columns.

    `mapping` is None where there is no heading row.
    """
    widths = {len(row) for row in rows}
    columns = len(rows[0]) if len(widths) == 1 else 0
    if mapping is None:
        return (columns,)
    names = list(map(in_one_line, rows[0]))
    mapped = {field for field, wanted in mapping.items() if wanted in names}
    fields = mapped | {field for name in names if (field := known_field(name)) is not None}
    return (Field.ORDER_ID in fields, len(fields), columns)


def _refuse_two_in_one(name: str, heading: Sequence[str], chosen: str) -> None:
    """Raise InputError where one heading is several known ones with another delimiter between."""
    for cell in heading:
        for other in DELIMITERS:
            if (
                other != chosen
                and sum(known_field(part) is not None for part in cell.split(other)) > 1
            ):
                raise InputError(
                    f"{name}: {cell!r} is one column where {chosen!r} separates them; the heading "
                    f"mixes {chosen!r} and {other!r}: correct it, or say --delimiter"
                )


def _says_delimiter(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a list's first line is one such as `sep=;`, which spreadsheets understand."""
    return _ROW_OF_SEP.fullmatch(delimiter.join(cells)) is not None
