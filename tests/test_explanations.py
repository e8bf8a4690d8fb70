"""One table explains the CA's codes, wherever they are shown."""

from pathlib import Path

import pytest

from batch_resend.explanations import EXPLANATIONS, Explanation, explain
from batch_resend.model import FaultKind
from batch_resend.sending.channel import STOPPED
from tests.pages import table

ROOT = Path(__file__).parent.parent

BAD_KEY, PAGE, WRONG_URL = "refused the API key", "not from the CA", "not one of the CA's"

# What the CA's pages name, what was recorded of it, and what gateways before it answer.
KNOWN = [
    (400, "bad_request_format", "could not read the request"),
    (400, "invalid_dns_method", "does not accept the validation method"),
    (400, "time_frame_too_long", "older than seven days"),
    (400, "invalid_email", "does not accept an address"),
    (400, "invalid_domain", "does not accept a domain"),
    (400, "caa_check_failed|example.com", "CAA records"),
    (400, "invalid_locale", "does not know the language"),
    (400, "order_is_not_pending", "never accept this request"),
    (200, "page", PAGE),
    (302, "redirect", "redirects elsewhere"),
    (307, None, "redirects elsewhere"),
    (400, None, PAGE),
    (400, "page", PAGE),
    (401, "invalid_api_key", BAD_KEY),
    (401, None, BAD_KEY),
    (401, "page", PAGE),
    (403, "access_denied|access_denied_invalid_key", BAD_KEY),
    (403, "access_denied|missing_permission", "view-only key (role 102)"),
    (403, "access_denied|something_new", "its message says why"),
    (403, "page", PAGE),
    (403, None, PAGE),
    (404, "not_found|order", "no such order"),
    (404, "not_found|domain", "no such domain"),
    (404, "not_found", WRONG_URL),
    (404, "not_found|route", WRONG_URL),
    (404, "page", "a proxy answered"),
    (404, None, "a proxy answered"),
    (405, None, PAGE),
    (406, "page", PAGE),
    (406, None, PAGE),
    (413, "page", PAGE),
    (408, None, "not carried out"),
    (460, None, "may have acted"),
    (499, None, "may have acted"),
    (429, "request_limit_exceeded", "Too many requests"),
    (429, "page", "Too many requests"),
    (500, None, "went wrong at the CA"),
    (501, "page", PAGE),
    (505, None, "went wrong at the CA"),
    (510, None, "went wrong at the CA"),
    (511, "page", "requires a login"),
    (502, None, "may have acted"),
    (503, "service_unavailable", "first weekend of a month"),
    (503, "page", "first weekend of a month"),
    (504, None, "may have acted"),
    *((status, None, "CDN in front of the CA got no usable answer") for status in range(520, 525)),
    (598, None, "with a status of its own"),
    (598, "page", "may have acted"),
    (561, None, "may have acted"),
    (None, STOPPED.kind, "The run stopped before"),
]


@pytest.mark.parametrize(("status", "code", "meaning"), KNOWN)
def test_every_answer_that_the_ca_documents_is_explained_with_a_remedy(
    status: int, code: str | None, meaning: str
) -> None:
    known = explain(status, code)
    assert known is not None
    assert meaning in known.meaning
    assert known.remedy.endswith(".")


@pytest.mark.parametrize("kind", FaultKind)
def test_every_way_to_get_no_answer_is_explained_and_told_as_in_doubt_where_it_is(
    kind: FaultKind,
) -> None:
    known = explain(None, kind)
    assert known is not None
    assert ("may have acted" in known.meaning) == kind.may_have_arrived


def test_an_answer_that_nobody_documents_is_not_explained_away() -> None:
    assert explain(418, "teapot") is None
    assert explain(999, None) is None
    assert explain(None, "never heard of") is None
    assert explain(204, None) is None


def test_the_manual_has_the_same_table() -> None:
    assert table("explanations") == [
        [
            known.status or "none",
            f"`{known.code}`{' or none' if known.or_none else ''}",
            known.meaning,
            known.remedy,
        ]
        for known in EXPLANATIONS
    ]


@pytest.mark.parametrize("known", EXPLANATIONS, ids=lambda known: f"{known.status} {known.code}")
def test_no_line_of_the_table_stands_where_it_is_never_reached(known: Explanation) -> None:
    statuses = {
        int(known.status.replace("x", digit)) if known.status else None for digit in "0123456789"
    }
    code = known.code.replace("*", "_other_")
    assert any(explain(status, code) is known for status in statuses)
