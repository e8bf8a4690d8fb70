"""A command that is suggested names no column that is somebody else's, or another thing's."""

import json
import re
import subprocess

import pytest

from batch_resend.errors import InputError
from batch_resend.intake.fields import COLUMNS, Field
from batch_resend.intake.suggestions import Noun, map_flag
from batch_resend.model import RejectedRow
from tests.intake.conftest import read, refusal

ROW = "100200301,a.example.com"
AT_IT, ELSEWHERE = "admin@a.example.com", "kim@customer.example"
OF_OTHERS = [
    "Customer Email", "customer_email", "customerEmail", "Kunden-Mail", "Client", "Old Email",
    "Alte Adresse", "Former approver", "Bounced", "bounce address", "Requester", "Requested by",
    "Besteller", "cc", "BCC", "From", "Sender", "Absender", "Reply-To", "Billing Email",
    "Rechnungsadresse", "Tech contact", "Sales", "Created by", "Do not mail", "Nicht mailen",
    "Account manager", "Ancienne adresse",
]  # fmt: skip


def suggested(content: str, option: str) -> list[str]:
    """Return what the words about a list give the option."""
    try:
        reason = " ".join(row.reason for row in read(content) if isinstance(row, RejectedRow))
    except InputError as error:
        reason = str(error)
    return re.findall(rf'{option}="?([^";]*)"?', reason)


@pytest.mark.parametrize("heading", OF_OTHERS)
def test_an_address_of_others_is_not_suggested_as_the_approvers(heading: str) -> None:
    for content in (
        f"order_id,domain,{heading}\n{ROW},{AT_IT}\n",
        f"order_id,Site,{heading}\n{ROW},{AT_IT}\n",
        f"order_id,{heading}\n100200301,{AT_IT}\n",
        json.dumps({"order_id": 100200301, heading: AT_IT}),
    ):
        # Some are asked about otherwise: whether it is a shop's list, or says whom not to mail.
        assert set(suggested(content, "--map email")) <= {*Noun}, content


@pytest.mark.parametrize(
    "heading", ["Kontakt", "Ansprechpartner", "Owner", "Contact", "Zust\u00e4ndig"]
)
def test_one_whose_addresses_are_not_at_their_domains_is_not_either(heading: str) -> None:
    assert suggested(f"order_id,domain,{heading}\n{ROW},{ELSEWHERE}\n", "--map email") == [
        Noun.COLUMN
    ]
    assert suggested(f"order_id,{heading}\n100200301,{ELSEWHERE}\n", "--map email") == [Noun.COLUMN]


@pytest.mark.parametrize(
    "content",
    [
        f"order_id,domain,Kontakt\n{ROW},{AT_IT}\n",
        f"order_id,domain,Kontakt\n{ROW},admin@example.com\n",
        f"order_id,domain,Customer,Kontakt\n{ROW},{ELSEWHERE},{AT_IT}\n",
        f"order_id,Kontakt\n100200301,{AT_IT}\n",
        f"order_id,Kontakt,Site\n100200301,{AT_IT},a.example.com\n",
        json.dumps({"order_id": 100200301, "Kontakt": AT_IT}),
    ],
)
def test_one_that_is_plainly_right_is(content: str) -> None:
    assert suggested(content, "--map email") == ["Kontakt"]


def test_so_is_one_among_headings_of_a_mail() -> None:
    content = f"From,To,Host,order_id\n{ELSEWHERE},{AT_IT},a.example.com,100200301\n"
    assert suggested(content, "--map email") == ["To"]


@pytest.mark.parametrize(
    "heading", ["Invoice", "Telefon", "Ticket No", "Kundennummer", "old order", "PLZ"]
)
def test_a_number_of_other_things_is_not_suggested_as_the_orders(heading: str) -> None:
    content = f"{heading},domain,email\n{ROW},{AT_IT}\n"
    assert suggested(content, "--map order_id") == [Noun.COLUMN, "1)"]


@pytest.mark.parametrize(
    ("headings", "cells", "right", "others"),
    [
        (("email", "approver email"), (ELSEWHERE, AT_IT), "approver email", "email"),
        (("approver email", "email"), (AT_IT, ELSEWHERE), "approver email", "email"),
        (("approver email", "email"), (AT_IT, AT_IT), Noun.COLUMN, Noun.COLUMN),
        (("approver email", "email"), (ELSEWHERE, ELSEWHERE), Noun.COLUMN, Noun.COLUMN),
    ],
)
def test_of_two_columns_the_one_is_suggested_and_not_left_aside(
    headings: tuple[str, str], cells: tuple[str, str], right: str, others: str
) -> None:
    content = f"order_id,domain,{','.join(headings)}\n{ROW},{','.join(cells)}\n"
    assert suggested(content, "--map email") == [right]
    assert f'--ignore "{others}"' in refusal(content)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ((AT_IT, "hostmaster@a.example.com"), '--ignore "email 2"'),
        ((AT_IT, ELSEWHERE), '--ignore "email 2"'),
        ((ELSEWHERE, AT_IT), '--map email="email 2"'),
        ((ELSEWHERE, ELSEWHERE), f'--map email="{Noun.COLUMN}"'),
    ],
)
def test_one_more_column_is_not_left_aside_where_it_is_the_right_one(
    cells: tuple[str, str], said: str
) -> None:
    words = refusal(f"order_id,domain,email,email 2\n{ROW},{','.join(cells)}\n")
    assert words.endswith(f"To read only one: {said}")


def test_a_column_without_a_heading_is_to_be_given_one() -> None:
    words = refusal(f"order_id,,email\n{ROW},{AT_IT}\n")
    assert "column 2 has no heading: give it one" in words
    words = refusal(f"order_id,,\n{ROW},{AT_IT}\n")
    assert "'column 3'" in words
    assert "If it does, give it a heading" in words


@pytest.mark.parametrize(
    ("field", "heading"),
    [(field, name) for field, column in COLUMNS.items() for name in column.headings.split(", ")],
)
def test_every_heading_that_is_known_may_be_suggested(field: Field, heading: str) -> None:
    assert Noun.COLUMN not in map_flag(field, heading)


def test_beside_a_domain_of_json_the_key_of_the_address_is_named() -> None:
    record = {"order_id": 100200301, "domain": "a.example.com", "From": ELSEWHERE, "To": AT_IT}
    assert suggested(json.dumps(record), "--map email") == ["To"]
    assert suggested(json.dumps(record), "--map domain") == ["domain"]
    assert suggested(json.dumps(record | {"To": ""}), "--map email") == [Noun.KEY]


@pytest.mark.parametrize(
    "name",
    [
        "Order No",
        "Order's",
        "$HOME",
        "!!",
        "a\\b",
        "\x1f",
        "it's\ta\\tab",
        "Order\xa0No",
        "\u200b#",
    ],
)
def test_a_suggested_option_is_printable_and_bash_reads_the_name_out_of_it(name: str) -> None:
    flag = map_flag(Field.ORDER_ID, name)
    assert flag.isprintable()
    told = subprocess.run(
        ["bash", "-c", f"printf %s {flag.removeprefix('--map ')}"],
        capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert told.stdout.decode() == f"order_id={name}"
