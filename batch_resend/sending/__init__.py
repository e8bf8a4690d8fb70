"""Pending order -> outcome: the workers, the rate limits, the retries, and when to wait."""

from batch_resend.sending.breaker import CircuitBreaker
from batch_resend.sending.breaker_state import Flow
from batch_resend.sending.channel import CA, Channel, Leave, Progress
from batch_resend.sending.limiter import Share, WindowLimiter
from batch_resend.sending.reader import MOST_AHEAD, Reader, ask_each
from batch_resend.sending.retry import RetryPolicy
from batch_resend.sending.sender import Sender

__all__ = [
    "CA",
    "MOST_AHEAD",
    "Channel",
    "CircuitBreaker",
    "Flow",
    "Leave",
    "Progress",
    "Reader",
    "RetryPolicy",
    "Sender",
    "Share",
    "WindowLimiter",
    "ask_each",
]
