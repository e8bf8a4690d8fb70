"""The nightly sweep, night after night, against a CA whose orders come and go."""

import csv
import json
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from batch_resend import clock
from batch_resend.simulator import FaultName, Simulator, World, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import KEY, Desk, Ended, desk_with_ca, ended, read_summary, run_ids
from tests.notify.listener import SECRET, listening

DAY_S = 86_400.0


def wait(ca: Simulator, *days: float, first: int = 1, **how: object) -> None:
    """Let orders wait that are so many days old."""
    for number, age in enumerate(days, start=first):
        ca.world.add(WorldOrder(number, created_at=time.time() - age * DAY_S, **how))  # type: ignore[arg-type]


async def test_what_is_due_is_mailed_the_oldest_first(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        wait(ca, 2, 0.5, 9, 4)
        wait(ca, 5, first=5, dcv_method="dns-txt-token")
        wait(ca, 5, first=6, status="issued")
        swept = await desk.run("sweep")
        assert swept.code == 0, swept.err
        assert list(ca.books.bodies) == ["3", "4", "1"]
        assert all(bodies == [{}] for bodies in ca.books.bodies.values())
        assert desk.summary()["orders"]["sent"] == 3
        assert desk.summary()["inputs"][0]["path"] == "orders that wait at the CA"
        assert swept.err.startswith("Asking the CA which orders wait\n")
        why = "not by e-mail, or approved"
        found = f"3 due, 1 too young, 1 with nothing to mail ({why})"
        assert f"\n5 orders wait: {found}\n" in swept.err


async def test_what_a_quiet_sweep_found_is_in_summary_log_page_and_index(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2, 0.5, 0.5)
        swept = await desk.run(
            "sweep", "-q", "--log-file", "night.log", "--report-dir", "nights/{run}"
        )
        assert swept.code == 0, swept.err
        shown = await desk.run("show")
    found = "3 orders wait: 1 due, 2 too young"
    (report,) = (tmp_path / "nights").glob("*/report.html")
    for text in (swept.out, shown.out, (tmp_path / "night.log").read_text(), report.read_text()):
        assert text.count(found) == 1
    assert "1 of 1 orders sent" in report.read_text()
    assert 'data-is="Waiting">3 (2 too young)<' in (tmp_path / "nights" / "index.html").read_text()


async def test_the_report_of_a_sweep_says_of_which_product_an_order_is(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"1"})) as (desk, ca):
        wait(ca, 3, 4, product="ssl_dv_rapidssl")
        wait(ca, 5, first=3)
        assert (await desk.run("sweep")).code == 3
    with (desk.report() / "results.csv").open(encoding="utf-8") as file:
        found = {row["order_id"]: row["product"] for row in csv.DictReader(file)}
    assert found == {"1": "ssl_dv_rapidssl", "2": "ssl_dv_rapidssl", "3": "ssl_dv_geotrust_flex"}
    assert "By product" in (desk.report() / "report.html").read_text()


async def test_in_a_night_nothing_is_mailed_twice(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2, 3, 4)
        assert (await desk.run("sweep", "--report-dir", "first")).code == 0
        del ca.world.orders[2]  # approved, and so issued
        first = read_summary(tmp_path / "first")["run_id"]
        for _ in range(2):  # a night without mails is not the last one that had some
            again = await desk.run("sweep", "--report-dir", "quiet")
            assert again.out == (
                "Nothing to send: 2 orders wait: 2 mailed within the cooldown; of 3 mailed by "
                f"{first}, the last run to mail any, 1 no longer waits\n"
                "Report: quiet/report.html\n"
            )
        await desk.run("report", first, "--report-dir", "first")
        page = (tmp_path / "first" / "report.html").read_text()
        assert "of 3 orders sent 2 are waiting, 1 is no longer waiting." in page
        counts = read_summary(tmp_path / "quiet")["sweep"]
        assert (counts["mailed_before"], counts["no_longer_waiting"]) == (3, 1)
        later = await desk.run("sweep", "--cooldown", "0s", "--report-dir", "second")
        assert later.code == 0
        assert ca.books.mails_per_order == {"1": 2, "2": 1, "3": 2}


async def test_no_order_is_mailed_more_often_than_allowed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2)
        desk.write("orders.csv", "order_id\n1\n")
        await desk.run("send", "orders.csv", "--all-domains", "--report-dir", "0")
        sweep = ("sweep", "--cooldown", "0s", "--max-mails-per-order", "3", "--report-dir")
        for night in range(1, 3):
            assert (await desk.run(*sweep, str(night))).code == 0
        enough = await desk.run(*sweep, "3")
        assert "1 stuck: at the limit of 3 mails (--max-mails-per-order)" in enough.out
        assert ca.books.mails_per_order == {"1": 3}


