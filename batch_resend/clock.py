"""The time of day, from a clock that nobody sets.

A system's clock may be put back or forward (by NTP, by a person, after a suspend); the time since
the machine started is never set. So a process asks the system's clock once, when it begins, and
counts on from there. What one process wrote down another one reads by both clocks where the
machine has not started again in between, and takes the reading that makes it younger: see
`journal/schema.py`.
"""

import asyncio
import secrets
import time
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # proc(5); Linux only


class Clock(Protocol):
    """Seconds since the epoch (UTC), and what they are counted from."""

    boot: str  # names the start of the machine: the same one, the same steady time
    offset_s: float  # what the system's clock said at the beginning, less the steady time

    def __call__(self) -> float:
        """Return the seconds since the epoch."""


class SystemClock:
    """The clock of this machine, set once."""

    def __init__(self) -> None:
        self.boot = _boot()
        self.offset_s = time.time() - steady_time()

    def __call__(self) -> float:
        """Return the seconds since the epoch, as counted since this clock was made."""
        return steady_time() + self.offset_s


def steady_time() -> float:
    """Return the seconds since the machine started, time suspended included where it can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def running_time() -> float:
    """Return the event loop's time, which nobody sets, in seconds from some moment."""
    return asyncio.get_running_loop().time()  # anyio's own takes a dozen steps to come to this


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return secrets.token_hex(16)  # nothing to compare: no other process has the same one
