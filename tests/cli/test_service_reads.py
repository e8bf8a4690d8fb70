"""What is read of the service, as recordings and its pages have it, byte for byte."""

import csv
import json
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName
from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import A_NO, FailsOnce, desk_of, ended, until
from tests.cli.raw_service import (
    ALL,
    NO_REPORT,
    SOME,
    Asked,
    RawService,
    as_json,
    desk_at,
    error,
    http,
    lists,
    pending,
    validation,
    waiting,
    with_answer,
)
from tests.cli.screen import on_screen

# --- lists of orders ------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [as_json({}), NO_CONTENT], ids=["{}", "204"])
async def test_an_empty_list_is_a_quiet_night(tmp_path: Path, answer: bytes) -> None:
    async with desk_at(tmp_path, lambda _: answer) as (desk, _):
        quiet = await desk.run("sweep", "-q")
        assert (quiet.code, quiet.err) == (0, "")
        assert quiet.out.startswith("Nothing to send: 0 orders wait\nReport: ")
        exported = await desk.run("export", "--out", "pending.csv")
        assert (exported.code, exported.err) == (0, "0 orders wait.\n")


async def test_what_is_no_list_is_no_quiet_night(tmp_path: Path) -> None:
    async with desk_at(tmp_path, lambda _: as_json({"status": "ok"})) as (desk, _):
        failed = await desk.run("sweep")
        assert failed.code == 1
        assert "the CA's list of orders cannot be read" in failed.err


async def test_an_odd_item_of_a_list_is_named_and_spoils_no_other(tmp_path: Path) -> None:
    odd = [pending(1, date_created=""), pending(7) | {"id": "A-7"}, None]
    async with desk_at(tmp_path, lists(*odd)) as (desk, service):
        swept = await desk.run("sweep", "--log-file", "sweep.log")
        assert swept.code == 0, swept.err
        assert service.mailed() == ["1"]
        assert 'item without an order number: "A-7"' in (tmp_path / "sweep.log").read_text()
        exported = await desk.run("export")
        for told in (swept, exported):
            assert "2 more in the CA's list without an order number" in told.err


async def test_a_list_that_says_it_is_longer_than_it_is_ends_all_the_same(tmp_path: Path) -> None:
    orders = [pending(n) for n in range(1, 4)]
    longer = {"orders": orders, "page": {"total": 9, "limit": 1000, "offset": 0}}
    answer_to = with_answer("=pending&", as_json(longer), lists())
    async with desk_at(tmp_path, answer_to) as (desk, _):
        exported = await desk.run("export")
        assert exported.code == 0, exported.err
        assert exported.err.endswith("3 orders wait.\n")
        assert "the CA says that it has 9 orders, and shows 3" in exported.err


# --- asking less ----------------------------------------------------------------------------------


async def test_how_many_orders_are_validated_is_read_from_one_report(tmp_path: Path) -> None:
    table = ["order_id,status,dcv_method,common_name,dns_names"]
    for n in range(1, 41):
        way = "email" if n <= 30 else "dns-txt-token"
        table.append(f'{n},pending,{way},a.example,"a.example,b"')
    report = http(200, "\r\n".join(table).encode(), "text/csv")
    async with desk_at(tmp_path, with_answer("/report/order", report, waiting(40))) as (
        desk,
        service,
    ):
        swept = await desk.run("sweep")
        assert swept.code == 0, swept.err
        assert len(service.paths("GET")) == 3, "two lists and the report"
        assert set(service.mailed()) == {str(n) for n in range(1, 31)}


@pytest.mark.parametrize(("answer", "times"), NO_REPORT.values(), ids=NO_REPORT)
async def test_without_a_report_each_order_is_asked_about_and_nothing_else_suffers(
    tmp_path: Path, answer: bytes, times: int
) -> None:
    answer_to = with_answer("/report/order", answer, waiting(30))
    async with desk_at(tmp_path, answer_to) as (desk, service):
        swept = await desk.run("sweep", "--max-attempts", "1")
        assert swept.code == 0, swept.err
        assert len(service.mailed()) == 30
        assert service.paths("GET").count("/report/order") == times
        others = 2 + 1 + 30  # lists, validation, each order
        assert len(service.paths("GET")) == times + others
        assert desk.summary()["back_pressure"]["pauses"] == 0


