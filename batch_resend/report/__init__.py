"""Outcomes -> what a person reads. Knows the journal, and nothing of sending."""

from typing import TYPE_CHECKING

from batch_resend.on_demand import imported_on_demand

if TYPE_CHECKING:
    from batch_resend.report.advice import NextFlags, NextStep, Presentation, next_steps
    from batch_resend.report.folder import (
        DEFAULT_PATTERN,
        check_pattern,
        folder_of,
        found_in,
        has_report,
        index_folder,
        is_up_to_date,
        old_reports,
        remove_reports,
        set_aside,
        url_of,
    )
    from batch_resend.report.live import LiveReport, keep_report_of_workers, live_report
    from batch_resend.report.preview import (
        MOST_DOMAINS_ASKED,
        Kind,
        MailDomainsAsked,
        Preview,
        make_preview,
        plan_of,
        with_mail_routes,
    )
    from batch_resend.report.report import prepare_report, update_index, whole_file, write_report
    from batch_resend.report.summary import (
        BackPressure,
        Summary,
        answer_in_words,
        counted,
        headline,
        in_words,
        make_summary,
        outcome_in_words,
        sweep_in_words,
        time_taken,
        verdict_in_words,
    )

__all__ = [
    "DEFAULT_PATTERN",
    "MOST_DOMAINS_ASKED",
    "BackPressure",
    "Kind",
    "LiveReport",
    "MailDomainsAsked",
    "NextFlags",
    "NextStep",
    "Presentation",
    "Preview",
    "Summary",
    "answer_in_words",
    "check_pattern",
    "counted",
    "folder_of",
    "found_in",
    "has_report",
    "headline",
    "in_words",
    "index_folder",
    "is_up_to_date",
    "keep_report_of_workers",
    "live_report",
    "make_preview",
    "make_summary",
    "next_steps",
    "old_reports",
    "outcome_in_words",
    "plan_of",
    "prepare_report",
    "remove_reports",
    "set_aside",
    "sweep_in_words",
    "time_taken",
    "update_index",
    "url_of",
    "verdict_in_words",
    "whole_file",
    "with_mail_routes",
    "write_report",
]

__getattr__ = imported_on_demand(
    __name__,
    {
        "advice": ("NextFlags", "NextStep", "Presentation", "next_steps"),
        "folder": (
            "DEFAULT_PATTERN",
            "check_pattern",
            "folder_of",
            "found_in",
            "has_report",
            "index_folder",
            "is_up_to_date",
            "old_reports",
            "remove_reports",
            "set_aside",
            "url_of",
        ),
        "live": ("LiveReport", "keep_report_of_workers", "live_report"),
        "preview": (
            "MOST_DOMAINS_ASKED",
            "Kind",
            "MailDomainsAsked",
            "Preview",
            "make_preview",
            "plan_of",
            "with_mail_routes",
        ),
        "report": ("prepare_report", "update_index", "whole_file", "write_report"),
        "summary": (
            "BackPressure",
            "Summary",
            "answer_in_words",
            "counted",
            "headline",
            "in_words",
            "make_summary",
            "outcome_in_words",
            "sweep_in_words",
            "time_taken",
            "verdict_in_words",
        ),
    },
)
