"""File -> raw record -> Row, or RejectedRow with its line and reason.

Rows are streamed: nothing here holds more than one of them.
"""

from batch_resend.intake.headings import Field
from batch_resend.intake.sources import ListSource, RecordSource, Source

__all__ = ["Field", "ListSource", "RecordSource", "Source"]
