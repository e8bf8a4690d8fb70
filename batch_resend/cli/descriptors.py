"""How many requests may be in flight, by the files that this process may have open.

Each request in flight is a connection, and so a file descriptor. Without one left no connection can
be made, no report be written and no journal be read, which is no fault of the CA's or of an order.
"""

import logging
import os
import resource
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# Beside connections, as counted in /proc while a run on uvloop sends and reports (17), and some.
OWN = 21
_OPEN = Path("/dev/fd")


def most_in_flight(wanted: int, keys: int) -> int:
    """Return how many requests of each of some keys may be in flight; says so if that is fewer.

    The limit of this process (`ulimit -n`) is raised first, as far as that is allowed.
    """
    besides = _open_now() + OWN
    needed = besides + wanted * keys
    allowed = _raise_limit_to(needed)
    if allowed >= needed:
        return wanted
    most = within(allowed - besides, keys)
    log.warning(
        "no more than %d requests are in flight, in place of %d: this process may have %d files "
        "open, and needs %d for more; raise the limit (ulimit -n, LimitNOFILE=)",
        most, wanted, allowed, needed,
    )  # fmt: skip
    return most


def within(descriptors: int, keys: int) -> int:
    """Return how many requests of each of some keys so many descriptors are enough for."""
    return max(1, descriptors // keys)


def _open_now() -> int:
    """Return how many descriptors are open, those that were inherited too."""
    with suppress(OSError):
        return len(os.listdir(_OPEN)) - 1  # noqa: PTH208 - but for the one that lists them
    return 3


def _raise_limit_to(needed: int) -> int:
    """Return how many descriptors this process may have, after having asked for so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    if soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft
