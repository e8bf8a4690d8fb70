"""Outcomes -> what a person reads. Knows the journal, and nothing of sending."""

from batch_resend.report.preview import (
    MOST_DOMAINS_ASKED,
    Kind,
    MailDomainsAsked,
    Preview,
    make_preview,
)
from batch_resend.report.redaction import redacted, without_quotes
from batch_resend.report.report import make_summary, prepare_report, whole_file, write_report
from batch_resend.report.summary import (
    BackPressure,
    NextFlags,
    NextStep,
    Presentation,
    Summary,
    counted,
    headline,
    in_words,
    next_steps,
)
from batch_resend.report.tables import defused

__all__ = [
    "MOST_DOMAINS_ASKED",
    "BackPressure",
    "Kind",
    "MailDomainsAsked",
    "NextFlags",
    "NextStep",
    "Presentation",
    "Preview",
    "Summary",
    "counted",
    "defused",
    "headline",
    "in_words",
    "make_preview",
    "make_summary",
    "next_steps",
    "prepare_report",
    "redacted",
    "whole_file",
    "without_quotes",
    "write_report",
]
