"""One table explains the CA's codes, to all who tell a person of them."""

import re
from pathlib import Path

import pytest

from batch_resend.explanations import EXPLANATIONS, explain
from batch_resend.model import FaultKind

ROOT = Path(__file__).parent.parent

# What the CA's pages name for the call, and what gateways answer (page "Errors").
KNOWN = [
    (400, "bad_request_format", "could not read the request"),
    (400, "invalid_email", "does not accept an address"),
    (400, "invalid_domain", "does not accept a domain"),
    (400, "caa_check_failed|example.com", "CAA records"),
    (400, "invalid_locale", "does not know the language"),
    (400, "order_is_not_pending", "never accept this request"),
    (401, "invalid_api_key", "refused the API key"),
    (401, None, "refused the API key"),
    (403, "access_denied|missing_permission", "may not resend"),
    (404, "not_found|order", "no such order"),
    (404, "not_found", "no such order"),
    (404, "not_found|route", "not one of the CA's calls"),
    (404, None, "not one of the CA's calls"),
    (429, "request_limit_exceeded", "Too many requests"),
    (500, None, "went wrong at the CA"),
    (502, None, "may have acted"),
    (503, "service_unavailable", "not available"),
    (504, None, "may have acted"),
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
    assert explain(None, "never heard of") is None
    assert explain(204, None) is None


def test_the_readme_has_the_same_table() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"<!-- explanations -->\n(.*?)\n\n", readme, re.DOTALL)
    assert section is not None
    lines = section[1].splitlines()[2:]
    told = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert told == [
        [
            str(known.status or "none"),
            f"`{known.code}`".replace("|", "\\|"),
            known.meaning,
            known.remedy,
        ]
        for known in EXPLANATIONS
    ]
