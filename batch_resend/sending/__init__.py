"""Pending order -> outcome: the workers, the windows, the retries, and when to wait."""

from batch_resend.sending.fetcher import Fetcher, ask_each
from batch_resend.sending.gate import Canary, Gate
from batch_resend.sending.history import Flow
from batch_resend.sending.limiter import Share, WindowLimiter
from batch_resend.sending.retry import RetryPolicy
from batch_resend.sending.sender import Progress, Sender

__all__ = [
    "Canary",
    "Fetcher",
    "Flow",
    "Gate",
    "Progress",
    "RetryPolicy",
    "Sender",
    "Share",
    "WindowLimiter",
    "ask_each",
]
