"""Every statement is one that its databases understand, whatever way of the program leads to it."""

import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from batch_resend.folders import Database
from batch_resend.journal import open_journal
from batch_resend.journal.statements import Dialect, Statement, sql, statement
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

TEMPORARY = (
    "create_sorted_rows", "create_assignments", "create_sorted_assignments", "create_kept_results",
)  # fmt: skip
WORDS = (("table", "rows"), ("bounds", "WHEN ended_at > 1 THEN 1"))  # what statements leave open
TIMES = ("since", "now", "before", "linger_s", "our_offset_s", "from_at", "step_s", "pause_s")


def explained(package: str, dialect: Dialect) -> dict[str, Statement]:
    """Return what asks how each statement would be carried out, definitions aside, by its name."""
    found = {}
    for file in files(package).joinpath("sql").iterdir():
        for name in re.findall(r"^-- name: (\w+)\n(?!CREATE|DROP)", file.read_text(), re.MULTILINE):
            found[name] = statement(name, dialect, WORDS)
    assert len(found) > 20
    return found


async def test_sqlite_understands_every_statement_of_the_journal(path: Path) -> None:
    async with open_journal(path):
        pass
    asked = explained("batch_resend.journal", "sqlite")
    with closing(sqlite3.connect(path)) as database:
        for name in TEMPORARY:
            database.execute(sql(name, "sqlite"))
        for text, names in asked.values():
            assert database.execute(f"EXPLAIN {text}", [None] * len(names)).fetchall()


async def test_postgresql_understands_every_statement(database: Database) -> None:
    forget(database)
    async with open_journal(database):
        pass
    asked = explained("batch_resend.journal", "postgresql")
    asked |= explained("batch_resend.cluster", "postgresql")
    with psycopg.connect(
        database.url, autocommit=True, cursor_factory=psycopg.RawCursor
    ) as connection:
        connection.execute("SET search_path TO batch_resend")
        for name in TEMPORARY:
            connection.execute(sql(name, "postgresql").encode())
        for text, names in asked.values():
            values = [1.0 if name in TIMES else None for name in names]
            assert connection.execute(f"EXPLAIN {text}".encode(), values).fetchall()


@pytest.mark.parametrize(
    ("name", "by"),
    [
        (
            "pending_of_account",
            "requests USING INDEX requests_of_account (run=? AND account=? AND ",
        ),
        ("pending_without_account", "requests USING INDEX requests_in_list_order (run=? AND "),
        ("recent_ends", "attempts USING INDEX attempts_by_end (start=? AND ended_at>?)"),
        ("recent_ends", "reads USING INDEX reads_by_end (start=? AND ended_at>?)"),
        ("acknowledged_elsewhere", "attempts USING INDEX attempts_of_digest (digest=? AND "),
        ("note_others_doubts", "attempts USING INDEX attempts_of_digest (digest=? AND "),
        ("end_cut_off_attempts", "attempts USING INDEX attempts_by_end (start=? AND ended_at=?)"),
    ],
)
async def test_the_start_of_a_run_looks_only_at_what_concerns_it_however_much_there_is(
    path: Path, name: str, by: str
) -> None:
    async with open_journal(path):
        pass
    text, names = statement(name, "sqlite")
    with closing(sqlite3.connect(path)) as database:
        asked = database.execute(f"EXPLAIN QUERY PLAN {text}", [None] * len(names))
        steps = [step.replace("COVERING ", "") for *_, step in asked]
    assert any(step.startswith(f"SEARCH {by}") for step in steps), steps
