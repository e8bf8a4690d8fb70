"""Where the program starts: `batch-resend`, and `python -m batch_resend`."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    open_missing_streams()
    # Only now: whatever an import opens must not become a standard stream.
    from batch_resend.cli import main as run_command_line  # noqa: PLC0415

    run_command_line()


def open_missing_streams() -> None:
    """Open standard streams that whoever started the program has closed on /dev/null.

    The next file to be opened would take the number of a closed one: a journal would be descriptor
    2, and each message be written into it. libuv (uvloop) aborts when it finds one of them closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)  # as a standard stream is
    # Python has none where the descriptor was closed.
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(  # noqa: SIM115
            2, "w", errors="backslashreplace", closefd=False
        )


if __name__ == "__main__":
    main()
