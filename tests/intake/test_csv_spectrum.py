"""A public collection of odd CSV files: each parses as its twin JSON says."""

import json
from pathlib import Path

import pytest

from batch_resend.intake.csv_cells import CsvCells, find_delimiter
from batch_resend.intake.text import ListFile, Text

FOLDER = Path(__file__).parent / "csv_spectrum"
NAMES = sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_parses_as_its_twin_says(name: str) -> None:
    source = ListFile(str(FOLDER / f"{name}.csv"))
    with source.open() as file:
        text = Text(name, file, None)
        cells = CsvCells(name, text, find_delimiter(name, text, {}, headed=True))
        heading, *rows = [row for _, row in cells]
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert [dict(zip(heading, row, strict=True)) for row in rows] == expected


def test_every_file_has_a_twin() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NAMES
    assert len(NAMES) == 12
