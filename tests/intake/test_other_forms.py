"""Texts of another form than lists have: read where that is plain, or said what they are."""

import json
from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import ListSource
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import refusal, standard_input

FULL = {"order_id": 7, "domain": "a.example", "email": "admin@a.example"}

OTHER_TEXTS = {
    "YAML, a list": ("- order_id: 1\n  domain: a.example.com\n- order_id: 2\n", "is YAML"),
    "YAML, a document": ("---\norders:\n  - order_id: 1\n    domain: a.example.com\n", "is YAML"),
    "YAML, an object": ("order_id: 1\ndomain: a.example.com\n", "is YAML"),
    "YAML, a list of numbers": ("orders:\n  - 100200301\n", "is YAML"),
    "YAML, a document of one key": ("---\norder_id: 100200301\n", "is YAML"),
    "YAML, a document of numbers": ("---\n- 100200301\n- 100200302\n", "is YAML"),
    "YAML, with a comment": ("# pending\norders:\n  - 100200301\n", "is YAML"),
    "a mail of one part": (
        "From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n\r\norder_id,domain\r\n",
        "is an e-mail",
    ),
    "a vCard": ("BEGIN:VCARD\nVERSION:3.0\nEMAIL:admin@a.example.com\nEND:VCARD\n", "is a vCard"),
    "a calendar": ("BEGIN:VCALENDAR\nVERSION:2.0\n", "is a calendar"),
    "TOML": ("[orders]\norder_id = 1\n", "is an INI or TOML file"),
    "SQL": ("-- dump\nINSERT INTO orders VALUES (1,'a.example.com');\n", "is SQL"),
    "a list with colons": (
        "order_id:domain:email\n1:a.example.com:x@y.example\n",
        '--delimiter ":"',
    ),
    "a list with carets": (
        "order_id^domain^email\n1^a.example.com^x@y.example\n",
        '--delimiter "^"',
    ),
    "a sign that looks like another": (
        "order_id\u037edomain\u037eemail\n1\u037ea.example.com\u037ex@y.example\n",
        "separated by '\u037e' (U+037E, greek question mark)",
    ),
    "lines in quotation marks": (
        '"order_id,domain,email"\n"1,a.example.com,x@y.example"\n',
        "each line is in quotation marks",
    ),
    "columns of fixed width": (
        "order_id  domain         email\n1         a.example.com  x@y.example\n",
        "no single character separates",
    ),
    "two signs between": ("order_id::domain::email\n1::a.example::x@a.example\n", "no single char"),
}


@pytest.mark.parametrize(("content", "said"), OTHER_TEXTS.values(), ids=OTHER_TEXTS)
def test_a_text_of_another_form_is_said_to_be_that_with_what_to_do(content: str, said: str) -> None:
    assert said in refusal(content)


@pytest.mark.parametrize("content", ["order_id:\n1\n", "Order ID:,Note:\n1,x\n", "Date: x\n1\n"])
def test_a_heading_with_a_colon_is_no_other_form(content: str) -> None:
    with standard_input(content.encode()):
        try:
            rows = list(ListSource("-"))
        except InputError as error:
            assert "no column holds the order number" in str(error)
        else:
            assert [row.order_id for row in rows] == ["1"]


def test_a_lock_file_of_a_name_alone_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "~$orders.csv"
    path.write_text("Jo Smith\n")
    with pytest.raises(InputError, match=r"lock file of Office.*give orders\.csv"):
        list(ListSource(str(path)))
    path.write_text("order_id,note\n1,x\n")
    assert len(list(ListSource(str(path)))) == 1


@pytest.mark.parametrize("content", ["[100200301]", '["100200301", "100200302"]'])
def test_numbers_alone_in_json_are_no_orders_and_it_is_said_what_to_write(content: str) -> None:
    with standard_input(content.encode()):
        rows = list(ListSource("-"))
    bad = [row for row in rows if isinstance(row, RejectedRow)]
    assert len(bad) == len(rows)
    assert 'write what it is, such as {"order_id": ' in bad[0].reason


@pytest.mark.parametrize(
    "content",
    [
        '{"100200301": {"domain": "a.example.com", "email": "admin@a.example.com"}}',
        '{"100200301": ["a.example.com"], "100200302": []}',
        '{\n"100200301": {"email": "admin@a.example.com"},\n"100200302": {}}',
    ],
)
def test_orders_by_their_numbers_as_keys_are_none_and_it_is_said_what_to_write(
    content: str,
) -> None:
    with standard_input(content.encode()):
        (row,) = ListSource("-")
    assert isinstance(row, RejectedRow)
    assert "the order numbers are keys" in row.reason


def test_of_records_on_one_line_the_number_is_named() -> None:
    records = [FULL, FULL | {"email": "x"}, 5, FULL, FULL | {"order_id": "x"}]
    with standard_input(json.dumps(records).encode()):
        bad = [row for row in ListSource("-") if isinstance(row, RejectedRow)]
    assert [row.reason.partition(":")[0] for row in bad] == ["record 2", "record 3", "record 5"]
    with standard_input(json.dumps({"data": records}, indent=1).encode()):
        bad = [row for row in ListSource("-") if isinstance(row, RejectedRow)]
    assert not any("record" in row.reason for row in bad)
    assert len({row.line for row in bad}) == 3


DRAWN = {
    "psql": (
        " order_id  |    domain     |        email        \n"
        "-----------+---------------+---------------------\n"
        " 100200301 | a.example.com | admin@a.example.com\n"
        "(1 row)\n\n"
    ),
    "mysql": (
        "+-----------+---------------+---------------------+\n"
        "| order_id  | domain        | email               |\n"
        "+-----------+---------------+---------------------+\n"
        "| 100200301 | a.example.com | admin@a.example.com |\n"
        "+-----------+---------------+---------------------+\n"
        "1 row in set (0.00 sec)\n"
    ),
    "Markdown": (
        "| order_id | domain | email |\n|:---|---|---:|\n"
        "| 100200301 | a.example.com | admin@a.example.com |\n"
    ),
    "sqlite": (
        "order_id|domain|email\n-----|-----|-----\n100200301|a.example.com|admin@a.example.com\n"
    ),
}


@pytest.mark.parametrize("content", DRAWN.values(), ids=DRAWN)
def test_lines_that_a_program_draws_around_a_table_are_no_rows(content: str) -> None:
    with standard_input(content.encode()):
        (row,) = ListSource("-")
    assert isinstance(row, Row)
    assert [(entry.domain, entry.email) for entry in row.entries] == [
        ("a.example.com", "admin@a.example.com")
    ]
