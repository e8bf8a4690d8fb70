"""A host whose CA asks for a pause holds up the others: they say why, and for how long they may."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from batch_resend.folders import Database
from tests.cli.conftest import Desk, Ended, ended, until, until_told
from tests.cli.counting_server import CountingServer, says
from tests.postgres import forget

LATER = says(429, b"", "Retry-After: 3600")
PAUSES = "SELECT count(*) FROM batch_resend.keys WHERE paused_until > 0"


@asynccontextmanager
async def held_up(folder: Path, database: Database) -> AsyncIterator[tuple[Desk, CountingServer]]:
    """Have one host wait for an hour, as the CA asks for; the others share its key."""
    forget(database)
    async with CountingServer(LATER) as ca:
        desk = Desk(folder, ca.base_url)
        desk.environment |= {
            "BATCH_RESEND_JOURNAL": str(database),
            "BATCH_RESEND_LIMIT": "100/5s",
        }
        desk.write("a.csv", "order_id\n1\n2\n")
        desk.write("b.csv", "order_id\n3\n4\n")
        first = await desk.start("send", "a.csv", "--patience", "2h")
        await until(lambda: ca.requests and paused(database))
        yield desk, ca
        first.send_signal(signal.SIGINT)
        await ended(first)


def paused(database: Database) -> bool:
    with psycopg.connect(database.url) as connection:
        found = connection.execute(PAUSES).fetchone()
    return found is not None and found[0] > 0


async def test_patience_is_heeded_in_another_hosts_pause(
    tmp_path: Path, database: Database
) -> None:
    async with held_up(tmp_path, database) as (desk, ca):
        second = await desk.run("send", "b.csv", "--patience", "10m", "--report-dir", "b")
        assert_stopped(second, ca)
        for command in ("export", "sweep"):
            asked = await desk.run(command, "--patience", "10m")
            assert asked.code == 1, asked.err
            assert "beyond the patience of 10m" in asked.err
        assert ca.requests == 1


def assert_stopped(second: Ended, ca: CountingServer) -> None:
    assert second.code == 4, second.err
    assert "another process by this key has paused: the CA asks for fewer requests" in second.err
    assert "beyond the patience of 10m" in second.err
    assert ca.requests == 1


async def test_while_it_waits_it_says_that_another_one_has_paused_and_why(
    tmp_path: Path, database: Database
) -> None:
    async with held_up(tmp_path, database) as (desk, ca):
        second = await desk.start("send", "b.csv", "--patience", "2h", "--report-dir", "b")
        await until_told(second, b"paused by another process: the CA asks for fewer requests")
        second.send_signal(signal.SIGINT)
        assert (await ended(second)).code == 130
        assert ca.requests == 1
