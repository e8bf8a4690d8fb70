"""Folders and files that only their owner may look into, whatever the umask.

And where a user's folders are.
"""

import stat
from collections.abc import Callable
from pathlib import Path


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
