"""How a run ended -> who is to be woken. A failure here never changes what a run comes to."""

from batch_resend.notify.notifier import CommandResult, Notifier

__all__ = ["CommandResult", "Notifier"]
