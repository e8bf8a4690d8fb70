"""index.html: what it says of the reports of many runs, and of the days."""

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import ReportError
from batch_resend.report.index import write_index
from batch_resend.results import SweepCounts
from tests.report.carried import SCRIPT, Report, reported, two_lists
from tests.report.test_folders import NIGHT, put


@pytest.mark.asyncio
async def test_the_index_has_nothing_left_of_a_run_whose_orders_other_runs_have_sent(
    tmp_path: Path,
) -> None:
    await nights(tmp_path)
    place = tmp_path / "reports" / "a" / "summary.json"
    found = json.loads(place.read_text())
    found["orders"] = dict.fromkeys(found["orders"], 0) | {"total": 9, "not_attempted": 9}
    for sent_elsewhere, left in ((0, "9"), (9, "0")):
        now = found["orders"] | {"not_attempted": 9 - sent_elsewhere}
        now |= {"sent_elsewhere": sent_elsewhere, "in_doubt_elsewhere": 0}
        place.write_text(json.dumps(found | {"orders_now": now}))
        write_index(tmp_path / "reports")
        page = (tmp_path / "reports" / "index.html").read_text()
        row = page[page.index('"a/report.html"') :].partition("</tr>")[0]
        assert re.findall(r'data-is="Left">(\d+)<', row) == [left]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "sent_elsewhere", "said"),
    [
        ("completed", 0, "complete"),
        ("completed", 2, "finished; rest sent by other runs"),
        ("stopped", 2, "stopped early; rest sent by other runs"),
        ("interrupted", 2, "interrupted; rest sent by other runs"),
    ],
)
async def test_a_run_whose_rest_other_runs_have_sent_is_not_called_complete(
    tmp_path: Path, state: str, sent_elsewhere: int, said: str
) -> None:
    await nights(tmp_path)
    place = tmp_path / "reports" / "a" / "summary.json"
    found = json.loads(place.read_text()) | {"verdict": "complete", "state": state}
    found["orders_now"]["sent_elsewhere"] = sent_elsewhere
    place.write_text(json.dumps(found))
    write_index(tmp_path / "reports")
    page = (tmp_path / "reports" / "index.html").read_text()
    row = page[page.index('"a/report.html"') :].partition("</tr>")[0]
    assert f'<span class="complete tone">{said}</span>' in row, "there is nothing to do"


async def nights(folder: Path) -> list[str]:
    """Put the reports of two runs into a folder, the second with a hostile name beside them."""
    names = []
    for name, script in (("a", {}), ("b <i>", SCRIPT)):
        (folder / "lists" / name).mkdir(parents=True)
        made, summary = await reported(
            folder / "lists" / name, two_lists(folder / "lists" / name), script
        )
        (folder / "reports").mkdir(exist_ok=True)
        made.folder.replace(folder / "reports" / name)
        names.append(summary.run_id)
    return names


@pytest.mark.asyncio
async def test_the_index_says_of_each_sweep_how_many_orders_it_has_given_up_on(
    tmp_path: Path,
) -> None:
    await nights(tmp_path)
    place = tmp_path / "reports" / "a" / "summary.json"
    waiting = SweepCounts(
        waiting=21, too_young=0, mailed_lately=0, stuck=17, excluded=0, nothing_to_mail=0,
        left_for_later=0, not_asked=0, due=4, unusable=0, max_mails=5,
    )  # fmt: skip
    place.write_text(json.dumps(json.loads(place.read_text()) | {"sweep": asdict(waiting)}))
    write_index(tmp_path / "reports")
    page = (tmp_path / "reports" / "index.html").read_text()
    assert sorted(re.findall(r'data-is="Stuck">(\d+)<', page)) == ["0", "17"]


@pytest.mark.asyncio
async def test_the_index_has_each_night_with_its_counts_and_a_link_to_its_page(
    tmp_path: Path,
) -> None:
    await nights(tmp_path)
    put(tmp_path / "reports" / "broken", run_id="X")
    write_index(tmp_path / "reports")
    page = (tmp_path / "reports" / "index.html").read_text()
    links = re.findall(r'<a href="([^"]+)">2027-01-15 08:00<', page)
    assert sorted(links) == ["a/report.html", "b%20%3Ci%3E/report.html"]
    assert page.count("<tr>") == 1 + 2, "the broken one is left out"
    summary = Report(tmp_path / "reports" / "b <i>").summary["orders"]
    row = page[page.index("b%20%3Ci%3E") :].partition("</tr>")[0]
    for count in (summary["total"], summary["refused"]):
        assert f">{count}</td>" in row
    assert "needs action" in row


