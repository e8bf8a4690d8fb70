"""What is read of the service, as recordings and its pages have it, byte for byte."""

import csv
import json
import re
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import ended, orders_of, until
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


def waiting(orders: int) -> AnswerTo:
    """Return a service of which so many orders wait."""
    return lists(*(pending(n) for n in range(1, orders + 1)))


def with_answer(part: str, answer: bytes, otherwise: AnswerTo) -> AnswerTo:
    """Return a service that answers reads of paths with some part in one way."""
    return lambda a: answer if a.method == "GET" and part in a.path else otherwise(a)


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

NO_REPORT: dict[str, bytes] = {
    "the CA does not have it": NO_SUCH_CALL,
    "the key may not": error(403, "access_denied|missing_permission"),
    "a page": http(403, BLOCK_PAGE, "text/html"),
    "another table": http(200, b"a,b\r\n1,2\r\n", "text/csv"),
    "nothing": http(200),
    "a gateway that waited in vain": http(504, b"<title>Timeout</title>", "text/html"),
}


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


@pytest.mark.parametrize("answer", NO_REPORT.values(), ids=NO_REPORT)
async def test_without_a_report_each_order_is_asked_about_and_nothing_else_suffers(
    tmp_path: Path, answer: bytes
) -> None:
    answer_to = with_answer("/report/order", answer, waiting(30))
    async with desk_at(tmp_path, answer_to) as (desk, service):
        swept = await desk.run("sweep")
        assert swept.code == 0, swept.err
        assert len(service.mailed()) == 30
        assert len(service.paths("GET")) == 2 + 1 + 1 + 30, "lists, report, validation, each order"
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
            flags = ["--again"] if command[0] == "send" else []
            assert (await desk.run(*command, *flags)).code == 0
            assert len(one_by_one(service)) == 100, "one that was whole answers for no other"


async def test_what_the_preflight_learned_before_ctrl_c_holds_when_the_list_is_sent_again(
    tmp_path: Path,
) -> None:
    def answer_to(asked: Asked) -> bytes:
        if not asked.path.endswith("/validation"):
            return as_json(pending(int(order_of(asked.path)), dcv_method="email"))
        approved = int(order_of(asked.path)) % 3 == 0
        return validation(("a.example", "approved" if approved else "unapproved"))

    async with desk_at(tmp_path, answer_to, 90, lambda _: 0.02) as (desk, service):
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
        assert len(approved & set(service.mailed())) <= 2, "in flight"
        skipped = orders_of(tmp_path / "again", "skipped")
        assert skipped <= approved


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
                any("asking" in line and "of 60 orders" in line for line in s.lines)
                and " left" in s.text
            )
        )
        text = "\n".join(lines)
        assert "/s now" in text
        assert "allowed: no limit" in text
        assert " sent ·" not in text, "nothing is sent yet"
        assert await screen.ended() == 0


# --- what has become of them ----------------------------------------------------------------------


def each_by_itself(asked: Asked) -> bytes:
    """Answer for any order by its own call, every other one issued; have none of the others."""
    info = re.fullmatch("/order/certificate/([0-9]+)", asked.path)
    if info is None:
        return NO_SUCH_CALL
    return as_json(pending(int(info[1]), status="issued" if int(info[1]) % 2 else "pending"))


async def test_what_has_become_of_a_thousand_orders_takes_one_request(tmp_path: Path) -> None:
    async with desk_at(tmp_path, accept_all, 1_000) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        changes = [
            {"order_id": int(n), "certificate_id": 1, "status": "issued"}
            for n in service.mailed()[:700]
        ]
        for shape in ({"orders": changes}, changes):  # as the pages have it, and a bare list
            service.asked.clear()
            service.answer_to = with_answer(
                "/status-changes?minutes=", as_json(shape), lambda _: NO_SUCH_CALL
            )
            found = await desk.run("verify", desk.report().name, "--json")
            assert found.code == 0, found.err
            assert "asking" not in found.err
            assert json.loads(found.out)["statuses"] == {"issued": 700, "waiting": 300}
            assert len(service.asked) == 1
        await desk.run("report", desk.report().name)
        page = (desk.report() / "report.html").read_text()
        assert "of 1,000 orders sent 700 are issued, 300 are waiting" in page


@pytest.mark.parametrize(
    ("answer", "statuses", "reads"),
    [
        pytest.param(as_json({}), {"waiting": 20}, 1, id="nothing has changed"),
        pytest.param(NO_CONTENT, {"waiting": 20}, 1, id="no more is there an answer of nothing"),
        pytest.param(
            as_json({"orders": [], "page": {"total": 5_000, "limit": 1_000, "offset": 0}}),
            {"issued": 10, "pending": 10}, 21, id="a part of them",
        ),
        *(
            pytest.param(answer, {"issued": 10, "pending": 10}, 21, id=name)
            for name, answer in NO_REPORT.items()
        ),
    ],
)  # fmt: skip
async def test_where_status_changes_do_not_say_it_each_order_is_asked_about(
    tmp_path: Path, answer: bytes, statuses: dict[str, int], reads: int
) -> None:
    async with desk_at(tmp_path, accept_all, 20) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer("/status-changes", answer, each_by_itself)
        found = await desk.run("verify", desk.report().name, "--json", "--no-names")
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == statuses
        assert len(service.paths("GET")) == reads


