"""Earlier runs: `runs`, `show`, `report`, `history` and `prune`, for people and programs."""

import csv
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from batch_resend.report.files import OF_SWEEPS
from batch_resend.simulator import Simulator, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary
from tests.cli.screen import on_screen
from tests.cli.test_sweep import wait
from tests.report.carried import FILES
from tests.report.schemas import output_of


@pytest_asyncio.fixture
async def twice(tmp_path: Path) -> AsyncIterator[tuple[Desk, list[dict[str, Any]]]]:
    """Return a desk at which a list was sent twice, and the summaries of both runs."""
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"2"})) as (desk, _):
        desk.write("orders.csv", "order_id,domain,email\n1,a.example,admin@a.example\n2,,\n")
        for name in ("first", "second"):
            sent = await desk.run("send", "orders.csv", "--all-domains", "--report-dir", name)
            assert sent.code == 3
    yield desk, [read_summary(tmp_path / name) for name in ("first", "second")]


async def as_json(desk: Desk, *words: str) -> Any:
    return json.loads((await desk.run(*words, "--json")).out)


async def as_csv(desk: Desk, *words: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO((await desk.run(*words, "--format", "csv")).out)))


Twice = tuple[Desk, list[dict[str, Any]]]


async def test_runs_are_listed_the_newest_first_in_every_format_alike(twice: Twice) -> None:
    desk, (first, second) = twice
    found = await as_json(desk, "runs")
    assert [run["run"] for run in found] == [second["run_id"], first["run_id"]]
    for run, summary in zip(found, (second, first), strict=True):
        for name in ("total", "sent", "refused", "skipped"):
            assert run[name] == summary["orders"][name]
        assert run["attempts"] == summary["requests"]["attempts"]
        assert run["inputs"] == ["orders.csv"]
    lines = await as_csv(desk, "runs")
    assert [line["run"] for line in lines] == [run["run"] for run in found]
    assert [line["sent"] for line in lines] == ["0", "1"]
    table = (await desk.run("runs")).out.splitlines()
    assert table[0].split() == ["run", "state", "started", "took", "sent", "not", "sent", "lists"]
    assert table[1].startswith(second["run_id"])
    assert "1 refused, 1 skipped" in table[1]


async def test_a_run_shown_as_json_is_its_summary_and_as_csv_its_facts(twice: Twice) -> None:
    desk, (first, _) = twice
    assert await as_json(desk, "show", first["run_id"]) == first
    facts = {line["fact"]: line["value"] for line in await as_csv(desk, "show", first["run_id"])}
    assert facts["run"] == first["run_id"]
    assert facts["orders, refused"] == "1"
    assert facts["limits"] == "none"
    shown = (await desk.run("show", first["run_id"])).out
    assert shown.startswith(f"Run {first['run_id']}: ")
    assert re.search(r"^  orders +1 sent · 1 refused · ", shown, re.M)
    assert re.search(r"^  list +orders.csv: 2 rows$", shown, re.M)


async def test_a_report_is_written_again_from_the_journal_alone(twice: Twice) -> None:
    desk, (first, _) = twice
    written = await desk.run("report", first["run_id"], "--report-dir", "once more")
    assert written.code == 0
    for name in FILES - {"report.html", "report.zip"}:  # which name their folder
        again, before = (desk.folder / folder / name for folder in ("once more", "first"))
        assert again.read_text() == before.read_text()
    assert (desk.folder / "once more" / "report.html").is_file()


async def test_the_history_of_an_order_has_every_attempt_and_why_there_was_none(
    twice: Twice,
) -> None:
    desk, (first, second) = twice
    sent, skipped = await as_json(desk, "history", "1")
    assert (sent["run"], sent["attempt"], sent["answer"]) == (first["run_id"], 1, "accepted")
    assert (sent["http_status"], sent["outcome"]) == (204, "sent")
    assert sent["entries"] == ["a.example: admin@a.example"]
    assert sent["took_s"] > 0
    assert (skipped["run"], skipped["attempt"]) == (second["run_id"], None)
    assert (skipped["outcome"], skipped["answer"]) == ("skipped", None)
    assert f"by run {first['run_id']}" in skipped["error_message"]
    lines = await as_csv(desk, "history", "2")
    assert [line["error_code"] for line in lines] == ["not_found|order"] * 2
    table = (await desk.run("history", "2")).out.splitlines()
    assert len(table) == 3
    assert "refused 404 not_found|order" in table[1]
    assert "every pending domain" in table[1]


