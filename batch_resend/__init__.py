"""Resend the approval (DCV) e-mails of many CertCentral orders.

The command line, `batch-resend`, is one user of this small library: see `batch_resend.batch`.
"""

from batch_resend.batch import Batch, open_batch
from batch_resend.errors import (
    BatchResendError,
    InputError,
    JournalBusy,
    JournalError,
    ReportError,
    SettingsError,
    UnknownRun,
)
from batch_resend.intake import Field, ListSource, Reading, RecordSource
from batch_resend.lanes import Sending
from batch_resend.model import Call, Entry, Order, OrderStatus, Outcome, Plan, Row, RunState
from batch_resend.report import Presentation, Summary
from batch_resend.settings import Account, InDoubt, Region, Settings
from batch_resend.version import __version__
from batch_resend.windows import Window

__all__ = [
    "Account",
    "Batch",
    "BatchResendError",
    "Call",
    "Entry",
    "Field",
    "InDoubt",
    "InputError",
    "JournalBusy",
    "JournalError",
    "ListSource",
    "Order",
    "OrderStatus",
    "Outcome",
    "Plan",
    "Presentation",
    "Reading",
    "RecordSource",
    "Region",
    "ReportError",
    "Row",
    "RunState",
    "Sending",
    "Settings",
    "SettingsError",
    "Summary",
    "UnknownRun",
    "Window",
    "__version__",
    "open_batch",
]
