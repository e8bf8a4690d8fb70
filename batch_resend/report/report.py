"""A run's report: a folder of files, each whole or not there, made from the journal alone."""

import glob
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TextIO, TypeVar

from batch_resend.errors import ReportError
from batch_resend.folders import followed, make_private
from batch_resend.intake import Field
from batch_resend.journal import JournalReader
from batch_resend.model import Run, RunState
from batch_resend.report.summary import PLAIN, Presentation, Summary, summarize
from batch_resend.report.tables import (
    FOR_OTHER_CALLS,
    write_rejected,
    write_results_csv,
    write_results_jsonl,
    write_unsent,
)
from batch_resend.results import InputNote

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


Found = TypeVar("Found")


async def write_report(
    reader: JournalReader, run: Run, folder: Path, presentation: Presentation = PLAIN
) -> Summary:
    """Write all files of a run's report into `folder`; return its summary. Raises ReportError.

    summary.json comes last: where it stands, the report is complete.
    """
    from batch_resend.report.page import make_page  # noqa: PLC0415 - see prepare_report

    try:
        make_private(folder)
    except OSError as error:
        raise ReportError(f"{folder}: cannot be made: {error.strerror}") from error
    inputs = await reader.inputs(run)
    summary = await make_summary(reader, run)
    # A run that stopped may have stopped because of its key: others will have the permission.
    unsent = partial(
        write_unsent,
        denied_too=run.state is RunState.STOPPED,
        others=(
            *(FOR_OTHER_CALLS if await reader.is_mixed(run) else ()),
            *((Field.ALL_DOMAINS,) if await reader.names_nobody(run) else ()),
        ),
    )
    await _write_table(
        folder / "results.csv", reader.rows_in_list_order(run), write_results_csv, inputs
    )
    await _write_table(folder / "results.jsonl", reader.results(run), write_results_jsonl, inputs)
    await _write_table(folder / "unsent.csv", reader.rows_not_sent(run), unsent, inputs)
    await _write_table(folder / "rejected.csv", reader.rejected_rows(run), write_rejected, inputs)
    page = await make_page(reader, run, summary, folder, presentation)
    with whole_file(folder / "report.html") as file:
        file.write(page)
    with whole_file(folder / "summary.json") as file:
        file.write(summary.model_dump_json(indent=2) + "\n")
    return summary


async def _write_table(
    path: Path,
    found: AsyncGenerator[Found, None],
    write: Callable[[AsyncIterator[Found], Sequence[InputNote], TextIO], Awaitable[None]],
    inputs: Sequence[InputNote],
) -> None:
    # Left open by an error, a stream of rows would hold the reader.
    async with aclosing(found):
        with whole_file(path) as file:
            await write(found, inputs, file)


def prepare_report() -> None:
    """Import what draws and fills the page: it takes longer than most commands take to run."""
    import_module("batch_resend.report.page")


async def make_summary(reader: JournalReader, run: Run) -> Summary:
    """Return a run in numbers."""
    accounts = await reader.accounts(run) if "accounts" in run.settings else ()
    summary = summarize(run, await reader.inputs(run), await reader.tally(run), accounts)
    return summary.model_copy(update={"skipped_unsure": await reader.count_unsure(run)})
