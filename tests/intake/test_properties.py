"""Whatever stands in a list's cells, in whichever form: a row, or a reject."""

import csv
import io
import json
import tempfile
from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading, entries, repairs
from batch_resend.intake.cells import is_plain_pair
from batch_resend.intake.fields import RawEntry, RawRecord
from batch_resend.intake.records import check_record
from batch_resend.intake.repairs import repaired
from batch_resend.list_form import DELIMITERS, Remark
from batch_resend.model import USUAL_LOCAL_PARTS, RejectedRow, Row
from tests.fuzz.readers import inputs, outcome
from tests.intake.conftest import standard_input

thorough = settings(max_examples=150)

_odd = st.sampled_from(
    ("", " ", "1", "1'234", "1.23E+08", "a.example", "*.a.example.", "bücher.example",
     "x@a.example", "x@a.example; y@a.example", "Name <x@a.example>", '"x y"@a.example',
     "a\r\nBcc: x@y.example",
     "=1+1", "\x00", "\x1b[2J", "\u202e", "\ufeff", '"', "'", "\n", "\r", ",;|\t", "{", "[",
     "sep=;", "@", "a" * 300, "xn--", "xn--a.example", "pending", "issued", "todo", "zh_CN", "en-")
)  # fmt: skip
_cell = _odd | st.text(st.characters(codec="utf-8"), max_size=20)
_rows = st.lists(st.lists(_cell, min_size=1, max_size=8), min_size=1, max_size=6)
HEADING = ("order_id", "domain", "email", "email_domain", "locale", "status", "product", "note")

# Without that, a column of other words than the CA's would be about something else.
AS_THE_CAS = {Field.STATUS: "status", Field.PRODUCT: "product"}
OF_THE_CA = ("1", "a.example", "x@a.example", "", "", "pending", "", "")


def assert_rows(content: bytes, count: int, reading: Reading | None = None) -> None:
    """Check that a list has so many rows, good or bad, and each bad one a reason."""
    with standard_input(content):
        try:
            found = list(ListSource("-", reading or Reading(AS_THE_CAS))) if count else []
        except InputError as error:
            # Among texts of any kind there are headings, too, a yes or no in a note, and remarks.
            assert any(word in str(error) for word in ("heading", "is not read", "a remark"))
            return
    assert len(found) == count
    assert all(isinstance(row, Row) or row.reason for row in found)


@thorough
@given(_rows, st.sampled_from(DELIMITERS), st.booleans())
def test_any_text_in_any_cell_of_csv_is_a_row_or_a_reject(
    written: list[list[str]], delimiter: str, said: bool
) -> None:
    file = io.StringIO()
    table = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    table.writerows((HEADING, OF_THE_CA, *written))
    count = 1 + sum(any(map(str.strip, row)) for row in written)
    reading = Reading(AS_THE_CAS, delimiter=delimiter if said else None)
    assert_rows(file.getvalue().encode(), count, reading)


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _cell,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_cell, inner, max_size=3),
    max_leaves=6,
)
_keys = st.sampled_from((*HEADING, "certificate", "domain_approval_emails", "id", "Order #"))
_records = st.lists(st.dictionaries(_keys, _value, max_size=5), min_size=1, max_size=5)


@thorough
@given(_records)
def test_any_values_of_any_keys_of_json_lines_are_a_row_or_a_reject(
    records: list[dict[str, object]],
) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    assert_rows(text.encode(), len(records))


@thorough
@given(_records, st.none() | st.integers(0, 3), st.booleans())
def test_any_values_of_any_keys_of_json_documents_are_a_row_or_a_reject(
    records: list[dict[str, object]], indent: int | None, as_page: bool
) -> None:
    document = {"orders": records, "page": {"total": 1}} if as_page else records
    assert_rows(json.dumps(document, indent=indent).encode(), len(records))


@settings(max_examples=40)
@given(st.lists(st.lists(_odd | st.floats(allow_nan=False, allow_infinity=False), min_size=1,
                         max_size=8), min_size=1, max_size=6))  # fmt: skip
def test_any_text_or_number_in_any_cell_of_a_workbook_is_a_row_or_a_reject(
    written: list[list[str | float]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.xlsx"
        book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False})
        sheet = book.add_worksheet()
        for number, row in enumerate((HEADING, OF_THE_CA, *written)):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                else:
                    sheet.write_number(number, column, cell)
        book.close()
        found: list[Row | RejectedRow] = []
        with suppress(InputError):  # a text among numbers may be a title
            found.extend(ListSource(str(path), Reading(AS_THE_CAS)))
    assert all(isinstance(row, Row) or row.reason for row in found)
    assert any(isinstance(row, Row | RejectedRow) and row.line == 2 for row in found)


_labels = st.sampled_from(
    ("a", "shop-1", "xn--bcher-kva", "mu00c0b", "u0040a", "123", "0", "A", "-a", "a-", "a_b", "*",
     "", "b" * 63, "b" * 64, "\u0430", "co", "uk")
)  # fmt: skip
_names = st.lists(_labels, min_size=1, max_size=5).map(".".join)
_local_parts = st.sampled_from(
    (*sorted(USUAL_LOCAL_PARTS), "Admin", "x", "20admin", "nbspadmin", "mailto:admin", "=admin",
     "'admin", "To: admin", "x@a.example, admin", "")
)  # fmt: skip
_around = st.sampled_from(("", "", "", " ", "\n", ".", ";", ">"))


@settings(max_examples=600)
@given(
    domain=_names, local_part=_local_parts, mail_domain=_names, behind=_around, same=st.booleans()
)
def test_a_pair_that_is_plain_at_a_glance_makes_the_row_that_a_close_look_makes(
    domain: str, local_part: str, mail_domain: str, behind: str, same: bool
) -> None:
    pair = RawEntry(domain, f"{local_part}@{domain if same else mail_domain}{behind}", "")
    record = RawRecord(1, {Field.ORDER_ID: "100200301"}, (pair,), "[]", {}, True)

    def made() -> tuple[Row | RejectedRow, Counter[Remark]]:
        counts = Counter[Remark]()
        return check_record(repaired(record, counts, Reading()), Reading()), counts

    at_a_glance = made()
    with pytest.MonkeyPatch.context() as patch:
        for module in (entries, repairs):
            patch.setattr(module, "is_plain_pair", lambda *_: False)
        assert made() == at_a_glance


@pytest.mark.parametrize(
    ("domain", "email", "is_plain"),
    [
        ("a.example", "admin@a.example", True),
        ("*.b.a.example", "postmaster@a.example", True),
        ("a.example", "Admin@a.example", False),
        ("a.example", "x@a.example", False),
        ("a.123", "admin@a.example", False),
        ("a.example", "admin@a.123", False),
        ("mu00c0b.example", "admin@mu00c0b.example", False),
        (f"{'b.' * 120}example", f"admin@{'b.' * 120}example", False),
    ],
)
def test_most_pairs_are_plain_at_a_glance(domain: str, email: str, is_plain: bool) -> None:
    assert is_plain_pair(domain, email) is is_plain


def test_mutated_lists_of_every_form_are_rows_or_rejects_or_an_input_error(tmp_path: Path) -> None:
    found = set()
    for data, how in islice(inputs(seed=1), 900):
        path = tmp_path / "input"
        path.write_bytes(data)
        found.add(outcome(path, how))
    assert found == {"rows", "rejected rows", "InputError"}
