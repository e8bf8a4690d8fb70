"""What the CA's answers say of the key and of the clock."""

from email.utils import formatdate
from typing import Any

import pytest

from batch_resend.certcentral import judge
from batch_resend.doctor.checks import (
    check_account,
    check_clock,
    check_orders,
    check_permission,
    example_of,
)
from batch_resend.doctor.findings import (
    NOTHING,
    Answer,
    Failed,
    Result,
    Trouble,
    content_of,
)
from batch_resend.model import Fault, FaultKind, Reply
from tests.doctor.answers import KEYS_BODY, LISTED, USER_BODY, page_of

NOW = 1_795_000_000.0
URL = "https://ca.example/services/v2"


def answered(reply: Reply | Fault, sent_at: float = NOW) -> Answer:
    """Return an answer to something that left at a time."""
    return Answer(reply, judge(reply), sent_at)


def read(status: int, body: bytes = b"", **more: Any) -> Any:
    """Return what there is to look at in an answer."""
    return content_of(answered(Reply(status, body, NOW, **more)), URL)


def error(code: str) -> bytes:
    """Return the body of an error answer."""
    return f'{{"errors":[{{"code":"{code}","message":"No."}}]}}'.encode()


# --- what an answer is --------------------------------------------------------------------------

HTML = b"<html><head><title>Access Denied</title></head></html>"
TROUBLES = [
    (401, b"", Trouble.KEY_REFUSED),
    (401, error("invalid_api_key"), Trouble.KEY_REFUSED),
    (403, error("access_denied|access_denied_invalid_key"), Trouble.KEY_REFUSED),
    (403, error("access_denied|missing_permission"), Trouble.FORBIDDEN),
    (403, HTML, Trouble.PAGE),
    (403, b"", Trouble.PAGE),
    (403, b"denied", Trouble.PAGE),
    (406, HTML, Trouble.PAGE),
    (503, HTML, Trouble.UNAVAILABLE),
    (200, HTML, Trouble.PAGE),
    (404, HTML, Trouble.PAGE),
    (404, error("not_found"), Trouble.WRONG_URL),
    (404, error("not_found|route"), Trouble.WRONG_URL),
    (404, b"", Trouble.PAGE),
    (404, error("not_found|order"), Trouble.NOT_FOUND),
    (429, error("request_limit_exceeded"), Trouble.TOO_MANY),
    (500, b"", Trouble.UNAVAILABLE),
    (503, b"Service is unavailable", Trouble.UNAVAILABLE),
    (522, b"", Trouble.UNAVAILABLE),
    (400, error("bad_request_format"), Trouble.REFUSED),
    (418, error("teapot"), Trouble.REFUSED),
    (200, b"{", Trouble.UNREADABLE),
    (200, error("anything"), Trouble.UNREADABLE),
    (200, b"[" * 100_000, Trouble.UNREADABLE),
]


@pytest.mark.parametrize(("status", "body", "trouble"), TROUBLES)
def test_each_answer_without_content_is_a_trouble_with_a_name_and_a_remedy(
    status: int, body: bytes, trouble: Trouble
) -> None:
    failed = read(status, body)
    assert isinstance(failed, Failed)
    assert failed.trouble is trouble
    assert str(status) in failed.detail
    assert failed.remedy.endswith(".")


def test_a_redirect_is_named_with_its_target_and_is_not_followed() -> None:
    failed = read(302, location="https://login.example/")
    assert failed.trouble is Trouble.REDIRECT
    assert "https://login.example/" in failed.detail


@pytest.mark.parametrize("kind", FaultKind)
def test_no_answer_is_a_trouble_too_whatever_broke(kind: FaultKind) -> None:
    failed = content_of(answered(Fault(kind, "it broke")), URL)
    assert isinstance(failed, Failed)
    assert failed.trouble is Trouble.NO_ANSWER
    assert "it broke" in failed.detail


def test_every_trouble_can_be_said() -> None:
    tried = {trouble for *_, trouble in TROUBLES} | {Trouble.REDIRECT, Trouble.NO_ANSWER}
    assert tried == set(Trouble)


@pytest.mark.parametrize(
    ("status", "body", "content"), [(200, b'{"a": 1}', {"a": 1}), (204, b"", NOTHING),
    (200, b" \n", NOTHING), (200, b"[]", [])],
)  # fmt: skip
def test_what_can_be_read_is_returned(status: int, body: bytes, content: object) -> None:
    assert read(status, body) == content


# --- whose the key is ---------------------------------------------------------------------------


def test_the_account_and_the_user_are_named() -> None:
    found = check_account(USER_BODY)
    assert found.result is Result.OK
    assert found.detail == (
        "the CA accepts the key: account Racoon Trading GmbH (123654), user jill.valentine"
    )


@pytest.mark.parametrize("body", [{}, [], NOTHING, {"container": []}, {"account_id": None}, "x"])
def test_a_user_of_whom_little_is_said_is_no_problem(body: object) -> None:
    assert check_account(body).detail == "the CA accepts the key"


# --- what it may do -----------------------------------------------------------------------------


def user(*roles: Any) -> dict[str, Any]:
    """Return a user with these roles."""
    return USER_BODY | {"access_roles": [*roles]}


def keys(*restricted_to: Any, status: str = "active") -> dict[str, Any]:
    """Return keys that are restricted to these roles."""
    return {
        "api_keys": [
            {"id": number, "status": status, "restricted_to_role_id": role}
            for number, role in enumerate(restricted_to)
        ]
    }


