"""Reports of many runs: kept apart, handed on, listed, and removed when their runs are."""

import json
import os
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from batch_resend.clock import timestamp
from batch_resend.model import Run, RunState
from batch_resend.report.files import REPORT_FILES
from batch_resend.report.folder import (
    NotStarted,
    OldReport,
    check_pattern,
    count_not_started,
    folder_of,
    index_folder,
    note_not_started,
    old_reports,
    remove_reports,
    set_aside,
    update_index,
    url_of,
)
from tests.report.carried import SCRIPT, reported, two_lists

NIGHT = 1_795_910_400.0  # 2026-11-29 00:00 UTC


def run(name: str = "20261129-000000-ab12", ended_at: float | None = NIGHT) -> Run:
    """Return a run that began at midnight."""
    return Run(
        1, name, "https://ca.example", RunState.COMPLETED, None, (), NIGHT, NIGHT, ended_at
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "folder", "index"),
    [
        ("reports/{run}", "reports/20261129-000000-ab12", "reports"),
        ("r/{date}-{run}", "r/2026-11-29-20261129-000000-ab12", "r"),
        ("r/{date}/{run}", "r/2026-11-29/20261129-000000-ab12", "r"),
        ("/srv/r/{date}/{run}", "/srv/r/2026-11-29/20261129-000000-ab12", "/srv/r"),
        ("{run}", "20261129-000000-ab12", "."),
        ("/srv/www/last", "/srv/www/last", None),
        ("{run}/last", "20261129-000000-ab12/last", None),
        ("/srv/{date}", "/srv/2026-11-29", None),
    ],
)
def test_a_pattern_has_a_folder_for_each_run_and_an_index_only_where_all_beside_are_reports(
    pattern: str, folder: str, index: str | None
) -> None:
    assert folder_of(Path(pattern), run()) == Path(folder)
    assert index_folder(Path(pattern)) == (None if index is None else Path(index))


def test_a_url_is_that_of_the_page_where_the_folder_is_served() -> None:
    assert url_of("https://x.example/{date}/{run}/", run()) == (
        "https://x.example/2026-11-29/20261129-000000-ab12/report.html"
    )


@pytest.mark.parametrize("text", ["{night}", "{run}-{}", "a/{Run}"])
def test_a_placeholder_that_stands_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no placeholder"):
        check_pattern(text)


