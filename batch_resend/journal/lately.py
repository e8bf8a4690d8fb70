"""What was acknowledged lately, copied from one journal to another: a plan there leaves it out."""

from collections.abc import Iterable
from functools import partial

from batch_resend.journal.connection import Connection, execute
from batch_resend.journal.journal import Journal
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.runs import clock_values
from batch_resend.journal.statements import Record
from batch_resend.model import RunState

_TABLES = ("runs", "starts", "requests", "attempts")


async def copy_lately(reader: JournalReader, since: float, journal: Journal) -> None:
    """Copy what was acknowledged since a time to a journal that has no run yet.

    Its runs are complete there: none of them is to be resumed. Raises JournalError.
    """
    of = {"since": since, **clock_values(reader.clock)}
    for table in _TABLES:
        async for page in reader.pages(f"lately_{table}", **of):
            await journal.decide(partial(_copy, table, page))


def _copy(table: str, records: Iterable[Record], connection: Connection) -> None:
    for record in records:
        values = record._asdict()
        if table == "runs":
            values |= {"state": RunState.COMPLETED, "distributed_by": None}
        words = {"columns": ", ".join(values), "values": ", ".join(f":{name}" for name in values)}
        execute(connection, "copy_record", (("table", table), *words.items()), **values)