STUCK = ("sweep", "--cooldown", "0s", "--max-mails-per-order", "1", "--report-dir", "night")


async def test_what_a_sweep_has_given_up_on_is_named_wherever_people_look(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca), listening() as watchdog:
        wait(ca, 9, 0.5, 7, domains=("a.example",))
        first = await desk.run(*STUCK)
        assert (first.code, "Stuck" in first.out) == (0, False)
        wait(ca, 4, first=4)
        notified = ("--ping-url", watchdog.url, "--notify-url", watchdog.url)
        for stuck, more, headline, code, ping in (
            (2, (), r"1 of 1 orders sent( in \d+s)?; 2 stuck$", 0, ""),
            (3, ("--fail-on", "stuck"), "Nothing was due: 4 orders waiting; 3 stuck$", 3, "/fail"),
        ):
            swept = await desk.run(*STUCK, *notified, "--metrics-file", "night.prom", *more)
            assert swept.code == code, swept.err
            words = "\nStuck: at the limit of mails, and still waiting\n  1, 1 mail, the last on "
            assert words in swept.out
            summary = read_summary(tmp_path / "night")
            assert (summary["sweep"]["stuck"], summary["sweep"]["waiting"]) == (stuck, 4)
            with (tmp_path / "night" / "stuck.csv").open() as file:
                rows = list(csv.DictReader(file))
            assert [row["order_id"] for row in rows] == ["1", "3", "4"][:stuck]
            assert (rows[0]["mails"], rows[0]["domains"]) == ("1", "a.example")
            page = (tmp_path / "night" / "report.html").read_text()
            assert "Stuck: no sweep will mail these again" in page
            assert '<a href="stuck.csv">stuck.csv</a>' in page
            bodies = {path: json.loads(body) for path, body in watchdog.posts if body}
            for path in (f"/{SECRET}{ping}", f"/{SECRET}"):
                assert re.search(headline, bodies[path]["text"])
                assert bodies[path]["sweep"]["stuck"] == stuck
            metrics = (tmp_path / "night.prom").read_text()
            for decision, count in (("stuck", stuck), ("too_young", 1), ("due", 3 - stuck)):
                assert f'waiting_orders{{decision="{decision}"}} {count}.0\n' in metrics
            watchdog.posts.clear()
        newest, *_ = await run_ids(desk)
        again = await desk.run("report", newest, "--report-dir", "again")
        assert again.code == 0
        for name in ("stuck.csv", "summary.json"):
            was = (tmp_path / "night" / name).read_text()
            assert (tmp_path / "again" / name).read_text() == was
        assert ca.books.mails_per_order == {"1": 1, "3": 1, "4": 1}


async def test_a_report_without_a_sweep_has_no_list_of_what_is_stuck(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9)
        await desk.run(*STUCK)
        desk.write("orders.csv", "order_id\n100200301\n")
        sent = await desk.run("send", "orders.csv", "--report-dir", "night")
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "night")["sweep"] is None
        assert not (tmp_path / "night" / "stuck.csv").exists()
        assert "stuck.csv" not in (tmp_path / "night" / "report.html").read_text()


async def test_an_order_at_the_limit_of_mails_is_stuck_once_its_cooldown_has_passed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9)
        limit = ("sweep", "--max-mails-per-order", "1", "--fail-on", "stuck")
        assert (await desk.run(*limit)).code == 0
        within = await desk.run(*limit)
        assert within.code == 0
        _, first = await run_ids(desk)
        assert within.out.startswith(
            "Nothing to send: 1 order waits: 1 mailed within the cooldown; of 1 mailed by "
            f"{first}, the last run to mail any, 0 no longer wait\n"
        )
        behind = await desk.run(*limit, "--cooldown", "0s")
        assert (behind.code, ca.books.mails) == (3, 1)
        assert behind.out.startswith("Nothing to send: 1 order waits: 1 stuck")


