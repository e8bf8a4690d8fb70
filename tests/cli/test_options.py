"""An option is declared in one place: all others have it from there; lengths of time have units."""

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
from batch_resend.cli.config import read_config
from batch_resend.cli.main import cli
from batch_resend.cli.options import SEND
from batch_resend.cli.values import DURATION
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.notify import Notifier
from batch_resend.settings import OPTIONS, Settings
from batch_resend.windows import Window
from tests.cli.conftest import Desk, desk_with_ca
from tests.cli.test_profiles import settings_as_told
from tests.pages import table
from tests.reference import MADE, as_it_should_be

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
    assert set(Settings.model_fields) - set(OPTIONS) == {
        "api_key", "key_named", "profile", "accounts", "without_key", "next_flags",
    }  # fmt: skip
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
        "auto_call", "accounts", "own_account", "numbers_only",
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


@pytest.mark.parametrize("path", MADE, ids=lambda path: str(path.name))
def test_what_is_written_elsewhere_by_what_the_code_says_is_as_it_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert as_it_should_be(text) == text, "run: make reference"


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
    assert taken - parameters("send") == {
        "asks", "presentation", "style", "clock", "is_silent",
    }  # fmt: skip


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


# --- lengths of time have a unit, wherever one is given -------------------------------------------

INPUTS = {"send": ("orders.csv",), "verify": ("RUN",)}
DURATIONS = [
    pytest.param(name, param, id=f"{name} {param.opts[0]}")
    for name, command in cli.commands.items()
    for param in command.params
    if isinstance(param, click.Option) and param.type is DURATION
]


def parse(command: str, *words: str) -> None:
    """Parse a command line as the program does, and don't carry it out."""
    words = (*INPUTS.get(command, ()), *words)
    cli.commands[command].make_context(
        command, list(words), parent=click.Context(cli, **cli.context_settings)
    )


def test_options_that_are_lengths_of_time_are_known() -> None:
    assert len(DURATIONS) > 10


@pytest.mark.parametrize(("command", "option"), DURATIONS)
def test_no_option_takes_a_length_of_time_without_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, option: click.Option
) -> None:
    without_unit = "has no unit: write 1|write a length"
    with pytest.raises(click.UsageError, match=without_unit):
        parse(command, option.opts[0], "1")
    if option.envvar is not None:
        with monkeypatch.context() as patch:
            patch.setenv(str(option.envvar), "1")
            with pytest.raises(click.UsageError, match=without_unit):
                parse(command)
    file = tmp_path / "batch.toml"
    for value in ("1", '"1"', "1.5", "true"):
        file.write_text(f"[{command}]\n{option.opts[0].removeprefix('--')} = {value}\n")
        with pytest.raises(SettingsError, match=without_unit):
            read_config(file, [cli.commands[command]])


@pytest.mark.parametrize(
    ("words", "file", "told"),
    [
        (("send", "orders.csv", "--limit", "1000/3"), "", "'3' has no unit: write 3s, 3m, 3h or"),
        (("simulate", "--limit", "1000/180"), "", "'180' has no unit"),
        (("simulate", "--latency", "50"), "", "'50' is not a latency: write 50ms"),
        (("simulate", "--latency", "10-300"), "", "write 50ms, 10-300ms"),
        (("send", "orders.csv"), 'limit = "1000/3"', "batch.toml, line 1: "),
        (("send", "orders.csv"), '[profiles.x]\nlimit = ["1000/3m", "100/5"]', "profile x: "),
    ],
)
async def test_nor_does_a_limit_or_a_latency(
    desk: Desk, words: tuple[str, ...], file: str, told: str
) -> None:
    desk.write_list(1)
    desk.write("batch.toml", file)
    refused = await desk.run("--config", "batch.toml", *words)
    assert refused.code == 1
    assert told in refused.err
    assert "has no unit" in refused.err or "latency" in refused.err


@pytest.mark.parametrize("value", ["0", '"0"', '"0s"', "0.0"])
async def test_0_needs_no_unit(tmp_path: Path, value: str) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        desk.write("batch.toml", f"cooldown = {value}\n")
        for _ in range(2):
            assert (await desk.run("--config", "batch.toml", "send", "orders.csv")).code == 0
        assert ca.books.mails == 2
