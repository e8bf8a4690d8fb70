"""What fuzzing found: each once ended in a traceback."""

import io
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import ListSource

LISTS = Path(__file__).parent / "lists"


def refusal(path: Path, content: bytes) -> str:
    """Return the words with which a list is refused."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    return str(caught.value)


def test_a_workbook_that_lost_bytes_in_its_middle_is_refused(tmp_path: Path) -> None:
    content = (LISTS / "excel.xlsx").read_bytes()
    for split in range(1, 80):
        assert "cannot be read as an Excel file" in refusal(
            tmp_path / "list.xlsx", content[:50] + content[50 + split :]
        )


def test_a_sheet_in_an_encoding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    changed = io.BytesIO()
    with zipfile.ZipFile(LISTS / "excel.xlsx") as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"UTF-8"', b'"UTFFF-8"'))
    message = refusal(tmp_path / "list.xlsx", changed.getvalue())
    assert "cannot be read as an Excel file: unknown encoding" in message


def test_an_object_with_a_key_twice_that_then_breaks_off_is_refused(tmp_path: Path) -> None:
    content = b'[{"a": {"id": 1, "id": 2}, "b" "c"}, {"order_id": 1}]'
    message = refusal(tmp_path / "list.json", content)
    assert "line 1: not JSON: expecting ':' delimiter" in message


def test_a_key_twice_in_what_else_a_page_tells_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(b'{"orders": [{"order_id": 1}], "page": {"total": 1, "total": 2}}')
    (row,) = ListSource(str(path))
    assert row.order_id == "1"


@pytest.mark.parametrize("member", ["xl/workbook.xml", "xl/worksheets/sheet1.xml"])
def test_an_entity_that_grows_without_bound_is_refused(tmp_path: Path, member: str) -> None:
    names = "abcdefghij"
    entities = "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names)
    )
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"a" * 100}">{entities}]><x>&j;</x>'.encode()
    changed = io.BytesIO()
    with zipfile.ZipFile(LISTS / "excel.xlsx") as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, bomb if name == member else old.read(name))
    assert "cannot be read as an Excel file" in refusal(tmp_path / "list.xlsx", changed.getvalue())
