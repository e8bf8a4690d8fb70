"""Rows of cells, from CSV or from a sheet -> raw records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from json import dumps

from pydantic_core import to_json

from batch_resend.intake.headings import (
    Columns,
    Field,
    find_columns,
    find_positions,
    require_pair,
    require_width,
)
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import Call, RejectedRow


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

    def _record(self, line: int, cells: Sequence[str], columns: Columns) -> RawRecord:
        complaint = ""
        try:
            raw = to_json(cells).decode()
        except ValueError:
            raw = dumps(cells)
            complaint = "a cell has half a character (a surrogate); is --encoding right?"
        width = len(self.heading)
        if self._headed and len(cells) > width and any(map(str.strip, cells[width:])):
            complaint = f"{len(cells)} cells, where the heading has {width}"
        texts = {field: _text(cells, at) for field, at in columns.places.items()}
        text = texts.get
        return RawRecord(
            line=line,
            complaint=complaint,
            order_id=text(Field.ORDER_ID, ""),
            entries=(
                RawEntry(
                    text(Field.DOMAIN, ""), text(Field.EMAIL, ""), text(Field.EMAIL_DOMAIN, "")
                ),
            ),
            locale=text(Field.LOCALE, ""),
            raw=raw,
            names=columns.names,
            status=text(Field.STATUS, ""),
            dcv_method=text(Field.DCV_METHOD, ""),
            product=text(Field.PRODUCT, ""),
            domains_aside=_text(cells, columns.aside, "; ") if columns.aside else "",
            call=text(Field.CALL, ""),
            account=text(Field.ACCOUNT, ""),
            domain_id=text(Field.DOMAIN_ID, ""),
            addresses_aside=not columns.orders_only
            and Field.EMAIL not in columns.places
            and any("@" in cell for cell in cells),
        )


def _text(cells: Sequence[str], places: Sequence[int], between: str = ", ") -> str:
    """Return what stands in one column, or in several; a row may be shorter than the heading."""
    if len(places) == 1:
        return cells[places[0]] if places[0] < len(cells) else ""
    return between.join(filter(None, (cells[place] for place in places if place < len(cells))))
