"""The run on disk: planned, attempted, finished."""

from batch_resend.journal.grouping import Endpoint
from batch_resend.journal.journal import (
    Journal,
    open_journal,
    prune_journal,
    read_journal,
    size_of_journal,
)
from batch_resend.journal.lately import copy_lately, last_budgets, resumed_instead
from batch_resend.journal.planning import Staging
from batch_resend.journal.reading import (
    LATEST,
    JournalReader,
    NotedRequest,
    Unapproved,
)
from batch_resend.journal.recording import Pause, Purpose, ReadRecorder, Recorder
from batch_resend.journal.results import Event, mention_of
from batch_resend.journal.runs import CUT_OFF, OwnAccount, Pruned, Terms, settled_since
from batch_resend.journal.statistics import (
    RATE_OVER_S,
    ActivePeriod,
    AnswerTimes,
    LiveStatus,
    MadeInStep,
    PauseNote,
    Pausing,
    Reason,
)
from batch_resend.results import Checked, OrderCheck, WaitingNames

__all__ = [
    "CUT_OFF",
    "LATEST",
    "RATE_OVER_S",
    "ActivePeriod",
    "AnswerTimes",
    "Checked",
    "Endpoint",
    "Event",
    "Journal",
    "JournalReader",
    "LiveStatus",
    "MadeInStep",
    "NotedRequest",
    "OrderCheck",
    "OwnAccount",
    "Pause",
    "PauseNote",
    "Pausing",
    "Pruned",
    "Purpose",
    "ReadRecorder",
    "Reason",
    "Recorder",
    "Staging",
    "Terms",
    "Unapproved",
    "WaitingNames",
    "copy_lately",
    "last_budgets",
    "mention_of",
    "open_journal",
    "prune_journal",
    "read_journal",
    "resumed_instead",
    "settled_since",
    "size_of_journal",
]
