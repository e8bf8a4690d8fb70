"""What the name of a list tells of it: whether a report wrote it, and of which run."""

import re
from pathlib import PurePath

PIPED_IN = "standard input"  # the name of a list that is read from there
PARTS = frozenset(("unsent", "refused", "rejected"))  # what a report calls its lists
_UNSENT, _REJECTED = "unsent", "rejected"
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def parts_named(name: str) -> frozenset[str]:
    """Return which lists of a report a list's name tells of.

    It may be `unsent (2).csv` by now, or `my-unsent.csv`.
    """
    return PARTS.intersection(re.split(r"[^a-z]+", PurePath(name).stem.lower()))


def is_named_unsent(name: str) -> bool:
    """Whether a list's name says that it has what a run left to send."""
    return _UNSENT in parts_named(name)


def is_named_rejected(name: str) -> bool:
    """Whether a list has the name of a rejected.csv, also of `rejected-RUN (2).xlsx`."""
    words = re.split(r"[^a-z]+", _RUN_ID.sub("", PurePath(name).stem.lower()))
    return list(filter(None, words)) == [_REJECTED]


def run_named_in(name: str) -> str | None:
    """Return the id of the run that a list's path names: by its folder, or in its own name."""
    return found[-1] if (found := _RUN_ID.findall(name)) else None
