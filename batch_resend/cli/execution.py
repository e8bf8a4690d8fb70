"""How `send`, `resume` and `sweep` carry out a plan: show it, ask, send or hand out, report."""

import logging
import signal
import sys
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO
from urllib.parse import urlsplit

import anyio
import click
from anyio.abc import TaskGroup

from batch_resend.batch import Batch
from batch_resend.channels import RunHandle
from batch_resend.cli.as_settings import RunOptions, warn_of_keys_of
from batch_resend.cli.command import SIGNAL_BASE, ExitCode
from batch_resend.cli.commands.check import hold_back_reason, show_only
from batch_resend.cli.lifecycle import Interruption, beside, cancelling
from batch_resend.cli.logs import name_run, prepare_logs, run_log, with_run_id
from batch_resend.cli.output.first_part import first_in_words, of_untried, question, show_sent
from batch_resend.cli.output.following import follow_others
from batch_resend.cli.output.plan import BEFORE_SENDING, sending_in_words, show_left, show_plan
from batch_resend.cli.output.progress import follow, while_asking
from batch_resend.cli.output.summary import (
    Standing,
    quitting,
    show_counts,
    show_summary,
    show_why_not_sent,
    stopping,
)
from batch_resend.cli.output.terminal import CannotAskError, open_terminal, say, show_lines
from batch_resend.cli.reports_before import write_reports_before
from batch_resend.errors import BatchResendError, CallError, JournalError, ReportError
from batch_resend.first_part import FirstPart, first_part
from batch_resend.model import Plan, Problem, Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import (
    NextStep,
    Preview,
    counted,
    folder_of,
    keep_report_of_workers,
    make_preview,
    make_summary,
    next_steps,
    refuse_folder,
    update_index,
    url_of,
)
from batch_resend.sending import Progress

AGAIN_AFTER_S = 2.0  # the database being gone

log = logging.getLogger(__name__)


async def execute(
    batch: Batch, planning: Awaitable[Plan], options: RunOptions, interruption: Interruption
) -> CommandResult:
    """Plan, show the plan, ask, send, report; return how that ended."""
    plan = await planning
    accounts = await batch.reader.accounts(plan.run)
    name_run(plan.run, accounts, batch.settings.profile)
    warn_of_keys_of(accounts)
    unchanged = (await batch.reader.count_problems(plan.run)).get(Problem.UNCHANGED, 0)
    reason = hold_back_reason(plan, unchanged, options.max_rejected, strict=options.strict)
    if options.preflight:
        plan = await _preflighted(batch, plan, options, options.first_orders, later=bool(reason))
    if options.dry_run:
        redact = options.presentation.redact
        result = await show_only(plan, batch.reader, batch.settings, redact=redact)
        await batch.discard(plan)
        return result
    first = await first_part(batch.reader, plan.run, options.first_orders)
    execution = _Execution(batch, plan, options, interruption, first)
    asks = options.asks and await execution.has_something_to_send()
    preview = await execution.shown(asks=asks, is_held_back=bool(reason))
    if reason:
        run_log.info("held back", extra={"why": reason})
        await batch.decline(plan, reason)
        result = await execution.report()
        return replace(result, code=result.code or ExitCode.NOT_ALL_SENT)
    if asks and preview and (refusal := await execution.refusal(preview)) is not None:
        run_log.info("declined", extra={"why": refusal})
        await batch.discard(plan)
        click.echo("Nothing was sent.", err=True)
        return CommandResult(ExitCode.NOT_STARTED, declined=f"nothing was sent: {refusal}")
    return await execution.send_and_report()


async def _preflighted(
    batch: Batch, plan: Plan, options: RunOptions, most: int | None = None, *, later: bool = False
) -> Plan:
    """Return a plan without what the CA says is better not sent, of the first `most` to be sent.

    `later`: nothing is sent now, and the run that resumes it asks first.
    """
    if later:
        return replace(plan, run=await batch.journal.note_preflight(plan.run, is_due=True))
    if not plan.to_send:
        return plan
    if not options.quiet:
        what = counted(min(plan.to_send, most or plan.to_send), "request")
        say(f"First asking the CA about {what}, with one or two reads each")
    asking = batch.preflight(plan, most, any_product=options.any_product)
    return await while_asking(asking, batch, options.style)


