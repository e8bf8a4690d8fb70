"""An option is declared in one place: all others have it from there."""

import re
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import pytest
import trustme

from batch_resend.cli.as_settings import RunOptions, reading_of
from batch_resend.cli.command import ManualOption
from batch_resend.cli.commands.worker import ITS_OWN
from batch_resend.cli.main import cli
from batch_resend.cli.options import SEND
from batch_resend.intake import Reading
from batch_resend.notify import Notifier
from batch_resend.settings import OPTIONS, Settings
from batch_resend.windows import Window
from tests.cli.test_flags_and_profiles import settings_as_told
from tests.pages import table
from tests.reference import REFERENCE, with_tables

# Of settings whose type does not say what they may be: a text, and what it comes to.
EXAMPLES: dict[str, tuple[str, object]] = {
    "base_url": ("https://ca.example/v2", "https://ca.example/v2"),
    "windows": ("7/1m", (Window(7, 60.0),)),
    "ca_file": ("ca.pem", Path("ca.pem")),
    "journal": ("other.db", Path("other.db")),
}


def example(name: str) -> tuple[str, object]:
    """Return a text that gives a setting another value than its default, and that value."""
    field: Any = Settings.model_fields[name]
    if name in EXAMPLES:
        return EXAMPLES[name]
    if field.annotation is bool:
        return "true", not field.default
    if issubclass(field.annotation, StrEnum):
        other = next(one for one in field.annotation if one is not field.default)
        return str(other), other
    more = field.default + 1
    return str(more) if field.annotation is int else f"{more:g}s", more


@pytest.mark.parametrize("way", ["flag", "variable", "file", "command's table"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_setting_is_taken_from_the_command_line_the_environment_and_the_file(
    tmp_path: Path, name: str, way: str
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    option, (text, value) = OPTIONS[name], example(name)
    key = option.flag.removeprefix("--")
    flag, file, environment = "", "", {}
    if way == "flag":
        flag = option.flag if value is True else f"{option.flag} {text}"
    elif way == "variable":
        environment[f"BATCH_RESEND_{option.parameter.upper()}"] = text
    else:
        table = "[send]\n" if way == "command's table" else ""
        written = text if isinstance(value, bool | int) else f'"{text}"'
        file = f"{table}{key} = {written}\n"
    assert getattr(settings_as_told(tmp_path, flag, file, **environment), name) == value


def test_every_setting_but_the_keys_is_an_option_of_what_sends() -> None:
    assert set(Settings.model_fields) - set(OPTIONS) == {"api_key", "accounts"}
    lengths_of_time = {
        name for name, one in Settings.model_fields.items() if one.annotation is float
    }
    assert all(name.endswith("_s") for name in lengths_of_time), "they are read as such"
    for command in ("send", "resume", "sweep"):
        assert {one.parameter for one in OPTIONS.values()} <= parameters(command)


def test_every_way_to_read_a_list_is_taken_from_an_option() -> None:
    said = "--map email=Mail --locale de --no-header --delimiter ; --encoding cp1252 --sheet S "
    said += "--all-statuses --call domain-dcv --any-product --all-domains --ignore X a.csv"
    assert differing(said) == {one.name for one in fields(Reading)} - {
        "auto_call", "accounts", "own_account",
    }  # fmt: skip
    assert differing("--auto-call a.csv") == {"auto_call"}


def differing(said: str) -> set[str]:
    """Return what some words have read in another way than usual."""
    with cli.commands["check"].make_context("check", said.split()) as context:
        reading, usual = reading_of(context.params), Reading()
    return {
        one.name
        for one in fields(Reading)
        if getattr(reading, one.name) != getattr(usual, one.name)
    }


def test_the_tables_of_the_reference_are_made_of_the_options() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: make reference"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_option_of_each_command_is_in_the_reference(name: str) -> None:
    rows = [(row[0], "`send`") for row in table("options")]
    rows += [(row[0], row[1]) for row in table("other options")]
    shared = {flags for flags, of in rows if of == "`send`"}
    own = {flags for flags, of in rows if f"`{name}`" in of}
    for option in cli.commands[name].params:
        if isinstance(option, click.Option):
            assert any(re.search(f"`{option.opts[0]}[` ]", flags) for flags in shared | own), option


def test_what_is_shown_and_who_is_notified_is_taken_from_options_of_the_same_names() -> None:
    taken = {one.name for kind in (RunOptions, Notifier) for one in fields(kind)}
    assert taken - parameters("send") == {"asks", "presentation", "clock"}


def parameters(command: str) -> set[str | None]:
    """Return the options of a command, by the names of their parameters."""
    return {one.name for one in cli.commands[command].params if isinstance(one, click.Option)}


def test_what_the_next_commands_are_given_they_have() -> None:
    carried = {
        (option.name, following)
        for command in cli.commands.values()
        for option in command.params
        if isinstance(option, ManualOption)
        for following in option.carried_to
    }
    assert ("base_url", SEND) in carried
    assert [pair for pair in carried if pair[0] not in parameters(pair[1])] == []


def test_the_sweeps_of_a_worker_are_given_all_that_it_was_but_what_is_its_own() -> None:
    assert parameters("worker") - set(ITS_OWN) <= parameters("sweep")