@pytest.mark.asyncio
async def test_the_index_draws_each_day_with_all_its_runs_and_the_days_without_one(
    tmp_path: Path,
) -> None:
    await nights(tmp_path)
    like = json.loads((tmp_path / "reports" / "a" / "summary.json").read_text())
    nobody = dict.fromkeys(like["orders"], 0)
    places = tmp_path / "nights"
    for name, at, sent, left, more in (
        ("first", "2027-01-30T23:59:59", 4, 0, {}),
        ("again", "2027-02-02T01:00:00", 3, 2, {}),
        ("evening", "2027-02-02T19:00:00", 4000, 1, {}),
        ("rehearsal", "2027-02-03T02:00:00", 9, 0, {"verdict": "rehearsal"}),
        ("quiet", "2027-02-04T02:00:00", 0, 0, {}),
        ("declined", "2027-02-05T02:00:00", 0, 5, {"started_at": None}),
    ):
        orders = nobody | {"total": sent + left, "sent": sent, "failed": left}
        times = {"started_at": f"{at}.000Z", "finished_at": f"{at}.000Z"}
        put(places / name, **(like | {"orders": orders, "run_id": name} | times | more))
    write_index(places)
    page = (places / "index.html").read_text()
    assert re.findall(r"<title>(\S+): (.*?)</title>\n<rect class=\"(\w+)\"", page) == [
        ("2027-01-30", "1 run, 4 sent, 0 not", "day"),
        ("2027-01-31", "no report", "gap"),
        ("2027-02-01", "no report", "gap"),
        ("2027-02-02", "2 runs, 4,003 sent, 3 not", "day"),
        ("2027-02-03", "no report", "gap"),
        ("2027-02-04", "1 run, 0 sent, 0 not", "day"),
        ("2027-02-05", "1 run, 0 sent, 5 not", "day"),
    ]
    assert re.findall(r'class="beyond"[^>]*>([\d,]+)<', page) == ["4,006"], "it leaves room for 20"
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"', page)]
    assert max(heights) == 100
    newest = re.findall(r'<a href="(\w+)/report.html">', page)
    assert newest == ["declined", "quiet", "evening", "again", "first", "rehearsal"]
    assert page.index("Rehearsals: nobody was mailed") < page.index("rehearsal/report.html")


@pytest.mark.asyncio
async def test_real_runs_and_then_rehearsals_are_listed_by_when_they_began_whenever_written(
    tmp_path: Path,
) -> None:
    await nights(tmp_path)
    like = json.loads((tmp_path / "reports" / "a" / "summary.json").read_text())
    places = tmp_path / "nights"
    for kind, verdict in (("real", "complete"), ("rehearsed", "rehearsal")):
        for made, day in enumerate((3, 4, 2, 1)):
            at = f"2036-12-0{day}T02:00:00.000Z"
            summary = like | {"started_at": at, "verdict": verdict}
            folder = put(places / f"{kind}{day}", **summary)
            os.utime(folder / "summary.json", (NIGHT + made, NIGHT + made))
    write_index(places)
    page = (places / "index.html").read_text()
    links = re.findall(r'<a href="(\w+)/report.html">', page)
    assert links == [f"{kind}{day}" for kind in ("real", "rehearsed") for day in (4, 3, 2, 1)]


@pytest.mark.asyncio
async def test_an_index_of_somebody_else_stays_and_an_own_one_is_written_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "index.html").write_text("<h1>The company's own page</h1>")
    with pytest.raises(ReportError, match="is left as it is"):
        write_index(tmp_path)
    assert "own page" in (tmp_path / "index.html").read_text()
    (tmp_path / "index.html").unlink()
    write_index(tmp_path)
    write_index(tmp_path)
    assert "<tbody>\n</tbody>" in (tmp_path / "index.html").read_text()


async def like_a_run(folder: Path) -> dict[str, Any]:
    """Return the summary of a run that mailed somebody."""
    await nights(folder)
    text = (folder / "reports" / "b <i>" / "summary.json").read_text()
    summary: dict[str, Any] = json.loads(text)
    return summary | {"base_url": "https://ca.example/services/v2"}


