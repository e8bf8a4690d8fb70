"""A report of your own, from the journal alone: how each domain's orders fared, as Markdown.

python own_report.py journal.db RUN
"""

import asyncio
import sys
from collections import Counter, defaultdict
from pathlib import Path

from batch_resend import RequestStatus, read_journal


async def table(journal: Path, run_id: str) -> str:
    """Return a line a domain: of how many requests came what."""
    fared: defaultdict[str, Counter[RequestStatus]] = defaultdict(Counter)
    async with read_journal(journal) as reader:  # which disturbs nobody who sends
        run = await reader.run(run_id)
        async for found in reader.results(run):
            for domain in {entry.domain for entry in found.order.entries} or {
                "(every pending domain)"
            }:
                fared[domain][found.result.status] += 1
    lines = [
        "| domain | " + " | ".join(RequestStatus) + " |",
        "|---" * (len(RequestStatus) + 1) + "|",
    ]
    lines += [
        f"| {domain} | " + " | ".join(str(counts[status]) for status in RequestStatus) + " |"
        for domain, counts in sorted(fared.items())
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(table(Path(sys.argv[1]), sys.argv[2])) + "\n")
