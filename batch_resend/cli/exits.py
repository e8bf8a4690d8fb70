"""Exit codes: other programs rely on them."""

import signal
from enum import IntEnum

from batch_resend.errors import BatchResendError, JournalBusy, KeyRefused, UnknownColumn


class ExitCode(IntEnum):
    """How a command ended. An interrupted one ends with 128 and the signal's number."""

    ALL_WELL = 0
    NOT_STARTED = 1
    WRONG_USAGE = 2
    NOT_ALL_SENT = 3
    STOPPED = 4
    JOURNAL_BUSY = 5


SIGNAL_BASE = 128

MEANINGS = {
    ExitCode.ALL_WELL: "every order accepted, or rightly skipped",
    ExitCode.NOT_STARTED: "could not start, nothing was sent: unreadable input, no key, bad "
    "settings, or (sweep, --preflight) a CA that cannot be asked first",
    ExitCode.WRONG_USAGE: "wrong usage",
    ExitCode.NOT_ALL_SENT: "finished, but a row was rejected or an order was not accepted, or the "
    "report could not be written",
    ExitCode.STOPPED: "stopped early: the CA refused the API key; or, while sending, wrong URL, CA "
    "gone for too long, journal not writable",
    ExitCode.JOURNAL_BUSY: "another run holds the journal",
}
WITHOUT_ORDERS = {  # what they mean of commands that send nothing
    ExitCode.ALL_WELL: "done",
    ExitCode.NOT_STARTED: "could not be done; the message says why",
    ExitCode.STOPPED: "the CA refused the API key",
}
OF_DOCTOR = {  # of a command that looks whether a run could send
    ExitCode.ALL_WELL: "nothing would keep a run from sending; there may be warnings",
    ExitCode.NOT_STARTED: "could not start: bad settings",
    ExitCode.STOPPED: "a problem would keep a run from sending; its line says what to do",
    ExitCode.JOURNAL_BUSY: "another run holds the journal, so the CA was not asked; no problem "
    "was found besides",
}
SIGNALLED = ("129, 130, 143", "interrupted by SIGHUP, SIGINT, SIGTERM")


class Interrupted(Exception):
    """A signal has ended a command before there was anything to bring to an end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def code_of_error(error: BatchResendError) -> ExitCode:
    """Return the code of a command that an error has ended."""
    if isinstance(error, JournalBusy):
        return ExitCode.JOURNAL_BUSY
    if isinstance(error, KeyRefused):
        return ExitCode.STOPPED
    if isinstance(error, UnknownColumn):
        return ExitCode.WRONG_USAGE
    return ExitCode.NOT_STARTED
