"""Send for what a query finds, and write down in the same database what came of each order.

DIGICERT_API_KEY=... python from_database.py shop.db
"""

import asyncio
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr

from batch_resend import RecordSource, Request, RequestStatus, Settings, open_batch

ACCOUNT = Settings(
    api_key=SecretStr(os.environ.get("DIGICERT_API_KEY", "")),
    base_url=os.environ.get("CERTCENTRAL_URL", "https://www.digicert.com/services/v2"),
    journal=Path("journal.db"),
)
WAITING = "SELECT order_id, domain, email FROM approvals WHERE mailed_at IS NULL ORDER BY order_id"
MAILED = "UPDATE approvals SET mailed_at = datetime() WHERE order_id = ? AND domain = ?"
ACKNOWLEDGED = (RequestStatus.SENT, RequestStatus.SKIPPED)


def waiting(database: sqlite3.Connection) -> Iterator[Mapping[str, object]]:
    """Yield a record a row, named as in a list: read as it is sent, never all at once."""
    names = ("order_id", "domain", "email")
    return (dict(zip(names, row, strict=True)) for row in database.execute(WAITING))


def note_mailed(database: sqlite3.Connection, order: Request) -> None:
    """Write down which domains of an order were mailed; to say so twice does no harm."""
    with database:
        database.executemany(MAILED, [(int(order.subject), one.domain) for one in order.entries])


async def resend(database: sqlite3.Connection) -> int:
    """Send for all that wait; return how many orders were not sent, and rows rejected."""
    left = 0
    async with open_batch(ACCOUNT) as batch:
        plan = await batch.plan([RecordSource(waiting(database), name="approvals")])
        async for row in batch.reader.rejected_rows(plan.run):
            left += 1
            sys.stderr.write(f"row {row.line}: {row.reason}\n")
        async with batch.send(plan) as sending:
            async for outcome in sending:
                order = outcome.request
                if outcome.status is RequestStatus.SENT:
                    note_mailed(database, order)
                else:
                    left += 1
                    sys.stderr.write(f"{order.subject} {outcome.status}: {outcome.error_message}\n")
        # And what was acknowledged before, when something broke off before it was written down.
        async for found in batch.reader.results(plan.run):
            if found.result.status in ACKNOWLEDGED:
                note_mailed(database, found.order)
    return left


if __name__ == "__main__":
    sys.exit(3 if asyncio.run(resend(sqlite3.connect(sys.argv[1]))) else 0)
