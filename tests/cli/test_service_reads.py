"""What is read of the service, as recordings and its pages have it, byte for byte."""

import csv
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import Desk, ended, results, until
from tests.cli.raw_service import (
    BLOCK_PAGE,
    NO_SUCH_CALL,
    AnswerTo,
    Asked,
    RawService,
    accept_all,
    as_json,
    desk_at,
    error,
    http,
    order_of,
)
from tests.cli.screen import on_screen

# --- lists of orders ------------------------------------------------------------------------------

EMPTY: dict[str, bytes] = {
    "{}": as_json({}),
    "204": NO_CONTENT,
    "no orders": as_json({"orders": [], "page": {"total": 0, "limit": 1000, "offset": 0}}),
    "a page alone": as_json({"page": {"total": 0, "limit": 1000, "offset": 0}}),
}


@pytest.mark.parametrize("answer", EMPTY.values(), ids=EMPTY)
async def test_an_empty_list_is_a_quiet_night(tmp_path: Path, answer: bytes) -> None:
    async with RawService(lambda _: answer) as service:
        desk = desk_at(tmp_path, service)
        quiet = await desk.run("sweep", "-q")
        assert (quiet.code, quiet.err) == (0, "")
        assert quiet.out == "Nothing to send: 0 orders wait\n"
        exported = await desk.run("export", "--out", "pending.csv")
        assert (exported.code, exported.err) == (0, "0 orders wait.\n")


async def test_what_is_no_list_is_no_quiet_night(tmp_path: Path) -> None:
    async with RawService(lambda _: as_json({"status": "ok"})) as service:
        failed = await desk_at(tmp_path, service).run("sweep")
        assert failed.code == 1
        assert "the CA's list of orders cannot be read" in failed.err


def pending(number: int, **more: Any) -> dict[str, Any]:
    """Return an order as a list was recorded to have it, with some fields otherwise."""
    return {
        "id": number,
        "certificate": {
            "id": number + 1,
            "common_name": f"shop{number}.example.com",
            "dns_names": [f"shop{number}.example.com"],
            "signature_hash": "sha256",
            "cert_validity": {"years": 1},
        },
        "status": "pending",
        "is_renewed": False,
        "date_created": "2026-06-08T14:59:13+00:00",
        "organization": [],
        "container": {"id": 7, "name": "Main", "is_active": True},
        "product": {
            "name_id": "ssl_dv_geotrust_flex",
            "name": "GeoTrust DV SSL",
            "type": "dv_ssl_certificate",
        },
        "product_name_id": "ssl_dv_geotrust_flex",
        "price": 149,
        "order_validity": {"years": 1},
        "number_of_sans": 1,
        "is_multi_year_plan": "1",
    } | more


def lists(*orders: object) -> AnswerTo:
    """Return a service that has these orders waiting, validated by e-mail, and Order info alone."""

    def answer_to(asked: Asked) -> bytes:
        if asked.method == "PUT":
            return NO_CONTENT
        if "?" in asked.path:
            is_first = "=pending&" in asked.path
            return as_json({"orders": orders}) if is_first else as_json({})
        info = re.fullmatch("/order/certificate/([0-9]+)", asked.path)
        return as_json(pending(int(info[1]), dcv_method="email")) if info else NO_SUCH_CALL

    return answer_to


async def test_one_odd_order_spoils_no_page_and_one_that_cannot_be_used_is_named(
    tmp_path: Path,
) -> None:
    odd = [
        pending(1, date_created=""),
        pending(2, date_created="0000-00-00 00:00:00"),
        pending(3, date_created="2026-06-08 14:59:13"),
        pending(4, certificate={"common_name": "a.example", "dns_names": [None, " "]}),
        pending(5, certificate={"common_name": "a.example", "dns_names": "a.example"}),
        pending(6, certificate=[], container=[], product=[]),
        pending(7) | {"id": "A-7"},
        None,
        pending(8, status=["pending"]),
    ]
    async with RawService(lists(*odd)) as service:
        desk = desk_at(tmp_path, service)
        swept = await desk.run("sweep", "--log-file", "sweep.log")
        assert swept.code == 0, swept.err
        mailed = {order_of(path) for path in service.paths("PUT")}
        assert mailed == {"1", "2", "3", "4", "5", "6", "8"}
        assert "2 more in the CA's list without an order number" in swept.err
        assert 'item without an order number: "A-7"' in (tmp_path / "sweep.log").read_text()
        exported = await desk.run("export")
        assert exported.code == 0
        assert "2 more in the CA's list without an order number are left out" in exported.err


