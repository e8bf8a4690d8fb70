"""Files that appear whole or not at all, readable by their owner alone unless said otherwise."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from batch_resend.errors import ReportError


@contextmanager
def whole_file(path: Path, mode: int = 0o600) -> Iterator[TextIO]:
    """Write a UTF-8 text file that takes its place only when it is complete and on disk.

    Raises ReportError; an older file of that name is then left as it was.
    """
    place = Path(os.path.realpath(path))  # a link stays one
    draft = place.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            raise ReportError(f"{path}: is there, and is not a file")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        draft.replace(place)
        _forget_drafts(place)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _forget_drafts(place: Path) -> None:
    """Remove what processes that were killed have left half written."""
    for draft in place.parent.glob(f".{glob.escape(place.name)}.*"):
        number = draft.suffix[1:]
        if number.isdigit() and not _is_alive(int(number)):
            with suppress(OSError):
                draft.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
