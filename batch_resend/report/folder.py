"""Where a report goes: a folder for each run, by a pattern; and whose report is there."""

import glob
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from batch_resend.clock import timestamp
from batch_resend.errors import ReportError
from batch_resend.model import Run
from batch_resend.part_names import parts_named, run_named_in
from batch_resend.report.banner import Banner
from batch_resend.report.files import LISTS, PACKED_EARLIER, REPORT_FILES, beside

log = logging.getLogger(__name__)

DEFAULT_PATTERN = Path("reports/{run}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_pattern(text: str) -> str:
    """Return a pattern of folders or URLs. Raises ValueError where a placeholder has no meaning."""
    for name in _PLACEHOLDER.findall(text):
        if name not in ("date", "run"):
            raise ValueError(
                f"{text!r}: there is no placeholder {{{name}}}; write {{date}} or {{run}}"
            )
    return text


def filled_in(pattern: str, run: Run) -> str:
    """Return a pattern with a run's name in place of {run}, its day in UTC in place of {date}."""
    values = {"run": run.id, "date": timestamp(run.created_at)[:10]}
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), pattern)


def folder_of(pattern: Path, run: Run) -> Path:
    """Return the folder of a run's report."""
    return Path(filled_in(str(pattern), run))


def index_folder(pattern: Path) -> Path | None:
    """Return the folder above all that a pattern fills in, which has their index; None: none has.

    All that is there is reports where the last part of the pattern has {run}: a folder of any other
    name may be among whatever a person keeps.
    """
    if "{run}" not in pattern.name:
        return None
    first = next(n for n, part in enumerate(pattern.parts) if _PLACEHOLDER.search(part))
    return Path(*pattern.parts[:first])


