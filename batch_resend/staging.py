"""Lists into the journal: all rows of all sources, before requests are made of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from batch_resend.errors import InputError
from batch_resend.intake import NAMES_NOBODY, Source, batches, refuse_ignored
from batch_resend.journal import Staging
from batch_resend.model import RejectedRow, Row

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
        await staging.end_input(source.name, source.sha256, source.form, NAMES_NOBODY)
    refuse_ignored(sources)
    if not (staging.rows_read or may_be_empty):
        raise InputError("there are no rows to send")


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
