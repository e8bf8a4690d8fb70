"""The CA: requests to it, and what its answers mean. What it has, `orders` reads."""

from batch_resend.certcentral.client import CertCentral, Route, open_certcentral
from batch_resend.certcentral.judge import judge
from batch_resend.certcentral.probe import Failure, Probe, Step, probe

__all__ = ["CertCentral", "Failure", "Probe", "Route", "Step", "judge", "open_certcentral", "probe"]
