"""The run on disk: planned, attempted, finished."""

from batch_resend.journal.database import held_by
from batch_resend.journal.journal import Journal, open_journal, read_journal
from batch_resend.journal.planning import Staging
from batch_resend.journal.reading import JournalReader
from batch_resend.journal.recording import Recorder

__all__ = [
    "Journal",
    "JournalReader",
    "Recorder",
    "Staging",
    "held_by",
    "open_journal",
    "read_journal",
]
