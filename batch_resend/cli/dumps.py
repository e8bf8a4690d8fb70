"""Keeps the memory of a process that knows an API key to itself.

A core dump would hold the key, and stay on disk, or go to whatever collects dumps on the machine.
"""

import resource
import sys
from contextlib import suppress

_PR_SET_DUMPABLE = 4  # prctl(2), of Linux


def keep_memory_private() -> None:
    """Have no core dumped, and no other process of this user look into this one's memory.

    The limit alone is not heeded where dumps are piped to a program (core(5)). Debuggers of the
    same user cannot attach either; root's can.
    """
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            from ctypes import CDLL  # noqa: PLC0415 - only for a command that has a key

            CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
