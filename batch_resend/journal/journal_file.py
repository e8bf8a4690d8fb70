"""The file of a journal: held by one process, whatever its name, and watched while it is used.

SQLite keeps its log (`-wal`) beside the name that a database was opened by, and takes no notice
when that name is deleted, moved or given to another file: it writes on to the file that is open,
and the next process finds nothing of it. So a journal has one name (links are resolved, a second
hard link and a mount of the file alone are refused), its lock is on the file itself, and the writer
compares the open file with its name before every commit, and its size: in use it never shrinks.

A lost file is still written to, as long as it is open: the report of the run is read from it.
"""

import fcntl
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from batch_resend.errors import JournalBusy, JournalError
from batch_resend.journal.connection import journal_errors

LOG_ENDINGS = ("-wal", "-shm")  # SQLite's log, and its index
_MOUNTS = Path("/proc/self/mountinfo")  # proc(5); Linux only
_MOUNT_POINT = 4  # which word of a line
_ESCAPED = re.compile(r"\\([0-7]{3})")
# SQLite locks 512 bytes behind the first GiB: this one is far from them, and from any content.
_LOCKED_BYTE = 2**62
_FLOCK = "hhqqi0q"  # struct flock: type, whence, start, length, process

FileId = tuple[int, int]  # device and inode

# Of this process. A second descriptor of a file may not even be opened here: to close it would end
# the locks that SQLite has on the file for this process (fcntl(2), of POSIX locks).
_held: set[FileId] = set()


class Loss(Enum):
    """What became of a journal in the middle of a run; what a person can do about it."""

    DELETED = (
        "was deleted",
        "The report has all that was sent: to send what is left, send its unsent.csv. Sending the "
        "same lists again would mail them twice",
    )
    MOVED = (
        "was moved away",
        "Move it back, then run `batch-resend resume`. Without it, sending the same lists would "
        "mail them twice",
    )
    REPLACED = (
        "was replaced: another file is in its place",
        "Put the file of this run back, then run `batch-resend resume`. If you no longer have it, "
        "send unsent.csv of the report: sending the same lists would mail them twice",
    )
    RELINKED = (
        "is named by a link that now leads to another file",
        "Make it lead to the file of this run again, then run `batch-resend resume`. Without it, "
        "sending the same lists would mail them twice",
    )
    UNREACHABLE = (
        "can no longer be reached by its name",
        "Make it reachable again, then run `batch-resend resume`",
    )
    EMPTIED = (
        "was emptied or cut short",
        "If there is a report, send its unsent.csv. If there is none, only the CA knows what was "
        "sent. Sending the same lists again would mail them twice",
    )
    LOG_DELETED = (
        "lost its log: {log} was deleted",
        "What was in it has been written into the journal: run `batch-resend resume`",
    )
    LOG_EMPTIED = (
        "lost its log: {log} was emptied or cut short",
        EMPTIED[1],
    )
    LOG_REPLACED = (
        "lost its log: another file is in the place of {log}",
        "What was in it has been written into the journal: run `batch-resend resume`",
    )

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy


def real_path(place: Path) -> Path:
    """Return the one name of a journal, links resolved. Raises JournalError."""
    try:
        return place.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, until Python 3.13
        raise JournalError(
            f"{place}: the links to the journal lead nowhere; name another with --journal"
        ) from error


def mount_points() -> Iterator[Path]:
    """Yield where something is mounted, as this process sees it; nothing where nobody can tell."""
    with suppress(OSError), _MOUNTS.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            words = line.split(" ")
            if len(words) > _MOUNT_POINT:
                yield Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), words[_MOUNT_POINT]))


def refuse_mounted_file(
    place: Path, path: Path, mounts: Callable[[], Iterable[Path]] = mount_points
) -> None:
    """Raise JournalError for a file that is mounted by itself, as into a container.

    Its log would be written beside the mount, and be missing wherever the file is opened next.
    """
    if path in mounts():
        raise JournalError(
            f"{place}: the journal is mounted as a single file, so its log (-wal) would stay "
            "behind, with what was sent last; mount the folder that it is in"
        )


def refuse_second_name(place: Path, status: os.stat_result) -> None:
    """Raise JournalError for a file with several names, which is neither written nor read then."""
    if status.st_nlink > 1:
        raise JournalError(
            f"{place}: the journal has {status.st_nlink} names (hard links), and each would have "
            "its own log (-wal), which does not know what was sent under the other name; remove "
            "the other names, or name another with --journal"
        )


