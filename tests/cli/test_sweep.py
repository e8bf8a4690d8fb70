"""The nightly sweep, night after night, against a CA whose orders come and go."""

import json
import re
import time
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import desk_with_ca, ended, read_summary, until
from tests.notify.listener import SECRET, listening

pytestmark = pytest.mark.asyncio

DAY_S = 86_400.0


def wait(ca: Simulator, *days: float, first: int = 1, **how: str) -> None:
    """Let orders wait that are so many days old."""
    for number, age in enumerate(days, start=first):
        ca.world.add(WorldOrder(number, created_at=time.time() - age * DAY_S, **how))  # type: ignore[arg-type]


async def test_what_is_due_is_mailed_the_oldest_first_and_the_report_accounts_for_it(
    tmp_path: Path,
) -> None:
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
        found = "3 due, 1 too young, 1 with nothing to mail (not DV, not by e-mail, or approved)"
        assert f"\n5 orders wait: {found}\n" in swept.err


async def test_a_quiet_night_ends_with_one_line_and_success(tmp_path: Path) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 0.1)
        quiet = await desk.run("sweep", "-q", "--ping-url", watchdog.url)
        assert (quiet.code, quiet.err) == (0, "")
        assert quiet.out == "Nothing to send: 1 order waits: 1 too young\n"
        assert ca.books.mails == 0
        assert [path for path, _ in watchdog.posts] == [f"/{SECRET}/start", f"/{SECRET}"]
        assert json.loads(watchdog.posts[1][1])["text"] == (
            "batch-resend: nothing to send: 1 order waits: 1 too young"
        )
        assert not (tmp_path / "reports").exists()


async def test_the_same_night_nothing_is_mailed_twice_and_the_next_says_what_came_of_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2, 3, 4)
        assert (await desk.run("sweep", "--report-dir", "first")).code == 0
        del ca.world.orders[2]  # approved, and so issued
        again = await desk.run("sweep")
        assert again.out == (
            "Nothing to send: 2 orders wait: 2 mailed within the cooldown; of 3 mailed by the last "
            "run 1 no longer wait\n"
        )
        first = read_summary(tmp_path / "first")["run_id"]
        await desk.run("report", first, "--report-dir", "first")
        page = (tmp_path / "first" / "report.html").read_text()
        assert "of 3 orders sent 2 are waiting, 1 is no longer waiting." in page
        later = await desk.run("sweep", "--cooldown", "0s", "--report-dir", "second")
        assert later.code == 0
        assert ca.books.mails_per_order == {"1": 2, "2": 1, "3": 2}


async def test_no_order_is_mailed_more_often_than_allowed_whatever_list_it_came_from(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2)
        desk.write("orders.csv", "order_id\n1\n")
        await desk.run("send", "orders.csv", "--all-domains", "--report-dir", "0")
        sweep = ("sweep", "--cooldown", "0s", "--max-mails-per-order", "3", "--report-dir")
        for night in range(1, 3):
            assert (await desk.run(*sweep, str(night))).code == 0
        enough = await desk.run(*sweep, "3")
        assert "1 at the limit of 3 mails (--max-mails-per-order)" in enough.out
        assert ca.books.mails_per_order == {"1": 3}


async def test_what_is_beyond_the_most_of_a_night_has_its_turn_the_next(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *range(2, 12))
        for night, sent in enumerate((4, 4, 2)):
            swept = await desk.run("sweep", "--max-orders", "4", "--report-dir", str(night))
            assert swept.code == 0
            assert read_summary(tmp_path / str(night))["orders"]["sent"] == sent
        assert ca.books.mails_per_order == {str(n): 1 for n in range(1, 11)}


async def test_options_narrow_it_to_products_and_containers_and_name_the_language(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        wait(ca, 2, container="Web")
        wait(ca, 2, first=2, container="Shop")
        swept = await desk.run("sweep", "--container", "shop", "--locale", "de")
        assert swept.code == 0, swept.err
        assert ca.books.bodies == {"2": [{"locale": "de"}]}


async def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *range(2, 32))
        # What it reads and some mails fill the window, so that it is still there when asked.
        first = await desk.start("sweep", "--limit", "20/8s", "--max-orders", "20")
        await until(lambda: ca.books.mails)
        assert (await desk.run("sweep")).code == 5
        assert (await ended(first)).code == 0
        assert ca.books.mails == 20


async def test_reading_and_sending_keep_the_windows_together(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(5, 1.0),)) as (desk, ca):
        wait(ca, *range(2, 10))  # each is asked for its details, then mailed
        swept = await desk.run("sweep")
        assert swept.code == 0, swept.err
        assert (ca.books.mails, ca.books.reads) == (8, 2 + 8)
        assert all(log.refused == 0 for log in ca.books.windows)


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
