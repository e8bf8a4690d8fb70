"""The service as it was recorded, and what stands before it: byte for byte, counted there."""

import gzip
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName
from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import assert_adds_up, desk_with_ca, read_summary
from tests.cli.raw_service import (
    BLOCK_PAGE,
    NO_SUCH_CALL,
    WRONG_KEY,
    Asked,
    accept_all,
    as_json,
    desk_at,
    error,
    http,
    order_of,
    unsent,
)

# --- a key that is wrong, or no longer good -------------------------------------------------------

REFUSED = WRONG_KEY.partition(b"\r\n\r\n")[2]
ENDING_A_RUN: dict[str, tuple[bytes, str]] = {
    "a wrong key": (WRONG_KEY, "API key from the variable DIGICERT_API_KEY (HTTP 403, access_d"),
    "behind a byte order mark": (http(403, b"\xef\xbb\xbf" + REFUSED), "refused the API key"),
    "under 200": (http(200, REFUSED), "refused the API key"),
    "under 401": (error(401, "access_denied_invalid_key"), "refused the API key"),
    "as HTML by its type": (http(403, REFUSED, "text/html"), "refused the API key"),
    "packed": (
        http(403, gzip.compress(REFUSED), "application/json", "Content-Encoding: gzip"),
        "refused the API key"),
    "a route that it does not have": (NO_SUCH_CALL, "is not the CA's API (HTTP 404, not_found)"),
    "the same with its word": (error(404, "not_found|route"), "is not the CA's API"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), ENDING_A_RUN.values(), ids=ENDING_A_RUN)
