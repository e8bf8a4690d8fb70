"""Files that appear whole or not at all, readable by their owner alone unless said otherwise."""

import glob
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from batch_resend.errors import ReportError
from batch_resend.links import followed

# A report: its files, in the order in which they are written.
REPORT_FILES = (
    "results.csv", "results.jsonl", "unsent.csv", "rejected.csv", "report.html", "summary.json",
)  # fmt: skip
_OLD_S = 86_400.0  # no file takes that long to write


@contextmanager
def whole_file(path: Path, mode: int = 0o600) -> Iterator[TextIO]:
    """Write a UTF-8 text file that takes its place only when it is complete and on disk.

    Raises ReportError; an older file of that name is then left as it was.
    """
    draft: Path | None = None
    try:
        place = followed(path)  # a link stays one
        if path.exists() and not path.is_file():
            raise ReportError(f"{path}: is there, and is not a file")
        # Of a name that nobody foresees: in a folder of many, a link could wait there.
        descriptor, name = tempfile.mkstemp(prefix=_draft_prefix(place), dir=place.parent)
        draft = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            yield file
            file.flush()
            os.fsync(descriptor)
        draft.replace(place)
        _forget_drafts(place)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _draft_prefix(place: Path) -> str:
    return f".{place.name}.{os.getpid()}."


def _forget_drafts(place: Path) -> None:
    """Remove what processes that were killed have left half written."""
    for draft in place.parent.glob(f".{glob.escape(place.name)}.*.*"):
        number = draft.name.removeprefix(f".{place.name}.").partition(".")[0]
        with suppress(OSError):
            # In containers every process has one number, and is alive for ever.
            is_old = time.time() - draft.stat().st_mtime > _OLD_S
            if number.isdigit() and (is_old or not _is_alive(int(number))):
                draft.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
