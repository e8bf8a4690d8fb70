"""What bounds a list, each with its message; the bounds are lowered here, for they are large."""

import gzip
from pathlib import Path

import pytest

from batch_resend import staging as staging_of_lists
from batch_resend.errors import InputError
from batch_resend.intake import ListSource, files, workbook
from batch_resend.intake import csv_cells as cells
from batch_resend.journal import Endpoint, open_journal
from batch_resend.journal import planning as staging_of_rows
from batch_resend.staging import stage


async def refusal(tmp_path: Path, content: bytes) -> str:
    """Return the words with which a list is refused, wherever on its way into the journal."""
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        async with open_journal(tmp_path / "journal.db") as journal:
            _, staging = await journal.new_run("https://ca.example", ())
            await stage([ListSource(str(path))], staging)
            await staging.group({None: Endpoint("https://ca.example")})
    return str(refused.value)


@pytest.mark.asyncio
async def test_what_unpacks_to_many_times_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MAX_RATIO_FROM", 1_000)
    bomb = gzip.compress(b"order_id\n" + b"1\n" * 100_000)
    assert "more than 500 times its size" in await refusal(tmp_path, bomb)


@pytest.mark.asyncio
async def test_a_list_of_nothing_but_bad_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_of_lists, "_MAX_REJECTED", 10)
    said = await refusal(tmp_path, b"order_id\n" + b"none\n" * 12)
    assert "line 13: more than 10 rows are rejected" in said
    assert "--map" in said


@pytest.mark.asyncio
async def test_an_order_on_far_too_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_of_rows, "_MAX_ROWS_OF_ORDER", 10)
    said = await refusal(tmp_path, b"order_id\n" + b"7\n" * 12)
    assert said.startswith("order 7 is on more than 10 rows; does its column really hold")


@pytest.mark.asyncio
async def test_blank_rows_without_an_end_are_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_MAX_BLANK_ROWS", 10)
    assert "10 blank rows, one after another" in await refusal(
        tmp_path, b"order_id,x\n" + b",\n" * 12 + b"1,\n"
    )


@pytest.mark.asyncio
async def test_a_workbook_beyond_its_bound_is_to_be_saved_as_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_PACKED_BYTES", 1_000)
    book = (Path(__file__).parent / "lists" / "excel.xlsx").read_bytes()
    assert "save the sheet as CSV" in await refusal(tmp_path, book)
