"""One journal in PostgreSQL for several hosts, each a process of its own, counted at the CA."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from batch_resend.folders import Database
from batch_resend.simulator import Simulator
from batch_resend.windows import Window
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    orders_of,
    read_summary,
    run_ids,
    until,
)
from tests.cli.counting_server import CountingServer, says
from tests.postgres import forget, postgres_server

WINDOWS = (Window(60, 2.0), Window(100, 6.0))


@asynccontextmanager
async def shared_desk(
    folder: Path, database: Database, **settings: object
) -> AsyncIterator[tuple[Desk, Simulator]]:
    """Open a folder to work in, whose journal is in the database, and a CA."""
    forget(database)
    async with desk_with_ca(folder, **settings) as (desk, ca):
        desk.environment["BATCH_RESEND_JOURNAL"] = str(database)
        yield desk, ca


async def sent_at_once(desk: Desk, *commands: Sequence[str], **environment: str) -> list[Ended]:
    """Run several commands at the same time, each of them as a host would."""
    started = [await desk.start(*command, **environment) for command in commands]
    return list(await asyncio.gather(*(ended(process) for process in started)))


def kept(ca: Simulator) -> bool:
    """Whether the CA saw no window exceeded."""
    return ca.books.answers["429"] == 0


async def test_every_command_works_with_a_journal_in_a_database(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, unknown_orders=frozenset({"700003"})) as (desk, ca):
        desk.write_list(20)
        checked = await desk.run("check", "orders.csv")
        assert checked.code == 0, checked.err
        sent = await desk.run("send", "orders.csv", "--report-dir", "first")
        assert sent.code == 3, sent.err
        again = await desk.run("send", "orders.csv", "--report-dir", "second")
        assert again.code == 3, again.err
        (second, first) = json.loads((await desk.run("runs", "--json")).out)
        assert (first["sent"], second["skipped"]) == (19, 19)
        assert ca.books.mails == 19
        shown = await desk.run("show", first["run"], "--json")
        assert json.loads(shown.out) == read_summary(tmp_path / "first")
        report = await desk.run("report", first["run"], "--report-dir", "rewritten")
        assert report.code == 0, report.err
        for name in ("results.csv", "results.jsonl", "unsent.csv", "refused.csv"):
            assert (tmp_path / "rewritten" / name).read_text() == (
                tmp_path / "first" / name
            ).read_text()
        history = await desk.run("history", "700001", "--json")
        assert len(json.loads(history.out)) == 2
        listed = await desk.run("runs")
        assert re.search(r"postgresql://\S+: [\d.]+ MB", listed.err)
        pruned = await desk.run("prune", "--older-than", "2d")
        assert pruned.out.startswith("0 runs with 0 rows forgotten")
        followed = await desk.run("watch", first["run"])
        assert followed.code == 3, followed.err


async def test_a_host_that_was_killed_is_followed_by_another(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, latency_s=(0.01, 0.03)) as (desk, ca):
        numbers = desk.write_list(400)
        command = ("send", "orders.csv", "--in-doubt", "hold", "--report-dir", "report")
        for requests in (80, 200):
            process = await desk.start(*command)
            emptied = asyncio.create_task(ended(process))
            await until(lambda at=requests: ca.books.requests >= at)  # type: ignore[misc]  # mypy: lambda
            process.send_signal(signal.SIGKILL)
            assert (await emptied).code == -signal.SIGKILL
        await everything_acted_on(ca)
        await desk.run(*command)
        summary = read_summary(tmp_path / "report")
        assert_adds_up(summary)
        assert await run_ids(desk) == [summary["run_id"]]
        assert summary["state"] == "completed"
        assert set(ca.books.requests_per_order.values()) == {1}
        in_doubt = orders_of(tmp_path / "report", "in_doubt")
        assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
        assert len(in_doubt) <= 2 * 32


def skewed(by_s: float) -> None:
    """Have the system's clock of a process be fast by so much."""
    right = time.time
    pytest.MonkeyPatch().setattr(time, "time", lambda: right() + by_s)


async def test_four_hosts_by_one_key_keep_its_windows_though_their_clocks_disagree(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, windows=WINDOWS, latency_s=(0.01, 0.3)) as (
        desk,
        ca,
    ):
        started = []
        for place, skew in enumerate((0, -2, 0, 30)):
            desk.write(
                f"{place}.csv",
                "order_id\n" + "".join(f"{900_000 + 75 * place + n}\n" for n in range(75)),
            )
            command = ("send", f"{place}.csv", "--report-dir", f"report {place}")
            started.append(await desk.start_after(partial(skewed, skew), *command))
        ends = await asyncio.gather(*(ended(process) for process in started))
        assert [one.code for one in ends] == [0] * 4, ends
        assert kept(ca), ca.books.answers
        assert ca.books.mails == 300


