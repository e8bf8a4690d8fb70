"""`--distribute`: a plan handed out to workers, followed from here, and reported once."""

from dataclasses import dataclass, field
from functools import partial

import anyio

from batch_resend.batch import Batch
from batch_resend.cli.interruption import Interruption
from batch_resend.cli.progress import show_views
from batch_resend.cli.terminal import say
from batch_resend.cli.watch import Watcher
from batch_resend.cluster import open_queue, workers_alive
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
            if not workers_alive(await queue.workers()):
                say(
                    "No worker is alive: the run begins as soon as there is one, `batch-resend "
                    "worker` on any host"
                )
            await _follow(batch, plan.run, quiet=quiet)
        return await batch.reader.run(plan.run.id)


async def _follow(batch: Batch, run: Run, *, quiet: bool) -> None:
    watcher = Watcher(batch.reader, await batch.reader.run(run.id))
    if await watcher.look():
        async with anyio.create_task_group() as tasks:
            if not quiet:
                tasks.start_soon(partial(show_views, watcher.view, at_once=True))
            while await watcher.look():  # noqa: ASYNC110 - it comes from other processes
                await anyio.sleep(watcher.rest_s)
            tasks.cancel_scope.cancel()
