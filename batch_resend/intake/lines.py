"""A file or standard input -> decoded lines, each with an end to its length."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from batch_resend.errors import InputError

STANDARD_INPUT = "-"
MAX_LINE_BYTES = 1 << 20

_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"\xfd7zXZ": "is compressed with xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: unpack it first",
    b"PK\x03\x04": "is an Excel or zip file: save it as CSV (UTF-8) first",
    b"\xff\xfe": "is UTF-16: save it as UTF-8 first",
    b"\xfe\xff": "is UTF-16: save it as UTF-8 first",
}


class Lines:
    """The lines of one list, read once. `sha256` is that of the bytes read so far."""

    def __init__(self, name: str) -> None:
        # A file's name may be bytes that are no text; what messages and reports say is.
        shown = os.fsencode(name).decode("utf-8", "replace")
        self.name = "standard input" if name == STANDARD_INPUT else shown
        self._path = name
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was read, in hexadecimal."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[str]:
        """Yield each line with its line end. Raises InputError."""
        number = 0
        try:
            with self._open() as file:
                while line := file.readline(MAX_LINE_BYTES + 1):
                    number += 1
                    self._digest.update(line)
                    yield self._decoded(line, number)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read: {error.strerror or error}") from error

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self._path == STANDARD_INPUT:
            if sys.stdin is None:
                raise InputError("standard input: is closed")
            return nullcontext(sys.stdin.buffer)
        return Path(self._path).open("rb")

    def _decoded(self, line: bytes, number: int) -> str:
        if len(line) > MAX_LINE_BYTES:
            raise InputError(f"{self.name}, line {number}: longer than 1 MiB; is this a list?")
        if number == 1:
            for magic, remedy in _FOREIGN.items():
                if line.startswith(magic):
                    raise InputError(f"{self.name}: {remedy}")
            line = line.removeprefix(_BOM)
        if b"\0" in line:
            raise InputError(f"{self.name}, line {number}: holds a NUL byte; is this a text file?")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}, line {number}: byte {error.start + 1} is not UTF-8; "
                "save the list as UTF-8 and try again"
            ) from None
