"""File -> raw record -> Row, or RejectedRow with its line and reason.

Rows are streamed: nothing here holds more than one of them, but for a sheet of Excel.
"""

from batch_resend.intake.headings import REQUEST_FIELDS, Field
from batch_resend.intake.sources import ListSource, Reading, RecordSource, Source

__all__ = ["REQUEST_FIELDS", "Field", "ListSource", "Reading", "RecordSource", "Source"]
