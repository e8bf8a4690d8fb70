"""Resend the approval (DCV) e-mails of many CertCentral orders.

The command line, `batch-resend`, is one user of this small library: see `batch_resend.batch`.
"""

from typing import TYPE_CHECKING

from batch_resend.on_demand import imported_on_demand
from batch_resend.version import __version__

if TYPE_CHECKING:
    from batch_resend.batch import Batch, open_batch, resend
    from batch_resend.channels import RunHandle
    from batch_resend.errors import (
        BatchResendError,
        CallError,
        InputError,
        JournalBusy,
        JournalError,
        ReportError,
        SettingsError,
        UnknownRun,
    )
    from batch_resend.intake import Field, ListSource, Reading, RecordSource
    from batch_resend.journal import JournalReader, read_journal
    from batch_resend.model import Call, Entry, Outcome, Plan, Request, RequestStatus, Row, RunState
    from batch_resend.report import Presentation, Summary
    from batch_resend.settings import Account, InDoubt, Region, Settings
    from batch_resend.windows import Window

__all__ = [
    "Account",
    "Batch",
    "BatchResendError",
    "Call",
    "CallError",
    "Entry",
    "Field",
    "InDoubt",
    "InputError",
    "JournalBusy",
    "JournalError",
    "JournalReader",
    "ListSource",
    "Outcome",
    "Plan",
    "Presentation",
    "Reading",
    "RecordSource",
    "Region",
    "ReportError",
    "Request",
    "RequestStatus",
    "Row",
    "RunHandle",
    "RunState",
    "Settings",
    "SettingsError",
    "Summary",
    "UnknownRun",
    "Window",
    "__version__",
    "open_batch",
    "read_journal",
    "resend",
]

# `batch-resend --help` is to answer without what only sending needs.
__getattr__ = imported_on_demand(
    __name__,
    {
        "batch": ("Batch", "open_batch", "resend"),
        "errors": (
            "BatchResendError",
            "CallError",
            "InputError",
            "JournalBusy",
            "JournalError",
            "ReportError",
            "SettingsError",
            "UnknownRun",
        ),
        "intake": ("Field", "ListSource", "Reading", "RecordSource"),
        "journal": ("JournalReader", "read_journal"),
        "channels": ("RunHandle",),
        "model": (
            "Call",
            "Entry",
            "Request",
            "RequestStatus",
            "Outcome",
            "Plan",
            "Row",
            "RunState",
        ),
        "report": ("Presentation", "Summary"),
        "settings": ("Account", "InDoubt", "Region", "Settings"),
        "windows": ("Window",),
    },
)
