"""Reply or fault -> verdict: what an answer means, in one pure function.

Statuses and codes are those of the CA's page "Errors" (dev.digicert.com) and of recorded answers.
Only the CA speaks for the CA: an answer without a code of the CA's, such as a proxy's or a CDN's
page, says nothing of an order (`Ruling.BLOCKED`), whatever its status.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from html import unescape
from typing import NamedTuple

from pydantic_core import from_json

from batch_resend.certcentral.contract import ErrorBody
from batch_resend.explanations import KEY_MAY_NOT, KEY_REFUSED, explain
from batch_resend.model import Fault, Reply, Ruling, Verdict

MAX_MESSAGE = 500  # characters of what the CA says that are kept
MAX_PAGE = 2_000  # characters of a page that are looked at: the patterns are not linear
LONGEST_WAIT_S = 7 * 86_400.0  # beyond what anybody waits: of a longer one no more is read

PAGE = "page"  # the code of an answer that is an HTML page and no answer of the CA's
REDIRECT = "redirect"
# A recording of 2023 has this as the code under 403, after "access_denied|"; one of 2017 has it in
# the message alone.
_WRONG_KEY = "access_denied_invalid_key"
KEY_CODE = f"access_denied|{_WRONG_KEY}"
_TOO_MANY = "request_limit_exceeded"
_CODE = re.compile(r".*[A-Za-z]")  # the CA's codes are words; a gateway's may be numbers

_PASSING = frozenset((408, 425))  # the server's own trouble, though numbered as the client's
# What a server says of itself (the 5xx that IANA registers): surely not done. Any other 5xx is a
# gateway's word, such as 502, 504, 520 to 524 and 598: what stands behind it gave no answer that it
# could pass on, and may have acted all the same (RFC 9110, 15.6.3 and 15.6.5). So are 499 and 460:
# a gateway that lost the connection on its own side.
_OWN_TROUBLE = frozenset((500, 503, 505, 506, 507, 508, 510))
_GATEWAY_LOST = frozenset((460, 499))
_NOT_THE_CA = frozenset((501, 511))  # what knows no PUT; what wants a login to the network
_NO_API = frozenset((401, 405, 407))  # of something that is not the CA
KEY_SHOWN = "[API key]"
_PAGES = frozenset(("text/html", "application/xhtml+xml"))
_BEFORE_A_PAGE = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # blanks, NUL bytes, byte order marks
_SHORTEST_TRACE = 4  # characters of a key that begin other words as well
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
# Control characters, and those that turn the direction of writing or take no room.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\s]+"
)


class _Errors(NamedTuple):
    """What an answer says went wrong."""

    code: str | None
    message: str | None
    are_there: bool  # whether it has `errors` at all, readable or not


def judge(result: Reply | Fault, key: str = "") -> Verdict:
    """Return what an answer, or its absence, means for the order and for the run.

    A server that repeats the API key, `key`, does not bring it into what is returned.
    """
    if isinstance(result, Fault):
        return _judge_fault(result, key)
    is_success = 200 <= result.status < 300
    if is_success and b'"errors"' not in result.body and not _is_page(result):
        return Verdict(Ruling.ACCEPTED, result.status)
    errors = _errors(result, key)
    ruling = _ruling(result, errors)
    if ruling is Ruling.ACCEPTED:
        return Verdict(ruling, result.status)
    return Verdict(
        ruling,
        result.status,
        _foreign_code(result) if ruling is Ruling.BLOCKED else errors.code,
        errors.message or f"HTTP {result.status}",
        _retry_after_s(result),
    )


def _judge_fault(fault: Fault, key: str) -> Verdict:
    ruling = Ruling.IN_DOUBT if fault.kind.may_have_arrived else Ruling.UNAVAILABLE
    return Verdict(ruling, None, fault.kind, _bounded(fault.detail, key))


def _ruling(reply: Reply, errors: _Errors) -> Ruling:
    """Return what an answer means, by its status and the CA's code in it."""
    status, code = reply.status, (errors.code or "").lower()
    if status == 429 or code == _TOO_MANY:
        return Ruling.RATE_LIMITED
    if _is_wrong_key(code, errors.message):
        return Ruling.KEY_REFUSED
    if 200 <= status < 300 and not errors.are_there:
        return Ruling.BLOCKED if _is_page(reply) else Ruling.ACCEPTED
    if (ruling := _of_status(reply)) is not None:
        return ruling
    if not _CODE.match(code) and not 200 <= status < 300:
        return Ruling.BLOCKED
    is_of_all = status in _NO_API or _is_of_the_url(status, code)
    return Ruling.HOPELESS if is_of_all else Ruling.REFUSED


def _of_status(reply: Reply) -> Ruling | None:
    """Return what a status means whatever stands behind it; None where it leaves that open."""
    status = reply.status
    if 300 <= status < 400 or status in _NOT_THE_CA:
        return Ruling.BLOCKED
    if status in _PASSING or status in _OWN_TROUBLE or status < 200:
        return Ruling.UNAVAILABLE
    if status >= 500 or status in _GATEWAY_LOST:
        return Ruling.IN_DOUBT
    if status == 401 and not _is_page(reply):
        return Ruling.KEY_REFUSED  # though no recording has one; a page is a proxy's
    return None


def _is_wrong_key(code: str, message: str | None) -> bool:
    """Whether a code and a message say that the key is wrong, revoked or expired."""
    is_denied = code.startswith("access_denied")
    return _WRONG_KEY in code or (is_denied and _WRONG_KEY in (message or ""))


