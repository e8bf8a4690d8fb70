"""What the CA's answers, and its silences, mean: a sentence a row."""

import json
import math
import time
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.certcentral import judge, remedy
from batch_resend.certcentral.judge import MAX_MESSAGE, MAX_PAGE
from batch_resend.model import Fault, FaultKind, Reply, Ruling, Verdict

BASE_URL = "https://ca.example/services/v2"
NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
HTML_404 = b"<html><head><title>404 Not Found</title></head><body><h1>nginx</h1></body></html>"
HTML_502 = b"<html>\r\n<body><center><h1>502 Bad Gateway</h1></center>\r\n</body></html>"

ACCEPTED, REFUSED, UNAVAILABLE = Ruling.ACCEPTED, Ruling.REFUSED, Ruling.UNAVAILABLE
IN_DOUBT = Ruling.IN_DOUBT
RATE_LIMITED, HOPELESS = Ruling.RATE_LIMITED, Ruling.HOPELESS


def errors(*items: object) -> bytes:
    """Return a body in the form of the CA's page "Errors"."""
    return json.dumps({"errors": items}).encode()


def error(code: str | None = None, message: str | None = None) -> bytes:
    said = {"code": code, "message": message}
    return errors({name: text for name, text in said.items() if text is not None})


def reply(
    status: int, body: bytes = b"", *, retry_after: str | None = None, location: str | None = None
) -> Reply:
    return Reply(status, body, NOW, retry_after, location)


def texts_of(verdict: Verdict) -> list[str]:
    return [text for text in (verdict.error_code, verdict.error_message) if text is not None]


def assert_fit_for_a_report(verdict: Verdict) -> None:
    for text in texts_of(verdict):
        assert len(text) <= MAX_MESSAGE
        assert len(text.splitlines()) <= 1
        assert text == text.strip()
        assert not [char for char in text if unicodedata.category(char) == "Cc"]
        text.encode()  # a lone surrogate would stop the journal and every report


# --- statuses and bodies ----------------------------------------------------------------------

