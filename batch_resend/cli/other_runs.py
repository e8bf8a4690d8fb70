"""How to resume other runs than a command's: as they were begun, and by their names."""

from collections.abc import Iterable, Sequence

import click

from batch_resend.cli.accounts import ended_simulator
from batch_resend.cli.next_flags import as_begun, next_flags
from batch_resend.journal import JournalReader
from batch_resend.model import RequestStatus, Run
from batch_resend.report import (
    NextFlags,
    NextStep,
    counted,
    resume_command,
    to_resume,
    to_resume_by_name,
)
from batch_resend.results import Unfinished
from batch_resend.settings import Region, is_at_loopback


async def resume_others(
    context: click.Context, reader: JournalReader, others: Iterable[Unfinished]
) -> list[NextStep]:
    """Return how to resume other runs than a command's: as they were begun, not as this one was."""
    given, steps = next_flags(context), list[NextStep]()
    for one in others:
        run, accounts = one.run, await reader.accounts(one.run)
        if not one.left or given.none_will_do or ended_simulator(run, accounts):
            continue
        command = await _resume_as_begun(reader, run, accounts, given)
        steps.append(to_resume(f"Run {run.id}{_where(run, accounts)}{_what_is_left(one)}", command))
    return steps


def _what_is_left(of: Unfinished) -> str:
    """Return what stands behind the name of a run, up to the command that resumes it."""
    if by_name := to_resume_by_name(of.rest):
        return f": {by_name}"
    ended = "ended before it had sent anything" if of.was_useless else "did not finish"
    left, doubts = sum(of.left.values()), of.rest.doubts_left
    may_be_mailed = (
        f", {'' if doubts == left else f'{doubts:,} of them '}in doubt: resuming mails "
        f"{'it' if doubts == 1 else 'them'} again, though {'it' if doubts == 1 else 'they'} may "
        f"have been mailed. `batch-resend verify {of.run.id}` says which still wait"
    )
    return (
        f" {ended}; {counted(left, 'order')} left{may_be_mailed if doubts else ''}. To resume "
        "that one"
    )


async def how_to_send_held_back(
    context: click.Context, reader: JournalReader, run: Run
) -> str | None:
    """Return the command that sends the good rows of a run that its rejected ones held back."""
    if not await reader.count_by_account(run):
        return None
    accounts = await reader.accounts(run)
    return await _resume_as_begun(reader, run, accounts, next_flags(context))


async def _resume_as_begun(
    reader: JournalReader, run: Run, accounts: Sequence[str | None], given: NextFlags
) -> str:
    """Return the command that resumes another run than this command's."""
    outcomes = await reader.count_outcomes(run)
    done = sum(outcomes.values()) - outcomes.get(RequestStatus.SKIPPED, 0)
    flags = as_begun(run, accounts, given)
    return resume_command(run.id, done, flags, preflight_due=run.preflight_due)


def _where(run: Run, accounts: Sequence[str | None]) -> str:
    """Return where a run was, unless that is where all real ones are."""
    urls = sorted({run.url_of(name) or "" for name in accounts or (None,)})
    if {*urls} <= {region.base_url for region in Region}:
        return ""
    rehearsal = " (a rehearsal)" if all(map(is_at_loopback, urls)) else ""
    return f" at {' and '.join(urls)}{rehearsal}"
