"""Folders that only their owner may look into, whatever the umask."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing. Raises OSError."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