async def test_a_history_has_an_outcome_at_the_last_attempt_and_a_line_for_all_duplicates(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, _):
        row = "100200301,d.example,admin@d.example\n"
        desk.write("orders.csv", f"order_id,domain,email\n{row * 9}100200301,e.example,bad\n")
        await desk.run("send", "orders.csv", "--max-rejected", "1", "--max-attempts", "2")
        of_json = await as_json(desk, "history", "100200301")
        attempts = [one for one in of_json if one["attempt"]]
        lines = (await desk.run("history", "100200301")).out.splitlines()
        assert ["  failed  " in line for line in lines[1:3]] == [False, True], lines
        rest = [line for line in lines if "orders.csv" in line]
        assert (len(lines), len(attempts)) == (5, 2)
        assert "orders.csv, lines 3, 4, 5, 6, 7 and 3 more: adds nothing to the" in rest[0]
        assert "orders.csv, line 11: the e-mail address 'bad' has no @" in rest[1]


async def test_how_long_an_attempt_took_is_not_told_where_its_process_died(twice: Twice) -> None:
    desk, _ = twice
    with closing(sqlite3.connect(desk.folder / "journal.db")) as journal:
        journal.execute("UPDATE runs SET state = 'running', finished_at = NULL")
        journal.execute("UPDATE attempts SET ended_at = NULL, ruling = NULL")
        journal.commit()
    assert (await desk.run("prune")).code == 0
    cut_off, *_ = await as_json(desk, "history", "1")
    assert (cut_off["answer"], cut_off["took_s"]) == ("in_doubt", None)


async def test_an_order_is_found_as_a_list_would_write_it_and_none_is_said_to_be_none(
    twice: Twice,
) -> None:
    desk, _ = twice
    assert len(await as_json(desk, "history", " 1 ")) == 2
    nothing = await desk.run("history", "12")
    assert (nothing.code, nothing.out) == (0, "The journal knows nothing of 12.\n")
    assert await as_json(desk, "history", "12") == []
    refused = await desk.run("history", "1.2E+08")
    assert refused.code == 2
    assert "ORDER_ID: " in refused.err


async def test_the_history_says_whom_of_a_domain_and_what_of_a_list_was_not_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write(
            "orders.csv",
            "order_id,domain,email\n"
            "100200301,shop.kunde.example,postmaster@kunde.example\n"
            "100200301,www.other.example,admin@other.example\n"
            "100200302,kunde.example,nobody\n",
        )
        assert (await desk.run("send", "orders.csv")).code == 3
        run = desk.summary()["run_id"]
        for sought in ("kunde.example", "Postmaster@kunde.example"):
            head, mailed, *rejected = (await desk.run("history", sought)).out.splitlines()
            assert head.split()[0] == "order"
            assert mailed.startswith(f"100200301  {run}")
            assert mailed.endswith("shop.kunde.example: postmaster@kunde.example, and 1 other")
            assert len(rejected) == (sought == "kunde.example")
        (row,) = (await desk.run("history", "100200302")).out.splitlines()[1:]
        assert row.startswith(run)
        assert "orders.csv, line 4: the e-mail address 'nobody' has no @" in row
        assert "rejected" in row
        (line,) = await as_csv(desk, "history", "100200302")
        assert (line["outcome"], line["input"], line["line"]) == ("rejected", "orders.csv", "4")
        assert "ORDER_ID|DOMAIN|E-MAIL" in (await desk.run("history", "@")).err


async def test_a_domain_finds_an_order_that_was_sent_by_its_number_where_a_list_named_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 3, first=100_200_301)
        (desk.folder / "two.csv").write_text("order_id\n100200901\n100200902\n")
        for words in (("sweep",), ("send", "two.csv", "--report-dir", "by number")):
            assert (await desk.run(*words)).code == 0
        (order, *_) = ca.books.mails_per_order
        (name, *_) = ca.world.orders[int(order)].domains
        (mailed,) = await as_json(desk, "history", name)
        assert (mailed["order_id"], mailed["entries"]) == (order, [])
        head, found, beside = (await desk.run("history", name)).out.splitlines()
        assert head.split()[0] == "order"
        assert found.startswith(order)
        assert "every pending domain" in found
        unknown, same = (await desk.run("history", "unknown.example")).out.splitlines()
        assert unknown == "The journal knows nothing of unknown.example."
        assert same == beside
        assert beside == (
            f"{len(ca.books.mails_per_order)} orders were sent without addresses: only the CA "
            "knows whom it mailed. To find such an order for sure, search for its number: "
            "batch-resend history ORDER_ID"
        )
        assert "without addresses" not in (await desk.run("history", "100200901")).out


