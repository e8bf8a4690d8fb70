"""One vocabulary for what is written about a list, wherever it stands: then nothing of it goes."""

import json
import re

import pytest

from batch_resend.intake import Field, Reading
from batch_resend.model import Call
from tests.intake.conftest import REFUSED, goes, workbook
from tests.intake.test_held_back import HEADLESS, ORDERS, WITH_PAIRS, column, pair, reasons

REMARKS = {
    "not to send": "Do not send the first three",
    "not to send, with a comma": "Do not send the first three, they are cancelled",
    "not to send, with a comma in its column": "As I said, do not send these",
    "not to send, with a number": "Do not send 100200301",
    "not to send, with an address": "Do not mail admin@a.example.com",
    "not to send, in two words": "do_not_send",
    "in German": "nicht senden",
    "in Japanese": "送信しない",
    "a state": "The first three are cancelled",
    "a state, with a count": "3 of these are cancelled",
    "only some": "only www",
    "only some, behind": "www only",
    "only some, joined": "only_www",
    "only some, in German": "nur www",
    "only some, in French": "uniquement www",
    "only some, in Portuguese": "apenas www",
    "only some, in Russian": "только www",
    "only some, in Japanese": "www のみ",
    "only some, in Chinese": "仅 www",
    "only some, in Korean": "www만",
    "all but some": "all except the first",
    "what a program writes, and more": "Page 1 of 3 - do not send page 2",
}
ADDRESSED = "order_id,domain,email\n" + "".join(map(pair, ORDERS))
WITH_NOTES = "order_id,domain,email,Notes\n" + "".join(pair(one, ",ok") for one in ORDERS)
LISTS = {
    "with addresses": ADDRESSED,
    "with notes": WITH_NOTES,
    "with two columns": "order_id,Team\n" + "".join(f"{one},blue\n" for one in ORDERS),
    "with a column for all domains": "order_id,all_domains\n"
    + "".join(f"{one},yes\n" for one in ORDERS),
    "of the CA": "Order #,Common Name,Status,Product\n"
    + "".join(f"{one},a.example.com,pending,RapidSSL\n" for one in ORDERS),
    "of orders alone": column(ORDERS),
}
BY_WORD = Reading(all_domains=True)


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
def test_a_remark_below_any_list_refuses_it(remark: str, content: str) -> None:
    for reading in (Reading(), BY_WORD):
        assert goes(f"{content}{remark}\n", reading) == REFUSED
        assert goes(f"{content}\n{remark}\nRegards\n", reading) == REFUSED
        assert len(goes(content, reading)) == len(ORDERS)
    assert re.search(
        "then: batch-resend check -|then add --ignore", reasons(f"{content}{remark}\n")
    )


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
def test_so_it_does_in_other_forms_of_a_table(remark: str) -> None:
    rows = [line.split(",") for line in ADDRESSED.splitlines()]
    drawn = "".join(f" {' | '.join(cells)}\n" for cells in rows)
    assert goes(f"{drawn}{remark}\n") == REFUSED
    assert goes(f"{drawn.replace('|', ';')}{remark};;\n") == REFUSED
    assert goes(workbook([*rows, [], [remark]])) == REFUSED
    assert goes(workbook([*rows, [], ["", "", remark]])) == REFUSED
    assert goes(ADDRESSED.partition("\n")[2] + remark + "\n", WITH_PAIRS) == REFUSED
    assert goes(column(ORDERS).partition("\n")[2] + remark + "\n", HEADLESS) == REFUSED
    assert goes(f"{drawn}\n(12 rows)\n") == ORDERS


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
def test_so_it_does_in_the_name_of_a_sheet_and_above_the_headings(remark: str) -> None:
    rows = [line.split(",") for line in ADDRESSED.splitlines()]
    if len(remark) <= 31:  # as Excel has it
        assert goes(workbook(rows, remark)) == REFUSED
        assert goes(workbook(rows, remark), Reading(sheet=remark)) == ORDERS
    assert goes(f"{remark}\n{ADDRESSED}") == REFUSED


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS)
@pytest.mark.parametrize("named", [True, False])
def test_so_it_does_in_json(remark: str, *, named: bool) -> None:
    beside = {"domain": "a.example.com", "email": "admin@a.example.com"} if named else {}
    records = [{"order_id": int(one), **beside} for one in ORDERS]
    lines = [json.dumps(one) for one in records]
    documents: list[object] = [
        *({key: remark, "orders": records} for key in ("title", "note", "message", "x")),
        {"data": {"items": records, "about": {"text": remark}}},
        {remark: records},
        [*records, remark],
        [*records, {"note": remark}],
        [{"title": remark}, *records],
    ]
    for reading in (Reading(), BY_WORD):
        for document in documents:
            assert goes(json.dumps(document), reading) == REFUSED, document
        assert goes("\n".join([*lines, json.dumps({"note": remark}), ""]), reading) == REFUSED
        assert goes("\n".join([*lines, remark, ""]), reading) == REFUSED
        assert len(goes(json.dumps(records), reading)) == len(ORDERS)


