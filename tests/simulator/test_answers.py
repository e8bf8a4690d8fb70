"""What the simulator answers by default and by its faults, byte for byte, and what it rests on."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from batch_resend.simulator import (
    FaultName,
    Oddity,
    Source,
    WorldOrder,
    all_sources,
)
from tests.simulator.simulated import KEY, client_of, no_sleep, raw_request

pytestmark = pytest.mark.asyncio

NO_CONTENT = "HTTP/1.1 204 No Content"
BAD_REQUEST = "HTTP/1.1 400 Bad Request"
TOO_MANY = "HTTP/1.1 429 Too Many Requests"

Holds = Callable[[bytes, bytes], bool]  # of a head and a body


def length_of(head: bytes) -> int:
    """Return what a head says of the length of its body."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize(
    ("fault", "says", "headers"),
    [
        (FaultName.BAD_GATEWAY, "<h1>502 Bad Gateway</h1>", {"retry-after": None}),
        (FaultName.CDN_BLOCK, "Incapsula incident ID: ", {"x-cdn": "Imperva"}),
        (FaultName.CDN_DENIED, "<title>Access Denied</title>", {"x-cdn": "Imperva"}),
        (FaultName.CDN_WAIT, "<title>Access Denied</title>", {"retry-after": "2"}),
        (FaultName.EMPTY_DENIED, "", {"x-cdn": None, "content-type": None}),
        (FaultName.PROXY_DENIED, "<title>ERROR: The requested", {"server": "squid/5.7"}),
        (FaultName.PROXY_NOT_ACCEPTABLE, "<title>Not Acceptable!</title>", {"x-cdn": None}),
        (FaultName.MAINTENANCE_PAGE, "Service is unavailable", {"retry-after": None}),
        (FaultName.UNKNOWN_ERROR, "<title>520: ", {"x-envoy-upstream-service-time": None}),
        (FaultName.TIMED_OUT, "<title>524: ", {"x-envoy-upstream-service-time": None}),
        (FaultName.READ_TIMED_OUT, "", {"x-cdn": None}),
    ],
)
async def test_what_stands_before_the_service_answers_with_a_page_of_its_own(
    fault: FaultName, says: str, headers: dict[str, str | None]
) -> None:
    async with client_of(faults={fault: 1.0}) as client, aiohttp.ClientSession() as session:
        for method, path in (("PUT", "/order/certificate/1/resend-emails"), ("GET", "/user/me")):
            url = f"{client.simulator.base_url}{path}"
            async with session.request(
                method, url, json={} if method == "PUT" else None, headers=KEY
            ) as answer:
                text = await answer.text()
                assert answer.status == int(fault[:3])
                assert says in text
                assert "errors" not in text, "it is no answer of the CA's"
                assert not text or answer.content_type == "text/html"
                assert {name: answer.headers.get(name) for name in headers} == headers
        assert client.books.mails == fault.does.mails, "and a read mails nobody"


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (FaultName.SUCCESS_WITH_ERRORS, b'{"errors":[{"code":"'),
        (FaultName.ERRORS_AS_OBJECT, b'{"errors":{"code":"bad_request_format",'),
    ],
)
async def test_the_service_itself_may_answer_in_an_unusual_form(
    fault: FaultName, body: bytes
) -> None:
    async with client_of(faults={fault: 1.0}) as client:
        status, sent = await client.resend()
        assert status == int(fault[:3])
        assert sent.startswith(body)
        assert client.books.mails == 0


