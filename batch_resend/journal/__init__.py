"""The run on disk: planned, attempted, finished."""

from batch_resend.journal.checks import Checked, OrderCheck, Purpose, WaitingNames
from batch_resend.journal.grouping import Party
from batch_resend.journal.history import Event
from batch_resend.journal.journal import Journal
from batch_resend.journal.leases import Hand
from batch_resend.journal.live_status import RATE_OVER_S, Standing
from batch_resend.journal.mails import Mailed
from batch_resend.journal.opening import (
    open_journal,
    prune_journal,
    read_journal,
    size_of_journal,
)
from batch_resend.journal.planning import Staging
from batch_resend.journal.preview import NotedOrder
from batch_resend.journal.pruning import Pruned
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.recording import ReadRecorder, Recorder
from batch_resend.journal.slots import Budget, Grant, KeyUse, News, Slots
from batch_resend.journal.starting import Terms
from batch_resend.journal.statistics import AnswerTimes, PauseNote, Reason, Spell
from batch_resend.journal.unapproved import SEVERAL, Unapproved

__all__ = [
    "RATE_OVER_S",
    "SEVERAL",
    "AnswerTimes",
    "Budget",
    "Checked",
    "Event",
    "Grant",
    "Hand",
    "Journal",
    "JournalReader",
    "KeyUse",
    "Mailed",
    "News",
    "NotedOrder",
    "OrderCheck",
    "Party",
    "PauseNote",
    "Pruned",
    "Purpose",
    "ReadRecorder",
    "Reason",
    "Recorder",
    "Slots",
    "Spell",
    "Staging",
    "Standing",
    "Terms",
    "Unapproved",
    "WaitingNames",
    "open_journal",
    "prune_journal",
    "read_journal",
    "size_of_journal",
]