async def test_a_mail_in_doubt_counts_toward_the_limit_and_everybody_is_told_so(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8)
        for faults, *orders in (({}, 1), ({FaultName.DROP: 1.0}, 1, 2), ({FaultName.DROP: 1.0}, 2)):
            ca.fail(faults)
            desk.write("list.csv", "\n".join(("order_id", *map(str, orders), "")))
            once = ("--all-domains", "--cooldown", "0s", "--max-attempts", "1")
            sent = await desk.run("send", "list.csv", *once)
            assert sent.code == (3 if faults else 0), sent.err
        ca.fail({})
        limit = ("sweep", "--max-mails-per-order", "2", "--fail-on", "stuck")
        within = await desk.run(*limit)
        assert (within.code, "2 mailed within the cooldown" in within.out) == (0, True), within.out
        swept = await desk.run(*limit, "--cooldown", "0s", "--report-dir", "night")
        assert (swept.code, ca.books.mails) == (3, 4)
        day = rf"{time.strftime('%Y')}-\d\d-\d\d"
        for order, words in (
            ("1", f"2 mails, 1 of them in doubt, the last \\(in doubt\\) on {day}"),
            ("2", f"2 mails, in doubt, the last on {day}"),
        ):
            assert re.search(rf"\n  {order}, {words}, ordered on ", swept.out)
        with (tmp_path / "night" / "stuck.csv").open() as file:
            rows = {row["order_id"]: row for row in csv.DictReader(file)}
        assert [rows[n]["mails_in_doubt"] for n in "12"] == ["1", "2"]
        assert rows["1"]["last_acknowledged_at"] < rows["1"]["last_mail_at"]
        assert rows["2"]["last_acknowledged_at"] == ""
        page = (tmp_path / "night" / "report.html").read_text()
        assert re.search(r'data-is="Mails">2 \(1 in doubt\)<', page)
        assert re.search(r'data-is="Last mail">.+ \(in doubt\)</td><td data-is="Ordered"', page)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
            journal.execute("UPDATE runs SET finished_at = finished_at - 100 * 86400.0")
            journal.commit()
        assert (await desk.run("prune")).code == 0
        assert re.fullmatch(
            rf"2 mails in rehearsals, 1 of them in doubt, the last \(in doubt\) on {day} \(UTC\); "
            r"all of the mails by runs that `prune` forgot\n",
            (await desk.run("history", "1")).out,
        )


async def test_a_sweep_with_hold_does_not_mail_again_what_may_have_been_mailed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={FaultName.DROP: 1.0}) as (desk, ca):
        wait(ca, 9)
        desk.write("list.csv", "order_id\n1\n")
        sent = await desk.run("send", "list.csv", "--all-domains", "--in-doubt", "hold")
        assert sent.code == 3
        ca.fail({})
        for policy, mails in (("hold", 1), ("retry", 2)):
            swept = await desk.run("sweep", "--max-mails-per-order", "2", "--in-doubt", policy)
            assert "1 order waits: 1 due" in swept.out
            assert ca.books.mails == mails


async def test_a_dry_run_shows_what_is_due_and_mails_and_notifies_nobody(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca), listening() as watchdog:
        wait(ca, 9, domains=("a.example",))
        await desk.run(*STUCK)
        before = await run_ids(desk)
        wait(ca, 3.9, 2, first=4, domains=("b.example",))
        dry = await desk.run(*STUCK, "--dry-run", "--ping-url", watchdog.url)
        assert (dry.code, ca.books.mails) == (0, 1)
        assert re.search(r"^ +4 +3 +\S+ +b.example$", dry.out, re.MULTILINE)
        assert "\n  1, 1 mail, the last on " in dry.out
        assert "2 for 2 orders (one per order and language), 2 to send" in dry.out
        assert dry.out.endswith("Nothing was sent: --dry-run.\n")
        for_programs = await desk.run(*STUCK, "--dry-run", "--json")
        said = json.loads(for_programs.out)
        assert (said["exit_code"], said["error"]) == (0, None)
        assert "nothing was sent: --dry-run; 3 orders wait: 2 due, 1 stuck" in said["text"]
        due, stuck, requests = said["due"], said["stuck"], said["plan"]["first_requests"]
        assert [one["order_id"] for one in due] == [one["order_id"] for one in requests]
        assert (len(due), due[0]["domains"]) == (2, ["b.example"])
        assert [one["order_id"] for one in stuck] == ["1"]
        assert watchdog.posts == []
        assert await run_ids(desk) == before
        assert (await desk.run(*STUCK)).code == 0
        assert ca.books.mails == 3


async def test_reading_and_sending_keep_the_windows_together(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(5, 1.0),)) as (desk, ca):
        wait(ca, *range(2, 10))  # each is asked for its details, then mailed
        swept = await desk.run("sweep")
        assert swept.code == 0, swept.err
        assert (ca.books.mails, ca.books.reads) == (8, 2 + 8)
        assert all(log.refused == 0 for log in ca.books.windows)