class _Ended(NamedTuple):
    """How sending ended."""

    state: RunState
    why: str | None
    held_back: int = 0  # requests that were not to be sent yet


@dataclass(frozen=True, slots=True)
class _Execution:
    """A plan on its way to its report."""

    batch: Batch
    plan: Plan
    options: RunOptions
    interruption: Interruption
    first: FirstPart | None  # what is sent before the rest

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return folder_of(self.options.report_dir, self.plan.run)

    async def has_something_to_send(self) -> bool:
        """Whether a request may leave: not all go by keys that the preflight has stopped."""
        return self.plan.to_send > await self.batch.count_stopped(self.plan)

    async def shown(self, *, asks: bool, is_held_back: bool) -> Preview | None:
        """Show the plan where it is wanted; return the preview that it took, or that asking will.

        A sweep's plan has no rows where nothing is due.
        """
        is_wanted = any(self.plan.rows.values()) and (
            not self.options.quiet or (asks and is_held_back)
        )
        if not (is_wanted or asks):
            return None
        preview = await self._preview(self.plan)
        if is_wanted:
            self.show_plan(preview, sys.stderr)
        return preview

    async def _preview(self, plan: Plan) -> Preview:
        batch, shown = self.batch, BEFORE_SENDING.first
        return await make_preview(plan, batch.reader, batch.settings, shown=shown)

    def show_plan(self, preview: Preview, to: TextIO) -> None:
        now = first_in_words(self.first, self.plan.run, self.options)
        if self.plan.taken_up:
            click.echo(f"Resuming run {self.plan.run.id}, which did not finish.", file=to)
            show_left(self.plan, preview, to, now)
        else:
            show_plan(preview, to, BEFORE_SENDING, now, redact=self.options.presentation.redact)

    async def refusal(self, preview: Preview) -> str | None:
        """Ask at the terminal whether to send; return why not, or None if the answer is yes."""
        try:
            with open_terminal() as terminal:
                # Where the plan was not shown.
                if self.options.quiet or terminal.shows is not sys.stderr:
                    self.show_plan(preview, terminal.shows)
                show_lines([(0, f"{sending_in_words(self.plan, preview)}.")], terminal.shows)
                confirmed = await terminal.confirm(await self._question())
        except CannotAskError as error:
            say(
                f"batch-resend: cannot ask you whether to send: {error}; --yes sends without asking"
            )
            return f"nobody could be asked: {error}"
        return None if confirmed else "a person said no"

    async def _question(self) -> str:
        reader, first = self.batch.reader, self.first
        names = first.tried if first else await reader.count_by_account(self.plan.run)
        accounts = map(self.batch.settings.account, names)
        hosts = sorted({urlsplit(account.base_url).hostname or "" for account in accounts})
        return question(first, self.plan, self.options, hosts)

    async def send_and_report(self) -> CommandResult:
        """Send, or have workers send, and report, whatever a signal finds being done."""
        interruption = self.interruption
        refuse_folder(self.folder)
        interruption.last_words = quitting(self.plan.run, self.options.presentation.flags)
        with interruption.leads_to(lambda _: "Stopping"), with_run_id(self.plan.run.id):
            if self.options.distribute and self.plan.to_send:
                run = await self._distribute()
                if run.is_with_workers:
                    code = SIGNAL_BASE + (interruption.caught or 0)
                    return CommandResult(code, note="left to the workers")
                ended = _Ended(run.state, run.stop_reason)
            else:
                ended = await self._send(self.options.first_orders)
                if ended.held_back and self.options.asks and await self._wants_the_rest(ended):
                    ended = await self._send_the_rest()
            if ended.state is RunState.STOPPED and ended.why is not None:
                with suppress(OSError):
                    say(f"batch-resend: stopped: {ended.why}")
            result = await self.report()
        if interruption.caught is not None:
            return replace(result, code=SIGNAL_BASE + interruption.caught)
        stopped = replace(result, code=ExitCode.STOPPED)
        return result if ended.state is RunState.COMPLETED else stopped

    async def _wants_the_rest(self, ended: "_Ended") -> bool:
        """Show what came of the first requests, and ask at the terminal whether to continue."""
        run, reader = self.plan.run, self.batch.reader
        summary = await make_summary(reader, await reader.run(run.id))
        # It has not ended: the answer says whether it does.
        summary = summary.model_copy(update={"state": "running", "stop_reason": None})
        with (
            suppress(CannotAskError, click.Abort),
            anyio.CancelScope() as asking,
            self.interruption.leads_to(cancelling(asking, "Stopping")),
            open_terminal() as terminal,
        ):
            show_counts(summary, terminal.shows)
            await show_sent(reader, run, terminal.shows, redact=self.options.presentation.redact)
            start = await reader.last_start(run)  # what this process sent; the run may be older
            await show_why_not_sent(reader, run, terminal.shows, start)
            rest = await self.batch.current_plan(run, taken_up=True, asked=self.plan.asked)
            what_is_left = f"{sending_in_words(rest, await self._preview(rest))}."
            asked_first = ["The CA is asked about the others first."] * self.options.preflight
            texts = (*of_untried(self.first, run), what_is_left, *asked_first)
            show_lines([(0, text) for text in texts], terminal.shows)
            return await terminal.confirm(
                f"Send the other {counted(ended.held_back, 'request')} now?"
            )
        return False

    async def _send_the_rest(self) -> "_Ended":
        """Send what was held back, once the CA was asked about that, too; return how that ended."""
        if self.options.preflight:
            with (
                anyio.CancelScope() as asking,
                self.interruption.leads_to(cancelling(asking, "Stopping")),
            ):
                # While the question stood, another process may have resumed it.
                rest = await self.batch.take_up(self.plan.run.id)
                try:
                    await _preflighted(self.batch, rest, self.options)
                except CallError as error:
                    await self.batch.decline(self.plan, str(error))
                    return _Ended(RunState.STOPPED, str(error))
            if asking.cancelled_caught:
                return _Ended(RunState.INTERRUPTED, None)
        return await self._send()

    async def _send(self, most: int | None = None) -> "_Ended":
        """Send what is planned, or the first of it; return how that ended."""
        plan, interruption = self.plan, self.interruption
        run_log.info("run begins", extra={"orders": plan.orders, "to_send": plan.to_send})
        try:
            earlier = await self.batch.reader.count_outcomes(plan.run)
            live = await self.batch.live_report(plan, self.folder, self.options.presentation)
            await live.begin(Progress())
            async with (
                self.batch.send(plan, most) as sending,
                beside(partial(live.keep, lambda: sending.progress), prepare_logs) as tasks,
            ):
                stop = partial(self._stop, sending, tasks)
                with interruption.leads_to(stop):
                    if interruption.caught is not None:
                        stop(signal.Signals(interruption.caught).name)
                    await follow(sending, earlier, self.options.style, is_resumed=plan.taken_up)
        except BatchResendError:
            raise  # such as a journal that cannot be written when sending is to begin: not ours
        except Exception:
            # An error of ours, not the user's: what was sent is in the journal, so in the report.
            log.exception("internal error of batch-resend; please report it")
            return _Ended(RunState.STOPPED, None)
        run_log.info("run ended: %s", sending.state, extra={"why": sending.stop_reason})
        return _Ended(sending.state, sending.stop_reason, sending.held_back)

    def _stop(self, sending: RunHandle, tasks: TaskGroup, signal_name: str) -> str:
        sending.stop(reason := f"interrupted by {signal_name}")
        tasks.start_soon(self.batch.journal.note_stop, self.plan.run, reason)
        return stopping(sending.progress.in_flight)

    async def _distribute(self) -> Run:
        """Have workers send what is planned; return the run as it was left.

        A signal ends the following; the workers continue.
        """
        batch, plan, interruption = self.batch, self.plan, self.interruption
        # Only here: what several hosts need is an extra, and slow to load.
        from batch_resend.cluster import leases  # noqa: PLC0415 - in an extra that may be missing
        from batch_resend.cluster.queue import open_queue  # noqa: PLC0415 - in an extra that may be missing

        async with open_queue(batch.settings.journal) as queue:
            with (
                anyio.CancelScope() as following,
                interruption.leads_to(lambda _: self._detach(following)),
            ):
                if interruption.caught is not None:  # before there was anything to follow
                    name = signal.Signals(interruption.caught).name
                    await batch.decline(plan, f"interrupted by {name}", RunState.INTERRUPTED)
                    return await batch.reader.run(plan.run.id)
                await queue.add(await leases.distribute(batch, plan))
                if not any(worker.is_alive for worker in await queue.workers()):
                    say(
                        "No worker is alive. The run begins as soon as there is one: start "
                        "`batch-resend worker` on any host"
                    )
                await self._follow_workers()
            return await batch.reader.run(plan.run.id)

    async def _follow_workers(self) -> None:
        """Show how the run goes until it ends, and keep its report; wait for a lost database."""
        run_id = self.plan.run.id
        how = (self.batch.settings.journal, run_id, self.folder, self.options.presentation)
        async with beside(partial(keep_report_of_workers, *how, self.batch.reader.clock)):
            while True:
                try:
                    run = await self.batch.reader.run(run_id)
                    return await follow_others(self.batch.reader, run, self.options.style)
                except JournalError as error:
                    log.error("%s; trying again in %gs", error, AGAIN_AFTER_S)
                    await anyio.sleep(AGAIN_AFTER_S)

    def _detach(self, following: anyio.CancelScope) -> str:
        following.cancel()
        return (
            f"The workers continue the run: `{self._command('watch')}` follows it, "
            f"`{self._command('report')}` writes its report at any time"
        )

    def _command(self, name: str) -> str:
        flags = self.options.presentation.flags
        return f"batch-resend{flags.config} {name} {self.plan.run.id}{flags.watch}"

    async def report(self) -> CommandResult:
        """Write the report and say what came of the run; return how a command ends by that."""
        try:
            return await self._report()
        except JournalError as error:
            note = f"run {self.plan.run.id} has ended, but its results cannot be read: {error}"
            say(
                f"batch-resend: {note}\nWhen the journal can be used again, write the report with:"
                f"\n  {self._command('report')}"
            )
            return CommandResult(ExitCode.STOPPED, note=note, error=str(error))

    async def _report(self) -> CommandResult:
        batch, run = self.batch, self.plan.run
        folder, presentation = self.folder, self.options.presentation
        lost = await batch.journal.loss()
        presentation = presentation.with_journal(is_lost=bool(lost))
        try:
            with self.interruption.leads_to(lambda _: "Writing the report"):
                summary = await batch.report(run, folder, presentation)
        except ReportError as error:
            return await self._without_report(error, is_lost=bool(lost))
        update_index(self.options.report_dir)
        await write_reports_before(batch.reader, run, presentation)
        url = url_of(self.options.report_url, run) if self.options.report_url else None
        lost_since = None if lost else await batch.journal.loss()
        flags = presentation.with_journal(is_lost=bool(lost or lost_since)).flags
        here = replace(flags, for_real=flags.for_real_here or flags.for_real)
        steps = next_steps(summary, folder, here)
        # For a mail, whose reader is in another folder.
        elsewhere = next_steps(summary, folder.absolute(), flags)
        with suppress(OSError):
            is_said = summary.sweep is not None and not summary.orders.total  # by the sweep
            standing = Standing(summary, folder, steps)
            await show_summary(batch.reader, run, standing, with_counts=not is_said)
        if lost_since:
            say(f"batch-resend: {lost_since}")
            return CommandResult(ExitCode.STOPPED, summary, folder, error=lost_since, url=url)
        code = ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT
        return CommandResult(code, summary, folder, url=url, next_steps=elsewhere)

    async def _without_report(self, error: ReportError, *, is_lost: bool) -> CommandResult:
        """Say what came of a run whose report could not be written, and how to write it later."""
        why = f"the report could not be written: {error}"
        run_log.error("%s", why)
        text = "The run is safe in the journal; write its report with:"
        steps = [NextStep(text, f"{self._command('report')} --report-dir DIR")] * (not is_lost)
        say("\n".join([f"batch-resend: {error}", *(f"{s.text}\n  {s.command}" for s in steps)]))
        reader = self.batch.reader
        summary = await make_summary(reader, await reader.run(self.plan.run.id))
        with suppress(OSError):
            show_counts(summary)
        return CommandResult(ExitCode.NOT_ALL_SENT, summary, error=why, next_steps=steps)
