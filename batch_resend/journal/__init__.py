"""The run on disk: planned, attempted, finished."""

from batch_resend.journal.grouping import Endpoint
from batch_resend.journal.journal import (
    Journal,
    open_journal,
    prune_journal,
    read_journal,
    size_of_journal,
)
from batch_resend.journal.orders import (
    SEVERAL,
    Checked,
    Mailed,
    NotedRequest,
    OrderCheck,
    Unapproved,
    WaitingNames,
)
from batch_resend.journal.planning import Staging
from batch_resend.journal.reading import LATEST, JournalReader
from batch_resend.journal.recording import Purpose, ReadRecorder, Recorder
from batch_resend.journal.results import (
    RATE_OVER_S,
    ActivePeriod,
    AnswerTimes,
    Event,
    LiveStatus,
    PauseNote,
    Reason,
)
from batch_resend.journal.runs import Pruned, Terms

__all__ = [
    "LATEST",
    "RATE_OVER_S",
    "SEVERAL",
    "ActivePeriod",
    "AnswerTimes",
    "Checked",
    "Endpoint",
    "Event",
    "Journal",
    "JournalReader",
    "LiveStatus",
    "Mailed",
    "NotedRequest",
    "OrderCheck",
    "PauseNote",
    "Pruned",
    "Purpose",
    "ReadRecorder",
    "Reason",
    "Recorder",
    "Staging",
    "Terms",
    "Unapproved",
    "WaitingNames",
    "open_journal",
    "prune_journal",
    "read_journal",
    "size_of_journal",
]