async def test_a_wrong_key_or_url_costs_one_request_however_long_the_list(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    async with desk_at(tmp_path, lambda _: answer, 200) as (desk, service):
        stopped = await desk.run("send", "orders.csv")
        assert (stopped.code, service.requests) == (4, 1), stopped.err
        assert said in stopped.out
        assert ("--region us|eu" if "key" in said else "Check --base-url") in stopped.out
        advice = ["First put the API key right: ", "It has sent nothing at "]
        shown = [line for line in stopped.out.splitlines() if line.startswith(tuple(advice))]
        wanted = advice if "key" in said else advice[1:]
        assert len(shown) == len(wanted)
        assert all(map(str.startswith, shown, wanted))
        assert_adds_up(desk.summary())
        assert desk.summary()["orders"]["not_attempted"] == len(unsent(desk.report())) == 200


@pytest.mark.parametrize("concurrency", ["1", "8"])
async def test_a_key_revoked_in_the_middle_stops_all_that_go_by_it_and_resume_sends_the_rest(
    tmp_path: Path, concurrency: str
) -> None:
    def answer_to(asked: Asked) -> bytes:
        return NO_CONTENT if asked.number <= 30 else WRONG_KEY

    async with desk_at(tmp_path, answer_to, 200) as (desk, service):
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
        assert len({*service.mailed()[:30], *service.mailed()[-170:]}) == 200


@pytest.mark.parametrize(
    "words", [("sweep",), ("export", "--out", "pending.csv"), ("verify", "RUN")], ids=" ".join
)
async def test_a_wrong_key_ends_what_only_reads_with_one_request_and_the_same_code(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_at(tmp_path, accept_all, 10) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = lambda _: WRONG_KEY
        run = desk.report().name
        refused = await desk.run(*(word.replace("RUN", run) for word in words))
        assert refused.code == 4
        assert "the CA refused the API key from the variable DIGICERT_API_KEY (HTTP" in refused.err
        assert service.requests == 10 + 1
        assert not (tmp_path / "pending.csv").exists()


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

    async with desk_at(tmp_path, answer_to, 60) as (desk, service):
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


async def test_what_a_key_had_no_permission_for_is_left_for_a_next_run(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={FaultName.NO_PERMISSION: 1.0}) as (desk, ca):
        numbers = desk.write_list(20)
        denied = await desk.run("send", "orders.csv")
        assert denied.code == 4, denied.err
        assert "the API key may not do this" in denied.err
        assert ca.books.requests == 5
        ca.fail({})
        again = await desk.run("send", str(desk.report() / "unsent.csv"), "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


@pytest.mark.parametrize(
    ("refusal", "fixed_by"),
    [
        (error(403, "access_denied|missing_permission"), ()),
        (error(400, "invalid_product"), ("--call", "domain-dcv")),
    ],
    ids=["by another role of the key", "by another call, which is counted by itself"],
)
async def test_refused_orders_are_sent_by_the_command_shown_and_no_other_is(
    tmp_path: Path, refusal: bytes, fixed_by: tuple[str, ...]
) -> None:
    def answer_to(asked: Asked) -> bytes:
        return refusal if order_of(asked.path) in ("700003", "700007") else NO_CONTENT

    async with desk_at(tmp_path, answer_to, 10) as (desk, service):
        sent = await desk.run("send", "orders.csv")
        assert (sent.code, len(unsent(desk.report()))) == (3, 0), sent.err
        assert "To send only these again, once the reason is fixed in this list, " in sent.out
        (command,) = re.findall(r"^  batch-resend (send \S+refused.csv.*)$", sent.out, re.M)
        service.answer_to = accept_all
        again = await desk.run(*shlex.split(command), *fixed_by, "--report-dir", "again")
        assert again.code == 0, again.err
        assert service.requests == 10 + read_summary(tmp_path / "again")["orders"]["sent"]
        assert {re.findall(r"70000\d", path)[-1] for path in service.paths("PUT")[10:]} == {
            "700003", "700007",
        }  # fmt: skip


async def test_what_429_held_up_until_the_end_is_to_be_resumed(tmp_path: Path) -> None:
    async with desk_at(tmp_path, lambda _: error(429, "too_many"), 3) as (desk, service):
        stopped = await desk.run("send", "orders.csv", "--patience", "0s")
        assert stopped.code == 4, stopped.err
        assert "attempted, not done: 429 too_many" in stopped.out
        assert "Resume the run, or send what is left" in stopped.out
        (command,) = re.findall(r"^  batch-resend (resume .*)$", stopped.out, re.M)
        service.answer_to = accept_all
        resumed = await desk.run(*shlex.split(command), "--report-dir", "later", "--patience", "1h")
        assert resumed.code == 0, resumed.err


# --- a page is not the CA's word ------------------------------------------------------------------

BLOCKS: dict[str, tuple[bytes, str]] = {
    "a CDN's page under 403": (http(403, BLOCK_PAGE, "text/html"), "Access Denied"),
    "a CDN's page under 503": (http(503, BLOCK_PAGE, "text/html"), "Access Denied"),
    "403 without a body": (http(403), ""),
    "403 with a CDN's JSON": (as_json({"errors": [{"code": 1020, "message": "No"}]}, 403), ""),
    "a proxy's page under 406": (
        http(406, b"<html><head><title>Not Acceptable!</title></head></html>", "text/html"),
        "Not Acceptable!"),
    "a text under 403": (http(403, b"Host not in allowlist", "text/plain"), "allowlist"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "said"), BLOCKS.values(), ids=BLOCKS)
async def test_what_is_not_the_cas_refuses_no_order_and_stops_the_run_after_the_patience(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    async with desk_at(tmp_path, lambda _: answer, 100) as (desk, service):
        stopped = await desk.run("send", "orders.csv", "--patience", "1s")
        assert stopped.code == 4, stopped.err
        # Until it is plain, and a round of probes; 503 may be the CA's own word, and so be chance.
        may_be_the_cas = answer.startswith(b"HTTP/1.1 503")
        assert service.requests <= (20 if may_be_the_cas else 5) + 5
        assert desk.summary()["orders"]["refused"] == 0
        assert len(unsent(desk.report())) == 100
        assert said in stopped.out
        assert may_be_the_cas or "answers in its place" in stopped.out
        service.answer_to = accept_all
        resumed = await desk.run("resume", "--report-dir", "resumed")
        assert resumed.code == 0, resumed.err
        assert len(set(service.mailed()[-100:])) == 100


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
    async with desk_at(tmp_path, lambda _: answer, 50) as (desk, service):
        stopped = await desk.run("send", "orders.csv")
        assert (stopped.code, service.requests) == (4, 1)
        assert service.base_url in stopped.out
        later = answer.replace(b"Content-Length", b"Retry-After: 1\r\nContent-Length", 1)
        start = service.requests
        service.answer_to = lambda asked: (
            later if start + 10 < asked.number <= start + 16 else NO_CONTENT
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
async def test_a_204_and_a_429_stand_whatever_is_wrong_behind_them(
    tmp_path: Path, make: Callable[[int], bytes]
) -> None:
    slow_down = make(429).replace(b"Said\r\n", b"Said\r\nRetry-After: 1\r\n")

    def answer_to(asked: Asked) -> bytes:
        if asked.number <= 5:
            return make(204)
        return slow_down if asked.number == 6 else NO_CONTENT

    async with desk_at(tmp_path, answer_to, 10) as (desk, service):
        sent = await desk.run("send", "orders.csv", "--concurrency", "1")
        assert sent.code == 0, sent.err
        assert desk.summary()["requests"]["rate_limited"] == 1
        assert desk.summary()["requests"]["possible_duplicates"] == 0
        assert service.requests == 11
        assert service.arrivals[6] - service.arrivals[5] >= 1
