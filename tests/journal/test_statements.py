"""Every statement is one that its databases understand, whatever way of the program leads to it."""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch_resend.cluster.postgres import PostgresBackend
from batch_resend.folders import Database
from batch_resend.journal import open_journal
from batch_resend.journal.statements import Dialect, Statement, sql, statement
from tests.journal.conftest import BASE_URL, Clock, opened, orders, plan, send
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

TEMPORARY = (
    "create_sorted_rows", "create_assignments", "create_sorted_assignments", "create_kept_results",
    "create_mailed_lately",
)  # fmt: skip
WORDS = (
    ("table", "rows"),
    ("column", "seq"),
    ("number", "1"),
    ("bounds", "WHEN ended_at > 1 THEN 1"),
    ("columns", "line"),
    ("values", ":line"),
)  # what statements leave open
TIMES = (
    "since", "now", "before", "linger_s", "our_offset_s", "from_at", "step_s", "pause_s",
    "enough_s",
)  # fmt: skip


def explained(
    package: str, dialect: Dialect, *, but_of: Sequence[str] = ()
) -> dict[str, Statement]:
    """Return what asks how each statement would be carried out, definitions aside, by its name."""
    found = {}
    for file in files(package).joinpath("sql").iterdir():
        if file.name in but_of:
            continue
        for name in re.findall(r"^-- name: (\w+)\n(?!CREATE|DROP)", file.read_text(), re.MULTILINE):
            found[name] = statement(name, dialect, WORDS)
    assert len(found) > 10
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
        ("pending_without_account", "rows USING PRIMARY KEY (run=? AND seq>? AND seq<?)"),
        ("pending_without_account", "requests USING PRIMARY KEY (run=? AND number=?)"),
        ("recent_ends", "attempts USING INDEX attempts_by_end (start=? AND ended_at>?)"),
        ("recent_ends", "reads USING INDEX reads_by_end (start=? AND ended_at>?)"),
        ("acknowledged_elsewhere", "attempts USING INDEX attempts_of_digest (digest=? AND "),
        ("note_others_doubts", "attempts USING INDEX attempts_of_digest (digest=? AND "),
        ("newest_runs", "attempts USING INDEX attempts_by_end (start=?)"),
        ("newest_starts", "sweeps USING PRIMARY KEY (run=?)"),
        ("lately_attempts", "attempts USING INDEX attempts_by_end (start=? AND ended_at>?)"),
        ("lately_attempts", "attempts USING INDEX attempts_by_end (start=? AND ended_at=?)"),
        ("count_cut_off", "attempts USING INDEX attempts_by_end (start=? AND ended_at=?)"),
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


# --- what grows with the square of a run ----------------------------------------------------------

# What statements about a run are carried out with; those that need more are about something else.
OF_A_RUN = {
    "run": 2, "new_run": 3, "last": 10**9, "until": 10**9, "most": 10**6,
    "since": 0.0, "our_boot": "", "our_offset_s": 0.0, "base_url": BASE_URL, "budget": "",
    "now": 9.0, "successor": 3, "later": 3, "input": 0,
    "account": "", "accounts": [""], "waiting": ["pending"], "several": 1, "note": "", "reason": "",
    "domains": ["a.example"], "orders": ["1"], "order_id": "1", "session": 1,
    "codes": ["list"], "stopped": [""], "start": 1, "from_at": 0.0, "step_s": 1.0,
    "domain": "1", "with_number": "% 1", "in_entries": "%1%", "problem": "domain",
    "urls": json.dumps({"": BASE_URL}), "enough_s": 1.0,
}  # fmt: skip
PAGE = 100  # requests on the last page of those that are read page by page
BEFORE_SENDING = ("acknowledged_elsewhere", "note_others_doubts", "skip_what_is_under_way",
    "hold_doubts", "skip_what_lists_say", "sort_rows", "pending", "recipients", "count_mailed_at",
    "first_mailed_at", "count_by_account", "count_second_mails", "positions",
    "count_mailed_otherwise")  # fmt: skip
MADE = """
    INSERT INTO attempts (run, request, attempt, start, digest, begun_at, ended_at, ruling,
        http_status)
        SELECT run, number, 1, 1, digest, 1.0, 2.0, 'accepted', 204 FROM requests
        WHERE run = 2;
    INSERT INTO outcomes (run, request, status, http_status)
        SELECT run, number, 'sent', 204
        FROM requests WHERE run = 2;
    INSERT INTO checks SELECT run, number, 1.0, 'pending', 2, 1 FROM requests WHERE run = 2;
"""


async def looked_at(
    database: Database, clock: Clock, size: int, *, to_read: bool
) -> dict[str, int]:
    """Return how many rows each statement about a run of so many requests looks at, by its name.

    The server's statistics are of the time when there was one small run; planning may refresh them.
    """
    forget(database)
    async with opened(database, clock) as journal:
        await send(journal, clock, await plan(journal, orders(1)), {"1": "204"})
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        for _ in range(2):
            run = await plan(journal, orders(*range(1, size + 1)))
        backend = PostgresBackend(database)
        connect = backend.connect_to_read if to_read else backend.connect_to_write
        only_read = () if to_read else ("results.sql", "orders.sql")
        asked = explained("batch_resend.journal", "postgresql", but_of=only_read)
        asked |= explained("batch_resend.cluster", "postgresql")
        found = {}
        with closing(connect()) as connection:
            for text in (sql(name, "postgresql") for name in TEMPORARY):
                connection.driver.execute(text)
            connection.driver.execute(MADE)
            for name, (text, names) in asked.items():
                if "run" in names and set(names) <= {*OF_A_RUN, "after"}:
                    of = {**OF_A_RUN, "after": size - PAGE}
                    of |= {"run": run.number} if name in BEFORE_SENDING else {}
                    with connection.driver.transaction(force_rollback=True):
                        ((how,),) = connection.driver.execute(
                            f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {text}",
                            [of[each] for each in names],
                        ).fetchall()
                    found[name] = rows_of(how[0]["Plan"])
    return found


def rows_of(node: Mapping[str, Any]) -> int:
    """Return how many rows a plan's nodes have found and passed over."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    own = sum(node.get(count, 0) for count in counts) * node["Actual Loops"]
    return int(own + sum(map(rows_of, node.get("Plans", ()))))


@pytest.mark.parametrize("to_read", [True, False], ids=["to read", "to write"])
async def test_what_a_statement_looks_at_grows_with_the_run_though_statistics_are_older(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, to_read: bool
) -> None:
    if to_read:  # a reader may not be allowed to refresh them
        monkeypatch.setattr(PostgresBackend, "analyze", lambda *_: None)
    few = await looked_at(database, clock, 150, to_read=to_read)
    many = await looked_at(database, clock, 1_500, to_read=to_read)
    assert len(many) > (50 if to_read else 20)
    pages = {name for name in many if "after" in statement(name, "postgresql", WORDS).names}
    assert "pending" in pages
    most = {
        name: (2 * rows + 500 if name in pages else 20 * rows + 5_000) for name, rows in few.items()
    }
    assert {name: rows for name, rows in many.items() if rows > most[name]} == {}
