"""Everything this package raises on purpose.

    BatchResendError
    ├── SettingsError      a setting is missing or makes no sense
    │   └── UnknownColumn  no list has the column that an option names
    ├── InputError         a list cannot be read at all (a bad row is a RejectedRow, not an error)
    │   └── NoRows         it has a heading, and no rows
    ├── JournalError       the journal cannot be opened, read or written
    │   ├── JournalBusy    another run holds it
    │   ├── NoJournal      there is none yet
    │   └── UnknownRun     no such run in it
    │       └── AmbiguousRun  several, whose names begin so
    ├── ReportError        a report file cannot be written
    └── CallError          the CA cannot be read: gone, or none that answers so
        ├── CallRefused    it says no to this one read
        └── KeyRefused     it refuses the API key

A request that fails is not an exception: it is an `Outcome`.
"""


class BatchResendError(Exception):
    """Base of all errors a caller may expect. The text says what to do next."""


class SettingsError(BatchResendError):
    """A setting is missing or makes no sense."""


class UnknownColumn(SettingsError):
    """No list has the column that an option names."""


class InputError(BatchResendError):
    """A list cannot be read at all; the text names the file, the line and a remedy."""


class NoRows(InputError):
    """A list has a heading, and no rows."""


class JournalError(BatchResendError):
    """The journal cannot be opened, read or written."""


class JournalBusy(JournalError):
    """Another run holds the journal."""


class NoJournal(JournalError):
    """There is no journal yet: the first run makes it."""


class UnknownRun(JournalError):
    """The journal has no run of that name."""


class AmbiguousRun(UnknownRun):
    """The names of several runs begin so; the text names them."""


class CallError(BatchResendError):
    """What is to be read of the CA cannot be had."""


class CallRefused(CallError):
    """The CA says no to one read, such as of an order that it does not have."""

    def __init__(self, text: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status  # of HTTP; None: there was no answer
        self.code = code  # of the CA's, such as `not_found|order`


class KeyRefused(CallError):
    """The CA refuses the API key: nothing that goes by it will pass."""


class ReportError(BatchResendError):
    """A report file cannot be written. The run itself is safe in the journal."""
