"""The disk below SQLite: it fails writes, and forgets at a power loss what was not synced.

The package's SQLite is Python's own, so a VFS of apsw, which brings another, would not see it.
Where Python's module uses the system's shared library, as on Linux, the functions of its default
VFS are replaced in place while a world runs: what opens a file, and of each open file what writes,
truncates and syncs. Everything else is SQLite's own. Where Python has SQLite built in,
`is_available` says no, a power loss is a kill, and no write fails.
"""

import ctypes
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SQLITE_OK, SQLITE_FULL, IOERR_WRITE, IOERR_FSYNC = 0, 13, 778, 1034
_SECTOR = 512

_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_CLOSE = CFUNCTYPE(c_int, c_void_p)
# Names as pointers: SQLite keeps the one that it hands over, and reads on behind it.
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


class _Methods(Structure):
    """`sqlite3_io_methods`, version 3 (sqlite3.h)."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        *((f"other{n}", c_void_p) for n in range(13)),
    )


class _File(Structure):
    """`sqlite3_file`."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """`sqlite3_vfs`, its first fields (sqlite3.h)."""

    _fields_ = (
        ("version", c_int),
        ("size_of_file", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
    )


@dataclass(eq=False, slots=True)
class _Content:
    """What a file holds for good, and what was written to it since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there
    entry_is_durable: bool = False

    def apply(self, offset: int, data: bytes | None) -> None:
        if data is None:
            del self.durable[offset:]
            return
        if len(self.durable) < offset:
            self.durable.extend(bytes(offset - len(self.durable)))
        self.durable[offset : offset + len(data)] = data

    def sync(self) -> None:
        for offset, data in self.pending:
            self.apply(offset, data)
        self.pending.clear()


@dataclass(eq=False)
class Disk:
    """The folders of one world."""

    root: Path
    on_write: Callable[[int], int] = lambda _: SQLITE_OK  # the number of the write -> its result
    writes: int = 0
    _contents: dict[str, _Content] = field(default_factory=dict)
    _deleted: dict[str, _Content] = field(default_factory=dict)  # not for good: they may come back

    # --- told by the VFS --------------------------------------------------------------------

    def owns(self, path: str) -> bool:
        return path.startswith(str(self.root)) and not path.endswith("-shm")

    def opened(self, path: str) -> None:
        if path not in self._contents:
            content = self._contents[path] = _Content()
            with suppress(FileNotFoundError):  # what was there before the world is durable
                content.durable += Path(path).read_bytes()
                content.entry_is_durable = bool(content.durable)

    def write(self, path: str, offset: int, data: bytes) -> int:
        self.writes += 1
        result = self.on_write(self.writes)
        if result == SQLITE_OK:
            self._contents[path].pending.append((offset, data))
        return result

    def truncate(self, path: str, size: int) -> None:
        self._contents[path].pending.append((size, None))

    def sync(self, path: str) -> int:
        result = self.on_write(self.writes)
        if result != SQLITE_OK:
            return IOERR_FSYNC
        self._contents[path].sync()
        if path.endswith(("-wal", "-journal")):
            self._sync_folder()  # SQLite syncs the folder of a log that it has made, too
        return SQLITE_OK

    def deleted(self, path: str, *, syncs_folder: bool) -> None:
        content = self._contents.pop(path, None)
        if syncs_folder:
            self._sync_folder()
        elif content is not None and content.entry_is_durable:
            self._deleted[path] = content

    def _sync_folder(self) -> None:
        self._deleted.clear()
        for content in self._contents.values():
            content.entry_is_durable = True

    # --- a crash ----------------------------------------------------------------------------

    def crash(self, folder: Path, into: Path, dice: random.Random | None) -> None:
        """Leave in `into` what is in `folder` after a kill; `dice`: after a power loss."""
        into.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            content = self._contents.get(str(file))
            if file.name.endswith("-shm"):
                continue
            if dice is None or content is None or not is_available():
                shutil.copyfile(file, into / file.name)
            elif content.entry_is_durable or dice.random() < 0.5:
                (into / file.name).write_bytes(_after_power_loss(content, dice))
        if dice is not None and is_available():
            self._bring_back(into, dice)

    def _bring_back(self, into: Path, dice: random.Random) -> None:
        """Have files again whose deletion a power loss has undone."""
        for path, content in self._deleted.items():
            place = into / Path(path).name
            if not place.exists() and dice.random() < 0.5:
                place.write_bytes(content.durable)
        self._deleted.clear()


