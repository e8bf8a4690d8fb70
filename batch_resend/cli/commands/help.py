"""`help`: the pages of the manual; `completion`: what a shell needs to complete commands."""

import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete

from batch_resend.cli.command import ExitCode, command
from batch_resend.cli.output.terminal import show_json
from batch_resend.topics import find_topic, topics

_COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)
_IMAGE = re.compile(r"^!\[[^\]]*\]\([^)\s]+\)\n", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_START_OF_ITEM = re.compile(r"\s*(?:- |\d+\. )")
_FENCE = "```"
_CODE = re.compile(r"`[^`]+`")
_LONGEST_UNBROKEN = 30
_UNBROKEN = "\0"
_BETWEEN = "  "
_INDENT = "    "


def laid_out(markdown: str, width: int) -> str:
    """Return the text of a page for a terminal of `width` columns.

    Of a table that is too wide the last column is wrapped; where that leaves it little room, the
    table becomes a list: the first cell of a row, and below it the others, each with its heading
    where there are several. Lines of code stay whole, so that they can be copied.
    """
    text = _LINK.sub(_as_words, _IMAGE.sub("", _COMMENT.sub("", markdown)))
    return "\n".join(_lines(text.splitlines(), width)) + "\n"


def _as_words(link: re.Match[str]) -> str:
    words, target = link.groups()
    file = target.partition("#")[0].removeprefix("../../").removeprefix("../")
    if not file:
        return words
    if "/" not in file and file.endswith(".md") and file.islower():
        topic = f"`help {file.removesuffix('.md')}`"
        return topic if topic == f"`help {words}`" else f"{words} ({topic})"
    return words if words == file else f"{words} ({file})"


def _lines(lines: Sequence[str], width: int) -> Iterator[str]:
    for block in _blocks(lines):
        if block[0].startswith("|"):
            yield from _table([_cells(line) for line in block], width)
        elif block[0].startswith(_FENCE):
            yield from block
        else:
            yield from _filled(block, width)


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines that belong together: a table, some code, a paragraph, an item of a list."""
    block: list[str] = []
    for line in lines:
        if block and _begins_another(line, block):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _begins_another(line: str, block: Sequence[str]) -> bool:
    if block[0].startswith(_FENCE):
        return len(block) > 1 and block[-1].startswith(_FENCE)
    is_other = line.startswith("|") != block[-1].startswith("|")
    begins = line.startswith(_FENCE) or not line or bool(_START_OF_ITEM.match(line))
    return is_other or begins or not block[-1]


def _filled(block: Sequence[str], width: int) -> Sequence[str]:
    """Return lines of text that fit; those that do already stay as they are."""
    if all(len(line) <= width for line in block):
        return block
    start = _START_OF_ITEM.match(block[0])
    text = " ".join((block[0], *map(str.strip, block[1:])))
    return _wrap(text, width, later=" " * (start.end() if start else 0))


def _cells(line: str) -> list[str]:
    cells = _CELL_BORDER.split(line)[1:-1]
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _table(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    headings, _, *rows = rows
    *leading, last = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    indent = sum(leading) + len(_BETWEEN) * len(leading)
    room = width - indent  # for the last column, which may be wrapped
    if indent + last <= width or (indent <= width // 2 and _all_fit([r[-1] for r in rows], room)):
        rule = ["-" * size for size in (*leading, min(last, room))]
        for row in (headings, rule, *rows):
            yield from _in_columns(row, leading, room)
    else:
        yield from _as_list(headings, rows, width)


def _all_fit(cells: Iterable[str], room: int) -> bool:
    """Whether cells can be wrapped to this width: a long word cannot be broken."""
    return all(len(line) <= room for cell in cells for line in _wrap(cell, room))


def _in_columns(row: Sequence[str], leading: Sequence[int], room: int) -> Iterator[str]:
    start = "".join(cell.ljust(size) + _BETWEEN for cell, size in zip(row, leading, strict=False))
    wrapped = _wrap(row[-1], room) or [""]
    yield (start + wrapped[0]).rstrip()
    yield from (" " * len(start) + line for line in wrapped[1:])


def _as_list(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    # Where each row has one cell below its first, the headings are said once, before them.
    is_named = len(headings) > 2
    if about := headings[0] if is_named else ": ".join(filter(None, headings)):
        yield from (*_wrap(f"({about})", width), "")
    for number, row in enumerate(rows):
        yield from ([""] if number else []) + _wrap(row[0], width)
        for heading, cell in zip(headings[1:], row[1:], strict=True):
            item = f"{heading}: {cell}" if is_named and heading else cell
            yield from _wrap(item, width, _INDENT, _INDENT + _BETWEEN) if cell else ()


def _in_one_piece(code: re.Match[str]) -> str:
    """Return code that is short enough to be kept on one line, as what is to be typed should be."""
    return code[0].replace(" ", _UNBROKEN) if len(code[0]) <= _LONGEST_UNBROKEN else code[0]


def _wrap(text: str, width: int, first: str = "", later: str = "") -> list[str]:
    lines = textwrap.wrap(
        _CODE.sub(_in_one_piece, text),
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_UNBROKEN, " ") for line in lines]


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


@command(
    examples={
        "List the topics": "batch-resend help",
        "What to do about mail that does not arrive": "batch-resend help mail",
    }
)
@click.argument("topic", required=False, shell_complete=complete_topic)
def help(topic: str | None, is_json: bool) -> int:
    """Show a page of the manual; without TOPIC, list the pages.

    The beginning of a topic's name is enough. On a terminal, a long page opens in your pager. For
    the options of a command: `batch-resend COMMAND --help`.
    """
    if is_json and topic is None:
        show_json([{"name": one.name, "title": one.title} for one in topics()])
        return ExitCode.ALL_WELL
    if topic is None:
        click.echo(f"Topics\n{_list()}\nRead one: batch-resend help TOPIC")
        return ExitCode.ALL_WELL
    page = find_topic(topic)
    if page is None:
        raise click.UsageError(f"there is no topic {topic!r}{_if_a_command(topic)}.\n\n{_list()}")
    if is_json:
        show_json({"name": page.name, "title": page.title, "text": page.text})
        return ExitCode.ALL_WELL
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


PROGRAM = "batch-resend"
VARIABLE = "_BATCH_RESEND_COMPLETE"  # by which the shell asks; click answers
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@command(
    examples={
        "bash, in ~/.bashrc": 'eval "$(batch-resend completion bash)"',
        "zsh, in ~/.zshrc": 'eval "$(batch-resend completion zsh)"',
        "fish": "batch-resend completion fish > ~/.config/fish/completions/batch-resend.fish",
    }
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str, is_json: bool) -> int:
    """Print what a shell needs to complete commands, options and the names of runs."""
    source = SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE).source()
    if is_json:
        show_json({"shell": shell, "source": source})
    else:
        click.echo(source)
    return ExitCode.ALL_WELL
