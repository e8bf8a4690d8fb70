"""A length of time has a unit, wherever one is given."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from batch_resend.cli.main import cli
from batch_resend.cli.options import DURATION
from tests.cli.conftest import Desk, desk_with_ca

pytestmark = pytest.mark.asyncio

INPUTS = {"send": ("orders.csv",), "verify": ("RUN",), "resume": (), "sweep": ()}


def durations() -> Iterator[tuple[str, click.Option]]:
    """Yield each option of each command that is a length of time."""
    for name, command in cli.commands.items():
        for param in command.params:
            if isinstance(param, click.Option) and param.type is DURATION:
                yield name, param


ALL = [pytest.param(*pair, id=f"{pair[0]} {pair[1].opts[0]}") for pair in durations()]


async def test_options_that_are_lengths_of_time_are_known() -> None:
    assert len(ALL) > 10


@pytest.mark.parametrize(("command", "option"), ALL)
async def test_no_option_takes_a_length_of_time_without_a_unit(
    tmp_path: Path, command: str, option: click.Option
) -> None:
    async with desk_with_ca(tmp_path, orders=3) as (desk, ca):
        desk.write_list(1)
        name = option.opts[0]
        words = (command, *INPUTS.get(command, ()), name, "1")
        asked = [await desk.run(*words)]
        if option.envvar is not None:
            desk.environment[str(option.envvar)] = "1"
            asked.append(await desk.run(*words[:-2]))
            del desk.environment[str(option.envvar)]
        for number, value in enumerate(("1", '"1"', "1.5", "true")):
            desk.write(f"{number}.toml", f"[{command}]\n{name.removeprefix('--')} = {value}\n")
            asked.append(await desk.run("--config", f"{number}.toml", *words[:-2]))
        for refused in asked:
            assert refused.code in (1, 2), refused.err
            assert "has no unit: write 1" in refused.err or "write a length" in refused.err
        assert ca.books.mails == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("send", "orders.csv", "--limit", "1000/3"), "'3' has no unit: write 3s, 3m, 3h or 3d"),
        (("simulate", "--limit", "1000/180"), "'180' has no unit"),
        (("simulate", "--latency", "50"), "'50' is not a latency: write 50ms"),
        (("simulate", "--latency", "10-300"), "write 50ms, 10-300ms"),
    ],
)
async def test_nor_does_a_limit_or_a_latency(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        refused = await desk.run(*words)
        assert refused.code == 1
        assert told in refused.err
        assert ca.books.requests == 0


@pytest.mark.parametrize(
    "text", ['limit = "1000/3"', '[profiles.shop]\nlimit = ["1000/3m", "100/5"]']
)
async def test_nor_does_a_limit_of_the_file(desk: Desk, text: str) -> None:
    desk.write_list(1)
    desk.write("batch.toml", text)
    refused = await desk.run("--config", "batch.toml", "send", "orders.csv")
    assert refused.code == 1
    assert "has no unit: write " in refused.err
    assert "batch.toml, line 1: " in refused.err or "profile shop: " in refused.err


@pytest.mark.parametrize("value", ["0", '"0"', '"0s"', "0.0"])
async def test_0_needs_no_unit(tmp_path: Path, value: str) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        desk.write("batch.toml", f"cooldown = {value}\n")
        for _ in range(2):
            assert (await desk.run("--config", "batch.toml", "send", "orders.csv")).code == 0
        assert ca.books.mails == 2


async def test_the_next_command_has_lengths_of_time_with_their_unit(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write_list(8)
        flags = ("--patience", "1s", "--cooldown", "1.5h")
        stopped = await desk.run("send", "orders.csv", *flags)
        _, told = stopped.out.split("once what stopped it is fixed:\n  batch-resend ")
        command = shlex.split(told.splitlines()[0])
        assert command[command.index("--cooldown") + 1] == "5400s"
        ca.fail({})
        assert (await desk.run(*command)).code == 0
