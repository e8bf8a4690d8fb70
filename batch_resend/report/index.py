"""index.html: all reports of a folder, the newest first, and how many orders each day sent.

A rehearsal mails nobody: it stands apart, and no day has it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from heapq import nlargest
from pathlib import Path
from statistics import median
from urllib.parse import quote

from batch_resend.clock import timestamp
from batch_resend.errors import ReportError
from batch_resend.report.charts import nice
from batch_resend.report.rendering import render
from batch_resend.report.report import whole_file
from batch_resend.report.summary import Banner, Summary, percentage_sent

MOST_RUNS = 400
MOST_DAYS = 60  # of the chart: the last ones
NOT_STARTED = "not-started.jsonl"  # beside the index: a line for each command without a report
_OURS = '<meta name="generator" content="batch-resend">'
_MOST_ABOVE = 4  # times the usual
_LOOKED_AT = 2_000  # characters, for that


@dataclass(frozen=True, slots=True)
class Night:
    """A report as the index has it."""

    url: str
    summary: Summary
    banner: Banner
    percentage: int | None
    not_sent: int
    at: str  # when it began, or was declined, in UTC; "" where it does not say
    day: date | None  # of that
    written_at: float


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A command that could not start, and has no report."""

    at: str  # in UTC
    exit_code: int
    why: str


@dataclass(frozen=True, slots=True)
class Day:
    """What the runs that began on one day, by UTC, came to together."""

    date: date
    runs: int
    sent: int
    not_sent: int

    @property
    def orders(self) -> int:
        """Those that were to be sent."""
        return self.sent + self.not_sent


def write_index(folder: Path) -> None:
    """Write the index of the reports in a folder. Raises ReportError.

    A page of that name that batch-resend did not write stays as it is.
    """
    place = folder / "index.html"
    with suppress(OSError, UnicodeError), place.open(encoding="utf-8") as file:
        if _OURS not in file.read(_LOOKED_AT):
            raise ReportError(f"{place} was not written by batch-resend, and is left as it is")
    found = list(_nights(folder))
    rehearsals = [one for one in found if one.banner is Banner.REHEARSAL]
    others = [one for one in found if one.banner is not Banner.REHEARSAL]
    nights = nlargest(MOST_RUNS, others, key=lambda one: one.at)
    days = list(_days(nights))
    values: dict[str, object] = {
        "nights": nights,
        # Their days may be to come.
        "rehearsals": nlargest(MOST_RUNS, rehearsals, key=lambda one: (one.written_at, one.at)),
        "days": days,
        "not_started": list(_not_started(folder))[: -MOST_RUNS - 1 : -1],
        "top": _top(days),
    }
    with whole_file(place) as file:
        file.write(render("index.html", values))


def _top(days: Sequence[Day]) -> float:
    """Return how many orders a day the chart has room for: what is far beyond the usual is cut."""
    orders = [day.orders for day in days if day.orders] or [1]
    return nice(min(max(orders), _MOST_ABOVE * median(orders)))


def note_not_started(folder: Path, night: NotStarted) -> None:
    """Note a command that could not start in a folder of reports, for its index. Raises OSError."""
    with (folder / NOT_STARTED).open("a", encoding="utf-8") as file:
        file.write(_line(night))


def forget_not_started(folder: Path, before: float) -> None:
    """Forget the commands that could not start before a time. Raises ReportError."""
    found = list(_not_started(folder))
    kept = [one for one in found if one.at >= timestamp(before)]
    if len(kept) < len(found):
        with whole_file(folder / NOT_STARTED) as file:
            file.writelines(map(_line, kept))


def _line(night: NotStarted) -> str:
    return json.dumps(asdict(night), ensure_ascii=False) + "\n"


def _not_started(folder: Path) -> Iterator[NotStarted]:
    """Yield the commands that could not start, the oldest first."""
    with suppress(OSError, UnicodeError), (folder / NOT_STARTED).open(encoding="utf-8") as file:
        for line in file:
            with suppress(ValueError, TypeError):  # a line that was cut off
                yield NotStarted(**json.loads(line))


def _nights(folder: Path) -> Iterator[Night]:
    """Yield the reports in a folder that can be read."""
    for path in folder.glob("*/summary.json"):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            summary = Summary.model_validate(found)
            orders = summary.orders
            at = summary.started_at or summary.finished_at or ""
            yield Night(
                f"{quote(path.parent.name)}/report.html",
                summary,
                Banner(found["verdict"]),
                percentage_sent(summary),
                orders.to_send - orders.sent,
                at,
                date.fromisoformat(at[:10]) if at else None,
                path.stat().st_mtime,
            )


def _days(nights: Sequence[Night]) -> Iterator[Day]:
    """Yield the days from the first run to the last, those without a run too."""
    by_day: defaultdict[date, list[Night]] = defaultdict(list)
    for night in nights:
        if night.day is not None:
            by_day[night.day].append(night)
    if not by_day:
        return
    last = max(by_day)
    day = max(min(by_day), last - timedelta(MOST_DAYS - 1))
    while day <= last:
        runs = by_day[day]
        sent = sum(night.summary.orders.sent for night in runs)
        yield Day(day, len(runs), sent, sum(night.not_sent for night in runs))
        day += timedelta(1)