async def test_options_narrow_it_and_name_the_language(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        wait(ca, 2, container="Web")
        wait(ca, 2, first=2, container="Shop")
        swept = await desk.run("sweep", "--container", "shop", "--locale", "de")
        assert swept.code == 0, swept.err
        assert ca.books.bodies == {"2": [{"locale": "de"}]}


@pytest.mark.parametrize(
    ("faults", "api_key", "code", "told"),
    [
        pytest.param({}, "the right one", 4, "the CA refused the API key", id="a wrong key"),
        pytest.param({"503": 1.0}, None, 1, "beyond the patience of 3s", id="an outage"),
    ],
)
async def test_a_night_on_which_the_ca_cannot_be_read_is_a_failure_with_its_reason(
    tmp_path: Path, faults: dict[str, float], api_key: str | None, code: int, told: str
) -> None:
    async with listening() as watchdog, desk_with_ca(
        tmp_path, faults=faults, api_key=api_key
    ) as (desk, ca):  # fmt: skip
        wait(ca, 2)
        swept = await desk.run("sweep", "--patience", "3s", "--ping-url", watchdog.url)
        assert swept.code == code
        assert told in swept.err
        assert watchdog.posts[-1][0] == f"/{SECRET}/fail"
        assert re.search(told, json.loads(watchdog.posts[-1][1])["error"])
        assert ca.books.mails == 0


NIGHTS, ORDERS, A_NIGHT = 30, 500, 25
DAY_S = 86_400.0
OUTAGES, WRONG_KEY = {9, 17}, 5
MOST_MAILS = 3
APPROVED = 0.3  # of those mailed, by the next night


@dataclass
class Model:
    """What must come of the month, reckoned without the program."""

    mails: dict[int, int] = field(default_factory=dict)

    def due(self, waiting: dict[int, int], night: int) -> set[int]:
        """Return which orders are due. `waiting`: the night on which each came."""
        return {
            number
            for number, came in waiting.items()
            if night - came >= 1 and self.mails.get(number, 0) < MOST_MAILS
        }


async def night_of(desk: Desk, night: int, *options: str) -> Ended:
    """Run the sweep of a night."""
    swept = await desk.start_after(
        partial(put_ahead, night * DAY_S), "sweep", "--yes", "--max-attempts", "2",
        "--max-mails-per-order", str(MOST_MAILS), "--report-dir", f"night-{night}", *options,
    )  # fmt: skip
    return await ended(swept, timeout_s=120)


def put_ahead(by_s: float) -> None:
    """Have the program as it is, on another day: both of its clocks are ahead by as much."""
    told, steady = time.time, clock.steady_time
    patch = pytest.MonkeyPatch()
    patch.setattr(time, "time", lambda: told() + by_s)
    patch.setattr(clock, "steady_time", lambda: steady() + by_s)


@pytest.mark.timeout(300)
async def test_a_month_mails_every_order_as_often_as_allowed(tmp_path: Path) -> None:
    model = Model()
    came: dict[int, int] = {}
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        began, night = time.time(), 0
        ca.world = World(
            seed=20261124, chance=APPROVED, within_s=DAY_S / 2,
            clock=lambda: time.time() + night * DAY_S,
        )  # fmt: skip
        for night in range(NIGHTS):
            ca.world.let_approve()  # those of the day
            for number in range(len(came) + 1, min(len(came) + A_NIGHT, ORDERS) + 1):
                came[number] = night
                # A minute older than the night, for it to be a day old by the next.
                created_at = began + night * DAY_S - 60
                ca.world.add(WorldOrder(number, created_at=created_at))
            waiting = {
                number: night for number, night in came.items()
                if ca.world.orders[number].status == "pending"
            }  # fmt: skip
            due = model.due(waiting, night)
            before = dict(ca.books.mails_per_order)
            ca.fail({FaultName.MAINTENANCE: 1.0} if night in OUTAGES else {})
            desk.environment["DIGICERT_API_KEY"] = "wrong" if night == WRONG_KEY else KEY
            swept = await night_of(desk, night)
            if night in OUTAGES or night == WRONG_KEY:
                assert swept.code == (4 if night == WRONG_KEY else 1), swept.err
                due = set()
            else:
                assert swept.code == 0, swept.err
            mailed = {int(n) for n, count in ca.books.mails_per_order.items()
                      if count != before.get(n, 0)}  # fmt: skip
            assert mailed == due, f"night {night}"
            for number in due:
                model.mails[number] = model.mails.get(number, 0) + 1
            assert {n: o.mails for n, o in ca.world.orders.items() if o.mails} == model.mails
        assert {int(n): count for n, count in ca.books.mails_per_order.items()} == model.mails
        assert max(model.mails.values()) == MOST_MAILS
        assert len(came) == ORDERS
        assert set(model.mails) == set(came), "none was forgotten"
        statuses = [order.status for order in ca.world.orders.values()]
        assert 0.4 * ORDERS < statuses.count("issued") < 0.8 * ORDERS, "three mails at 0.3 each"
        assert ca.books.wrong_request_count == 0
        assert (tmp_path / "journal.db").stat().st_size < 2_000_000
        last = await night_of(desk, NIGHTS + 30, "-q")
        assert last.code == 0
        assert last.out.startswith("Nothing to send: ")
        runs = json.loads((await desk.run("runs", "--json")).out)
        assert sum(run["sent"] for run in runs) == sum(model.mails.values())
