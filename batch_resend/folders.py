"""Folders that only their owner may look into, whatever the umask."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing. Raises OSError."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
