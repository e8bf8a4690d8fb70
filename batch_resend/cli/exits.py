"""Exit codes: other programs rely on them."""

from enum import IntEnum

from batch_resend.errors import BatchResendError, JournalBusy


class ExitCode(IntEnum):
    """How a command ended. An interrupted one ends with 128 and the signal's number."""

    ALL_WELL = 0  # every order accepted, or rightly skipped
    NOT_STARTED = 1  # unreadable input, no key, bad settings
    WRONG_USAGE = 2  # the command line itself
    NOT_ALL_SENT = 3  # finished, but a row was rejected or an order was not accepted
    STOPPED = 4  # stopped early: key refused, CA gone for too long
    JOURNAL_BUSY = 5  # another run holds the journal


SIGNAL_BASE = 128


def code_of_error(error: BatchResendError) -> ExitCode:
    """Return the code of a command that an error has ended."""
    if isinstance(error, JournalBusy):
        return ExitCode.JOURNAL_BUSY
    return ExitCode.NOT_STARTED
