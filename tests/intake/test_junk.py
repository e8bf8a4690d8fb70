"""Junk of every form ends in rows, in rejected rows, or in an error of ours."""

from itertools import islice
from pathlib import Path

from tests.fuzz.readers import inputs, outcome


def test_mutated_lists_of_every_form_are_rows_or_rejects_or_an_input_error(tmp_path: Path) -> None:
    found = set()
    for data, how in islice(inputs(seed=1), 900):
        path = tmp_path / "input"
        path.write_bytes(data)
        found.add(outcome(path, how))
    assert found == {"rows", "rejected rows", "InputError"}
