"""The CA: one call, what its answers mean, and a simulator to rehearse against."""

from batch_resend.certcentral.client import (
    CertCentral,
    Route,
    open_certcentral,
    request_body,
    request_path,
)
from batch_resend.certcentral.judge import judge, remedy

__all__ = [
    "CertCentral",
    "Route",
    "judge",
    "open_certcentral",
    "remedy",
    "request_body",
    "request_path",
]
