"""Several hosts share a journal on PostgreSQL; a test sets their clock."""

from tests.journal.conftest import clock

__all__ = ["clock"]
