"""Pending order -> outcome: the workers, the rate limits, the retries, and when to wait."""

from batch_resend.sending.breaker import CircuitBreaker
from batch_resend.sending.breaker_state import Flow
from batch_resend.sending.channel import CA, Channel, Progress, RetryPolicy
from batch_resend.sending.limiter import HeldTooLong, Hold, Limiter, Share, Slot, WindowLimiter
from batch_resend.sending.reader import Reader, ask_each
from batch_resend.sending.sender import Sender
from batch_resend.sending.shared import SharedLimiter

__all__ = [
    "CA",
    "Channel",
    "CircuitBreaker",
    "Flow",
    "HeldTooLong",
    "Hold",
    "Limiter",
    "Progress",
    "Reader",
    "RetryPolicy",
    "Sender",
    "Share",
    "SharedLimiter",
    "Slot",
    "WindowLimiter",
    "ask_each",
]