def can_be_written(folder: Path) -> bool:
    """Whether a report can be written into a folder, as far as the file system tells."""
    there = next((one for one in (folder, *folder.parents) if os.access(one, os.F_OK)), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def has_index(pattern: Path) -> bool:
    """Whether there are reports of a pattern, with an index."""
    folder = index_folder(pattern)
    return folder is not None and (folder / "index.html").is_file()


def update_index(pattern: Path) -> None:
    """Write the index of the reports of a pattern, if it has one. That it fails is logged."""
    from batch_resend.report.index import write_index  # noqa: PLC0415 - see prepare_report

    folder = index_folder(pattern)
    if folder is None:
        return
    try:
        write_index(folder, len(pattern.parts) - len(folder.parts))
    except ReportError as error:
        log.warning("the index of all reports: %s", error)


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A command that could not start, and has no report."""

    at: str  # in UTC
    exit_code: int
    why: str
    profile: str | None
    is_rehearsal: bool = False


def note_not_started(pattern: Path, night: NotStarted) -> None:
    """Have the index of reports, where there is one, show a command that could not start."""
    from batch_resend.report import index  # noqa: PLC0415 - see prepare_report

    folder = index_folder(pattern)
    if folder is None or not folder.is_dir():
        return
    try:
        index.note_not_started(folder, night)
    except OSError as error:
        log.warning("%s/%s: %s", folder, index.NOT_STARTED, error.strerror)
        return
    update_index(pattern)


def is_alike(url: str, pattern: Path) -> bool:
    """Whether a pattern of URLs tells runs apart by the same as a pattern of folders."""
    return {*_PLACEHOLDER.findall(url)} == {*_PLACEHOLDER.findall(str(pattern))}


def url_of(pattern: str, run: Run) -> str:
    """Return the URL of a run's page, of where its folder is served."""
    return f"{filled_in(pattern, run).rstrip('/')}/report.html"


@dataclass(frozen=True, slots=True)
class Found:
    """A report that is there already."""

    run_id: str
    finished_at: str | None  # None: the run was not known to have ended
    is_live: bool  # of a run under way, or that was cut off
    ended_at: float  # or when it was written, of a run under way; a rehearsed one may be to come
    is_rehearsal: bool
    stop_reason: str | None


def found_in(folder: Path) -> Found | None:
    """Return what is known of the report in a folder; None: there is none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        summary: Mapping[str, str | None] = json.loads((folder / "summary.json").read_text("utf-8"))
        at = summary["finished_at"] or summary.get("written_at") or summary["started_at"] or ""
        return Found(
            str(summary["run_id"]),
            summary["finished_at"],
            summary.get("state") == "running",
            datetime.fromisoformat(at).timestamp(),
            summary.get("verdict") == Banner.REHEARSAL,
            summary.get("stop_reason"),
        )
    return None


def written_for(path: Path) -> str | None:
    """Return the id of the run whose report wrote a list, by its name and place; None: none did."""
    place = path.absolute()
    if not parts_named(place.name):
        return None
    if named := run_named_in(str(place)):
        return named
    there = found_in(place.parent)
    return there.run_id if there else None


def has_report(folder: Path, run: Run) -> bool:
    """Whether the report in a folder is known to be that of a run."""
    there = found_in(folder)
    return there is not None and there.run_id == run.id


def is_unfinished(pattern: Path, run: Run) -> bool:
    """Whether a run's folder is there without a summary: its report was only begun.

    One of its day is the run's if nothing else is in it; one of any other name may be a person's.
    """
    text, folder = str(pattern), folder_of(pattern, run)
    if not folder.is_dir() or found_in(folder) is not None:
        return False
    return "{run}" in text or ("{date}" in text and _has_only_beginnings(folder))


def _has_only_beginnings(folder: Path) -> bool:
    """Whether a folder is empty, or has only what a report begins with: its summary comes last."""
    *begins_with, _ = REPORT_FILES
    drafts = tuple(f".{name}." for name in REPORT_FILES)
    with suppress(OSError):
        names = [path.name for path in folder.iterdir()]
        return all(name in begins_with or name.startswith(drafts) for name in names)
    return False


def is_up_to_date(folder: Path, run: Run) -> bool:
    """Whether the report in a folder is that of a run as it ended last."""
    there = found_in(folder)
    ended_at = None if run.finished_at is None else timestamp(run.finished_at)
    known = None if there is None else (there.run_id, there.finished_at, there.is_live)
    return known == (run.id, ended_at, False)


def reported_end(folder: Path, run: Run) -> str | None:
    """Return why a run ended, by its report; None: that does not say.

    It is for a run whose end the journal does not have: on a full disk it could not be written.
    """
    there = found_in(folder)
    is_its_end = there is not None and there.run_id == run.id and not there.is_live
    return there.stop_reason if there and is_its_end else None


def set_aside(folder: Path, run: Run) -> Path:
    """Return where the report of an earlier run goes: not into the place of a newer run's.

    Then it is a folder beside it, of the run's name.
    """
    there, ended_at = found_in(folder), run.finished_at or run.created_at
    if there is None or there.run_id == run.id or there.ended_at <= ended_at:
        return folder
    return _aside(folder, run)


def _aside(folder: Path, run: Run) -> Path:
    return folder.with_name(f"{folder.name}-{run.id}")


def found_place(folder: Path, run: Run) -> Path:
    """Return where a run's report is: in its folder, unless `set_aside` named another."""
    is_aside = not has_report(folder, run) and has_report(_aside(folder, run), run)
    return _aside(folder, run) if is_aside else folder


def _remove_files(folder: Path, up_to: Path | None) -> None:
    """Remove a report's files, its folder and those above, if nothing else is in them.

    `up_to`: the folder above that stays, with the index. Raises OSError.
    """
    there = found_in(folder)
    for place in (folder / name for name in LISTS):
        for one in beside(place, there.run_id) if there else ():
            one.unlink()
    # summary.json last: what is left of a failure is known again.
    for name in (PACKED_EARLIER, *REPORT_FILES):
        (folder / name).unlink(missing_ok=True)
    above = folder.parents if up_to in folder.parents else ()
    with suppress(OSError):
        for one in (folder, *takewhile(lambda parent: parent != up_to, above)):
            one.rmdir()


@dataclass(frozen=True, slots=True)
class OldReport:
    """A report that may go."""

    folder: Path
    pattern: Path  # by which it was found
    of: Run | None  # None: a rehearsal, which the journal may not have


def old_reports(
    pattern: Path, runs: Iterable[Run], before: float, place_of: Callable[[Run], Path | None]
) -> list[OldReport]:
    """Return the reports of runs, and those of rehearsals that were written before a time.

    That of a run is where the pattern says, or in its own place (`place_of`). The journal of a
    rehearsal is mostly gone, and its days may be to come. Only what is known to be such a report is
    one, or was only begun, in a folder of the run's name; or an empty folder of the run's day.
    """
    found: dict[Path, OldReport] = {}
    for run in runs:
        for one in filter(None, (pattern, place_of(run))):
            folder = found_place(folder_of(one, run), run)
            if has_report(folder, run) or _was_left(one, run):
                found.setdefault(folder.absolute(), OldReport(folder, one, run))
    for folder in _rehearsals(pattern, before):
        found.setdefault(folder.absolute(), OldReport(folder, pattern, None))
    return list(found.values())


def _was_left(pattern: Path, run: Run) -> bool:
    """Whether a run has left a folder in which only its own report was begun, or none.

    What is in one of its day may be another run's.
    """
    is_its_own = "{run}" in str(pattern) or not any(folder_of(pattern, run).glob("*"))
    return is_its_own and is_unfinished(pattern, run)


def count_not_started(
    pattern: Path, reports: Sequence[OldReport], before: float, rehearsed_before: float
) -> int:
    """Return how many commands that could not start are forgotten when some reports are removed."""
    from batch_resend.report import index  # noqa: PLC0415 - see prepare_report

    folders = {index_folder(one) for one in _patterns(pattern, reports)}
    old = [
        index.split_not_started(folder, before, rehearsed_before)[0]
        for folder in filter(None, folders)
    ]
    return sum(map(len, old))


def _patterns(pattern: Path, reports: Sequence[OldReport]) -> list[Path]:
    return [*dict.fromkeys([pattern, *(report.pattern for report in reports)])]


def remove_reports(
    pattern: Path, reports: Sequence[OldReport], before: float, rehearsed_before: float
) -> int:
    """Remove some reports; return how many there were. What cannot be removed stays, and is logged.

    And have the index of the pattern, and of theirs, forget the commands that could not start
    before a time; of rehearsals, before another one: their days may be simulated.
    """
    removed = 0
    for report in reports:
        try:
            _remove_files(report.folder, index_folder(report.pattern))
            removed += 1
        except OSError as error:
            log.error("%s: the report cannot be removed: %s", report.folder, error.strerror)
    for one in _patterns(pattern, reports):
        _forget_not_started(one, before, rehearsed_before)
    return removed


def _forget_not_started(pattern: Path, before: float, rehearsed_before: float) -> None:
    from batch_resend.report import index  # noqa: PLC0415 - see prepare_report

    folder = index_folder(pattern)
    if folder is None or not folder.is_dir():
        return
    try:
        index.forget_not_started(folder, before, rehearsed_before)
    except ReportError as error:
        log.warning("%s", error)
    update_index(pattern)


def _rehearsals(pattern: Path, before: float) -> Iterator[Path]:
    """Yield the folders with reports of rehearsals, where each run has a folder of its own."""
    if "{run}" not in pattern.name:
        return
    literal, *others = _PLACEHOLDER.split(str(pattern / "summary.json"))
    texts = "".join(f"*{glob.escape(text)}" for text in others[1::2])
    for path in map(Path, glob.glob(f"{glob.escape(literal)}{texts}")):  # noqa: PTH207 - also absolute
        there = found_in(path.parent)
        if there and there.is_rehearsal and there.run_id in path.parent.name:
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    yield path.parent
