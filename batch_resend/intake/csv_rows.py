"""CSV with a heading row -> raw records."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from json import JSONEncoder

from batch_resend.errors import InputError
from batch_resend.intake.headings import Columns, Field, find_columns, require_pair
from batch_resend.intake.lines import MAX_LINE_BYTES
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import RejectedRow

_as_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class CsvRows:
    """The records of one CSV list. `columns` is its heading row, known once reading has begun."""

    columns: tuple[str, ...] = ()

    def __init__(self, name: str, lines: Iterator[str], mapping: Mapping[Field, str]) -> None:
        self._name = name
        self._lines = lines
        self._mapping = mapping

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a row; rows of nothing but blanks are none. Raises InputError."""
        csv.field_size_limit(MAX_LINE_BYTES)
        # Lenient, it would take all after a quotation mark that never ends for one cell.
        reader = csv.reader(self._lines, strict=True)
        columns: Columns = {}
        last_line = 0
        try:
            for cells in reader:
                line, last_line = last_line + 1, reader.line_num
                if not any(map(str.strip, cells)):
                    continue
                if not self.columns:
                    where = f"{self._name}, line {line}"
                    columns = find_columns(cells, self._mapping, where)
                    require_pair(columns, cells, where)
                    self.columns = tuple(cells)
                    continue
                yield self._record(line, cells, columns)
        except csv.Error as error:
            raise InputError(
                f"{self._name}, line {last_line + 1}: not CSV: {error}; "
                "is a quotation mark missing?"
            ) from error

    def _record(self, line: int, cells: Sequence[str], columns: Columns) -> RawRecord | RejectedRow:
        raw = _as_json(cells)
        width = len(self.columns)
        if len(cells) > width and any(map(str.strip, cells[width:])):
            reason = f"{len(cells)} cells, where the heading has {width}"
            return RejectedRow(line, reason, raw)

        def cell(field: Field) -> str:
            index = columns.get(field, width)
            return cells[index] if index < len(cells) else ""

        return RawRecord(
            line=line,
            order_id=cell(Field.ORDER_ID),
            entries=(RawEntry(cell(Field.DOMAIN), cell(Field.EMAIL), cell(Field.EMAIL_DOMAIN)),),
            locale=cell(Field.LOCALE),
            raw=raw,
        )
