"""Help as a manual and its pages, completion, and what is said of a slip of the keyboard."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import click
import pytest

from batch_resend.cli.command import MEANINGS, OF_DOCTOR, OTHER, SIGNALLED, ExitCode, ManualCommand
from batch_resend.cli.commands.help import laid_out
from batch_resend.cli.main import cli
from batch_resend.topics import Topic, find_topic, mail_advice, topics
from tests.cli.conftest import Desk, desk_with_ca, ended
from tests.cli.screen import on_screen
from tests.pages import MANUAL, read_page, table

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")
COMMENT = re.compile(r"^<!-- .* -->$", re.MULTILINE)
MAIL = "mail-not-arriving  Mail that does not arrive"


async def test_a_topic_is_shown_by_the_beginning_of_its_name(desk: Desk) -> None:
    listed = await desk.run("help")
    assert listed.code == 0
    assert f"  {MAIL}\n" in listed.out
    for topic in topics():
        assert f"  {topic.name} " in listed.out
    shown = [await desk.run("help", name) for name in ("mail", "mail-not-arriving", "Mail")]
    assert shown[0] == shown[1] == shown[2]
    assert (shown[0].code, shown[0].err) == (0, "")
    for point in mail_advice():
        assert point in " ".join(shown[0].out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("help", "weather"), f"  {MAIL}"),
        (("help", "send"), "`batch-resend send --help` explains the command"),
        (("sned", "orders.csv"), "Did you mean .*send"),
        (("histroy", "1"), "Did you mean .*history"),
        (("send", "--dry-rum"), "--dry-rum"),
        (("send", "--concurency", "3", "orders.csv"), "Did you mean .*--concurrency"),
        (("send", "--api-key", "x", "orders.csv"), "Did you mean .*--api-key-file"),
        (("completion", "csh"), "'bash', 'zsh', 'fish'"),
    ],
)
async def test_a_slip_of_the_keyboard_brings_up_what_was_meant(
    desk: Desk, words: tuple[str, ...], said: str
) -> None:
    refused = await desk.run(*words)
    assert refused.code == 2
    assert "Traceback" not in refused.err
    assert re.search(said, refused.err)


async def test_a_long_page_goes_through_the_pager_of_a_terminal_alone(desk: Desk) -> None:
    pager = desk.write("pager", "#!/bin/sh\ntee seen > /dev/null\n")
    pager.chmod(0o755)
    await desk.run("help", "mail", PAGER=str(pager))
    assert not (desk.folder / "seen").exists()
    async with on_screen(desk, "help", "mail", environment={"PAGER": str(pager)}) as screen:
        assert await screen.ended() == 0
    assert "MX record" in (desk.folder / "seen").read_text()


@pytest.mark.parametrize("page", [*topics()], ids=lambda page: page.name)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_page_reads_well_on_a_terminal(page: Topic, width: int) -> None:
    shown = laid_out(page.text, width)
    assert shown.startswith(f"# {page.title}\n\n")
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")
    without_code = CODE.sub("", shown)
    assert [line for line in without_code.splitlines() if len(line) > width] == []
    for only_for_a_browser in ("](", "<!--", "\n|", "\\|"):
        assert only_for_a_browser not in without_code
    words, there = (
        Counter(re.findall(r"\w+", text))
        for text in (LINK.sub(r"\1", COMMENT.sub("", page.text)), shown)
    )
    assert words - there == Counter(), "no word is lost"


TABLE = r"""Before.

