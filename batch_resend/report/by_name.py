"""A run that is resumed by its name only: in words, what its successor left of it.

Another run has sent its unsent.csv, or its list again, perhaps without rows that a person deleted.
Only that person knows whether they are still to be sent.
"""

from batch_resend.report.summary import counted
from batch_resend.results import Rest


def to_resume_by_name(rest: Rest | None, doubts: str = "") -> str:
    """Return what is left of such a run, and what resuming it is for; "" of any other run.

    It stands before the command, and behind the name of the run. `doubts`: what else is to be said
    of what is left, with a blank before it.
    """
    left = sum(rest.left.values()) if rest else 0
    if rest is None or rest.successor is None or not left:
        return ""
    later, name = rest.successor
    if not (count := rest.left_out):
        return (
            f"{counted(left, 'order')} left, all of which run {later} had from {name}.{doubts} To "
            f"send {'it' if left == 1 else 'them'} by this run"
        )
    which = counted(count, "order") if count == left else f"{count:,} of {left:,} orders left"
    was, it = ("was", "it") if count == 1 else ("were", "them")
    return (
        f"{which} {was} not in {name}, or {was} changed there, when run {later} sent that "
        f"list.{doubts} To send {it if count == left else 'all that is left'} after all, unchanged"
    )
