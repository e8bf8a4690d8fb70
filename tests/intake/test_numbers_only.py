"""A list of orders that are not to be mailed: its numbers count, and nothing else in it does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.model import RejectedRow
from tests.intake.conftest import workbook
from tests.intake.test_hidden import a_book

FIRST, SECOND = "100200301", "100200302"
BOTH = [FIRST, SECOND]
NUMBERS_ONLY = Reading(numbers_only=True)


def numbers(path: Path) -> list[str]:
    """Return the numbers of a list, all of whose rows have one. Raises InputError."""
    rows = list(ListSource(str(path), NUMBERS_ONLY))
    for row in rows:
        if isinstance(row, RejectedRow):
            raise InputError(f"{path.name}, line {row.line}: {row.reason}")
    return [row.order_id for row in rows if not isinstance(row, RejectedRow)]


def beside(heading: str, *cells: str) -> bytes:
    """Return a list with a column beside the numbers."""
    rows = (f"{number},{cell}" for number, cell in zip(BOTH, cells, strict=True))
    return "\n".join((f"order_id,{heading}", *rows, "")).encode()


READ = {
    "remarks": beside("remark", "storniert", "do not send"),
    "a mark in some rows": beside("done", "x", ""),
    "whether": beside("skip", "yes", "no"),
    "states of another trade": beside("status", "geschlossen", "shipped"),
    "half a pair": beside("domain", "a.example", ""),
    "no domain": beside("domain", "not a domain", "?"),
    "two of all else": beside("email,email", "a@b.example,c@d.example", ","),
    "what cannot be read otherwise": beside("locale,call,account", "xx-nope,foo,bar", ",,"),
    "words of totals": beside("why", "total", "12 orders"),
    "columns of shops": beside("price", "10.00", "7.50"),
    "no heading for the remark": beside("", "skip", "erledigt"),
    "another encoding": beside("Grund", "Kündigung", "ä").decode().encode("cp1252"),
    "a title": f"Do not send these\norder_id\n{FIRST}\n{SECOND}\n".encode(),
    "a footer": f"order_id\n{FIRST}\n{SECOND}\n(2 rows)\n".encode(),
    "a sign before each": f"order #\n#{FIRST}\n#{SECOND}\n".encode(),
    "JSON": f'{{"order_id":{FIRST},"skip":true}}\n{{"order_id":{SECOND},"domain":7}}\n'.encode(),
    "under such a key": f'{{"excluded":[{{"order_id":{FIRST}}},{{"order_id":{SECOND}}}]}}'.encode(),
    "a page of the CA's": f'{{"orders":[{{"id":{FIRST},"product_name_id":"ssl_dv"}},'
    f'{{"id":{SECOND},"product_name_id":"ssl_dv"}}],"page":{{"total":2}}}}'.encode(),
    "a sheet": workbook([("order_id", "why"), (FIRST, "#N/A"), (SECOND, "=A1")], "Do not send"),
    "a rejected.csv": f"order_id,domain,email,email_domain,locale,call,account,file,line,reason,row"
    f"\n{FIRST},a,,,,,,l.csv,2,no,\n{SECOND},,,,,,,l.csv,3,no,\n".encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_whatever_stands_beside_a_number_does_not_matter(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    assert numbers(tmp_path / "list") == BOTH


@pytest.mark.parametrize(
    "mark",
    [
        lambda sheet, _: sheet.set_row(1, options={"hidden": True}),
        lambda sheet, book: sheet.write(1, 0, FIRST, book.add_format({"font_strikeout": True})),
        lambda sheet, book: sheet.write(1, 0, FIRST, book.add_format({"num_format": ";;;"})),
        lambda sheet, book: sheet.write(1, 0, FIRST, book.add_format({"font_color": "white"})),
        lambda sheet, _: sheet.write_comment(1, 0, "no longer"),
    ],
    ids=["hidden", "struck out", "not shown", "white", "commented"],
)
def test_a_row_that_is_hidden_or_marked_counts_like_the_others(
    tmp_path: Path, mark: Callable[[Any, Any], None]
) -> None:
    rows = [("order_id", "why"), (FIRST, "gone"), (SECOND, "gone")]
    a_book(tmp_path / "list.xlsx", rows, mark)
    assert numbers(tmp_path / "list.xlsx") == BOTH


REFUSED = {
    "no number": (f"order_id\n{FIRST}\n\n?\n", "line 4: the order number is missing"),
    "none at all": (f"order_id,why\n{FIRST},a\n,b\n", "line 3: the order number is missing"),
    "a number with lost digits": (f"order_id\n{FIRST}\n1.002E+08\n", "line 3: the order number"),
    "cut off": (f"order_id\n{FIRST}\n1002003", "line 3: the last line has no line end"),
    "shifted": (f"why,order_id\ngone, 5,{FIRST}\ngone,{SECOND}\n", "line 2: 3 cells"),
    "short": ("order_id\n" + f"{FIRST}\n" * 3 + "7\n", "line 5: its number 7 has 1 digit"),
    "a broken byte in a number": (f"order_id\n{FIRST}\n10020\udcff302\n", "line 3: the order"),
    "two columns of numbers": (f"order_id,order_id_2\n{FIRST},{SECOND}\n", "one more order number"),
    "two that may be": (f"order_id,order no\n{FIRST},{SECOND}\n", "could each hold the order_id"),
    "an order of what": (f"order,why\n1,{FIRST}\n", "no column holds the order number"),
    "numbers beside": (
        f'{{"excluded":[{{"order_id":{FIRST}}}],"more":[{SECOND}]}}',
        "'more' is beside the list of orders",
    ),
    "two lists": (
        f'{{"excluded":[{{"order_id":{FIRST}}}],"more":[{{"order_id":{SECOND}}}]}}',
        "has several lists of orders",
    ),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_may_leave_a_number_out_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="list") as refused:
        numbers(tmp_path / "list")
    assert said in str(refused.value)
    assert "all_domains" not in str(refused.value), "nobody is to be mailed"
