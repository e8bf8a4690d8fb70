"""The simulator keeps to the documented contract, its windows and its books."""

import io
import json
from typing import Any

import aiohttp
import pytest

from batch_resend.simulator import (
    FaultName,
)
from batch_resend.windows import Window
from tests.simulator.simulated import (
    ENTRY,
    KEY,
    RATE_LIMITED,
    WRONG_KEY,
    Clock,
    client_of,
    code_of,
    raw_request,
    until,
)

pytestmark = pytest.mark.asyncio

# --- the contract ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"locale": "en"},
        {"domain_approval_emails": [ENTRY]},
        {"domain_approval_emails": [ENTRY | {"email_domain": "example.com"}], "locale": "de"},
    ],
)
async def test_a_documented_request_is_answered_204_without_a_body_and_mails_once(
    body: dict[str, Any],
) -> None:
    async with client_of(keep_bodies=True) as client:
        assert await client.resend("77", body) == (204, b"")
        assert client.books.mails_per_order == {"77": 1}
        assert client.books.bodies == {"77": [body]}
        assert client.books.wrong_request_count == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"locale": null}',
        b'{"locale": ""}',
        b'{"locale": 1}',
        b'{"emails": []}',
        b'{"domain_approval_emails": null}',
        b'{"domain_approval_emails": []}',
        b'{"domain_approval_emails": {}}',
        b'{"domain_approval_emails": [{"domain": "a.example"}]}',
        b'{"domain_approval_emails": [{"email": "a@a.example"}]}',
        b'{"domain_approval_emails": [{"domain": "", "email": "a@a.example"}]}',
        b'{"domain_approval_emails": [{"domain": "a.example", "email": 7}]}',
        b'{"domain_approval_emails": [{"domain": "a", "email": "b", "name": "c"}]}',
        b'{"domain_approval_emails": [{"domain": "a", "email": "b", "email_domain": null}]}',
    ],
)
async def test_any_other_body_is_answered_400_and_is_a_wrong_request(body: bytes) -> None:
    async with client_of() as client:
        headers = KEY | {"Content-Type": "application/json"}
        status, answer = await client.resend(data=body, json=None, headers=headers)
        assert (status, code_of(answer)) == (400, "bad_request_format")
        assert client.books.wrong_request_count == 1
        assert client.books.mails == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"skip_auto_headers": ["User-Agent"]}, "no User-Agent"),
        ({"chunked": True}, "a body in chunks instead of a Content-Length"),
        (
            {"json": None, "data": b"{}", "headers": KEY | {"Content-Type": "text/plain"}},
            "Content-Type is not application/json",
        ),
        (
            {
                "json": None,
                "data": io.BytesIO(b" " * 1048577),
                "headers": KEY | {"Content-Type": "application/json"},
            },
            "a body of more than 1048576 bytes",
        ),
    ],
)
async def test_a_request_that_is_not_well_formed_is_answered_400_and_is_a_wrong_request(
    more: dict[str, Any], reason: str
) -> None:
    async with client_of() as client:
        status, _ = await client.resend(**more)
        assert status == 400
        assert [wrong["reason"] for wrong in client.books.wrong_requests] == [reason]


async def test_a_request_without_a_length_is_answered_400_and_is_a_wrong_request() -> None:
    async with client_of() as client:
        async with raw_request(client.simulator, "Connection: close") as answer:
            assert (await answer.read()).startswith(b"HTTP/1.1 400 ")
        assert client.books.wrong_requests[0]["reason"] == "no Content-Length"