# --- asking less ----------------------------------------------------------------------------------


def with_reports(answer_to: AnswerTo, orders: int, by_email: int) -> AnswerTo:
    """Add an order report, of which the first `by_email` orders are validated by e-mail."""
    lines = ["order_id,status,dcv_method,common_name,dns_names"]
    lines += [
        f'{n},pending,{"email" if n <= by_email else "dns-txt-token"},a.example,"a.example,b"'
        for n in range(1, orders + 1)
    ]
    report = http(200, "\r\n".join(lines).encode(), "text/csv")
    return lambda asked: report if asked.path == "/report/order" else answer_to(asked)


async def test_how_many_orders_are_validated_is_read_from_one_report(tmp_path: Path) -> None:
    orders = [pending(n) for n in range(1, 41)]
    async with RawService(with_reports(lists(*orders), 40, by_email=30)) as service:
        desk = desk_at(tmp_path, service)
        swept = await desk.run("sweep", "--log-file", "sweep.log")
        assert swept.code == 0, swept.err
        assert len(service.paths("GET")) == 3, "two lists and the report"
        assert {order_of(p) for p in service.paths("PUT")} == {str(n) for n in range(1, 31)}
        log = (tmp_path / "sweep.log").read_text()
        assert "of 40 by the order report, of 0 asked one by one" in log


NO_REPORT: dict[str, bytes] = {
    "the CA does not have it": NO_SUCH_CALL,
    "the key may not": error(403, "access_denied|missing_permission"),
    "a page": http(403, BLOCK_PAGE, "text/html"),
    "a page that is no report": http(200, b"<title>Reports</title>", "text/html"),
    "another table": http(200, b"a,b\r\n1,2\r\n", "text/csv"),
    "nothing": http(200),
    "an error": error(500, "server_error"),
    "a gateway that waited in vain": http(504, b"<title>Timeout</title>", "text/html"),
}


@pytest.mark.parametrize("answer", NO_REPORT.values(), ids=NO_REPORT)
async def test_without_a_report_each_order_is_asked_about_and_nothing_else_suffers(
    tmp_path: Path, answer: bytes
) -> None:
    listed = lists(*(pending(n) for n in range(1, 31)))
    async with RawService(
        lambda asked: answer if asked.path == "/report/order" else listed(asked)
    ) as service:
        desk = desk_at(tmp_path, service)
        swept = await desk.run("sweep", "--log-file", "sweep.log")
        assert swept.code == 0, swept.err
        assert len(service.paths("PUT")) == 30
        assert service.paths("GET").count("/report/order") == 1
        assert len(service.paths("GET")) == 2 + 1 + 1 + 30, "lists, report, validation, each order"
        assert desk.summary()["back_pressure"]["pauses"] == 0
        assert "of 0 by the order report, of 30 asked one by one" in (
            (tmp_path / "sweep.log").read_text()
        )


READINGS: dict[str, tuple[str, ...]] = {
    "sweep": ("sweep",),
    "export": ("export", "--details", "--out", "pending.csv"),
    "preflight": ("send", "orders.csv", "--preflight"),
    "preflight of domains": ("send", "domains.csv", "--preflight", "--call", "domain-dcv"),
}


def hundred(asked: Asked) -> bytes:
    """Answer as a service of a hundred orders and domains that wait."""
    if asked.path.startswith("/domain/") and asked.method == "GET":
        return as_json({"base_emails": ["admin@example.com"], "whois_emails": []})
    if asked.path.endswith("/validation"):
        return validation(*SOME)
    return lists(*(pending(n) for n in range(1, 101)))(asked)


