"""A list of orders, read with the same options, asks for just what it is of: nothing else, no less.

unsent.csv for what was not sent, refused.csv for what the CA refused.

Not by the look of the file but by the digests of the requests that are made of it.
"""

import csv
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading, Source
from batch_resend.journal import Journal, Terms
from batch_resend.model import Run
from batch_resend.report import write_report
from tests.journal.conftest import Clock, carry, pending, results
from tests.report.carried import carried, plan_lists, write_list

pytestmark = pytest.mark.asyncio

LISTS = {"unsent.csv": {"failed", "in_doubt", "not_attempted"}, "refused.csv": {"refused"}}
SCRIPT = {
    "100200301": "204", "100200302": "400", "100200303": "503 failed",
    "100200304": "lost in_doubt", "100200305": "", "100200306": "cut",
}  # fmt: skip


async def requests_of(journal: Journal, *sources: Source) -> dict[bytes, str]:
    """Return the digests of all requests that sources make, each with its order number."""
    run = await plan_lists(journal, *sources)
    return {
        planned.digest: planned.request.subject for planned in await pending(journal.reader, run)
    }


async def orders_of(journal: Journal, run: Run) -> dict[str, set[str]]:
    """Return the numbers of the orders of a run that each list is of."""
    found = await results(journal.reader, run)
    return {
        name: {number for number, result in found.items() if result.status.value in statuses}
        for name, statuses in LISTS.items()
    }


async def assert_fed_back(
    folder: Path,
    sources: Sequence[ListSource],
    mapping: Mapping[Field, str] | None = None,
    locale: str | None = None,
    reading: Reading | None = None,
) -> set[str]:
    """Check that each list asks for what it is of; return the numbers of the orders not sent."""
    reading = reading or Reading(mapping or {}, locale)
    folder.mkdir(exist_ok=True)
    async with carried(folder, sources, SCRIPT, clock=Clock()) as (journal, run):
        await write_report(journal.reader, run, folder / "report")
        listed = await orders_of(journal, run)
        again = [ListSource(source.name, reading) for source in sources]
        asked = await requests_of(journal, *again)
        for name, numbers in listed.items():
            expected = {digest for digest, number in asked.items() if number in numbers}
            if numbers:
                fed_back = ListSource(str(folder / "report" / name), reading)
                assert set(await requests_of(journal, fed_back)) == expected
    return listed["unsent.csv"]


@contextmanager
def unless_asked_about(folder: Path) -> Iterator[None]:
    """Let a list be refused for a column whose texts happen to look like something to ask about."""
    try:
        yield
    except InputError as error:
        lists = (path for path in folder.iterdir() if path.is_file())
        assert "--ignore" in str(error)
        assert str(error).startswith(tuple(map(str, lists))), "and not what was written for it"


_numbers = st.sampled_from(
    ("100200301", "100200302", "100200303", "100200304", "100200305", "100200306")
)
_odd = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ("=1+1", "a,b", 'q"q', "'", "line\nbreak", "\r\n", " x ", "-", "[]", "{}", "#")
)
_domains = st.sampled_from(("a.example", "B.Example.", "*.c.example", "bücher.example"))
_emails = st.sampled_from(
    ("admin@a.example", " x+y@a.example ", "1@a.example", "O'Neill@b.example")
)
_pairs = st.tuples(_domains, _emails, st.sampled_from(("", "up.example")))
_locales = st.sampled_from(("", "de", " zh_CN"))


def as_csv(table: Sequence[Sequence[str]]) -> bytes:
    """Return a table as CSV with every cell quoted, as spreadsheets may."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(table)
    return text.getvalue().encode()


@settings(max_examples=20)
@given(
    rows=st.lists(
        st.tuples(_numbers, st.none() | _pairs, _locales, _odd, _odd), min_size=1, max_size=10
    ),
    marks=st.sampled_from((("'1'", "{}'"), ("", " "))),
)
async def test_csv_lists_with_columns_and_texts_of_their_own(
    rows: list[tuple[str, tuple[str, str, str] | None, str, str, str]], marks: tuple[str, str]
) -> None:
    """One language an order, so that an order's number tells its request."""
    one_locale = {number: locale for number, _, locale, *_ in rows}
    table = [["Remark", "E-Mail", "Order #", "Domain", "email domain", "Locale", "Ende"]]
    for number, pair, _, before, after in rows:
        domain, email, up = pair or ("", "", "")
        table.append([before, email, number, domain, up, one_locale[number], after])
    table.append(
        [marks[0], "", "100200305", "", "", "", marks[1], "", " "]
    )  # more cells than headings
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "list.csv"
        path.write_bytes(b"\xef\xbb\xbf" + as_csv(table))
        with unless_asked_about(Path(name)):
            await assert_fed_back(Path(name), [ListSource(str(path))])


