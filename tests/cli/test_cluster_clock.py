"""Somebody sets the clock of the database's host in the middle of a run: counted at the CA.

A server's clock cannot be set here: the journal's own function that reads it is replaced.
"""

import asyncio
from pathlib import Path

import psycopg
import pytest

from batch_resend.folders import Database
from batch_resend.windows import Window
from tests.cli.conftest import ended, until
from tests.cli.test_cluster import kept, shared_desk

WINDOW = Window(20, 4.0)


def set_clock(database: Database, by_s: float) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION batch_resend.clock_s() RETURNS double precision "
            "LANGUAGE sql VOLATILE AS 'SELECT extract(epoch FROM clock_timestamp())::double "
            f"precision + ({by_s})'"
        )


@pytest.mark.parametrize("by_s", [3_600.0, -3_600.0])
async def test_hosts_keep_the_windows_and_lose_no_time_by_it(
    tmp_path: Path, database: Database, by_s: float
) -> None:
    loop = asyncio.get_running_loop()
    async with shared_desk(tmp_path, database, windows=(WINDOW,)) as (desk, ca):
        for name in ("a", "b"):
            numbers = "".join(f"{ord(name)}{n}\n" for n in range(24))
            desk.write(f"{name}.csv", f"order_id\n{numbers}")
        began = loop.time()
        hosts = [
            await desk.start("send", f"{name}.csv", "--report-dir", name) for name in ("a", "b")
        ]
        await until(lambda: ca.books.requests >= WINDOW.limit)
        set_clock(database, by_s)
        both = await asyncio.gather(*(ended(host) for host in hosts))
        assert [host.code for host in both] == [0, 0], both[0].err + both[1].err
        assert kept(ca)
        assert ca.books.windows[0].peak <= WINDOW.limit
        assert ca.books.mails == 48
        assert loop.time() - began < 30  # two windows are eight seconds; it was an hour
