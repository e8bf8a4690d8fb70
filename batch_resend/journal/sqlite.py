"""A journal in a file: its lock, and how SQLite is to treat it.

One connection writes and checkpoints; every other one is read-only (SQLite before 3.51.3 can
corrupt a WAL that two connections write and checkpoint at once). `synchronous=EXTRA` makes
a commit survive a power loss, also on a file system that cannot hold a WAL: there the rollback
journal has to be gone for good, or the commit would be undone.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from pydantic_core import to_json

from batch_resend.clock import Clock, timestamp, with_local_times
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.folders import close_to_others, make_private
from batch_resend.journal.connection import Connection, Found, journal_errors, records
from batch_resend.journal.journal_file import (
    LOG_ENDINGS,
    HeldFile,
    hold_file,
    refuse_mounted_file,
    refuse_second_name,
)
from batch_resend.journal.statements import Dialect, Record

log = logging.getLogger(__name__)

_WORTH_COMPACTING = 0.25  # of its pages, that are free
_PRAGMAS = ("journal_mode=WAL", "synchronous=EXTRA", "cache_size=-32768", "busy_timeout=10000")


class SqliteConnection(Connection):
    """A connection to a file."""

    dialect: ClassVar[Dialect] = "sqlite"

    @property
    def is_lost(self) -> bool:
        """No: there is no way to a file that could break."""
        return False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin a transaction that writes; commit it, or undo it if an error comes through."""
        self.driver.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.driver.execute("COMMIT")
        except BaseException:
            self.driver.rollback()  # nothing, where SQLite has undone it already
            raise

    def found(self, text: str, values: Sequence[object]) -> Found:
        """Carry out a statement, and return all that it finds."""
        return super().found(text, _bound(values))

    def pages(self, text: str, values: Sequence[object], size: int) -> Generator[Iterable[Record]]:
        """Yield what a statement finds, `size` records at a time, however many there are."""
        with closing(self.driver.execute(text, _bound(values))) as cursor:
            while rows := cursor.fetchmany(size):
                yield records(cursor, rows)


def _bound(values: Sequence[object]) -> Sequence[object]:
    """Return values as SQLite takes them: of several, their JSON."""
    return [to_json(v).decode() if isinstance(v, (list, tuple)) else v for v in values]


@dataclass(frozen=True, slots=True)
class SqliteBackend:
    """A file that holds a journal."""

    place: Path  # as it was named
    path: Path  # its one name, links resolved
    own_tables_of_runs: ClassVar[Sequence[str]] = ()
    is_shared: ClassVar[bool] = False

    @contextmanager
    def exclusive(self, now: float) -> Iterator[HeldFile]:
        """Hold the journal for one process. Raises JournalBusy.

        The locks are the operating system's: they end with the process that holds them, however it
        ends. One is on a file beside the journal, where readers look; one on the journal itself.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - slow, and who only reads needs none

        place, path = self.place, self.path
        # A moment's patience: a process that looks whether it is held does so by holding it.
        lock = FileLock(f"{path}.lock", timeout=0.2, mode=0o600)
        holder = Path(f"{path}.holder")
        try:
            make_private(path.parent)
            lock.acquire()
        except Timeout:
            raise JournalBusy(
                f"{place}: another run holds the journal{_described_by(holder)}; wait for it, or "
                "follow it with `batch-resend watch` once it sends"
            ) from None
        except OSError as error:
            raise JournalError(
                f"{place}: the journal cannot be locked: {error.strerror}; name another with "
                "--journal"
            ) from error
        try:
            with hold_file(place, path) as held:
                with journal_errors(place):
                    holder.unlink(missing_ok=True)
                    _create_private(holder)
                    holder.write_text(f"process {os.getpid()}, since {timestamp(now)}\n")
                try:
                    yield held
                finally:
                    with suppress(OSError):
                        holder.unlink()
        finally:
            lock.release()

    def serialize(self, connection: Connection) -> None:
        """Do nothing: there is nobody else."""

    def enter(self, _connection: Connection, _now: float, _title: str) -> int:
        """Return the number of the one session there is; 0 is of who only reads."""
        return 1

    def holder(self, _connection: Connection, _session: int) -> str | None:
        """Return which living process holds the journal, if one does."""
        return _holder(self.path)

    def create(self) -> bool:
        """Return whether the file has anything in it: the process that holds it has made it."""
        for ending in LOG_ENDINGS:  # as read-only as the journal was when they were made
            with suppress(OSError):
                Path(f"{self.path}{ending}").chmod(0o600)
        if Path(f"{self.path}-journal").exists():
            self._roll_back()
        return bool(self.size())

    def _roll_back(self) -> None:
        """Undo what a process that died had half written, where there is no WAL.

        A connection that only reads cannot, and would fail for ever. Raises JournalError.
        """
        with journal_errors(self.place), closing(sqlite3.connect(self.path)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def prepare(self, connection: Connection) -> None:
        """Take the rights of other users, now that it is known to be a journal, or to be empty."""
        with suppress(OSError):
            if close_to_others(self.path):
                log.warning(
                    "%s was open to every user of this machine, with domains and addresses in it; "
                    "now it is not",
                    self.place,
                )

    def add_tables(self, connection: Connection) -> None:
        """Do nothing: there are no others."""

    def shared_limiters(self, _session: int, _clock: Clock) -> nullcontext[None]:
        """Say that this process is alone."""
        return nullcontext()

    def analyze(self, connection: Connection) -> None:
        """Do nothing: each statement has its index, or goes through all there is."""

    def size(self) -> int | None:
        """Return how many bytes the journal takes, with its log; None: there is none."""
        if not self.path.is_file():
            return None
        wal = Path(f"{self.path}-wal")
        return self.path.stat().st_size + (wal.stat().st_size if wal.is_file() else 0)

    def compact(self) -> None:
        """Give the room that a journal no longer needs back to the disk, where that pays.

        Only while nobody else has it open, and with room for a copy of it. Raises JournalError.
        """
        with journal_errors(self.place), closing(sqlite3.connect(self.path)) as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            (free,) = database.execute("PRAGMA freelist_count").fetchone()
            if free >= pages * _WORTH_COMPACTING:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def connect_to_write(self) -> Connection:
        """Open the one connection that writes."""
        driver = sqlite3.connect(self.path, isolation_level=None)
        for pragma in _PRAGMAS:
            driver.execute(f"PRAGMA {pragma}")
        return SqliteConnection(driver)

    def connect_to_read(self) -> Connection:
        """Open a connection that cannot write. Raises JournalError."""
        refuse_mounted_file(self.place, self.path)
        refuse_second_name(self.place, self.path.stat())
        uri = f"file:{quote(bytes(self.path))}?mode=ro"
        return SqliteConnection(sqlite3.connect(uri, uri=True, isolation_level=None))


def _holder(path: Path) -> str | None:
    """Look at the lock, not at the number: that may be another process by now, or a container's."""
    try:
        holder_text = Path(f"{path}.holder").read_text().strip()
        with Path(f"{path}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_text
    except (OSError, UnicodeError):
        pass
    return None


def _described_by(holder: Path) -> str:
    try:
        return f" ({with_local_times(holder.read_text().strip())})"
    except OSError:
        return ""


def _create_private(path: Path) -> None:
    """Create the file readable by its owner alone: it names domains and addresses."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