async def test_a_password_in_the_url_is_refused_and_not_shown(desk: Desk) -> None:
    for url in ("postgresql://me:s3cret@db/x", "postgresql://db/x?user=me&password=s3cret"):
        told = await desk.run("runs", "--journal", url)
        assert told.code == 2
        assert "PGPASSWORD" in told.err
        assert "s3cret" not in told.err + told.out


async def test_a_server_that_cannot_be_reached_is_named_with_what_to_do(desk: Desk) -> None:
    desk.write_list(1)
    told = await desk.run("send", "orders.csv", "--journal", "postgresql://127.0.0.1:9/x")
    assert told.code == 1
    assert "postgresql://127.0.0.1:9/x: the journal cannot be used" in told.err
    assert "is the server up" in told.err


async def test_a_database_that_is_not_there_is_named_with_what_to_do(
    desk: Desk, database: Database
) -> None:
    desk.write_list(1)
    missing = str(database).replace("/postgres?", "/missing?")
    told = await desk.run("send", "orders.csv", "--journal", missing)
    assert told.code == 1
    assert 'database "missing" does not exist' in told.err
    assert "create it" in told.err


async def test_a_password_comes_by_variable_or_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    with postgres_server() as server:
        with psycopg.connect(server.database.url, autocommit=True) as connection:
            connection.execute("CREATE ROLE clerk LOGIN PASSWORD 's3cret'")
            connection.execute("CREATE SCHEMA batch_resend AUTHORIZATION clerk")
        server.ask_for_passwords_of("clerk")
        async with desk_with_ca(tmp_path) as (desk, ca):
            desk.write_list(5)
            url = str(server.database).replace("postgres@", "clerk@")
            desk.environment["BATCH_RESEND_JOURNAL"] = url
            without = await desk.run("send", "orders.csv")
            assert without.code == 1
            assert "give it in PGPASSWORD or in a password file" in without.err
            wrong = await desk.run("send", "orders.csv", PGPASSWORD="wr0ng")
            assert wrong.code == 1
            assert "wr0ng" not in wrong.err
            sent = await desk.run("send", "orders.csv", "-v", PGPASSWORD="s3cret")
            assert sent.code == 0, sent.err
            desk.write("pgpass", "*:*:*:clerk:s3cret\n").chmod(0o600)
            listed = await desk.run("runs", PGPASSFILE=str(tmp_path / "pgpass"))
            assert listed.code == 0, listed.err
            assert "s3cret" not in sent.out + sent.err + listed.out + listed.err
            for path in desk.report().iterdir():
                assert b"s3cret" not in path.read_bytes()
        assert ca.books.mails == 5


async def test_many_who_open_an_empty_database_at_once_make_one_journal(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database) as (desk, ca):
        commands = []
        for place in range(6):
            desk.write(f"{place}.csv", f"order_id\n10020030{place + 1}\n")
            commands.append(("send", f"{place}.csv", "--report-dir", f"report {place}"))
        ends = await sent_at_once(desk, *commands)
        assert [one.code for one in ends] == [0] * 6, ends
        assert ca.books.mails == 6
        assert len(await run_ids(desk)) == 6


async def test_without_the_driver_it_is_said_what_to_install(desk: Desk) -> None:
    desk.write("psycopg.py", "raise ModuleNotFoundError('psycopg')\n")
    told = await desk.run("runs", "--journal", "postgresql://db/x", PYTHONPATH=str(desk.folder))
    assert told.code == 1
    assert "pip install 'batch-resend[cluster]'" in told.err


async def test_a_database_that_ends_idle_sessions_ends_no_run_that_waits_for_its_windows(
    tmp_path: Path, database: Database
) -> None:
    setting = "ALTER DATABASE postgres {} idle_session_timeout"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"{setting.format('SET')} = '300ms'")
    try:
        async with shared_desk(tmp_path, database, windows=(Window(5, 1.0),)) as (desk, ca):
            desk.write_list(12)
            sent = await desk.run("send", "orders.csv")
        assert sent.code == 0, sent.err
        assert ca.books.mails == 12
    finally:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(setting.format("RESET"))


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
        desk.write("a.csv", "order_id\n100200301\n100200302\n")
        desk.write("b.csv", "order_id\n100200303\n100200304\n")
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
    assert (
        "another process that uses this key has paused: the CA asks for fewer requests"
        in second.err
    )
    assert "beyond the patience of 10m" in second.err
    assert ca.requests == 1


# --- somebody sets the clock of the database's host ---------------------------------------------

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
            numbers = "".join(f"{ord(name)}{n:04}\n" for n in range(24))
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
        assert loop.time() - began < 100  # two windows are eight seconds; it was an hour