async def test_unknown_orders_are_asked_about_beside_each_other(tmp_path: Path) -> None:
    gone = error(404, "not_found|order")
    async with desk_at(tmp_path, lambda _: gone, 15, lambda _: 0.2) as (desk, service):
        assert (await desk.run("send", "orders.csv", "--preflight")).code == 3
        reads = [at for at, a in zip(service.arrivals, service.asked, strict=True)
                 if a.method == "GET"]  # fmt: skip
        together = sum(later - earlier < 0.1 for earlier, later in pairwise(reads))
        assert together >= len(reads) // 2


@pytest.mark.parametrize(
    "answer",
    [as_json([]), as_json(pending(999)), error(500, "server_error"),
     http(200, b"<title>Orders</title>", "text/html"), error(404, "not_found|order")],
    ids=["no object", "another order", "an error to the end", "a page", "no such order"],
)  # fmt: skip
async def test_one_order_of_which_nothing_can_be_read_keeps_no_other_from_its_mail(
    tmp_path: Path, answer: bytes
) -> None:
    answer_to = with_answer("/order/certificate/7", answer, waiting(15))
    async with desk_at(tmp_path, answer_to) as (desk, service):
        swept = await desk.run("sweep", "--max-attempts", "2")
        assert swept.code == 0, swept.err
        assert len(set(service.mailed()) - {"7"}) == 14


# --- one answer in place of many, and what may keep it from coming --------------------------------


