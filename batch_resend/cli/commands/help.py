"""`help`: the pages of the manual, which lie in the package and need no network."""

import shutil

import click
from click.shell_completion import CompletionItem

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.output.terminal import laid_out
from batch_resend.topics import find_topic, topics

_WIDEST = 100  # columns: longer lines are hard to read


def complete_topic(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the topics whose names begin so."""
    return [
        CompletionItem(topic.name, help=topic.title)
        for topic in topics()
        if topic.name.startswith(incomplete)
    ]


@click.command(
    cls=ManualCommand,
    examples={
        "Which topics there are": "batch-resend help",
        "What to do about mail that does not arrive": "batch-resend help mail",
    },
)
@click.argument("topic", required=False, shell_complete=complete_topic)
def help(topic: str | None) -> int:
    """Show a page of the manual; without a TOPIC, which there are.

    The beginning of a topic's name is enough. On a terminal a long page goes through your pager.
    What a command does, `batch-resend COMMAND --help` says.
    """
    if topic is None:
        click.echo(f"Topics\n{_list()}\nRead one: batch-resend help TOPIC")
        return ExitCode.ALL_WELL
    page = find_topic(topic)
    if page is None:
        raise click.UsageError(f"there is no topic {topic!r}{_if_a_command(topic)}.\n\n{_list()}")
    terminal = shutil.get_terminal_size()
    text = laid_out(page.text, min(terminal.columns, _WIDEST))
    if text.count("\n") < terminal.lines:
        click.echo(text, nl=False)
    else:
        click.echo_via_pager(text)
    return ExitCode.ALL_WELL


def _list() -> str:
    listed = list(topics())
    width = max(len(topic.name) for topic in listed)
    return "\n".join(f"  {topic.name:<{width}}  {topic.title}" for topic in listed)


def _if_a_command(name: str) -> str:
    command = click.get_current_context().find_root().command
    is_one = isinstance(command, click.Group) and name in command.commands
    return f"; `batch-resend {name} --help` explains the command" if is_one else ""
