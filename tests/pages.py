"""What people read: the README and the pages of the manual, as one text.

A fact may move from one page to another; what is compared with it then still finds it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MANUAL = ROOT / "batch_resend" / "docs"
# As `(line)$ command`, or as code within a sentence: a command's name alone is only a name.
_COMMANDS = re.compile(
    r"^```(?:sh|console)\n(.*?)^```$|`(batch-resend (?:-|\w+ )[^`]*)`", re.MULTILINE | re.DOTALL
)
_BORDER = re.compile(r"(?<!\\)\|")
_NO_COMMAND = re.compile(r"\s*(#|$)")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it is, and its text."""

    path: Path
    text: str

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def name(self) -> str:
        """Its topic; README of the README."""
        return self.path.stem

    def command_lines(self) -> Iterator[str]:
        """Yield the command lines of its blocks, and those within its sentences, in order."""
        for found in _COMMANDS.finditer(self.text):
            block, within = found.groups()
            lines = [within.replace("\n", " ")] if within else _lines(block)
            yield from (line.removeprefix("$ ") for line in lines)


def _lines(block: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if not _NO_COMMAND.match(line)]


def read_page(path: Path) -> Page:
    """Return the page at this path."""
    return Page(path, path.read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Return the README, then the pages of the manual by name."""
    return [read_page(path) for path in (README, *sorted(MANUAL.glob("*.md")))]


def whole_text() -> str:
    """Return all pages as one text."""
    return "\n\n".join(page.text for page in pages())


def page_with_block(mark: str) -> Page:
    """Return the one page that has a code block after the comment `<!-- mark -->`."""
    (page,) = [page for page in pages() if _block_pattern(mark).search(page.text)]
    return page


def block(mark: str) -> str:
    """Return the code block after the comment `<!-- mark -->`."""
    found = _block_pattern(mark).search(page_with_block(mark).text)
    assert found is not None
    return found[2]


def replace_block(mark: str, text: str) -> None:
    """Put text into the code block after the comment `<!-- mark -->`."""
    page = page_with_block(mark)
    changed = _block_pattern(mark).sub(lambda found: f"{found[1]}{text}{found[3]}", page.text)
    page.path.write_text(changed, encoding="utf-8")


def _block_pattern(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(mark)} -->\n```\w+\n)(.*?)(```)", re.DOTALL)


def table(start: str) -> list[list[str]]:
    """Return the cells of the rows, without the headings, of the one table that begins so.

    `start`: the beginning of its heading row, or the name of a comment `<!-- name -->` before it.
    """
    mark = rf"<!-- {re.escape(start)} -->\n(?=\|)"
    found = [*re.finditer(rf"^(?:{mark}|(?={re.escape(start)}))", whole_text(), re.MULTILINE)]
    assert len(found) == 1, f"{len(found)} tables begin with {start!r}"
    lines = whole_text()[found[0].end() :].partition("\n\n")[0].splitlines()[2:]
    return [
        [cell.strip().replace("\\|", "|") for cell in _BORDER.split(line)[1:-1]] for line in lines
    ]


def names_in_first_cells(start: str) -> list[str]:
    """Return what stands as code in the first cells of a table's rows, in order."""
    return [name for row in table(start) for name in re.findall(r"`([^`]+)`", row[0])]
