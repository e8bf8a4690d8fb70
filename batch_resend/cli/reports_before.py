"""Reports that earlier runs could not write: they were killed, or their disk was full."""

import logging
import shlex
from dataclasses import replace
from pathlib import Path

import click

from batch_resend.cli.accounts import is_rehearsal
from batch_resend.cli.logs import run_log
from batch_resend.cli.next_flags import as_begun, next_flags, own_report_dir
from batch_resend.errors import ReportError
from batch_resend.journal import JournalReader
from batch_resend.model import Run
from batch_resend.report import (
    DEFAULT_PATTERN,
    Presentation,
    folder_of,
    found_in,
    has_index,
    is_up_to_date,
    update_index,
    write_report,
)

_MOST = 7

log = logging.getLogger(__name__)


async def write_reports_before(reader: JournalReader, run: Run, presentation: Presentation) -> None:
    """Write the reports that the runs just before a run have left unwritten.

    Up to the first that is as it should be: of older ones, somebody may have removed them. That it
    fails is logged: it affects no other run. A journal that hosts share has runs of theirs, whose
    folders are not here.
    """
    if is_rehearsal() or not isinstance(reader.place, Path):
        return
    given = next_flags(click.get_current_context())
    for before in await reader.runs(_MOST + 1):
        if before.id == run.id or await reader.is_under_way(before):
            continue
        pattern = _place_of_missing(before)
        if pattern is None:
            return
        folder = folder_of(pattern, before)
        redact = presentation.redact or "--redact" in shlex.split(before.next_flags["resume"])
        flags = as_begun(before, await reader.accounts(before), given)
        how = replace(presentation, flags=flags, redact=redact)
        try:
            await write_report(reader, before, folder, how)
        except ReportError as error:
            log.warning("the report of run %s is still missing: %s", before.id, error)
            return
        run_log.info("wrote the missing report of run %s: %s", before.id, folder)
        update_index(pattern)


def _place_of_missing(run: Run) -> Path | None:
    """Return the pattern of where a run's report is missing, or unfinished; None: it is neither.

    Of a run that was not told where, that is only known where it has begun to write it.
    """
    pattern = own_report_dir(run)
    folder = folder_of(pattern or DEFAULT_PATTERN, run)
    if not run.next_flags or is_up_to_date(folder, run):
        return None
    there = found_in(folder)
    if there is not None:
        return (pattern or DEFAULT_PATTERN) if there.run_id == run.id else None
    return pattern if pattern and has_index(pattern) else None
