"""A rejected record has a row for each entry in rejected.csv: what one corrects of it is sent.

Whatever row differs from what was rejected is corrected. Rows that were right all along go along
with the others of their record, and with nothing else.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca

Rows = list[dict[str, str]]
Edit = Callable[[Rows], Rows]
Entry = tuple[str, str | None]

ORDER, OTHER = "100200302", "100200303"
OWN = ("file", "line", "reason", "record", "row")
GOOD = {"order_id": "100200301", "domain": "z.example", "email": "admin@z.example"}
RIGHT, WRONG = ("a.example", "admin@a.example"), ("b.example", "admin at b.example")
THIRD = ("c.example", "admin@c.example")
TWICE = ("www.a.example", "admin at a.example")  # to be corrected to what stands beside it


def record(*entries: Entry, order: str = ORDER, **more: str) -> dict[str, object]:
    nested = [dict(zip(("domain", "email"), entry, strict=True)) for entry in entries]
    return {"order_id": order, "domain_approval_emails": nested, "locale": "en", **more}


def lines(*records: object) -> Mapping[str, str]:
    return {"list.jsonl": "".join(f"{json.dumps(one)}\n" for one in (GOOD, *records))}


def put(was: str, now: str) -> Edit:
    """Return what writes another text into cells that have one."""
    return lambda rows: [
        {name: now if cell == was and name not in OWN else cell for name, cell in row.items()}
        for row in rows
    ]


def without(domain: str) -> Edit:
    return lambda rows: [row for row in rows if row["domain"] != domain]


def emptied(*domains: str) -> Edit:
    return lambda rows: [
        {**row, "reason": "" if row["domain"] in domains else row["reason"]} for row in rows
    ]


def without_empty_columns(rows: Rows) -> Rows:
    empty = {name for name in rows[0] if not any(row[name] for row in rows)}
    return [{name: row[name] for name in row if name not in empty} for row in rows]


def renumbered(rows: Rows) -> Rows:
    return [{**row, "order_id": OTHER if row["domain"] == WRONG[0] else ORDER} for row in rows]


def both(*edits: Edit) -> Edit:
    def edit(rows: Rows) -> Rows:
        for one in edits:
            rows = one(rows)
        return rows

    return edit


@dataclass(frozen=True)
class Case:
    lists: Mapping[str, str]
    edits: Sequence[Edit]  # of one rejected.csv after the other
    mailed: Sequence[Sequence[Sequence[str]]]  # by the requests after each
    flags: Sequence[str] = ()
    others: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)


CORRECT = put(WRONG[1], "admin@b.example")
SAME = put(TWICE[1], RIGHT[1])
A, B, C = RIGHT[1], "admin@b.example", THIRD[1]
OF_TWO_HEADINGS = "email;domain;order\nadmin@z.example;z.example;100200301\n"
MAPPED: dict[str, object] = {
    "order_id": ORDER,
    "domains": [{"name": name, "to": to} for name, to in (RIGHT, TWICE)],
    "locale": "en",
}
MARKED = {
    "order_id": ORDER,
    "domain_approval_emails": [
        {"domain": RIGHT[0], "email": A},
        {"domain": "b.example", "email": B, "done": True},
    ],
    "locale": "en",
}
IN_LANGUAGES = {
    "order_id": ORDER,
    "domain_approval_emails": [
        {"domain": RIGHT[0], "email": A, "locale": "de"},
        {"domain": THIRD[0], "email": C, "locale": "en"},
    ],
}
CASES = {
    "JSON lines": Case(lines(record(RIGHT, WRONG)), [CORRECT], [[[A, B]]]),
    "the wrong one first": Case(lines(record(WRONG, RIGHT)), [CORRECT], [[[A, B]]]),
    "a document in one line": Case(
        {"list.json": json.dumps([GOOD, record(WRONG, THIRD, order=OTHER), record(RIGHT, WRONG)])},
        [lambda rows: [*rows[:2], *CORRECT(rows[2:])]],
        [[[A, B]]],
    ),
    "the CA's pages": Case(
        {"list.json": json.dumps({"orders": [GOOD, record(RIGHT, WRONG)]}, indent=1)},
        [CORRECT], [[[A, B]]],
    ),
    "the new address stands in another entry": Case(
        lines(record(RIGHT, TWICE)), [SAME], [[[A, A]]]
    ),
    "so it does in objects that --map names": Case(
        {"list.jsonl": json.dumps(MAPPED) + "\n"},
        [lambda rows: [{**row, "domains.to": A} for row in rows]], [[[A, A]]],
        ("--map", "domain=domains.name", "--map", "email=domains.to"),
    ),
    "the new domain stands in another entry": Case(
        lines(record(RIGHT, ("a..example", "hostmaster@a.example"))),
        [put("a..example", "a.example")], [[[A, "hostmaster@a.example"]]],
    ),
    "one of several texts stays": Case(
        lines({"order_id": ORDER, "domain": "a.example", "email": [A, "no one"], "locale": "en"}),
        [put(f"{A}; no one", A)], [[[A]]],
    ),
    "a record lacks an address": Case(
        lines(record(RIGHT, ("b.example", ""))),
        [lambda rows: [row | ({} if row["email"] else {"email": A}) for row in rows]],
        [[[A, A]]],
    ),
    "one of three": Case(lines(record(RIGHT, WRONG, THIRD)), [CORRECT], [[[A, B, C]]]),
    "two of three, one at a time": Case(
        lines(record(RIGHT, WRONG, TWICE)), [CORRECT, SAME], [[[B]], [[A, A]]]
    ),
    "its record was saved twice without a correction": Case(
        lines(record(RIGHT, WRONG)), [list, list, CORRECT], [[], [], [[A, B]]]
    ),
    "none is corrected": Case(lines(record(RIGHT, WRONG)), [list], [[]]),
    "columns are deleted": Case(
        lines(record(RIGHT, TWICE)), [without_empty_columns], [[]]
    ),
    "columns are deleted, and one is corrected": Case(
        lines(record(RIGHT, TWICE)), [both(SAME, without_empty_columns)], [[[A, A]]]
    ),
    "it is corrected to something wrong": Case(
        lines(record(RIGHT, WRONG)), [put(WRONG[1], "admin@b..example"),
        put("admin@b..example", B)], [[], [[A, B]]],
    ),
    "the wrong one is deleted": Case(
        lines(record(RIGHT, WRONG)), [without("b.example"), emptied("a.example")], [[], [[A]]]
    ),
    "the right one is deleted": Case(
        lines(record(RIGHT, WRONG)), [both(without("a.example"), CORRECT)], [[[B]]]
    ),
    "the right one is to go alone": Case(
        lines(record(RIGHT, WRONG)), [emptied("a.example")], [[[A]]]
    ),
    "it turns out to be another order's": Case(
        lines(record(RIGHT, WRONG)), [both(CORRECT, renumbered)], [[]], others={OTHER: [[B]]}
    ),
    "the word for all domains is no correction of an entry": Case(
        lines(record(RIGHT, WRONG)),
        [lambda rows: [rows[0], {**rows[1], "domain": "", "email": "", "all_domains": "yes"}]],
        [[]],
    ),
    "the record is one that needs no mail": Case(
        lines(record(RIGHT, WRONG, remark="please do not send")), [CORRECT], [[[B]]]
    ),
    "an entry is one that needs no mail": Case(
        lines(MARKED),
        [list, put(A, "hostmaster@a.example"), emptied("b.example")],
        [[], [["hostmaster@a.example"]], [[B]]],
    ),
    "an entry has no text": Case(
        lines(record(RIGHT, ("b.example", None))),
        [lambda rows: [row | ({} if row["email"] else {"email": B}) for row in rows]],
        [[[A, B]]],
    ),
    "its number is unlike the others": Case(
        lines(*(GOOD | {"order_id": f"10020040{n}"} for n in range(9)),
              record(RIGHT, WRONG, order="1002")),
        [CORRECT], [[]], others={"1002": [[B]]},
    ),
    "several languages": Case(
        lines(IN_LANGUAGES), [emptied("a.example", "c.example")], [[[A], [C]]]
    ),
    "lists with different headings": Case(
        {"a.csv": f"order_id,domain,email,note\n{ORDER},b.example,{WRONG[1]},{B}\n",
         "b.csv": OF_TWO_HEADINGS},
        [CORRECT], [[[B]]], ("--locale", "en"),
    ),
    "several addresses in a cell of such lists": Case(
        {"a.csv": f'order_id,domain,email,note\n{ORDER},a.example,"{A}; no one",{A}\n',
         "b.csv": OF_TWO_HEADINGS},
        [put(f"{A}; no one", A)], [[[A]]], ("--locale", "en"),
    ),
    "several rows of an order, of which the right one was sent": Case(
        {"a.csv": f"order_id,domain,email,note\n{ORDER},{','.join(RIGHT)},\n"
                  f"{ORDER},{','.join(TWICE)},{A}\n"},
        [SAME], [[[A]]], ("--locale", "en"),
    ),
}  # fmt: skip


async def sent(desk: Desk, folder: str, *arguments: str) -> Path:
    """Send lists; return the rejected.csv of the report."""
    how = ("--yes", "--max-rejected", "100%", "--report-dir", folder)
    ended = await desk.run("send", *how, *arguments)
    assert ended.code in (0, 3), ended.err
    return desk.folder / folder / "rejected.csv"


def edited(path: Path, edit: Edit) -> None:
    """Edit a rejected.csv, as in a spreadsheet."""
    with path.open(newline="") as file:
        delimiter = ";" if file.readline().count(";") > 3 else ","
        file.seek(0)
        rows = edit(list(csv.DictReader(file, delimiter=delimiter)))
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0], delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_is_corrected_is_sent_and_what_was_right_with_it(
    tmp_path: Path, case: Case
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name, text in case.lists.items():
            desk.write(name, text)
        path = await sent(desk, "0", *case.flags, *case.lists)
        mailed = ca.books.recipients
        for number, (edit, wanted) in enumerate(zip(case.edits, case.mailed, strict=True), 1):
            mailed.clear()
            edited(path, edit)
            path = await sent(desk, str(number), *case.flags, str(path))
            found = {order: sorted(map(sorted, each)) for order, each in mailed.items()}
            assert found == ({ORDER: wanted} if wanted else {}) | dict(case.others)


async def test_without_a_heading_row_a_text_from_another_cell_corrects_a_row(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("a.csv", f"{ORDER},b.example,{WRONG[1]},{B}\n{OTHER},c.example,bad,{C}\n")
        columns = ("--map", "order_id=1", "--map", "domain=2", "--map", "email=3")
        flags = ("--locale", "en", "--no-header", *columns)
        path = await sent(desk, "0", *flags, "a.csv")
        path.write_text(path.read_text().replace(f"b.example,{WRONG[1]},", f"b.example,{B},", 1))
        await sent(desk, "1", *flags, str(path))
        assert ca.books.recipients == {ORDER: [[B]]}


ROWS_OF_LINES = (
    'order_id,note\n100200301,"x\ny"\n100200302,z\n100200303,z\n100200304,z\n1002003,"a\r\nb"\n'
)
LINES = {
    "a list": {"a.csv": ROWS_OF_LINES},
    "lists with different headings": {"a.csv": ROWS_OF_LINES, "b.csv": "order\n100200309\n"},
    "JSON": lines(record(RIGHT, ("b.ex\nample", B)), record(WRONG, THIRD, order=OTHER)),
    "half a character": lines(record(RIGHT, ("\ud83d.example", B))),
}


@pytest.mark.parametrize("lists", LINES.values(), ids=LINES)
async def test_a_row_with_texts_of_several_lines_or_of_no_encoding_is_not_corrected_by_itself(
    tmp_path: Path, lists: Mapping[str, str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name, text in lists.items():
            (desk.folder / name).write_bytes(text.encode())
        path = await sent(desk, "0", *lists)
        rejected = path.read_text().splitlines()
        mails = ca.books.mails
        for number in "12":
            path = await sent(desk, number, str(path))
        assert ca.books.mails == mails
        assert len(path.read_text().splitlines()) == len(rejected)


async def test_rejected_csv_and_messages_tell_which_rows_were_right(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list.jsonl", lines(record(RIGHT, WRONG))["list.jsonl"])
        path = await sent(desk, "0", "list.jsonl")
        with path.open(newline="") as file:
            right, wrong = csv.DictReader(file)
        assert right["reason"].startswith("right as it is: it is sent along once the other rows")
        assert "has no @" in wrong["reason"]
        assert json.loads(right["record"]) == json.loads(wrong["record"]) == record(RIGHT, WRONG)
        for row, (domain, email) in ((right, RIGHT), (wrong, WRONG)):
            stood = {"order_id": ORDER, "domain": domain, "email": email, "locale": "en"}
            assert {name: text for name, text in json.loads(row["row"]).items() if text} == stood
        checked = await desk.run("check", str(path))
        assert "2 rows: not corrected yet, in a rejected.csv" in checked.out
        assert f"{path}, line 2: right as it is: it is sent along once" in checked.out