ANSWERS: list[tuple[str, int, bytes, Ruling, str | None, str | None]] = [
    ("204 without a body is the documented success", 204, b"", ACCEPTED, None, None),
    ("any other 2xx is a success too", 200, b"", ACCEPTED, None, None),
    ("a success stays one whatever its body says", 202, error("x", "y"), ACCEPTED, None, None),
    ("the last of the 2xx is a success", 299, b"done", ACCEPTED, None, None),
    ("a page is no success, whatever its status: the URL is wrong", 200,
     b" <!DOCTYPE html><title>Welcome</title>", HOPELESS, None, "Welcome"),
    ("300 is no success", 300, b"", HOPELESS, None, "HTTP 300"),
    ("a redirect that names no target cannot be the CA", 304, b"", HOPELESS, None, "HTTP 304"),
    ("400 will never pass", 400, error("bad_request_format", "No."), REFUSED,
     "bad_request_format", "No."),
    ("400 with a field's code will never pass", 400, error("invalid_email", "Bad."), REFUSED,
     "invalid_email", "Bad."),
    ("401 concerns every request", 401, error("invalid_api_key", "Wrong key."), HOPELESS,
     "invalid_api_key", "Wrong key."),
    ("401 needs no code", 401, b"", HOPELESS, None, "HTTP 401"),
    ("401 of a gateway concerns every request too", 401, b"<h1>Log in</h1>", HOPELESS, None,
     "Log in"),
    ("403 refuses this order; whether all, is the run's to find out", 403,
     error("access_denied|missing_permission", "No permission."), REFUSED,
     "access_denied|missing_permission", "No permission."),
    ("403 without a body refuses this order", 403, b"", REFUSED, None, "HTTP 403"),
    ("404 of the order refuses this order", 404, error("not_found|order", "No order."), REFUSED,
     "not_found|order", "No order."),
    ("404 of the route: the URL is wrong for all", 404, error("not_found|route", "No."), HOPELESS,
     "not_found|route", "No."),
    ("404 in HTML is not the CA's: the URL is wrong for all", 404, HTML_404, HOPELESS, None,
     "404 Not Found"),
    ("404 without a body is not the CA's", 404, b"", HOPELESS, None, "HTTP 404"),
    ("404 with a code that says nothing of an order is not known to be its", 404,
     error("no_such_page"), HOPELESS, "no_such_page", "HTTP 404"),
    ("405: the URL is wrong for all", 405, b"", HOPELESS, None, "HTTP 405"),
    ("408 is the server's own trouble", 408, b"", UNAVAILABLE, None, "HTTP 408"),
    ("409 refuses this order", 409, error("conflict", "Issued."), REFUSED, "conflict", "Issued."),
    ("422 refuses this order", 422, error("x", "Unprocessable."), REFUSED, "x", "Unprocessable."),
    ("425 is the server's own trouble", 425, b"", UNAVAILABLE, None, "HTTP 425"),
    ("429 means wait", 429, error("request_limit_exceeded", "Service unavailable, please limit"),
     RATE_LIMITED, "request_limit_exceeded", "Service unavailable, please limit"),
    ("429 without a body means wait", 429, b"", RATE_LIMITED, None, "HTTP 429"),
    ("429 of a gateway means wait", 429, b"<h1>Slow down</h1>", RATE_LIMITED, None, "Slow down"),
    ("500 may pass", 500, error("server_error", "Sorry."), UNAVAILABLE, "server_error", "Sorry."),
    ("500 is judged by its status even with a code of another one", 500,
     error("not_found|order", "?"), UNAVAILABLE, "not_found|order", "?"),
    ("501: what knows no PUT is not the CA", 501, b"", HOPELESS, None, "HTTP 501"),
    ("502: a gateway had no good answer of the CA, which may have acted", 502, HTML_502, IN_DOUBT,
     None, "502 Bad Gateway"),
    ("503 may pass", 503, error("down", "Maintenance."), UNAVAILABLE, "down", "Maintenance."),
    ("504: a gateway had no answer of the CA, which may have acted", 504, b"", IN_DOUBT, None,
     "HTTP 504"),
    ("599 may pass", 599, b"", UNAVAILABLE, None, "HTTP 599"),
    ("the old API's description is read as the message", 400,
     errors({"code": "old", "description": "As it was."}), REFUSED, "old", "As it was."),
    ("of several errors all messages are told, and the first code", 400,
     errors({"code": "a", "message": "One."}, {"code": "b", "message": "Two."}), REFUSED,
     "a", "One.; Two."),
    ("an error without a code leaves the word to the next", 404,
     errors({"message": "One."}, {"code": "not_found|order"}), REFUSED, "not_found|order", "One."),
    ("a code without a message is told with the status", 400, error("lonely"), REFUSED,
     "lonely", "HTTP 400"),
    ("a list of no errors says no more than its status", 404, errors(), HOPELESS, None, "HTTP 404"),
    ("JSON null is judged by its status", 404, b"null", HOPELESS, None, "null"),
    ("errors that are no list are judged by their status", 400, b'{"errors": "many"}', REFUSED,
     None, '{"errors": "many"}'),
    ("an error that is no object is judged by its status", 404, b'{"errors": ["x"]}', HOPELESS,
     None, '{"errors": ["x"]}'),
    ("a number as the code is its digits", 400, b'{"errors":[{"code":7,"message":"n"}]}', REFUSED,
     "7", "n"),
    ("invalid UTF-8 spoils only the bad letters", 404,
     b'{"errors":[{"code":"not_found|order","message":"caf\xe9"}]}', REFUSED, "not_found|order",
     "caf\ufffd"),
    ("scripts and styles of a page are not what it says", 500,
     b"<style>p{color:red}</style><p>Oh&nbsp;no</p><script>alert(1)</script>", UNAVAILABLE, None,
     "Oh no"),
    ("a plain text is told as it is", 500, b"  upstream\r\n\tfailed ", UNAVAILABLE, None,
     "upstream failed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "ruling", "code", "message"),
    [pytest.param(*row[1:], id=row[0]) for row in ANSWERS],
)
def test_an_answer_means(
    status: int, body: bytes, ruling: Ruling, code: str | None, message: str | None
) -> None:
    assert judge(reply(status, body)) == Verdict(ruling, status, code, message, None)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_hopeless_and_its_target_is_told(status: int) -> None:
    verdict = judge(reply(status, HTML_404, location="https://other.example/login"))
    assert verdict == Verdict(HOPELESS, status, "redirect", "to https://other.example/login", None)


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
    is_page = body.lstrip().startswith(b"<")
    assert (verdict.ruling is ACCEPTED) == (200 <= status <= 299 and not is_page)
    assert (verdict.ruling is IN_DOUBT) == (status in (502, 504))  # else there was an answer
    assert verdict.ruling is ACCEPTED or verdict.error_message
    assert_fit_for_a_report(verdict)


# --- how long to wait -------------------------------------------------------------------------


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in a time zone in which a date mistaken for a local one is seen."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "FAR5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 5 ", 5.0, id="seconds with blanks around"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param("Wed, 21 Oct 2015 07:29:30 GMT", 90.0, id="a date to come"),
        pytest.param("Wed, 21 Oct 2015 07:27:59 GMT", 0.0, id="a date gone by is at once"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, id="a date long gone is at once"),
        pytest.param("Wed, 21 Oct 2015 09:29:00 +0200", 60.0, id="a date of another zone"),
        pytest.param("Wed, 21 Oct 2015 07:29:00", 60.0, id="a date without a zone is in GMT"),
        pytest.param("Wed, 21 Oct 2015 07:29:00 -0000", 60.0, id="a date of an unknown zone"),
        pytest.param("Wednesday, 21-Oct-15 07:29:00 GMT", 60.0, id="a date as of RFC 850"),
        pytest.param("Wed Oct 21 07:29:00 2015", 60.0, id="a date as of asctime"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("far_from_greenwich")
def test_retry_after_is_told_in_seconds_from_the_answer(
    status: int, text: str, seconds: float
) -> None:
    assert judge(reply(status, retry_after=text)).retry_after_s == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "-1", "1.5", "1e3", "inf", "nan", "12 s", "1, 2", "٣", "²", "\udcff", "Wed",
     "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 99:99:99 GMT", "\x00"],
)  # fmt: skip
def test_a_retry_after_of_no_known_form_is_not_heeded(text: str) -> None:
    assert judge(reply(503, retry_after=text)).retry_after_s is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Mon, 01 Jan 99999999999 00:00:00 GMT", id="a year beyond all"),
        pytest.param("Mon, 01 Jan 2030 00:00:00 +9999999999999999", id="a zone beyond all"),
        pytest.param("9" * 400, id="seconds beyond all"),
    ],
)
def test_an_absurd_retry_after_is_no_exception_and_no_endless_wait(text: str) -> None:
    seconds = judge(reply(503, retry_after=text)).retry_after_s
    assert seconds is None or math.isfinite(seconds)


