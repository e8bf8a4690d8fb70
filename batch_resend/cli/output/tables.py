"""Tables of the commands that look back: for people, as JSON, or as CSV."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from batch_resend.cli.output.terminal import show_table
from batch_resend.report import defused

Record = Mapping[str, object]  # a row by its columns; numbers are numbers


def show_records(
    records: Sequence[Record],
    columns: Sequence[str],
    form: str,
    in_table: Mapping[str, Callable[[Record], str]],
) -> None:
    """Print records: all their columns for programs; for people what `in_table` makes of each."""
    if form == "json":
        click.echo(json.dumps(list(records), indent=2, ensure_ascii=False))
    elif form == "csv":
        _write_csv(records, columns)
    else:
        rows = [[cell(record) for cell in in_table.values()] for record in records]
        show_table(list(in_table), rows, sys.stdout)


def _write_csv(records: Sequence[Record], columns: Sequence[str]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(record[column]) for column in columns] for record in records)


def _cell(value: Any) -> object:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return defused(value)
