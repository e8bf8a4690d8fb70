"""Whatever breaks under a call: one request, a truthful fault, and never a second request."""

import asyncio
import contextlib
import time

import pytest

from batch_resend.certcentral import judge
from batch_resend.certcentral.client import MAX_BODY_BYTES
from batch_resend.model import Entry, Fault, FaultKind, Reply, Request, Ruling
from tests.certcentral.conftest import (
    KEY,
    LONG_S,
    ORDER,
    SHORT_S,
    ca_at,
    calls,
    order,
    ours,
)
from tests.certcentral.fault_server import (
    NO_CONTENT,
    FaultServer,
    Step,
    Visit,
    answer,
    closes_after_head,
    closes_at_once,
    closes_within_body,
    drips,
    drops,
    drops_every,
    floods,
    hangs,
    hangs_after_head,
    hangs_at_once,
    hangs_within_body,
    in_turn,
    resets,
    resets_after_head,
    resets_at_once,
    says,
    says_and_closes,
    says_and_resets,
    says_later,
)

LOST, TIMED_OUT, GARBLED = FaultKind.LOST, FaultKind.TIMED_OUT, FaultKind.GARBLED
HEAD_503 = b"HTTP/1.1 503 Said\r\nRetry-After: 9\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 500 Said\r\nTransfer-Encoding: chunked\r\n\r\n"

