"""Rows of all sources -> the journal -> a plan. Nothing is sent, and no key is needed."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import islice

import anyio.to_thread

from batch_resend.errors import InputError
from batch_resend.intake import NAMES_NOBODY, ListSource, Source
from batch_resend.journal import JournalReader, Staging
from batch_resend.model import Plan, RejectedRow, Row, Run
from batch_resend.settings import OWN_KEY
from batch_resend.windows import Window, dictated_time, joint

Part = tuple[int, Sequence[Window]]  # so many requests, within these windows

_ROWS_A_BATCH = 5_000
_MAX_REJECTED = 1_000_000  # beyond it a list is none, and the journal no place for it


async def stage(
    sources: Sequence[Source], staging: Staging, *, each_names_an_account: bool = False
) -> None:
    """Read all rows of all sources into the staging, a batch at a time. Raises InputError.

    `each_names_an_account`: it is to, for there is no key for one that does not.
    """
    rejected = 0
    for source in sources:
        before = staging.rows_read
        async for batch in _batches(source):
            await staging.add_rows(batch)
            if each_names_an_account:
                _refuse_without_account(source, batch)
            rejected += _count_rejected(source, batch, rejected)
        if source.form.with_addresses:
            await staging.reject_without_addresses(before, NAMES_NOBODY)
        count = staging.rows_read - before
        await staging.end_input(source.name, source.sha256, source.form, count)
    if not staging.rows_read:
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


def _refuse_without_account(source: Source, batch: Sequence[Row | RejectedRow]) -> None:
    for row in batch:
        if isinstance(row, Row) and row.account is None:
            raise InputError(
                f"{source.name}, line {row.line}: names no account, and there is no API key for "
                f"such rows: {OWN_KEY}"
            )


async def _batches(source: Source) -> AsyncIterator[list[Row | RejectedRow]]:
    """Yield the rows of a source, many at a time. A file is read beside the event loop."""
    if isinstance(source, ListSource):
        rows = iter(source)
        while batch := await anyio.to_thread.run_sync(
            lambda: list(islice(rows, _ROWS_A_BATCH)), abandon_on_cancel=True
        ):
            yield batch
    else:
        batch = []
        async for row in source:
            batch.append(row)
            if len(batch) >= _ROWS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def make_plan(
    reader: JournalReader,
    run: Run,
    parts_of: Callable[[Mapping[str | None, int]], Sequence[Part]],
    *,
    taken_up: bool,
) -> Plan:
    """Return the plan of a run as the journal has it now.

    `parts_of` tells, of the requests by account, what is sent by each key; of none one part, too.
    """
    parts = parts_of(await reader.count_by_account(run))
    return Plan(
        run=run,
        taken_up=taken_up,
        rows=await reader.count_rows(run),
        orders=await reader.count_orders(run),
        settled=await reader.count_outcomes(run),
        to_send=sum(count for count, _ in parts),
        limits=tuple(map(str, joint([windows for _, windows in parts]))),
        duration_s=max(dictated_time(count, windows) for count, windows in parts),
    )
