"""A journal on another machine is reached over TLS, or the URL says in words that it is not."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from batch_resend.cluster.postgres import encryption_options
from batch_resend.cluster.queue import open_queue
from batch_resend.errors import JournalError
from batch_resend.folders import Database, Place
from batch_resend.journal import open_journal, read_journal, size_of_journal
from tests.connections import Connections
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

ASKS_FOR_TLS = (80877103).to_bytes(4)  # libpq's SSLRequest
NOT_LOOPBACK = "0.0.0.0"  # Linux leads it to this machine, though no name of it says so
PGVARIABLES = ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSERVICE", "PGPORT")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PGVARIABLES:
        monkeypatch.delenv(name, raising=False)


@dataclass
class Gateway:
    """What stands before a server: it has TLS, or says that there is none."""

    port: int = 0
    plain: list[bytes] = field(default_factory=list)  # first messages that came in plain text
    encrypted: int = 0


@asynccontextmanager
async def gateway(
    database: Database | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Gateway]:
    """Stand before a server, on all addresses of this machine."""
    found = Gateway()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (message := await first_message(reader)) == ASKS_FOR_TLS:
            writer.write(b"N" if tls is None else b"S")
            await writer.drain()
            if tls is not None and database is not None:
                await writer.start_tls(tls)
                found.encrypted += 1
                await _passed_on(reader, writer, database)
                return
        found.plain.append(message)

    connections = Connections(serve)
    server = await asyncio.start_server(connections.accept, NOT_LOOPBACK)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        await connections.end(server)


async def first_message(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4))
    return await reader.readexactly(length - 4)


async def _passed_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, database: Database
) -> None:
    socket = parse_qs(urlsplit(database.url).query)["host"][0] + "/.s.PGSQL.5432"
    inner_reader, inner_writer = await asyncio.open_unix_connection(socket)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        finally:
            target.close()
            await target.wait_closed()

    await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))


async def write(place: Place) -> None:
    async with open_journal(place):
        pass


async def read(place: Place) -> None:
    async with read_journal(place):
        pass


async def queue(place: Place) -> None:
    async with open_queue(place):
        pass


async def size(place: Place) -> None:
    await asyncio.to_thread(size_of_journal, place)


Way = Callable[[Place], Awaitable[None]]


@pytest.mark.parametrize("way", [write, read, size])
async def test_a_server_without_tls_is_given_nothing_in_plain_text(way: Way) -> None:
    async with gateway() as before:
        url = f"postgresql://me@{NOT_LOOPBACK}:{before.port}/journal"
        with pytest.raises(JournalError, match="does not support SSL"):
            await asyncio.wait_for(way(Database(url)), 60)
    assert before.plain == []


async def test_a_server_without_tls_is_said_to_be_so_with_what_to_do() -> None:
    async with gateway() as before:
        with pytest.raises(JournalError, match=r"set up TLS there, or.*sslmode=disable"):
            await read(Database(f"postgresql://me@{NOT_LOOPBACK}:{before.port}/journal"))


async def test_by_the_word_disable_it_is_plain_text() -> None:
    async with gateway() as before:
        with pytest.raises(JournalError):
            url = f"postgresql://me@{NOT_LOOPBACK}:{before.port}/journal?sslmode=disable"
            await read(Database(url))
    assert len(before.plain) == 1


async def test_a_journal_behind_tls_works_and_sends_nothing_in_plain_text(
    database: Database, untrusted: ssl.SSLContext
) -> None:
    forget(database)
    async with gateway(database, untrusted) as before:
        url = Database(f"postgresql://postgres@{NOT_LOOPBACK}:{before.port}/postgres")
        for way in (write, read, queue):
            await asyncio.wait_for(way(url), 60)
    assert before.plain == []
    assert before.encrypted >= 3


REQUIRED = {"sslmode": "require"}
URLS = [
    # Another machine: TLS, unless the URL says otherwise.
    ("postgresql://db/journal", {}, REQUIRED),
    ("postgresql://10.0.0.7/journal", {}, REQUIRED),
    ("postgresql://[2001:db8::1]/journal", {}, REQUIRED),
    ("postgresql://localhost.example/journal", {}, REQUIRED),
    ("postgresql://localhost,db/journal", {}, REQUIRED),
    ("postgresql:///journal?host=db", {}, REQUIRED),
    ("postgresql:///journal?host=/run/postgresql,db", {}, REQUIRED),
    ("postgresql://localhost/journal?hostaddr=10.0.0.7", {}, REQUIRED),
    ("postgresql:///journal", {"PGHOST": "db"}, REQUIRED),
    ("postgresql://localhost/journal", {"PGHOSTADDR": "10.0.0.7"}, REQUIRED),
    ("postgresql://db/journal", {"PGSSLMODE": "prefer"}, REQUIRED),
    ("postgresql://db/journal", {"PGSSLMODE": "disable"}, REQUIRED),  # of another program, perhaps
    # What is stricter stays.
    ("postgresql://db/journal?sslmode=verify-full", {}, {}),
    ("postgresql://db/journal?sslmode=require", {"PGSSLMODE": "disable"}, {}),
    ("postgresql://db/journal", {"PGSSLMODE": "verify-full"}, {}),
    ("postgresql://db/journal?sslmode=disable", {"PGSSLMODE": "verify-full"}, {}),
    # This machine.
    ("postgresql:///journal", {}, {}),
    ("postgresql:///journal?host=/run/postgresql", {}, {}),
    ("postgresql://%2Frun%2Fpostgresql/journal", {}, {}),
    ("postgresql://@/journal?host=@abstract", {}, {}),
    ("postgresql://localhost/journal", {}, {}),
    ("postgresql://127.0.0.2:5433/journal?sslmode=prefer", {}, {}),
    ("postgresql://[::1]/journal", {}, {}),
    ("postgresql://db/journal?hostaddr=127.0.0.1", {}, {}),  # the near end of a tunnel
    ("postgresql://db/journal?sslmode=word", {}, {}),  # libpq refuses it
]


@pytest.mark.parametrize(("url", "variables", "expected"), URLS)
async def test_what_leaves_the_machine_is_encrypted_unless_the_url_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], expected: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert encryption_options(Database(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/journal?sslmode=prefer",
        "postgresql://db/journal?sslmode=allow",
        "postgresql:///journal?service=ours",
        "postgresql://localhost/journal?service=ours&sslmode=prefer",
    ],
)
async def test_what_may_fall_back_to_plain_text_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(JournalError, match="sslmode=verify-full, or require; disable"):
        encryption_options(Database(url))
    for way in (write, read, size, queue):
        with pytest.raises(JournalError, match="sslmode=verify-full, or require; disable"):
            await way(Database(url))
