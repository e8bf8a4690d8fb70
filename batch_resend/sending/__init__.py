"""Pending order -> outcome: the workers, the windows, the retries, and when to wait."""

from batch_resend.sending.canary import Canary
from batch_resend.sending.events import Flow
from batch_resend.sending.fetcher import Fetcher, ask_each
from batch_resend.sending.gate import Gate
from batch_resend.sending.limiter import HeldTooLong, Hold, Limiter, Slot, WindowLimiter
from batch_resend.sending.retry import RetryPolicy
from batch_resend.sending.sender import Progress, Sender
from batch_resend.sending.share import Share
from batch_resend.sending.shared import SharedLimiter

__all__ = [
    "Canary",
    "Fetcher",
    "Flow",
    "Gate",
    "HeldTooLong",
    "Hold",
    "Limiter",
    "Progress",
    "RetryPolicy",
    "Sender",
    "Share",
    "SharedLimiter",
    "Slot",
    "WindowLimiter",
    "ask_each",
]
