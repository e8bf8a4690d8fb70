"""What deviates from the expected shape is found, and named without what it says."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.doctor.comparison import MISSING, compare, compare_all
from batch_resend.doctor.findings import Deviation
from batch_resend.doctor.shapes import (
    CHANGE,
    LISTED_ORDER,
    ORDER,
    PAGE,
    TABLES,
    USER,
    VALIDATION,
    Field,
    Kind,
    Need,
)
from tests.doctor.answers import (
    CHANGES_BODY,
    LIST_BODY,
    LISTED,
    ORDER_BODY,
    USER_BODY,
    VALIDATION_BODY,
)

GOOD: list[tuple[tuple[Field, ...], Any]] = [
    (USER, USER_BODY),
    (PAGE, LIST_BODY),
    (LISTED_ORDER, LISTED),
    (ORDER, ORDER_BODY),
    (VALIDATION, VALIDATION_BODY),
    (CHANGE, CHANGES_BODY["orders"][0]),
]
KEY = "a-key-of-a-test"


@pytest.mark.parametrize(("fields", "body"), GOOD)
def test_what_the_pages_of_the_ca_show_deviates_nowhere(
    fields: tuple[Field, ...], body: Any
) -> None:
    found = compare(body, fields)
    assert found.deviations == ()
    assert found.unknown_fields == ()


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return what puts a value somewhere into an answer."""

    def change(body: dict[str, Any]) -> None:
        *names, last = path.split(".")
        for name in names:
            body = body[name]
        body[last] = value

    return change


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    """Return what takes a field out of an answer."""

    def change(body: dict[str, Any]) -> None:
        *names, last = path.split(".")
        for name in names:
            body = body[name]
        del body[last]

    return change


# What is known of real answers that are odd, and what a later version of the CA may bring.
ODD = [
    (put("id", "104200311"), []),  # an old recording has numbers as texts
    (put("id", "10A"), [("id", "<text 3>")]),
    (put("id", True), [("id", "true")]),
    (put("status", "on_hold"), [("status", "on_hold")]),
    (put("status", "Pending"), [("status", "<text 7>")]),
    (put("status", None), [("status", "null")]),
    (drop("status"), [("status", MISSING)]),
    (put("date_created", "0000-00-00 00:00:00"), [("date_created", "0000-00-00 00:00:00")]),
    (put("date_created", "2021-06-08 14:59:13"), [("date_created", "<date 9999-99-99 99:99:99>")]),
    (put("date_created", ""), [("date_created", "<empty text>")]),
    (put("date_created", 1_623_164_353), [("date_created", "<number>")]),
    (put("certificate.dns_names", [" "]), [("certificate.dns_names[]", "<blank 1>")]),
    (put("certificate.dns_names", [None]), [("certificate.dns_names[]", "null")]),
    (put("certificate.dns_names", "a.example"), [("certificate.dns_names", "<domain>")]),
    (put("certificate.common_name", None), []),
    (put("certificate", []), [("certificate", "<list of 0>")]),
    (put("organization", []), []),  # seen, where there is none
    (put("organization", [{"id": 1}]), [("organization", "<list of 1>")]),
    (put("product", "ssl_plus"), [("product", "<text 8>")]),
    (put("product.name_id", "Plus 2"), [("product.name_id", "<text 6>")]),
    (put("is_renewed", 0), [("is_renewed", "<number>")]),
    (put("price", "97.00"), [("price", "<decimal>")]),
    (put("price", 97.5), []),
]


@pytest.mark.parametrize(("change", "expected"), ODD)
def test_each_odd_field_of_a_listed_order_is_named_with_what_was_found(
    change: Callable[[dict[str, Any]], None], expected: list[tuple[str, str]]
) -> None:
    body = deepcopy(LISTED)
    change(body)
    found = compare(body, LISTED_ORDER, KEY)
    assert [(one.path, one.found) for one in found.deviations] == expected


def test_how_a_dv_order_is_validated_has_to_be_told_and_of_others_it_may_be() -> None:
    body = {name: value for name, value in ORDER_BODY.items() if name != "dcv_method"}
    (deviation,) = compare(body, ORDER).deviations
    assert deviation == Deviation(
        "dcv_method", "a word of the CA's own that this program knows", MISSING
    )
    other = body | {"product": body["product"] | {"type": "ev_ssl_certificate"}}
    assert compare(other, ORDER).deviations == ()


def test_fields_beyond_what_is_known_are_named_and_deviate_nowhere() -> None:
    body = LISTED | {"ca_cert_id": "A1", "a.example": 1}
    body["product"] = body["product"] | {"tier": "gold"}
    found = compare(body, LISTED_ORDER)
    assert found.deviations == ()
    assert set(found.unknown_fields) == {"ca_cert_id", "<domain>", "product.tier"}


def test_what_deviates_in_many_orders_alike_is_said_once_and_counted() -> None:
    odd = LISTED | {"date_created": ""}
    found = compare_all([LISTED, odd, odd, LISTED | {"status": None}, 7], LISTED_ORDER, "orders[]")
    assert [(one.path, one.found, one.times) for one in found.deviations] == [
        ("orders[].date_created", "<empty text>", 2),
        ("orders[].status", "null", 1),
        ("orders[]", "<number>", 1),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
)


@given(json_values, st.sampled_from(TABLES))
def test_any_answer_can_be_compared(value: Any, fields: tuple[Field, ...]) -> None:
    for deviation in compare(value, fields, KEY).deviations:
        assert deviation.found


@given(st.data())
def test_a_value_of_a_wrong_kind_in_any_required_field_is_found(data: st.DataObject) -> None:
    fields, body = data.draw(st.sampled_from(GOOD))
    field = data.draw(st.sampled_from([f for f in fields if f.need is Need.REQUIRED]))
    changed = deepcopy(body)
    places = [(changed, field.path.split("."))]
    wrong: object = None if Kind.OBJECT in field.kinds else {}
    for part, names in places:
        name, rest = names[0], names[1:]
        key = name.removesuffix("[]")
        if rest and name.endswith("[]"):
            places += [(item, rest) for item in part[key]]
        elif rest:
            places.append((part[key], rest))
        elif name.endswith("[]"):
            part[key] = [wrong]
        else:
            part[key] = wrong
    assert field.path in {one.path for one in compare(changed, fields).deviations}