def one_by_one(service: RawService) -> set[str]:
    """Return what was asked about one order, or one domain, each."""
    return {path for path in service.paths("GET") if re.search("/[0-9]+(/validation|/dcv|$)", path)}


def desk_of_hundred(folder: Path, service: RawService) -> Desk:
    """Return a folder with lists of a hundred orders, and of a hundred domains."""
    desk = desk_at(folder, service)
    numbers = range(1, 101)
    desk.write("orders.csv", "order_id\n" + "".join(f"{n}\n" for n in numbers))
    rows = "".join(f"{n},admin@example.com\n" for n in numbers)
    desk.write("domains.csv", f"domain_id,email\n{rows}")
    return desk


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", READINGS.values(), ids=READINGS)
async def test_what_was_asked_before_a_reading_was_cut_off_is_not_asked_again(
    tmp_path: Path, command: tuple[str, ...], end: signal.Signals
) -> None:
    async with RawService(hundred, lambda asked: 0.02) as service:
        desk = desk_of_hundred(tmp_path, service)
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
            assert rows == [(str(n), "b.example; d.example") for n in range(1, 101)]
        else:
            assert len(service.paths("PUT")) == 100


@pytest.mark.parametrize("command", [READINGS["export"], (*READINGS["preflight"], "--again")])
async def test_a_reading_that_was_whole_is_no_answer_to_the_next(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with RawService(hundred) as service:
        desk = desk_of_hundred(tmp_path, service)
        assert (await desk.run(*command, "--quiet")).code == 0
        service.asked.clear()
        assert (await desk.run(*command, "--quiet")).code == 0
        assert len(one_by_one(service)) == 100


CHANGES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "as the pages have it": lambda changes: {"orders": changes},
    "as a bare list": lambda changes: changes,
}


@pytest.mark.parametrize("shape", CHANGES.values(), ids=CHANGES)
async def test_what_has_become_of_a_thousand_orders_takes_a_handful_of_requests(
    tmp_path: Path, shape: Callable[[list[dict[str, Any]]], Any]
) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 1_000)
        assert (await desk.run("send", "orders.csv")).code == 0
        numbers = [order_of(path) for path in service.paths("PUT")]
        changes = [
            {"order_id": int(n), "certificate_id": 1, "status": "issued"} for n in numbers[:700]
        ]
        service.asked.clear()
        service.answer_to = lambda asked: (
            as_json(shape(changes)) if "/status-changes?minutes=" in asked.path else NO_SUCH_CALL
        )
        found = await desk.run("verify", desk.report().name, "--format", "json")
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == {"issued": 700, "waiting": 300}
        assert len(service.asked) == 1
        await desk.run("report", desk.report().name)
        page = (desk.report() / "report.html").read_text()
        assert "of 1,000 orders sent 700 are issued, 300 are waiting" in page


@pytest.mark.parametrize("answer", [as_json({}), NO_CONTENT, as_json({"orders": []})])
async def test_where_nothing_has_changed_all_wait(tmp_path: Path, answer: bytes) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 30)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = lambda _: answer
        found = await desk.run("verify", desk.report().name, "--format", "json")
        assert json.loads(found.out)["statuses"] == {"waiting": 30}
        assert service.requests == 30 + 1


@pytest.mark.parametrize("answer", NO_REPORT.values(), ids=NO_REPORT)
async def test_without_status_changes_each_order_is_asked_about(
    tmp_path: Path, answer: bytes
) -> None:
    def answer_to(asked: Asked) -> bytes:
        if "/status-changes" in asked.path:
            return answer
        number = order_of(asked.path)
        return as_json(pending(int(number), status="issued" if int(number) % 2 else "pending"))

    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 20)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = answer_to
        found = await desk.run("verify", desk.report().name, "--format", "json", "--no-names")
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == {"issued": 10, "pending": 10}
        assert len(service.paths("GET")) == 1 + 20


# --- which names wait -----------------------------------------------------------------------------


