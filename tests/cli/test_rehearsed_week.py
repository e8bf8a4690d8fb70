"""A week of nights against the simulator, in one command: each a day after the one before."""

import json
import os
import re
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, Ended, desk_with_ca, ended, read_summary
from tests.cli.test_sweep import wait
from tests.notify.listener import SECRET, listening
from tests.notify.test_alarm import samples

DAYS, ORDERS, MOST = 7, 60, 3


async def rehearsed(desk: Desk, *options: str, command: list[str]) -> Ended:
    """Run a command by `simulate`, which has a CA of its own."""
    for variable in ("BATCH_RESEND_JOURNAL", "BATCH_RESEND_BASE_URL", "DIGICERT_API_KEY"):
        desk.environment.pop(variable, None)
    return await ended(await desk.start("simulate", *options, "--", *command), timeout_s=120)


@pytest.mark.timeout(180)
async def test_a_week_of_sweeps_is_over_in_seconds_and_goes_as_weeks_go(desk: Desk) -> None:
    words = ("sweep", "--yes", "-q", "--max-mails-per-order", str(MOST), "--fail-on", "stuck")
    options = ("--orders", str(ORDERS), "--days", str(DAYS), "--books", "books.json")
    week = await rehearsed(desk, *options, command=desk.command(*words))
    assert week.code == 3, f"the last nights have orders that are stuck: {week.err}"
    assert week.err.startswith(f"--- day 1 of {DAYS}: {ORDERS} orders waiting at the simulator\n")
    nights = sorted(path for path in (desk.folder / "reports").iterdir() if path.is_dir())
    days = [date.fromisoformat(f"{n.name[:4]}-{n.name[4:6]}-{n.name[6:8]}") for n in nights]
    assert days == [days[0] + timedelta(days=n) for n in range(DAYS)]
    books = json.loads((desk.folder / "books.json").read_text())
    found = [read_summary(night) for night in nights]
    assert sum(one["orders"]["sent"] for one in found) == books["mails"] > ORDERS
    assert max(books["mails_per_order"].values()) == MOST, "none more often than allowed"
    assert books["wrong_request_count"] == 0
    assert all(window["refused"] == 0 for window in books["windows"])
    stuck = [one["sweep"]["stuck"] for one in found]
    assert stuck[:MOST] == [0] * MOST
    assert stuck[-1] > 0
    assert all(one["sweep"]["mailed_lately"] == 0 for one in found), "a day is longer than 20 h"
    waiting = [one["sweep"]["waiting"] for one in found]
    come = (DAYS - 1) * ORDERS // 10
    assert waiting[0] == ORDERS
    assert 0 < waiting[-1] < ORDERS + come, "mails have led to approvals"
    assert len(books["mails_per_order"]) > ORDERS * 0.4, "three in four are by e-mail"
    young = [one["sweep"]["too_young"] for one in found]
    assert all(count >= ORDERS // 10 for count in young[1:]), "some come every day"


@pytest.mark.parametrize(
    ("script", "codes", "ends_as", "said"),
    [
        pytest.param("exit 0", [0, 0, 0], 0, "", id="all go well"),
        pytest.param("test $day = 2 && exit 3; exit 0", [0, 3, 0], 3, "", id="one does not"),
        pytest.param("exit 1", [1, 1, 1], 1, "", id="it cannot start"),
        pytest.param("kill -TERM $$", [143, 143, 143], 143, "", id="another interrupts it"),
        pytest.param(
            "test $day = 1 && exit 1; test $day = 2 && kill -KILL $$; exit 3", [1, 137, 3], 1, "",
            id="each has its own trouble",
        ),
        pytest.param(
            "test $day = 2 && exit 2; exit 3", [3, 2], 3,
            "the other day is not run: exit code 2 means wrong usage",
            id="it is wrong usage",
        ),
        pytest.param(
            "kill -TERM $PPID; exec sleep 9", [143], 143,
            "the other 2 days are not run: interrupted by SIGTERM",
            id="you interrupt it",
        ),
        pytest.param(
            "trap exit INT; kill -INT $PPID; while :; do sleep 0.1; done", [0], 130,
            "the other 2 days are not run: interrupted by SIGINT",
            id="you interrupt it, and it ends well",
        ),
    ],
)  # fmt: skip
async def test_each_day_has_its_turn_unless_it_is_wrong_usage_or_you_interrupt_it(
    desk: Desk, script: str, codes: list[int], ends_as: int, said: str
) -> None:
    counting = "echo >> times; day=$(grep -c '' times)"
    ran = await rehearsed(desk, "--days", "3", command=["sh", "-c", f"{counting}; {script}"])
    assert ran.code == ends_as, "the first that is not 0, or as the signal has it"
    found = re.findall(r"^--- day (\d) of 3: exit code (\d+)$", ran.err, re.MULTILINE)
    assert found == [(str(day), str(code)) for day, code in enumerate(codes, start=1)]
    assert len((desk.folder / "times").read_text().splitlines()) == len(codes)
    assert re.findall("^--- (the other .*)$", ran.err, re.MULTILINE) == ([said] if said else [])


async def test_without_a_command_there_is_nothing_to_run_daily(desk: Desk) -> None:
    refused = await ended(await desk.start("simulate", "--days", "2"))
    assert refused.code == 2
    assert "--days needs a command to run: -- COMMAND" in refused.err


@pytest.mark.parametrize(("approve", "waiting"), [("all", 0), ("none", 5)])
async def test_how_many_mails_have_effect_can_be_said(
    desk: Desk, approve: str, waiting: int
) -> None:
    week = await rehearsed(
        desk, "--orders", "5", "--days", "2", "--approve", approve,
        command=desk.command("sweep", "--yes", "-q", "--older-than", "0s"),
    )  # fmt: skip
    assert week.code == 0, week.err
    *_, last = sorted(path for path in (desk.folder / "reports").iterdir() if path.is_dir())
    summary = read_summary(last)
    without_mail = summary["sweep"]["nothing_to_mail"] + summary["sweep"]["other_call"]
    assert 0 < without_mail < 5
    assert summary["sweep"]["waiting"] == max(waiting, without_mail)


@pytest.mark.timeout(180)
async def test_each_command_of_a_rehearsed_week_goes_by_the_day_of_its_night(desk: Desk) -> None:
    desk.environment |= {"PYTHON": sys.executable, "BATCH_RESEND_LIMIT": "1000/3m"}
    script = """B="$PYTHON -m batch_resend"; export BATCH_RESEND_JOURNAL=week.db
        test -e week.db || exec $B sweep --yes -q
        $B sweep --yes -q --limit 1/2s &
        $B watch --wait --progress json 2>&1 >/dev/null | {
            grep -m 1 left_s >>watched.txt; $B report latest --report-dir live; cat >>watched.txt
        }
        wait; for command in runs show verify; do $B $command >$command.txt 2>&1; done"""
    week = await rehearsed(
        desk, "--orders", "9", "--days", "2", "--approve", "none", command=["sh", "-c", script]
    )
    assert week.code == 0, week.err
    *_, last = sorted(path for path in (desk.folder / "reports").iterdir() if path.is_dir())
    day = read_summary(last)["started_at"][:10]
    assert read_summary(desk.folder / "live")["written_at"][:10] == day
    seen = [json.loads(line) for line in (desk.folder / "watched.txt").read_text().splitlines()
            if line.startswith('{"event"')]  # fmt: skip
    assert seen[-1]["at"][:10] == day
    assert max(one["left_s"] or 0.0 for one in seen) < 120
    texts = {name: (desk.folder / f"{name}.txt").read_text() for name in ("runs", "show", "verify")}
    assert len(re.findall(r"\((?:\d+s|[0-2]m) ago\)", texts["runs"])) == 1, week.out
    assert re.search(r"\((?:\d+s|[0-2]m) ago\)", texts["show"]), week.out
    assert "(1d ago)" in texts["runs"]
    assert "2 runs since" in texts["verify"]
    assert "(1d ago)" in texts["verify"]


@pytest.mark.timeout(180)
async def test_a_rehearsed_week_goes_by_its_own_days_in_the_log_and_in_what_is_forgotten(
    desk: Desk,
) -> None:
    desk.environment["PYTHON"] = sys.executable
    script = (
        "$PYTHON -m batch_resend sweep --yes -q --log-file resend.log && "
        "$PYTHON -m batch_resend prune --older-than 2d"
    )
    week = await rehearsed(desk, "--orders", "5", "--days", "4", command=["sh", "-c", script])
    assert week.code == 0, week.err
    log = (desk.folder / "resend.log").read_text()
    days = sorted({line[:10] for line in log.splitlines()})
    first = date.fromisoformat(days[0])
    assert days == [str(first + timedelta(days=n)) for n in range(4)]
    forgotten = re.findall(r"^(\d+) runs? with .*? forgotten", week.out, re.MULTILINE)
    assert forgotten == ["0", "0", "1", "1"], week.out
    kept = {path.name[:8] for path in (desk.folder / "reports").iterdir() if path.is_dir()}
    assert kept == {day.replace("-", "") for day in days[2:]}


@pytest.mark.timeout(180)
async def test_prune_goes_by_the_days_of_its_week_and_by_when_reports_of_others_were_written(
    desk: Desk,
) -> None:
    desk.environment["PYTHON"] = sys.executable
    reports = desk.folder / "reports"
    earlier = await rehearsed(desk, "--orders", "5", command=desk.command("sweep", "--yes", "-q"))
    assert earlier.code == 0, earlier.err
    (another,) = (path for path in reports.iterdir() if path.is_dir())
    old = another.with_name(f"of-long-ago-{another.name}")
    shutil.copytree(another, old)
    long_ago = time.time() - 4 * 86_400
    os.utime(old / "summary.json", (long_ago, long_ago))
    script = (
        "$PYTHON -m batch_resend sweep --yes -q && "
        "$PYTHON -m batch_resend prune --older-than 3d --json > pruned.json"
    )
    week = await rehearsed(desk, "--orders", "5", "--days", "5", command=["sh", "-c", script])
    assert week.code == 0, week.err
    kept = {path.name[:8] for path in reports.iterdir() if path.is_dir() and path != another}
    assert len(kept) == 3, "of its own nights the last three, though all were written a minute ago"
    assert another.is_dir(), "of another journal, on the first of its days, and written just now"
    assert not old.exists(), "of another journal, and written long ago"


@pytest.mark.timeout(180)
async def test_a_rehearsed_night_writes_the_report_of_a_killed_one_but_none_of_a_real_night(
    desk: Desk,
) -> None:
    desk.environment["PYTHON"] = sys.executable
    sweep = "$PYTHON -m batch_resend sweep --yes -q --journal week.db --log-file resend.log"
    script = f"{sweep}; test -e killed || {{ echo reports/2* > killed; rm reports/2*/*.j*; }}"
    options = ("--orders", "5", "--days", "2")
    week = await rehearsed(desk, *options, command=["sh", "-c", script])
    assert week.code == 0, week.err
    killed = desk.folder / (desk.folder / "killed").read_text().strip()
    assert read_summary(killed)["run_id"] == killed.name
    wrote = f"wrote the missing report of run {killed.name}"
    assert (desk.folder / "resend.log").read_text().count(wrote) == 1
    with closing(sqlite3.connect(desk.folder / "week.db")) as journal, journal:
        real = "https://www.digicert.com/services/v2"
        journal.execute("UPDATE runs SET base_url = ? WHERE id = ?", [real, killed.name])
    (killed / "summary.json").unlink()
    another = await rehearsed(desk, "--orders", "5", command=["sh", "-c", script])
    assert another.code == 0, another.err
    assert not (killed / "summary.json").exists()


@pytest.mark.timeout(180)
async def test_a_rehearsed_night_that_could_not_start_is_listed_and_forgotten_by_simulated_days(
    desk: Desk,
) -> None:
    desk.environment["PYTHON"] = sys.executable
    run = "$PYTHON -m batch_resend"
    script = (
        f"{run} sweep --yes -q && {run} prune --older-than 2d --dry-run >> dry && "
        f"{run} prune --older-than 2d --json > pruned.json && {{ test -e first.html || "
        f"{{ {run} sweep --yes -q --exclude none.csv; cp reports/index.html first.html; }}; }}"
    )
    week = await rehearsed(desk, "--orders", "5", "--days", "3", command=["sh", "-c", script])
    assert week.code == 0, week.err
    first = (desk.folder / "first.html").read_text()
    _, _, rehearsals = first.partition("<h2>Rehearsals: nobody was mailed</h2>")
    assert "1 rehearsal and 1 that could not start" in rehearsals
    assert "--exclude none.csv: cannot be read" in re.sub("<[^>]+>", "", rehearsals)
    *before, last = (desk.folder / "dry").read_text().splitlines()
    assert "; 1 command that could not start would be forgotten." in last
    assert not any("could not start" in line for line in before), "it was younger then"
    assert json.loads((desk.folder / "pruned.json").read_text())["not_started"] == 1
    assert (desk.folder / "reports" / "not-started.jsonl").read_text() == ""
    assert "none.csv" not in (desk.folder / "reports" / "index.html").read_text()


_SUCCESS = "batch_resend_last_success_timestamp_seconds"


async def test_a_rehearsal_notifies_only_if_asked_and_is_never_the_success_of_a_night(
    desk: Desk,
) -> None:
    async with listening() as watchdog, listening() as hook:
        (desk.folder / "resend.prom").write_text(f"{_SUCCESS} 7.0\n")
        command = desk.command(
            "sweep", "--yes", "-q", "--ping-url", watchdog.url, "--notify-url", hook.url,
            "--metrics-file", "resend.prom", "--log-file", "resend.log",
        )  # fmt: skip
        silent = await rehearsed(desk, "--orders", "5", command=command)
        assert silent.code == 0, silent.err
        assert (
            "This is a rehearsal: it does not use --notify-url, --ping-url, --metrics-file. To try "
            "them: simulate --notify\n"
        ) in silent.err
        assert [*watchdog.posts, *hook.posts] == []
        assert (desk.folder / "resend.prom").read_text() == f"{_SUCCESS} 7.0\n"

        week = await rehearsed(desk, "--orders", "5", "--days", "3", "--notify", command=command)
        assert week.code == 0, week.err
        assert "does not use" not in week.err
        assert [path for path, _ in watchdog.posts] == [f"/{SECRET}/start", f"/{SECRET}"] * 3
        assert all("Rehearsal, nobody was mailed" in body for _, body in hook.posts)
        found = samples(desk.folder / "resend.prom")
        assert (found["batch_resend_rehearsal"], found[_SUCCESS]) == (1, 7.0)


@pytest.mark.parametrize(
    ("options", "words", "how"),
    [
        pytest.param(
            ("--key", "another-key-0123456789"),
            (),
            "stopped early: the CA refused the API key",
            id="key",
        ),
        pytest.param((), ("--exclude", "none.csv"), "could not start: --exclude", id="list"),
        pytest.param((), ("--limit", "no"), "could not start: --limit", id="setting"),
        pytest.param((), ("--timeout", "xx"), "could not start: ", id="usage"),
    ],
)
async def test_a_rehearsal_that_cannot_start_says_that_it_is_a_rehearsal(
    desk: Desk, options: tuple[str, ...], words: tuple[str, ...], how: str
) -> None:
    async with listening() as hook:
        desk.write("shop.key", "shop-key-0123456789")
        desk.write("c.toml", '[profiles.shop]\napi-key-file = "shop.key"\n')
        command = desk.command(
            "--config", "c.toml", "sweep", "--yes", "-q", "--profile", "shop", *words,
            "--notify-url", hook.url, "--metrics-file", "resend.prom",
        )  # fmt: skip
        ran = await rehearsed(desk, "--notify", *options, command=command)
        assert ran.code, ran.err
        ((_, body),) = hook.posts
        text = json.loads(body)["text"]
        says = f"batch-resend (profile shop): Rehearsal, nobody was mailed; {how}"
        assert text.startswith(says), text
        found = samples(desk.folder / "resend.prom")
        assert found["batch_resend_rehearsal shop"] == 1


@pytest.mark.parametrize(
    ("url", "is_rehearsal"),
    [("http://127.0.0.1:9/services/v2", True), ("https://nowhere.invalid/services/v2", False)],
)
async def test_log_metrics_notification_and_index_agree_on_what_is_a_rehearsal(
    desk: Desk, url: str, is_rehearsal: bool
) -> None:
    """Also without `simulate`, by the URL of the TOML file; if a night could not start."""
    desk.environment.pop("BATCH_RESEND_BASE_URL")
    desk.write("c.toml", f'base-url = "{url}"\n')
    (desk.folder / "reports").mkdir()
    async with listening() as hook:
        for words in (("--patience", "0s"), ("--exclude", "none.csv"), ("--timeout", "xx")):
            failed = await desk.run(
                "--config", "c.toml", "sweep", "--yes", "-q", *words, "--notify-url", hook.url,
                "--metrics-file", "resend.prom", "--log-file", "resend.log",
            )  # fmt: skip
            assert failed.code in (1, 2), failed.err
            found = samples(desk.folder / "resend.prom")
            assert found["batch_resend_rehearsal"] == is_rehearsal
        texts = [json.loads(body)["text"] for _, body in hook.posts]
        assert ["Rehearsal, nobody was mailed" in one for one in texts] == [is_rehearsal] * 3
    ends = [
        line for line in (desk.folder / "resend.log").read_text().splitlines() if "exit" in line
    ]
    assert ["rehearsal=True" in line for line in ends] == [is_rehearsal] * 3
    noted = (desk.folder / "reports" / "not-started.jsonl").read_text().splitlines()
    assert [json.loads(line)["is_rehearsal"] for line in noted] == [is_rehearsal] * 3


async def test_a_base_url_that_is_none_says_so_and_starts_no_log_of_a_rehearsal(desk: Desk) -> None:
    wrong = await desk.run("sweep", "--base-url", "https://[", "--log-file", "resend.log")
    assert (wrong.code, "Traceback" in wrong.err) == (1, False)
    assert "--base-url: " in wrong.err
    assert "rehearsal" not in (desk.folder / "resend.log").read_text()


@pytest.mark.parametrize(
    ("words", "is_said"),
    [("--approve 50%", True), ("--approve none", False), ("--approve 50% --days 2", False)],
)
async def test_that_mails_have_effect_only_as_days_pass_is_said(
    desk: Desk, words: str, is_said: bool
) -> None:
    ran = await rehearsed(desk, *words.split(), command=["true"])
    assert ran.code == 0, ran.err
    assert ("--approve: no order is approved before a day has passed" in ran.err) is is_said


async def test_the_clock_of_a_rehearsal_is_nothing_to_a_command_that_is_none(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 3)
        assert (await desk.run("sweep")).code == 0
        again = await desk.run("sweep", BATCH_RESEND_REHEARSAL_AHEAD="864000")
        assert again.out.startswith("Nothing to send: 1 order waits: 1 mailed within the cooldown")
        assert ca.books.mails == 1
