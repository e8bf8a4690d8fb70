"""Lists into the journal: all rows of all sources, before requests are made of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from batch_resend.errors import InputError, UnknownRun
from batch_resend.intake import NAMES_NOBODY, ListSource, Source, batches, refuse_ignored
from batch_resend.journal import JournalReader, Staging, settled_since
from batch_resend.model import RejectedRow, Row
from batch_resend.report import written_for

_MAX_REJECTED = 1_000_000  # beyond it a list is none, and the journal no place for it


async def stage(
    sources: Sequence[Source],
    staging: Staging,
    *,
    refused: Mapping[str | None, str] = MappingProxyType({}),
    may_be_empty: bool = False,
) -> None:
    """Read all rows of all sources into the staging, a batch at a time. Raises InputError.

    `refused`: accounts that there is no key for, and why; a row that names one ends it.
    """
    rejected = 0
    for source in sources:
        async for batch in batches(source):
            await staging.add_rows(batch)
            if refused:
                _refuse_without_key(source, batch, refused)
            rejected += _count_rejected(source, batch, rejected)
        read = (source.name, source.sha256, source.form)
        await staging.end_input(*read, NAMES_NOBODY, _written_for(source))
    refuse_ignored(sources)
    if not (staging.rows_read or may_be_empty):
        raise InputError("there are no rows to send")


async def done_since(
    sources: Sequence[Source], reader: JournalReader, base_url: str
) -> float | None:
    """Return since when what other runs have sent of some lists is done (see `Run.done_since`).

    A list that a report wrote continues the run of that report, as `resume` does. None: not all of
    them are such lists, or the journal does not know their runs, or not at this URL.
    """
    looked_since = list[float]()
    for source in sources:
        if (run_id := _written_for(source)) is None:
            return None
        try:
            run = await reader.run(run_id)
        except UnknownRun:
            return None
        if run.base_url != base_url:
            return None
        # What it has held for an earlier run is in its list as well.
        looked_since.append(settled_since(run, run.cooldown_s, run.created_at))
    return min(looked_since, default=None)


def _written_for(source: Source) -> str | None:
    """Return the id of the run whose report wrote a list; None: none did."""
    return written_for(Path(source.name)) if isinstance(source, ListSource) else None


def _count_rejected(source: Source, batch: Sequence[Row | RejectedRow], before: int) -> int:
    """Return how many rows are rejected. Raises InputError where that is no list for us."""
    bad = [row for row in batch if isinstance(row, RejectedRow)]
    if before + len(bad) > _MAX_REJECTED:
        raise InputError(
            f"{source.name}, line {bad[-1].line}: more than {_MAX_REJECTED:,} rows are rejected, "
            f"this one because {bad[-1].reason}; is this the right list, and --map right?"
        )
    return len(bad)


def _refuse_without_key(
    source: Source, batch: Sequence[Row | RejectedRow], refused: Mapping[str | None, str]
) -> None:
    for row in batch:
        if isinstance(row, Row) and row.account in refused:
            raise InputError(f"{source.name}, line {row.line}: {refused[row.account]}")
