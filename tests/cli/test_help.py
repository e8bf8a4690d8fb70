"""`help`: pages of the manual, which are in the package and are read without a network."""

import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from batch_resend.cli.commands.help import laid_out
from batch_resend.topics import Topic, find_topic, mail_advice, topics
from tests.cli.conftest import Desk
from tests.cli.screen import on_screen

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")
COMMENT = re.compile(r"^<!-- .* -->$", re.MULTILINE)
# What a mail administrator must know, as DigiCert's pages have it.
FACTS = (
    "no-reply@digitalcertvalidation.com",
    "[Action Required] Approve Certificate Request for",
    "[Domain Approval]",
    "MX",
    "quarantine",
    "hostmaster@",
    "Send verification DCV emails to",
    "_validation-contactemail",
    "15 March 2028",
)


@pytest.mark.asyncio
@pytest.mark.parametrize("topic", ["mail", "mail-not-arriving", "Mail"])
async def test_a_topic_is_shown_by_its_name_or_the_beginning_of_it(desk: Desk, topic: str) -> None:
    shown = await desk.run("help", topic)
    assert (shown.code, shown.err) == (0, "")
    for fact in FACTS:
        assert fact in shown.out


@pytest.mark.asyncio
async def test_without_a_topic_it_lists_them_all(desk: Desk) -> None:
    listed = await desk.run("help")
    assert listed.code == 0
    assert "  mail-not-arriving  Mail that does not arrive\n" in listed.out
    assert listed.out.endswith("Read one: batch-resend help TOPIC\n")
    for topic in topics():
        assert f"  {topic.name} " in listed.out


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("topic", "more"),
    [("weather", ""), ("send", "`batch-resend send --help` explains the command")],
)
async def test_an_unknown_topic_is_wrong_usage_and_lists_those_there_are(
    desk: Desk, topic: str, more: str
) -> None:
    refused = await desk.run("help", topic)
    assert refused.code == 2
    assert f"there is no topic '{topic}'" in refused.err
    assert more in refused.err
    assert "  mail-not-arriving  Mail that does not arrive" in refused.err


@pytest.mark.asyncio
async def test_a_long_page_goes_through_the_pager_of_a_terminal_and_of_nothing_else(
    desk: Desk,
) -> None:
    pager = desk.write("pager", "#!/bin/sh\ntee seen > /dev/null\n")
    pager.chmod(0o755)
    await desk.run("help", "mail", PAGER=str(pager))
    assert not (desk.folder / "seen").exists()
    async with on_screen(desk, "help", "mail", environment={"PAGER": str(pager)}) as screen:
        assert await screen.ended() == 0
    assert FACTS[0] in (desk.folder / "seen").read_text()


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


@pytest.mark.parametrize("page", [*topics()], ids=lambda page: page.name)
def test_no_word_of_a_page_is_lost_on_a_terminal(page: Topic) -> None:
    words = Counter(re.findall(r"\w+", LINK.sub(r"\1", COMMENT.sub("", page.text))))
    shown = Counter(re.findall(r"\w+", laid_out(page.text, 80)))
    assert words - shown == Counter()


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


def test_what_to_look_at_is_said_in_a_few_points_which_the_page_begins_with() -> None:
    advice = mail_advice()
    assert len(advice) == 5
    words = ("Let the sender in", "MX record", "Missing alias", "quarantine", "Account setting")
    for point, word in zip(advice, words, strict=True):
        assert word in point
        assert point.endswith(".")


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
    assert FACTS[0] in done.stdout
