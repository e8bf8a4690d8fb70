"""The CA: requests to it, and what its answers mean."""

from batch_resend.certcentral.client import (
    CertCentral,
    Route,
    open_certcentral,
    request_body,
    request_path,
)
from batch_resend.certcentral.judge import judge, remedy
from batch_resend.certcentral.orders import (
    LONGEST_CHANGES_S,
    REPORT_PATH,
    Page,
    changes_path,
    domain_emails_path,
    every_order,
    info_path,
    list_path,
    read_changes,
    read_domain_emails,
    read_info,
    read_methods,
    read_page,
    read_validation,
    validation_path,
)
from batch_resend.certcentral.probe import Failure, Probe, Step, probe

__all__ = [
    "LONGEST_CHANGES_S",
    "REPORT_PATH",
    "CertCentral",
    "Failure",
    "Page",
    "Probe",
    "Route",
    "Step",
    "changes_path",
    "domain_emails_path",
    "every_order",
    "info_path",
    "judge",
    "list_path",
    "open_certcentral",
    "probe",
    "read_changes",
    "read_domain_emails",
    "read_info",
    "read_methods",
    "read_page",
    "read_validation",
    "remedy",
    "request_body",
    "request_path",
    "validation_path",
]
