"""A run's report: a folder of files, made from the journal alone."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TextIO, TypeVar

from batch_resend.errors import ReportError
from batch_resend.folders import make_private
from batch_resend.intake import Field
from batch_resend.journal import JournalReader
from batch_resend.model import Run, RunState
from batch_resend.report.conclusion import PLAIN, Presentation
from batch_resend.report.files import whole_file
from batch_resend.report.summary import Summary, summarize
from batch_resend.report.tables import (
    FOR_OTHER_CALLS,
    write_rejected,
    write_results_csv,
    write_results_jsonl,
    write_unsent,
)
from batch_resend.results import InputNote

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
