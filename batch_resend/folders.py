"""Folders that only their owner may look into, whatever the umask; and where a user's are."""

from collections.abc import Callable
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing. Raises OSError."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


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