@pytest.mark.parametrize(
    ("fault", "line", "holds"),
    [
        (FaultName.BODY_BEHIND_204, NO_CONTENT, lambda head, body: len(body) == 17),
        (FaultName.CHUNK_BEHIND_204, NO_CONTENT, lambda head, body: body.startswith(b"2\r\n{}")),
        (
            FaultName.LENGTH_OF_204,
            NO_CONTENT,
            lambda head, body: length_of(head) == 64 and not body,
        ),
        (FaultName.LONG_HEADER, NO_CONTENT, lambda head, body: len(head) > 9 * 1024),
        (FaultName.MANY_HEADERS, NO_CONTENT, lambda head, body: head.count(b"\r\n") > 150),
        (FaultName.BAD_HEADER_NAME, NO_CONTENT, lambda head, body: b"\r\nX-CDN (1): " in head),
        (
            FaultName.LENGTH_TOO_LONG,
            BAD_REQUEST,
            lambda head, body: length_of(head) > len(body) > 0,
        ),
        (
            FaultName.LENGTH_TOO_SHORT,
            BAD_REQUEST,
            lambda head, body: 0 < length_of(head) < len(body),
        ),
        (
            FaultName.UNREADABLE_ENCODING,
            TOO_MANY,
            lambda head, body: b"Content-Encoding: br" in head,
        ),
    ],
)
async def test_behind_a_whole_status_line_something_is_wrong_and_then_the_connection_ends(
    fault: FaultName, line: str, holds: Holds
) -> None:
    async with client_of(faults={fault: 1.0}) as client:
        sent = ("Content-Length: 2",)
        async with raw_request(client.simulator, *sent, body=b"{}") as answer, asyncio.timeout(5):
            head, _, body = (await answer.read()).partition(b"\r\n\r\n")
        assert head.decode().splitlines()[0] == line
        assert holds(head, body)
        assert client.books.mails == fault.does.mails
        assert client.books.answers == {fault: 1}


@pytest.mark.parametrize("fault", [f for f in FaultName if not f.does.is_for_reads])
async def test_a_read_whose_fault_is_of_a_mail_has_its_connection_reset_and_no_false_answer(
    fault: FaultName,
) -> None:
    async with client_of(faults={fault: 1.0}) as client:
        with pytest.raises(aiohttp.ClientError, match="ClientOSError"):
            await client.get("/order/certificate")
        assert client.books.mails == 0


async def test_every_answer_every_fault_and_every_oddity_has_its_source_and_a_line_of_its_own() -> (
    None
):
    listed = [answer for answers in all_sources().values() for answer in answers]
    assert len({answer.name for answer in listed}) == len(listed)
    assert all(answer.words for answer in listed)
    assert {f"--fail {name}" for name in FaultName} <= {answer.name for answer in listed}
    assert {f"odd: {oddity}" for oddity in Oddity} <= {answer.name for answer in listed}
    for source, answers in all_sources().items():
        for answer in answers:
            needs_place = source in (Source.RECORDED, Source.DOCUMENTED)
            assert bool(answer.where) or not needs_place, f"{answer.name}: where is that from?"


async def test_the_books_say_what_each_answer_rested_on() -> None:
    async with client_of(api_key="a key") as client:
        client.simulator.world.add(WorldOrder(2, product="ssl_basic"))
        await client.resend("1")
        await client.resend("2")
        await client.resend(headers={})
        await client.get("/order/certificate?filters[status]=issued")
        assert client.books.snapshot()["answers_rest_on"] == {
            "documented": 1, "guessed": 1, "recorded": 1, "seen in clients": 1,
        }  # fmt: skip


async def test_a_default_answer_has_the_headers_of_the_recordings() -> None:
    async with (
        client_of(latency_s=(0.25, 0.25), sleep=no_sleep) as client,
        aiohttp.ClientSession() as session,
    ):
        url = f"{client.simulator.base_url}/order/certificate/1/resend-emails"
        async with session.put(url, json={}, headers=KEY) as answer:
            assert answer.status == 204
            assert "Content-Type" not in answer.headers
            assert answer.headers["x-cdn"] == "Imperva"
            assert answer.headers["x-iinfo"]
            assert answer.headers["server"] == "nginx"
            assert answer.headers["x-envoy-upstream-service-time"] == "250"
        async with session.get(client.simulator.base_url + "/user/me", headers=KEY) as answer:
            assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
