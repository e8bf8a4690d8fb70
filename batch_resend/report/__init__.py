"""Outcomes -> what a person reads. Knows the journal, and nothing of sending."""

from batch_resend.report.files import whole_file
from batch_resend.report.preview import Kind, Preview, make_preview
from batch_resend.report.report import make_summary, write_report
from batch_resend.report.summary import BackPressure, Summary

__all__ = [
    "BackPressure",
    "Kind",
    "Preview",
    "Summary",
    "make_preview",
    "make_summary",
    "whole_file",
    "write_report",
]
