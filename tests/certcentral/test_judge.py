"""What the CA's answers, and its silences, mean: a sentence a row."""

import math
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.certcentral import judge
from batch_resend.model import Fault, FaultKind, Reply, Ruling, Verdict
from tests.certcentral.answers import (
    HTML_404,
    NOW,
    assert_fit_for_a_report,
    error,
    errors,
    reply,
)

HTML_502 = b"<html>\r\n<body><center><h1>502 Bad Gateway</h1></center>\r\n</body></html>"

ACCEPTED, REFUSED, UNAVAILABLE = Ruling.ACCEPTED, Ruling.REFUSED, Ruling.UNAVAILABLE
IN_DOUBT = Ruling.IN_DOUBT
RATE_LIMITED, HOPELESS = Ruling.RATE_LIMITED, Ruling.HOPELESS


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