async def test_only_what_was_sent_without_addresses_counts_as_not_found_by_a_name(
    tmp_path: Path,
) -> None:
    """Not what was skipped, held back or refused, nor what names its domain."""
    gone = ("100200904",)
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(gone)) as (desk, ca):
        (desk.folder / "some.csv").write_text(
            "order_id,product\n100200904,ssl_dv_rapidssl\n100200901,ssl_dv_rapidssl\n"
            "100200902,ssl_dv_rapidssl\n100200903,ssl_dv_rapidssl\n100200905,ssl_basic\n"
        )
        (desk.folder / "domains.csv").write_text("domain_id,domain\n,named.example\n80,\n")
        assert (await desk.run("send", "some.csv", "--max-orders", "3")).code == 4
        by_domain = ("send", "--call", "domain-dcv", "domains.csv", "--report-dir", "domains")
        assert (await desk.run(*by_domain)).code == 0
        assert ca.books.mails_per_order.keys() == {"100200901", "100200902", "named.example", "80"}
        found = (await desk.run("history", "example.com")).out
        assert "3 orders were sent without addresses" in found, "two, and a domain by its number"


async def test_the_history_marks_rehearsals(twice: Twice) -> None:
    desk, (first, _) = twice
    assert f"{first['run_id']} (rehearsal)  " in (await desk.run("history", "1")).out
    assert [one["is_rehearsal"] for one in await as_json(desk, "history", "1")] == [True, True]
    assert {one["is_rehearsal"] for one in await as_csv(desk, "history", "2")} == {"True"}


async def test_on_a_terminal_a_table_keeps_within_its_width(twice: Twice) -> None:
    desk, (first, _) = twice
    for words in (("runs",), ("show", first["run_id"]), ("history", "1")):
        async with on_screen(desk, *words, columns=80) as screen:
            assert await screen.ended() == 0
        told = screen.text.replace("\n", "").replace(" ", "")
        assert first["run_id"] in told
        assert ("─" in told) == (words[0] != "history"), "what is too wide is told in lines"


async def test_runs_tell_how_large_the_journal_is_and_prune_forgets_no_young_ones(
    twice: Twice,
) -> None:
    desk, (first, _) = twice
    listed = await desk.run("runs")
    assert "journal.db: 0." in listed.err
    assert listed.err.endswith(" MB\n")
    refused = await desk.run("prune", "--older-than", "1d")
    assert refused.code == 2
    assert "at least 2d" in refused.err
    pruned = await desk.run("prune")
    assert pruned.code == 0
    assert pruned.out.startswith("0 runs with 0 rows forgotten.")
    assert first["run_id"] in (await desk.run("runs")).out


async def test_prune_forgets_an_old_run_and_not_whom_it_mailed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(2)
        assert (await desk.run("send", "orders.csv")).code == 0
        for number in ca.books.mails_per_order:
            ca.world.add(WorldOrder(int(number), created_at=0.0))
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
            journal.execute("UPDATE runs SET finished_at = finished_at - 100 * 86400.0")
            journal.commit()
        pruned = await desk.run("prune")
        assert pruned.out.startswith("1 run with "), pruned.err
        assert (await desk.run("runs")).out.startswith("No runs yet in")
        number = min(ca.books.mails_per_order)
        past = await desk.run("history", number)
        assert re.fullmatch(
            r"1 mail in rehearsals, the last on [\d-]{10} \(UTC\); "
            r"all of the mails by runs that `prune` forgot\n",
            past.out,
        )
        by_name = await desk.run("history", f"o{number}.example.com")
        assert "Older runs were forgotten by `prune`: their domains and addresses" in by_name.out
        again = ("send", "orders.csv", "--cooldown", "0s", "--report-dir", "again")
        assert (await desk.run(*again)).code == 0
        past = await desk.run("history", number)
        assert "\n2 mails in rehearsals, the last on " in past.out
        assert past.out.endswith("; 1 of the mails by runs that `prune` forgot\n")
        kept, sent = await as_json(desk, "history", number)
        assert (kept["run"], kept["outcome"], kept["mails"]) == (None, None, 1)
        assert kept["last_mail_at"] < sent["last_mail_at"]
        output_of("history").validate([kept, sent])
        assert [line["mails"] for line in await as_csv(desk, "history", number)] == ["1", "1"]
        swept = await desk.run("sweep", "--cooldown", "0s", "--max-mails-per-order", "1")
        assert "2 stuck: at the limit of 1 mail (--max-mails-per-order)" in swept.out
        assert ca.books.mails == 4


