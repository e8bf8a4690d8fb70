"""The manual's tables of options, made of the options themselves; `make reference` writes them."""

import re
from collections.abc import Iterable, Iterator

import click

from batch_resend.cli.main import cli
from tests.pages import MANUAL

REFERENCE = MANUAL / "reference.md"
_TABLE = re.compile(r"^<!-- (options|other options) -->\n(?:\|.*\n)*", re.MULTILINE)


def with_tables(text: str) -> str:
    """Return the text of the page with the tables of options as they should be."""
    tables = {"options": _of_send(), "other options": _of_others()}
    return _TABLE.sub(lambda found: f"{found[0].splitlines()[0]}\n{tables[found[1]]}", text)


def _of_send() -> str:
    rows = (_described(option) for option in _options("send"))
    return _written(("option of `send`", "meaning", "default"), rows)


def _of_others() -> str:
    """Return a row for each option that `send` has not, and one for all commands that share it."""
    shared = {_described(option) for option in _options("send")}
    having: dict[tuple[str, str, str], list[str]] = {}
    for name in sorted(cli.commands):
        for option in _options(name):
            if (described := _described(option)) not in shared:
                having.setdefault(described, []).append(f"`{name}`")
    rows = ((flags, ", ".join(names), *rest) for (flags, *rest), names in having.items())
    return _written(("option", "of", "meaning", "default"), rows)


def _options(command: str) -> Iterator[click.Option]:
    return (param for param in cli.commands[command].params if isinstance(param, click.Option))


def _described(option: click.Option) -> tuple[str, str, str]:
    """Return an option's flags with what they take, its meaning and its default."""
    context = click.Context(click.Command(""))
    value = "" if option.is_flag else f" {_metavar(option, context)}"
    spellings = (*sorted(option.opts, key=len), *option.secondary_opts)
    flags = ", ".join(f"`{flag}{value}`" for flag in spellings)
    default = option.get_help_extra(context).get("default", "").strip("()")
    is_off = option.is_flag and not option.secondary_opts
    return flags, option.help or "", "off" if is_off else default


def _metavar(option: click.Option, context: click.Context) -> str:
    """Return the name of what an option takes."""
    name = option.make_metavar(context).strip("[]")
    return "N" if name.startswith("INTEGER") else name


def _written(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = tuple(headings)
    lines = [headings, ["---"] * len(headings)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    first, rule, *rest = (f"| {' | '.join(line)} |\n" for line in lines)
    return first + rule.replace(" ", "") + "".join(rest)


if __name__ == "__main__":
    REFERENCE.write_text(with_tables(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
