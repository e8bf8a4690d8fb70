"""A mark inside a record says as much as one of its keys does: nobody is mailed in spite of it.

Inside are the entries of a list of domains, and what stands around a record: in an envelope, or in
a line of `check --out`. Whom the CA mails is counted at the simulator.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from tests.cli.conftest import Desk, desk_with_ca

Record = Mapping[str, object]

A = {"domain": "a.example", "email": "admin@a.example"}
B = {"domain": "b.example", "email": "admin@b.example"}
BOTH = [["admin@a.example", "admin@b.example"]]
MARKS: Mapping[str, Record] = {
    "a note not to send": {"note": "bitte nicht senden"},
    "a comment": {"comment": "please do not send"},
    "done": {"done": True},
    "cancelled": {"cancelled": True},
    "sent": {"sent": "2026-11-28"},
    "validated": {"validated": True},
    "a state": {"dcv_status": "approved"},
    "a text in a list": {"tags": ["a", "cancelled"]},
    "a key deeper": {"check": {"by": "Kim", "done": True}},
    "a text deeper": {"checks": [{"remark": "skip"}]},
    "whether to send": {"send?": "no"},
    "in words, as a key": {"please do not send this one": ""},
    "close to the word for all domains": {"alldomain": True},
}
HARMLESS: Mapping[str, Record] = {
    "an empty note": {"note": ""},
    "a note of something else": {"note": "call Kim"},
    "not done": {"done": False},
    "not known whether it was validated": {"validated": None},
    "a number": {"size": 7},
    "a state in which a mail may be wanted": {"active": True},
}


def of_ours(order: int, mark: Record) -> Record:
    return {"order_id": order, "domain_approval_emails": [A, {**B, **mark}], "locale": "en"}


def in_other_words(order: int, mark: Record) -> Record:
    first, second = ({"fqdn": one["domain"], "to": one["email"]} for one in (A, B))
    return {"order": {"id": order, "names": [first, {**second, **mark}]}, "locale": "en"}


def planned(order: int, mark: Record, **around: object) -> Record:
    path = f"/order/certificate/{order}/resend-emails"
    body = {"domain_approval_emails": [A, {**B, **mark}], "locale": "en"}
    return {"order_id": str(order), **around, "method": "PUT", "path": path, "body": body}


def lines(records: Sequence[Record]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in records)


def wrapped(records: Sequence[Record]) -> str:
    return json.dumps({"data": {"items": [{"attributes": one} for one in records]}}, indent=1)


MAPPED = (
    "--map", "order_id=order.id", "--map", "domain=order.names.fqdn",
    "--map", "email=order.names.to",
)  # fmt: skip
FORMS: Mapping[str, tuple[Callable[[int, Record], Record], Callable[..., str], str]] = {
    "lines": (of_ours, lines, "domain_approval_emails"),
    "an array": (of_ours, json.dumps, "domain_approval_emails"),
    "pages": (of_ours, lambda each: json.dumps({"orders": each}), "domain_approval_emails"),
    "envelopes": (of_ours, wrapped, "domain_approval_emails"),
    "what check --out writes": (planned, lines, "domain_approval_emails"),
    "keys that --map names": (in_other_words, lines, "order.names"),
}


async def sent(desk: Desk, *arguments: str) -> None:
    """Send lists again, whatever was sent before."""
    how = ("--yes", "--again", "--max-rejected", "100%", "--report-dir", "report")
    ended = await desk.run("send", *how, *arguments)
    assert ended.code in (0, 3), ended.err


async def mailed(desk: Desk, ca: Simulator, text: str, *flags: str) -> Mapping[str, object]:
    """Return whom the CA mails for a list, by order."""
    ca.books.recipients.clear()
    desk.write("list.json", text)
    await sent(desk, *flags, "list.json")
    return dict(ca.books.recipients)


@pytest.mark.parametrize(("record", "written", "path"), FORMS.values(), ids=FORMS)
async def test_records_with_a_marked_entry_are_rejected_until_its_key_is_ignored(
    tmp_path: Path,
    record: Callable[[int, Record], Record],
    written: Callable[[Sequence[Record]], str],
    path: str,
) -> None:
    flags = MAPPED if record is in_other_words else ()
    text = written([record(n, mark) for n, mark in enumerate(MARKS.values(), 100200301)])
    fine = written([record(n, more) for n, more in enumerate(HARMLESS.values(), 100200301)])
    keys = [f"{path}.{key}" for mark in MARKS.values() for key in mark]
    async with desk_with_ca(tmp_path) as (desk, ca):
        assert await mailed(desk, ca, text, *flags) == {}
        checked = await desk.run("check", "-v", *flags, "list.json")
        assert [key for key in keys if f'--ignore "{key}"' not in checked.out] == []
        ignored = [word for key in keys for word in ("--ignore", key)]
        sent_all = await mailed(desk, ca, text, *flags, *ignored)
        assert list(sent_all.values()) == [BOTH] * len(MARKS)
        assert len(await mailed(desk, ca, fine, *flags)) == len(HARMLESS)


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
async def test_a_mark_says_as_much_in_an_entry_as_it_does_beside_the_order_number(
    tmp_path: Path, mark: Record
) -> None:
    desk = Desk(tmp_path)
    desk.write("in.jsonl", lines([of_ours(100200301, mark)]))
    desk.write("beside.jsonl", lines([{**of_ours(100200301, {}), **mark}]))
    for name in ("in.jsonl", "beside.jsonl"):
        assert "1 of 1 rows were rejected" in (await desk.run("check", name)).out


AROUND: Mapping[str, Callable[[Record], str]] = {
    "a line of check --out": lambda mark: lines([planned(100200301, {}, **mark)]),
    "an envelope": lambda mark: json.dumps(
        {"data": [{"type": "orders", "attributes": of_ours(100200301, {}), **mark}]}
    ),
}


@pytest.mark.parametrize("text", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize(
    "mark",
    [{"skip": True}, {"note": "please do not send"}, {"done": True}, {"meta": [{"sent": "x"}]},
     {"message": "cancelled"}],
    ids=str,
)  # fmt: skip
async def test_a_mark_around_a_record_is_one_of_the_record(
    tmp_path: Path, text: Callable[[Record], str], mark: Record
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        assert await mailed(desk, ca, text(mark)) == {}
        (key,) = mark
        assert await mailed(desk, ca, text(mark), "--ignore", key) == {"100200301": BOTH}
        assert await mailed(desk, ca, text({"team": "x"})) == {"100200301": BOTH}


@pytest.mark.parametrize(
    "more", [{"domain": "a.example"}, {"site": "only www.a.example"}, {"email": "admin@a.example"}]
)
async def test_an_order_is_not_mailed_for_all_its_domains_where_its_envelope_may_name_one(
    tmp_path: Path, more: Record
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        link = {"links": {"self": "https://api.example.com/orders/1"}, "type": "orders", "id": "1"}
        for around, wanted in ((link, ["100200301"]), (more, [])):
            each = [{**around, "attributes": {"order_id": 100200301}}]
            assert list(await mailed(desk, ca, json.dumps({"data": each}))) == wanted


async def test_check_names_the_keys_of_entries_and_of_objects_as_ignore_takes_them(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    entry = {"fqdn": "a.example", "to": "admin@a.example"}
    names = [{**entry, "note": "x"}, {**entry, "batch": 7}, {**entry, "done": True}, entry]
    order = {"id": 100200301, "names": names, "remark": "do not send"}
    desk.write("list.json", lines([{"order": order, "locale": "en"}]))
    flags = ("check", *MAPPED, "list.json")
    checked = await desk.run(*flags)
    named = [f"'order.{key}'" for key in ("remark", "names.note", "names.batch", "names.done")]
    assert f"keys {', '.join(named)} not read" in checked.out
    assert "1 of 1 rows were rejected" in checked.out
    without_done = (*flags, "--ignore", "order.names.done")
    ignored = await desk.run(*without_done, "--ignore", "order.remark")
    assert "1 read: 1 accepted" in ignored.out
    assert (await desk.run(*flags, "--ignore", "order.names.note")).code == 3
    assert (await desk.run(*flags, "--ignore", "order.names.foo")).code == 2


async def test_a_key_of_the_record_that_is_ignored_is_not_ignored_in_its_entries(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        record = {**of_ours(100200301, {"note": "do not send"}), "note": "cancelled"}
        own, within = ("--ignore", "note"), ("--ignore", "domain_approval_emails.note")
        for flags in ((), own, within):
            assert await mailed(desk, ca, lines([record]), *flags) == {}
        assert await mailed(desk, ca, lines([record]), *own, *within) == {"100200301": BOTH}
