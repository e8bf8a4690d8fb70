"""The CA: requests to it, what its answers mean, and a simulator to rehearse against."""

from batch_resend.certcentral.client import (
    CertCentral,
    Route,
    open_certcentral,
    request_body,
    request_path,
)
from batch_resend.certcentral.judge import judge, remedy
from batch_resend.certcentral.orders import (
    Page,
    every_order,
    info_path,
    list_path,
    read_info,
    read_page,
)
from batch_resend.certcentral.probe import Failure, Probe, Step, probe

__all__ = [
    "CertCentral",
    "Failure",
    "Page",
    "Probe",
    "Route",
    "Step",
    "every_order",
    "info_path",
    "judge",
    "list_path",
    "open_certcentral",
    "probe",
    "read_info",
    "read_page",
    "remedy",
    "request_body",
    "request_path",
]
