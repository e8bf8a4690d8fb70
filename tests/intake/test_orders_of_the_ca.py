"""Pages of the CA's order list in JSON are read as its exports in CSV are."""

import json

import pytest

from batch_resend.intake import ListSource, Reading
from batch_resend.model import Row
from tests.intake.conftest import REFUSED, goes, standard_input
from tests.intake.test_held_back import ORDERS, reasons

Record = dict[str, object]
DOMAIN: Record = {"domain": "a.example.com"}
EMAIL: Record = {"email": "admin@a.example.com"}


def page(*added: Record, **changed: object) -> str:
    """Return a page of orders; `added`: to each; `changed`: in all."""
    orders = [
        {
            "id": int(number),
            "certificate": {"common_name": "a.example.com", "dns_names": ["a.example.com"]},
            "status": "pending",
            "product": {"name_id": "ssl_dv_geotrust", "type": "dv_ssl_certificate"},
            **changed,
            **more,
        }
        for number, more in zip(ORDERS, added or [{}, {}, {}], strict=False)
    ]
    return json.dumps({"orders": orders, "page": {"total": len(orders)}})


def export(status: str, product: str = "RapidSSL") -> str:
    """Return the same as CSV."""
    rows = "".join(f"{one},a.example.com,{status},{product}\n" for one in ORDERS[:3])
    return f"Order #,Common Name,Status,Product\n{rows}"


def test_a_pair_that_was_added_is_mailed() -> None:
    with standard_input(page(DOMAIN | EMAIL, {}).encode()):
        first, second = ListSource("-")
    assert isinstance(first, Row)
    assert [(one.domain, one.email) for one in first.entries] == [
        ("a.example.com", "admin@a.example.com")
    ]
    assert isinstance(second, Row)


@pytest.mark.parametrize("half", [DOMAIN, EMAIL], ids=["a domain", "an address"])
def test_half_of_a_pair_is_rejected_with_the_options_to_name_the_other_or_to_leave_it(
    half: Record,
) -> None:
    (key,) = half
    assert goes(page(half, {})) == []
    said = reasons(page(half, {}))
    assert "--map " in said
    assert f'--ignore "{key}"' in said
    by_word = "--all-domains" in said
    ignoring = Reading(ignored=frozenset((key,)), all_domains=by_word)
    assert goes(page(half, {}), ignoring) == ORDERS[:2]


@pytest.mark.parametrize("status", ["ausgestellt", "frobnicate", "shipped"])
def test_words_that_are_not_the_cas_refuse_it_in_either_form(status: str) -> None:
    for content in (page(status=status), export(status)):
        assert goes(content) == REFUSED
        assert '--ignore "' in reasons(content)
        assert goes(content, Reading(all_statuses=True)) == ORDERS[:3]


def test_so_does_a_product() -> None:
    for content in (page(product={"name_id": "shirt"}), export("pending", "shirt")):
        assert goes(content) == REFUSED
        assert goes(content, Reading(any_product=True)) == ORDERS[:3]


@pytest.mark.parametrize("content", [page(product={"name_id": "ssl_foo"}), export("x", "ssl_foo")])
def test_a_product_that_is_called_as_the_cas_are_is_one_of_them(content: str) -> None:
    content = content.replace(",x,", ",pending,")
    with standard_input(content.encode()):
        rows = list(ListSource("-"))
    assert all(isinstance(row, Row) and row.skip and "is not DV" in row.skip for row in rows)