def put(folder: Path, **summary: object) -> Path:
    """Put a summary of a run into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def old(pattern: Path, runs: list[Run], before: float) -> list[OldReport]:
    """Return the old reports, of runs that were not told where to put theirs."""
    return old_reports(pattern, runs, before, lambda _: None)


OURS = {"run_id": "20261129-000000-ab12", "started_at": "2026-11-29T00:00:00.000Z"}
EARLY, LATE = "2026-11-28T23:00:00.000Z", "2026-11-29T03:00:00.000Z"


@pytest.mark.parametrize(
    ("there", "is_set_aside"),
    [
        pytest.param(None, False, id="nothing is there"),
        pytest.param(OURS | {"finished_at": LATE}, False, id="its own"),
        pytest.param(OURS | {"run_id": "B", "finished_at": EARLY}, False, id="an older run's"),
        pytest.param(OURS | {"run_id": "B", "finished_at": LATE}, True, id="a newer run's"),
        pytest.param(
            OURS | {"run_id": "B", "finished_at": None, "written_at": LATE}, True,
            id="that of a run under way",
        ),
        pytest.param({"what": "ever"}, False, id="no summary of ours"),
    ],
)  # fmt: skip
def test_the_report_of_a_newer_run_is_not_replaced_by_an_older_one(
    tmp_path: Path, there: dict[str, object] | None, is_set_aside: bool
) -> None:
    folder = tmp_path / "last"
    if there is not None:
        put(folder, **there)
    aside = tmp_path / "last-20261129-000000-ab12"
    assert set_aside(folder, run()) == (aside if is_set_aside else folder)


def test_only_a_report_that_names_its_run_is_removed_and_nothing_else_with_it(
    tmp_path: Path,
) -> None:
    own = put(tmp_path / "own", **OURS, finished_at=LATE)
    for name in REPORT_FILES[:-1]:
        (own / name).write_text("of the report")
    (own / f"rejected-{OURS['run_id']}.csv").write_text("beside an edited one")
    mixed = put(tmp_path / "mixed", **OURS, finished_at=LATE)
    (mixed / "notes.txt").write_text("mine")
    others = put(tmp_path / "others", **(OURS | {"run_id": "B"}), finished_at=LATE)
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "results.csv").write_text("whose?")
    folders = (own, mixed, others, unknown, tmp_path / "none")
    removed = [remove_reports(one, old(one, [run()], 0.0), 0.0, 0.0) for one in folders]
    assert removed == [1, 1, 0, 0, 0]
    assert not own.exists()
    assert [path.name for path in mixed.iterdir()] == ["notes.txt"]
    assert (others / "summary.json").exists()
    assert (unknown / "results.csv").exists()


def test_a_report_that_was_only_begun_is_removed_from_a_folder_of_its_runs_name(
    tmp_path: Path,
) -> None:
    begun = tmp_path / OURS["run_id"]
    begun.mkdir()
    (begun / "results.csv").write_text("of the report")
    other = tmp_path / "else"
    other.mkdir()
    (other / "results.csv").write_text("whose?")
    pattern = tmp_path / "{run}"
    assert remove_reports(pattern, old(pattern, [run()], 0.0), 0.0, 0.0) == 1
    assert not begun.exists()
    assert (other / "results.csv").exists()


@pytest.mark.parametrize(
    ("pattern", "is_removed"),
    [("{run}", True), ("{date}", True), ("{run}/last", True), ("last", False)],
)
def test_an_empty_folder_that_a_run_left_is_removed_but_none_that_a_person_may_have_made(
    tmp_path: Path, pattern: str, is_removed: bool
) -> None:
    folder = folder_of(tmp_path / pattern, run())
    folder.mkdir(parents=True)
    found = old(tmp_path / pattern, [run()], 0.0)
    assert remove_reports(tmp_path / pattern, found, 0.0, 0.0) == int(is_removed)
    assert folder.exists() is not is_removed


def test_what_was_begun_in_the_folder_of_a_day_may_be_another_runs_and_stays(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "{date}", run())
    folder.mkdir()
    (folder / "results.csv").write_text("whose?")
    assert old(tmp_path / "{date}", [run()], 0.0) == []


@pytest.mark.asyncio
async def test_report_zip_has_all_files_of_the_report_and_its_page_links_to_no_other(
    tmp_path: Path,
) -> None:
    found, summary = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    texts = found.texts()
    with ZipFile(BytesIO(texts.pop("report.zip"))) as packed:
        assert packed.testzip() is None
        inside = {name: packed.read(name) for name in packed.namelist()}
    folder = f"batch-resend-{summary.run_id}/"
    here, there = texts.pop("report.html").decode(), inside.pop(f"{folder}report.html").decode()
    assert inside == {f"{folder}{name}": text for name, text in texts.items()}
    assert set(re.findall(r'href="([^"]+)"', there)) == texts.keys()
    assert set(re.findall(r'href="([^"]+)"', here)) == texts.keys() | {"report.zip"}


@pytest.mark.parametrize("pattern", ["{run}", "{date}/{run}", "night {date} [{run}]"])
def test_reports_of_rehearsals_are_removed_by_when_they_were_written(
    tmp_path: Path, pattern: str
) -> None:
    made = {}
    for name, verdict, written_at in (
        ("old", "rehearsal", NIGHT - 2),
        ("young", "rehearsal", NIGHT + 2),
        ("real", "complete", NIGHT - 2),
        ("live", "under way", NIGHT - 2),
    ):
        made[name] = put(
            folder_of(tmp_path / pattern, run(name)),
            run_id=name, verdict=verdict, started_at=LATE, finished_at="2036-11-29T00:00:00.000Z",
        )  # fmt: skip
        os.utime(made[name] / "summary.json", (written_at, written_at))
    not_named_for_it = put(
        made["old"].with_name("else"), run_id="old", verdict="rehearsal", finished_at=LATE
    )
    os.utime(not_named_for_it / "summary.json", (1, 1))
    found = old(tmp_path / pattern, [], NIGHT)
    assert remove_reports(tmp_path / pattern, found, NIGHT, NIGHT) == 1
    assert [name for name, folder in made.items() if not folder.exists()] == ["old"]
    assert not_named_for_it.exists()


def test_commands_that_could_not_start_are_forgotten_with_the_reports_of_their_time(
    tmp_path: Path,
) -> None:
    pattern = tmp_path / "{run}"
    for at, why in ((NIGHT - 2, "no key"), (NIGHT + 2, "no CA")):
        note_not_started(pattern, NotStarted(timestamp(at), 1, why, "shop"))
    assert count_not_started(pattern, [], NIGHT, NIGHT) == 1
    assert remove_reports(pattern, [], NIGHT, NIGHT) == 0
    page = (tmp_path / "index.html").read_text()
    assert "no key" not in page
    assert "no CA" in page
    assert '<td data-is="Profile"><bdi>shop</bdi></td>' in page
    assert remove_reports(pattern, [], NIGHT + 3, NIGHT) == 0
    assert "Could not start" not in (tmp_path / "index.html").read_text()


def test_a_rehearsal_that_could_not_start_stands_apart_and_is_forgotten_by_its_own_days(
    tmp_path: Path,
) -> None:
    pattern = tmp_path / "{run}"
    note_not_started(pattern, NotStarted(timestamp(NIGHT), 1, "no list", None))
    note_not_started(pattern, NotStarted(timestamp(NIGHT), 1, "no key", None, is_rehearsal=True))
    page = (tmp_path / "index.html").read_text()
    real, apart, rehearsed = page.partition("<h2>Rehearsals: nobody was mailed</h2>")
    assert apart
    assert ("no list" in real, "no key" in real) == (True, False)
    assert ("no list" in rehearsed, "no key" in rehearsed) == (False, True)
    assert "0 rehearsals and 1 that could not start, newest first" in rehearsed
    days_later = NIGHT + 3
    assert count_not_started(pattern, [], NIGHT, days_later) == 1
    assert remove_reports(pattern, [], NIGHT, days_later) == 0
    page = (tmp_path / "index.html").read_text()
    assert ("no list" in page, "no key" in page) == (True, False)


def test_a_run_that_never_finished_is_older_than_what_came_after_it(tmp_path: Path) -> None:
    put(tmp_path, **(OURS | {"run_id": "B"}), finished_at=LATE)
    assert set_aside(tmp_path, replace(run(), finished_at=None)) != tmp_path


def test_reports_by_day_have_one_index_and_leave_no_empty_day_behind(tmp_path: Path) -> None:
    pattern = tmp_path / "reports" / "{date}" / "{run}"
    folder = put(folder_of(pattern, run()), **OURS, finished_at=LATE)
    mine = tmp_path / "reports" / "2026-11-28" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    update_index(pattern)
    assert [path.parent for path in tmp_path.rglob("index.html")] == [tmp_path / "reports"]
    assert remove_reports(pattern, old(pattern, [run()], 0.0), 0.0, 0.0) == 1
    assert not folder.parent.exists()
    assert mine.exists()
    assert (tmp_path / "reports" / "index.html").exists()


def test_a_report_is_removed_from_where_its_run_put_it_and_the_index_there_knows(
    tmp_path: Path,
) -> None:
    own = tmp_path / "shop" / "{date}-{run}"
    folder = put(folder_of(own, run()), **OURS, finished_at=LATE)
    note_not_started(own, NotStarted(timestamp(NIGHT - 2), 1, "no key", None))
    found = old_reports(tmp_path / "reports" / "{run}", [run(), run("other")], NIGHT, lambda _: own)
    assert [one.folder for one in found] == [folder]
    assert remove_reports(tmp_path / "reports" / "{run}", found, NIGHT, NIGHT) == 1
    assert not folder.exists()
    assert "no key" not in (tmp_path / "shop" / "index.html").read_text()
    assert not (tmp_path / "reports").exists()