@pytest.mark.asyncio
async def test_a_run_under_way_has_orders_to_go_and_one_that_was_cut_off_has_them_left(
    tmp_path: Path,
) -> None:
    like, places = await like_a_run(tmp_path), tmp_path / "nights"
    orders = dict.fromkeys(like["orders"], 0) | {
        "total": 9, "sent": 4, "failed": 1, "in_flight": 1, "not_attempted": 3
    }  # fmt: skip
    under_way = like | {"state": "running", "verdict": "under way", "orders": orders}
    for name in ("live", "dead"):
        put(places / name, **(under_way | {"run_id": name}))
    os.utime(places / "dead" / "summary.json", (NIGHT, NIGHT))
    put(places / "before", **(like | {"started_at": "2027-01-14T02:00:00.000Z"}))
    write_index(places)
    page = (places / "index.html").read_text()
    rows = {
        name: re.sub("<[^>]+>", "|", page.partition(f'href="{name}/')[2].partition("</tr>")[0])
        for name in ("live", "dead")
    }
    assert "|under way|" in rows["live"]
    assert "|1 4 to go|" in rows["live"]
    assert "|cut off|" in rows["dead"]
    assert "|5|" in rows["dead"]
    assert ": 2 runs, 8 sent, 6 not, 4 to go</title>" in page


@pytest.mark.asyncio
async def test_the_index_names_the_list_of_each_run_and_what_else_keeps_orders_waiting(
    tmp_path: Path,
) -> None:
    like, places = await like_a_run(tmp_path), tmp_path / "nights"
    counts = SweepCounts(
        waiting=34, too_young=0, mailed_lately=0, stuck=8, excluded=0, nothing_to_mail=26,
        left_for_later=0, not_asked=0, due=0, unusable=0, max_mails=5,
    )  # fmt: skip
    put(places / "by hand", **(like | {"run_id": "x"}))
    put(places / "night", **(like | {"run_id": "y", "sweep": asdict(counts)}))
    write_index(places)
    page = (places / "index.html").read_text()
    lists = [Path(one["path"]).name for one in like["inputs"]]
    assert len(lists) == 2
    assert f'<td data-is="List"><bdi>{lists[0]} and 1 more</bdi></td>' in page
    assert '<td data-is="List"><bdi>sweep</bdi></td>' in page
    assert 'data-is="Waiting">34 (26 with nothing to mail)<' in page


@pytest.mark.asyncio
async def test_the_index_names_the_run_whose_orders_a_sweep_finds_no_longer_waiting(
    tmp_path: Path,
) -> None:
    like, places = await like_a_run(tmp_path), tmp_path / "nights"
    of_none = SweepCounts(
        waiting=2, too_young=2, mailed_lately=0, stuck=0, excluded=0, nothing_to_mail=0,
        left_for_later=0, not_asked=0, due=0, unusable=0, max_mails=5,
    )  # fmt: skip
    for day, gone, mailed_by in (
        ("1", 2, "20261231-020304-c156"),
        ("2", 1, "night 1"),
        ("3", 3, "night 1"),
    ):
        counts = replace(of_none, mailed_before=5, mailed_by=mailed_by, no_longer_waiting=gone)
        at = {"started_at": f"2027-01-0{day}T02:03:04.000Z"}
        put(places / day, **(like | {"run_id": f"night {day}", "sweep": asdict(counts)} | at))
    write_index(places)
    page = (places / "index.html").read_text()
    assert re.findall(r'data-is="No longer waiting">([^<]+)<', page) == [
        "3 of 5 (run of 2027-01-01 02:03)",
        "1 of 5 (run of 2027-01-01 02:03)",
        "2 of 5 (run of 20261231-020304-c156)",
    ]
    assert "the last run before this one to mail any" in page


@pytest.mark.asyncio
async def test_an_index_of_rehearsals_alone_says_so(tmp_path: Path) -> None:
    like = await like_a_run(tmp_path)
    put(tmp_path / "nights" / "rehearsed", **(like | {"verdict": "rehearsal"}))
    write_index(tmp_path / "nights")
    page = (tmp_path / "nights" / "index.html").read_text()
    assert "<h1>Only rehearsals so far</h1>" in page
    assert "rehearsed/report.html" in page
