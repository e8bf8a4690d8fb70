"""What has to be said in two places is said in both."""

import re
from pathlib import Path
from typing import Any, cast

from batch_resend.calls import CALLS
from batch_resend.intake import Field
from batch_resend.journal.postgres import PostgresHome
from batch_resend.journal.schema import SCHEMA_VERSION, UPGRADES
from batch_resend.model import Call, Note, OrderStatus, Problem
from batch_resend.report.preview import _NOTE_IN_WORDS, _PROBLEM_IN_WORDS
from tests.report.schemas import schema

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
FROM_SCHEMA_9 = range(9, SCHEMA_VERSION)  # the first one that PostgreSQL had
# Of the CA's exports: what they say of an order, which nobody writes into a list.
OF_EXPORTS = {Field.STATUS, Field.DCV_METHOD, Field.PRODUCT}


def first_cells(heading: str) -> set[str]:
    """Return the first cells of the README's table with that heading row."""
    rows = README.partition(heading)[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", rows, re.M))


def test_every_problem_and_every_note_has_its_words() -> None:
    assert set(_PROBLEM_IN_WORDS) == set(Problem)
    assert set(_NOTE_IN_WORDS) == set(Note)


def test_every_older_schema_is_brought_up_to_date_in_files_and_databases() -> None:
    assert list(UPGRADES) == list(range(1, SCHEMA_VERSION))
    assert set(PostgresHome.upgrades) == set(FROM_SCHEMA_9)


def test_every_column_and_every_call_stands_in_the_readme() -> None:
    assert first_cells("| column | need | other names") == set(Field) - OF_EXPORTS
    assert first_cells("| call | for | what a row needs") == set(Call) == set(CALLS)
    assert f"`--call {'|'.join(Call)}`" in README.replace("\\|", "|")


def test_every_call_and_every_status_stands_in_the_schema_of_results() -> None:
    properties = cast("dict[str, Any]", schema("results").schema)["properties"]
    assert set(properties["status"]["enum"]) == set(OrderStatus)
    assert set(properties["call"]["enum"]) == set(Call) - {Call.DV_RESEND}
