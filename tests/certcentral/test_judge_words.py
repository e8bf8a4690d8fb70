"""What a person is told of an answer: bounded, printable, without the key, with a remedy."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.certcentral import judge
from batch_resend.certcentral.judge import MAX_MESSAGE, MAX_PAGE, remedy
from batch_resend.model import Fault, FaultKind, Reply, Ruling
from tests.certcentral.answers import (
    HTML_404,
    assert_fit_for_a_report,
    error,
    errors,
    reply,
)

BASE_URL = "https://ca.example/services/v2"
ACCEPTED, REFUSED, UNAVAILABLE = Ruling.ACCEPTED, Ruling.REFUSED, Ruling.UNAVAILABLE
IN_DOUBT = Ruling.IN_DOUBT
RATE_LIMITED, HOPELESS = Ruling.RATE_LIMITED, Ruling.HOPELESS


# --- what would spoil a report ----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(error("c" * 9999, "m" * 99999), id="a giant code and message"),
        pytest.param(b"<p>" + b"x" * 1_000_000, id="a giant page"),
        pytest.param(b"<title>" + b"x" * 100_000 + b"</title>", id="a giant title"),
        pytest.param(errors(*({"message": "again"},) * 5000), id="five thousand errors"),
        pytest.param(b"[" * 100_000, id="deep JSON that never closes"),
        pytest.param(b'{"errors":' * 5000 + b"1" + b"}" * 5000, id="deep JSON that does"),
        pytest.param(b'{"errors":[{"code":' + b"9" * 10_000 + b"}]}", id="a giant number"),
        pytest.param(error("a\x1b[31mb", "\x1b]0;title\x07red\x1b[0m\x9b2J"), id="escape codes"),
        pytest.param(error("a\x00b", "\x00\x7f\x80\x85\x9f"), id="control characters"),
        pytest.param(error("a\r\nb", "one\r\ntwo\u2028three\u2029four\x0b\x0cfive"), id="lines"),
        pytest.param(b"<title>\x1b[2J&#27;[2J&#x9b;2J&#10;&#0;</title>", id="escapes in HTML"),
        pytest.param(b"\x1b[31mplain\x1b[0m\r\n\x07text", id="escape codes in plain text"),
        pytest.param(bytes(range(256)), id="every byte"),
        pytest.param(b'{"errors":[{"message":"\\ud800"}]}', id="half a character in JSON"),
        pytest.param(b"<p>&#xd800;&#1114112;", id="half a character in HTML"),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 500])
def test_whatever_is_said_fits_on_one_bounded_line_of_a_report(status: int, body: bytes) -> None:
    verdict = judge(reply(status, body))
    assert verdict.error_message
    assert_fit_for_a_report(verdict)


def test_a_long_message_is_kept_to_its_bound_and_says_that_it_was_cut() -> None:
    long = judge(reply(400, error("c", "x" * (MAX_MESSAGE + 1)))).error_message
    assert long == "x" * (MAX_MESSAGE - 3) + "..."
    just = judge(reply(400, error("c", "x" * MAX_MESSAGE))).error_message
    assert just == "x" * MAX_MESSAGE


def test_a_code_of_nothing_printable_is_no_code() -> None:
    assert judge(reply(400, error("\x1b\x00", "m"))).error_code is None


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(reply(302, location="http://\udcff/"), id="in a redirect's target"),
        pytest.param(Fault(FaultKind.LOST, "\udcff"), id="in a fault's detail"),
    ],
)
def test_bytes_of_a_header_that_are_no_text_can_be_written_to_a_report(
    result: Reply | Fault,
) -> None:
    # aiohttp gives such bytes as lone surrogates.
    assert_fit_for_a_report(judge(result))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
error_items = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("code", "message", "description"), st.text() | json_values)
)
bodies = (
    st.binary(max_size=300)
    | st.text().map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.lists(error_items, max_size=3).map(lambda items: errors(*items))
    | st.lists(st.sampled_from(["<title>", "</title>", "<script>", "&#27;", "<", ">", "x", "\x1b"]))
    .map(lambda parts: "".join(parts).encode())
)  # fmt: skip


@given(st.integers(100, 599), bodies, st.none() | st.text(), st.none() | st.text())
def test_any_status_and_any_bytes_give_a_verdict_fit_for_a_report(
    status: int, body: bytes, retry_after: str | None, location: str | None
) -> None:
    verdict = judge(reply(status, body, retry_after=retry_after, location=location))
    assert verdict.http_status == status
    says_nothing = status == 204 or not body.lstrip().startswith(b"<")
    if verdict.ruling is ACCEPTED:
        assert 200 <= status <= 299
        assert says_nothing
    if 200 <= status <= 299 and says_nothing and b"errors" not in body:
        assert verdict.ruling is ACCEPTED
    assert (verdict.ruling is IN_DOUBT) <= (status >= 500 or status in (460, 499))
    assert (verdict.ruling is IN_DOUBT) >= (status in (502, 504, *range(520, 600)))
    assert verdict.ruling is ACCEPTED or verdict.error_message
    assert_fit_for_a_report(verdict)


# --- what to do -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "words"),
    [
        pytest.param(
            reply(401, error("invalid_api_key", "?")),
            ["refused the API key", "401", "invalid_api_key", "revoked or expired", "--region"],
            id="a refused key: look at the key and its region",
        ),
        pytest.param(
            reply(302, location="https://other.example/"),
            [
                BASE_URL,
                "HTTP 302 to https://other.example/",
                "not followed",
                "--base-url",
                "--region",
            ],
            id="a redirect: look at the URL",
        ),
        pytest.param(
            reply(404, error("not_found|route", "?")),
            [BASE_URL, "404", "not_found|route", "--base-url", "--region"],
            id="no such route: look at the URL",
        ),
        pytest.param(
            reply(404, HTML_404),
            [BASE_URL, "404", "404 Not Found", "--base-url"],
            id="somebody else's 404: look at the URL, and what the page says is told",
        ),
        pytest.param(reply(405), [BASE_URL, "405", "--base-url"], id="405: look at the URL"),
        pytest.param(
            reply(403, error("access_denied|missing_permission", "?")),
            ["API key", "403", "access_denied|missing_permission", "permission", "division"],
            id="no permission: give the key one",
        ),
        pytest.param(
            Fault(FaultKind.NO_SUCH_HOST, "no such name"),
            [BASE_URL, "cannot be reached", "no such name", "--base-url"],
            id="no such host: look at the URL",
        ),
        pytest.param(
            Fault(FaultKind.TLS_REFUSED, "self-signed certificate"),
            [BASE_URL, "cannot be reached", "self-signed certificate", "--base-url"],
            id="no trusted connection: look at the URL, and the reason is told",
        ),
    ],
)
def test_the_remedy_says_what_was_said_and_what_to_do(
    result: Reply | Fault, words: list[str]
) -> None:
    text = remedy(judge(result), BASE_URL)
    assert [word for word in words if word not in text] == []
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_the_remedy_for_an_answer_without_a_word_says_its_status_once(status: int) -> None:
    assert remedy(judge(reply(status)), BASE_URL).count(str(status)) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_a_hostile_answer_makes_no_hostile_remedy(status: int) -> None:
    hostile = error("\x1b[2J" * 500, "\x1b]0;x\x07\r\n" * 500)
    text = remedy(judge(reply(status, hostile, location="/\x1b[2J\r\n" * 500)), BASE_URL)
    assert not [char for char in text if unicodedata.category(char) == "Cc"]
    assert len(text) < MAX_MESSAGE + 300


SECRET = "A1B2C3D4E5F6G7H8"
REPEATS: dict[str, Reply | Fault] = {
    "code": reply(400, error(f"bad {SECRET}", "No.")),
    "message": reply(400, error("bad", f"{SECRET} is no key, {SECRET}!")),
    "page": reply(500, f"<h1>{SECRET}</h1>".encode()),
    "page that is cut off": reply(500, (" " * (MAX_PAGE - 8) + SECRET).encode()),
    "redirect": reply(302, b"", location=f"https://a.example/?k={SECRET}"),
    "fault": Fault(FaultKind.GARBLED, f"header {SECRET}"),
}


@pytest.mark.parametrize("result", REPEATS.values(), ids=REPEATS)
def test_a_key_that_an_answer_repeats_is_not_in_the_verdict(result: Reply | Fault) -> None:
    said = repr(judge(result, SECRET))
    assert SECRET[:8] not in said
    assert "[API key]" in said
    assert judge(result, "another-key") == judge(result)


def test_what_only_looks_like_the_beginning_of_a_key_stays() -> None:
    answer = reply(400, error("bad", "the code was A1B2"))
    assert judge(answer, SECRET).error_message == "the code was A1B2"


@pytest.mark.parametrize("length", range(5, len(SECRET) + 1))
def test_a_key_that_is_cut_off_anywhere_is_not_in_the_verdict(length: int) -> None:
    answer = reply(400, error("bad", f"the key is {SECRET[:length]}"))
    assert judge(answer, SECRET).error_message == "the key is [API key]"
