"""The form of a list: how it was read, so that what is left of it is written alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

DELIMITERS = (",", ";", "\t", "|")  # of CSV lists, which are found by themselves


class ListKind(StrEnum):
    """What form a list has."""

    CSV = "CSV"  # cells between delimiters
    EXCEL = "Excel"  # the cells of a sheet
    JSON = "JSON"  # objects: a line each, in an array, or as the CA's pages have them
    RECORDS = "records"  # handed over by a program


class Remark(StrEnum):
    """Something noticed while a list was read, which its plan counts."""

    TITLE_ROWS = "title_rows"  # rows above the headings, passed over
    FOOTER_ROWS = "footer_rows"  # below the list, of the program that wrote it, passed over
    HEADING_AGAIN = "heading_again"  # a heading row in the middle: its order of columns counts
    OPEN_END = "open_end"  # the last line has no line end, and is whole by all that can be seen
    HIDDEN_ROWS = "hidden_rows"  # of a sheet, left out
    HIDDEN_SHEETS = "hidden_sheets"  # of a workbook, with cells, left out
    STRUCK_ROWS = "struck_rows"  # of a sheet, struck out there, and so left out
    # Cells that were repaired, by what was taken away.
    REPAIRED_NAME = "repaired_name"  # `Name <address>`
    REPAIRED_LINK = "repaired_link"  # `mailto:`, `https://host/`, `DNS:host`
    REPAIRED_DOT = "repaired_dot"  # behind an address
    REPAIRED_SIGNS = "repaired_signs"  # bullets and quotation marks, and the # of a number
    REPAIRED_BETWEEN = "repaired_between"  # `/`, `|`, `&` or `and` between several addresses
    REPAIRED_NUMBER = "repaired_number"  # of an order: 1 100 161, 1100161.0, 01100161
    REPAIRED_WIDTH = "repaired_width"  # letters of full width
    REPAIRED_INVISIBLE = "repaired_invisible"  # characters that take no room
    REPAIRED_ENCODING = "repaired_encoding"  # `&nbsp;`, `_x000D_`, `%20`: a text not decoded
    REPAIRED_NOTHING = "repaired_nothing"  # `NULL` and the like for an empty cell
    REPAIRED_LANGUAGE = "repaired_language"  # a language by its name


@dataclass(frozen=True, slots=True)
class ListForm:
    """How a list was read: enough to write what is left of it in the same form."""

    kind: ListKind
    columns: tuple[str, ...] = ()  # its heading row; empty where it has none
    fields: Mapping[str, str] = field(default_factory=dict)  # field -> column, as the user said
    delimiter: str | None = None  # of a CSV list
    encoding: str | None = None  # where it is not UTF-8
    marked: bool = False  # what goes back in its form needs a byte order mark to be read as UTF-8
    orders_only: bool = False  # an export of the CA: domains and addresses in it are left aside
    with_addresses: bool = False  # some rows say whom: one that does not needs the word for it
    remarks: Mapping[str, int] = field(default_factory=dict)  # `Remark` -> how often
    kept: tuple[str, ...] = ()  # fields that only stay with their rows, of those it has
    keys: tuple[str, ...] = ()  # of JSON: the fields that keys of its records are known for
    # Columns, or keys, that are not read, none of the CA's -> the field each may be, misspelled
    unread: Mapping[str, str] = field(default_factory=dict)
    of_others: Mapping[str, str] = field(
        default_factory=dict
    )  # of these: other records' key for it
    own: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of a rejected.csv: its columns
    under: str = ""  # of JSON that wraps its list of orders: the keys that lead to it, `data.items`

    in_all: int = 0  # of JSON pages: how many records there are, as they say; 0: none does
    has_next: bool | None = None  # likewise: whether the last one names a next; None: it says not

    @property
    def is_table(self) -> bool:
        """Whether its rows are rows of cells."""
        return self.kind in (ListKind.CSV, ListKind.EXCEL)
