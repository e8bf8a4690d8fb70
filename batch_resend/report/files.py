"""The files of a report; and those that people edit before they send them.

A list that somebody has edited stays as it is. What was written is in report.zip: a list that
differs from it was edited. If there is another list to write then, it goes beside that one, under a
name with the run's.
"""

import logging
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path, PurePath
from zipfile import BadZipFile, ZipFile, ZipInfo

from batch_resend.folders import followed
from batch_resend.report.summary import Summary

OF_ORDERS = UNSENT, REFUSED = ("unsent.csv", "refused.csv")  # by what became of the orders
REJECTED = "rejected.csv"
LISTS = (*OF_ORDERS, REJECTED)  # which go back in
OF_SWEEPS = "stuck.csv"  # which no other run has
PACKED = "report.zip"
PACKED_EARLIER = ".report.zip"  # of an earlier start: it tells which lists were edited since
# In the order in which they are written. The lists take their places after report.zip.
REPORT_FILES = (
    "results.csv", "results.jsonl", *LISTS, OF_SWEEPS, "report.html", PACKED, "summary.json",
)  # fmt: skip
# What stands beside the page, for whom.
FILES_IN_WORDS = {
    UNSENT: "the list for the next run; send it as it is",
    REFUSED: "the orders that the CA refused, to send once the reason is fixed",
    REJECTED: "the rejected rows, to correct and send",
    OF_SWEEPS: "the orders that reached the limit of mails, and still wait",
    "results.csv": "what became of each row, for a spreadsheet",
    "results.jsonl": "what became of each request, for a program",
    "summary.json": "the run in numbers, for a program",
    PACKED: "all of these and this page in one file, to hand on",
}
_UNTRUE_ONCE_RESUMED = ("results.csv", "results.jsonl")
_PIECE = 1 << 20  # bytes that are read at once

log = logging.getLogger(__name__)


def forget_earlier(folder: Path, run_id: str, keep: Collection[Path]) -> None:
    """Remove what the report of an earlier start says of a run that is being sent again.

    Not what a person works with: rejected rows, an edited list, and a list that is being sent
    (`keep`). An old list of orders goes: to send it days later would mail again what was sent
    meanwhile.
    """
    kept, packed = {path.resolve() for path in keep}, _packed_in(folder)
    places = [folder / name for name in OF_ORDERS]
    lists = [path for place in places for path in (place, *beside(place, run_id))]
    as_written = [path for path in lists if not _is_edited(path, packed)]
    for path in (*as_written, *(folder / name for name in _UNTRUE_ONCE_RESUMED)):
        if path.resolve() not in kept:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / PACKED).replace(folder / PACKED_EARLIER)


def newest(folder: Path, name: str, run_id: str) -> Path:
    """Return where a file of a run's report is, or will be."""
    place = folder / name
    return [place, *beside(place, run_id)][-1]


def beside(place: Path, run_id: str) -> list[Path]:
    """Return the lists of a run that are beside an edited one at the usual place."""
    return list(takewhile(Path.is_file, _places_beside(place, run_id)))


def _places_beside(place: Path, run_id: str) -> Iterator[Path]:
    yield place.with_stem(f"{place.stem}-{run_id}")
    for number in count(2):
        yield place.with_stem(f"{place.stem}-{run_id}-{number}")


