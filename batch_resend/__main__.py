"""Where the program starts: `batch-resend`, and `python -m batch_resend`."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    open_missing_streams()
    from batch_resend.cli import main as run_command_line  # noqa: PLC0415 - it may open files

    run_command_line()


def open_missing_streams() -> None:
    """Open standard streams that were closed before the start on /dev/null.

    The next file to be opened would take the number of a closed one: a journal would be descriptor
    2, and each message be written into it. libuv (uvloop) aborts when it finds one of them closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)  # as a standard stream is
    # Python has none where the descriptor was closed. They stay open as long as the process.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)


if __name__ == "__main__":
    main()
