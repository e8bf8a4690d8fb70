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
BLOCKED, KEY_REFUSED = Ruling.BLOCKED, Ruling.KEY_REFUSED
INVALID_KEY = "access_denied|access_denied_invalid_key"
INVALID_KEY_SAYS = "Access denied due to access_denied_invalid_key."


# --- statuses and bodies ----------------------------------------------------------------------

ANSWERS: list[tuple[str, int, bytes, Ruling, str | None, str | None]] = [
    ("204 without a body is the documented success", 204, b"", ACCEPTED, None, None),
    ("any other 2xx is a success too", 200, b"", ACCEPTED, None, None),
    ("a 204 stands, whatever stands behind it", 204, b"<html>what?</html>", ACCEPTED, None, None),
    ("the last of the 2xx is a success", 299, b"done", ACCEPTED, None, None),
    ("a 2xx that carries errors acknowledges nothing", 200, error("invalid_email", "No."), REFUSED,
     "invalid_email", "No."),
    ("nor does a 204 that does", 204, error("invalid_email", "No."), REFUSED, "invalid_email",
     "No."),
    ("nor one whose errors cannot be read", 202, b'{"errors": "many"}', REFUSED, None,
     '{"errors": "many"}'),
    ("a 2xx with a list of no errors is a success", 200, errors(), ACCEPTED, None, None),
    ("a 2xx with no errors is a success", 200, b'{"errors": null}', ACCEPTED, None, None),
    ("a 2xx that refuses the key refuses the key", 200, error(INVALID_KEY, INVALID_KEY_SAYS),
     KEY_REFUSED, INVALID_KEY, INVALID_KEY_SAYS),
    ("a 2xx that asks to slow down means wait", 200, error("request_limit_exceeded", "Slow."),
     RATE_LIMITED, "request_limit_exceeded", "Slow."),
    ("a 2xx with an error without a code refuses this order", 200,
     b'{"errors":[{"message":"No."}]}', REFUSED, None, "No."),
    ("a 2xx that knows no order refuses this order", 200, error("not_found|order", "No."), REFUSED,
     "not_found|order", "No."),
    ("a page is no success, whatever its status", 200,
     b" <!DOCTYPE html><title>Welcome</title>", BLOCKED, "page", "Welcome"),
    ("300 is no success", 300, b"", BLOCKED, None, "HTTP 300"),
    ("a redirect that names no target is not the CA's", 304, b"", BLOCKED, None, "HTTP 304"),
    ("300 with a code of the CA's is no word of the CA's", 300, error("not_found|order", "No."),
     BLOCKED, None, "No."),
    ("400 will never pass", 400, error("bad_request_format", "No."), REFUSED,
     "bad_request_format", "No."),
    ("400 with a field's code will never pass", 400, error("invalid_email", "Bad."), REFUSED,
     "invalid_email", "Bad."),
    ("400 without a code of the CA's says nothing of the order", 400, b"", BLOCKED, None,
     "HTTP 400"),
    ("400 of a gateway says nothing of the order", 400, b"<h1>Bad Request</h1>", BLOCKED, "page",
     "Bad Request"),
    ("401 is taken for the key's", 401, error("invalid_api_key", "Wrong key."), KEY_REFUSED,
     "invalid_api_key", "Wrong key."),
    ("401 needs no code", 401, b"", KEY_REFUSED, None, "HTTP 401"),
    ("401 of a gateway says nothing of the key", 401, b"<h1>Log in</h1>", BLOCKED, "page",
     "Log in"),
    ("403 of the key is the key's (recorded in 2023)", 403, error(INVALID_KEY, INVALID_KEY_SAYS),
     KEY_REFUSED, INVALID_KEY, INVALID_KEY_SAYS),
    ("403 of the key is the key's (recorded in 2017)", 403,
     error("access_denied", INVALID_KEY_SAYS), KEY_REFUSED, "access_denied", INVALID_KEY_SAYS),
    ("403 of the key as one object", 403,
     b'{"errors":{"code":"access_denied|access_denied_invalid_key","message":"No."}}',
     KEY_REFUSED, INVALID_KEY, "No."),
    ("403 of the key in any place of the list", 403,
     errors({"code": "other", "message": "A."}, {"code": INVALID_KEY, "message": "B."}),
     KEY_REFUSED, INVALID_KEY, "A.; B."),
    ("403 of the key in capitals", 403, error(INVALID_KEY.upper(), "No."), KEY_REFUSED,
     INVALID_KEY.upper(), "No."),
    ("403 of the key that is cut off behind its code", 403,
     b'{"errors":[{"code":"access_denied|access_denied_invalid_key","mess', KEY_REFUSED,
     INVALID_KEY, "HTTP 403"),
    ("403 refuses this order; whether all, is the run's to find out", 403,
     error("access_denied|missing_permission", "No permission."), REFUSED,
     "access_denied|missing_permission", "No permission."),
    ("403 without a body says nothing of the order", 403, b"", BLOCKED, None, "HTTP 403"),
    ("403 of a CDN says nothing of the order", 403,
     b"<html><head><title>Access Denied</title></head></html>", BLOCKED, "page", "Access Denied"),
    ("403 with a gateway's JSON says nothing of the order", 403, b'{"message":"Forbidden"}',
     BLOCKED, None, '{"message":"Forbidden"}'),
    ("403 with a gateway's number for a code says nothing of the order", 403,
     b'{"errors":[{"code":1020,"message":"Blocked."}]}', BLOCKED, None, "Blocked."),
    ("404 of the order refuses this order", 404, error("not_found|order", "No order."), REFUSED,
     "not_found|order", "No order."),
    ("404 of the route: the URL is wrong for all", 404, error("not_found|route", "No."), HOPELESS,
     "not_found|route", "No."),
    ("a bare not_found is the URL's (page Errors)", 404, error("not_found", "No."), HOPELESS,
     "not_found", "No."),
    ("404 in HTML is not the CA's", 404, HTML_404, BLOCKED, "page", "404 Not Found"),
    ("404 without a body is not the CA's", 404, b"", BLOCKED, None, "HTTP 404"),
    ("404 with a code that says nothing of an order is not known to be its", 404,
     error("no_such_page"), HOPELESS, "no_such_page", "HTTP 404"),
    ("405 of the CA's: the URL is wrong for all", 405, error("method_not_allowed"), HOPELESS,
     "method_not_allowed", "HTTP 405"),
    ("405 of anyone else is not the CA's", 405, b"", BLOCKED, None, "HTTP 405"),
    ("406 of a proxy says nothing of the order", 406, b"<title>Not Acceptable!</title>", BLOCKED,
     "page", "Not Acceptable!"),
    ("407 is a proxy's", 407, b"", BLOCKED, None, "HTTP 407"),
    ("408 is the server's own trouble", 408, b"", UNAVAILABLE, None, "HTTP 408"),
    ("409 refuses this order", 409, error("conflict", "Issued."), REFUSED, "conflict", "Issued."),
    ("422 refuses this order", 422, error("x", "Unprocessable."), REFUSED, "x", "Unprocessable."),
    ("425 is the server's own trouble", 425, b"", UNAVAILABLE, None, "HTTP 425"),
    ("429 means wait", 429, error("request_limit_exceeded", "Service unavailable, please limit"),
     RATE_LIMITED, "request_limit_exceeded", "Service unavailable, please limit"),
    ("429 without a body means wait", 429, b"", RATE_LIMITED, None, "HTTP 429"),
    ("429 of a gateway means wait", 429, b"<h1>Slow down</h1>", RATE_LIMITED, None, "Slow down"),
    ("the limit's code means wait under any status", 503, error("request_limit_exceeded", "Wait."),
     RATE_LIMITED, "request_limit_exceeded", "Wait."),
    ("the limit's code means wait in any place of the list", 400,
     errors({"code": "other", "message": "A."}, {"code": "request_limit_exceeded"}),
     RATE_LIMITED, "request_limit_exceeded", "A."),
    ("451 of a filter says nothing of the order", 451, b"<title>Blocked</title>", BLOCKED, "page",
     "Blocked"),
    ("460: a gateway lost its client, and the CA may have acted", 460, b"", IN_DOUBT, None,
     "HTTP 460"),
    ("499: a gateway lost its client, and the CA may have acted", 499, b"", IN_DOUBT, None,
     "HTTP 499"),
    ("500 may pass", 500, error("server_error", "Sorry."), UNAVAILABLE, "server_error", "Sorry."),
    ("500 is judged by its status even with a code of another one", 500,
     error("not_found|order", "?"), UNAVAILABLE, "not_found|order", "?"),
    ("501: what knows no PUT is not the CA", 501, b"", BLOCKED, None, "HTTP 501"),
    ("502: a gateway had no good answer of the CA, which may have acted", 502, HTML_502, IN_DOUBT,
     None, "502 Bad Gateway"),
    ("503 may pass", 503, error("down", "Maintenance."), UNAVAILABLE, "down", "Maintenance."),
    ("503 of a page may pass too", 503, b"<title>Service is unavailable</title>", UNAVAILABLE,
     None, "Service is unavailable"),
    ("504: a gateway had no answer of the CA, which may have acted", 504, b"", IN_DOUBT, None,
     "HTTP 504"),
    *[(f"{status}: a gateway's word, the CA may have acted", status, b"<title>Oh</title>", IN_DOUBT,
       None, "Oh") for status in (509, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 561, 598,
                                  599, 600, 999)],
    ("511 wants a login to the network", 511, b"", BLOCKED, None, "HTTP 511"),
    ("the old API's description is read as the message", 400,
     errors({"code": "old", "description": "As it was."}), REFUSED, "old", "As it was."),
    ("of several errors all messages are told, and the first code", 400,
     errors({"code": "a", "message": "One."}, {"code": "b", "message": "Two."}), REFUSED,
     "a", "One.; Two."),
    ("an error without a code leaves the word to the next", 404,
     errors({"message": "One."}, {"code": "not_found|order"}), REFUSED, "not_found|order", "One."),
    ("what is no error in the list is left out", 404,
     b'{"errors": [null, "x", {"code": ["odd"]}, {"code": "not_found|order"}]}', REFUSED,
     "not_found|order", "HTTP 404"),
    ("a code without a message is told with the status", 400, error("lonely"), REFUSED,
     "lonely", "HTTP 400"),
    ("a list of no errors says no more than its status", 404, errors(), BLOCKED, None,
     '{"errors": []}'),
    ("JSON null says nothing of the order", 404, b"null", BLOCKED, None, "null"),
    ("errors that are no list say nothing of the order", 400, b'{"errors": "many"}', BLOCKED,
     None, '{"errors": "many"}'),
    ("an error that is no object says nothing of the order", 404, b'{"errors": ["x"]}', BLOCKED,
     None, '{"errors": ["x"]}'),
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
def test_a_redirect_is_not_the_cas_and_its_target_is_shown(status: int) -> None:
    verdict = judge(reply(status, HTML_404, location="https://other.example/login"))
    assert verdict == Verdict(BLOCKED, status, "redirect", "to https://other.example/login", None)


@pytest.mark.parametrize("status", [299, 400])
def test_where_to_go_is_heeded_of_a_redirect_alone(status: int) -> None:
    verdict = judge(reply(status, error("odd", "No."), location="https://other.example/login"))
    assert verdict == Verdict(REFUSED, status, "odd", "No.", None)


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
    FaultKind.STOPPED: UNAVAILABLE,  # never sent
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
        pytest.param(b"", "text/html", BLOCKED, id="a page that broke off"),
        pytest.param(b"Please log in", "text/html", BLOCKED, id="a page of plain words"),
        pytest.param("<p>".encode("utf-16"), None, BLOCKED, id="a page in UTF-16 without a type"),
        pytest.param(b"\xef\xbb\xbf\n<p>", "application/json", BLOCKED, id="a page of any type"),
        pytest.param(b"", "application/json", ACCEPTED, id="the CA's type and nothing in it"),
        pytest.param(b'{"orders": []}', "text/html", ACCEPTED, id="JSON that is called a page"),
        pytest.param(b"{}", None, ACCEPTED, id="no type"),
    ],
)
def test_a_page_is_no_acknowledgement_whatever_it_is_written_in(
    body: bytes, content_type: str | None, ruling: Ruling
) -> None:
    assert judge(Reply(200, body, NOW, content_type=content_type)).ruling is ruling


def test_a_204_has_nothing_in_it_whatever_type_its_server_names() -> None:
    assert judge(Reply(204, b"", NOW, content_type="text/html")).ruling is ACCEPTED
