"""Outcomes -> what a person reads. Knows the journal, and nothing of sending."""

from batch_resend.report.report import make_summary, write_report
from batch_resend.report.summary import Summary

__all__ = ["Summary", "make_summary", "write_report"]
