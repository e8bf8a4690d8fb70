"""Whether everything is there to send: journal, key, network, clock, and answers as expected.

A few harmless reads; nothing is mailed.
"""

from batch_resend.doctor.examination import Setup, Subject, examine
from batch_resend.doctor.findings import Check, Diagnosis, Finding, Group, Result

__all__ = [
    "Check",
    "Diagnosis",
    "Finding",
    "Group",
    "Result",
    "Setup",
    "Subject",
    "examine",
]
