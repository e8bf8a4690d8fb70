"""A journal of an older schema, brought up to date by whoever opens it to write."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch_resend.journal import Mailed, Terms, read_journal
from batch_resend.journal.schema import SCHEMA_VERSION
from batch_resend.model import ListForm, ListKind, Order, Pause
from batch_resend.places import Place
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    WINDOWS,
    Clock,
    opened,
    orders,
    plan,
    send,
    statuses,
)

pytestmark = pytest.mark.asyncio

SCHEMA_1 = Path(__file__).parent / "schema_1.sql"
COLUMNS_OF_FILE = (
    'SELECT m.name, c.name, c.type, c."notnull" OR c.pk, c.pk FROM sqlite_master m, '
    "pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.name"
)
COLUMNS_OF_DATABASE = (
    "SELECT c.table_name, c.column_name, c.data_type, c.is_nullable, c.collation_name, "
    "k.ordinal_position FROM information_schema.columns c "
    "LEFT JOIN information_schema.key_column_usage k "
    "USING (table_schema, table_name, column_name) "
    "WHERE c.table_schema = 'batch_resend' ORDER BY 1, 2"
)
# What schema 9 was, made of today's; one pause and one line of pruned mails are in it.
BACK_TO_9_IN_FILE = """
    ALTER TABLE reads DROP COLUMN in_doubt;
    ALTER TABLE pruned_mails DROP COLUMN budget;
    CREATE TABLE old_pauses (run INTEGER NOT NULL, number INTEGER NOT NULL,
        began_at FLOAT NOT NULL, ended_at FLOAT, until_at FLOAT, reason TEXT NOT NULL,
        share FLOAT NOT NULL, account TEXT, PRIMARY KEY (run, number)) WITHOUT ROWID;
    INSERT INTO old_pauses SELECT run, 10000 * start + number, began_at, ended_at, until_at,
        reason, share, account FROM pauses;
    DROP TABLE pauses;
    ALTER TABLE old_pauses RENAME TO pauses;
"""
BACK_TO_9_IN_DATABASE = """
    SET search_path TO batch_resend;
    ALTER TABLE reads DROP COLUMN in_doubt;
    ALTER TABLE pruned_mails DROP COLUMN budget;
    UPDATE pauses SET number = 10000 * start + number;
    ALTER TABLE pauses DROP CONSTRAINT pauses_pkey;
    ALTER TABLE pauses DROP COLUMN start;
    ALTER TABLE pauses ADD PRIMARY KEY (run, number);
"""
BOTH = f"""
    INSERT INTO pruned_mails (base_url, order_id, mails) VALUES ('{BASE_URL}', '7', 3);
    UPDATE batch_resend_schema SET version = 9;
"""


def columns(place: Place) -> list[tuple[Any, ...]]:
    """Return every column there is, and what is said of it."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as file:
            return file.execute(COLUMNS_OF_FILE).fetchall()
    with psycopg.connect(place.url) as connection:
        return connection.execute(COLUMNS_OF_DATABASE).fetchall()


def indexes(path: Path) -> list[tuple[Any, ...]]:
    """Return what each index of a file is of, in which order."""
    with closing(sqlite3.connect(path)) as file:
        return file.execute(
            "SELECT m.tbl_name, m.name, i.seqno, i.name FROM sqlite_master m, "
            "pragma_index_info(m.name) i WHERE m.type = 'index' ORDER BY 2, 3"
        ).fetchall()


def put_back(place: Place) -> None:
    """Make a journal of schema 9 of today's."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as file:
            file.executescript(BACK_TO_9_IN_FILE + BOTH)
    else:
        with psycopg.connect(place.url) as connection:
            connection.execute((BACK_TO_9_IN_DATABASE + BOTH).encode())


# A run of the orders 1, sent, and 2, which met a 429.
IN_SCHEMA_1 = """
    INSERT INTO runs VALUES
        (1, 'RUN', :url, 'interrupted', 'killed', '', NULL, :noon, :noon, :noon);
    INSERT INTO inputs VALUES
        (1, 0, 'a.csv', 'abc', '["My Number"]', '{"order_id": "My Number"}', 2);
    INSERT INTO rows VALUES (1, 1, 0, 2, 'accepted', '1', NULL, '', 1, NULL, '["1"]');
    INSERT INTO rows VALUES (1, 2, 0, 3, 'accepted', '2', NULL, '', 2, NULL, '["2"]');
    INSERT INTO requests VALUES (1, 1, 1, '1', NULL, '', :first, 0),
        (1, 2, 2, '2', NULL, '', :second, 0);
    INSERT INTO attempts VALUES (1, 1, 1, :first, :noon, :noon + 1, 'accepted', 204, NULL, NULL);
    INSERT INTO attempts VALUES
        (1, 2, 1, :second, :noon, :noon + 2, 'rate_limited', 429, NULL, NULL);
    INSERT INTO outcomes VALUES (1, 1, 'sent', 204, NULL, NULL);
"""


async def test_a_journal_of_the_first_schema_is_as_a_new_one_and_loses_nothing(
    tmp_path: Path, clock: Clock
) -> None:
    async with opened(tmp_path / "new.db", clock):
        pass
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(SCHEMA_1.read_text())
        first, second = (Order(number, None, ()).digest(BASE_URL) for number in "12")
        told = {"url": BASE_URL, "noon": NOON, "first": first, "second": second}
        for statement in filter(str.strip, IN_SCHEMA_1.split(";")):
            file.execute(statement, told)
        file.commit()
    clock.now = NOON + 3
    async with opened(path, clock) as journal:
        assert columns(path) == columns(tmp_path / "new.db")
        assert indexes(path) == indexes(tmp_path / "new.db")
        ends = await journal.reader.recent_ends(BASE_URL, NOON, clock)
        assert ends == [NOON + 1, NOON + 2]
        old = await journal.reader.run("RUN")
        (read,) = await journal.reader.inputs(old)
        assert read.form == ListForm(ListKind.CSV, ("My Number",), {"order_id": "My Number"})
        assert await statuses(journal.reader, old) == {"1": "sent", "2": "not_attempted"}
        again = await plan(journal, orders(1, 3), take_up_since=1e12)
        await journal.settle(again, HOUR, hold_doubts=False)
        assert await statuses(journal.reader, again) == {"1": "skipped", "3": "not_attempted"}
        await send(journal, clock, again, {"3": "204"})


async def test_a_journal_of_schema_9_is_as_a_new_one_and_loses_nothing(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2))
        recorder = await journal.start(run, Terms(WINDOWS))
        await recorder.pause(Pause(NOON, NOON + 5, "the CA is in trouble", 1.0))
    new = columns(place)
    put_back(place)
    assert columns(place) != new
    async with opened(place, clock) as journal:
        assert columns(place) == new
        recorder = await journal.start(run, Terms(WINDOWS))
        await recorder.pause(Pause(NOON + 60, NOON + 65, "again", 1.0))
        await recorder.prolong_pause(NOON + 90)
    async with read_journal(place) as reader:
        told = await reader.pauses(run, 9)
        assert [(pause.until_at, pause.reason) for pause in told] == [
            (NOON + 5, "the CA is in trouble"), (NOON + 90, "again"),
        ]  # fmt: skip
        assert await reader.mails(BASE_URL) == {"7": Mailed(3, None)}
    assert SCHEMA_VERSION == 10, "a newer schema wants a test of its own"