# --- no answer at all -------------------------------------------------------------------------

SILENCES = {
    FaultKind.NO_SUCH_HOST: UNAVAILABLE,  # never sent
    FaultKind.NOT_CONNECTED: UNAVAILABLE,  # never sent
    FaultKind.PROXY_REFUSED: UNAVAILABLE,  # never sent
    FaultKind.TLS_REFUSED: UNAVAILABLE,  # never sent
    FaultKind.LOST: Ruling.IN_DOUBT,
    FaultKind.TIMED_OUT: Ruling.IN_DOUBT,
    FaultKind.GARBLED: Ruling.IN_DOUBT,
}


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_is_in_doubt_just_where_the_request_may_have_arrived(kind: FaultKind) -> None:
    assert judge(Fault(kind, "why")) == Verdict(SILENCES[kind], None, kind, "why", None)
    assert kind.may_have_arrived == (SILENCES[kind] is Ruling.IN_DOUBT)


@given(st.sampled_from(FaultKind), st.text(max_size=2000))
def test_any_detail_of_a_fault_gives_a_verdict_fit_for_a_report(
    kind: FaultKind, detail: str
) -> None:
    assert_fit_for_a_report(judge(Fault(kind, detail)))


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
            [BASE_URL, "redirect", "302", "not followed", "--base-url", "--region"],
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


@pytest.mark.parametrize(
    ("body", "content_type", "ruling"),
    [
        pytest.param(b"", "text/html", HOPELESS, id="a page that broke off"),
        pytest.param(b"Please log in", "text/html", HOPELESS, id="a page of plain words"),
        pytest.param("<p>".encode("utf-16"), None, HOPELESS, id="a page in UTF-16 without a type"),
        pytest.param(b"\xef\xbb\xbf\n<p>", "application/json", HOPELESS, id="a page of any type"),
        pytest.param(b"", "application/json", ACCEPTED, id="the CA's type and nothing in it"),
        pytest.param(b"{}", None, ACCEPTED, id="no type"),
    ],
)
def test_a_page_is_no_acknowledgement_whatever_it_is_written_in(
    body: bytes, content_type: str | None, ruling: Ruling
) -> None:
    assert judge(Reply(200, body, NOW, content_type=content_type)).ruling is ruling