async def test_a_body_that_breaks_off_is_a_wrong_request_and_mails_nothing() -> None:
    async with client_of() as client:
        async with raw_request(client.simulator, "Content-Length: 20", body=b"{"):
            await until(lambda: client.books.requests)
        await until(lambda: client.books.answers)
        assert client.books.wrong_requests[0]["reason"] == "the connection broke within the body"
        assert client.books.mails == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/services/v2/order/certificate/1/resend-emails"),
        ("PUT", "/services/v2/order/certificate//resend-emails"),
        ("PUT", "/services/v2/order/certificate/1/2/resend-emails"),
        ("PUT", "/services/v2/order/certificate/1/resend-emails/"),
        ("PUT", "/services/v2/order/certificate/1/resend-emails?x=1"),
        ("PUT", "/order/certificate/1/resend-emails"),
        ("GET", "/services/v2"),
        ("HEAD", "/"),
    ],
)
async def test_any_other_address_or_method_is_answered_404_and_is_a_wrong_request(
    method: str, path: str
) -> None:
    async with client_of() as client:
        url = client.simulator.books_url.removesuffix("/") + path
        status, body = await client.request(method, url, headers=KEY)
        assert status == 404
        assert method == "HEAD" or code_of(body) == "not_found"
        assert client.books.wrong_requests == [
            {"method": method, "path": path, "reason": "no call of the contract"}
        ]


@pytest.mark.parametrize(
    ("told", "sent", "status"),
    [
        (None, {"X-DC-DEVKEY": "any"}, 204),
        (None, {"X-DC-DEVKEY": ""}, 403),
        (None, {}, 403),
        ("right", {"X-DC-DEVKEY": "right"}, 204),
        ("right", {"X-DC-DEVKEY": "wrong"}, 403),
        ("right", {}, 403),
    ],
)
async def test_a_wrong_key_is_answered_403_as_recorded(
    told: str | None, sent: dict[str, str], status: int
) -> None:
    async with client_of(api_key=told) as client:
        got, body = await client.resend(headers=sent)
        assert got == status
        assert status == 204 or body == WRONG_KEY
        assert client.books.mails == (status == 204)


async def test_an_order_it_is_told_not_to_know_is_answered_404_of_the_order() -> None:
    async with client_of(unknown_orders=frozenset({"2"})) as client:
        status, body = await client.resend("2")
        assert (status, code_of(body)) == (404, "not_found|order")
        assert (await client.resend("1"))[0] == 204
        assert client.books.mails_per_order == {"1": 1}
        assert client.books.wrong_request_count == 0


async def test_checks_come_in_order_window_address_key_body_order() -> None:
    clock = Clock()
    async with client_of(
        windows=(Window(3, 5.0),),
        clock=clock,
        unknown_orders=frozenset({"1"}),
        faults={FaultName.SERVER_ERROR: 1.0},
    ) as client:
        wrong_url = f"{client.simulator.base_url}/nowhere"
        answers = [
            await client.request("PUT", wrong_url, data=b"{", headers=KEY),
            await client.resend(data=b"{", json=None, headers={}),
            await client.resend(data=b"{", json=None),
            await client.resend(),
            await client.request("PUT", wrong_url, data=b"{", headers=KEY),
        ]
        assert [(status, code_of(body)) for status, body in answers] == [
            (404, "not_found"),
            (403, "access_denied|access_denied_invalid_key"),
            (400, "bad_request_format"),
            (404, "not_found|order"),
            (429, "request_limit_exceeded"),
        ]


# --- windows --------------------------------------------------------------------------------


async def test_the_arrival_after_a_full_window_is_answered_429_as_documented() -> None:
    async with client_of(windows=(Window(2, 5.0),), clock=Clock()) as client:
        url = f"{client.simulator.base_url}/order/certificate/1/resend-emails"
        assert [(await client.resend())[0] for _ in range(2)] == [204, 204]
        async with aiohttp.ClientSession() as session:
            answer = await session.put(url, json={}, headers=KEY)
            assert (answer.status, await answer.read()) == (429, RATE_LIMITED)
            assert answer.content_type == "application/json"
            assert "Retry-After" not in answer.headers
        assert client.books.mails == 2


