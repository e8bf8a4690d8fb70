"""A run's report: a folder of files, each whole or not there, made from the journal alone."""

import glob
import os
import shutil
import tempfile
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack, aclosing, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import anyio.to_thread

from batch_resend.clock import timestamp
from batch_resend.errors import ReportError
from batch_resend.folders import followed, make_private
from batch_resend.intake import Field
from batch_resend.journal import JournalReader
from batch_resend.model import Run, RunState
from batch_resend.report.files import (
    LISTS,
    OF_ORDERS,
    OF_SWEEPS,
    PACKED,
    REJECTED,
    REPORT_FILES,
    Lists,
)
from batch_resend.report.presentation import PLAIN, Presentation
from batch_resend.report.summary import Summary, make_summary
from batch_resend.results import InputNote

_LAST = ("report.html", PACKED, "summary.json")  # made of the others
_PIECE = 1 << 20  # bytes of a file that are packed at once
_OLD_S = 86_400.0  # no file takes that long to write

# How a table is made: of which stream of the journal, by what. Rows or requests, each its own.
Read = Callable[[Run], AsyncGenerator[Any, None]]
Write = Callable[[AsyncIterator[Any], Sequence[InputNote], TextIO], Awaitable[None]]
WriteList = Callable[[AsyncIterator[Any], Sequence[InputNote], TextIO], Awaitable[int]]
_TEXT: Mapping[str, Any] = {"mode": "w", "encoding": "utf-8", "newline": ""}


def whole_file(path: Path, mode: int = 0o600) -> AbstractContextManager[TextIO]:
    """Write a UTF-8 text file that takes its place only when it is complete and on disk.

    Raises ReportError; an older file of that name is then left as it was.
    """
    return _whole(path, mode, _TEXT)


@contextmanager
def _whole(path: Path, mode: int, form: Mapping[str, Any]) -> Iterator[Any]:
    with _draft_of(path, mode, form) as (file, draft):
        yield file
        _sync(file)
        draft.replace(followed(path))
        _forget_drafts(path)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _draft_of(path: Path, mode: int, form: Mapping[str, Any]) -> Iterator[tuple[Any, Path]]:
    """Yield a file to write beside its place, and its path; it is gone then, unless it was moved.

    Raises ReportError, also for an OSError within.
    """
    draft: Path | None = None
    try:
        place = _place_of(path)
        # Of a name that nobody foresees: in a folder of many, a link could wait there.
        prefix = f".{place.name}.{os.getpid()}."
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=place.parent)
        draft = Path(name)
        with os.fdopen(descriptor, **form) as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            yield file, draft
    except OSError as error:
        raise ReportError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _place_of(path: Path) -> Path:
    """Return where a file is to be: a link stays one. Raises OSError, ReportError."""
    place = followed(path)
    if path.exists() and not path.is_file():
        raise ReportError(f"{path}: exists, and is not a file")
    return place


def _forget_drafts(path: Path) -> None:
    """Remove what processes that were killed have left half written."""
    place = followed(path)
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


async def write_report(
    reader: JournalReader,
    run: Run,
    folder: Path,
    presentation: Presentation = PLAIN,
    *,
    is_kept: bool = False,
) -> Summary:
    """Write all files of a run's report into `folder`; return its summary. Raises ReportError.

    Of a run that others send, the page and the summary only; `is_kept`: they are written again
    every half minute. summary.json comes last: where it stands, and is not of a run under way, the
    report is complete.
    """
    make_folder(folder)
    if await reader.is_under_way(run):
        return await _write_as_it_stands(reader, run, folder, presentation, is_kept=is_kept)
    async with reader.results_kept(run):
        return await _write_files(reader, run, folder, presentation)


def make_folder(folder: Path) -> None:
    """Make the folder of a report, for nobody else. Raises ReportError."""
    try:
        make_private(followed(folder))
    except OSError as error:
        raise ReportError(f"{folder}: cannot be made: {error.strerror}") from error


def refuse_folder(folder: Path) -> None:
    """Make the folder of a report that is to come. Raises ReportError where none can be there."""
    try:
        make_folder(folder)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ReportError(f"{folder}: no file can be written there")
        for name in REPORT_FILES:
            _refuse_file(folder / name)
    except ReportError as error:
        raise ReportError(f"{error}. Nothing was sent: name another with --report-dir") from error


def _refuse_file(path: Path) -> None:
    try:
        _place_of(path)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written: {error.strerror or error}") from error


async def _write_as_it_stands(
    reader: JournalReader, run: Run, folder: Path, presentation: Presentation, *, is_kept: bool
) -> Summary:
    """Write page and summary of a run that others send: what it leaves is not known yet."""
    from batch_resend.report import page  # noqa: PLC0415 - see prepare_report

    summary, now = await make_summary(reader, run), reader.clock()
    times = {"written_at": timestamp(now), "elapsed_s": round(now - (run.started_at or now), 3)}
    summary = summary.model_copy(update=times)
    pauses = await reader.pauses(run, page.MOST_PAUSES)
    stretches = await page.stretches_of(reader, run, pauses)
    course = page.UnderWay(stretches, pauses, is_kept=is_kept)
    text = page.make_live_page(run, summary, folder, presentation, course)
    write_page_and_summary(folder, text, summary)
    return summary


