"""What came of a run, in one sentence, and what to do next: for the terminal and the page alike."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from batch_resend.durations import format_duration
from batch_resend.model import RequestStatus
from batch_resend.report.summary import Summary

REHEARSED = "the simulator acknowledged it; nobody was mailed"
STATUS_MEANINGS = {
    RequestStatus.SENT: "the CA acknowledged it: the mails are on their way",
    RequestStatus.REFUSED: "the CA said no, for good",
    RequestStatus.FAILED: "attempts or time used up; surely not mailed",
    RequestStatus.IN_DOUBT: "it may have been mailed: no answer came back",
    RequestStatus.NOT_ATTEMPTED: "the run stopped first",
    RequestStatus.SKIPPED: "nothing to do: acknowledged within the cooldown, or its list says so",
}


@dataclass(frozen=True, slots=True)
class NextFlags:
    """What of a run's command line the next ones need as well; each with a blank in front."""

    send: str = ""
    resume: str = ""  # which reads no list, and has no option for one
    in_doubt: str = ""  # the policy, where it was named: what is held must stay so
    watch: str = ""  # which only reads the journal
    config: str = ""  # which stands in front of the command's name
    none_will_do: bool = False  # a rehearsal whose CA and journal end with the command


NO_FLAGS = NextFlags()


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a report speaks to whom."""

    flags: NextFlags = NO_FLAGS
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


def counted(count: int, noun: str) -> str:
    """Return so many of something."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def headline(summary: Summary) -> str:
    """Return what came of a run, in one sentence without its full stop."""
    found = _what_came(summary)
    return f"Rehearsal, nobody was mailed: {found}" if summary.is_rehearsal else found


def _what_came(summary: Summary) -> str:
    orders = summary.orders
    if summary.started_at is None:
        return f"Nothing was sent: {summary.stop_reason or 'the run was never started'}"
    beginning = {"completed": "", "stopped": "Stopped early: ", "interrupted": "Interrupted: "}
    how = beginning[summary.state]
    if summary.finished_at is None:
        how = "So far (it is under way, or was cut off): "
    took = f" in {format_duration(summary.elapsed_s)}" if summary.elapsed_s else ""
    found = f"{how}{orders.sent:,} of {orders.total:,} orders sent{took}"
    if orders.skipped == orders.total:
        found = "Nothing was due" if orders.total else "There was nothing to send"
    others = [
        f"{count:,} {in_words(status)}"
        for status in RequestStatus
        if status is not RequestStatus.SENT and (count := getattr(orders, status))
    ]
    if rejected := summary.rows.rejected:
        others.append(f"{counted(rejected, 'row')} rejected")
    return f"{found}; {', '.join(others)}" if others else found


def next_steps(summary: Summary, folder: Path, flags: NextFlags = NO_FLAGS) -> list[NextStep]:
    """Return what to do after a run."""
    orders, rejected = summary.orders, summary.rows.rejected
    program = f"batch-resend{flags.config}"
    unsent = f"{program} send {shlex.quote(str(folder / 'unsent.csv'))}{flags.send}"
    steps: list[NextStep] = []
    if summary.is_rehearsal and summary.state == "completed" and orders.sent:
        steps.append(
            NextStep("To send in earnest: send the list, or sweep, without the simulator's URL.")
        )
    if summary.started_at is None or summary.state != "completed":
        steps += _to_go_on(summary, program, flags)
    elif orders.failed or orders.not_attempted:
        # unsent.csv has what is in doubt as well: to mail that again is a step of its own.
        policy = " --in-doubt hold" if orders.in_doubt else flags.in_doubt
        steps.append(NextStep("To send what is left:", f"{unsent}{policy}"))
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
    if rejected and summary.started_at is not None:
        one = rejected == 1
        rows, them, them_own = ("row", "it", "its") if one else ("rows", "them", "their")
        steps.append(
            NextStep(
                f"{rejected:,} rejected {rows}: {folder}/rejected.csv says why; mend {them}, and "
                f"send {them} in a list of {them_own} own."
            )
        )
    if unsure := summary.skipped_unsure:
        steps.append(
            NextStep(
                f"{counted(unsure, 'order')} skipped for a status, validation or product that is "
                "not known to be the CA's: if the column is about something else, send the list "
                "again with --ignore COLUMN."
            )
        )
    if orders.skipped:
        steps.append(
            NextStep(
                f"{orders.skipped:,} skipped: {folder}/results.csv says why. --again sends what "
                "was acknowledged within the cooldown, --all-statuses what its list says waits "
                "for no mail."
            )
        )
    return [step for step in steps if step.command is None or not flags.none_will_do]


def _to_go_on(summary: Summary, program: str, flags: NextFlags) -> list[NextStep]:
    """Return what to do after a run that has not completed."""
    going_on = f"{program} resume {summary.run_id}{flags.resume}{flags.in_doubt}"
    if summary.started_at is None:
        # Not the others as they are: what damaged those rows may have damaged more of the list.
        fix = "To send: correct the rejected rows and send the list again; rejected.csv says why."
        return [NextStep(fix)]
    if summary.finished_at is None:
        watch = f"{program} watch {summary.run_id}{flags.watch}"
        return [
            NextStep("To see how it goes, if it is under way:", watch),
            NextStep("To go on, if it was cut off:", going_on),
        ]
    if summary.state == "stopped" and not summary.orders.sent:
        # Its requests are for the CA that it was given: another one's would be others.
        return [
            NextStep("To go on, once what stopped it is mended:", going_on),
            NextStep("If the URL or the region was wrong: send its list again with the right."),
        ]
    return [NextStep("To go on:", going_on)]
