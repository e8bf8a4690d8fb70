"""The manual: a page a topic, in `docs/`, written to be read on a terminal.

What a page says in short is a list under the heading "In short", so that other places can repeat it
without a second wording.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MAIL_NOT_ARRIVING = "mail-not-arriving"
_ENDING = ".md"
_IN_SHORT = "## In short"


@dataclass(frozen=True, slots=True)
class Topic:
    """One page of the manual."""

    name: str
    text: str

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def in_short(self) -> tuple[str, ...]:
        """What it says in a few sentences, one a point; empty where it has no such section."""
        section = self.text.partition(f"{_IN_SHORT}\n")[2].partition("\n## ")[0]
        points = section.strip().removeprefix("- ").split("\n- ")
        return tuple(" ".join(point.split()) for point in points if point)


def topics() -> Iterator[Topic]:
    """Yield the pages of the manual, by name."""
    pages = (page for page in files("batch_resend").joinpath("docs").iterdir())
    for page in sorted(pages, key=lambda page: page.name):
        if page.name.endswith(_ENDING):
            yield Topic(page.name.removesuffix(_ENDING), page.read_text(encoding="utf-8"))


def find_topic(name: str) -> Topic | None:
    """Return the page of that name, or the only one whose name begins so."""
    found = [topic for topic in topics() if topic.name.startswith(name.lower())]
    exact = [topic for topic in found if topic.name == name.lower()]
    return next(iter(exact or found)) if len(exact or found) == 1 else None


@cache
def mail_advice() -> tuple[str, ...]:
    """Return what to look at where mails were sent and did not arrive, in short."""
    topic = find_topic(MAIL_NOT_ARRIVING)
    return topic.in_short if topic else ()
