"""Keys of JSON lists: what is read, what is named, and what goes back in."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Desk, desk_with_ca


async def test_check_names_the_keys_of_json_that_are_not_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    record = {"order": {"id": 100200301, "ref": 1}, "acount": "x", "foo": None, "status": "pending"}
    more = {"order": {"id": 100200302}, "bar": 5}
    desk.write("orders.jsonl", f"{json.dumps(record)}\n{json.dumps(more)}\n")
    checked = await desk.run("check", "--map", "order_id=order.id", "orders.jsonl")
    assert (
        "JSON; keys 'acount', 'foo', 'order.ref', 'bar' not read "
        "(if 'acount' is account: --map account=\"acount\")\n" in checked.out
    )
    ignored = await desk.run(
        "check", "--map", "order_id=order.id", "--ignore", "acount", "orders.jsonl"
    )
    assert "2 rows; JSON; keys 'acount', 'foo', 'order.ref', 'bar' not read" in ignored.out
    desk.write(
        "orders.csv",
        "order_id,domain,email,acount,note\n100200301,a.example.com,admin@a.example.com,x,\n",
    )
    checked = await desk.run("check", "orders.csv")
    assert "columns 'acount', 'note' not read (if 'acount' is account: --map" in checked.out
    desk.write("orders.json", json.dumps([{"id": 1002003, "certificate": {"dns_names": []}}]))
    checked = await desk.run("check", "orders.json")
    assert "orders.json: 1 row; JSON" in checked.out


async def test_a_key_that_only_some_records_have_misspelled_is_to_be_corrected_in_them(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    records = [{"order_id": 100200301 + n, "locale": "de"} for n in range(3)]
    records[1]["locael"] = records[1].pop("locale")
    desk.write("orders.jsonl", "".join(f"{json.dumps(one)}\n" for one in records))
    checked = await desk.run("check", "orders.jsonl")
    assert (
        "JSON; key 'locael' not read (if 'locael' is 'locale' misspelled, correct it in the list)\n"
        in checked.out
    )


def in_german(number: int) -> dict[str, Any]:
    return {
        "vorgang": {"nr": number, "angelegt": "2026-11-01"},
        "zertifikat": {"fqdn": "a.example", "kontakt": {"mail": "x@a.example", "tel": 1}},
    }


IN_GERMAN = ("--map", "domain=zertifikat.fqdn", "--map", "email=zertifikat.kontakt.mail")


async def test_check_names_the_keys_within_that_are_not_read_where_others_beside_them_are(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.write("a.json", json.dumps([in_german(100200301), in_german(100200302)]))
    checked = await desk.run("check", "--map", "order_id=vorgang.nr", *IN_GERMAN, "a.json")
    assert "keys 'vorgang.angelegt', 'zertifikat.kontakt.tel' not read" in checked.out
    checked = await desk.run(
        "check", "--map", "order_id=vorgang.nr", "--ignore", "zertifikat", "a.json"
    )
    assert "keys 'zertifikat', 'vorgang.angelegt' not read" in checked.out + checked.err


@pytest.mark.parametrize("others", [(), IN_GERMAN], ids=["alone", "beside others"])
async def test_a_key_that_is_counted_from_what_is_around_the_record_is_not_there(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    desk = Desk(tmp_path)
    desk.write("a.json", json.dumps({"result": {"bestellungen": [in_german(100200301)]}}))
    name = "result.bestellungen.vorgang.nr"
    checked = await desk.run("check", "--map", f"order_id={name}", *others, "a.json")
    assert checked.code == 3
    assert (
        f'--map order_id="{name}" names a key that is not there. Keys are counted from the record, '
        "not from what is around it; there are objects under 'result.bestellungen', with the keys "
        "'vorgang.nr', 'vorgang.angelegt', 'zertifikat.fqdn', "
    ) in checked.out
    assert "1 of 1 rows were rejected" in checked.out
    assert "send the other rows" not in checked.out, "there are none"


async def test_rejected_and_unsent_rows_of_nested_json_are_read_by_the_same_options(
    tmp_path: Path,
) -> None:
    options = ("--map", "order_id=order.id", "--map", "email=to.mail")
    good = {
        "order": {"id": 100200301},
        "to": {"mail": "admin@a.example.com"},
        "domain": "a.example.com",
    }
    bad = {"order": {"id": 100200302}, "to": {"mail": "admin@a.example"}, "domain": "nope"}
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.json", json.dumps([good, bad]))
        sent = await desk.run(
            "send", "--yes", "--max-rejected", "100%", *options, "--base-url", "http://127.0.0.1:1/v2",
            "--patience", "0", "--max-attempts", "1", "--report-dir", "report", "orders.json",
        )  # fmt: skip
        assert sent.code in (3, 4), sent.err
        report = desk.folder / "report"
        checked = await desk.run("check", "--json", *options, str(report / "unsent.csv"))
        assert json.loads(checked.out)["first_requests"][0]["order_id"] == "100200301"
        heading, row = csv.reader((report / "rejected.csv").read_text().splitlines())
        named = dict(zip(heading, row, strict=True))
        assert (named["order.id"], named["domain"], named["to.mail"]) == (
            "100200302", "nope", "admin@a.example",
        )  # fmt: skip