@pytest.mark.parametrize(
    "word",
    ["only", "nur", "solo", "seulement", "tranne", "だけ", "제외", "exceto", "кроме", "只", "僅",
     "alleen", "endast", "undtagen", "tylko", "pouze", "paitsi", "csak", "sadece"],
)  # fmt: skip
def test_that_only_some_are_meant_is_seen_in_every_language_in_which_states_are(word: str) -> None:
    assert goes(f"{ADDRESSED}www {word}\n") == REFUSED


@pytest.mark.parametrize(
    "text",
    ["(12 rows)", "Page 1 of 3", "Generated by a portal", "-- end of report", "Regards, Kim",
     "SANs", "Jen", "end of list", "Total: 12", "confidential"],
)  # fmt: skip
def test_other_words_below_cost_no_row_but_their_own(text: str) -> None:
    assert goes(f"{ADDRESSED}\n{text}\n") in (ORDERS, ORDERS[:-1])
    assert goes(f"{column(ORDERS)}\n{text}\n") == ORDERS


@pytest.mark.parametrize("domain", ["www.a.example.com", "a.example.com and b.example.com"])
def test_a_domain_in_the_place_of_a_number_refuses_a_list_of_orders_alone(domain: str) -> None:
    for cells in ([*ORDERS, domain], [ORDERS[0], domain, *ORDERS[1:]]):
        assert goes(column(cells)) == REFUSED
        assert goes("".join(f"{cell}\n" for cell in cells), HEADLESS) == REFUSED
        assert goes(column(cells), BY_WORD) in (ORDERS, REFUSED)


@pytest.mark.parametrize("name", ["only.example.com", "solo.example", "nur-shop.example.com"])
def test_a_word_in_a_name_narrows_nothing(name: str) -> None:
    row = f"100200399,{name},admin@{name}\n"
    assert goes(ADDRESSED + row) == [*ORDERS, "100200399"]
    by_domain = Reading(call=Call.DOMAIN_DCV)
    assert goes(f"domain\na.example.com\n{name}\n", by_domain) == ["a.example.com", name]
    record = {"order_id": 100200399, "domain": name, "email": f"admin@{name}"}
    beside = {"source": f"https://{name}/orders", "orders": [record]}
    assert goes(json.dumps(beside)) == ["100200399"]


# --- what --all-domains does not say: which orders -------------------------------------

WHICH = {
    "the same mark in some rows": ("team", ["x", "", "x"]),
    "the same word": ("team", ["blue", "", "blue"]),
    "no heading": ("", ["x", "", "x"]),
    "a state in which a mail may be wanted": ("active", ["x", "", "x"]),
    "another one": ("verified?", ["2026-01-01", "2026-01-02", "2026-01-03"]),
    "yes and no": ("wish", ["yes", "no", "yes"]),
    "yes and no in Chinese": ("ok?", ["是", "否", "是"]),
    "a remark": ("note", ["", "do not send", ""]),
}


