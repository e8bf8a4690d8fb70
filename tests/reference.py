"""The README's table of options, made of the options themselves; `make reference` writes it."""

import re
from pathlib import Path

import click

from batch_resend.cli.main import cli

README = Path(__file__).parent.parent / "README.md"
_HEAD = "<!-- options -->\n| option of `send` | meaning | default |\n|---|---|---|\n"
_TABLE = re.compile(r"<!-- options -->\n(?:\|.*\n)*")


def with_table(text: str) -> str:
    """Return the README's text with the table of options as it should be."""
    send = cli.commands["send"]
    context = click.Context(send)
    rows = (_row(param, context) for param in send.params if isinstance(param, click.Option))
    table = _HEAD + "".join(rows)
    return _TABLE.sub(lambda _: table, text)


def _row(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context).strip('[]')}"
    flags = ", ".join(f"`{flag}{value}`" for flag in sorted(option.opts, key=len))
    default = option.get_help_extra(context).get("default", "").strip("()")
    cells = (flags, option.help or "", "off" if option.is_flag else default)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