async def test_each_key_has_windows_of_its_own() -> None:
    async with client_of(windows=(Window(2, 5.0),), clock=Clock()) as client:
        keys = ["a", "b", "a", "b", "a", "c"]
        answers = [(await client.resend(headers={"X-DC-DEVKEY": key}))[0] for key in keys]
        assert answers == [204, 204, 204, 204, 429, 204]
        (log,) = client.books.windows
        assert (log.peak, log.refused) == (3, 1)


@pytest.mark.parametrize(
    ("windows", "moments", "answers"),
    [
        pytest.param(
            [Window(1, 5.0)], (1000.0, 1005.0, 1009.999, 1014.999), [204, 204, 429, 204],
            id="half open: an arrival leaves it just as its period ends",
        ),
        pytest.param(
            [Window(3, 10.0)], (1008, 1009, 1009.5, 1011, 1019.2), [204, 204, 204, 429, 204],
            id="rolling: a burst across a boundary is seen",
        ),
        pytest.param(
            [Window(1, 1.0), Window(3, 10.0)], (1000, 1000.5, 1002, 1004, 1011),
            [204, 429, 204, 429, 204], id="several: each counts what another refused",
        ),
    ],
)  # fmt: skip
async def test_a_window_refuses_what_is_beyond_it(
    windows: list[Window], moments: tuple[float, ...], answers: list[int]
) -> None:
    clock = Clock()
    async with client_of(windows=tuple(windows), clock=clock) as client:
        for moment, answer in zip(moments, answers, strict=True):
            clock.now = moment
            assert (await client.resend())[0] == answer


async def test_a_refused_request_counts_in_the_windows_and_in_their_peaks() -> None:
    clock = Clock()
    async with client_of(windows=(Window(2, 10.0), Window(9, 60.0)), clock=clock) as client:
        for _ in range(5):
            await client.resend()
        clock.now += 9.0
        await client.resend(body={"what": 1})  # not even well-formed
        clock.now += 1.5
        await client.resend()
        assert client.books.answers == {"204": 3, "429": 4}
        assert client.books.snapshot()["windows"] == [
            {"limit": "2/10s", "peak": 6, "refused": 4},
            {"limit": "9/1m", "peak": 7, "refused": 0},
        ]


# --- the books ------------------------------------------------------------------------------


async def test_get_of_the_root_tells_what_was_received_and_is_itself_not_counted() -> None:
    async with client_of(windows=(Window(3, 5.0),), clock=Clock()) as client:
        for order in ("1", "1", "2", "3"):
            await client.resend(order)
        first = await client.request("GET", client.simulator.books_url)
        assert await client.request("GET", client.simulator.books_url) == first
        assert json.loads(first[1]) == client.books.snapshot()
        assert client.books.snapshot() == {
            "requests": 4,
            "answers": {"204": 3, "429": 1},
            "answers_rest_on": {"documented": 4},
            "reads": {},
            "mails": 3,
            "addresses_mailed": 3,
            "orders_mailed": 2,
            "mails_per_order": {"1": 2, "2": 1},
            "windows": [{"limit": "3/5s", "peak": 4, "refused": 1}],
            "wrong_request_count": 0,
            "wrong_requests": [],
        }
        assert client.books.requests_per_order == {"1": 2, "2": 1, "3": 1}


async def test_only_the_first_hundred_wrong_requests_are_kept_and_all_are_counted() -> None:
    async with client_of() as client:
        for number in range(105):
            await client.request("GET", f"{client.simulator.base_url}/{number}")
        snapshot = client.books.snapshot()
        assert snapshot["wrong_request_count"] == 105
        assert len(snapshot["wrong_requests"]) == 100
        assert snapshot["wrong_requests"][-1]["path"] == "/services/v2/99"


async def test_bodies_are_not_kept_unless_asked_for() -> None:
    async with client_of() as client:
        await client.resend("1", {"locale": "en"})
        assert client.books.bodies == {}