def write_page_and_summary(folder: Path, page: str, summary: Summary) -> None:
    """Write what there is of the report of a run under way. Raises ReportError."""
    with whole_file(folder / "report.html") as file:
        file.write(page)
    with whole_file(folder / "summary.json") as file:
        file.write(summary.model_dump_json(indent=2) + "\n")


async def _write_files(
    reader: JournalReader, run: Run, folder: Path, presentation: Presentation
) -> Summary:
    from batch_resend.report import page, tables  # noqa: PLC0415 - see prepare_report

    inputs = await reader.inputs(run)
    summary = await make_summary(reader, run)
    rows = partial(tables.write_results_csv, profile=run.profile)
    requests = partial(tables.write_results_jsonl, profile=run.profile)
    results: Mapping[str, tuple[Read, Write]] = {
        "results.csv": (reader.rows_in_list_order, rows),
        "results.jsonl": (reader.requests_in_list_order, requests),
    }
    # Left open by an error, a stream of rows would hold the reader.
    for name, (read, write) in results.items():
        async with aclosing(read(run)) as found:
            with whole_file(folder / name) as file:
                await write(found, inputs, file)
    made = Lists(folder, run.id)
    with ExitStack() as drafts:
        for name, (read, write_list) in (await _writers_of_lists(reader, run)).items():
            async with aclosing(read(run)) as found:
                file, draft = drafts.enter_context(_draft_of(folder / name, 0o600, _TEXT))
                count = await write_list(found, inputs, file)
            _sync(file)
            made.take(name, draft, count)
        is_of_sweep = summary.sweep is not None
        await _write_stuck(reader, run, folder / OF_SWEEPS, is_of_sweep=is_of_sweep)
        text_of_page = await page.make_page(reader, run, summary, made, presentation)
        with whole_file(folder / "report.html") as file:
            file.write(text_of_page)
        text = summary.model_dump_json(indent=2) + "\n"
        texts = {"report.html": _without_zip(text_of_page), "summary.json": text}
        # Of large files, it takes a while.
        await anyio.to_thread.run_sync(_pack, made, run, texts)
        made.put_in_place()
        for name in LISTS:
            _forget_drafts(folder / name)
    with whole_file(folder / "summary.json") as file:
        file.write(text)
    return summary


async def _writers_of_lists(
    reader: JournalReader, run: Run
) -> Mapping[str, tuple[Read, WriteList]]:
    from batch_resend.report import lists  # noqa: PLC0415 - see prepare_report

    # A run that stopped may have stopped because of its key: others will have the permission.
    list_of = partial(lists.list_of, with_denied=run.state is RunState.STOPPED)
    others = (
        *(lists.FOR_OTHER_CALLS if await reader.is_mixed(run) else ()),
        *((Field.ALL_DOMAINS,) if await reader.names_nobody(run) else ()),
    )

    def of_orders(name: str) -> WriteList:
        return partial(lists.write_orders, takes=lambda one: list_of(one) == name, others=others)

    return {
        **{name: (reader.rows_not_sent, of_orders(name)) for name in OF_ORDERS},
        REJECTED: (reader.rejected_rows, lists.write_rejected),
    }


def _without_zip(page: str) -> str:
    """Return a page as it stands in the zip, beside which there is none."""
    lines = page.splitlines(keepends=True)
    return "".join(line for line in lines if 'href="report.zip"' not in line)


def _pack(lists: Lists, run: Run, made: Mapping[str, str]) -> None:
    """Write report.zip: all files of a report, in a folder of the run's name. Raises ReportError.

    `made`: the texts of those that are not taken from the folder. All times in it are those of the
    run, so that the same report makes the same file.
    """
    when = time.gmtime(run.finished_at or run.created_at)[:6]

    def described(name: str) -> ZipInfo:
        entry = ZipInfo(f"batch-resend-{run.id}/{name}", when)
        entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o600 << 16
        # The level of a ZipFile is for what it describes itself; the usual one takes three times as
        # long for a sixth less.
        entry._compresslevel = 1  # type: ignore[attr-defined] # public since Python 3.13
        return entry

    folder = lists.folder
    others = [name for name in REPORT_FILES if name not in (*LISTS, *_LAST)]
    if not (folder / OF_SWEEPS).exists():
        others.remove(OF_SWEEPS)
    places = {**{name: folder / name for name in others}, **lists.to_pack()}
    with (
        _whole(folder / PACKED, 0o600, {"mode": "wb"}) as file,
        ZipFile(file, "w") as packed,
    ):
        for name, place in places.items():
            with (
                place.open("rb") as source,
                packed.open(described(name), "w", force_zip64=True) as target,
            ):
                shutil.copyfileobj(source, target, _PIECE)
        for name, text in made.items():
            packed.writestr(described(name), text)


async def _write_stuck(reader: JournalReader, run: Run, path: Path, *, is_of_sweep: bool) -> None:
    """Write what a sweep gave up on; one of another run does not stay beside a report without."""
    if not is_of_sweep:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return
    from batch_resend.report.tables import write_stuck  # noqa: PLC0415 - see prepare_report

    async with aclosing(reader.stuck(run)) as orders:
        with whole_file(path) as file:
            await write_stuck(orders, file)


def prepare_report() -> None:
    """Import what writes a report: it takes longer than most commands take to run."""
    for name in ("page", "index", "lists", "tables"):
        import_module(f"batch_resend.report.{name}")
