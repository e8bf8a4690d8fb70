"""Rows that no reader would take for a request to mail all domains of an order are none.

Each list stands beside the orders that it may ask for; REFUSED has nothing of it sent.
"""

import pytest

from batch_resend.intake import ListSource, Reading
from batch_resend.model import Call
from tests.intake.conftest import REFUSED, goes, standard_input, workbook

THE_WORD = {
    word: f"order_id,all_domains\n100200301,yes\n100200302,{word}\n"
    for word in ("no", "FALSE", "false", "0", "n", "nein", "non", "", "-", "later", "?")
}


@pytest.mark.parametrize("content", THE_WORD.values(), ids=THE_WORD)
def test_only_a_plain_yes_asks_for_all_domains(content: str) -> None:
    assert goes(content) == ["100200301"]


@pytest.mark.parametrize("word", ["yes", "Yes", "y", "TRUE", "true", "1", "x", "ja", "oui", "sí"])
def test_a_plain_yes_does(word: str) -> None:
    assert goes(f"order_id,all_domains\n100200301,{word}\n") == ["100200301"]


@pytest.mark.parametrize("word", ["false", "0", '"no"', "null", '"FALSE"', '""'])
def test_nor_does_another_word_in_json(word: str) -> None:
    lines = '{"order_id": 100200301, "all_domains": true}\n{"order_id": 100200302, "all_domains": '
    assert goes(lines + word + "}\n") == ["100200301"]


def test_nor_a_false_in_a_workbook() -> None:
    said = enumerate((True, False, 0, 1, ""), start=1)
    content = workbook([["order_id", "all_domains"], *([100200300 + at, one] for at, one in said)])
    assert goes(content) == ["100200301", "100200304"]


@pytest.mark.parametrize("heading", ["all domain", "all_domain", "All-Domains?", "alldomans"])
def test_a_heading_close_to_that_word_is_asked_about(heading: str) -> None:
    content = f"order_id,{heading}\n100200301,no\n"
    assert goes(content) == REFUSED
    assert goes(content, Reading(ignored=frozenset((heading,)))) == ["100200301"]


@pytest.mark.parametrize(
    ("content", "orders"),
    [
        ("order_id,mails,mails_in_doubt,last_mail_at\n100200301,5,0,2026-12-01\n", ["100200301"]),
        ("order_id,mails\n100200301,5\n", REFUSED),
        ("order_id,mails,last_mail_at\n100200301,5,2026-12-01\n", REFUSED),
        ("order_id,mails,mails_in_doubt,last_mail_at\n100200301,a@b.example,0,\n", REFUSED),
        ("order_id,mails,mails_in_doubt,last_mail_at,send\n100200301,5,0,,no\n", REFUSED),
        ("order_id,mails,mails_in_doubt,last_mail_at,email\n100200301,5,0,,a@b.example\n", REFUSED),
    ],
)
def test_mails_are_counted_only_where_a_list_has_all_such_columns_of_stuck_csv(
    content: str, orders: list[str]
) -> None:
    assert goes(content) == orders


# Row numbers under ID, beside what any inventory of certificates has.
INVENTORIES = [
    "ID,Common Name,CertCentral Nr,Status\n1,a.example.com,100200301,Pending\n",
    "id,common_name,status\n1,a.example.com,pending\n2,b.example.com,issued\n",
    "id,common name,serial number,status,valid from,valid till\n"
    "1,a.example.com,0A,pending,2026-01-01,2027-01-01\n",
    "id,order status\n1,pending\n2,shipped\n",
    "id,dns names,issuer\n1,a.example.com,x\n",
    "id,product name,status\n1,RapidSSL,pending\n",
    "id,SAN,email\n1,a.example.com,admin@a.example.com\n",
]


@pytest.mark.parametrize("content", INVENTORIES)
def test_a_bare_id_beside_what_any_inventory_has_numbers_no_orders(content: str) -> None:
    assert goes(content) == REFUSED


@pytest.mark.parametrize("other", ["dcv_method", "product name id", "approver email,domain"])
def test_beside_what_only_lists_of_the_ca_have_it_does(other: str) -> None:
    cells = {"dcv_method": "email", "product name id": "ssl_dv_geotrust"}
    held = cells.get(other, "admin@a.example.com,a.example.com")
    assert goes(f"id,{other}\n100200301,{held}\n") == ["100200301"]


