"""index.html: all reports of a folder, the newest first, and how many orders each day sent.

A rehearsal mails nobody: it stands apart, and no day has it.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from heapq import nlargest
from pathlib import Path, PurePath
from statistics import median
from urllib.parse import quote

from batch_resend.clock import timestamp
from batch_resend.errors import ReportError
from batch_resend.folders import followed
from batch_resend.report.banner import Banner, banner_in_words
from batch_resend.report.charts import nice
from batch_resend.report.counts import left_for_next
from batch_resend.report.folder import NotStarted
from batch_resend.report.rendering import render
from batch_resend.report.report import whole_file
from batch_resend.report.summary import Summary, percentage_sent
from batch_resend.settings import is_at_loopback

MOST_RUNS = 400
MOST_DAYS = 60  # of the chart: the last ones
NOT_STARTED = "not-started.jsonl"  # beside the index: a line for each command without a report
_OURS = '<meta name="generator" content="batch-resend">'
_MOST_ABOVE = 4  # times the usual
_LOOKED_AT = 2_000  # characters, for that
_LONGEST_UNWRITTEN_S = 150.0  # of a run under way, as report.html has it


@dataclass(frozen=True, slots=True)
class Night:
    """A report as the index has it."""

    url: str
    summary: Summary
    state: Banner | None  # None: it was cut off
    percentage: int | None
    sent_elsewhere: int  # of its orders, by other runs, when its summary was written
    at: str  # when it began, or was declined, in UTC; "" where it does not say
    day: date | None  # of that
    written_at: float

    @property
    def is_rehearsal(self) -> bool:
        """Whether it mailed nobody: of one that has not ended, by where it went."""
        has_ended = self.state not in (Banner.UNDER_WAY, None)
        at_loopback = not has_ended and is_at_loopback(self.summary.base_url)
        return self.state is Banner.REHEARSAL or at_loopback

    @property
    def state_in_words(self) -> str:
        """What there is to know of it first."""
        if self.state is None:
            return "cut off"
        left = left_for_next(self.summary.sweep)
        return banner_in_words(self.state, self.summary.state, self.sent_elsewhere, left)

    @property
    def tone(self) -> str:
        """Its state, as the page's style has it."""
        return (self.state or Banner.NEEDS_ACTION).name.lower()

    @property
    def what(self) -> str:
        """What it was made of: the first list's name, and how many there are beside it."""
        if self.summary.sweep:
            return "sweep"
        first, *others = [PurePath(one.path).name for one in self.summary.inputs] or ["nothing"]
        return f"{first} and {len(others)} more" if others else first

    @property
    def to_go(self) -> int:
        """Orders that it is still to send, and those that wait for their answer."""
        orders = self.summary.orders
        return orders.not_attempted + orders.in_flight if self.state is Banner.UNDER_WAY else 0

    @property
    def left(self) -> int:
        """Orders that no run has sent, that were not refused, and that nobody is sending now."""
        done = self.summary.orders.sent + self.sent_elsewhere + self.summary.orders.refused
        return self.summary.sent_of - done - self.to_go

    @property
    def not_waiting_for_mail(self) -> str:
        """What keeps orders waiting that are neither due nor stuck; "" where none are."""
        counts = self.summary.sweep
        kinds = (
            (
                (counts.nothing_to_mail, "with nothing to mail"),
                (counts.other_call, "perhaps waiting for mails of another call"),
                (counts.mailed_lately, "mailed lately"),
                (counts.too_young, "too young"),
                (counts.excluded, "excluded"),
                (counts.left_for_later, "left for the next sweep"),
                (counts.not_asked, "not asked about"),
            )
            if counts
            else ()
        )
        return ", ".join(f"{count:,} {kind}" for count, kind in kinds if count)


@dataclass(frozen=True, slots=True)
class Day:
    """What the runs that began on one day, by UTC, came to together."""

    date: date
    runs: int
    sent: int
    not_sent: int
    to_go: int  # of runs under way

    @property
    def orders(self) -> int:
        """Those that were sent, or were to be."""
        return self.sent + self.not_sent


