"""The service as it was recorded, and what stands before it: byte for byte, counted there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import assert_adds_up, read_summary
from tests.cli.raw_service import (
    BLOCK_PAGE,
    NO_SUCH_CALL,
    WRONG_KEY,
    Asked,
    RawService,
    accept_all,
    as_json,
    desk_at,
    error,
    http,
    order_of,
    unsent,
)

# --- a key that is wrong, or no longer good -------------------------------------------------------


@pytest.mark.parametrize("orders", [1, 2, 200])
async def test_a_wrong_key_costs_one_request_however_long_the_list(
    tmp_path: Path, orders: int
) -> None:
    async with RawService(lambda _: WRONG_KEY) as service:
        desk = desk_at(tmp_path, service, orders)
        stopped = await desk.run("send", "orders.csv")
        assert stopped.code == 4, stopped.err
        assert service.requests == 1
        assert "the CA refused the API key (HTTP 403, access_denied|access_denied_invalid" in (
            stopped.out
        )
        assert "--region us|eu" in stopped.out
        assert desk.summary()["orders"]["not_attempted"] == orders
        assert len(unsent(desk.report())) == orders


@pytest.mark.parametrize("concurrency", ["1", "8"])
async def test_a_key_revoked_in_the_middle_stops_all_that_go_by_it_and_resume_sends_the_rest(
    tmp_path: Path, concurrency: str
) -> None:
    async with RawService(lambda asked: NO_CONTENT if asked.number <= 30 else WRONG_KEY) as service:
        desk = desk_at(tmp_path, service, 200)
        stopped = await desk.run("send", "orders.csv", "--concurrency", concurrency)
        assert stopped.code == 4, stopped.err
        assert service.requests <= 30 + int(concurrency)
        summary = desk.summary()
        assert_adds_up(summary)
        assert (summary["orders"]["sent"], summary["orders"]["refused"]) == (30, 0)
        assert len(unsent(desk.report())) == 170
        assert "the CA refused the API key" in summary["stop_reason"]
        service.answer_to = accept_all
        resumed = await desk.run("resume", "--report-dir", "resumed")
        assert resumed.code == 0, resumed.err
        acknowledged = service.paths("PUT")[:30] + service.paths("PUT")[-170:]
        assert len({order_of(path) for path in acknowledged}) == 200


READERS: list[tuple[str, ...]] = [("sweep",), ("export",), ("sweep", "--max-orders", "3")]


@pytest.mark.parametrize("words", READERS, ids=" ".join)
async def test_a_wrong_key_ends_what_only_reads_with_one_request_and_the_same_code(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with RawService(lambda _: WRONG_KEY) as service:
        refused = await desk_at(tmp_path, service).run(*words)
        assert refused.code == 4
        assert "the CA refused the API key (HTTP 403" in refused.err
        assert service.requests == 1


async def test_a_wrong_key_ends_verify_with_one_request(tmp_path: Path) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 40)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = lambda _: WRONG_KEY
        refused = await desk.run("verify", desk.report().name)
        assert refused.code == 4
        assert "the CA refused the API key" in refused.err
        assert service.requests == 40 + 1


@pytest.mark.parametrize("good", [0, 10])
async def test_a_key_refused_in_the_preflight_sends_nothing_and_leaves_all_for_resume(
    tmp_path: Path, good: int
) -> None:
    def answer_to(asked: Asked) -> bytes:
        if asked.number > good:
            return WRONG_KEY
        if asked.path.endswith("/validation") or "?" in asked.path:
            return NO_SUCH_CALL if asked.path.endswith("/validation") else as_json({})
        return as_json({"id": order_of(asked.path), "status": "pending", "dcv_method": "email"})

    async with RawService(answer_to) as service:
        desk = desk_at(tmp_path, service, 60)
        stopped = await desk.run("send", "orders.csv", "--preflight", "--concurrency", "4")
        assert stopped.code == 4, stopped.err
        assert "the CA refused the API key" in stopped.err
        assert service.paths("PUT") == []
        assert service.requests <= good + 4
        assert len(unsent(desk.report())) == 60
        service.answer_to = accept_all
        resumed = await desk.run("resume", "--report-dir", "resumed")
        assert resumed.code == 0, resumed.err
        assert len(service.paths("PUT")) == 60


# --- a page is not the CA's word ------------------------------------------------------------------

BLOCKS: dict[str, bytes] = {
    "a CDN's page under 403": http(403, BLOCK_PAGE, "text/html"),
    "a CDN's page under 503": http(503, BLOCK_PAGE, "text/html"),
    "403 without a body": http(403),
    "403 with a gateway's JSON": as_json({"message": "Forbidden"}, 403),
    "403 with a CDN's JSON": as_json({"errors": [{"code": 1020, "message": "Blocked"}]}, 403),
    "a proxy's page under 406": http(
        406, b"<html><head><title>Not Acceptable!</title></head></html>", "text/html"
    ),
    "406 without a body": http(406),
    "a proxy's page under 400": http(400, b"<title>ERROR: invalid URL</title>", "text/html"),
    "a filter's page under 451": http(451, b"<title>Blocked by policy</title>", "text/html"),
    "a text under 403": http(403, b"Host not in allowlist", "text/plain"),
}


@pytest.mark.parametrize("answer", BLOCKS.values(), ids=BLOCKS)
async def test_what_is_not_the_cas_refuses_no_order_and_stops_the_run_after_the_patience(
    tmp_path: Path, answer: bytes
) -> None:
    async with RawService(lambda _: answer) as service:
        desk = desk_at(tmp_path, service, 200)
        stopped = await desk.run("send", "orders.csv", "--patience", "1s")
        assert stopped.code == 4, stopped.err
        # Until it is plain, and a round of probes; 503 may be the CA's own word, and so be chance.
        assert service.requests <= (20 if answer.startswith(b"HTTP/1.1 503") else 5) + 5
        summary = desk.summary()
        assert summary["orders"]["refused"] == 0
        assert len(unsent(desk.report())) == 200
        for title in ("Access Denied", "Not Acceptable!", "Blocked by policy", "allowlist"):
            assert (title.encode() in answer) <= (title in stopped.out)
        if not answer.startswith(b"HTTP/1.1 503"):
            assert "answers in its place" in stopped.out
            assert "your proxy" in stopped.out
        service.answer_to = accept_all
        resumed = await desk.run("resume", "--report-dir", "resumed")
        assert resumed.code == 0, resumed.err
        assert len({order_of(p) for p in service.paths("PUT")[-200:]}) == 200


ELSEWHERE: dict[str, bytes] = {
    "a portal's page": http(200, b"<!DOCTYPE html><title>Sign in</title>", "text/html"),
    "a redirect to a login": http(302, b"", "text/html", "Location: https://sso.example/login"),
    "a web server's 404": http(404, b"<title>404 Not Found</title>", "text/html"),
    "a proxy's 407": http(407, b"<title>Authenticate</title>", "text/html"),
}


@pytest.mark.parametrize("answer", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_a_first_answer_that_no_ca_gives_costs_one_request_but_a_later_one_is_waited_for(
    tmp_path: Path, answer: bytes
) -> None:
    """As the first one it shows a wrong URL; later on, that something stands before the CA."""
    async with RawService(lambda _: answer) as service:
        desk = desk_at(tmp_path, service, 50)
        stopped = await desk.run("send", "orders.csv")
        assert (stopped.code, service.requests) == (4, 1)
        assert service.base_url in stopped.out
        later = answer.replace(b"Content-Length", b"Retry-After: 1\r\nContent-Length", 1)
        start = service.requests
        service.answer_to = lambda asked: (
            later if start + 10 < asked.number <= start + 16 else (NO_CONTENT)
        )
        sent = await desk.run("send", "orders.csv", "--report-dir", "later")
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "later")["orders"]["sent"] == 50


# --- what is wrong behind a status line -----------------------------------------------------------


def behind(status: int, rest: bytes) -> bytes:
    """Return an answer of which only the status line is as it should be."""
    return b"HTTP/1.1 %d Said\r\n" % status + rest


ODD: dict[str, Callable[[int], bytes]] = {
    "a body behind a 204": lambda s: behind(s, b"Content-Length: 4\r\n\r\nnull"),
    "a chunk": lambda s: behind(s, b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "too long a length": lambda s: behind(s, b"Content-Length: 99\r\nConnection: close\r\n\r\n{}"),
    "too short a length": lambda s: behind(s, b"Content-Length: 1\r\n\r\n{} and more"),
    "a header of 9 KB": lambda s: behind(
        s, b"X-Policy: %s\r\nContent-Length: 0\r\n\r\n" % (b"p" * 9_216)
    ),
    "150 headers": lambda s: behind(
        s, b"".join(b"X-H%d: 1\r\n" % n for n in range(150)) + b"Content-Length: 0\r\n\r\n"
    ),
    "a name no standard allows": lambda s: behind(s, b"X (proxy): 1\r\nContent-Length: 0\r\n\r\n"),
    "an encoding nobody can read": lambda s: behind(
        s, b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nnotgzip"
    ),
    "an encoding of its own": lambda s: behind(
        s, b"Content-Encoding: x-cdn\r\nContent-Length: 3\r\n\r\n\x01\x02\x03"
    ),
    "a length that is none": lambda s: behind(s, b"Content-Length: none\r\n\r\n"),
    "headers without an end": lambda s: behind(s, b"X-A: 1\r\nConnection: close\r\n"),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
async def test_a_204_stands_whatever_is_wrong_behind_it(
    tmp_path: Path, make: Callable[[int], bytes]
) -> None:
    async with RawService(lambda asked: make(204) if asked.number <= 5 else NO_CONTENT) as service:
        desk = desk_at(tmp_path, service, 20)
        sent = await desk.run("send", "orders.csv", "--concurrency", "3")
        assert sent.code == 0, sent.err
        assert desk.summary()["requests"]["possible_duplicates"] == 0
        assert service.requests == 20


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
async def test_a_429_is_seen_as_one_whatever_is_wrong_behind_it(
    tmp_path: Path, make: Callable[[int], bytes]
) -> None:
    slow_down = make(429).replace(b"Said\r\n", b"Said\r\nRetry-After: 1\r\n")
    async with RawService(lambda a: slow_down if a.number == 5 else NO_CONTENT) as service:
        desk = desk_at(tmp_path, service, 10)
        sent = await desk.run("send", "orders.csv", "--concurrency", "1")
        assert sent.code == 0, sent.err
        assert desk.summary()["requests"]["rate_limited"] == 1
        assert desk.summary()["requests"]["possible_duplicates"] == 0
        assert service.requests == 11
        assert service.arrivals[5] - service.arrivals[4] >= 1


# --- codes ----------------------------------------------------------------------------------------


async def test_a_bare_not_found_is_the_urls_and_costs_one_request(tmp_path: Path) -> None:
    async with RawService(lambda _: error(404, "not_found", "Route not found.")) as service:
        desk = desk_at(tmp_path, service, 50)
        stopped = await desk.run("send", "orders.csv")
        assert (stopped.code, service.requests) == (4, 1)
        assert "is not the CA's API (HTTP 404, not_found)" in stopped.out
        assert len(unsent(desk.report())) == 50
