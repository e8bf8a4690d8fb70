"""A run as a command finds it that only reads of it: in numbers, and what to do next."""

import shlex
from pathlib import Path

import anyio
import click

from batch_resend.cli.next_flags import (
    next_flags_of_run,
    option_words,
    own_report_dir,
    report_dir_for,
)
from batch_resend.cli.other_runs import resume_others
from batch_resend.cli.output.summary import Standing
from batch_resend.cli.output.terminal import say
from batch_resend.clock import with_local_times
from batch_resend.journal import LATEST, JournalReader
from batch_resend.model import MAX_ORDERS_REACHED, Run
from batch_resend.report import (
    NextFlags,
    NextStep,
    can_be_written,
    folder_of,
    found_in,
    found_place,
    has_report,
    is_up_to_date,
    make_summary,
    next_steps,
    reported_end,
)

_LATELY_S = 2 * 86_400.0
# How long after a run's end its report may come: one of a million rows takes half a minute.
_REPORT_WITHIN_S = 60.0
_REPORT_WITHIN_S_IF_ASKED = 3.0  # unless a person is asked first whether to send the rest
_LOOK_EVERY_S = 0.2
_CUT_OFF = (
    "the program ended before it could write why: it was killed, the power failed, or the disk was "
    "full"
)


async def as_it_stands(context: click.Context, reader: JournalReader, run: Run) -> Standing:
    """Return a run in numbers, and what to do next, for a command that only reads of it.

    Raises JournalError.
    """
    summary = await make_summary(reader, run)
    folder = found_place(folder_of(report_dir_for(context, run), run), run)
    reported = None
    if summary.state == "interrupted":
        reported, why = _why_interrupted(run, folder)
        summary = summary.model_copy(update={"stop_reason": why})
    flags = await next_flags_of_run(context, reader, run)
    is_under_way = summary.state == "running"
    is_there = has_report(folder, run) if is_under_way else is_up_to_date(folder, run)
    is_there = is_there or reported is not None
    steps = next_steps(summary, folder if is_there else None, flags)
    is_missed = next_steps(summary, folder, flags) or _is_place_known(run, folder)
    if not (is_there or is_under_way) and is_missed:
        steps.insert(0, _to_write_report(context, run, folder, flags))
    if summary.state in ("stopped", "interrupted") and (holder := await reader.holder(run)):
        steps.insert(0, _to_end_first(holder))
    steps += await _lately_cut_off(context, reader, run)
    return Standing(summary, folder if is_there else None, steps)


async def await_report(context: click.Context, reader: JournalReader, run_id: str) -> Run:
    """Return a run once it is under way again, or its report is there or no longer to be expected.

    The process that has sent a run writes the report after the run's end. Raises JournalError.
    """
    run, is_said = await reader.run(run_id), False
    folder = folder_of(report_dir_for(context, run), run)
    until = anyio.current_time() + _patience_s(run, reader.clock())
    while anyio.current_time() < until and await _is_report_to_come(reader, run, folder):
        if not is_said:
            say("The run has ended: waiting for its report.")
            is_said = True
        await anyio.sleep(_LOOK_EVERY_S)
        run = await reader.run(run_id)
    return run


def _patience_s(run: Run, now: float) -> float:
    """Return for how long to wait for a run's report: no longer, whatever the clocks say."""
    is_asked = (run.stop_reason or "").startswith(MAX_ORDERS_REACHED)
    within_s = _REPORT_WITHIN_S_IF_ASKED if is_asked else _REPORT_WITHIN_S
    return min(within_s, (run.finished_at or now) + within_s - now)


async def _is_report_to_come(reader: JournalReader, run: Run, folder: Path) -> bool:
    """Whether a run has ended, and the process that is to write its report is still there.

    A run that was cut off has none: who has the journal is another. The library's have no report.
    """
    is_cut_off = run.finished_at is None or run.stop_reason == _CUT_OFF
    if is_cut_off or not run.next_flags or is_up_to_date(folder, run):
        return False
    return await reader.holder(run) is not None


def _why_interrupted(run: Run, folder: Path) -> tuple[str | None, str]:
    """Return why a run was interrupted, by its report if the journal does not say, and at all.

    That it was being stopped is not yet its end.
    """
    if run.stop_reason and run.finished_at is not None and run.stop_reason != _CUT_OFF:
        return None, run.stop_reason
    reported = reported_end(folder, run)
    return reported, reported or run.stop_reason or _CUT_OFF


def _is_place_known(run: Run, folder: Path) -> bool:
    """Whether a run's report is known to belong there, and no other run's has replaced it."""
    is_free = found_in(folder) is None or has_report(folder, run)
    return own_report_dir(run) is not None and is_free


def _to_write_report(context: click.Context, run: Run, folder: Path, flags: NextFlags) -> NextStep:
    named = ["--report-dir", "DIR"]  # for a person to fill in, where this one will not do
    if can_be_written(folder):
        named = option_words(context, ("report_dir",), "report")
    words = "".join(f" {shlex.quote(word)}" for word in named)
    return NextStep(
        f"There is no up-to-date report of it in {folder}. To write it, and see what else there is "
        "to do:",
        f"batch-resend{flags.config} report {run.id}{words}{flags.watch}",
    )


def _to_end_first(holder: str) -> NextStep:
    """Return what to do where a process holds the journal: it may be asking about this run."""
    process = with_local_times(holder)
    return NextStep(
        f"{process[:1].upper()}{process[1:]}, has the journal. If it asks you something on its "
        "terminal, such as whether to send the rest, answer there. Nothing can be resumed before "
        "it ends."
    )


async def _lately_cut_off(
    context: click.Context, reader: JournalReader, shown: Run
) -> list[NextStep]:
    """Return how to resume what was cut off beside the run shown, where that was not named."""
    if context.params["run_id"] not in (None, LATEST):
        return []
    since = reader.clock() - _LATELY_S
    others = [
        one
        for one in await reader.unfinished()
        if one.run.id != shown.id and not one.was_useless and one.last_begun_at >= since
    ]
    return await resume_others(context, reader, others)
