"""index.html: all reports of a folder, the newest first, with how many orders each night sent."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from urllib.parse import quote

from batch_resend.errors import ReportError
from batch_resend.report.rendering import render
from batch_resend.report.report import whole_file
from batch_resend.report.summary import Banner, Summary, percentage_sent

MOST_RUNS = 400
_OURS = '<meta name="generator" content="batch-resend">'
_LOOKED_AT = 2_000  # characters, for that


@dataclass(frozen=True, slots=True)
class Night:
    """A report as the index has it."""

    url: str
    summary: Summary
    banner: Banner
    percentage: int | None
    not_sent: int


def write_index(folder: Path) -> None:
    """Write the index of the reports in a folder. Raises ReportError.

    A page of that name that batch-resend did not write stays as it is.
    """
    place = folder / "index.html"
    with suppress(OSError, UnicodeError), place.open(encoding="utf-8") as file:
        if _OURS not in file.read(_LOOKED_AT):
            raise ReportError(f"{place}: is not of batch-resend, and stays as it is")
    nights = nlargest(MOST_RUNS, _nights(folder), key=lambda one: one.summary.started_at or "")
    most = max((night.summary.orders.total for night in nights), default=0)
    values: dict[str, object] = {"nights": nights, "most": most or 1}
    with whole_file(place) as file:
        file.write(render("index.html", values))


def _nights(folder: Path) -> Iterator[Night]:
    """Yield the reports in a folder that can be read."""
    for path in folder.glob("*/summary.json"):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            summary = Summary.model_validate(found)
            orders = summary.orders
            yield Night(
                f"{quote(path.parent.name)}/report.html",
                summary,
                Banner(found["verdict"]),
                percentage_sent(summary),
                orders.total - orders.sent - orders.skipped,
            )