FOREIGN_JSON = [
    '{"orders":[{"id":1,"status":"pending","total":"5.00"}]}',
    '{"orders":[{"id":1},{"id":2}]}',
    '{"page":{},"orders":[{"id":1,"status":"pending"}]}',
    '{"id":1,"certificate":"a.pem"}\n',
    '{"id":1,"certificate":null}\n',
    '[{"id":1,"certificate":{"serial":"0A"},"status":"pending"}]',
    '{"id":1,"product":{"name":"Shirt"},"status":"pending"}\n',
    '{"data":[{"id":1,"status":"pending"}]}',
]


@pytest.mark.parametrize("content", FOREIGN_JSON)
def test_an_id_in_orders_of_another_shop_is_no_order_of_the_ca(content: str) -> None:
    assert goes(content) in ([], REFUSED)


@pytest.mark.parametrize(
    "held",
    [
        '"certificate": {"common_name": "a.example.com"}',
        '"certificate": {"dns_names": ["a.example.com"]}',
        '"product": {"name_id": "ssl_dv_geotrust"}',
        '"product_name_id": "ssl_dv_geotrust"',
    ],
)
def test_an_id_beside_what_orders_of_the_ca_have_is_its_number(held: str) -> None:
    assert goes(f'{{"orders": [{{"id": 7, {held}}}]}}') == ["7"]
    assert goes(f'{{"id": 7, {held}}}\n') == ["7"]


@pytest.mark.parametrize(
    "heading",
    ["send?", "Send", "skip", "Skip?", "do not send", "don't mail", "resend y/n", "Senden",
     "exclude", "Opt-out", "überspringen", "envoyer"],
)  # fmt: skip
@pytest.mark.parametrize("row", ["100200302,b.example.com,admin@b.example.com", "100200302,,"])
def test_a_column_of_whether_to_send_is_asked_about(heading: str, row: str) -> None:
    content = f"order_id,domain,email,{heading}\n{row},no\n"
    assert goes(content) == REFUSED
    assert goes(content, Reading(ignored=frozenset((heading,)))) != REFUSED


@pytest.mark.parametrize("key", ["send", "skip", "do_not_send"])
def test_so_is_such_a_key(key: str) -> None:
    assert goes(f'{{"order_id": 1, "{key}": "no"}}\n') == []


EXPORT = "Order #,Common Name,Status,Product,{}\n"
EXPORTED = "100200301,a.example.com,pending,RapidSSL,{}\n"
ADDED = {
    "a domain": ("Mail this", "www.a.example.com"),
    "an address": ("Whom", "admin@a.example.com"),
    "a remark": ("Remarks", "only www"),
    "a remark in German": ("Bemerkung", "nur www"),
    "a yes or no": ("Kunde will", "nein"),
    "a word": ("skip", "x"),
}


@pytest.mark.parametrize(("heading", "cell"), ADDED.values(), ids=ADDED)
def test_what_was_added_to_an_export_is_asked_about(heading: str, cell: str) -> None:
    content = EXPORT.format(heading) + EXPORTED.format(cell)
    assert goes(content) == REFUSED
    later = EXPORT.format(heading) + EXPORTED.format("") * 70 + EXPORTED.format(cell)
    if heading in ("Mail this", "Whom"):
        assert goes(later) == REFUSED
    ignoring = Reading(ignored=frozenset((heading,)), all_domains=heading == "Whom")
    assert goes(content, ignoring) == ["100200301"]


@pytest.mark.parametrize(
    "added",
    ['"only": "www.a.example.com"', '"remark": "only www"', '"send": "no"', '"x": ["a.de"]'],
)
def test_so_is_what_was_added_to_its_json(added: str) -> None:
    order = '"id": 1, "certificate": {"common_name": "a.example.com"}'
    assert goes(f'{{"orders": [{{{order}, {added}}}]}}') == []


def test_what_else_was_added_is_named_as_not_read() -> None:
    content = EXPORT.format("Team") + EXPORTED.format("blue")
    with standard_input(content.encode()):
        source = ListSource("-")
        assert len(list(source)) == 1
    assert source.form.unread == {"Team": ""}


@pytest.mark.parametrize("stray", [" ", "\t", ";", ",", "; "])
def test_a_name_broken_in_two_of_which_none_is_at_the_address_is_rejected(stray: str) -> None:
    row = f'100200301|"shop.exam{stray}ple.example.com"|admin@shop.example.net\n'
    assert goes("order_id|domain|email\n" + row) == []
    whole = '100200301|"shop.example.com; www.example.com"|admin@example.com\n'
    assert goes("order_id|domain|email\n" + whole) == ["100200301"]