@dataclass(slots=True)
class Lists:
    """The lists in the folder of a report that is written once more.

    They take their places after report.zip: whatever ends the writing, what is in a place is what
    the zip has, or was edited.
    """

    folder: Path
    run_id: str
    empty: set[str] = field(default_factory=set)
    _written: Mapping[str, ZipInfo] = field(init=False)  # the last time, by name
    _drafts: dict[Path, Path] = field(default_factory=dict)  # of those to put in place, by place
    _to_pack: dict[str, Path] = field(default_factory=dict)  # where each is, by its name there

    def __post_init__(self) -> None:
        """Look up what was written the last time. Without that, any list may be an edited one."""
        self._written = _packed_in(self.folder)

    def take(self, name: str, draft: Path, rows: int) -> None:
        """Take a complete list; where one was edited, it goes beside that. Raises OSError."""
        if not rows:
            self.empty.add(name)
        there, now = newest(self.folder, name, self.run_id), _sums(draft)
        before = self._sums_before(there.name)
        self._to_pack[there.name] = draft
        if not there.exists() or _sums(there) in (before, now):
            self._drafts[there] = draft
            return
        edited = f"{there}: it was edited, and stays as it is"
        if before == now:
            log.warning("%s; %s has it as it was", edited, self.folder / PACKED)
            return
        others = _places_beside(self.folder / name, self.run_id)
        place = next(one for one in others if not one.exists())
        log.warning("%s; the new list is %s", edited, place)
        del self._to_pack[there.name]
        self._to_pack[place.name] = draft.replace(followed(place))  # page and commands name it

    def to_pack(self) -> Mapping[str, Path]:
        """Return where the new lists are, by the names that they have or get."""
        return self._to_pack

    def put_in_place(self) -> None:
        """Have the lists replace those before. Raises OSError."""
        for place, draft in self._drafts.items():
            draft.replace(followed(place))
        self._forget_others()
        (self.folder / PACKED_EARLIER).unlink(missing_ok=True)

    def _sums_before(self, name: str) -> tuple[int, int] | None:
        found = self._written.get(name)
        return None if found is None else (found.file_size, found.CRC)

    def _forget_others(self) -> None:
        """Remove what another run's report had beside an edited list, as far as that can be."""
        now = {path for name in LISTS for path in beside(self.folder / name, self.run_id)}
        stems = tuple(f"{PurePath(name).stem}-" for name in LISTS)
        for name in self._written:
            old = self.folder / name
            is_other = name.startswith(stems) and old not in now and old.is_file()
            with suppress(OSError):
                if is_other and _sums(old) == self._sums_before(name):
                    old.unlink()


def files_in_words(summary: Summary, lists: Lists) -> list[tuple[str, str]]:
    """Return the files that stand beside the page and have something in them, and what."""
    empty = lists.empty if summary.stuck else {*lists.empty, OF_SWEEPS}
    return [
        (newest(lists.folder, name, summary.run_id).name, about)
        for name, about in FILES_IN_WORDS.items()
        if name not in empty
    ]


def _packed_in(folder: Path) -> Mapping[str, ZipInfo]:
    """Return what the zip of a report has, by name; nothing where there is none."""
    for name in (PACKED, PACKED_EARLIER):
        with suppress(OSError, BadZipFile), ZipFile(folder / name) as packed:
            return {PurePath(one.filename).name: one for one in packed.filelist}
    return {}


def was_edited(place: Path) -> bool:
    """Whether a list is known to be another than the report had when it was written."""
    written = _packed_in(place.parent)
    return place.name in written and _is_edited(place, written)


def parts_of(summary: Summary, folder: Path | None) -> list[str]:
    """Return which lists of a run a report wrote: by name, or as one beside its `folder` did."""
    return [
        one.path
        for one in summary.inputs
        if one.path in summary.parts
        or (
            folder is not None
            and (place := Path(one.path)).is_file()  # a pipe would wait for who writes into it
            and _is_of_a_report(place, one.sha256, folder.parent)
        )
    ]


def _is_of_a_report(place: Path, sha256: str | None, reports: Path) -> bool:
    """Whether a list, whatever its name is now, is what one of the reports in a folder wrote.

    Not where that report is of the same list: then it wrote the whole again.
    """
    with suppress(OSError):
        sums = _sums(place)
        for report in (zipped.parent for zipped in reports.glob(f"*/{PACKED}")):
            packed = _packed_in(report)
            lists = [packed[name] for name in LISTS if name in packed]
            if sums in [(one.file_size, one.CRC) for one in lists]:
                inputs = (report / "summary.json").read_text(encoding="utf-8")
                if f'"{sha256}"' not in inputs:
                    return True
    return False


def _is_edited(place: Path, written: Mapping[str, ZipInfo]) -> bool:
    """Whether a list may be another than the report had when it was written."""
    as_written = written.get(place.name)
    if not place.is_file():
        return False
    return as_written is None or _sums(place) != (as_written.file_size, as_written.CRC)


def _sums(path: Path) -> tuple[int, int]:
    """Return the size of a file, and its CRC-32."""
    size = crc = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, crc
