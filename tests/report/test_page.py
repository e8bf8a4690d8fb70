"""report.html: what it says of a run, to whom, and how large it gets."""

import asyncio
import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.intake import ListSource, Reading
from batch_resend.journal import Journal, Terms
from batch_resend.model import (
    Attempt,
    Entry,
    Outcome,
    RequestStatus,
    Row,
    Ruling,
    Run,
    RunState,
    Verdict,
)
from batch_resend.report import NextFlags, Presentation, make_summary, write_report
from batch_resend.report.files import Lists
from batch_resend.report.page import MOST_ENTRIES, MOST_OPEN, MOST_ORDERS, make_page
from batch_resend.visible import visible
from tests.journal.conftest import WINDOWS, Clock, opened, pending, plan, send
from tests.report.carried import (
    SCRIPT,
    Report,
    carried,
    plan_lists,
    reported,
    two_lists,
    write_list,
)

pytestmark = pytest.mark.asyncio
MOST_BYTES = 5_000_000


def text_of(page: str) -> str:
    """Return what a page says, without its markup, styles and script."""
    body = page[page.index("<body>") : page.index("<script>")].replace("<wbr>", "")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", body)))


async def page_of(journal: Journal, run: Run, presentation: Presentation | None = None) -> str:
    summary = await make_summary(journal.reader, run)
    lists = Lists(Path("reports/RUN"), run.id)
    return await make_page(journal.reader, run, summary, lists, presentation or Presentation())


async def test_a_run_whose_rest_another_run_has_sent_says_how_it_ended(tmp_path: Path) -> None:
    orders = ListSource(write_list(tmp_path, "orders.csv", "order_id", "700001", "700002"))
    script, clock = {"700001": "204"}, Clock()
    cut_off = carried(tmp_path, [orders], script, RunState.INTERRUPTED, clock)
    async with cut_off as (journal, run):
        other = await plan_lists(journal, ListSource(str(tmp_path / "orders.csv")))
        await send(journal, clock, other, {"700002": "204"}, cooldown_s=3600.0)
        await journal.finish(other, RunState.COMPLETED)
        kept = replace(run, settings={"cooldown_s": 3600.0})
        page = text_of(await page_of(journal, kept))
    said = "interrupted; rest sent by other runs batch-resend"
    assert (said in page, "complete" in page) == (True, False)
    assert "; 1 not attempted (sent by another run since)" in page


async def test_a_page_says_of_every_order_and_row_why_and_whence(tmp_path: Path) -> None:
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        page = await page_of(journal, run)
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index('id="not-sent"') :], re.DOTALL)
    of_order = {row.split()[0]: row for row in map(text_of_row, rows[1:]) if row}
    assert "11" not in of_order, "it was sent"
    for order, parts in {
        "12": ("refused", "400", "bad_request_format", "no such field",
               "a.example: admin@a.example"),
        "13": ("b.example: admin@b.example", "first.csv, line 6", "second.csv, line 3"),
        "14": ("every pending domain",),
        "15": ("not attempted",),
    }.items():  # fmt: skip
        assert [part for part in parts if part not in of_order[order]] == []
    text = text_of(page)
    assert "first.csv 5 the order number" in text, "a rejected row"
    assert "1e9,=1+1,x.example,admin@x.example," in text
    assert "refused 1 400 bad_request_format no such field The CA could not read" in text
    assert "failed 1 503 maintenance The CA is not available" in text
    assert "<code>check " in page, "what is to be typed stands out"
    assert "`" not in text