NUMBERS = ["100200301", "100200302", "100200303", "100200304"]
NOT_ORDERS = {
    "a count of Excel's subtotals": "2,a Count\n",
    "the grand one": "3,Grand Count\n",
    "in German": "3,Gesamtanzahl\n",
    "named first": "3,Summe von Preis\n",
    "a total with a name": "100200,Customer A Total\n",
    "a sum of another column": "475,\n",
    "a page": "100200309,Page 1\n",
    "a page of several": "100200309,Seite 1 von 3\n",
    "broken in two": "100200,\n399,\n",
    "broken in another place": "10020039,\n9,\n",
    "two joined": "100200301100200302,\n",
    "a year": "2024,\n",
    "commented out": "#100200309,x\n",
    "commented out with a blank": "# 100200309,x\n",
}


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("row", NOT_ORDERS.values(), ids=NOT_ORDERS)
def test_what_is_no_order_among_orders_is_rejected_wherever_it_stands(row: str, at: int) -> None:
    rows = [f"{number},note\n" for number in NUMBERS]
    rows.insert(at, row)
    assert goes("order_id,note\n" + "".join(rows)) == NUMBERS


@pytest.mark.parametrize("number", ["2024", "100200", "100200301100200302", '"1002003"', "9"])
def test_nor_does_a_number_of_another_length_go_in_json(number: str) -> None:
    lines = [f'{{"order_id": {one}}}\n' for one in [*NUMBERS[:2], number, *NUMBERS[2:]]]
    assert goes("".join(lines)) == NUMBERS


@pytest.mark.parametrize(
    "numbers",
    [
        ["999998", "999999", "1000000", "1000001"],
        ["99999998", "99999999", "100000000", "100000001"],
        ["87654321", "100200301", "100200302", "87654322", "87654320", "100200303"],
        [str(number) for number in range(999_990, 1_000_119)],
        [*(str(99999000 + n) for n in range(60)), *(str(100200300 + n) for n in range(60))],
    ],
)
def test_numbers_may_grow_longer(numbers: list[str]) -> None:
    assert goes("order_id\n" + "".join(f"{number}\n" for number in numbers)) == numbers
    assert goes("".join(f'{{"order_id": {number}}}\n' for number in numbers)) == numbers


@pytest.mark.parametrize("content", ["order_id\n100200", "order_id,note\n100200,x"])
def test_a_row_alone_without_its_line_end_goes_only_with_an_address(content: str) -> None:
    assert goes(content) == []
    assert goes(content + "\n") == ["100200"]


@pytest.mark.parametrize("split", ["shop.example.co", "shop.ex", "shop"])
def test_a_domain_that_is_cut_off_at_the_end_is_rejected(split: str) -> None:
    reading = Reading(call=Call.DOMAIN_DCV)
    assert goes(f"domain\na.example.com\nb.example.com\n{split}", reading) == [
        "a.example.com", "b.example.com",
    ]  # fmt: skip
    whole = goes("domain\na.example.com\nc.example.com", reading)
    assert whole == ["a.example.com", "c.example.com"]


WITH_ADDRESS = "order_id,domain,email\n100200301,a.example.com,admin@a.example.com\n"
SENT = {  # a list, whether the option for all domains is given, and the orders that go
    "a record without the word that others have": (
        '{"order_id": 100200302}\n{"order_id": 100200301, "all_domains": true}\n',
        False, ["100200301"],
    ),
    "a no of a row, beside the option for all": (
        "order_id,all_domains\n100200301,\n100200302,no\n", True, ["100200301"],
    ),
    "yes and no under whatever heading": (
        "order_id,Kunde will\n100200301,ja\n100200302,nein\n", False, REFUSED,
    ),
    "a number of another length, by the word": (
        "order_id,all_domains\n100200301,yes\n1002,yes\n", False, ["100200301", "1002"],
    ),
    "a sign of numbers before all of them": (
        "order_id\n" + "".join(f"#{number}\n" for number in NUMBERS), False, NUMBERS,
    ),
    "a row with an address that is commented out": (
        WITH_ADDRESS + "#100200302,a.example.com,admin@a.example.com\n",
        False, ["100200301"],
    ),
    "a row commented out before another column": (
        "note,order_id\nx,100200301\n#x,100200302\n", False, ["100200301"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "all_domains", "sent"), SENT.values(), ids=SENT)
def test_what_goes_is_what_plainly_asks_to(
    content: str, all_domains: bool, sent: list[str]
) -> None:
    assert goes(content, Reading(all_domains=all_domains)) == sent