def _is_of_the_url(status: int, code: str) -> bool:
    """Whether a code says that the URL is wrong: a bare `not_found`, or that of a route.

    Of the answers under 404 only `not_found|...` of anything else speaks of an order.
    """
    is_not_found = status == 404 or code.partition("|")[0] == "not_found"
    return is_not_found and not is_of_subject(code)


def is_of_subject(code: str | None) -> bool:
    """Whether a code says that an order, or a domain, is not there, and not that a call is not."""
    kind, _, what = (code or "").partition("|")
    return kind == "not_found" and bool(what) and "route" not in what


def _is_page(reply: Reply) -> bool:
    """Whether an answer is a page, by its type or by how it begins.

    The type comes first: a page may be of any encoding, or break off before it begins. It does not
    say so of JSON, nor of a 204, which has nothing in it: there a server may name its usual type.
    """
    if reply.status == 204:
        return False
    start = reply.body.lstrip(_BEFORE_A_PAGE)[:1]
    return start == b"<" or (reply.content_type in _PAGES and start not in (b"{", b"["))


def _leads_elsewhere(reply: Reply) -> bool:
    return 300 <= reply.status < 400 and bool(reply.location)


def _foreign_code(reply: Reply) -> str | None:
    """Return the code of an answer that is none of the CA's."""
    if _leads_elsewhere(reply):
        return REDIRECT
    return PAGE if _is_page(reply) else None


def remedy(verdict: Verdict, base_url: str, key_named: str = "") -> str:
    """Return why nothing will pass, and what a person can do, of a verdict that stops a run.

    `key_named`: which key it is, after "the API key".
    """
    status, code = verdict.http_status, verdict.error_code
    is_key = verdict.ruling is Ruling.KEY_REFUSED
    known = explain(403, KEY_CODE) if is_key else explain(status, code)
    what_to_do = known.remedy if known else "Check --base-url or --region."
    if is_key:
        return f"{KEY_REFUSED}{key_named} ({verdict.summary}). {what_to_do}"
    if status == 403 and verdict.ruling is Ruling.REFUSED:
        return (
            f"{KEY_MAY_NOT} ({verdict.summary}); none of the first orders was allowed. {what_to_do}"
        )
    if status is not None and 300 <= status < 400:
        target = f" {verdict.error_message}" if code else ""
        return (
            f"{base_url} answers with a redirect (HTTP {status}{target}), which is "
            f"not followed so that the key goes nowhere else. {what_to_do}"
        )
    if status is None:
        return f"{base_url} cannot be reached ({verdict.error_message}). {what_to_do}"
    return f"{base_url} is not the CA's API ({_with_title(verdict)}). {what_to_do}"


def _with_title(verdict: Verdict) -> str:
    """Return what was said; of a page its title, too, which often names who wrote it."""
    return (
        f"{verdict.summary}: {verdict.error_message}"
        if verdict.error_code == PAGE
        else verdict.summary
    )


def _errors(reply: Reply, key: str) -> _Errors:
    """Return what an answer says went wrong, in whichever form it came."""
    if _leads_elsewhere(reply):
        return _Errors(None, _bounded(f"to {reply.location}", key), are_there=False)
    text = reply.body.decode("utf-8", "replace")
    try:
        body = ErrorBody.model_validate(_json(text))
    except ValueError:
        return _Errors(None, _bounded(_plain_text(text), key), are_there=False)
    code = _most_telling([error.code for error in body.errors if error.code])
    message = "; ".join(error.message for error in body.errors if error.message)
    if not code and not message:
        message = _plain_text(text)
    return _Errors(
        _bounded(code or "", key) or None,
        _bounded(message, key) or None,
        are_there=bool(body.errors) or body.is_odd,
    )


def _most_telling(codes: Sequence[str]) -> str | None:
    """Return the code that is about all requests, if there is one, or else the first."""
    of_all = (code for code in codes if _WRONG_KEY in code.lower() or code.lower() == _TOO_MANY)
    return next(of_all, codes[0] if codes else None)


def _json(text: str) -> object:
    """Return what a JSON text says; of one that is cut off, what has come of it.

    Raises ValueError.
    """
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        pass
    try:
        return json.loads(text)  # which lets half a character pass
    except RecursionError:
        raise ValueError("too deep") from None


def _plain_text(text: str) -> str:
    text = text[:MAX_PAGE]
    if title := _TITLE.search(text):
        text = title[1]
    return unescape(_TAG.sub(" ", text))


def _bounded(text: str, key: str) -> str:
    """Return text on one line, without control characters and the key, cut to a bound."""
    storable = text.encode("utf-8", "replace").decode()  # half a character is none
    line = _UNPRINTABLE.sub(" ", storable).strip()
    if key:
        line = _without(key, line)
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 3] + "..."


def _without(key: str, line: str) -> str:
    """Return a line without the key, nor the beginning of one where the line was cut off."""
    line = line.replace(key, KEY_SHOWN)
    for length in range(min(len(key) - 1, len(line)), _SHORTEST_TRACE, -1):
        if line.endswith(key[:length]):
            return line[:-length] + KEY_SHOWN
    return line


def _retry_after_s(reply: Reply) -> float | None:
    """Return the seconds that Retry-After asks for, given as such or as a date (RFC 9110)."""
    asked = (reply.retry_after or "").strip()
    if not asked:
        return None
    try:
        if asked.isascii() and asked.isdigit():
            wait_s = float(asked)
        else:
            at = parsedate_to_datetime(asked)
            at = at.replace(tzinfo=at.tzinfo or UTC)
            wait_s = at.timestamp() - reply.received_at
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wait_s), LONGEST_WAIT_S)
