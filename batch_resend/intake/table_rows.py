"""Rows of cells, from CSV or from a sheet -> raw records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from json import JSONEncoder

from batch_resend.intake.headings import (
    Columns,
    Field,
    find_columns,
    find_positions,
    require_pair,
    require_width,
)
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import Call, Problem, RejectedRow

_as_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class TableRows:
    """The records of one list that is a table.

    `heading` and `orders_only` are known once reading has begun.
    """

    def __init__(
        self,
        name: str,
        rows: Iterable[tuple[int, list[str]]],
        mapping: Mapping[Field, str],
        *,
        headed: bool,
        call: Call,
    ) -> None:
        self.heading: tuple[str, ...] = ()
        self.orders_only = False
        self._name = name
        self._rows = rows
        self._mapping = mapping
        self._headed = headed
        self._call = call

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a row. Raises InputError."""
        rows = iter(self._rows)
        if self._headed:
            found = next(rows, None)
            if found is None:
                return
            line, heading = found
            where = f"{self._name}, line {line}"
            columns = find_columns(heading, self._mapping, where, self._call)
            require_pair(columns, heading, where, self._call)
            self.heading, self.orders_only = tuple(heading), columns.orders_only
        else:
            columns = find_positions(self._mapping, self._name, self._call)
        widest = 0
        for line, cells in rows:
            widest = max(widest, len(cells))
            yield self._record(line, cells, columns)
        if widest and not self._headed:
            require_width(columns, widest, self._name)

    def _record(self, line: int, cells: Sequence[str], columns: Columns) -> RawRecord | RejectedRow:
        raw = _as_json(cells)
        width = len(self.heading)
        if self._headed and len(cells) > width and any(map(str.strip, cells[width:])):
            reason = f"{len(cells)} cells, where the heading has {width}"
            return RejectedRow(line, Problem.FORM, reason, raw)

        def cell(field: Field) -> str:
            texts = [cells[i] for i in columns.places.get(field, ()) if i < len(cells)]
            return texts[0] if len(texts) == 1 else ", ".join(filter(None, texts))

        return RawRecord(
            line=line,
            order_id=cell(Field.ORDER_ID),
            entries=(RawEntry(cell(Field.DOMAIN), cell(Field.EMAIL), cell(Field.EMAIL_DOMAIN)),),
            locale=cell(Field.LOCALE),
            raw=raw,
            names=columns.names,
            status=cell(Field.STATUS),
            dcv_method=cell(Field.DCV_METHOD),
            product=cell(Field.PRODUCT),
            domains_aside="; ".join(cells[i] for i in columns.aside if i < len(cells)),
            call=cell(Field.CALL),
            account=cell(Field.ACCOUNT),
            domain_id=cell(Field.DOMAIN_ID),
            addresses_aside=not columns.orders_only
            and Field.EMAIL not in columns.places
            and any("@" in text for text in cells),
        )