def write_index(folder: Path, depth: int = 1) -> None:
    """Write the index of the reports so many folders below a folder. Raises ReportError.

    A page of that name that batch-resend did not write stays as it is.
    """
    place = folder / "index.html"
    with suppress(OSError, UnicodeError), place.open(encoding="utf-8") as file:
        if _OURS not in file.read(_LOOKED_AT):
            raise ReportError(f"{place} was not written by batch-resend, and is left as it is")
    now = time.time()
    found = list(_nights(folder, depth, now))
    rehearsals = [one for one in found if one.is_rehearsal]
    others = [one for one in found if not one.is_rehearsal]
    nights = nlargest(MOST_RUNS, others, key=lambda one: one.at)
    days = list(_days(nights))
    not_started = list(_not_started(folder))[::-1]
    values: dict[str, object] = {
        "nights": nights,
        # The last that were made: the days of others may be further in the future.
        "rehearsals": sorted(
            nlargest(MOST_RUNS, rehearsals, key=lambda one: one.written_at),
            key=lambda one: one.at,
            reverse=True,
        ),
        "began": {one.summary.run_id: one.at[:16].replace("T", " ") for one in found},
        "days": days,
        "not_started": [one for one in not_started if not one.is_rehearsal][:MOST_RUNS],
        "not_rehearsed": [one for one in not_started if one.is_rehearsal][:MOST_RUNS],
        "top": _top(days),
        "written_at": timestamp(now)[:16].replace("T", " "),
    }
    with whole_file(place) as file:
        file.write(render("index.html", values))


def _top(days: Sequence[Day]) -> float:
    """Return how many orders a day the chart has room for: what is far beyond the usual is cut."""
    orders = [day.orders for day in days if day.orders] or [1]
    return nice(min(max(orders), _MOST_ABOVE * median(orders)))


def note_not_started(folder: Path, night: NotStarted) -> None:
    """Note a command that could not start in a folder of reports, for its index. Raises OSError."""
    with followed(folder / NOT_STARTED).open("a", encoding="utf-8") as file:
        file.write(_line(night))


def split_not_started(
    folder: Path, before: float, rehearsed_before: float
) -> tuple[list[NotStarted], list[NotStarted]]:
    """Return the commands that could not start: the old ones, and those that stay.

    Old are those before a time; of a rehearsal, whose days may be simulated, before another one.
    """
    old, kept = list[NotStarted](), list[NotStarted]()
    for one in _not_started(folder):
        limit = rehearsed_before if one.is_rehearsal else before
        (old if one.at < timestamp(limit) else kept).append(one)
    return old, kept


def forget_not_started(folder: Path, before: float, rehearsed_before: float) -> None:
    """Forget the commands that could not start before a time. Raises ReportError."""
    old, kept = split_not_started(folder, before, rehearsed_before)
    if old:
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


def _nights(folder: Path, depth: int, now: float) -> Iterator[Night]:
    """Yield the reports that can be read.

    One of a run under way is written every half minute, by this machine's clock.
    """
    for path in folder.glob(f"{'*/' * depth}summary.json"):
        with suppress(OSError, ValueError, LookupError):
            found = json.loads(path.read_text(encoding="utf-8"))
            summary = Summary.model_validate(found)
            at = summary.started_at or summary.finished_at or ""
            written_at = path.stat().st_mtime
            state = Banner(found["verdict"])
            is_cut_off = state is Banner.UNDER_WAY and now - written_at > _LONGEST_UNWRITTEN_S
            yield Night(
                f"{quote(path.parent.relative_to(folder).as_posix())}/report.html",
                summary,
                None if is_cut_off else state,
                percentage_sent(summary),
                found["orders_now"]["sent_elsewhere"],
                at,
                date.fromisoformat(at[:10]) if at else None,
                written_at,
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
        not_sent = sum(night.summary.orders.refused + night.left for night in runs)
        yield Day(day, len(runs), sent, not_sent, sum(night.to_go for night in runs))
        day += timedelta(1)