<!-- mark -->
| option | meaning | default |
|---|---|---|
| `--call a\|b` | which of them, see [calls](calls.md) | a |
| `--yes` | [the source](../../samples/x.py), [below](#there) | |
"""


LAST_IS_LONG = """| exit code | meaning |
|---|---|
| 0 | every order accepted, or skipped |
| 5 | another run: see `runs`, and `a command that is longer than a line` or `the next` |
"""


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        pytest.param(
            "One that is longer,\nso it is filled.\n\n- an item that is longer,\n  too\n- next\n",
            18,
            "One that is\nlonger, so it is\nfilled.\n\n- an item that is\n  longer, too\n- next\n",
            id="a paragraph and an item that are too wide are filled again",
        ),
        pytest.param(TABLE, 80, """\
Before.

option        meaning                           default
------------  --------------------------------  -------
`--call a|b`  which of them, see `help calls`   a
`--yes`       the source (samples/x.py), below
""", id="it fits"),
        pytest.param(LAST_IS_LONG, 40, """\
exit code  meaning
---------  -----------------------------
0          every order accepted, or
           skipped
5          another run: see `runs`, and
           `a command that is longer
           than a line` or `the next`
""", id="its last column is wrapped"),
        pytest.param(TABLE, 40, """\
Before.

(option)

`--call a|b`
    meaning: which of them, see
      `help calls`
    default: a

`--yes`
    meaning: the source (samples/x.py),
      below
""", id="too wide for columns"),
        pytest.param("1. A line that is longer than the terminal is wide.\n", 40, """\
1. A line that is longer than the
   terminal is wide.
""", id="a sentence, not a table"),
        pytest.param("```sh\nbatch-resend check a-very-long-name-of-a-list.csv\n```\n", 40, """\
```sh
batch-resend check a-very-long-name-of-a-list.csv
```
""", id="a command, which stays whole"),
    ],
)  # fmt: skip
def test_a_page_is_laid_out_for_the_width_of_the_terminal(
    text: str, width: int, shown: str
) -> None:
    assert laid_out(text, width) == shown


def test_every_topic_that_is_named_anywhere_is_there() -> None:
    files = [ROOT / "README.md", *(ROOT / "batch_resend").rglob("*.py")]
    files += [*(ROOT / "batch_resend").rglob("*.html"), *(ROOT / "batch_resend").rglob("*.md")]
    named = {
        name
        for file in files
        for name in re.findall(r"batch-resend help ([a-z-]+)", file.read_text(encoding="utf-8"))
    }
    assert "mail" in named
    assert [name for name in named if find_topic(name) is None] == []


def test_the_pages_are_found_in_a_package_that_is_no_folder(tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (ROOT / "batch_resend").rglob("*"):
            if file.suffix in (".py", ".md"):
                packed.write(file, file.relative_to(ROOT))
    program = "from batch_resend.topics import find_topic; print(find_topic('mail').text)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(archive)}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "MX record" in done.stdout


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
    context = click.Context(cli, info_name="batch-resend", **cli.context_settings)
    # Parsed wholly, types and all, and not carried out.
    cli.commands[name].make_context(name, words[2:], parent=context)


def test_the_many_options_of_send_are_listed_by_what_they_are_about() -> None:
    loose = [p for p in cli.commands["send"].params if getattr(p, "section", None) == OTHER]
    assert loose == []


def test_exit_codes_mean_in_help_what_the_reference_says() -> None:
    meanings = [[str(int(code)), MEANINGS[code]] for code in ExitCode]
    assert table("| exit code | meaning |") == [*meanings, [*SIGNALLED]]
    of_doctor = [[str(int(code)), meaning] for code, meaning in OF_DOCTOR.items()]
    assert table("| exit code of `doctor` | meaning |") == of_doctor


def test_the_reference_names_every_option_that_is_no_variable() -> None:
    """By its name alone if it has none in any command, and otherwise with its commands."""
    text = read_page(MANUAL / "reference.md").text
    said = text.partition("Some options have no variable")[2].partition("Two more variables")[0]
    everywhere = {code for code in re.findall("`([^`]+)`", said) if OPTION.fullmatch(code)}
    named = set(re.findall("`([a-z]+ --[a-z-]+)`", said))
    without = {
        f"{name} {option}"
        for name in COMMANDS
        for param in cli.commands[name].params
        if isinstance(param, click.Option) and param.envvar is None
        for option in param.opts
        if name != "simulate" and option != "--help"
    }
    assert {one for one in without if one.split()[1] not in everywhere} == named
    assert everywhere == {"--json", "--format"}


# --- completion ---------------------------------------------------------------------------------

ASK_BASH = """
eval "$(batch-resend completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_batch_resend_completion batch-resend
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


AS_INSTALLED = "import sys; sys.argv[0] = 'batch-resend'; from batch_resend.cli import main; main()"


async def completed(desk: Desk, *words: str) -> list[str]:
    """Return what bash offers for the last word of a command line."""
    folder = desk.folder / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "batch-resend"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", AS_INSTALLED])} "$@"\n')
    program.chmod(0o755)
    desk.environment["PATH"] = f"{folder}:{desk.environment['PATH']}"
    script = ASK_BASH.format(words=" ".join(map(shlex.quote, ("batch-resend", *words))))
    return (await ended(await desk.start(program=("bash", "-c", script)))).out.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
async def test_bash_completes_the_name_of_a_run(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        await desk.run("send", "orders.csv", "--all-domains")
        run = desk.summary()["run_id"]
    assert await completed(desk, "show", run[:4]) == [run]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("se", ["plain,send"]),
        ("send --in-d", ["plain,--in-doubt"]),
        ("send --in-doubt h", ["plain,hold"]),
        ("show nothing-of-that-name", []),
        # Where a list is wanted, the names of files are left to the shell.
        ("send or", ["file,or"]),
        ("check or", ["file,or"]),
        ("simulate -- batch-resend send or", ["file,or"]),
        ("send --log-file or", ["file,or"]),
    ],
)
async def test_commands_options_and_values_are_completed(
    desk: Desk, words: str, offered: list[str]
) -> None:
    line = f"batch-resend {words}"
    desk.environment |= {
        "_BATCH_RESEND_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    assert (await desk.run()).out.split() == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_gets_a_script_of_its_own(desk: Desk, shell: str) -> None:
    told = await desk.run("completion", shell)
    assert told.code == 0
    assert f"_BATCH_RESEND_COMPLETE={shell}_complete" in told.out


def test_the_list_of_commands_fits_a_narrow_terminal_word_for_word() -> None:
    text = cli.get_help(click.Context(cli, info_name="batch-resend", terminal_width=80))
    for name in COMMANDS:
        summary = cli.commands[name].get_short_help_str()
        assert summary[-1] == "."
        assert f"\n  {name:<10}  {summary}\n" in text


OF_THE_CA = {"aiohttp", "tenacity", "batch_resend.certcentral", "batch_resend.sending"}
OF_LISTS = {"batch_resend.intake.sources", "batch_resend.intake.workbook"}
OF_REPORTS = {"jinja2", "pygal", "batch_resend.report.charts", "batch_resend.report.lists"}
OF_THE_JOURNAL = {"anyio", "asyncio", "pydantic", "rich", "sqlite3", "structlog"}
NOT_TO_LOOK = OF_THE_CA | OF_LISTS | OF_REPORTS
# No list of the CA's is asked for, no event logged; the list is no JSON; the report comes later.
NOT_TO_SEND = {
    "batch_resend.certcentral.orders", "batch_resend.order_reader", "structlog", "jinja2",
    "batch_resend.intake.json_rows", "batch_resend.intake.workbook", "batch_resend.report.charts",
}  # fmt: skip
JOURNAL = ("--journal", "journal.db")


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        pytest.param(["--help"], {*NOT_TO_LOOK, *OF_THE_JOURNAL, "logging"}, id="help"),
        pytest.param(["runs", *JOURNAL], NOT_TO_LOOK, id="runs"),
        pytest.param(["check", "orders.csv"], NOT_TO_SEND, id="check"),
        pytest.param(["send", "--dry-run", "orders.csv", *JOURNAL], NOT_TO_SEND, id="send"),
    ],
)
def test_a_command_imports_none_of_what_it_does_not_use(
    tmp_path: Path, words: list[str], unused: set[str]
) -> None:
    (tmp_path / "orders.csv").write_text("order_id\n100000001\n")
    program = (
        "import sys\n"
        "from batch_resend.cli.main import cli\n"
        f"try:\n    cli.main({words!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "DIGICERT_API_KEY": "0123456789abcdef0123456789abcdef"},
    )
    imported = set(re.findall(r"'([\w.]+)'", done.stderr.splitlines()[-1]))
    assert "click" in imported
    assert not unused & imported
