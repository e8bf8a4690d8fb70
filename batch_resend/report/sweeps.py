"""What a sweep has found, in words."""

from batch_resend.report.summary import counted
from batch_resend.results import SweepCounts


def sweep_in_words(counts: SweepCounts) -> str:
    """Return what a sweep has found, in one sentence without its full stop."""
    most = counted(counts.max_mails, "mail")
    kinds = (
        (counts.due + counts.left_for_later, f"due{_of_which(counts)}"),
        (counts.too_young, "too young"),
        (counts.mailed_lately, "mailed within the cooldown"),
        (counts.stuck, f"stuck: at the limit of {most} (--max-mails-per-order)"),
        (counts.excluded, "excluded (--exclude)"),
        (
            counts.nothing_to_mail,
            "with nothing to mail (not by e-mail, or approved)",
        ),
        (counts.other_call, "perhaps waiting for mails of another call (not DV)"),
        (
            counts.not_asked,
            "not asked about (--max-orders): left for the next sweep or with nothing to mail",
        ),
        (counts.unusable, "more in the CA's list without an order number (the log names them)"),
    )
    parts = ", ".join(f"{count:,} {what}" for count, what in kinds if count)
    waits = f"{counted(counts.waiting, 'order')} {'waits' if counts.waiting == 1 else 'wait'}"
    return f"{waits}{f': {parts}' if parts else ''}{_of_those_before(counts)}"


def _of_which(counts: SweepCounts) -> str:
    """Return which of the orders that are due the sweep mails; "" where it mails all."""
    if not counts.left_for_later:
        return ""
    left = f"{counts.left_for_later:,} left for the next sweep"
    return f" ({counts.due:,} in this sweep, {left}: --max-orders)"


def _of_those_before(counts: SweepCounts) -> str:
    """Return what has come of the orders that the last run to mail any has mailed."""
    gone = counts.no_longer_waiting
    if counts.mailed_before is None or gone is None:
        return ""
    return (
        f"; of {counts.mailed_before:,} mailed by {counts.mailed_by}, the last run to mail any, "
        f"{gone:,} no longer {'waits' if gone == 1 else 'wait'}"
    )
