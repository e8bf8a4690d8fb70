"""Where files are: journals, private folders, and the links that are followed to them."""

import errno
import getpass
import os
import shlex
import socket
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

_MOST_LINKS = 40  # as Linux has it (path_resolution(7))


def followed(path: Path) -> Path:
    """Return where a path leads, without a link in it. What is missing stays as it is named.

    In a folder where everyone may write, anybody can put a link where a report or a log is
    expected, to a file of the one who runs this; its content would be lost, or log lines be added
    to it. What is written also names customers, and would go to wherever the link's maker reads it.

    A link there is never followed. Elsewhere it is deliberate if this user or root
    made it (`/var/run`, a log folder on another disk), and is followed; one of another user is not,
    also where root meets it.

    Raises OSError: a link must not be followed (EPERM), there are too many, a folder is none.
    """
    place = Path.cwd() / path.anchor
    ahead = deque(_parts(path))
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
        place = place / target.anchor
        ahead.extendleft(reversed(_parts(target)))
    return place


def _parts(path: Path) -> tuple[str, ...]:
    """Return the names in a path, without its root."""
    return path.parts[1:] if path.anchor else path.parts


def _check(link: Path, status: os.stat_result) -> None:
    """Raise PermissionError for a link that must not be followed."""
    if is_everyones(link.parent):
        why = f"{link} is a link in a folder where everyone may write"
    elif not is_trusted(status):
        why = f"{link} is a link that another user made"
    else:
        return
    place = shlex.quote(str(_target(link)))
    raise PermissionError(errno.EPERM, f"{why}; put {place} in its place if that is meant")


def _target(link: Path) -> Path:
    """Return where a link leads, by a name that leads there from any folder.

    `link` is in a folder that is named without a link, so what the target begins with can be
    resolved on paper; what follows may have links of its own.
    """
    target = link.readlink()
    place, names = link.parent / target.anchor, deque(_parts(target))
    while names and names[0] == os.pardir:
        names.popleft()
        place = place.parent
    return place.joinpath(*names)


def is_everyones(folder: Path) -> bool:
    """Whether every user may write in a folder, as in /tmp. Raises OSError."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def is_trusted(status: os.stat_result) -> bool:
    """Whether a file with this status belongs to this user, or to root."""
    return status.st_uid in (0, os.geteuid())


_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database, by a URL that holds no secret: the forms are libpq's."""

    url: str

    def __str__(self) -> str:
        return self.url


Place = Path | Database


def parse_place(named: "str | os.PathLike[str] | Database") -> Place:
    """Return the place that a path or a URL names. Raises ValueError."""
    if isinstance(named, Database):
        return named
    if isinstance(named, os.PathLike):
        return Path(named)
    if not isinstance(named, str):
        raise ValueError(f"{named!r} names neither a file nor a database")
    scheme, separator, rest = named.partition("://")
    if not separator or "/" in scheme:
        return Path(named)
    if scheme not in _SCHEMES:
        raise ValueError(
            f"a journal is a file, or a PostgreSQL database (postgresql://HOST/NAME); {scheme}: "
            "is neither"
        )
    url = urlsplit(named)
    if url.password or any(name in _SECRETS for name, _ in parse_qsl(url.query)):
        raise ValueError(
            "a password in a URL is seen by everyone on this machine: leave it out, and give it in "
            "PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"
        )
    return Database(f"postgresql://{rest}")


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing. Raises OSError."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def close_to_others(path: Path) -> bool:
    """Take the rights of users who are neither owner nor group; return whether they had any.

    A group's stay: nobody has them by accident. Raises OSError, such as where it is not ours.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IRWXO:
        return False
    path.chmod(mode & ~stat.S_IRWXO)
    return True


def folder_of_user(find: Callable[[str], Path]) -> Path | None:
    """Return a folder of ours among the user's, as platformdirs finds it; None: there is no home.

    Of a user without HOME and without an entry in passwd, as in containers, there is none. Some
    versions of platformdirs then raise, others return a path that begins with `~`.
    """
    try:
        folder = find("batch-resend")
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None


def user_and_host() -> str:
    """Return who runs this where, as `user@host`; of a user without a name, the number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # as in containers: no variable and no entry in passwd names one
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"