async def test_prune_without_a_journal_makes_none(desk: Desk) -> None:
    pruned = await desk.run("prune")
    assert (pruned.code, "there is no journal here yet" in pruned.out) == (0, True)
    assert list(desk.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "told"), [((), "No runs yet in JOURNAL.\n"), (("--json",), "[]\n")]
)
async def test_without_a_journal_there_are_no_runs(
    desk: Desk, form: tuple[str, ...], told: str
) -> None:
    listed = await desk.run("runs", *form)
    journal = desk.environment["BATCH_RESEND_JOURNAL"]
    assert (listed.code, listed.out) == (0, told.replace("JOURNAL", journal))


LISTS_BESIDE = "unsent.csv of the same folder has what is left to send"
CHECKED = {  # what `check` says of each file, by its name
    "sent/unsent.csv": "1 for 1 order (one per order and language), 1 to send",
    "sent/refused.csv": "1 for 1 order (one per order and language), 1 to send",
    "sent/rejected.csv": "1 row: not corrected yet, in a rejected.csv",
    "sent/results.csv": LISTS_BESIDE,
    "sent/results.jsonl": LISTS_BESIDE,
    "sent/summary.json": LISTS_BESIDE,
    "sent/report.html": LISTS_BESIDE,
    "sent/report.zip": "unpack it first",
    "night/stuck.csv": "2 for 2 orders (one per order and language), 2 to send",
    "cut.csv": "2 for 2 orders (one per order and language), 2 to send",
    "night/results.csv": LISTS_BESIDE,
    "history.csv": "batch-resend resume RUN sends what a run has left",
    "history.json": "batch-resend resume RUN sends what a run has left",
    "runs.csv": "batch-resend resume RUN sends what a run has left",
    "runs.json": "batch-resend resume RUN sends what a run has left",
    "export.csv": "2 for 2 orders (one per order and language), 2 to send",
    "export.jsonl": "2 for 2 orders (one per order and language), 2 to send",
    "requests.jsonl": "2 for 2 orders (one per order and language), 2 to send",
}
NO_LISTS = {name for name, said in CHECKED.items() if "resume RUN" in said or said == LISTS_BESIDE}


async def test_check_reads_each_own_list_and_says_of_each_other_file_what_it_is(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700012"})) as (desk, ca):
        await written(desk, ca)
        files = {f"sent/{name}" for name in FILES} | {f"night/{OF_SWEEPS}"}
        assert files <= set(CHECKED)
        for name, said in CHECKED.items():
            checked = await desk.run("check", name)
            text = " ".join((checked.out + checked.err).split())
            assert said in text, name
            if name in NO_LISTS:
                assert checked.code == 1, name
                assert re.search(rf"{name} is .+, not a list: ", text), name
            assert "--ignore" not in text, name
        asked = " ".join((await desk.run("check", "--mx", f"night/{OF_SWEEPS}")).out.split())
        assert "dns no request has an address to ask about" in asked
        for name in ("sent/results.csv", "history.json", f"night/{OF_SWEEPS}"):
            swept = await desk.run("sweep", "--dry-run", "--exclude", name)
            assert swept.code == 0, "of a list to exclude, only the order numbers count"


async def written(desk: Desk, ca: Simulator) -> None:
    """Write one of each file that has orders or runs in it."""
    rows = [(700011, "a.example"), (700012, "b.example"), (700013, "c..example"), (700014, "d.ex")]
    lines = "".join(f"{order},{domain},admin@{domain}\n" for order, domain in rows)
    desk.write("orders.csv", f"order_id,domain,email\n{lines}")
    few = ("--max-orders", "2", "--max-rejected", "100%")
    await desk.run("send", "orders.csv", "--report-dir", "sent", *few)
    wait(ca, 9, 8, first=700021)
    limit = ("sweep", "--max-mails-per-order", "1", "--cooldown", "0s")
    for place in ("before", "night"):
        await desk.run(*limit, "--report-dir", place)
    with (desk.folder / "night" / OF_SWEEPS).open() as file:
        stuck = list(csv.reader(file))
    desk.write("cut.csv", "".join(f"{','.join(row[:5])}\n" for row in stuck))
    for name, words in {
        "history.csv": ("history", "700011", "--format", "csv"),
        "history.json": ("history", "700011", "--json"),
        "runs.csv": ("runs", "--format", "csv"),
        "runs.json": ("runs", "--json"),
        "export.csv": ("export",),
        "export.jsonl": ("export", "--format", "jsonl"),
    }.items():
        desk.write(name, (await desk.run(*words)).out)
    await desk.run("check", "export.csv", "--out", "requests.jsonl")
