"""`--distribute`: a plan handed out to workers, followed from here, and reported once."""

import logging
import signal
from dataclasses import dataclass, field

import anyio

from batch_resend.batch import Batch
from batch_resend.cli.as_settings import RunOptions
from batch_resend.cli.commands.watch import follow_others
from batch_resend.cli.interruption import Interruption
from batch_resend.cli.output.terminal import say
from batch_resend.cluster import open_queue
from batch_resend.errors import JournalError
from batch_resend.model import Plan, Run, RunState
from batch_resend.report import NextFlags

AGAIN_AFTER_S = 2.0  # the database being gone

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Following:
    """Follows a run until it ends, or a signal ends the following."""

    run: Run
    flags: NextFlags
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def detach(self, _name: str) -> str:
        """End the following."""
        self.scope.cancel()
        program = f"batch-resend{self.flags.config}"
        return (
            f"The run goes on with the workers: `{program} watch {self.run.id}{self.flags.watch}` "
            f"follows it, `{program} report {self.run.id}{self.flags.watch}` writes its report"
        )


async def distribute(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> Run:
    """Have workers send what is planned; return the run when it has ended, or was left alone."""
    async with open_queue(batch.settings.journal) as queue:
        following = _Following(plan.run, run_options.presentation.flags)
        with interruption.leads_to(following.detach), following.scope:
            if interruption.caught is not None:  # before there was anything to follow
                name = signal.Signals(interruption.caught).name
                await batch.decline(plan, f"interrupted by {name}", RunState.INTERRUPTED)
                return await batch.reader.run(plan.run.id)
            await queue.add(await batch.distribute(plan))
            if not any(worker.is_alive for worker in await queue.workers()):
                say(
                    "No worker is alive: the run begins as soon as there is one, `batch-resend "
                    "worker` on any host"
                )
            await _follow(batch, plan.run, quiet=run_options.quiet)
        return await batch.reader.run(plan.run.id)


async def _follow(batch: Batch, run: Run, *, quiet: bool) -> None:
    """Show how a run goes until it ends; while the database is gone, wait for it, as workers do."""
    while True:
        try:
            await follow_others(batch.reader, await batch.reader.run(run.id), quiet=quiet)
        except JournalError as error:
            log.error("%s; trying again in %gs", error, AGAIN_AFTER_S)
            await anyio.sleep(AGAIN_AFTER_S)
        else:
            return
