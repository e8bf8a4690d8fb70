"""Reports of many nights: each in a place of its own, listed, linked, and removed with its run."""

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import KEY, Desk, desk_with_ca, read_summary, run_ids
from tests.cli.test_alarms import told
from tests.cli.test_sweep import wait
from tests.notify.listener import listening

AGAIN = ("send", "orders.csv", "--yes", "--again")


async def two_nights(desk: Desk, *arguments: str) -> tuple[str, str]:
    """Send the same list in two runs; return their names, the older first."""
    desk.write_list(3)
    for _ in range(2):
        sent = await desk.run(*AGAIN, *arguments)
        assert sent.code == 0, sent.err
    newer, older = await run_ids(desk)
    return older, newer


def remove(folder: Path) -> None:
    """Remove a report."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


async def test_a_night_that_could_not_start_is_in_the_index_with_its_reason(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        wait(ca, 9)
        desk.write("wrong.toml", "max-order = 3\n")
        assert (await desk.run("sweep")).code == 0
        index = tmp_path / "reports" / "index.html"
        assert "Could not start" not in index.read_text()
        revoked = await desk.run("sweep", DIGICERT_API_KEY="revoked-0123456789")
        gone = await desk.run(
            "sweep", "--patience", "0s", BATCH_RESEND_BASE_URL="http://127.0.0.1:9/services/v2"
        )
        assert (revoked.code, gone.code) == (4, 1)
        page = re.sub("<[^>]+>", "", index.read_text())
        assert page.index("cannot be reached") < page.index("the CA refused the API key")
        assert "revoked-0123456789" not in page
        for words, why in (
            (("sweep", "--exclude", "none.csv"), "none.csv: cannot be read"),
            (("sweep", "--max-order", "3"), "No such option"),
            (("--config", "wrong.toml", "sweep"), "there is no option max-order"),
            (("sweep", "--api-key-file", "none.key"), "none.key: No such file"),
        ):
            wrong = await desk.run(*words)
            assert wrong.code in (1, 2)
            noted = (tmp_path / "reports" / "not-started.jsonl").read_text().splitlines()
            assert why in json.loads(noted[-1])["why"]
        assert index.read_text().count("none.csv") == 1
        listed = index.read_text()
        for others in (("sweep", "--dry-run", "--exclude", "none.csv"), ("show", "--jurnal")):
            assert (await desk.run(*others)).code in (1, 2)
        assert index.read_text() == listed, "no night is missing"
        assert (await desk.run("sweep", "--again")).code == 0
        assert "cannot be reached" in re.sub("<[^>]+>", "", index.read_text())


async def test_date_and_run_keep_reports_apart_and_the_folder_above_has_an_index(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        runs = await two_nights(desk, "--report-dir", "nights/{date}-{run}")
        folders = {path.name for path in (tmp_path / "nights").glob("*/")}
        assert {name.partition("-2")[0][:2] for name in folders} == {"20"}
        assert all(any(name.endswith(f"-{run}") for name in folders) for run in runs)
        index = (tmp_path / "nights" / "index.html").read_text()
        assert all(f'href="{name}/report.html"' in index for name in folders)


async def test_report_of_an_older_run_does_not_replace_the_newest_ones(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("batch.toml", "report-dir = 'last'\n")
        desk.environment["BATCH_RESEND_CONFIG"] = "batch.toml"
        older, newer = await two_nights(desk)
        assert read_summary(tmp_path / "last")["run_id"] == newer, "send replaces"
        written = await desk.run("report", older)
        assert written.code == 0, written.err
        assert read_summary(tmp_path / "last")["run_id"] == newer
        aside = tmp_path / f"last-{older}"
        assert read_summary(aside)["run_id"] == older
        assert f"Report: {aside.name}/report.html" in written.out
        assert (await desk.run("report", newer)).code == 0
        assert read_summary(tmp_path / "last")["run_id"] == newer
        assert not (tmp_path / "index.html").exists(), "what else is there is not ours to list"


async def test_a_report_is_found_where_the_file_of_its_run_put_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        desk.write("batch.toml", "report-dir = 'nights/{run}'\n")
        assert (await desk.run("--config", "batch.toml", *AGAIN)).code == 0
        shown = await desk.run("show")
        assert "nights/" in shown.out
        assert "no up-to-date report" not in shown.out


@pytest.mark.parametrize("by_file", [True, False])
async def test_a_report_is_where_its_run_put_it_whatever_is_usual_now(
    tmp_path: Path, by_file: bool
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(2)
        elsewhere = ("--report-dir", "week/{date}/{run}")
        assert (await desk.run(*AGAIN, *elsewhere, "--max-orders", "1")).code == 4
        if by_file:
            desk.write("batch.toml", "report-dir = 'nights/{run}'\n")
        else:
            desk.environment["BATCH_RESEND_REPORT_DIR"] = "nights/{run}"
        usual = ("--config", "batch.toml") if by_file else ()
        (place,) = (tmp_path / "week").glob("*/2*")
        for command in ("show", "watch"):
            shown = (await desk.run(*usual, command)).out
            assert f"Report: {place}/report.html" in shown
            assert "no up-to-date report" not in shown
            assert "nights" not in shown, "nor in the commands that come next"
        remove(place)
        missing = (await desk.run(*usual, "show")).out
        assert f"There is no up-to-date report of it in {place}. " in missing
        assert (await desk.run(*usual, "report")).code == 0
        assert (place / "summary.json").exists()
        assert (await desk.run(*usual, "resume", "--yes")).code == 0
        assert json.loads((place / "summary.json").read_text())["state"] == "completed"
        assert not (tmp_path / "nights").exists()
        assert (await desk.run(*usual, "report", "--report-dir", "copy/{run}")).code == 0
        assert (tmp_path / "copy" / place.name / "summary.json").exists(), "a flag goes before"


async def test_rows_corrected_in_a_report_stay_when_it_is_written_again(tmp_path: Path) -> None:
    """And that list can be sent as often as one likes."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows = "100200301,a.example,admin@a.example\n1e9,a.example,admin@a.example\n"
        desk.write("orders.csv", f"order_id,domain,email\n{rows}")
        assert (await desk.run("send", "orders.csv", "--yes", "--max-rejected", "1")).code == 3
        (rejected,) = tmp_path.glob("reports/*/rejected.csv")
        corrected = rejected.read_text().replace("\n1e9,", "\n100200302,")
        rejected.write_text(corrected)
        written = await desk.run("report")
        assert rejected.read_text() == corrected
        assert f"{rejected.relative_to(tmp_path)}: it was edited, and stays as it is" in written.err
        for _ in range(2):
            sent = await desk.run("send", str(rejected), "--yes")
            assert sent.code == 0, sent.err
            assert ca.books.mails == 2