# A sentence, what the server does, what the call gives, whether it waits its time out.
BREAKS: list[tuple[str, Step, FaultKind | int, bool]] = [
    ("stops after accept", hangs_at_once, TIMED_OUT, True),
    ("closes after accept", closes_at_once, LOST, False),
    ("resets after accept", resets_at_once, LOST, False),
    ("stops after the headers", hangs_after_head, TIMED_OUT, True),
    ("closes after the headers", closes_after_head, LOST, False),
    ("resets after the headers", resets_after_head, LOST, False),
    ("stops within the body", hangs_within_body, TIMED_OUT, True),
    ("closes within the body", closes_within_body, LOST, False),
    ("reads all and never answers", hangs, TIMED_OUT, True),
    ("reads all and closes", drops, LOST, False),
    ("reads all and resets", resets, LOST, False),
    ("closes within the status line", says_and_closes(b"HTTP/1.1 20"), LOST, False),
    # Once a status line has come, the status stands, whatever is wrong behind it.
    ("closes after the status line", says_and_closes(b"HTTP/1.1 204 OK\r\n"), 204, False),
    ("closes within the headers", says_and_closes(b"HTTP/1.1 204 OK\r\nServ"), 204, False),
    ("resets within the headers", says_and_resets(b"HTTP/1.1 429 Wait\r\nServ"), 429, False),
    ("closes within the answer's body", says_and_closes(HEAD_503 + b"half"), 503, False),
    ("closes within a chunk", says_and_closes(CHUNKED + b"ff\r\nhalf"), 500, False),
    ("garbles a chunk", says(CHUNKED + b"zz\r\nhalf"), 500, False),
    ("gives 204 a body all the same", says(answer(204, b"{}")), 204, False),
    ("gives 204 a chunk all the same",
     says(b"HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), 204, False),
    ("gives 204 a body later on",
     says_later(b"HTTP/1.1 204 N\r\nContent-Length: 2\r\n\r\n", b"{}"), 204, False),
    ("names too long a length for a 204", says_and_closes(
        b"HTTP/1.1 204 N\r\nContent-Length: 99\r\n\r\n"), 204, False),
    ("names too short a length", says(b"HTTP/1.1 429 W\r\nContent-Length: 2\r\n\r\n{'no': 1}"),
     429, False),
    ("names two lengths",
     says(b"HTTP/1.1 429 W\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 429, False),
    ("answers a header of 9 KB", says(b"HTTP/1.1 204 N\r\nX: %s\r\n\r\n" % (b"x" * 9_000)), 204,
     False),
    ("answers 150 headers", says(b"HTTP/1.1 204 N\r\n%s\r\n" % (b"X: y\r\n" * 150)), 204, False),
    ("answers 2,000 headers", says(b"HTTP/1.1 204 N\r\n%s\r\n" % (b"X: y\r\n" * 2_000)), 204,
     False),
    ("names a header as no standard allows", says(b"HTTP/1.1 204 N\r\nX(y): z\r\n\r\n"), 204,
     False),
    ("names a header without a colon", says(b"HTTP/1.1 429 W\r\nwhat is this\r\n\r\n"), 429, False),
    ("has letters of no encoding in a header",
     says(b"HTTP/1.1 204 N\r\nX: \xff\xfe\x01\r\n\r\n"), 204, False),
    ("encodes as nobody can read",
     says(answer(429, b"\x1b\x03", "Content-Encoding: br")), 429, False),
    ("encodes as nobody has heard of",
     says(answer(429, b"\x1b\x03", "Content-Encoding: x-own")), 429, False),
    ("says what is meanwhile, then what is wrong",
     says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 N\r\nX(y): z\r\n\r\n"), 204, False),
    ("answers what cannot be unzipped",
     says(answer(500, b"no gzip", "Content-Encoding: gzip")), 500, False),
    ("answers garbage", says_and_closes(b"\x15\x03\x01 this is not HTTP\r\n\r\n"), GARBLED, False),
    ("answers garbage and stays", says(b"\xff\xfe\x00\x1b[31m what?"), GARBLED, False),
    ("is of another protocol", says(b"SSH-2.0-OpenSSH_9.6\r\n"), GARBLED, False),
    ("names a length that is none", says(b"HTTP/1.1 204 N\r\nContent-Length: x\r\n\r\n"),
     204, False),
    ("answers a huge header", says(b"HTTP/1.1 204 N\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
     204, False),
    ("answers headers without an end", floods(b"HTTP/1.1 204 N\r\n", b"X: y\r\n" * 50),
     204, False),
    ("answers a status line without an end", floods(b"HTTP/1.1 204 ", b"x" * 999), GARBLED, False),
    ("answers interim answers without an end", floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
     TIMED_OUT, True),
    ("answers a body without an end", floods(b"HTTP/1.1 500 Said\r\n\r\n", b"x" * 9999),
     500, False),
    ("answers chunks without an end", floods(CHUNKED, b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
     500, False),
    ("drips its status line", drips(b"HTTP/1.1 204 ", b"x", 0.02), TIMED_OUT, True),
    ("drips its headers", drips(b"HTTP/1.1 204 N\r\n", b"X: y\r\n", 0.02), 204, True),
    ("drips its body", drips(HEAD_503, b"x", 0.02), 503, True),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "expected", "waits"), [pytest.param(*row[1:], id=row[0]) for row in BREAKS]
)
async def test_one_request_leaves_and_a_fault_is_never_told_as_less_than_it_is(
    step: Step, expected: FaultKind | int, waits: bool
) -> None:
    timeout_s = SHORT_S if waits else LONG_S
    async with FaultServer(step) as server, ca_at(server.base_url, timeout_s) as ca:
        begun = time.monotonic()
        result = await ca.resend(ORDER)
        took_s = time.monotonic() - begun
        assert server.connections == 1
        assert server.requests == (step not in (hangs_at_once, closes_at_once, resets_at_once))
        if isinstance(result, Fault):
            assert result.kind is expected
            assert result.kind.may_have_arrived
            assert judge(result).ruling is Ruling.IN_DOUBT
            assert result.detail
            assert KEY not in result.detail
        else:
            assert result.status == expected
            assert len(result.body) <= MAX_BODY_BYTES
    assert (SHORT_S <= took_s < 5 * SHORT_S) if waits else took_s < LONG_S / 2


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [step for _, step, _, _ in BREAKS], ids=[r[0] for r in BREAKS])
async def test_a_call_after_a_broken_one_has_a_connection_and_an_answer_of_its_own(
    step: Step,
) -> None:
    async def once(visit: Visit) -> None:
        if visit.server.connections == 1 and visit.turn == 1:
            await step(visit)
        else:
            await says(answer(422, b"mine"))(visit)

    async with FaultServer(once) as server, ca_at(server.base_url) as ca:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):  # cancelled from outside, where it hangs
                await ca.resend(ORDER)
        result = await ca.resend(ORDER)
    assert isinstance(result, Reply)
    assert (result.status, result.body) == (422, b"mine")


# --- large requests ---------------------------------------------------------------------------

LARGE = Request(
    "7", None, tuple(Entry(f"{n}.example", f"admin@{n}.example") for n in range(15_000))
)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        pytest.param(hangs_after_head, TIMED_OUT, id="stops reading"),
        pytest.param(closes_after_head, LOST, id="closes"),
        pytest.param(resets_after_head, LOST, id="resets"),
    ],
)
async def test_a_request_that_could_not_be_written_whole_may_have_arrived(
    step: Step, expected: FaultKind
) -> None:
    timeout_s = SHORT_S if expected is TIMED_OUT else LONG_S
    async with FaultServer(step) as server, ca_at(server.base_url, timeout_s) as ca:
        result = await ca.resend(LARGE)
        assert isinstance(result, Fault)
        assert result.kind is expected
        assert server.requests == server.connections == 1


# --- never twice ------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", [1, 8, 30])
async def test_of_calls_that_are_mailed_and_dropped_the_server_sees_one_request_each(
    workers: int,
) -> None:
    async with FaultServer(drops_every(5)) as server, ours(server) as put:
        answered = await calls(put, 150, workers)
        assert server.requests == server.mails == 150
        assert len({head.split(b" ")[1] for head in server.heads}) == 150
        assert 150 * 4 // 5 <= answered < 150  # the dropped ones, and only they, are in doubt


@pytest.mark.asyncio
async def test_a_kept_connection_closed_as_the_next_call_leaves_is_in_doubt_and_not_repeated() -> (
    None
):
    async with FaultServer(says(NO_CONTENT)) as server, ca_at(server.base_url) as ca:
        assert isinstance(await ca.resend(order(1)), Reply)
        (kept,) = server.open
        kept.close()  # the client cannot know yet: the loop has not turned
        result = await ca.resend(order(2))
        assert isinstance(result, Fault)
        assert result.kind is LOST
        assert server.requests == server.connections == 1
        assert isinstance(await ca.resend(order(3)), Reply)


@pytest.mark.asyncio
async def test_a_kept_connection_known_to_be_closed_is_not_used_so_nothing_is_in_doubt() -> None:
    async with FaultServer(says(NO_CONTENT)) as server, ca_at(server.base_url) as ca:
        for number in range(3):
            assert isinstance(await ca.resend(order(number)), Reply)
            for kept in server.open:
                kept.close()
            async with asyncio.timeout(LONG_S):
                while server.open:  # noqa: ASYNC110 - the server has no event to tell of it
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)  # the client's side of the loop learns of it
        assert server.requests == server.connections == 3


# --- an answer that nobody asked for ----------------------------------------------------------


@pytest.mark.asyncio
async def test_two_answers_in_one_breath_answer_one_call() -> None:
    async with (
        FaultServer(in_turn(says(NO_CONTENT + NO_CONTENT), drops)) as server,
        ca_at(server.base_url) as ca,
    ):
        assert isinstance(await ca.resend(order(1)), Reply)
        assert isinstance(await ca.resend(order(2)), Fault)


@pytest.mark.asyncio
async def test_an_answer_on_an_idle_connection_is_not_the_next_calls() -> None:
    async def twice(visit: Visit) -> None:
        await visit.mail()
        await visit.send(NO_CONTENT)
        await asyncio.sleep(0.02)  # a packet of its own, once the connection is idle
        await visit.send(NO_CONTENT)

    async with (
        FaultServer(in_turn(twice, closes_after_head)) as server,
        ca_at(server.base_url) as ca,
    ):
        assert isinstance(await ca.resend(order(1)), Reply)
        await asyncio.sleep(0.1)  # nothing tells a client that an idle connection has spoken
        assert isinstance(await ca.resend(order(2)), Fault)  # nobody acted on it
        assert server.mails == 1


# --- what a person reads of it ----------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_status_line_that_breaks_off_is_told_in_words_without_python_objects() -> None:
    half = b"HTTP/1.1 20"
    async with FaultServer(says_and_closes(half)) as server, ca_at(server.base_url) as ca:
        result = await ca.resend(ORDER)
    assert isinstance(result, Fault)
    assert "RawResponseMessage" not in result.detail


REPEATED: dict[str, bytes] = {
    "an error that repeats the key": answer(
        401, b'{"errors":[{"code":"invalid_api_key","message":"%s is no key"}]}' % KEY.encode()
    ),
    "an error code that repeats the key": answer(
        400, b'{"errors":[{"code":"%s","message":"no"}]}' % KEY.encode()
    ),
    "a page that shows the request": answer(500, b"<pre>X-DC-DEVKEY: %s</pre>" % KEY.encode()),
    "a page that escapes it": answer(
        500, b"<pre>%s</pre>" % "".join(f"&#{ord(letter)};" for letter in KEY).encode()
    ),
    "JSON that escapes it": answer(
        400,
        b'{"errors":[{"message":"%s"}]}'
        % "".join(f"\\u{ord(letter):04x}" for letter in KEY).encode(),
    ),
    "a page that is cut off within it": answer(500, (" " * 1990 + KEY).encode()),
    "a redirect that repeats the key": answer(302, b"", f"Location: https://a.example/?key={KEY}"),
    "garbage that begins with the key's header": b"X-DC-DEVKEY: %s\r\n\r\n" % KEY.encode(),
    "a header that no parser takes": b"HTTP/1.1 204 N\r\nX: %s\x00\r\n\r\n" % KEY.encode(),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("said", REPEATED.values(), ids=REPEATED)
async def test_a_server_that_repeats_the_key_does_not_bring_it_into_the_report(
    said: bytes,
) -> None:
    async with FaultServer(says_and_closes(said)) as server, ca_at(server.base_url) as ca:
        verdict = ca.judge(await ca.resend(ORDER))
    assert KEY not in repr(verdict)
    assert KEY[:8] not in repr(verdict)


LISTED = b'{"orders": [], "page": {"total": 0}}'
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "given"),
    [
        pytest.param(says_and_closes(CUT_OFF + LISTED), LOST, id="closes within the body"),
        pytest.param(drips(CUT_OFF, b"x", 0.02), TIMED_OUT, id="stops within the body"),
        pytest.param(says_and_closes(HEAD_503 + b"half"), 503, id="closes within an error"),
        pytest.param(says(answer(200, LISTED)), 200, id="says it all"),
    ],
)
async def test_what_is_read_is_whole_or_no_answer_at_all(
    step: Step, given: FaultKind | int
) -> None:
    async with FaultServer(step) as server, ca_at(server.base_url, SHORT_S) as ca:
        result = await ca.get("/order/certificate")
        if isinstance(given, FaultKind):
            assert isinstance(result, Fault)
            assert result.kind is given
        else:
            assert isinstance(result, Reply)
            assert result.status == given