@pytest.mark.parametrize(("heading", "cells"), WHICH.values(), ids=WHICH)
@pytest.mark.parametrize("word", ["", "yes"], ids=["by the option", "by the column"])
def test_no_word_for_all_domains_says_which_orders_are_meant(
    heading: str, cells: list[str], word: str
) -> None:
    rows = "".join(f"{order},{cell},{word}\n" for order, cell in zip(ORDERS, cells, strict=False))
    content = f"order_id,{heading},{'all_domains' if word else 'x'}\n{rows}"
    reading = Reading() if word else BY_WORD
    assert goes(content, reading) == REFUSED
    ignored = frozenset((heading or "column 2",))
    by_word = Reading(all_domains=not word, ignored=ignored)
    assert goes(content, by_word) == ORDERS[:3]
    if not heading:
        places = Reading({Field.ORDER_ID: "1"}, headed=False, all_domains=True)
        assert goes(rows, places) == REFUSED


@pytest.mark.parametrize(
    "added",
    [{"active": "x"}, {"wish": "no"}, {"meta": {"wish": "nein"}}, {"ok": "否"}, {"done": True}],
    ids=json.dumps,
)
def test_so_it_is_in_json_record_by_record(added: dict[str, object]) -> None:
    records = [{"order_id": int(ORDERS[0])}, {"order_id": int(ORDERS[1]), **added}]
    for reading in (Reading(), BY_WORD):
        assert goes(json.dumps(records), reading) == ORDERS[:1]
    ignoring = Reading(all_domains=True, ignored=frozenset(added))
    assert goes(json.dumps(records), ignoring) == ORDERS[:2]


def test_nor_does_it_make_an_order_of_a_total_or_of_what_is_below_a_title() -> None:
    total = str(sum(map(int, ORDERS[:2])))
    assert goes(column([*ORDERS[:2], total]), BY_WORD) == ORDERS[:2]
    assert goes(column([total, *ORDERS[:2]]), BY_WORD) == REFUSED
    records = [{"order_id": one} for one in (*ORDERS[:2], total)]
    assert goes(json.dumps(records), BY_WORD) == ORDERS[:2]
    below = [{"order_id": one} for one in (*ORDERS[:2], "Other numbers", *ORDERS[2:4])]
    for reading in (Reading(), BY_WORD):  # on one line, too
        assert goes(json.dumps(below), reading) == REFUSED
        assert goes(json.dumps(below, indent=1), reading) == REFUSED


@pytest.mark.parametrize("heading", ["note", "thing"])
def test_whom_to_mail_it_does_say(heading: str) -> None:
    content = f"order_id,{heading}\n{ORDERS[0]},first one\n{ORDERS[1]},called\n"
    assert goes(content, BY_WORD) == ORDERS[:2]


# --- yes and no ---------------------------------------------------------------------------

YES_AND_NO = [
    ("yes", "no"), ("Y", "N"), ("TRUE", "FALSE"), ("ja", "nein"), ("J", "N"), ("WAHR", "FALSCH"),
    ("sí", "no"), ("oui", "non"), ("vrai", "faux"), ("sì", "no"), ("vero", "falso"),
    ("はい", "いいえ"), ("예", "아니오"), ("네", "아니요"), ("sim", "não"), ("да", "нет"),
    ("Да", "Нет"), ("是", "否"), ("ja", "nee"), ("ja", "nej"), ("tak", "nie"), ("igen", "nem"),
    ("✓", "✗"), ("✔", "✘"), ("☑", "☐"), ("✅", "❌"), ("○", "\u00d7"), ("Yes.", "No!"),
]  # fmt: skip


@pytest.mark.parametrize(("yes", "no"), YES_AND_NO)
def test_a_column_of_yes_and_no_is_seen_in_every_language_of_the_ca(yes: str, no: str) -> None:
    for first, then in ((yes, no), (no, yes)):
        more = f",{first}", f",{then}"
        addressed = "".join(pair(one, cell) for one, cell in zip(ORDERS, more, strict=False))
        assert goes(f"order_id,domain,email,Freigabe\n{addressed}") == REFUSED
        alone = f"{ORDERS[0]},{first}\n{ORDERS[1]},{then}\n"
        assert goes(f"order_id,Freigabe\n{alone}") == REFUSED
        assert goes(alone, HEADLESS) == REFUSED
    records = [{"order_id": int(ORDERS[0]), "x": yes}, {"order_id": int(ORDERS[1]), "x": no}]
    assert goes(json.dumps(records)) == ORDERS[:1]