async def test_a_placeholder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        refused = await desk.run(*AGAIN, "--report-dir", "reports/{night}")
        assert refused.code == 2
        assert "there is no placeholder {night}; write {date} or {run}" in refused.err
        assert ca.books.requests == 0


async def test_prune_shows_beforehand_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        older, newer = await two_nights(desk)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE runs SET finished_at = 1 WHERE id = ?", [older])
            (rows,) = journal.execute(
                "SELECT count(*) FROM rows JOIN runs ON run = number WHERE id = ?", [older]
            ).fetchone()
        listed = (await desk.run("runs", "--json")).out
        for keep in ((), ("--keep-reports",)):
            files = {path: path.read_bytes() for path in (tmp_path / "reports").rglob("*.*")}
            dry = await desk.run("prune", "--dry-run", *keep)
            assert dry.code == 0, dry.err
            report = "" if keep else f"reports/{older}"
            assert re.search(rf"^ *{older} +1970-01-01 +{rows} *{report}$", dry.out, re.M)
            also = "" if keep else "; 1 report would be removed"
            would = f"1 run with {rows} rows would be forgotten{also}."
            assert dry.out.endswith(f"{would} Nothing was changed: --dry-run.\n")
            assert newer not in dry.out
            said = json.loads((await desk.run("prune", "--dry-run", "--json", *keep)).out)
            assert said["forgotten"] == [
                {"run": older, "ended_at": "1970-01-01T00:00:01.000Z", "rows": rows,
                 "report": report or None},
            ]  # fmt: skip
            assert (said["dry_run"], said["runs"], said["bytes_before"]) == (
                True, 1, said["bytes_after"],
            )  # fmt: skip
            assert {path: path.read_bytes() for path in files} == files
        assert (await desk.run("runs", "--json")).out == listed
        os.utime(tmp_path / "reports" / newer / "summary.json", (1, 1))  # as if written long ago
        dry = await desk.run("prune", "--dry-run")
        assert "; 2 reports would be removed, 1 of them of old rehearsals." in dry.out
        also_said = json.loads((await desk.run("prune", "--dry-run", "--json")).out)["forgotten"]
        assert (also_said[1]["run"], also_said[1]["rows"]) == (newer, None)
        desk.environment["BATCH_RESEND_DRY_RUN"] = "true"
        assert "would be forgotten" in (await desk.run("prune")).out
        del desk.environment["BATCH_RESEND_DRY_RUN"]
        done = json.loads((await desk.run("prune", "--json")).out)
        assert done["forgotten"] == also_said
        assert not list((tmp_path / "reports").glob("2*"))
        assert "0 runs with 0 rows would be" in (await desk.run("prune", "--dry-run")).out