def validation(*names: tuple[str, str], status: str = "pending") -> bytes:
    """Return an order's validation status: its names, and whether each is approved."""
    return as_json(
        {
            "order_status": status,
            "order_dcv_method": "email",
            "order_name_scope": names[0][0],
            "dns_name_validations": [
                {
                    "domain_id": str(17 + place),
                    "name_scope": name,
                    "approval_scope": name,
                    "status": state,
                    "method": "email",
                    "dns_names": [name],
                }
                for place, (name, state) in enumerate(names)
            ],
        }
    )


SOME = (
    ("a.example", "approved"),
    ("b.example", "unapproved"),
    ("c.example", "approved"),
    ("d.example", "unapproved"),
    ("e.example", "approved"),
)
ALL = (("a.example", "approved"), ("b.example", "approved"))


async def test_verify_and_the_report_say_how_many_names_are_approved(tmp_path: Path) -> None:
    def answer_to(asked: Asked) -> bytes:
        return validation(*SOME) if asked.path.endswith("/validation") else as_json({})

    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service)
        desk.write("orders.csv", "order_id\n100200301\n100200302\n100200303\n100200304\n")
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = answer_to
        found = await desk.run("verify", desk.report().name)
        assert found.code == 0, found.err
        assert found.out.count("3 of 5 names approved") == 4
        as_program = await desk.run("verify", desk.report().name, "--format", "json")
        assert json.loads(as_program.out)["waiting"][0] == {
            "order_id": "100200301", "approved": 3, "names": 5,
        }  # fmt: skip
        await desk.run("report", desk.report().name)
        assert "3 of 5 names approved" in (desk.report() / "report.html").read_text()


async def test_the_preflight_leaves_alone_what_is_all_approved(tmp_path: Path) -> None:
    def answer_to(asked: Asked) -> bytes:
        if asked.method == "PUT":
            return NO_CONTENT
        if asked.path.endswith("/validation"):
            return validation(*(ALL if order_of(asked.path) == "2" else SOME))
        return as_json(pending(int(order_of(asked.path))))

    async with RawService(answer_to) as service:
        desk = desk_at(tmp_path, service)
        desk.write("orders.csv", "order_id\n1\n2\n3\n")
        sent = await desk.run("send", "orders.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert {order_of(path) for path in service.paths("PUT")} == {"1", "3"}
        assert "skipped   1, says the CA: 2 of 2 names approved" in sent.err


async def test_export_writes_the_names_that_wait_and_by_which_domain_each_is_validated(
    tmp_path: Path,
) -> None:
    ov = {"name_id": "ssl_basic", "name": "Basic OV", "type": "ssl_certificate"}
    listed = lists(pending(1), pending(2, product=ov, product_name_id="ssl_basic"))

    def answer_to(asked: Asked) -> bytes:
        return validation(*SOME) if asked.path.endswith("/validation") else listed(asked)

    async with RawService(answer_to) as service:
        desk = desk_at(tmp_path, service)
        exported = await desk.run("export", "--details", "--out", "pending.csv")
        assert exported.code == 0, exported.err
        with (tmp_path / "pending.csv").open() as file:
            rows = [(r["order_id"], r["domains"], r["domain_id"]) for r in csv.DictReader(file)]
        assert rows == [
            ("1", "b.example; d.example", ""),
            ("2", "b.example", "18"),
            ("2", "d.example", "20"),
        ]
        sent = await desk.run("send", "pending.csv", "--auto-call")
        assert sent.code == 0, sent.err
        assert sorted(service.paths("PUT")) == [
            "/domain/18/dcv/emails", "/domain/20/dcv/emails", "/order/certificate/1/resend-emails",
        ]  # fmt: skip


def each_by_itself(asked: Asked, status: str = "issued") -> bytes:
    """Answer for any order by its own call, and acknowledge; have none of the other calls."""
    if asked.method == "PUT":
        return NO_CONTENT
    parts = asked.path.split("/")
    if len(parts) == 4 and parts[3].isdigit():
        return as_json(pending(int(parts[3]), dcv_method="email", status=status))
    return NO_SUCH_CALL


def with_names(asked: Asked) -> bytes:
    """Answer as `each_by_itself`, and which names of an order wait: of every third, none."""
    if not asked.path.endswith("/validation"):
        return each_by_itself(asked, "pending")
    approved = int(order_of(asked.path)) % 3 == 0
    return validation(("a.example", "approved" if approved else "unapproved"))


async def test_what_the_preflight_learned_before_ctrl_c_holds_when_the_list_is_sent_again(
    tmp_path: Path,
) -> None:
    async with RawService(with_names, lambda asked: 0.02) as service:
        desk = desk_at(tmp_path, service, 90)
        cut_off = await desk.start("send", "orders.csv", "--preflight", "--concurrency", "2")
        await until(lambda: service.requests >= 60)
        cut_off.send_signal(signal.SIGINT)
        assert (await ended(cut_off)).code == 130
        assert service.paths("PUT") == []
        asked = {order_of(path) for path in service.paths("GET") if path.endswith("/validation")}
        approved = {number for number in asked if int(number) % 3 == 0}
        assert len(approved) >= 10
        service.answer_to = accept_all
        sent = await desk.run("send", "orders.csv", "--report-dir", "again")
        assert sent.code == 0, sent.err
        mailed = {order_of(path) for path in service.paths("PUT")}
        in_flight = 2
        assert len(approved & mailed) <= in_flight
        skipped = {r["order_id"] for r in results(tmp_path / "again") if r["status"] == "skipped"}
        assert skipped <= approved


async def test_what_an_export_has_read_before_ctrl_c_is_kept_as_a_part(tmp_path: Path) -> None:
    listed = lists(*(pending(n) for n in range(1, 91)))
    async with RawService(listed, lambda asked: 0.5) as service:
        desk = desk_at(tmp_path, service)
        cut_off = await desk.start("export", "--details", "--out", "pending.csv")
        await until(lambda: service.requests >= 44)
        cut_off.send_signal(signal.SIGINT)
        stopped = await ended(cut_off)
        assert stopped.code == 130
        assert not (tmp_path / "pending.csv").exists()
        lines = (tmp_path / "pending.csv.partial").read_text().splitlines()
        assert lines[0].startswith("order_id,")
        assert 1 < len(lines) <= 91
        assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, len(lines))]
        assert f"the first {len(lines) - 1} orders are in pending.csv.partial" in stopped.err


