"""What was mailed lately, or may have been, copied from one journal to another for a plan there.

A plan in the other journal then comes to the same as one in the first.
"""

from collections.abc import Iterable
from functools import partial

from batch_resend.journal.connection import Connection, execute
from batch_resend.journal.journal import Journal
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.runs import CUT_OFF, clock_values
from batch_resend.journal.statements import Record, run_of
from batch_resend.model import Ruling, Run, RunState

_TABLES = ("runs", "starts", "requests", "attempts")
_OF_NO_SESSION = 0


async def copy_lately(reader: JournalReader, since: float, journal: Journal) -> None:
    """Copy what was acknowledged or in doubt since a time to a journal that has no run yet.

    Its runs are complete there: none of them is to be resumed. Raises JournalError.
    """
    of = {"since": since, **clock_values(reader.clock)}
    for table in _TABLES:
        async for page in reader.pages(f"lately_{table}", **of):
            await journal.decide(partial(_copy, table, page, reader.clock()))


def _copy(table: str, records: Iterable[Record], now: float, connection: Connection) -> None:
    for record in records:
        values = record._asdict()
        if table == "runs":
            values |= {"state": RunState.COMPLETED, "distributed_by": None}
        if table == "attempts" and record.ended_at is None:  # ended as `end_cut_off` would
            values |= {"ended_at": now, "ruling": Ruling.IN_DOUBT, "error_message": CUT_OFF}
        words = {"columns": ", ".join(values), "values": ", ".join(f":{name}" for name in values)}
        execute(connection, "copy_record", (("table", table), *words.items()), **values)


async def last_budgets(
    reader: JournalReader, base_url: str, profile: str | None, names: Iterable[str | None]
) -> dict[str | None, str]:
    """Return by which keys accounts were last sent; None among them: a command's own.

    That one is known by its profile, or else by its URL. Raises JournalError.
    """
    by_name = {
        record.account or record.profile: record.budget
        for record in await reader.fetch("budgets_by_account")
        if record.account or record.profile or record.base_url == base_url
    }
    known = {name: by_name.get(name or profile or "") for name in names}
    return {name: budget for name, budget in known.items() if budget is not None}


async def resumed_instead(
    reader: JournalReader, since: float, planned: JournalReader, run: Run
) -> Run | None:
    """Return which run would be resumed in place of a run that was planned in another journal.

    `planned`: reads that one. None: there is none of the same requests that did not finish and was
    at work since then.
    """
    digest = await planned.fetch("plan_digest", run=run.number)
    found = await reader.fetch(
        "same_plan", digest=digest[0].plan_digest, since=since, session=_OF_NO_SESSION
    )
    return run_of(found[0]) if found else None
