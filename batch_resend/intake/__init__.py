"""File -> raw record -> Row, or RejectedRow with its line and reason.

Rows are streamed: nothing here holds more than one of them, but for a sheet of Excel.
"""

from typing import TYPE_CHECKING

from batch_resend.on_demand import imported_on_demand

if TYPE_CHECKING:
    from batch_resend.intake.cells import Malformed, domain_name, email_address, named, order_number
    from batch_resend.intake.exports import is_dv, skip_cause
    from batch_resend.intake.fed_back import OWN_COLUMNS
    from batch_resend.intake.fields import REQUEST_FIELDS, Field, known_field
    from batch_resend.intake.reading import Reading, checked_or_none
    from batch_resend.intake.records import NAMES_NOBODY
    from batch_resend.intake.sources import (
        Given,
        ListSource,
        RecordSource,
        Source,
        batches,
        refuse_ignored,
    )
    from batch_resend.intake.suggestions import listed, map_flag

__all__ = [
    "NAMES_NOBODY",
    "OWN_COLUMNS",
    "REQUEST_FIELDS",
    "Field",
    "Given",
    "ListSource",
    "Malformed",
    "Reading",
    "RecordSource",
    "Source",
    "batches",
    "checked_or_none",
    "domain_name",
    "email_address",
    "is_dv",
    "known_field",
    "listed",
    "map_flag",
    "named",
    "order_number",
    "refuse_ignored",
    "skip_cause",
]

__getattr__ = imported_on_demand(
    __name__,
    {
        "cells": ("Malformed", "domain_name", "email_address", "named", "order_number"),
        "exports": ("is_dv", "skip_cause"),
        "fed_back": ("OWN_COLUMNS",),
        "fields": ("REQUEST_FIELDS", "Field", "known_field"),
        "reading": ("Reading", "checked_or_none"),
        "records": ("NAMES_NOBODY",),
        "sources": ("Given", "ListSource", "RecordSource", "Source", "batches", "refuse_ignored"),
        "suggestions": ("listed", "map_flag"),
    },
)
