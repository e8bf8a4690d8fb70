"""A file or standard input -> its bytes, hashed and unpacked as they come."""

import difflib
import gzip
import hashlib
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from batch_resend.errors import InputError
from batch_resend.part_names import PIPED_IN

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STANDARD_INPUT = "-"
SAMPLE_BYTES = 1 << 16

# Lists of orders unpack to some ten or fifty times their size, a bomb to a thousand times and more.
# A list that says the same in all its rows may do so too, and passes where it is not that long.
_MAX_RATIO = 500
_MAX_RATIO_FROM = 128 << 20

Unpack = Callable[[Any], Any]  # a packed file -> a file
Bytes: TypeAlias = "io.BufferedReader[Any]"  # a file that shows what comes, with `peek`
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError)


class ListFile:
    """The bytes of one list, read once."""

    def __init__(self, path: str) -> None:
        # A file's name may be bytes that are no text; what messages and reports say is.
        shown = os.fsencode(path).decode("utf-8", "replace")
        self.name = PIPED_IN if path == STANDARD_INPUT else shown
        self._path = path
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was read, as it is on disk, in hexadecimal."""
        return self._digest.hexdigest()

    @contextmanager
    def open(self) -> Iterator[Bytes]:
        """Open the list; what is read is unpacked. Its `peek` shows the first SAMPLE_BYTES.

        Raises InputError, and so does reading.
        """
        self._digest = hashlib.sha256()
        try:
            with self._opened() as file:
                counted = _Counted(file, self._digest.update)
                packed = io.BufferedReader(counted, SAMPLE_BYTES)
                unpack = _unpacker_of(packed)
                if unpack is None:
                    yield packed
                    return
                unpacked = io.BufferedReader(_Unpacked(unpack(packed), counted), SAMPLE_BYTES)
                if _unpacker_of(unpacked):
                    raise InputError(f"{self.name} is packed twice; unpack it first")
                yield unpacked
        except _BROKEN as error:
            raise InputError(
                f"{self.name}: cannot be unpacked: {error}; was it copied as a whole?"
            ) from error
        except OSError as error:
            like = _like(Path(self._path)) if isinstance(error, FileNotFoundError) else ""
            if isinstance(error, IsADirectoryError):
                like = "; name the files in it"
            raise InputError(
                f"{self.name}: cannot be read: {error.strerror or error}{like}"
            ) from error

    def _opened(self) -> AbstractContextManager[io.BufferedIOBase]:
        if self._path != STANDARD_INPUT:
            return Path(self._path).open("rb")
        if sys.stdin is None:
            raise InputError("standard input is closed")
        # That is what it is, though it is declared as less.
        return nullcontext(cast("io.BufferedIOBase", sys.stdin.buffer))


class _XzFile:
    """What the streams of an xz file hold. LZMAFile passes over what is no stream, silently."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def read(self, size: int) -> bytes:
        """Return up to so many bytes; none at the end. Raises LZMAError, EOFError."""
        data = b""
        while not data and (packed := self._packed()) is not None:
            data = self._decoder.decompress(packed, size)
        return data

    def _packed(self) -> bytes | None:
        """Return what to unpack next, which the decoder may have already; None at the end."""
        if not self._decoder.eof:
            packed = self._file.read(SAMPLE_BYTES) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not packed:
                raise EOFError("it ends within a stream")
            return packed
        # Between streams, and after the last, there may be padding (xz format, 2.2).
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest and (more := self._file.read(SAMPLE_BYTES)):
            rest = more.lstrip(b"\0")
        if not rest:
            return None
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        return rest


_UNPACKERS: dict[bytes, Unpack] = {
    b"\x1f\x8b\x08": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ\x00": _XzFile,
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,
}


def _like(path: Path) -> str:
    """Return which file of the same folder was meant, if one is named almost so."""
    with suppress(OSError):
        names = [one.name for one in path.parent.iterdir()]
        for name in difflib.get_close_matches(path.name, names, n=1):
            return f"; did you mean {path.with_name(name)}?"
    return ""


def _unpacker_of(file: Bytes) -> Unpack | None:
    head = file.peek()
    return next((unpack for magic, unpack in _UNPACKERS.items() if head.startswith(magic)), None)


class _Counted(io.RawIOBase):
    """A file whose bytes are counted, and shown to `look`, as they are read."""

    def __init__(self, file: io.BufferedIOBase, look: Callable[[memoryview], None]) -> None:
        self._file = file
        self._look = look
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        # Filled as far as there is something to come, so that a pipe's first bytes are a sample.
        count = 0
        while count < len(view) and (more := self._file.readinto(view[count:])):
            count += more
        self._look(view[:count])
        self.count += count
        return count


def shown_to(look: Callable[[memoryview], None], file: Bytes) -> Bytes:
    """Return a file whose bytes `look` is given as they are read."""
    return io.BufferedReader(_Counted(file, look), SAMPLE_BYTES)


class _Unpacked(io.RawIOBase):
    """What a packed file holds, as long as it is no bomb."""

    def __init__(self, file: IO[bytes], counted: _Counted) -> None:
        self._file = file
        self._counted = counted
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        count = 0
        while count < len(view) and (data := self._file.read(len(view) - count)):
            view[count : count + len(data)] = data
            count += len(data)
        self._count += count
        if self._count > max(_MAX_RATIO_FROM, _MAX_RATIO * self._counted.count):
            message = f"it unpacks to more than {_MAX_RATIO} times its size; is this a list?"
            raise OSError(0, message)
        return count
