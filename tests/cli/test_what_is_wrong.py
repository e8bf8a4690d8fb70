"""What is said of a value, or a file, that an option names and that will not do."""

from collections.abc import Iterator

import click
import pytest

from batch_resend.cli.main import SUBCOMMANDS, cli
from tests.cli.conftest import KEY, Desk

# --- values of which there are few --------------------------------------------------------------

WORDS = {"send": ("orders.csv",), "check": ("orders.csv",), "history": ("1",)}


def choices() -> Iterator[tuple[str, click.Option]]:
    """Yield each option that takes one of a few values, with the first command that has it."""
    seen = set[tuple[str, tuple[str, ...]]]()
    for name in SUBCOMMANDS:
        for one in cli.commands[name].params:
            if isinstance(one, click.Option) and isinstance(one.type, click.Choice):
                allowed = one.opts[0], tuple(one.type.choices)
                if allowed not in seen:
                    seen.add(allowed)
                    yield name, one


@pytest.mark.parametrize(("name", "option"), list(choices()))
async def test_of_a_value_that_is_none_of_a_few_it_is_said_which_there_are(
    desk: Desk, name: str, option: click.Option
) -> None:
    flag, words = option.opts[0], WORDS.get(name, ())
    desk.write_list(1)
    desk.write("batch.toml", f'[{name}]\n{flag.removeprefix("--")} = "mars"\n')
    refused = [
        await desk.run(name, flag, "mars", *words),
        await desk.run("--config", "batch.toml", name, *words),
    ]
    if option.envvar:
        desk.environment[str(option.envvar)] = "mars"
        refused.append(await desk.run(name, *words))
    assert isinstance(option.type, click.Choice)
    for ended in refused:
        assert ended.code in (1, 2)
        assert "'mars' is not " in ended.err
        for value in option.type.choices:
            assert repr(value) in ended.err


async def test_likewise_of_a_profile(desk: Desk) -> None:
    desk.write("batch.toml", '[profiles.shop]\nregion = "mars"\n')
    refused = await desk.run("--config", "batch.toml", "check", "orders.csv")
    assert "profile shop: region: 'mars' is not one of 'us', 'eu'" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--concurrency 0", "--concurrency: must be greater than or equal to 1"),
        ("--max-attempts 0", "--max-attempts: must be greater than or equal to 1"),
        ("--timeout 0s", "--timeout: must be greater than 0"),
        ("--base-url ftp://x", "--base-url: 'ftp://x' is not a base URL such as https://"),
        ("--limit 5", "--limit: '5' is not a limit: write 1000/3m"),
        ("--locale xxxxxxxx", "--locale: the locale 'xxxxxxxx' is not a code such as en"),
        ("--encoding x", "--encoding: 'x' is not known; write for example cp1252"),
        ("--delimiter xx", "--delimiter: 'xx' is not a single character"),
    ],
)
async def test_of_a_value_out_of_bounds_the_option_is_named(
    desk: Desk, words: str, said: str
) -> None:
    desk.write_list(1)
    refused = await desk.run("send", *words.split(), "orders.csv")
    assert refused.code == 1
    assert f"batch-resend: {said}" in refused.err


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x80" * 50], ids=["missing", "no text"])
@pytest.mark.parametrize(
    "option", ["--config", "--api-key-file", "--ca-file", "--exclude", "profile shop", "list"]
)
async def test_of_a_file_that_cannot_be_used_its_option_and_name_are_said_and_no_others(
    desk: Desk, option: str, content: bytes | None
) -> None:
    desk.write_list(1)
    desk.write("key.txt", KEY)
    name = "other.file"
    if content is not None:
        (desk.folder / name).write_bytes(content)
    desk.write("batch.toml", f'[profiles.shop]\napi-key-file = "{name}"\n')
    send = ("send", "--yes", "--base-url", "http://127.0.0.1:1/v2", "orders.csv")
    command = {
        "--config": ("--config", name, "check", "orders.csv"),
        "--api-key-file": (*send, "--api-key-file", name),
        "--ca-file": (*send, "--api-key-file", "key.txt", "--ca-file", name),
        "--exclude": ("sweep", "--yes", "--api-key-file", "key.txt", "--exclude", name),
        "profile shop": ("--config", "batch.toml", *send, "--profile", "shop"),
        "list": ("check", name),
    }[option]
    refused = await desk.run(*command)
    assert refused.code == 1
    assert name in refused.err
    assert option == "list" or f"batch-resend: {option}" in refused.err
    assert "orders.csv" not in refused.err
    assert "codec" not in refused.err
    if content is None:
        assert "No such file or directory" in refused.err
        assert "correct" not in refused.err
