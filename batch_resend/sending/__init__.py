"""Pending order -> outcome: the workers, the windows, the retries, and when to wait."""

from batch_resend.sending.fetcher import Fetcher, ask_each
from batch_resend.sending.gate import Canary, Gate
from batch_resend.sending.history import Flow
from batch_resend.sending.limiter import HeldTooLong, Hold, Limiter, Share, Slot, WindowLimiter
from batch_resend.sending.retry import RetryPolicy
from batch_resend.sending.sender import Progress, Sender
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
