"""What goes over the wire is what the CA's page describes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.certcentral.client import request_body
from batch_resend.certcentral.contract import EmailEntry, ResendBody
from batch_resend.model import Entry, Request

PLAIN = Entry("example.com", "someone@example.com")
HIGHER = Entry("sub.example2.com", "someone@example2.com", "example2.com")

texts = st.text(min_size=1, max_size=30)
entries = st.builds(Entry, texts, texts, st.none() | texts)
orders = st.builds(Request, texts, st.none() | texts, st.lists(entries, max_size=5).map(tuple))


@pytest.mark.parametrize(
    ("order", "body"),
    [
        pytest.param(
            Request("7", "en", (PLAIN, HIGHER)),
            {
                "domain_approval_emails": [
                    {"domain": "example.com", "email": "someone@example.com"},
                    {
                        "domain": "sub.example2.com",
                        "email": "someone@example2.com",
                        "email_domain": "example2.com",
                    },
                ],
                "locale": "en",
            },
            id="the page's own example",
        ),
        pytest.param(
            Request("7", None, (PLAIN,)),
            {"domain_approval_emails": [{"domain": "example.com", "email": "someone@example.com"}]},
            id="without a locale there is no locale field",
        ),
        pytest.param(
            Request("7", "zh_CN", ()),
            {"locale": "zh_CN"},
            id="without entries there is no domain_approval_emails field, not an empty one",
        ),
        pytest.param(
            Request("7", None, ()), {}, id="an order number alone asks with an empty object"
        ),
        pytest.param(
            Request("7", None, (Entry("bücher.example", "jörg@bücher.example"),)),
            {
                "domain_approval_emails": [
                    {"domain": "bücher.example", "email": "jörg@bücher.example"}
                ]
            },
            id="an address goes out as the list has it, whatever its letters",
        ),
    ],
)
def test_the_body_asks_for_just_what_the_order_says(order: Request, body: dict[str, Any]) -> None:
    assert json.loads(request_body(order)) == body


def test_entries_go_out_in_the_orders_own_order() -> None:
    many = tuple(Entry(f"{n}.example", f"admin@{n}.example") for n in range(300, 0, -1))
    sent = ResendBody.model_validate_json(request_body(Request("7", None, many)))
    assert [entry.domain for entry in sent.domain_approval_emails or ()] == [
        entry.domain for entry in many
    ]


@given(orders)
def test_every_order_keeps_to_the_contract_and_comes_out_of_it_as_it_went_in(
    order: Request,
) -> None:
    sent = request_body(order)
    read = ResendBody.model_validate_json(sent)
    got = tuple(
        Entry(entry.domain, entry.email, entry.email_domain)
        for entry in read.domain_approval_emails or ()
    )
    assert Request(order.subject, read.locale, got) == order
    assert json.loads(read.model_dump_json(exclude_none=True)) == json.loads(sent)


@given(orders)
def test_the_body_is_one_line_of_ascii_so_no_server_can_misread_its_encoding(
    order: Request,
) -> None:
    sent = request_body(order)
    assert sent.isascii()
    assert b"\n" not in sent


@given(entries)
def test_an_entry_of_the_contract_built_in_python_is_what_the_client_sends(entry: Entry) -> None:
    built = ResendBody(
        domain_approval_emails=(
            EmailEntry(domain=entry.domain, email=entry.email, email_domain=entry.email_domain),
        )
    )
    sent = request_body(Request("7", None, (entry,)))
    assert json.loads(built.model_dump_json(exclude_none=True)) == json.loads(sent)