def _after_power_loss(content: _Content, dice: random.Random) -> bytes:
    """Return what a disk may hold: what was synced, and of the rest any part, in any order."""
    kept = _Content(bytearray(content.durable))
    share = dice.choice((0.0, 0.5, 1.0))
    pending = list(content.pending)
    if dice.random() < 0.5:  # in order, to some point
        pending = pending[: dice.randint(0, len(pending))]
        share = 1.0
    for offset, data in pending:
        if dice.random() < share:
            torn = data is not None and dice.random() < 0.1
            kept.apply(offset, data[:_SECTOR] if torn and data else data)
    return bytes(kept.durable)


class _Hooks:
    """The functions in the place of those of SQLite's VFS."""

    def __init__(self, library: Any) -> None:
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self.disk: Disk | None = None
        self._paths: dict[int, str] = {}  # by file
        self._ours: dict[int, _Methods] = {}  # by the methods that they were made of
        self._theirs: dict[int, tuple[Any, Any, Any, Any]] = {}  # by file
        self._functions = (
            _CLOSE(self._close), _WRITE(self._write), _TRUNCATE(self._truncate), _SYNC(self._sync)
        )  # fmt: skip
        self._real_open = _OPEN(self._vfs.open)
        self._real_delete = _DELETE(self._vfs.delete)
        self._vfs_functions = (_OPEN(self._open), _DELETE(self._delete))
        self.opened = 0

    def install(self) -> None:
        self._vfs.open, self._vfs.delete = (
            ctypes.cast(function, c_void_p).value for function in self._vfs_functions
        )

    def remove(self) -> None:
        self._vfs.open = ctypes.cast(self._real_open, c_void_p).value
        self._vfs.delete = ctypes.cast(self._real_delete, c_void_p).value

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        result: int = self._real_open(vfs, name, file, flags, out)
        self.opened += 1
        path = ctypes.string_at(name).decode() if name else ""
        if result == SQLITE_OK and self.disk is not None and self.disk.owns(path):
            methods = _File.from_address(file).methods
            address = ctypes.addressof(methods.contents)
            if address not in self._ours:
                ours = _Methods.from_buffer_copy(methods.contents)
                ours.close, ours.write, ours.truncate, ours.sync = (
                    ctypes.cast(function, c_void_p).value for function in self._functions
                )
                self._ours[address] = ours
            real = methods.contents
            self._theirs[file] = (
                _CLOSE(real.close), _WRITE(real.write), _TRUNCATE(real.truncate), _SYNC(real.sync)
            )  # fmt: skip
            self._paths[file] = path
            _File.from_address(file).methods = ctypes.pointer(self._ours[address])
            self.disk.opened(path)
        return result

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        result: int = self._real_delete(vfs, name, sync)
        if self.disk is not None:
            self.disk.deleted(ctypes.string_at(name).decode(), syncs_folder=bool(sync))
        return result

    def _close(self, file: int) -> int:
        self._paths.pop(file)
        return int(self._theirs.pop(file)[0](file))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        if self.disk is not None:
            result = self.disk.write(self._paths[file], offset, ctypes.string_at(data, size))
            if result != SQLITE_OK:
                return result
        return int(self._theirs[file][1](file, data, size, offset))

    def _truncate(self, file: int, size: int) -> int:
        if self.disk is not None:
            self.disk.truncate(self._paths[file], size)
        return int(self._theirs[file][2](file, size))

    def _sync(self, file: int, _flags: int) -> int:
        # The real disk is not asked to: nothing of a world outlives it.
        return SQLITE_OK if self.disk is None else self.disk.sync(self._paths[file])


_HOOKS: list[_Hooks | None] = []


def _hooks() -> _Hooks | None:
    """Return the hooks; None: Python's SQLite is not the system's library."""
    if not _HOOKS:
        _HOOKS.append(_made())
    return _HOOKS[0]


def _made() -> _Hooks | None:
    try:
        hooks = _Hooks(ctypes.CDLL("libsqlite3.so.0"))
    except (OSError, AttributeError):
        return None
    hooks.install()
    try:  # does Python's own module use it?
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "probe.db")
            connection.execute("CREATE TABLE t (x)")
            connection.close()
    finally:
        hooks.remove()
    return hooks if hooks.opened else None


def is_available() -> bool:
    """Whether writes can fail, and be forgotten, here."""
    return _hooks() is not None


@contextmanager
def mounted(disk: Disk) -> Iterator[None]:
    """Have SQLite write to this disk."""
    hooks = _hooks()
    if hooks is None:
        yield
        return
    hooks.disk = disk
    hooks.install()
    try:
        yield
    finally:
        hooks.remove()
        hooks.disk = None