@pytest.mark.parametrize("keep", [False, True], ids=["removed", "kept"])
async def test_prune_takes_the_reports_of_the_runs_that_it_forgets(
    tmp_path: Path, keep: bool
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        older, newer = await two_nights(desk)
        (tmp_path / "reports" / "mine").mkdir()
        (tmp_path / "reports" / "mine" / "results.csv").write_text("of another program")
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE runs SET finished_at = 1 WHERE id = ?", [older])
        pruned = await desk.run("prune", *(["--keep-reports"] if keep else []))
        assert pruned.code == 0, pruned.err
        assert ("1 report removed" in pruned.out) is not keep
        assert (tmp_path / "reports" / older).exists() is keep
        assert (tmp_path / "reports" / newer / "report.html").exists()
        assert (tmp_path / "reports" / "mine" / "results.csv").exists()
        index = (tmp_path / "reports" / "index.html").read_text()
        assert (older in index) is keep
        assert newer in index


async def test_what_a_run_put_elsewhere_is_found_there_by_prune_report_and_resume(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        elsewhere = ("--report-dir", "shop/{date}/{run}")
        for orders in (3, 4):
            desk.write_list(orders)
            begun = await desk.run(*AGAIN, *elsewhere, "--max-orders", "1")
            assert begun.code == 4
        newer, older = await run_ids(desk)
        place = {run: next((tmp_path / "shop").glob(f"*/{run}")) for run in (older, newer)}
        (place[newer] / "report.html").unlink()
        written = await desk.run("report", newer)
        assert f"Report: {place[newer]}/report.html" in written.out
        assert (await desk.run("resume", newer, "--yes")).code == 0
        assert json.loads((place[newer] / "summary.json").read_text())["state"] == "completed"
        resumed = await desk.run("resume", older, "--yes", "--again", "--report-dir", "mine/{run}")
        assert resumed.code == 0, resumed.err
        assert (tmp_path / "mine" / older).exists(), "a flag goes before"
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
            journal.execute("UPDATE runs SET finished_at = 1 WHERE id = ?", [newer])
        dry = json.loads((await desk.run("prune", "--dry-run", "--json")).out)
        assert [one["report"] for one in dry["forgotten"]] == [str(place[newer])]
        pruned = await desk.run("prune")
        assert "1 report removed." in pruned.out
        assert not place[newer].exists()
        assert newer not in (tmp_path / "shop" / "index.html").read_text()
        assert not (tmp_path / "reports").exists()


async def test_pings_and_notifications_link_to_the_page_where_it_is_served(tmp_path: Path) -> None:
    async with listening() as watchdog, listening() as hook, desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        sent = await desk.run(
            *AGAIN, "--ping-url", watchdog.url, "--notify-url", hook.url,
            "--report-url", "https://reports.example/nights/{run}/",
        )  # fmt: skip
        assert sent.code == 0, sent.err
        (run,) = await run_ids(desk)
        url = f"https://reports.example/nights/{run}/report.html"
        for _, ending in (told(watchdog)[-1], told(hook)[-1]):
            assert ending is not None
            assert ending["report_url"] == url
            assert ending["text"].endswith(f" {url}")


@pytest.mark.parametrize(
    ("folder", "url", "is_alike"),
    [
        ("reports/{run}", "https://host/reports/{run}", True),
        ("reports/{run}", "https://host/reports", False),
        ("last", "https://host/{run}", False),
        ("last", "https://host/last", True),
        ("{date}/{run}", "https://host/{run}", False),
        ("{date}-{run}", "https://host/{date}-{run}", True),
    ],
)
async def test_a_url_that_tells_runs_apart_otherwise_than_their_folders_is_warned_about(
    tmp_path: Path, folder: str, url: str, is_alike: bool
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        sent = await desk.run(*AGAIN, "--report-dir", folder, "--report-url", url)
        assert sent.code == 0, sent.err
        assert (f"--report-url {url}: links to the report will lead to no page" in sent.err) is (
            not is_alike
        )


async def test_an_index_page_of_somebody_else_stays_and_costs_nothing(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        (tmp_path / "reports").mkdir()
        desk.write("reports/index.html", "my own page")
        desk.write_list(1)
        sent = await desk.run(*AGAIN)
        assert sent.code == 0
        assert "reports/index.html was not written by batch-resend" in sent.err
        assert (tmp_path / "reports" / "index.html").read_text() == "my own page"
