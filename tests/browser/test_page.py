"""report.html in a real browser: it stands alone, tells the truth, and stays text."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from batch_resend.clock import timestamp
from batch_resend.journal import ActivePeriod
from batch_resend.model import RequestStatus, RowStatus, Run, RunState
from batch_resend.report import Presentation, whole_file
from batch_resend.report import page as page_module
from batch_resend.report.charts import stretch_of
from batch_resend.report.folder import NotStarted
from batch_resend.report.index import note_not_started, write_index
from batch_resend.report.page import UnderWay, make_live_page
from batch_resend.report.summary import summarize
from batch_resend.results import Tally
from tests.browser.conftest import AXE, HOSTILE, Made, shown
from tests.report.carried import Report

WIDTHS = {"desk": 1200, "phone": 375}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_loads_from_disk_and_asks_for_nothing_and_shows_no_error(
    chromium: Browser, made: Made, width: int, dark: bool
) -> None:
    with shown(chromium, made.report, width=width, dark=dark) as seen:
        assert seen.page.locator(".plot svg").count() == 1
        assert seen.requests == [(made.report.folder / "report.html").as_uri()]
        assert seen.errors == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways"


def test_the_figures_on_the_page_are_those_of_summary_json(chromium: Browser, made: Made) -> None:
    summary = made.report.summary
    with shown(chromium, made.report) as seen:
        page = seen.page
        for status in RequestStatus:
            if not summary["orders"][status.value]:
                assert not page.locator(f'#counts tr[data-status="{status.value}"]').count()
                continue
            cell = page.locator(f'#counts tr[data-status="{status.value}"] td.n')
            assert cell.inner_text() == f"{summary['orders'][status.value]:,}"
        assert page.locator("#counts tfoot td.n").inner_text() == f"{summary['orders']['total']:,}"
        told = page.locator("body").inner_text()
        rows, requests = summary["rows"], summary["requests"]
        assert (
            f"{rows['read']}: {rows['accepted']} accepted, {rows['duplicate']} duplicate, "
            f"{rows['rejected']} rejected"
        ) in told
        assert f"{requests['attempts']}, {requests['retries']} of them retries" in told
        not_sent = summary["orders"]["total"] - summary["orders"]["sent"]
        assert page.locator("#not-sent tbody tr").count() == not_sent
        assert page.locator("#rejected-rows tbody tr").count() == rows["rejected"]
        assert summary["run_id"] in told


def test_the_page_names_the_next_command_with_the_flags_it_needs(
    chromium: Browser, made: Made
) -> None:
    with shown(chromium, made.report) as seen:
        command = seen.page.locator(".steps pre").first.inner_text()
        assert command == f"batch-resend resume {made.summary.run_id} --region eu"


@pytest.mark.parametrize("javascript", [True, False], ids=["with script", "without"])
def test_whatever_a_ca_or_a_list_says_stays_text(
    chromium: Browser, made: Made, javascript: bool
) -> None:
    with shown(chromium, made.report, javascript=javascript) as seen:
        page = seen.page
        assert page.title().startswith("Stopped early: ")
        assert page.locator("img").count() == 0
        visible = HOSTILE.replace("\u202e", "\\u202e")
        refused = page.locator("#not-sent tr", has_text="refused").first
        assert visible in refused.inner_text(), "as it was said, its direction marks spelled out"
        assert visible in page.locator("#rejected-rows").inner_text()
        assert "\u202e" not in page.content()
        assert seen.errors == []


def cells(page: Page, column: int) -> list[str]:
    """Return a column of the orders not sent, of those rows that are shown."""
    return page.locator(f"#not-sent tbody tr:visible td:nth-child({column})").all_inner_texts()


def test_a_click_on_a_heading_sorts_by_it_and_another_one_the_other_way(
    chromium: Browser, made: Made
) -> None:
    with shown(chromium, made.report) as seen:
        heading = seen.page.locator("#not-sent th").first
        as_numbers = sorted(cells(seen.page, 1), key=int)
        heading.get_by_role("button").click()
        assert cells(seen.page, 1) == as_numbers
        assert heading.get_attribute("aria-sort") == "ascending"
        heading.get_by_role("button").click()
        assert cells(seen.page, 1) == as_numbers[::-1]
        assert heading.get_attribute("aria-sort") == "descending"
        assert seen.errors == []


def test_words_in_the_filter_leave_the_rows_that_have_them_all(
    chromium: Browser, made: Made
) -> None:
    with shown(chromium, made.report) as seen:
        page, total = seen.page, len(cells(seen.page, 1))
        box = page.get_by_label("Filter orders")
        box.fill("IN DOUBT shop")
        in_doubt = made.summary.orders.in_doubt
        assert cells(page, 2) == ["in doubt"] * in_doubt
        assert page.locator("output").first.inner_text() == f"{in_doubt} of {total} shown"
        box.fill("no such words anywhere")
        assert cells(page, 2) == []
        box.fill("")
        assert len(cells(page, 2)) == total


def test_without_javascript_everything_is_there_but_sorting_and_filtering(
    chromium: Browser, made: Made
) -> None:
    with shown(chromium, made.report, javascript=False) as seen:
        not_sent = made.summary.orders.total - made.summary.orders.sent
        assert len(cells(seen.page, 1)) == not_sent
        assert seen.page.locator("button, input").count() == 0
        assert seen.page.locator("details").first.is_visible()
        assert seen.page.locator("pre.command").first.is_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("kind", ["report", "under way", "index"])
def test_axe_finds_no_violation_and_nothing_reaches_beyond_the_page(
    chromium: Browser, made: Made, tmp_path: Path, *, kind: str, width: int, dark: bool
) -> None:
    if not AXE.is_file():
        pytest.skip("no axe-core (npm ci --prefix tests/browser)")
    report, name = made.report, "report.html"
    if kind == "under way":
        report = Report(tmp_path)
        (tmp_path / name).write_text(page_under_way(sent=1, written_at=time.time()))
    elif kind == "index":
        report, name = Report(tmp_path), "index.html"
        nights: tuple[tuple[int, int, dict[str, str]], ...] = (
            (1, 4, {}),
            (3, 5, {}),
            (4, 6_000, {}),
            (9, 4, {"verdict": "rehearsal"}),
        )
        for day, sent, more in nights:  # a night without a run, one of an outage, a rehearsed one
            orders = made.report.summary["orders"] | {"sent": sent}
            orders["total"] = sum(orders.values()) - orders["total"]
            begun = {"started_at": f"2027-01-0{day}T02:00:00.000Z", "orders": orders}
            (tmp_path / str(day)).mkdir()
            (tmp_path / str(day) / "summary.json").write_text(
                json.dumps(made.report.summary | begun | more)
            )
        why = "the CA cannot be reached (connection refused), for 10m; that was all the patience"
        note_not_started(tmp_path, NotStarted("2027-01-05T02:00:00.000Z", 1, why, None))
        rehearsed = NotStarted("2027-01-06T02:00:00.000Z", 4, why, "shop", is_rehearsal=True)
        note_not_started(tmp_path, rehearsed)
        write_index(tmp_path)
    with shown(chromium, report, width=width, dark=dark, name=name) as seen:
        # Through the debugger: the page's own policy lets no other script run.
        seen.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = seen.page.evaluate("axe.run()")
        told = [
            f"{one['impact']}: {one['id']}: {[node['html'][:200] for node in one['nodes']]}"
            for one in found["violations"]
        ]
        assert not told, json.dumps(told, indent=1)
        assert len(found["passes"]) > 15, "it has looked"
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.locator(".plot svg").count() == 1, "its chart, too, was looked at"
        assert seen.requests == [(report.folder / name).as_uri()]
        assert seen.errors == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_whatever_the_chart_says_is_within_it_and_no_two_times_overlap(
    chromium: Browser, made: Made, width: int
) -> None:
    with shown(chromium, made.report, width=width) as seen:
        found: dict[str, Any] = seen.page.evaluate("""() => {
            const frame = document.querySelector("figure.pace").getBoundingClientRect();
            const seen = (all) => [...document.querySelectorAll(all)]
                .map((one) => one.getBoundingClientRect()).filter((box) => box.width);
            const ticks = seen(".ticks span");
            return {
                outside: seen(".pace span").filter((box) => box.left < frame.left - 1
                    || box.right > frame.right + 1 || box.top < frame.top - 8
                    || box.bottom > frame.bottom + 1).length,
                overlapping: ticks.filter((one, n) => n && one.left < ticks[n - 1].right).length,
                ticks: ticks.length, words: seen(".plot .word").length,
            };
        }""")
        assert (found["outside"], found["overlapping"]) == (0, 0), found
        assert found["ticks"] >= 2
        assert found["words"] >= 2, "the pause and the resumption are named"


def test_on_a_phone_no_number_file_name_or_code_is_broken_in_the_middle(
    chromium: Browser, made: Made
) -> None:
    with shown(chromium, made.report, width=WIDTHS["phone"]) as seen:
        broken = seen.page.evaluate("""() => {
            const broken = [];
            for (const cell of document.querySelectorAll("#not-sent td.code")) {
                const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
                for (let text; (text = walker.nextNode()); ) {
                    for (const word of text.data.matchAll(/\\S+/g)) {
                        const range = document.createRange();
                        range.setStart(text, word.index);
                        range.setEnd(text, word.index + word[0].length);
                        if (range.getClientRects().length > 1) broken.push(word[0]);
                    }
                }
            }
            return broken;
        }""")
        assert broken == []
        hidden = """() => [...document.querySelectorAll(".wide:has(.cards)")]
            .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.ariaLabel)"""
        assert seen.page.evaluate(hidden) == [], "nothing has to be scrolled to"
        assert seen.page.locator("#not-sent td.code").count() > 20


@pytest.mark.parametrize("allowed", [True, False], ids=["clipboard", "no clipboard"])
def test_a_command_is_copied_by_its_button_in_a_page_from_disk(
    chromium: Browser, made: Made, allowed: bool
) -> None:
    with shown(chromium, made.report) as seen:
        page = seen.page
        if allowed:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        else:
            page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        command = page.locator("pre.command").first.inner_text()
        if allowed:
            assert page.evaluate("navigator.clipboard.readText()") == command
        else:
            assert page.evaluate("getSelection().toString()").strip() == command
        assert seen.errors == []


@pytest.mark.parametrize("javascript", [True, False], ids=["with script", "without"])
def test_a_run_under_way_is_seen_changing_and_its_page_says_how_old_it_is(
    chromium: Browser, tmp_path: Path, javascript: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "LIVE_EVERY_S", 1.0)
    report = Report(tmp_path)
    with whole_file(tmp_path / "report.html") as file:
        file.write(page_under_way(sent=1, written_at=time.time() - 3))
    with shown(chromium, report, javascript=javascript) as seen:
        assert "1 of 4 orders sent" in seen.page.locator("h1").inner_text()
        if javascript:
            assert " s ago" in seen.page.locator(".age").inner_text()
        with whole_file(tmp_path / "report.html") as file:
            file.write(page_under_way(sent=3, written_at=time.time() - 600))
        expect(seen.page.locator("h1")).to_contain_text("3 of 4 orders sent")
        if javascript:
            expect(seen.page.locator(".age.old")).to_contain_text("10 min ago")
            expect(seen.page.locator(".banner.needs_action .state")).to_have_text("cut off?")
        assert seen.errors == []


def test_a_reader_may_stop_a_page_from_loading_itself_again(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "LIVE_EVERY_S", 5.0)  # time enough for a slow machine
    report = Report(tmp_path)
    (tmp_path / "report.html").write_text(page_under_way(sent=1, written_at=time.time()))
    with shown(chromium, report) as seen:
        seen.page.get_by_role("button", name="Stop reloading").click()
        expect(seen.page.locator(".age")).to_contain_text(
            re.compile(r" ([7-9]|\d\d+) s ago"), timeout=20_000
        )
        assert len(seen.requests) == 1


def page_under_way(sent: int, written_at: float) -> str:
    """Return the page of a run of four orders."""
    run = Run(
        1, "RUN", "https://ca.example", RunState.RUNNING, None, (), 0.0, 1.0, None, order_numbers=4
    )
    orders = dict.fromkeys(RequestStatus, 0)
    orders |= {RequestStatus.SENT: sent, RequestStatus.NOT_ATTEMPTED: 4 - sent}
    rows = dict.fromkeys(RowStatus, 0)
    found = summarize(run, [], Tally(rows, 4, orders, 0, 0, 0, 0, 0, 0, 0.0, 1.0))
    found = found.model_copy(update={"state": "running", "written_at": timestamp(written_at)})
    stretch = stretch_of([], 5.0, ActivePeriod(1, 1.0, 31.0, ()))
    return make_live_page(run, found, Path("report"), Presentation(), UnderWay([stretch], [], 90.0))


def test_printed_the_page_shows_no_controls(chromium: Browser, made: Made) -> None:
    with shown(chromium, made.report) as seen:
        seen.page.emulate_media(media="print")
        for control in (".controls", "button.copy"):
            assert not seen.page.locator(control).first.is_visible()
        assert seen.page.locator("h1").is_visible()
        assert len(seen.page.pdf()) > 10_000
