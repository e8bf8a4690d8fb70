"""The time of day from a clock that nobody sets, and lengths of time as people write them."""

import asyncio
import re
import secrets
import time
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Protocol

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FROM_DAYS_S = 48 * 3600  # a length of time is shown in days
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h|d|)")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for: a number and its unit; 0 needs none.

    Raises ValueError.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a length of time: write 30s, 3m, 20h or 2d")
    number = float(match[1])
    seconds = number * _SECONDS[match[2] or "s"]
    if not isfinite(seconds):
        raise ValueError(f"{text[:20]!r}... is not a length of time: it has no end")
    if number and not match[2]:
        # A bare 1 may be meant as a day, and would be taken for a second.
        units = ", ".join(f"{match[1]}{unit}" for unit in ("s", "m", "h"))
        raise ValueError(f"{text!r} has no unit: write {units} or {match[1]}d")
    return seconds


def exact_duration(seconds: float) -> str:
    """Return a length of time as `parse_duration` reads it, in the largest unit that is whole."""
    whole = (unit for unit in ("d", "h", "m") if seconds and seconds % _SECONDS[unit] == 0)
    unit = next(whole, "s")
    return f"{seconds / _SECONDS[unit]:.15g}{unit}"


def format_duration(seconds: float) -> str:
    """Return `seconds` in the two largest units that matter: `3d 04h`, `1h 05m`, `3m 20s`, `4s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < _FROM_DAYS_S:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def whole_days(seconds: float) -> int:
    """Return how many days have passed wholly in so many seconds, as `--older-than 2d` has it."""
    return max(0, int(seconds // _SECONDS["d"]))


def in_local_time(at: float, now: float) -> str:
    """Return seconds since the epoch in this machine's time zone, and how long ago that was.

    A time that is still to come, as in a rehearsed week, has no age.
    """
    local, age_s = datetime.fromtimestamp(at, UTC).astimezone(), max(0.0, now - at)
    unit = next((unit for unit in ("d", "h", "m") if age_s >= _SECONDS[unit]), "s")
    is_to_come = at - now >= _SECONDS["m"]
    ago = "" if is_to_come else f" ({age_s // _SECONDS[unit]:.0f}{unit} ago)"
    return f"{local:%Y-%m-%d %H:%M}{ago}"


def with_local_times(text: str) -> str:
    """Return a text for people, with this machine's time in place of each `timestamp` in it."""

    def local(found: re.Match[str]) -> str:
        return f"{datetime.fromisoformat(found[0]).astimezone():%Y-%m-%d %H:%M}"

    return _TIMESTAMP.sub(local, text)


@lru_cache(maxsize=16)  # an order's first attempt is mostly its last one too
def timestamp(at: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    second, millisecond = divmod(int(at * 1000), 1000)
    return f"{_to_the_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=1024)  # of many times that are written, most share their second
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # proc(5); Linux only


class Clock(Protocol):
    """Seconds since the epoch (UTC), and what they are counted from."""

    boot: str  # names the start of the machine: the same one, the same steady time
    offset_s: float  # what the system's clock said at the beginning, less the steady time

    def __call__(self) -> float:
        """Return the seconds since the epoch."""


class SystemClock:
    """The clock of this machine, set once.

    A system's clock may be put back or forward (by NTP, by a person, after a suspend); the time
    since the machine started is never set. So a process asks the system's clock once, when it
    begins, and counts on from there. What one process wrote down another one reads by both clocks
    where the machine has not started again in between, and takes the reading that makes it younger:
    see `journal/sql/schema.sql`.
    """

    def __init__(self, ahead_s: float = 0.0) -> None:
        """Take how far ahead of the system's clock this one is to be: for rehearsals of later days.

        It is then as on a machine that has started again, for the steady time has no such days.
        """
        self.boot = f"{_boot()} and {ahead_s:g} s" if ahead_s else _boot()
        self.offset_s = time.time() + ahead_s - steady_time()

    def __call__(self) -> float:
        """Return the seconds since the epoch, as counted since this clock was made."""
        return steady_time() + self.offset_s


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_time() -> float:
    """Return the seconds since the machine started, time suspended included where it can tell."""
    return time.clock_gettime(_STEADY)


def running_time() -> float:
    """Return the event loop's time, which nobody sets, in seconds from some moment."""
    return asyncio.get_running_loop().time()  # anyio's own takes a dozen steps to come to this


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return secrets.token_hex(16)  # nothing to compare: no other process has the same one