def text_of_row(row: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", row))).strip()


async def interrupted(journal: Journal, clock: Clock) -> Run:
    """Return a run that stopped when one order was sent, one attempted, and one not."""
    run = await plan(journal, [Row(n, str(n), (), None, "[]") for n in (1, 2, 3)])
    recorder = await journal.start(run, Terms(WINDOWS, {"sent_by": "night@host-7"}))
    down = Verdict(Ruling.UNAVAILABLE, 503, None, "Down for maintenance")
    first, second, _ = await pending(journal.reader, run)
    for planned, verdict in ((first, Verdict(Ruling.ACCEPTED, 204)), (second, down)):
        await recorder.begin(Attempt(planned, 1, clock()))
        done = Outcome(planned, RequestStatus.SENT, 204) if planned is first else None
        await recorder.end(Attempt(planned, 1, clock()), clock() + 1, verdict, done)
    await journal.finish(run, RunState.STOPPED, "so it was")
    return await journal.reader.run(run.id)


async def test_an_order_that_was_attempted_is_not_called_not_attempted(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        page = await page_of(journal, await interrupted(journal, Clock()))
    listed = page[page.index('id="not-sent"') :]
    rows = [text_of_row(row) for row in re.findall(r"<tr>(.*?)</tr>", listed, re.DOTALL)]
    assert rows[1].startswith("2 attempted, not done 503 Down for maintenance")
    assert rows[2].startswith("3 not attempted every pending domain")
    reasons = text_of(page[: page.index('id="orders"')] + "<script>")
    assert "attempted, not done 1 503 Down for maintenance" in reasons
    assert "not attempted 1 the run stopped before it was sent" in reasons


async def test_a_page_says_who_sent_it_where_and_how_much_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        page = await page_of(journal, await interrupted(journal, Clock()))
    assert "33 % of 3 sent" in text_of(page)
    assert "sent by night@host-7" in text_of(page)
    assert 'class="banner needs_action"' in page


@pytest.mark.parametrize(
    ("zone", "beside"), [("UTC", ""), ("Europe/Berlin", " (09:00 CET)"), ("Asia/Tokyo", "17:00")]
)
async def test_the_time_of_day_stands_beside_utc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, beside: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        async with opened(tmp_path / "journal.db", Clock()) as journal:
            text = text_of(await page_of(journal, await interrupted(journal, Clock())))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert f"begun 2027-01-15 08:00:00 UTC{beside[:12]}" in text or beside in text
    assert beside in text
    assert ("UTC (" in text) == bool(beside)


async def test_where_all_is_well_a_page_has_no_lists_and_its_charts_are_folded_up(
    tmp_path: Path,
) -> None:
    name = write_list(tmp_path, "list.csv", "order_id,locale", "100200301,de", "100200302,en")
    script = {"100200301": "204", "100200302": "204"}
    async with carried(tmp_path, [ListSource(name)], script) as (journal, run):
        page = await page_of(journal, run)
    assert 'class="banner complete"' in page
    assert "100 % of 2 sent" in text_of(page)
    assert "By language" not in page, "there is nothing to see"
    assert "<details open>" not in page
    assert 'href="results.csv"' in page


async def test_a_page_links_to_the_lists_that_have_rows(tmp_path: Path) -> None:
    """What a key was denied before its run stopped is in unsent.csv, so not in refused.csv."""
    name = write_list(tmp_path, "list.csv", "order_id", "100200301", "100200302")
    for state, answers, lists in (
        (RunState.COMPLETED, ("204", "204"), set[str]()),
        (RunState.COMPLETED, ("204", "403"), {"refused.csv"}),
        (RunState.COMPLETED, ("503 failed", "204"), {"unsent.csv"}),
        (RunState.STOPPED, ("403", "403"), {"unsent.csv"}),
        (RunState.STOPPED, ("400", "403"), {"unsent.csv", "refused.csv"}),
    ):
        folder = tmp_path / f"{state} {answers}"
        folder.mkdir()
        script = dict(zip(("100200301", "100200302"), answers, strict=True))
        report, _ = await reported(folder, [ListSource(name)], script, state)
        page = (report.folder / "report.html").read_text()
        assert set(re.findall(r'href="(\w+\.csv)"', page)) - {"results.csv"} == lists


async def test_a_rehearsal_that_sent_nothing_does_not_say_that_all_was_sent(
    tmp_path: Path,
) -> None:
    gone = Presentation(NextFlags(none_will_do=True))
    name = write_list(tmp_path, "list.csv", "order_id", "100200301")
    async with carried(tmp_path, [ListSource(name)], {"100200301": "503 failed"}) as (journal, run):
        text = text_of(await page_of(journal, run, gone))
    assert "0 of 1 orders sent" in text
    assert "every order was sent" not in text
    assert "1 not sent: after a real run" in text


async def test_what_was_not_sent_is_grouped_where_there_is_something_to_see(tmp_path: Path) -> None:
    lines = [
        f"{n},shop{n}.{'bank.co.uk' if n % 3 else f'small{n}.example'},a@b.example,"
        f"{'de' if n % 2 else ''}"
        for n in range(1, 31)
    ]
    name = write_list(tmp_path, "list.csv", "order_id,domain,email,locale", *lines)
    script = {str(n): "400" if n < 25 else "204" for n in range(1, 31)}
    async with carried(tmp_path, [ListSource(name)], script) as (journal, run):
        text = text_of(await page_of(journal, run))
    assert "By language Language Orders Sent none named 15 3 de 15 3" in text
    assert "bank.co.uk 16" in text
    assert "By call" not in text
    assert "By account" not in text


_ORDERS = range(100_200_310, 100_200_320)


def _csv_with_products(folder: Path) -> str:
    names = ("RapidSSL", "GeoTrust DV", "GeoTrust DV", "", "x" * 100)
    rows = (f"{n},{names[n % 5]}" for n in _ORDERS)
    return write_list(folder, "list.csv", "order_id,Product Name", *rows)


def _report_with_products(folder: Path) -> str:
    kinds = ("rapidssl,RapidSSL", "flex,GeoTrust DV", "flex,GeoTrust DV", ",", "other,")
    rows = (f"{n},ssl_dv_{kinds[n % 5]},dv_ssl_certificate" for n in _ORDERS)
    heading = "order_id,product_name_id,product_name,product_type"
    return write_list(folder, "report.csv", heading, *rows)


def _json_with_products(folder: Path) -> str:
    names = ("RapidSSL", "GeoTrust DV", "GeoTrust DV", "", "x" * 100)
    products = ({"name": name, "name_id": f"ssl_dv_{n % 5}"} for n, name in enumerate(names))
    kinds = list(products)
    orders = [{"id": n, "status": "pending", "product": kinds[n % 5]} for n in _ORDERS]
    (folder / "list.json").write_text(json.dumps({"orders": orders}))
    return str(folder / "list.json")


@pytest.mark.parametrize(
    ("make_list", "shown"),
    [
        (_csv_with_products, "GeoTrust DV 4 2 RapidSSL 2 1 {x}... 2 1 none named 2 1"),
        (
            _report_with_products,
            "GeoTrust DV 4 2 ssl_dv_ 2 1 ssl_dv_other 2 1 RapidSSL 2 1",
        ),
        (
            _json_with_products,
            "GeoTrust DV, ssl_dv_1 2 1 GeoTrust DV, ssl_dv_2 2 1 RapidSSL, ssl_dv_0 2 1 "
            "ssl_dv_3 2 1 {x}... 2 1",
        ),
    ],
    ids=["csv", "report", "json"],
)
async def test_orders_are_grouped_by_product_where_their_list_names_it(
    tmp_path: Path, make_list: Callable[[Path], str], shown: str
) -> None:
    script = {str(n): "400" if n < _ORDERS[5] else "204" for n in _ORDERS}
    source = ListSource(make_list(tmp_path), Reading(any_product=True, all_statuses=True))
    async with carried(tmp_path, [source], script) as (journal, run):
        text = text_of(await page_of(journal, run))
        await write_report(journal.reader, run, tmp_path / "report")
    table = Report(tmp_path / "report").records("results.csv")
    assert "RapidSSL" in table[0]["product"]
    assert "GeoTrust DV" in table[1]["product"]
    assert f"By product Product Orders Sent {shown.format(x='x' * 80)}" in text


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (None, None),
        ("https://console.example/orders/{order}", "https://console.example/orders/12"),
        ('https://console.example/?o={order}&x="', "https://console.example/?o=12&amp;x=&#34;"),
    ],
)
async def test_order_numbers_are_links_only_where_the_console_is_known(
    tmp_path: Path, url: str | None, link: str | None
) -> None:
    async with carried(tmp_path, two_lists(tmp_path), SCRIPT) as (journal, run):
        page = await page_of(journal, run, Presentation(order_url=url))
    listed = page[page.index('id="not-sent"') : page.index('id="rejected"')]
    assert re.findall(r'href="(\S*?)">12<', listed) == ([link] if link else [])


