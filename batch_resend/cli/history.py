"""`runs`, `show` and `report`: what the journal knows of earlier runs."""

from pathlib import Path

import anyio
import click

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.options import journal_option, option
from batch_resend.cli.summary import show_summary
from batch_resend.journal import held_by, read_journal
from batch_resend.model import Run, RunState
from batch_resend.report import Summary, make_summary, write_report


@click.command()
@journal_option
def runs(journal: Path) -> int:
    """List all runs, the newest first."""

    async def states_and_summaries() -> list[tuple[str, Summary]]:
        async with read_journal(journal) as reader:
            return [
                (_state(run, journal), await make_summary(reader, run))
                for run in await reader.runs()
            ]

    found = anyio.run(states_and_summaries)
    if not found:
        click.echo("No runs yet.")
    for state, summary in found:
        orders = summary.orders
        click.echo(
            f"{summary.run_id}  {state:<11}  {orders.total:>9,} requests: {orders.sent:,} sent, "
            f"{orders.skipped:,} skipped  {', '.join(note.path for note in summary.inputs)}"
        )
    return ExitCode.ALL_WELL


def _state(run: Run, journal: Path) -> str:
    """Return where a run stands; one under way is told from one that was cut off."""
    if run.state is not RunState.RUNNING:
        return run.state.value
    holder = held_by(journal)
    return f"running ({holder})" if holder else RunState.INTERRUPTED.value


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="As summary.json has it.")
@journal_option
def show(run_id: str, as_json: bool, journal: Path) -> int:
    """Show one run: its inputs, counts and reasons."""

    async def state_and_summary() -> tuple[str, Summary]:
        async with read_journal(journal) as reader:
            run = await reader.run(run_id)
            return _state(run, journal), await make_summary(reader, run)

    state, found = anyio.run(state_and_summary)
    click.echo(found.model_dump_json(indent=2) if as_json else _described(found, state))
    return ExitCode.ALL_WELL


def _described(summary: Summary, state: str) -> str:
    orders, rows, requests = (
        ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts)
        for counts in (summary.orders, summary.rows, summary.requests)
    )
    lines = [
        f"run       {summary.run_id}, {state}",
        f"why       {summary.stop_reason}" if summary.stop_reason else "",
        f"started   {summary.started_at or 'never'}",
        f"finished  {summary.finished_at or 'not yet'}",
        f"CA        {summary.base_url}",
        f"limits    {' and '.join(summary.limits) or 'none'}",
        *(f"input     {note.path}: {note.rows:,} rows" for note in summary.inputs),
        f"rows      {rows}",
        f"orders    {orders}",
        f"requests  {requests}",
    ]
    return "\n".join(line for line in lines if line)


@click.command()
@click.argument("run_id", metavar="RUN")
@journal_option
@option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="reports/RUN_ID",
    help="Where the report goes.",
)
def report(run_id: str, journal: Path, report_dir: Path | None) -> int:
    """Write a run's report again, from the journal alone."""
    folder = report_dir or Path("reports") / run_id

    async def written() -> Summary:
        async with read_journal(journal) as reader:
            return await write_report(reader, await reader.run(run_id), folder)

    show_summary(anyio.run(written), folder, "")
    return ExitCode.ALL_WELL