async def test_what_verify_learned_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    async with desk_at(
        tmp_path, accept_all, 90, lambda asked: 0.5 * (asked.method == "GET")
    ) as (desk, service):  # fmt: skip
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        run = desk.report().name
        verifying = await desk.start("verify", run, "--no-names")
        await until(lambda: service.requests >= 90 + 10)
        verifying.send_signal(signal.SIGINT)
        cut_off = await ended(verifying)
        assert cut_off.code == 130
        assert f"orders is kept; `batch-resend report {run}` shows it" in cut_off.err
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        found = re.search("Asked of the CA .*: of ([0-9]+) orders sent", page)
        assert 8 <= int(found[1] if found else 0) < 90


# --- which names wait -----------------------------------------------------------------------------


async def test_verify_and_the_report_say_how_many_names_are_approved(tmp_path: Path) -> None:
    async with desk_at(tmp_path, accept_all, 4) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer("/validation", validation(*SOME), lambda _: as_json({}))
        found = await desk.run("verify", desk.report().name)
        assert found.code == 0, found.err
        assert found.out.count("3 of 5 names approved") == 4
        as_program = await desk.run("verify", desk.report().name, "--json")
        (first, *_) = json.loads(as_program.out)["waiting"]
        assert first == {"order_id": "700000", "approved": 3, "names": 5}
        await desk.run("report", desk.report().name)
        assert "3 of 5 names approved" in (desk.report() / "report.html").read_text()


async def test_the_preflight_leaves_alone_what_is_all_approved(tmp_path: Path) -> None:
    def answer_to(asked: Asked) -> bytes:
        is_over = order_of(asked.path) == "700002"
        return with_answer("/validation", validation(*(ALL if is_over else SOME)), accept_all)(
            asked
        )

    async with desk_at(tmp_path, answer_to, 3) as (desk, service):
        sent = await desk.run("send", "orders.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert set(service.mailed()) == {"700000", "700001"}
        assert "skipped   1, says the CA: 2 of 2 names approved" in sent.err


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


# --- the domain call, never wider than asked ------------------------------------------------------

KNOWN = as_json({
    "name_scope": "example.com", "base_emails": ["admin@example.com", "postmaster@example.com"],
    "whois_emails": [], "dns_txt_emails": ["dns@example.net"],
})  # fmt: skip
DOMAIN_CALL = ("send", "domains.csv", "--call", "domain-dcv", "--preflight", "--max-attempts", "2")


@pytest.mark.parametrize(
    ("address", "answer", "said"),
    [
        ("admin@example.com", KNOWN, ""),
        ("ADMIN@Example.com", KNOWN, ""),
        ("dns@example.net", KNOWN, ""),
        ("admim@example.com", KNOWN, "the CA does not know admim@example.com"),
        ("someone@elsewhere.example", KNOWN, "the CA does not know someone@elsewhere.example"),
        # Where it does not say whom it would mail:
        ("admin@example.com", http(502, b"<title>No</title>", "text/html"), "might mail all"),
        ("admin@example.com", error(500, "server_error"), "might mail all"),
        ("admin@example.com", http(403, BLOCK_PAGE, "text/html"), "might mail all"),
        ("admin@example.com", error(403, "access_denied|missing_permission"), "might mail all"),
        ("admin@example.com", NO_SUCH_CALL, "might mail all"),
        ("admin@example.com", as_json([1, 2]), "might mail all"),
    ],
)
async def test_the_preflight_refuses_a_domain_call_that_might_mail_everybody(
    tmp_path: Path, address: str, answer: bytes, said: str
) -> None:
    async with desk_at(tmp_path, with_answer("", answer, accept_all)) as (desk, service):
        desk.write("domains.csv", f"domain,email\nexample.com,{address}\n")
        sent = await desk.run(*DOMAIN_CALL)
        path = "/domain/example.com/dcv/emails"
        assert {*service.paths("GET")} == {f"{path}?consider_dcv_email_preferences=true"}
        assert service.paths("PUT") == ([] if said else [path])
        assert said in sent.out
        assert sent.code in ((3, 4) if said else (0,)), sent.err


async def test_a_domain_that_the_ca_does_not_have_is_left_to_its_own_answer(tmp_path: Path) -> None:
    gone = error(404, "not_found|domain", "No such domain.")
    async with desk_at(tmp_path, lambda _: gone) as (desk, _):
        desk.write("domains.csv", "domain,email\nexample.com,someone@example.com\n")
        refused = await desk.run(*DOMAIN_CALL)
        assert refused.code == 3
        assert "No such domain." in refused.out
