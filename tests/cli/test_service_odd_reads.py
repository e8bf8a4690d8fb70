"""Reads that answer oddly, or not at all: what is sent then, and what is not."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.raw_service import (
    BLOCK_PAGE,
    NO_SUCH_CALL,
    Asked,
    RawService,
    accept_all,
    as_json,
    desk_at,
    error,
    http,
    order_of,
)
from tests.cli.test_service_reads import ALL, SOME, lists, pending, validation

# --- never wider than asked -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "is_sent"),
    [
        ("admin@example.com", True),
        ("ADMIN@Example.com", True),
        ("dns@example.net", True),
        ("admim@example.com", False),
        ("someone@elsewhere.example", False),
    ],
)
async def test_the_preflight_refuses_a_domain_call_that_would_mail_everybody(
    tmp_path: Path, address: str, is_sent: bool
) -> None:
    known = {
        "name_scope": "example.com",
        "base_emails": ["admin@example.com", "postmaster@example.com"],
        "whois_emails": [],
        "dns_txt_emails": ["dns@example.net"],
    }
    async with RawService(
        lambda asked: NO_CONTENT if asked.method == "PUT" else as_json(known)
    ) as service:
        desk = desk_at(tmp_path, service)
        desk.write("domains.csv", f"domain,email\nexample.com,{address}\n")
        words = ("send", "domains.csv", "--call", "domain-dcv", "--preflight")
        sent = await desk.run(*words)
        assert service.paths("GET") == [
            "/domain/example.com/dcv/emails?consider_dcv_email_preferences=true"
        ]
        assert service.paths("PUT") == (["/domain/example.com/dcv/emails"] if is_sent else [])
        assert sent.code == (0 if is_sent else 3), sent.err
        if not is_sent:
            assert f"the CA does not know {address} as an address for example.com" in sent.out
            assert desk.summary()["orders"]["refused"] == 1


NO_ADDRESSES: dict[str, bytes] = {
    "a gateway's word": http(502, b"<title>Bad Gateway</title>", "text/html"),
    "an error": error(500, "server_error"),
    "a CDN's page": http(403, BLOCK_PAGE, "text/html"),
    "the key may not": error(403, "access_denied|missing_permission"),
    "a call it does not have": NO_SUCH_CALL,
    "what cannot be read": as_json([1, 2]),
}


@pytest.mark.parametrize("answer", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
async def test_where_the_ca_does_not_say_whom_it_would_mail_the_preflight_sends_nothing(
    tmp_path: Path, answer: bytes
) -> None:
    async with RawService(lambda a: NO_CONTENT if a.method == "PUT" else answer) as service:
        desk = desk_at(tmp_path, service)
        desk.write("domains.csv", "domain,email\nexample.com,someone@example.com\n")
        words = ("--call", "domain-dcv", "--preflight", "--max-attempts", "2")
        refused = await desk.run("send", "domains.csv", *words)
        assert refused.code in (3, 4), refused.err
        assert service.paths("PUT") == []
        assert "might mail all" in refused.out


async def test_a_domain_that_the_ca_does_not_have_is_left_to_its_own_answer(tmp_path: Path) -> None:
    gone = error(404, "not_found|domain", "No such domain.")
    async with RawService(lambda _: gone) as service:
        desk = desk_at(tmp_path, service)
        desk.write("domains.csv", "domain,email\nexample.com,someone@example.com\n")
        refused = await desk.run("send", "domains.csv", "--call", "domain-dcv", "--preflight")
        assert refused.code == 3
        assert "No such domain." in refused.out


# --- one odd answer spoils no other ---------------------------------------------------------------

ODD_ANSWERS: dict[str, bytes] = {
    "no object": as_json([]),
    "nothing": http(200),
    "another order": as_json(pending(999)),
    "an error to the end": error(500, "server_error"),
    "a page": http(200, b"<title>Orders</title>", "text/html"),
    "no such order": error(404, "not_found|order"),
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_one_order_of_which_nothing_can_be_read_keeps_no_other_from_its_mail(
    tmp_path: Path, answer: bytes
) -> None:
    listed = lists(*(pending(n) for n in range(1, 16)))

    def answer_to(asked: Asked) -> bytes:
        is_odd = asked.method == "GET" and asked.path.startswith("/order/certificate/7")
        return answer if is_odd else listed(asked)

    async with RawService(answer_to) as service:
        desk = desk_at(tmp_path, service)
        swept = await desk.run("sweep", "--max-attempts", "2")
        assert swept.code == 0, swept.err
        assert len({order_of(path) for path in service.paths("PUT")} - {"7"}) == 14


async def test_orders_that_the_ca_does_not_have_are_asked_about_beside_each_other(
    tmp_path: Path,
) -> None:
    gone = error(404, "not_found|order")
    async with RawService(lambda _: gone, lambda asked: 0.2) as service:
        desk = desk_at(tmp_path, service)
        numbers = "".join(f"{n}\n" for n in range(1, 16))
        desk.write("orders.csv", f"order_id\n{numbers}")
        assert (await desk.run("send", "orders.csv", "--preflight")).code == 3
        reads = [at for at, a in zip(service.arrivals, service.asked, strict=True)
                 if a.method == "GET"]  # fmt: skip
        together = sum(later - earlier < 0.1 for earlier, later in pairwise(reads))
        assert together >= len(reads) // 2


async def test_a_validation_status_that_says_nothing_leaves_it_to_the_orders_own_call(
    tmp_path: Path,
) -> None:
    listed = lists(*(pending(n) for n in range(1, 4)))

    def answer_to(asked: Asked) -> bytes:
        if asked.path.endswith("/validation"):
            return as_json({})
        if asked.path == "/order/certificate/2":
            return as_json(pending(2, dcv_method="dns-txt-token"))
        return listed(asked)

    async with RawService(answer_to) as service:
        desk = desk_at(tmp_path, service)
        assert (await desk.run("sweep")).code == 0
        assert {order_of(path) for path in service.paths("PUT")} == {"1", "3"}


async def test_a_name_is_approved_where_all_that_is_said_of_it_says_so(tmp_path: Path) -> None:
    listed = lists(pending(1))
    twice = validation(("a.example", "approved"), ("a.example", "unapproved"))
    async with RawService(
        lambda asked: twice if asked.path.endswith("/validation") else listed(asked)
    ) as service:
        desk = desk_at(tmp_path, service)
        assert (await desk.run("sweep")).code == 0
        assert len(service.paths("PUT")) == 1


async def test_an_order_all_names_of_which_are_approved_is_no_line_of_an_export(
    tmp_path: Path,
) -> None:
    listed = lists(pending(1), pending(2))
    async with RawService(
        lambda a: validation(*ALL if "/1/" in a.path else SOME) if "/validation" in a.path
        else listed(a)
    ) as service:  # fmt: skip
        desk = desk_at(tmp_path, service)
        exported = await desk.run("export", "--details")
        assert exported.code == 0
        assert [line.split(",")[0] for line in exported.out.splitlines()] == ["order_id", "2"]
        assert "1 order more with all names approved" in exported.err


async def test_changes_of_which_only_a_part_is_shown_are_not_taken_for_all(tmp_path: Path) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 20)
        assert (await desk.run("send", "orders.csv")).code == 0
        part = {"orders": [], "page": {"total": 5_000, "limit": 1_000, "offset": 0}}
        service.answer_to = lambda asked: (
            as_json(part) if "/status-changes" in asked.path
            else as_json(pending(int(order_of(asked.path)), status="issued"))
        )  # fmt: skip
        found = await desk.run("verify", desk.report().name, "--format", "json")
        assert json.loads(found.out)["statuses"] == {"issued": 20}


async def test_a_list_that_says_it_is_longer_than_it_is_ends_all_the_same(tmp_path: Path) -> None:
    orders = [pending(n) for n in range(1, 4)]
    longer = {"orders": orders, "page": {"total": 9, "limit": 1000, "offset": 0}}
    answer_to = lists()

    async with RawService(
        lambda asked: as_json(longer) if "=pending&" in asked.path.replace("%3D", "=")
        else answer_to(asked)
    ) as service:  # fmt: skip
        exported = await desk_at(tmp_path, service).run("export")
        assert exported.code == 0, exported.err
        assert exported.err.endswith("3 orders wait.\n")
        assert "the CA says that it has 9 orders, and shows 3" in exported.err


UNSURE: dict[str, list[object]] = {
    "an item that is none": [{"name_scope": "a.example", "status": "approved"}, None, "x"],
    "an item without a name": [
        {"name_scope": "a.example", "status": "approved"},
        {"status": "new"},
    ],
    "no status": [{"name_scope": "a.example"}],
    "no items": [],
}


@pytest.mark.parametrize("items", UNSURE.values(), ids=UNSURE)
async def test_names_of_which_not_all_can_be_read_are_not_taken_for_approved(
    tmp_path: Path, items: list[object]
) -> None:
    said = {"order_status": "pending", "order_dcv_method": "email", "dns_name_validations": items}
    listed = lists(pending(1))
    async with RawService(
        lambda asked: as_json(said) if asked.path.endswith("/validation") else listed(asked)
    ) as service:
        swept = await desk_at(tmp_path, service).run("sweep")
        assert swept.code == 0
        assert len(service.paths("PUT")) == 1