# A part of the read's path, the command, what it reads where that fails once, and where the CA says
# no to it; and what is then said of the way that was used.
OtherWay = tuple[str, tuple[str, ...], dict[str, int], dict[str, int], str | None]
OTHER_WAYS: dict[str, OtherWay] = {
    "order report": (
        "/report/order", ("sweep", "--older-than", "0s", "--dry-run"),
        {"list": 2, "report": 2}, {"list": 2, "report": 1, "validation": 25},
        "how orders are validated: 0 from the order report, 25 asked one by one, because ",
    ),
    "products": (
        "=pending&", ("send", "orders.csv", "--preflight"),
        {"list": 3, "validation": 25}, {"list": 1, "validation": 25, "order": 25},
        "of which product orders are: 0 from the CA's list, the others asked one by one, because ",
    ),
    "names": (
        "/validation", ("export", "--details", "--out", "pending.csv"),
        {"list": 2, "validation": 26}, {"list": 2, "validation": 1, "order": 25},
        "which names of orders are approved is not known, because ",
    ),
    "addresses": (
        "/dcv/emails", ("send", "domains.csv", "--preflight", "--call", "domain-dcv"),
        {"domain-emails": 2}, {"domain-emails": 1}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [FaultName.RESET, FaultName.SERVER_ERROR, FaultName.BAD_GATEWAY, FaultName.MAINTENANCE_PAGE,
     FaultName.CDN_WAIT, FaultName.NO_PERMISSION],
)  # fmt: skip
@pytest.mark.parametrize("way", OTHER_WAYS.values(), ids=OTHER_WAYS)
async def test_any_read_for_which_there_is_another_way_is_made_again_unless_the_ca_says_no(
    tmp_path: Path, fault: FaultName, way: OtherWay
) -> None:
    part, command, again, otherwise, said = way
    async with FailsOnce(part, fault) as ca:
        desk = desk_of(tmp_path, ca)
        done = await desk.run(*command)
        assert ca.books.reads_of == (otherwise if fault in A_NO else again)
        if said is not None:
            assert done.code == 0, done.err
            assert (f"[warning  ] {said}the CA refuses " in done.err) is (fault in A_NO)


# --- cut off while asking -------------------------------------------------------------------------

READINGS: dict[str, tuple[str, ...]] = {
    "sweep": ("sweep",),
    "export": ("export", "--details", "--out", "pending.csv"),
    "preflight": ("send", "orders.csv", "--preflight", "--all-domains"),
    "preflight of domains": ("send", "domains.csv", "--preflight", "--call", "domain-dcv"),
}
NUMBERS = [str(n) for n in range(1, 101)]
LISTS = {
    "orders.csv": "order_id\n" + "".join(f"{n}\n" for n in NUMBERS),
    "domains.csv": "domain_id,email\n" + "".join(f"{n},admin@example.com\n" for n in NUMBERS),
}


def hundred(asked: Asked) -> bytes:
    """Answer as a service of a hundred orders and domains that wait."""
    if asked.path.startswith("/domain/") and asked.method == "GET":
        return as_json({"base_emails": ["admin@example.com"], "whois_emails": []})
    return validation(*SOME) if asked.path.endswith("/validation") else waiting(100)(asked)


def one_by_one(service: RawService) -> set[str]:
    """Return what was asked about one order, or one domain, each."""
    return {path for path in service.paths("GET") if re.search("/[0-9]+(/validation|/dcv|$)", path)}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", READINGS.values(), ids=READINGS)
async def test_what_was_asked_before_a_reading_was_cut_off_is_not_asked_again_but_by_the_next(
    tmp_path: Path, command: tuple[str, ...], end: signal.Signals
) -> None:
    async with desk_at(tmp_path, hundred, latency_s=lambda _: 0.02) as (desk, service):
        for name, text in LISTS.items():
            desk.write(name, text)
        reading = await desk.start(*command)
        await until(lambda: service.requests >= 80)
        reading.send_signal(end)
        await ended(reading)
        asked = one_by_one(service)
        service.asked.clear()
        whole = await desk.run(*command)
        assert whole.code == 0, whole.err
        again = one_by_one(service)
        assert len(asked | again) == 100
        assert len(asked & again) <= 32, "those in flight"
        if command[0] == "export":
            with (tmp_path / "pending.csv").open() as file:
                rows = [(r["order_id"], r["domains"]) for r in csv.DictReader(file)]
            assert rows == [(n, "b.example; d.example") for n in NUMBERS]
        else:
            assert sorted(service.paths("PUT")) == sorted(set(service.paths("PUT")))
            assert len(service.paths("PUT")) == 100
        if command[0] != "sweep":  # whose orders have just been mailed
            service.asked.clear()
            flags = {"send": ["--again"], "export": ["--overwrite"]}.get(command[0], [])
            assert (await desk.run(*command, *flags)).code == 0
            assert len(one_by_one(service)) == 100, "one that was whole answers for no other"


async def test_what_an_export_has_read_before_ctrl_c_is_kept_as_a_part(tmp_path: Path) -> None:
    async with desk_at(tmp_path, waiting(90), latency_s=lambda _: 0.5) as (desk, service):
        cut_off = await desk.start("export", "--details", "--out", "pending.csv")
        await until(lambda: service.requests >= 44)
        cut_off.send_signal(signal.SIGINT)
        stopped = await ended(cut_off)
        assert stopped.code == 130
        assert not (tmp_path / "pending.csv").exists()
        heading, *lines = (tmp_path / "pending.csv.partial").read_text().splitlines()
        assert heading.startswith("order_id,")
        assert 0 < len(lines) <= 90
        assert [line.split(",")[0] for line in lines] == NUMBERS[: len(lines)]
        assert f"the first {len(lines)} orders are in pending.csv.partial" in stopped.err


async def test_a_person_sees_how_far_and_how_fast_the_asking_is(tmp_path: Path) -> None:
    async with (
        desk_at(tmp_path, waiting(60), latency_s=lambda _: 0.15) as (desk, _),
        on_screen(desk, "sweep", "--concurrency", "2", "--yes") as screen,
    ):
        lines = await screen.shows(
            lambda s: (
                any("asking" in line and "for 60 orders" in line for line in s.lines)
                and " left" in s.text
            )
        )
        text = "\n".join(lines)
        assert "/s now" in text
        assert "allowed: no limit" in text
        assert " sent ·" not in text, "nothing is sent yet"
        assert await screen.ended() == 0


# --- which names wait -----------------------------------------------------------------------------


async def test_export_writes_the_names_that_wait_and_their_domains(tmp_path: Path) -> None:
    ov = {"name_id": "ssl_basic", "name": "Basic OV", "type": "ssl_certificate"}
    listed = lists(pending(1), pending(2, product=ov, product_name_id="ssl_basic"), pending(3))
    answer_to = with_answer("/3/validation", validation(*ALL), with_answer(
        "/validation", validation(*SOME), listed))  # fmt: skip
    async with desk_at(tmp_path, answer_to) as (desk, service):
        exported = await desk.run("export", "--details", "--out", "pending.csv")
        assert exported.code == 0, exported.err
        assert "1 order more with all names approved" in exported.err
        with (tmp_path / "pending.csv").open() as file:
            rows = [(r["order_id"], r["domains"], r["domain_id"]) for r in csv.DictReader(file)]
        assert rows == [
            ("1", "b.example; d.example", ""),
            ("2", "b.example", "18"),
            ("2", "d.example", "20"),
        ]
        sent = await desk.run("send", "pending.csv", "--auto-call", "--all-domains")
        assert sent.code == 0, sent.err
        mailed = sorted(service.paths("PUT"))
        assert mailed == [
            "/domain/18/dcv/emails", "/domain/20/dcv/emails", "/order/certificate/1/resend-emails",
        ]  # fmt: skip
        service.asked.clear()
        as_json_lines = ("--details", "--format", "jsonl", "--out", "pending.jsonl")
        assert (await desk.run("export", *as_json_lines)).code == 0
        flags = ("--auto-call", "--all-domains", "--again")
        assert (await desk.run("send", "pending.jsonl", *flags)).code == 0
        assert sorted(service.paths("PUT")) == mailed


async def test_export_counts_orders_that_it_could_not_ask_about_and_keeps_them(
    tmp_path: Path,
) -> None:
    listed = lists(pending(1), pending(2))
    of_first = with_answer("/1/validation", validation(*SOME), listed)
    answer_to = with_answer("/certificate/2", error(404, "not_found|order"), of_first)
    async with desk_at(tmp_path, answer_to) as (desk, _):
        exported = await desk.run("export", "--details", "--out", "pending.csv")
        assert exported.code == 0, exported.err
        assert "1 of them could not be asked about: listed with all names, approved" in exported.err
        with (tmp_path / "pending.csv").open() as file:
            assert [row["order_id"] for row in csv.DictReader(file)] == ["1", "2"]
        counted = await desk.run("export", "--details", "--json", "--out", "other.csv")
        assert json.loads(counted.out)["unread"] == 1


APPROVED, WAITS = ({"name_scope": "a.example", "status": s} for s in ("approved", "unapproved"))


@pytest.mark.parametrize(
    ("items", "is_mailed"),
    [
        pytest.param([APPROVED], False, id="all are"),
        pytest.param([APPROVED, WAITS], True, id="all that is said of one does not say so"),
        pytest.param([APPROVED, None, "x"], True, id="an item that is none"),
        pytest.param([APPROVED, {"status": "new"}], True, id="an item without a name"),
        pytest.param([{"name_scope": "a.example"}], True, id="no status"),
        pytest.param([], True, id="no items"),
    ],
)
async def test_only_names_that_are_all_plainly_approved_keep_an_order_from_its_mail(
    tmp_path: Path, items: list[object], *, is_mailed: bool
) -> None:
    said = {"order_status": "pending", "order_dcv_method": "email", "dns_name_validations": items}
    answer_to = with_answer("/validation", as_json(said), lists(pending(1)))
    async with desk_at(tmp_path, answer_to) as (desk, service):
        assert (await desk.run("sweep")).code == 0
        assert service.mailed() == ["1"] * is_mailed


async def test_an_empty_validation_status_leaves_it_to_the_order_itself(tmp_path: Path) -> None:
    by_dns = as_json(pending(2, dcv_method="dns-txt-token"))
    answer_to = with_answer("/validation", as_json({}), with_answer(
        "/order/certificate/2", by_dns, waiting(3)))  # fmt: skip
    async with desk_at(tmp_path, answer_to) as (desk, service):
        assert (await desk.run("sweep")).code == 0
        assert set(service.mailed()) == {"1", "3"}
