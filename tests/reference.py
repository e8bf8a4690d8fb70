"""What is written elsewhere by what the code says; `make reference` writes it.

The manual's tables of options and of calls, and the calls in the schema of results.
"""

import json
import re
from collections.abc import Iterable, Iterator

import click

from batch_resend.calls import CALLS, Addresses
from batch_resend.cli.main import cli
from batch_resend.model import Call
from tests.pages import MANUAL, ROOT

SCHEMA = ROOT / "batch_resend" / "report" / "schemas" / "results.schema.json"
MADE = (MANUAL / "reference.md", MANUAL / "calls.md", SCHEMA)
_TABLE = re.compile(r"^<!-- (options|other options|calls) -->\n(?:\|.*\n)*", re.MULTILINE)
_CALLS = re.compile(r'(?<="description": "Left out: dv-resend.", "enum": )\[.*?\]')
_ADDRESSES = {
    Addresses.PAIRS: "with `domain`, see [lists](lists.md)",
    Addresses.SOME: "optional: which of the addresses that the CA knows",
    Addresses.REQUIRED: "required: whom to mail; several with `;`",
}


def as_it_should_be(text: str) -> str:
    """Return the text of a file with what the code says in its place."""
    tables = {"options": _of_send(), "other options": _of_others(), "calls": _of_calls()}
    others = json.dumps([call for call in CALLS if call is not Call.DV_RESEND])
    text = _TABLE.sub(lambda found: f"{found[0].splitlines()[0]}\n{tables[found[1]]}", text)
    return _CALLS.sub(others, text)


def _of_calls() -> str:
    rows = (
        (
            f"`{name}`",
            call.mails,
            "`domain`, or `domain_id`" if call.is_about_domain else "`order_id`",
            _ADDRESSES[call.addresses],
        )
        for name, call in CALLS.items()
    )
    return _written(("call", "mails", "is about", "`email`"), rows)


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
    for path in MADE:
        path.write_text(as_it_should_be(path.read_text(encoding="utf-8")), encoding="utf-8")