@settings(max_examples=15)
@given(
    rows=st.lists(
        st.tuples(_numbers, st.lists(_pairs, max_size=3), st.booleans(), _odd),
        min_size=1,
        max_size=8,
    )
)
async def test_json_lists_flat_and_nested(
    rows: list[tuple[str, list[tuple[str, str, str]], bool, str]],
) -> None:
    lines = []
    for number, pairs, as_text, odd in rows:
        record: dict[str, object] = {"order_id": number if as_text else int(number), "odd": odd}
        listed = [dict(zip(("domain", "email", "email_domain"), p, strict=True)) for p in pairs]
        if len(listed) == 1 and as_text:
            record |= listed[0]
        elif listed:
            record["domain_approval_emails"] = listed
        lines.append(json.dumps(record, ensure_ascii=as_text))
    with tempfile.TemporaryDirectory() as name:
        path = write_list(Path(name), "list.jsonl", *lines)
        with unless_asked_about(Path(name)):
            await assert_fed_back(Path(name), [ListSource(path)])


@settings(max_examples=15)
@given(
    first=st.lists(st.tuples(_numbers, _pairs, _odd), min_size=1, max_size=6),
    second=st.lists(st.tuples(_numbers, st.none() | _pairs), min_size=1, max_size=6),
    mapped=st.booleans(),
)
async def test_two_lists_of_different_headings(
    first: list[tuple[str, tuple[str, str, str], str]],
    second: list[tuple[str, tuple[str, str, str] | None]],
    mapped: bool,
) -> None:
    """Also where `--map` names the column of a field in both."""
    number = "Bestell-Nr." if mapped else "order_id"
    one = [["Domain", number, "Email", "odd"]]
    one += [[domain, order, email, odd] for order, (domain, email, _), odd in first]
    two = [[number, "fqdn", "dcv email", "email_domain"]]
    two += [[order, *(pair or ("", "", ""))] for order, pair in second]
    mapping = {Field.ORDER_ID: number} if mapped else {}
    with tempfile.TemporaryDirectory() as name:
        sources = []
        for path, table in ((Path(name) / "1.csv", one), (Path(name) / "2.csv", two)):
            path.write_bytes(as_csv(table))
            sources.append(ListSource(str(path), Reading(mapping)))
        with unless_asked_about(Path(name)):
            await assert_fed_back(Path(name), sources, mapping)


async def test_a_list_beside_a_list_of_another_kind(tmp_path: Path) -> None:
    sources = [
        ListSource(
            write_list(
                tmp_path, "a.csv", "order_id,domain,email", "100200303,a.example,x@a.example"
            )
        ),
        ListSource(
            write_list(tmp_path, "b.jsonl", '{"order_id": 100200304}', '{"order_id": 100200301}')
        ),
    ]
    assert await assert_fed_back(tmp_path, sources) == {"100200303", "100200304"}


async def test_rows_that_name_no_language_are_read_back_with_the_same_one(tmp_path: Path) -> None:
    path = write_list(
        tmp_path, "a.csv", "order_id,locale", "100200303,", "100200304,en", "100200305,"
    )
    sources = [ListSource(path, Reading(locale="fr"))]
    assert await assert_fed_back(tmp_path, sources, locale="fr") == {
        "100200303",
        "100200304",
        "100200305",
    }


@pytest.mark.parametrize(
    "heading",
    [
        "[Order ID]",
        "{order id}",
        "[",
        pytest.param(
            " [Order ID]",
        ),
    ],
)
async def test_a_first_heading_that_looks_like_json(tmp_path: Path, heading: str) -> None:
    mapping = {Field.ORDER_ID: "number"}
    path = tmp_path / "a.csv"
    path.write_bytes(as_csv([[heading, "number"], ["south", "100200303"], ["north", "100200301"]]))
    sources = [ListSource(str(path), Reading(mapping))]
    assert await assert_fed_back(tmp_path, sources, mapping) == {"100200303"}


@pytest.mark.parametrize(("fate", "name"), [(None, "unsent.csv"), ("400", "refused.csv")])
async def test_only_the_languages_of_an_order_that_were_not_sent_are_fed_back(
    tmp_path: Path, fate: str | None, name: str
) -> None:
    path = write_list(
        tmp_path, "a.csv", "order_id,locale", "100200301,de", "100200301,en", "100200301,de"
    )
    async with carried(tmp_path, [ListSource(path)], {}) as (journal, run):
        recorder = await journal.start(run, Terms(()))
        german, english = await pending(journal.reader, run)
        await carry(recorder, Clock(), german, "204")
        if fate is not None:
            await carry(recorder, Clock(), english, fate)
        await write_report(journal.reader, run, tmp_path / "report")
        fed_back = ListSource(str(tmp_path / "report" / name))
        assert set(await requests_of(journal, fed_back)) == {english.digest}


async def test_a_list_of_objects_that_a_mapping_names_is_read_back_with_the_same_mapping(
    tmp_path: Path,
) -> None:
    mapping = {Field.DOMAIN: "domains.name", Field.EMAIL: "domains.to"}
    domains = [{"name": f"{n}.example", "to": f"admin@{n}.example"} for n in "ab"]
    records = ({"order_id": number, "domains": domains} for number in (100200301, 100200303))
    path = write_list(tmp_path, "a.jsonl", *map(json.dumps, records))
    sources = [ListSource(path, Reading(mapping))]
    assert await assert_fed_back(tmp_path, sources, mapping) == {"100200303"}
