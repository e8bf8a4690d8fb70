"""What came of a run, in one sentence, and what to do next: for the terminal and the page alike."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from batch_resend.durations import format_duration
from batch_resend.model import OrderStatus
from batch_resend.report.summary import Summary

STATUS_MEANINGS = {
    OrderStatus.SENT: "the CA acknowledged it: the mails are on their way",
    OrderStatus.REFUSED: "the CA said no, for good",
    OrderStatus.FAILED: "attempts or time used up; surely not mailed",
    OrderStatus.IN_DOUBT: "it may have been mailed: no answer came back",
    OrderStatus.NOT_ATTEMPTED: "the run stopped first",
    OrderStatus.SKIPPED: "nothing to do: acknowledged within the cooldown, or its list says so",
}


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a report speaks to whom."""

    flags: str = ""  # of the run's command line, that a next command needs as well
    redact: bool = False  # mask e-mail addresses


PLAIN = Presentation()


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do after a run, and the command that does it, where one does."""

    text: str
    command: str | None = None


def in_words(status: str) -> str:
    """Return a status as a person reads it."""
    return status.replace("_", " ")


def headline(summary: Summary) -> str:
    """Return what came of a run, in one sentence without its full stop."""
    orders = summary.orders
    if summary.started_at is None:
        return f"Nothing was sent: {summary.stop_reason or 'the run was never started'}"
    beginning = {"completed": "", "stopped": "Stopped early: ", "interrupted": "Interrupted: "}
    how = beginning[summary.state]
    if summary.finished_at is None:
        how = "So far (it is under way, or was cut off): "
    took = f" in {format_duration(summary.elapsed_s)}" if summary.elapsed_s else ""
    told = f"{how}{orders.sent:,} of {orders.total:,} orders sent{took}"
    others = [
        f"{count:,} {in_words(status)}"
        for status in OrderStatus
        if status is not OrderStatus.SENT and (count := getattr(orders, status))
    ]
    if rejected := summary.rows.rejected:
        others.append(f"{rejected:,} {'row' if rejected == 1 else 'rows'} rejected")
    return f"{told}; {', '.join(others)}" if others else told


def next_steps(summary: Summary, folder: Path, flags: str = "") -> list[NextStep]:
    """Return what to do after a run. `flags`: those of its command line that a next one needs."""
    orders, rejected = summary.orders, summary.rows.rejected
    unsent = f"batch-resend send {shlex.quote(str(folder / 'unsent.csv'))}{flags}"
    steps: list[NextStep] = []
    if summary.started_at is None:
        steps.append(
            NextStep(
                "To send: mend the rejected rows, or allow more (--max-rejected; without --strict)."
            )
        )
    elif summary.state != "completed":
        steps.append(NextStep("To go on:", f"batch-resend resume {summary.run_id}{flags}"))
    elif orders.failed or orders.not_attempted:
        steps.append(NextStep("To send what is left:", unsent))
    if summary.state == "completed" and orders.in_doubt:
        steps.append(
            NextStep(
                f"{orders.in_doubt:,} in doubt: they may have been mailed. To mail them once more:",
                f"{unsent} --in-doubt retry",
            )
        )
    if orders.refused:
        steps.append(
            NextStep(
                f"{orders.refused:,} refused by the CA: {folder}/results.csv says why, order by "
                "order."
            )
        )
    if rejected:
        rows, them = ("row", "it") if rejected == 1 else ("rows", "them")
        steps.append(
            NextStep(
                f"{rejected:,} rejected {rows}: {folder}/rejected.csv says why; mend {them} and "
                f"send {them} again."
            )
        )
    if orders.skipped:
        steps.append(
            NextStep(
                f"{orders.skipped:,} skipped: acknowledged within the cooldown (--again sends them "
                "again), or not waiting for a mail, says their list (--all-statuses sends them). "
                f"{folder}/results.csv says which, when and by which run."
            )
        )
    return steps