async def test_what_verify_learned_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    async with RawService(accept_all, lambda asked: 0.5 * (asked.method == "GET")) as service:
        desk = desk_at(tmp_path, service, 90)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        cut_off = await desk.start("verify", desk.report().name)
        await until(lambda: service.requests >= 90 + 10)
        cut_off.send_signal(signal.SIGINT)
        assert (await ended(cut_off)).code == 130
        await desk.run("report", desk.report().name)
        page = (desk.report() / "report.html").read_text()
        found = re.search("Asked of the CA .*: of ([0-9]+) orders sent", page)
        kept = int(found[1]) if found else 0
        assert 8 <= kept < 90
        assert f"of {kept} orders sent {kept} are issued" in page


async def test_a_person_sees_how_far_the_asking_is_how_fast_and_how_long_still(
    tmp_path: Path,
) -> None:
    listed = lists(*(pending(n) for n in range(1, 61)))
    async with RawService(listed, lambda asked: 0.15) as service:
        desk = desk_at(tmp_path, service)
        words = ("sweep", "--concurrency", "2", "--yes")
        async with on_screen(desk, *words) as screen:
            lines = await screen.shows(
                lambda s: (
                    any("asking" in line and "of 60 orders" in line for line in s.lines)
                    and " left" in s.text
                )
            )
            text = "\n".join(lines)
            assert "/s now" in text
            assert " left" in text
            assert "allowed: no limit" in text
            assert " sent ·" not in text, "nothing is sent yet"
            assert await screen.ended() == 0


async def test_elsewhere_nothing_is_drawn_and_json_stays_json(tmp_path: Path) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 30)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        found = await desk.run("verify", desk.report().name, "--format", "json")
        assert "asking" not in found.err
        assert json.loads(found.out)["statuses"] == {"issued": 30}