@dataclass(eq=False, slots=True)
class HeldFile:
    """The file of a journal, open, and this process's alone."""

    place: Path  # as it was named
    path: Path
    descriptor: int
    known: dict[Path, FileId] = field(default_factory=dict)  # what has to stay where it is
    sizes: dict[Path, int] = field(default_factory=dict)  # in bytes; in use, none of them shrinks
    cut_short: set[Path] = field(default_factory=set)  # one that did, even if it has grown since
    log_is_lost: bool = False  # but not the journal itself

    def note_log(self) -> None:
        """Note the log that SQLite has made, now that it has opened the journal.

        There is none on a file system that cannot hold one; SQLite then writes without.
        """
        for ending in LOG_ENDINGS:
            path = Path(f"{self.path}{ending}")
            if (found := _status_of(path)) is not None:
                self.known[path] = _id_of(found)

    def loss(self) -> tuple[Path, Loss] | None:
        """Return which file is not what its name leads to any more, and what became of it."""
        for path in self.known:
            if (loss := self._loss_of(path)) is not None:
                return path, loss
        if self.place != self.path and not self._is_reached_as_named():
            return self.path, Loss.RELINKED
        return None

    def _is_reached_as_named(self) -> bool:
        """Whether the name that was given, with its links, still leads to the file."""
        try:
            return _id_of(self.place.stat()) == self.known[self.path]
        except OSError:
            return False

    def loss_text(self) -> str | None:
        """Return what has become of the journal, and what to do; None where nothing has."""
        if (lost := self.loss()) is None:
            return None
        path, loss = lost
        what = loss.what.format(log=path.name)
        self.log_is_lost = path != self.path
        return (
            f"{self.place}: the journal {what} while it was in use. Nothing more is sent: what the "
            f"CA acknowledges could not be kept. {loss.remedy}"
        )

    def _loss_of(self, path: Path) -> Loss | None:
        is_log = path != self.path
        size = self.sizes.get(path, 0)  # before the look: another thread may see it grow meanwhile
        try:
            found = _status_of(path)
        except OSError:
            return Loss.UNREACHABLE
        if found is None:
            return Loss.LOG_DELETED if is_log else self._loss_without_a_name()
        if _id_of(found) != self.known[path]:
            return Loss.LOG_REPLACED if is_log else Loss.REPLACED
        self.sizes[path] = found.st_size
        if found.st_size < size:
            self.cut_short.add(path)
        if path not in self.cut_short:
            return None
        return Loss.LOG_EMPTIED if is_log else Loss.EMPTIED

    def _loss_without_a_name(self) -> Loss:
        return Loss.MOVED if os.fstat(self.descriptor).st_nlink else Loss.DELETED


@contextmanager
def hold_file(place: Path, path: Path) -> Iterator[HeldFile]:
    """Hold a journal's file for this process, by whatever name others open it; make it if need be.

    It is readable by its owner alone. Raises JournalBusy, JournalError.
    """
    refuse_mounted_file(place, path)
    with journal_errors(place):
        if (there := _status_of(path)) is not None and _id_of(there) in _held:
            raise _busy(place)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with journal_errors(place):
            refuse_second_name(place, found := os.fstat(descriptor))
            held = _id_of(found)
            _lock(place, descriptor)
        _held.add(held)
        try:
            yield HeldFile(place, path, descriptor, {path: held})
        finally:
            _held.discard(held)
    finally:
        os.close(descriptor)


def _lock(place: Path, descriptor: int) -> None:
    """Lock the file. Raises JournalBusy.

    By a lock of the open file, which ends with it, and which no other descriptor's end takes away.
    Where there is none, on other systems than Linux, the lock file beside the journal has to do.
    """
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is None:
        return
    lock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0)
    try:
        fcntl.fcntl(descriptor, command, lock)
    except (BlockingIOError, PermissionError):
        raise _busy(place) from None
    except OSError:
        pass  # a file system without locks


def _busy(place: Path) -> JournalBusy:
    return JournalBusy(
        f"{place}: another run holds the journal, under another name; wait for it, or follow it "
        "with `batch-resend watch` once it sends"
    )


def _status_of(path: Path) -> os.stat_result | None:
    """Return the status of what a name leads to by itself: a link is another file than the journal.

    Raises OSError where nobody can tell.
    """
    try:
        return path.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _id_of(status: os.stat_result) -> FileId:
    return status.st_dev, status.st_ino
