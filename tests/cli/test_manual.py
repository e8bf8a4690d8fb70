"""Help as a manual, completion, and what is said of a slip of the keyboard."""

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from batch_resend.cli.command import MEANINGS, OF_DOCTOR, OTHER, SIGNALLED, ExitCode, ManualCommand
from batch_resend.cli.main import cli
from tests.cli.conftest import Desk, desk_with_ca
from tests.pages import MANUAL, read_page, table

ROOT = Path(__file__).parent.parent.parent
COMMANDS = sorted(cli.commands)
OPTION = re.compile(r"(?<![\w-])(--[a-z-]+|-[a-z]\b)")


def command_lines() -> list[str]:
    """Return every example of every command."""
    manuals = [cli, *cli.commands.values()]
    return [
        line
        for manual in manuals
        if isinstance(manual, ManualCommand)
        for line in manual.examples.values()
    ]


@pytest.mark.parametrize("line", command_lines())
def test_every_example_is_a_command_line_that_is_understood(line: str) -> None:
    words = shlex.split(line.rsplit("| ", maxsplit=1)[-1].partition(" > ")[0])
    if words[0] == "eval":
        words = shlex.split(re.sub(r"^\$\((.*)\)$", r"\1", words[1]))
    assert words[0] == "batch-resend"
    name = words[1]
    context = click.Context(cli, info_name="batch-resend")
    # Parsed wholly, types and all, and not carried out.
    cli.commands[name].make_context(name, words[2:], parent=context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_manual_with_examples_and_exit_codes(name: str) -> None:
    command = cli.commands[name]
    text = command.get_help(click.Context(command, info_name=name))
    assert "\nExamples:\n" in text
    assert "\nExit codes:\n  0 " in text
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.opts[0] in text
            assert param.help, f"{param.opts[0]} says nothing of itself"


def test_the_many_options_of_send_are_listed_by_what_they_are_about() -> None:
    loose = [p for p in cli.commands["send"].params if getattr(p, "section", None) == OTHER]
    assert loose == []


def test_exit_codes_mean_in_help_what_the_reference_says() -> None:
    meanings = [[str(int(code)), MEANINGS[code]] for code in ExitCode]
    assert table("| exit code | meaning |") == [*meanings, [*SIGNALLED]]
    of_doctor = [[str(int(code)), meaning] for code, meaning in OF_DOCTOR.items()]
    assert table("| exit code of `doctor` | meaning |") == of_doctor


def test_the_reference_names_every_option_that_is_no_variable() -> None:
    said = (
        read_page(MANUAL / "reference.md")
        .text.partition("These have no variable")[2]
        .partition("\n\n")[0]
    )
    without = {
        (option, name)
        for name in COMMANDS
        for param in cli.commands[name].params
        if isinstance(param, click.Option) and param.envvar is None
        for option in param.opts
        if name != "simulate" and option != "--help"
    }
    assert {option for option, _ in without} == set(OPTION.findall(said))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (("sned", "orders.csv"), "send"),
        (("histroy", "1"), "history"),
        (("send", "--dry-rum"), None),
        (("send", "--concurency", "3", "orders.csv"), "--concurrency"),
        (("send", "--api-key", "x", "orders.csv"), "--api-key-file"),
    ],
)
async def test_a_mistyped_command_or_option_brings_up_the_one_that_was_meant(
    desk: Desk, words: tuple[str, ...], suggestion: str | None
) -> None:
    refused = await desk.run(*words)
    assert refused.code == 2
    assert "Traceback" not in refused.err
    if suggestion:
        assert re.search(rf"Did you mean .*{suggestion}", refused.err)


# --- completion ---------------------------------------------------------------------------------

ASK_BASH = """
eval "$(batch-resend completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_batch_resend_completion batch-resend
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


async def completed(desk: Desk, *words: str) -> list[str]:
    """Return what bash offers for the last word of a command line."""
    folder = desk.folder / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "batch-resend"
    program.write_text(f"#!/bin/sh\nexec {shlex.join(desk.command())} \"$@\"\n".replace(
        "-m batch_resend", f"-c {shlex.quote(AS_INSTALLED)}"))  # fmt: skip
    program.chmod(0o755)
    script = ASK_BASH.format(words=" ".join(map(shlex.quote, ("batch-resend", *words))))
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script,
        env=desk.environment | {"PATH": f"{folder}:{desk.environment['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode().split()


AS_INSTALLED = "import sys; sys.argv[0] = 'batch-resend'; from batch_resend.cli import main; main()"


@pytest.mark.asyncio
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
async def test_bash_completes_commands_options_values_and_the_names_of_runs(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        await desk.run("send", "orders.csv")
        run = desk.summary()["run_id"]
    assert await completed(desk, "se") == ["send"]
    assert await completed(desk, "send", "--in-d") == ["--in-doubt"]
    assert await completed(desk, "send", "--in-doubt", "h") == ["hold"]
    assert await completed(desk, "show", run[:4]) == [run]
    assert await completed(desk, "show", "nothing of that name") == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "words", ["send or", "check or", "simulate -- batch-resend send or", "send --log-file or"]
)
async def test_where_a_list_is_wanted_the_names_of_files_are_left_to_the_shell(
    desk: Desk, words: str
) -> None:
    line = f"batch-resend {words}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_INSTALLED, stdout=asyncio.subprocess.PIPE,
        env=desk.environment | {
            "_BATCH_RESEND_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        },
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().split() == ["file,or"]


@pytest.mark.asyncio
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_gets_a_script_of_its_own(desk: Desk, shell: str) -> None:
    told = await desk.run("completion", shell)
    assert told.code == 0
    assert f"_BATCH_RESEND_COMPLETE={shell}_complete" in told.out


@pytest.mark.asyncio
async def test_an_unknown_shell_is_refused_with_those_that_are_known(desk: Desk) -> None:
    refused = await desk.run("completion", "csh")
    assert refused.code == 2
    assert "'bash', 'zsh', 'fish'" in refused.err


def test_the_list_of_commands_fits_a_narrow_terminal_word_for_word() -> None:
    text = cli.get_help(click.Context(cli, info_name="batch-resend", terminal_width=80))
    for name in COMMANDS:
        summary = cli.commands[name].get_short_help_str()
        assert summary[-1] == "."
        assert f"\n  {name:<10}  {summary}\n" in text


def test_help_imports_none_of_what_sending_needs() -> None:
    heavy = {"aiohttp", "anyio", "asyncio", "pydantic", "rich", "sqlalchemy", "structlog"}
    program = (
        "import sys\n"
        "from batch_resend.cli.main import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "Commands:" in done.stdout
    assert "'click'" in done.stderr
    assert not heavy & set(re.findall(r"'(\w+)'", done.stderr))
