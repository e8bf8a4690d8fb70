"""Reply or fault -> verdict: what an answer means, in one pure function.

Statuses and codes are those of the CA's page "Errors" (dev.digicert.com). An answer that is no
sentence of the CA's, such as a gateway's HTML, is judged by its status alone.
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from html import unescape

from pydantic import ValidationError

from batch_resend.certcentral.contract import ErrorBody
from batch_resend.explanations import explain
from batch_resend.model import Fault, Reply, Ruling, Verdict

MAX_MESSAGE = 500  # characters of what the CA says that are kept
MAX_PAGE = 2_000  # characters of a page that are looked at: the patterns are not linear
LONGEST_WAIT_S = 7 * 86_400.0  # that Retry-After may ask for

_NO_API = frozenset((401, 405, 407, 501))  # of the key, or of something that is not the CA
_PASSING = frozenset((408, 425))  # the server's own trouble, though numbered as the client's
# A gateway's word: what stands behind it gave no answer it could pass on, and may have acted all
# the same (RFC 9110, 15.6.3 and 15.6.5).
_GATEWAY = frozenset((502, 504))
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


def judge(result: Reply | Fault, key: str = "") -> Verdict:
    """Return what an answer, or its absence, means for the order and for the run.

    A server that repeats the API key, `key`, does not bring it into what is returned.
    """
    if isinstance(result, Fault):
        return _judge_fault(result, key)
    if 200 <= result.status < 300 and not _is_page(result):
        return Verdict(Ruling.ACCEPTED, result.status)
    code, message = _said(result, key)
    return Verdict(
        _ruling(result.status, code),
        result.status,
        code,
        message or f"HTTP {result.status}",
        _retry_after_s(result),
    )


def _judge_fault(fault: Fault, key: str) -> Verdict:
    ruling = Ruling.IN_DOUBT if fault.kind.may_have_arrived else Ruling.UNAVAILABLE
    return Verdict(ruling, None, fault.kind, _bounded(fault.detail, key))


def _ruling(status: int, code: str | None) -> Ruling:
    """Return what an answer means that acknowledges nothing."""
    if 200 <= status < 300:
        return Ruling.HOPELESS  # a page is no answer of the CA's: a portal, a wrong URL
    if status == 429:
        return Ruling.RATE_LIMITED
    if status in _NO_API or 300 <= status < 400 or (status == 404 and not _of_an_order(code)):
        return Ruling.HOPELESS
    if status in _GATEWAY:
        return Ruling.IN_DOUBT
    if status >= 500 or status in _PASSING or status < 200:
        return Ruling.UNAVAILABLE
    return Ruling.REFUSED


def _is_page(reply: Reply) -> bool:
    """Whether an answer is a page, by its type or by how it begins.

    The type comes first: a page may be of any encoding, or break off before it begins.
    """
    return reply.content_type in _PAGES or reply.body.lstrip(_BEFORE_A_PAGE).startswith(b"<")


def _of_an_order(code: str | None) -> bool:
    """Whether a 404 speaks of the order: only `not_found|...` of anything but the route does."""
    return code is not None and code.startswith("not_found") and "route" not in code


def remedy(verdict: Verdict, base_url: str) -> str:
    """Return what a person can do about a hopeless verdict."""
    known = explain(verdict.http_status, verdict.error_code)
    what_to_do = known.remedy if known else "Check --base-url or --region."
    if verdict.http_status == 401:
        return f"the CA refused the API key ({verdict.said}). {what_to_do}"
    if verdict.http_status == 403:
        return (
            f"the API key may not resend ({verdict.said}); none of the first orders was allowed. "
            f"{what_to_do}"
        )
    if verdict.http_status is not None and 300 <= verdict.http_status < 400:
        target = f" {verdict.error_message}" if verdict.error_code else ""
        return (
            f"{base_url} answers with a redirect (HTTP {verdict.http_status}{target}), which is "
            f"not followed so that the key goes nowhere else. {what_to_do}"
        )
    if verdict.http_status is None:
        return f"{base_url} cannot be reached ({verdict.error_message}). {what_to_do}"
    return f"{base_url} is not the CA's API ({verdict.said}). {what_to_do}"


def _said(reply: Reply, key: str) -> tuple[str | None, str | None]:
    """Return the code and the message of an error answer, in whichever form it came."""
    if 300 <= reply.status < 400 and reply.location:
        return "redirect", _bounded(f"to {reply.location}", key)
    text = reply.body.decode("utf-8", "replace")
    try:
        errors = ErrorBody.model_validate_json(text).errors
    except ValidationError:
        return None, _bounded(_plain_text(text), key)
    code = next((error.code for error in errors if error.code), None)
    message = "; ".join(error.message for error in errors if error.message)
    return (_bounded(code or "", key) or None), (_bounded(message, key) or None)


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
    return max(0.0, wait_s) if wait_s <= LONGEST_WAIT_S else None