async def test_short_names_are_whole_and_long_ones_break_at_their_joints(tmp_path: Path) -> None:
    long = "a-very-long-name-of-an-export/" * 2
    (tmp_path / long).mkdir(parents=True)
    name = write_list(tmp_path / long, "orders-2026-11-28.csv", "order_id", "100200301")
    async with carried(tmp_path, [ListSource(name)], {"100200301": "404"}) as (journal, run):
        page = await page_of(journal, run)
    assert '<bdi><span class="whole">orders-2026-11-28.csv,</span> line 2</bdi>' in page
    assert "export/<wbr>orders-2026-11-28.csv</bdi>" in page, "among the lists"


async def test_a_page_names_its_settings_and_no_key(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        run = await plan(journal, [Row(2, "1", (), None, "[]")])
        settings = {"concurrency": 8, "timeout_s": 90.0, "trust_env": False, "ca_file": None}
        await journal.start(run, Terms(WINDOWS, settings))
        told = text_of(await page_of(journal, await journal.reader.run(run.id)))
    assert "limits 1000/3m and 100/5s" in told
    assert "concurrency 8" in told
    assert "timeout 1m 30s" in told
    assert "trust-env no" in told
    assert "ca-file" not in told


async def test_redacted_a_page_has_no_address_and_its_other_files_have_them(tmp_path: Path) -> None:
    name = write_list(
        tmp_path,
        "list.csv",
        "order_id,domain,email",
        "1,a.example,jane.doe@a.example",
        "none,a.example,john.roe@a.example",
    )
    async with carried(tmp_path, [ListSource(name)], {"1": "404"}) as (journal, run):
        await write_report(journal.reader, run, tmp_path / "report", Presentation(redact=True))
    page = (tmp_path / "report" / "report.html").read_text()
    assert "jane" not in page
    assert "john" not in page
    assert "***@a.example" in page
    assert "jane.doe@a.example" in (tmp_path / "report" / "results.csv").read_text()


async def test_nothing_that_a_ca_says_is_markup(tmp_path: Path) -> None:
    said = "</td><script>alert(1)</script>&amp;{{ 7 * 7 }}"
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        run = await refused(journal, Clock(), 1, said)
        page = await page_of(journal, run)
    assert page.count("<script>") == 1, "ours"
    assert said in text_of_row(page)


async def refused(journal: Journal, clock: Clock, count: int, said: str, entries: int = 1) -> Run:
    """Have so many orders refused, the CA saying something each time."""
    mails = tuple(Entry(f"d{k}.example", f"admin@d{k}.example") for k in range(entries))
    run = await plan(journal, [Row(n + 2, str(n), mails, None, "[]") for n in range(1, count + 1)])
    recorder = await journal.start(run, Terms(WINDOWS))
    verdict = Verdict(Ruling.REFUSED, 400, "bad_request_format", said)
    outcomes = []
    for planned in await pending(journal.reader, run):
        if planned.number == 1:
            await recorder.begin(Attempt(planned, 1, clock()))
            await recorder.end(Attempt(planned, 1, clock()), clock() + 1, verdict, None)
        outcomes.append(Outcome(planned, RequestStatus.REFUSED, 400, verdict.error_code, said))
    await asyncio.gather(*map(recorder.settle, outcomes))
    await journal.finish(run, RunState.COMPLETED)
    return await journal.reader.run(run.id)


async def test_a_hundred_thousand_orders_not_sent_fit_a_page_of_five_megabytes(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        run = await plan(journal, [Row(n, str(n), (), None, "[]") for n in range(1, 100_001)])
        await journal.start(run, Terms(WINDOWS))
        await journal.finish(run, RunState.STOPPED, "the CA refused the API key")
        page = await page_of(journal, await journal.reader.run(run.id))
    assert len(page.encode()) < MOST_BYTES
    assert f"The first {MOST_ORDERS:,} of 100,000 orders" in text_of(page)
    assert "results.csv in the same folder has all of them." in text_of(page)
    assert page.count(">not attempted</td>") == MOST_ORDERS


@pytest.mark.parametrize(
    ("orders", "heading", "is_open"),
    [
        (1, "The order", True),
        (2, "All 2 orders", True),
        (MOST_OPEN, f"All {MOST_OPEN} orders", True),
        (900, "All 900 orders", False),
    ],
)
async def test_a_long_list_is_folded_so_that_what_is_below_it_is_found(
    tmp_path: Path, orders: int, heading: str, *, is_open: bool
) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        run = await plan(journal, [Row(n, str(n), (), None, "[]") for n in range(1, orders + 1)])
        await journal.start(run, Terms(WINDOWS))
        await journal.finish(run, RunState.STOPPED, "the CA refused the API key")
        page = await page_of(journal, await journal.reader.run(run.id))
    listed = page[page.index('<h2 id="orders">') : page.index('id="not-sent"')]
    assert f"<details{' open' if is_open else ''}><summary>{heading}</summary>" in listed


async def test_the_longest_and_most_hostile_answers_fit_it_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", Clock()) as journal:
        run = await refused(journal, Clock(), 6_000, '"' * 500, entries=2 * MOST_ENTRIES)
        page = await page_of(journal, run)
    assert len(page.encode()) < MOST_BYTES
    listed = re.search(r"The first ([\d,]+) of 6,000", text_of(page))
    assert listed is not None
    assert int(listed[1].replace(",", "")) > 300
    assert f"and {MOST_ENTRIES} more" in text_of(page)


async def test_what_turns_the_direction_of_writing_is_spelled_out() -> None:
    assert visible("a\u202eb\u200bc\nd\x1b[31m é 漢 \U0001f600") == (
        "a\\u202eb\\u200bc\\nd\\x1b[31m é 漢 \U0001f600"
    )
