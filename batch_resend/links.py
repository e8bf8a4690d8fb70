"""Links in the way of a file that is to be written: only some are followed.

In a folder where everyone may write, anybody can put a link where a report or a log is expected, to
a file of the one who runs this; its content would be lost, or log lines be added to it. What is
written also names customers, and would go to wherever the link's maker reads it.

- A link in a folder where everyone may write is never followed, whoever made it.
- Elsewhere a link is deliberate if this user or root made it (`/var/run`, a log folder on another
  disk), and is followed; one that another user made is not, also where root meets it.
"""

import errno
import os
import stat
from collections import deque
from pathlib import Path

_MOST_LINKS = 40  # as Linux has it (path_resolution(7))


def followed(path: Path) -> Path:
    """Return where a path leads, without a link in it. What is missing stays as it is named.

    Raises OSError: a link must not be followed (EPERM), there are too many, a folder is none.
    """
    place = Path(path.anchor or Path.cwd())
    ahead = deque(path.parts[1:] if path.anchor else path.parts)
    links = 0
    while ahead:
        name = ahead.popleft()
        if name == os.pardir:
            place = place.parent
            continue
        found = place / name
        try:
            is_link = stat.S_ISLNK((status := found.lstat()).st_mode)
        except FileNotFoundError:
            return found.joinpath(*ahead)
        if not is_link:
            place = found
            continue
        _check(found, status)
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = found.readlink()
        if target.anchor:
            place = Path(target.anchor)
        ahead.extendleft(reversed(target.parts[1:] if target.anchor else target.parts))
    return place


def _check(link: Path, status: os.stat_result) -> None:
    """Raise PermissionError for a link that must not be followed."""
    if is_everyones(link.parent):
        why = f"{link} is a link in a folder where everyone may write"
    elif not is_trusted(status):
        why = f"{link} is a link that another user made"
    else:
        return
    raise PermissionError(errno.EPERM, f"{why}; name {link.readlink()} if that is meant")


def is_everyones(folder: Path) -> bool:
    """Whether every user may write in a folder, as in /tmp. Raises OSError."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def is_trusted(status: os.stat_result) -> bool:
    """Whether what this tells of belongs to this user, or to root."""
    return status.st_uid in (0, os.geteuid())
