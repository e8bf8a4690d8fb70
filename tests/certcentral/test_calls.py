"""Each of the CA's calls on the wire, field for field as its page has it."""

import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.certcentral.client import request_body
from batch_resend.certcentral.contract import read_body
from batch_resend.model import Call, Entry, Request, Ruling
from batch_resend.simulator import Simulator, SimulatorSettings, WorldOrder
from tests.certcentral.conftest import KEY, ca_at

HIGHER = Entry("sub.example2.com", "jörg@example2.com", "example2.com")
ADMIN, ROOT = Entry("example.com", "admin@example.com"), Entry("", "root@example.com")

CALLS = [
    pytest.param(
        Request("1001", "en", (ADMIN, HIGHER)),
        "/order/certificate/1001/resend-emails",
        {
            "domain_approval_emails": [
                {"domain": "example.com", "email": "admin@example.com"},
                {
                    "domain": "sub.example2.com",
                    "email": "jörg@example2.com",
                    "email_domain": "example2.com",
                },
            ],
            "locale": "en",
        },
        id="dv-resend, all fields",
    ),
    pytest.param(
        Request("1001", None, ()),
        "/order/certificate/1001/resend-emails",
        {},
        id="what is not asked for is left out, neither null nor an empty list",
    ),
    pytest.param(
        Request("17 www.example.com", "en", (ADMIN, ROOT), Call.DOMAIN_DCV),
        "/domain/17/dcv/emails",
        {
            "name_scope": "www.example.com",
            "email_array": ["admin@example.com", "root@example.com"],
            "locale": "en",
        },
        id="domain-dcv by number, all fields",
    ),
    pytest.param(
        Request("example.com", None, (), Call.DOMAIN_DCV),
        "/domain/example.com/dcv/emails",
        {},
        id="domain-dcv by name, none",
    ),
    pytest.param(
        Request("1002", None, (ADMIN, ROOT), Call.ORDER_APPROVAL),
        "/order/certificate/1002/order-approval/resend-emails",
        {"emails": ["admin@example.com", "root@example.com"]},
        id="order-approval",
    ),
]


texts = st.text(min_size=1, max_size=30)
entries = st.builds(Entry, texts, texts, st.none() | texts)
orders = st.builds(Request, texts, st.none() | texts, st.lists(entries, max_size=5).map(tuple))


@given(orders)
def test_every_order_keeps_to_the_contract_and_comes_out_of_it_as_it_went_in(
    order: Request,
) -> None:
    sent = request_body(order)
    assert read_body(order.call, sent).emails == tuple(entry.email for entry in order.entries)
    read = json.loads(sent)
    got = tuple(
        Entry(entry["domain"], entry["email"], entry.get("email_domain"))
        for entry in read.get("domain_approval_emails", ())
    )
    assert Request(order.subject, read.get("locale"), got) == order


@given(orders)
def test_the_body_is_one_line_of_ascii_so_no_server_can_misread_its_encoding(
    order: Request,
) -> None:
    sent = request_body(order)
    assert sent.isascii()
    assert b"\n" not in sent


@pytest.mark.parametrize(("order", "path", "body"), CALLS)
@pytest.mark.asyncio
async def test_a_call_goes_to_its_address(
    order: Request, path: str, body: dict[str, object]
) -> None:
    seen: list[tuple[str, str, object, str]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        sent = json.loads(await request.read())
        seen.append((request.method, request.raw_path, sent, request.headers["X-DC-DEVKEY"]))
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ca_at(f"http://127.0.0.1:{runner.addresses[0][1]}/services/v2") as ca:
            assert ca.judge(await ca.resend(order)).ruling is Ruling.ACCEPTED
    finally:
        await runner.cleanup()
    assert seen == [("PUT", f"/services/v2{path}", body, KEY)]


@pytest.mark.parametrize(("order", "path", "body"), CALLS)
@pytest.mark.asyncio
async def test_the_simulator_answers_a_call_and_mails_whom_it_names(
    order: Request, path: str, body: dict[str, object]
) -> None:
    """Both sides are made of one line of `calls`; the table above holds them to the CA's page."""
    async with Simulator(SimulatorSettings(keep_bodies=True)) as simulator:
        simulator.world.add(WorldOrder(1001))
        simulator.world.add_domain(17, "example.com")
        async with ca_at(simulator.base_url) as ca:
            assert ca.judge(await ca.resend(order)).ruling is Ruling.ACCEPTED
    ((subject, bodies),) = simulator.books.bodies.items()
    assert bodies == [body]
    (mailed,) = simulator.books.recipients[subject]
    named = {entry.email for entry in order.entries}
    known = named if order.call is not Call.DOMAIN_DCV else named & {ADMIN.email}
    assert set(mailed) == known if named else len(mailed) > 1


@pytest.mark.asyncio
async def test_an_order_that_is_not_dv_is_refused_by_the_dv_call_with_what_to_do() -> None:
    async with Simulator() as simulator, ca_at(simulator.base_url) as ca:
        simulator.world.add(WorldOrder(1, product="ssl_basic"))
        verdict = ca.judge(await ca.resend(Request("1", None, ())))
        assert verdict.ruling is Ruling.REFUSED
        approval = Request("1", None, (ROOT,), Call.ORDER_APPROVAL)
        assert ca.judge(await ca.resend(approval)).ruling is Ruling.ACCEPTED


@pytest.mark.asyncio
async def test_an_unknown_domain_is_refused_for_itself_and_stops_nobody() -> None:
    settings = SimulatorSettings(unknown_orders=frozenset({"nowhere.example"}))
    async with Simulator(settings) as simulator, ca_at(simulator.base_url) as ca:
        verdict = ca.judge(await ca.resend(Request("nowhere.example", None, (), Call.DOMAIN_DCV)))
    assert (verdict.ruling, verdict.error_code) == (Ruling.REFUSED, "not_found|domain")


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (Request("1", None, (), Call.ORDER_APPROVAL), "emails"),
        (Request("1", None, (Entry("", ""),), Call.ORDER_APPROVAL), "emails"),
    ],
)
@pytest.mark.asyncio
async def test_the_simulator_refuses_what_its_page_does_not_allow(
    order: Request, told: str
) -> None:
    async with Simulator() as simulator, ca_at(simulator.base_url) as ca:
        verdict = ca.judge(await ca.resend(order))
        assert simulator.books.mails == 0
    assert (verdict.http_status, verdict.error_code) == (400, "bad_request_format")
    assert told in (verdict.error_message or "")
