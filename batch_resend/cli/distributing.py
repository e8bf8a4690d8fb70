"""`--distribute`: a plan handed out to workers, followed from here, and reported once."""

from dataclasses import dataclass, field

import anyio

from batch_resend.batch import Batch
from batch_resend.cli.interruption import Interruption
from batch_resend.cli.terminal import say
from batch_resend.cli.watch import follow_others
from batch_resend.cluster import open_queue
from batch_resend.model import Plan, Run


@dataclass(slots=True)
class _Following:
    """Follows a run until it ends, or a signal ends the following."""

    run: Run
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def detach(self, _name: str) -> str:
        """End the following."""
        self.scope.cancel()
        return (
            f"The run goes on with the workers: `batch-resend watch {self.run.id}` follows it, "
            f"`batch-resend report {self.run.id}` writes its report"
        )


async def distribute(batch: Batch, plan: Plan, interruption: Interruption, *, quiet: bool) -> Run:
    """Have workers send what is planned; return the run when it has ended, or was left alone."""
    async with open_queue(batch.settings.journal) as queue:
        following = _Following(plan.run)
        with interruption.leads_to(following.detach), following.scope:
            await queue.add(await batch.deal(plan))
            if not any(worker.is_alive for worker in await queue.workers()):
                say(
                    "No worker is alive: the run begins as soon as there is one, `batch-resend "
                    "worker` on any host"
                )
            run = await batch.reader.run(plan.run.id)
            await follow_others(batch.reader, run, quiet=quiet)
        return await batch.reader.run(plan.run.id)
