"""Reports that earlier runs could not write: they were killed, or their disk was full."""

import logging
from dataclasses import replace
from pathlib import Path

import click

from batch_resend.cli.logs import run_log
from batch_resend.cli.next_flags import as_begun, masks_addresses, next_flags, own_report_dir
from batch_resend.cli.rehearsals import is_rehearsal
from batch_resend.errors import ReportError
from batch_resend.journal import JournalReader
from batch_resend.model import Run
from batch_resend.report import (
    Presentation,
    folder_of,
    has_index,
    has_report,
    is_unfinished,
    is_up_to_date,
    update_index,
    write_report,
)
from batch_resend.settings import is_at_loopback

_MOST = 7

log = logging.getLogger(__name__)


async def write_reports_before(reader: JournalReader, run: Run, presentation: Presentation) -> None:
    """Write the reports that the runs just before a run have left unwritten.

    One whose folder is gone only up to the first that is as it should be: of older ones, somebody
    may have removed them. That it fails is logged: it affects no other run. A journal that hosts
    share has runs of theirs, whose folders are not here. A rehearsal leaves out those that mailed.
    """
    if not isinstance(reader.place, Path):
        return
    given, may_be_removed = next_flags(click.get_current_context()), False
    for before in await _ended_before(reader, run):
        pattern = _place_of_missing(before, may_be_removed=may_be_removed)
        if pattern is None:
            may_be_removed = True
            continue
        folder = folder_of(pattern, before)
        redact = presentation.redact or masks_addresses(before)
        flags = await as_begun(reader, before, given)
        how = replace(presentation, flags=flags, redact=redact)
        try:
            await write_report(reader, before, folder, how)
        except ReportError as error:
            log.warning("the report of run %s is still missing: %s", before.id, error)
            return
        run_log.info("wrote the missing report of run %s: %s", before.id, folder)
        update_index(pattern)


async def _ended_before(reader: JournalReader, run: Run) -> list[Run]:
    """Return the last runs beside a run that nobody sends; in a rehearsal, rehearsals only."""
    found = []
    for one in await reader.runs(_MOST + 1):
        if one.id == run.id or await reader.is_under_way(one):
            continue
        urls = [one.url_of(name) or "" for name in await reader.accounts(one) or (None,)]
        if not is_rehearsal() or all(map(is_at_loopback, urls)):
            found.append(one)
    return found


def _place_of_missing(run: Run, *, may_be_removed: bool) -> Path | None:
    """Return the pattern of where a run's report is to be written; None: it is not, or nowhere."""
    if (begun := _place_of_begun(run)) or may_be_removed:
        return begun
    return _place_of_gone(run)


def _place_of_begun(run: Run) -> Path | None:
    """Return the pattern of a report that was begun and is not up to date; None: it is not."""
    if (pattern := own_report_dir(run)) is None:
        return None
    folder = folder_of(pattern, run)
    is_begun = has_report(folder, run) or is_unfinished(pattern, run)
    return pattern if is_begun and not is_up_to_date(folder, run) else None


def _place_of_gone(run: Run) -> Path | None:
    """Return the pattern of a run's report if its folder is missing; None: it is not.

    Only if other reports of that pattern are there: without them, another disk may be mounted.
    """
    pattern = own_report_dir(run)
    is_gone = pattern is not None and has_index(pattern) and not folder_of(pattern, run).exists()
    return pattern if is_gone else None