ADMINISTRATOR, VIEWER = {"id": 1, "name": "Administrator"}, {"id": 102, "name": "View Only"}
REFUSED = Failed(Trouble.FORBIDDEN, "no", "no")
PERMISSIONS = [
    (user(ADMINISTRATOR), KEYS_BODY, Result.OK, "role: Administrator"),
    (user(ADMINISTRATOR), REFUSED, Result.OK, "does not say whether the key itself is restricted"),
    (user(ADMINISTRATOR), keys(0, 100, 101), Result.OK, "role: Administrator"),
    (user({"id": "100", "name": "Orders"}), None, Result.OK, "role: Orders"),
    (user({"id": 9, "name": "Of theirs"}), None, Result.OK, "role: Of theirs"),
    (user(VIEWER), REFUSED, Result.PROBLEM, "View Only"),
    (user({"id": "102"}), None, Result.PROBLEM, "may only read"),
    (user(ADMINISTRATOR, {"id": 103, "name": "User Management"}), None, Result.PROBLEM, "users"),
    (user(ADMINISTRATOR), keys(102), Result.PROBLEM, "may only read"),
    (user(ADMINISTRATOR), keys(102, 103), Result.PROBLEM, "may only read"),
    (user(ADMINISTRATOR), keys(102, 0), Result.WARNING, "1 of this user's 2 keys"),
    (user(ADMINISTRATOR), keys(102, status="revoked"), Result.OK, "role: Administrator"),
    (user({"id": 2, "name": "Limited user"}), keys(0), Result.WARNING, "its own user has placed"),
    (user(), None, Result.NOT_CHECKED, "does not say"),
    (USER_BODY | {"access_roles": None}, REFUSED, Result.NOT_CHECKED, "does not say"),
    (user(7, None, []), {"api_keys": [7, {}]}, Result.NOT_CHECKED, "does not say"),
    (REFUSED, None, Result.NOT_CHECKED, "does not say"),
]


@pytest.mark.parametrize(("whose", "of_keys", "result", "said"), PERMISSIONS)
def test_roles_of_the_user_and_of_the_keys_say_whether_mails_can_be_sent(
    whose: Any, of_keys: Any, result: Result, said: str
) -> None:
    found = check_permission(whose, of_keys)
    assert found.result is result
    assert said in found.detail
    assert (found.remedy is None) == (result in (Result.OK, Result.NOT_CHECKED))


# --- the clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off_s", "took_s", "said"),
    [
        (0, 0.1, None),
        (4, 0.1, None),
        (-5, 0.1, None),
        (8, 8.0, None),  # as far as such an answer can tell
        (7, 0.1, "7s ahead of"),
        (-7, 0.1, "7s behind"),
        (600, 0.1, "10m 00s ahead of"),
        (-600, 30.0, "10m 00s behind"),
        (86_400, 0.1, "24h 00m ahead of"),
    ],
)
def test_a_clock_that_is_off_by_more_than_can_be_doubted_is_warned_of(
    off_s: float, took_s: float, said: str | None
) -> None:
    # Theirs was read half way; the header has no part of a second.
    theirs = formatdate(NOW + took_s / 2 - off_s, usegmt=True)
    reply = Reply(200, b"{}", NOW + took_s, server_date=theirs)
    found = check_clock(answered(reply))
    if said is None:
        assert (found.result, found.remedy) == (Result.OK, None)
    else:
        assert found.result is Result.WARNING
        assert found.detail == f"this machine's is {said} the CA's"
        assert found.remedy is not None


@pytest.mark.parametrize("header", [None, "", "yesterday", "Tue, 99 Nov 2026 13:35:48 GMT"])
def test_an_answer_without_a_date_leaves_the_clock_unchecked(header: str | None) -> None:
    reply = Reply(200, b"{}", NOW, server_date=header)
    assert check_clock(answered(reply)).result is Result.NOT_CHECKED
    assert check_clock(answered(Fault(FaultKind.LOST, "x"))).result is Result.NOT_CHECKED


# --- what waits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pending", "reissues", "said"),
    [
        (page_of(LISTED, LISTED), {}, "2 pending"),
        ({"orders": [LISTED], "page": {"total": 1_203}}, page_of(LISTED),
         "1,203 pending, 1 reissue_pending"),
        ({}, {}, "none waits"),
        (NOTHING, NOTHING, "none waits"),
        (page_of(), {"page": {"total": 0}}, "none waits"),
        ({"orders": [LISTED]}, {}, "1 or more pending"),
        ({"orders": None, "page": []}, [], "none waits"),
    ],
)  # fmt: skip
def test_orders_that_wait_are_counted_as_far_as_is_said(
    pending: Any, reissues: Any, said: str
) -> None:
    assert check_orders({"pending": pending, "reissue_pending": reissues}).detail == said


def test_the_order_to_look_at_is_a_dv_order_if_there_is_one() -> None:
    other = LISTED | {"id": 1, "product": {"name_id": "ssl_plus", "type": "ssl_certificate"}}
    odd = [7, None, {"id": "10A"}, {"id": None}]
    assert example_of([page_of(*odd, other, LISTED)]) == str(LISTED["id"])
    assert example_of([page_of(*odd, other)]) == "1"
    assert example_of([page_of(*odd)]) is None
