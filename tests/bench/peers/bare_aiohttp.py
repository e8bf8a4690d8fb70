"""A bare aiohttp loop, the limit of what this event loop gives: nothing durable, no retries.

python -m tests.bench.peers.bare_aiohttp BASE_URL LIST RESULTS IN_FLIGHT [uvloop]
"""

import asyncio
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import anyio


async def work(
    session: aiohttp.ClientSession, base_url: str, rows: Iterator[list[str]], results: list[str]
) -> None:
    """Send one row after another."""
    for order_id, domain, email in rows:
        url = f"{base_url}/order/certificate/{order_id}/resend-emails"
        body = {"domain_approval_emails": [{"domain": domain, "email": email}]}
        async with session.put(url, data=json.dumps(body), headers=HEADERS) as response:
            await response.read()
            results.append(f"{order_id},{response.status}\n")


HEADERS = {"X-DC-DEVKEY": "bench", "Content-Type": "application/json"}


async def main(base_url: str, in_flight: int, rows: Iterator[list[str]]) -> list[str]:
    """Send; return a result an order."""
    results: list[str] = []
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session, base_url, rows, results) for _ in range(in_flight)))
    return results


if __name__ == "__main__":
    with Path(sys.argv[2]).open(newline="") as listed:
        reader = csv.reader(listed)
        next(reader)
        options = {"use_uvloop": "uvloop" in sys.argv[5:]}
        told = anyio.run(main, sys.argv[1], int(sys.argv[4]), reader, backend_options=options)
    with Path(sys.argv[3]).open("w") as file:
        file.writelines(told)
